//! Two nodes and their operators over real sockets: who gets in, who does not, and certificates that change meanwhile.

#![allow(clippy::unwrap_used)] // A test's helper may panic: that is how a test fails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shouwang::auth::{
    ExpectedNode, Identity, ListenLimits, Municipality, PeerInfo, Role, Surface, Target, TlsConn, TlsError,
    TlsIncoming, TlsPaths, TlsStore, connect, connect_lazy,
};
use shouwang::pki::files::{Access, write_new};
use shouwang::pki::{Authority, Lifetime, NodeNames, TlsKey};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;

const PATIENCE: Duration = Duration::from_secs(20);

/// A federation in a folder: its CA, and nodes and operators made as they ask for it.
struct Federation {
    dir: tempfile::TempDir,
    ca: Authority,
}

impl Federation {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Authority::found(name, &dir.path().join("ca"), 30).unwrap();
        Self { dir, ca }
    }

    fn name(&self) -> &str {
        self.ca.federation()
    }

    fn identity(&self, code: u32, node: u32) -> Identity {
        Identity::node(self.name(), Municipality::new(code).unwrap(), node).unwrap()
    }

    /// Writes key, request and certificate of a node, as `init` and `pki sign` do.
    fn node(&self, folder: &str, code: u32, node: u32, lifetime: Lifetime) -> TlsPaths {
        let folder = self.dir.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let paths = paths(&folder, &self.ca.files().cert);
        let key = TlsKey::generate().unwrap();
        let request = key.request(&self.identity(code, node), &NodeNames::default()).unwrap();
        key.save(&paths.key).unwrap();
        let issued = self.ca.sign_for(&request, lifetime).unwrap();
        write_new(&paths.cert, issued.pem.as_bytes(), Access::Public).unwrap();
        paths
    }

    fn store(&self, folder: &str, code: u32, node: u32) -> Arc<TlsStore> {
        TlsStore::open(self.node(folder, code, node, days(10)), Some(&self.identity(code, node))).unwrap()
    }

    fn operator(&self, role: Role) -> Arc<TlsStore> {
        let folder = self.dir.path().join("operators");
        let (_, files) = self.ca.operator(Municipality::new(150_300).unwrap(), "d01", role, 10, &folder).unwrap();
        TlsStore::open(TlsPaths { ca: files.ca, cert: files.cert, key: files.key }, None).unwrap()
    }
}

fn paths(folder: &Path, ca: &Path) -> TlsPaths {
    TlsPaths { ca: ca.to_owned(), cert: folder.join("node.pem"), key: folder.join("node.key") }
}

fn days(days: u32) -> Lifetime {
    Lifetime::days(days, 30).unwrap()
}

fn ended() -> Lifetime {
    let now = OffsetDateTime::now_utc();
    Lifetime { from: now - time::Duration::days(2), until: now - time::Duration::days(1) }
}

async fn listen(store: &Arc<TlsStore>, surface: Surface) -> TlsIncoming {
    TlsIncoming::bind("127.0.0.1:0".parse().unwrap(), surface, Arc::clone(store), ListenLimits::default())
        .await
        .unwrap()
}

/// Dials, sends one byte and reads its echo: with TLS 1.3 only the answer tells a client that it was let in.
async fn knock(address: SocketAddr, client: &Arc<TlsStore>, expected: &ExpectedNode) -> std::io::Result<()> {
    let config = client.client_config(expected).unwrap();
    let tcp = TcpStream::connect(address).await?;
    let name = "node.invalid".try_into().unwrap();
    let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
    stream.write_all(b"?").await?;
    stream.read_u8().await.map(|_| ())
}

/// Answers the next caller who is let in, and tells who it was.
async fn answer(incoming: &mut TlsIncoming) -> PeerInfo {
    let mut conn: TlsConn = incoming.next().await.unwrap().unwrap();
    let byte = conn.read_u8().await.unwrap();
    conn.write_all(&[byte]).await.unwrap();
    conn.flush().await.unwrap();
    conn.peer().clone()
}

async fn let_in(incoming: &mut TlsIncoming, client: &Arc<TlsStore>, expected: &ExpectedNode) -> PeerInfo {
    let address = incoming.local_addr();
    let both = async { tokio::join!(knock(address, client, expected), answer(incoming)) };
    let (knocked, peer) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    knocked.unwrap();
    peer
}

/// Why a caller did not get in, as the caller sees it.
async fn shut_out(incoming: &TlsIncoming, client: &Arc<TlsStore>, expected: &ExpectedNode) -> String {
    let knocked = knock(incoming.local_addr(), client, expected);
    tokio::time::timeout(PATIENCE, knocked).await.unwrap().unwrap_err().to_string()
}

fn exactly(identity: &Identity) -> ExpectedNode {
    ExpectedNode::exactly(identity).unwrap()
}

#[tokio::test]
async fn nodes_meet_in_both_directions_and_know_each_other() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    for (server, client) in [(&wuhai, &alxa), (&alxa, &wuhai)] {
        let mut incoming = listen(server, Surface::Peer).await;
        let peer = let_in(&mut incoming, client, &exactly(server.identity())).await;
        assert_eq!((peer.identity(), peer.surface()), (client.identity(), Surface::Peer));
        assert!(peer.remote().ip().is_loopback());
    }
}

#[tokio::test]
async fn each_listener_takes_its_own_kind_only() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let operator = federation.operator(Role::Duty);
    let expected = exactly(wuhai.identity());
    let mut peers = listen(&wuhai, Surface::Peer).await;
    let mut operators = listen(&wuhai, Surface::Operator).await;
    shut_out(&peers, &operator, &expected).await;
    shut_out(&operators, &alxa, &expected).await;
    assert_eq!(let_in(&mut peers, &alxa, &expected).await.identity(), alxa.identity());
    let caller = let_in(&mut operators, &operator, &ExpectedNode::any_of("wuhai")).await;
    assert_eq!(caller.identity().role(), Some(Role::Duty));
    assert!(matches!(operator.server_config(Surface::Operator), Err(TlsError::NotANode(_))));
}

#[tokio::test]
async fn another_federations_ca_opens_no_door() {
    let (federation, stranger) = (Federation::new("wuhai"), Federation::new("wuhai"));
    let (wuhai, impostor) = (federation.store("wuhai", 150_300, 1), stranger.store("alxa", 152_900, 1));
    let incoming = listen(&wuhai, Surface::Peer).await;
    // The impostor would not trust Wuhai's certificate; one that does not care is refused by Wuhai's side.
    let why = shut_out(&incoming, &impostor, &exactly(wuhai.identity())).await;
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
    let credulous = TlsPaths { ca: federation.ca.files().cert.clone(), ..stranger.node("two", 152_900, 2, days(10)) };
    let error = TlsStore::open(credulous, None).unwrap_err().to_string();
    assert!(error.contains("refused by the CA file"), "{error}");
    // And from the dialling side: whoever answers with the stranger's certificate is no node of ours.
    let theirs = listen(&impostor, Surface::Peer).await;
    let why = shut_out(&theirs, &wuhai, &exactly(impostor.identity())).await;
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
}

/// A caller that checks nothing and shows what it is given, so that only the listener stands in its way.
fn reckless(paths: &TlsPaths) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&paths.cert).unwrap().map(Result::unwrap).collect();
    rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&paths.key).unwrap())
        .unwrap()
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

async fn reckless_knock(address: SocketAddr, paths: &TlsPaths) -> std::io::Result<()> {
    let tcp = TcpStream::connect(address).await?;
    let name = "node.invalid".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(reckless(paths))).connect(name, tcp).await?;
    stream.write_all(b"?").await?;
    stream.read_u8().await.map(|_| ())
}

#[tokio::test]
async fn the_listener_itself_refuses_strangers_ended_certificates_and_other_federations() {
    let (federation, stranger, other) = (Federation::new("wuhai"), Federation::new("wuhai"), Federation::new("other"));
    let wuhai = federation.store("wuhai", 150_300, 1);
    let mut incoming = listen(&wuhai, Surface::Peer).await;
    for (what, paths, alert) in [
        ("a stranger's CA", stranger.node("a", 152_900, 1, days(10)), "UnknownCA"),
        ("another federation's CA", other.node("a", 152_900, 1, days(10)), "UnknownCA"),
        ("a certificate that has ended", federation.node("a", 152_900, 1, ended()), "CertificateExpired"),
    ] {
        let knocked = tokio::time::timeout(PATIENCE, reckless_knock(incoming.local_addr(), &paths)).await.unwrap();
        let why = knocked.unwrap_err().to_string();
        assert!(why.contains(alert) || why.contains("DecryptError"), "{what}: {why}");
    }
    let good = federation.node("b", 152_900, 2, days(10));
    let (knocked, peer) = tokio::join!(reckless_knock(incoming.local_addr(), &good), answer(&mut incoming));
    knocked.unwrap();
    assert_eq!(*peer.identity(), federation.identity(152_900, 2));
}

#[tokio::test]
async fn a_node_that_is_not_the_one_dialled_is_refused() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let incoming = listen(&wuhai, Surface::Peer).await;
    let second = exactly(&federation.identity(150_300, 2));
    for expected in [second, exactly(alxa.identity()), ExpectedNode::any_of("other")] {
        let why = shut_out(&incoming, &alxa, &expected).await;
        assert!(why.contains("150300/node/1"), "{why}");
    }
}

#[test]
fn credentials_that_do_not_fit_are_not_published() {
    let federation = Federation::new("wuhai");
    let (one, two) = (federation.node("one", 150_300, 1, days(10)), federation.node("two", 150_300, 2, days(10)));
    let expired = federation.node("expired", 150_300, 3, ended());
    let other = Federation::new("other");
    let foreign = other.ca.files().cert.clone();
    let identity = federation.identity(150_300, 1);
    for (what, paths, says) in [
        ("another key", TlsPaths { key: two.key.clone(), ..one.clone() }, "does not belong"),
        ("another node", two.clone(), "this is spiffe://wuhai/municipality/150300/node/1"),
        ("a CA of another federation", TlsPaths { ca: foreign, ..one.clone() }, "CA of the federation \"other\""),
        ("no certificate", TlsPaths { cert: one.key.clone(), ..one.clone() }, "no certificate"),
        ("no key", TlsPaths { key: PathBuf::from("/nonexistent"), ..one.clone() }, "/nonexistent"),
    ] {
        let error = TlsStore::open(paths, Some(&identity)).unwrap_err().to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
    let error = TlsStore::open(expired, None).unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
    assert!(TlsStore::open(one, Some(&identity)).is_ok());
}

#[tokio::test]
async fn reload_swaps_the_certificate_and_keeps_the_old_one_when_the_new_is_wrong() {
    let federation = Federation::new("wuhai");
    let paths = federation.node("wuhai", 150_300, 1, days(10));
    let wuhai = TlsStore::open(paths.clone(), None).unwrap();
    let alxa = federation.store("alxa", 152_900, 1);
    let mut incoming = listen(&wuhai, Surface::Peer).await;
    let expected = exactly(wuhai.identity());
    let before = wuhai.expires();
    let_in(&mut incoming, &alxa, &expected).await;

    let replace = |from: &TlsPaths| {
        std::fs::rename(&from.key, &paths.key).unwrap();
        std::fs::rename(&from.cert, &paths.cert).unwrap();
    };
    replace(&federation.node("wrong", 150_300, 2, days(20)));
    assert!(matches!(wuhai.reload(), Err(TlsError::OtherIdentity { .. })));
    assert_eq!(wuhai.expires(), before);
    let_in(&mut incoming, &alxa, &expected).await;

    replace(&federation.node("renewed", 150_300, 1, days(20)));
    wuhai.reload().unwrap();
    assert!(wuhai.expires() > before + time::Duration::days(9));
    let shown = shown_by(incoming.local_addr(), &alxa, &expected).await;
    assert_eq!(shown, std::fs::read(&paths.cert).map(|pem| der(&pem)).unwrap());
    drop(incoming.next().await);
    let_in(&mut incoming, &alxa, &expected).await;
}

fn der(pem: &[u8]) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

/// The certificate a listener shows.
async fn shown_by(address: SocketAddr, client: &Arc<TlsStore>, expected: &ExpectedNode) -> Vec<u8> {
    let config = client.client_config(expected).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(config).connect("node.invalid".try_into().unwrap(), tcp).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn limited(store: &Arc<TlsStore>, limits: ListenLimits) -> TlsIncoming {
    let address = "127.0.0.1:0".parse().unwrap();
    TlsIncoming::bind(address, Surface::Peer, Arc::clone(store), limits).await.unwrap()
}

#[tokio::test]
async fn a_silent_caller_is_hung_up_on() {
    let federation = Federation::new("wuhai");
    let wuhai = federation.store("wuhai", 150_300, 1);
    let limits = ListenLimits { handshake: Duration::from_millis(50), ..ListenLimits::default() };
    let incoming = limited(&wuhai, limits).await;
    let mut silent = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_caller_too_many_is_closed_at_once_and_places_come_back() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let mut incoming = limited(&wuhai, ListenLimits { connections: 1, ..ListenLimits::default() }).await;
    let expected = exactly(wuhai.identity());
    let config = alxa.client_config(&expected).unwrap();
    let tcp = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let first = TlsConnector::from(config).connect("node.invalid".try_into().unwrap(), tcp).await.unwrap();
    let held = incoming.next().await.unwrap().unwrap();
    shut_out(&incoming, &alxa, &expected).await;
    drop((first, held));
    let_in(&mut incoming, &alxa, &expected).await;
}

#[tokio::test]
async fn strangers_who_say_nothing_take_nobodys_place() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let mut incoming = limited(&wuhai, ListenLimits { connections: 1, ..ListenLimits::default() }).await;
    let silent = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let_in(&mut incoming, &alxa, &exactly(wuhai.identity())).await;
    drop(silent);
}

#[tokio::test]
async fn grpc_calls_carry_the_callers_identity() {
    let federation = Federation::new("wuhai");
    let wuhai = federation.store("wuhai", 150_300, 1);
    let operator = federation.operator(Role::Coordinator);
    let incoming = listen(&wuhai, Surface::Operator).await;
    let address = incoming.local_addr().to_string();
    let (seen, mut callers) = tokio::sync::mpsc::unbounded_channel();
    let (_, health) = tonic_health::server::health_reporter();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let guarded = tonic::service::InterceptorLayer::new(move |request: tonic::Request<()>| {
        seen.send(request.extensions().get::<PeerInfo>().cloned()).unwrap();
        Ok(request)
    });
    let server = tonic::transport::Server::builder().layer(guarded).add_service(health);
    let serving = tokio::spawn(server.serve_with_incoming_shutdown(incoming, async {
        stopped.await.unwrap();
    }));

    let target = Target { address: address.clone(), expected: exactly(wuhai.identity()) };
    for channel in [connect(&target, &operator).await.unwrap(), connect_lazy(&target, &operator).unwrap()] {
        let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
        client.check(tonic_health::pb::HealthCheckRequest { service: String::new() }).await.unwrap();
        assert_eq!(callers.recv().await.unwrap().unwrap().identity(), operator.identity());
    }

    let wrong = Target { expected: exactly(&federation.identity(150_300, 2)), address };
    let error = connect(&wrong, &operator).await.unwrap_err();
    assert!(matches!(error, TlsError::Connect { .. }) && error.to_string().contains("node/1 answered"), "{error}");
    let nowhere = Target { address: "localhost".into(), ..wrong };
    assert!(matches!(connect(&nowhere, &operator).await, Err(TlsError::Address { .. })));
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

/// A connection with somebody at each end who only waits.
async fn connected(
    incoming: &mut TlsIncoming,
    client: &Arc<TlsStore>,
    expected: &ExpectedNode,
) -> (tokio_rustls::client::TlsStream<TcpStream>, TlsConn) {
    let tcp = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let connector = TlsConnector::from(client.client_config(expected).unwrap());
    let client = connector.connect("node.invalid".try_into().unwrap(), tcp);
    let (client, server) = tokio::join!(client, incoming.next());
    (client.unwrap(), server.unwrap().unwrap())
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_and_stays_out_and_nobody_else_is() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let ordos = federation.store("ordos", 150_600, 1);
    let mut incoming = listen(&wuhai, Surface::Peer).await;
    let expected = exactly(wuhai.identity());
    let (_alxa_end, mut from_alxa) = connected(&mut incoming, &alxa, &expected).await;
    let (mut ordos_end, mut from_ordos) = connected(&mut incoming, &ordos, &expected).await;
    // Somebody who waits for a word from Alxa, as HTTP/2 always does.
    let reading = tokio::spawn(async move { from_alxa.read_u8().await });

    let serial = federation.ca.serial_of(&federation.dir.path().join("alxa/node.pem")).unwrap();
    federation.ca.revoke(&serial, "节点失窃").unwrap();
    wuhai.reload().unwrap();
    let ended = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap().unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionAborted);
    let why = shut_out(&incoming, &alxa, &expected).await;
    assert!(!why.is_empty());
    ordos_end.write_all(b"!").await.unwrap();
    ordos_end.flush().await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, from_ordos.read_u8()).await.unwrap().unwrap(), b'!');
    let_in(&mut incoming, &ordos, &expected).await;
    // Nor is it dialled any more, and it does not start again with that certificate.
    let theirs = listen(&alxa, Surface::Peer).await;
    let why = shut_out(&theirs, &wuhai, &exactly(alxa.identity())).await;
    assert!(why.contains("revoked"), "{why}");
    assert!(alxa.reload().unwrap_err().to_string().contains("was revoked by the CA"));

    // A list that forgets, or is none, is not taken; what was revoked stays revoked.
    let list = federation.ca.files().cert.with_file_name("revoked.pem");
    let kept = std::fs::read(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    assert!(matches!(wuhai.reload(), Err(TlsError::OlderList(_))));
    std::fs::write(&list, "nonsense").unwrap();
    assert!(matches!(wuhai.reload(), Err(TlsError::Content { .. })));
    shut_out(&incoming, &alxa, &expected).await;
    std::fs::write(&list, kept).unwrap();
    wuhai.reload().unwrap();
}

#[tokio::test]
async fn a_channel_to_a_node_that_is_revoked_ends() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let incoming = listen(&alxa, Surface::Peer).await;
    let target = Target { address: incoming.local_addr().to_string(), expected: exactly(alxa.identity()) };
    let (_, health) = tonic_health::server::health_reporter();
    let serving = tokio::spawn(tonic::transport::Server::builder().add_service(health).serve_with_incoming(incoming));
    let mut client = tonic_health::pb::health_client::HealthClient::new(connect(&target, &wuhai).await.unwrap());
    let question = || tonic_health::pb::HealthCheckRequest { service: String::new() };
    let mut watch = client.watch(question()).await.unwrap().into_inner();
    watch.message().await.unwrap();

    let serial = federation.ca.serial_of(&federation.dir.path().join("alxa/node.pem")).unwrap();
    federation.ca.revoke(&serial, "节点失窃").unwrap();
    wuhai.reload().unwrap();
    let ended = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap();
    assert!(ended.is_err(), "the stream goes on: {ended:?}");
    assert!(tokio::time::timeout(PATIENCE, client.check(question())).await.unwrap().is_err());
    serving.abort();
}

#[tokio::test]
async fn the_handshake_that_has_taken_longest_gives_way() {
    let federation = Federation::new("wuhai");
    let (wuhai, alxa) = (federation.store("wuhai", 150_300, 1), federation.store("alxa", 152_900, 1));
    let mut incoming = limited(&wuhai, ListenLimits { handshakes: 1, ..ListenLimits::default() }).await;
    let mut silent = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let_in(&mut incoming, &alxa, &exactly(wuhai.identity())).await;
    let ended = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "who came first and says nothing is hung up on");
}

#[tokio::test]
async fn a_caller_has_its_share_of_connections_and_must_say_something() {
    let federation = Federation::new("wuhai");
    let wuhai = federation.store("wuhai", 150_300, 1);
    let (alxa, ordos) = (federation.store("alxa", 152_900, 1), federation.store("ordos", 150_600, 1));
    let limits = ListenLimits { each: 1, first_word: Duration::from_millis(100), ..ListenLimits::default() };
    let mut incoming = limited(&wuhai, limits).await;
    let expected = exactly(wuhai.identity());
    let config = alxa.client_config(&expected).unwrap();
    let tcp = TcpStream::connect(incoming.local_addr()).await.unwrap();
    let silent = TlsConnector::from(config).connect("node.invalid".try_into().unwrap(), tcp).await.unwrap();
    let mut held = incoming.next().await.unwrap().unwrap();
    shut_out(&incoming, &alxa, &expected).await;
    let_in(&mut incoming, &ordos, &expected).await;
    let ended = tokio::time::timeout(PATIENCE, held.read_u8()).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop((held, silent));
    let_in(&mut incoming, &alxa, &expected).await;
}
