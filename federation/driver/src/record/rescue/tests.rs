//! The power goes behind every step of a rescue and of setting an epoch aside; the same command goes on from there.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::actor::Role as Post;
use shouwang_domain::charter::{CharterChange, Rules};
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::CommandId;
use shouwang_domain::record::Record;
use shouwang_domain::testing::{actor, charter, municipality};
use shouwang_domain::time::Timestamp;
use shouwang_store::{PowerLoss, SimDisk};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::*;
use crate::{
    ConnectError, Driver, DriverOptions, Ed25519Signer, Handle, ManualClock, Parts, PeerConnector, RecordOptions,
    Signer as _, Storage, Timing,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LOSSES: [PowerLoss; 3] = [PowerLoss::All, PowerLoss::AfterPrefix, PowerLoss::TornEnd];

struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, _: NodeId) -> Result<Channel, ConnectError> {
        Err(ConnectError::new("nobody is left"))
    }
}

fn me() -> NodeId {
    NodeId::new(municipality(150_300), 1).unwrap()
}

fn key() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[7; 32]).unwrap()
}

/// A region of two in which this node alone votes, so that it decides by itself.
fn spec() -> HostSpec<Region> {
    let mut charter = charter("r", &[150_300, 152_900].map(municipality), None);
    charter.members[0].nodes[0].public_key = Bytes(key().public_key());
    charter.members[1].nodes[0].voter = false;
    let timing = Timing { tick_ms: 20, heartbeat_ticks: 2, election_ticks: 12 };
    HostSpec::found(charter, RecordOptions { timing, ..RecordOptions::default() })
}

/// A node's disk, on which it can be started.
struct Machine {
    disk: SimDisk,
    dir: TempDir,
}

impl Machine {
    fn parts(&self) -> (DriverOptions, Parts, Storage) {
        let mut options = DriverOptions::new(me(), [7; 32], self.dir.path());
        options.reserve_bytes = 1 << 20;
        let parts = Parts {
            signer: Arc::new(key()),
            clock: Arc::new(ManualClock::at(NOW)),
            connector: Arc::new(Nobody),
            fatal: Arc::new(|error| eprintln!("the process would stop here: {error}")),
        };
        (options, parts, Storage::simulated(&self.disk))
    }

    async fn does<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Environment) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (options, parts, storage) = self.parts();
        Driver::while_it_stands(options, parts, storage, work).await
    }

    async fn runs(&self) -> (Driver, Handle<Region>) {
        let (options, parts, storage) = self.parts();
        let driver = Driver::open_on(options, parts, storage).await.unwrap();
        let region = driver.host(spec()).await.unwrap();
        (driver, region)
    }

    async fn stands(&self) -> SignedStanding {
        self.does(|env| stand(env, &spec())).await.unwrap()
    }

    /// The machine as it is found when the power has gone behind a step.
    fn without_power(&self, step: usize) -> Self {
        let (disk, dir) = (self.disk.as_of(step, step as u64), tempfile::tempdir().unwrap());
        disk.lose_power(LOSSES[step % LOSSES.len()]);
        disk.move_names(self.dir.path(), dir.path());
        println!("behind step {step} ({})", self.disk.step(step));
        Self { disk, dir }
    }
}

/// A machine on which some things were decided, that stands.
async fn wreck() -> Machine {
    let machine = Machine { disk: SimDisk::new(1), dir: tempfile::tempdir().unwrap() };
    let (driver, region) = machine.runs().await;
    for id in 1..=3 {
        proposes(&region, id).await;
    }
    // Killed: what it has decided lies in its log, not all of it in its ledger.
    driver.abort().await;
    machine
}

async fn proposes(region: &Handle<Region>, id: u128) {
    let body = RegionCommand::ProposeChange { base_version: 1, change: CharterChange::Rules(Rules::default()) };
    let by = actor(municipality(150_300), Post::Leader, 1);
    let envelope = Envelope { id: CommandId::from_u128(id), actor: by, valid_until: NOW.plus_ms(60_000), body };
    let outcome = region.propose(envelope, Instant::now() + Duration::from_secs(20)).await.unwrap();
    assert!(outcome.revision > 0, "{outcome:?}");
}

fn order(word: &SignedStanding) -> Rescue {
    Rescue { standings: vec![word.clone()], lost: Vec::new(), reason: "洪水".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_may_go_behind_every_step_of_a_rescue() {
    let machine = wreck().await;
    let word = machine.stands().await;
    assert_eq!(word, machine.stands().await, "a word given again is the same");
    let (driver, region) = machine.runs().await;
    let why = region.status().halted.unwrap();
    assert!(why.contains("RESCUE_PENDING"), "{why}");
    driver.abort().await;
    machine.disk.record();
    let began = order(&word);
    assert_eq!(machine.does(move |env| rescue(env, &spec(), began)).await.unwrap(), (1, word.standing.revision + 1));
    let steps = machine.disk.steps();
    for step in 0..=steps {
        let machine = machine.without_power(step);
        let began = order(&word);
        let done = machine.does(move |env| rescue(env, &spec(), began)).await;
        // It may have been done already, and then it is not done twice.
        assert!(matches!(done, Ok((1, _)) | Err(DriverError::Unfit { .. })), "{done:?}");
        let (driver, region) = machine.runs().await;
        proposes(&region, 9).await;
        let view = region.view().unwrap();
        assert_eq!((view.record.epoch(), view.record.revision()), (1, word.standing.revision + 2));
        let mut ledger = region.watch(1);
        let mut again = Record::<Region>::found(spec().genesis.as_ref().unwrap()).unwrap();
        for _ in 1..=view.record.revision() {
            again.replay(&ledger.next().await.unwrap().bytes).unwrap();
        }
        assert_eq!(again.digest(), view.record.digest());
        driver.abort().await;
    }
    println!("rescue: steps={steps}");
    assert!(steps > 8, "{steps} steps");
    for words in ["staged", "/checkpoints", "/ledger/"] {
        assert!((1..=steps).any(|step| machine.disk.step(step).contains(words)), "no step has {words} in it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_may_go_behind_every_step_of_setting_an_epoch_aside() {
    let machine = wreck().await;
    let early = machine.does(|env| set_aside(env, &spec())).await;
    assert!(matches!(early, Err(DriverError::Unfit { .. })), "no word was given: {early:?}");
    let standing = machine.stands().await.standing;
    machine.disk.record();
    machine.does(|env| set_aside(env, &spec())).await.unwrap();
    let steps = machine.disk.steps();
    for step in 0..=steps {
        let machine = machine.without_power(step);
        let aside = machine.does(|env| set_aside(env, &spec())).await.unwrap();
        whole(&machine.disk, &aside, &standing);
        // It has nothing, and founds nothing: it waits for those of the next epoch.
        let (driver, region) = machine.runs().await;
        assert!(region.view().is_err());
        assert_eq!(region.status().halted, None);
        driver.abort().await;
    }
    println!("set aside: steps={steps}");
    assert!(steps > 8, "{steps} steps");
}

/// What was set aside is everything that the word says.
fn whole(disk: &SimDisk, aside: &Path, standing: &Standing) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let copy = crate::RecordCopy::open(&disk, aside, standing.record, standing.revision).unwrap();
    let mut record = Record::<Region>::found(spec().genesis.as_ref().unwrap()).unwrap();
    let replayed = copy.read(standing.revision, |_, bytes| {
        record.replay(bytes).unwrap();
        Ok::<(), DriverError>(())
    });
    replayed.unwrap();
    assert_eq!((record.revision(), record.ledger_root()), (standing.revision, standing.root));
    let names = disk.list(&aside.join("ledger")).unwrap();
    assert!(names.iter().all(|name| name.ends_with(".sealed")), "{names:?} are not all sealed");
}
