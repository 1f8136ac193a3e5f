//! Reading the records of a verified checkpoint.

use std::{
    io::{self, BufReader, Read},
    path::PathBuf,
    sync::Arc,
};

use super::{
    CheckpointInfo, CheckpointMeta, MAX_CANONICAL_BYTES,
    format::{PartReader, damaged, read_head, read_tail},
};
use crate::{
    disk::{DiskFile, read_exact_at},
    error::{Result, StoreError},
};

/// Room for a record before it is known how much of it there is: a length alone must not ask for memory.
const ROOM: usize = 64 * 1024;

/// A checkpoint that was verified when it was opened. Its file stays readable even when newer ones replace it.
#[derive(Debug)]
pub struct OpenedCheckpoint {
    info: CheckpointInfo,
    file: Arc<dyn DiskFile>,
    body: (u64, u64),
    count: u64,
    plain: u64,
}

impl OpenedCheckpoint {
    pub(super) fn open(file: Arc<dyn DiskFile>, info: CheckpointInfo) -> Result<Self> {
        let (_, head) = read_head(&*file, &info.file)?;
        let tail = read_tail(&*file, &info.file)?;
        if head > tail.body_end {
            return Err(damaged(&info.file, "head and tail overlap"));
        }
        Ok(Self { info, file, body: (head, tail.body_end), count: tail.count, plain: tail.plain })
    }

    /// What it is a checkpoint of.
    pub fn meta(&self) -> &CheckpointMeta {
        &self.info.meta
    }

    /// The file as others may know it.
    pub fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// Number of records in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A part of the file for a peer: at most `max` bytes from `offset`, empty at the end.
    ///
    /// # Errors
    /// `Io`.
    pub fn read_chunk(&self, offset: u64, max: usize) -> Result<Vec<u8>> {
        let left = self.info.size.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(max);
        read_exact_at(&*self.file, offset, len).map_err(|e| StoreError::io("read", &self.info.file, e))
    }

    /// Its records in the order they were written, one at a time in memory.
    ///
    /// # Errors
    /// `Io` if the decompressor cannot start.
    pub fn records(&self) -> Result<CheckpointRecords> {
        let (at, end) = self.body;
        let part = PartReader { file: self.file.clone(), at, end };
        let unpacked = zstd::Decoder::new(part).map_err(|e| StoreError::io("read", &self.info.file, e))?;
        let path = self.info.file.clone();
        Ok(CheckpointRecords { unpacked, path, left: self.count, plain: self.plain, done: false })
    }
}

/// The records of a checkpoint; ends after the first error.
pub struct CheckpointRecords {
    unpacked: zstd::Decoder<'static, BufReader<PartReader>>,
    path: PathBuf,
    left: u64,
    plain: u64,
    done: bool,
}

impl CheckpointRecords {
    fn step(&mut self) -> Result<Option<Vec<u8>>> {
        let fault = |path: &PathBuf, e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => damaged(path, "its records end too early"),
            // Whatever the decompressor does not understand; a failing disk is told apart by its error number.
            _ if e.raw_os_error().is_none() => damaged(path, format!("its records do not unpack: {e}")),
            _ => StoreError::io("read", path, e),
        };
        let misfit = |path: &PathBuf| damaged(path, "its records do not fit their count");
        if self.left == 0 {
            let mut one = [0];
            let more = self.unpacked.read(&mut one).map_err(|e| fault(&self.path, e))?;
            return if more == 0 && self.plain == 0 { Ok(None) } else { Err(misfit(&self.path)) };
        }
        let mut len = [0; 4];
        self.unpacked.read_exact(&mut len).map_err(|e| fault(&self.path, e))?;
        let len = u32::from_le_bytes(len);
        let size = usize::try_from(len).ok().filter(|len| *len <= MAX_CANONICAL_BYTES);
        let size = size.ok_or_else(|| misfit(&self.path))?;
        self.plain = self.plain.checked_sub(4 + u64::from(len)).ok_or_else(|| misfit(&self.path))?;
        let mut record = vec![0; size.min(ROOM)];
        self.unpacked.read_exact(&mut record).map_err(|e| fault(&self.path, e))?;
        if size > ROOM {
            let rest = self.unpacked.by_ref().take((size - ROOM) as u64).read_to_end(&mut record);
            rest.map_err(|e| fault(&self.path, e))?;
            if record.len() < size {
                return Err(fault(&self.path, io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.left -= 1;
        Ok(Some(record))
    }
}

impl Iterator for CheckpointRecords {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}
