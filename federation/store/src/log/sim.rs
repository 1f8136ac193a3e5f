//! A log on a simulated disk: a seed decides what of the unsynced tail a crash leaves.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{LoadedLog, LogBase, LogEnd, LogStore, LogWrite, RecordSlot, memory::Logs};
use crate::{
    codec::SeededRandom,
    error::{Result, StoreError},
};

/// What the next write to a simulated log meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimLogFault {
    /// The write fails with an I/O error; nothing is written and the store is poisoned.
    WriteEio,
    /// The disk is full; nothing is written, later writes work.
    Full,
    /// The sync fails: the batch may or may not survive the crash that must follow.
    Sync,
}

/// A log store whose clones share one simulated disk: the next life of a crashed node opens a clone.
#[derive(Debug, Clone)]
pub struct SimLog {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: SeededRandom,
    live: Logs,
    durable: Logs,
    pending: Vec<Change>,
    fault: Option<(SimLogFault, u32)>,
    poisoned: Option<String>,
    full: bool,
    lying: bool,
    writes: u64,
    ends: BTreeMap<RecordSlot, LogEnd>,
    durable_ends: BTreeMap<RecordSlot, LogEnd>,
    marker: BTreeMap<RecordSlot, LogEnd>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<LogWrite>),
    Compact(RecordSlot, LogBase),
    Remove(RecordSlot),
}

impl Change {
    fn apply(&self, logs: &mut Logs, ends: &mut BTreeMap<RecordSlot, LogEnd>) {
        match self {
            Self::Write(number, writes) => {
                logs.apply(writes);
                for write in writes {
                    if let Some(log) = logs.get(write.slot) {
                        let term = log.entries.last().map_or(log.base.term, |e| e.term);
                        let end = LogEnd { write: *number, index: log.last_index(), term, crc: 0 };
                        ends.insert(write.slot, end);
                    }
                }
            }
            Self::Compact(slot, base) => logs.compact(*slot, *base),
            Self::Remove(slot) => {
                logs.remove(*slot);
                ends.remove(slot);
            }
        }
    }
}

impl SimLog {
    /// An empty log whose crashes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: SeededRandom(seed),
            live: Logs::default(),
            durable: Logs::default(),
            pending: Vec::new(),
            fault: None,
            poisoned: None,
            full: false,
            lying: false,
            writes: 0,
            ends: BTreeMap::new(),
            durable_ends: BTreeMap::new(),
            marker: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Batches are checked before they are applied, so a panic cannot leave half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power cut and restart: a random prefix of the batches since the last sync survives. Returns how many were lost.
    pub fn crash(&self) -> usize {
        let state = &mut *self.lock();
        let kept = state.random.below(state.pending.len() + 1);
        state.restart(kept)
    }

    /// Power cut and restart that loses every batch since the last sync. Returns how many.
    pub fn crash_losing_all(&self) -> usize {
        self.lock().restart(0)
    }

    /// Lets one write meet `fault`: the one after `skip` others.
    pub fn inject(&self, fault: SimLogFault, skip: u32) {
        self.lock().fault = Some((fault, skip));
    }

    /// Forgets a fault that has not come to pass.
    pub fn mend(&self) {
        self.lock().fault = None;
    }

    /// While true, every write answers `Full`.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// While true, syncs are answered but not done – what a disk with a lying cache does. After a crash, `load` names
    /// a log that lost synced writes as `LogDamaged`, as the side marker of the real log does.
    pub fn set_lying(&self, lying: bool) {
        self.lock().lying = lying;
    }

    fn change(&self, change: Change, sync: bool) -> Result<()> {
        let state = &mut *self.lock();
        let fault = state.meet_fault();
        if let Some(cause) = &state.poisoned {
            return Err(StoreError::Poisoned { cause: cause.clone() });
        }
        let path = PathBuf::from("simulated-log");
        if state.full || fault == Some(SimLogFault::Full) {
            return Err(StoreError::Full { path });
        }
        if fault == Some(SimLogFault::WriteEio) {
            state.poisoned = Some("simulated EIO".into());
            return Err(StoreError::Io { op: "write", path, source: io::Error::other("simulated EIO") });
        }
        change.apply(&mut state.live, &mut state.ends);
        state.pending.push(change);
        if sync && fault == Some(SimLogFault::Sync) {
            state.poisoned = Some("simulated sync failure".into());
            return Err(StoreError::SyncFailed { path, detail: "simulated sync failure".into() });
        }
        if sync {
            state.marker = state.ends.clone();
            if !state.lying {
                let all = state.pending.len();
                state.settle(all);
            }
        }
        Ok(())
    }

    fn write_batch(&self, writes: &[LogWrite], sync: bool) -> Result<()> {
        let number = {
            let state = &mut *self.lock();
            for write in writes {
                state.check_end(write.slot)?;
            }
            state.live.check(writes)?;
            state.writes += 1;
            state.writes
        };
        self.change(Change::Write(number, writes.to_vec()), sync)
    }
}

impl State {
    fn meet_fault(&mut self) -> Option<SimLogFault> {
        let (fault, skip) = self.fault?;
        self.fault = skip.checked_sub(1).map(|left| (fault, left));
        self.fault.is_none().then_some(fault)
    }

    /// Makes the first `count` pending changes durable.
    fn settle(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            change.apply(&mut self.durable, &mut self.durable_ends);
        }
    }

    fn restart(&mut self, kept: usize) -> usize {
        let lost = self.pending.len() - kept;
        self.settle(kept);
        self.pending.clear();
        self.live = self.durable.clone();
        self.ends = self.durable_ends.clone();
        self.poisoned = None;
        self.fault = None;
        lost
    }

    fn check_end(&self, slot: RecordSlot) -> Result<()> {
        let found = self.ends.get(&slot).copied().unwrap_or_default();
        match self.marker.get(&slot) {
            Some(&expected) if found.write < expected.write => {
                Err(StoreError::LogDamaged { slot, expected, found, dir: "simulated-log".into() })
            }
            _ => Ok(()),
        }
    }
}

impl LogStore for SimLog {
    fn slots(&self) -> Vec<RecordSlot> {
        let state = self.lock();
        let mut slots = state.live.slots();
        slots.extend(state.marker.keys());
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        let state = self.lock();
        state.check_end(slot)?;
        Ok(state.live.get(slot).cloned())
    }

    fn write(&self, writes: &[LogWrite]) -> Result<()> {
        self.write_batch(writes, true)
    }

    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<()> {
        self.write_batch(writes, false)
    }

    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<()> {
        if self.lock().live.check_compact(slot, base)? {
            self.change(Change::Compact(slot, base), false)?;
        }
        Ok(())
    }

    fn remove(&self, slot: RecordSlot) -> Result<()> {
        self.lock().marker.remove(&slot);
        self.change(Change::Remove(slot), true)
    }

    fn purge(&self) -> Result<()> {
        Ok(())
    }
}
