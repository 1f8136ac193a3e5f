//! The Raft log of a node in raft-engine. Beside the entries each record has four values in the same atomic batch:
//! hard state, membership, base, and the log's end with a checksum over all of it – so that what is loaded never depends
//! on what the engine happens to have left over from before a compaction, and a part that is gone is noticed.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use raft_engine::{
    Command, Config, Engine, LogBatch, MessageExt, ReadableSize,
    env::{DefaultFileSystem, FileSystem},
};

use super::{
    Entry, LoadedLog, LogBase, LogStore, LogWrite, MAX_SLOTS, RecordSlot,
    disk_files::DiskFiles,
    held::{Held, Undo},
    recovery::{Damage, Recovered, name_damaged_file, on_fresh_thread, readable, settle, survey},
    tail::{Noted, Tail, TailMarker},
};
use crate::{
    codec::Encoder,
    disk::{Disk, ShadowDisk, SimDisk, real_disk},
    error::{Poison, Result, StoreError},
    finding::{Findings, Remedy},
};

pub(super) const HARD_STATE: &[u8] = b"hard_state";
pub(super) const CONF_STATE: &[u8] = b"conf_state";
pub(super) const CONF_INDEX: &[u8] = b"conf_index";
pub(super) const BASE: &[u8] = b"base";
pub(super) const END: &[u8] = b"end";
/// The engine region that belongs to no record: it carries the write number of each opening.
pub(super) const NODE_REGION: u64 = u64::MAX;
/// The log's directory in the data directory.
pub const DIR: &str = "raft";
/// The side marker's name in it.
const MARKER: &str = "tail.marker";
/// What the engine locks in it.
const LOCK: &str = "LOCK";
/// What the engine's files end with.
const FILE: &str = ".raftlog";

/// Sizes of the log on disk.
#[derive(Debug, Clone)]
pub struct EngineLogOptions {
    /// Size at which a log file is closed and the next begun, in bytes.
    pub file_bytes: u64,
    /// Size of all log files above which `purge` rewrites what is still needed, in bytes; at least `file_bytes`.
    pub purge_bytes: u64,
    /// After how many synced writes the side marker itself is synced.
    pub marker_sync_every: u32,
    /// Where damage is told.
    pub findings: Findings,
}

impl Default for EngineLogOptions {
    fn default() -> Self {
        Self { file_bytes: 16 << 20, purge_bytes: 64 << 20, marker_sync_every: 256, findings: Findings::default() }
    }
}

impl EngineLogOptions {
    /// These sizes on a disk of `size` bytes: of a small one the log takes a quarter before `purge` gives back, or it
    /// would fill the disk with what nobody needs.
    pub fn on_disk_of(&self, size: u64) -> Self {
        let (file_bytes, purge_bytes) = (self.file_bytes.min(size / 32), self.purge_bytes.min(size / 4));
        Self { file_bytes, purge_bytes, ..self.clone() }
    }
}

pub(super) struct EntryExt;

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
    /// While this is set, everything is synced.
    purging: AtomicBool,
    /// What was written last is not synced yet.
    unsynced: AtomicBool,
    state: Mutex<State>,
}

impl<F: FileSystem> std::fmt::Debug for EngineLog<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLog").field("dir", &self.dir).finish_non_exhaustive()
    }
}

struct State {
    all: Recovered,
    write: u64,
    marker: TailMarker,
    synced: u32,
    /// What the last write was encoded in, emptied: memory made anew for each write costs more than to fill it.
    batch: LogBatch,
}

/// Writes carried out in memory, in order, each with what takes it back; `None` takes the record away altogether.
type Undos = Vec<(RecordSlot, Option<Undo>)>;

impl EngineLog {
    /// Opens or creates the log under `dir/raft` and syncs what it finds: what is loaded from here is durable.
    ///
    /// A record whose log is damaged does not keep the others from opening: `load` and `write` answer `LogDamaged` or
    /// `LogCorrupt` for it until it is removed.
    ///
    /// # Errors
    /// `Locked` if another process has it, `LogCorrupt` if it cannot be read, `Io`, `Full`, `SyncFailed`.
    pub fn open(dir: &Path, options: &EngineLogOptions) -> Result<Self> {
        Self::open_on(dir, options, &Arc::new(DefaultFileSystem), &*real_disk())
    }

    /// As `open`, on a simulated disk. The engine lists its directory for itself, so `dir` must be a real one as well,
    /// in which it finds empty files of the same names.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_simulated(disk: &SimDisk, dir: &Path, options: &EngineLogOptions) -> Result<Arc<dyn LogStore>> {
        let raft = dir.join(DIR);
        let files = DiskFiles::new(Arc::new(disk.clone()), &raft)?;
        Ok(Arc::new(EngineLog::open_on(dir, options, &Arc::new(files), disk)?))
    }

    /// As `open`, on a disk that is only looked at: what opening mends is mended in memory. The log must be held by
    /// `hold`, or be one that nobody writes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_shadow(disk: &ShadowDisk, dir: &Path, options: &EngineLogOptions) -> Result<Arc<dyn LogStore>> {
        let raft = dir.join(DIR);
        let files = DiskFiles::aside(Arc::new(disk.clone()), &raft)?;
        Ok(Arc::new(EngineLog::open_listed(&raft, &files.listed.clone(), options, &Arc::new(files), disk)?))
    }

    /// Takes the lock that every opening takes, and writes nothing; it is let go when the file is dropped. `None` if
    /// there never was a log.
    ///
    /// # Errors
    /// `Locked` if another process has it; `Io`.
    pub fn hold(dir: &Path) -> Result<Option<File>> {
        let path = dir.join(DIR).join(LOCK);
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| StoreError::io("open", &path, e))?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.into() }),
            Err(TryLockError::Error(e)) => Err(StoreError::io("lock", path, e)),
        }
    }

    /// Whether there ever was a log under `dir`.
    ///
    /// # Errors
    /// `Io`.
    pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool> {
        let dir = dir.join(DIR);
        let names = disk.list(&dir).map_err(|e| StoreError::io("list", &dir, e))?;
        Ok(names.iter().any(|name| name == MARKER || name.ends_with(FILE)))
    }
}

impl<F: FileSystem> EngineLog<F> {
    /// As `open`, on a file system that may be made to fail; the side marker is kept on `disk`.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_on(dir: &Path, options: &EngineLogOptions, files: &Arc<F>, disk: &dyn Disk) -> Result<Self> {
        let dir = dir.join(DIR);
        disk.create_dir_all(&dir).map_err(|e| StoreError::io("create", &dir, e))?;
        Self::open_listed(&dir, &dir, options, files, disk)
    }

    /// The same where the engine finds the names of the files in `dir` elsewhere.
    fn open_listed(
        dir: &Path,
        listed: &Path,
        options: &EngineLogOptions,
        files: &Arc<F>,
        disk: &dyn Disk,
    ) -> Result<Self> {
        let (dir, marker_path) = (dir.to_owned(), dir.join(MARKER));
        let engine = open_engine(&dir, listed, options, files)?;
        let noted = TailMarker::load(disk, &marker_path)?;
        let (found, mut write) = survey(&engine, &dir)?;
        if noted.is_none() && !found.is_empty() {
            let detail = "the side marker tail.marker is missing, so nothing tells whether the log is whole".into();
            return Err(StoreError::LogCorrupt { path: dir, detail });
        }
        let Noted { tail: noted, unreadable } = noted.unwrap_or_default();
        if unreadable > 0 {
            options.findings.add(StoreError::LogMarkerTorn { file: marker_path.clone(), unreadable }, Remedy::Mended);
        }
        write = write.max(noted.write) + 1;
        let all = on_fresh_thread(|| settle(&engine, &dir, found, &noted, write))?;
        let marker = TailMarker::create(disk, &marker_path, &Tail { write, ends: all.ends() })?;
        let state = Mutex::new(State { all, write, marker, synced: 0, batch: LogBatch::default() });
        let (marker_sync_every, poison) = (options.marker_sync_every.max(1), Poison::default());
        Ok(Self { engine, dir, marker_sync_every, poison, purging: false.into(), unsynced: false.into(), state })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // State changes in plain assignments that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whose log is not what was once synced.
    pub fn damaged(&self) -> Vec<RecordSlot> {
        self.lock().all.damaged.keys().copied().collect()
    }

    fn commit(&self, batch: &mut LogBatch, sync: bool) -> Result<()> {
        // A failed sync makes the engine panic, by design. Here it becomes an answer, so that the process can say
        // what happened, hand over the lead and stop in order.
        let sync = sync || self.purging.load(Ordering::Acquire);
        match catch_unwind(AssertUnwindSafe(|| self.engine.write(batch, sync))) {
            Ok(Ok(_)) => {
                self.unsynced.store(!sync, Ordering::Release);
                Ok(())
            }
            Ok(Err(e)) => Err(self.poison.after(engine_error("write", &self.dir, e))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("write panicked");
                Err(self.poison.sync_failed(&self.dir, &std::io::Error::other(text.to_owned())))
            }
        }
    }

    /// Syncs what is written. The engine's own sync does nothing: it takes an empty batch for nothing to be done.
    fn sync_all(&self, write: u64) -> Result<()> {
        if !self.unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut batch = LogBatch::default();
        put_opening(&mut batch, write).map_err(|e| engine_error("encode", &self.dir, e))?;
        self.commit(&mut batch, true)
    }

    fn write_batch(&self, writes: &[LogWrite], sync: bool) -> Result<()> {
        self.poison.check()?;
        if writes.is_empty() {
            return Ok(());
        }
        let state = &mut *self.lock();
        let number = state.write + 1;
        let (mut batch, mut undos) = (std::mem::take(&mut state.batch), Undos::new());
        let staged = writes.iter().try_for_each(|write| {
            state.check(write.slot, &self.dir)?;
            let end = state.carry_out(write, number, &mut undos)?;
            put_write(&mut batch, write, end).map_err(|e| engine_error("encode", &self.dir, e))
        });
        let staged = staged.and_then(|()| state.put_ends(&mut batch, &undos, &self.dir));
        if let Err(e) = staged.and_then(|()| self.commit(&mut batch, sync)) {
            state.take_back(undos);
            return Err(e);
        }
        (state.write, state.batch) = (number, batch);
        if sync {
            self.note(state);
        }
        Ok(())
    }

    /// Notes in the side marker that everything up to now is synced.
    fn note(&self, state: &mut State) {
        let tail = Tail { write: state.write, ends: state.all.ends() };
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

    fn commit_compaction(&self, slot: RecordSlot, held: &Held) -> Result<()> {
        let mut batch = LogBatch::default();
        batch.add_command(slot.0, Command::Compact { index: held.base.index + 1 });
        put_held(&mut batch, slot, held).map_err(|e| engine_error("encode", &self.dir, e))?;
        self.commit(&mut batch, false)
    }
}

impl State {
    fn check(&self, slot: RecordSlot, dir: &Path) -> Result<()> {
        if slot.0 == NODE_REGION {
            return Err(StoreError::Invalid(format!("{slot} is reserved")));
        }
        self.all.damaged.get(&slot).map_or(Ok(()), |damage| Err(damage.error(slot, dir)))
    }

    /// Carries out one write in memory; returns where the log ended before.
    fn carry_out(&mut self, write: &LogWrite, number: u64, undos: &mut Undos) -> Result<u64> {
        let slot = write.slot;
        if let Some(held) = self.all.logs.get_mut(&slot) {
            let end = held.end.index;
            undos.push((slot, Some(held.apply(write, number)?)));
            return Ok(end);
        }
        if self.all.logs.len() + self.all.damaged.len() >= MAX_SLOTS {
            return Err(StoreError::Invalid(format!("more than {MAX_SLOTS} records in one log")));
        }
        let mut held = Held::default();
        held.apply(write, number)?;
        self.all.logs.insert(slot, held);
        undos.push((slot, None));
        Ok(0)
    }

    fn take_back(&mut self, undos: Undos) {
        for (slot, undo) in undos.into_iter().rev() {
            match (undo, self.all.logs.get_mut(&slot)) {
                (Some(undo), Some(held)) => held.undo(undo),
                _ => drop(self.all.logs.remove(&slot)),
            }
        }
    }

    /// Adds base and end of every log that was changed.
    fn put_ends(&self, batch: &mut LogBatch, changed: &Undos, dir: &Path) -> Result<()> {
        let slots: BTreeSet<RecordSlot> = changed.iter().map(|(slot, _)| *slot).collect();
        let mut held = slots.iter().filter_map(|slot| Some((*slot, self.all.logs.get(slot)?)));
        held.try_for_each(|(slot, held)| put_held(batch, slot, held)).map_err(|e| engine_error("encode", dir, e))
    }
}

impl<F: FileSystem> LogStore for EngineLog<F> {
    fn slots(&self) -> Vec<RecordSlot> {
        let state = self.lock();
        let all: BTreeSet<_> = state.all.logs.keys().chain(state.all.damaged.keys()).copied().collect();
        all.into_iter().collect()
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        // Held throughout: a compaction in between would make the range unreadable.
        let state = self.lock();
        state.check(slot, &self.dir)?;
        let Some(held) = state.all.logs.get(&slot) else { return Ok(None) };
        let log = on_fresh_thread(|| readable(&self.engine, &self.dir, slot))?;
        if (log.base, log.last_index()) != (held.base, held.end.index) {
            let detail = format!("the entries {} to {} of {slot} are not in a row", held.base.index, held.end.index);
            return Err(StoreError::LogCorrupt { path: self.dir.clone(), detail });
        }
        Ok(Some(log))
    }

    fn salvage(&self, slot: RecordSlot) -> Result<Option<LoadedLog>> {
        let state = self.lock();
        let known = state.all.logs.contains_key(&slot) || state.all.damaged.contains_key(&slot);
        let readable = || on_fresh_thread(|| readable(&self.engine, &self.dir, slot));
        if known { readable().map(Some) } else { Ok(None) }
    }

    fn forgive(&self, slot: RecordSlot, base: LogBase) -> Result<()> {
        self.poison.check()?;
        let state = &mut *self.lock();
        let Some(Damage::Unreadable { last, held, .. }) = state.all.damaged.get(&slot) else {
            return state.check(slot, &self.dir);
        };
        if *last > base.index || base.index > held.end.index {
            return state.check(slot, &self.dir);
        }
        let mut held = (**held).clone();
        held.compact(base, state.write + 1);
        self.commit_compaction(slot, &held)?;
        state.write += 1;
        state.all.damaged.remove(&slot);
        state.all.logs.insert(slot, held);
        Ok(())
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
        state.check(slot, &self.dir)?;
        let mut held = state.all.logs.get(&slot).cloned().unwrap_or_default();
        if !held.span().compacts_to(slot, base)? {
            return Ok(());
        }
        held.compact(base, state.write + 1);
        self.commit_compaction(slot, &held)?;
        state.write += 1;
        state.all.logs.insert(slot, held);
        Ok(())
    }

    fn remove(&self, slot: RecordSlot) -> Result<()> {
        self.poison.check()?;
        let state = &mut *self.lock();
        if !state.all.logs.contains_key(&slot) && !state.all.damaged.contains_key(&slot) {
            return Ok(());
        }
        // First out of the marker, then out of the log: a crash in between ends with the removal done at the next
        // opening, and not with a record that looks damaged.
        state.write += 1;
        let mut tail = Tail { write: state.write, ends: state.all.ends() };
        tail.ends.remove(&slot);
        self.note_tail(state, &tail);
        self.poison.check()?;
        let mut batch = LogBatch::default();
        batch.add_command(slot.0, Command::Clean);
        self.commit(&mut batch, true)?;
        state.all.logs.remove(&slot);
        state.all.damaged.remove(&slot);
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        self.poison.check()?;
        // The engine deletes what has been replaced, although the replacement may not be synced and a power cut would
        // take both. So whatever is there is synced first, and what comes meanwhile is as well.
        let synced = {
            let state = self.lock();
            self.purging.store(true, Ordering::Release);
            self.sync_all(state.write)
        };
        let purged = synced.map(|()| catch_unwind(AssertUnwindSafe(|| self.engine.purge_expired_files())));
        self.purging.store(false, Ordering::Release);
        match purged? {
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

fn open_engine<F: FileSystem>(
    dir: &Path,
    listed: &Path,
    options: &EngineLogOptions,
    files: &Arc<F>,
) -> Result<Engine<F>> {
    let Some(name) = listed.to_str() else {
        return Err(StoreError::Invalid(format!("the data directory {} is not valid UTF-8", dir.display())));
    };
    let config = Config {
        dir: name.to_owned(),
        target_file_size: ReadableSize(options.file_bytes),
        purge_threshold: ReadableSize(options.purge_bytes.max(options.file_bytes)),
        recovery_threads: 2,
        batch_compression_threshold: ReadableSize(0), // Hardly ever read, and gone after the next checkpoint.
        ..Config::default()
    };
    // The engine asserts on some kinds of damage; an operator needs the name of the file, not a backtrace.
    let opened = catch_unwind(AssertUnwindSafe(|| Engine::open_with_file_system(config, files.clone())));
    let opened = opened.map_err(|_| StoreError::LogCorrupt { path: dir.into(), detail: "recovery gave up".into() })?;
    opened.map_err(|e| name_damaged_file(open_error(dir, e), dir, files))
}

type EngineResult<T = ()> = std::result::Result<T, raft_engine::Error>;

/// Adds one record's write, whose log ended at `end` before, to the batch.
fn put_write(batch: &mut LogBatch, write: &LogWrite, end: u64) -> EngineResult {
    let region = write.slot.0;
    if let Some(base) = write.reset_to {
        // Past the last entry, so that nothing of the old log is left, wherever the new one starts.
        batch.add_command(region, Command::Compact { index: end.max(base.index) + 1 });
    }
    if !write.entries.is_empty() {
        batch.add_entries::<EntryExt>(region, &write.entries)?;
    }
    if let Some(hard_state) = &write.hard_state {
        batch.put_message(region, HARD_STATE.to_vec(), hard_state)?;
    }
    if let Some((index, conf_state)) = &write.conf_state {
        batch.put_message(region, CONF_STATE.to_vec(), conf_state)?;
        batch.put(region, CONF_INDEX.to_vec(), Encoder::default().u64(*index).0)?;
    }
    Ok(())
}

/// Adds the write number that belongs to no record.
pub(super) fn put_opening(batch: &mut LogBatch, write: u64) -> EngineResult {
    batch.put(NODE_REGION, END.to_vec(), Encoder::default().u64(write).0)
}

/// Adds a log's base and end.
fn put_held(batch: &mut LogBatch, slot: RecordSlot, held: &Held) -> EngineResult {
    let base = Encoder::default().u64(held.base.index).u64(held.base.term).0;
    batch.put(slot.0, BASE.to_vec(), base)?;
    batch.put(slot.0, END.to_vec(), held.stored_end().encode())
}

pub(super) fn engine_error(op: &'static str, dir: &Path, error: raft_engine::Error) -> StoreError {
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
        // It cuts off a last batch that does not fit its checksum, and can do that in the last of its files only.
        raft_engine::Error::Io(e) if e.kind() == ErrorKind::InvalidInput && e.to_string() == "ftruncate" => {
            let detail = "the last entries of a file that others follow do not fit their checksum".into();
            StoreError::LogCorrupt { path: dir.into(), detail }
        }
        other => engine_error("open", dir, other),
    }
}
