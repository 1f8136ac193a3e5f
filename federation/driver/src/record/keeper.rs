//! The keeper thread of a record: the ledger on disk, and when checkpoints are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shouwang_replica::eraftpb::ConfState;
use shouwang_store::checkpoint::CheckpointInfo;
use shouwang_store::ledger::{Ledger, LedgerReader, SegmentInfo};
use shouwang_store::{Remedy, StoreError};

use super::checkpoints::{self, Candidate};
use super::{BEHIND, Core, FAR_BEHIND, RaftMsg, RecordPort, join_all, scrub, spawn_behind};
use crate::error::DriverError;
use crate::transport::{HistoryDir, Transport};

/// How long a write that found the disk full waits before it is tried again.
const RETRY_FULL: Duration = Duration::from_millis(200);
/// How long ledger records gather for one write. The log holds them, and readers find them in memory; a write for every commit
/// would cost more than what is written.
const GATHER: Duration = Duration::from_millis(50);

/// Ledger records in order, with the Merkle root after the last of them.
pub(crate) struct Kept {
    pub records: Vec<(u64, Arc<[u8]>)>,
    pub root: [u8; 32],
}

impl Kept {
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// What the keeper is told, in order.
pub(crate) enum KeeperJob {
    /// New ledger records.
    Append(Kept),
    /// Take a checkpoint of this state, whose ledger records were all told before.
    Checkpoint(Candidate),
    /// The checkpoint thread has ended.
    Written(Box<Written>),
    /// The staged checkpoint becomes one of ours, and the ledger goes on behind it.
    Install { info: CheckpointInfo, revision: u64, root: [u8; 32], adopted: std::sync::mpsc::Sender<()> },
    /// A sealed segment that does not read any more.
    GiveUp { segment: SegmentInfo, error: StoreError },
    /// What was told before is to lie on the disk, whatever happens.
    Sync { done: tokio::sync::oneshot::Sender<()> },
    /// Everything has been read again.
    Scrubbed,
    /// A part of the ledger that was missing, with the root after its last record.
    History { first: u64, records: Vec<Vec<u8>>, root: [u8; 32], done: std::sync::mpsc::Sender<()> },
}

/// What came of a checkpoint.
pub(crate) struct Written {
    result: Result<CheckpointInfo, StoreError>,
    conf_state: ConfState,
    began: Instant,
    replies: Vec<tokio::sync::oneshot::Sender<crate::Result<CheckpointInfo>>>,
}

/// A checkpoint under way.
pub(crate) struct Writing {
    thread: JoinHandle<()>,
    /// Whether somebody cannot go on without it.
    pressing: bool,
    /// It is to end without one.
    given_up: Arc<AtomicBool>,
}

impl Writing {
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct KeeperLoop {
    pub port: Arc<dyn RecordPort>,
    pub ledger: Ledger,
    pub reader: LedgerReader,
    pub history: HistoryDir,
    pub transport: Arc<Transport>,
    pub writing: Option<Writing>,
    pub next: Option<Candidate>,
}

impl KeeperLoop {
    /// Runs until the box is closed, then syncs.
    pub fn run(mut self) {
        let port = self.port.clone();
        let core = port.core();
        let mut jobs = Vec::new();
        self.ask_for_history();
        while core.keeper.take(None, &mut jobs) {
            for job in jobs.drain(..) {
                if let Err(error) = self.carry_out(core, job) {
                    core.halt(error.to_string());
                    if error.is_fatal() {
                        (core.fatal)(&error);
                    }
                    return;
                }
            }
            // After the jobs that were waiting together, whatever they were: it costs one lock.
            core.index.ring();
            // A killed process must not take with it what only the log would have.
            match self.ledger.write_out() {
                Err(error) if !error.is_full() => {
                    core.halt(error.to_string());
                    return;
                }
                _ => {}
            }
            core.keeper.rest(Instant::now() + GATHER);
        }
        if let Some(writing) = self.writing.take() {
            // The log is there; whoever stops need not wait.
            writing.give_up();
            join_all([writing.thread]);
        }
        if let Err(error) = self.ledger.sync() {
            tracing::warn!(record = %core.label, %error, "the ledger's end is not synced; the log has it");
        }
        tracing::debug!(record = %core.label, "keeper thread ends");
    }

    fn carry_out(&mut self, core: &Core, job: KeeperJob) -> Result<(), StoreError> {
        match job {
            KeeperJob::Append(kept) => {
                let bytes = kept.bytes();
                let done = self.append(core, kept);
                core.keeper_backlog.fetch_sub(bytes, Ordering::Relaxed);
                done
            }
            KeeperJob::Checkpoint(candidate) => self.begin(core, candidate),
            KeeperJob::Written(written) => self.written(core, *written),
            KeeperJob::Install { info, revision, root, adopted } => {
                self.install(core, &info, revision, root)?;
                // Apply waits for this unless the node stops.
                let _ = adopted.send(());
                self.ask_for_history();
                Ok(())
            }
            KeeperJob::GiveUp { segment, error } => self.give_up(core, &segment, error),
            KeeperJob::Sync { done } => {
                until_room(core, || self.ledger.sync())?;
                // A caller that has just left needs no answer.
                let _ = done.send(());
                Ok(())
            }
            KeeperJob::Scrubbed => {
                scrub::done(core);
                Ok(())
            }
            KeeperJob::History { first, records, root, done } => {
                until_room(core, || self.ledger.add_history(first, &records, root))?;
                core.set_missing(self.ledger.missing(), false);
                // Whoever fetched it waits for this unless the node stops.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    /// A sealed segment is damaged: what it held is fetched, if somebody has it.
    fn give_up(&mut self, core: &Core, segment: &SegmentInfo, error: StoreError) -> Result<(), StoreError> {
        self.ledger.give_up(segment)?;
        core.set_missing(self.ledger.missing(), false);
        let remedy = if core.group.load().len() > 1 { Remedy::Fetching } else { Remedy::Operator };
        core.findings.add(error, remedy);
        self.ask_for_history();
        Ok(())
    }

    fn ask_for_history(&self) {
        if !self.port.core().missing().is_empty() {
            self.transport.fetch_history(self.port.clone(), self.history.clone());
        }
    }

    fn append(&mut self, core: &Core, kept: Kept) -> Result<(), StoreError> {
        let mut last = 0;
        for (revision, bytes) in kept.records {
            if revision < self.ledger.next() && self.is_kept(core, revision, &bytes)? {
                continue;
            }
            until_room(core, || self.ledger.append(revision, &bytes))?;
            core.kept.store(revision, Ordering::Release);
            last = revision;
        }
        if last > 0 && self.ledger.should_seal() {
            match self.ledger.seal(kept.root) {
                Err(error) if error.is_full() => tracing::warn!(record = %core.label, "no room to seal the ledger yet"),
                other => other?,
            }
        }
        Ok(())
    }

    /// After a restart the log derives again what the ledger may have already. It must be the same.
    fn is_kept(&mut self, core: &Core, revision: u64, bytes: &[u8]) -> Result<bool, StoreError> {
        let kept = match self.reader.get(revision) {
            Ok(kept) => kept,
            // A part of the history that is still to be fetched.
            Err(StoreError::OutOfRange { .. }) => return Ok(true),
            Err(error @ StoreError::LedgerDamaged { .. }) => {
                let within = |segment: &SegmentInfo| (segment.first..=segment.last).contains(&revision);
                let Some(segment) = self.reader.segments().into_iter().find(within) else { return Err(error) };
                // Missing from here on; the next start derives it again, if the log still reaches it.
                self.give_up(core, &segment, error)?;
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        if kept == bytes {
            core.kept.fetch_max(revision, Ordering::Release);
            return Ok(true);
        }
        tracing::error!(record = %core.label, revision, "the ledger differs from what the log gives; the log is right");
        until_room(core, || self.ledger.truncate_after(revision - 1))?;
        Ok(false)
    }

    /// Checkpoints one at a time; of those that wait meanwhile the newest. One that gives way to others is given up for one
    /// without which somebody cannot go on.
    fn begin(&mut self, core: &Core, mut candidate: Candidate) -> Result<(), StoreError> {
        if let Some(writing) = &self.writing {
            if let Some(older) = self.next.take() {
                candidate.pressing |= older.pressing;
                candidate.replies.extend(older.replies);
            }
            if candidate.pressing && !writing.pressing {
                writing.give_up();
            }
            self.next = Some(candidate);
            return Ok(());
        }
        // No state may outlive the log that it came from: a start would take that for a log that has lost something.
        if !core.durable.wait(candidate.at.index, || core.keeper.is_closed()) {
            return Ok(());
        }
        // The log behind a checkpoint goes: by then the ledger must be safe.
        until_room(core, || self.ledger.sync())?;
        let (port, pressing, given_up) = (self.port.clone(), candidate.pressing, Arc::new(AtomicBool::new(false)));
        let told = given_up.clone();
        let thread = spawn_behind("checkpoint", if pressing { BEHIND } else { FAR_BEHIND }, move || {
            let Candidate { source, at, conf_state, began, replies, .. } = candidate;
            let result = checkpoints::write_unless(port.checkpoints(), &*source, at, &conf_state, &told);
            let written = Written { result, conf_state, began, replies };
            port.core().keeper.push(KeeperJob::Written(Box::new(written)));
        });
        match thread {
            Ok(thread) => self.writing = Some(Writing { thread, pressing, given_up }),
            Err(error) => tracing::error!(record = %core.label, %error, "no checkpoint was taken"),
        }
        Ok(())
    }

    fn written(&mut self, core: &Core, mut written: Written) -> Result<(), StoreError> {
        let given_up = self.writing.take().is_some_and(|writing| {
            join_all([writing.thread]);
            writing.given_up.load(Ordering::Relaxed)
        });
        match written.result {
            Ok(info) => {
                core.metrics.checkpoint(written.began.elapsed(), info.size);
                core.state_bytes.store(info.plain, Ordering::Relaxed);
                core.index.ask_to_flush();
                let (index, term) = (info.meta.raft_index, info.meta.raft_term);
                tracing::info!(record = %core.label, index, revision = info.meta.revision, bytes = info.size, "checkpoint taken");
                let oldest = self.port.checkpoints().held()?.last().map_or(0, |older| older.meta.raft_index);
                let conf_state = written.conf_state;
                core.inbox.push(RaftMsg::CheckpointReady { index, term, conf_state, oldest });
                // Callers that have just left need no answer.
                written.replies.into_iter().for_each(|reply| drop(reply.send(Ok(info.clone()))));
            }
            Err(error) if error.is_fatal() => return Err(error),
            // Whoever waits for it is told of the one it was given up for.
            Err(_) if given_up && self.next.is_some() => {
                self.next.iter_mut().for_each(|next| next.replies.append(&mut written.replies));
            }
            Err(error) => {
                tracing::error!(record = %core.label, %error, "no checkpoint was taken");
                let error = DriverError::from(error);
                written.replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
            }
        }
        match self.next.take() {
            Some(next) => self.begin(core, next),
            None => Ok(()),
        }
    }

    fn install(&mut self, core: &Core, info: &CheckpointInfo, revision: u64, root: [u8; 32]) -> Result<(), StoreError> {
        // The ledger first: one that ends before a checkpoint of ours has lost something.
        if self.ledger.next() <= revision {
            until_room(core, || self.ledger.begin_at(revision + 1))?;
        } else if self.ledger.should_seal() && self.ledger.last() == Some(revision) {
            self.ledger.seal(root)?;
        }
        self.port.checkpoints().take_over(self.port.staged(), info)?;
        core.state_bytes.store(info.plain, Ordering::Relaxed);
        core.kept.store(revision, Ordering::Release);
        core.set_missing(self.ledger.missing(), false);
        Ok(())
    }
}

/// Tries until there is room or the node stops.
fn until_room(core: &Core, mut write: impl FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
    loop {
        match write() {
            Err(error) if error.is_full() && !core.keeper.is_closed() => {
                tracing::warn!(record = %core.label, %error, "waiting for room");
                std::thread::sleep(RETRY_FULL);
            }
            other => return other,
        }
    }
}
