//! Many runs, some at a time. Each is a thread's own: what happens in a run does not depend on its neighbours.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::figures::Figures;
use crate::plan::Plan;
use crate::sim::{Failure, run};

/// Plays a plan with all seeds on as many threads as the machine has, and says of each failure as it comes; the sum of
/// what was counted, and what failed, by seed.
pub fn run_all(seeds: Range<u64>, plan: &Plan, failed: impl Fn(&Failure) + Sync) -> (Figures, Vec<Failure>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(seeds.start);
    let done: Mutex<(Figures, Vec<Failure>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let verdict = run(&Plan { seed, ..*plan });
                    // A run's panic is caught within it, so nobody leaves the lock poisoned.
                    let mut done = done.lock().expect("no thread panics while it adds");
                    match verdict {
                        Ok(report) => done.0 += report.figures,
                        Err(failure) => {
                            failed(&failure);
                            done.1.push(failure);
                        }
                    }
                }
            });
        }
    });
    let (figures, mut failures) = done.into_inner().expect("no thread panics while it adds");
    failures.sort_by_key(|failure| failure.plan.seed);
    (figures, failures)
}
