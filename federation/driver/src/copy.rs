//! A record in a folder that no node runs: its whole ledger and a checkpoint of its state, in the forms in which a node
//! keeps them. Filled from what a node hands out, read again to be checked or restored.
//!
//! What must never stand here: where such folders lie, what they are called, or who may ask for one.

use std::path::Path;
use std::sync::Arc;

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_domain::record::Record;
use shouwang_store::checkpoint::{CheckpointStore, OpenedCheckpoint, Receiver};
use shouwang_store::ledger::{Ledger, LedgerOptions, LedgerReader};
use shouwang_store::{Disk, StoreError};

use crate::Result;
use crate::error::DriverError;
use crate::record::restore;

/// Records read at once, and their bytes.
const PAGE: (usize, usize) = (1024, 1 << 20);

/// A record's folder.
#[derive(Debug)]
pub struct RecordCopy {
    id: RecordId,
    ledger: Ledger,
    checkpoints: CheckpointStore,
}

impl RecordCopy {
    /// Opens the folder of a record; on a disk that may be written, an empty one is made.
    ///
    /// # Errors
    /// `Store`: a ledger that ends before `through`, damage that opening sees, or what the system says.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, id: RecordId, through: u64) -> Result<Self> {
        let options = LedgerOptions { synced_at_least: Some(through), ..LedgerOptions::default() };
        let ledger = Ledger::open(disk.clone(), &dir.join("ledger"), id.0, options)?;
        let checkpoints = CheckpointStore::open(disk.clone(), &dir.join("checkpoints"))?;
        Ok(Self { id, ledger, checkpoints })
    }

    /// Hands every ledger record up to a revision to `take`, oldest first. Blocks.
    ///
    /// # Errors
    /// `Store`: what does not read, or is not there; what `take` says.
    pub fn read<E: From<DriverError>>(
        &self,
        through: u64,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let reader = self.ledger.reader();
        let mut next = 1;
        while next <= through {
            let left = usize::try_from(through + 1 - next).unwrap_or(usize::MAX).min(PAGE.0);
            let page = reader.read(next, left, PAGE.1).map_err(DriverError::from)?;
            if page.is_empty() {
                let last = self.ledger.last().unwrap_or_default();
                return Err(DriverError::from(StoreError::OutOfRange { requested: next, first: 1, last }).into());
            }
            for (revision, bytes) in page {
                take(revision, &bytes)?;
                next = revision + 1;
            }
        }
        Ok(())
    }

    /// The state of the checkpoint with this digest, checked against all that the file says of it. Blocks.
    ///
    /// # Errors
    /// `Unfit` if there is none that verifies, or it does not fit; `TooOld` if it was written at a later feature level than
    /// this program knows; `Store`.
    pub fn state<M: Machine>(&self, digest: Hash32) -> Result<Record<M>> {
        restore(self.id, &self.checkpoint(digest)?, u32::MAX)
    }

    /// Its ledger, to be read from anywhere.
    pub(crate) fn reader(&self) -> LedgerReader {
        self.ledger.reader()
    }

    /// Which record it is of.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The checkpoint with this digest, once it has been read in full.
    pub(crate) fn checkpoint(&self, digest: Hash32) -> Result<OpenedCheckpoint> {
        let held = self.checkpoints.held()?;
        let info = held.iter().find(|info| info.digest == digest.0).ok_or_else(|| DriverError::Unfit {
            id: self.id,
            what: "the checkpoint",
            detail: format!("the one with digest {digest} is gone or damaged"),
        })?;
        Ok(self.checkpoints.open_held(info)?)
    }

    /// Goes on filling the folder. Reads what is there from its first record on, so that old damage shows. Blocks.
    ///
    /// # Errors
    /// `Store`: what does not read.
    pub fn fill(self) -> Result<Filling> {
        let mut frontier = Frontier::default();
        let held = self.ledger.next() - 1;
        self.read(held, |_, bytes| {
            frontier.push(merkle::leaf(bytes));
            Ok::<(), DriverError>(())
        })?;
        Ok(Filling { copy: self, frontier })
    }
}

/// A record's folder that is being filled. Dropped at any moment it leaves what can be gone on with.
#[derive(Debug)]
pub struct Filling {
    copy: RecordCopy,
    frontier: Frontier,
}

impl Filling {
    /// The revision that comes next.
    pub fn next(&self) -> u64 {
        self.copy.ledger.next()
    }

    /// The Merkle root over all that is here.
    pub fn root(&self) -> Hash32 {
        self.frontier.root()
    }

    /// Adds the next ledger record. Blocks.
    ///
    /// # Errors
    /// `Store`: no room, or what the system says.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let next = self.next();
        self.copy.ledger.append(next, bytes)?;
        self.frontier.push(merkle::leaf(bytes));
        if self.copy.ledger.should_seal() {
            self.copy.ledger.seal(self.frontier.root().0)?;
        }
        Ok(())
    }

    /// Makes all that is here durable, sealed under its root. Blocks.
    ///
    /// # Errors
    /// `Store`.
    pub fn seal(&mut self) -> Result<()> {
        Ok(self.copy.ledger.seal(self.frontier.root().0)?)
    }

    /// Begins to receive a checkpoint, or goes on. Of those there, only the one with the digest `kept` stays: fillings that
    /// were cut off never push out the one that is still counted on. Blocks.
    ///
    /// # Errors
    /// `Store`: too large, or what the system says.
    pub fn receive(&self, (digest, size): (Hash32, u64), kept: Option<Hash32>) -> Result<Receiver> {
        self.copy.checkpoints.keep_only(kept.map(|kept| kept.0))?;
        Ok(self.copy.checkpoints.receive(digest.0, size)?)
    }

    /// What is here now.
    pub fn into_copy(self) -> RecordCopy {
        self.copy
    }
}
