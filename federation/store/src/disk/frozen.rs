//! A disk that is only looked at.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use super::{Disk, DiskFile, RealDisk};

/// Files of the operating system, none of which is changed: for whoever checks a copy that may lie on a medium without
/// write access. Nothing is created; what a store would clean away or set aside stays where it is, and what was never
/// finished does not show.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrozenDisk;

/// How files end that a store has not finished.
const UNFINISHED: [&str; 3] = [".new", ".open", ".part"];

fn frozen<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for FrozenDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = RealDisk.list(dir)?;
        names.retain(|name| !UNFINISHED.iter().any(|end| name.ends_with(end)));
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FrozenFile(File::open(path)?)))
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        frozen()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct FrozenFile(File);

impl DiskFile for FrozenFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        frozen()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_size(&self, _: u64) -> io::Result<()> {
        frozen()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_on_a_frozen_disk_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.sealed");
        for name in ["a.sealed", "b.open", "c.new", "d.part"] {
            std::fs::write(dir.path().join(name), b"as it was").unwrap();
        }
        assert_eq!(FrozenDisk.list(dir.path()).unwrap(), ["a.sealed"]);
        let opened = FrozenDisk.open(&file).unwrap();
        assert!(opened.write_at(0, b"x").is_err());
        assert!(opened.set_size(0).is_err());
        assert!(FrozenDisk.create(&dir.path().join("e")).is_err());
        FrozenDisk.remove(&file).unwrap();
        FrozenDisk.rename(&file, &dir.path().join("e")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"as it was");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        assert!(FrozenDisk.create_dir_all(&dir.path().join("none")).is_err());
    }
}
