//! How the load generator dials: TLS 1.3 with a client's certificate, over HTTP/2 where the other side speaks it, the same
//! for all systems.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long connecting may take, the handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The files somebody shows who he is with.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The authority that all certificates come from.
    pub ca: PathBuf,
    /// His certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A way to dial nodes of this machine.
#[derive(Clone)]
pub struct Dialler(Arc<ClientConfig>);

impl Dialler {
    /// Dials with these papers.
    ///
    /// # Errors
    /// A file that is missing or not what it should be.
    pub fn new(papers: &Papers) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for ca in certificates(&papers.ca)? {
            roots.add(ca).with_context(|| format!("{}", papers.ca.display()))?;
        }
        let key = PrivateKeyDer::from_pem_file(&papers.key).with_context(|| format!("{}", papers.key.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&papers.cert)?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// TLS over this connection to a server of loopback that speaks no HTTP.
    ///
    /// # Errors
    /// The other side is not of the authority, or lets nobody in with these papers.
    pub async fn secure(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols.clear();
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(std::net::Ipv4Addr::LOCALHOST), tcp).await
    }

    /// One connection to a port of loopback. It dials again by itself when it breaks.
    ///
    /// # Errors
    /// Nobody answers there, or not with a certificate of the authority.
    pub async fn connect(&self, port: u16) -> Result<Channel> {
        let config = Arc::clone(&self.0);
        let connector = tower::service_fn(move |_: Uri| {
            let config = Arc::clone(&config);
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
                Ok::<_, std::io::Error>(TokioIo::new(TlsConnector::from(config).connect(name, tcp).await?))
            }
        });
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}"))?.connect_timeout(CONNECT_TIMEOUT);
        endpoint.connect_with_connector(connector).await.with_context(|| format!("connecting to port {port}"))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().with_context(|| format!("{}", path.display()))
}
