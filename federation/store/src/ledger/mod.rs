//! The ledger of one record: append-only segments, dense revisions, checksums on everything. One writer, any number
//! of readers that never block it for the length of a disk read.

mod active;
mod format;
mod reader;
mod sealed;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub use reader::LedgerReader;
pub use sealed::SegmentInfo;

use self::{
    active::Active,
    format::{Header, Kind},
    sealed::{Frames, Records, Sealed},
};
use crate::{
    disk::{Disk, quarantine, read_exact_at, write_whole},
    error::{Poison, Result, StoreError},
    finding::Findings,
};

/// Largest record in bytes.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Size in bytes of uncompressed frames after which `should_seal` says yes.
    pub segment_bytes: u64,
    /// Registry number of the hash algorithm of the Merkle roots.
    pub hash_algorithm: u8,
    /// A revision known to have been synced, usually that of the checkpoint used (0 if there is none yet): a ledger
    /// that ends or breaks before it is damaged; what breaks after it is cut, and derived again from the log. `None` if
    /// nobody knows: then only a torn last write is cut, and a broken frame before whole ones is damage.
    pub synced_at_least: Option<u64>,
    /// zstd level of sealed segments.
    pub compression_level: i32,
    /// Where damage is told that opening mends by itself.
    pub findings: Findings,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            hash_algorithm: 1,
            synced_at_least: None,
            compression_level: crate::COMPRESSION,
            findings: Findings::default(),
        }
    }
}

#[derive(Debug)]
struct State {
    /// In order of revisions, without overlap; gaps are history not fetched yet.
    sealed: Vec<Arc<Sealed>>,
    active: Option<Active>,
    next: u64,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    record_id: [u8; 32],
    state: RwLock<State>,
}

impl Shared {
    // Every change of the state is complete before anything that can panic, so a poisoned lock still holds good data.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// All runs of revisions held, adjoining ones joined, in order.
    fn runs(&self) -> Vec<(u64, u64)> {
        let active = self.active.as_ref().filter(|a| !a.is_empty()).map(|a| (a.first, a.next() - 1));
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (first, last) in self.sealed.iter().map(|s| (s.info.first, s.info.last)).chain(active) {
            match runs.last_mut() {
                Some(run) if run.1 + 1 == first => run.1 = last,
                _ => runs.push((first, last)),
            }
        }
        runs
    }

    fn last(&self) -> Option<u64> {
        self.runs().last().map(|run| run.1)
    }

    fn first(&self) -> Option<u64> {
        self.runs().last().map(|run| run.0)
    }
}

/// The writing end of one record's ledger.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    options: LedgerOptions,
    poison: Poison,
}

impl Ledger {
    /// Opens the ledger of a record in `dir`, which is its own. Every frame of the active segment is checked, a torn
    /// last write is cut off with a warning; sealed segments have header and footer checked.
    ///
    /// # Errors
    /// `LedgerDamaged` names the file, `LedgerShort` what is missing at the end: `salvage` is the caller's choice then.
    /// `Io`, `Full`, `SyncFailed`.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, record_id: [u8; 32], options: LedgerOptions) -> Result<Self> {
        let poison = Poison::default();
        disk.create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        let mut sealed: Vec<Arc<Sealed>> = Vec::new();
        let mut growing = Vec::new();
        for name in &names {
            let path = dir.join(name);
            if name.strip_suffix(".new").is_some() {
                disk.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            } else if let Some(first) = segment_number(name, ".sealed") {
                sealed.push(Arc::new(Sealed::open(&*disk, &path, &record_id, first)?));
            } else if let Some(first) = segment_number(name, ".open") {
                growing.push((first, path));
            }
        }
        if let Some(pair) = sealed.windows(2).find(|p| p[1].info.first <= p[0].info.last) {
            let detail = format!("it overlaps {}", pair[0].info.file.display());
            return Err(sealed::damaged(&pair[1].info.file, 0, detail));
        }
        let active = recover_active(&disk, growing, &sealed, record_id, &options, &poison)?;
        let sealed_next = sealed.last().map_or(1, |s| s.info.last + 1);
        let next = active.as_ref().map_or(sealed_next, |a| a.next().max(sealed_next));
        if let Some(synced) = options.synced_at_least.filter(|synced| next <= *synced) {
            let place = active.map_or_else(|| dir.into(), |active| active.path);
            return Err(StoreError::LedgerShort { place, last: next - 1, synced });
        }
        let state = RwLock::new(State { sealed, active, next });
        let shared = Shared { disk, dir: dir.into(), record_id, state };
        Ok(Self { shared: Arc::new(shared), options, poison })
    }

    /// Opens a damaged ledger with what is whole: a damaged sealed segment is set aside, of a damaged active one the
    /// whole file is copied aside and the part before the damage kept. Returns what was wrong; `next` and `missing`
    /// tell what is to be derived again or fetched from peers. Only damage that opening sees is salvaged: run
    /// `verify_all` for the rest.
    ///
    /// # Errors
    /// `Io`, `Full`, `SyncFailed`, or the damage itself if it cannot be set aside.
    pub fn salvage(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        record_id: [u8; 32],
        mut options: LedgerOptions,
    ) -> Result<(Self, Vec<StoreError>)> {
        let mut wrong = Vec::new();
        loop {
            match Self::open(disk.clone(), dir, record_id, options.clone()) {
                Ok(ledger) => return Ok((ledger, wrong)),
                Err(e @ StoreError::LedgerShort { .. }) => {
                    options.synced_at_least = None;
                    wrong.push(e);
                }
                Err(StoreError::LedgerDamaged { file, offset, detail }) => {
                    set_aside(&**disk, &file, offset)?;
                    wrong.push(StoreError::LedgerDamaged { file, offset, detail });
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// A reading end; cheap, any thread.
    pub fn reader(&self) -> LedgerReader {
        LedgerReader::new(self.shared.clone())
    }

    /// The oldest revision from which on everything up to the last is held; `None` if nothing is.
    pub fn first(&self) -> Option<u64> {
        self.shared.state().first()
    }

    /// The last revision held; `None` if nothing is.
    pub fn last(&self) -> Option<u64> {
        self.shared.state().last()
    }

    /// The revision the next append must have.
    pub fn next(&self) -> u64 {
        self.shared.state().next
    }

    /// Lets an empty ledger, or one that ended before, go on at `revision`: behind an installed checkpoint. What is
    /// skipped shows in `missing` and can be filled by `add_history`. Durable at once: a ledger that begins there is told
    /// from one that has lost what lies before.
    ///
    /// # Errors
    /// `Invalid` if that would go backwards; `Full`, `Io`, `SyncFailed`, `Poisoned`.
    pub fn begin_at(&mut self, revision: u64) -> Result<()> {
        self.poison.check()?;
        let next = self.next();
        if revision < next || revision == 0 {
            return Err(StoreError::Invalid(format!("ledger is at {next} already, it cannot begin at {revision}")));
        }
        if revision > next {
            self.seal_active([0; 32])?;
            let path = self.shared.dir.join(segment_name(revision, ".open"));
            let active = Active::create(&*self.shared.disk, path, &self.header(Kind::Active, revision), &self.poison)?;
            let empty = {
                let mut state = self.shared.state_mut();
                state.next = revision;
                state.active.replace(active)
            };
            if let Some(Active { path, .. }) = empty {
                self.shared.disk.remove(&path).map_err(|e| StoreError::io("remove", path, e))?;
            }
        }
        Ok(())
    }

    /// Appends one record. Readers see it at once; it is durable after `sync`.
    ///
    /// # Errors
    /// `Invalid` unless `revision` is `next()`; `TooLarge`; `Full` if too much waits for a full disk (nothing is
    /// taken); `Io`, `SyncFailed`, `Poisoned`.
    pub fn append(&mut self, revision: u64, bytes: &[u8]) -> Result<()> {
        self.poison.check()?;
        if bytes.len() > MAX_RECORD_BYTES {
            let (size, limit) = (bytes.len() as u64, MAX_RECORD_BYTES as u64);
            return Err(StoreError::TooLarge { what: "ledger record", size, limit });
        }
        let mut state = self.shared.state_mut();
        if revision != state.next {
            return Err(StoreError::Invalid(format!("ledger is at {}, not at {revision}", state.next)));
        }
        if state.active.is_none() {
            let path = self.shared.dir.join(segment_name(revision, ".open"));
            let header = self.header(Kind::Active, revision);
            state.active = Some(Active::create(&*self.shared.disk, path, &header, &self.poison)?);
        }
        if let Some(active) = &mut state.active {
            active.append(bytes).map_err(|e| self.poison.after(e))?;
            state.next = active.next();
        }
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// `Full` leaves all as it is, to be tried again; `Io`, `SyncFailed`, `Poisoned` end the ledger's life.
    pub fn sync(&mut self) -> Result<()> {
        self.poison.check()?;
        let file = {
            let mut state = self.shared.state_mut();
            let Some(active) = &mut state.active else { return Ok(()) };
            active.write_out().map_err(|e| self.poison.after(e))?;
            (active.file.clone(), active.path.clone())
        };
        // Without the lock: readers go on while the disk works.
        file.0.sync().map_err(|e| self.poison.sync_failed(&file.1, &e))
    }

    /// Drops every record after `revision`: only for the end of the active segment that the log derives again.
    ///
    /// # Errors
    /// `Invalid` if `revision` lies in a sealed segment; `Io`, `SyncFailed`, `Poisoned`.
    pub fn truncate_after(&mut self, revision: u64) -> Result<()> {
        self.poison.check()?;
        let mut state = self.shared.state_mut();
        if revision.checked_add(1).is_none_or(|next| next >= state.next) {
            return Ok(());
        }
        let Some(active) = state.active.as_mut().filter(|a| revision + 1 >= a.first) else {
            return Err(StoreError::Invalid(format!("revision {} is sealed and cannot be dropped", revision + 1)));
        };
        active.truncate_after(revision).map_err(|e| self.poison.after(e))?;
        active.file.sync().map_err(|e| self.poison.sync_failed(&active.path, &e))?;
        state.next = active.next();
        Ok(())
    }

    /// Whether the active segment has reached its size and should be sealed.
    pub fn should_seal(&self) -> bool {
        self.shared.state().active.as_ref().is_some_and(|a| a.size() >= self.options.segment_bytes)
    }

    /// Revisions in the active segment, which the root given to `seal` must cover; `None` if it is empty.
    pub fn unsealed(&self) -> Option<(u64, u64)> {
        let state = self.shared.state();
        state.active.as_ref().filter(|a| !a.is_empty()).map(|a| (a.first, a.next() - 1))
    }

    /// Seals the active segment with the Merkle root of the record as of its last revision. No effect if it is empty.
    ///
    /// # Errors
    /// `Full` and `Io` leave the segment as it is; `LedgerDamaged` if it no longer reads; `SyncFailed`, `Poisoned`.
    pub fn seal(&mut self, root: [u8; 32]) -> Result<()> {
        self.poison.check()?;
        self.seal_active(root)
    }

    fn seal_active(&mut self, root: [u8; 32]) -> Result<()> {
        let Some((first, last)) = self.unsealed() else { return Ok(()) };
        self.sync()?;
        // This is the only writer, so this stays true while the disk is read and written without the lock.
        let written = self.shared.state().active.as_ref().map(Active::written);
        let Some(mut written) = written else { return Ok(()) };
        let path = self.shared.dir.join(segment_name(first, ".sealed"));
        let sealed = self.write_sealed(&path, first, root, &mut written)?;
        let old = {
            let mut state = self.shared.state_mut();
            state.sealed.push(Arc::new(sealed));
            state.active.take().map(|a| a.path)
        };
        tracing::debug!(first, last, "ledger segment sealed");
        let disk = &self.shared.disk;
        match old.map(|path| disk.remove(&path).map_err(|e| StoreError::io("remove", path, e))) {
            Some(Err(e)) => Err(e),
            _ => disk.sync_dir(&self.shared.dir).map_err(|e| self.poison.sync_failed(&self.shared.dir, &e)),
        }
    }

    fn write_sealed(&self, path: &Path, first: u64, root: [u8; 32], frames: &mut dyn Frames) -> Result<Sealed> {
        let header = self.header(Kind::Sealed, first);
        let level = self.options.compression_level;
        Sealed::create(&*self.shared.disk, path, &header, root, level, frames, &self.poison)
    }

    fn header(&self, kind: Kind, first: u64) -> Header {
        Header { kind, hash_algorithm: self.options.hash_algorithm, record_id: self.shared.record_id, first }
    }

    /// Gaps from revision 1 on, oldest first, as inclusive ranges: history still to be fetched from a peer.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let state = self.shared.state();
        let mut next = 1;
        let mut gaps = Vec::new();
        for (first, last) in state.runs().into_iter().chain([(state.next, state.next)]) {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        gaps
    }

    /// Adds history that a peer sent, in one sealed segment, after the caller has checked it against a root it trusts.
    ///
    /// # Errors
    /// `Invalid` unless all of it lies in one gap of `missing`; `TooLarge`; `Full`, `Io`, `SyncFailed`, `Poisoned`.
    pub fn add_history(&mut self, first: u64, records: &[Vec<u8>], root: [u8; 32]) -> Result<()> {
        self.poison.check()?;
        let Some(last) = (records.len() as u64).checked_sub(1).and_then(|more| first.checked_add(more)) else {
            return Err(StoreError::Invalid("history without a record".into()));
        };
        if !self.missing().iter().any(|gap| gap.0 <= first && last <= gap.1) {
            return Err(StoreError::Invalid(format!("revisions {first} to {last} do not lie in a gap")));
        }
        if let Some(large) = records.iter().find(|r| r.len() > MAX_RECORD_BYTES) {
            let (size, limit) = (large.len() as u64, MAX_RECORD_BYTES as u64);
            return Err(StoreError::TooLarge { what: "ledger record", size, limit });
        }
        let path = self.shared.dir.join(segment_name(first, ".sealed"));
        let mut frames = Records { next: first, records: records.iter().map(Vec::as_slice) };
        let sealed = self.write_sealed(&path, first, root, &mut frames)?;
        let mut state = self.shared.state_mut();
        let at = state.sealed.partition_point(|s| s.info.first < first);
        state.sealed.insert(at, Arc::new(sealed));
        Ok(())
    }

    /// Takes a damaged sealed segment out of use and sets its file aside; what it held shows in `missing`. No effect if
    /// it is not in use any more.
    ///
    /// # Errors
    /// `Io`.
    pub fn give_up(&mut self, segment: &SegmentInfo) -> Result<()> {
        self.poison.check()?;
        let at = self.shared.state().sealed.iter().position(|s| s.info == *segment);
        let Some(at) = at else { return Ok(()) };
        quarantine(&*self.shared.disk, &segment.file)?;
        self.shared.state_mut().sealed.remove(at);
        Ok(())
    }

    /// Writes what was appended to the file, without waiting for the disk: it survives the process, not a power cut.
    ///
    /// # Errors
    /// As `sync`.
    pub fn write_out(&mut self) -> Result<()> {
        self.poison.check()?;
        match &mut self.shared.state_mut().active {
            Some(active) => active.write_out().map_err(|e| self.poison.after(e)),
            None => Ok(()),
        }
    }

    /// Gives up everything after `revision`, sealed segments included: for what the log derives again.
    ///
    /// # Errors
    /// `Invalid` if `revision` lies within a sealed segment; `Io`, `SyncFailed`, `Poisoned`.
    pub fn rewind(&mut self, revision: u64) -> Result<()> {
        self.poison.check()?;
        let within = |s: &Arc<Sealed>| s.info.first <= revision && revision < s.info.last;
        if self.shared.state().sealed.iter().any(within) {
            return Err(StoreError::Invalid(format!("revision {} is sealed and cannot be dropped", revision + 1)));
        }
        if self.shared.state().active.as_ref().is_some_and(|active| active.first <= revision) {
            return self.truncate_after(revision);
        }
        let state = &mut *self.shared.state_mut();
        // The newest first: cut short, this leaves a ledger that only ends earlier.
        let mut gone: Vec<PathBuf> = state.active.take().into_iter().map(|active| active.path).collect();
        while let Some(sealed) = state.sealed.pop_if(|sealed| sealed.info.first > revision) {
            gone.push(sealed.info.file.clone());
        }
        state.next = revision + 1;
        let (disk, dir) = (&self.shared.disk, &self.shared.dir);
        for path in gone {
            disk.remove(&path).map_err(|e| self.poison.after(StoreError::io("remove", path, e)))?;
            disk.sync_dir(dir).map_err(|e| self.poison.sync_failed(dir, &e))?;
        }
        Ok(())
    }

    /// Reads and checks every byte held.
    ///
    /// # Errors
    /// `LedgerDamaged` names the first file that does not fit; `Io`.
    pub fn verify_all(&self) -> Result<()> {
        self.reader().verify_all()
    }
}

fn recover_active(
    disk: &Arc<dyn Disk>,
    mut growing: Vec<(u64, PathBuf)>,
    sealed: &[Arc<Sealed>],
    record_id: [u8; 32],
    options: &LedgerOptions,
    poison: &Poison,
) -> Result<Option<Active>> {
    // A crash between sealing and removing leaves both; the sealed one must be whole before the other may go.
    let mut left = Vec::new();
    for (first, path) in growing.drain(..) {
        let Some(twin) = sealed.iter().find(|s| s.info.first == first) else {
            left.push((first, path));
            continue;
        };
        twin.verify(&**disk)?;
        disk.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    let mut newest: Option<Active> = None;
    while let Some((first, path)) = left.pop() {
        if let Some(before) = sealed.last().filter(|s| s.info.last >= first) {
            return Err(sealed::damaged(&path, 0, format!("it overlaps {}", before.info.file.display())));
        }
        match (Active::recover(&**disk, path.clone(), &record_id, first, options, poison)?, &newest) {
            (Some(active), None) => {
                newest = Some(active);
                continue;
            }
            (Some(active), Some(newest)) if !active.is_empty() => {
                return Err(sealed::damaged(&path, 0, format!("{} is active as well", newest.path.display())));
            }
            // A ledger that began anew further on, before anything was put here.
            (Some(_), Some(_)) => {}
            (None, _) => {
                tracing::warn!(file = %path.display(), "removing a ledger segment whose creation was cut short");
            }
        }
        disk.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    Ok(newest)
}

/// Sets a damaged segment aside; of an active one, what lies before `offset` stays.
fn set_aside(disk: &dyn Disk, file: &Path, offset: u64) -> Result<()> {
    let fault = |e| StoreError::io("set aside", file, e);
    let whole_frames = file.extension().is_some_and(|ext| ext == "open") && offset > format::HEADER as u64;
    let kept = if whole_frames {
        let part = usize::try_from(offset).unwrap_or(usize::MAX);
        let source = disk.open(file).map_err(fault)?;
        Some(read_exact_at(&*source, 0, part).map_err(fault)?)
    } else {
        None
    };
    quarantine(disk, file)?;
    match kept {
        Some(bytes) => write_whole(disk, file, &bytes, &Poison::default()),
        None => Ok(()),
    }
}

fn segment_name(first: u64, suffix: &str) -> String {
    format!("ledger-{first:020}{suffix}")
}

fn segment_number(name: &str, suffix: &str) -> Option<u64> {
    name.strip_prefix("ledger-")?.strip_suffix(suffix)?.parse().ok()
}
