//! What a node keeps on its disk, under every fault: the power cut behind each step, damage of every kind, `kill -9`.
//!
//! Entry points: [`Node`] is one node's records (its registry, and a region in which it alone votes) on a real or a
//! simulated disk; [`script`] is what is done with them; [`Tale`] remembers what came of it, to be compared with what a
//! restart finds; [`golden`] keeps what this version writes. What must never stand here: knowledge of how a store lays out its bytes, except where a harness spoils
//! them; a fault that the product could meet only through this crate.

#![allow(clippy::missing_errors_doc, reason = "every error here is a sentence for whoever reads a failed test")]

pub mod damage;
pub mod golden;
pub mod kills;
pub mod looked_at;
pub mod node;
pub mod plant;
pub mod script;
pub mod sweep;
pub mod tale;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Judges every case, as many at a time as the machine has threads. The verdicts come in the order of the cases.
pub(crate) fn judge_all<T: Sync, V: Send>(cases: &[T], judge: impl Fn(&T) -> V + Sync) -> Vec<V> {
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(cases.len())));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    let verdict = judge(case);
                    verdicts.lock().expect("nobody panics while adding to a list").push((at, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("nobody panics while adding to a list");
    verdicts.sort_unstable_by_key(|(at, _)| *at);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Runs a future on a runtime of its own: its threads, and what they remember, end with it.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime starts unless the machine is out of threads").block_on(future)
}
