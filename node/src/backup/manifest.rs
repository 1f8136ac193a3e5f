//! What a backup holds, by its own word: readable without this program, and sealed so that a changed letter shows.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;

use super::{BackupError, MANIFEST};
use crate::pki::files::{Access, MAX_FILE_BYTES, replace};

const FORMAT: &str = "shouwang-backup";
const VERSION: u64 = 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 台账
    Registry,
    /// 区域
    Region,
}

/// The algorithms behind what the manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Algorithms {
    /// Of roots, digests and the seal.
    pub hash: String,
    /// Of the ledger's tree.
    pub tree: String,
    /// Of the frames in the ledger's files.
    pub checksum: String,
    /// Of the ledger's files and the checkpoints.
    pub compression: String,
}

/// One record of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The record; its folder has this name.
    pub id: RecordId,
    /// Whose, or which: for people.
    pub title: String,
    /// Its epoch.
    pub epoch: u32,
    /// Which life of the registry it is; 0 for a region.
    pub incarnation: u32,
    /// Its ledger is here from 1 to this revision.
    pub revision: u64,
    /// Record time of that revision, RFC 3339.
    pub time: String,
    /// The Merkle root over the ledger.
    pub ledger_root: Hash32,
    /// The digest of the state.
    pub state_digest: Hash32,
    /// SHA-256 of the checkpoint's file.
    pub checkpoint: Hash32,
}

/// What a backup's folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What this is.
    pub format: String,
    /// Of which version.
    pub version: u64,
    /// The program that wrote it.
    pub program: String,
    /// The federation.
    pub federation: String,
    /// The node, "<code>/<number>".
    pub node: String,
    /// When the backup was taken, RFC 3339.
    pub taken_at: String,
    /// The algorithms used.
    pub algorithms: Algorithms,
    /// The records, the registry first.
    pub records: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    manifest: Manifest,
    sha256: Hash32,
}

impl Manifest {
    /// A manifest of a node that holds nothing yet.
    pub fn new(federation: &str, node: &str) -> Self {
        let algorithms = Algorithms {
            hash: "sha-256".to_owned(),
            tree: "rfc-6962".to_owned(),
            checksum: "crc-32".to_owned(),
            compression: "zstd".to_owned(),
        };
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            federation: federation.to_owned(),
            node: node.to_owned(),
            taken_at: String::new(),
            algorithms,
            records: Vec::new(),
        }
    }

    /// The entry of a record.
    pub fn entry(&self, id: RecordId) -> Option<&Entry> {
        self.records.iter().find(|entry| entry.id == id)
    }

    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] without one; [`BackupError::Manifest`], [`BackupError::Version`].
    pub fn load(folder: &Path) -> Result<Self, BackupError> {
        let file = folder.join(MANIFEST);
        let wrong = |why: String| BackupError::Manifest { file: file.clone(), why };
        let size = match file.metadata() {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::NotWhole(folder.to_owned()));
            }
            Err(error) => return Err(BackupError::io(&file)(error)),
        };
        if size > MAX_FILE_BYTES {
            return Err(wrong(format!("{size} bytes are too many / 文件过大")));
        }
        let text = std::fs::read(&file).map_err(BackupError::io(&file))?;
        let loose: serde_json::Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let (format, version) = (&loose["manifest"]["format"], &loose["manifest"]["version"]);
        if format != FORMAT {
            return Err(wrong("it is no manifest of a backup / 不是备份清单".to_owned()));
        }
        match version.as_u64() {
            Some(VERSION) => {}
            Some(version) => return Err(BackupError::Version { file, version }),
            None => return Err(wrong("it names no version / 缺少格式版本".to_owned())),
        }
        let sealed: Sealed = serde_json::from_value(loose).map_err(|error| wrong(error.to_string()))?;
        if sealed.sha256 != sealed.manifest.seal() {
            return Err(wrong("it was changed: its seal does not fit / 内容与校验值不符".to_owned()));
        }
        Ok(sealed.manifest)
    }

    /// Writes the manifest of a folder: the old one or the new one is there, never half of one.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn save(&self, folder: &Path) -> Result<(), BackupError> {
        let file = folder.join(MANIFEST);
        let sealed = Sealed { manifest: self.clone(), sha256: self.seal() };
        let failed = |error: &dyn std::fmt::Display| BackupError::io(&file)(std::io::Error::other(error.to_string()));
        let mut text = serde_json::to_string_pretty(&sealed).map_err(|error| failed(&error))?;
        text.push('\n');
        replace(&file, text.as_bytes(), Access::Secret).map_err(|error| failed(&error))
    }

    /// SHA-256 over the manifest as it is written here: fields in their order, without blanks.
    fn seal(&self) -> Hash32 {
        // Strings, numbers and lists of them: there is nothing in it that cannot be written.
        Hash32::of(&[&serde_json::to_vec(self).unwrap_or_default()])
    }
}
