//! The Raft log of a node in raft-engine. Beside the entries each record has four values in the same atomic batch:
//! hard state, membership, base, and the log's end – so that what is loaded never depends on what the engine happens
//! to have left over from before a compaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protobuf::Message;
use raft_engine::{
    Command, Config, Engine, LogBatch, MessageExt, ReadableSize,
    env::{DefaultFileSystem, FileSystem},
};

use super::{
    Entry, LoadedLog, LogBase, LogEnd, LogStore, LogWrite, MAX_SLOTS, RecordSlot, Span,
    tail::{Tail, TailMarker},
};
use crate::{
    codec::{Decoder, Encoder},
    disk::{Disk, RealDisk},
    error::{Poison, Result, StoreError},
};

const HARD_STATE: &[u8] = b"hard_state";
const CONF_STATE: &[u8] = b"conf_state";
const CONF_INDEX: &[u8] = b"conf_index";
const BASE: &[u8] = b"base";
const END: &[u8] = b"end";
/// The engine region that belongs to no record: it carries the write number of each opening.
const NODE_REGION: u64 = u64::MAX;

/// Sizes of the log on disk.
#[derive(Debug, Clone)]
pub struct EngineLogOptions {
    /// Size at which a log file is closed and the next begun, in bytes.
    pub file_bytes: u64,
    /// Size of all log files above which `purge` rewrites what is still needed, in bytes; at least `file_bytes`.
    pub purge_bytes: u64,
    /// After how many synced writes the side marker itself is synced.
    pub marker_sync_every: u32,
}

impl Default for EngineLogOptions {
    fn default() -> Self {
        Self { file_bytes: 16 << 20, purge_bytes: 64 << 20, marker_sync_every: 256 }
    }
}

struct EntryExt;

impl MessageExt for EntryExt {
    type Entry = Entry;

    fn index(e: &Entry) -> u64 {
        e.index
    }
}

/// All Raft logs of a node, in `dir/raft`. One process at a time can have it open.
pub struct EngineLog<F: FileSystem = DefaultFileSystem> {
    engine: Engine<F>,
    dir: PathBuf,
    marker_sync_every: u32,
    poison: Poison,
    state: Mutex<State>,
}

impl<F: FileSystem> std::fmt::Debug for EngineLog<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLog").field("dir", &self.dir).finish_non_exhaustive()
    }
}

struct State {
    logs: BTreeMap<RecordSlot, Held>,
    damaged: BTreeMap<RecordSlot, (LogEnd, LogEnd)>,
    write: u64,
    marker: TailMarker,
    synced: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    base: LogBase,
    end: LogEnd,
}

impl Held {
    fn span(self) -> Span {
        Span { base: self.base, last: self.end.index }
    }
}

impl EngineLog {
    /// Opens or creates the log under `dir/raft` and syncs what it finds: what is loaded from here is durable.
    ///
    /// A record whose log ends before what was once synced does not keep the others from opening: `load` and `write`
    /// answer `LogDamaged` for it until it is removed.
    ///
    /// # Errors
    /// `Locked` if another process has it, `LogCorrupt` if it cannot be read, `Io`, `Full`, `SyncFailed`.
    pub fn open(dir: &Path, options: &EngineLogOptions) -> Result<Self> {
        Self::open_with_file_system(dir, options, Arc::new(DefaultFileSystem))
    }
}

impl<F: FileSystem> EngineLog<F> {
    /// As `open`, on a file system that may be made to fail.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with_file_system(dir: &Path, options: &EngineLogOptions, files: Arc<F>) -> Result<Self> {
        let dir = dir.join("raft");
        RealDisk.create_dir_all(&dir).map_err(|e| StoreError::io("create", &dir, e))?;
        let Some(name) = dir.to_str() else {
            return Err(StoreError::Invalid(format!("the data directory {} is not valid UTF-8", dir.display())));
        };
        let config = Config {
            dir: name.to_owned(),
            target_file_size: ReadableSize(options.file_bytes),
            purge_threshold: ReadableSize(options.purge_bytes.max(options.file_bytes)),
            recovery_threads: 2,
            ..Config::default()
        };
        // The engine asserts on some kinds of damage; an operator needs the name of the directory, not a backtrace.
        let engine = catch_unwind(AssertUnwindSafe(|| Engine::open_with_file_system(config, files)))
            .map_err(|_| StoreError::LogCorrupt { path: dir.clone(), detail: "recovery gave up".into() })?
            .map_err(|e| open_error(&dir, e))?;
        let marker_path = dir.join("tail.marker");
        let noted = TailMarker::load(&marker_path)?;
        let (found, mut write) = survey(&engine, &dir)?;
        if noted.is_none() && !found.is_empty() {
            let detail = "the side marker tail.marker is missing, so nothing tells whether the log is whole".into();
            return Err(StoreError::LogCorrupt { path: dir, detail });
        }
        let noted = noted.unwrap_or_default();
        write = write.max(noted.write) + 1;
        let (logs, damaged) = settle(&engine, &dir, found, &noted, write)?;
        let mut ends: BTreeMap<_, _> = logs.iter().map(|(slot, held)| (*slot, held.end)).collect();
        ends.extend(damaged.iter().map(|(slot, (expected, _))| (*slot, *expected)));
        let marker = TailMarker::create(&marker_path, &Tail { write, ends })?;
        let state = Mutex::new(State { logs, damaged, write, marker, synced: 0 });
        let marker_sync_every = options.marker_sync_every.max(1);
        Ok(Self { engine, dir, marker_sync_every, poison: Poison::default(), state })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // State changes only after the engine has taken a batch, in plain assignments that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whose log ends before what was once synced.
    pub fn damaged(&self) -> Vec<RecordSlot> {
        self.lock().damaged.keys().copied().collect()
    }

    fn commit(&self, batch: &mut LogBatch, sync: bool) -> Result<()> {
        // A failed sync makes the engine panic, by design. Here it becomes an answer, so that the process can say
        // what happened, hand over the lead and stop in order.
        match catch_unwind(AssertUnwindSafe(|| self.engine.write(batch, sync))) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.poison.after(engine_error("write", &self.dir, e))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("write panicked");
                Err(self.poison.sync_failed(&self.dir, &std::io::Error::other(text.to_owned())))
            }
        }
    }

    fn write_batch(&self, writes: &[LogWrite], sync: bool) -> Result<()> {
        self.poison.check()?;
        let state = &mut *self.lock();
        let number = state.write + 1;
        let mut batch = LogBatch::default();
        let mut changed: BTreeMap<RecordSlot, Held> = BTreeMap::new();
        for write in writes {
            let slot = write.slot;
            let before = match changed.get(&slot) {
                Some(held) => Some(*held),
                None => state.held(slot)?,
            };
            changed.insert(slot, stage(&mut batch, &self.dir, write, before, number)?);
        }
        if changed.is_empty() {
            return Ok(());
        }
        let new = changed.keys().filter(|slot| !state.logs.contains_key(slot)).count();
        if state.logs.len() + state.damaged.len() + new > MAX_SLOTS {
            return Err(StoreError::Invalid(format!("more than {MAX_SLOTS} records in one log")));
        }
        self.commit(&mut batch, sync)?;
        state.write = number;
        state.logs.extend(changed);
        if sync {
            self.note(state);
        }
        Ok(())
    }

    /// Notes in the side marker that everything up to now is synced.
    fn note(&self, state: &mut State) {
        let tail = state.tail();
        self.note_tail(state, &tail);
    }

    fn note_tail(&self, state: &mut State, tail: &Tail) {
        state.synced = (state.synced + 1) % self.marker_sync_every;
        let noted = state.marker.note(tail).and_then(|()| match state.synced {
            0 => state.marker.note_durably(tail),
            _ => Ok(()),
        });
        if let Err(e) = noted {
            // What was asked for is durable, so the call succeeds; but from here a shorter log could go unnoticed.
            tracing::error!(marker = %state.marker.path().display(), error = %e, "cannot write the log's side marker");
            self.poison.set(&format!("cannot write {}: {e}", state.marker.path().display()));
        }
    }
}

impl State {
    fn held(&self, slot: RecordSlot) -> Result<Option<Held>> {
        if slot.0 == NODE_REGION {
            return Err(StoreError::Invalid(format!("{slot} is reserved")));
        }
        match self.damaged.get(&slot) {
            Some(&(expected, found)) => Err(StoreError::LogDamaged { slot, expected, found }),
            None => Ok(self.logs.get(&slot).copied()),
        }
    }

    fn tail(&self) -> Tail {
        let mut ends: BTreeMap<_, _> = self.logs.iter().map(|(slot, held)| (*slot, held.end)).collect();
        ends.extend(self.damaged.iter().map(|(slot, (expected, _))| (*slot, *expected)));
        Tail { write: self.write, ends }
    }
}

impl<F: FileSystem> LogStore for EngineLog<F> {
    fn slots(&self) -> Vec<RecordSlot> {
        let state = self.lock();
        let all: BTreeSet<_> = state.logs.keys().chain(state.damaged.keys()).copied().collect();
        all.into_iter().collect()
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        // Held throughout: a compaction in between would make the range unreadable.
        let state = self.lock();
        let Some(held) = state.held(slot)? else { return Ok(None) };
        let mut entries = Vec::new();
        let (from, to) = (held.base.index + 1, held.end.index + 1);
        if from < to {
            self.engine
                .fetch_entries_to::<EntryExt>(slot.0, from, to, None, &mut entries)
                .map_err(|e| engine_error("read", &self.dir, e))?;
        }
        let in_order = entries.iter().zip(from..to).all(|(e, index)| e.index == index);
        if !in_order || entries.len() as u64 != to - from {
            let detail = format!("the entries {from} to {} of {slot} are not in a row", held.end.index);
            return Err(StoreError::LogCorrupt { path: self.dir.clone(), detail });
        }
        Ok(Some(LoadedLog {
            hard_state: message(&self.engine, &self.dir, slot, HARD_STATE)?.unwrap_or_default(),
            conf_state: message(&self.engine, &self.dir, slot, CONF_STATE)?.unwrap_or_default(),
            conf_index: self.engine.get(slot.0, CONF_INDEX).and_then(|v| Decoder(&v).u64()).unwrap_or_default(),
            base: held.base,
            entries,
        }))
    }

    fn write(&self, writes: &[LogWrite]) -> Result<()> {
        self.write_batch(writes, true)
    }

    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<()> {
        self.write_batch(writes, false)
    }

    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<()> {
        self.poison.check()?;
        let state = &mut *self.lock();
        let held = state.held(slot)?.unwrap_or_default();
        if !held.span().compacts_to(slot, base)? {
            return Ok(());
        }
        let number = state.write + 1;
        let mut end = LogEnd { write: number, ..held.end };
        if base.index == end.index {
            (end.term, end.crc) = (base.term, 0);
        }
        let mut batch = LogBatch::default();
        batch.add_command(slot.0, Command::Compact { index: base.index + 1 });
        let held = Held { base, end };
        put_base(&mut batch, &self.dir, slot, base)?;
        put_end(&mut batch, &self.dir, slot, end)?;
        self.commit(&mut batch, false)?;
        state.write = number;
        state.logs.insert(slot, held);
        Ok(())
    }

    fn remove(&self, slot: RecordSlot) -> Result<()> {
        self.poison.check()?;
        let state = &mut *self.lock();
        if !state.logs.contains_key(&slot) && !state.damaged.contains_key(&slot) {
            return Ok(());
        }
        // First out of the marker, then out of the log: a crash in between ends with the removal done at the next
        // opening, and not with a record that looks damaged.
        state.write += 1;
        let mut tail = state.tail();
        tail.ends.remove(&slot);
        self.note_tail(state, &tail);
        self.poison.check()?;
        let mut batch = LogBatch::default();
        batch.add_command(slot.0, Command::Clean);
        self.commit(&mut batch, true)?;
        state.logs.remove(&slot);
        state.damaged.remove(&slot);
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        self.poison.check()?;
        let purged = catch_unwind(AssertUnwindSafe(|| self.engine.purge_expired_files()));
        match purged {
            Ok(Ok(lagging)) if lagging.is_empty() => Ok(()),
            Ok(Ok(lagging)) => {
                tracing::info!(slots = ?lagging, "records hold back old log files until they are compacted");
                Ok(())
            }
            Ok(Err(e)) => Err(engine_error("purge", &self.dir, e)),
            Err(_) => Err(self.poison.sync_failed(&self.dir, &std::io::Error::other("purge panicked"))),
        }
    }
}

/// Adds one record's write to the batch and says where its log ends then.
fn stage(batch: &mut LogBatch, dir: &Path, write: &LogWrite, known: Option<Held>, number: u64) -> Result<Held> {
    let slot = write.slot;
    let before = known.unwrap_or_default();
    let span = before.span().after(write)?;
    let fault = |e| engine_error("encode", dir, e);
    let mut end = LogEnd { write: number, ..before.end };
    if let Some(base) = write.reset_to {
        // Past the last entry, so that nothing of the old log is left, wherever the new one starts.
        batch.add_command(slot.0, Command::Compact { index: before.end.index.max(base.index) + 1 });
        end = LogEnd { write: number, index: base.index, term: base.term, crc: 0 };
    }
    if let Some(last) = write.entries.last() {
        batch.add_entries::<EntryExt>(slot.0, &write.entries).map_err(fault)?;
        end = LogEnd { write: number, index: span.last, term: last.term, crc: entry_crc(dir, last)? };
    }
    if let Some(hard_state) = &write.hard_state {
        batch.put_message(slot.0, HARD_STATE.to_vec(), hard_state).map_err(fault)?;
    }
    if let Some((index, conf_state)) = &write.conf_state {
        batch.put_message(slot.0, CONF_STATE.to_vec(), conf_state).map_err(fault)?;
        batch.put(slot.0, CONF_INDEX.to_vec(), Encoder::default().u64(*index).0).map_err(fault)?;
    }
    let held = Held { base: span.base, end };
    if known.is_none_or(|known| known.base != held.base) {
        put_base(batch, dir, slot, held.base)?;
    }
    put_end(batch, dir, slot, end)?;
    Ok(held)
}

fn put_base(batch: &mut LogBatch, dir: &Path, slot: RecordSlot, base: LogBase) -> Result<()> {
    let base = Encoder::default().u64(base.index).u64(base.term).0;
    batch.put(slot.0, BASE.to_vec(), base).map_err(|e| engine_error("encode", dir, e))
}

fn put_end(batch: &mut LogBatch, dir: &Path, slot: RecordSlot, end: LogEnd) -> Result<()> {
    let end = Encoder::default().u64(end.write).u64(end.index).u64(end.term).u32(end.crc).0;
    batch.put(slot.0, END.to_vec(), end).map_err(|e| engine_error("encode", dir, e))
}

fn entry_crc(dir: &Path, entry: &Entry) -> Result<u32> {
    let bytes = entry.write_to_bytes().map_err(|e| engine_error("encode", dir, e.into()))?;
    Ok(crc32fast::hash(&bytes))
}

type Found = BTreeMap<RecordSlot, Held>;

/// What the engine recovered: each record's base and end as its last surviving batch says, and the highest write.
fn survey<F: FileSystem>(engine: &Engine<F>, dir: &Path) -> Result<(Found, u64)> {
    let mut found = Found::new();
    let mut write = 0;
    for region in engine.raft_groups() {
        if region == NODE_REGION {
            let opened = engine.get(region, END).and_then(|v| Decoder(&v).u64());
            write = write.max(opened.unwrap_or_default());
            continue;
        }
        let slot = RecordSlot(region);
        let (base, end) = (engine.get(region, BASE), engine.get(region, END));
        let held = base.zip(end).and_then(|(base, end)| {
            let (mut base, mut end) = (Decoder(&base), Decoder(&end));
            let base = LogBase { index: base.u64()?, term: base.u64()? };
            let end = LogEnd { write: end.u64()?, index: end.u64()?, term: end.u64()?, crc: end.u32()? };
            Some(Held { base, end })
        });
        let Some(held) = held else {
            let nothing_left = engine.first_index(region).is_none() && engine.get(region, HARD_STATE).is_none();
            if nothing_left {
                continue; // A record that was removed: the engine keeps its empty table.
            }
            let detail = format!("{slot} has entries but no base or end");
            return Err(StoreError::LogCorrupt { path: dir.into(), detail });
        };
        write = write.max(held.end.write);
        found.insert(slot, held);
    }
    Ok((found, write))
}

type Damaged = BTreeMap<RecordSlot, (LogEnd, LogEnd)>;

/// Compares what was recovered with what the marker says was synced, tidies what the engine left over, and syncs.
fn settle<F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    found: Found,
    marked: &Tail,
    write: u64,
) -> Result<(Found, Damaged)> {
    let mut logs = Found::new();
    let mut damaged = Damaged::new();
    let mut batch = LogBatch::default();
    let number = Encoder::default().u64(write).0;
    batch.put(NODE_REGION, END.to_vec(), number).map_err(|e| engine_error("encode", dir, e))?;
    for (slot, expected) in &marked.ends {
        let end = found.get(slot).map(|held| held.end).unwrap_or_default();
        if end.write < expected.write {
            damaged.insert(*slot, (*expected, end));
        }
    }
    for (slot, held) in found {
        if damaged.contains_key(&slot) {
            continue;
        }
        if !marked.ends.contains_key(&slot) && held.end.write <= marked.write {
            tracing::warn!(%slot, "a removed record came back with the log; removing it again");
            batch.add_command(slot.0, Command::Clean);
            continue;
        }
        let (first, last) = (engine.first_index(slot.0), engine.last_index(slot.0));
        if held.base.index == held.end.index {
            if let Some(left_over) = last {
                // Entries from before a reset, whose compaction the engine forgot: they would leave a hole.
                batch.add_command(slot.0, Command::Compact { index: left_over + 1 });
            }
        } else {
            let found_end = reached(engine, dir, slot, held, first, last)?;
            if found_end != held.end {
                damaged.insert(slot, (held.end, found_end));
                continue;
            }
        }
        logs.insert(slot, held);
    }
    // Recovered bytes may still be only in the page cache of a killed process: Raft must not count on them before.
    match catch_unwind(AssertUnwindSafe(|| engine.write(&mut batch, true))) {
        Ok(written) => written.map_err(|e| engine_error("write", dir, e))?,
        Err(_) => {
            return Err(StoreError::SyncFailed { path: dir.into(), detail: "the first sync after opening".into() });
        }
    };
    for (slot, (expected, found)) in &damaged {
        tracing::error!(%slot, %expected, %found, "raft log is damaged: this node must join the record anew");
    }
    Ok((logs, damaged))
}

/// The end that the entries themselves show, to be compared with the end that was written with them.
fn reached<F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    slot: RecordSlot,
    held: Held,
    first: Option<u64>,
    last: Option<u64>,
) -> Result<LogEnd> {
    let nothing = LogEnd { write: held.end.write, index: held.base.index, term: held.base.term, crc: 0 };
    let (Some(first), Some(last)) = (first, last) else { return Ok(nothing) };
    if first > held.base.index + 1 {
        return Ok(nothing);
    }
    let index = last.min(held.end.index);
    let entry = engine.get_entry::<EntryExt>(slot.0, index).map_err(|e| engine_error("read", dir, e))?;
    let Some(entry) = entry else { return Ok(nothing) };
    Ok(LogEnd { write: held.end.write, index, term: entry.term, crc: entry_crc(dir, &entry)? })
}

fn message<M: Message, F: FileSystem>(
    engine: &Engine<F>,
    dir: &Path,
    slot: RecordSlot,
    key: &[u8],
) -> Result<Option<M>> {
    engine.get_message(slot.0, key).map_err(|e| engine_error("read", dir, e))
}

fn engine_error(op: &'static str, dir: &Path, error: raft_engine::Error) -> StoreError {
    match error {
        // The engine asks for another attempt only when the disk is full, after it has tried a second file itself.
        raft_engine::Error::TryAgain(_) => StoreError::Full { path: dir.into() },
        raft_engine::Error::Io(e) => StoreError::io(op, dir, e),
        raft_engine::Error::Full => {
            StoreError::TooLarge { what: "log batch", size: u64::MAX, limit: i32::MAX.unsigned_abs().into() }
        }
        other => StoreError::LogCorrupt { path: dir.into(), detail: other.to_string() },
    }
}

fn open_error(dir: &Path, error: raft_engine::Error) -> StoreError {
    match error {
        // The engine answers with text only when it cannot take the lock.
        raft_engine::Error::Other(e) if e.to_string().to_lowercase().contains("lock") => {
            StoreError::Locked { path: dir.into() }
        }
        other => engine_error("open", dir, other),
    }
}
