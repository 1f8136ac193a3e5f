//! What a record tells about itself.

use std::time::Duration;

use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::time::Timestamp;
use shouwang_replica::{PeerStatus, Role};

use crate::index::Indexed;

/// The synced writes of the node's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStats {
    /// How many there were.
    pub syncs: u64,
    /// Their mean duration, microseconds.
    pub mean_us: u64,
    /// The longest, microseconds.
    pub max_us: u64,
    /// Whether new entries are refused for want of room.
    pub disk_full: bool,
}

/// Whether a node is in touch, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Heard lately, by this node or by the leader it follows.
    InTouch,
    /// Not heard for a while; this node itself: not in touch with the quorum.
    Silent,
    /// Nobody who could know has told this node lately.
    Unknown,
}

/// When a node was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How long ago, at most.
    pub ago: Duration,
    /// Who heard it: this node, or a leader that told so.
    pub by: NodeId,
}

/// How a node of the group is in touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The node.
    pub node: NodeId,
    /// Whether it is in touch.
    pub touch: Touch,
    /// When it was last heard; none for this node itself, and for one that nobody has heard since this node started.
    pub heard: Option<Heard>,
}

/// A record on this node at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordStatus {
    /// The record.
    pub id: RecordId,
    /// Its machine: `registry` or `region`.
    pub machine: &'static str,
    /// This node.
    pub node: NodeId,
    /// What it is in the record's group.
    pub role: Role,
    /// Raft term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// Whether it is in touch with the quorum.
    pub in_touch: bool,
    /// How long ago it last heard from the leader (or, leading, from the quorum).
    pub last_heard: Duration,
    /// Raft index known to be committed.
    pub commit: u64,
    /// Raft index applied.
    pub applied: u64,
    /// Raft index durable here.
    pub persisted: u64,
    /// First Raft index still in the log.
    pub first_index: u64,
    /// Raft index of the newest checkpoint.
    pub checkpoint: u64,
    /// Ledger records so far; 0 while joining.
    pub revision: u64,
    /// Record time.
    pub time: Timestamp,
    /// The oldest revision held without a gap.
    pub oldest_revision: u64,
    /// How far the index of the ledger is.
    pub indexed: Indexed,
    /// The voters, by Raft id.
    pub voters: Vec<u64>,
    /// The learners.
    pub learners: Vec<u64>,
    /// The voters on their way out, while a change of several members is under way.
    pub voters_outgoing: Vec<u64>,
    /// Who of the group is in touch, in the order of node ids, this node among them.
    pub contacts: Vec<Contact>,
    /// How far the other members are, if this node leads.
    pub peers: Vec<PeerStatus>,
    /// Commands waiting for a place in a batch.
    pub queued_commands: usize,
    /// Why the record is halted here, if it is.
    pub halted: Option<String>,
    /// The record has this node in its group no longer.
    pub removed: bool,
    /// The epoch in which the others have gone on without this node, if they have.
    pub left_behind: Option<u32>,
    /// How many times all of the ledger and the checkpoints were read and checked since the start.
    pub scrubbed: u64,
    /// The highest feature level that this node goes along with.
    pub level_max: u32,
    /// The node's synced writes.
    pub sync: SyncStats,
}
