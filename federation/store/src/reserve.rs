//! Room kept back for votes and hard state, and the question how much room there is.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::error::{Result, StoreError};

/// Name of the reserve file in the data directory.
pub const NAME: &str = "reserve.space";
/// Size of the reserve in bytes unless told otherwise; on a small disk an eighth of it.
pub const DEFAULT_RESERVE_BYTES: u64 = 8 << 20;

/// A file of real blocks that is given up when the disk is full, so that the log can still keep votes.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    size: u64,
}

impl Reserve {
    /// Keeps `size` bytes of the disk holding `dir` back, of a small disk at most an eighth; a reserve that is there
    /// already is taken over. On a disk that is full already the reserve is simply not held.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(dir: &Path, size: u64) -> Result<Self> {
        let reserve = Self { path: dir.join(NAME), size: size.min(disk_size(dir)? / 8) };
        match reserve.restore() {
            Ok(()) => Ok(reserve),
            Err(e) if e.is_full() => {
                tracing::warn!(file = %reserve.path.display(), "no room for the reserve, the disk is full");
                Ok(reserve)
            }
            Err(e) => Err(e),
        }
    }

    /// Whether the room is kept back now.
    pub fn is_held(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|m| m.len() == self.size)
    }

    /// Gives the room to whoever writes next. No error if it was given already.
    ///
    /// # Errors
    /// `Io`.
    pub fn release(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", &self.path, e)),
            _ => Ok(()),
        }
    }

    /// Keeps the room back again.
    ///
    /// # Errors
    /// `Full` if there is not enough; nothing is kept then. `Io`.
    pub fn restore(&self) -> Result<()> {
        if self.is_held() {
            return Ok(());
        }
        self.fill().inspect_err(|_| {
            // A part of a reserve would count against the room it is meant to keep; the error that matters is the first.
            let _ = fs::remove_file(&self.path);
        })
    }

    fn fill(&self) -> Result<()> {
        let fault = |e| StoreError::io("reserve", &self.path, e);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path).map_err(fault)?;
        fallocate(&file, FallocateFlags::empty(), 0, self.size).or_else(|e| self.fill_by_hand(&file, e))?;
        file.sync_all().map_err(fault)
    }

    /// For file systems without fallocate.
    fn fill_by_hand(&self, file: &File, e: rustix::io::Errno) -> Result<()> {
        use std::os::unix::fs::FileExt;

        let fault = |e| StoreError::io("reserve", &self.path, e);
        if e != rustix::io::Errno::OPNOTSUPP {
            return Err(fault(e.into()));
        }
        let block = vec![0xA5; 1 << 20];
        let mut at = 0;
        while at < self.size {
            let len = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(block.len());
            file.write_all_at(&block[..len], at).map_err(fault)?;
            at += len as u64;
        }
        Ok(())
    }
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceState {
    /// Enough; the free bytes.
    Ok(u64),
    /// Time to warn; the free bytes.
    Low(u64),
    /// Time to refuse writes; the free bytes.
    Full(u64),
}

/// The limits between enough, low and full. On a small disk a quarter and an eighth of it count where that is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Below this many free bytes the disk is low.
    pub low_bytes: u64,
    /// Below this many free bytes no more writes are taken.
    pub full_bytes: u64,
}

impl Default for DiskSpace {
    fn default() -> Self {
        Self { low_bytes: 512 << 20, full_bytes: 64 << 20 }
    }
}

impl DiskSpace {
    /// Which state `free` bytes are.
    pub fn judge(self, free: u64) -> SpaceState {
        if free < self.full_bytes {
            SpaceState::Full(free)
        } else if free < self.low_bytes {
            SpaceState::Low(free)
        } else {
            SpaceState::Ok(free)
        }
    }

    /// The limits on a disk of `size` bytes.
    pub fn on_disk_of(self, size: u64) -> Self {
        Self { low_bytes: self.low_bytes.min(size / 4), full_bytes: self.full_bytes.min(size / 8) }
    }

    /// Asks the file system that holds `dir`.
    ///
    /// # Errors
    /// `Io`.
    pub fn check(self, dir: &Path) -> Result<SpaceState> {
        let (free, size) = room(dir)?;
        Ok(self.on_disk_of(size).judge(free))
    }
}

/// The size of the file system that holds `dir`, in bytes.
///
/// # Errors
/// `Io`.
pub fn disk_size(dir: &Path) -> Result<u64> {
    room(dir).map(|(_, size)| size)
}

/// Free bytes of the file system that holds `dir`, and all it has.
fn room(dir: &Path) -> Result<(u64, u64)> {
    let stat = statvfs(dir).map_err(|e| StoreError::io("ask the free space of", dir, e.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok((bytes(stat.f_bavail), bytes(stat.f_blocks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_kept_released_and_kept_again() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(dir.path(), 1 << 20).unwrap();
        assert!(reserve.is_held());
        reserve.release().unwrap();
        reserve.release().unwrap();
        assert!(!reserve.is_held());
        reserve.restore().unwrap();
        reserve.restore().unwrap();
        assert!(Reserve::open(dir.path(), 1 << 20).unwrap().is_held());
        assert!(!Reserve { path: dir.path().join(NAME), size: 2 << 20 }.is_held(), "another size is another reserve");
    }

    #[test]
    fn a_reserve_that_does_not_fit_is_not_half_kept() {
        let dir = tempfile::tempdir().unwrap();
        // More than any file system of a test machine has.
        let reserve = Reserve { path: dir.path().join(NAME), size: 1 << 60 };
        assert!(reserve.restore().is_err());
        assert!(!reserve.path.exists());
    }

    #[test]
    fn space_is_judged_by_its_limits() {
        let limits = DiskSpace { low_bytes: 100, full_bytes: 10 };
        let cases = [
            (0, SpaceState::Full(0)),
            (9, SpaceState::Full(9)),
            (10, SpaceState::Low(10)),
            (99, SpaceState::Low(99)),
            (100, SpaceState::Ok(100)),
        ];
        for (free, want) in cases {
            assert_eq!(limits.judge(free), want);
        }
        let small = DiskSpace::default().on_disk_of(16 << 20);
        assert_eq!(
            (small.low_bytes, small.full_bytes),
            (4 << 20, 2 << 20),
            "a small disk is not full when it is empty"
        );
        let large = DiskSpace::default().on_disk_of(1 << 40);
        assert_eq!(large, DiskSpace::default());
        let dir = tempfile::tempdir().unwrap();
        let roomy = DiskSpace { low_bytes: 2, full_bytes: 1 };
        assert!(matches!(roomy.check(dir.path()).unwrap(), SpaceState::Ok(_)));
        assert_eq!(limits.check(&dir.path().join("none")).unwrap_err().code(), "STORE_IO");
    }
}
