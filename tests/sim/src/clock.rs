//! The clocks of a station: they run too slow or too fast, stand still, and are set wrong.

/// Parts of a second in which rates are drawn: 20 is right.
pub(crate) const RIGHT: i64 = 20;
/// How long a step is for what a node measures without its wall clock, in milliseconds.
pub(crate) const STEP_MS: u64 = 50;

/// What a station's hardware and operating system say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StationClock {
    /// Twentieths of real time.
    pub rate: i64,
    monotonic_us: i64,
    wall_us: i64,
    ticks_due: i64,
}

impl StationClock {
    /// A clock with this rate, which shows this time.
    pub fn new(rate: i64, wall_ms: i64) -> Self {
        Self { rate, monotonic_us: 0, wall_us: wall_ms * 1000, ticks_due: 0 }
    }

    /// Time passes, in milliseconds.
    pub fn pass(&mut self, ms: i64) {
        let us = ms * 1000 / RIGHT * self.rate;
        self.monotonic_us += us;
        self.wall_us += us;
    }

    /// A step passes: how many ticks of Raft it is here.
    pub fn ticks(&mut self) -> u32 {
        self.ticks_due += self.rate;
        let ticks = self.ticks_due / RIGHT;
        self.ticks_due %= RIGHT;
        // Rates are not negative, and small.
        u32::try_from(ticks).unwrap_or_default()
    }

    /// Somebody sets it wrong by so many milliseconds.
    pub fn jump(&mut self, ms: i64) {
        self.wall_us += ms * 1000;
    }

    /// The operator sets it right, and it runs right from now on.
    pub fn set_right(&mut self, wall_ms: i64) {
        (self.rate, self.wall_us) = (RIGHT, wall_ms * 1000);
    }

    /// Both, in microseconds: the monotonic clock and the wall clock.
    pub fn read(&self) -> (i64, i64) {
        (self.monotonic_us, self.wall_us)
    }
}
