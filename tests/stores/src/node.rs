//! One node's records on a disk: its registry, and a region in which it alone votes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shouwang_domain::charter::Charter;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{MunicipalityCode, NodeId, RegionId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::RegistryGenesis;
use shouwang_domain::testing::{self, municipality};
use shouwang_domain::time::Timestamp;
use shouwang_driver::{
    AcceptedLoss, Clock, ConnectError, DiskCheck, DiskReport, Driver, DriverError, DriverOptions, Ed25519Signer,
    Handle, HostSpec, ManualClock, NewLife, Parts, PeerConnector, RecordOptions, Signer, Storage, Timing,
};
use shouwang_store::StoreError;
use shouwang_store::log::EngineLogOptions;
use shouwang_store::reserve::DiskSpace;
use tonic::transport::Channel;

use crate::Result;

/// When the story begins.
pub const START: Timestamp = Timestamp(1_772_380_000_000);
/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The moment after which a test gives up.
pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// 乌海, whose node this is.
pub fn wuhai() -> MunicipalityCode {
    municipality(150_300)
}

/// 阿拉善, a member whose node is never up.
pub fn alxa() -> MunicipalityCode {
    municipality(152_900)
}

/// The first node of a municipality.
pub fn node_of(code: MunicipalityCode) -> NodeId {
    NodeId::new(code, 1).expect("node 1 of a valid code")
}

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32]).expect("32 bytes are a seed")
}

/// The registry's founding document.
pub fn registry_genesis() -> RegistryGenesis {
    let mut genesis = testing::founding(wuhai(), "乌");
    genesis.nodes[0].public_key = Bytes(signer(3).public_key());
    genesis
}

/// The region's charter: 乌海 votes, 阿拉善 learns.
pub fn charter() -> Charter {
    let mut charter = testing::charter("乌海应急联动区域", &[wuhai(), alxa()], None);
    for (member, (seed, voter)) in charter.members.iter_mut().zip([(3, true), (4, false)]) {
        (member.nodes[0].public_key, member.nodes[0].voter) = (Bytes(signer(seed).public_key()), voter);
    }
    charter
}

/// How large everything is: small, so that a short script rotates, seals, compacts and rewrites.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// The log.
    pub log: EngineLogOptions,
    /// The records.
    pub record: RecordOptions,
    /// The room kept back.
    pub reserve_bytes: u64,
    /// When the disk is low and when it is full.
    pub space: DiskSpace,
}

impl Default for Sizes {
    fn default() -> Self {
        let log = EngineLogOptions {
            file_bytes: 4 << 10,
            purge_bytes: 8 << 10,
            marker_sync_every: 5,
            ..EngineLogOptions::default()
        };
        let record = RecordOptions {
            timing: Timing { tick_ms: 20, heartbeat_ticks: 2, election_ticks: 12 },
            checkpoint_records: 1_000_000,
            log_slack: 3,
            segment_bytes: 6 << 10,
            scrub_after: Duration::ZERO,
            tail_records: 8,
            ..RecordOptions::default()
        };
        let space = DiskSpace { low_bytes: 2, full_bytes: 1 };
        Self { log, record, reserve_bytes: 64 << 10, space }
    }
}

struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, node: NodeId) -> Result<Channel, ConnectError> {
        Err(ConnectError::new(format!("{node} is never up")))
    }
}

/// A running node.
pub struct Node {
    driver: Driver,
    /// Its registry.
    pub registry: Handle<Registry>,
    /// Its region.
    pub region: Handle<Region>,
    clock: Arc<ManualClock>,
    fatal: Arc<AtomicBool>,
}

fn parts(clock: Arc<ManualClock>, fatal: Arc<AtomicBool>) -> Parts {
    Parts {
        signer: Arc::new(signer(3)),
        clock,
        connector: Arc::new(Nobody),
        fatal: Arc::new(move |_: &StoreError| fatal.store(true, Ordering::SeqCst)),
    }
}

fn options(dir: &Path, sizes: &Sizes) -> DriverOptions {
    DriverOptions {
        log: sizes.log.clone(),
        reserve_bytes: sizes.reserve_bytes,
        space: sizes.space,
        ..DriverOptions::new(node_of(wuhai()), [9; 32], dir)
    }
}

impl Node {
    /// Starts on what lies in `dir`.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn open(dir: &Path, storage: Storage, sizes: &Sizes) -> Result<Self, DriverError> {
        Self::open_founded(dir, storage, sizes, (registry_genesis(), charter())).await
    }

    /// The same with records that were founded otherwise.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn open_founded(
        dir: &Path,
        storage: Storage,
        sizes: &Sizes,
        (registry, region): (RegistryGenesis, Charter),
    ) -> Result<Self, DriverError> {
        let (clock, fatal) = (Arc::new(ManualClock::at(START)), Arc::default());
        let driver =
            Driver::open_on(options(dir, sizes), parts(Arc::clone(&clock), Arc::clone(&fatal)), storage).await?;
        let registry = driver.host(HostSpec::<Registry>::found(registry, sizes.record)).await?;
        let region = driver.host(HostSpec::<Region>::found(region, sizes.record)).await?;
        Ok(Self { driver, registry, region, clock, fatal })
    }

    /// Reads everything in `dir` while no node runs there.
    ///
    /// # Errors
    /// What the driver says.
    pub fn check(dir: &Path, sizes: &Sizes) -> Result<DiskReport, DriverError> {
        let Some(mut disk) = DiskCheck::open(&options(dir, sizes))? else { return Ok(DiskReport::default()) };
        disk.record(&HostSpec::<Registry>::found(registry_genesis(), sizes.record), &|_| ())?;
        disk.record(&HostSpec::<Region>::found(charter(), sizes.record), &|_| ())?;
        Ok(disk.finish(&|_| ()))
    }

    /// Takes the place of a node in `dir`, to read there.
    ///
    /// # Errors
    /// What the driver says.
    pub fn hold(dir: &Path, sizes: &Sizes) -> Result<Option<DiskCheck>, DriverError> {
        DiskCheck::open(&options(dir, sizes))
    }

    /// Lets the registry in `dir` go on after a loss.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn accept_loss(dir: &Path, sizes: &Sizes) -> Result<AcceptedLoss, DriverError> {
        let spec = HostSpec::<Registry>::found(registry_genesis(), sizes.record);
        let parts = parts(Arc::new(ManualClock::at(START)), Arc::default());
        let region = Record::<Region>::id_of(&charter());
        let life =
            NewLife { regions: vec![(region, charter().name)], left: Vec::new(), reason: "日志受损".to_owned() };
        Driver::accept_loss(options(dir, sizes), parts, spec, life).await
    }

    /// The region's name.
    pub fn region_id(&self) -> RegionId {
        self.region.id()
    }

    /// Sets the clock, which never goes back.
    pub fn at(&self, time: Timestamp) {
        self.clock.advance_ms((time.0 - self.clock.now().0).max(0));
    }

    /// Whether the disk could not be trusted any more.
    pub fn is_broken(&self) -> bool {
        self.fatal.load(Ordering::SeqCst)
    }

    /// Stops in order.
    pub async fn stop(self) {
        self.driver.stop(PATIENCE).await;
    }

    /// Stops as if killed.
    pub async fn abort(self) {
        self.driver.abort().await;
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// It never is.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = soon();
        while !done(self) {
            if Instant::now() > deadline {
                return Err(format!("never: {what}; {:?} {:?}", self.registry.status(), self.region.status()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}
