//! What really happened, seen from above: the history of every record, and the checks that no node may escape.

use std::collections::BTreeMap;

use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{CommandId, MunicipalityCode, RegionId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Applied, Cause, Outcome, Record};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::invariants::check_across;

use crate::figures::Figures;

/// Who asked, and the id of what he asked.
pub(crate) type Key = (MunicipalityCode, CommandId);

/// Set in the ids of couriers' commands, which are numbered and may be executed again without effect.
pub(crate) const COURIER: u128 = 1 << 127;

/// Trace, verdict and figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Hash over everything delivered and done.
    pub trace: u64,
    /// The first thing that was not as it must be.
    pub violation: Option<String>,
    /// What was counted.
    pub figures: Figures,
}

impl Watch {
    /// Adds to the trace.
    pub fn mark(&mut self, values: &[u64]) {
        for value in values {
            self.trace = (self.trace ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// Keeps the first violation.
    pub fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// Keeps the error, if it is one.
    pub fn hold(&mut self, verdict: Result<(), String>) {
        if let Err(what) = verdict {
            self.violate(what);
        }
    }
}

/// The history of one record as first seen anywhere.
#[derive(Debug)]
pub(crate) struct Truth<M: Machine> {
    name: String,
    /// The furthest state that any node reached.
    pub record: Record<M>,
    /// By Raft index: term and content.
    committed: BTreeMap<u64, (u64, u64)>,
    /// By revision, at the end of an entry.
    roots: BTreeMap<u64, Hash32>,
    /// By revision, where somebody took a checkpoint.
    digests: BTreeMap<u64, Hash32>,
    executed: BTreeMap<Key, u64>,
    outcomes: BTreeMap<Key, Outcome>,
    acknowledged: BTreeMap<Key, Outcome>,
    leaders: BTreeMap<u64, usize>,
}

impl<M: Machine> Truth<M> {
    /// The history of a record right after founding.
    pub fn new(name: String, record: Record<M>) -> Self {
        Self {
            name,
            roots: BTreeMap::from([(record.revision(), record.ledger_root())]),
            record,
            committed: BTreeMap::new(),
            digests: BTreeMap::new(),
            executed: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            leaders: BTreeMap::new(),
        }
    }

    /// The highest Raft index applied anywhere.
    pub fn last(&self) -> u64 {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// One leader per term, and its log holds everything committed before.
    pub fn lead(&mut self, who: usize, term: u64, last: u64) -> Result<(), String> {
        let other = *self.leaders.entry(term).or_insert(who);
        if other != who {
            return Err(format!("{}: members {other} and {who} both lead term {term}", self.name));
        }
        let before = self.committed.iter().rev().find(|(_, (of, _))| *of < term);
        match before {
            Some((index, _)) if *index > last => {
                Err(format!("{}: member {who} leads term {term} with a log to {last}, {index} is committed", self.name))
            }
            _ => Ok(()),
        }
    }

    /// The same entry at the same index, everywhere.
    pub fn commit(&mut self, who: usize, index: u64, term: u64, content: u64) -> Result<(), String> {
        let first = *self.committed.entry(index).or_insert((term, content));
        if first == (term, content) {
            return Ok(());
        }
        Err(format!(
            "{}: at index {index} member {who} applied an entry of term {term}, another one of term {}",
            self.name, first.0
        ))
    }

    /// What an entry did on a node; whether that is news.
    pub fn apply(&mut self, who: usize, record: &Record<M>, applied: &Applied<M::Event>) -> Result<bool, String> {
        let (revision, root) = (record.revision(), record.ledger_root());
        if !applied.dropped.is_empty() {
            return Err(format!("{}: a batch of a known node was dropped by member {who}", self.name));
        }
        for (key, outcome) in &applied.outcomes {
            self.hear(who, *key, outcome)?;
        }
        if self.roots.get(&revision).is_some_and(|first| *first != root) {
            return Err(format!("{}: two ledgers at revision {revision}, one of them on member {who}", self.name));
        }
        if revision <= self.record.revision() {
            return Ok(false);
        }
        self.roots.insert(revision, root);
        for written in &applied.written {
            self.execute(written.record.revision, &written.record.cause)?;
        }
        self.record = record.clone();
        self.record.check().map_err(|what| format!("{}: revision {revision}: {what}", self.name))?;
        Ok(true)
    }

    /// A command has one outcome, whoever tells it and however often.
    pub fn hear(&mut self, who: usize, key: Key, outcome: &Outcome) -> Result<(), String> {
        if outcome.revision == 0 || key.1.0.as_u128() & COURIER != 0 {
            return Ok(());
        }
        let first = self.outcomes.entry(key).or_insert_with(|| outcome.clone());
        if first == outcome {
            return Ok(());
        }
        Err(format!("{}: command {} of {}: {first:?}, but on member {who} {outcome:?}", self.name, key.1, key.0))
    }

    fn execute(&mut self, revision: u64, cause: &Cause) -> Result<(), String> {
        let Cause::Command { bytes, proof } = cause else { return Ok(()) };
        let envelope: Envelope<M::Command> = code::decode("command", &bytes.0).map_err(|error| error.to_string())?;
        if M::is_numbered(&envelope.body) {
            return Ok(());
        }
        let key = (proof.node.municipality(), envelope.id);
        match self.executed.insert(key, revision) {
            None => Ok(()),
            Some(first) => Err(format!(
                "{}: command {} of {} was executed at revision {first} and again at {revision}",
                self.name, key.1, key.0
            )),
        }
    }

    /// A client was told.
    pub fn acknowledge(&mut self, key: Key, outcome: &Outcome) {
        self.acknowledged.insert(key, outcome.clone());
    }

    /// A state at rest on a node: the same revision has the same root and digest everywhere.
    pub fn compare(&mut self, who: usize, record: &Record<M>) -> Result<Hash32, String> {
        let (revision, digest) = (record.revision(), record.digest());
        let root = record.ledger_root();
        if self.roots.get(&revision).is_some_and(|first| *first != root) {
            return Err(format!("{}: two ledgers at revision {revision}, one of them on member {who}", self.name));
        }
        let first = *self.digests.entry(revision).or_insert(digest);
        if first == digest {
            return Ok(digest);
        }
        Err(format!("{}: two states at revision {revision}, one of them on member {who}", self.name))
    }

    /// Every command that somebody was told of stands in this copy at its revision, once.
    pub fn check_acknowledged(&self, who: usize, record: &Record<M>) -> Result<(), String> {
        for (key, outcome) in &self.acknowledged {
            let lost = || format!("{}: acknowledged command {} of {} is lost", self.name, key.1, key.0);
            if self.executed.get(key) != Some(&outcome.revision) || record.revision() < outcome.revision {
                return Err(format!("{} on member {who}", lost()));
            }
            if record.outcome(key.0, key.1).is_some_and(|told| told != outcome) {
                return Err(format!("{} on member {who}: it answers otherwise", lost()));
            }
        }
        Ok(())
    }
}

/// All that is known from above.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub watch: Watch,
    pub region_id: RegionId,
    pub region: Truth<Region>,
    pub registries: Vec<Truth<Registry>>,
}

impl Oracle {
    /// The books of a registry and the region, at the furthest that either came: both are committed history, so the
    /// equation holds whatever is on the way between them.
    pub fn across(&mut self, member: usize) {
        let Some(truth) = self.registries.get(member) else { return };
        let verdict = check_across(truth.record.machine(), self.region_id, self.region.record.machine());
        self.watch.hold(verdict.map_err(|what| format!("registry of member {member} and region: {what}")));
    }

    /// The same for every registry.
    pub fn across_all(&mut self) {
        (0..self.registries.len()).for_each(|member| self.across(member));
    }
}
