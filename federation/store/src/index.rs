//! The index: a sled tree for what can be rebuilt. Losing it costs time, never data.

use std::{
    fs::{self, File, TryLockError},
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::error::{Poison, Result, StoreError};

/// Largest value in bytes: sled keeps larger ones in files of their own, which it does not sync.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Largest key in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// How many damaged indexes are kept beside the one in use.
const SET_ASIDE_MAX: u32 = 4;
/// Data and positions share one tree, so that one batch changes both or neither.
const DATA: u8 = b'd';
const POSITION: u8 = b'p';
/// How long to wait for the lock of an index that another owner is just closing.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait between two looks at it.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An ordered map from bytes to small values, with what it reflects of each ledger.
#[derive(Debug)]
pub struct Index {
    db: sled::Db,
    dir: PathBuf,
    poison: Poison,
    needs_rebuild: bool,
    damage: Option<String>,
}

/// Changes that take effect together, with the positions they bring the index to.
#[derive(Debug, Default)]
pub struct IndexBatch {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    positions: Vec<(String, Vec<u8>)>,
}

impl IndexBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.entries.push((key.into(), value.into()));
        self
    }

    /// Notes what the index reflects of the ledger called `name` with this batch, in the caller's own words.
    pub fn set_position(&mut self, name: &str, position: impl Into<Vec<u8>>) -> &mut Self {
        self.positions.push((name.to_owned(), position.into()));
        self
    }
}

fn tagged(tag: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(tag);
    out.extend_from_slice(key);
    out
}

fn check_sizes(key: &[u8], value: &[u8]) -> Result<()> {
    let over =
        |what, size: usize, limit: usize| Err(StoreError::TooLarge { what, size: size as u64, limit: limit as u64 });
    if key.len() > MAX_KEY_BYTES {
        return over("index key", key.len(), MAX_KEY_BYTES);
    }
    if value.len() > MAX_VALUE_BYTES {
        return over("index value", value.len(), MAX_VALUE_BYTES);
    }
    Ok(())
}

impl Index {
    /// Opens or creates the index in `dir`. One that does not open is set aside as `<dir>.damaged-<n>` with a warning
    /// and an empty one takes its place; `needs_rebuild` then says so.
    ///
    /// # Errors
    /// `Locked` if another process has it; `Full`; `Index` or `Io` if not even an empty one opens.
    pub fn open(dir: &Path) -> Result<Self> {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(|e| StoreError::io("create", parent, e))?;
        }
        match open_patiently(dir).and_then(|db| Self::new(db, dir)) {
            Ok(index) => Ok(index),
            Err(e @ (StoreError::Locked { .. } | StoreError::Full { .. })) => Err(e),
            Err(e) => {
                let index = Self::replace(dir)?;
                Ok(Self { damage: Some(e.to_string()), ..index })
            }
        }
    }

    /// Sets the index in `dir` aside and opens an empty one in its place: for when it is found not to hold what it
    /// should. Waits a while until whoever has it open has let go of it, for sled would write into the new one.
    ///
    /// # Errors
    /// As `open`.
    pub fn replace(dir: &Path) -> Result<Self> {
        released(dir)?;
        set_aside(dir)?;
        Self::new(open_patiently(dir)?, dir)
    }

    fn new(db: sled::Db, dir: &Path) -> Result<Self> {
        let needs_rebuild = guarded(dir, || Ok(db.is_empty()))?;
        Ok(Self { db, dir: dir.into(), poison: Poison::default(), needs_rebuild, damage: None })
    }

    /// Why the index that was here before was set aside when this one was opened, if it was.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// True if the index was opened empty, new or in place of a damaged one: it reflects no ledger yet.
    pub fn needs_rebuild(&self) -> bool {
        self.needs_rebuild
    }

    /// Applies a batch: all of it or nothing, also across a crash.
    ///
    /// # Errors
    /// `TooLarge`, `Index`, `Full`, `Poisoned`; nothing is changed then.
    pub fn apply(&self, batch: &IndexBatch) -> Result<()> {
        self.poison.check()?;
        let mut changes = sled::Batch::default();
        let entries = batch.entries.iter().map(|(key, value)| (DATA, key.as_slice(), value));
        let positions = batch.positions.iter().map(|(name, position)| (POSITION, name.as_bytes(), position));
        for (tag, key, value) in entries.chain(positions) {
            check_sizes(key, value)?;
            changes.insert(tagged(tag, key), value.as_slice());
        }
        self.guarded(|| self.db.apply_batch(changes)).map_err(|e| self.poison.after(e))
    }

    /// The entries whose keys start with `prefix`, in order, beginning behind `after` (a whole key), at most `limit`.
    ///
    /// # Errors
    /// `Index`.
    pub fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let prefix = tagged(DATA, prefix);
        let start = match after.map(|key| tagged(DATA, key)).filter(|key| *key >= prefix) {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(prefix.clone()),
        };
        self.guarded(|| {
            let mut out = Vec::new();
            for item in self.db.range((start, Bound::Unbounded)).take(limit) {
                let (key, value) = item?;
                if !key.starts_with(&prefix) {
                    break;
                }
                out.push((key[1..].to_vec(), value.to_vec()));
            }
            Ok(out)
        })
    }

    /// What the index reflects of the ledger called `name`, as it was noted.
    ///
    /// # Errors
    /// `Index`.
    pub fn position(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = self.guarded(|| self.db.get(tagged(POSITION, name.as_bytes())))?;
        Ok(found.map(|position| position.to_vec()))
    }

    /// Makes everything durable: sled's flush alone does not sync on Linux, so its file is synced after it.
    ///
    /// # Errors
    /// `SyncFailed`, `Poisoned`, `Index`, `Full`.
    pub fn flush_durable(&self) -> Result<()> {
        self.poison.check()?;
        self.guarded(|| self.db.flush()).map_err(|e| self.poison.after(e))?;
        let file = self.dir.join("db");
        let synced = File::open(&file).and_then(|f| f.sync_data());
        synced.map_err(|e| self.poison.sync_failed(&file, &e))
    }

    /// sled asserts on some kinds of damage, wherever it first meets them.
    fn guarded<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        guarded(&self.dir, work)
    }
}

fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    let gave_up = |_| StoreError::Index { path: dir.into(), detail: "sled gave up on its files".into() };
    catch_unwind(AssertUnwindSafe(work)).map_err(gave_up)?.map_err(|e| sled_error(dir, &e))
}

fn sled_error(dir: &Path, e: &sled::Error) -> StoreError {
    match e {
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => {
            StoreError::Locked { path: dir.into() }
        }
        sled::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => StoreError::Full { path: dir.into() },
        other => StoreError::Index { path: dir.into(), detail: other.to_string() },
    }
}

/// sled lets go of its lock a moment after the last handle is dropped and tells nobody; so a locked index is tried
/// again for a while.
fn open_patiently(dir: &Path) -> Result<sled::Db> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        let config = sled::Config::new().path(dir).cache_capacity(32 << 20).flush_every_ms(Some(1000));
        match guarded(dir, || config.open()) {
            Err(StoreError::Locked { .. }) if Instant::now() < until => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
}

/// Waits until nobody has the index in `dir` open: sled holds this lock as long as it lives.
fn released(dir: &Path) -> Result<()> {
    let Ok(file) = File::open(dir.join("db")) else { return Ok(()) };
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: dir.into() }),
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
}

/// Moves what is in `dir` out of the way; only so many are kept for whoever wants to know what happened.
fn set_aside(dir: &Path) -> Result<()> {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let places = (0..SET_ASIDE_MAX).map(|n| dir.with_file_name(format!("{name}.damaged-{n}")));
    let moved = match places.into_iter().find(|place| fs::symlink_metadata(place).is_err()) {
        Some(place) => {
            tracing::warn!(index = %dir.display(), aside = %place.display(), "index set aside, it is built anew");
            fs::rename(dir, place)
        }
        None if fs::symlink_metadata(dir).is_ok_and(|it| it.is_dir()) => fs::remove_dir_all(dir),
        None => fs::remove_file(dir),
    };
    match moved {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|e| StoreError::io("set aside", dir, e)),
    }
}

#[cfg(test)]
mod tests;
