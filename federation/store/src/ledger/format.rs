//! The layout of ledger segments.
//!
//! A segment starts with a header; then come frames: `length u32, head crc u32, body crc u32, bytes`. Both checksums
//! cover the revision as well, so that a frame cannot stand for another one; the head has its own, so that a damaged
//! length is seen before it is believed. In a sealed segment the frames are packed in compressed blocks, followed by a
//! footer that lists them.

use crate::codec::{Decoder, Encoder, checked};

pub(super) const FRAME_HEAD: usize = 12;
pub(super) const HEADER: usize = 8 + 2 + 1 + 1 + 32 + 8 + 4;
pub(super) const TRAILER: usize = 4 + 4 + 8;
const MAGIC: &[u8; 8] = b"SWLEDGER";
const END_MAGIC: &[u8; 8] = b"SWSEALED";
const FORMAT: u16 = 1;

/// Whether a segment still grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Active = 1,
    Sealed = 2,
}

/// What every segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub hash_algorithm: u8,
    pub record_id: [u8; 32],
    pub first: u64,
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        Encoder::default()
            .bytes(MAGIC)
            .u16(FORMAT)
            .u8(self.kind as u8)
            .u8(self.hash_algorithm)
            .bytes(&self.record_id)
            .u64(self.first)
            .crc()
    }

    /// Reads a header, or says what does not fit.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let body = bytes.get(..HEADER).and_then(checked).ok_or("the header's checksum does not fit")?;
        let mut d = Decoder(body);
        if d.take(8) != Some(MAGIC) {
            return Err("this is not a ledger segment");
        }
        if d.u16() != Some(FORMAT) {
            return Err("the segment's format is newer than this program");
        }
        let short = "the header is too short";
        let kind = match d.u8() {
            Some(1) => Kind::Active,
            Some(2) => Kind::Sealed,
            _ => return Err("the segment is of an unknown kind"),
        };
        let hash_algorithm = d.u8().ok_or(short)?;
        let record_id = d.array().ok_or(short)?;
        let first = d.u64().ok_or(short)?;
        Ok(Self { kind, hash_algorithm, record_id, first })
    }
}

fn head_crc(revision: u64, len: u32) -> u32 {
    let mut head = [0; 12];
    head[..8].copy_from_slice(&revision.to_le_bytes());
    head[8..].copy_from_slice(&len.to_le_bytes());
    crc32fast::hash(&head)
}

fn body_crc(revision: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&revision.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Appends one frame. `bytes` is shorter than 4 GiB: the ledger's limit is far below.
pub(super) fn put_frame(buf: &mut Vec<u8>, revision: u64, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    buf.extend_from_slice(&len.to_le_bytes());
    buf.extend_from_slice(&head_crc(revision, len).to_le_bytes());
    buf.extend_from_slice(&body_crc(revision, bytes).to_le_bytes());
    buf.extend_from_slice(bytes);
}

/// The bytes of the frame of `revision` at the start of `buf`, if it is whole.
pub(super) fn frame(buf: &[u8], revision: u64) -> Option<&[u8]> {
    let mut d = Decoder(buf);
    let (len, head, body) = (d.u32()?, d.u32()?, d.u32()?);
    if head != head_crc(revision, len) {
        return None;
    }
    let bytes = d.take(usize::try_from(len).ok()?)?;
    (body == body_crc(revision, bytes)).then_some(bytes)
}

/// Whether a whole frame of a revision in `revisions` starts anywhere in `buf`: then what lies before it is not a torn
/// end but a damaged middle.
pub(super) fn any_frame_after(buf: &[u8], first: u64, last: u64) -> bool {
    (0..(buf.len() + 1).saturating_sub(FRAME_HEAD)).any(|at| {
        let mut d = Decoder(&buf[at..]);
        let (Some(len), Some(head)) = (d.u32(), d.u32()) else { return false };
        // Cheap, and rules out almost every position before a checksum is computed.
        let zeros = len == 0 && head == 0;
        if zeros || usize::try_from(len).is_ok_and(|len| at + FRAME_HEAD + len > buf.len()) {
            return false;
        }
        (first..=last).any(|revision| head == head_crc(revision, len) && frame(&buf[at..], revision).is_some())
    })
}

/// One compressed block of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub first: u64,
    pub offset: u64,
    pub packed: u32,
    pub plain: u32,
    pub crc: u32,
}

/// The end of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub last: u64,
    pub root: [u8; 32],
    pub digest: [u8; 32],
    pub blocks: Vec<Block>,
}

impl Footer {
    pub fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let mut e = Encoder::default().u64(self.last).bytes(&self.root).bytes(&self.digest).u32(count);
        for b in &self.blocks {
            e = e.u64(b.first).u64(b.offset).u32(b.packed).u32(b.plain).u32(b.crc);
        }
        let body = e.0;
        let trailer = Encoder::default().u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        let trailer = trailer.u32(crc32fast::hash(&body)).bytes(END_MAGIC).0;
        [body, trailer].concat()
    }

    /// Length of the footer's body and its checksum, from the last `TRAILER` bytes of the file.
    pub fn decode_trailer(bytes: &[u8]) -> Option<(u32, u32)> {
        let mut d = Decoder(bytes);
        let (len, crc) = (d.u32()?, d.u32()?);
        (d.take(8)? == END_MAGIC).then_some((len, crc))
    }

    pub fn decode(body: &[u8], crc: u32) -> Option<Self> {
        if crc32fast::hash(body) != crc {
            return None;
        }
        let mut d = Decoder(body);
        let (last, root, digest) = (d.u64()?, d.array()?, d.array()?);
        let count = usize::try_from(d.u32()?).ok()?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            let (first, offset) = (d.u64()?, d.u64()?);
            blocks.push(Block { first, offset, packed: d.u32()?, plain: d.u32()?, crc: d.u32()? });
        }
        Some(Self { last, root, digest, blocks })
    }
}
