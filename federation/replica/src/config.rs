//! What a replica is started with: who it is, its timing and limits, and what the disk gave back.

use raft::eraftpb::{ConfState, Entry, HardState};

use crate::action::LogBase;
use crate::error::ReplicaError;
use crate::log_cache::entry_bytes;

/// Raft index of the founding state, which every record starts with as its first checkpoint. It is not 0, so that a
/// joining node can never be fed the log from its first entry and miss the founding membership, which is not in the log.
pub const GENESIS_INDEX: u64 = 1;
/// Term of the founding state.
pub const GENESIS_TERM: u64 = 1;

/// Who this replica is and within which bounds it works.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's Raft id within the record; never 0, never used again once removed.
    pub id: u64,
    /// Fingerprint of the record, for logs only.
    pub group: u64,
    /// Ticks, heartbeats, elections.
    pub timing: Timing,
    /// Bounds of everything that can grow.
    pub limits: Limits,
    /// Spreads the election timeouts and marks this start's reads. Must differ from start to start (a late answer to a
    /// read of the previous run must not match), and be repeated to repeat a simulated run.
    pub seed: u64,
    /// Raft index the state machine has durably reached.
    pub applied: u64,
}

/// The clock of a replica, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Length of one tick, in milliseconds; kept by whoever sends `Input::Tick`.
    pub tick_ms: u32,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_ticks: u32,
    /// Shortest silence of a leader before an election, in ticks; each wait is drawn from `[this, 2 × this)`.
    pub election_ticks: u32,
}

impl Timing {
    /// One site: heartbeat 100 ms, election after 0.5–1 s. Ten times a slow synced append (p99 35 ms) fits.
    pub const fn lan() -> Self {
        Self { tick_ms: 50, heartbeat_ticks: 2, election_ticks: 10 }
    }

    /// Between cities: heartbeat 500 ms, election after 5–10 s.
    pub const fn wan() -> Self {
        Self { tick_ms: 100, heartbeat_ticks: 5, election_ticks: 50 }
    }
}

/// Bounds of everything that can grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest proposal, in bytes.
    pub max_entry_bytes: u64,
    /// Entries per append message, in bytes; one entry always fits.
    pub max_message_bytes: u64,
    /// Append messages on their way to one peer.
    pub max_inflight_messages: usize,
    /// Proposed but not yet committed, in bytes; beyond, proposals are refused as `Full`.
    pub max_uncommitted_bytes: u64,
    /// Reads waiting for their index; beyond, they are refused.
    pub max_pending_reads: usize,
    /// The log held in memory; beyond, proposals are refused as `Full` until a checkpoint allowed compaction.
    pub max_log_bytes_in_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entry_bytes: 1 << 20,
            max_message_bytes: 1 << 20,
            max_inflight_messages: 256,
            max_uncommitted_bytes: 16 << 20,
            max_pending_reads: 4096,
            max_log_bytes_in_memory: 256 << 20,
        }
    }
}

/// The position and membership of a checkpoint; the data itself stays with the driver.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Raft index of the last entry it contains.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Membership as of that entry.
    pub conf_state: ConfState,
}

/// What the disk gave back.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Term, vote and commit as last persisted.
    pub hard_state: HardState,
    /// Membership as the log notes it; empty for a node that has yet to join. A newer checkpoint knows better.
    pub conf_state: ConfState,
    /// Raft index of the entry that made `conf_state`. Membership entries up to it are not carried out a second time.
    pub conf_index: u64,
    /// Compaction point of the log.
    pub base: LogBase,
    /// The log behind it, without a hole.
    pub entries: Vec<Entry>,
    /// The newest verified checkpoint, if there is one.
    pub checkpoint: Option<Checkpoint>,
}

impl Restored {
    /// A founding member: everyone who founds the record starts with the same membership, `Config::applied` is
    /// [`GENESIS_INDEX`], and the founding state is the checkpoint at that index.
    pub fn founding(conf_state: ConfState) -> Self {
        let mut hard_state = HardState::default();
        hard_state.set_term(GENESIS_TERM);
        hard_state.set_commit(GENESIS_INDEX);
        Self {
            hard_state,
            conf_state: conf_state.clone(),
            conf_index: GENESIS_INDEX,
            base: LogBase { index: GENESIS_INDEX, term: GENESIS_TERM },
            entries: Vec::new(),
            checkpoint: Some(Checkpoint { index: GENESIS_INDEX, term: GENESIS_TERM, conf_state }),
        }
    }

    /// A node that holds nothing and waits for a leader to send it a checkpoint; `Config::applied` is 0.
    pub fn joining() -> Self {
        Self::default()
    }

    /// Raft index of the last entry, or of the base.
    pub fn last_index(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    /// The checkpoint's membership, if the log's note of it is older: the note is written beside the applying of its entry,
    /// so a power cut can leave a durable checkpoint behind that entry and take the note.
    pub(crate) fn take_newest_membership(&mut self) {
        if let Some(Checkpoint { index, conf_state, .. }) =
            self.checkpoint.as_ref().filter(|cp| cp.index > self.conf_index)
        {
            (self.conf_index, self.conf_state) = (*index, conf_state.clone());
        }
    }

    /// Lifts the commit index over what is known to be applied.
    pub(crate) fn hard_state_at(&self, applied: u64) -> HardState {
        let mut hard_state = self.hard_state.clone();
        hard_state.set_commit(hard_state.get_commit().max(applied).max(self.base.index));
        hard_state
    }

    /// Whether this can be started from with `applied`.
    pub(crate) fn check(&self, applied: u64) -> Result<(), ReplicaError> {
        let (mut index, mut term) = (self.base.index, self.base.term);
        for entry in &self.entries {
            if entry.get_index() != index + 1 || entry.get_term() < term {
                return Err(ReplicaError::LogHole { after: index, found: entry.get_index() });
            }
            (index, term) = (entry.get_index(), entry.get_term());
        }
        if index < applied {
            return Err(ReplicaError::LogBehindApplied { last: index, applied });
        }
        if index < self.hard_state.get_commit() {
            return Err(ReplicaError::LogBehindCommit { last: index, commit: self.hard_state.get_commit() });
        }
        if applied < self.base.index {
            return Err(ReplicaError::StateBehindLog { applied, base: self.base.index });
        }
        if term > self.hard_state.get_term() {
            return Err(ReplicaError::TermBehindLog { term: self.hard_state.get_term(), last: term });
        }
        if self.base.index == 0 && !self.conf_state.get_voters().is_empty() {
            return Err(ReplicaError::NoFounding);
        }
        Ok(())
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.entries.iter().map(entry_bytes).sum()
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ReplicaError> {
        let (timing, limits) = (&self.timing, &self.limits);
        let reason = if self.id == 0 {
            "id must not be 0"
        } else if timing.tick_ms == 0 || timing.heartbeat_ticks == 0 {
            "tick_ms and heartbeat_ticks must not be 0"
        } else if timing.election_ticks < 4 * timing.heartbeat_ticks {
            "election_ticks must be at least 4 × heartbeat_ticks, or one lost heartbeat starts an election"
        } else if limits.max_inflight_messages == 0 || limits.max_entry_bytes == 0 || limits.max_message_bytes == 0 {
            "max_entry_bytes, max_message_bytes and max_inflight_messages must not be 0"
        } else if limits.max_uncommitted_bytes < limits.max_message_bytes.max(limits.max_entry_bytes) {
            "max_uncommitted_bytes must not be less than max_message_bytes and max_entry_bytes"
        } else {
            return Ok(());
        };
        Err(ReplicaError::Config { reason: reason.to_owned() })
    }

    pub(crate) fn raft(&self) -> raft::Config {
        raft::Config {
            id: self.id,
            election_tick: self.timing.election_ticks as usize,
            heartbeat_tick: self.timing.heartbeat_ticks as usize,
            applied: self.applied,
            max_size_per_msg: self.limits.max_message_bytes,
            max_inflight_msgs: self.limits.max_inflight_messages,
            check_quorum: true,
            pre_vote: true,
            read_only_option: raft::ReadOnlyOption::Safe,
            batch_append: true,
            // It is told with what goes out next, or by `Input::TellCommit`.
            skip_bcast_commit: true,
            max_uncommitted_size: self.limits.max_uncommitted_bytes,
            // Raft's own list of them is not used (`Replica::hand_out`), but it makes one.
            max_committed_size_per_ready: self.limits.max_uncommitted_bytes,
            ..raft::Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::conf_state_from;

    fn config() -> Config {
        Config { id: 1, group: 7, timing: Timing::lan(), limits: Limits::default(), seed: 1, applied: 0 }
    }

    #[test]
    fn timing_profiles_and_default_limits_are_accepted() {
        for timing in [Timing::lan(), Timing::wan()] {
            let config = Config { timing, ..config() };
            config.check().unwrap();
            config.raft().validate().unwrap();
        }
    }

    #[test]
    fn senseless_configurations_are_refused() {
        let cases: [fn(&mut Config); 5] = [
            |c| c.id = 0,
            |c| c.timing.tick_ms = 0,
            |c| c.timing.election_ticks = 3 * c.timing.heartbeat_ticks,
            |c| c.limits.max_inflight_messages = 0,
            |c| c.limits.max_uncommitted_bytes = c.limits.max_entry_bytes - 1,
        ];
        for (n, spoil) in cases.iter().enumerate() {
            let mut config = config();
            spoil(&mut config);
            assert!(config.check().is_err(), "case {n}");
        }
    }

    #[test]
    fn a_log_that_does_not_fit_its_state_is_named() {
        let entry = |index, term| {
            let mut e = Entry::default();
            e.set_index(index);
            e.set_term(term);
            e
        };
        let founding = || Restored::founding(conf_state_from([1], []));
        let mut long = founding();
        long.entries = vec![entry(2, 1), entry(3, 1)];
        assert_eq!(long.check(3), Ok(()));
        assert_eq!(long.hard_state_at(3).get_commit(), 3);
        assert_eq!(long.check(4), Err(ReplicaError::LogBehindApplied { last: 3, applied: 4 }));
        assert_eq!(long.check(0), Err(ReplicaError::StateBehindLog { applied: 0, base: 1 }));
        long.hard_state.set_commit(9);
        assert_eq!(long.check(3), Err(ReplicaError::LogBehindCommit { last: 3, commit: 9 }));

        let mut hole = founding();
        hole.entries = vec![entry(3, 1)];
        assert_eq!(hole.check(1), Err(ReplicaError::LogHole { after: 1, found: 3 }));
        let mut ahead = founding();
        ahead.entries = vec![entry(2, 5)];
        assert_eq!(ahead.check(1), Err(ReplicaError::TermBehindLog { term: 1, last: 5 }));
        let mut no_base = founding();
        no_base.base = LogBase::default();
        no_base.hard_state.set_commit(0);
        assert_eq!(no_base.check(0), Err(ReplicaError::NoFounding));
        assert_eq!(Restored::joining().check(0), Ok(()));
    }
}
