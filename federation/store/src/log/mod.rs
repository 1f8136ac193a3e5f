//! The Raft log and hard state of every record of a node, behind one trait: one log, one sync for all.

mod disk_files;
mod engine;
mod held;
mod memory;
mod recovery;
mod sim;
mod tail;

use std::fmt;

pub use engine::{DIR, EngineLog, EngineLogOptions};
pub use memory::{MemoryLog, UnreadableLog};
pub use raft_proto::eraftpb::{ConfState, Entry, HardState};
pub use sim::{SimLog, SimLogFault};

use crate::error::{Result, StoreError};

/// Most records one node's log can hold.
pub const MAX_SLOTS: usize = 1024;

/// Which record on this node. Never reused on one node for another record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordSlot(pub u64);

impl fmt::Display for RecordSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record slot {}", self.0)
    }
}

/// The compaction point of a log: its first entry, if any, has `index + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogBase {
    /// Raft index of the last entry that is no longer held.
    pub index: u64,
    /// Its term.
    pub term: u64,
}

/// Where a log ends: enough to see that it once was longer or different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Number of the node's write that last touched this log, votes included; grows with every write.
    pub write: u64,
    /// Raft index of the last entry, or of the base if there is none.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// Checksum over everything the log holds: hard state, membership, base and entries.
    pub crc: u32,
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {} (write {}, crc {:08x})", self.index, self.term, self.write, self.crc)
    }
}

/// A log as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoadedLog {
    /// Term, vote and commit as last written; the default if none was.
    pub hard_state: HardState,
    /// Voters and learners as last written; the default if none was.
    pub conf_state: ConfState,
    /// Raft index of the entry that made `conf_state`; 0 if none was written.
    pub conf_index: u64,
    /// The compaction point.
    pub base: LogBase,
    /// All entries, the first at `base.index + 1`, without a hole.
    pub entries: Vec<Entry>,
}

impl LoadedLog {
    /// Raft index of the last entry, or of the base.
    pub fn last_index(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }
}

/// What one record adds to the log. All of one call's writes become durable together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct LogWrite {
    /// The record.
    pub slot: RecordSlot,
    /// Entries without a hole; what the log holds from the first of them on is dropped.
    pub entries: Vec<Entry>,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The new membership with the Raft index of the entry that made it, if it changed.
    pub conf_state: Option<(u64, ConfState)>,
    /// The log restarts behind an installed checkpoint: all entries held are dropped, `entries` follow this base.
    pub reset_to: Option<LogBase>,
}

impl LogWrite {
    /// A write for `slot` that changes nothing yet.
    pub fn new(slot: RecordSlot) -> Self {
        Self { slot, entries: Vec::new(), hard_state: None, conf_state: None, reset_to: None }
    }
}

/// The Raft logs of a node. Calls block; one thread writes, any may load.
pub trait LogStore: Send + Sync {
    /// The records that have a log here, in order, damaged ones included.
    fn slots(&self) -> Vec<RecordSlot>;

    /// The whole log of a record, `None` if nothing was ever written.
    ///
    /// # Errors
    /// `LogDamaged` if it ends before what was synced, `LogCorrupt` if it cannot be read.
    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>>;

    /// What of a log can be read, damaged or not: everything before the first entry that cannot. It is not the log; what
    /// a record has promised may be missing.
    ///
    /// # Errors
    /// As `load` if not even that can be read.
    fn salvage(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        self.load(slot)
    }

    /// Compacts a log of which entries cannot be read to `base`, if all that cannot lie up to it: what is in a verified
    /// checkpoint is not needed. No effect on a whole log.
    ///
    /// # Errors
    /// The damage if more is damaged; else as `compact`.
    fn forgive(&self, slot: RecordSlot, base: LogBase) -> Result<()> {
        let _ = base;
        self.load(slot).map(drop)
    }

    /// Writes one atomic batch and syncs it: when this returns, it survives a power cut.
    ///
    /// # Errors
    /// `Full` and `Invalid` change nothing; `SyncFailed` and `Poisoned` mean the process must stop.
    fn write(&self, writes: &[LogWrite]) -> Result<()>;

    /// The same without the sync, for a Ready without `must_sync`: a crash may lose it, but never a part of it.
    ///
    /// # Errors
    /// As `write`.
    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<()>;

    /// Drops the entries up to and with `base.index`; no effect if they are gone already. Not synced: a crash may
    /// bring them back.
    ///
    /// # Errors
    /// `Invalid` if the log does not reach `base.index`; else as `write`.
    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<()>;

    /// Forgets a record's log, damaged or not; synced. No error if there is none.
    ///
    /// # Errors
    /// As `write`.
    fn remove(&self, slot: RecordSlot) -> Result<()>;

    /// Gives space of dropped entries back to the disk. Call it now and then (each minute), off the write path.
    ///
    /// # Errors
    /// `LogCorrupt`, `Io` or `Full` if the files cannot be rewritten.
    fn purge(&self) -> Result<()>;
}

/// The part of a log's state that decides whether a write fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub base: LogBase,
    pub last: u64,
}

impl Span {
    /// The span after `write`, or why it does not fit.
    pub fn after(self, write: &LogWrite) -> Result<Self> {
        let mut span = match write.reset_to {
            Some(base) => Self { base, last: base.index },
            None => self,
        };
        let Some(first) = write.entries.first() else { return Ok(span) };
        let slot = write.slot;
        if first.index <= span.base.index {
            let base = span.base.index;
            return Err(StoreError::Invalid(format!("entry {} of {slot} is compacted (base {base})", first.index)));
        }
        if first.index > span.last + 1 {
            return Err(StoreError::Invalid(format!(
                "entry {} of {slot} leaves a hole after {}",
                first.index, span.last
            )));
        }
        if let Some(pair) = write.entries.windows(2).find(|p| p[1].index != p[0].index + 1) {
            return Err(StoreError::Invalid(format!(
                "entries {}, {} of {slot} in a row",
                pair[0].index, pair[1].index
            )));
        }
        span.last = first.index + write.entries.len() as u64 - 1;
        Ok(span)
    }

    /// Whether compacting to `base` changes anything, or why it does not fit.
    pub fn compacts_to(self, slot: RecordSlot, base: LogBase) -> Result<bool> {
        if base.index > self.last {
            let last = self.last;
            return Err(StoreError::Invalid(format!("compaction of {slot} to {} beyond its last {last}", base.index)));
        }
        Ok(base.index > self.base.index)
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
