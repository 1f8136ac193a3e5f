//! What a node makes of clocks: of its own, which it follows slowly, and of its peers', against which it is judged.
//! Arithmetic only: what the clocks say is brought here by whoever can read one.

use std::collections::BTreeMap;

/// A clock further than this from the middle of its peers' is not fit to stamp, in milliseconds.
pub const CLOCK_OFFSET_MS_MAX: i64 = 2000;
/// What a peer's clock showed longer ago than this does not count any more, in milliseconds.
pub const CLOCK_HEARD_MS_MAX: u64 = 15_000;

/// Wall-clock time that never jumps: it runs with the monotonic clock and follows corrections of the wall clock by at
/// most a twentieth, so that a clock set wrong by mistake does not make every deadline pass at once.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    monotonic_us: i64,
    estimate_us: i64,
}

impl SteadyClock {
    /// Begins with what both clocks say now, in microseconds.
    pub fn new(monotonic_us: i64, wall_us: i64) -> Self {
        Self { monotonic_us, estimate_us: wall_us }
    }

    /// The time now in microseconds, from what both clocks say.
    pub fn read(&mut self, monotonic_us: i64, wall_us: i64) -> i64 {
        let elapsed = monotonic_us.saturating_sub(self.monotonic_us).max(0);
        self.estimate_us = follow(self.estimate_us.saturating_add(elapsed), wall_us, elapsed);
        self.monotonic_us = self.monotonic_us.max(monotonic_us);
        self.estimate_us
    }
}

fn follow(estimate_us: i64, wall_us: i64, elapsed_us: i64) -> i64 {
    let most = elapsed_us / 20;
    estimate_us.saturating_add(wall_us.saturating_sub(estimate_us).clamp(-most, most))
}

/// How far this node's clock is ahead of each peer's, as of the last it heard from them. What was heard long ago says
/// nothing any more: where nobody leads, nobody says what his clock shows, and a group whose clocks have been set right
/// meanwhile would wait for ever for somebody who is fit.
#[derive(Debug, Clone, Default)]
pub struct PeerClocks(BTreeMap<u64, Heard>);

/// What a peer's clock showed.
#[derive(Debug, Clone, Copy)]
struct Heard {
    ahead_ms: i64,
    at_ms: u64,
}

impl PeerClocks {
    /// Notes a peer's clock: this one is ahead of it by so many milliseconds. `now_ms` comes of a clock that only runs
    /// forward.
    pub fn note(&mut self, peer: u64, ahead_ms: i64, now_ms: u64) {
        self.0.insert(peer, Heard { ahead_ms, at_ms: now_ms });
    }

    /// How far this node's clock is ahead of the middle of a group's clocks, its own among them, in milliseconds.
    pub fn ahead_ms(&self, group: impl IntoIterator<Item = u64>, now_ms: u64) -> i64 {
        let heard = group.into_iter().filter_map(|id| self.0.get(&id));
        let fresh = heard.filter(|heard| now_ms.saturating_sub(heard.at_ms) <= CLOCK_HEARD_MS_MAX);
        let mut ahead: Vec<i64> = fresh.map(|heard| heard.ahead_ms).chain([0]).collect();
        ahead.sort_unstable();
        ahead[(ahead.len() - 1) / 2]
    }

    /// Whether this node's clock is fit to stamp for a group: what `Input::MayCampaign` is to be told, with the room on
    /// the disk.
    pub fn is_fit(&self, group: impl IntoIterator<Item = u64>, now_ms: u64) -> bool {
        self.ahead_ms(group, now_ms).abs() <= CLOCK_OFFSET_MS_MAX
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
    fn a_steady_clock_goes_neither_back_nor_in_leaps() {
        let mut clock = SteadyClock::new(0, 5_000_000);
        assert_eq!(clock.read(1_000_000, 6_000_000), 6_000_000);
        assert_eq!(clock.read(2_000_000, 3_607_000_000), 7_050_000, "an hour ahead all at once");
        assert_eq!(clock.read(3_000_000, 0), 8_000_000, "and back");
        assert_eq!(clock.read(2_500_000, 8_000_000), 8_000_000, "no time has passed");
    }

    #[test]
    fn a_clock_is_judged_by_the_middle_of_its_peers() {
        let mut clocks = PeerClocks::default();
        assert_eq!(clocks.ahead_ms(1..=3, 0), 0);
        clocks.note(2, 6_000, 0);
        assert_eq!(clocks.ahead_ms(1..=3, 0), 0, "one against one proves nothing");
        clocks.note(3, 5_900, 0);
        assert_eq!(clocks.ahead_ms(1..=3, 0), 5_900);
        assert!(!clocks.is_fit(1..=3, 0) && clocks.is_fit([1, 2], 0), "only the group counts");
        clocks.note(3, 10, 0);
        assert_eq!(clocks.ahead_ms(1..=3, 0), 10, "the other one is wrong");
        assert!(clocks.is_fit(1..=3, 0));
    }

    #[test]
    fn what_was_heard_long_ago_does_not_count() {
        let mut clocks = PeerClocks::default();
        clocks.note(2, -40_000, 1_000);
        clocks.note(3, -50_000, 2_000);
        for (now, fit) in [(2_000, false), (16_000, false), (17_001, true), (u64::MAX, true)] {
            assert_eq!(clocks.is_fit(1..=3, now), fit, "at {now}");
        }
    }
}
