//! The few file operations that ledger, checkpoints and marker need, so that a simulated disk can stand in.

mod frozen;
mod real;
mod shadow;
mod sim;
mod sim_state;

use std::{fmt, io, path::Path, sync::Arc};

pub use frozen::FrozenDisk;
pub use real::RealDisk;
pub use shadow::ShadowDisk;
pub use sim::{PowerLoss, SimDisk, SimFault};

use crate::error::{Poison, Result, StoreError};

/// A disk: names, and files under them. Every call blocks; none belongs on an async thread.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory with its parents; no error if it is there.
    ///
    /// # Errors
    /// What the operating system answers.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The names of the files and directories in `dir`, sorted; empty if there is no such directory.
    ///
    /// # Errors
    /// What the operating system answers.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// What the operating system answers.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file, empty even if there was one.
    ///
    /// # Errors
    /// What the operating system answers.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, replacing what has it. Durable after `sync_dir`.
    ///
    /// # Errors
    /// What the operating system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after `sync_dir`.
    ///
    /// # Errors
    /// What the operating system answers.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// What the operating system answers.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file, read and written by position.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the operating system answers.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; on an error a part may have been written.
    ///
    /// # Errors
    /// What the operating system answers.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The size in bytes.
    ///
    /// # Errors
    /// What the operating system answers.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends the file to `size` bytes.
    ///
    /// # Errors
    /// What the operating system answers.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes content and size durable (fdatasync).
    ///
    /// # Errors
    /// What the operating system answers.
    fn sync(&self) -> io::Result<()>;
}

/// The real file system, ready to hand to the stores.
pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Reads exactly `len` bytes at `offset`; an error of kind `UnexpectedEof` if the file ends before.
pub(crate) fn read_exact_at(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_more_at(file, offset, len, &mut bytes)?;
    Ok(bytes)
}

/// The same, added to what `bytes` holds.
pub(crate) fn read_more_at(file: &dyn DiskFile, offset: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let size = file.size()?;
    // Checked before the allocation: a damaged length must not ask for memory.
    if offset.checked_add(len as u64).is_none_or(|end| end > size) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let begin = bytes.len();
    bytes.resize(begin + len, 0);
    let mut done = 0;
    while done < len {
        match file.read_at(offset + done as u64, &mut bytes[begin + done..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Moves a damaged file out of the way under a name that is never read again (`<name>.damaged-<n>`) and warns.
///
/// # Errors
/// `StoreError::Io` if it cannot be renamed.
pub fn quarantine(disk: &dyn Disk, file: &Path) -> Result<std::path::PathBuf> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let taken = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
    let mut n = 0_u32;
    let aside = loop {
        let candidate = format!("{name}.damaged-{n}");
        if !taken.contains(&candidate) {
            break dir.join(candidate);
        }
        n += 1;
    };
    disk.rename(file, &aside).map_err(|e| StoreError::io("set aside", file, e))?;
    disk.sync_dir(dir).map_err(|e| StoreError::io("sync directory", dir, e))?;
    tracing::warn!(file = %file.display(), aside = %aside.display(), "damaged file set aside");
    Ok(aside)
}

/// Writes a small file so that it is there whole or not at all: aside, synced, renamed, directory synced.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8], poison: &Poison) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let aside = path.with_extension("new");
    let file = disk.create(&aside).map_err(|e| StoreError::io("create", &aside, e))?;
    file.write_at(0, bytes).map_err(|e| StoreError::io("write", &aside, e))?;
    file.sync().map_err(|e| poison.sync_failed(&aside, &e))?;
    disk.rename(&aside, path).map_err(|e| StoreError::io("rename", &aside, e))?;
    disk.sync_dir(dir).map_err(|e| poison.sync_failed(dir, &e))
}

#[cfg(test)]
mod tests;
