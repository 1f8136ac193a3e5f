//! The history of one record as first seen anywhere, rebuilt from its ledger alone.

use std::collections::{BTreeMap, HashMap};

use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Applied, Cause, LedgerRecord, Outcome, Record, Written};

use crate::oracle::Hosted;
use crate::raft_rules::RaftRules;
use crate::watch::{Verdict, Violation};

/// Who asked, and the id of what he asked.
pub(crate) type Key = (MunicipalityCode, CommandId);

/// Set in the ids of couriers' commands, which are numbered and may be executed again without effect.
pub(crate) const COURIER: u128 = 1 << 127;

/// The history of one record.
#[derive(Debug)]
pub(crate) struct Truth<M: Machine> {
    pub name: String,
    /// The furthest state that any node reached, rebuilt by replaying ledger records.
    pub record: Record<M>,
    pub raft: RaftRules,
    /// By revision.
    roots: BTreeMap<u64, Hash32>,
    /// By revision, where somebody took a checkpoint.
    digests: BTreeMap<u64, Hash32>,
    executed: HashMap<Key, u64>,
    outcomes: HashMap<Key, Outcome>,
    acknowledged: BTreeMap<Key, Outcome>,
    /// By the hash of a batch: who signed it, with which key.
    signed: HashMap<Hash32, (NodeId, Vec<u8>)>,
    /// Something new since the last look at what must always be true.
    pub changed: bool,
}

impl<M: Hosted> Truth<M> {
    /// The history of a record right after founding.
    pub fn new(name: String, record: Record<M>) -> Self {
        Self {
            name,
            roots: BTreeMap::from([(record.revision(), record.ledger_root())]),
            record,
            raft: RaftRules::default(),
            digests: BTreeMap::new(),
            executed: HashMap::new(),
            outcomes: HashMap::new(),
            acknowledged: BTreeMap::new(),
            signed: HashMap::new(),
            changed: true,
        }
    }

    fn wrong(&self, check: &str, what: impl std::fmt::Display) -> Violation {
        Violation::new(check, format!("{}: {what}", self.name))
    }

    /// A node has signed a batch.
    pub fn sign(&mut self, batch: &[u8], node: NodeId, key: Vec<u8>) {
        self.signed.insert(Hash32::of(&[batch]), (node, key));
    }

    /// What an entry did on a node. Returns how many batches were rightly dropped.
    pub fn apply(&mut self, id: u64, record: &Record<M>, applied: &Applied<M::Event>) -> Result<u64, Violation> {
        let (revision, root) = (record.revision(), record.ledger_root());
        for (key, outcome) in &applied.outcomes {
            self.hear(id, *key, outcome)?;
        }
        if self.roots.get(&revision).is_some_and(|first| *first != root) {
            return Err(self.wrong("one ledger", format!("two at revision {revision}, one of them on node {id}")));
        }
        let before = self.record.clone();
        if revision > before.revision() {
            let is_command = |written: &&Written<M::Event>| matches!(written.record.cause, Cause::Command { .. });
            let first_command = applied.written.iter().find(is_command).map(|written| written.record.revision);
            for written in &applied.written {
                self.timers_by_record_time(&written.record, first_command)?;
                self.follow(written)?;
            }
            if self.record.ledger_root() != root {
                let what = format!("replayed to revision {revision} it has another root than node {id}");
                return Err(self.wrong("ledger replay", what));
            }
            self.changed = true;
        }
        for batch in &applied.dropped {
            self.may_drop(&before, batch)?;
        }
        Ok(applied.dropped.len() as u64)
    }

    /// What is due fires before the first command of an entry is decided, and nothing fires before it is due.
    fn timers_by_record_time(&self, record: &LedgerRecord<M::Event>, first_command: Option<u64>) -> Verdict {
        let due = self.record.next_due().is_some_and(|due| due <= record.at);
        let fired = matches!(record.cause, Cause::Timer);
        if fired == due || (due && first_command != Some(record.revision)) {
            return Ok(());
        }
        let what =
            if fired { "a timer fires before it is due" } else { "a command is decided before a timer that is due" };
        Err(self.wrong("timers by record time", format!("revision {}: {what}", record.revision)))
    }

    /// One ledger record is replayed, and looked at with the states before and after it.
    fn follow(&mut self, written: &Written<M::Event>) -> Verdict {
        let before = self.record.clone();
        let replayed = self.record.replay(&written.bytes);
        replayed.map_err(|error| self.wrong("ledger replay", error))?;
        self.roots.insert(self.record.revision(), self.record.ledger_root());
        let record = &written.record;
        let envelope = self.execute(record)?;
        if let Cause::Command { proof, .. } = &record.cause {
            let in_force = before.machine().signers(proof.node, record.at);
            if !in_force.iter().any(|signer| signer.public_key == proof.public_key.0) {
                let what = format!("revision {} is signed by a key of {} not in force", record.revision, proof.node);
                return Err(self.wrong("keys in force", what));
            }
        }
        if record.at < before.time() {
            return Err(
                self.wrong("record time", format!("revision {} lies before the one before it", record.revision))
            );
        }
        let grown = self.record.machine().check_after(before.machine());
        grown.map_err(|what| self.wrong("history only grows", format!("revision {}: {what}", record.revision)))?;
        M::judge(before.machine(), (record, envelope.as_ref()), self.record.machine(), &self.roots)
            .map_err(|Violation { check, what }| self.wrong(&check, format!("revision {}: {what}", record.revision)))
    }

    /// A batch is dropped whole only if its key was not in force.
    fn may_drop(&self, before: &Record<M>, batch: &Hash32) -> Verdict {
        let Some((node, key)) = self.signed.get(batch) else {
            return Err(self.wrong("keys in force", "a batch was dropped that nobody signed"));
        };
        let in_force = |record: &Record<M>| {
            let signers = record.machine().signers(*node, self.record.time());
            signers.iter().any(|signer| signer.public_key == *key)
        };
        if in_force(before) && in_force(&self.record) {
            return Err(self.wrong("keys in force", format!("a batch of node {node} was dropped, its key is in force")));
        }
        Ok(())
    }

    /// A command has one outcome, whoever tells it and however often.
    pub fn hear(&mut self, id: u64, key: Key, outcome: &Outcome) -> Verdict {
        if outcome.revision == 0 || key.1.0.as_u128() & COURIER != 0 {
            return Ok(());
        }
        let first = self.outcomes.entry(key).or_insert_with(|| outcome.clone());
        if first == outcome {
            return Ok(());
        }
        let what = format!("command {} of {}: {first:?}, but on node {id} {outcome:?}", key.1, key.0);
        Err(self.wrong("one outcome", what))
    }

    /// What a ledger record executes; a command is executed once.
    fn execute(&mut self, record: &LedgerRecord<M::Event>) -> Result<Option<Envelope<M::Command>>, Violation> {
        let (revision, Cause::Command { bytes, proof }) = (record.revision, &record.cause) else { return Ok(None) };
        let envelope: Envelope<M::Command> =
            code::decode("command", &bytes.0).map_err(|error| self.wrong("executed once", error))?;
        if M::is_numbered(&envelope.body) {
            return Ok(Some(envelope));
        }
        let key = (proof.node.municipality(), envelope.id);
        match self.executed.insert(key, revision) {
            None => Ok(Some(envelope)),
            Some(first) => {
                let what = format!("command {} of {} at revision {first} and again at {revision}", key.1, key.0);
                Err(self.wrong("executed once", what))
            }
        }
    }

    /// At which revision a command was executed.
    pub fn executed(&self, key: &Key) -> Option<u64> {
        self.executed.get(key).copied()
    }

    /// A client was told.
    pub fn acknowledge(&mut self, key: Key, outcome: &Outcome) {
        self.acknowledged.insert(key, outcome.clone());
    }

    /// A state that somebody writes down: the same revision has the same digest everywhere.
    pub fn compare_digest(&mut self, id: u64, revision: u64, digest: Hash32) -> Verdict {
        if *self.digests.entry(revision).or_insert(digest) == digest {
            return Ok(());
        }
        Err(self.wrong("one state", format!("two at revision {revision}, one of them on node {id}")))
    }

    /// A state at rest is the one that its ledger gives, value by value and not only by its digest.
    pub fn compare_whole(&self, id: u64, record: &Record<M>) -> Verdict {
        if record == &self.record {
            return Ok(());
        }
        let what = format!("node {id} holds another at revision {} than its ledger gives", record.revision());
        Err(self.wrong("one state", what))
    }

    /// Every command that somebody was told of stands in this copy at its revision, once.
    pub fn check_acknowledged(&self, id: u64, record: &Record<M>) -> Verdict {
        for (key, outcome) in &self.acknowledged {
            let lost = |how: &str| {
                self.wrong("nothing acknowledged is lost", format!("command {} of {} {how} on node {id}", key.1, key.0))
            };
            if self.executed.get(key) != Some(&outcome.revision) || record.revision() < outcome.revision {
                return Err(lost("is missing"));
            }
            if record.outcome(key.0, key.1).is_some_and(|told| told != outcome) {
                return Err(lost("is answered otherwise"));
            }
        }
        Ok(())
    }
}
