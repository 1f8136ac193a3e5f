//! From what the disk gives back to a running record.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::HardState;
use shouwang_replica::{Checkpoint, Config, GENESIS_INDEX, GENESIS_TERM, LogBase, Replica, Restored, conf_state_from};
use shouwang_store::checkpoint::{CheckpointStore, OpenedCheckpoint};
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::log::{self, LoadedLog, LogStore, LogWrite, RecordSlot};
use shouwang_store::{Disk, StoreError};
use tokio::sync::{Notify, Semaphore, watch};

use super::apply::ApplyLoop;
use super::keeper::{KeeperLoop, adopt};
use super::proposer::Proposer;
use super::raft::RaftLoop;
use super::{
    AppliedNote, ConfBoard, Core, Queue, RecordPort, RollCall, Shared, Vitals, Waiters, checkpoints, decode_conf_state,
    join_all, restore, spawn,
};
use crate::Result;
use crate::as_of;
use crate::clock::Clock;
use crate::error::DriverError;
use crate::index::{self, Desk, Indexer};
use crate::keys::{CachedVerifier, Ed25519Verifier, Signer};
use crate::log_writer::LogWriter;
use crate::mailbox::Mailbox;
use crate::options::HostSpec;
use crate::tail::Tail;
use crate::transport::{HistoryDir, Transport};

/// What a record finds on its node.
#[derive(Clone)]
pub(crate) struct Environment {
    pub node: NodeId,
    pub data_dir: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub store: Arc<dyn LogStore>,
    pub writer: Arc<LogWriter>,
    pub index: Arc<index::Home>,
    pub transport: Arc<Transport>,
    pub signer: Arc<dyn Signer>,
    pub clock: Arc<dyn Clock>,
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
        core.draining.store(true, std::sync::atomic::Ordering::Relaxed);
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

/// Where Raft indexes begin for a record, and what follows from the disk.
struct Found<M> {
    record: Option<Record<M>>,
    at: AppliedNote,
    restored: Restored,
}

struct Dirs {
    ledger: PathBuf,
    checkpoints: PathBuf,
    staged: PathBuf,
    history: PathBuf,
}

/// The slot of a record: from its name, so that no other record of this node ever has it.
pub(crate) fn slot_of(id: RecordId) -> RecordSlot {
    let mut head = [0; 8];
    head.copy_from_slice(&id.0[..8]);
    // The highest slot is reserved.
    RecordSlot(u64::from_be_bytes(head) >> 1)
}

/// Starts a record. Blocks.
pub(crate) fn start<M: Machine>(env: &Environment, spec: &HostSpec<M>) -> Result<(Arc<Shared<M>>, Running)> {
    let root = env.data_dir.join("records").join(spec.id.to_string());
    let [ledger, checkpoints, staged, history] =
        ["ledger", "checkpoints", "staged", "history"].map(|name| root.join(name));
    let dirs = Dirs { ledger, checkpoints, staged, history };
    let checkpoints = CheckpointStore::open(env.disk.clone(), &dirs.checkpoints)?;
    let staged = CheckpointStore::open(env.disk.clone(), &dirs.staged)?;
    let founded = spec.genesis.as_ref().map(Record::<M>::found).transpose().map_err(DriverError::Founding)?;
    let found = find(env, spec, founded.as_ref(), &checkpoints, &staged, &dirs)?;
    let ledger = open_ledger(env, spec, &dirs, found.record.as_ref())?;

    let config = Config {
        id: env.node.get(),
        group: slot_of(spec.id).0,
        timing: spec.options.timing,
        limits: spec.options.limits,
        seed: uuid::Uuid::now_v7().as_u64_pair().1,
        applied: found.at.index,
    };
    let replica = Replica::new(config, found.restored)?;
    let status = replica.status();
    let group = found.record.as_ref().map(|record| record.machine().group());
    let contacts = founded.iter().flat_map(|record| record.machine().group()).map(|member| member.node);
    let core = core(env, spec, &replica, group.unwrap_or_default(), contacts.chain(spec.contacts.iter().copied()));
    core.keys.store(Arc::new(found.record.as_ref().map(|record| keys_in_force(record, env.node)).unwrap_or_default()));
    core.conf.set(status.conf_index, status.conf_state);
    let revision = found.record.as_ref().map_or(0, Record::revision);
    core.epoch.store(found.record.as_ref().map_or(0, Record::epoch), std::sync::atomic::Ordering::Relaxed);
    core.published.send_replace(revision);
    core.set_missing(ledger.missing(), found.record.is_none());
    core.kept.store(revision, std::sync::atomic::Ordering::Relaxed);
    let shared = Arc::new(Shared {
        founded,
        past: Arc::new(Semaphore::new(as_of::AT_ONCE)),
        index_home: env.index.clone(),
        record: ArcSwapOption::from_pointee(found.record.clone()),
        tail: Tail::new(revision, spec.options.tail_records, spec.options.tail_bytes),
        ledger: ledger.reader(),
        checkpoints,
        staged,
        restored: Mutex::new(None),
        verifier: Arc::new(CachedVerifier::new(Ed25519Verifier)),
        core,
    });
    let running = run(env, &shared, replica, ledger, found.record, found.at, dirs)?;
    Ok((shared, running))
}

/// The public keys a record accepts from a node now, the newest first.
pub(super) fn keys_in_force<M: Machine>(record: &Record<M>, node: NodeId) -> Vec<Vec<u8>> {
    record.machine().signers(node, record.time()).into_iter().map(|signer| signer.public_key).collect()
}

fn core<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    replica: &Replica,
    group: Vec<GroupNode>,
    contacts: impl Iterator<Item = NodeId>,
) -> Core {
    Core {
        id: spec.id,
        slot: slot_of(spec.id),
        node: env.node,
        machine: M::NAME,
        label: format!("{}-{}", M::NAME, spec.id.short()),
        options: spec.options,
        contacts: contacts.filter(|node| *node != env.node).collect(),
        epoch: AtomicU32::new(0),
        inbox: Arc::new(Mailbox::default()),
        apply: Mailbox::default(),
        keeper: Mailbox::default(),
        index: Desk::default(),
        waiters: Waiters::default(),
        queue: Queue::default(),
        vitals: ArcSwap::from_pointee(Vitals { status: replica.status(), heard_at: Instant::now() }),
        conf: ConfBoard::default(),
        group: ArcSwap::from_pointee(group),
        keys: ArcSwap::default(),
        published: watch::Sender::new(0),
        halted: OnceLock::new(),
        draining: AtomicBool::new(false),
        ended: Notify::new(),
        disk: env.writer.disk.clone(),
        fatal: env.writer.fatal.clone(),
        signer: env.signer.clone(),
        kept: AtomicU64::new(0),
        keeper_backlog: AtomicUsize::new(0),
        missing: Mutex::default(),
        oldest: AtomicU64::new(0),
        fetching_history: AtomicBool::new(false),
        roll_call: RollCall::default(),
        transfers: Mutex::default(),
    }
}

fn run<M: Machine>(
    env: &Environment,
    shared: &Arc<Shared<M>>,
    replica: Replica,
    ledger: Ledger,
    record: Option<Record<M>>,
    at: AppliedNote,
    dirs: Dirs,
) -> Result<Running> {
    let port: Arc<dyn RecordPort> = shared.clone();
    let core = port.core();
    let proposer = Proposer::new(core, env.signer.clone(), env.clock.clone(), env.transport.clone());
    let log = env.writer.mailbox.clone();
    let raft = RaftLoop::new(port.clone(), replica, proposer, env.transport.clone(), log, at);
    let apply = ApplyLoop::new(shared.clone(), record, at);
    let keeper = KeeperLoop {
        port: port.clone(),
        reader: ledger.reader(),
        ledger,
        disk: env.disk.clone(),
        checkpoint_dir: dirs.checkpoints,
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
    let started = start(&running.keeper, spawn("keeper", move || keeper.run()))
        .and_then(|()| start(&running.apply, spawn("apply", move || apply.run())))
        .and_then(|()| start(&running.index, spawn("index", move || indexer.run())))
        .and_then(|()| start(&running.raft, spawn("raft", move || raft.run())));
    if let Err(error) = started {
        running.stop(true);
        return Err(error);
    }
    Ok(running)
}

fn find<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    founded: Option<&Record<M>>,
    checkpoints: &CheckpointStore,
    staged: &CheckpointStore,
    dirs: &Dirs,
) -> Result<Found<M>> {
    let slot = slot_of(spec.id);
    let log = env.store.load(slot)?;
    settle_staged(env, log.as_ref(), checkpoints, staged, dirs)?;
    let newest = checkpoints.newest_verified()?;
    let is_founder = |record: &&Record<M>| record.machine().group().iter().any(|m| m.node == env.node);
    match (log, newest) {
        (Some(log), Some(newest)) => go_on(spec.id, log, &newest),
        (None, newest) if newest.as_ref().is_none_or(|cp| cp.meta().raft_index == GENESIS_INDEX) => {
            match founded.filter(is_founder) {
                // A founder has written its log before its ledger was ever opened: the log is gone, and founding anew
                // would cut the ledger off in silence.
                Some(_) if std::fs::read_dir(&dirs.ledger).is_ok_and(|mut held| held.next().is_some()) => Err(unfit(
                    spec.id,
                    "the log",
                    "it is gone, though there is a ledger; restore it, do not start empty",
                )),
                Some(record) => begin(env, record, checkpoints, slot),
                None => Ok(joining(None)),
            }
        }
        (log, None) => match log {
            // It has voted or heard of a term, but holds no state yet.
            Some(log) if log.base.index == 0 => Ok(joining(Some(log))),
            _ => Err(unfit(spec.id, "the checkpoints", "there are none, though there is a log; fetch one from a peer")),
        },
        (None, Some(_)) => {
            Err(unfit(spec.id, "the log", "it is gone, though there are checkpoints; join anew under a new id"))
        }
    }
}

fn unfit(id: RecordId, what: &'static str, detail: &str) -> DriverError {
    DriverError::Unfit { id, what, detail: detail.to_owned() }
}

/// A staged checkpoint that the log already begins behind is the state; any other is of no use any more.
fn settle_staged(
    env: &Environment,
    log: Option<&LoadedLog>,
    checkpoints: &CheckpointStore,
    staged: &CheckpointStore,
    dirs: &Dirs,
) -> Result<()> {
    let base = log.map_or(0, |log| log.base.index);
    for info in staged.held()? {
        let needed = info.meta.raft_index == base
            && checkpoints.held()?.first().is_none_or(|newest| newest.meta.raft_index < base);
        if needed {
            adopt(&*env.disk, &info, &dirs.checkpoints)?;
        } else {
            let fault = |source| StoreError::Io { op: "remove", path: info.file.clone(), source };
            env.disk.remove(&info.file).map_err(fault)?;
        }
    }
    Ok(())
}

/// The founding of a record: its first state is its first checkpoint, and the log begins behind it.
fn begin<M: Machine>(
    env: &Environment,
    record: &Record<M>,
    checkpoints: &CheckpointStore,
    slot: RecordSlot,
) -> Result<Found<M>> {
    let group = record.machine().group();
    let of = |voter: bool| group.iter().filter(move |m| m.voter == voter).map(|m| m.node.get());
    let restored = Restored::founding(conf_state_from(of(true), of(false)));
    let at = checkpoints::At { index: GENESIS_INDEX, term: GENESIS_TERM, stamp: Timestamp::ZERO };
    checkpoints::write(checkpoints, record, at, &restored.conf_state)?;
    env.store.write(&[LogWrite {
        reset_to: Some(log::LogBase { index: restored.base.index, term: restored.base.term }),
        hard_state: Some(restored.hard_state.clone()),
        conf_state: Some((restored.conf_index, restored.conf_state.clone())),
        ..LogWrite::new(slot)
    }])?;
    tracing::info!(record = %record.id().short(), machine = M::NAME, "record founded");
    let at =
        AppliedNote { index: GENESIS_INDEX, term: GENESIS_TERM, stamp: Timestamp::ZERO, next_due: record.next_due() };
    Ok(Found { record: Some(record.clone()), at, restored })
}

fn joining<M>(log: Option<LoadedLog>) -> Found<M> {
    let hard_state: HardState = log.map(|log| log.hard_state).unwrap_or_default();
    Found { record: None, at: AppliedNote::default(), restored: Restored { hard_state, ..Restored::joining() } }
}

fn go_on<M: Machine>(id: RecordId, log: LoadedLog, newest: &OpenedCheckpoint) -> Result<Found<M>> {
    let record = restore::<M>(id, newest)?;
    let meta = newest.meta();
    let conf_state = decode_conf_state(&meta.conf_state)
        .ok_or_else(|| unfit(id, "the checkpoint", "its membership cannot be read; set it aside and restart"))?;
    let stamp = Timestamp(meta.time_ms).max(record.time());
    let at = AppliedNote { index: meta.raft_index, term: meta.raft_term, stamp, next_due: record.next_due() };
    tracing::info!(record = %id.short(), index = at.index, revision = record.revision(), log = log.last_index(), "record found");
    let restored = Restored {
        hard_state: log.hard_state,
        conf_state: log.conf_state,
        conf_index: log.conf_index,
        base: LogBase { index: log.base.index, term: log.base.term },
        entries: log.entries,
        checkpoint: Some(Checkpoint { index: meta.raft_index, term: meta.raft_term, conf_state }),
    };
    Ok(Found { record: Some(record), at, restored })
}

/// The ledger's end behind the checkpoint is derived again from the log, so that only what lies before can be missing.
fn open_ledger<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    record: Option<&Record<M>>,
) -> Result<Ledger> {
    let revision = record.map_or(0, Record::revision);
    let options = LedgerOptions {
        segment_bytes: spec.options.segment_bytes,
        hash_algorithm: checkpoints::SHA256,
        synced_at_least: Some(revision),
        ..LedgerOptions::default()
    };
    let mut ledger = match Ledger::open(env.disk.clone(), &dirs.ledger, spec.id.0, options.clone()) {
        Err(StoreError::LedgerShort { .. } | StoreError::LedgerDamaged { .. }) => {
            let (ledger, wrong) = Ledger::salvage(&env.disk, &dirs.ledger, spec.id.0, options)?;
            for error in wrong {
                tracing::error!(record = %spec.id.short(), %error, "ledger salvaged");
            }
            ledger
        }
        other => other?,
    };
    if ledger.next() <= revision {
        ledger.begin_at(revision + 1)?;
    }
    let missing = ledger.missing();
    if !missing.is_empty() {
        tracing::warn!(record = %spec.id.short(), ?missing, "a part of the ledger is not held here");
    }
    Ok(ledger)
}
