//! What can go wrong between a caller and a record.

use std::sync::Arc;

use shouwang_domain::ids::{CommandId, NodeId, RecordId};
use shouwang_domain::level::TooOld;
use shouwang_domain::refusal::Refusal;
use shouwang_replica::ReplicaError;
use shouwang_store::StoreError;
use thiserror::Error;

/// Everything a driver can refuse or fail with. `code()` is stable.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The deadline passed after the command was sent: it may or may not have happened.
    #[error("the deadline passed before the outcome of {id} was known; ask for its outcome by its id")]
    DeadlineExceeded {
        /// The command.
        id: CommandId,
    },
    /// The deadline passed and no leader was known: nothing was sent, nothing happened.
    #[error("no leader is known, nothing was sent; try again when the record is in touch with its quorum")]
    NoLeader,
    /// Too much waits here: nothing was taken.
    #[error("too many commands wait on this node; slow down and try again")]
    Busy,
    /// The disk of this node has no room for new entries: nothing was taken.
    #[error("the disk of this node is full; free space, writing resumes by itself")]
    DiskFull,
    /// The driver or the record is stopping.
    #[error("this node is stopping; go to another one")]
    Stopped,
    /// The record was halted on this node.
    #[error("the record is halted on this node: {reason}")]
    Halted {
        /// What was seen, and how to mend it.
        reason: String,
    },
    /// The record has this node in its group no longer: its member left, or the node was removed. Its copy stays readable.
    #[error("this node belongs to the record no longer; what it holds can be read, nothing can be asked")]
    Removed,
    /// The node has joined but holds no state yet.
    #[error("this node is joining the record and has no state of it yet; wait for its first checkpoint")]
    Joining,
    /// A command over its limit.
    #[error("the command has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The record dropped the batch: this node's key is not in force there, or the record's epoch has changed.
    #[error("the record does not accept what this node signs; check that its key is in the charter")]
    NotAccepted,
    /// Only the leader can do this.
    #[error("this node does not lead the record (leader: {leader:?}); ask there")]
    NotLeader {
        /// The leader it knows.
        leader: Option<NodeId>,
    },
    /// The revision asked for is not held here, or cannot be made again from what is.
    #[error("revision {revision} is not held here, the oldest is {oldest}")]
    OutOfRange {
        /// What was asked for.
        revision: u64,
        /// The oldest revision from which on there is no gap.
        oldest: u64,
    },
    /// A revision that has not happened here yet.
    #[error("there is no revision {revision} yet; the newest here is {newest}")]
    NotYet {
        /// What was asked for.
        revision: u64,
        /// The newest revision here.
        newest: u64,
    },
    /// The deadline passed while the past was being read: nothing was to change, and nothing did.
    #[error("the look took too long; allow more time, or ask for less")]
    TooSlow,
    /// The record is hosted already.
    #[error("record {id} is hosted already")]
    AlreadyHosted {
        /// The record.
        id: RecordId,
    },
    /// A founding document that contradicts itself.
    #[error("the founding document is refused: {0:?}")]
    Founding(Refusal),
    /// The record does not let another life, or another epoch, begin so. Nothing was changed.
    #[error("nothing was changed: {}", .0.en())]
    Refused(Refusal),
    /// What the disk gave back does not fit together.
    #[error("{what} of record {id} does not fit: {detail}")]
    Unfit {
        /// The record.
        id: RecordId,
        /// What was read.
        what: &'static str,
        /// What does not fit and how to mend it.
        detail: String,
    },
    /// This node has given its word for a rescue: it takes part in nothing of this epoch any more.
    #[error("this node has ended epoch {epoch} of record {id} for itself: finish the rescue, or join the new epoch")]
    EpochEnded {
        /// The record.
        id: RecordId,
        /// The epoch it stands in.
        epoch: u32,
    },
    /// The record is at a feature level that this node's program does not go along with.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// The others have gone on in a later epoch, by a rescue that this node was not part of.
    #[error(
        "the others go on in epoch {newest}, this node stands in {own}: stop it and run shouwang rescue stand, then rescue \
         rejoin"
    )]
    LeftBehind {
        /// The epoch this node stands in.
        own: u32,
        /// The newest that somebody of the group has spoken in.
        newest: u32,
    },
    /// A peer could not be asked.
    #[error("node {node}: {detail}")]
    Peer {
        /// The peer.
        node: NodeId,
        /// What happened.
        detail: String,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// Raft does not start from what the disk gave back.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(Arc<std::io::Error>),
}

impl DriverError {
    /// A stable word for this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DeadlineExceeded { .. } => "DEADLINE_EXCEEDED",
            Self::NoLeader => "NO_LEADER",
            Self::Busy => "BUSY",
            Self::DiskFull => "DISK_FULL",
            Self::Stopped => "STOPPED",
            Self::Halted { .. } => "HALTED",
            Self::Removed => "REMOVED",
            Self::Joining => "JOINING",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::NotAccepted => "NOT_ACCEPTED",
            Self::NotLeader { .. } => "NOT_LEADER",
            Self::OutOfRange { .. } => "OUT_OF_RANGE",
            Self::NotYet { .. } => "REVISION_NOT_YET",
            Self::TooSlow => "TOO_SLOW",
            Self::AlreadyHosted { .. } => "ALREADY_HOSTED",
            Self::Founding(_) => "FOUNDING_REFUSED",
            Self::Refused(refusal) => refusal.code(),
            Self::Unfit { .. } => "UNFIT",
            Self::EpochEnded { .. } => "RESCUE_PENDING",
            Self::TooOld(_) => TooOld::CODE,
            Self::LeftBehind { .. } => "LEFT_BEHIND",
            Self::Peer { .. } => "PEER",
            Self::Store(error) => error.code(),
            Self::Replica(_) => "RAFT",
            Self::Thread(_) => "THREAD",
        }
    }

    /// Why a record cannot be carried on here although nothing is damaged: another program wrote it. What it says is for
    /// people, in both languages.
    pub(crate) fn written_by_another(&self) -> Option<String> {
        let told = |zh: String| format!("{}: {zh} / {self}", self.code());
        match self {
            Self::TooOld(error) => Some(told(error.zh())),
            Self::Store(error) if matches!(**error, StoreError::CheckpointForeign { .. }) => Some(told(error.zh())),
            _ => None,
        }
    }

    /// Whether it is certain that a command proposed did not happen, so that it can be given a new id.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::DeadlineExceeded { .. } | Self::Stopped | Self::Halted { .. })
    }
}

impl From<StoreError> for DriverError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
