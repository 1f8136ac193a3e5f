//! The index over the ledgers: what leads from the id of a command, or from an object, to the revisions that hold them.
//!
//! It is made from the ledger and nothing else, by a thread of its own for each record, and no commit waits for it. Every
//! answer is checked against the ledger, and says what it covers. An index that is lost, damaged or of another ledger is
//! built anew while the node serves: losing it costs time, never data.
//!
//! Keys, each with an empty value: record, `c`, municipality, command id, revision; record, `s`, subject, revision.

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

/// The revision that ends a key.
fn revision_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|end| u64::from_be_bytes(*end))
}
