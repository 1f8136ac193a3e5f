//! What can go wrong with bytes on a disk, each named by what failed, where, and how to mend it.

mod zh;

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use thiserror::Error;

use crate::log::{LogEnd, RecordSlot};

/// Result of every call of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Everything the store can refuse or lose. `code()` is stable and may be shown to operators and matched by programs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused an operation on a file.
    #[error("cannot {op} {path}: {source}; check the disk and the permissions of the data directory", path = path.display())]
    Io {
        /// What was tried, as a verb phrase ("read", "rename").
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The disk has no room. Nothing was changed; the same call succeeds once there is room.
    #[error("the disk holding {path} is full; free space, writing resumes by itself", path = path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A sync failed: what was written last may or may not be on the disk, and only a restart can tell.
    #[error("fsync of {path} failed: {detail}; the process must stop, check the disk before starting again", path = path.display())]
    SyncFailed {
        /// The file that could not be synced.
        path: PathBuf,
        /// The operating system's answer.
        detail: String,
    },
    /// An earlier failure left this store unsure of its disk; it takes no more writes until the process restarts.
    #[error("the store stopped taking writes after an earlier failure ({cause}); restart the process")]
    Poisoned {
        /// The failure that poisoned it.
        cause: String,
    },
    /// The Raft log of one record ends before what was once synced: votes or acknowledgements may be forgotten.
    #[error(
        "the log of {slot} in {dir} is damaged: it was synced up to {expected} and now ends at {found}; \
         this node must leave the record and join anew under a new id",
        dir = dir.display()
    )]
    LogDamaged {
        /// The record's place on this node.
        slot: RecordSlot,
        /// The end that was synced.
        expected: LogEnd,
        /// The end that was found.
        found: LogEnd,
        /// The log's directory.
        dir: PathBuf,
    },
    /// The Raft log's files cannot be read, for every record on this node.
    #[error("the raft log in {path} is damaged: {detail}; this node must join its records anew under a new id", path = path.display())]
    LogCorrupt {
        /// The log's directory or side file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// Parts of the log's side marker cannot be read; others say what is needed, and all of it is written again. A power
    /// cut does this to a part that is just being written.
    #[error("{unreadable} part(s) of the log's side marker {file} cannot be read and are written again; if there was no power cut, check the disk", file = file.display())]
    LogMarkerTorn {
        /// The side marker.
        file: PathBuf,
        /// How many of its parts.
        unreadable: usize,
    },
    /// A ledger segment does not hold what its checksums promise.
    #[error("ledger segment {file} is damaged at byte {offset}: {detail}; it is set aside, what is missing is rebuilt from the log or fetched from a peer", file = file.display())]
    LedgerDamaged {
        /// The segment.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What does not fit.
        detail: String,
    },
    /// The end of the active ledger segment, behind what is known to be synced, does not fit its checksums and is cut off.
    /// A power cut does this.
    #[error("the last {bytes} bytes of ledger segment {file}, from byte {offset} on, are not whole; they are cut off and rebuilt from the log; if there was no power cut, check the disk", file = file.display())]
    LedgerTorn {
        /// The segment.
        file: PathBuf,
        /// Where it is cut, in bytes.
        offset: u64,
        /// How many bytes are cut off.
        bytes: u64,
    },
    /// A ledger is whole as far as it goes, but ends before a revision that was synced.
    #[error("the ledger ends with {place} at revision {last}, synced was {synced}; what is missing is rebuilt from the log or fetched from a peer", place = place.display())]
    LedgerShort {
        /// The segment that still grew, or the ledger's directory if there is none.
        place: PathBuf,
        /// The last revision found (0: none).
        last: u64,
        /// The revision known to have been synced.
        synced: u64,
    },
    /// Revisions of a ledger are not held here, and nobody else has them.
    #[error("revisions {first} to {last} of the ledger in {dir} are not held, and no other node has them; restore them from a backup", dir = dir.display())]
    LedgerGap {
        /// The ledger's directory.
        dir: PathBuf,
        /// The first revision that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A checkpoint file does not hold what its checksum promises.
    #[error("checkpoint {file} is damaged: {detail}; it is set aside, an older one or a peer's is used", file = file.display())]
    CheckpointDamaged {
        /// The checkpoint.
        file: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// A checkpoint file has a format that this program does not know. It is left as it is.
    #[error(
        "checkpoint {file} was written by another version of the program (format {format}); it is left as it is: install \
         that version",
        file = file.display()
    )]
    CheckpointForeign {
        /// The checkpoint.
        file: PathBuf,
        /// The number of its format.
        format: u16,
    },
    /// There are checkpoint files, and none verifies: starting empty would hide a loss.
    #[error("none of the {damaged} checkpoint(s) in {dir} verifies; fetch one from a peer, do not start empty", dir = dir.display())]
    NoUsableCheckpoint {
        /// The directory.
        dir: PathBuf,
        /// How many files were there, those set aside earlier included.
        damaged: usize,
    },
    /// The index answered with an error. It holds nothing that cannot be rebuilt.
    #[error("the index in {path} failed: {detail}; if it is damaged, it is built again from the ledgers", path = path.display())]
    Index {
        /// The index directory.
        path: PathBuf,
        /// sled's answer.
        detail: String,
    },
    /// Another process has this store open.
    #[error("{path} is in use by another process; stop it first", path = path.display())]
    Locked {
        /// The locked directory.
        path: PathBuf,
    },
    /// The data directory has data but no marker, or was used before and is empty now.
    #[error("{dir} has no storage marker, {detail}; a wiped or swapped disk must not vote: join anew under a new id", dir = dir.display())]
    MarkerMissing {
        /// The data directory.
        dir: PathBuf,
        /// Which of the two it is.
        detail: &'static str,
    },
    /// The marker belongs to another cluster, node or store.
    #[error("the storage marker in {dir} has another {field} (expected {expected}, found {found}); mount the right disk", dir = dir.display())]
    MarkerMismatch {
        /// The data directory.
        dir: PathBuf,
        /// Which field differs.
        field: &'static str,
        /// What the configuration says.
        expected: String,
        /// What the disk says.
        found: String,
    },
    /// The marker file cannot be read.
    #[error("the storage marker {file} is damaged: {detail}; restore it or join anew under a new id", file = file.display())]
    MarkerDamaged {
        /// The marker file.
        file: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The caller asked for something that would break an invariant (a hole, a wrong order). Nothing was changed.
    #[error("refused: {0}; this is a programming error in the caller")]
    Invalid(String),
    /// A value is over a limit. Nothing was changed.
    #[error("{what} of {size} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Revisions that this ledger does not hold.
    #[error("revision {requested} is not held here; held are {first} to {last}")]
    OutOfRange {
        /// The revision asked for.
        requested: u64,
        /// The oldest revision held without a gap up to the last (0: none).
        first: u64,
        /// The last revision held (0: none).
        last: u64,
    },
    /// A chunk of a transfer does not follow what has been received.
    #[error("the transfer stands at byte {expected}, the chunk starts at {found}; resume at {expected}")]
    WrongOffset {
        /// The offset the next chunk must have, in bytes.
        expected: u64,
        /// The offset it had, in bytes.
        found: u64,
    },
}

impl StoreError {
    /// A stable word for this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "STORE_IO",
            Self::Full { .. } => "STORE_DISK_FULL",
            Self::SyncFailed { .. } => "STORE_SYNC_FAILED",
            Self::Poisoned { .. } => "STORE_POISONED",
            Self::LogDamaged { .. } => "STORE_LOG_DAMAGED",
            Self::LogCorrupt { .. } => "STORE_LOG_CORRUPT",
            Self::LogMarkerTorn { .. } => "STORE_LOG_MARKER_TORN",
            Self::LedgerDamaged { .. } => "STORE_LEDGER_DAMAGED",
            Self::LedgerTorn { .. } => "STORE_LEDGER_TORN",
            Self::LedgerShort { .. } => "STORE_LEDGER_SHORT",
            Self::LedgerGap { .. } => "STORE_LEDGER_GAP",
            Self::CheckpointDamaged { .. } => "STORE_CHECKPOINT_DAMAGED",
            Self::CheckpointForeign { .. } => "STORE_CHECKPOINT_FOREIGN",
            Self::NoUsableCheckpoint { .. } => "STORE_NO_USABLE_CHECKPOINT",
            Self::Index { .. } => "STORE_INDEX",
            Self::Locked { .. } => "STORE_LOCKED",
            Self::MarkerMissing { .. } => "STORE_MARKER_MISSING",
            Self::MarkerMismatch { .. } => "STORE_MARKER_MISMATCH",
            Self::MarkerDamaged { .. } => "STORE_MARKER_DAMAGED",
            Self::Invalid(_) => "STORE_INVALID",
            Self::TooLarge { .. } => "STORE_TOO_LARGE",
            Self::OutOfRange { .. } => "STORE_OUT_OF_RANGE",
            Self::WrongOffset { .. } => "STORE_WRONG_OFFSET",
        }
    }

    /// The file or directory it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Full { path }
            | Self::SyncFailed { path, .. }
            | Self::LogCorrupt { path, .. }
            | Self::Index { path, .. }
            | Self::Locked { path }
            | Self::LedgerShort { place: path, .. } => Some(path),
            Self::LogDamaged { dir, .. }
            | Self::LedgerGap { dir, .. }
            | Self::NoUsableCheckpoint { dir, .. }
            | Self::MarkerMissing { dir, .. }
            | Self::MarkerMismatch { dir, .. } => Some(dir),
            Self::LogMarkerTorn { file, .. }
            | Self::LedgerDamaged { file, .. }
            | Self::LedgerTorn { file, .. }
            | Self::CheckpointDamaged { file, .. }
            | Self::CheckpointForeign { file, .. }
            | Self::MarkerDamaged { file, .. } => Some(file),
            Self::Poisoned { .. }
            | Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::OutOfRange { .. }
            | Self::WrongOffset { .. } => None,
        }
    }

    /// True if the process must stop: what is on the disk is no longer known.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::SyncFailed { .. } | Self::Poisoned { .. })
    }

    /// True if the call can be repeated once there is room on the disk.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// What a failed operation on a file or directory is: a full disk is told from others.
    pub fn io(op: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { op, path, source },
        }
    }
}

/// Remembers the first failure after which a store cannot know its disk any more.
#[derive(Debug, Default)]
pub(crate) struct Poison(OnceLock<String>);

impl Poison {
    pub fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(cause) => Err(StoreError::Poisoned { cause: cause.clone() }),
        }
    }

    /// Remembers `error` unless a full disk explains it: that heals, everything else does not.
    pub fn after(&self, error: StoreError) -> StoreError {
        if !error.is_full() {
            self.set(&error.to_string());
        }
        error
    }

    /// A failed sync always poisons, a full disk included: the kernel may have dropped the pages it could not write.
    pub fn sync_failed(&self, path: impl Into<PathBuf>, error: &io::Error) -> StoreError {
        let error = StoreError::SyncFailed { path: path.into(), detail: error.to_string() };
        self.set(&error.to_string());
        error
    }

    pub fn set(&self, cause: &str) {
        // Only the first cause is kept: the ones after it follow from it.
        let _ = self.0.set(cause.to_owned());
    }
}
