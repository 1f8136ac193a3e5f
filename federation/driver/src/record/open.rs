//! From what the disk gives back to a running record.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::record::Record;
use shouwang_replica::{Config, Replica, Restored};
use shouwang_store::checkpoint::CheckpointStore;
use shouwang_store::ledger::Ledger;
use shouwang_store::log::LogStore;
use shouwang_store::{Disk, Findings};
use tokio::sync::{Notify, Semaphore, watch};

use super::apply::ApplyLoop;
use super::damaged::{Remains, at_rest, remains};
use super::found::{Dirs, Found, find, is_damage, slot_of};
use super::keeper::KeeperLoop;
use super::proposer::Proposer;
use super::raft::RaftLoop;
use super::rescue::first_epoch;
use super::scrub::Scrub;
use super::{
    AppliedNote, ConfBoard, Core, FAR_BEHIND, Queue, Reached, RecordPort, RollCall, Seat, Shared, Transfers, Vitals,
    Waiters, join_all, spawn, spawn_behind, turn,
};
use crate::Result;
use crate::as_of;
use crate::clock::Clock;
use crate::error::DriverError;
use crate::index::{self, Desk, Indexer};
use crate::keys::{CachedVerifier, Ed25519Verifier, Signer};
use crate::log_writer::LogWriter;
use crate::mailbox::Mailbox;
use crate::metrics::RecordMetrics;
use crate::options::HostSpec;
use crate::tail::Tail;
use crate::transport::{HistoryDir, Transport};

/// What a record finds of itself on its node: enough to see where it stands.
#[derive(Clone)]
pub(crate) struct Ground {
    pub node: NodeId,
    pub data_dir: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub store: Arc<dyn LogStore>,
    pub findings: Findings,
}

/// What a record finds on its node: the ground it stands on, and who works for it.
#[derive(Clone)]
pub(crate) struct Environment {
    pub ground: Ground,
    pub writer: Arc<LogWriter>,
    pub index: Arc<index::Home>,
    pub transport: Arc<Transport>,
    pub signer: Arc<dyn Signer>,
    pub clock: Arc<dyn Clock>,
}

impl Deref for Environment {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

/// The threads of a record.
pub(crate) struct Running {
    pub port: Arc<dyn RecordPort>,
    raft: Mutex<Vec<JoinHandle<()>>>,
    apply: Mutex<Vec<JoinHandle<()>>>,
    keeper: Mutex<Vec<JoinHandle<()>>>,
    index: Mutex<Vec<JoinHandle<()>>>,
}

/// How long a stop waits for the index: it holds nothing that would be missed.
const INDEX_PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const INDEX_LOOK: Duration = Duration::from_millis(5);

impl Running {
    /// Lets no thread do anything more.
    pub fn halt_threads(&self) {
        let core = self.port.core();
        core.inbox.abort();
        core.apply.abort();
        core.keeper.abort();
        core.scrub.abort();
        core.index.bell.abort();
    }

    fn join_index(&self) {
        let threads = std::mem::take(&mut *self.index.lock().unwrap_or_else(PoisonError::into_inner));
        let until = Instant::now() + INDEX_PATIENCE;
        while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(INDEX_LOOK);
        }
        let (ended, stuck): (Vec<_>, Vec<_>) = threads.into_iter().partition(JoinHandle::is_finished);
        join_all(ended);
        if !stuck.is_empty() {
            tracing::warn!(record = %self.port.core().label, "the index is still at work and is left behind");
        }
    }

    /// Ends the threads one after the other, each after it has done what waits; or at once if `abort`. Blocks.
    pub fn stop(&self, abort: bool) {
        let core = self.port.core();
        core.draining.store(true, Relaxed);
        if abort {
            self.halt_threads();
        }
        let join = |threads: &Mutex<Vec<JoinHandle<()>>>| {
            // Taken in one piece: whole after any panic.
            join_all(std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner)));
        };
        core.inbox.close();
        join(&self.raft);
        core.apply.close();
        join(&self.apply);
        core.scrub.close();
        core.keeper.close();
        join(&self.keeper);
        core.index.bell.close();
        self.join_index();
        core.waiters.fail_all(&DriverError::Stopped);
        core.ended.notify_one();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody would ever end them.
        self.halt_threads();
    }
}

/// Starts a record. Blocks.
pub(crate) fn start<M: Machine>(env: &Environment, spec: &HostSpec<M>) -> Result<(Arc<Shared<M>>, Running)> {
    let dirs = Dirs::new(env, spec.id);
    let (checkpoints, staged) = dirs.stores(env)?;
    let checkpoints = checkpoints.with_milestones(spec.options.milestone_records);
    let founded = spec.founded()?;
    let opened = opened(env, spec, &dirs, founded.as_ref(), (&checkpoints, &staged));
    let Opened { replica, record, at, ledger, first_epoch } = match opened {
        Err(error) if is_damage(&error) || error.written_by_another().is_some() => {
            let remains = remains(env, spec, &dirs, founded.as_ref(), &checkpoints, &error)?;
            return Ok(show((env, spec, founded), remains, (checkpoints, staged)));
        }
        other => other?,
    };
    let status = replica.status();
    let group = record.as_ref().map(|record| record.machine().group());
    let contacts = founded.iter().flat_map(|record| record.machine().group()).map(|member| member.node);
    let contacts = contacts.chain(spec.contacts.iter().copied());
    let (conf_index, conf_state) = (status.conf_index, status.conf_state.clone());
    let vitals = Vitals { status, heard_at: Instant::now() };
    let core = core(env, spec, vitals, group.unwrap_or_default(), contacts);
    core.conf.set(conf_index, conf_state);
    // A node without a state takes it from nobody who is still in an epoch that it has ended.
    core.epoch.store(first_epoch, Relaxed);
    core.state_bytes.store(checkpoints.held()?.first().map_or(0, |newest| newest.plain), Relaxed);
    let shared = shared((env, spec, founded), core, record.as_ref(), &ledger, (checkpoints, staged));
    let running = run(env, &shared, replica, ledger, (record, at), dirs)?;
    Ok((shared, running))
}

/// A record that can run.
pub(super) struct Opened<M: Machine> {
    pub replica: Replica,
    pub record: Option<Record<M>>,
    at: AppliedNote,
    pub ledger: Ledger,
    first_epoch: u32,
}

/// Where a record stands, and what Raft made of its log: that takes no log that contradicts itself, which is damage too.
/// So is an epoch that this node has ended for itself.
pub(super) fn opened<M: Machine>(
    env: &Ground,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    founded: Option<&Record<M>>,
    stores: (&CheckpointStore, &CheckpointStore),
) -> Result<Opened<M>> {
    let (Found { record, at, restored }, ledger) = find(env, spec, dirs, founded, stores)?;
    let first_epoch = first_epoch(&*env.disk, &dirs.root)?;
    if let Some(epoch) = record.as_ref().map(Record::epoch).filter(|epoch| *epoch < first_epoch) {
        return Err(DriverError::EpochEnded { id: spec.id, epoch });
    }
    Ok(Opened { replica: replica(env, spec, restored, at.index)?, record, at, ledger, first_epoch })
}

fn replica<M: Machine>(env: &Ground, spec: &HostSpec<M>, restored: Restored, applied: u64) -> Result<Replica> {
    let config = Config {
        id: env.node.get(),
        group: slot_of(spec.id).0,
        timing: spec.options.timing,
        limits: spec.options.limits,
        seed: uuid::Uuid::now_v7().as_u64_pair().1,
        applied,
    };
    Ok(Replica::new(config, restored)?)
}

/// A record that can only be read.
fn show<M: Machine>(
    (env, spec, founded): (&Environment, &HostSpec<M>, Option<Record<M>>),
    remains: Remains<M>,
    stores: (CheckpointStore, CheckpointStore),
) -> (Arc<Shared<M>>, Running) {
    let Remains { best, newest, ledger, reason } = remains;
    let record = best.map(|best| best.record);
    let group = record.as_ref().map(|record| record.machine().group()).unwrap_or_default();
    let core = core(env, spec, at_rest(env, newest.as_ref()), group, std::iter::empty());
    let shared = shared((env, spec, founded), core, record.as_ref(), &ledger, stores);
    shared.core.halt(reason);
    let threads = Mutex::default;
    let port: Arc<dyn RecordPort> = shared.clone();
    (shared, Running { port, raft: threads(), apply: threads(), keeper: threads(), index: threads() })
}

/// What all threads of a record share.
fn shared<M: Machine>(
    (env, spec, founded): (&Environment, &HostSpec<M>, Option<Record<M>>),
    core: Core,
    record: Option<&Record<M>>,
    ledger: &Ledger,
    (checkpoints, staged): (CheckpointStore, CheckpointStore),
) -> Arc<Shared<M>> {
    let revision = record.map_or(0, Record::revision);
    if let Some(record) = record {
        core.epoch.store(record.epoch(), Relaxed);
    }
    core.keys.store(Arc::new(record.map(|record| keys_in_force(record, env.node)).unwrap_or_default()));
    core.published.send_replace(revision);
    core.set_missing(ledger.missing(), record.is_none());
    core.kept.store(revision, Relaxed);
    Arc::new(Shared {
        founded,
        past: Arc::new(Semaphore::new(as_of::AT_ONCE)),
        proving: Arc::new(Semaphore::new(1)),
        index_home: env.index.clone(),
        data_dir: env.data_dir.clone(),
        record: ArcSwapOption::from_pointee(record.cloned()),
        tail: Tail::new(revision, spec.options.tail_records, spec.options.tail_bytes),
        ledger: ledger.reader(),
        checkpoints,
        staged,
        restored: Mutex::new(None),
        verifier: Arc::new(CachedVerifier::new(Ed25519Verifier)),
        core,
    })
}

/// The public keys a record accepts from a node now, the newest first.
pub(super) fn keys_in_force<M: Machine>(record: &Record<M>, node: NodeId) -> Vec<Vec<u8>> {
    record.machine().signers(node, record.time()).into_iter().map(|signer| signer.public_key).collect()
}

fn core<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    vitals: Vitals,
    group: Vec<GroupNode>,
    contacts: impl Iterator<Item = NodeId>,
) -> Core {
    let label = format!("{}-{}", M::NAME, spec.id.short());
    Core {
        id: spec.id,
        slot: slot_of(spec.id),
        node: env.node,
        machine: M::NAME,
        metrics: RecordMetrics::new(&label),
        label,
        options: spec.options,
        contacts: contacts.filter(|node| *node != env.node).collect(),
        epoch: AtomicU32::new(0),
        newest_epoch: AtomicU32::new(0),
        inbox: Mailbox::default(),
        seat: Seat::default(),
        apply: Mailbox::default(),
        apply_seat: Seat::default(),
        keeper: Mailbox::default(),
        index: Desk::default(),
        scrub: Mailbox::default(),
        scrubbed: AtomicU64::new(0),
        waiters: Waiters::default(),
        queue: Queue::default(),
        vitals: ArcSwap::from_pointee(vitals),
        conf: ConfBoard::default(),
        durable: Reached::default(),
        group: ArcSwap::from_pointee(group),
        keys: ArcSwap::default(),
        published: watch::Sender::new(0),
        halted: OnceLock::new(),
        draining: AtomicBool::new(false),
        ended: Notify::new(),
        disk: env.writer.disk.clone(),
        findings: env.findings.clone(),
        fatal: env.writer.fatal.clone(),
        signer: env.signer.clone(),
        kept: AtomicU64::new(0),
        keeper_backlog: AtomicUsize::new(0),
        state_bytes: AtomicU64::new(0),
        missing: Mutex::default(),
        oldest: AtomicU64::new(0),
        fetching_history: AtomicBool::new(false),
        roll_call: RollCall::default(),
        transfers: Transfers::default(),
    }
}

fn run<M: Machine>(
    env: &Environment,
    shared: &Arc<Shared<M>>,
    replica: Replica,
    ledger: Ledger,
    (record, at): (Option<Record<M>>, AppliedNote),
    dirs: Dirs,
) -> Result<Running> {
    let port: Arc<dyn RecordPort> = shared.clone();
    let core = port.core();
    let proposer = Proposer::new(core, env, shared.verifier.clone());
    let log = env.writer.mailbox.clone();
    let raft = RaftLoop::new(port.clone(), replica, proposer, env.transport.clone(), log, at);
    let (applies_for, apply) =
        (port.clone(), Box::new(ApplyLoop::new(shared.clone(), record, at, env.transport.runtime().clone())));
    let keeper = KeeperLoop {
        port: port.clone(),
        reader: ledger.reader(),
        ledger,
        history: HistoryDir { disk: env.disk.clone(), dir: dirs.history },
        transport: env.transport.clone(),
        writing: None,
        next: None,
    };
    let indexer = Indexer::new(shared.clone());
    let running = Running {
        port: port.clone(),
        raft: Mutex::default(),
        apply: Mutex::default(),
        keeper: Mutex::default(),
        index: Mutex::default(),
    };
    let start = |threads: &Mutex<Vec<JoinHandle<()>>>, started: Result<JoinHandle<()>>| {
        started.map(|thread| threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread))
    };
    let scrub = Scrub { port: port.clone() };
    let started = start(&running.keeper, spawn("keeper", move || keeper.run()))
        .and_then(|()| start(&running.keeper, spawn_behind("scrub", FAR_BEHIND, move || scrub.run())))
        .and_then(|()| start(&running.apply, spawn("apply", move || turn::run_apply(&applies_for, apply))))
        .and_then(|()| start(&running.index, spawn("index", move || indexer.run())))
        .and_then(|()| start(&running.raft, spawn("raft", move || turn::run(&port, raft))));
    if let Err(error) = started {
        running.stop(true);
        return Err(error);
    }
    Ok(running)
}
