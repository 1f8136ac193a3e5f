//! What can happen to a replica.

use bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, ConfState, Message};

/// One thing that happened. The order of inputs is the only time a replica knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// `Timing::tick_ms` have passed.
    Tick,
    /// A message of an authenticated peer; `from` has been checked against its certificate.
    Message(Box<Message>),
    /// Appends an entry, if this is the leader. Answered by `Proposed` or `Refused`. Empty data is refused: raft's own
    /// empty entries could not be told from it.
    Propose {
        /// Chosen by the caller, comes back in the answer.
        ticket: u64,
        /// The entry.
        data: Bytes,
    },
    /// Appends a change of membership, if this is the leader. Answered by `Proposed` or `Refused`.
    ProposeConfChange {
        /// Chosen by the caller, comes back in the answer.
        ticket: u64,
        /// See [`crate::conf_change`].
        change: ConfChangeV2,
    },
    /// All `Persist` actions up to this number are carried out, synced where they had to be.
    Persisted {
        /// Of the newest of them.
        number: u64,
    },
    /// The state machine has applied everything up to here. It counts for compaction and elections; a membership entry
    /// that has not had its `ConfChangeApplied` holds it back.
    Applied {
        /// Raft index.
        index: u64,
    },
    /// The state machine has applied the membership entry at `index`.
    ConfChangeApplied {
        /// Raft index of the entry.
        index: u64,
        /// Whether the state machine agrees. If not, the entry changes nothing. Leaving a joint membership follows from
        /// having entered it and is carried out in any case.
        accepted: bool,
    },
    /// Tells the others how far is committed, if they have not heard ([`crate::Replica::owes_commit`]).
    TellCommit,
    /// Asks for the index a linearizable read must wait for, on any member. Answered by `ReadReady` or, after two election
    /// timeouts at most, `ReadRefused`. One ticket can stand for all reads that wait in the driver.
    ReadIndex {
        /// Chosen by the caller, comes back in the answer.
        ticket: u64,
    },
    /// Hands the lead to another voter, if this is the leader.
    TransferLeader {
        /// Its id.
        to: u64,
    },
    /// Messages to this peer were lost or cannot be sent.
    PeerUnreachable {
        /// Its id.
        id: u64,
    },
    /// At this peer's address nobody listens any more, says the machine there: its process has ended. A word that is wrong
    /// costs nothing but an election that the others do not join.
    PeerGone {
        /// Its id.
        id: u64,
    },
    /// How a `SendCheckpoint` ended. Must always come: nothing else is sent to the peer until then.
    SnapshotStatus {
        /// The peer.
        id: u64,
        /// Whether it has the file.
        ok: bool,
    },
    /// A checkpoint was taken, verified and synced; it can be sent to others and the log behind it can go. Take none while
    /// the state machine is below `Status::conf_index` (after a restart): the membership of that point is not known then.
    CheckpointReady {
        /// Raft index of the last entry in it.
        index: u64,
        /// Term of that entry.
        term: u64,
        /// Membership as of that entry.
        conf_state: ConfState,
    },
    /// The log up to and with this index is not needed any more. Goes no further than what is applied and checkpointed, and
    /// on a leader, within half of the memory for logs, not over what a live peer still needs; the rest goes when it can.
    Compact {
        /// Raft index.
        index: u64,
    },
    /// The file asked for by `WantCheckpoint` is received, verified, synced – and only *staged*: `InstallCheckpoint` says
    /// when, if ever, it becomes the state.
    CheckpointReceived {
        /// Raft index of the last entry in it.
        index: u64,
        /// Term of that entry.
        term: u64,
        /// Membership as of that entry.
        conf_state: ConfState,
    },
    /// Starts an election now, if this node may.
    Campaign,
    /// Whether this node is fit to lead (clock close to its peers', room on the disk). If not, it neither campaigns nor
    /// keeps the lead where another voter can take it; it goes on voting and following.
    MayCampaign(bool),
}
