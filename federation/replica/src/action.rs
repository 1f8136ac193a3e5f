//! What a replica asks of its driver.

use bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, ConfState, Entry, HardState, Message};

/// The compaction point of a log: its first entry, if any, has `index + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogBase {
    /// Raft index of the last entry that is no longer held.
    pub index: u64,
    /// Its term.
    pub term: u64,
}

/// One thing to do. Actions are carried out in order of their list; `Persist` and `Apply` may run beside each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Put these on the wire now; losing one is allowed. A `MsgSnapshot` among them carries no data and is small.
    Send(Vec<Message>),
    /// Write this to the log.
    Persist(Persist),
    /// Feed these to the state machine, in order; each index comes once per start. They may be ahead of what is
    /// [persisted](crate::Replica::persisted) here: a checkpoint of them must wait for it.
    Apply(Vec<Committed>),
    /// A proposal was appended. It is committed if, and only if, the entry applied at `index` has this `term`; with a
    /// change of leader its fate is unknown until then.
    Proposed {
        /// Of the proposal.
        ticket: u64,
        /// Its Raft index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// A proposal was not appended.
    Refused {
        /// Of the proposal.
        ticket: u64,
        /// Why.
        reason: RefusalReason,
    },
    /// The read may be served as soon as the state machine has applied `index`.
    ReadReady {
        /// Of the read.
        ticket: u64,
        /// Raft index.
        index: u64,
    },
    /// No quorum answered for this read in time, or too many wait.
    ReadRefused {
        /// Of the read.
        ticket: u64,
    },
    /// Role, term or known leader changed.
    RoleChanged {
        /// Role of this node.
        role: Role,
        /// Its term.
        term: u64,
        /// The leader it knows.
        leader: Option<u64>,
    },
    /// Membership in force from the entry at `index` on; the `Persist` beside it carries it to the log.
    ConfState {
        /// Raft index of the entry that made it.
        index: u64,
        /// Sorted by id.
        conf_state: ConfState,
    },
    /// Leader: the peer needs the checkpoint file of this index. Answer with `SnapshotStatus` in any case.
    SendCheckpoint {
        /// The peer.
        to: u64,
        /// Raft index of the checkpoint.
        index: u64,
    },
    /// Follower: get the file from this peer; may be asked for again while it is on its way, but not between its
    /// `CheckpointReceived` and the `Applied` that follows its installation.
    WantCheckpoint {
        /// The leader that holds it.
        from: u64,
        /// Raft index of the checkpoint.
        index: u64,
        /// Its term.
        term: u64,
        /// Its membership, to be checked against the file.
        conf_state: ConfState,
    },
    /// Follower: the log now begins behind this checkpoint, durably; the staged file becomes the state. Applies that
    /// follow begin at `index + 1`.
    InstallCheckpoint {
        /// Raft index of the checkpoint.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Leader: `to` can only be served by a checkpoint of at least this index. Repeated while it lasts.
    NeedCheckpoint {
        /// The peer.
        to: u64,
        /// Raft index.
        at_least: u64,
    },
    /// The log in memory now begins here; the log on disk may follow.
    Compacted(LogBase),
    /// A leader rightly relies on something this log does not hold: it has forgotten what it acknowledged. Halt the
    /// record; the node must leave and join under a new id.
    Damaged {
        /// What was seen.
        detail: String,
    },
}

/// One atomic log record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Persist {
    /// Grows by one; `Input::Persisted` names it.
    pub number: u64,
    /// All held entries go and the log restarts behind this base.
    pub reset_to: Option<LogBase>,
    /// Entries without a hole; whatever the log holds from the first of them on is replaced.
    pub entries: Vec<Entry>,
    /// Term, vote and commit, if they changed. That more is committed waits for the next write, or the next tick.
    pub hard_state: Option<HardState>,
    /// Membership and the Raft index that made it, if it changed. Keep both.
    pub conf_state: Option<(u64, ConfState)>,
    /// Whether it must survive a power cut before it counts as persisted. If not, nothing waits for it.
    pub must_sync: bool,
}

/// An entry that is committed; it may not be persisted here yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Raft index.
    pub index: u64,
    /// Term it was proposed in.
    pub term: u64,
    /// What it is.
    pub kind: CommittedKind,
}

/// What a committed entry is.
#[derive(Debug, Clone, PartialEq)]
pub enum CommittedKind {
    /// A proposal's bytes.
    Normal(Bytes),
    /// A change of membership; to be answered with `Input::ConfChangeApplied`. Without changes it leaves a joint membership.
    Conf(ConfChangeV2),
    /// Nothing: a new leader's first entry.
    Empty,
}

/// Why a proposal was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// Another node leads, or none.
    NotLeader {
        /// Whom to ask instead.
        leader: Option<u64>,
    },
    /// Too much is uncommitted, or the log in memory is at its limit; try again later.
    Full,
    /// Larger than `Limits::max_entry_bytes`, or empty.
    BadSize,
    /// The lead is being handed over; try again later.
    Transferring,
    /// Another change of membership is on its way; try again later.
    ConfChangePending,
    /// The change does not fit the membership: a voter must be a learner first, one voter must stay.
    ImpossibleChange,
}

/// What a node is in its record at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Receives everything, votes on nothing; also a node that has yet to join.
    Learner,
    /// A voter that follows, or waits for a leader.
    Follower,
    /// Asks whether an election would succeed.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}
