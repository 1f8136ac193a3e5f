//! A disk in memory that can lose what was not synced, tear a write, fail and fill up – all from one seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, DiskFile};
use crate::codec::SeededRandom;

/// What the next matching operation answers with EIO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimFault {
    /// A read fails.
    Read,
    /// A write, creation, rename or removal fails.
    Write,
    /// A sync of a file or directory fails.
    Sync,
}

/// A simulated disk. Clones share it. `crash()` is the power cut: handles opened before it are dead.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: SeededRandom,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    generation: u64,
    capacity: Option<u64>,
    faults: Vec<(SimFault, String, u32)>,
    power: Option<u64>,
}

#[derive(Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Size(size) => bytes.resize(*size, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl SimDisk {
    /// An empty disk whose crashes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: SeededRandom(seed),
            inodes: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            generation: 0,
            capacity: None,
            faults: Vec::new(),
            power: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a test while it held the lock leaves plain data behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power cut and restart: of each file a random prefix of the writes since its last sync survives, the last of
    /// them perhaps torn; of each directory's names, all changes since its last sync or none.
    pub fn crash(&self) {
        let state = &mut *self.lock();
        state.generation += 1;
        state.power = None;
        for inode in state.inodes.values_mut() {
            let kept = state.random.below(inode.pending.len() + 1);
            for (i, change) in inode.pending.drain(..).enumerate() {
                if i < kept {
                    change.apply(&mut inode.durable);
                } else if let (true, Change::Write(offset, data)) = (i == kept, &change) {
                    let torn = state.random.below(data.len() + 1);
                    Change::Write(*offset, data[..torn].to_vec()).apply(&mut inode.durable);
                }
            }
            inode.live.clone_from(&inode.durable);
        }
        let dirs: BTreeSet<PathBuf> =
            state.names.keys().chain(state.durable_names.keys()).filter_map(|p| p.parent().map(Into::into)).collect();
        for dir in dirs {
            if state.random.below(2) == 0 {
                state.sync_names(&dir);
            }
        }
        state.names = state.durable_names.clone();
        let used: BTreeSet<u64> = state.names.values().copied().collect();
        state.inodes.retain(|id, _| used.contains(id));
    }

    /// From now on everything fails after `operations` more changes, until `crash()`: the power goes just there.
    pub fn power_off_after(&self, operations: u64) {
        self.lock().power = Some(operations);
    }

    /// Limits the bytes all files may have together; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Lets one operation fail with EIO: the one after `skip` matching operations on a path containing `path_part`.
    pub fn inject(&self, fault: SimFault, path_part: &str, skip: u32) {
        self.lock().faults.push((fault, path_part.to_owned(), skip));
    }

    /// Flips one bit of a file where it lies, as a failing disk would. False if there is no such byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> bool {
        let state = &mut *self.lock();
        let inode = state.names.get(path).and_then(|id| state.inodes.get_mut(id));
        let (Some(inode), Ok(byte)) = (inode, usize::try_from(byte)) else { return false };
        for copy in [&mut inode.live, &mut inode.durable] {
            if let Some(b) = copy.get_mut(byte) {
                *b ^= 1 << (bit % 8);
            }
        }
        byte < inode.live.len()
    }

    /// The whole content of a file as a reader sees it now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(path).and_then(|id| state.inodes.get(id)).map(|inode| inode.live.clone())
    }
}

impl State {
    fn sync_names(&mut self, dir: &Path) {
        self.durable_names.retain(|p, _| p.parent() != Some(dir));
        let names = self.names.iter().filter(|(p, _)| p.parent() == Some(dir));
        self.durable_names.extend(names.map(|(p, id)| (p.clone(), *id)));
    }

    fn check(&mut self, kind: SimFault, path: &Path) -> io::Result<()> {
        if let (Some(left), true) = (&mut self.power, kind != SimFault::Read) {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("simulated power cut"))?;
        }
        let name = path.to_string_lossy();
        for i in 0..self.faults.len() {
            let (fault, part, skip) = &mut self.faults[i];
            if *fault == kind && name.contains(part.as_str()) {
                if *skip == 0 {
                    self.faults.remove(i);
                    return Err(io::Error::other("simulated EIO"));
                }
                *skip -= 1;
            }
        }
        Ok(())
    }

    fn change(&mut self, id: u64, change: Change) -> io::Result<()> {
        let used: usize = self.inodes.values().map(|i| i.live.len()).sum();
        let inode = self.inodes.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        let end = match &change {
            Change::Write(offset, data) => offset + data.len(),
            Change::Size(size) => *size,
        };
        let grown = (used + end.saturating_sub(inode.live.len())) as u64;
        if end > inode.live.len() && self.capacity.is_some_and(|max| grown > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut inode.live);
        inode.pending.push(change);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        // A directory is where a name has it; it needs no entry of its own.
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.check(SimFault::Read, dir)?;
        let here = state.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(here.filter_map(|p| p.file_name().map(|n| n.to_string_lossy().into_owned())).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.check(SimFault::Read, path)?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let generation = state.generation;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.into(), inode, generation }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.check(SimFault::Write, path)?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.into(), inode);
        let generation = state.generation;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.into(), inode, generation }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Write, from)?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Write, path)?;
        state.names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Sync, dir)?;
        state.sync_names(dir);
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
    generation: u64,
}

impl SimFile {
    fn with<T>(&self, kind: SimFault, f: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("file handle from before the simulated crash"));
        }
        state.check(kind, &self.path)?;
        f(&mut state)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.with(SimFault::Read, |state| {
            let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.live.len());
            let n = buf.len().min(inode.live.len() - start);
            buf[..n].copy_from_slice(&inode.live[start..start + n]);
            Ok(n)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(SimFault::Write, |state| state.change(self.inode, Change::Write(offset, bytes.to_vec())))
    }

    fn size(&self) -> io::Result<u64> {
        self.with(SimFault::Read, |state| {
            state.inodes.get(&self.inode).map(|i| i.live.len() as u64).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(SimFault::Write, |state| state.change(self.inode, Change::Size(size)))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(SimFault::Sync, |state| {
            let inode = state.inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
            for change in inode.pending.drain(..) {
                change.apply(&mut inode.durable);
            }
            Ok(())
        })
    }
}
