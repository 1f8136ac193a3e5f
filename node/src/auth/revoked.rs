//! Certificates that the CA has taken back: its list, and connections that end when their other end is on it.
//!
//! The list (RFC 5280 CRL) lies beside the CA's certificate as `revoked.pem`; no file means that nothing was taken back.
//! It is read with the other credentials, and again on reload. A list past its "next update" still counts: on a night
//! with cut lines an old list is better than none, and refusing everybody would be worse than both.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::WatchStream;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use crate::auth::tls::TlsError;
use crate::pki::files::read_public;
use crate::pki::is_signed_by;

/// The name of the list, beside the CA's certificate.
pub const REVOKED_FILE: &str = "revoked.pem";
/// The most lists of one file: one for each CA certificate it may hold.
const LISTS_MAX: usize = 16;

/// The serial numbers that were taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    serials: BTreeSet<Vec<u8>>,
}

impl Revoked {
    /// Reads the lists of a file, each signed by one of the `authorities`; nothing when there is no such file.
    ///
    /// # Errors
    /// [`TlsError`] for a file that cannot be read, is no list, or is not signed by the CA.
    pub fn read(path: &Path, authorities: &[CertificateDer<'_>]) -> Result<Self, TlsError> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Self::default());
        }
        let refused = |why: String| TlsError::Content { path: path.to_owned(), why };
        let bytes = read_public(path)?;
        let lists = CertificateRevocationListDer::pem_slice_iter(&bytes)
            .take(LISTS_MAX + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refused(format!("it is no PEM file of revocation lists ({error})")))?;
        if lists.is_empty() || lists.len() > LISTS_MAX {
            return Err(refused(format!(
                "it holds {} revocation lists; 1 to {LISTS_MAX} may stand there",
                lists.len()
            )));
        }
        let mut revoked = Self::default();
        for der in &lists {
            let parsed = CertificateRevocationList::from_der(der);
            let (_, list) = parsed.map_err(|error| refused(format!("a list cannot be parsed ({error})")))?;
            let signature = &list.signature_value.data;
            if !authorities.iter().any(|ca| is_signed_by(ca, list.tbs_cert_list.as_ref(), signature)) {
                return Err(refused(
                    "a list is not signed by the CA beside it; take it from the CA's folder".to_owned(),
                ));
            }
            revoked.serials.extend(list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()));
        }
        Ok(revoked)
    }

    /// Whether this certificate (DER) was taken back. What cannot be parsed has not got past a verifier.
    pub fn holds(&self, certificate: &[u8]) -> bool {
        serial(certificate).is_some_and(|serial| self.serials.contains(&serial))
    }

    /// Whether everything on `other` is on this list, too: a list only grows.
    pub fn includes(&self, other: &Self) -> bool {
        other.serials.is_subset(&self.serials)
    }

    /// How many certificates were taken back.
    pub fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether nothing was taken back.
    pub fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }
}

fn serial(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.raw_serial().to_vec())
}

/// A stream that fails as soon as the certificate at its other end is taken back.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    certificate: Vec<u8>,
    news: WatchStream<Arc<Revoked>>,
    over: bool,
}

impl<S> Guarded<S> {
    /// Guards `stream`, at whose other end `certificate` was shown. The first read looks at the list once more, so that
    /// nothing is missed between the handshake and here.
    pub fn new(stream: S, certificate: &[u8], revoked: watch::Receiver<Arc<Revoked>>) -> Self {
        Self { stream, certificate: certificate.to_vec(), news: WatchStream::new(revoked), over: false }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(Some(list)) = Pin::new(&mut self.news).poll_next(cx) {
            if !self.over && list.holds(&self.certificate) {
                tracing::warn!(
                    "a connection ends: the certificate of its other end was revoked / 对端证书已吊销，连接断开"
                );
                self.over = true;
            }
        }
        self.over
    }
}

fn taken_back() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the other end's certificate was revoked")
}

// HTTP/2 always has a read pending: a new list wakes it.
impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(taken_back()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.over {
            return Poll::Ready(Err(taken_back()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        if self.over {
            return Poll::Ready(Err(taken_back()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
