//! Receiving a checkpoint from peers in chunks, across restarts of either side.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use super::{CheckpointInfo, CheckpointStore, file_name, format::damaged};
use crate::{
    disk::DiskFile,
    error::{Result, StoreError},
};

/// A transfer under way. What has arrived stays on the disk if this is dropped; `receive` with the same digest resumes.
#[derive(Debug)]
pub struct Receiver {
    store: CheckpointStore,
    part: PathBuf,
    file: Arc<dyn DiskFile>,
    digest: [u8; 32],
    size: u64,
    offset: u64,
}

impl Receiver {
    pub(super) fn open(store: CheckpointStore, digest: [u8; 32], size: u64) -> Result<Self> {
        let mut name = digest.iter().fold(String::from("part-"), |mut name, byte| {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
            name
        });
        name.push_str(".part");
        let mut resumed = false;
        for other in store.list()?.into_iter().filter(|n| n.starts_with("part-")) {
            let path = store.dir.join(&other);
            if other == name {
                resumed = true;
            } else {
                store.disk.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            }
        }
        let part = store.dir.join(name);
        let file = if resumed { store.disk.open(&part) } else { store.disk.create(&part) };
        let file = file.map_err(|e| StoreError::io("open", &part, e))?;
        let mut offset = file.size().map_err(|e| StoreError::io("read", &part, e))?;
        if offset > size {
            file.set_size(0).map_err(|e| StoreError::io("cut", &part, e))?;
            offset = 0;
        }
        Ok(Self { store, part, file, digest, size, offset })
    }

    /// Where the next chunk must start, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// True when all bytes are here and `finish` can be called.
    pub fn is_complete(&self) -> bool {
        self.offset == self.size
    }

    /// Takes one chunk.
    ///
    /// # Errors
    /// `WrongOffset` unless it starts at `offset()`; `TooLarge` if it goes beyond the size; `Full`, `Io`.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if offset != self.offset {
            return Err(StoreError::WrongOffset { expected: self.offset, found: offset });
        }
        let end = offset + bytes.len() as u64;
        if end > self.size {
            return Err(StoreError::TooLarge { what: "checkpoint transfer", size: end, limit: self.size });
        }
        self.file.write_at(offset, bytes).map_err(|e| StoreError::io("write", &self.part, e))?;
        self.offset = end;
        Ok(())
    }

    /// Verifies the whole file and makes it one of the checkpoints. A file that does not verify is removed, so that
    /// the next attempt starts clean.
    ///
    /// # Errors
    /// `Invalid` before all bytes are here; `CheckpointDamaged`; `Io`, `Full`, `SyncFailed`, `Poisoned`.
    pub fn finish(self) -> Result<CheckpointInfo> {
        let store = &self.store;
        store.poison.check()?;
        if !self.is_complete() {
            return Err(StoreError::Invalid(format!("the transfer stands at {} of {}", self.offset, self.size)));
        }
        self.file.sync().map_err(|e| store.poison.sync_failed(&self.part, &e))?;
        let verified = store.verify_file(&self.part).and_then(|info| {
            if info.digest == self.digest { Ok(info) } else { Err(damaged(&self.part, "it is another checkpoint")) }
        });
        match verified {
            Ok(info) => {
                let path = store.dir.join(file_name(&info.meta));
                store.adopt(&self.part, &path, info)
            }
            Err(e @ StoreError::CheckpointDamaged { .. }) => {
                store.disk.remove(&self.part).map_err(|e| StoreError::io("remove", &self.part, e))?;
                Err(e)
            }
            Err(e) => Err(e),
        }
    }
}
