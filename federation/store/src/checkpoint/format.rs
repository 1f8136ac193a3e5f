//! The layout of a checkpoint file: head (magic, format, meta, checksum), one zstd stream of records
//! (`length u32, bytes`), tail (count, sizes, end mark), and the SHA-256 of everything before it.
//!
//! Magic, number of the format and that SHA-256 are where they are in every format there will be: by them a file of another
//! version of the program is told from a damaged one.

use std::{
    io::{self, Read, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::CheckpointMeta;
use crate::{
    codec::{Decoder, Encoder, checked},
    disk::{DiskFile, read_exact_at},
    error::{Result, StoreError},
};

const MAGIC: &[u8; 8] = b"SWCHECKP";
const END_MAGIC: &[u8; 8] = b"SWCPDONE";
const FORMAT: u16 = 2;
/// Magic, format and length of the meta.
const FIXED: usize = 8 + 2 + 4;
const TAIL: usize = 8 + 8 + 8;
pub(super) const DIGEST: usize = 32;
/// Bytes read or written at once.
const PART: usize = 256 * 1024;
/// Membership is a list of a few ids; anything larger is not one.
const MAX_META: usize = 64 * 1024;

pub(super) fn damaged(file: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::CheckpointDamaged { file: file.into(), detail: detail.into() }
}

pub(super) fn encode_head(meta: &CheckpointMeta) -> Result<Vec<u8>> {
    let body = Encoder::default()
        .bytes(&meta.record_id)
        .u32(meta.epoch)
        .u64(meta.revision)
        .u64(meta.raft_index)
        .u64(meta.raft_term)
        .i64(meta.time_ms)
        .bytes(&meta.state_digest)
        .u32(meta.feature_level)
        .u8(meta.hash_algorithm)
        .conf(&meta.conf_state)
        .0;
    let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_META).ok_or(StoreError::TooLarge {
        what: "checkpoint meta",
        size: body.len() as u64,
        limit: MAX_META as u64,
    })?;
    Ok(Encoder::default().bytes(MAGIC).u16(FORMAT).u32(len).bytes(&body).crc())
}

fn decode_meta(body: &[u8]) -> Option<CheckpointMeta> {
    let mut d = Decoder(body);
    Some(CheckpointMeta {
        record_id: d.array()?,
        epoch: d.u32()?,
        revision: d.u64()?,
        raft_index: d.u64()?,
        raft_term: d.u64()?,
        time_ms: d.i64()?,
        state_digest: d.array()?,
        feature_level: d.u32()?,
        hash_algorithm: d.u8()?,
        conf_state: d.conf()?,
    })
}

/// Whether a file is a checkpoint of this format.
pub(super) fn read_format(file: &dyn DiskFile, path: &Path) -> Result<()> {
    let fixed = read_exact_at(file, 0, FIXED).map_err(|e| short_or_io(path, e))?;
    let mut d = Decoder(&fixed);
    if d.take(8) != Some(MAGIC) {
        return Err(damaged(path, "this is not a checkpoint"));
    }
    match d.u16() {
        Some(FORMAT) => Ok(()),
        format => Err(StoreError::CheckpointForeign { file: path.into(), format: format.unwrap_or_default() }),
    }
}

/// Meta and the length of the head in bytes.
pub(super) fn read_head(file: &dyn DiskFile, path: &Path) -> Result<(CheckpointMeta, u64)> {
    read_format(file, path)?;
    let read = |len| read_exact_at(file, 0, len).map_err(|e| short_or_io(path, e));
    let fixed = read(FIXED)?;
    let mut d = Decoder(&fixed[8 + 2..]);
    let len = d.u32().and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= MAX_META);
    let len = len.ok_or_else(|| damaged(path, "the meta's length does not fit"))?;
    let head = read(FIXED + len + 4)?;
    let meta = checked(&head).and_then(|body| decode_meta(&body[FIXED..]));
    Ok((meta.ok_or_else(|| damaged(path, "the meta's checksum does not fit"))?, head.len() as u64))
}

fn short_or_io(path: &Path, e: io::Error) -> StoreError {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it is cut short"),
        _ => StoreError::io("read", path, e),
    }
}

pub(super) fn encode_tail(count: u64, plain: u64) -> Vec<u8> {
    Encoder::default().u64(count).u64(plain).bytes(END_MAGIC).0
}

/// What the end of a checkpoint says: records and their bytes.
pub(super) struct Tail {
    pub count: u64,
    pub plain: u64,
    /// Where the compressed records end, in bytes from the start.
    pub body_end: u64,
}

pub(super) fn read_tail(file: &dyn DiskFile, path: &Path) -> Result<Tail> {
    let size = file.size().map_err(|e| StoreError::io("read", path, e))?;
    let body_end = size.checked_sub((TAIL + DIGEST) as u64).ok_or_else(|| damaged(path, "it is cut short"))?;
    let bytes = read_exact_at(file, body_end, TAIL).map_err(|e| short_or_io(path, e))?;
    let mut d = Decoder(&bytes);
    let tail = (|| {
        let (count, plain) = (d.u64()?, d.u64()?);
        (d.take(8)? == END_MAGIC).then_some(())?;
        Some(Tail { count, plain, body_end })
    })();
    tail.ok_or_else(|| damaged(path, "the end mark is missing"))
}

/// The SHA-256 that a file ends with.
pub(super) fn read_digest(file: &dyn DiskFile, path: &Path) -> Result<[u8; 32]> {
    let size = file.size().map_err(|e| StoreError::io("read", path, e))?;
    let at = size.checked_sub(DIGEST as u64).ok_or_else(|| damaged(path, "it is cut short"))?;
    let bytes = read_exact_at(file, at, DIGEST).map_err(|e| short_or_io(path, e))?;
    Decoder(&bytes).array().ok_or_else(|| damaged(path, "it is cut short"))
}

/// SHA-256 of the file without its last 32 bytes.
pub(super) fn file_digest(file: &dyn DiskFile, path: &Path) -> Result<[u8; 32]> {
    let size = file.size().map_err(|e| StoreError::io("read", path, e))?;
    let end = size.checked_sub(DIGEST as u64).ok_or_else(|| damaged(path, "it is cut short"))?;
    let mut hash = Sha256::new();
    read_parts(file, path, 0..end, |part| hash.update(part))?;
    Ok(hash.finalize().into())
}

/// Reads these bytes of a file, part by part.
fn read_parts(file: &dyn DiskFile, path: &Path, bytes: Range<u64>, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buf = vec![0; PART];
    let mut at = bytes.start;
    while at < bytes.end {
        let want = usize::try_from(bytes.end - at).unwrap_or(usize::MAX).min(buf.len());
        match file.read_at(at, &mut buf[..want]) {
            Ok(0) => return Err(damaged(path, "it is cut short")),
            Ok(n) => {
                take(&buf[..n]);
                at += n as u64;
            }
            Err(e) => return Err(StoreError::io("read", path, e)),
        }
    }
    Ok(())
}

/// Reads a part of a file as a stream.
#[derive(Debug)]
pub(super) struct PartReader {
    pub file: Arc<dyn DiskFile>,
    pub at: u64,
    pub end: u64,
}

impl Read for PartReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let want = left.min(buf.len());
        let n = self.file.read_at(self.at, &mut buf[..want])?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Writes a file as a stream behind the room that is left for its head, which says what only its end knows; gathers small
/// writes.
pub(super) struct BodyWriter {
    file: Arc<dyn DiskFile>,
    head: u64,
    at: u64,
    buf: Vec<u8>,
    sum: crc32fast::Hasher,
}

impl BodyWriter {
    /// Leaves `head` bytes free.
    pub fn behind(file: Arc<dyn DiskFile>, head: usize) -> Self {
        let head = head as u64;
        Self { file, head, at: head, buf: Vec::new(), sum: crc32fast::Hasher::new() }
    }

    /// Puts the head before what was written and the digest of all of it behind. The digest begins with the head, so it is
    /// made of what the file gives back; that must be what was written.
    ///
    /// # Errors
    /// `CheckpointDamaged`: it is not. `Io`.
    pub fn finish(mut self, head: &[u8], path: &Path) -> Result<()> {
        debug_assert_eq!(head.len() as u64, self.head, "the head has the length that was left for it");
        let fault = |e| StoreError::io("write", path, e);
        self.flush().map_err(fault)?;
        self.file.write_at(0, head).map_err(fault)?;
        let mut hash = Sha256::new();
        hash.update(head);
        let mut sum = crc32fast::Hasher::new();
        read_parts(&*self.file, path, self.head..self.at, |part| {
            hash.update(part);
            sum.update(part);
        })?;
        if sum.finalize() != self.sum.finalize() {
            return Err(damaged(path, "it does not read back as it was written"));
        }
        self.file.write_at(self.at, &hash.finalize()).map_err(fault)
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sum.update(bytes);
        self.buf.extend_from_slice(bytes);
        if self.buf.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.buf)?;
        self.at += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }
}
