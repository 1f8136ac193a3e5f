//! A region's ledger as a file that an auditor takes home: every record byte for byte, checked without a node.
//!
//! Form: the magic `SHWLEDG1`, a header, the records from revision 1 on, a frame of length 0, and a trailer with their
//! number and Merkle root. Header, records and trailer are frames: four bytes of length (big-endian), then so many bytes
//! (CBOR). A file without its trailer was cut off, and says so.

use std::io::{ErrorKind, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shouwang_domain::code;
use shouwang_domain::hash::{Hash32, HashAlgorithm};
use shouwang_domain::ids::RecordId;
use shouwang_domain::merkle::{self, Frontier};

const MAGIC: &[u8; 8] = b"SHWLEDG1";
/// The longest frame, bytes: a ledger record of a full batch's largest command and all it caused stays far below.
const FRAME_BYTES_MAX: u32 = 16 << 20;

/// Whose ledger it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyHeader {
    /// The record.
    pub record: RecordId,
    /// Its epoch.
    pub epoch: u32,
    /// The hash of the Merkle tree.
    pub hash: HashAlgorithm,
    /// The region's name, for people.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trailer {
    records: u64,
    root: Hash32,
}

/// Why a copy cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is some other file.
    #[error("it is no copy of a ledger (made by `shouwang ledger export`) / 不是账本副本")]
    NotACopy,
    /// It ends too early.
    #[error("it is cut off after record {after}; take the copy again / 副本在第 {after} 条后被截断，请重新导出")]
    CutOff {
        /// The last whole record.
        after: u64,
    },
    /// What stands behind its end, or contradicts it.
    #[error("its end does not fit its records: {why} / 副本结尾与记录不符：{why}")]
    End {
        /// What is wrong.
        why: &'static str,
    },
    /// The disk, or the pipe.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Writes a copy, record by record.
#[derive(Debug)]
pub struct CopyWriter<W> {
    out: W,
    frontier: Frontier,
}

impl<W: Write> CopyWriter<W> {
    /// Begins a copy.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(mut out: W, header: &CopyHeader) -> std::io::Result<Self> {
        out.write_all(MAGIC)?;
        frame(&mut out, &code::encode(header))?;
        Ok(Self { out, frontier: Frontier::default() })
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// What the system says.
    pub fn record(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        frame(&mut self.out, bytes)?;
        self.frontier.push(merkle::leaf(bytes));
        Ok(())
    }

    /// Ends the copy; gives the output, the number of records and their root.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self) -> std::io::Result<(W, u64, Hash32)> {
        let trailer = Trailer { records: self.frontier.size(), root: self.frontier.root() };
        self.out.write_all(&0_u32.to_be_bytes())?;
        frame(&mut self.out, &code::encode(&trailer))?;
        self.out.flush()?;
        Ok((self.out, trailer.records, trailer.root))
    }
}

fn frame(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| (1..=FRAME_BYTES_MAX).contains(length));
    let length = length.ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "a record of impossible length"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(bytes)
}

/// Reads a copy, record by record, in bounded memory.
#[derive(Debug)]
pub struct CopyReader<R> {
    input: R,
    header: CopyHeader,
    frontier: Frontier,
}

impl<R: Read> CopyReader<R> {
    /// Opens a copy.
    ///
    /// # Errors
    /// [`CopyError::NotACopy`], [`CopyError::CutOff`].
    pub fn open(mut input: R) -> Result<Self, CopyError> {
        let mut magic = [0; MAGIC.len()];
        if input.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Err(CopyError::NotACopy);
        }
        let header = read_frame(&mut input, 0)?.ok_or(CopyError::NotACopy)?;
        let header = decode(&header)?;
        Ok(Self { input, header, frontier: Frontier::default() })
    }

    /// Whose ledger it is.
    pub fn header(&self) -> &CopyHeader {
        &self.header
    }

    /// The Merkle root over the records read so far.
    pub fn root(&self) -> Hash32 {
        self.frontier.root()
    }

    /// The next record; `None` at the end, once the end has been found to fit.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, CopyError> {
        let read = self.frontier.size();
        if let Some(bytes) = read_frame(&mut self.input, read)? {
            self.frontier.push(merkle::leaf(&bytes));
            return Ok(Some(bytes));
        }
        let trailer = read_frame(&mut self.input, read)?.ok_or(CopyError::CutOff { after: read })?;
        let trailer: Trailer = decode(&trailer)?;
        if trailer.records != read {
            return Err(CopyError::End { why: "another number of records" });
        }
        if trailer.root != self.frontier.root() {
            return Err(CopyError::End { why: "another Merkle root" });
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(CopyError::End { why: "something follows it" });
        }
        Ok(None)
    }
}

/// Reads header or trailer, and takes them only as they are written: no Merkle root covers them.
fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, CopyError> {
    let value = code::decode("copy", bytes).map_err(|_| CopyError::NotACopy)?;
    if code::encode(&value) == bytes { Ok(value) } else { Err(CopyError::NotACopy) }
}

/// The bytes of a frame; `None` for the one of length 0.
fn read_frame(input: &mut impl Read, read: u64) -> Result<Option<Vec<u8>>, CopyError> {
    let cut = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => CopyError::CutOff { after: read },
        _ => CopyError::Io(error),
    };
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(cut)?;
    let length = u32::from_be_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    if length > FRAME_BYTES_MAX {
        return Err(CopyError::End { why: "a record of impossible length" });
    }
    // Grows with what is really there, not with what the length claims.
    let mut bytes = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize { Ok(Some(bytes)) } else { Err(CopyError::CutOff { after: read }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(records: &[&[u8]]) -> Vec<u8> {
        let (record, hash) = (Hash32::of(&[b"r"]), HashAlgorithm::default());
        let header = CopyHeader { record, epoch: 0, hash, name: "乌海".to_owned() };
        let mut writer = CopyWriter::begin(Vec::new(), &header).unwrap();
        for bytes in records {
            writer.record(bytes).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
        let mut reader = CopyReader::open(bytes)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
        let leaves: Vec<_> = records.iter().map(|record| merkle::leaf(record)).collect();
        assert_eq!(reader.root(), merkle::root(&leaves));
        Ok(records)
    }

    #[test]
    fn what_is_written_is_read() {
        let cases: [&[&[u8]]; 3] = [&[], &[b"one"], &[b"one", b"two", b"three"]];
        for records in cases {
            assert_eq!(read(&copy(records)).unwrap(), records);
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = copy(&[b"one", b"two", b"three"]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length}");
        }
        assert!(matches!(read(&whole[..whole.len() - 60]), Err(CopyError::CutOff { .. })));
        let header = MAGIC.len() + 4 + usize::from(whole[MAGIC.len() + 3]);
        for at in (0..MAGIC.len()).chain(header..whole.len()) {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(read(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert!(matches!(read(&[whole, vec![0]].concat()), Err(CopyError::End { .. })));
    }
}
