//! Checkpoints: the state of one record as canonical records in one file, written whole or not at all, read only
//! after its digest fits. The two newest that verify are kept, and of those before them a few milestones.

mod bundle;
mod format;
mod milestones;
mod opened;
mod receiver;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use bundle::Bundle;
pub use milestones::{MAX_MILESTONES, Milestone};
pub use opened::{CheckpointRecords, OpenedCheckpoint};
use raft_proto::eraftpb::ConfState;
pub use receiver::Receiver;

use self::format::{BodyWriter, damaged};
use crate::{
    disk::{Disk, quarantine},
    error::{Poison, Result, StoreError},
    finding::{Findings, Remedy},
};

/// Largest canonical record in bytes.
pub const MAX_CANONICAL_BYTES: usize = 64 * 1024 * 1024;
/// Largest checkpoint file in bytes that is accepted from a peer.
pub const MAX_CHECKPOINT_BYTES: u64 = 64 << 30;
/// How many verified checkpoints are kept.
const KEPT: usize = 2;

/// What a checkpoint is a checkpoint of.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointMeta {
    /// The record.
    pub record_id: [u8; 32],
    /// The record's epoch.
    pub epoch: u32,
    /// Revision of the last ledger record the state contains.
    pub revision: u64,
    /// Raft index of the last entry applied.
    pub raft_index: u64,
    /// Its term.
    pub raft_term: u64,
    /// Membership as of that entry.
    pub conf_state: ConfState,
    /// The newest stamp in the log up to that entry, in milliseconds since 1970-01-01 UTC: record time, or later by entries
    /// that changed nothing.
    pub time_ms: i64,
    /// Digest of the state, to be compared between members.
    pub state_digest: [u8; 32],
    /// Feature level of the record.
    pub feature_level: u32,
    /// Registry number of the hash algorithm of `state_digest`.
    pub hash_algorithm: u8,
}

/// A checkpoint file as others may know it: enough to fetch it and to see that it is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointInfo {
    /// Its meta.
    pub meta: CheckpointMeta,
    /// SHA-256 that ends the file and covers everything before.
    pub digest: [u8; 32],
    /// Size of the file in bytes.
    pub size: u64,
    /// Bytes of the state in it, before they are compressed.
    pub plain: u64,
    /// The file.
    pub file: PathBuf,
}

/// The checkpoints of one record, in a directory of its own. Clones share it; one writes or receives at a time.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    poison: Arc<Poison>,
    verified: Arc<Mutex<BTreeMap<PathBuf, CheckpointInfo>>>,
    findings: Findings,
    /// At least so many revisions lie between milestones; 0 keeps none.
    milestone_every: u64,
}

impl CheckpointStore {
    /// Opens the checkpoints in `dir`; nothing is read yet.
    ///
    /// # Errors
    /// `Io` if the directory cannot be created or listed.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        disk.create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        let store = Self {
            disk,
            dir: dir.into(),
            poison: Arc::default(),
            verified: Arc::default(),
            findings: Findings::default(),
            milestone_every: 0,
        };
        for name in store.list()?.iter().filter(|name| has_suffix(name, ".new")) {
            let path = store.dir.join(name);
            store.disk.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        Ok(store)
    }

    /// Tells damage there.
    pub fn telling(self, findings: Findings) -> Self {
        Self { findings, ..self }
    }

    fn list(&self) -> Result<Vec<String>> {
        self.disk.list(&self.dir).map_err(|e| StoreError::io("list", &self.dir, e))
    }

    /// Names of the checkpoint files, newest first: the names sort by epoch, revision and index.
    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<_> =
            self.list()?.into_iter().filter(|n| n.starts_with("cp-") && has_suffix(n, ".swc")).collect();
        names.reverse();
        Ok(names)
    }

    /// Writes a checkpoint aside, syncs, verifies it by reading it again, and only then gives it its name. Older ones
    /// beyond the two newest that verify are removed, or become milestones.
    ///
    /// # Errors
    /// `Full` and `Io` leave the checkpoints there were; `TooLarge`, `CheckpointDamaged` if what was written does not
    /// read back; `SyncFailed`, `Poisoned`.
    pub fn write(&self, meta: &CheckpointMeta, records: impl Iterator<Item = Vec<u8>>) -> Result<CheckpointInfo> {
        self.write_digested(meta, records.map(|record| Bundle::of(&record)), || Some(meta.state_digest))
    }

    /// As [`CheckpointStore::write`], of records in bundles, where the digest of the state is asked for behind its last
    /// record: whoever makes the records has hashed them by then, and need not make them twice. The one in `meta` does not
    /// count. Without a digest these were not all records, and nothing is kept.
    ///
    /// # Errors
    /// `Invalid` without a digest; as [`CheckpointStore::write`].
    pub fn write_digested(
        &self,
        meta: &CheckpointMeta,
        records: impl Iterator<Item = Bundle>,
        digest: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Result<CheckpointInfo> {
        self.poison.check()?;
        let path = self.dir.join(file_name(meta));
        let aside = path.with_extension("new");
        let written = self.write_aside(&aside, meta, records, digest).and_then(|()| self.verify_file(&aside));
        let info = match written {
            Ok(info) => info,
            Err(e) => {
                // Best effort: the next opening removes it as well, and the error that matters is the first.
                let _ = self.disk.remove(&aside);
                return Err(e);
            }
        };
        self.adopt(&aside, &path, info)
    }

    fn write_aside(
        &self,
        aside: &Path,
        meta: &CheckpointMeta,
        bundles: impl Iterator<Item = Bundle>,
        digest: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Result<()> {
        let fault = |e| StoreError::io("write", aside, e);
        let file = self.disk.create(aside).map_err(|e| StoreError::io("create", aside, e))?;
        // As long as it will be, whatever the digest.
        let room = format::encode_head(meta)?.len();
        let mut packer =
            zstd::Encoder::new(BodyWriter::behind(file.clone(), room), crate::COMPRESSION).map_err(fault)?;
        let (mut count, mut plain) = (0_u64, 0_u64);
        for bundle in bundles {
            let bytes = bundle.bytes()?;
            packer.write_all(bytes).map_err(fault)?;
            count += bundle.count();
            plain += bytes.len() as u64;
        }
        let mut writer = packer.finish().map_err(fault)?;
        writer.write_all(&format::encode_tail(count, plain)).map_err(fault)?;
        let given_up = || StoreError::Invalid("the checkpoint was given up before its end".into());
        let meta = CheckpointMeta { state_digest: digest().ok_or_else(given_up)?, ..meta.clone() };
        writer.finish(&format::encode_head(&meta)?, aside)?;
        file.sync().map_err(|e| self.poison.sync_failed(aside, &e))
    }

    /// Gives a verified file its name and lets go of what it makes superfluous.
    fn adopt(&self, aside: &Path, path: &Path, mut info: CheckpointInfo) -> Result<CheckpointInfo> {
        self.disk.rename(aside, path).map_err(|e| StoreError::io("rename", aside, e))?;
        self.sync_names()?;
        path.clone_into(&mut info.file);
        self.remember(&info);
        self.retain()?;
        Ok(info)
    }

    fn verified(&self) -> MutexGuard<'_, BTreeMap<PathBuf, CheckpointInfo>> {
        // Changed by single insertions and removals: whole after any panic.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, info: &CheckpointInfo) {
        self.verified().insert(info.file.clone(), info.clone());
    }

    fn retain(&self) -> Result<()> {
        let (mut kept, mut replaced) = (0, Vec::new());
        for name in self.names()? {
            let path = self.dir.join(&name);
            if kept < KEPT {
                kept += usize::from(self.known_or_foreign(&path)?.is_some());
            } else if !self.is_foreign(&path)? {
                replaced.push(name);
            }
        }
        // The oldest first, as they came.
        replaced.iter().rev().try_for_each(|name| self.replace(name))?;
        self.sync_names()
    }

    /// What is known of a file since it was last verified, or else verifies it now.
    fn known_or_verified(&self, path: &Path) -> Result<Option<CheckpointInfo>> {
        let known = self.verified().get(path).cloned();
        match known {
            Some(info) => Ok(Some(info)),
            None => self.verify_or_set_aside(path),
        }
    }

    /// As [`CheckpointStore::known_or_verified`], with nothing of a file that another version of the program wrote, or that
    /// newer ones have replaced since it was listed.
    fn known_or_foreign(&self, path: &Path) -> Result<Option<CheckpointInfo>> {
        match self.known_or_verified(path) {
            Err(StoreError::CheckpointForeign { .. }) => Ok(None),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            known => known,
        }
    }

    /// Whether another version of the program wrote a file. One whose sums do not fit as well is damaged, whoever wrote it.
    fn is_foreign(&self, path: &Path) -> Result<bool> {
        let foreign = |read: Result<()>| matches!(read, Err(StoreError::CheckpointForeign { .. }));
        let file = self.disk.open(path).map_err(|e| StoreError::io("open", path, e))?;
        Ok(foreign(format::read_format(&*file, path)) && foreign(self.verify_file(path).map(drop)))
    }

    /// Verifies a file; a damaged one is set aside and gives `None`.
    fn verify_or_set_aside(&self, path: &Path) -> Result<Option<CheckpointInfo>> {
        match self.verify_file(path) {
            Ok(info) => {
                self.remember(&info);
                Ok(Some(info))
            }
            Err(e @ StoreError::CheckpointDamaged { .. }) => {
                self.verified().remove(path);
                quarantine(&*self.disk, path)?;
                self.findings.add(e, Remedy::Mended);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Reads all of a file and checks it: digest, meta, and that the records unpack as counted.
    fn verify_file(&self, path: &Path) -> Result<CheckpointInfo> {
        let file = self.disk.open(path).map_err(|e| StoreError::io("open", path, e))?;
        let digest = format::read_digest(&*file, path)?;
        if format::file_digest(&*file, path)? != digest {
            return Err(damaged(path, "its digest does not fit"));
        }
        let (meta, _) = format::read_head(&*file, path)?;
        let size = file.size().map_err(|e| StoreError::io("read", path, e))?;
        let plain = format::read_tail(&*file, path)?.plain;
        let info = CheckpointInfo { meta, digest, size, plain, file: path.into() };
        let opened = OpenedCheckpoint::open(file, info.clone())?;
        for record in opened.records()? {
            record?;
        }
        Ok(info)
    }

    /// The newest checkpoint that verifies; what this store has not read in full yet is, to be sure. A damaged one is set
    /// aside with a warning and the one before it is used. `None` only if there never was one.
    ///
    /// # Errors
    /// `NoUsableCheckpoint` if there are checkpoints, or some were set aside, and none verifies; `CheckpointForeign` if the
    /// newest was written by another version of the program; `Io`.
    pub fn newest_verified(&self) -> Result<Option<OpenedCheckpoint>> {
        for name in self.names()? {
            let path = self.dir.join(name);
            if let Some(info) = self.known_or_verified(&path)? {
                return self.open_held(&info).map(Some);
            }
        }
        let set_aside = |name: &&String| name.starts_with("cp-") && name.contains(".swc.damaged-");
        match self.list()?.iter().filter(set_aside).count() {
            0 => Ok(None),
            damaged => Err(StoreError::NoUsableCheckpoint { dir: self.dir.clone(), damaged }),
        }
    }

    /// The checkpoints held that verify, newest first; damaged ones are set aside, those of another format left out. What this store has verified
    /// before is not read again.
    ///
    /// # Errors
    /// `Io`.
    pub fn held(&self) -> Result<Vec<CheckpointInfo>> {
        let mut held = Vec::new();
        for name in self.names()? {
            let path = self.dir.join(name);
            held.extend(self.known_or_foreign(&path)?);
        }
        Ok(held)
    }

    /// Reads all checkpoints held and all milestones again and sets aside what is damaged. Returns how many of those held
    /// that were.
    ///
    /// # Errors
    /// `CheckpointForeign`, `Io`, once all have been looked at.
    pub fn verify_all(&self) -> Result<usize> {
        let (mut damaged, mut unread) = (0, None);
        let milestones = self.milestones()?.into_iter().map(|milestone| (milestone.file, 0));
        let held = self.names()?.into_iter().map(|name| (self.dir.join(name), 1));
        for (path, counts) in held.chain(milestones) {
            match self.verify_or_set_aside(&path) {
                // Newer ones may have replaced it meanwhile.
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => unread = Some(error),
                Ok(info) => damaged += if info.is_none() { counts } else { 0 },
            }
        }
        unread.map_or(Ok(damaged), Err)
    }

    /// Opens one of those held. Its file stays readable even when newer ones replace it.
    ///
    /// # Errors
    /// `Io`, also if newer ones have replaced it meanwhile; `CheckpointDamaged`.
    pub fn open_held(&self, info: &CheckpointInfo) -> Result<OpenedCheckpoint> {
        let file = self.disk.open(&info.file).map_err(|e| StoreError::io("open", &info.file, e))?;
        OpenedCheckpoint::open(file, info.clone())
    }

    /// Makes a checkpoint of another directory, where it was received and verified, one of these.
    ///
    /// # Errors
    /// `Io`, `SyncFailed`, `Poisoned`.
    pub fn take_over(&self, staged: &Self, info: &CheckpointInfo) -> Result<CheckpointInfo> {
        self.poison.check()?;
        let path = self.dir.join(info.file.file_name().unwrap_or_default());
        let taken = self.adopt(&info.file, &path, info.clone())?;
        staged.verified().remove(&info.file);
        staged.sync_names()?;
        Ok(taken)
    }

    /// After a start: a staged checkpoint that the log already begins behind is the state, and is taken over; any other
    /// is of no use any more.
    ///
    /// # Errors
    /// `Io`, `SyncFailed`, `Poisoned`.
    pub fn settle(&self, staged: &Self, log_base: u64) -> Result<()> {
        for info in staged.held()? {
            let newest = self.held()?.first().map_or(0, |newest| newest.meta.raft_index);
            if info.meta.raft_index == log_base && newest < log_base {
                self.take_over(staged, &info)?;
            } else {
                staged.remove(&info.file)?;
            }
        }
        Ok(())
    }

    /// Removes all but the one with this digest, durably.
    ///
    /// # Errors
    /// `Io`, `SyncFailed`, `Poisoned`.
    pub fn keep_only(&self, digest: Option<[u8; 32]>) -> Result<()> {
        self.poison.check()?;
        for info in self.held()?.iter().filter(|info| Some(info.digest) != digest) {
            self.remove(&info.file)?;
        }
        self.sync_names()
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.disk.remove(path).map_err(|e| StoreError::io("remove", path, e))?;
        self.verified().remove(path);
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        self.disk.sync_dir(&self.dir).map_err(|e| self.poison.sync_failed(&self.dir, &e))
    }

    /// Begins or resumes receiving the checkpoint with this digest and size from peers. Parts of other transfers are
    /// removed: one at a time.
    ///
    /// # Errors
    /// `TooLarge`, `Io`, `Full`, `Poisoned`.
    pub fn receive(&self, digest: [u8; 32], size: u64) -> Result<Receiver> {
        self.poison.check()?;
        if size > MAX_CHECKPOINT_BYTES {
            return Err(StoreError::TooLarge { what: "checkpoint", size, limit: MAX_CHECKPOINT_BYTES });
        }
        Receiver::open(self.clone(), digest, size)
    }
}

// The names are our own and always lower case.
fn has_suffix(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some()
}

fn file_name(meta: &CheckpointMeta) -> String {
    format!("cp-{:010}-{:020}-{:020}.swc", meta.epoch, meta.revision, meta.raft_index)
}

/// The revision in a file's name behind its first three letters.
fn revision_in(rest: &str) -> Option<u64> {
    rest.split('-').nth(1)?.parse().ok()
}
