//! Runs the records of a node: takes commands, replicates them, applies them, and tells everyone who watches.
//!
//! Entry points: [`Driver::open`], then [`Driver::host`] once per record; everything else talks to the cheap
//! [`Handle`] it returns. [`Driver::replication_service`] is what the node offers to its peers.
//!
//! Who does what, on which thread:
//!
//! | thread | how many | work |
//! |---|---|---|
//! | log writer | one a node | one synced write for everything waiting, of all records |
//! | raft | one a record | ticks, messages, batches; never waits for a disk or for apply |
//! | apply | one a record | decides and evolves, publishes views, wakes watchers and callers |
//! | keeper | one a record | the ledger; takes checkpoints on a thread beside it |
//! | index | one a record | follows the ledger; nobody waits for it |
//! | tokio | the node's | streams between peers, callers |
//!
//! This room joins domain, replica and store. It must never contain a rule of the domain, a rule of Raft, a file format,
//! or blocking I/O on an async thread.

mod as_of;
mod check;
mod clock;
mod copy;
mod driver;
mod error;
mod handle;
mod index;
mod keys;
mod lacking;
mod log_writer;
mod mailbox;
mod metrics;
mod options;
mod proof;
mod record;
mod status;
mod storage;
mod tail;
mod transport;
mod watch;

pub use check::{Damage, DiskCheck, DiskReport, Reading};
pub use clock::{Clock, ManualClock, SystemClock};
pub use copy::{Filling, RecordCopy};
pub use driver::{Driver, Parts};
pub use error::DriverError;
pub use handle::{Handle, View};
pub use index::{History, Indexed, Recalled};
pub use keys::{CachedVerifier, Ed25519Signer, Ed25519Verifier, KeyRing, Signer, sign_batch};
pub use options::{DriverOptions, HostSpec, Packs, RecordOptions, TransportOptions};
pub use proof::InclusionProof;
pub use record::batching;
pub use record::roll_call::{Own as OwnStanding, RollCall, Teller, in_touch_within};
pub use record::{AcceptedLoss, CheckedRecord, NewLife, Rescue};
pub use shouwang_replica::{CLOCK_OFFSET_MS_MAX, Limits, PeerStatus, Role, Timing};
pub use shouwang_store::checkpoint::{CheckpointInfo, OpenedCheckpoint, Receiver};
pub use shouwang_store::{Finding, Findings, Remedy};
pub use status::{Contact, Heard, RecordStatus, SyncStats, Touch};
pub use storage::Storage;
pub use tail::Change;
pub use transport::outbox::{Head as OutboxHead, Item as OutboxItem, Outbox};
pub use transport::packing::{Packer as FramePacker, Unpacker as FrameUnpacker};
pub use transport::wire::{from_wire as raft_message, to_wire as peer_message};
pub use transport::{AuthenticatedPeer, ConnectError, PeerConnector, Replication, is_refusal};
pub use watch::{WatchCursor, WatchError};

/// Result of every call of this crate.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;
