//! The leader's clock. It only proposes stamps; record time is what the log says.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use shouwang_domain::time::Timestamp;

/// Where stamps come from.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Wall-clock time that never jumps: it runs with the monotonic clock and follows corrections of the wall clock by at
/// most a twentieth, so that a clock set wrong by mistake does not make every deadline pass at once.
#[derive(Debug)]
pub struct SystemClock(Mutex<(Instant, i64)>);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), wall_us())))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Two plain assignments: whole after any panic.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = i64::try_from((now - state.0).as_micros()).unwrap_or(i64::MAX);
        let estimate = state.1.saturating_add(elapsed);
        *state = (now, follow(estimate, wall_us(), elapsed));
        Timestamp(state.1.div_euclid(1000))
    }
}

fn follow(estimate_us: i64, wall_us: i64, elapsed_us: i64) -> i64 {
    let most = elapsed_us / 20;
    estimate_us.saturating_add(wall_us.saturating_sub(estimate_us).clamp(-most, most))
}

fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A clock that stands still until it is told: for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at this time.
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves it forward, in milliseconds.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_of_the_wall_clock_are_followed_slowly() {
        for (wall, expected) in [(1_000, 1_000), (1_004, 1_004), (9_000_000, 1_005), (-9_000_000, 995)] {
            assert_eq!(follow(1_000, wall, 100), expected, "{wall}");
        }
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = SystemClock::default();
        let first = clock.now();
        assert!((0..1000).all(|_| clock.now() >= first));
    }
}
