//! The lines between the stations: they lose, delay, double and reorder, and they can be cut, one way or both.

use std::collections::BTreeMap;

use raft_proto::eraftpb::Message;
use shouwang_domain::hash::Bytes;
use shouwang_domain::testing::Rng;

use crate::cast::{STATIONS_MAX, Which};
use crate::weather::Weather;

/// What one node tells another about a record.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// Raft's own.
    Raft(Box<Message>),
    /// Encoded batches for the leader.
    Batches(Vec<Bytes>),
    /// Asks for a part of the newest checkpoint, at least of this index.
    Fetch { index: u64, digest: [u8; 32], offset: u64 },
    /// A part of a checkpoint.
    Part { index: u64, digest: [u8; 32], size: u64, offset: u64, bytes: Vec<u8> },
    /// No such checkpoint is held.
    Gone,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub from: usize,
    pub to: usize,
    pub of: Which,
    /// What the sender's clock says, in milliseconds.
    pub clock_ms: i64,
    /// What time it really is, in milliseconds.
    pub sent_ms: i64,
    /// In which step it was posted.
    pub posted: u64,
    /// Whether the sender holds the whole ledger.
    pub whole: bool,
    pub wire: Wire,
}

impl Letter {
    /// What distinguishes it, for the trace.
    pub fn marks(&self) -> [u64; 6] {
        let [a, b, c, d] = match &self.wire {
            Wire::Raft(m) => {
                let size: usize = m.get_entries().iter().map(|entry| entry.get_data().len()).sum();
                [m.get_msg_type() as u64, m.get_term(), m.get_index() ^ (m.get_commit() << 32), size as u64]
            }
            Wire::Batches(batches) => {
                let total: usize = batches.iter().map(|batch| batch.0.len()).sum();
                [100, batches.len() as u64, total as u64, 0]
            }
            Wire::Fetch { index, offset, .. } => [101, *index, *offset, 0],
            Wire::Part { index, offset, size, bytes, .. } => [102, *index ^ size, *offset, bytes.len() as u64],
            Wire::Gone => [103, 0, 0, 0],
        };
        [(self.from as u64) << 8 | self.to as u64, self.of.mark(), a, b, c, d]
    }
}

/// Everything on its way, by the step it arrives in.
#[derive(Debug)]
pub(crate) struct Network {
    letters: BTreeMap<u64, Vec<Letter>>,
    /// By sender, a bit per receiver.
    cut: [u32; STATIONS_MAX],
    /// How much longer each station's letters take, in steps.
    slow: [u64; STATIONS_MAX],
}

impl Network {
    /// Whole lines, with how much longer the letters of some stations take.
    pub fn new(slow: [u64; STATIONS_MAX]) -> Self {
        Self { letters: BTreeMap::new(), cut: [0; STATIONS_MAX], slow }
    }

    /// Puts a letter on its way, or not, or twice.
    pub fn post(&mut self, letter: Letter, weather: &Weather, rng: &mut Rng) {
        if rng.chance(weather.double) {
            self.send(letter.clone(), weather, rng);
        }
        self.send(letter, weather, rng);
    }

    fn send(&mut self, letter: Letter, weather: &Weather, rng: &mut Rng) {
        if rng.chance(weather.loss) {
            return;
        }
        let slow = self.slow[letter.from].max(self.slow[letter.to]);
        let due = letter.posted + 1 + rng.below(weather.max_delay) + rng.below(slow + 1);
        self.letters.entry(due).or_default().push(letter);
    }

    /// What arrives now. What meets a cut is lost.
    pub fn arrivals(&mut self, now: u64) -> impl Iterator<Item = Letter> {
        let due = self.letters.remove(&now).unwrap_or_default();
        let cut = self.cut;
        due.into_iter().filter(move |letter| cut[letter.from] & (1 << letter.to) == 0)
    }

    /// Cuts the way from each of `from` to each of `to`.
    pub fn cut(&mut self, from: &[usize], to: &[usize]) {
        for a in from {
            self.cut[*a] |= to.iter().filter(|b| *b != a).fold(0, |bits, b| bits | 1 << b);
        }
    }

    /// All lines are whole again.
    pub fn heal(&mut self) {
        self.cut = [0; STATIONS_MAX];
    }

    /// All lines are fast.
    pub fn speed_up(&mut self) {
        self.slow = [0; STATIONS_MAX];
    }

    /// Whether any line is cut.
    pub fn is_cut(&self) -> bool {
        self.cut != [0; STATIONS_MAX]
    }
}
