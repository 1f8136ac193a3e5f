//! A registry made a node's again out of its copy. Everything but votes comes from the copy; nobody else may be in it.

use shouwang_domain::hash::Hash32;
use shouwang_domain::registry::Registry;
use shouwang_replica::conf_state_from;
use shouwang_store::checkpoint::CheckpointStore;

use super::checkpoints::{self, At};
use super::damaged::restart_log;
use super::found::{Dirs, slot_of, unfit};
use super::life::NewLife;
use super::open::Environment;
use crate::Result;
use crate::copy::RecordCopy;
use crate::error::DriverError;

/// Writes a registry down as its copy has it, and one ledger record more: the one that another life begins with. The log
/// comes last: without one, nothing that was written counts. Blocks.
pub(crate) fn restore_copy(env: &Environment, copy: &RecordCopy, digest: Hash32, life: NewLife) -> Result<u64> {
    let opened = copy.checkpoint(digest)?;
    let mut record = checkpoints::restore::<Registry>(copy.id(), &opened, u32::MAX)?;
    let through = record.revision();
    let first = life.begin(env, &mut record).map_err(DriverError::Refused)?;
    let dirs = Dirs::new(env, copy.id());
    let checkpoints = CheckpointStore::open(env.disk.clone(), &dirs.checkpoints)?;
    if !checkpoints.held()?.is_empty() || env.store.load(slot_of(copy.id()))?.is_some() {
        return Err(unfit(copy.id(), "the order", "the record is here already; nothing is restored over it"));
    }
    let mut ledger = RecordCopy::open(&env.disk, &dirs.root, copy.id(), 0)?.fill()?;
    if ledger.next() > 1 {
        return Err(unfit(copy.id(), "the order", "a ledger is here already; nothing is restored over it"));
    }
    copy.read(through, |_, bytes| ledger.append(bytes))?;
    ledger.append(&first)?;
    ledger.seal()?;
    if ledger.root() != record.ledger_root() {
        return Err(unfit(copy.id(), "the copy", "its ledger does not lead to its checkpoint; use another"));
    }
    // An index and a term that the life before never used.
    let (index, term) = (opened.meta().raft_index + 1, opened.meta().raft_term + 1);
    let conf = conf_state_from([env.node.get()], []);
    checkpoints::write(&checkpoints, &record, At { index, term, stamp: record.time() }, &conf)?;
    restart_log(env, copy.id(), (index, term), conf)?;
    Ok(record.revision())
}
