//! A record written down: its canonical records, the digest over them, and the record that they give again.

use serde::{Deserialize, Serialize};

use super::{Memory, Record};
use crate::code::{self, CodeError};
use crate::hash::Hash32;
use crate::ids::RecordId;
use crate::machine::Machine;
use crate::merkle::Frontier;
use crate::time::Timestamp;

/// The scalars of a record, in its checkpoint.
#[derive(Serialize, Deserialize)]
struct Head {
    id: RecordId,
    epoch: u32,
    revision: u64,
    time: Timestamp,
    ledger: Frontier,
    remembered: u64,
}

fn missing(what: &'static str) -> CodeError {
    CodeError { what, detail: "missing".to_owned() }
}

impl<M: Machine> Record<M> {
    /// Hands the canonical records of the whole record to `sink`: head, memory of commands, then the machine.
    pub fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        let memory = planted!(DedupLostOnRestart, Memory::default(), self.memory.clone());
        let (id, epoch, revision, time) = (self.id, self.epoch, self.revision, self.time);
        let remembered = memory.len() as u64;
        sink(code::encode(&Head { id, epoch, revision, time, ledger: self.ledger.clone(), remembered }));
        memory.records(sink);
        self.machine.records(sink);
    }

    /// The record that wrote these canonical records.
    ///
    /// # Errors
    /// Damaged or missing records.
    pub fn restore(mut records: impl Iterator<Item = Vec<u8>>) -> Result<Self, CodeError> {
        let head: Head = code::decode("record head", &records.next().ok_or_else(|| missing("record head"))?)?;
        let mut memory = Memory::default();
        for _ in 0..head.remembered {
            memory.read(&records.next().ok_or_else(|| missing("remembered command"))?)?;
        }
        Ok(Self {
            id: head.id,
            epoch: head.epoch,
            revision: head.revision,
            time: head.time,
            ledger: head.ledger,
            memory,
            machine: M::restore(&mut records)?,
            knows: M::NEWEST_LEVEL,
        })
    }

    /// Hash over all canonical records: equal on every node at the same revision.
    pub fn digest(&self) -> Hash32 {
        self.records_with_digest(&mut drop)
    }

    /// As [`Record::records`]; answers the digest, for which they need not be made once more.
    pub fn records_with_digest(&self, sink: &mut dyn FnMut(Vec<u8>)) -> Hash32 {
        let mut digest = Hash32::default();
        self.records(&mut |record| {
            digest = Hash32::of(&[&digest.0, &record]);
            sink(record);
        });
        digest
    }
}
