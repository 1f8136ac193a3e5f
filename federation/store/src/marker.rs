//! The storage marker: whose disk this is. A wiped, swapped or copied disk must not vote. It is kept twice, so that one
//! bad byte does not put a whole node aside.

use std::{io, path::Path};

use crate::{
    codec::{Decoder, Encoder, checked},
    disk::{Disk, read_exact_at, write_whole},
    error::{Poison, Result, StoreError},
    finding::{Findings, Remedy},
};

const MAGIC: &[u8; 8] = b"SWMARKER";
const FORMAT: u16 = 1;
const SIZE: usize = 8 + 2 + 32 + 8 + 16 + 4;
const NAMES: [&str; 2] = ["node.marker", "node.marker.copy"];

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

impl StoreMarker {
    /// Writes the marker of a new data directory, durably.
    ///
    /// # Errors
    /// `Invalid` if there is one already; `Full`, `Io`, `SyncFailed`.
    pub fn create(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        disk.create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        if names.iter().any(|n| NAMES.contains(&n.as_str())) {
            return Err(StoreError::Invalid(format!("{} has a storage marker already", dir.display())));
        }
        NAMES.iter().try_for_each(|name| self.write(disk, &dir.join(name)))
    }

    fn write(&self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let layout = Encoder::default().bytes(MAGIC).u16(FORMAT);
        let bytes = layout.bytes(&self.cluster).u64(self.node_id).bytes(&self.store_id).crc();
        write_whole(disk, path, &bytes, &Poison::default())
    }

    fn read(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let damaged = |detail: &str| StoreError::MarkerDamaged { file: path.into(), detail: detail.into() };
        let file = disk.open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => damaged("it is gone"),
            _ => StoreError::io("open", path, e),
        })?;
        if file.size().map_err(|e| StoreError::io("read", path, e))? != SIZE as u64 {
            return Err(damaged("its size does not fit"));
        }
        let bytes = read_exact_at(&*file, 0, SIZE).map_err(|e| StoreError::io("read", path, e))?;
        let mut d = Decoder(checked(&bytes).ok_or_else(|| damaged("its checksum does not fit"))?);
        if d.take(8) != Some(MAGIC) || d.u16() != Some(FORMAT) {
            return Err(damaged("its format is not known to this program"));
        }
        let marker = (|| Some(Self { cluster: d.array()?, node_id: d.u64()?, store_id: d.array()? }))();
        marker.ok_or_else(|| damaged("it is cut short"))
    }

    /// Reads the marker, `None` if there is none. If one of its two files is damaged or gone, the other is right, and
    /// both are again.
    ///
    /// # Errors
    /// `MarkerDamaged` if neither can be read; `Io`, `Full`, `SyncFailed`.
    pub fn load(disk: &dyn Disk, dir: &Path, findings: &Findings) -> Result<Option<Self>> {
        let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        if !names.iter().any(|n| NAMES.contains(&n.as_str())) {
            return Ok(None);
        }
        let paths = NAMES.map(|name| dir.join(name));
        let (damaged, path, marker) = match [Self::read(disk, &paths[0]), Self::read(disk, &paths[1])] {
            [Ok(marker), Ok(copy)] if marker == copy => return Ok(Some(marker)),
            [Ok(_), Ok(_)] => {
                let detail = "its copy says something else".into();
                return Err(StoreError::MarkerDamaged { file: paths[0].clone(), detail });
            }
            [Ok(marker), _] if !names.iter().any(|n| n == NAMES[1]) => {
                // Its creation was cut short.
                marker.write(disk, &paths[1])?;
                return Ok(Some(marker));
            }
            [Ok(marker), Err(e @ StoreError::MarkerDamaged { .. })] => (e, &paths[1], marker),
            [Err(e @ StoreError::MarkerDamaged { .. }), Ok(copy)] => (e, &paths[0], copy),
            [Err(e), _] | [_, Err(e)] => return Err(e),
        };
        marker.write(disk, path)?;
        findings.add(damaged, Remedy::Mended);
        Ok(Some(marker))
    }

    /// Decides whether a node may use this directory.
    ///
    /// # Errors
    /// `MarkerMissing` if it holds data without a marker, or nothing though the node stored here before;
    /// `MarkerMismatch` names the field that differs; `MarkerDamaged`, `Io`.
    pub fn check(
        disk: &dyn Disk,
        dir: &Path,
        has_data: bool,
        expected: &ExpectedMarker,
        findings: &Findings,
    ) -> Result<MarkerState> {
        let Some(marker) = Self::load(disk, dir, findings)? else {
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

/// Whether a directory holds anything but a marker and what file systems put there themselves.
///
/// # Errors
/// `Io`.
pub fn holds_data(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let names = disk.list(dir).map_err(|e| StoreError::io("list", dir, e))?;
    let always = ["node.new", "node.marker.new", "lost+found", crate::reserve::NAME];
    Ok(names.iter().any(|name| !NAMES.contains(&name.as_str()) && !always.contains(&name.as_str())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|n| char::from_digit(u32::from(n), 16)).collect()
}

#[cfg(test)]
mod tests;
