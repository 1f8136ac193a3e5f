//! The index over the ledgers: what leads from the id of a command, or from an object, to the revisions that hold them.
//!
//! It is made from the ledger and nothing else, by a thread of its own for each record, and no commit waits for it. Every
//! answer is checked against the ledger, and says what it covers. An index that is lost, damaged or of another ledger is
//! built anew while the node serves: losing it costs time, never data.
//!
//! What costs is a key, not what it holds: what is indexed together shares as few of them as can be ([`entries`]).

mod check;
mod coverage;
mod entries;
mod home;
mod indexer;
mod lookup;

use std::sync::atomic::{AtomicBool, Ordering};

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
