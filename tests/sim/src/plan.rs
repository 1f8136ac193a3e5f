//! What a run is: its seed, its length, and how bad its weather is.

use std::ops::RangeInclusive;

use shouwang_domain::testing::Rng;
use shouwang_domain::time::{DAY_MS, MINUTE_MS};

/// An error planted in the node's shell, to see that the checks see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    /// None: any violation is a real one.
    #[default]
    None,
    /// Writes are reported as durable before they are.
    LieAboutPersistence,
    /// A restart forgets which commands were executed.
    DropDedupOnRestart,
    /// A restart takes the newest checkpoint and leaves out the log behind it.
    LoseLogTail,
}

impl Plant {
    /// All of them, and none.
    pub const ALL: [Self; 4] = [Self::None, Self::LieAboutPersistence, Self::DropDedupOnRestart, Self::LoseLogTail];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LieAboutPersistence => "lie-about-persistence",
            Self::DropDedupOnRestart => "drop-dedup-on-restart",
            Self::LoseLogTail => "lose-log-tail",
        }
    }
}

/// A run, wholly determined.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Steps of the safety phase; a step is one tick of every replica.
    pub steps: u64,
    /// What is planted.
    pub plant: Plant,
}

impl Plan {
    /// Steps of a run in CI.
    pub const STEPS: u64 = 600;

    /// A run of the usual length without a planted error.
    pub fn new(seed: u64) -> Self {
        Self { seed, steps: Self::STEPS, plant: Plant::None }
    }
}

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
    /// Percent of steps in which some dead node starts again.
    pub restart: u64,
    /// Per mille of steps in which the network is cut.
    pub cut: u64,
    /// Percent of steps in which all cuts heal.
    pub heal: u64,
    /// Per mille of steps in which a checkpoint is interrupted by a power cut.
    pub torn_checkpoint: u64,
    /// Per mille of steps in which the lead is handed over.
    pub transfer: u64,
    /// Per mille of steps in which all clocks leap by hours.
    pub leap: u64,
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
            restart: 100,
            cut: 0,
            heal: 100,
            torn_checkpoint: 0,
            transfer: 0,
            leap: 0,
        }
    }

    fn drawn(rng: &mut Rng) -> Self {
        Self {
            loss: rng.below(15),
            double: rng.below(15),
            max_delay: 1 + rng.below(8),
            slow_disk: rng.below(60),
            disk_delay: 1 + rng.below(8),
            slow_apply: rng.below(60),
            crash: rng.below(25),
            restart: 1 + rng.below(4),
            cut: rng.below(15),
            heal: 1 + rng.below(5),
            torn_checkpoint: rng.below(8),
            transfer: rng.below(5),
            leap: rng.below(8),
        }
    }
}

/// How the members of a run live.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// How many municipalities.
    pub members: usize,
    /// Percent of steps in which somebody of a member does something.
    pub talk: u64,
    /// Steps between two rounds of a courier.
    pub courier_every: u64,
    /// Steps after which an unanswered command is sent again.
    pub retry_after: u64,
    /// Entries between two checkpoints.
    pub checkpoint_every: u64,
    /// Whether the log is kept back to the older of two checkpoints, or dropped behind the newest.
    pub keep_older: bool,
    /// Bytes of a checkpoint per letter.
    pub chunk: usize,
    /// Milliseconds that pass with a step on every wall clock.
    pub step_ms: i64,
    /// How far each wall clock is off, in milliseconds.
    pub skew_ms: Vec<i64>,
    /// How long a command stays valid, in milliseconds.
    pub validity_ms: i64,
}

impl Habits {
    fn drawn(rng: &mut Rng, calm: bool) -> Self {
        let members = 5 + rng.index(2);
        let often = [40, 150][rng.index(2)];
        let skew = if calm { 1 } else { [1, 2_000, 120_000][rng.index(3)] };
        Self {
            members,
            talk: 4 + rng.below(24),
            courier_every: 4 + rng.below(20),
            retry_after: 20 + rng.below(60),
            checkpoint_every: 5 + rng.below(often),
            keep_older: rng.chance(50),
            chunk: 512 << rng.index(5),
            step_ms: [50, 1_000, 20_000, MINUTE_MS][rng.index(4)],
            skew_ms: (0..members).map(|_| between(rng, -skew..=skew)).collect(),
            validity_ms: [5 * MINUTE_MS, 30 * MINUTE_MS, DAY_MS][rng.index(3)],
        }
    }
}

/// A number from a range of small numbers.
pub(crate) fn between(rng: &mut Rng, range: RangeInclusive<i64>) -> i64 {
    let width = range.end().abs_diff(*range.start()) + 1;
    // Below the width, which came from an i64.
    range.start() + i64::try_from(rng.below(width)).unwrap_or_default()
}

/// Weather and habits of a seed; one seed in six is calm.
pub(crate) fn draw(rng: &mut Rng) -> (Weather, Habits) {
    let calm = rng.below(6) == 0;
    let weather = if calm { Weather::fair() } else { Weather::drawn(rng) };
    (weather, Habits::drawn(rng, calm))
}
