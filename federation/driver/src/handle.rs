//! The cheap end of a record that everything else holds: propose, read, watch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shouwang_domain::code;
use shouwang_domain::command::{COMMAND_BYTES_MAX, Envelope};
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::head::{Head, SignedHead};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId, RecordId};
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_domain::record::{Outcome, Record, Verdict};
use shouwang_domain::refusal::Refusal;
use shouwang_store::Finding;
use shouwang_store::checkpoint::{CheckpointInfo, OpenedCheckpoint};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::Result;
use crate::error::DriverError;
use crate::proof::{self, InclusionProof};
use crate::record::{ApplyWork, Command, CommandKey, Core, KeeperJob, Place, RaftMsg, Registered, Shared};
use crate::status::RecordStatus;
use crate::watch::WatchCursor;

/// A record as this node sees it at one moment. Reading it is in nobody's way.
#[derive(Clone, Debug)]
pub struct View<M> {
    /// The record; its revision and time are in it.
    pub record: Arc<Record<M>>,
    /// Whether this node is in touch with the quorum. If not, the view may be older than it looks.
    pub in_touch: bool,
    /// The leader this node knows.
    pub leader: Option<NodeId>,
    /// How long ago this node last heard from the leader (or, leading, from the quorum): how old the view may be.
    pub last_heard: Duration,
}

/// A record hosted by this node. Clones share everything.
pub struct Handle<M: Machine> {
    pub(crate) shared: Arc<Shared<M>>,
}

impl<M: Machine> std::fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("record", &self.core().label).field("node", &self.core().node).finish()
    }
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// Leaves the waiting callers when its caller does, however that happens.
struct Guard<'a> {
    core: &'a Core,
    key: CommandKey,
    token: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.core.waiters.leave(&self.key, self.token);
    }
}

impl<M: Machine> Handle<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>) -> Self {
        Self { shared }
    }

    fn core(&self) -> &Core {
        &self.shared.core
    }

    /// The record.
    pub fn id(&self) -> RecordId {
        self.core().id
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.core().node
    }

    /// Asks something of the record and waits for what comes of it. The same id with the same content may be asked again
    /// at any time, here or elsewhere, and gets the first outcome.
    ///
    /// # Errors
    /// `DeadlineExceeded`, `Stopped` and `Halted` leave it open whether it happened; all others mean that it did not
    /// ([`DriverError::is_certain`]).
    pub async fn propose(&self, envelope: Envelope<M::Command>, deadline: Instant) -> Result<Outcome> {
        let core = self.core();
        let began = Instant::now();
        core.takes_part()?;
        // Not even through another leader: without room this node would not hear what came of it.
        if core.disk.is_full() {
            return Err(DriverError::DiskFull);
        }
        if let Some(refused) = self.above_level(&envelope.body, deadline).await? {
            return Ok(refused);
        }
        let bytes = code::encode(&envelope);
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(DriverError::TooLarge { size: bytes.len(), limit: COMMAND_BYTES_MAX });
        }
        let key = (core.node.municipality(), envelope.id);
        let place = match core.waiters.register(key, Hash32::of(&[&bytes])) {
            Registered::Conflict => {
                let at = self.shared.record.load().as_ref().map(|record| record.time()).unwrap_or_default();
                return Ok(Outcome { revision: 0, at, verdict: Verdict::IdReused });
            }
            Registered::Joined(place) => place,
            Registered::New(place) => {
                self.send(key, bytes, &place)?;
                place
            }
        };
        let guard = Guard { core, key, token: place.token };
        let waited = timeout_at(deadline.into(), place.outcome).await;
        let outcome = match waited {
            Ok(Ok(outcome)) => outcome,
            // Nobody is left who could answer.
            Ok(Err(_)) => Err(core.refuses().unwrap_or(DriverError::Stopped)),
            Err(_) if core.waiters.leave(&key, guard.token) => Err(match core.leader() {
                Some(_) => DriverError::Busy,
                None => DriverError::NoLeader,
            }),
            Err(_) => Err(DriverError::DeadlineExceeded { id: envelope.id }),
        };
        core.metrics.commit(began.elapsed());
        outcome
    }

    /// The "no" to a command of a later feature level than the record stands at. The record itself could only write it down
    /// as something that nobody can read. It is asked where the record stands by now: this node may not have heard yet that
    /// it was raised.
    async fn above_level(&self, command: &M::Command, deadline: Instant) -> Result<Option<Outcome>> {
        let needs = M::level_of(command);
        if self.shared.record.load().as_ref().is_none_or(|record| needs <= record.machine().level()) {
            return Ok(None);
        }
        let record = self.read_linearizable(deadline).await?.record;
        let level = record.machine().level();
        let refusal = (needs > level).then_some(Refusal::LevelNotReached { level, needs });
        Ok(refusal.map(|refusal| Outcome { revision: 0, at: record.time(), verdict: Verdict::Refused(refusal) }))
    }

    fn send(&self, key: CommandKey, bytes: Vec<u8>, place: &Place) -> Result<()> {
        let core = self.core();
        let refused = if core.queue.enter(bytes.len(), &core.options) {
            let size = bytes.len();
            let command = Command { key, bytes, progress: place.progress.clone() };
            if core.ask(command) {
                return Ok(());
            }
            core.queue.leave(size);
            core.refuses().unwrap_or(DriverError::Stopped)
        } else {
            DriverError::Busy
        };
        // Whoever joined meanwhile gets the same answer.
        place.progress.withdraw();
        core.waiters.fail(&[key], &refused);
        Err(refused)
    }

    /// The outcome of a command, as far as this node knows; none if it has not been applied here, or is forgotten.
    pub fn outcome(&self, municipality: MunicipalityCode, id: CommandId) -> Option<Outcome> {
        self.shared.record.load().as_ref().and_then(|record| record.outcome(municipality, id).cloned())
    }

    /// The record as this node sees it now, without asking anyone.
    ///
    /// # Errors
    /// `Joining` until the first checkpoint is here.
    pub fn view(&self) -> Result<View<M>> {
        let record = self.shared.record.load_full().ok_or(DriverError::Joining)?;
        let (last_heard, in_touch) = self.core().touch();
        Ok(View { record, in_touch, leader: self.core().leader(), last_heard })
    }

    /// The record as of now or later: everything that was acknowledged anywhere before this call is in it.
    ///
    /// # Errors
    /// `NoLeader` if no quorum answers until the deadline; `Busy`, `Joining`, `Removed`, `Stopped`, `Halted`.
    pub async fn read_linearizable(&self, deadline: Instant) -> Result<View<M>> {
        let core = self.core();
        loop {
            core.takes_part()?;
            let (caller, answer) = oneshot::channel();
            if !core.inbox.push(RaftMsg::Read(caller)) {
                return Err(core.refuses().unwrap_or(DriverError::Stopped));
            }
            match timeout_at(deadline.into(), answer).await {
                Ok(Ok(Ok(()))) => return self.view(),
                // The quorum may only be between two leaders.
                Ok(Ok(Err(DriverError::NoLeader))) => {}
                Ok(Ok(Err(error))) => return Err(error),
                Ok(Err(_)) => return Err(core.refuses().unwrap_or(DriverError::Stopped)),
                Err(_) => return Err(DriverError::NoLeader),
            }
        }
    }

    /// A cursor over the ledger that begins at `from_revision` (1 for everything) and never ends: it costs nothing
    /// while it is not read, and loses nothing.
    pub fn watch(&self, from_revision: u64) -> WatchCursor<M> {
        WatchCursor::new(self.shared.clone(), from_revision.max(1))
    }

    /// The newest revision readers can see here; 0 while joining.
    pub fn revision(&self) -> u64 {
        *self.core().published.borrow()
    }

    /// How the record stands on this node.
    pub fn status(&self) -> RecordStatus {
        let core = self.core();
        let vitals = core.vitals.load();
        let raft = &vitals.status;
        let (last_heard, in_touch) = core.touch();
        let record = self.shared.record.load();
        let oldest_revision = core.oldest();
        RecordStatus {
            id: core.id,
            machine: core.machine,
            node: core.node,
            role: core.role(),
            term: raft.term,
            leader: core.leader(),
            in_touch,
            last_heard,
            commit: raft.commit,
            applied: raft.applied,
            persisted: raft.persisted,
            first_index: raft.base.index + 1,
            checkpoint: raft.checkpoint,
            revision: self.revision(),
            time: record.as_ref().map(|record| record.time()).unwrap_or_default(),
            oldest_revision,
            indexed: self.indexed(),
            voters: raft.conf_state.get_voters().to_vec(),
            learners: raft.conf_state.get_learners().to_vec(),
            voters_outgoing: raft.conf_state.get_voters_outgoing().to_vec(),
            contacts: core.contacts(),
            peers: raft.peers.clone(),
            queued_commands: core.queue.commands.load(Ordering::Relaxed),
            halted: core.halted.get().cloned(),
            removed: core.is_out(),
            left_behind: core.left_behind(),
            scrubbed: core.scrubbed.load(Ordering::Acquire),
            level_max: core.options.level_max.min(M::NEWEST_LEVEL),
            sync: core.disk.stats(),
        }
    }

    /// Damage that was found on this node's disk since it started, of all its records.
    pub fn findings(&self) -> Vec<Finding> {
        self.core().findings.all()
    }

    /// Hands the lead to another voter, if this node leads. It has it once `status` says so.
    ///
    /// # Errors
    /// `NotLeader` names whom to ask; `Stopped`, `Halted`.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let stopped = || self.core().refuses().unwrap_or(DriverError::Stopped);
        if !self.core().inbox.push(RaftMsg::Transfer { to: to.get(), reply }) {
            return Err(stopped());
        }
        answer.await.map_err(|_| stopped())?
    }

    /// Takes a checkpoint of what is applied now and waits until it is durable and verified.
    ///
    /// # Errors
    /// `Joining` if the membership of this point is not known yet; `Store`, `Stopped`, `Halted`.
    pub async fn checkpoint_now(&self) -> Result<CheckpointInfo> {
        let (reply, answer) = oneshot::channel();
        let stopped = || self.core().refuses().unwrap_or(DriverError::Stopped);
        if !self.core().apply.push(ApplyWork::Checkpoint { pressing: false, reply: Some(reply) }) {
            return Err(stopped());
        }
        answer.await.map_err(|_| stopped())?
    }

    /// Takes a checkpoint as [`Handle::checkpoint_now`] does and opens it: it stays readable when newer ones replace it.
    /// The ledger up to its revision is on the disk.
    ///
    /// # Errors
    /// As [`Handle::checkpoint_now`].
    pub async fn open_checkpoint(&self) -> Result<OpenedCheckpoint> {
        let info = self.checkpoint_now().await?;
        let checkpoints = self.shared.checkpoints.clone();
        let opening = tokio::task::spawn_blocking(move || checkpoints.open_held(&info));
        Ok(opening.await.map_err(|_| DriverError::Stopped)??)
    }

    /// The head of the ledger as this node sees it now, with this node's signature: for those who keep it, so that a
    /// ledger cut off or rewritten later shows.
    ///
    /// # Errors
    /// `Joining` until the first checkpoint is here.
    pub fn signed_head(&self) -> Result<SignedHead> {
        let record = self.view()?.record;
        let (epoch, revision, root) = (record.epoch(), record.revision(), record.ledger_root());
        let head = Head { record: record.id(), epoch, revision, root };
        let core = self.core();
        let signer = core.signer.among(&core.keys.load());
        Ok(SignedHead {
            head,
            node: self.node(),
            algorithm: signer.algorithm(),
            public_key: Bytes(signer.public_key()),
            signature: Bytes(signer.sign(&head.signed_message())),
        })
    }

    /// Proves that a revision is in the ledger whose root this node holds. Reads the whole ledger, off the async threads.
    ///
    /// # Errors
    /// `OutOfRange` if a part of the ledger up to now is not held here; `Store`, `Joining`.
    pub async fn inclusion_proof(&self, revision: u64) -> Result<InclusionProof> {
        let within = 1..=self.view()?.record.revision();
        if !within.contains(&revision) {
            return Err(DriverError::OutOfRange { revision, oldest: 1 });
        }
        let (leaves, root) = self.leaves().await?;
        proof::include(revision, &leaves, root)
    }

    /// Shows that the ledger up to `newer` grew out of the ledger up to `older` (RFC 6962 §2.1.2): what whoever keeps the
    /// older head needs to believe the newer one. Reads the whole ledger, off the async threads.
    ///
    /// # Errors
    /// `NotYet` if there is no revision `older` up to `newer`; as [`Handle::inclusion_proof`].
    pub async fn consistency_proof(&self, older: u64, newer: u64) -> Result<Vec<Hash32>> {
        let newest = self.view()?.record.revision();
        for (revision, newest) in [(newer, newest), (older, newer)] {
            if revision > newest {
                return Err(DriverError::NotYet { revision, newest });
            }
        }
        let (leaves, _) = self.leaves().await?;
        let (older, newer) =
            (usize::try_from(older).unwrap_or(usize::MAX), usize::try_from(newer).unwrap_or(usize::MAX));
        Ok(merkle::consistency(older, &leaves[..newer.min(leaves.len())]))
    }

    /// The tree over the ledger up to `through`, grown out of an earlier one: what this node's disk holds, synced and read
    /// again, whatever the state says. Off the async threads.
    ///
    /// # Errors
    /// `OutOfRange` if a part of it is not held here; `Store`, `Stopped`, `Halted`.
    pub async fn reread(&self, tree: Frontier, through: u64) -> Result<Frontier> {
        let stopped = || self.core().refuses().unwrap_or(DriverError::Stopped);
        let (done, synced) = oneshot::channel();
        if !self.core().keeper.push(KeeperJob::Sync { done }) {
            return Err(stopped());
        }
        synced.await.map_err(|_| stopped())?;
        let ledger = self.shared.ledger.clone();
        let reading = tokio::task::spawn_blocking(move || proof::grow(&ledger, tree, through));
        reading.await.map_err(|_| DriverError::Stopped)?
    }

    /// The leaves of the whole ledger, with the root that the state names.
    async fn leaves(&self) -> Result<(Vec<Hash32>, Hash32)> {
        let record = self.shared.record.load_full().ok_or(DriverError::Joining)?;
        let (id, ledger, tail) = (self.id(), self.shared.ledger.clone(), self.shared.clone());
        let (size, root) = (record.revision(), record.ledger_root());
        let alone = self.shared.proving.clone().acquire_owned().await.map_err(|_| DriverError::Stopped)?;
        let reading = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let newest = |from: u64| tail.tail.read(from, usize::MAX).unwrap_or_default();
            let newest = |from: u64| newest(from).iter().map(|change| change.bytes.to_vec()).collect();
            proof::leaves(id, &ledger, newest, (size, root))
        });
        Ok((reading.await.map_err(|_| DriverError::Stopped)??, root))
    }

    /// The digest of the whole state with the revision it is of: equal on every node at the same revision. Walks the
    /// state, off the async threads.
    ///
    /// # Errors
    /// `Joining`, `Stopped`.
    pub async fn state_digest(&self) -> Result<(u64, Hash32)> {
        let record = self.shared.record.load_full().ok_or(DriverError::Joining)?;
        let digest = tokio::task::spawn_blocking(move || (record.revision(), record.digest()));
        digest.await.map_err(|_| DriverError::Stopped)
    }
}
