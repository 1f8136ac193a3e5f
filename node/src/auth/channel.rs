//! Dialling: a tonic channel over mutual TLS to a node known by its identity.

use std::error::Error;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use shouwang_driver::is_refusal;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::auth::line::{self, CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::auth::revoked::Guarded;
use crate::auth::tls::{TlsError, TlsStore};
use crate::auth::verify::ExpectedNode;

/// The node to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where, as `host:port`.
    pub address: String,
    /// Who must answer.
    pub expected: ExpectedNode,
}

/// Connects now, and again by itself whenever the connection is lost. Every attempt uses the credentials of its moment.
///
/// # Errors
/// [`TlsError::Address`], or [`TlsError::Connect`] when nobody, or the wrong node, answers.
pub async fn connect(target: &Target, store: &Arc<TlsStore>) -> Result<Channel, TlsError> {
    let endpoint = endpoint(&target.address)?;
    endpoint.connect_with_connector(connector(target.clone(), Arc::clone(store))).await.map_err(|error| {
        let (address, expected) = (target.address.clone(), target.expected.clone());
        let refused = is_refusal(&error);
        not_taken(&error).unwrap_or_else(|| TlsError::Connect { address, expected, why: reasons(&error), refused })
    })
}

/// Like [`connect`], but connects with the first call. Needs a tokio runtime.
///
/// # Errors
/// [`TlsError::Address`].
pub fn connect_lazy(target: &Target, store: &Arc<TlsStore>) -> Result<Channel, TlsError> {
    Ok(endpoint(&target.address)?.connect_with_connector_lazy(connector(target.clone(), Arc::clone(store))))
}

fn endpoint(address: &str) -> Result<Endpoint, TlsError> {
    let refused = |why: &str| TlsError::Address { address: address.to_owned(), why: why.to_owned() };
    check_address(address).map_err(|why| refused(&why))?;
    Ok(Endpoint::from_shared(format!("https://{address}"))
        .map_err(|error| refused(&reasons(&error)))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// Checks that `address` is `host:port` (a name, an IPv4 address or a bracketed IPv6 address).
///
/// # Errors
/// What is wrong with it.
pub fn check_address(address: &str) -> Result<(), String> {
    let uri: Uri = format!("https://{address}").parse().map_err(|error| format!("{error}"))?;
    let authority = uri.authority().map(tonic::codegen::http::uri::Authority::as_str);
    if authority != Some(address) || address.contains('@') {
        return Err("only host:port may stand there".to_owned());
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the host is missing".to_owned());
    }
    match uri.port_u16() {
        Some(port) if port != 0 => Ok(()),
        _ => Err("the port (1 to 65535) is missing".to_owned()),
    }
}

fn connector(
    target: Target,
    store: Arc<TlsStore>,
) -> impl tower::Service<Uri, Response = TokioIo<Guarded<TlsStream<TcpStream>>>, Error = std::io::Error, Future: Send>
+ Send
+ 'static {
    let target = Arc::new(target);
    tower::service_fn(move |_: Uri| dial(Arc::clone(&target), Arc::clone(&store)))
}

async fn dial(target: Arc<Target>, store: Arc<TlsStore>) -> std::io::Result<TokioIo<Guarded<TlsStream<TcpStream>>>> {
    let config = store.client_config(&target.expected).map_err(std::io::Error::other)?;
    let tcp = line::dial(&target.address).await?;
    // The verifier goes by identity and no name is sent; the library wants one all the same.
    let name = ServerName::try_from("node.invalid").map_err(std::io::Error::other)?;
    let revoked = store.revoked();
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|shown| shown.to_vec());
    let certificate = certificate.ok_or_else(|| std::io::Error::other("the listener showed no certificate"))?;
    Ok(TokioIo::new(Guarded::new(stream, &certificate, revoked)))
}

/// Whether the other end said that it does not take our certificate. With TLS 1.3 that comes after we think we are in, so
/// it may end a connection or the first call on it; and on its way through HTTP/2 it keeps its words and loses its type.
pub fn not_taken(error: &(dyn Error + 'static)) -> Option<TlsError> {
    let told = reasons(error);
    let (_, alert) = told.split_once("received fatal alert: ")?;
    let alert: String = alert.chars().take_while(char::is_ascii_alphanumeric).collect();
    let about_it = alert.contains("Certificate") || ["UnknownCA", "AccessDenied"].contains(&alert.as_str());
    about_it.then_some(TlsError::NotTaken { alert })
}

/// An error and all it came from, in one line.
fn reasons(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_taken_is_told_from_a_connection_that_is_lost() {
        use rustls::AlertDescription::{CertificateExpired, CertificateRevoked, InternalError, UnknownCA};
        for (alert, expected) in [
            (CertificateRevoked, Some("CertificateRevoked")),
            (CertificateExpired, Some("CertificateExpired")),
            (UnknownCA, Some("UnknownCA")),
            (InternalError, None),
        ] {
            let error = std::io::Error::other(rustls::Error::AlertReceived(alert));
            let found = not_taken(&tonic::Status::from_error(Box::new(error)));
            let told = found.map(|found| match found {
                TlsError::NotTaken { alert } => alert,
                other => panic!("{other}"),
            });
            assert_eq!(told.as_deref(), expected);
        }
        assert!(not_taken(&std::io::Error::from(std::io::ErrorKind::ConnectionReset)).is_none());
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_told_from_a_line_that_breaks() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let connector = || {
            tower::service_fn(|uri: Uri| async move {
                let tcp = line::dial(uri.authority().unwrap().as_str()).await?;
                std::io::Result::Ok(TokioIo::new(tcp))
            })
        };
        let silent = endpoint.connect_with_connector(connector()).await;
        drop(listener);
        let error = endpoint.connect_with_connector(connector()).await.unwrap_err();
        assert!(is_refusal(&error), "{}", reasons(&error));
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!is_refusal(&broken) && !is_refusal(&tonic::Status::from_error(Box::new(broken))));
        drop(silent);
    }

    #[test]
    fn addresses_are_host_and_port_only() {
        for good in ["127.0.0.1:7300", "[::1]:7300", "node-1.wuhai.example:443"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["", "localhost", "localhost:", ":7300", "localhost:0", "a:99999", "a:1/x", "u@a:1", "a b:1", "https://a:1"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
