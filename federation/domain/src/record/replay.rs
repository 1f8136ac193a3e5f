//! A record made again from its ledger: what happened happens once more, and an auditor decides it once more.

use super::{Cause, Judged, LedgerRecord, Record, Remembered};
use crate::code::{self, CodeError};
use crate::hash::Hash32;
use crate::level::TooOld;
use crate::machine::Machine;
use crate::merkle;

/// Why a ledger record does not move a state forward.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is not the next one, or none.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// It belongs to a level that this program does not go along with.
    #[error(transparent)]
    TooOld(#[from] TooOld),
}

impl<M: Machine> Record<M> {
    /// Whether this record, standing right before `written`, would decide the same. Signatures cover what was asked; what
    /// came of it, an auditor must decide once more.
    pub fn agrees(&self, written: &LedgerRecord<M::Event>) -> bool {
        let (events, refusal) = match &written.cause {
            Cause::Timer => match self.machine.fire(written.at) {
                Some(events) => (events, None),
                None => return false,
            },
            Cause::Command { bytes, proof } => {
                let Some(signer) = self.machine.signers(proof.node, written.at).into_iter().next() else {
                    return false;
                };
                match self.judge(bytes, signer.municipality, proof.node, written.at) {
                    Judged::Decided { events, refusal, .. } => (events, refusal),
                    // It would have left no record.
                    Judged::Answered(..) => return false,
                }
            }
        };
        written.at >= self.time && events == written.events && refusal == written.refusal
    }

    /// Moves a record that was restored from a checkpoint forward by one ledger record, without deciding again.
    ///
    /// # Errors
    /// Bytes that are no ledger record, or not the next one; one that raises the record above what this program goes along
    /// with. The record stands where it stood.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        // What follows a raise may not even be readable.
        self.goes_along(self.machine.level())?;
        let record: LedgerRecord<M::Event> = code::decode("ledger record", bytes)?;
        if record.revision != self.revision + 1 {
            let detail = format!("revision {} after {}", record.revision, self.revision);
            return Err(CodeError { what: "ledger record", detail }.into());
        }
        record.events.iter().filter_map(M::raises_to).try_for_each(|level| self.goes_along(level))?;
        let asked = match &record.cause {
            Cause::Command { bytes, .. } => self.understood(bytes).filter(|envelope| !M::is_numbered(&envelope.body)),
            Cause::Timer => None,
        };
        self.advance_time(record.at);
        record.events.iter().for_each(|event| self.happen(record.at, event));
        self.revision = record.revision;
        self.ledger.push(merkle::leaf(bytes));
        if let Cause::Command { bytes, proof } = &record.cause
            && let Some(envelope) = asked
        {
            let (digest, valid_until, outcome) = (Hash32::of(&[&bytes.0]), envelope.valid_until, record.outcome());
            let key = (proof.node.municipality(), envelope.id);
            let known_as = planted!(ResentElsewhereTwice, crate::planted::by_node(key, proof.node), key);
            self.memory.insert(known_as, Remembered { digest, valid_until, outcome });
        }
        Ok(())
    }
}
