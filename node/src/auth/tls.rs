//! The TLS credentials of this process and the configurations made from them: TLS 1.3 only, one crypto provider.
//!
//! [`TlsStore`] reads CA, certificate and key, checks that they belong together, and publishes them; `reload` does the
//! same again for renewed files and a longer list of revoked certificates. New connections use what was published last;
//! those that exist are left alone, unless their other end was revoked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::OffsetDateTime;
use tokio::sync::watch;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::auth::identity::{Identity, IdentityError};
use crate::auth::revoked::{REVOKED_FILE, Revoked};
use crate::auth::verify::{CallerVerifier, ExpectedNode, NodeVerifier, verify_chain};
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::files::{read_public, read_secret};

/// The most CA certificates a CA file may hold (two while one CA follows another, with room).
const MAX_ROOTS: usize = 16;
/// The most certificates of a chain.
const MAX_CHAIN: usize = 8;

/// The one crypto provider of this process.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// One of a node's two TLS listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Where other nodes come: takes nodes only.
    Peer,
    /// Where people and their programs come: takes operators only.
    Operator,
}

impl Surface {
    /// The surface's name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Operator => "operator",
        }
    }
}

/// Where the credentials lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The federation's CA certificates (PEM, one or more).
    pub ca: PathBuf,
    /// The certificate of this node or operator, with its chain if any (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM, PKCS#8).
    pub key: PathBuf,
}

impl TlsPaths {
    /// Where the CA's list of revoked certificates lies: beside its certificate.
    pub fn revoked(&self) -> PathBuf {
        self.ca.with_file_name(REVOKED_FILE)
    }
}

/// Why credentials or a connection were refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is too open for a key.
    #[error(transparent)]
    File(#[from] crate::pki::PkiError),
    /// A file does not hold what it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        why: String,
    },
    /// The certificate names nobody we know how to name.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with the name.
        source: IdentityError,
    },
    /// The certificate is another's.
    #[error("{}: the certificate is for {found}, this is {expected}; put the right certificate there", path.display())]
    OtherIdentity {
        /// The certificate's file.
        path: PathBuf,
        /// Whom it names.
        found: Box<Identity>,
        /// Who this is by its configuration.
        expected: Box<Identity>,
    },
    /// A new list of revoked certificates lacks what an earlier one held.
    #[error("{}: it lacks certificates that were revoked before; take the newest list from the CA's folder", .0.display())]
    OlderList(PathBuf),
    /// An operator's credentials were asked for a listener.
    #[error("{0} is an operator; only a node has listeners")]
    NotANode(Box<Identity>),
    /// The TLS library refused a configuration.
    #[error("TLS configuration: {0}")]
    Config(String),
    /// The address cannot be used.
    #[error("the address {address:?} is not host:port ({why})")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The other side could not be reached, or is not who it should be.
    #[error("connecting to {address} as {expected}: {why}")]
    Connect {
        /// The address dialled.
        address: String,
        /// Who should have answered.
        expected: ExpectedNode,
        /// The whole chain of reasons.
        why: String,
        /// Whether the machine at the address said that nobody listens there.
        refused: bool,
    },
    /// The other side does not take the certificate shown to it.
    #[error(
        "the node does not take this certificate ({alert}); ask the CA whether it was revoked or has ended, and for a new one"
    )]
    NotTaken {
        /// What it said, in the words of TLS.
        alert: String,
    },
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let exit = match &error {
            TlsError::File(_) | TlsError::Content { .. } | TlsError::Identity { .. } | TlsError::OlderList(_) => {
                Exit::BadInput
            }
            TlsError::OtherIdentity { .. } | TlsError::NotANode(_) | TlsError::NotTaken { .. } => Exit::Permission,
            TlsError::Config(_) => Exit::Failure,
            TlsError::Address { .. } => Exit::Usage,
            TlsError::Connect { .. } => Exit::Unavailable,
        };
        let zh = match &error {
            TlsError::File(_) | TlsError::Content { .. } | TlsError::Identity { .. } => "证书或密钥文件无法使用",
            TlsError::OlderList(_) => "吊销名单比已载入的旧",
            TlsError::OtherIdentity { .. } | TlsError::NotANode(_) => "证书身份不符",
            TlsError::Config(_) => "TLS 配置有误",
            TlsError::Address { .. } => "地址应为 主机:端口",
            TlsError::Connect { .. } => "无法连接，或对方身份不符",
            TlsError::NotTaken { .. } => "节点不接受此证书，请向 CA 查询是否已吊销或过期，并申领新证书",
        };
        let code = if matches!(error, TlsError::NotTaken { .. }) { "CERTIFICATE_REFUSED" } else { "TLS" };
        Self::new(exit, code, Bilingual::new(format!("{zh}：{error}"), error.to_string()))
    }
}

/// What was read and found good.
struct Material {
    identity: Identity,
    expires: OffsetDateTime,
    roots: Arc<RootCertStore>,
    revoked: Arc<Revoked>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    listeners: Option<Listeners>,
}

struct Listeners {
    peer: Arc<ServerConfig>,
    operator: Arc<ServerConfig>,
}

/// The credentials of this process, replaceable while it runs.
pub struct TlsStore {
    paths: TlsPaths,
    identity: Identity,
    published: ArcSwap<Material>,
    revoked: watch::Sender<Arc<Revoked>>,
}

impl std::fmt::Debug for TlsStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStore").field("identity", &self.identity).field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl TlsStore {
    /// Reads and checks the credentials: the certificate matches the key, is within its time, chains to the CA, and
    /// names `expected` (when given; a command-line client takes whoever its certificate names).
    ///
    /// # Errors
    /// [`TlsError`], with the file and what to do.
    pub fn open(paths: TlsPaths, expected: Option<&Identity>) -> Result<Arc<Self>, TlsError> {
        let material = read(&paths, expected)?;
        let identity = material.identity.clone();
        let (revoked, _) = watch::channel(Arc::clone(&material.revoked));
        Ok(Arc::new(Self { paths, identity, published: ArcSwap::from_pointee(material), revoked }))
    }

    /// Reads the same files again and publishes them, if they pass every check of [`TlsStore::open`] and still name
    /// the same identity. Otherwise what is published stays. Connections whose other end was revoked meanwhile end.
    ///
    /// # Errors
    /// [`TlsError`]; nothing was changed.
    pub fn reload(&self) -> Result<(), TlsError> {
        let material = read(&self.paths, Some(&self.identity))?;
        if !material.revoked.includes(&self.published.load().revoked) {
            return Err(TlsError::OlderList(self.paths.revoked()));
        }
        let revoked = Arc::clone(&material.revoked);
        self.published.store(Arc::new(material));
        self.revoked.send_replace(revoked);
        Ok(())
    }

    /// The list of revoked certificates, and every newer one.
    pub fn revoked(&self) -> watch::Receiver<Arc<Revoked>> {
        self.revoked.subscribe()
    }

    /// Who this process is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// When the published certificate ends.
    pub fn expires(&self) -> OffsetDateTime {
        self.published.load().expires
    }

    /// The configuration for a listener, as of now: ask again for each connection.
    ///
    /// # Errors
    /// [`TlsError::NotANode`] with an operator's credentials.
    pub fn server_config(&self, surface: Surface) -> Result<Arc<ServerConfig>, TlsError> {
        let material = self.published.load();
        let listeners =
            material.listeners.as_ref().ok_or_else(|| TlsError::NotANode(Box::new(self.identity.clone())))?;
        Ok(Arc::clone(match surface {
            Surface::Peer => &listeners.peer,
            Surface::Operator => &listeners.operator,
        }))
    }

    /// The configuration for dialling `expected`, as of now: ask again for each connection.
    ///
    /// # Errors
    /// [`TlsError::Config`].
    pub fn client_config(&self, expected: &ExpectedNode) -> Result<Arc<ClientConfig>, TlsError> {
        let material = self.published.load();
        let verifier =
            NodeVerifier::new(Arc::clone(&material.roots), &PROVIDER, expected.clone(), Arc::clone(&material.revoked));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(material.chain.clone(), material.key.clone_key())
            .map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session skips the certificate: one that has expired or was replaced would live on.
        config.resumption = Resumption::disabled();
        // The verifier goes by identity, so the name would only tell a listener on the line whom we call.
        config.enable_sni = false;
        Ok(Arc::new(config))
    }
}

#[allow(clippy::needless_pass_by_value)] // It stands in map_err.
fn refused(error: rustls::Error) -> TlsError {
    TlsError::Config(error.to_string())
}

fn content(path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Content { path: path.to_owned(), why: why.into() }
}

fn read(paths: &TlsPaths, expected: Option<&Identity>) -> Result<Material, TlsError> {
    let authorities = read_certificates(&paths.ca, MAX_ROOTS)?;
    let chain = read_certificates(&paths.cert, MAX_CHAIN)?;
    let key = PrivateKeyDer::from_pem_slice(&read_secret(&paths.key)?)
        .map_err(|_| content(&paths.key, "no private key in PEM form was found there"))?;
    // `read_certificates` gives at least one.
    let leaf = &chain[0];
    let identity =
        Identity::from_certificate(leaf).map_err(|source| TlsError::Identity { path: paths.cert.clone(), source })?;
    if let Some(expected) = expected.filter(|expected| **expected != identity) {
        let (found, expected) = (Box::new(identity), Box::new(expected.clone()));
        return Err(TlsError::OtherIdentity { path: paths.cert.clone(), found, expected });
    }
    let roots = Arc::new(roots(&paths.ca, &authorities, identity.federation())?);
    let revoked = Arc::new(Revoked::read(&paths.revoked(), &authorities)?);
    if revoked.holds(leaf) {
        return Err(content(&paths.cert, "this certificate was revoked by the CA; make a new key and request"));
    }
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &PROVIDER).map_err(|error| {
        content(
            &paths.key,
            format!(
                "the key does not belong to {} ({error}); both must come from the same request",
                paths.cert.display()
            ),
        )
    })?;
    check_own_chain(&paths.cert, &chain, &roots, &identity)?;
    let expires = expiry(leaf).ok_or_else(|| content(&paths.cert, "its end of validity cannot be read"))?;
    let listeners = match identity {
        Identity::Node { .. } => Some(Listeners {
            peer: listener((&roots, &revoked), &chain, &key, &identity, Surface::Peer)?,
            operator: listener((&roots, &revoked), &chain, &key, &identity, Surface::Operator)?,
        }),
        Identity::Operator { .. } => None,
    };
    Ok(Material { identity, expires, roots, revoked, chain, key, listeners })
}

/// A node's certificate must pass as a server's, an operator's as a client's: the same check the other side will make.
fn check_own_chain(
    path: &Path,
    chain: &[CertificateDer<'static>],
    roots: &Arc<RootCertStore>,
    identity: &Identity,
) -> Result<(), TlsError> {
    let refused = |why: String| content(path, format!("the certificate is refused by the CA file beside it: {why}"));
    let (leaf, rest) = chain.split_first().ok_or_else(|| refused("it is empty".to_owned()))?;
    let now = UnixTime::now();
    let surface = match identity {
        Identity::Node { .. } => {
            let algorithms = &PROVIDER.signature_verification_algorithms;
            verify_chain(leaf, rest, roots, algorithms, now).map_err(|error| refused(error.to_string()))?;
            Surface::Peer
        }
        Identity::Operator { .. } => Surface::Operator,
    };
    let chain = (Arc::clone(roots), Arc::default());
    let verifier = CallerVerifier::new(chain, Arc::clone(&PROVIDER), identity.federation(), surface)
        .map_err(|error| refused(error.to_string()))?;
    rustls::server::danger::ClientCertVerifier::verify_client_cert(&verifier, leaf, rest, now)
        .map_err(|error| refused(error.to_string()))?;
    Ok(())
}

fn read_certificates(path: &Path, most: usize) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_public(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .take(most + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| content(path, format!("it is no PEM file of certificates ({error})")))?;
    match certificates.len() {
        0 => Err(content(path, "no certificate in PEM form was found there")),
        count if count > most => Err(content(path, format!("it holds more than {most} certificates"))),
        _ => Ok(certificates),
    }
}

fn roots(path: &Path, authorities: &[CertificateDer<'static>], federation: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        if let Some(other) = crate::pki::federation_of_ca(authority).filter(|found| found != federation) {
            return Err(content(
                path,
                format!("it is the CA of the federation {other:?}, the certificate is of {federation:?}"),
            ));
        }
        roots.add(authority.clone()).map_err(|error| content(path, format!("not usable as a CA: {error}")))?;
    }
    Ok(roots)
}

fn listener(
    (roots, revoked): (&Arc<RootCertStore>, &Arc<Revoked>),
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    identity: &Identity,
    surface: Surface,
) -> Result<Arc<ServerConfig>, TlsError> {
    let trust = (Arc::clone(roots), Arc::clone(revoked));
    let verifier = CallerVerifier::new(trust, Arc::clone(&PROVIDER), identity.federation(), surface)
        .map_err(|error| TlsError::Config(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // No resumption, for the reason given at the client's side.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<OffsetDateTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.to_datetime())
}
