//! What is written: 256 bytes that nothing makes smaller, other ones each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shouwang_domain::testing::Rng;

/// Bytes of one payload.
pub const BYTES: usize = 256;
/// Marks are as large as what a request id has room for.
const MARK_BYTES: u32 = 6;

/// Names one write of this program, so that it is known again when a watcher sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    /// One that was never given before.
    pub fn next() -> Self {
        static GIVEN: AtomicU64 = AtomicU64::new(1);
        Self(GIVEN.fetch_add(1, Ordering::Relaxed) % (1 << (8 * MARK_BYTES)))
    }

    /// The mark that a payload begins with; none if it is too short.
    pub fn of_payload(payload: &[u8]) -> Option<Self> {
        let first = payload.first_chunk()?;
        Some(Self(u64::from_be_bytes(*first)))
    }

    /// The bytes that are written under it.
    pub fn payload(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.0.to_be_bytes());
        let mut rng = Rng(self.0);
        while bytes.len() < BYTES {
            bytes.extend(rng.draw().to_be_bytes());
        }
        bytes
    }

    /// The mark at the end of a request id; none if the text is no id.
    pub fn of_request_id(text: &str) -> Option<Self> {
        let id = uuid::Uuid::try_parse(text).ok()?;
        Some(Self(id.as_u64_pair().1 & ((1 << (8 * MARK_BYTES)) - 1)))
    }

    /// A request id, made now, that ends with it, as text.
    pub fn request_id(self) -> String {
        self.id().to_string()
    }

    /// A request id, made now, that ends with it.
    pub fn id(self) -> uuid::Uuid {
        self.id_made(Duration::ZERO)
    }

    /// A request id, made so long ago, that ends with it. A record remembers an id for a day from when it was made.
    pub fn id_made(self, ago: Duration) -> uuid::Uuid {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
        let mut random = [0; 10];
        random[4..].copy_from_slice(&self.0.to_be_bytes()[2..]);
        let ms = u64::try_from(since.as_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }
}

/// Bytes as text that says no more than they do: six bits a letter.
pub fn text(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 2);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        (held, bits) = (held << 8 | u32::from(*byte), bits + 8);
        while bits >= 6 {
            bits -= 6;
            text.push(char::from(LETTERS[(held >> bits) as usize & 63]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (6 - bits)) as usize & 63]));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_mark_is_known_again_in_both_systems() {
        let mark = Mark(0x0000_1234_5678_9ABC);
        assert_eq!(Mark::of_payload(&mark.payload()), Some(mark));
        let id = mark.request_id();
        assert_eq!((Mark::of_request_id(&id), id.as_bytes()[14]), (Some(mark), b'7'), "{id}");
        assert_eq!((Mark::of_payload(b"short"), Mark::of_request_id("no id")), (None, None));
        assert_ne!(Mark::next(), Mark::next());
    }

    #[test]
    fn payloads_have_their_length_and_nothing_in_them_repeats() {
        for mark in [Mark(0), Mark(1), Mark(77_000)] {
            let payload = mark.payload();
            assert_eq!(payload.len(), BYTES);
            let words: BTreeSet<&[u8]> = payload.chunks(8).collect();
            assert_eq!(words.len(), BYTES / 8, "{mark:?}");
        }
        assert_ne!(Mark(1).payload()[8..], Mark(2).payload()[8..]);
    }

    #[test]
    fn text_is_base64_without_its_padding() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[255; 3], "////"),
        ] {
            assert_eq!(text(bytes), expected);
        }
        assert_eq!(text(&Mark(9).payload()).len(), 342);
    }
}
