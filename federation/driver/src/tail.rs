//! The newest ledger records, in memory, for everyone who watches.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use shouwang_domain::code;
use shouwang_domain::record::LedgerRecord;
use shouwang_store::StoreError;

use crate::record::CommandKey;

/// One ledger record: the value, and the bytes the Merkle tree covers.
#[derive(Clone, Debug)]
pub struct Change<E> {
    /// The value.
    pub record: LedgerRecord<E>,
    /// Its bytes as written.
    pub bytes: Arc<[u8]>,
    /// The command behind it, if it is known without reading it once more: it was carried out here, and has an id.
    pub(crate) command: Option<CommandKey>,
}

impl<E: DeserializeOwned> Change<E> {
    /// A ledger record as it was written.
    ///
    /// # Errors
    /// `Invalid`: bytes that are none.
    pub(crate) fn decode(bytes: Arc<[u8]>) -> Result<Self, StoreError> {
        let record = code::decode("ledger record", &bytes).map_err(|error| StoreError::Invalid(error.to_string()))?;
        Ok(Self { record, bytes, command: None })
    }
}

struct State<E> {
    first: u64,
    changes: VecDeque<Arc<Change<E>>>,
    bytes: usize,
}

/// A ring over the end of the ledger. What the disk does not have yet is never dropped.
pub(crate) struct Tail<E> {
    state: RwLock<State<E>>,
    max_records: usize,
    max_bytes: usize,
}

impl<E> Tail<E> {
    /// An empty ring that goes on after `revision`.
    pub fn new(revision: u64, max_records: usize, max_bytes: usize) -> Self {
        let state = State { first: revision + 1, changes: VecDeque::new(), bytes: 0 };
        Self { state: RwLock::new(state), max_records: max_records.max(1), max_bytes }
    }

    /// Adds records in order; drops old ones over the limits, up to and with `on_disk`.
    pub fn extend(&self, changes: impl IntoIterator<Item = Arc<Change<E>>>, on_disk: u64) {
        // A panic between the assignments could only lose old records of the ring, which the disk has.
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            state.bytes += change.bytes.len();
            state.changes.push_back(change);
        }
        while (state.changes.len() > self.max_records || state.bytes > self.max_bytes) && state.first <= on_disk {
            let Some(gone) = state.changes.pop_front() else { break };
            state.bytes -= gone.bytes.len();
            state.first += 1;
        }
    }

    /// Goes on after `revision`, behind an installed checkpoint.
    pub fn restart(&self, revision: u64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = State { first: revision + 1, changes: VecDeque::new(), bytes: 0 };
    }

    /// The first revision in memory, or the one that comes next if there is none.
    pub fn first(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).first
    }

    /// Up to `max` records from `from` on; `None` if they are not in memory any more.
    pub fn read(&self, from: u64, max: usize) -> Option<Vec<Arc<Change<E>>>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(from.checked_sub(state.first)?).ok()?;
        Some(state.changes.iter().skip(start).take(max).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::record::Cause;
    use shouwang_domain::time::Timestamp;

    use super::*;

    fn change(revision: u64) -> Arc<Change<()>> {
        let record =
            LedgerRecord { revision, at: Timestamp::ZERO, cause: Cause::Timer, events: Vec::new(), refusal: None };
        Arc::new(Change { record, bytes: vec![0; 10].into(), command: None })
    }

    fn revisions(tail: &Tail<()>, from: u64) -> Option<Vec<u64>> {
        tail.read(from, 99).map(|changes| changes.iter().map(|change| change.record.revision).collect())
    }

    #[test]
    fn the_ring_keeps_what_the_disk_has_not() {
        let tail = Tail::new(4, 3, 1000);
        tail.extend((5..=10).map(change), 6);
        assert_eq!(revisions(&tail, 7), Some(vec![7, 8, 9, 10]), "8 to 10 would fit, 7 is not on disk");
        assert_eq!(revisions(&tail, 6), None);
        assert_eq!(revisions(&tail, 11), Some(vec![]));
        tail.extend([change(11)], 99);
        assert_eq!(revisions(&tail, 9), Some(vec![9, 10, 11]));
        assert_eq!((revisions(&tail, 8), tail.first()), (None, 9));
        tail.restart(20);
        assert_eq!((revisions(&tail, 11), revisions(&tail, 21)), (None, Some(vec![])));
    }

    #[test]
    fn bytes_are_a_limit_too() {
        let tail = Tail::new(0, 100, 25);
        tail.extend((1..=4).map(change), 99);
        assert_eq!(revisions(&tail, 3), Some(vec![3, 4]));
        assert_eq!(revisions(&tail, 2), None);
    }
}
