//! The simulated disk as raft-engine's file system, so that the engine itself can be crashed behind each of its steps.
//!
//! The engine lists its directory, and syncs it, past its own `FileSystem`. So every name has an empty file of the same
//! name in a real directory, and the directory sync is taken where the engine does it: after the first sync of a file
//! that it has begun by rotation. The files it creates when it opens an empty directory are not synced by name.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

use crate::disk::{Disk, DiskFile, SimDisk, SimFile};

/// Files of a simulated disk, for the engine.
#[derive(Debug, Clone)]
pub(super) struct SimFiles {
    disk: SimDisk,
    /// Names whose directory the engine syncs right after it has synced the file.
    begun: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl SimFiles {
    /// Shows the engine what lies in `dir` on the simulated disk.
    pub fn new(disk: SimDisk, dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for name in disk.list(dir)? {
            fs::File::create(dir.join(name))?;
        }
        Ok(Self { disk, begun: Arc::default() })
    }

    fn begun(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // Single insertions and removals: whole after any panic.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, path: &Path) -> io::Result<SimHandle> {
        Ok(SimHandle { file: self.disk.open_file(path)?, path: path.into(), files: self.clone() })
    }
}

/// Whether the engine creates this file when it opens, and not by rotation.
fn is_first(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().trim_start_matches('0') == "1")
}

#[derive(Debug)]
pub(super) struct SimHandle {
    file: SimFile,
    path: PathBuf,
    files: SimFiles,
}

impl Handle for SimHandle {
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
pub(super) struct SimCursor {
    file: SimFile,
    at: u64,
}

impl io::Read for SimCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl io::Write for SimCursor {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, buf)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for SimCursor {
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

impl WriteExt for SimCursor {
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

impl FileSystem for SimFiles {
    type Handle = SimHandle;
    type Reader = SimCursor;
    type Writer = SimCursor;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<SimHandle> {
        let path = path.as_ref();
        if self.disk.open_file(path).is_err() {
            self.disk.create(path)?;
            fs::File::create(path)?;
            if !is_first(path) {
                self.begun().insert(path.into());
            }
        }
        self.handle(path)
    }

    fn open<P: AsRef<Path>>(&self, path: P, _: Permission) -> io::Result<SimHandle> {
        self.handle(path.as_ref())
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.disk.remove(path.as_ref())?;
        fs::remove_file(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        self.disk.rename(from.as_ref(), to.as_ref())?;
        self.begun().insert(to.as_ref().into());
        fs::rename(from, to)
    }

    fn new_reader(&self, handle: Arc<SimHandle>) -> io::Result<SimCursor> {
        Ok(SimCursor { file: handle.file.clone(), at: 0 })
    }

    fn new_writer(&self, handle: Arc<SimHandle>) -> io::Result<SimCursor> {
        Ok(SimCursor { file: handle.file.clone(), at: 0 })
    }
}
