//! The side marker of the Raft log: up to where each record's log was synced. The engine forgives a torn tail, which
//! is right for what was never synced and wrong for what was; this file tells the two apart.
//!
//! One file of four regions. The first two are written in turn after every sync, without a sync of their own: they
//! survive a killed process. The last two are written in turn and synced now and then: they survive a power cut that
//! tears the others.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{LogEnd, MAX_SLOTS, RecordSlot};
use crate::{
    codec::{Decoder, Encoder, checked},
    disk::{Disk, DiskFile, read_exact_at},
    error::{Result, StoreError},
};

const REGION: usize = 64 * 1024;
const REGIONS: usize = 4;
const MAGIC: &[u8; 8] = b"SWTAIL02";
const HEAD: usize = 8 + 8 + 4;
const ROW: usize = 8 * 4 + 4;
const _: () = assert!(HEAD + MAX_SLOTS * ROW + 4 <= REGION, "every slot must fit a region");

/// Where each log ended at the node's synced write number `write`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    pub write: u64,
    pub ends: BTreeMap<RecordSlot, LogEnd>,
}

impl Tail {
    fn encode(&self) -> Vec<u8> {
        // At most MAX_SLOTS, checked when a slot is created.
        let count = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let mut e = Encoder::default().bytes(MAGIC).u64(self.write).u32(count);
        for (slot, end) in &self.ends {
            e = e.u64(slot.0).u64(end.write).u64(end.index).u64(end.term).u32(end.crc);
        }
        e.crc()
    }

    fn decode(region: &[u8]) -> Option<Self> {
        let mut head = Decoder(region);
        if head.take(8)? != MAGIC {
            return None;
        }
        let write = head.u64()?;
        let count = usize::try_from(head.u32()?).ok().filter(|n| *n <= MAX_SLOTS)?;
        let mut rows = Decoder(checked(region.get(..HEAD + count * ROW + 4)?)?.get(HEAD..)?);
        let mut ends = BTreeMap::new();
        for _ in 0..count {
            let slot = RecordSlot(rows.u64()?);
            let end = LogEnd { write: rows.u64()?, index: rows.u64()?, term: rows.u64()?, crc: rows.u32()? };
            ends.insert(slot, end);
        }
        Some(Self { write, ends })
    }
}

/// What the marker file says.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The newest of its regions that can be read.
    pub tail: Tail,
    /// How many cannot: a power cut tears one that is just being written, a bad disk any.
    pub unreadable: usize,
}

/// The open marker file.
#[derive(Debug)]
pub(crate) struct TailMarker {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    turn: usize,
    synced_turn: usize,
}

impl TailMarker {
    /// What the marker says, `None` if there is no such file.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Option<Noted>> {
        let read = |file: Arc<dyn DiskFile>| {
            let size = file.size()?.min(2 * (REGIONS * REGION) as u64);
            read_exact_at(&*file, 0, usize::try_from(size).unwrap_or(usize::MAX))
        };
        let bytes = match disk.open(path).and_then(read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| StoreError::io("read", path, e))?,
        };
        let readable: Vec<Tail> = bytes.chunks(REGION).filter_map(Tail::decode).collect();
        let unreadable = REGIONS.saturating_sub(readable.len());
        let newest = readable.into_iter().max_by_key(|tail| tail.write);
        let noted = newest.map(|tail| Some(Noted { tail, unreadable }));
        noted.ok_or_else(|| StoreError::LogCorrupt {
            path: path.into(),
            detail: "no part of the side marker can be read, so nothing tells whether the log is whole".into(),
        })
    }

    /// Writes a marker file that says `tail`, whole and synced, and opens it.
    pub fn create(disk: &dyn Disk, path: &Path, tail: &Tail) -> Result<Self> {
        let mut region = tail.encode();
        region.resize(REGION, 0);
        let aside = path.with_extension("new");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |e: io::Error| StoreError::SyncFailed { path, detail: e.to_string() }
        };
        let file = disk.create(&aside).map_err(|e| StoreError::io("create", &aside, e))?;
        // Written in full, so that later writes need no new space even on a full disk.
        file.write_at(0, &region.repeat(REGIONS)).map_err(|e| StoreError::io("write", &aside, e))?;
        file.sync().map_err(failed(&aside))?;
        disk.rename(&aside, path).map_err(|e| StoreError::io("rename", &aside, e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(dir).map_err(failed(dir))?;
        Ok(Self { file, path: path.into(), turn: 0, synced_turn: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a sync that has happened.
    pub fn note(&mut self, tail: &Tail) -> io::Result<()> {
        self.turn = (self.turn + 1) % 2;
        self.file.write_at((self.turn * REGION) as u64, &tail.encode())
    }

    /// Notes it so that it survives a power cut.
    pub fn note_durably(&mut self, tail: &Tail) -> io::Result<()> {
        self.synced_turn = (self.synced_turn + 1) % 2;
        self.file.write_at(((2 + self.synced_turn) * REGION) as u64, &tail.encode())?;
        self.file.sync()
    }
}
