//! What was counted, so that a run that met nothing is not taken for one that withstood everything.

use std::fmt;
use std::ops::AddAssign;

/// Counts of one run, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs.
    pub seeds: u64,
    /// Steps of all phases.
    pub steps: u64,
    /// Commands of people that were answered with a ledger record.
    pub answered: u64,
    /// Of those, accepted.
    pub accepted: u64,
    /// Commands that came too late to be decided.
    pub expired: u64,
    /// Ledger records of all records.
    pub ledger_records: u64,
    /// Raft entries applied, on all nodes together.
    pub applied: u64,
    /// Letters delivered.
    pub letters: u64,
    /// Elections won.
    pub elections: u64,
    /// Nodes that lost power.
    pub crashes: u64,
    /// Log writes that a crash took with it.
    pub lost_writes: u64,
    /// Cuts of the network.
    pub cuts: u64,
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Checkpoints installed from a peer.
    pub installs: u64,
    /// Linearizable reads answered.
    pub reads: u64,
    /// Missions that came to be.
    pub missions: u64,
    /// Missions whose goods left.
    pub departed: u64,
}

impl Figures {
    fn rows(&self) -> [(&'static str, u64); 17] {
        [
            ("seeds", self.seeds),
            ("steps", self.steps),
            ("answered", self.answered),
            ("accepted", self.accepted),
            ("expired", self.expired),
            ("ledger_records", self.ledger_records),
            ("applied", self.applied),
            ("letters", self.letters),
            ("elections", self.elections),
            ("crashes", self.crashes),
            ("lost_writes", self.lost_writes),
            ("cuts", self.cuts),
            ("checkpoints", self.checkpoints),
            ("installs", self.installs),
            ("reads", self.reads),
            ("missions", self.missions),
            ("departed", self.departed),
        ]
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.answered += other.answered;
        self.accepted += other.accepted;
        self.expired += other.expired;
        self.ledger_records += other.ledger_records;
        self.applied += other.applied;
        self.letters += other.letters;
        self.elections += other.elections;
        self.crashes += other.crashes;
        self.lost_writes += other.lost_writes;
        self.cuts += other.cuts;
        self.checkpoints += other.checkpoints;
        self.installs += other.installs;
        self.reads += other.reads;
        self.missions += other.missions;
        self.departed += other.departed;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, count) in self.rows() {
            let gap = if std::mem::take(&mut first) { "" } else { " " };
            write!(f, "{gap}{name}={count}")?;
        }
        Ok(())
    }
}
