//! The segment that still grows.

use std::{
    collections::VecDeque,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LedgerOptions,
    format::{FRAME_HEAD, HEADER, Header, Kind, any_frame_after, frame, put_frame},
    sealed::{Frames, damaged},
};
use crate::{
    disk::{Disk, DiskFile, read_exact_at, read_more_at},
    error::{Poison, Result, StoreError},
    finding::Remedy,
};

/// Frames waiting in memory are written when they are this many bytes.
const WRITE_AT: usize = 256 * 1024;
/// No more than this waits in memory while the disk is full.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// The active segment. Frames are gathered in `tail` and written at `written`.
#[derive(Debug)]
pub(super) struct Active {
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
    pub first: u64,
    /// Where each frame starts, in bytes from the start of the file.
    offsets: Vec<u64>,
    end: u64,
    written: u64,
    tail: Vec<u8>,
}

impl Active {
    pub fn create(disk: &dyn Disk, path: PathBuf, header: &Header, poison: &Poison) -> Result<Self> {
        let file = disk.create(&path).map_err(|e| StoreError::io("create", &path, e))?;
        file.write_at(0, &header.encode()).map_err(|e| StoreError::io("write", &path, e))?;
        file.sync().map_err(|e| poison.sync_failed(&path, &e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(dir).map_err(|e| poison.sync_failed(dir, &e))?;
        let end = HEADER as u64;
        Ok(Self { path, file, first: header.first, offsets: Vec::new(), end, written: end, tail: Vec::new() })
    }

    /// Reads the whole segment and checks every frame. A torn last write is cut off; `None` if not even the header
    /// was finished. Damage up to what is known to be synced, or before the end if that is not known, is an error.
    pub fn recover(
        disk: &dyn Disk,
        path: PathBuf,
        record_id: &[u8; 32],
        first: u64,
        options: &LedgerOptions,
        poison: &Poison,
    ) -> Result<Option<Self>> {
        let synced = options.synced_at_least.unwrap_or_default();
        let file = disk.open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        let size = file.size().map_err(|e| StoreError::io("read", &path, e))?;
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = read_exact_at(&*file, 0, len).map_err(|e| StoreError::io("read", &path, e))?;
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            // The header is synced before the first frame: a file no longer than it never held a record.
            Err(_) if len <= HEADER && synced < first => return Ok(None),
            Err(why) => return Err(damaged(&path, 0, why)),
        };
        if header.kind != Kind::Active || header.record_id != *record_id || header.first != first {
            return Err(damaged(&path, 0, "the header belongs to another segment"));
        }
        let mut offsets = Vec::new();
        let (mut at, mut next) = (HEADER, first);
        while let Some(body) = frame(&bytes[at..], next) {
            offsets.push(at as u64);
            at += FRAME_HEAD + body.len();
            next += 1;
        }
        if at < len {
            let rest = &bytes[at..];
            // A crash may write the pages of an unsynced end out of order, so whole frames behind a broken one prove
            // damage only where nobody knows what was synced.
            let unknown = options.synced_at_least.is_none();
            if next <= synced || unknown && any_frame_after(&rest[1..], next + 1, next + 64) {
                return Err(unfit(&path, at as u64, next));
            }
            let (offset, bytes) = (at as u64, (len - at) as u64);
            options.findings.add(StoreError::LedgerTorn { file: path.clone(), offset, bytes }, Remedy::Mended);
            file.set_size(at as u64).map_err(|e| StoreError::io("cut", &path, e))?;
        }
        // What a killed process left in the page cache is counted on from here.
        file.sync().map_err(|e| poison.sync_failed(&path, &e))?;
        let end = at as u64;
        Ok(Some(Self { path, file, first, offsets, end, written: end, tail: Vec::new() }))
    }

    /// Revision the next append gets.
    pub fn next(&self) -> u64 {
        self.first + self.offsets.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn size(&self) -> u64 {
        self.end
    }

    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let frame = FRAME_HEAD + bytes.len();
        if !self.tail.is_empty() && self.tail.len() + frame > MAX_WAITING {
            self.write_out()?;
        }
        let revision = self.next();
        put_frame(&mut self.tail, revision, bytes);
        self.offsets.push(self.end);
        self.end += frame as u64;
        if self.tail.len() >= WRITE_AT {
            // A full disk is told by `sync`, or by the append that finds too much waiting; any other error at once.
            match self.write_out() {
                Err(e) if e.is_full() => {}
                other => other?,
            }
        }
        Ok(())
    }

    pub fn write_out(&mut self) -> Result<()> {
        if !self.tail.is_empty() {
            self.file.write_at(self.written, &self.tail).map_err(|e| StoreError::io("write", &self.path, e))?;
            self.written = self.end;
            self.tail.clear();
        }
        Ok(())
    }

    /// Drops every record after `revision`, which is `first - 1` or later.
    pub fn truncate_after(&mut self, revision: u64) -> Result<()> {
        self.write_out()?;
        let keep = usize::try_from(revision + 1 - self.first).unwrap_or(usize::MAX);
        if let Some(&end) = self.offsets.get(keep) {
            self.file.set_size(end).map_err(|e| StoreError::io("cut", &self.path, e))?;
            self.offsets.truncate(keep);
            (self.end, self.written) = (end, end);
        }
        Ok(())
    }

    /// All that has been written, to be read without the lock.
    pub fn written(&self) -> Written {
        Written {
            file: self.file.clone(),
            path: self.path.clone(),
            next: self.first,
            ends: self.offsets.iter().skip(1).copied().chain([self.end]).filter(|end| *end <= self.written).collect(),
            at: self.offsets.first().copied().unwrap_or(self.end),
        }
    }

    /// Plans a read of up to `max_records` records and `max_bytes` bytes (at least one record) from `from` on, which
    /// must be held; the part still in memory is copied, so that the file can be read without the lock.
    pub fn plan(&self, from: u64, max_records: usize, max_bytes: usize) -> ActiveRead {
        let start = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let begin = self.offsets[start];
        let mut stop = start + 1;
        let end_of = |i: usize| self.offsets.get(i).copied().unwrap_or(self.end);
        while stop < self.offsets.len() && stop - start < max_records && end_of(stop + 1) - begin <= max_bytes as u64 {
            stop += 1;
        }
        let end = end_of(stop);
        let on_disk = end.min(self.written).saturating_sub(begin);
        let in_tail = |offset: u64| usize::try_from(offset.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let waiting = self.tail[in_tail(begin)..in_tail(end)].to_vec();
        ActiveRead {
            file: self.file.clone(),
            path: self.path.clone(),
            from,
            count: stop - start,
            offset: begin,
            on_disk: usize::try_from(on_disk).unwrap_or(usize::MAX),
            waiting,
        }
    }
}

/// What the active segment held on disk at some moment, frame by frame.
#[derive(Debug)]
pub(super) struct Written {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// The revision of the next frame, and where it starts.
    next: u64,
    at: u64,
    /// Where each frame that is left ends.
    ends: VecDeque<u64>,
}

impl Frames for Written {
    fn fill(&mut self, plain: &mut Vec<u8>, enough: usize) -> Result<u64> {
        let (first, begin) = (self.next, plain.len());
        let enough = self.at + enough.saturating_sub(begin) as u64;
        let mut end = self.at;
        while end < enough
            && let Some(next) = self.ends.pop_front()
        {
            end = next;
            self.next += 1;
        }
        let len = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        read_more_at(&*self.file, self.at, len, plain).map_err(|e| StoreError::io("read", &self.path, e))?;
        bodies(&plain[begin..], first..self.next, &self.path, self.at).try_for_each(|body| body.map(|_| ()))?;
        self.at = end;
        Ok(self.next - first)
    }
}

/// What each of the frames of some revisions holds, which were read from `offset` of this file on.
///
/// # Errors
/// One does not fit its checksum.
fn bodies<'a>(
    bytes: &'a [u8],
    revisions: Range<u64>,
    path: &Path,
    offset: u64,
) -> impl Iterator<Item = Result<(u64, &'a [u8])>> {
    let mut at = 0;
    revisions.map(move |revision| {
        let body = frame(&bytes[at..], revision).ok_or_else(|| unfit(path, offset + at as u64, revision))?;
        at += FRAME_HEAD + body.len();
        Ok((revision, body))
    })
}

fn unfit(path: &Path, offset: u64, revision: u64) -> StoreError {
    damaged(path, offset, format!("revision {revision} does not fit its checksum"))
}

/// A planned read of the active segment.
#[derive(Debug)]
pub(super) struct ActiveRead {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    from: u64,
    count: usize,
    offset: u64,
    on_disk: usize,
    waiting: Vec<u8>,
}

impl ActiveRead {
    pub fn run(self) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut bytes = Vec::new();
        if self.on_disk > 0 {
            bytes = read_exact_at(&*self.file, self.offset, self.on_disk)
                .map_err(|e| StoreError::io("read", &self.path, e))?;
        }
        bytes.extend_from_slice(&self.waiting);
        let revisions = self.from..self.from + self.count as u64;
        let bodies = bodies(&bytes, revisions, &self.path, self.offset);
        bodies.map(|body| body.map(|(revision, body)| (revision, body.to_vec()))).collect()
    }
}
