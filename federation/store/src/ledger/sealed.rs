//! Sealed segments: written once, compressed in blocks, never changed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::format::{Block, FRAME_HEAD, Footer, HEADER, Header, Kind, TRAILER, frame, put_frame};
use crate::{
    disk::{Disk, DiskFile, read_exact_at},
    error::{Poison, Result, StoreError},
};

/// Uncompressed bytes of frames in one block: what a reader of one old revision has to unpack.
const BLOCK: usize = 128 * 1024;
/// No block unpacks to more: one frame may be larger than a block, but not larger than the ledger's limit.
const MAX_PLAIN: u64 = BLOCK as u64 + super::MAX_RECORD_BYTES as u64 + FRAME_HEAD as u64;

/// What the outside may know of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First revision in it.
    pub first: u64,
    /// Last revision in it.
    pub last: u64,
    /// Merkle root given when it was sealed; all zero if none was known.
    pub root: [u8; 32],
    /// Hash algorithm of the root, as its registry number.
    pub hash_algorithm: u8,
    /// The file.
    pub file: PathBuf,
}

/// A sealed segment whose header and footer have been read.
#[derive(Debug)]
pub(super) struct Sealed {
    pub info: SegmentInfo,
    digest: [u8; 32],
    blocks: Vec<Block>,
}

/// What goes into a sealed segment, frame by frame.
pub(super) trait Frames {
    /// Adds whole frames to `plain` until it holds at least `enough` bytes or none is left, and says how many it was.
    ///
    /// # Errors
    /// What cannot be read, or does not fit its checksum.
    fn fill(&mut self, plain: &mut Vec<u8>, enough: usize) -> Result<u64>;
}

/// Records in memory, as frames.
pub(super) struct Records<I> {
    /// The revision of the next.
    pub next: u64,
    pub records: I,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Frames for Records<I> {
    fn fill(&mut self, plain: &mut Vec<u8>, enough: usize) -> Result<u64> {
        let first = self.next;
        while plain.len() < enough
            && let Some(bytes) = self.records.next()
        {
            put_frame(plain, self.next, bytes);
            self.next += 1;
        }
        Ok(self.next - first)
    }
}

pub(super) fn damaged(file: &Path, offset: u64, detail: impl Into<String>) -> StoreError {
    StoreError::LedgerDamaged { file: file.into(), offset, detail: detail.into() }
}

impl Sealed {
    /// Writes frames from `header.first` on as a sealed segment: aside, synced, renamed, directory synced.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        header: &Header,
        root: [u8; 32],
        level: i32,
        frames: &mut dyn Frames,
        poison: &Poison,
    ) -> Result<Self> {
        let aside = path.with_extension("new");
        let file = disk.create(&aside).map_err(|e| StoreError::io("create", &aside, e))?;
        // One for all blocks: to set it up costs about as much as to compress a block with it.
        let packer = zstd::bulk::Compressor::new(level).map_err(|e| StoreError::io("compress", &aside, e))?;
        let packed = Vec::new();
        let mut writer = BlockWriter { file, aside: aside.clone(), offset: 0, blocks: Vec::new(), packer, packed };
        writer.put(&header.encode())?;
        let mut digest = Sha256::new();
        // The same memory for every block: what is given back and taken anew for each is cleared by the kernel each time.
        let mut plain = Vec::with_capacity(2 * BLOCK);
        let mut next = header.first;
        loop {
            plain.clear();
            let count = frames.fill(&mut plain, BLOCK)?;
            if count == 0 {
                break;
            }
            digest.update(&plain);
            writer.block(next, &plain)?;
            next += count;
        }
        if next == header.first {
            return Err(StoreError::Invalid("a sealed segment without a record".into()));
        }
        let blocks = std::mem::take(&mut writer.blocks);
        let footer = Footer { last: next - 1, root, digest: digest.finalize().into(), blocks };
        writer.put(&footer.encode())?;
        writer.file.sync().map_err(|e| poison.sync_failed(&aside, &e))?;
        disk.rename(&aside, path).map_err(|e| StoreError::io("rename", &aside, e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(dir).map_err(|e| poison.sync_failed(dir, &e))?;
        Ok(Self::new(path, header, footer))
    }

    fn new(path: &Path, header: &Header, footer: Footer) -> Self {
        let info = SegmentInfo {
            first: header.first,
            last: footer.last,
            root: footer.root,
            hash_algorithm: header.hash_algorithm,
            file: path.into(),
        };
        Self { info, digest: footer.digest, blocks: footer.blocks }
    }

    /// Reads header and footer: enough to know what is in it, cheap enough for every start.
    pub fn open(disk: &dyn Disk, path: &Path, record_id: &[u8; 32], first: u64) -> Result<Self> {
        let file = disk.open(path).map_err(|e| StoreError::io("open", path, e))?;
        let size = file.size().map_err(|e| StoreError::io("read", path, e))?;
        let read = |offset, len| read_exact_at(&*file, offset, len).map_err(|e| StoreError::io("read", path, e));
        if size < (HEADER + TRAILER) as u64 {
            return Err(damaged(path, size, "the segment is cut short"));
        }
        let header = Header::decode(&read(0, HEADER)?).map_err(|why| damaged(path, 0, why))?;
        if header.kind != Kind::Sealed || header.record_id != *record_id || header.first != first {
            return Err(damaged(path, 0, "the header belongs to another segment"));
        }
        let trailer_at = size - TRAILER as u64;
        let (len, crc) = Footer::decode_trailer(&read(trailer_at, TRAILER)?)
            .ok_or_else(|| damaged(path, trailer_at, "the end mark is missing"))?;
        let footer_at = trailer_at
            .checked_sub(len.into())
            .filter(|at| *at >= HEADER as u64)
            .ok_or_else(|| damaged(path, trailer_at, "the footer's length does not fit"))?;
        let body = read(footer_at, usize::try_from(len).unwrap_or(usize::MAX))?;
        let footer =
            Footer::decode(&body, crc).ok_or_else(|| damaged(path, footer_at, "the footer's checksum does not fit"))?;
        let mut at = HEADER as u64;
        let mut revision = first;
        for (i, block) in footer.blocks.iter().enumerate() {
            let ordered = if i == 0 { block.first == first } else { block.first > revision };
            if block.offset != at || !ordered || u64::from(block.plain) > MAX_PLAIN {
                return Err(damaged(path, footer_at, "the footer's blocks are not in a row"));
            }
            at += u64::from(block.packed);
            revision = block.first;
        }
        // There is always a revision that comes next.
        let ends = (revision..u64::MAX).contains(&footer.last);
        if at != footer_at || !ends || footer.blocks.is_empty() {
            return Err(damaged(path, footer_at, "the footer does not fit the blocks"));
        }
        Ok(Self::new(path, &header, footer))
    }

    /// Number of the block that holds `revision`, which must be in this segment.
    pub fn block_of(&self, revision: u64) -> usize {
        self.blocks.partition_point(|b| b.first <= revision).saturating_sub(1)
    }

    /// First and last revision of a block.
    pub fn block_range(&self, block: usize) -> (u64, u64) {
        let last = self.blocks.get(block + 1).map_or(self.info.last, |next| next.first - 1);
        (self.blocks[block].first, last)
    }

    /// Unpacks one block and checks it.
    pub fn read_block(&self, file: &dyn DiskFile, block: usize) -> Result<Vec<u8>> {
        let path = &self.info.file;
        let block = self.blocks[block];
        let len = usize::try_from(block.packed).unwrap_or(usize::MAX);
        let packed = read_exact_at(file, block.offset, len).map_err(|e| StoreError::io("read", path, e))?;
        if crc32fast::hash(&packed) != block.crc {
            return Err(damaged(path, block.offset, "a block's checksum does not fit"));
        }
        let plain = usize::try_from(block.plain).unwrap_or(usize::MAX);
        match zstd::bulk::decompress(&packed, plain) {
            Ok(bytes) if bytes.len() == plain => Ok(bytes),
            _ => Err(damaged(path, block.offset, "a block does not unpack")),
        }
    }

    /// Unpacks everything and checks every frame and the digest.
    pub fn verify(&self, disk: &dyn Disk) -> Result<()> {
        let path = &self.info.file;
        let file = disk.open(path).map_err(|e| StoreError::io("open", path, e))?;
        let mut digest = Sha256::new();
        for index in 0..self.blocks.len() {
            let plain = self.read_block(&*file, index)?;
            digest.update(&plain);
            let (first, last) = self.block_range(index);
            let offset = self.blocks[index].offset;
            let mut rest = plain.as_slice();
            for revision in first..=last {
                let bytes = frame(rest, revision)
                    .ok_or_else(|| damaged(path, offset, format!("revision {revision} does not fit its checksum")))?;
                rest = &rest[FRAME_HEAD + bytes.len()..];
            }
            if !rest.is_empty() {
                return Err(damaged(path, offset, "a block holds more than its revisions"));
            }
        }
        let found: [u8; 32] = digest.finalize().into();
        if found == self.digest { Ok(()) } else { Err(damaged(path, 0, "the segment's digest does not fit")) }
    }
}

struct BlockWriter {
    file: Arc<dyn DiskFile>,
    aside: PathBuf,
    offset: u64,
    blocks: Vec<Block>,
    packer: zstd::bulk::Compressor<'static>,
    packed: Vec<u8>,
}

impl BlockWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.offset, bytes).map_err(|e| StoreError::io("write", &self.aside, e))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn block(&mut self, first: u64, plain: &[u8]) -> Result<()> {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.packer.compress_to_buffer(plain, &mut packed).map_err(|e| StoreError::io("compress", &self.aside, e))?;
        // Blocks are far below 4 GiB: a block ends at the first frame past its size, and frames have a limit.
        let (packed_len, plain_len) =
            (u32::try_from(packed.len()).unwrap_or(u32::MAX), u32::try_from(plain.len()).unwrap_or(u32::MAX));
        let crc = crc32fast::hash(&packed);
        self.blocks.push(Block { first, offset: self.offset, packed: packed_len, plain: plain_len, crc });
        self.put(&packed)?;
        self.packed = packed;
        Ok(())
    }
}
