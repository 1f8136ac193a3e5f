//! Bugs that are put in on purpose, so that the checkers are seen to fail. They stand between a node and its simulated
//! disk; the product knows nothing of them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shouwang_store::log::{EngineLog, LoadedLog, LogBase, LogStore, LogWrite, RecordSlot};
use shouwang_store::{Disk, DiskFile, SimDisk, StoreError};

use shouwang_driver::Storage;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// None: the store as it is.
    None,
    /// The log is acknowledged without a sync.
    LogNotSynced,
    /// A checkpoint gets its name before its bytes are synced.
    CheckpointNotSynced,
    /// A ledger segment is sealed before its bytes are synced.
    LedgerNotSynced,
}

/// The storage of a node on a simulated disk, with a bug; the log is handed out as well, to be purged by hand.
pub fn storage(disk: &SimDisk, plant: Plant, log: Arc<std::sync::OnceLock<Arc<dyn LogStore>>>) -> Storage {
    let files: Arc<dyn Disk> = match plant {
        Plant::CheckpointNotSynced => Arc::new(Lying { disk: disk.clone(), about: "/checkpoints/" }),
        Plant::LedgerNotSynced => Arc::new(Lying { disk: disk.clone(), about: "/ledger/" }),
        Plant::None | Plant::LogNotSynced => Arc::new(disk.clone()),
    };
    let disk = disk.clone();
    Storage::new(files, move |dir, options| {
        let opened = EngineLog::open_simulated(&disk, dir, options)?;
        let opened = if plant == Plant::LogNotSynced { Arc::new(Unsynced(opened)) } else { opened };
        // Set once per storage, which opens one log.
        let _ = log.set(Arc::clone(&opened));
        Ok(opened)
    })
}

struct Unsynced(Arc<dyn LogStore>);

impl LogStore for Unsynced {
    fn slots(&self) -> Vec<RecordSlot> {
        self.0.slots()
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>, StoreError> {
        self.0.load(slot)
    }

    fn write(&self, writes: &[LogWrite]) -> Result<(), StoreError> {
        self.0.write_unsynced(writes)
    }

    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<(), StoreError> {
        self.0.write_unsynced(writes)
    }

    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<(), StoreError> {
        self.0.compact(slot, base)
    }

    fn remove(&self, slot: RecordSlot) -> Result<(), StoreError> {
        self.0.remove(slot)
    }

    fn purge(&self) -> Result<(), StoreError> {
        self.0.purge()
    }
}

/// A disk that says it has synced some files, and has not.
#[derive(Debug)]
struct Lying {
    disk: SimDisk,
    about: &'static str,
}

#[derive(Debug)]
struct LyingFile(Arc<dyn DiskFile>);

impl Lying {
    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let lies = path.to_string_lossy().contains(self.about);
        if lies { Arc::new(LyingFile(file)) } else { file }
    }
}

impl Disk for Lying {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, self.disk.open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for LyingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
