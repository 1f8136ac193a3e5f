//! What a node keeps on disk: the Raft log, ledgers, checkpoints, the index, and the marker that says whose disk it is.
//!
//! Entry points: [`log::LogStore`] (one log for all records), [`ledger::Ledger`] and [`checkpoint::CheckpointStore`]
//! (per record), [`index::Index`], [`marker::StoreMarker`].
//!
//! This room keeps bytes. It must never know commands, events or wire messages, start a thread of its own or touch an
//! async runtime, look at a clock, or turn damage into an empty start: what is missing or wrong is always named.

pub mod checkpoint;
mod codec;
pub mod disk;
pub mod error;
mod finding;
pub mod index;
pub mod ledger;
pub mod log;
pub mod marker;
pub mod reserve;

pub use disk::{Disk, DiskFile, FrozenDisk, PowerLoss, RealDisk, ShadowDisk, SimDisk, SimFault, quarantine, real_disk};
pub use error::{Result, StoreError};
pub use finding::{Finding, Findings, Remedy};

/// zstd level of sealed segments and checkpoints. 3, the library's own, takes up to twice as long on records and states, and makes
/// them no smaller.
pub(crate) const COMPRESSION: i32 = 1;
