//! What a node keeps on its disk, under every fault: the power cut behind each step, damage of every kind, `kill -9`.
//!
//! Entry points: [`Node`] is one node's records (its registry, and a region in which it alone votes) on a real or a
//! simulated disk; [`script`] is what is done with them; [`Tale`] remembers what came of it, to be compared with what a
//! restart finds. What must never stand here: knowledge of how a store lays out its bytes, except where a harness spoils
//! them; a fault that the product could meet only through this crate.

#![allow(clippy::missing_errors_doc, reason = "every error here is a sentence for whoever reads a failed test")]

pub mod damage;
pub mod kills;
pub mod node;
pub mod plant;
pub mod script;
pub mod sweep;
pub mod tale;

pub use node::{Node, Sizes};
pub use tale::Tale;

/// Result of a harness: what went wrong, in words.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// A folder that goes away, in memory if the machine has such a place: syncs there cost nothing.
pub fn folder() -> Result<tempfile::TempDir> {
    let fast = std::path::Path::new("/dev/shm");
    let made = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() };
    made.map_err(|error| error.to_string())
}

/// Runs a future on a runtime of its own: its threads, and what they remember, end with it.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime starts unless the machine is out of threads").block_on(future)
}
