//! Some nodes in one process, on loopback, each with a disk of its own that outlives it.

pub mod counter;
pub mod gate;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shouwang_domain::actor::{Actor, Role as Post};
use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Outcome;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{
    AuthenticatedPeer, ConnectError, Driver, DriverError, DriverOptions, Ed25519Signer, Handle, HostSpec, ManualClock,
    Packs, Parts, PeerConnector, RecordOptions, Role, Signer, Storage, Timing,
};
use shouwang_store::{SimDisk, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint, Server};

use self::gate::Gate;

use counter::{Ask, Counter, Genesis, Member};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub fn node_id(n: u32) -> NodeId {
    NodeId::new(MunicipalityCode::new(150_000 + 100 * n).unwrap(), 1).unwrap()
}

pub fn signer(n: u32) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(n).unwrap(); 32]).unwrap()
}

/// Who listens where for whom: a caller is known by the port it calls.
#[derive(Default)]
pub struct Network {
    ports: Mutex<HashMap<(NodeId, NodeId), SocketAddr>>,
    cut: Mutex<Vec<NodeId>>,
}

impl Network {
    /// From now on `caller` finds `callee` here.
    pub fn reach(&self, callee: u32, caller: u32, at: SocketAddr) {
        self.ports.lock().unwrap().insert((node_id(callee), node_id(caller)), at);
    }
}

struct Connector {
    me: NodeId,
    network: Arc<Network>,
}

#[tonic::async_trait]
impl PeerConnector for Connector {
    async fn connect(&self, node: NodeId) -> Result<Channel, ConnectError> {
        let cut = self.network.cut.lock().unwrap().clone();
        if cut.contains(&node) || cut.contains(&self.me) {
            return Err(ConnectError::new("cut"));
        }
        let address = self.network.ports.lock().unwrap().get(&(node, self.me)).copied();
        let address = address.ok_or_else(|| ConnectError { why: format!("{node} is down"), refused: true })?;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
        endpoint.connect().await.map_err(|error| ConnectError::of(&error))
    }
}

pub struct Node {
    pub n: u32,
    pub driver: Driver,
    pub counter: Handle<Counter>,
    servers: Vec<JoinHandle<()>>,
}

pub struct Cluster {
    // Before the disks: they end first.
    pub nodes: BTreeMap<u32, Node>,
    pub dirs: BTreeMap<u32, tempfile::TempDir>,
    /// Nodes that keep their records on a simulated disk.
    pub disks: BTreeMap<u32, SimDisk>,
    /// Nodes whose log hangs while a gate is closed.
    pub gates: BTreeMap<u32, Gate>,
    pub network: Arc<Network>,
    pub clock: Arc<ManualClock>,
    pub genesis: Genesis,
    pub options: RecordOptions,
    /// Nodes whose program goes along with no more than a level.
    pub held: BTreeMap<u32, u32>,
    /// Which frames are compressed, by nodes that are opened from now on.
    pub packs: Packs,
    next_id: u128,
}

pub fn fast() -> RecordOptions {
    RecordOptions {
        timing: Timing { tick_ms: 20, heartbeat_ticks: 2, election_ticks: 12 },
        checkpoint_records: 1_000_000,
        log_slack: 10,
        ..RecordOptions::default()
    }
}

pub fn genesis(voters: &[u32]) -> Genesis {
    let member = |n: &u32| (node_id(*n), Member { key: Bytes(signer(*n).public_key()), voter: true });
    Genesis { name: "test".to_owned(), members: voters.iter().map(member).collect() }
}

impl Cluster {
    /// Founds a record on these nodes.
    pub async fn start(voters: &[u32], options: RecordOptions) -> Self {
        let mut cluster = Self {
            dirs: BTreeMap::new(),
            disks: BTreeMap::new(),
            gates: BTreeMap::new(),
            network: Arc::default(),
            clock: Arc::new(ManualClock::at(Timestamp(1_700_000_000_000))),
            genesis: genesis(voters),
            options,
            held: BTreeMap::new(),
            packs: Packs::ALL,
            nodes: BTreeMap::new(),
            next_id: 0,
        };
        for n in voters {
            cluster.up(*n).await;
        }
        cluster
    }

    /// Starts a node, on its old disk if it has one.
    pub async fn up(&mut self, n: u32) {
        let driver = self.open(n).await;
        let spec = HostSpec::<Counter>::found(self.genesis.clone(), self.options_of(n));
        let counter = driver.host(spec).await.unwrap();
        self.run(n, driver, counter).await;
    }

    /// Starts a node that was admitted later.
    pub async fn join(&mut self, n: u32, contact: u32) {
        let driver = self.open(n).await;
        let id = self.any().counter.id();
        let spec = HostSpec::<Counter>::join(id, vec![node_id(contact)], self.options_of(n));
        let counter = driver.host(spec).await.unwrap();
        self.run(n, driver, counter).await;
    }

    pub fn options_of(&self, n: u32) -> RecordOptions {
        let level_max = self.held.get(&n).copied().unwrap_or(u32::MAX);
        RecordOptions { level_max, ..self.options }
    }

    pub async fn open(&mut self, n: u32) -> Driver {
        let dir = self.dirs.entry(n).or_insert_with(|| tempfile::tempdir().unwrap());
        let mut options = DriverOptions::new(node_id(n), [7; 32], dir.path());
        options.reserve_bytes = 1 << 20;
        options.transport.packs = self.packs;
        options.transport.backoff_min = Duration::from_millis(20);
        options.transport.backoff_max = Duration::from_millis(100);
        // Nothing may come right only because it was given up at last.
        options.transport.stall_timeout = 3 * PATIENCE;
        let deadline = soon();
        loop {
            let parts = Parts {
                signer: Arc::new(signer(n)),
                clock: self.clock.clone(),
                connector: Arc::new(Connector { me: node_id(n), network: self.network.clone() }),
                fatal: Arc::new(|error| eprintln!("the process would stop here: {error}")),
            };
            let storage = match (self.disks.get(&n), self.gates.get(&n)) {
                (Some(disk), _) => Storage::simulated(disk),
                (None, Some(gate)) => gate.storage(),
                (None, None) => Storage::real(),
            };
            match Driver::open_on(options.clone(), parts, storage).await {
                // A process that was killed holds no lock; here whoever still serves a peer does, for a moment.
                Err(DriverError::Store(error))
                    if matches!(*error, StoreError::Locked { .. }) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                opened => return opened.unwrap(),
            }
        }
    }

    async fn run(&mut self, n: u32, driver: Driver, counter: Handle<Counter>) {
        let mut servers = Vec::new();
        for caller in (1..=7).filter(|caller| *caller != n) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let service = driver.replication_service();
            let known = move |mut request: tonic::Request<()>| {
                request.extensions_mut().insert(AuthenticatedPeer(node_id(caller)));
                Ok(request)
            };
            let service = tower::ServiceBuilder::new()
                .layer(tonic::service::interceptor::InterceptorLayer::new(known))
                .service(service);
            let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
            servers.push(tokio::spawn(async move {
                Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
            }));
            self.network.reach(n, caller, address);
        }
        self.nodes.insert(n, Node { n, driver, counter, servers });
    }

    fn disconnect(&mut self, n: u32) -> Driver {
        let node = self.nodes.remove(&n).unwrap();
        self.network.ports.lock().unwrap().retain(|(callee, _), _| *callee != node_id(n));
        node.servers.iter().for_each(JoinHandle::abort);
        drop(node.counter);
        node.driver
    }

    /// Kills a node: what it has not written is lost.
    pub async fn kill(&mut self, n: u32) {
        self.disconnect(n).abort().await;
    }

    /// Stops a node in order.
    pub async fn stop(&mut self, n: u32) {
        self.disconnect(n).stop(PATIENCE).await;
    }

    pub fn counter(&self, n: u32) -> &Handle<Counter> {
        &self.nodes[&n].counter
    }

    pub fn any(&self) -> &Node {
        self.nodes.values().next().unwrap()
    }

    /// Waits until one node leads and the others know it.
    pub async fn leader(&self) -> u32 {
        self.until("a leader that all know", |cluster| {
            let leads = |node: &&Node| node.counter.status().role == Role::Leader;
            let leader = cluster.nodes.values().find(leads)?;
            let known = cluster.nodes.values().all(|node| node.counter.status().leader == Some(node_id(leader.n)));
            known.then_some(leader.n)
        })
        .await
    }

    pub async fn follower(&self) -> u32 {
        let leader = self.leader().await;
        *self.nodes.keys().find(|n| **n != leader).unwrap()
    }

    pub async fn until<T>(&self, what: &str, done: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = soon();
        loop {
            if let Some(found) = done(self) {
                return found;
            }
            if Instant::now() > deadline {
                let states: Vec<_> = self.nodes.values().map(|node| node.counter.status()).collect();
                panic!("never: {what}; {states:#?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn envelope(&mut self, n: u32, body: Ask) -> Envelope<Ask> {
        self.next_id += 1;
        envelope::<Counter>(n, self.next_id, body)
    }

    pub async fn ask(&mut self, n: u32, body: Ask) -> Result<Outcome, DriverError> {
        let envelope = self.envelope(n, body);
        self.counter(n).propose(envelope, soon()).await
    }

    /// Asks through `n` and insists.
    pub async fn add(&mut self, n: u32, amount: u64) -> (CommandId, Outcome) {
        let envelope = self.envelope(n, Ask::Add(amount));
        let id = envelope.id;
        (id, self.counter(n).propose(envelope, soon()).await.unwrap())
    }

    /// Waits until all nodes have the same revision and state as `n`.
    pub async fn settle(&self, n: u32) {
        let revision = self.counter(n).revision();
        self.until("all nodes are as far", |cluster| {
            cluster.nodes.values().all(|node| node.counter.revision() >= revision).then_some(())
        })
        .await;
        let mut digests = BTreeMap::new();
        for node in self.nodes.values() {
            let (revision, digest) = node.counter.state_digest().await.unwrap();
            assert_eq!(*digests.entry(revision).or_insert(digest), digest, "node {} at {revision}", node.n);
        }
    }
}

pub fn envelope<M: Machine>(n: u32, id: u128, body: M::Command) -> Envelope<M::Command> {
    Envelope {
        id: CommandId::from_u128(id),
        actor: Actor { municipality: node_id(n).municipality(), operator: "keeper-1".to_owned(), role: Post::Keeper },
        valid_until: Timestamp(1_700_000_000_000 + 3_600_000),
        body,
    }
}
