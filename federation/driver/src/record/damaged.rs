//! A record whose log has lost what it promised: it is shown as far as it can be read, and takes no writes. If this node
//! is its whole group, nobody else can be contradicted, and an operator may let it go on from there.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use shouwang_domain::ids::RecordId;
use shouwang_domain::level::TooOld;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::registry::Registry;
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::{ConfState, Entry, HardState};
use shouwang_replica::{CommittedKind, GENESIS_INDEX, LogBase, Role, Status, committed_kind, conf_state_from};
use shouwang_store::checkpoint::{CheckpointStore, OpenedCheckpoint};
use shouwang_store::ledger::{Ledger, LedgerReader};
use shouwang_store::log::{self, LogWrite};
use shouwang_store::{Disk, Remedy, StoreError};

use super::checkpoints::{self, At};
use super::found::{Dirs, LOG_LOST, RECORDS, is_damage, open_ledger, slot_of, unfit};
use super::life::NewLife;
use super::open::{Environment, opened};
use super::{Vitals, restore};
use crate::Result;
use crate::error::DriverError;
use crate::keys::Ed25519Verifier;
use crate::options::HostSpec;

/// Records read from the ledger at once, and their bytes.
const PAGE: (usize, usize) = (1024, 4 << 20);

/// The most that can be read of a record.
pub(super) struct Best<M: Machine> {
    pub record: Record<M>,
    /// The newest stamp among what gave it.
    pub stamp: Timestamp,
    /// Ledger records that only the log gave.
    pub from_log: Vec<(u64, Vec<u8>)>,
}

/// Whether this node is the whole group: nobody else can hold what was lost here, not even as a learner.
fn is_alone<M: Machine>(env: &Environment, record: &Record<M>) -> bool {
    matches!(&*record.machine().group(), [member] if member.node == env.node && member.voter)
}

/// The newest state that checkpoint, ledger and log give together. The log counts only where this node decides alone:
/// elsewhere what it holds need not have been committed.
pub(super) fn best<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    founded: Option<&Record<M>>,
    checkpoints: &CheckpointStore,
    ledger: &LedgerReader,
) -> Option<Best<M>> {
    let held = checkpoints.held().unwrap_or_default();
    let restored = held.iter().find_map(|info| {
        let opened = checkpoints.open_held(info).ok()?;
        Some((restore::<M>(spec.id, &opened, spec.options.level_max).ok()?, info.meta.raft_index))
    });
    let (start, index) = restored.or_else(|| Some((founded?.clone(), GENESIS_INDEX)))?;
    let stamp = held.first().map_or(Timestamp::ZERO, |newest| Timestamp(newest.meta.time_ms));
    let by_ledger = replay(start.clone(), ledger);
    let salvaged = if is_alone(env, &start) { env.store.salvage(slot_of(spec.id)).ok().flatten() } else { None };
    let by_log = salvaged.filter(|log| log.base.index <= index).and_then(|log| apply(start, index, &log.entries).ok());
    match by_log {
        Some(by_log) if by_log.record.revision() > by_ledger.revision() => {
            let from_log = by_log.from_log.into_iter().filter(|(revision, _)| *revision > by_ledger.revision());
            Some(Best { from_log: from_log.collect(), record: by_log.record, stamp: by_log.stamp.max(stamp) })
        }
        // Nothing but a founding document: that is no state to show.
        _ if by_ledger.revision() == 0 && held.is_empty() => None,
        _ => Some(Best { stamp: by_ledger.time().max(stamp), record: by_ledger, from_log: Vec::new() }),
    }
}

fn replay<M: Machine>(mut record: Record<M>, ledger: &LedgerReader) -> Record<M> {
    while let Ok(page) = ledger.read(record.revision() + 1, PAGE.0, PAGE.1) {
        let before = record.revision();
        for (_, bytes) in page {
            if record.replay(&bytes).is_err() {
                return record;
            }
        }
        if record.revision() == before {
            break;
        }
    }
    record
}

/// A record with all log entries behind `index` carried out.
///
/// # Errors
/// One of them raises the record above what this node goes along with.
pub(super) fn apply<M: Machine>(mut record: Record<M>, index: u64, entries: &[Entry]) -> Result<Best<M>, TooOld> {
    let mut from_log = Vec::new();
    let mut stamp = record.time();
    for entry in entries.iter().filter(|entry| entry.get_index() > index) {
        if let CommittedKind::Normal(data) = committed_kind(entry.clone()) {
            let applied = record.apply(&data, &Ed25519Verifier)?;
            stamp = stamp.max(applied.stamp.unwrap_or_default());
            from_log.extend(applied.written.into_iter().map(|written| (written.record.revision, written.bytes)));
        }
    }
    Ok(Best { record, stamp, from_log })
}

/// Why a record is read-only, and what to do about it.
pub(super) fn reason(error: &DriverError, alone: bool) -> String {
    if let DriverError::EpochEnded { epoch, .. } = error {
        return super::rescue::waits(*epoch);
    }
    if let Some(told) = error.written_by_another() {
        return told;
    }
    let zh = match error {
        DriverError::Store(error) => error.zh(),
        other => other.to_string(),
    };
    let code = error.code();
    if alone {
        format!(
            "{code}: 台账日志受损，仅可查阅；确认可能丢失的内容后，停止节点并执行 shouwang registry accept-loss。{zh} / \
             read-only: its log has lost what it acknowledged; stop the node and run shouwang registry accept-loss once \
             the loss is accepted. {error}"
        )
    } else {
        format!(
            "{code}: 日志受损，仅可查阅；本节点须退出该记录，以新编号重新加入。{zh} / read-only: its log has lost what it \
             acknowledged; let this node leave the record and join anew under a new id. {error}"
        )
    }
}

/// What is shown of a replica that does not run.
pub(super) fn at_rest(env: &Environment, newest: Option<&OpenedCheckpoint>) -> Vitals {
    let conf_state = newest.map(|newest| newest.meta().conf_state.clone()).unwrap_or_default();
    let base = newest.map_or(LogBase::default(), |newest| LogBase {
        index: newest.meta().raft_index,
        term: newest.meta().raft_term,
    });
    let status = Status {
        id: env.node.get(),
        role: Role::Learner,
        term: base.term,
        leader: None,
        transferring_to: None,
        commit: base.index,
        applied: base.index,
        persisted: base.index,
        last: base.index,
        base,
        checkpoint: base.index,
        conf_state,
        conf_index: base.index,
        log_bytes: 0,
        peers: Vec::new(),
    };
    Vitals { status, heard_at: Instant::now() }
}

/// What of a record with a damaged log can be read.
pub(super) struct Remains<M: Machine> {
    pub best: Option<Best<M>>,
    pub newest: Option<OpenedCheckpoint>,
    pub ledger: Ledger,
    pub reason: String,
}

/// Reads what there is. Blocks.
pub(super) fn remains<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    founded: Option<&Record<M>>,
    checkpoints: &CheckpointStore,
    error: &DriverError,
) -> Result<Remains<M>> {
    let newest = match checkpoints.newest_verified() {
        Err(StoreError::NoUsableCheckpoint { .. } | StoreError::CheckpointForeign { .. }) => None,
        other => other?,
    };
    let revision = newest.as_ref().map_or(0, |newest| newest.meta().revision);
    let (ledger, wrong) = open_ledger(env, spec, dirs, revision)?;
    for error in wrong {
        env.findings.add(error, Remedy::Operator);
    }
    let best = best(env, spec, founded, checkpoints, &ledger.reader());
    let alone = best.as_ref().is_some_and(|best| is_alone(env, &best.record))
        || founded.is_some_and(|founded| best.is_none() && is_alone(env, founded));
    let reason = reason(error, alone);
    tracing::error!(record = %spec.id.short(), reason, "record is read-only");
    Ok(Remains { best, newest, ledger, reason })
}

/// What an operator accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// What was damaged, as it was told.
    pub damage: String,
    /// The revision the record goes on from.
    pub revision: u64,
    /// Its highest Raft index that is known to have been used: what lay between may be lost.
    pub index: u64,
    /// Which life of the registry it is now.
    pub incarnation: u32,
}

/// Lets a registry of this node alone go on from what can be read, as another life: what it told a region and has lost is on
/// record there. Nothing is changed before all that can be refused is allowed. Blocks.
pub(crate) fn accept(env: &Environment, spec: &HostSpec<Registry>, life: NewLife) -> Result<AcceptedLoss> {
    let dirs = Dirs::new(env, spec.id);
    if env.disk.list(&dirs.root).map_err(|error| StoreError::io("list", &dirs.root, error))?.is_empty() {
        return Err(unfit(spec.id, "the order", "the record is not here"));
    }
    let (checkpoints, staged) = dirs.stores(env)?;
    let founded = spec.founded()?;
    let error = match opened(env, spec, &dirs, founded.as_ref(), (&checkpoints, &staged)) {
        Err(error) if is_damage(&error) => error,
        Err(error) => return Err(error),
        Ok(_) => return Err(unfit(spec.id, "the order", "nothing is lost: the log is whole")),
    };
    let Remains { best, newest, mut ledger, .. } = remains(env, spec, &dirs, founded.as_ref(), &checkpoints, &error)?;
    let Some(Best { mut record, stamp, from_log: mut beyond_ledger }) = best else {
        return Err(unfit(spec.id, "the record", "nothing of it can be read; restore it from a backup"));
    };
    if !is_alone(env, &record) {
        return Err(unfit(spec.id, "the order", "others are in this record; join anew under a new id"));
    }
    let revision = record.revision();
    beyond_ledger.push((revision + 1, life.begin(env, &mut record).map_err(DriverError::Refused)?));
    let (index, term) = beyond(env, spec, &error, newest.as_ref());
    let conf = conf_state_from([env.node.get()], []);
    let first = record.revision() + 1 - beyond_ledger.len() as u64;
    if ledger.next() > first {
        ledger.rewind(first - 1)?;
    }
    if ledger.next() < first {
        ledger.begin_at(first)?;
    }
    for (revision, bytes) in beyond_ledger {
        ledger.append(revision, &bytes)?;
    }
    ledger.sync()?;
    checkpoints.forget_milestones_behind(revision)?;
    checkpoints::write(&checkpoints, &record, At { index, term, stamp }, &conf)?;
    restart_log(env, spec.id, (index, term), conf)?;
    tracing::warn!(record = %spec.id.short(), index, revision, "a loss was accepted");
    let (damage, incarnation) = (error.to_string(), record.machine().incarnation());
    Ok(AcceptedLoss { damage, revision, index: index - 1, incarnation })
}

/// An index and a term that were certainly never used.
fn beyond<M: Machine>(
    env: &Environment,
    spec: &HostSpec<M>,
    error: &DriverError,
    newest: Option<&OpenedCheckpoint>,
) -> (u64, u64) {
    let log = env.store.salvage(slot_of(spec.id)).ok().flatten().unwrap_or_default();
    let (mut index, mut term) = (log.last_index(), log.hard_state.get_term());
    if let DriverError::Store(error) = error
        && let StoreError::LogDamaged { expected, .. } = &**error
    {
        (index, term) = (index.max(expected.index), term.max(expected.term));
    }
    if let Some(newest) = newest {
        (index, term) = (index.max(newest.meta().raft_index), term.max(newest.meta().raft_term));
    }
    (index.max(GENESIS_INDEX) + 1, term + 1)
}

/// An empty log behind a checkpoint, in place of one that does not read.
pub(super) fn restart_log(env: &Environment, id: RecordId, at: (u64, u64), conf: ConfState) -> Result<()> {
    env.store.remove(slot_of(id))?;
    log_behind(env, id, at, conf)
}

/// The log begins anew behind a checkpoint, in one write.
pub(super) fn log_behind(env: &Environment, id: RecordId, (index, term): (u64, u64), conf: ConfState) -> Result<()> {
    let mut hard_state = HardState::default();
    hard_state.set_term(term);
    hard_state.set_commit(index);
    env.store.write(&[LogWrite {
        reset_to: Some(log::LogBase { index, term }),
        hard_state: Some(hard_state),
        conf_state: Some((index, conf)),
        ..LogWrite::new(slot_of(id))
    }])?;
    Ok(())
}

/// Notes in every other record that its log is gone: the log was one for all of them.
pub(crate) fn note_lost_logs(disk: &Arc<dyn Disk>, data_dir: &Path, but: &str) -> Result<()> {
    let records = data_dir.join(RECORDS);
    let fault = |op: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { op, path, source }
    };
    for id in disk.list(&records).map_err(fault("list", &records))? {
        let (dir, path) = (records.join(&id), records.join(&id).join(LOG_LOST));
        if id != but {
            let file = disk.create(&path).map_err(fault("create", &path))?;
            file.sync().map_err(fault("sync", &path))?;
            disk.sync_dir(&dir).map_err(fault("sync", &dir))?;
        }
    }
    Ok(())
}
