//! The index over the ledgers: what leads from the id of a command, or from an object, to the revisions that hold them.
//!
//! It is made from the ledger and nothing else, by a thread of its own for each record, and no commit waits for it. Every
//! answer is checked against the ledger, and says what it covers. An index that is lost, damaged or of another ledger is
//! built anew while the node serves: losing it costs time, never data.
//!
//! Keys: record, `c`, municipality, command id, revision; record, `s`, subject, revision. What costs is a key, not what it
//! holds: revisions about the same thing that are indexed together share one, which ends with the first of them, and its
//! value holds how far behind that the others lie ([`Group`]).

mod check;
mod coverage;
mod home;
mod indexer;
mod lookup;

use std::sync::atomic::{AtomicBool, Ordering};

use shouwang_domain::code;
use shouwang_domain::ids::{CommandId, MunicipalityCode, RecordId};
use shouwang_domain::subject::Subject;
use tokio::sync::watch;

pub(crate) use check::check;
pub(crate) use home::Home;
pub(crate) use indexer::Indexer;
pub use lookup::{History, Recalled};

use crate::mailbox::Mailbox;

/// Where the index lies below the node's data.
pub(crate) const DIR: &str = "index";

/// What the index reflects of a record: every revision from `from` to `through`; nothing if both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// The oldest revision reflected without a gap up to `through`.
    pub from: u64,
    /// The newest revision reflected.
    pub through: u64,
}

impl Indexed {
    /// Whether everything from the beginning up to `revision` is reflected.
    pub fn is_whole(&self, revision: u64) -> bool {
        revision == 0 || self.from == 1 && self.through >= revision
    }
}

/// What the threads of a record and its readers share about its index.
pub(crate) struct Desk {
    /// Rung when the ledger has something new, or something old.
    pub bell: Mailbox<()>,
    flush: AtomicBool,
    /// Which opening of the index reflects how much of the record.
    pub indexed: watch::Sender<(u64, Indexed)>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { bell: Mailbox::default(), flush: AtomicBool::new(false), indexed: watch::Sender::default() }
    }
}

impl Desk {
    /// There is something to index. Never waits.
    pub fn ring(&self) {
        self.bell.push_within((), 1);
    }

    /// A checkpoint was taken: what is indexed by now should be durable too.
    pub fn ask_to_flush(&self) {
        self.flush.store(true, Ordering::Relaxed);
        self.ring();
    }
}

/// What all keys of a record begin with.
fn of_record(id: RecordId) -> Vec<u8> {
    id.0.to_vec()
}

/// What the keys of a command begin with.
fn of_command(id: RecordId, municipality: MunicipalityCode, command: CommandId) -> Vec<u8> {
    let mut key = of_record(id);
    key.push(b'c');
    key.extend(municipality.get().to_be_bytes());
    key.extend(command.0.as_bytes());
    key
}

/// What the keys of a subject begin with. No encoded subject is the beginning of another one.
fn of_subject(id: RecordId, subject: &Subject) -> Vec<u8> {
    let mut key = of_record(id);
    key.push(b's');
    key.extend(code::encode(subject));
    key
}

/// A whole key.
fn at_revision(mut prefix: Vec<u8>, revision: u64) -> Vec<u8> {
    prefix.extend(revision.to_be_bytes());
    prefix
}

/// Ledger records indexed at once, so that no group reaches further than this behind its first revision.
const PAGE: usize = 512;

/// The revisions that one entry leads to.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    first: u64,
    /// How far behind the first the others lie, in order.
    further: Vec<u16>,
}

impl Group {
    /// A revision by itself.
    fn of(first: u64) -> Self {
        Self { first, further: Vec::new() }
    }

    /// Takes in a later revision of the same page; the last one again does nothing.
    fn add(&mut self, revision: u64) {
        let distance = u16::try_from(revision - self.first).expect("a page is shorter than that");
        if distance > self.further.last().copied().unwrap_or(0) {
            self.further.push(distance);
        }
    }

    /// The entry's value, within the size of an index value; empty for a revision by itself.
    fn value(&self) -> Vec<u8> {
        self.further.iter().flat_map(|distance| distance.to_be_bytes()).collect()
    }

    /// What an entry says; none if it is not one of ours.
    fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (pairs, []) = value.as_chunks() else { return None };
        let first = u64::from_be_bytes(*key.last_chunk()?);
        Some(Self { first, further: pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect() })
    }

    /// All of them, in order.
    fn revisions(&self) -> impl Iterator<Item = u64> {
        std::iter::once(0)
            .chain(self.further.iter().copied())
            .map(|distance| self.first.saturating_add(distance.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let mut group = Group::of(7);
        assert!(group.value().is_empty());
        for revision in [7, 9, 9, 7 + PAGE as u64 - 1] {
            group.add(revision);
        }
        assert_eq!(group.revisions().collect::<Vec<_>>(), [7, 9, 518]);
        assert_eq!(Group::read(&at_revision(vec![1], 7), &group.value()), Some(group));
        assert_eq!(Group::read(&at_revision(vec![1], 7), &[0]), None);
        assert_eq!(Group::read(&[1], &[]), None);
        let whole = Group { first: 1, further: (1..512).collect() };
        assert_eq!(whole.further.len(), PAGE - 1);
        assert!(whole.value().len() <= shouwang_store::index::MAX_VALUE_BYTES);
    }
}
