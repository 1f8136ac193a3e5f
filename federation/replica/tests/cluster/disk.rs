//! A node's disk and state machine: only what was flushed survives a crash.

use std::collections::BTreeMap;

use shouwang_replica::eraftpb::{ConfState, Entry, HardState};
use shouwang_replica::{Checkpoint, LogBase, Persist, Restored};

/// A checkpoint file: position, membership, and the state, which is a running hash here.
#[derive(Debug, Clone)]
pub struct File {
    pub at: Checkpoint,
    pub hash: u64,
}

#[derive(Debug, Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub conf: (u64, ConfState),
    pub base: LogBase,
    pub entries: Vec<Entry>,
    pub file: Option<File>,
    pub staged: BTreeMap<u64, File>,
}

impl Disk {
    pub fn founding(conf_state: ConfState) -> Self {
        let restored = Restored::founding(conf_state);
        Self {
            hard_state: restored.hard_state,
            conf: (restored.conf_index, restored.conf_state),
            base: restored.base,
            entries: Vec::new(),
            file: restored.checkpoint.map(|at| File { at, hash: 0 }),
            staged: BTreeMap::new(),
        }
    }

    pub fn last(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    pub fn term_at(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.base.index)? {
            0 => Some(self.base.term),
            n => self.entries.get(usize::try_from(n).unwrap() - 1).map(Entry::get_term),
        }
    }

    pub fn write(&mut self, persist: &Persist) {
        if let Some(base) = persist.reset_to {
            self.base = base;
            self.entries.clear();
        }
        if let Some(first) = persist.entries.first().map(Entry::get_index) {
            assert!(first > self.base.index && first <= self.last() + 1, "a hole before {first}");
            self.entries.truncate(usize::try_from(first - self.base.index).unwrap() - 1);
            self.entries.extend(persist.entries.iter().cloned());
        }
        if let Some(hard_state) = &persist.hard_state {
            self.hard_state = hard_state.clone();
        }
        if let Some(conf) = &persist.conf_state {
            self.conf = conf.clone();
        }
    }

    pub fn compact(&mut self, base: LogBase) {
        if base.index > self.base.index {
            self.entries.drain(..usize::try_from(base.index - self.base.index).unwrap());
            self.base = base;
        }
    }

    /// What a restart finds: a staged file the log already restarted behind is the state.
    pub fn reopen(&mut self) -> (Restored, u64, u64) {
        let held = self.file.as_ref().map_or(0, |file| file.at.index);
        if held < self.base.index {
            self.file = Some(self.staged.remove(&self.base.index).expect("the staged file outlives the log's restart"));
        }
        self.staged.clear();
        let restored = Restored {
            hard_state: self.hard_state.clone(),
            conf_state: self.conf.1.clone(),
            conf_index: self.conf.0,
            base: self.base,
            entries: self.entries.clone(),
            checkpoint: self.file.as_ref().map(|file| file.at.clone()),
        };
        let (applied, hash) = self.file.as_ref().map_or((0, 0), |file| (file.at.index, file.hash));
        (restored, applied, hash)
    }
}
