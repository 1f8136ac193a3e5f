//! The running node: opens what it keeps, hosts its registry and its regions, listens, and stops in order.
//!
//! [`run`] is the whole of it; what it wires together lives elsewhere. What must never stand here: anything that decides.

pub mod check;
pub mod connector;
pub mod founding;
mod levels;
pub mod loss;
pub mod rescue;
mod signals;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shouwang_domain::charter::Charter;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{NodeId, RegionId};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::RegistryGenesis;
use shouwang_driver::{
    AuthenticatedPeer, Driver, DriverError, DriverOptions, Handle, HostSpec, KeyRing, Parts, PeerConnector,
    RecordOptions, SystemClock, Timing, TransportOptions,
};
use shouwang_store::StoreError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::api::{self, RegistryKept};
use crate::auth::line::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::auth::{ListenLimits, PeerInfo, Surface, TlsIncoming, TlsStore};
use crate::charter;
use crate::cli::charter::node_id;
use crate::config::{Config, RegionConfig, Sources};
use crate::countersign::Countersigner;
use crate::courier::Courier;
use crate::exit::{Exit, Failure};
use crate::gateway::{self, Readiness};
use crate::lang::Bilingual;
use crate::pki::SigningKey;
use connector::Connector;

/// Streams of one connection of a node: frames, and a transfer or two for each record.
const PEER_STREAMS: u32 = 16;
/// Streams of one connection of an operator: calls and watches.
const OPERATOR_STREAMS: u32 = 128;
/// Open files beside connections: logs, ledgers, checkpoints, the index.
const OWN_FILES: u64 = 512;
/// The largest question about health or the contract, bytes.
const QUESTION_BYTES_MAX: usize = 64 << 10;

/// A region and what runs for it.
struct Hosted {
    name: String,
    id: RegionId,
    handle: Handle<Region>,
}

/// Runs a node until it is told to stop. `sources` is where `config` came from: addresses of members that are admitted
/// later are looked up there again.
///
/// # Errors
/// [`Failure`]: a configuration, credentials or store that cannot be used, or an address that is taken.
pub async fn run(config: Config, sources: Sources) -> Result<(), Failure> {
    open_files(&config);
    let metrics = gateway::install_recorder().map_err(plain)?;
    let ready = Arc::new(AtomicBool::new(false));
    let (stop, stopping) = watch::channel(false);
    let (hang_up, hanging_up) = watch::channel(false);
    let (mut tasks, mut peers) = (JoinSet::new(), JoinSet::new());

    let identity = config.identity().map_err(plain)?;
    let tls = TlsStore::open(config.tls.clone(), Some(&identity))?;
    let node = node_id(&config)?;
    let connector = Arc::new(Connector::new(&config, sources, Arc::clone(&tls)));
    let charters = load_charters(&config)?;
    let keys = keys(&config)?;
    let founding = founding::founding(&config, node, &own_name(&config, node, &charters), &keys)?;
    let driver = open(&config, node, &connector, (keys, founding.used_before)).await?;
    let registry = host_registry(&driver, founding.genesis).await?;
    let regions = host_regions(&driver, &config, &connector, charters).await?;

    let readiness = readiness(&ready, registry.as_ref(), &regions);
    let gateway = gateway::serve(config.metrics_listen, readiness, metrics, stopped(stopping.clone()));
    tasks.spawn(async move { gateway.await.map_err(plain) });
    peers.spawn(listen_peers(&config, &driver, &tls, hanging_up).await?);
    let services = services(&config, node, registry.as_ref(), &regions, &stopping)?;
    tasks.spawn(listen_operators(&config, &tls, Arc::clone(&services), stopping.clone()).await?);
    ready.store(true, Ordering::SeqCst);
    info!(%identity, operators = %config.operator_listen, peers = %config.peer.listen, "the node is up / 节点已启动");

    let ended = tokio::select! {
        () = signals::stop(&tls) => Ok(()),
        Some(ended) = tasks.join_next() => ended.map_err(plain).and_then(|ended| ended),
        Some(ended) = peers.join_next() => ended.map_err(plain).and_then(|ended| ended),
    };
    info!("stopping: handing leadership over and draining / 正在停止：移交主节点并排空");
    ready.store(false, Ordering::SeqCst);
    // Whoever still listens stops taking calls; the couriers end.
    let _ = stop.send(true);
    services.end_streams();
    if tokio::time::timeout(config.limits.drain_timeout, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        warn!("connections were still open after the drain time and are cut");
    }
    tasks.shutdown().await;
    // Peers are heard until the lead is handed over: their streams never end by themselves.
    driver.stop(config.limits.drain_timeout).await;
    let _ = hang_up.send(true);
    peers.shutdown().await;
    ended
}

/// Takes as many open files as the system gives: every connection is one, and a store that cannot open its files stops the
/// node.
fn open_files(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%error, "the limit of open files could not be raised");
    }
    let have = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = config.limits.peer_connections + config.limits.operator_connections;
    let handshakes = 2 * ListenLimits::default().handshakes;
    let need = (connections + handshakes) as u64 + OWN_FILES;
    if have < need {
        warn!(
            have,
            need,
            "fewer open files are allowed than the limits of connections need; raise LimitNOFILE or lower limits.*_connections / 可打开文件数不足，请调高 LimitNOFILE 或调低连接数上限"
        );
    }
}

fn plain(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failure, "SERVE", Bilingual::new(error.to_string(), error.to_string()))
}

pub(crate) fn from_driver(error: &DriverError) -> Failure {
    let exit = match error {
        DriverError::Refused(_) => Exit::Refused,
        // What another version of the program wrote is whole: this one is the wrong one for it.
        DriverError::TooOld(_) => Exit::BadInput,
        DriverError::Store(error) if matches!(**error, StoreError::CheckpointForeign { .. }) => Exit::BadInput,
        DriverError::Store(_) | DriverError::Unfit { .. } => Exit::Damaged,
        _ => Exit::Failure,
    };
    let zh = match error {
        DriverError::Store(error) => error.zh(),
        DriverError::Refused(refusal) => format!("未作任何改动：{}", refusal.zh()),
        DriverError::TooOld(error) => error.zh(),
        other => format!("存储或记录无法打开：{other}"),
    };
    Failure::new(exit, error.code(), Bilingual::new(zh, error.to_string()))
}

/// What kept an operator's step on a node that stands from being taken.
fn unchanged(error: &DriverError, code: &'static str) -> Failure {
    match error {
        DriverError::Unfit { detail, .. } => {
            let text = Bilingual::new(format!("未作任何改动：{error}"), format!("nothing was changed: {detail}"));
            Failure::new(Exit::Refused, code, text)
        }
        other => from_driver(other),
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives as long as the node; its end is a stop too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

type Charters = Vec<(RegionConfig, Charter)>;

fn load_charters(config: &Config) -> Result<Charters, Failure> {
    let load = |region: &RegionConfig| Ok((region.clone(), charter::load_complete(&region.charter)?.charter));
    config.regions.iter().map(load).collect()
}

async fn open(
    config: &Config,
    node: NodeId,
    connector: &Arc<Connector>,
    (keys, used_before): (KeyRing, bool),
) -> Result<Driver, Failure> {
    let parts = parts(keys, Arc::clone(connector) as _);
    Driver::open(options(config, node, used_before), parts).await.map_err(|error| from_driver(&error))
}

fn options(config: &Config, node: NodeId, used_before: bool) -> DriverOptions {
    let cluster = cluster(&config.federation);
    let transport = TransportOptions { packs: config.timing.packs(), ..TransportOptions::default() };
    DriverOptions { used_before, transport, ..DriverOptions::new(node, cluster.0, config.data_dir.join("records")) }
}

/// By which the nodes of a federation know one another before they speak of any record.
pub fn cluster(federation: &str) -> Hash32 {
    Hash32::of(&[b"shouwang.cluster.v1\0", federation.as_bytes()])
}

fn parts(keys: KeyRing, connector: Arc<dyn PeerConnector>) -> Parts {
    Parts {
        signer: Arc::new(keys),
        clock: Arc::new(SystemClock::default()),
        connector,
        fatal: Arc::new(|error: &StoreError| {
            // A failed sync may have lost what was acknowledged: going on could lie. The supervisor starts us again.
            error!(%error, zh = error.zh(), "the store failed; the process ends / 存储写入失败，进程退出");
            std::process::exit(i32::from(Exit::Damaged.code()));
        }),
    }
}

/// Every signing key of this node: the first one, and those that were made to follow it.
fn keys(config: &Config) -> Result<KeyRing, Failure> {
    let later = SigningKey::files_beside(&config.signing_key)?;
    let signer = |file: &Path| SigningKey::load(file).map(SigningKey::into_signer);
    let later: Result<Vec<_>, _> = later.iter().map(|file| signer(file)).collect();
    Ok(KeyRing::new(signer(&config.signing_key)?, later?))
}

/// Who this node is, and what it signs with.
///
/// # Errors
/// A key that cannot be read.
pub(crate) fn identity(config: &Config) -> Result<(NodeId, KeyRing), Failure> {
    Ok((node_id(config)?, keys(config)?))
}

/// The regions of the configuration, with their names.
///
/// # Errors
/// A charter that cannot be read.
pub(crate) fn regions(config: &Config) -> Result<Vec<(RegionId, String)>, Failure> {
    let charters = load_charters(config)?;
    Ok(charters.into_iter().map(|(region, charter)| (charter::region_id(&charter), region.name)).collect())
}

/// The nodes that the charters of the configuration name.
///
/// # Errors
/// A charter that cannot be read.
pub(crate) fn chartered(config: &Config) -> Result<Vec<NodeId>, Failure> {
    let charters = load_charters(config)?;
    let members = charters.iter().flat_map(|(_, charter)| &charter.members);
    Ok(members.flat_map(|member| &member.nodes).map(|node| node.node).collect())
}

/// What a driver needs on storage that nobody has used yet, while the node does not run.
pub(crate) fn fresh_storage(config: &Config, node: NodeId, folder: &Path, keys: KeyRing) -> (DriverOptions, Parts) {
    let options = DriverOptions { data_dir: folder.to_owned(), ..options(config, node, false) };
    (options, parts(keys, Arc::new(loss::Nobody)))
}

/// The municipality's name as its charters write it; the short name until it is in one.
fn own_name(config: &Config, node: NodeId, charters: &Charters) -> String {
    let named = charters.iter().find_map(|(_, charter)| charter.member(node.municipality()));
    named.map_or_else(|| config.short.clone(), |member| member.name.clone())
}

fn record_options(config: &Config) -> RecordOptions {
    let level_max = config.hold_level.unwrap_or(u32::MAX);
    RecordOptions { timing: config.timing.into(), level_max, ..RecordOptions::default() }
}

async fn host_registry(driver: &Driver, genesis: Option<RegistryGenesis>) -> Result<Option<Handle<Registry>>, Failure> {
    let Some(genesis) = genesis else { return Ok(None) };
    driver.host(registry_spec(genesis)).await.map(Some).map_err(|error| from_driver(&error))
}

fn registry_spec(genesis: RegistryGenesis) -> HostSpec<Registry> {
    // One voter on one machine: nobody else's line decides how fast it may elect itself.
    let options = RecordOptions { timing: Timing::lan(), ..RecordOptions::default() };
    HostSpec::found(genesis, options)
}

async fn host_regions(
    driver: &Driver,
    config: &Config,
    connector: &Connector,
    charters: Charters,
) -> Result<Vec<Hosted>, Failure> {
    let mut hosted = Vec::new();
    for (region, charter) in charters {
        let id = charter::region_id(&charter);
        let spec =
            HostSpec::<Region> { contacts: connector.nodes(), ..HostSpec::found(charter, record_options(config)) };
        let handle = driver.host(spec).await.map_err(|error| from_driver(&error))?;
        hosted.push(Hosted { name: region.name, id, handle });
    }
    Ok(hosted)
}

fn readiness(ready: &Arc<AtomicBool>, registry: Option<&Handle<Registry>>, regions: &[Hosted]) -> Readiness {
    let (ready, registry) = (Arc::clone(ready), registry.cloned());
    let regions: Vec<_> = regions.iter().map(|region| (region.name.clone(), region.handle.clone())).collect();
    Arc::new(move || {
        if !ready.load(Ordering::SeqCst) {
            return Err("starting or stopping / 启动或停止中".to_owned());
        }
        if let Some(status) = registry.as_ref().map(Handle::status) {
            if let Some(why) = status.halted {
                return Err(format!("the registry is halted: {why}"));
            }
            if status.leader.is_none() {
                return Err("the registry is not open yet / 台账尚未就绪".to_owned());
            }
        }
        // A region out of touch does not make the node unready: local work goes on. A halted one does.
        regions.iter().try_for_each(|(name, region)| match region.status().halted {
            Some(why) => Err(format!("region {name} is halted: {why}")),
            None => Ok(()),
        })
    })
}

async fn listen_peers(
    config: &Config,
    driver: &Driver,
    tls: &Arc<TlsStore>,
    stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<(), Failure>> + Send + 'static, Failure> {
    let each = config.limits.peer_connections_each();
    let limits = ListenLimits { connections: config.limits.peer_connections, each, ..ListenLimits::default() };
    let incoming = TlsIncoming::bind(config.peer.listen, Surface::Peer, Arc::clone(tls), limits)
        .await
        .map_err(|error| address_taken("peer.listen", config.peer.listen, &error))?;
    let replication = driver.replication_service();
    let service = Routes::new(replication).into_axum_router().layer(axum::middleware::from_fn(name_peer));
    let server = keepalive(Server::builder()).max_concurrent_streams(PEER_STREAMS);
    let serving = server.serve_with_incoming_shutdown(Routes::from(service), incoming, stopped(stopping));
    Ok(async move { serving.await.map_err(plain) })
}

/// Tells the replication service who calls, by his certificate.
async fn name_peer(mut request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.identity().node_name());
    if let Some(node) = peer.as_ref().and_then(connector::node_id) {
        request.extensions_mut().insert(AuthenticatedPeer(node));
    }
    next.run(request).await
}

fn keepalive(server: Server) -> Server {
    server.http2_keepalive_interval(Some(KEEPALIVE_INTERVAL)).http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// Builds what operators may call, sets the couriers going where there is a registry to carry for, and lets each region hear
/// which program runs here and what its ledger is.
fn services(
    config: &Config,
    node: NodeId,
    registry: Option<&Handle<Registry>>,
    regions: &[Hosted],
    stopping: &watch::Receiver<bool>,
) -> Result<Arc<api::Node>, Failure> {
    let keeper = NodeId::new(node.municipality(), config.registry_node).map_err(plain)?;
    let kept = registry.cloned().map_or(RegistryKept::By(keeper), RegistryKept::Here);
    let api = api::Node::new(node, config.municipality, &config.federation, kept, config.limits.api);
    for region in regions {
        tokio::spawn(levels::announce(region.handle.clone(), region.name.clone(), stopping.clone()));
        let trouble = registry.cloned().map(|registry| -> api::CourierTrouble {
            let (courier, status) = Courier::new(registry, region.handle.clone(), region.id, region.name.clone(), node);
            tokio::spawn(courier.run(stopping.clone()));
            Arc::new(move || status.borrow().stopped.clone())
        });
        let countersigner = Countersigner::new(region.handle.clone(), region.name.clone());
        tokio::spawn(countersigner.run(stopping.clone()));
        let hosted = api::HostedRegion::new(region.handle.clone(), trouble);
        api.add_region(region.id, &hosted);
    }
    Ok(Arc::new(api))
}

async fn listen_operators(
    config: &Config,
    tls: &Arc<TlsStore>,
    node: Arc<api::Node>,
    stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<(), Failure>> + Send + 'static, Failure> {
    let each = config.limits.caller_connections;
    let limits = ListenLimits { connections: config.limits.operator_connections, each, ..ListenLimits::default() };
    let incoming = TlsIncoming::bind(config.operator_listen, Surface::Operator, Arc::clone(tls), limits)
        .await
        .map_err(|error| address_taken("operator.listen", config.operator_listen, &error))?;
    let (health, service) = tonic_health::server::health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(shouwang_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(plain)?;
    // Neither goes through the door of the API: what they take is small, and bounded by the connection's streams.
    let service = service.max_decoding_message_size(QUESTION_BYTES_MAX);
    let reflection = reflection.max_decoding_message_size(QUESTION_BYTES_MAX);
    let routes = api::router(node).add_service(service).add_service(reflection);
    let server = keepalive(Server::builder()).max_concurrent_streams(OPERATOR_STREAMS);
    let serving = server.serve_with_incoming_shutdown(routes, incoming, stopped(stopping));
    Ok(async move {
        let _health = health;
        serving.await.map_err(plain)
    })
}

fn address_taken(key: &str, address: std::net::SocketAddr, error: &std::io::Error) -> Failure {
    let text = Bilingual::new(
        format!("{key} = {address} 无法监听：{error}；请换用其他地址或停止占用者"),
        format!("{key} = {address}: {error}; choose another address or stop who holds it"),
    );
    Failure::new(Exit::Failure, "LISTEN", text)
}
