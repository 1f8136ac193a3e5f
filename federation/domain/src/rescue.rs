//! Rescue: a region whose voters are lost for good goes on with those who are left, in another *epoch* (domain.md §2).
//!
//! While the old epoch could still decide somewhere else, two regions would promise the same goods. So each member that is
//! left first gives its word ([`Standing`]): how far its log reaches, and that its disk takes part in nothing of the old
//! epoch any more. The one whose log reaches furthest begins the new epoch, and names every voter that has given no word as
//! lost. What the lost ones alone had decided is not in it: whoever asked for that asks again, under the same ids.
//!
//! What must never stand here: a rescue out of the log – who could write it there has a quorum and needs none.

use serde::{Deserialize, Serialize};

use crate::code;
use crate::command::{CommandProof, Envelope};
use crate::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use crate::ids::{NodeId, RecordId};
use crate::machine::Machine as _;
use crate::record::{Cause, LedgerRecord, Record, Written};
use crate::refusal::Refusal;
use crate::region::Region;
use crate::region::command::RegionCommand;
use crate::region::draft::check_text;
use crate::region::event::RegionEvent;
use crate::time::Timestamp;

/// Separates these signatures from every other use of the same key.
const STANDING_DOMAIN: &[u8] = b"shouwang.standing.v1\0";

/// How far a node has come in a record, all of its log carried out; whoever says so takes part in nothing more of the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Of which record.
    pub record: RecordId,
    /// The epoch that ends for this node.
    pub epoch: u32,
    /// Which node.
    pub node: NodeId,
    /// The Raft term of its last log entry.
    pub term: u64,
    /// The Raft index of its last log entry.
    pub index: u64,
    /// The newest revision of its ledger.
    pub revision: u64,
    /// The Merkle root of its ledger (RFC 6962 §2.1).
    pub root: Hash32,
}

impl Standing {
    /// What the node signs.
    pub fn signed_message(&self) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            STANDING_DOMAIN,
            &self.record.0,
            &self.epoch.to_be_bytes(),
            &self.node.get().to_be_bytes(),
            &self.term.to_be_bytes(),
            &self.index.to_be_bytes(),
            &self.revision.to_be_bytes(),
            &self.root.0,
        ];
        parts.concat()
    }

    /// Of two logs the one with the later last entry holds all that was ever committed on either (Raft, Ongaro 2014, §3.6.1).
    pub fn reach(&self) -> (u64, u64) {
        (self.term, self.index)
    }
}

/// A standing with the signature of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStanding {
    /// What is said.
    pub standing: Standing,
    /// The scheme of the key.
    pub algorithm: SignatureAlgorithm,
    /// The key it signed with.
    pub public_key: Bytes,
    /// The signature over [`Standing::signed_message`].
    pub signature: Bytes,
}

impl SignedStanding {
    /// Whether the key it names has signed it. Whether that key is the node's, the charter tells.
    pub fn holds(&self, verifier: &dyn Verifier) -> bool {
        verifier.verify(self.algorithm, &self.public_key.0, &self.standing.signed_message(), &self.signature.0)
    }
}

impl Record<Region> {
    /// Begins the next epoch: the first thing that the ledger has beyond what its last log held.
    ///
    /// # Errors
    /// The region's refusal: [`Record::rescued`]; or bytes that are no command.
    pub fn begin_epoch(
        &mut self,
        now: Timestamp,
        bytes: Bytes,
        proof: CommandProof,
        verifier: &dyn Verifier,
    ) -> Result<Written<RegionEvent>, Refusal> {
        let events = self.rescued(self.time().max(now), &decoded(&bytes)?, proof.node, verifier)?;
        self.write_decided(now, bytes, proof, |_, _, _| Ok(events))
    }

    /// What comes of a rescue begun by a node: the word of all who are left, nobody of whom has more, and the names of all
    /// voters who gave none.
    ///
    /// # Errors
    /// `INVALID_FIELD` for a word that does not hold or is of another record or epoch, and for voters that are not
    /// accounted for; `NOT_LONGEST` where another has more.
    pub fn rescued(
        &self,
        now: Timestamp,
        command: &RegionCommand,
        by: NodeId,
        verifier: &dyn Verifier,
    ) -> Result<Vec<RegionEvent>, Refusal> {
        let RegionCommand::Rescue { standings, lost, reason } = command else {
            return Err(Refusal::Malformed { detail: "no rescue".to_owned() });
        };
        check_text("reason", reason, 500)?;
        standings.iter().try_for_each(|signed| self.check_word(now, signed, verifier))?;
        let of = |node: NodeId| standings.iter().find(|signed| signed.standing.node == node);
        let own = of(by).ok_or_else(|| Refusal::not_found("standing", by))?.standing;
        if (own.revision, own.root) != (self.revision(), self.ledger_root()) {
            return Err(Refusal::field("standings", "the own word is of another state; give it anew"));
        }
        if let Some(more) = standings.iter().map(|signed| signed.standing).find(|other| other.reach() > own.reach()) {
            return Err(Refusal::NotLongest { node: more.node.spoken(), revision: more.revision });
        }
        let group = self.machine().group();
        let mut named: Vec<NodeId> = standings.iter().map(|signed| signed.standing.node).chain(lost.clone()).collect();
        named.sort_unstable();
        if named.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::field("lost", "each node once: it has given its word, or is lost"));
        }
        let is_named = |node: NodeId| named.binary_search(&node).is_ok();
        if let Some(other) = group.iter().find(|member| member.voter && !is_named(member.node)) {
            return Err(Refusal::VoterUnaccounted { node: other.node.spoken() });
        }
        if let Some(stranger) = lost.iter().find(|node| group.iter().all(|member| member.node != **node)) {
            return Err(Refusal::not_found("node", stranger));
        }
        let votes =
            |node: NodeId| of(node).is_some() && group.iter().any(|m| m.node == node && (m.voter || node == by));
        let voters = named.iter().copied().filter(|node| votes(*node)).collect();
        let epoch = self.epoch().checked_add(1).ok_or_else(|| Refusal::field("epoch", "there is no further one"))?;
        Ok(vec![RegionEvent::Rescued { epoch, by, voters, lost: lost.clone() }])
    }

    fn check_word(&self, now: Timestamp, signed: &SignedStanding, verifier: &dyn Verifier) -> Result<(), Refusal> {
        let Standing { record, epoch, node, .. } = signed.standing;
        if (record, epoch) != (self.id(), self.epoch()) {
            return Err(Refusal::field("standings", "of this region and its present epoch only"));
        }
        let keys = self.machine().signers(node, now);
        let known = keys.iter().any(|key| key.algorithm == signed.algorithm && key.public_key == signed.public_key.0);
        if known && signed.holds(verifier) {
            return Ok(());
        }
        Err(Refusal::field("standings", "signed by a key of that node in force"))
    }

    /// Whether a ledger record that begins an epoch says what comes of its command; `None` of every other record.
    pub fn agrees_with_rescue(&self, written: &LedgerRecord<RegionEvent>, verifier: &dyn Verifier) -> Option<bool> {
        written.events.iter().find(|event| Region::begins_epoch(event))?;
        let Cause::Command { bytes, proof } = &written.cause else { return Some(false) };
        let events = decoded(bytes).and_then(|command| self.rescued(written.at, &command, proof.node, verifier));
        Some(written.at >= self.time() && events.is_ok_and(|events| events == written.events))
    }
}

fn decoded(bytes: &Bytes) -> Result<RegionCommand, Refusal> {
    let envelope = code::decode::<Envelope<RegionCommand>>("command", &bytes.0);
    envelope.map(|envelope| envelope.body).map_err(|error| Refusal::Malformed { detail: error.to_string() })
}
