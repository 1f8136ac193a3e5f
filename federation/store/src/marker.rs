//! The storage marker: whose disk this is. A wiped, swapped or copied disk must not vote.

use std::path::{Path, PathBuf};

use crate::{
    codec::{Decoder, Encoder, checked},
    disk::{Disk, read_exact_at, write_whole},
    error::{Poison, Result, StoreError},
};

const MAGIC: &[u8; 8] = b"SWMARKER";
const FORMAT: u16 = 1;
const SIZE: usize = 8 + 2 + 32 + 8 + 16 + 4;
const NAME: &str = "node.marker";

/// What the marker of a data directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMarker {
    /// Fingerprint of the cluster (federation) this data belongs to.
    pub cluster: [u8; 32],
    /// The node it belongs to.
    pub node_id: u64,
    /// Random identity of this very store, drawn by the caller when it was created.
    pub store_id: [u8; 16],
}

/// What the node's configuration knows about its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMarker {
    /// The cluster's fingerprint.
    pub cluster: [u8; 32],
    /// This node.
    pub node_id: u64,
    /// The store used before; `None` if this is not remembered elsewhere.
    pub store_id: Option<[u8; 16]>,
    /// True if this node has stored data before, so that an empty directory is a lost disk.
    pub used_before: bool,
}

/// What a check found when it found no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkerState {
    /// An empty directory of a node that never used one: create the marker before anything else.
    Fresh,
    /// The expected disk.
    Ours(StoreMarker),
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

impl StoreMarker {
    /// Writes the marker of a new data directory, durably.
    ///
    /// # Errors
    /// `Invalid` if there is one already; `Full`, `Io`, `SyncFailed`.
    pub fn create(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        disk.create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        if names.iter().any(|n| n == NAME) {
            return Err(StoreError::Invalid(format!("{} has a storage marker already", dir.display())));
        }
        let bytes = Encoder::default()
            .bytes(MAGIC)
            .u16(FORMAT)
            .bytes(&self.cluster)
            .u64(self.node_id)
            .bytes(&self.store_id)
            .crc();
        write_whole(disk, &path(dir), &bytes, &Poison::default())
    }

    /// Reads the marker, `None` if there is none.
    ///
    /// # Errors
    /// `MarkerDamaged`, `Io`.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        if !names.iter().any(|n| n == NAME) {
            return Ok(None);
        }
        let file_path = path(dir);
        let damaged = |detail: &str| StoreError::MarkerDamaged { file: file_path.clone(), detail: detail.into() };
        let file = disk.open(&file_path).map_err(|e| StoreError::io("open", &file_path, e))?;
        if file.size().map_err(|e| StoreError::io("read", &file_path, e))? != SIZE as u64 {
            return Err(damaged("its size does not fit"));
        }
        let bytes = read_exact_at(&*file, 0, SIZE).map_err(|e| StoreError::io("read", &file_path, e))?;
        let mut d = Decoder(checked(&bytes).ok_or_else(|| damaged("its checksum does not fit"))?);
        if d.take(8) != Some(MAGIC) || d.u16() != Some(FORMAT) {
            return Err(damaged("its format is not known to this program"));
        }
        let marker = (|| Some(Self { cluster: d.array()?, node_id: d.u64()?, store_id: d.array()? }))();
        marker.map(Some).ok_or_else(|| damaged("it is cut short"))
    }

    /// Decides whether a node may use this directory.
    ///
    /// # Errors
    /// `MarkerMissing` if it holds data without a marker, or nothing though the node stored here before;
    /// `MarkerMismatch` names the field that differs; `MarkerDamaged`, `Io`.
    pub fn check(disk: &dyn Disk, dir: &Path, has_data: bool, expected: &ExpectedMarker) -> Result<MarkerState> {
        let Some(marker) = Self::load(disk, dir)? else {
            let detail = match (has_data, expected.used_before) {
                (true, _) => "though it holds data",
                (false, true) => "though this node has stored data before",
                (false, false) => return Ok(MarkerState::Fresh),
            };
            return Err(StoreError::MarkerMissing { dir: dir.into(), detail });
        };
        let mismatch = |field, expected: String, found: String| {
            Err(StoreError::MarkerMismatch { dir: dir.into(), field, expected, found })
        };
        if marker.cluster != expected.cluster {
            return mismatch("cluster", hex(&expected.cluster), hex(&marker.cluster));
        }
        if marker.node_id != expected.node_id {
            return mismatch("node", expected.node_id.to_string(), marker.node_id.to_string());
        }
        match expected.store_id {
            Some(id) if id != marker.store_id => mismatch("store", hex(&id), hex(&marker.store_id)),
            _ => Ok(MarkerState::Ours(marker)),
        }
    }
}

/// Whether a real directory holds anything but a marker and what file systems put there themselves.
///
/// # Errors
/// `Io`.
pub fn holds_data(dir: &Path) -> Result<bool> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(|e| StoreError::io("list", dir, e))?,
    };
    for entry in entries {
        let name = entry.map_err(|e| StoreError::io("list", dir, e))?.file_name();
        let ours = [NAME, "node.new", "lost+found", crate::reserve::NAME];
        if !ours.iter().any(|known| name == *known) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|n| char::from_digit(u32::from(n), 16)).collect()
}

#[cfg(test)]
mod tests;
