//! A record, and the node that speaks to it: what its people say becomes signed batches and entries of a log.

use std::sync::Arc;

use shouwang_domain::actor::Actor;
use shouwang_domain::code;
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Applied, Entry, Record, Verdict};
use shouwang_domain::time::{HOUR_MS, Timestamp};
use shouwang_driver::{CachedVerifier, Ed25519Signer, Ed25519Verifier, Signer as _, sign_batch};

/// The key of a municipality's node.
pub fn key_of(code: MunicipalityCode) -> Ed25519Signer {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&code.get().to_be_bytes());
    Ed25519Signer::from_seed(&seed).expect("32 bytes are a seed")
}

/// The first node of a municipality.
pub fn node_of(code: MunicipalityCode) -> NodeId {
    NodeId::new(code, 1).expect("node 1 of a valid code")
}

/// The record before its node.
#[derive(Clone)]
pub struct Desk<M: Machine> {
    /// The record, as it stands.
    pub record: Record<M>,
    /// What its clock shows.
    pub now: Timestamp,
    /// The node.
    pub node: NodeId,
    key: Arc<Ed25519Signer>,
    /// As a node verifies: what was good on receipt is known at apply.
    verifier: Arc<CachedVerifier<Ed25519Verifier>>,
    said: u128,
}

impl<M: Machine> Desk<M> {
    /// The desk of the first node of this municipality.
    pub fn new(record: Record<M>, now: Timestamp, of: MunicipalityCode) -> Self {
        let (key, verifier) = (Arc::new(key_of(of)), Arc::new(CachedVerifier::new(Ed25519Verifier)));
        Self { record, now, node: node_of(of), key, verifier, said: 0 }
    }

    /// The key it signs with.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key()
    }

    /// What somebody asks for, under an id of its own that no world has given.
    pub fn envelope(&mut self, actor: Actor, body: M::Command) -> Envelope<M::Command> {
        self.said += 1;
        let id = CommandId::from_u128(u128::MAX - self.said);
        Envelope { id, actor, valid_until: self.now.plus_ms(24 * HOUR_MS), body }
    }

    /// The batch of some commands, signed.
    pub fn batch(&self, commands: Vec<Vec<u8>>) -> Batch {
        let mut batch = Batch::unsigned(self.record.id(), self.record.epoch(), self.node, commands);
        sign_batch(&mut batch, &*self.key);
        batch
    }

    /// The log entry of a batch.
    pub fn entry(&self, batch: &Batch) -> Vec<u8> {
        code::encode(&Entry { stamp: self.now, batches: vec![Bytes(code::encode(batch))] })
    }

    /// What an entry does to a record.
    pub fn apply(&self, record: &mut Record<M>, entry: &[u8]) -> Applied<M::Event> {
        record.apply(entry, &*self.verifier).expect("a level of this program")
    }

    /// Lets commands happen, all of which must be accepted.
    pub fn carry_out(&mut self, said: Vec<(Actor, M::Command)>) -> Applied<M::Event> {
        let count = said.len();
        let envelopes: Vec<_> = said.into_iter().map(|(actor, body)| self.envelope(actor, body)).collect();
        let entry = self.entry(&self.batch(envelopes.iter().map(code::encode).collect()));
        let mut record = self.record.clone();
        let applied = self.apply(&mut record, &entry);
        assert_eq!(applied.written.len(), count, "every command leaves a record");
        for (_, outcome) in &applied.outcomes {
            assert_eq!(outcome.verdict, Verdict::Accepted, "what is measured is what happens, not a refusal");
        }
        self.record = record;
        applied
    }
}
