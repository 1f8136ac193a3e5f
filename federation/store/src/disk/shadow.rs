//! A disk whose files are looked at and left as they are, while whoever looks may do as if it wrote: what is changed is
//! changed in memory alone.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use super::{Disk, DiskFile, RealDisk};

/// Files of the operating system as they would be after everything that is done here; below, none is changed. For a check
/// that opens what a node opens, and mends in memory what a node would mend. A file that is written to is held in memory
/// in full.
#[derive(Debug, Clone, Default)]
pub struct ShadowDisk(Arc<Mutex<BTreeMap<PathBuf, Known>>>);

/// What is known of a name that was touched.
#[derive(Debug)]
enum Known {
    /// Removed, or renamed.
    Gone,
    /// Another file than below.
    Changed(Arc<Shadow>),
    /// The file below; open somewhere, or no more.
    Seen(Weak<Shadow>),
}

#[derive(Debug)]
struct Shadow {
    /// The name it was opened under, by which it is known until it changes.
    name: PathBuf,
    content: RwLock<Content>,
}

#[derive(Debug)]
enum Content {
    Below(File),
    Changed(Vec<u8>),
}

impl ShadowDisk {
    fn known(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        // Single insertions and removals: whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shadow(&self, path: &Path) -> io::Result<Arc<Shadow>> {
        let mut known = self.known();
        let open = match known.get(path) {
            Some(Known::Gone) => return Err(io::ErrorKind::NotFound.into()),
            Some(Known::Changed(shadow)) => Some(shadow.clone()),
            Some(Known::Seen(shadow)) => shadow.upgrade(),
            None => None,
        };
        if let Some(shadow) = open {
            return Ok(shadow);
        }
        let content = RwLock::new(Content::Below(File::open(path)?));
        let shadow = Arc::new(Shadow { name: path.into(), content });
        known.insert(path.into(), Known::Seen(Arc::downgrade(&shadow)));
        Ok(shadow)
    }

    /// Notes that the file is no longer what lies below its name, if it still has it.
    fn changed(&self, shadow: &Arc<Shadow>) {
        if let Some(known) = self.known().get_mut(&shadow.name)
            && matches!(known, Known::Seen(seen) if seen.as_ptr() == Arc::as_ptr(shadow))
        {
            *known = Known::Changed(shadow.clone());
        }
    }
}

impl Disk for ShadowDisk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        // A directory is where a name has it.
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = RealDisk.list(dir)?;
        let known = self.known();
        names.retain(|name| !matches!(known.get(&dir.join(name)), Some(Known::Gone)));
        let changed = known.iter().filter(|(_, known)| matches!(known, Known::Changed(_)));
        let here = changed.filter_map(|(path, _)| path.strip_prefix(dir).ok()?.components().next());
        names.extend(here.map(|name| name.as_os_str().to_string_lossy().into_owned()));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ShadowFile { disk: self.clone(), shadow: self.shadow(path)? }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = RwLock::new(Content::Changed(Vec::new()));
        let shadow = Arc::new(Shadow { name: path.into(), content });
        self.known().insert(path.into(), Known::Changed(shadow.clone()));
        Ok(Arc::new(ShadowFile { disk: self.clone(), shadow }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let shadow = self.shadow(from)?;
        let mut known = self.known();
        known.insert(from.into(), Known::Gone);
        known.insert(to.into(), Known::Changed(shadow));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shadow(path)?;
        self.known().insert(path.into(), Known::Gone);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct ShadowFile {
    disk: ShadowDisk,
    shadow: Arc<Shadow>,
}

impl ShadowFile {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        // Replaced in one assignment, changed in one step: whole after any panic.
        let mut content = self.shadow.content.write().unwrap_or_else(PoisonError::into_inner);
        if let Content::Below(file) = &*content {
            let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, 0)?;
            *content = Content::Changed(bytes);
            self.disk.changed(&self.shadow);
        }
        match &mut *content {
            Content::Changed(bytes) => change(bytes),
            Content::Below(_) => Ok(()),
        }
    }
}

impl DiskFile for ShadowFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match &*self.shadow.content.read().unwrap_or_else(PoisonError::into_inner) {
            Content::Below(file) => file.read_at(buf, offset),
            Content::Changed(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let n = buf.len().min(bytes.len() - start);
                buf[..n].copy_from_slice(&bytes[start..start + n]);
                Ok(n)
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(|content| {
            let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
            if end > content.len() {
                content.resize(end, 0);
            }
            content[start..end].copy_from_slice(bytes);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        match &*self.shadow.content.read().unwrap_or_else(PoisonError::into_inner) {
            Content::Below(file) => Ok(file.metadata()?.len()),
            Content::Changed(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(io::Error::other)?;
        self.change(|content| {
            content.resize(size, 0);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &ShadowDisk, path: &Path) -> io::Result<Vec<u8>> {
        let file = disk.open(path)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap()];
        let n = file.read_at(0, &mut bytes)?;
        assert_eq!(n, bytes.len());
        Ok(bytes)
    }

    #[test]
    fn changes_show_above_and_never_below() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a", "b", "c"] {
            std::fs::write(path(name), b"below").unwrap();
        }
        let disk = ShadowDisk::default();
        let (first, second) = (disk.open(&path("a")).unwrap(), disk.open(&path("a")).unwrap());
        first.write_at(3, b"ABOVE").unwrap();
        second.set_size(6).unwrap();
        assert_eq!(content(&disk, &path("a")).unwrap(), b"belABO", "two handles are one file");
        drop((first, second));
        assert_eq!(content(&disk, &path("a")).unwrap(), b"belABO", "and it stays when both are gone");
        disk.rename(&path("a"), &path("b")).unwrap();
        disk.remove(&path("c")).unwrap();
        disk.create(&path("d")).unwrap().write_at(2, b"x").unwrap();
        disk.create(&path("sub/e")).unwrap();
        assert_eq!(disk.list(dir.path()).unwrap(), ["b", "d", "sub"]);
        assert_eq!(content(&disk, &path("b")).unwrap(), b"belABO");
        assert_eq!(content(&disk, &path("d")).unwrap(), b"\0\0x");
        for gone in ["a", "c"] {
            assert_eq!(content(&disk, &path(gone)).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(disk.remove(&path(gone)).is_err() && disk.rename(&path(gone), &path("z")).is_err());
        }
        disk.sync_dir(dir.path()).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["a", "b", "c"]);
        for name in ["a", "b", "c"] {
            assert_eq!(std::fs::read(path(name)).unwrap(), b"below");
        }
    }

    #[test]
    fn a_renamed_file_is_the_same_to_who_has_it_open() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::write(&old, b"1").unwrap();
        let disk = ShadowDisk::default();
        let open = disk.open(&old).unwrap();
        disk.rename(&old, &new).unwrap();
        open.write_at(1, b"2").unwrap();
        assert_eq!(content(&disk, &new).unwrap(), b"12");
        disk.create(&old).unwrap();
        open.write_at(2, b"3").unwrap();
        assert_eq!((content(&disk, &old).unwrap(), content(&disk, &new).unwrap()), (Vec::new(), b"123".to_vec()));
    }
}
