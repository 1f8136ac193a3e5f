//! Apply of a record: committed entries into the state, and the news to everyone who waits for it. Whose thread does it, says
//! `turn.rs`.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use shouwang_domain::level::TooOld;
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::record::{Cause, Outcome, Record, Written};
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::ConfChangeV2;
use shouwang_replica::{Committed, CommittedKind, follows};
use shouwang_store::checkpoint::CheckpointInfo;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::checkpoints::{At, Candidate};
use super::keeper::{KeeperJob, Kept};
use super::open::keys_in_force;
use super::turn::{Turn, Whose};
use super::waiters::CommandKey;
use super::{AppliedNote, RaftMsg, Shared};
use crate::Result;
use crate::error::DriverError;
use crate::options::RecordOptions;
use crate::tail::Change;

/// Entries applied before readers are told, at most.
const ENTRIES_AT_ONCE: usize = 64;
/// An entry that anybody may apply is no larger, in bytes. Some commands that came together are; what comes alone is not.
const SMALL_BYTES: usize = 4096;
/// How far ahead the time is that stands for "nothing is due".
const NOTHING_DUE: Duration = Duration::from_hours(24);
/// How long apply waits for a keeper that cannot follow before it looks again.
const KEEPER_WAIT: Duration = Duration::from_millis(5);

/// What the apply thread is told, in order.
pub(crate) enum ApplyWork {
    /// One small entry that waits for nobody: [whoever has the turn](super::turn) may apply it.
    Entry(Committed),
    /// Committed entries.
    Entries(Vec<Committed>),
    /// The staged checkpoint becomes the state.
    Install { index: u64, term: u64 },
    /// Take a checkpoint now, for whoever cannot go on without it, or just waits for it.
    Checkpoint { pressing: bool, reply: Option<oneshot::Sender<Result<CheckpointInfo>>> },
}

impl ApplyWork {
    /// Take a checkpoint now, that nobody waits for.
    pub const CHECKPOINT: Self = Self::Checkpoint { pressing: false, reply: None };
    /// Take one without which somebody cannot go on.
    pub const PRESSING_CHECKPOINT: Self = Self::Checkpoint { pressing: true, reply: None };

    /// Committed entries; `long` says that applying them may take long all the same.
    pub fn of(mut entries: Vec<Committed>, long: bool) -> Self {
        let small =
            |entry: &mut Committed| matches!(&entry.kind, CommittedKind::Normal(data) if data.len() <= SMALL_BYTES);
        let alone = if long || entries.len() != 1 { None } else { entries.pop_if(small) };
        alone.map_or(Self::Entries(entries), Self::Entry)
    }

    /// Whether anybody may carry it out.
    pub fn is_for_anybody(&self) -> bool {
        matches!(self, Self::Entry(_))
    }
}

/// What has happened and nobody has been told yet.
struct News<M: Machine> {
    changes: Vec<Arc<Change<M::Event>>>,
    outcomes: Vec<(CommandKey, Outcome)>,
    dropped: Vec<Hash32>,
}

pub(crate) struct ApplyLoop<M: Machine> {
    shared: Arc<Shared<M>>,
    record: Option<Record<M>>,
    note: AppliedNote,
    group: Vec<GroupNode>,
    news: News<M>,
    since: Since,
    /// Where callers wait.
    runtime: Handle,
    /// What was taken out of the box and is not carried out yet.
    work: VecDeque<ApplyWork>,
}

/// What has been written into the ledger since the last checkpoint was begun.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    records: u64,
    bytes: u64,
}

impl Since {
    /// Whether that is worth a checkpoint. One writes the whole state, however little has changed, and what it spares is that a
    /// start carries out once more what came since, which for a byte takes about as long. So twice as many bytes must have come as
    /// the newest state has, or a large one would be written over and over again. What the log may hold in memory is the
    /// bound: a record of the ledger holds more than the entry it came by, and with half of that memory in use the log asks for
    /// checkpoints (`make_room`) that give way less.
    fn is_enough(self, options: &RecordOptions, newest_bytes: u64) -> bool {
        let worth = newest_bytes.saturating_mul(2).min(options.limits.max_log_bytes_in_memory / 2);
        (self.records >= options.checkpoint_records || self.bytes >= options.checkpoint_bytes) && self.bytes >= worth
    }
}

impl<M: Machine> Turn for ApplyLoop<M> {
    fn turn(&mut self, whose: Whose) -> Instant {
        let shared = self.shared.clone();
        let core = &shared.core;
        let mut taken = Vec::new();
        core.apply.drain(&mut taken);
        self.work.extend(taken);
        // In order: what is small waits for what is not.
        let may = |work: &mut ApplyWork| whose == Whose::Own || work.is_for_anybody() && !core.keeper_is_behind();
        while core.halted.get().is_none()
            && let Some(work) = self.work.pop_front_if(may)
        {
            self.carry_out(work);
        }
        if core.halted.get().is_some() {
            self.work.clear();
        }
        if !self.work.is_empty() {
            core.apply.nudge();
        }
        Instant::now() + NOTHING_DUE
    }
}

impl<M: Machine> ApplyLoop<M> {
    pub fn new(shared: Arc<Shared<M>>, record: Option<Record<M>>, note: AppliedNote, runtime: Handle) -> Self {
        let group = shared.core.group.load().as_ref().clone();
        let news = News { changes: Vec::new(), outcomes: Vec::new(), dropped: Vec::new() };
        Self { shared, record, note, group, news, since: Since::default(), runtime, work: VecDeque::new() }
    }

    fn carry_out(&mut self, work: ApplyWork) {
        match work {
            ApplyWork::Entry(entry) => self.apply_all(std::slice::from_ref(&entry)),
            ApplyWork::Entries(entries) => self.apply_all(&entries),
            ApplyWork::Install { index, term } => self.install(index, term),
            ApplyWork::Checkpoint { pressing, reply } => self.checkpoint(pressing, reply),
        }
    }

    fn apply_all(&mut self, entries: &[Committed]) {
        for entries in entries.chunks(ENTRIES_AT_ONCE) {
            self.wait_for_keeper();
            let applied = entries.iter().try_for_each(|entry| self.apply(entry));
            self.publish();
            if let Err(error) = applied {
                self.shared.core.halt(error.told());
                return;
            }
        }
        let core = &self.shared.core;
        if self.since.is_enough(&core.options, core.state_bytes.load(Ordering::Relaxed)) {
            self.checkpoint(false, None);
        }
    }

    /// # Errors
    /// The record has been raised above what this node goes along with; it stands right before that.
    fn apply(&mut self, entry: &Committed) -> Result<(), TooOld> {
        match &entry.kind {
            CommittedKind::Normal(data) => self.apply_entry(data)?,
            CommittedKind::Conf(change) => self.judge(entry.index, change),
            CommittedKind::Empty => {}
        }
        (self.note.index, self.note.term) = (entry.index, entry.term);
        Ok(())
    }

    fn apply_entry(&mut self, data: &Bytes) -> Result<(), TooOld> {
        let Some(record) = &mut self.record else { return Ok(()) };
        let applied = record.apply(data, &*self.shared.verifier)?;
        self.note.stamp = self.note.stamp.max(applied.stamp.unwrap_or_default());
        self.news.outcomes.extend(applied.outcomes);
        self.news.dropped.extend(applied.dropped);
        for written in applied.written {
            self.since.records += 1;
            self.since.bytes += written.bytes.len() as u64;
            let Written { record, bytes, asked } = written;
            self.news.changes.push(Arc::new(Change { record, bytes: bytes.into(), command: asked }));
        }
        Ok(())
    }

    /// A change of membership has effect only if it follows from the state.
    fn judge(&mut self, index: u64, change: &ConfChangeV2) {
        let core = &self.shared.core;
        let group = self.record.as_ref().map(|record| record.machine().group()).unwrap_or_default();
        let accepted = follows(&super::seats(&group), &core.conf.get().1, change);
        if !accepted {
            tracing::warn!(record = %core.label, index, ?change, "a membership entry that does not follow from the state");
        }
        core.inbox.push(RaftMsg::ConfApplied { index, accepted });
        // What comes next, a checkpoint above all, must see the membership as of here.
        core.conf.wait(index, || core.inbox.is_closed());
    }

    /// Lets readers, watchers and callers see what has been applied, in this order.
    fn publish(&mut self) {
        let core = &self.shared.core;
        let Some(record) = &self.record else { return };
        self.note.next_due = record.next_due();
        let revision = record.revision();
        let changes = std::mem::take(&mut self.news.changes);
        if !changes.is_empty() {
            let kept = changes.iter().map(|change| (change.record.revision, change.bytes.clone())).collect();
            let kept = Kept { records: kept, root: record.ledger_root().0 };
            core.metrics.applied(changes.len() as u64, revision);
            self.shared.tail.extend(changes, core.keeper_position());
            core.keeper_backlog.fetch_add(kept.bytes(), Ordering::Relaxed);
            core.keeper.push(KeeperJob::Append(kept));
        }
        let group = record.machine().group();
        let keys = keys_in_force(record, core.node);
        if **core.keys.load() != keys {
            core.keys.store(Arc::new(keys));
        }
        self.shared.record.store(Some(Arc::new(record.clone())));
        core.published.send_if_modified(|seen| std::mem::replace(seen, revision) != revision);
        let outcomes = std::mem::take(&mut self.news.outcomes);
        let (answers, waited) = core.waiters.resolve(outcomes, |at| self.digest_at(at));
        answers.tell(&self.runtime);
        let dropped = std::mem::take(&mut self.news.dropped);
        if !dropped.is_empty() {
            tracing::warn!(record = %core.label, count = dropped.len(), "batches dropped: not signed by a key in force");
            core.inbox.push(RaftMsg::Dropped(dropped));
        }
        self.tell_group(group);
        self.shared.core.inbox.push_quietly(RaftMsg::Applied { note: self.note, waited });
    }

    fn tell_group(&mut self, group: Vec<GroupNode>) {
        if group != self.group {
            let core = &self.shared.core;
            core.group.store(Arc::new(group.clone()));
            core.inbox.push(RaftMsg::Group(group.as_slice().into()));
            self.group = group;
        }
    }

    /// The digest of the command that a revision holds.
    fn digest_at(&self, revision: u64) -> Option<Hash32> {
        let held = self.shared.tail.read(revision, 1).and_then(|held| held.into_iter().next());
        if let Some(change) = held {
            return command_digest(&change.record.cause);
        }
        let bytes = self.shared.ledger.get(revision).ok()?;
        let record: shouwang_domain::record::LedgerRecord<M::Event> = code::decode("ledger record", &bytes).ok()?;
        command_digest(&record.cause)
    }

    /// A disk that cannot follow slows apply down, so that memory stays bounded.
    fn wait_for_keeper(&self) {
        let core = &self.shared.core;
        while core.keeper_is_behind() && !core.keeper.is_closed() {
            std::thread::sleep(KEEPER_WAIT);
        }
    }

    fn install(&mut self, index: u64, term: u64) {
        let core = &self.shared.core;
        // One assignment: whole after any panic.
        let restored = self.shared.restored.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((info, record)) = restored.filter(|(info, _)| info.meta.raft_index == index) else {
            core.halt(format!("the checkpoint of index {index} is not staged; remove this node and let it join anew"));
            return;
        };
        let (adopted, answer) = std::sync::mpsc::channel();
        let stamp = Timestamp(info.meta.time_ms).max(record.time()).max(self.note.stamp);
        core.keeper.push(KeeperJob::Install {
            info,
            revision: record.revision(),
            root: record.ledger_root().0,
            adopted,
        });
        if answer.recv().is_err() {
            // The keeper has said why, or the node stops.
            return;
        }
        tracing::info!(record = %core.label, index, revision = record.revision(), "checkpoint installed");
        self.note = AppliedNote { index, term, stamp, next_due: record.next_due() };
        self.news = News { changes: Vec::new(), outcomes: Vec::new(), dropped: Vec::new() };
        self.since = Since::default();
        core.epoch.store(record.epoch(), Ordering::Relaxed);
        self.shared.tail.restart(record.revision());
        self.record = Some(record);
        self.publish();
    }

    fn checkpoint(&mut self, pressing: bool, reply: Option<oneshot::Sender<Result<CheckpointInfo>>>) {
        let core = &self.shared.core;
        let (conf_index, conf_state) = core.conf.get();
        // After a restart the membership may be ahead of what is applied again: what it was here is not known then.
        let Some(record) = self.record.as_ref().filter(|_| conf_index <= self.note.index) else {
            if let Some(reply) = reply {
                // A caller that has just left needs no answer.
                let _ = reply.send(Err(DriverError::Joining));
            }
            return;
        };
        self.since = Since::default();
        let candidate = Candidate {
            source: Box::new(record.clone()),
            at: At { index: self.note.index, term: self.note.term, stamp: self.note.stamp },
            conf_state,
            began: Instant::now(),
            pressing,
            replies: reply.into_iter().collect(),
        };
        core.keeper.push(KeeperJob::Checkpoint(candidate));
    }
}

fn command_digest(cause: &Cause) -> Option<Hash32> {
    match cause {
        Cause::Command { bytes, .. } => Some(Hash32::of(&[&bytes.0])),
        Cause::Timer => None,
    }
}

#[cfg(test)]
mod tests {
    use shouwang_replica::Limits;

    use super::*;

    #[test]
    fn a_checkpoint_comes_after_enough_and_after_twice_as_much_as_the_last_one_holds() {
        let limits = Limits { max_log_bytes_in_memory: 20_000, ..Limits::default() };
        let options =
            RecordOptions { checkpoint_records: 10, checkpoint_bytes: 1000, limits, ..RecordOptions::default() };
        for (records, bytes, newest_bytes, due) in [
            (0, 0, 0, false),
            (9, 999, 0, false),
            (10, 500, 0, true),
            (3, 1000, 0, true),
            (10, 500, 250, true),
            (10, 500, 251, false),
            (3, 1000, 501, false),
            (90, 5000, 2000, true),
            (90, 9999, u64::MAX, false),
            (90, 10_000, u64::MAX, true),
        ] {
            let since = Since { records, bytes };
            assert_eq!(since.is_enough(&options, newest_bytes), due, "{since:?} {newest_bytes}");
        }
    }

    #[test]
    fn only_one_small_entry_of_commands_is_for_anybody() {
        let entry = |kind| Committed { index: 1, term: 1, kind };
        let normal = |size: usize| entry(CommittedKind::Normal(Bytes::from(vec![0; size])));
        let conf = || entry(CommittedKind::Conf(ConfChangeV2::default()));
        for (name, entries, long, expected) in [
            ("a command", vec![normal(700)], false, true),
            ("the largest", vec![normal(SMALL_BYTES)], false, true),
            ("more than that", vec![normal(SMALL_BYTES + 1)], false, false),
            ("a command before which much may be due", vec![normal(700)], true, false),
            ("two", vec![normal(1), normal(1)], false, false),
            ("none", vec![], false, false),
            ("a new leader's first", vec![entry(CommittedKind::Empty)], false, false),
            ("a change of membership, which waits for Raft", vec![conf()], false, false),
        ] {
            let work = ApplyWork::of(entries.clone(), long);
            assert_eq!(work.is_for_anybody(), expected, "{name}");
            let kept = match work {
                ApplyWork::Entry(entry) => vec![entry],
                ApplyWork::Entries(entries) => entries,
                ApplyWork::Install { .. } | ApplyWork::Checkpoint { .. } => panic!("{name}"),
            };
            assert_eq!(kept, entries, "{name}");
        }
    }
}
