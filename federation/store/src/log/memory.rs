//! Logs in memory: for tests, and the model the simulated log is made of.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{LoadedLog, LogBase, LogStore, LogWrite, MAX_SLOTS, RecordSlot, Span};
use crate::error::{Result, StoreError};

/// The logs of all records as plain values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs(BTreeMap<RecordSlot, LoadedLog>);

impl Logs {
    pub fn slots(&self) -> Vec<RecordSlot> {
        self.0.keys().copied().collect()
    }

    pub fn get(&self, slot: RecordSlot) -> Option<&LoadedLog> {
        self.0.get(&slot)
    }

    fn span(&self, slot: RecordSlot) -> Option<Span> {
        self.0.get(&slot).map(|log| Span { base: log.base, last: log.last_index() })
    }

    /// Refuses the whole batch before anything changes.
    pub fn check(&self, writes: &[LogWrite]) -> Result<()> {
        let mut spans: BTreeMap<RecordSlot, Span> = BTreeMap::new();
        for write in writes {
            let span = spans.get(&write.slot).copied().or_else(|| self.span(write.slot)).unwrap_or_default();
            spans.insert(write.slot, span.after(write)?);
        }
        let new = spans.keys().filter(|slot| !self.0.contains_key(slot)).count();
        if self.0.len() + new > MAX_SLOTS {
            return Err(StoreError::Invalid(format!("more than {MAX_SLOTS} records in one log")));
        }
        Ok(())
    }

    /// Applies a batch that `check` accepted.
    pub fn apply(&mut self, writes: &[LogWrite]) {
        for write in writes {
            let log = self.0.entry(write.slot).or_default();
            if let Some(base) = write.reset_to {
                log.base = base;
                log.entries.clear();
            }
            if let Some(first) = write.entries.first() {
                let keep = first.index.saturating_sub(log.base.index + 1);
                log.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
                log.entries.extend_from_slice(&write.entries);
            }
            if let Some(hard_state) = &write.hard_state {
                log.hard_state = hard_state.clone();
            }
            if let Some((index, conf_state)) = &write.conf_state {
                (log.conf_index, log.conf_state) = (*index, conf_state.clone());
            }
        }
    }

    /// Whether compacting changes anything, or why it does not fit.
    pub fn check_compact(&self, slot: RecordSlot, base: LogBase) -> Result<bool> {
        self.span(slot).unwrap_or_default().compacts_to(slot, base)
    }

    pub fn compact(&mut self, slot: RecordSlot, base: LogBase) {
        if let Some(log) = self.0.get_mut(&slot)
            && base.index > log.base.index
        {
            let drop = usize::try_from(base.index - log.base.index).unwrap_or(usize::MAX).min(log.entries.len());
            log.entries.drain(..drop);
            log.base = base;
        }
    }

    pub fn remove(&mut self, slot: RecordSlot) {
        self.0.remove(&slot);
    }
}

/// A log store in memory: nothing is lost as long as the value lives.
#[derive(Debug, Default)]
pub struct MemoryLog {
    logs: Mutex<Logs>,
}

impl MemoryLog {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        // Batches are checked before they are applied, so a panic cannot leave half of one.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore for MemoryLog {
    fn slots(&self) -> Vec<RecordSlot> {
        self.lock().slots()
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        Ok(self.lock().get(slot).cloned())
    }

    fn write(&self, writes: &[LogWrite]) -> Result<()> {
        let mut logs = self.lock();
        logs.check(writes)?;
        logs.apply(writes);
        Ok(())
    }

    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<()> {
        self.write(writes)
    }

    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<()> {
        let mut logs = self.lock();
        if logs.check_compact(slot, base)? {
            logs.compact(slot, base);
        }
        Ok(())
    }

    fn remove(&self, slot: RecordSlot) -> Result<()> {
        self.lock().remove(slot);
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        Ok(())
    }
}

/// Stands for a log that cannot be opened: everything asked of it is answered with why. Its node runs on without it, so
/// that what else is on the disk can be read.
#[derive(Debug)]
pub struct UnreadableLog {
    path: PathBuf,
    detail: String,
}

impl UnreadableLog {
    /// The log that is damaged in `path`.
    pub fn new(path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), detail: detail.into() }
    }

    fn refuse<T>(&self) -> Result<T> {
        Err(StoreError::LogCorrupt { path: self.path.clone(), detail: self.detail.clone() })
    }
}

impl LogStore for UnreadableLog {
    fn slots(&self) -> Vec<RecordSlot> {
        Vec::new()
    }

    fn load(&self, _: RecordSlot) -> Result<Option<LoadedLog>> {
        self.refuse()
    }

    fn write(&self, _: &[LogWrite]) -> Result<()> {
        self.refuse()
    }

    fn write_unsynced(&self, _: &[LogWrite]) -> Result<()> {
        self.refuse()
    }

    fn compact(&self, _: RecordSlot, _: LogBase) -> Result<()> {
        self.refuse()
    }

    fn remove(&self, _: RecordSlot) -> Result<()> {
        self.refuse()
    }

    fn purge(&self) -> Result<()> {
        Ok(())
    }
}
