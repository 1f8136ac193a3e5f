//! A [`Disk`] as raft-engine's file system, so that the engine itself can be crashed behind each of its steps, and can be
//! opened on a disk that is only looked at.
//!
//! The engine lists its directory, locks it, and syncs it, past its own `FileSystem`. So every name has an empty file of
//! the same name in a real directory, and the directory sync is taken where the engine does it: after the first sync of a
//! file that it has begun by rotation. The files it creates when it opens an empty directory are not synced by name.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};
use tempfile::TempDir;

use crate::disk::{Disk, DiskFile};
use crate::error::{Result, StoreError};

/// Files of a disk, for the engine.
#[derive(Debug, Clone)]
pub(super) struct DiskFiles {
    disk: Arc<dyn Disk>,
    /// Where they are.
    dir: PathBuf,
    /// Where the engine finds their names.
    pub listed: PathBuf,
    /// Names whose directory the engine syncs right after it has synced the file.
    begun: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Goes away with the last of its users.
    _scratch: Option<Arc<TempDir>>,
}

impl DiskFiles {
    /// Shows the engine what lies in `dir` on the disk, by names in the real directory of the same name.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        Self::listed(disk, dir, dir.into(), None)
    }

    /// The same by names in a directory for the time being.
    pub fn aside(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("shouwang-log-").tempdir();
        let scratch = scratch.map_err(|e| StoreError::io("create a folder in", std::env::temp_dir(), e))?;
        Self::listed(disk, dir, scratch.path().into(), Some(Arc::new(scratch)))
    }

    fn listed(disk: Arc<dyn Disk>, dir: &Path, listed: PathBuf, scratch: Option<Arc<TempDir>>) -> Result<Self> {
        for name in disk.list(dir).map_err(|e| StoreError::io("list", dir, e))? {
            let name = listed.join(name);
            fs::File::create(&name).map_err(|e| StoreError::io("create", name, e))?;
        }
        Ok(Self { disk, dir: dir.into(), listed, begun: Arc::default(), _scratch: scratch })
    }

    /// Where a file is that the engine names.
    fn place(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.listed).map_or_else(|_| path.into(), |name| self.dir.join(name))
    }

    fn begun(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // Single insertions and removals: whole after any panic.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, path: PathBuf) -> io::Result<DiskHandle> {
        Ok(DiskHandle { file: self.disk.open(&path)?, path, files: self.clone() })
    }
}

/// Whether the engine creates this file when it opens, and not by rotation.
fn is_first(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().trim_start_matches('0') == "1")
}

#[derive(Debug)]
pub(super) struct DiskHandle {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    files: DiskFiles,
}

impl Handle for DiskHandle {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.file.set_size(offset as u64)
    }

    fn file_size(&self) -> io::Result<usize> {
        usize::try_from(self.file.size()?).map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        if self.files.begun().remove(&self.path) {
            self.files.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct DiskCursor {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl io::Read for DiskCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl io::Write for DiskCursor {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for DiskCursor {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            io::SeekFrom::Start(at) => (at, 0),
            io::SeekFrom::Current(by) => (self.at, by),
            io::SeekFrom::End(by) => (self.file.size()?, by),
        };
        self.at = base.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl WriteExt for DiskCursor {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.file.set_size(offset as u64)?;
        self.at = offset as u64;
        Ok(())
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        let end = (offset + size) as u64;
        if end > self.file.size()? { self.file.set_size(end) } else { Ok(()) }
    }
}

impl FileSystem for DiskFiles {
    type Handle = DiskHandle;
    type Reader = DiskCursor;
    type Writer = DiskCursor;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<DiskHandle> {
        let place = self.place(path.as_ref());
        if self.disk.open(&place).is_err() {
            self.disk.create(&place)?;
            fs::File::create(path)?;
            if !is_first(&place) {
                self.begun().insert(place.clone());
            }
        }
        self.handle(place)
    }

    fn open<P: AsRef<Path>>(&self, path: P, _: Permission) -> io::Result<DiskHandle> {
        self.handle(self.place(path.as_ref()))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.disk.remove(&self.place(path.as_ref()))?;
        fs::remove_file(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        let place = self.place(to.as_ref());
        self.disk.rename(&self.place(from.as_ref()), &place)?;
        self.begun().insert(place);
        fs::rename(from, to)
    }

    fn new_reader(&self, handle: Arc<DiskHandle>) -> io::Result<DiskCursor> {
        Ok(DiskCursor { file: handle.file.clone(), at: 0 })
    }

    fn new_writer(&self, handle: Arc<DiskHandle>) -> io::Result<DiskCursor> {
        Ok(DiskCursor { file: handle.file.clone(), at: 0 })
    }
}
