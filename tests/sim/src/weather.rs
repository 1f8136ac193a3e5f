//! What goes wrong in a run, how often, and how its people live. Everything is drawn from the seed.

use std::ops::RangeInclusive;

use shouwang_domain::testing::Rng;
use shouwang_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};

use crate::cast::STATIONS_MAX;
use crate::clock::RIGHT;

/// What goes wrong, and how often. Percent and per mille are per opportunity.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Percent of letters lost.
    pub loss: u64,
    /// Percent of letters that arrive twice.
    pub double: u64,
    /// Longest way of a letter, in steps, at least 1.
    pub max_delay: u64,
    /// Percent of disk writes that take long.
    pub slow_disk: u64,
    /// How long those take at most, in steps.
    pub disk_delay: u64,
    /// Percent of steps in which a node applies nothing.
    pub slow_apply: u64,
    /// Per mille of steps in which some node loses power.
    pub crash: u64,
    /// Per mille of steps in which the power goes at one of the next operations of some disk.
    pub torn: u64,
    /// Per mille of steps in which a coming read, write or sync of some disk fails.
    pub disk_fault: u64,
    /// Per mille of steps in which some disk runs full.
    pub fill: u64,
    /// Percent of steps in which some full disk has room again.
    pub room: u64,
    /// Percent of steps in which some dead node starts again.
    pub restart: u64,
    /// Per mille of steps in which the network is cut.
    pub cut: u64,
    /// Percent of steps in which all cuts heal.
    pub heal: u64,
    /// Per mille of steps in which the lead of a region is handed over.
    pub transfer: u64,
    /// Per mille of steps in which hours pass.
    pub leap: u64,
    /// Per mille of steps in which some clock is set wrong.
    pub jump: u64,
    /// Per mille of steps in which some clock begins to run at another rate.
    pub drift: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub fn fair() -> Self {
        Self {
            loss: 0,
            double: 0,
            max_delay: 1,
            slow_disk: 0,
            disk_delay: 0,
            slow_apply: 0,
            crash: 0,
            torn: 0,
            disk_fault: 0,
            fill: 0,
            room: 100,
            restart: 100,
            cut: 0,
            heal: 100,
            transfer: 0,
            leap: 0,
            jump: 0,
            drift: 0,
        }
    }

    /// Each kind of fault is there or not, and then in a strength of its own.
    pub fn drawn(rng: &mut Rng) -> Self {
        let mut maybe = |percent: u64, below: u64| if rng.chance(percent) { 1 + rng.below(below) } else { 0 };
        Self {
            loss: maybe(60, 15),
            double: maybe(60, 15),
            max_delay: 1 + maybe(70, 7),
            slow_disk: maybe(60, 60),
            disk_delay: 1 + maybe(60, 8),
            slow_apply: maybe(50, 60),
            crash: maybe(70, 20),
            torn: maybe(50, 16),
            disk_fault: maybe(40, 12),
            fill: maybe(25, 6),
            room: 1 + maybe(100, 5),
            restart: 1 + maybe(100, 4),
            cut: maybe(70, 15),
            heal: 1 + maybe(100, 5),
            transfer: maybe(40, 6),
            leap: maybe(40, 8),
            jump: maybe(35, 8),
            drift: maybe(30, 8),
        }
    }
}

/// How the members of a run live.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Percent of steps in which somebody at a station does something.
    pub talk: u64,
    /// Percent of what is done that is about contended stock.
    pub contest: u64,
    /// Percent of what is done that is about the charter.
    pub affairs: u64,
    /// Steps between two rounds of a courier.
    pub courier_every: u64,
    /// Steps after which an unanswered command is sent again.
    pub retry_after: u64,
    /// Entries between two checkpoints.
    pub checkpoint_every: u64,
    /// Entries kept behind the older of two checkpoints.
    pub slack: u64,
    /// Bytes of a checkpoint per letter.
    pub chunk: usize,
    /// Milliseconds that pass with a step.
    pub step_ms: i64,
    /// How long a command stays valid, in milliseconds.
    pub validity_ms: i64,
    /// Whether programs of two ages run, and are exchanged during the storm.
    pub upgrading: bool,
    /// At which rate each station's clock begins, in twentieths.
    pub rates: [i64; STATIONS_MAX],
    /// How far each station's wall clock is off in the beginning, in milliseconds.
    pub skews_ms: [i64; STATIONS_MAX],
    /// How much longer each station's letters take at most, in steps.
    pub slow: [u64; STATIONS_MAX],
}

impl Habits {
    /// Draws them; clocks are right and lines fast when it is calm.
    pub fn drawn(rng: &mut Rng, calm: bool) -> Self {
        let often = [15, 40, 150][rng.index(3)];
        let (drift, skew, slow) =
            if calm { (0, 1, 0) } else { (rng.below(4), [1, 1_500, HOUR_MS][rng.index(3)], rng.below(3)) };
        let mut habits = Self {
            talk: 6 + rng.below(34),
            contest: if rng.chance(70) { 10 + rng.below(40) } else { 0 },
            affairs: if rng.chance(65) { 3 + rng.below(12) } else { 0 },
            courier_every: 4 + rng.below(20),
            retry_after: 20 + rng.below(60),
            checkpoint_every: 5 + rng.below(often),
            slack: [0, 0, 4, 100][rng.index(4)],
            chunk: 512 << rng.index(5),
            step_ms: [50, 1_000, 20_000, MINUTE_MS][rng.index(4)],
            validity_ms: [5 * MINUTE_MS, 30 * MINUTE_MS, DAY_MS][rng.index(3)],
            upgrading: false,
            rates: [RIGHT; STATIONS_MAX],
            skews_ms: [0; STATIONS_MAX],
            slow: [0; STATIONS_MAX],
        };
        for station in 0..STATIONS_MAX {
            if drift > 0 && rng.below(4) < drift {
                habits.rates[station] = drawn_rate(rng);
            }
            // An hour is for one in four, and the others are right.
            if skew < HOUR_MS || rng.chance(25) {
                habits.skews_ms[station] = between(rng, -skew..=skew);
            }
            if rng.chance(20) {
                habits.slow[station] = slow * (1 + rng.below(6));
            }
        }
        habits
    }

    /// Whether a hold that nobody signs may lapse within a run: then the histories of contended stock are not kept.
    pub fn holds_may_lapse(&self, weather: &Weather) -> bool {
        weather.leap > 0 || self.step_ms > 1_000
    }
}

/// A rate between standing still and three times as fast, mostly near the right one.
pub(crate) fn drawn_rate(rng: &mut Rng) -> i64 {
    match rng.below(4) {
        0 => between(rng, 0..=3 * RIGHT),
        1 => [0, 3 * RIGHT][rng.index(2)],
        _ => between(rng, RIGHT - 2..=RIGHT + 2),
    }
}

/// A number from a range of small numbers.
pub(crate) fn between(rng: &mut Rng, range: RangeInclusive<i64>) -> i64 {
    let width = range.end().abs_diff(*range.start()) + 1;
    // Below the width, which came from an i64.
    range.start() + i64::try_from(rng.below(width)).unwrap_or_default()
}
