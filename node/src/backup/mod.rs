//! Backups of a node's records: a folder with a manifest, and below it one folder a record with its whole ledger and a
//! checkpoint of its state. A further backup into the same folder adds what is new.
//!
//! The manifest is written last and replaced whole: what it names is there, and whatever a backup that was cut off left
//! beside it counts for nothing. What must never stand here: keys. They are not in a backup.

mod check;
mod manifest;
mod restore;
mod take;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shouwang_domain::ids::RecordId;
use shouwang_domain::level::TooOld;
use shouwang_driver::{DriverError, RecordCopy};
use shouwang_store::{Disk, StoreError};

use check::registry as check_registry;
pub use check::{Checked, check};
pub use manifest::{Entry, Kind, Manifest};
pub use restore::{Restored, restore};
pub use take::{Taken, take};

use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// The manifest's name in a backup's folder.
pub const MANIFEST: &str = "backup.json";
/// Held by whoever writes into the folder.
const LOCK: &str = ".lock";

/// Why a backup cannot be taken, or not be relied on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No manifest: never begun, cut off, or some other folder.
    #[error("{} holds no whole backup: it has no {MANIFEST}", .0.display())]
    NotWhole(PathBuf),
    /// The manifest cannot be used.
    #[error("{}: {why}", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Made by a later program.
    #[error("{}: version {version} is not known to this program", file.display())]
    Version {
        /// The manifest.
        file: PathBuf,
        /// What it says.
        version: u64,
    },
    /// The folder belongs to another node.
    #[error("the folder holds backups of node {theirs}, this is node {own}")]
    Foreign {
        /// Whose backups are there.
        theirs: String,
        /// Whose backup was to go there.
        own: String,
    },
    /// Somebody else writes into the folder.
    #[error("{} is being written by another backup", .0.display())]
    Busy(PathBuf),
    /// The node's stream ended before everything was here.
    #[error("the node ended before everything was sent; what came is kept, run the backup again")]
    CutOff,
    /// What is in the folder and what the node sent are no one ledger.
    #[error("record {id}: what is in the folder and what the node has are not one history")]
    Diverged {
        /// The record.
        id: RecordId,
    },
    /// A record of the backup does not hold.
    #[error("record {id}: {why}")]
    Unsound {
        /// The record.
        id: RecordId,
        /// What is wrong.
        why: Bilingual,
    },
    /// The folder's files.
    #[error(transparent)]
    Record(#[from] DriverError),
    /// The system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl BackupError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the disk has no room.
    fn is_full(&self) -> bool {
        match self {
            Self::Record(DriverError::Store(error)) => error.is_full(),
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    fn is_damage(&self) -> bool {
        use StoreError as S;
        match self {
            Self::Record(DriverError::Unfit { .. }) => true,
            Self::Record(DriverError::Store(error)) => matches!(
                **error,
                S::LedgerDamaged { .. } | S::LedgerShort { .. } | S::CheckpointDamaged { .. } | S::OutOfRange { .. }
            ),
            _ => false,
        }
    }

    /// Its stable code and exit.
    fn code(&self) -> (Exit, &'static str) {
        match self {
            _ if self.is_full() => (Exit::Failure, "BACKUP_DISK_FULL"),
            _ if self.is_damage() => (Exit::Damaged, "BACKUP_DAMAGED"),
            Self::Record(DriverError::TooOld(_)) => (Exit::BadInput, TooOld::CODE),
            Self::NotWhole(_) => (Exit::NotFound, "BACKUP_NOT_WHOLE"),
            Self::Manifest { .. } => (Exit::Damaged, "BACKUP_MANIFEST"),
            Self::Version { .. } => (Exit::BadInput, "BACKUP_VERSION"),
            Self::Foreign { .. } => (Exit::BadInput, "BACKUP_FOREIGN"),
            Self::Busy(_) => (Exit::Exists, "BACKUP_BUSY"),
            Self::CutOff => (Exit::Unavailable, "BACKUP_CUT_OFF"),
            Self::Diverged { .. } => (Exit::BadInput, "BACKUP_DIVERGED"),
            Self::Unsound { .. } => (Exit::Damaged, "BACKUP_UNSOUND"),
            Self::Record(_) | Self::Io { .. } => (Exit::Failure, "BACKUP_FILES"),
        }
    }

    fn zh(&self) -> String {
        match self {
            _ if self.is_full() => format!("备份所在磁盘已满；请腾出空间后重试，已收到的部分会保留（{self}）"),
            _ if self.is_damage() => format!("备份已损坏，请改用另一份；若节点尚在，请重新备份到新目录（{self}）"),
            Self::NotWhole(path) => {
                format!("{} 不是完整的备份：没有 {MANIFEST}。备份可能中断，请重新执行", path.display())
            }
            Self::Manifest { file, why } => format!("{} 无法使用：{why}；请改用另一份备份", file.display()),
            Self::Version { file, version } => {
                format!("{} 的格式版本 {version} 较新，请用更新的程序", file.display())
            }
            Self::Foreign { theirs, own } => format!("该目录是节点 {theirs} 的备份，本节点为 {own}；请另选目录"),
            Self::Busy(path) => format!("{} 正由另一次备份写入，请待其结束", path.display()),
            Self::CutOff => "节点未发送完即结束；已收到的部分会保留，请重新执行备份".to_owned(),
            Self::Diverged { id } => {
                format!(
                    "记录 {} 在备份目录与节点中不是同一段历史（节点可能由旧备份恢复）；请备份到新目录，并保留原备份",
                    id.short()
                )
            }
            Self::Unsound { id, why } => format!("备份中的记录 {} 不成立：{}", id.short(), why.zh),
            Self::Record(DriverError::TooOld(error)) => error.zh(),
            Self::Record(error) => format!("备份目录无法读写：{error}"),
            Self::Io { path, source } => format!("{} 无法读写：{source}", path.display()),
        }
    }

    fn en(&self) -> String {
        let mend = match self {
            _ if self.is_full() => "; make room and run it again, what came is kept",
            _ if self.is_damage() => {
                "; use another backup, and take a new one into a new folder while the node is there"
            }
            Self::NotWhole(_) => "; it was cut off, run the backup again",
            Self::Manifest { .. } => "; use another backup",
            Self::Version { .. } => "; use a newer program",
            Self::Foreign { .. } => "; choose another folder",
            Self::Busy(_) => "; wait until it has ended",
            Self::Diverged { .. } => {
                " (the node may have been restored from an older backup); take the next one into a new folder, and keep \
                 this one"
            }
            _ => "",
        };
        match self {
            Self::Unsound { id, why } => format!("record {} of the backup does not hold: {}", id.short(), why.en),
            _ => format!("{self}{mend}"),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let (exit, code) = error.code();
        Self::new(exit, code, Bilingual::new(error.zh(), error.en()))
    }
}

/// The folder of one record in a backup.
fn open_record(disk: &Arc<dyn Disk>, folder: &Path, id: RecordId, through: u64) -> Result<RecordCopy, BackupError> {
    Ok(RecordCopy::open(disk, &folder.join(id.to_string()), id, through)?)
}

/// Takes the folder for oneself, until the file is dropped.
fn lock(folder: &Path) -> Result<File, BackupError> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(BackupError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::Busy(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(BackupError::io(&path)(error)),
    }
}

#[cfg(test)]
mod tests;
