//! What a log entry is, and what it leaves: ledger records and outcomes.

use serde::{Deserialize, Serialize};

use crate::command::CommandProof;
use crate::hash::{Bytes, Hash32};
use crate::ids::{CommandId, MunicipalityCode};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// The data of one Raft log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The leader's time.
    pub stamp: Timestamp,
    /// Encoded [`Batch`](crate::command::Batch)es as their nodes signed them; none in an entry that only lets timers fire.
    pub batches: Vec<Bytes>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The ledger record that holds it; 0 when the command left none ([`Verdict::Expired`], [`Verdict::IdReused`], a
    /// numbered message that moved nothing).
    pub revision: u64,
    /// Record time of the decision.
    pub at: Timestamp,
    /// Yes or no.
    pub verdict: Verdict,
}

/// Yes, no, or no answer of the machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It happened.
    Accepted,
    /// The record said no, and why.
    Refused(Refusal),
    /// It arrived after its `valid_until` (or claimed to be valid for longer than [`VALIDITY_MS_MAX`](super::VALIDITY_MS_MAX)).
    Expired,
    /// The id was used before for another command.
    IdReused,
}

/// What the ledger keeps, one per revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: serde::de::DeserializeOwned"))]
pub struct LedgerRecord<E> {
    /// Dense count of ledger records, from 1.
    pub revision: u64,
    /// Record time.
    pub at: Timestamp,
    /// What caused it.
    pub cause: Cause,
    /// What happened.
    pub events: Vec<E>,
    /// The refusal, if the command was refused.
    pub refusal: Option<Refusal>,
}

impl<E> LedgerRecord<E> {
    /// What came of the command that caused it.
    pub fn outcome(&self) -> Outcome {
        let verdict = self.refusal.clone().map_or(Verdict::Accepted, Verdict::Refused);
        Outcome { revision: self.revision, at: self.at, verdict }
    }
}

/// Why a ledger record exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A command, with the bytes as received and what proves them.
    Command {
        /// The encoded envelope.
        bytes: Bytes,
        /// Who signed it, and how to check that.
        proof: CommandProof,
    },
    /// A deadline passed.
    Timer,
}

/// One ledger record as it leaves [`Record::apply`](super::Record::apply): the value and its bytes, which are what the Merkle tree covers.
#[derive(Clone, Debug)]
pub struct Written<E> {
    /// The value.
    pub record: LedgerRecord<E>,
    /// Its encoded form.
    pub bytes: Vec<u8>,
    /// Who asked by which id, so that nobody need read the command again for it; nothing for what is not known by an id.
    pub asked: Option<(MunicipalityCode, CommandId)>,
}

/// What one entry did.
#[derive(Clone, Debug)]
pub struct Applied<E> {
    /// When its leader stamped it; nothing if its bytes are no entry.
    pub stamp: Option<Timestamp>,
    /// New ledger records, in order.
    pub written: Vec<Written<E>>,
    /// The outcome of every readable command, those that left no record included.
    pub outcomes: Vec<((MunicipalityCode, CommandId), Outcome)>,
    /// Batches (digest of their bytes) that were dropped whole: not for this record, or not signed by a key in force; and
    /// those whose rest was dropped, because one of their own commands ended that key.
    pub dropped: Vec<Hash32>,
}

impl<E> Default for Applied<E> {
    fn default() -> Self {
        Self { stamp: None, written: Vec::new(), outcomes: Vec::new(), dropped: Vec::new() }
    }
}
