//! What the disk gives back of a record: its log, the checkpoint to start from, and its ledger.

use std::path::PathBuf;

use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::HardState;
use shouwang_replica::{Checkpoint, GENESIS_INDEX, GENESIS_TERM, LogBase, Restored, conf_state_from};
use shouwang_store::checkpoint::{CheckpointInfo, CheckpointStore, OpenedCheckpoint};
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::log::{self, LoadedLog, LogWrite, RecordSlot};
use shouwang_store::{Remedy, StoreError};

use super::open::Ground;
use super::rescue::first_epoch;
use super::{AppliedNote, checkpoints, restore};
use crate::Result;
use crate::error::DriverError;
use crate::options::HostSpec;

/// In a record's directory: its log was given up together with that of another record.
pub(super) const LOG_LOST: &str = "log.lost";

/// Where Raft indexes begin for a record, and what follows from the disk.
pub(super) struct Found<M> {
    pub record: Option<Record<M>>,
    pub at: AppliedNote,
    pub restored: Restored,
}

/// Where a record keeps what.
pub(super) struct Dirs {
    pub root: PathBuf,
    pub ledger: PathBuf,
    pub checkpoints: PathBuf,
    pub staged: PathBuf,
    pub history: PathBuf,
}

impl Dirs {
    /// The directories of a record on this node.
    pub fn new(env: &Ground, id: RecordId) -> Self {
        Self::within(env.data_dir.join(RECORDS).join(id.to_string()))
    }

    /// The directories of a record in a folder of its own.
    pub fn within(root: PathBuf) -> Self {
        let [ledger, checkpoints, staged, history] =
            ["ledger", "checkpoints", "staged", "history"].map(|name| root.join(name));
        Self { root, ledger, checkpoints, staged, history }
    }

    /// Its checkpoints and those on their way to it; both tell what they find.
    pub fn stores(&self, ground: &Ground) -> Result<(CheckpointStore, CheckpointStore), StoreError> {
        let open = |dir| CheckpointStore::open(ground.disk.clone(), dir).map(|it| it.telling(ground.findings.clone()));
        Ok((open(&self.checkpoints)?, open(&self.staged)?))
    }
}

/// Below the data directory: one directory a record.
pub(crate) const RECORDS: &str = "records";

/// The slot of a record: from its name, so that no other record of this node ever has it.
pub(crate) fn slot_of(id: RecordId) -> RecordSlot {
    let mut head = [0; 8];
    head.copy_from_slice(&id.0[..8]);
    // The highest slot is reserved.
    RecordSlot(u64::from_be_bytes(head) >> 1)
}

pub(super) fn unfit(id: RecordId, what: &'static str, detail: &str) -> DriverError {
    DriverError::Unfit { id, what, detail: detail.to_owned() }
}

/// Finds where a record stands. Blocks.
///
/// # Errors
/// Damage that costs more than rebuilding: see [`is_damage`].
pub(super) fn find<M: Machine>(
    env: &Ground,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    founded: Option<&Record<M>>,
    stores: (&CheckpointStore, &CheckpointStore),
) -> Result<(Found<M>, Ledger)> {
    let (checkpoints, staged) = stores;
    let root = env.disk.list(&dirs.root).map_err(|e| StoreError::io("list", &dirs.root, e))?;
    if root.iter().any(|name| name == LOG_LOST) {
        return Err(unfit(spec.id, "the log", "it was given up with a damaged one; join anew under a new id"));
    }
    let log = load(env, spec.id, checkpoints)?;
    // Up to where the ledger must reach: what is only being installed is behind it.
    let synced = checkpoints.held()?.first().map_or(0, |newest| newest.meta.revision);
    checkpoints.settle(staged, log.as_ref().map_or(0, |log| log.base.index))?;
    // Whoever has set an epoch aside joins the next one; the founding lies behind both.
    let is_new = first_epoch(&*env.disk, &dirs.root)? == 0;
    let founder =
        founded.filter(|record| is_new && record.machine().group().iter().any(|member| member.node == env.node));
    if let (Some(record), Some(log)) = (founder, &log)
        && log.base.index == GENESIS_INDEX
        && matches!(checkpoints.newest_verified(), Err(StoreError::NoUsableCheckpoint { .. }))
    {
        // The founding document is the first checkpoint, and the log holds everything since.
        write_founding(checkpoints, record)?;
    }
    let newest = checkpoints.newest_verified()?;
    let (mut ledger, wrong) = open_ledger(env, spec, dirs, synced)?;
    let found = match (log, newest) {
        (Some(log), Some(newest)) => {
            let start = heal_ledger(&mut ledger, &log, newest, checkpoints)?;
            go_on(spec, log, &start)?
        }
        (None, newest) if ledger.last().is_none() && newest.as_ref().is_none_or(is_founding) => match founder {
            Some(record) => begin(env, record, checkpoints, slot_of(spec.id))?,
            None => joining(None),
        },
        // It has voted or heard of a term, but holds no state yet.
        (Some(log), None) if log.base.index == 0 => joining(Some(log)),
        (Some(_), None) => {
            return Err(unfit(spec.id, "the checkpoints", "there are none, though there is a log"));
        }
        (None, _) => {
            return Err(unfit(spec.id, "the log", "it is gone, though there is a state; join anew under a new id"));
        }
    };
    let revision = found.record.as_ref().map_or(0, Record::revision);
    if ledger.next() <= revision {
        ledger.begin_at(revision + 1)?;
    }
    tell_missing(env, spec.id, found.record.as_ref(), (&ledger, dirs), wrong);
    Ok((found, ledger))
}

/// Whether an error says that the log, or every state, is damaged: then the record is shown as it can be read, and takes
/// no writes.
pub(super) fn is_damage(error: &DriverError) -> bool {
    match error {
        DriverError::Unfit { .. } | DriverError::EpochEnded { .. } => true,
        DriverError::Replica(error) => !matches!(error, shouwang_replica::ReplicaError::Config { .. }),
        DriverError::Store(error) => matches!(
            **error,
            StoreError::LogDamaged { .. } | StoreError::LogCorrupt { .. } | StoreError::NoUsableCheckpoint { .. }
        ),
        _ => false,
    }
}

fn is_founding(checkpoint: &OpenedCheckpoint) -> bool {
    checkpoint.meta().raft_index == GENESIS_INDEX
}

/// The log, without entries that cannot be read if a verified checkpoint holds what they did.
fn load(env: &Ground, id: RecordId, checkpoints: &CheckpointStore) -> Result<Option<LoadedLog>> {
    let slot = slot_of(id);
    match env.store.load(slot) {
        Err(error @ StoreError::LogCorrupt { .. }) => {
            let Some(newest) = checkpoints.newest_verified()? else { return Err(error.into()) };
            let base = log::LogBase { index: newest.meta().raft_index, term: newest.meta().raft_term };
            env.store.forgive(slot, base)?;
            env.findings.add(error, Remedy::Mended);
            Ok(env.store.load(slot)?)
        }
        other => Ok(other?),
    }
}

fn write_founding<M: Machine>(checkpoints: &CheckpointStore, record: &Record<M>) -> Result<Restored> {
    let group = record.machine().group();
    let of = |voter: bool| group.iter().filter(move |m| m.voter == voter).map(|m| m.node.get());
    let restored = Restored::founding(conf_state_from(of(true), of(false)));
    let at = checkpoints::At { index: GENESIS_INDEX, term: GENESIS_TERM, stamp: Timestamp::ZERO };
    checkpoints::write(checkpoints, record, at, &restored.conf_state)?;
    Ok(restored)
}

/// The founding of a record: its first state is its first checkpoint, and the log begins behind it.
fn begin<M: Machine>(
    env: &Ground,
    record: &Record<M>,
    checkpoints: &CheckpointStore,
    slot: RecordSlot,
) -> Result<Found<M>> {
    let restored = write_founding(checkpoints, record)?;
    env.store.write(&[LogWrite {
        reset_to: Some(log::LogBase { index: restored.base.index, term: restored.base.term }),
        hard_state: Some(restored.hard_state.clone()),
        conf_state: Some((restored.conf_index, restored.conf_state.clone())),
        ..LogWrite::new(slot)
    }])?;
    tracing::info!(record = %record.id().short(), machine = M::NAME, "record founded");
    let at =
        AppliedNote { index: GENESIS_INDEX, term: GENESIS_TERM, stamp: Timestamp::ZERO, next_due: record.next_due() };
    Ok(Found { record: Some(record.clone()), at, restored })
}

fn joining<M>(log: Option<LoadedLog>) -> Found<M> {
    let hard_state: HardState = log.map(|log| log.hard_state).unwrap_or_default();
    Found { record: None, at: AppliedNote::default(), restored: Restored { hard_state, ..Restored::joining() } }
}

fn go_on<M: Machine>(spec: &HostSpec<M>, log: LoadedLog, start: &OpenedCheckpoint) -> Result<Found<M>> {
    let record = restore::<M>(spec.id, start, spec.options.level_max)?;
    let meta = start.meta();
    let stamp = Timestamp(meta.time_ms).max(record.time());
    let at = AppliedNote { index: meta.raft_index, term: meta.raft_term, stamp, next_due: record.next_due() };
    tracing::info!(record = %spec.id.short(), index = at.index, revision = record.revision(), log = log.last_index(), "record found");
    let restored = Restored {
        hard_state: log.hard_state,
        conf_state: log.conf_state,
        conf_index: log.conf_index,
        base: LogBase { index: log.base.index, term: log.base.term },
        entries: log.entries,
        checkpoint: Some(Checkpoint {
            index: meta.raft_index,
            term: meta.raft_term,
            conf_state: meta.conf_state.clone(),
        }),
    };
    Ok(Found { record: Some(record), at, restored })
}

/// The ledger's end behind the checkpoint is derived again from the log, so that only what lies before can be missing.
pub(super) fn open_ledger<M: Machine>(
    env: &Ground,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    revision: u64,
) -> Result<(Ledger, Vec<StoreError>)> {
    let options = LedgerOptions {
        segment_bytes: spec.options.segment_bytes,
        hash_algorithm: checkpoints::SHA256,
        synced_at_least: Some(revision),
        findings: env.findings.clone(),
        ..LedgerOptions::default()
    };
    match Ledger::open(env.disk.clone(), &dirs.ledger, spec.id.0, options.clone()) {
        Err(StoreError::LedgerShort { .. } | StoreError::LedgerDamaged { .. }) => {
            Ok(Ledger::salvage(&env.disk, &dirs.ledger, spec.id.0, options)?)
        }
        other => Ok((other?, Vec::new())),
    }
}

/// Chooses the checkpoint to start from: the newest, unless an older one lets the log derive again what the ledger lacks.
fn heal_ledger(
    ledger: &mut Ledger,
    log: &LoadedLog,
    newest: OpenedCheckpoint,
    checkpoints: &CheckpointStore,
) -> Result<OpenedCheckpoint> {
    let mut gaps: Vec<u64> = ledger.missing().into_iter().map(|(first, _)| first).collect();
    if ledger.next() <= newest.meta().revision {
        gaps.push(ledger.next());
    }
    // A log that does not reach the newest state has lost something itself.
    if gaps.is_empty() || log.last_index() < newest.meta().raft_index {
        return Ok(newest);
    }
    let held = checkpoints.held()?;
    let reaches = |first: u64| {
        let before = |info: &&CheckpointInfo| info.meta.revision < first && info.meta.raft_index >= log.base.index;
        held.iter().find(before).map(|info| (first, info))
    };
    let Some((first, info)) = gaps.into_iter().find_map(reaches) else { return Ok(newest) };
    tracing::warn!(from = first, checkpoint = %info.file.display(), "the ledger is derived again from the log");
    ledger.rewind(first - 1)?;
    Ok(checkpoints.open_held(info)?)
}

/// What is still missing is fetched from a peer; a record with one voter has none.
fn tell_missing<M: Machine>(
    env: &Ground,
    id: RecordId,
    record: Option<&Record<M>>,
    (ledger, dirs): (&Ledger, &Dirs),
    wrong: Vec<StoreError>,
) {
    let missing = ledger.missing();
    if !missing.is_empty() {
        tracing::warn!(record = %id.short(), ?missing, "a part of the ledger is not held here");
    }
    let alone = record.is_some_and(|record| record.machine().group().len() == 1);
    let remedy = match () {
        () if missing.is_empty() => Remedy::Mended,
        () if alone => Remedy::Operator,
        () => Remedy::Fetching,
    };
    for error in wrong {
        env.findings.add(error, remedy);
    }
    for (first, last) in missing.into_iter().filter(|_| alone) {
        env.findings.add(StoreError::LedgerGap { dir: dirs.ledger.clone(), first, last }, Remedy::Operator);
    }
}
