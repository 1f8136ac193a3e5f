//! The index: a sled tree for what can be rebuilt. Losing it costs time, never data.

use std::{
    fs::{self, File},
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
/// Data and positions share one tree, so that one batch changes both or neither.
const DATA: u8 = b'd';
const POSITION: u8 = b'p';
/// How long to wait for the lock of an index that another owner is just closing.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// An ordered map from bytes to small values, with the ledger positions it reflects.
#[derive(Debug)]
pub struct Index {
    db: sled::Db,
    dir: PathBuf,
    poison: Poison,
    needs_rebuild: bool,
}

/// Changes that take effect together, with the positions they bring the index to.
#[derive(Debug, Default)]
pub struct IndexBatch {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    positions: Vec<(String, u64)>,
}

impl IndexBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.changes.push((key.into(), Some(value.into())));
        self
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.changes.push((key.into(), None));
        self
    }

    /// Notes that with this batch the index reflects `revision` of the ledger called `name`.
    pub fn set_position(&mut self, name: &str, revision: u64) -> &mut Self {
        self.positions.push((name.to_owned(), revision));
        self
    }
}

fn tagged(tag: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(tag);
    out.extend_from_slice(key);
    out
}

fn check_sizes(key: &[u8], value: Option<&[u8]>) -> Result<()> {
    let over =
        |what, size: usize, limit: usize| Err(StoreError::TooLarge { what, size: size as u64, limit: limit as u64 });
    if key.len() > MAX_KEY_BYTES {
        return over("index key", key.len(), MAX_KEY_BYTES);
    }
    match value {
        Some(value) if value.len() > MAX_VALUE_BYTES => over("index value", value.len(), MAX_VALUE_BYTES),
        _ => Ok(()),
    }
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
        let (db, damaged) = match open_patiently(dir) {
            Ok(db) => (db, false),
            Err(e @ (StoreError::Locked { .. } | StoreError::Full { .. })) => return Err(e),
            Err(e) => {
                let aside = set_aside(dir)?;
                tracing::warn!(index = %dir.display(), aside = %aside.display(), error = %e, "index set aside, rebuilding");
                (open_patiently(dir)?, true)
            }
        };
        let needs_rebuild = damaged || db.is_empty();
        Ok(Self { db, dir: dir.into(), poison: Poison::default(), needs_rebuild })
    }

    /// True if the index was opened empty, new or in place of a damaged one: it reflects no ledger yet.
    pub fn needs_rebuild(&self) -> bool {
        self.needs_rebuild
    }

    fn fault(&self, e: &sled::Error) -> StoreError {
        sled_error(&self.dir, e)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `Index`, `Io`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.db.get(tagged(DATA, key)).map_err(|e| self.fault(&e))?;
        Ok(found.map(|value| value.to_vec()))
    }

    /// Sets one key.
    ///
    /// # Errors
    /// `TooLarge`, `Index`, `Io`, `Full`, `Poisoned`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = IndexBatch::new();
        batch.put(key, value);
        self.apply(&batch)
    }

    /// Removes one key.
    ///
    /// # Errors
    /// As `put`.
    pub fn remove(&self, key: &[u8]) -> Result<()> {
        let mut batch = IndexBatch::new();
        batch.remove(key);
        self.apply(&batch)
    }

    /// Applies a batch: all of it or nothing, also across a crash.
    ///
    /// # Errors
    /// As `put`; nothing is changed then.
    pub fn apply(&self, batch: &IndexBatch) -> Result<()> {
        self.poison.check()?;
        let mut changes = sled::Batch::default();
        for (key, value) in &batch.changes {
            check_sizes(key, value.as_deref())?;
            match value {
                Some(value) => changes.insert(tagged(DATA, key), value.as_slice()),
                None => changes.remove(tagged(DATA, key)),
            }
        }
        for (name, revision) in &batch.positions {
            check_sizes(name.as_bytes(), None)?;
            changes.insert(tagged(POSITION, name.as_bytes()), &revision.to_le_bytes());
        }
        self.db.apply_batch(changes).map_err(|e| self.poison.after(self.fault(&e)))
    }

    /// The keys that start with `prefix`, in order, beginning behind `after` (a whole key), at most `limit`.
    ///
    /// # Errors
    /// `Index`, `Io`.
    pub fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let prefix = tagged(DATA, prefix);
        let start = match after.map(|key| tagged(DATA, key)).filter(|key| *key >= prefix) {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(prefix.clone()),
        };
        let mut out = Vec::new();
        for item in self.db.range((start, Bound::Unbounded)).take(limit) {
            let (key, value) = item.map_err(|e| self.fault(&e))?;
            if !key.starts_with(&prefix) {
                break;
            }
            out.push((key[1..].to_vec(), value.to_vec()));
        }
        Ok(out)
    }

    /// The ledger revision the index reflects for `name`.
    ///
    /// # Errors
    /// `Index`, `Io`.
    pub fn position(&self, name: &str) -> Result<Option<u64>> {
        let found = self.db.get(tagged(POSITION, name.as_bytes())).map_err(|e| self.fault(&e))?;
        Ok(found.and_then(|v| v.as_ref().try_into().ok()).map(u64::from_le_bytes))
    }

    /// Forgets everything, positions included: before a rebuild from the start.
    ///
    /// # Errors
    /// As `put`.
    pub fn clear(&self) -> Result<()> {
        self.poison.check()?;
        self.db.clear().map_err(|e| self.poison.after(self.fault(&e)))
    }

    /// Makes everything durable: sled's flush alone does not sync on Linux, so its file is synced after it.
    ///
    /// # Errors
    /// `SyncFailed`, `Poisoned`, `Index`, `Full`.
    pub fn flush_durable(&self) -> Result<()> {
        self.poison.check()?;
        self.db.flush().map_err(|e| self.poison.after(self.fault(&e)))?;
        let file = self.dir.join("db");
        let synced = File::open(&file).and_then(|f| f.sync_data());
        synced.map_err(|e| self.poison.sync_failed(&file, &e))
    }
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
        // sled asserts on some kinds of damage while it recovers.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let opened = opened.map_err(|_| StoreError::Index { path: dir.into(), detail: "recovery gave up".into() })?;
        match opened.map_err(|e| sled_error(dir, &e)) {
            Err(StoreError::Locked { .. }) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
}

fn set_aside(dir: &Path) -> Result<PathBuf> {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut n = 0_u32;
    loop {
        let aside = dir.with_file_name(format!("{name}.damaged-{n}"));
        if aside.exists() {
            n += 1;
            continue;
        }
        fs::rename(dir, &aside).map_err(|e| StoreError::io("set aside", dir, e))?;
        return Ok(aside);
    }
}

#[cfg(test)]
mod tests;
