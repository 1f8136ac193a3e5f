//! The log as raft sees it: everything behind the compaction base, in memory.
//!
//! Entries show up here at once, before they are durable; what may be promised about them is decided elsewhere.

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};

use crate::action::LogBase;
use crate::config::{Checkpoint, Restored};
use crate::membership::is_member;

/// What an entry's headers add to its bytes, in memory and on the wire, roughly.
const ENTRY_OVERHEAD_BYTES: u64 = 32;

pub(crate) fn entry_bytes(entry: &Entry) -> u64 {
    ENTRY_OVERHEAD_BYTES + entry.get_data().len() as u64 + entry.get_context().len() as u64
}

pub(crate) struct LogCache {
    initial: (HardState, ConfState),
    base: LogBase,
    entries: VecDeque<Entry>,
    bytes: u64,
    checkpoint: Option<Checkpoint>,
    /// Raft asked for a checkpoint there is none of: for whom, of which index at least. A cell, as raft only shares us.
    needed: Cell<Option<(u64, u64)>>,
}

impl LogCache {
    pub fn new(restored: Restored, applied: u64) -> Self {
        Self {
            initial: (restored.hard_state_at(applied), restored.conf_state.clone()),
            base: restored.base,
            bytes: restored.log_bytes(),
            entries: restored.entries.into(),
            checkpoint: restored.checkpoint,
            needed: Cell::new(None),
        }
    }

    pub fn base(&self) -> LogBase {
        self.base
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn last(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Takes a newer checkpoint; an older one is of no use.
    pub fn set_checkpoint(&mut self, checkpoint: Checkpoint) {
        if self.checkpoint.as_ref().is_none_or(|held| held.index < checkpoint.index) {
            self.checkpoint = Some(checkpoint);
        }
    }

    pub fn take_needed(&mut self) -> Option<(u64, u64)> {
        self.needed.take()
    }

    /// Appends, replacing what is held from the first new index on.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first().map(Entry::get_index) else { return };
        assert!(first > self.base.index && first <= self.last() + 1, "raft appends {first} to {}", self.last());
        while self.last() >= first {
            if let Some(gone) = self.entries.pop_back() {
                self.bytes -= entry_bytes(&gone);
            }
        }
        self.bytes += entries.iter().map(entry_bytes).sum::<u64>();
        self.entries.extend(entries.iter().cloned());
    }

    /// Begins anew behind an installed checkpoint.
    pub fn reset(&mut self, checkpoint: Checkpoint) {
        self.base = LogBase { index: checkpoint.index, term: checkpoint.term };
        self.entries.clear();
        self.bytes = 0;
        self.set_checkpoint(checkpoint);
    }

    /// Drops entries up to and with `index`; `None` if there is nothing to drop.
    pub fn compact(&mut self, index: u64) -> Option<LogBase> {
        let index = index.min(self.last());
        if index <= self.base.index {
            return None;
        }
        while self.base.index < index {
            let Some(gone) = self.entries.pop_front() else { break };
            self.base = LogBase { index: gone.get_index(), term: gone.get_term() };
            self.bytes -= entry_bytes(&gone);
        }
        Some(self.base)
    }

    fn at(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.base.index + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }
}

impl Storage for LogCache {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.initial.0.clone(), self.initial.1.clone()))
    }

    fn entries(&self, low: u64, high: u64, max: impl Into<Option<u64>>, _: GetEntriesContext) -> Result<Vec<Entry>> {
        if low <= self.base.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        let max = max.into().unwrap_or(u64::MAX);
        let (mut found, mut bytes) = (Vec::new(), 0_u64);
        for index in low..high {
            let entry = self.at(index).ok_or(Error::Store(StorageError::Unavailable))?;
            bytes = bytes.saturating_add(entry_bytes(entry));
            // One entry always goes, or a large one would never be replicated.
            if bytes > max && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base.index {
            return Ok(self.base.term);
        }
        if index < self.base.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.at(index).map(Entry::get_term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.base.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> Result<Snapshot> {
        let at_least = request_index.max(self.base.index);
        let Some(held) = &self.checkpoint else {
            self.needed.set(Some((to, at_least)));
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        };
        // A checkpoint older than the peer's membership would be ignored by the peer, for ever.
        if held.index < at_least || !is_member(&held.conf_state, to) {
            self.needed.set(Some((to, at_least.max(held.index + 1))));
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let meta = snapshot.mut_metadata();
        meta.set_index(held.index);
        meta.set_term(held.term);
        meta.set_conf_state(held.conf_state.clone());
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::conf_state_from;

    fn entry(index: u64, term: u64, len: usize) -> Entry {
        let mut e = Entry::default();
        e.set_index(index);
        e.set_term(term);
        e.set_data(vec![7; len].into());
        e
    }

    fn cache() -> LogCache {
        let mut cache = LogCache::new(Restored::founding(conf_state_from([1, 2], [])), 1);
        cache.append(&[entry(2, 1, 10), entry(3, 1, 10), entry(4, 2, 10)]);
        cache
    }

    fn read(cache: &LogCache, low: u64, high: u64, max: Option<u64>) -> Vec<u64> {
        let context = GetEntriesContext::empty(false);
        cache.entries(low, high, max, context).unwrap().iter().map(Entry::get_index).collect()
    }

    #[test]
    fn reads_are_bounded_but_never_empty() {
        let cases: [(u64, u64, Option<u64>, &[u64]); 5] = [
            (2, 5, None, &[2, 3, 4]),
            (2, 5, Some(84), &[2, 3]),
            (2, 5, Some(83), &[2]),
            (3, 5, Some(0), &[3]),
            (4, 4, None, &[]),
        ];
        for (low, high, max, expected) in cases {
            assert_eq!(read(&cache(), low, high, max), expected, "{low}..{high} within {max:?}");
        }
    }

    #[test]
    fn append_replaces_the_tail_and_counts_bytes() {
        let mut cache = cache();
        assert_eq!(cache.bytes(), 3 * 42);
        cache.append(&[entry(3, 3, 0)]);
        assert_eq!((cache.last(), cache.bytes()), (3, 42 + 32));
        assert_eq!(cache.term(3).unwrap(), 3);
        assert!(cache.term(4).is_err());
    }

    #[test]
    fn compaction_keeps_the_term_of_the_base() {
        let mut cache = cache();
        assert_eq!(cache.compact(1), None);
        assert_eq!(cache.compact(3), Some(LogBase { index: 3, term: 1 }));
        assert_eq!((cache.term(3).unwrap(), cache.bytes(), cache.first_index().unwrap()), (1, 42, 4));
        assert!(cache.term(2).is_err());
        assert_eq!(cache.compact(99), Some(LogBase { index: 4, term: 2 }));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn a_checkpoint_is_offered_only_to_those_it_helps() {
        let mut cache = cache();
        assert_eq!(cache.snapshot(0, 2).unwrap().get_metadata().get_index(), 1);
        assert!(cache.snapshot(0, 9).is_err(), "9 is no member in the checkpoint");
        assert_eq!(cache.take_needed(), Some((9, 2)));
        cache.compact(3);
        assert!(cache.snapshot(0, 2).is_err(), "older than the base");
        assert_eq!(cache.take_needed(), Some((2, 3)));
        cache.set_checkpoint(Checkpoint { index: 3, term: 1, conf_state: conf_state_from([1, 2], [9]) });
        assert_eq!(cache.snapshot(0, 9).unwrap().get_metadata().get_index(), 3);
    }
}
