//! What the engine has recovered, compared with what was written: an engine forgives a torn tail, and a part of a file
//! that has gone at the border of two batches leaves no trace in it at all.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use protobuf::Message;
use raft_engine::{Command, Engine, LogBatch, env::FileSystem};

use super::{
    ConfState, Entry, HardState, LoadedLog, LogBase, LogEnd, RecordSlot,
    engine::{BASE, CONF_INDEX, CONF_STATE, END, EntryExt, HARD_STATE, NODE_REGION, engine_error, put_opening},
    held::{Held, StoredEnd, Sums, conf_state_sum, entry_sum, hard_state_sum},
    tail::Tail,
};
use crate::{
    codec::Decoder,
    error::{Result, StoreError},
};

/// What is wrong with one record's log.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    /// It does not end where, or hold what, was once synced.
    Short { expected: LogEnd, found: LogEnd },
    /// Entries cannot be read; the last of them has this index.
    Unreadable { last: u64, held: Box<Held>, detail: String },
}

impl Damage {
    /// The end to be expected at the next opening as well.
    pub fn expected(&self) -> LogEnd {
        match self {
            Self::Short { expected, .. } => *expected,
            Self::Unreadable { held, .. } => held.end,
        }
    }

    pub fn error(&self, slot: RecordSlot, dir: &Path) -> StoreError {
        match self {
            Self::Short { expected, found } => {
                StoreError::LogDamaged { slot, expected: *expected, found: *found, dir: dir.into() }
            }
            Self::Unreadable { detail, .. } => {
                StoreError::LogCorrupt { path: dir.into(), detail: format!("{slot}: {detail}") }
            }
        }
    }
}

/// The logs that are whole, and those that are not.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub logs: BTreeMap<RecordSlot, Held>,
    pub damaged: BTreeMap<RecordSlot, Damage>,
}

impl Recovered {
    /// Where each log must end at the next opening.
    pub fn ends(&self) -> BTreeMap<RecordSlot, LogEnd> {
        let whole = self.logs.iter().map(|(slot, held)| (*slot, held.end));
        whole.chain(self.damaged.iter().map(|(slot, damage)| (*slot, damage.expected()))).collect()
    }
}

type Found = BTreeMap<RecordSlot, Stored>;

/// What the last surviving batch of a record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    base: LogBase,
    end: StoredEnd,
}

/// What the engine recovered: each record's base and end as its last surviving batch says, and the highest write.
pub(super) fn survey<F: FileSystem>(engine: &Engine<F>, dir: &Path) -> Result<(Found, u64)> {
    let mut found = Found::new();
    let mut write = 0;
    for region in engine.raft_groups() {
        if region == NODE_REGION {
            let opened = engine.get(region, END).and_then(|v| Decoder(&v).u64());
            write = write.max(opened.unwrap_or_default());
            continue;
        }
        let slot = RecordSlot(region);
        let base = engine.get(region, BASE).and_then(|base| {
            let mut base = Decoder(&base);
            Some(LogBase { index: base.u64()?, term: base.u64()? })
        });
        let end = engine.get(region, END).and_then(|end| StoredEnd::decode(&end));
        let Some((base, end)) = base.zip(end) else {
            let nothing_left = engine.first_index(region).is_none() && engine.get(region, HARD_STATE).is_none();
            if nothing_left {
                continue; // A record that was removed: the engine keeps its empty table.
            }
            let detail = format!("{slot} has entries but no base or end");
            return Err(StoreError::LogCorrupt { path: dir.into(), detail });
        };
        write = write.max(end.end.write);
        found.insert(slot, Stored { base, end });
    }
    Ok((found, write))
}

/// Compares what was recovered with what the marker says was synced, tidies what the engine left over, and syncs.
pub(super) fn settle<F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    found: Found,
    marked: &Tail,
    write: u64,
) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut batch = LogBatch::default();
    put_opening(&mut batch, write).map_err(|e| engine_error("encode", dir, e))?;
    for (slot, expected) in &marked.ends {
        let end = found.get(slot).map(|stored| stored.end.end).unwrap_or_default();
        // An end of the same write that says something else was not written by us.
        if end.write < expected.write || end.write == expected.write && end != *expected {
            recovered.damaged.insert(*slot, Damage::Short { expected: *expected, found: end });
        }
    }
    for (slot, stored) in found {
        if recovered.damaged.contains_key(&slot) {
            continue;
        }
        if !marked.ends.contains_key(&slot) && stored.end.end.write <= marked.write {
            tracing::warn!(%slot, "a removed record came back with the log; removing it again");
            batch.add_command(slot.0, Command::Clean);
            continue;
        }
        match read_back(engine, dir, slot, stored)? {
            Ok(held) => {
                let last = engine.last_index(slot.0).filter(|_| held.count() == 0);
                if let Some(left_over) = last {
                    // Entries from before a reset, whose compaction the engine forgot: they would leave a hole.
                    batch.add_command(slot.0, Command::Compact { index: left_over + 1 });
                }
                recovered.logs.insert(slot, held);
            }
            Err(damage) => {
                recovered.damaged.insert(slot, damage);
            }
        }
    }
    // Recovered bytes may still be only in the page cache of a killed process: Raft must not count on them before.
    match catch_unwind(AssertUnwindSafe(|| engine.write(&mut batch, true))) {
        Ok(written) => written.map_err(|e| engine_error("write", dir, e))?,
        Err(_) => {
            return Err(StoreError::SyncFailed { path: dir.into(), detail: "the first sync after opening".into() });
        }
    };
    Ok(recovered)
}

/// Reads everything a record holds and adds it up.
fn read_back<F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    slot: RecordSlot,
    stored: Stored,
) -> Result<Result<Held, Damage>> {
    let Stored { base, end: StoredEnd { end, .. } } = stored;
    let (state, sums) = state_of(engine, dir, slot)?;
    let mut held = Held { base, end, sums, ..Held::default() };
    let (mut unreadable, mut last_read) = (None, base);
    for index in base.index + 1..=end.index {
        match entry(engine, dir, slot, index) {
            Ok(Some(entry)) => {
                last_read = LogBase { index, term: entry.term };
                held.push(entry_sum(&entry));
            }
            Ok(None) => break,
            Err(StoreError::LogCorrupt { detail, .. }) => {
                held.push(0);
                unreadable = Some((index, detail));
            }
            Err(e) => return Err(e),
        }
    }
    let missing = held.count() < end.index - base.index;
    if let Some((last, detail)) = unreadable.filter(|_| !missing && stored.end.sums == sums) {
        let detail = format!("the entry {last} cannot be read: {detail}");
        return Ok(Err(Damage::Unreadable { last, held: Box::new(held), detail }));
    }
    let crc = held.sum();
    if missing || crc != end.crc || stored.end.sums != sums {
        let found = LogEnd { write: end.write, index: last_read.index, term: last_read.term, crc };
        tracing::debug!(%slot, commit = state.hard_state.get_commit(), "what was recovered does not add up");
        return Ok(Err(Damage::Short { expected: end, found }));
    }
    Ok(Ok(held))
}

/// Reads one entry. The engine panics on some kinds of damage.
fn entry<F: FileSystem>(engine: &Engine<F>, dir: &Path, slot: RecordSlot, index: u64) -> Result<Option<Entry>> {
    let gone = || StoreError::LogCorrupt { path: dir.into(), detail: "the engine gave up".into() };
    let read = catch_unwind(AssertUnwindSafe(|| engine.get_entry::<EntryExt>(slot.0, index))).map_err(|_| gone())?;
    match read.map_err(|e| engine_error("read", dir, e))? {
        Some(entry) if entry.index != index => Err(gone()),
        entry => Ok(entry),
    }
}

/// Everything but the entries.
fn state_of<F: FileSystem>(engine: &Engine<F>, dir: &Path, slot: RecordSlot) -> Result<(LoadedLog, Sums)> {
    let hard_state: Option<HardState> = message(engine, dir, slot, HARD_STATE)?;
    let conf_state: Option<ConfState> = message(engine, dir, slot, CONF_STATE)?;
    let conf_index = engine.get(slot.0, CONF_INDEX).and_then(|v| Decoder(&v).u64()).unwrap_or_default();
    let sums = Sums {
        hard_state: hard_state.as_ref().map_or(0, hard_state_sum),
        conf_state: conf_state.as_ref().map_or(0, |conf| conf_state_sum(conf_index, conf)),
    };
    let (hard_state, conf_state) = (hard_state.unwrap_or_default(), conf_state.unwrap_or_default());
    Ok((LoadedLog { hard_state, conf_state, conf_index, ..LoadedLog::default() }, sums))
}

fn message<M: Message, F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    slot: RecordSlot,
    key: &[u8],
) -> Result<Option<M>> {
    engine.get_message(slot.0, key).map_err(|e| engine_error("read", dir, e))
}

/// What of a log can be read: the part before the first entry that cannot.
pub(super) fn readable<F: FileSystem>(engine: &Engine<F>, dir: &Path, slot: RecordSlot) -> Result<LoadedLog> {
    let (mut log, _) = state_of(engine, dir, slot)?;
    let base = engine.get(slot.0, BASE).unwrap_or_default();
    let mut base = Decoder(&base);
    log.base = LogBase { index: base.u64().unwrap_or_default(), term: base.u64().unwrap_or_default() };
    let mut index = log.base.index + 1;
    while let Ok(Some(entry)) = entry(engine, dir, slot, index) {
        log.entries.push(entry);
        index += 1;
    }
    Ok(log)
}

/// Runs `read` on a thread of its own: the engine remembers the block it has read last per thread, under a name that
/// another engine's blocks have as well, and what is checked here must come from the disk.
pub(super) fn on_fresh_thread<T: Send>(read: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let gave_up = |_| Err(StoreError::Invalid("reading the log ended in a panic".into()));
    std::thread::scope(|scope| scope.spawn(read).join().unwrap_or_else(gave_up))
}

/// Says in which file the damage is that keeps a log from opening, as far as its files can be read one by one.
pub(super) fn name_damaged_file<F: FileSystem>(error: StoreError, dir: &Path, files: &Arc<F>) -> StoreError {
    let StoreError::LogCorrupt { path, detail } = error else { return error };
    let breaks = |file: &PathBuf| {
        let read = catch_unwind(AssertUnwindSafe(|| {
            Engine::dump_with_file_system(file, files.clone()).is_ok_and(|mut items| items.all(|item| item.is_ok()))
        }));
        !read.unwrap_or(false)
    };
    let of_kind = |kind: &str| {
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut names: Vec<_> = names.filter(|path| path.extension().is_some_and(|ext| ext == kind)).collect();
        names.sort_unstable();
        // The last one may end anywhere.
        names.pop();
        names.into_iter().find(breaks)
    };
    let file = of_kind("raftlog").or_else(|| of_kind("rewrite"));
    StoreError::LogCorrupt { path: file.unwrap_or(path), detail }
}
