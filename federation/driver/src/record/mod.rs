//! One record on this node: what its threads share, and the messages between them.

mod apply;
pub mod batching;
mod checked;
mod checkpoints;
mod conf;
mod damaged;
mod echo;
mod found;
mod keeper;
mod life;
mod open;
mod own_word;
mod proposer;
mod raft;
mod reached;
mod reads;
mod rescue;
mod restored;
pub(crate) mod roll_call;
mod scrub;
mod transfers;
mod turn;
mod waiters;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::{ConfState, Message};
use shouwang_replica::{Role, Status};
use shouwang_store::checkpoint::{CheckpointInfo, CheckpointStore};
use shouwang_store::ledger::LedgerReader;
use shouwang_store::log::RecordSlot;
use shouwang_store::{Findings, StoreError};
use tokio::sync::{Notify, Semaphore, oneshot, watch};

pub(crate) use apply::ApplyWork;
pub use checked::CheckedRecord;
pub(crate) use checked::{check, check_unopened};
pub(crate) use checkpoints::{restore, restore_while};
pub(crate) use conf::{ConfBoard, seats};
pub use damaged::AcceptedLoss;
pub(crate) use damaged::{accept, note_lost_logs};
pub(crate) use found::RECORDS;
pub(crate) use keeper::KeeperJob;
pub use life::NewLife;
pub(crate) use open::{Environment, Ground, Running, start};
pub(crate) use proposer::Command;
pub(crate) use reached::Reached;
pub use rescue::Rescue;
pub(crate) use rescue::{SetAside, all_aside, newest_aside, rescue, set_aside, stand};
pub(crate) use restored::restore_copy;
pub(crate) use roll_call::RollCall;
pub(crate) use transfers::Transfers;
pub(crate) use turn::{Seat, Turn};
pub(crate) use waiters::{CommandKey, Place, Registered, Waiters};

use crate::Result;
use crate::error::DriverError;
use crate::index::{self, Desk};
use crate::keys::{CachedVerifier, Ed25519Verifier, Signer};
use crate::log_writer::{DiskState, FatalHook};
use crate::mailbox::Mailbox;
use crate::metrics::RecordMetrics;
use crate::options::RecordOptions;
use crate::status::Contact;
use crate::tail::Tail;

/// Frames of peers that may wait for a record; beyond, they are dropped, and Raft sends again.
const PEER_FRAMES_MAX: usize = 4096;

/// Bytes of ledger records read from disk at once, unless one alone is larger.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes of ledger records that may wait for the disk before apply waits too.
const KEEPER_BACKLOG_BYTES: usize = 64 << 20;

/// What Raft of a record is told.
pub(crate) enum RaftMsg {
    /// Messages of an authenticated peer, whose id each of them carries, and whether it holds the whole ledger.
    Messages { from: u64, whole_ledger: bool, messages: Vec<Message> },
    /// A batch of a peer, for the leader.
    Batch { from: u64, ticket: u64, batch: Bytes },
    /// What a leader said to a forwarded batch.
    Answer { from: u64, ticket: u64, verdict: Verdict },
    /// Log writes up to this number are done.
    Persisted(u64),
    /// Where apply stands, and how many callers waited on this node before it got there.
    Applied { note: AppliedNote, waited: usize },
    /// Apply has judged a membership entry.
    ConfApplied { index: u64, accepted: bool },
    /// The state wants another group.
    Group(Arc<[GroupNode]>),
    /// Batches the record dropped whole.
    Dropped(Vec<Hash32>),
    /// A checkpoint of ours is durable; the older one that is kept is that of the index `oldest`.
    CheckpointReady { index: u64, term: u64, conf_state: ConfState, oldest: u64 },
    /// A checkpoint of a peer is staged, or could not be fetched.
    Fetched(Option<(u64, u64, ConfState)>),
    /// A peer has, or has not, got the checkpoint it was offered.
    Served { to: u64, ok: bool },
    /// A caller's command.
    Command(Command),
    /// A caller's linearizable read.
    Read(oneshot::Sender<Result<()>>),
    /// An operator hands the lead over.
    Transfer { to: u64, reply: oneshot::Sender<Result<()>> },
    /// The node stops: give the lead away.
    Resign,
    /// A peer cannot be reached; or nobody listens at its address, if it is gone.
    Unreachable { id: u64, gone: bool },
}

/// What a leader says to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    NotLeader(u64),
    Busy,
    Refused,
}

/// Where apply stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AppliedNote {
    pub index: u64,
    pub term: u64,
    pub stamp: Timestamp,
    pub next_due: Option<Timestamp>,
}

/// The newest that Raft has said about itself.
pub(crate) struct Vitals {
    pub status: Status,
    /// When the leader, or the quorum, was last heard; before the first time, when the record was started.
    pub heard_at: Instant,
}

/// Commands of callers that wait on this node.
#[derive(Default)]
pub(crate) struct Queue {
    pub commands: AtomicUsize,
    pub bytes: AtomicUsize,
}

impl Queue {
    /// Counts a command in, if it fits.
    pub fn enter(&self, bytes: usize, options: &RecordOptions) -> bool {
        let commands = self.commands.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = commands <= options.queue_commands && total <= options.queue_bytes;
        if !fits {
            self.leave(bytes);
        }
        fits
    }

    /// Counts it out.
    pub fn leave(&self, bytes: usize) {
        self.commands.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What all threads of a record share and none of them needs to know the machine for.
pub(crate) struct Core {
    pub id: RecordId,
    pub slot: RecordSlot,
    pub node: NodeId,
    pub machine: &'static str,
    /// The record in logs and metrics.
    pub label: String,
    pub metrics: RecordMetrics,
    pub options: RecordOptions,
    pub contacts: Vec<NodeId>,
    pub epoch: AtomicU32,
    /// The newest epoch that somebody of the group has spoken in.
    pub newest_epoch: AtomicU32,
    /// What waits for Raft.
    pub inbox: Mailbox<RaftMsg>,
    /// Where Raft sits.
    pub seat: Seat<raft::RaftLoop>,
    /// What waits for apply.
    pub apply: Mailbox<ApplyWork>,
    /// Where apply sits.
    pub apply_seat: Seat<Box<dyn Turn + Send>>,
    pub keeper: Mailbox<KeeperJob>,
    pub index: Desk,
    /// Closed when the scrub is to end; nothing is ever put in.
    pub scrub: Mailbox<()>,
    /// How many times all of the ledger and the checkpoints have been read and checked.
    pub scrubbed: AtomicU64,
    pub waiters: Waiters,
    pub queue: Queue,
    pub vitals: ArcSwap<Vitals>,
    pub conf: ConfBoard,
    /// Up to which entry the log is on this node's disk: what is carried out may be ahead of it, a checkpoint may not.
    pub durable: Reached,
    pub group: ArcSwap<Vec<GroupNode>>,
    /// The public keys in force for this node, the newest first.
    pub keys: ArcSwap<Vec<Vec<u8>>>,
    /// The newest revision that readers may see.
    pub published: watch::Sender<u64>,
    pub halted: OnceLock<String>,
    pub draining: AtomicBool,
    /// Holds a permit once the record has ended: watchers pass it on.
    pub ended: Notify,
    pub disk: Arc<DiskState>,
    pub findings: Findings,
    pub fatal: FatalHook,
    pub signer: Arc<dyn Signer>,
    /// The last revision the ledger has taken, and the bytes it has not.
    pub kept: AtomicU64,
    pub keeper_backlog: AtomicUsize,
    /// Bytes of the state in the newest checkpoint.
    pub state_bytes: AtomicU64,
    /// What of the ledger is still to be fetched.
    missing: Mutex<Vec<(u64, u64)>>,
    oldest: AtomicU64,
    pub fetching_history: AtomicBool,
    /// Who of the group was heard when.
    pub roll_call: RollCall,
    /// Checkpoints on their way to peers.
    pub transfers: Transfers,
}

impl Core {
    /// Stops the record on this node; the node and its other records go on.
    pub fn halt(&self, reason: String) {
        tracing::error!(record = %self.label, reason, "record halted");
        let error = DriverError::Halted { reason: reason.clone() };
        // The first reason is the cause, later ones follow from it.
        let _ = self.halted.set(reason);
        self.inbox.abort();
        self.apply.abort();
        self.keeper.close();
        self.scrub.close();
        self.waiters.fail_all(&error);
        self.ended.notify_one();
    }

    /// Why nothing can be asked, if so.
    pub fn refuses(&self) -> Option<DriverError> {
        if let Some(reason) = self.halted.get() {
            return Some(DriverError::Halted { reason: reason.clone() });
        }
        self.draining.load(Ordering::Relaxed).then_some(DriverError::Stopped)
    }

    /// Whether the record takes part in anything through this node: proposals and reads that ask a quorum.
    ///
    /// # Errors
    /// `Halted`, `Stopped`; `Removed` for a node that has left, whose copy can still be read.
    pub fn takes_part(&self) -> Result<()> {
        match self.refuses() {
            Some(error) => Err(error),
            None if self.is_out() => Err(DriverError::Removed),
            None => match self.left_behind() {
                Some(newest) => Err(DriverError::LeftBehind { own: self.epoch.load(Ordering::Relaxed), newest }),
                None => Ok(()),
            },
        }
    }

    /// The later epoch in which somebody of the group has spoken, while this node knows no leader in its own.
    pub fn left_behind(&self) -> Option<u32> {
        let newest = self.newest_epoch.load(Ordering::Relaxed);
        (newest > self.epoch.load(Ordering::Relaxed) && self.leader().is_none()).then_some(newest)
    }

    /// Whether what a peer says in this epoch is heard. Who has no state yet goes with the newest.
    pub fn hears(&self, peer: NodeId, epoch: u32, joining: bool) -> bool {
        let own = self.epoch.load(Ordering::Relaxed);
        if epoch > own && joining {
            self.epoch.store(epoch, Ordering::Relaxed);
        } else if epoch != own {
            if self.newest_epoch.fetch_max(epoch, Ordering::Relaxed) < epoch && epoch > own {
                tracing::warn!(%peer, record = %self.label, own, newest = epoch, "others go on in a later epoch");
            }
            return false;
        }
        true
    }

    /// Whether this peer belongs to the record.
    pub fn accepts(&self, peer: NodeId, joining: bool) -> bool {
        self.group.load().iter().any(|member| member.node == peer)
            || self.conf.has(peer.get())
            || joining && self.contacts.contains(&peer)
    }

    /// Whether the record's state, as far as it is applied here, has this node in its group no longer.
    pub fn is_out(&self) -> bool {
        let group = self.group.load();
        !group.is_empty() && group.iter().all(|member| member.node != self.node)
    }

    /// Takes in what can wait until Raft's own thread is awake; false if too much waits.
    pub fn deliver(&self, message: RaftMsg) -> bool {
        self.inbox.push_within(message, PEER_FRAMES_MAX)
    }

    /// How long ago the leader, or the quorum, was last heard from, and whether that is soon enough.
    pub fn touch(&self) -> (Duration, bool) {
        let vitals = self.vitals.load();
        let within = roll_call::silence_of_a_leader(&self.options.timing);
        let silent = vitals.heard_at.elapsed();
        let known = vitals.status.leader.is_some() && self.halted.get().is_none();
        (silent, known && silent <= within)
    }

    /// How the nodes of the group are in touch, as far as this node can tell.
    pub fn contacts(&self) -> Vec<Contact> {
        let own = roll_call::Own {
            node: self.node,
            in_touch: self.touch().1,
            leader: self.leader(),
            within: roll_call::in_touch_within(&self.options.timing),
        };
        self.roll_call.of(&self.conf.nodes(), &own, Instant::now())
    }

    /// The leader this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        if self.halted.get().is_some() {
            return None;
        }
        self.vitals.load().status.leader.and_then(|id| NodeId::try_from(id).ok())
    }

    /// What this node does in the group. A record that stands still leads nobody, whatever it did last.
    pub fn role(&self) -> Role {
        if self.halted.get().is_some() { Role::Follower } else { self.vitals.load().status.role }
    }

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        self.role() == Role::Leader
    }

    /// What of the ledger is still to be fetched; `nothing` is held by a node that has yet to join.
    pub fn set_missing(&self, missing: Vec<(u64, u64)>, nothing: bool) {
        let oldest = if nothing { 0 } else { missing.last().map_or(1, |gap| gap.1 + 1) };
        self.oldest.store(oldest, Ordering::Relaxed);
        // One assignment: whole after any panic.
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// What of the ledger is still to be fetched.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The oldest revision from which on the whole ledger is held; 0 before anything is.
    pub fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }

    /// The last revision the ledger has taken.
    pub fn keeper_position(&self) -> u64 {
        self.kept.load(Ordering::Acquire)
    }

    /// Whether more waits for the ledger than memory should hold.
    pub fn keeper_is_behind(&self) -> bool {
        self.keeper_backlog.load(Ordering::Relaxed) > KEEPER_BACKLOG_BYTES
    }
}

/// What all threads of a record share, the machine included.
pub(crate) struct Shared<M: Machine> {
    pub core: Core,
    /// The record right after founding, if this node knows how it began.
    pub founded: Option<Record<M>>,
    /// The record as readers see it; none while joining.
    pub record: ArcSwapOption<Record<M>>,
    /// Looks at the past under way: each holds a state of its own.
    pub past: Arc<Semaphore>,
    /// One proof over a whole ledger at a time: whoever gave up waiting for one does not end its reading.
    pub proving: Arc<Semaphore>,
    /// The index of the node, which all its records share.
    pub index_home: Arc<index::Home>,
    /// Where the node keeps its records, and what it has set aside of them.
    pub data_dir: PathBuf,
    pub tail: Tail<M::Event>,
    pub ledger: LedgerReader,
    pub checkpoints: CheckpointStore,
    pub staged: CheckpointStore,
    /// A checkpoint of a peer, restored and waiting for its turn.
    pub restored: Mutex<Option<(CheckpointInfo, Record<M>)>>,
    pub verifier: Arc<CachedVerifier<Ed25519Verifier>>,
}

impl<M: Machine> Shared<M> {
    /// The runs of ledger records that can be read here up to `newest`, on disk or in memory, oldest first.
    pub fn held(&self, newest: u64) -> Vec<(u64, u64)> {
        // Memory first: what leaves it from now on has reached the disk before.
        let in_memory = self.tail.first();
        let mut held = self.ledger.runs();
        held.retain(|run| run.0 <= newest);
        match held.last_mut() {
            Some(last) if last.1 + 1 >= in_memory => last.1 = newest,
            _ if in_memory <= newest => held.push((in_memory, newest)),
            _ => {}
        }
        held
    }

    /// Ledger records from `from` on as they were written, at most `most` of them, from memory or disk; none if there
    /// are none yet. Blocks.
    pub fn bytes(&self, from: u64, most: usize) -> Result<Vec<Arc<[u8]>>, StoreError> {
        match self.tail.read(from, most) {
            Some(changes) if !changes.is_empty() => Ok(changes.iter().map(|change| change.bytes.clone()).collect()),
            _ => {
                let page = self.ledger.read(from, most, PAGE_BYTES)?;
                Ok(page.into_iter().map(|(_, bytes)| bytes.into()).collect())
            }
        }
    }
}

/// A record as the transport sees it.
pub(crate) trait RecordPort: Send + Sync {
    /// The shared part.
    fn core(&self) -> &Core;
    /// Whether this node has no state of the record yet.
    fn is_joining(&self) -> bool;
    /// Whether a batch is for this record and signed by a key in force now.
    fn is_acceptable(&self, batch: &[u8]) -> bool;
    /// Checkpoints to serve.
    fn checkpoints(&self) -> &CheckpointStore;
    /// Where checkpoints of peers are received.
    fn staged(&self) -> &CheckpointStore;
    /// The ledger to serve.
    fn ledger(&self) -> &LedgerReader;
    /// The newest revision and the Merkle root up to it, as the state names them.
    fn ledger_state(&self) -> Option<(u64, Hash32)>;
    /// Ledger records from `from` on that are still in memory.
    fn newest(&self, from: u64) -> Vec<Arc<[u8]>>;
    /// Restores a received checkpoint and keeps it for its turn. Blocks.
    fn stage(&self, info: CheckpointInfo) -> Result<()>;
}

impl<M: Machine> RecordPort for Shared<M> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn is_joining(&self) -> bool {
        self.record.load().is_none()
    }

    fn is_acceptable(&self, bytes: &[u8]) -> bool {
        self.record.load_full().is_some_and(|record| record.would_take(bytes, &*self.verifier))
    }

    fn checkpoints(&self) -> &CheckpointStore {
        &self.checkpoints
    }

    fn staged(&self) -> &CheckpointStore {
        &self.staged
    }

    fn ledger(&self) -> &LedgerReader {
        &self.ledger
    }

    fn ledger_state(&self) -> Option<(u64, Hash32)> {
        self.record.load().as_ref().map(|record| (record.revision(), record.ledger_root()))
    }

    fn newest(&self, from: u64) -> Vec<Arc<[u8]>> {
        let newest = self.tail.read(from, usize::MAX).unwrap_or_default();
        newest.iter().map(|change| change.bytes.clone()).collect()
    }

    fn stage(&self, info: CheckpointInfo) -> Result<()> {
        let newest = self.staged.newest_verified()?.filter(|opened| opened.info() == &info);
        let opened = newest.ok_or_else(|| DriverError::Unfit {
            id: self.core.id,
            what: "the staged checkpoint",
            detail: "it is gone".to_owned(),
        })?;
        let record = restore::<M>(self.core.id, &opened, self.core.options.level_max)?;
        // One assignment: whole after any panic.
        *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = Some((info, record));
        Ok(())
    }
}

/// Starts a named thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let named = std::thread::Builder::new().name(format!("sw-{name}"));
    named.spawn(run).map_err(|error| DriverError::Thread(Arc::new(error)))
}

/// How much a thread gives way to the others, which commit and answer and have three times its share of a busy processor: for
/// what somebody waits for. A log behind a checkpoint that takes too long fills its memory, and then nothing is committed until
/// it is taken.
const BEHIND: i32 = 5;
/// The same for what nobody waits for: the others have nine times its share.
const FAR_BEHIND: i32 = 10;

/// As [`spawn`], for what may take longer when the processor is busy. What it starts itself gives way as well.
pub(crate) fn spawn_behind(name: &str, behind: i32, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    spawn(name, move || {
        // On Linux every thread has a priority of its own.
        if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), behind) {
            tracing::debug!(%error, "a thread in the background has the priority of all others");
        }
        run();
    })
}

/// Waits for threads to end.
pub(crate) fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        let name = thread.thread().name().unwrap_or("?").to_owned();
        if thread.join().is_err() {
            tracing::error!(thread = name, "a thread ended in a panic");
        }
    }
}
