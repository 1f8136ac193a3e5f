//! Why a replica cannot start.

use thiserror::Error;

/// What a replica can fail with. Once it runs it does not fail: it refuses, or reports `Action::Damaged`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplicaError {
    /// The configuration makes no sense.
    #[error("replica configuration: {reason}")]
    Config {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The log ends before what the state machine has applied: acknowledged entries are lost.
    #[error(
        "the log ends at {last} but the state has applied {applied}: the log is damaged; \
         remove this node and let it join under a new id"
    )]
    LogBehindApplied {
        /// Last index of the log.
        last: u64,
        /// Index the state machine has reached.
        applied: u64,
    },
    /// The log ends before its own commit index: acknowledged entries are lost.
    #[error(
        "the log ends at {last} but knows {commit} as committed: the log is damaged; \
         remove this node and let it join under a new id"
    )]
    LogBehindCommit {
        /// Last index of the log.
        last: u64,
        /// Persisted commit index.
        commit: u64,
    },
    /// The state ends before the log begins: entries between them are gone.
    #[error(
        "the state has applied {applied} but the log begins after {base}: \
         restore a checkpoint of at least {base} (a staged one counts)"
    )]
    StateBehindLog {
        /// Index the state machine has reached.
        applied: u64,
        /// Compaction point of the log.
        base: u64,
    },
    /// Entries do not follow one another, or their terms fall.
    #[error(
        "the log has a hole: entry {after} is followed by {found}; remove this node and let it join under a new id"
    )]
    LogHole {
        /// The last good index.
        after: u64,
        /// The index found behind it.
        found: u64,
    },
    /// The hard state is older than the log: a vote may be forgotten.
    #[error(
        "the hard state is of term {term} but the log has entries of term {last}: a vote may be lost; \
         remove this node and let it join under a new id"
    )]
    TermBehindLog {
        /// Persisted term.
        term: u64,
        /// Term of the last entry.
        last: u64,
    },
    /// A membership without a founding checkpoint: joining nodes could not learn the founders.
    #[error("a record with members must begin behind a founding checkpoint; start from Restored::founding")]
    NoFounding,
    /// Raft itself refused to start.
    #[error("raft does not start from the restored state: {reason}")]
    Raft {
        /// Its words.
        reason: String,
    },
}
