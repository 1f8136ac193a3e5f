//! The lines between the nodes: they lose, delay, double and reorder, and they can be cut, one way or both.

use std::collections::{BTreeMap, BTreeSet};

use raft_proto::eraftpb::Message;
use shouwang_domain::hash::Bytes;
use shouwang_domain::testing::Rng;

use crate::plan::Weather;

/// What one node tells another.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// Raft's own, of the region.
    Raft(Box<Message>),
    /// Encoded batches for the leader.
    Batches(Vec<Bytes>),
    /// Asks for a part of a checkpoint.
    Fetch { index: u64, offset: u64 },
    /// A part of a checkpoint.
    Part { index: u64, digest: [u8; 32], size: u64, offset: u64, bytes: Vec<u8> },
    /// That checkpoint is not held any more.
    Gone { index: u64 },
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub from: usize,
    pub to: usize,
    pub wire: Wire,
}

impl Letter {
    /// What distinguishes it, for the trace.
    pub fn marks(&self) -> [u64; 6] {
        let (from, to) = (self.from as u64, self.to as u64);
        match &self.wire {
            Wire::Raft(m) => {
                let kind = m.get_msg_type() as u64;
                let size: usize = m.get_entries().iter().map(|entry| entry.get_data().len()).sum();
                [from, to, kind, m.get_term(), m.get_index() ^ (m.get_commit() << 32), size as u64]
            }
            Wire::Batches(batches) => [from, to, 100, batches.len() as u64, total(batches), 0],
            Wire::Fetch { index, offset } => [from, to, 101, *index, *offset, 0],
            Wire::Part { index, offset, size, bytes, .. } => {
                [from, to, 102, *index ^ size, *offset, bytes.len() as u64]
            }
            Wire::Gone { index } => [from, to, 103, *index, 0, 0],
        }
    }
}

fn total(batches: &[Bytes]) -> u64 {
    batches.iter().map(|batch| batch.0.len() as u64).sum()
}

/// Everything on its way, by the step it arrives in.
#[derive(Debug, Default)]
pub(crate) struct Network {
    letters: BTreeMap<(u64, u64), Letter>,
    sequence: u64,
    cut: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Puts a letter on its way, or not, or twice.
    pub fn post(&mut self, now: u64, letter: &Letter, weather: &Weather, rng: &mut Rng) {
        let copies = if rng.chance(weather.double) { 2 } else { 1 };
        for _ in 0..copies {
            if rng.chance(weather.loss) {
                continue;
            }
            let due = now + 1 + rng.below(weather.max_delay);
            self.sequence += 1;
            self.letters.insert((due, self.sequence), letter.clone());
        }
    }

    /// What arrives now. What meets a cut is lost.
    pub fn arrivals(&mut self, now: u64) -> Vec<Letter> {
        let later = self.letters.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut self.letters, later);
        due.into_values().filter(|letter| !self.cut.contains(&(letter.from, letter.to))).collect()
    }

    /// Cuts the way from each of `from` to each of `to`.
    pub fn cut(&mut self, from: &[usize], to: &[usize]) {
        for a in from {
            self.cut.extend(to.iter().map(|b| (*a, *b)).filter(|(a, b)| a != b));
        }
    }

    /// All lines are whole again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Whether any line is cut.
    pub fn is_cut(&self) -> bool {
        !self.cut.is_empty()
    }
}
