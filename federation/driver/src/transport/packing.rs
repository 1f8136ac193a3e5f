//! Frames of one stream, compressed one after the other in one go: what a frame has in common with those before it (the
//! names of fields, keys, ids) goes over the line once, and nobody sets up a compressor for each of them.
//!
//! Each end keeps a window of the stream. The stream is ordered and whole or it ends, and begins anew with empty windows.

use std::io;

use bytes::Bytes;
use prost::Message as _;
use shouwang_proto::codec::counted;
use shouwang_proto::replication::v1 as proto;
use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

use super::FRAME_BYTES_MAX;

/// How far back a frame may refer, as a power of two: 64 KiB. Each end keeps some 200 KiB for each stream.
const WINDOW_LOG: u32 = 16;
/// Lines are thin, but not so thin that a second of them is worth a second of a core.
const LEVEL: i32 = 1;
/// Room for what compressing may add to a frame that does not become smaller.
const ROOM: usize = 512;
/// Memory that each stream keeps for unpacking: some frames of the usual size, the largest of which are a little over 64 KiB.
const KEPT_BYTES: usize = 256 << 10;

/// The end that sends.
pub struct Packer(Encoder<'static>);

impl Packer {
    /// For a stream that begins.
    ///
    /// # Errors
    /// There is no memory for its window.
    pub fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        Ok(Self(encoder))
    }

    /// The next frame, for the wire.
    ///
    /// # Errors
    /// The library fails; the stream is of no use any more.
    pub fn pack(&mut self, frame: &proto::PeerFrame) -> io::Result<Bytes> {
        let plain = frame.encode_to_vec();
        let mut packed = Vec::with_capacity(plain.len() + ROOM);
        let mut input = InBuffer::around(&plain);
        loop {
            let at = packed.len();
            let mut output = OutBuffer::around_pos(&mut packed, at);
            let left = if input.pos() < plain.len() {
                self.0.run(&mut input, &mut output)?;
                1
            } else {
                // All of the frame must leave now, or it would wait for the next.
                self.0.flush(&mut output)?
            };
            if left == 0 {
                return Ok(packed.into());
            }
            packed.reserve(ROOM);
        }
    }
}

/// The end that receives.
pub struct Unpacker {
    decoder: Decoder<'static>,
    /// Frames are unpacked here one after the other: how large one is shows only when it is whole, and what is kept of it –
    /// entries, in the log in memory – must not hold more than it needs.
    plain: Vec<u8>,
}

impl Unpacker {
    /// For a stream that begins.
    ///
    /// # Errors
    /// There is no memory for its window.
    pub fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self { decoder, plain: Vec::new() })
    }

    /// The frame that was packed.
    ///
    /// # Errors
    /// These bytes are not the next of a stream that a [`Packer`] has packed, or a frame is larger than any may be, or of more
    /// parts than its size allows. The stream is of no use any more.
    pub fn unpack(&mut self, packed: &[u8]) -> io::Result<proto::PeerFrame> {
        let Self { decoder, plain } = self;
        plain.clear();
        plain.reserve(packed.len().saturating_mul(2).clamp(ROOM, FRAME_BYTES_MAX));
        let mut input = InBuffer::around(packed);
        loop {
            let (at, room) = (plain.len(), plain.capacity());
            decoder.run(&mut input, &mut OutBuffer::around_pos(plain, at))?;
            if input.pos() == packed.len() && plain.len() < room {
                counted::<proto::PeerFrame>(plain).map_err(io::Error::other)?;
                let frame = proto::PeerFrame::decode(Bytes::copy_from_slice(plain)).map_err(io::Error::other);
                // A large one is rare; the next need not find room for another.
                plain.clear();
                plain.shrink_to(KEPT_BYTES);
                return frame;
            }
            if plain.len() >= FRAME_BYTES_MAX {
                return Err(io::Error::other("a frame is larger than any may be"));
            }
            plain.reserve(plain.len().clamp(ROOM, FRAME_BYTES_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u64, bytes: usize) -> proto::PeerFrame {
        let data = vec![u8::try_from(n % 251).unwrap(); bytes];
        let entry = proto::Entry { index: n, data: data.into(), ..proto::Entry::default() };
        let message = proto::Message { index: n, entries: vec![entry], ..proto::Message::default() };
        let record =
            proto::RecordFrame { record_id: vec![7; 32].into(), messages: vec![message], ..Default::default() };
        proto::PeerFrame { hello: None, sent_at_ms: 5, records: vec![record] }
    }

    #[test]
    fn frames_come_out_as_they_went_in_each_by_itself() {
        let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new().unwrap());
        for (n, bytes) in (0..).zip([0, 1, 300, 70_000, 5, 1 << 20, 3 << 20, 0, 40]) {
            let sent = frame(n, bytes);
            let packed = packer.pack(&sent).unwrap();
            assert!(packed.len() < sent.encoded_len() + ROOM, "{bytes}: {}", packed.len());
            assert_eq!(unpacker.unpack(&packed).unwrap(), sent, "{bytes}");
        }
        let empty = proto::PeerFrame::default();
        assert_eq!(unpacker.unpack(&packer.pack(&empty).unwrap()).unwrap(), empty);
    }

    #[test]
    fn what_frames_have_in_common_travels_once() {
        let mut packer = Packer::new().unwrap();
        let sizes: Vec<usize> = (0..4).map(|_| packer.pack(&frame(9, 200)).unwrap().len()).collect();
        assert!(sizes[1..].iter().all(|later| *later < 30 && *later < sizes[0]), "{sizes:?}");
    }

    #[test]
    fn a_frame_that_would_fill_memory_is_refused() {
        let plain = vec![0; 2 * FRAME_BYTES_MAX];
        let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG)).unwrap();
        let bomb = encoder.compress(&plain).unwrap();
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        let refused = Unpacker::new().unwrap().unpack(&bomb).unwrap_err();
        assert!(refused.to_string().contains("larger"), "{refused}");
        let wide = zstd::bulk::compress(&plain, 19).unwrap();
        assert!(Unpacker::new().unwrap().unpack(&wide).is_err(), "a window larger than ours");
        assert!(Unpacker::new().unwrap().unpack(b"no frame at all").is_err());
        let records = vec![proto::RecordFrame::default(); 1 << 20];
        let hollow = Packer::new().unwrap().pack(&proto::PeerFrame { records, ..Default::default() }).unwrap();
        let refused = Unpacker::new().unwrap().unpack(&hollow).unwrap_err();
        assert!(refused.to_string().contains("MESSAGE_TOO_MANY_PARTS"), "{refused}");
    }
}
