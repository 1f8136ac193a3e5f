//! Reading a ledger while it is written.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Shared,
    format::{FRAME_HEAD, frame},
    sealed::{Sealed, SegmentInfo, damaged},
};
use crate::error::{Result, StoreError};

type CachedBlock = (u64, usize, Arc<Vec<u8>>);

/// The reading end of a ledger. Each clone remembers the block it unpacked last, so a cursor that reads page by page
/// unpacks each block once.
#[derive(Debug)]
pub struct LedgerReader {
    shared: Arc<Shared>,
    cache: Mutex<Option<CachedBlock>>,
}

impl Clone for LedgerReader {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl LedgerReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cache: Mutex::new(None) }
    }

    /// The oldest revision from which on everything up to the last is held; `None` if nothing is.
    pub fn first(&self) -> Option<u64> {
        self.shared.state().first()
    }

    /// The last revision held; `None` if nothing is.
    pub fn last(&self) -> Option<u64> {
        self.shared.state().last()
    }

    /// The runs of revisions held, oldest first; what lies between two of them is missing.
    pub fn runs(&self) -> Vec<(u64, u64)> {
        self.shared.state().runs()
    }

    /// Records from `from` on, in order, at most `max_records` and about `max_bytes` bytes, but at least one if there
    /// is one. Empty if `from` is beyond the last. Ends early before a gap.
    ///
    /// # Errors
    /// `OutOfRange` if `from` is not held though later revisions are; `LedgerDamaged`, `Io`.
    pub fn read(&self, from: u64, max_records: usize, max_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut out: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        while out.len() < max_records.max(1) && (out.is_empty() || bytes < max_bytes) {
            let page = match self.locate(next) {
                Ok(None) => break,
                Err(_) if !out.is_empty() => break,
                Err(e) => return Err(e),
                Ok(Some(segment)) => {
                    self.read_in(segment, next, max_records.max(1) - out.len(), max_bytes.saturating_sub(bytes))?
                }
            };
            let fits = |total: usize, len: usize, first: bool| first || total + len <= max_bytes;
            let before = out.len();
            for (revision, body) in page {
                if !fits(bytes, body.len(), out.is_empty()) {
                    return Ok(out);
                }
                bytes += body.len();
                out.push((revision, body));
            }
            if out.len() == before {
                break;
            }
            next = from + out.len() as u64;
        }
        Ok(out)
    }

    /// One record.
    ///
    /// # Errors
    /// `OutOfRange` if it is not held; `LedgerDamaged`, `Io`.
    pub fn get(&self, revision: u64) -> Result<Vec<u8>> {
        let mut page = self.read(revision, 1, 0)?;
        page.pop().map(|(_, bytes)| bytes).ok_or_else(|| self.out_of_range(revision))
    }

    fn out_of_range(&self, requested: u64) -> StoreError {
        let (first, last) = (self.first().unwrap_or_default(), self.last().unwrap_or_default());
        StoreError::OutOfRange { requested, first, last }
    }

    fn locate(&self, revision: u64) -> Result<Option<Place>> {
        let state = self.shared.state();
        if revision >= state.next {
            return Ok(None);
        }
        if state.active.as_ref().is_some_and(|a| a.first <= revision && revision < a.next()) {
            return Ok(Some(Place::Active));
        }
        let at = state.sealed.partition_point(|s| s.info.last < revision);
        if let Some(sealed) = state.sealed.get(at).filter(|s| s.info.first <= revision) {
            return Ok(Some(Place::Sealed(sealed.clone())));
        }
        drop(state);
        Err(self.out_of_range(revision))
    }

    fn read_in(&self, place: Place, from: u64, max_records: usize, max_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        match place {
            Place::Active => {
                let state = self.shared.state();
                // Between `locate` and here the segment may have been sealed: then the caller looks again.
                let held = state.active.as_ref().filter(|a| a.first <= from && from < a.next());
                let Some(plan) = held.map(|a| a.plan(from, max_records, max_bytes)) else {
                    drop(state);
                    return match self.locate(from)? {
                        Some(Place::Sealed(sealed)) => self.read_sealed(&sealed, from, max_records),
                        _ => Ok(Vec::new()),
                    };
                };
                drop(state);
                plan.run()
            }
            Place::Sealed(sealed) => self.read_sealed(&sealed, from, max_records),
        }
    }

    fn read_sealed(&self, sealed: &Sealed, from: u64, max_records: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let index = sealed.block_of(from);
        let plain = self.block(sealed, index)?;
        let (first, last) = sealed.block_range(index);
        let mut rest = plain.as_slice();
        let mut out = Vec::new();
        for revision in first..=last {
            let body = frame(rest, revision).ok_or_else(|| {
                damaged(&sealed.info.file, 0, format!("revision {revision} does not fit its checksum"))
            })?;
            if revision >= from {
                out.push((revision, body.to_vec()));
                if out.len() == max_records {
                    break;
                }
            }
            rest = &rest[FRAME_HEAD + body.len()..];
        }
        Ok(out)
    }

    fn block(&self, sealed: &Sealed, index: usize) -> Result<Arc<Vec<u8>>> {
        // The cache is replaced in one assignment, so a panic elsewhere leaves it whole.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((first, block, plain)) = &*cache
            && (*first, *block) == (sealed.info.first, index)
        {
            return Ok(plain.clone());
        }
        let path = &sealed.info.file;
        let file = self.shared.disk.open(path).map_err(|e| StoreError::io("open", path, e))?;
        let plain = Arc::new(sealed.read_block(&*file, index)?);
        *cache = Some((sealed.info.first, index, plain.clone()));
        Ok(plain)
    }

    /// The sealed segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.state().sealed.iter().map(|s| s.info.clone()).collect()
    }

    /// Reads and checks every byte of a sealed segment, if it is still in use.
    ///
    /// # Errors
    /// `LedgerDamaged`, `Io`.
    pub fn verify_segment(&self, segment: &SegmentInfo) -> Result<()> {
        let sealed = self.shared.state().sealed.iter().find(|s| s.info == *segment).cloned();
        sealed.map_or(Ok(()), |sealed| sealed.verify(&*self.shared.disk))
    }

    /// Reads and checks every byte held now.
    ///
    /// # Errors
    /// `LedgerDamaged` names the first file that does not fit; `Io`.
    pub fn verify_all(&self) -> Result<()> {
        for segment in self.segments() {
            self.verify_segment(&segment)?;
        }
        let unsealed = self.shared.state().active.as_ref().filter(|a| !a.is_empty()).map(|a| (a.first, a.next()));
        let Some((mut at, end)) = unsealed else { return Ok(()) };
        while at < end {
            let page = self.read(at, 1024, 1 << 20)?;
            at += page.len() as u64;
            if page.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

enum Place {
    Active,
    Sealed(Arc<Sealed>),
}
