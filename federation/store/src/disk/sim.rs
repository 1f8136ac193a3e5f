//! A disk in memory that can lose what was not synced, tear a write, fail and fill up – all from one seed. It can also
//! remember every step, so that one run is cut short behind each of them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Disk, DiskFile,
    sim_state::{Change, Files, Step},
};
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

/// What a power cut leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// Nothing.
    All,
    /// Of each file a random beginning of its writes; of each directory a random beginning of its changes.
    AfterPrefix,
    /// Everything but a part of the last write of each file.
    TornEnd,
    /// Of each file any of its writes, in no order; of each directory a random beginning of its changes.
    Scattered,
    /// Of each file a random beginning of its writes, the next perhaps torn; of each directory all or nothing.
    Mixed,
}

/// A simulated disk. Clones share it. `crash()` is the power cut: handles opened before it are dead.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: SeededRandom,
    files: Files,
    generation: u64,
    capacity: Option<u64>,
    faults: Vec<(SimFault, String, u32)>,
    power: Option<u64>,
    recording: Option<(Files, Vec<Step>)>,
}

impl SimDisk {
    /// An empty disk whose crashes follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(Files::default(), seed)
    }

    fn with(files: Files, seed: u64) -> Self {
        let state = State {
            random: SeededRandom(seed),
            files,
            generation: 0,
            capacity: None,
            faults: Vec::new(),
            power: None,
            recording: None,
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
        self.lose_power(PowerLoss::Mixed);
    }

    /// Power cut and restart of a kind.
    pub fn lose_power(&self, loss: PowerLoss) {
        let state = &mut *self.lock();
        state.generation += 1;
        state.power = None;
        state.files.lose_power(&mut state.random, loss);
    }

    /// Remembers every change and sync from now on.
    pub fn record(&self) {
        let state = &mut *self.lock();
        state.recording = Some((state.files.clone(), Vec::new()));
    }

    /// How many changes and syncs are remembered.
    pub fn steps(&self) -> usize {
        self.lock().recording.as_ref().map_or(0, |(_, steps)| steps.len())
    }

    /// The step before the `count`-th boundary, in words.
    pub fn step(&self, count: usize) -> String {
        let state = self.lock();
        let steps = state.recording.as_ref().map(|(_, steps)| steps);
        let step = count.checked_sub(1).and_then(|at| steps?.get(at));
        step.map_or_else(|| "nothing yet".to_owned(), ToString::to_string)
    }

    /// Another disk, as this one was when `count` steps had been remembered.
    pub fn as_of(&self, count: usize, seed: u64) -> Self {
        let state = self.lock();
        let (mut files, steps) = state.recording.clone().unwrap_or_else(|| (state.files.clone(), Vec::new()));
        for step in steps.iter().take(count) {
            // It went well the first time.
            let _ = files.apply(step);
        }
        Self::with(files, seed)
    }

    /// Gives everything below the directory `from` its place below `to`.
    pub fn move_names(&self, from: &Path, to: &Path) {
        self.lock().files.move_names(from, to);
    }

    /// From now on everything fails after `operations` more changes, until `crash()`: the power goes just there.
    pub fn power_off_after(&self, operations: u64) {
        self.lock().power = Some(operations);
    }

    /// One more change by something else on the same power, such as a log.
    ///
    /// # Errors
    /// If the power is gone by then.
    pub fn draw_power(&self) -> io::Result<()> {
        self.lock().draw_power()
    }

    /// Whether the power is gone, or goes with the next change.
    pub fn is_off(&self) -> bool {
        self.lock().power == Some(0)
    }

    /// Limits the bytes all files may have together; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Lets one operation fail with EIO: the one after `skip` matching operations on a path containing `path_part`.
    pub fn inject(&self, fault: SimFault, path_part: &str, skip: u32) {
        self.lock().faults.push((fault, path_part.to_owned(), skip));
    }

    /// Forgets all faults that have not come to pass.
    pub fn mend(&self) {
        let state = &mut *self.lock();
        (state.power, state.capacity) = (None, None);
        state.faults.clear();
    }

    /// Flips one bit of a file where it lies, as a failing disk would. False if there is no such byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> bool {
        usize::try_from(byte).is_ok_and(|byte| self.lock().files.flip(path, byte, bit))
    }

    /// The whole content of a file as a reader sees it now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.files.inode(path).and_then(|inode| state.files.content(inode)).map(<[u8]>::to_vec)
    }
}

impl State {
    fn draw_power(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("simulated power cut"))?;
        }
        Ok(())
    }

    fn check(&mut self, kind: SimFault, path: &Path) -> io::Result<()> {
        if kind != SimFault::Read {
            self.draw_power()?;
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

    fn apply(&mut self, step: Step) -> io::Result<()> {
        self.files.apply(&step)?;
        if let Some((_, steps)) = &mut self.recording {
            steps.push(step);
        }
        Ok(())
    }

    fn change(&mut self, inode: u64, path: &Path, change: Change) -> io::Result<()> {
        let size = self.files.content(inode).ok_or(io::ErrorKind::NotFound)?.len();
        let grown = (self.files.used() + change.end().saturating_sub(size)) as u64;
        if change.end() > size && self.capacity.is_some_and(|max| grown > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.apply(Step::Change(inode, path.into(), change))
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
        Ok(state.files.list(dir))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.open_file(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        {
            let mut state = self.lock();
            state.check(SimFault::Write, path)?;
            state.apply(Step::Create(path.into()))?;
        }
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Write, from)?;
        state.apply(Step::Rename(from.into(), to.into()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Write, path)?;
        state.apply(Step::Remove(path.into()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(SimFault::Sync, dir)?;
        state.apply(Step::SyncDir(dir.into()))
    }
}

impl SimDisk {
    fn open_file(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.check(SimFault::Read, path)?;
        let inode = state.files.inode(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { disk: self.clone(), path: path.into(), inode, generation: state.generation })
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
            let content = state.files.content(self.inode).ok_or(io::ErrorKind::NotFound)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let n = buf.len().min(content.len() - start);
            buf[..n].copy_from_slice(&content[start..start + n]);
            Ok(n)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let change = Change::Write(offset, bytes.to_vec());
        self.with(SimFault::Write, |state| state.change(self.inode, &self.path, change))
    }

    fn size(&self) -> io::Result<u64> {
        self.with(SimFault::Read, |state| {
            let content = state.files.content(self.inode).ok_or(io::ErrorKind::NotFound)?;
            Ok(content.len() as u64)
        })
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(SimFault::Write, |state| state.change(self.inode, &self.path, Change::Size(size)))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(SimFault::Sync, |state| state.apply(Step::Sync(self.inode, self.path.clone())))
    }
}
