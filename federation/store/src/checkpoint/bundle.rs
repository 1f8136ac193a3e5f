//! Canonical records on their way to a file, many at once: a state has as many of them as it has goods and remembers
//! commands, and to hand over each by itself would cost more than to write it.

use super::MAX_CANONICAL_BYTES;
use crate::error::{Result, StoreError};

/// About so many bytes are handed over at once.
const BYTES: usize = 64 * 1024;

/// Some canonical records, each behind its length, as they stand in the file.
#[derive(Debug, Default)]
pub struct Bundle {
    bytes: Vec<u8>,
    count: u64,
    largest: usize,
}

impl Bundle {
    /// One record.
    pub fn of(record: &[u8]) -> Self {
        let mut bundle = Self { bytes: Vec::with_capacity(4 + record.len()), ..Self::default() };
        bundle.push(record);
        bundle
    }

    /// Adds the next record. One that is too large is refused by whoever writes.
    pub fn push(&mut self, record: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(BYTES.max(4 + record.len()));
        }
        self.bytes.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
        self.largest = self.largest.max(record.len());
    }

    /// What was gathered, where that is enough to be handed over; the next ones gather anew.
    pub fn take_full(&mut self) -> Option<Self> {
        (self.bytes.len() + BYTES / 16 > BYTES).then(|| std::mem::take(self))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many records are in it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `TooLarge`: one of its records is.
    pub(super) fn bytes(&self) -> Result<&[u8]> {
        if self.largest > MAX_CANONICAL_BYTES {
            let (size, limit) = (self.largest as u64, MAX_CANONICAL_BYTES as u64);
            return Err(StoreError::TooLarge { what: "canonical record", size, limit });
        }
        Ok(&self.bytes)
    }
}
