//! Between nodes: one stream per peer for all records, and transfers of checkpoints beside it.

mod fetch;
mod history;
mod naming;
pub(crate) mod outbox;
pub(crate) mod packing;
mod peer;
mod service;
pub(crate) mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::time::Timestamp;
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::Message;
use shouwang_replica::{PeerClocks, Seat};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinHandle};
use tonic::transport::Channel;

pub(crate) use history::HistoryDir;
pub use service::Replication;

use crate::clock::Clock;
use crate::options::TransportOptions;
use crate::record::{Core, RaftMsg, RecordPort, Verdict};
use outbox::{Head, Item};
use peer::Peer;

/// Who is at the other end of a connection. The node's TLS layer puts it among the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticatedPeer(pub NodeId);

/// A peer cannot be dialled.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct ConnectError {
    /// What stood in the way.
    pub why: String,
    /// The machine at the peer's address said that nobody listens there: the peer's process has ended, or not begun. A
    /// leader is not waited for then.
    pub refused: bool,
}

impl ConnectError {
    /// Anything but a refusal.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), refused: false }
    }

    /// Told from what a connection failed on, and all that it came from.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { why: error.to_string(), refused: is_refusal(error) }
    }
}

/// Whether a connection was refused by the machine it was meant for.
pub fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Dials peers; the node brings addresses and TLS.
#[tonic::async_trait]
pub trait PeerConnector: Send + Sync + 'static {
    /// A channel to a node, whose identity has been verified by the time the first call returns.
    ///
    /// # Errors
    /// Nobody, or the wrong node, answers, or its address is not known.
    async fn connect(&self, node: NodeId) -> Result<Channel, ConnectError>;
}

/// The version of the contract between nodes that this program speaks.
pub(crate) const VERSION: u32 = 3;
/// From this version on a node takes packed frames.
const PACKS_FROM: u32 = 2;
/// From this version on it takes frames that leave out what was said before.
const SHORTENS_FROM: u32 = 3;
/// Largest frame accepted, in bytes: a frame's worth of small items and one entry of the largest size, with room.
pub(crate) const FRAME_BYTES_MAX: usize = 32 << 20;

/// Transfers of checkpoints and history to one peer at once.
const TRANSFERS_EACH: usize = 8;

/// All streams of a node.
pub(crate) struct Transport {
    pub me: NodeId,
    pub cluster: [u8; 32],
    pub options: TransportOptions,
    pub clock: Arc<dyn Clock>,
    connector: Arc<dyn PeerConnector>,
    runtime: Handle,
    peers: Mutex<BTreeMap<u64, Arc<Peer>>>,
    records: RwLock<HashMap<RecordId, Arc<dyn RecordPort>>>,
    clocks: Mutex<PeerClocks>,
    started: Instant,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The stream of each peer that is listened to: one a peer.
    heard: Mutex<BTreeMap<NodeId, AbortHandle>>,
    /// Transfers to each peer.
    transfers: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Everything behind these locks changes by single insertions and removals: whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport {
    /// No streams yet; they are opened as messages for peers come.
    pub fn new(
        me: NodeId,
        cluster: [u8; 32],
        options: TransportOptions,
        clock: Arc<dyn Clock>,
        connector: Arc<dyn PeerConnector>,
        runtime: Handle,
    ) -> Self {
        Self {
            me,
            cluster,
            options,
            clock,
            connector,
            runtime,
            peers: Mutex::default(),
            records: RwLock::default(),
            clocks: Mutex::default(),
            started: Instant::now(),
            tasks: Mutex::default(),
            heard: Mutex::default(),
            transfers: Mutex::default(),
        }
    }

    /// Lets peers reach a record.
    pub fn register(&self, port: Arc<dyn RecordPort>) {
        self.records.write().unwrap_or_else(PoisonError::into_inner).insert(port.core().id, port);
    }

    /// A record that peers may reach.
    pub fn record(&self, id: &RecordId) -> Option<Arc<dyn RecordPort>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn all_records(&self) -> Vec<Arc<dyn RecordPort>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Ends all streams and transfers.
    pub fn stop(&self) {
        self.records.write().unwrap_or_else(PoisonError::into_inner).clear();
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
        lock(&self.peers).clear();
    }

    /// Where callers and peers are answered.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        let task = self.runtime.spawn(task);
        let handle = task.abort_handle();
        tasks.push(task);
        handle
    }

    /// Listens to a peer by `task`, and no longer by the one before: who dials again has lost the stream it had.
    fn listen(&self, peer: NodeId, task: impl Future<Output = ()> + Send + 'static) {
        let before = lock(&self.heard).insert(peer, self.spawn(task));
        before.inspect(AbortHandle::abort);
    }

    /// A place for one more transfer to a peer: each holds a thread while the peer takes it.
    fn transfer(&self, peer: NodeId) -> Option<OwnedSemaphorePermit> {
        let all = lock(&self.transfers).entry(peer).or_insert_with(|| Arc::new(Semaphore::new(TRANSFERS_EACH))).clone();
        all.try_acquire_owned().ok()
    }

    fn peer(self: &Arc<Self>, id: u64) -> Option<Arc<Peer>> {
        let node = NodeId::try_from(id).ok()?;
        if let Some(peer) = lock(&self.peers).get(&id) {
            return Some(peer.clone());
        }
        let peer = Arc::new(Peer::new(node));
        lock(&self.peers).insert(id, peer.clone());
        self.spawn(peer.clone().run(self.clone()));
        Some(peer)
    }

    fn post(self: &Arc<Self>, core: &Core, to: u64, item: Item) -> bool {
        let head = Head { record: core.id, epoch: core.epoch.load(Ordering::Relaxed), oldest: core.oldest() };
        self.peer(to).is_some_and(|peer| peer.push(head, item, self.options.queue_bytes))
    }

    /// Sends Raft messages; those that find no room are dropped, and Raft is told.
    pub fn messages(self: &Arc<Self>, core: &Core, messages: Vec<Message>) {
        for m in messages {
            let to = m.get_to();
            let carries = !m.get_entries().is_empty();
            let Some(wire) = wire::to_wire(m) else { continue };
            if !self.post(core, to, Item::Message(Box::new(wire))) && carries {
                core.inbox.push(RaftMsg::Unreachable { id: to, gone: false });
            }
        }
    }

    /// Forwards a batch to the leader; false if it could not even be queued.
    pub fn batch(self: &Arc<Self>, core: &Core, to: u64, ticket: u64, batch: Bytes) -> bool {
        self.post(core, to, Item::Batch(proto::ForwardedBatch { ticket, batch }))
    }

    /// Answers a forwarded batch. A lost answer does no harm: the batch is sent again.
    pub fn answer(self: &Arc<Self>, core: &Core, to: u64, ticket: u64, verdict: Verdict) {
        let (verdict, leader) = match verdict {
            Verdict::Taken => (proto::BatchVerdict::Taken, 0),
            Verdict::NotLeader(leader) => (proto::BatchVerdict::NotLeader, leader),
            Verdict::Busy => (proto::BatchVerdict::Busy, 0),
            Verdict::Refused => (proto::BatchVerdict::Refused, 0),
        };
        self.post(core, to, Item::Answer(proto::BatchAnswer { ticket, verdict: verdict.into(), leader }));
    }

    /// Tells the others of a group whom this node, its leader, hears. A lost word is told again.
    pub fn roll_call(self: &Arc<Self>, core: &Core, group: &[NodeId], word: &proto::RollCall) {
        for node in group.iter().filter(|node| **node != self.me) {
            self.post(core, node.get(), Item::RollCall(word.clone()));
        }
    }

    /// Notes a peer's clock as of a frame that has just arrived.
    fn note_clock(&self, peer: NodeId, sent_at_ms: i64) {
        let Timestamp(now) = self.clock.now();
        lock(&self.clocks).note(peer.get(), now.saturating_sub(sent_at_ms), self.running_ms());
    }

    /// Whether this node's clock is close enough to the middle of a group's clocks to stamp for it.
    pub fn clock_is_fit(&self, group: &[Seat]) -> bool {
        lock(&self.clocks).is_fit(group.iter().map(|seat| seat.id), self.running_ms())
    }

    /// For how long this node has been running, in milliseconds.
    fn running_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
