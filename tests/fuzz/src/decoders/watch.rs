//! Where a watch begins: the request as it comes over the wire, and a cursor over a real record that stands there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use shouwang_domain::actor::Role;
use shouwang_domain::command::Envelope;
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{CommandId, NodeId, StoreId};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_domain::testing::{actor, municipality};
use shouwang_domain::time::Timestamp;
use shouwang_driver::{
    Clock, ConnectError, Driver, DriverOptions, Ed25519Signer, Handle, HostSpec, Parts, PeerConnector, RecordOptions,
    Signer as _, SystemClock,
};
use shouwang_proto::v1::{WatchRegionRequest, WatchRegistryRequest};
use tokio::runtime::Runtime;

use super::Target;
use crate::mutate::{EDGES, Rng, mutated};

/// Records in the ledger that is watched.
const RECORDS: u64 = 40;
/// How long a record that is held may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, node: NodeId) -> Result<tonic::transport::Channel, ConnectError> {
        Err(ConnectError::new(format!("{node} is not there")))
    }
}

pub struct Cursors {
    registry: Handle<Registry>,
    samples: Vec<Vec<u8>>,
    // They end in this order.
    _driver: Driver,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Cursors {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the node");
        let runtime = Runtime::new().expect("a runtime");
        let (driver, registry) = runtime.block_on(node(folder.path()));
        let samples = (0..=RECORDS).flat_map(|from_revision| {
            let region = WatchRegionRequest { region: "wuhai".to_owned(), from_revision };
            [WatchRegistryRequest { from_revision }.encode_to_vec(), region.encode_to_vec()]
        });
        Self { registry, samples: samples.collect(), _driver: driver, runtime, _folder: folder }
    }
}

/// A node whose registry has a ledger.
async fn node(folder: &std::path::Path) -> (Driver, Handle<Registry>) {
    let owner = municipality(150_300);
    let node = NodeId::new(owner, 1).expect("node 1 of a municipality");
    let signer = Ed25519Signer::from_seed(&[7; 32]).expect("a seed of 32 bytes");
    let key = RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key: Bytes(signer.public_key()) };
    let genesis =
        RegistryGenesis {
            owner, name: "乌海市".to_owned(), short: "乌".to_owned(), incarnation: 1, nodes: vec![key]
        };
    let clock = Arc::new(SystemClock::default());
    let parts = Parts {
        signer: Arc::new(signer),
        clock: Arc::clone(&clock) as _,
        connector: Arc::new(Nobody),
        fatal: Arc::new(|error| panic!("the store failed: {error}")),
    };
    let mut options = DriverOptions::new(node, [7; 32], folder);
    options.reserve_bytes = 1 << 20;
    let driver = Driver::open(options, parts).await.expect("a node starts in an empty folder");
    let registry = driver.host(HostSpec::<Registry>::found(genesis, RecordOptions::default())).await;
    let registry = registry.expect("a registry is founded");
    let deadline = Instant::now() + Duration::from_mins(1);
    for number in 1..=u128::from(RECORDS) {
        let body = RegistryCommand::AddStore {
            store: StoreId::from_u128(number),
            name: format!("库 {number}"),
            district: String::new(),
        };
        let Timestamp(now) = clock.now();
        let id = CommandId(uuid::Uuid::from_u128(number));
        let valid_until = Timestamp(now + 60_000);
        let envelope = Envelope { id, actor: actor(owner, Role::Keeper, 1), valid_until, body };
        registry.propose(envelope, deadline).await.expect("a store is defined");
    }
    // What the node itself does behind its answers is no input's memory: opening its index takes several MiB.
    while !registry.indexed().is_whole(registry.revision()) {
        assert!(Instant::now() < deadline, "the ledger is indexed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (driver, registry)
}

impl Target for Cursors {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        if rng.chance(30) {
            let from_revision = EDGES[rng.index(EDGES.len())].wrapping_add(rng.below(3));
            return WatchRegistryRequest { from_revision }.encode_to_vec();
        }
        let sample = &self.samples[rng.index(self.samples.len())];
        mutated(rng, sample, &self.samples, &[])
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let registry = WatchRegistryRequest::decode(input).map(|request| request.from_revision);
        let region = WatchRegionRequest::decode(input).map(|request| request.from_revision);
        let from = registry.or(region).map_err(|error| error.to_string())?;
        let newest = self.registry.revision();
        let mut cursor = self.registry.watch(from);
        self.runtime.block_on(async {
            if from > newest {
                // Nothing can come yet: it must wait, neither failing nor giving something else.
                let soon = tokio::time::timeout(Duration::ZERO, cursor.next()).await;
                assert!(soon.is_err(), "something came from beyond the end, at {from}");
                return Ok(());
            }
            // Revisions count from 1: a cursor at 0 begins with the first.
            let mut next = from.max(1);
            while next <= newest {
                let change = tokio::time::timeout(PATIENCE, cursor.next()).await.expect("what is held comes soon");
                let change = change.map_err(|error| error.to_string())?;
                assert_eq!(change.record.revision, next, "every record once and in order");
                next += 1;
            }
            Ok(())
        })
    }
}
