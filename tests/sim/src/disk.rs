//! A station's disk: one log for all its records, directories of checkpoints for each, and everything that a disk does
//! to them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_proto::eraftpb::{ConfState, Entry};
use shouwang_domain::hash::Hash32;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{GENESIS_INDEX, GENESIS_TERM, LogBase, Persist, Restored};
use shouwang_store::checkpoint::{CheckpointMeta, CheckpointStore, OpenedCheckpoint};
use shouwang_store::log::{LoadedLog, LogStore, LogWrite, RecordSlot, SimLog, SimLogFault};
use shouwang_store::{SimDisk, SimFault, StoreError};

use crate::cast::Which;
use crate::watch::Violation;

/// What ends a node's process.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The power is gone.
    Power,
    /// The disk can no longer be trusted: the process must stop.
    Broken,
    /// Something is not as it must be.
    Wrong(Violation),
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Self {
        Self::Wrong(violation)
    }
}

/// What a record wants done to its log, in order.
#[derive(Debug)]
pub(crate) enum Job {
    Persist { number: u64, write: Box<LogWrite>, sync: bool },
    Compact(LogBase),
}

impl Job {
    /// A write of a replica.
    pub fn of(slot: RecordSlot, persist: Persist) -> Self {
        let (number, sync) = (persist.number, must_sync(&persist));
        let write = LogWrite {
            slot,
            entries: persist.entries,
            hard_state: persist.hard_state,
            conf_state: persist.conf_state,
            reset_to: persist.reset_to.map(to_store),
        };
        Self::Persist { number, write: Box::new(write), sync }
    }
}

fn must_sync(persist: &Persist) -> bool {
    #[cfg(feature = "planted")]
    if crate::planted::forgets_to_sync(persist.entries.is_empty()) {
        return false;
    }
    persist.must_sync
}

/// Writes that have reached the operating system and not yet the disk.
#[derive(Debug)]
struct Busy {
    until: u64,
    /// The newest write of each record among them.
    numbers: Vec<(Which, u64)>,
    sync: bool,
}

/// What outlives a node's process.
#[derive(Debug)]
pub(crate) struct StationDisk {
    log: SimLog,
    files: SimDisk,
    busy: Option<Busy>,
    /// Whether there is no room, as the node's own watch over it says.
    pub full: bool,
}

impl StationDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self { log: SimLog::new(seed), files: SimDisk::new(seed ^ 1), busy: None, full: false }
    }

    /// Opens a directory of checkpoints of a record: its `own`, or those `staged` (received, not yet the state).
    pub fn checkpoints(&self, which: Which, name: &str) -> Result<CheckpointStore, StoreError> {
        CheckpointStore::open(Arc::new(self.files.clone()), &dir(which, name))
    }

    /// Writes the first state of a record.
    pub fn found<M: Machine>(&self, which: Which, record: &Record<M>, conf: &ConfState) -> Result<(), StoreError> {
        let Restored { hard_state, base, .. } = Restored::founding(conf.clone());
        let write = LogWrite {
            hard_state: Some(hard_state),
            conf_state: Some((GENESIS_INDEX, conf.clone())),
            reset_to: Some(to_store(base)),
            ..LogWrite::new(slot(which))
        };
        let own = self.checkpoints(which, "own")?;
        take_checkpoint(&own, record, (GENESIS_INDEX, GENESIS_TERM, Timestamp::ZERO), conf)?;
        self.log.write(&[write])
    }

    /// The log of a record.
    pub fn log(&self, which: Which) -> Result<Option<LoadedLog>, StoreError> {
        self.log.load(slot(which))
    }

    /// Whether a write is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Hands what waits to the operating system, until there is no room; it is on the disk when [`Self::finish`] says so.
    pub fn write(&mut self, which: Which, jobs: &mut VecDeque<Job>, until: u64) -> Result<(), Trouble> {
        while let Some(job) = jobs.front() {
            self.draw_power()?;
            let done = match job {
                Job::Compact(base) => self.log.compact(slot(which), to_store(*base)),
                Job::Persist { write, .. } => self.log.write_unsynced(std::slice::from_ref(write)),
            };
            match done {
                Err(error) if error.is_full() => {
                    self.full = true;
                    return Ok(());
                }
                Err(_) => return Err(Trouble::Broken),
                Ok(()) => {}
            }
            if let Some(Job::Persist { number, sync, .. }) = jobs.pop_front() {
                let busy = self.busy.get_or_insert(Busy { until, numbers: Vec::new(), sync: false });
                busy.sync |= sync;
                busy.numbers.push((which, number));
            }
        }
        Ok(())
    }

    /// The writes that are carried out now, with their records.
    pub fn finish(&mut self, now: u64) -> Result<Vec<(Which, u64)>, Trouble> {
        let Some(busy) = self.busy.take_if(|busy| busy.until <= now) else { return Ok(Vec::new()) };
        if busy.sync {
            self.draw_power()?;
            // A batch without writes is the sync of those before it: one for all records.
            match self.log.write(&[]) {
                Err(error) if error.is_full() => {
                    self.full = true;
                    self.busy = Some(busy);
                    return Ok(Vec::new());
                }
                Err(_) => return Err(Trouble::Broken),
                Ok(()) => {}
            }
        }
        Ok(busy.numbers)
    }

    fn draw_power(&self) -> Result<(), Trouble> {
        self.files.draw_power().map_err(|_| Trouble::Power)
    }

    /// What an error of a checkpoint means for the process; `Ok` if it can go on without.
    pub fn judge(&self, error: &StoreError) -> Result<(), Trouble> {
        match error {
            _ if self.files.is_off() => Err(Trouble::Power),
            _ if error.is_fatal() => Err(Trouble::Broken),
            StoreError::Full { .. } | StoreError::Io { .. } => Ok(()),
            other => Err(Violation::new("disk", other.to_string()).into()),
        }
    }

    /// The power goes, or the process does. Of what was not synced a random beginning survives, the last write of a file
    /// perhaps torn. Returns how many log writes did not.
    pub fn crash(&mut self) -> u64 {
        self.busy = None;
        self.files.crash();
        self.log.crash() as u64
    }

    /// From the `operations`-th change on, nothing reaches the disk until the crash.
    pub fn power_off_after(&self, operations: u64) {
        self.files.power_off_after(operations);
    }

    /// One of the next operations fails.
    pub fn fail_one(&self, which: u64, skip: u32) {
        match which % 5 {
            0 => self.log.inject(SimLogFault::WriteEio, skip),
            1 => self.log.inject(SimLogFault::Sync, skip),
            2 => self.files.inject(SimFault::Read, "", skip),
            3 => self.files.inject(SimFault::Write, "", skip),
            _ => self.files.inject(SimFault::Sync, "", skip),
        }
    }

    /// Nothing more fits, or only votes and hard state do.
    pub fn fill(&mut self, log_too: bool) {
        self.full = true;
        self.log.set_full(log_too);
        self.files.set_capacity(Some(0));
    }

    /// There is room again.
    pub fn free(&mut self) {
        self.full = false;
        self.log.set_full(false);
        self.files.set_capacity(None);
    }

    /// It works from now on as it should.
    pub fn mend(&mut self) {
        self.free();
        self.log.mend();
        self.files.mend();
    }
}

fn dir(which: Which, name: &str) -> PathBuf {
    Path::new("/").join(which.slot().to_string()).join(name)
}

/// The place of a record in a log.
pub(crate) fn slot(which: Which) -> RecordSlot {
    RecordSlot(which.slot())
}

fn to_store(base: LogBase) -> shouwang_store::log::LogBase {
    shouwang_store::log::LogBase { index: base.index, term: base.term }
}

/// What a write holds, for the rules of Raft.
pub(crate) fn entries(persist: &Persist) -> impl Iterator<Item = (u64, u64, &[u8])> {
    persist.entries.iter().map(|entry: &Entry| (entry.get_index(), entry.get_term(), entry.get_data()))
}

/// Writes the state as of an entry, durably. Returns its digest.
pub(crate) fn take_checkpoint<M: Machine>(
    store: &CheckpointStore,
    record: &Record<M>,
    (raft_index, raft_term, stamp): (u64, u64, Timestamp),
    conf: &ConfState,
) -> Result<Hash32, StoreError> {
    let (mut records, mut digest) = (Vec::new(), Hash32::default());
    record.records(&mut |canonical| {
        digest = Hash32::of(&[&digest.0, &canonical]);
        records.push(canonical);
    });
    let meta = CheckpointMeta {
        record_id: record.id().0,
        epoch: record.epoch(),
        revision: record.revision(),
        raft_index,
        raft_term,
        conf_state: conf.clone(),
        time_ms: record.time().max(stamp).0,
        state_digest: digest.0,
        feature_level: record.machine().level(),
        hash_algorithm: 1,
    };
    store.write(&meta, records.into_iter()).map(|_| digest)
}

/// The record and the membership in a checkpoint, and nothing but what its digest says, for a program that goes along up to
/// a feature level.
pub(crate) fn read_checkpoint<M: Machine>(
    opened: &OpenedCheckpoint,
    knows: u32,
) -> Result<(Record<M>, ConfState), StoreErrorOr> {
    if opened.meta().feature_level > knows {
        return Err(StoreErrorOr::TooOld);
    }
    let records: Result<Vec<Vec<u8>>, StoreError> = opened.records().and_then(Iterator::collect);
    let wrong = |what: String| StoreErrorOr::Wrong(Violation::new("checkpoints restore", what));
    let record: Record<M> = Record::restore(records?.into_iter()).map_err(|error| wrong(error.to_string()))?;
    if record.digest() != Hash32(opened.meta().state_digest) {
        return Err(wrong(format!("the one of revision {} restores another state", record.revision())));
    }
    Ok((record.held_at(knows), opened.meta().conf_state.clone()))
}

/// A disk that does not answer, an answer that is not as it must be, or one that this program is too old for.
#[derive(Debug)]
pub(crate) enum StoreErrorOr {
    Store(StoreError),
    Wrong(Violation),
    TooOld,
}

impl From<StoreError> for StoreErrorOr {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
