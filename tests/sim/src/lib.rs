//! Whole nodes on one thread, from a seed: real domain, real replica, the stores' own simulated log and disk; network,
//! clocks, people and couriers in between. No clock, no threads, no randomness but the seed.
//!
//! **Entry point:** [`run`] with a [`Plan`]. Each of five or six members has a node with two records: its copy of the
//! region (five voters, the rest learners) and its own registry (one voter). People act on what their own node shows
//! them and ask again until they are told; couriers carry; nodes lose power and come back; lines lose, double, delay,
//! reorder and break. Then all becomes calm, and everything must come to rest, the same everywhere.
//!
//! **What is checked:** one leader per term, and it has what was committed; the same entry at the same index; commit
//! never falls; the same revision has the same ledger root, and the same state wherever somebody took a checkpoint;
//! a command is executed once and has one outcome, and who was told of it finds it in every copy; the invariants of
//! each record, and of registry and region together, at every revision; reads never miss what was applied before.
//!
//! **Never in here:** tokio, files, sockets, sleeping, and a check that looks away.

mod disk;
mod figures;
mod host;
mod many;
mod member;
mod network;
mod oracle;
mod people;
mod plan;
mod running;
mod sim;
mod transfer;

pub use figures::Figures;
pub use many::run_all;
pub use plan::{Plan, Plant};
pub use sim::{Failure, Report, run};
