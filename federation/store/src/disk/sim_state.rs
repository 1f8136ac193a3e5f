//! What lies on a simulated disk: contents and names, each as programs see it and as a power cut would leave it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
};

use super::sim::PowerLoss;
use crate::codec::SeededRandom;

/// Names and contents of all files.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<Renaming>,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A change of one file's content.
#[derive(Debug, Clone)]
pub(super) enum Change {
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

    /// The size of a file after it, at least.
    pub fn end(&self) -> usize {
        match self {
            Self::Write(offset, data) => offset + data.len(),
            Self::Size(size) => *size,
        }
    }
}

/// A change of names: one goes, one comes. Both or neither, as a file system with a journal does it.
#[derive(Debug, Clone)]
struct Renaming {
    gone: Option<PathBuf>,
    come: Option<(PathBuf, u64)>,
}

impl Renaming {
    fn touches(&self, dir: &Path) -> bool {
        let paths = self.gone.iter().chain(self.come.iter().map(|(path, _)| path));
        paths.into_iter().any(|path| path.parent() == Some(dir))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, inode)) = &self.come {
            names.insert(path.clone(), *inode);
        }
    }
}

/// One thing that was done to the disk.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Create(PathBuf),
    Change(u64, PathBuf, Change),
    Sync(u64, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(path) => write!(f, "create {}", path.display()),
            Self::Change(_, path, Change::Write(at, data)) => {
                write!(f, "write {} bytes at {at} of {}", data.len(), path.display())
            }
            Self::Change(_, path, Change::Size(size)) => write!(f, "set {} to {size} bytes", path.display()),
            Self::Sync(_, path) => write!(f, "sync {}", path.display()),
            Self::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::SyncDir(path) => write!(f, "sync directory {}", path.display()),
        }
    }
}

impl Files {
    pub fn inode(&self, path: &Path) -> Option<u64> {
        self.names.get(path).copied()
    }

    pub fn content(&self, inode: u64) -> Option<&[u8]> {
        self.inodes.get(&inode).map(|inode| inode.live.as_slice())
    }

    /// Bytes of all files together.
    pub fn used(&self) -> usize {
        self.inodes.values().map(|inode| inode.live.len()).sum()
    }

    /// Names in a directory: files, and directories that hold something.
    pub fn list(&self, dir: &Path) -> Vec<String> {
        let below = self.names.keys().filter_map(|path| path.strip_prefix(dir).ok()?.components().next());
        let names: BTreeSet<String> = below.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
        names.into_iter().collect()
    }

    pub fn flip(&mut self, path: &Path, byte: usize, bit: u8) -> bool {
        let inode = self.names.get(path).and_then(|id| self.inodes.get_mut(id));
        let Some(inode) = inode else { return false };
        for copy in [&mut inode.live, &mut inode.durable] {
            if let Some(b) = copy.get_mut(byte) {
                *b ^= 1 << (bit % 8);
            }
        }
        byte < inode.live.len()
    }

    pub fn apply(&mut self, step: &Step) -> io::Result<()> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        match step {
            Step::Create(path) => {
                self.next_inode += 1;
                self.inodes.insert(self.next_inode, Inode::default());
                self.rename(Renaming { gone: None, come: Some((path.clone(), self.next_inode)) });
            }
            Step::Change(inode, _, change) => {
                let inode = self.inodes.get_mut(inode).ok_or_else(missing)?;
                change.apply(&mut inode.live);
                inode.pending.push(change.clone());
            }
            Step::Sync(inode, _) => {
                let inode = self.inodes.get_mut(inode).ok_or_else(missing)?;
                for change in inode.pending.drain(..) {
                    change.apply(&mut inode.durable);
                }
            }
            Step::Rename(from, to) => {
                let inode = self.inode(from).ok_or_else(missing)?;
                self.rename(Renaming { gone: Some(from.clone()), come: Some((to.clone(), inode)) });
            }
            Step::Remove(path) => {
                self.inode(path).ok_or_else(missing)?;
                self.rename(Renaming { gone: Some(path.clone()), come: None });
            }
            Step::SyncDir(dir) => self.sync_names(dir, usize::MAX),
        }
        Ok(())
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.pending_names.push(renaming);
    }

    /// Makes the first `count` changes that wait in a directory durable.
    fn sync_names(&mut self, dir: &Path, mut count: usize) {
        let durable = &mut self.durable_names;
        self.pending_names.retain(|renaming| {
            let settles = count > 0 && renaming.touches(dir);
            if settles {
                count -= 1;
                renaming.apply(durable);
            }
            !settles
        });
    }

    /// Leaves what a power cut leaves.
    pub fn lose_power(&mut self, random: &mut SeededRandom, loss: PowerLoss) {
        for inode in self.inodes.values_mut() {
            inode.lose_power(random, loss);
        }
        let pending = self.pending_names.iter();
        let paths = pending.flat_map(|r| r.gone.iter().chain(r.come.iter().map(|(path, _)| path)));
        let dirs: BTreeSet<PathBuf> = paths.filter_map(|path| path.parent().map(Into::into)).collect();
        for dir in dirs {
            let waiting = self.pending_names.iter().filter(|renaming| renaming.touches(&dir)).count();
            let kept = match loss {
                PowerLoss::All => 0,
                PowerLoss::TornEnd => waiting,
                PowerLoss::Mixed => waiting * random.below(2),
                PowerLoss::AfterPrefix | PowerLoss::Scattered => random.below(waiting + 1),
            };
            self.sync_names(&dir, kept);
        }
        self.pending_names.clear();
        self.names = self.durable_names.clone();
        let used: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| used.contains(id));
    }

    /// Gives everything below one directory its place below another.
    pub fn move_names(&mut self, from: &Path, to: &Path) {
        let moved = |path: &PathBuf| path.strip_prefix(from).map_or_else(|_| path.clone(), |rest| to.join(rest));
        for names in [&mut self.names, &mut self.durable_names] {
            *names = names.iter().map(|(path, inode)| (moved(path), *inode)).collect();
        }
    }
}

impl Inode {
    fn lose_power(&mut self, random: &mut SeededRandom, loss: PowerLoss) {
        let pending = std::mem::take(&mut self.pending);
        let (kept, torn) = match loss {
            PowerLoss::All => (0, false),
            PowerLoss::Mixed => (random.below(pending.len() + 1), true),
            PowerLoss::AfterPrefix => (random.below(pending.len() + 1), false),
            PowerLoss::TornEnd => (pending.len().saturating_sub(1), true),
            PowerLoss::Scattered => {
                for change in pending.iter().filter(|_| random.below(2) == 0) {
                    change.apply(&mut self.durable);
                }
                (0, false)
            }
        };
        for change in &pending[..kept] {
            change.apply(&mut self.durable);
        }
        if let (true, Some(Change::Write(offset, data))) = (torn, pending.get(kept)) {
            let part = random.below(data.len() + 1);
            Change::Write(*offset, data[..part].to_vec()).apply(&mut self.durable);
        }
        self.live.clone_from(&self.durable);
    }
}
