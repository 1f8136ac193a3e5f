//! How far something has come, for threads that wait until it has.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a wait lasts before it looks whether there is anything to wait for any more.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    index: u64,
    waiting: u32,
}

/// The highest index that was reached. Saying it costs a lock; only if somebody waits, waking him too.
#[derive(Default)]
pub(crate) struct Reached {
    state: Mutex<State>,
    wake: Condvar,
}

impl Reached {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain assignments: whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is this far.
    pub fn reach(&self, index: u64) {
        let mut state = self.lock();
        if index > state.index {
            state.index = index;
            if state.waiting > 0 {
                self.wake.notify_all();
            }
        }
    }

    /// Waits until it is this far, or `gone` says that it never will be; whether it is.
    pub fn wait(&self, index: u64, gone: impl Fn() -> bool) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        while state.index < index && !gone() {
            state = self.wake.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
        state.index >= index
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn whoever_waits_goes_on_when_it_is_reached_and_not_before() {
        let reached = Reached::default();
        reached.reach(4);
        assert!(reached.wait(4, || false));
        assert!(!reached.wait(5, || true), "it never comes");
        let passed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let reached = reached.wait(7, || false);
                passed.store(true, Ordering::SeqCst);
                reached
            });
            while reached.lock().waiting == 0 {
                std::thread::yield_now();
            }
            reached.reach(6);
            reached.reach(3);
            assert!(!passed.load(Ordering::SeqCst));
            reached.reach(7);
            assert!(waits.join().unwrap());
        });
        assert_eq!(reached.lock().waiting, 0);
    }
}
