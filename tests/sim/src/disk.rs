//! A node's disk: one log for its two records, a directory of checkpoints for each, and what a restart finds there.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use raft_proto::eraftpb::ConfState;
use serde::{Deserialize, Serialize};
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle::Frontier;
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{Checkpoint, GENESIS_INDEX, GENESIS_TERM, LogBase, Persist, Restored};
use shouwang_store::checkpoint::{CheckpointMeta, CheckpointStore, OpenedCheckpoint};
use shouwang_store::log::{LoadedLog, LogStore, LogWrite, RecordSlot, SimLog};
use shouwang_store::{SimDisk, StoreError};

use crate::plan::Plant;

/// Where a node keeps its copy of the region.
pub(crate) const REGION: RecordSlot = RecordSlot(1);
/// Where a node keeps its registry.
pub(crate) const REGISTRY: RecordSlot = RecordSlot(2);

/// What a record wants done to its log, in order.
#[derive(Debug)]
pub(crate) enum Job {
    Persist(Box<Persist>),
    Compact(LogBase),
}

/// A write that has reached the operating system and not yet the disk.
#[derive(Debug)]
struct Busy {
    until: u64,
    /// The newest write of the region and of the registry among it.
    numbers: [u64; 2],
    sync: bool,
}

/// What outlives a node's process.
#[derive(Debug)]
pub(crate) struct NodeDisk {
    log: SimLog,
    files: SimDisk,
    busy: Option<Busy>,
}

impl NodeDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self { log: SimLog::new(seed), files: SimDisk::new(seed ^ 1), busy: None }
    }

    /// Opens the checkpoints of a record. `name` is `region`, `staged` (received, not yet the state) or `registry`.
    pub fn checkpoints(&self, name: &str) -> Result<CheckpointStore, String> {
        let dir = Path::new("/").join(name);
        CheckpointStore::open(Arc::new(self.files.clone()), &dir).map_err(|error| error.to_string())
    }

    /// Writes the first state of a record.
    pub fn found<M: Machine>(
        &self,
        slot: RecordSlot,
        store: &CheckpointStore,
        record: &Record<M>,
        conf: &ConfState,
    ) -> Result<(), String> {
        let Restored { hard_state, base, .. } = Restored::founding(conf.clone());
        let write = LogWrite {
            hard_state: Some(hard_state),
            conf_state: Some((GENESIS_INDEX, conf.clone())),
            reset_to: Some(to_store(base)),
            ..LogWrite::new(slot)
        };
        self.log.write(&[write]).map_err(|error| error.to_string())?;
        take_checkpoint(store, record, (GENESIS_INDEX, GENESIS_TERM), conf).map_err(|error| error.to_string())
    }

    /// Whether a write is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Hands everything that waits to the operating system; it is on the disk when [`NodeDisk::finish`] says so.
    pub fn begin(&mut self, until: u64, jobs: [(RecordSlot, &mut VecDeque<Job>); 2]) -> Result<(), StoreError> {
        let mut busy = Busy { until, numbers: [0; 2], sync: false };
        for (at, (slot, jobs)) in jobs.into_iter().enumerate() {
            for job in jobs.drain(..) {
                match job {
                    Job::Compact(base) => self.log.compact(slot, to_store(base))?,
                    Job::Persist(persist) => {
                        busy.numbers[at] = persist.number;
                        busy.sync |= persist.must_sync;
                        self.log.write_unsynced(&[log_write(slot, *persist)])?;
                    }
                }
            }
        }
        if busy.numbers != [0; 2] {
            self.busy = Some(busy);
        }
        Ok(())
    }

    /// The newest writes of the region and of the registry that are carried out now; 0 for none.
    pub fn finish(&mut self, now: u64) -> Result<Option<[u64; 2]>, StoreError> {
        let Some(busy) = self.busy.take_if(|busy| busy.until <= now) else { return Ok(None) };
        if busy.sync {
            // A batch without writes is the sync of those before it: one for both records.
            self.log.write(&[])?;
        }
        Ok(Some(busy.numbers))
    }

    /// The power goes. Of what was not synced a random beginning survives. Returns how many log writes did not.
    pub fn crash(&mut self) -> usize {
        self.busy = None;
        self.files.crash();
        self.log.crash()
    }

    /// From the `operations`-th change of a file on, nothing reaches the disk until the crash.
    pub fn power_off_after(&self, operations: u64) {
        self.files.power_off_after(operations);
    }

    /// What a restart finds: the newest checkpoint that fits the log, and the log behind it.
    pub fn recover<M: Machine>(
        &self,
        slot: RecordSlot,
        stores: &[&CheckpointStore],
        plant: Plant,
    ) -> Result<Recovered<M>, String> {
        let loaded = self.log.load(slot).map_err(|error| error.to_string())?;
        let mut loaded = loaded.ok_or_else(|| format!("{slot} has lost its log"))?;
        let mut best: Option<OpenedCheckpoint> = None;
        for store in stores {
            let newest = store.newest_verified().map_err(|error| error.to_string())?;
            let newest = newest.filter(|opened| fits(&loaded, opened.meta()));
            let best_index = best.as_ref().map_or(0, |opened| opened.meta().raft_index);
            best = newest.filter(|opened| opened.meta().raft_index > best_index).or(best);
        }
        let opened = best.ok_or_else(|| format!("{slot} has no checkpoint that fits its log"))?;
        let record = read_checkpoint(&opened, plant)?;
        let (index, term) = (opened.meta().raft_index, opened.meta().raft_term);
        if plant == Plant::LoseLogTail {
            loaded.entries.retain(|entry| entry.get_index() <= index);
            let commit = loaded.hard_state.get_commit().min(index);
            loaded.hard_state.set_commit(commit);
        }
        let (conf_index, conf_state) = (loaded.conf_index, loaded.conf_state);
        let base = LogBase { index: loaded.base.index, term: loaded.base.term };
        let restored = Restored {
            hard_state: loaded.hard_state,
            conf_index,
            base,
            entries: loaded.entries,
            checkpoint: Some(Checkpoint { index, term, conf_state: conf_state.clone() }),
            conf_state,
        };
        Ok(Recovered { record, restored, applied: (index, term) })
    }
}

/// What a restart found.
#[derive(Debug)]
pub(crate) struct Recovered<M> {
    pub record: Record<M>,
    pub restored: Restored,
    /// Raft index and term of the last entry in the record.
    pub applied: (u64, u64),
}

/// Whether a checkpoint can be the state under this log. A staged one may lie ahead of the log, or beside it: then it
/// says nothing about the entries that the log holds.
fn fits(log: &LoadedLog, meta: &CheckpointMeta) -> bool {
    match meta.raft_index.checked_sub(log.base.index) {
        None => false,
        Some(0) => true,
        Some(after) => {
            let entry = usize::try_from(after - 1).ok().and_then(|at| log.entries.get(at));
            entry.is_some_and(|entry| entry.get_term() == meta.raft_term)
        }
    }
}

fn to_store(base: LogBase) -> shouwang_store::log::LogBase {
    shouwang_store::log::LogBase { index: base.index, term: base.term }
}

fn log_write(slot: RecordSlot, persist: Persist) -> LogWrite {
    LogWrite {
        slot,
        entries: persist.entries,
        hard_state: persist.hard_state,
        conf_state: persist.conf_state,
        reset_to: persist.reset_to.map(to_store),
    }
}

/// Writes the state as of an entry, durably.
pub(crate) fn take_checkpoint<M: Machine>(
    store: &CheckpointStore,
    record: &Record<M>,
    (raft_index, raft_term): (u64, u64),
    conf: &ConfState,
) -> Result<(), StoreError> {
    let meta = CheckpointMeta {
        record_id: record.id().0,
        epoch: record.epoch(),
        revision: record.revision(),
        raft_index,
        raft_term,
        conf_state: code::encode(&(conf.get_voters(), conf.get_learners())),
        time_ms: record.time().0,
        state_digest: record.digest().0,
        feature_level: 1,
        hash_algorithm: 1,
    };
    let mut records = Vec::new();
    record.records(&mut |canonical| records.push(canonical));
    store.write(&meta, records.into_iter()).map(|_| ())
}

/// The record in a checkpoint, and nothing but what its digest says.
pub(crate) fn read_checkpoint<M: Machine>(opened: &OpenedCheckpoint, plant: Plant) -> Result<Record<M>, String> {
    let records: Result<Vec<Vec<u8>>, StoreError> = opened.records().and_then(Iterator::collect);
    let records = records.map_err(|error| error.to_string())?;
    if plant == Plant::DropDedupOnRestart {
        return restore(without_memory(records)?);
    }
    let record: Record<M> = restore(records)?;
    if record.digest() != Hash32(opened.meta().state_digest) {
        return Err(format!("the checkpoint at revision {} restores another state", record.revision()));
    }
    Ok(record)
}

fn restore<M: Machine>(records: Vec<Vec<u8>>) -> Result<Record<M>, String> {
    Record::restore(records.into_iter()).map_err(|error| error.to_string())
}

/// The head of a record's canonical records.
#[derive(Serialize, Deserialize)]
struct Head {
    id: RecordId,
    epoch: u32,
    revision: u64,
    time: Timestamp,
    ledger: Frontier,
    remembered: u64,
}

fn without_memory(records: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
    let mut records = records.into_iter();
    let head: Vec<u8> = records.next().unwrap_or_default();
    let mut head: Head = code::decode("record head", &head).map_err(|error| error.to_string())?;
    let remembered = usize::try_from(head.remembered).map_err(|error| error.to_string())?;
    head.remembered = 0;
    Ok(std::iter::once(code::encode(&head)).chain(records.skip(remembered)).collect())
}
