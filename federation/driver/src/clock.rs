//! The leader's clock. It only proposes stamps; record time is what the log says.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use shouwang_domain::time::Timestamp;
use shouwang_replica::SteadyClock;

/// Where stamps come from.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The wall clock of this machine, followed as [`SteadyClock`] says: without leaps.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    steady: Mutex<SteadyClock>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now(), steady: Mutex::new(SteadyClock::new(0, wall_us())) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Two plain assignments: whole after any panic.
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let monotonic = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp(steady.read(monotonic, wall_us()).div_euclid(1000))
    }
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
    fn the_system_clock_does_not_go_back() {
        let clock = SystemClock::default();
        let first = clock.now();
        assert!((0..1000).all(|_| clock.now() >= first));
    }
}
