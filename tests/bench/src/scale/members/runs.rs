//! What a region is put through: rest, a steady load, and as much as its leader's line carries.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::agenda::{Event, Micros, SECOND};
use super::meter::{Part, Spent};
use super::network::{LEADER, OTHER, Region};
use crate::figures::{number, quantile};

/// How long a new leader has until its region is at work.
const BEGINS: Micros = 10 * SECOND;
/// How long a region is looked at that has nothing to do.
const RESTS: Micros = 30 * SECOND;
/// How long it may take until everybody knows of everything.
const PATIENCE: Micros = 300 * SECOND;
/// Commands under way where as many are said as are answered.
const UNDER_WAY: usize = 64;
/// For how long that goes on before it counts, and while it does.
const WARMS: Micros = 5 * SECOND;
const COUNTS: Micros = 15 * SECOND;

/// What the leader does in so much time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Bytes that it has sent, headers included.
    pub bytes: f64,
    /// Frames that it has sent.
    pub frames: f64,
    /// Processor time, in µs.
    pub cpu: f64,
    /// The same, by part.
    pub spent: Spent,
}

/// How it went under a steady load.
#[derive(Clone, Debug)]
pub struct Steady {
    /// For one commit, beyond what it does at rest.
    pub work: Work,
    /// From acceptance until the last member has it: median, and 99 of 100.
    pub fresh: [Duration; 2],
    /// From being said until answered, where it was said.
    pub answers: [Duration; 2],
}

impl Steady {
    /// The part of the leader's processor that is spent on talking to others.
    pub fn part_for_peers(&self) -> f64 {
        let talking = [Part::Raft, Part::Queue, Part::Pack, Part::Unpack, Part::Roll];
        let talks: f64 = talking.iter().map(|part| self.work.spent.on(*part).as_secs_f64()).sum();
        talks / self.work.spent.all().as_secs_f64()
    }
}

/// A place to read from where a leader stands.
struct Mark {
    at: Micros,
    sent: (u64, u64),
    spent: Spent,
    accepted: u64,
}

impl Region {
    fn mark(&self) -> Mark {
        let (at, sent) = (self.agenda.now(), self.members[LEADER].uplink.sent);
        Mark { at, sent, spent: self.spent, accepted: self.news.accepted }
    }

    fn since(&self, before: &Mark) -> Work {
        let spent = self.spent.since(&before.spent);
        let sent = self.members[LEADER].uplink.sent;
        Work {
            bytes: number(sent.0 - before.sent.0),
            frames: number(sent.1 - before.sent.1),
            cpu: spent.all().as_secs_f64() * 1e6,
            spent,
        }
    }

    /// The first member leads, and everybody follows it.
    pub fn begin(&mut self) -> Result<()> {
        self.run(self.agenda.now() + BEGINS)?;
        ensure!(self.members[LEADER].is_ready(), "the first member does not lead");
        Ok(())
    }

    /// What the leader does each second when nobody says anything.
    pub fn rest(&mut self) -> Result<Work> {
        let before = self.mark();
        self.run(before.at + RESTS)?;
        Ok(self.since(&before).over(seconds(RESTS)))
    }

    /// So many commands, so many a second, said by the leader's people and by those of another in turn.
    pub fn steady(&mut self, per_second: u32, count: usize, rest: &Work) -> Result<Steady> {
        self.news.forget();
        let before = self.mark();
        for n in 0..count as Micros {
            let (at, apart) = (if n % 2 == 0 { LEADER } else { OTHER }, SECOND / Micros::from(per_second));
            self.agenda.at(before.at + n * apart, Event::Asks(at));
        }
        self.run(before.at + count as Micros * SECOND / Micros::from(per_second))?;
        self.settle()?;
        ensure!(self.news.fresh.len() == count, "{} of {count} are accepted", self.news.fresh.len());
        let (took, all) = (seconds(self.agenda.now() - before.at), self.since(&before));
        let work = all.without(rest, took).over(number(count as u64));
        let (mut fresh, mut answers) = (durations(&self.news.fresh), durations(&self.news.answers));
        Ok(Steady { work, fresh: middle_and_most(&mut fresh), answers: middle_and_most(&mut answers) })
    }

    /// As many as the leader's line carries, if as many are said as are answered: how many a second, and what the leader
    /// does for one. None if it loses its lead over that, since the voters hear it no more.
    pub fn full(&mut self) -> Result<Option<(f64, Work)>> {
        self.news.forget();
        self.news.again = true;
        for n in 0..UNDER_WAY {
            self.agenda.after(0, Event::Asks(if n % 2 == 0 { LEADER } else { OTHER }));
        }
        self.run(self.agenda.now() + WARMS)?;
        let before = self.mark();
        self.run(before.at + COUNTS)?;
        let (accepted, work) = (number(self.news.accepted - before.accepted), self.since(&before));
        self.news.again = false;
        if self.news.elections > 0 || !self.members[LEADER].leads() {
            return Ok(None);
        }
        self.settle()?;
        Ok(Some((accepted / seconds(COUNTS), work.over(accepted))))
    }

    /// Waits until everybody knows of everything; then all ledgers must be one.
    fn settle(&mut self) -> Result<()> {
        let until = self.agenda.now() + PATIENCE;
        while !self.news.is_quiet() {
            let (patience, behind) = (PATIENCE / SECOND, || self.behind());
            ensure!(self.agenda.now() < until, "not everybody knows of everything after {patience} s: {}", behind());
            self.run(self.agenda.now() + SECOND / 10)?;
        }
        self.agrees().map(drop)
    }
}

impl Work {
    /// For each of so many.
    fn over(self, count: f64) -> Self {
        Self { bytes: self.bytes / count, frames: self.frames / count, cpu: self.cpu / count, ..self }
    }

    /// Without what is done at rest in so many seconds.
    fn without(self, rest: &Self, seconds: f64) -> Self {
        let less = |all: f64, rest: f64| (all - rest * seconds).max(0.0);
        Self {
            bytes: less(self.bytes, rest.bytes),
            frames: less(self.frames, rest.frames),
            cpu: less(self.cpu, rest.cpu),
            ..self
        }
    }
}

fn seconds(micros: Micros) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

fn durations(micros: &[Micros]) -> Vec<Duration> {
    micros.iter().copied().map(Duration::from_micros).collect()
}

fn middle_and_most(values: &mut [Duration]) -> [Duration; 2] {
    [0.5, 0.99].map(|part| quantile(values, part).unwrap_or_default())
}
