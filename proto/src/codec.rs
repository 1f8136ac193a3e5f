//! How messages are read from the wire: prost's codec behind a look at what they would take in memory.
//!
//! An empty part of a list is two bytes on the wire and some hundred in memory. A limit on bytes alone would let 4 MiB, as
//! much as any one may send, become half a gigabyte while it is read. So the parts are counted first.

use std::fmt;
use std::marker::PhantomData;

use prost::bytes::Buf as _;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::parts::has_at_most;

/// Parts that every message may have, whatever its size …
pub const PARTS_FREE: usize = 16 << 10;
/// … and bytes that each further part must have on average.
pub const PART_BYTES: usize = 16;

/// A message has more parts than its size allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyParts {
    /// Its size.
    pub bytes: usize,
    /// How many parts it may have.
    pub most: usize,
}

impl fmt::Display for TooManyParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, most } = self;
        write!(
            f,
            "MESSAGE_TOO_MANY_PARTS: a message of {bytes} bytes may have {most} parts and has more; send less at once / 消息\
             （{bytes} 字节）所含元素超过 {most} 个，请分批发送"
        )
    }
}

impl std::error::Error for TooManyParts {}

/// Looks at a message before it is read.
///
/// # Errors
/// It has more parts than its size allows, and is not to be read.
pub fn counted<M: Name>(message: &[u8]) -> Result<(), TooManyParts> {
    let (bytes, most) = (message.len(), PARTS_FREE + message.len() / PART_BYTES);
    // A part takes two bytes at least: up to some 37 KB, which nearly all messages are, none can have too many.
    if bytes / 2 <= most || has_at_most::<M>(message, most) { Ok(()) } else { Err(TooManyParts { bytes, most }) }
}

/// The codec of every service of the contract.
#[derive(Clone, Debug)]
pub struct Counted<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Counted<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Message + Name + Default + Send + 'static> Codec for Counted<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CountedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountedDecoder(ProstCodec::<T, U>::raw_decoder(BufferSettings::default()))
    }
}

/// Reads messages that have no more parts than their size allows.
#[derive(Clone, Debug)]
pub struct CountedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Name + Default> Decoder for CountedDecoder<U> {
    type Item = U;
    type Error = Status;

    /// # Errors
    /// `OUT_OF_RANGE`, as for a message of too many bytes; prost's for bytes that are no message.
    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // tonic hands a message over in one piece.
        counted::<U>(bytes.chunk()).map_err(|error| Status::out_of_range(error.to_string()))?;
        self.0.decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::CallsRequest;

    #[test]
    fn a_message_of_many_small_parts_is_read_and_one_of_empty_ones_is_not() {
        let methods = |content: &[u8], count: usize| {
            let mut message = vec![0x0a];
            prost::encoding::encode_varint(content.len() as u64, &mut message);
            message.extend(content);
            message.repeat(count)
        };
        counted::<CallsRequest>(&methods(&[0x0a, 0], PARTS_FREE / 2)).unwrap();
        counted::<CallsRequest>(&methods(&[b"\x0a\x20".as_slice(), &[b'x'; 32]].concat(), 100_000)).unwrap();
        let hollow = counted::<CallsRequest>(&methods(&[], 100_000)).unwrap_err();
        assert_eq!(hollow, TooManyParts { bytes: 200_000, most: PARTS_FREE + 12_500 });
        assert!(hollow.to_string().starts_with("MESSAGE_TOO_MANY_PARTS: "));
    }
}
