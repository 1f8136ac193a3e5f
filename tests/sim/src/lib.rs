//! Whole nodes on one thread, from a seed: real domain, real replica, the stores' own simulated log and disk; network,
//! clocks, people and couriers in between. No clock, no threads, no randomness but the seed.
//!
//! **Entry point:** [`run`] with a [`Plan`]. Three to seven municipalities with a registry each take part in one or two
//! regions, some of them in both; one of them may have more machines than one. People act on what their own node shows
//! them and ask again until they are told; couriers carry; the charter changes meanwhile. In the storm lines lose,
//! double, delay, reorder and break, nodes lose power in the middle of a write, disks fail and run full, clocks run too
//! fast, stand still and are set wrong. Then all becomes calm, and everything must come to rest, the same everywhere,
//! and serve.
//!
//! **What is checked:** `raft_rules` (what Raft promises), `truth` (one history of each record, replayed from its ledger
//! alone; a command is executed once and has one outcome), `invariants` and `oracle` (domain.md §6, of every record and
//! between records), `contest` and `linear` (what clients of contended stock saw was possible one thing after the
//! other), `rest` (all copies are one and hold what was acknowledged). Each violation says which check saw it.
//!
//! **Never in here:** tokio, files, sockets, sleeping, and a check that looks away.

mod affairs;
mod applying;
mod cast;
mod clock;
mod contest;
mod countersigning;
mod disk;
mod figures;
mod host;
mod invariants;
pub mod linear;
mod many;
mod network;
mod node;
mod oracle;
mod people;
mod plan;
#[cfg(feature = "planted")]
mod planted;
mod proposing;
mod raft_rules;
mod reading;
mod rest;
mod scene;
mod signing;
mod sim;
mod starting;
mod station;
pub mod stock;
mod storm;
mod talk;
mod transfer;
mod truth;
mod watch;
mod weather;
mod world;

pub use figures::Figures;
pub use many::run_all;
pub use plan::Plan;
pub use sim::{Failure, Report, run};
pub use watch::Violation;
