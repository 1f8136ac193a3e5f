//! What a record lacks of an epoch that its node has set aside: commands that were carried out there, and not here.

use std::sync::Arc;

use shouwang_domain::actor::Role;
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Cause, LedgerRecord};
use shouwang_store::ledger::LedgerReader;
use shouwang_store::{Disk, FrozenDisk};
use tokio::task::spawn_blocking;

use crate::Result;
use crate::copy::RecordCopy;
use crate::error::DriverError;
use crate::handle::Handle;
use crate::record::{Shared, newest_aside};

/// Records read at once, and their bytes.
const PAGE: (usize, usize) = (256, 1 << 20);

impl<M: Machine> Handle<M> {
    /// The commands of a municipality that the epoch set aside last on this node has carried out from a revision on, and the
    /// record has not: at most `most` of them, each with its revision there. What its registry has numbered is left out:
    /// couriers bring that by themselves.
    ///
    /// # Errors
    /// `Joining`; `Store` and `OutOfRange` for a ledger that does not read, or is still being fetched.
    pub async fn lacking(
        &self,
        of: MunicipalityCode,
        from: u64,
        most: usize,
    ) -> Result<Vec<(u64, Envelope<M::Command>)>> {
        let shared = self.shared.clone();
        let found = spawn_blocking(move || {
            let Some(dir) = newest_aside(&shared.data_dir, shared.core.id)? else { return Ok(Vec::new()) };
            let disk: Arc<dyn Disk> = Arc::new(FrozenDisk);
            let copy = RecordCopy::open(&disk, &dir, shared.core.id, 0)?;
            lacking(&shared, &copy.reader(), of, (from, most))
        });
        found.await.map_err(|_| DriverError::Stopped)?
    }
}

fn lacking<M: Machine>(
    shared: &Shared<M>,
    copy: &LedgerReader,
    of: MunicipalityCode,
    (from, most): (u64, usize),
) -> Result<Vec<(u64, Envelope<M::Command>)>> {
    let record = shared.record.load_full().ok_or(DriverError::Joining)?;
    let last = copy.runs().last().map_or(0, |run| run.1);
    let mut next = from.max(parted(shared, copy, record.revision().min(last))? + 1);
    let mut found = Vec::new();
    while next <= last && found.len() < most {
        let page = copy.read(next, PAGE.0, PAGE.1)?;
        let Some((newest, _)) = page.last() else { break };
        next = newest + 1;
        for (revision, bytes) in page {
            let Some(envelope) = carried_out::<M>(&bytes, of) else { continue };
            if record.outcome(of, envelope.id).is_none() {
                found.push((revision, envelope));
            }
        }
    }
    found.truncate(most);
    Ok(found)
}

/// The last revision at which both tell the same: a ledger record names all that made it, and two that are equal have the
/// same ones before them.
fn parted<M: Machine>(shared: &Shared<M>, copy: &LedgerReader, within: u64) -> Result<u64> {
    let (mut same, mut other) = (0, within + 1);
    while same + 1 < other {
        let middle = same + (other - same) / 2;
        let theirs = copy.read(middle, 1, PAGE.1)?;
        let ours = shared.bytes(middle, 1)?;
        if theirs.first().map(|(_, bytes)| &bytes[..]) == ours.first().map(|bytes| &bytes[..]) {
            same = middle;
        } else {
            other = middle;
        }
    }
    Ok(same)
}

/// The command of a ledger record, if that municipality gave it and it was done.
fn carried_out<M: Machine>(bytes: &[u8], of: MunicipalityCode) -> Option<Envelope<M::Command>> {
    let record: LedgerRecord<M::Event> = code::decode("ledger record", bytes).ok()?;
    let Cause::Command { bytes, proof } = record.cause else { return None };
    let is_own = proof.node.municipality() == of && record.refusal.is_none();
    let envelope: Envelope<M::Command> = code::decode("command", &bytes.0).ok().filter(|_| is_own)?;
    let of_a_rescue = record.events.iter().any(M::begins_epoch);
    // What a node says by itself, it says again by itself.
    let by_itself = envelope.actor.role == Role::Node || M::is_numbered(&envelope.body);
    (!by_itself && !of_a_rescue).then_some(envelope)
}
