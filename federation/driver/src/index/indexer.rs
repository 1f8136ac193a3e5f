//! The thread that indexes one record's ledger: page after page, newest gap first, then it waits for the bell.
//!
//! It works in pages and rests as long as it worked, so that building an index anew leaves half a core to the node; once it
//! has caught up, it lets a page's worth gather for a moment. No error of the index goes further than this thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle;
use shouwang_domain::record::{Cause, LedgerRecord};
use shouwang_store::StoreError;
use shouwang_store::index::{Index, IndexBatch, MAX_KEY_BYTES};

use super::Indexed;
use super::coverage::{Coverage, Run, Tally};
use super::entries::{Entry, Group, PAGE, READ_MAX, Span, at_revision, of_record, of_span, of_subject};
use super::home::{Home, Opened};
use crate::record::{CommandKey, Shared};
use crate::tail::Change;

/// The longest rest between two pages, and the rest after one that closed a gap: a page costs the same in the index whatever
/// it holds, and one a commit would cost more than the commits.
const REST_MAX: Duration = Duration::from_millis(50);
/// How often to look without being rung: whether another record has condemned the index that all share.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The pause after a failure; it doubles up to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// Why a step failed.
pub(super) enum Trouble {
    /// The index does not hold what it should: it is replaced.
    Damaged(String),
    /// Something that passes or is mended elsewhere.
    Later(StoreError),
}

impl Trouble {
    fn of_index(error: StoreError) -> Self {
        match error {
            full @ (StoreError::Full { .. } | StoreError::Locked { .. }) => Self::Later(full),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// What an index says that it reflects of a record, once all its entries are counted; none if that is not to go on.
pub(super) fn counted(index: &Index, id: RecordId, go_on: impl Fn() -> bool) -> Result<Option<Coverage>, Trouble> {
    let noted = index.position(&id.to_string()).map_err(Trouble::of_index)?;
    let noted = noted.map_or_else(|| Some(Coverage::default()), |bytes| Coverage::decode(&bytes));
    let noted = noted.ok_or_else(|| Trouble::Damaged("it was made by another version".to_owned()))?;
    let (prefix, mut tally, mut after) = (of_record(id), Tally::default(), None);
    while go_on() {
        let page = index.scan_prefix(&prefix, after.as_deref(), READ_MAX).map_err(Trouble::of_index)?;
        for (key, value) in &page {
            tally.count(key, value);
        }
        match page.into_iter().next_back() {
            Some((last, _)) if tally.is_within(&noted.tally) => after = Some(last),
            _ if tally == noted.tally => return Ok(Some(noted)),
            _ => return Err(Trouble::Damaged("it does not hold the entries it names".to_owned())),
        }
    }
    Ok(None)
}

/// The state of the thread.
pub(crate) struct Indexer<M: Machine> {
    shared: Arc<Shared<M>>,
    home: Arc<Home>,
    /// Of which opening the rest speaks; 0 before the first.
    generation: u64,
    /// Whether what that opening holds has been taken up.
    loaded: bool,
    coverage: Coverage,
    /// Runs whose end has not been compared with the ledger since the index was opened.
    unchecked: Vec<Run>,
}

impl<M: Machine> Indexer<M> {
    pub fn new(shared: Arc<Shared<M>>) -> Self {
        let home = shared.index_home.clone();
        Self { shared, home, generation: 0, loaded: false, coverage: Coverage::default(), unchecked: Vec::new() }
    }

    /// Runs until the bell is taken away, then makes durable what there is.
    pub fn run(mut self) {
        let shared = self.shared.clone();
        let (bell, label) = (&shared.core.index.bell, &shared.core.label);
        let mut pause = PAUSE.0;
        while !bell.is_closed() {
            let began = Instant::now();
            match self.step() {
                Ok(Some(closed)) => {
                    pause = PAUSE.0;
                    bell.rest(Instant::now() + if closed { REST_MAX } else { began.elapsed().min(REST_MAX) });
                }
                Ok(None) => {
                    pause = PAUSE.0;
                    bell.take(Some(Instant::now() + LOOK_AGAIN), &mut Vec::new());
                }
                Err(trouble) => {
                    self.failed(trouble);
                    bell.rest(Instant::now() + pause);
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
        if let Some(opened) = self.home.current().filter(|opened| opened.generation == self.generation)
            && let Err(error) = opened.index.flush_durable()
        {
            tracing::warn!(record = %label, %error, "the end of the index is not synced; it is made again from the ledger");
        }
        tracing::debug!(record = %label, "index thread ends");
    }

    fn failed(&mut self, trouble: Trouble) {
        let record = &self.shared.core.label;
        match trouble {
            Trouble::Damaged(why) => {
                tracing::warn!(%record, why, "the index is not whole and is built anew from the ledger; nothing is lost");
                self.home.condemn(self.generation);
            }
            Trouble::Later(error) => {
                tracing::warn!(%record, %error, "not indexed now, tried again; the record itself goes on");
            }
        }
    }

    /// One page, and whether it closed its gap; none if nothing is left to do.
    fn step(&mut self) -> Result<Option<bool>, Trouble> {
        let opened = self.home.open().map_err(Trouble::Later)?;
        if opened.generation != self.generation {
            (self.generation, self.loaded) = (opened.generation, false);
        }
        if !self.loaded && !self.load(&opened)? {
            return Ok(None);
        }
        self.compare()?;
        let core = &self.shared.core;
        let held = self.shared.held(core.keeper_position());
        let gaps = self.coverage.gaps(&held);
        core.metrics.index_lag(gaps.iter().map(|gap| gap.1 - gap.0 + 1).sum());
        let Some((first, last)) = gaps.last().copied() else {
            if core.index.flush.swap(false, Ordering::Relaxed) {
                opened.index.flush_durable().map_err(Trouble::of_index)?;
            }
            return Ok(None);
        };
        self.page(&opened, first, last).map(Some)
    }

    /// Takes up what another life of this thread has left, if all of it is there; false if the node stops meanwhile.
    fn load(&mut self, opened: &Opened) -> Result<bool, Trouble> {
        let core = &self.shared.core;
        let Some(noted) = counted(&opened.index, core.id, || !core.index.bell.is_closed())? else { return Ok(false) };
        self.unchecked = noted.runs().to_vec();
        self.coverage = noted;
        self.loaded = true;
        self.publish();
        Ok(true)
    }

    /// Whether the runs end with the records that the ledger has there. An index may be ahead of a ledger whose end is
    /// still to be derived from the log; of another ledger it may not be.
    fn compare(&mut self) -> Result<(), Trouble> {
        let shared = &self.shared;
        let mut differs = None;
        self.unchecked.retain(|run| match shared.bytes(run.last, 1).ok().and_then(|page| page.into_iter().next()) {
            Some(bytes) => {
                if merkle::leaf(&bytes) != run.leaf {
                    differs = Some(run.last);
                }
                false
            }
            None => true,
        });
        match differs {
            Some(at) => Err(Trouble::Damaged(format!("it is of another ledger: revision {at} differs"))),
            None => Ok(()),
        }
    }

    /// Indexes the beginning of a gap; says whether that was all of it.
    fn page(&mut self, opened: &Opened, first: u64, last: u64) -> Result<bool, Trouble> {
        let most = usize::try_from(last - first + 1).unwrap_or(PAGE).min(PAGE);
        let changes = self.read(first, most).map_err(Trouble::Later)?;
        let Some(end) = changes.last() else { return Ok(true) };
        let run = Run { first, last: end.record.revision, leaf: merkle::leaf(&end.bytes) };
        let mut coverage = self.coverage.clone();
        let mut batch = IndexBatch::new();
        for (key, value) in self.subjects(&changes).chain(self.commands(&changes)) {
            coverage.tally.count(&key, &value);
            batch.put(key, value);
        }
        if !coverage.add(run) {
            return Err(Trouble::Damaged("its ledger has come in too many parts".to_owned()));
        }
        batch.set_position(&self.shared.core.id.to_string(), coverage.encode());
        opened.index.apply(&batch).map_err(Trouble::of_index)?;
        self.coverage = coverage;
        self.publish();
        Ok(run.last >= last)
    }

    fn read(&self, first: u64, most: usize) -> Result<Vec<Arc<Change<M::Event>>>, StoreError> {
        match self.shared.tail.read(first, most) {
            Some(changes) if !changes.is_empty() => Ok(changes),
            _ => self.shared.bytes(first, most)?.into_iter().map(|bytes| Change::decode(bytes).map(Arc::new)).collect(),
        }
    }

    /// What leads from subjects to these ledger records.
    fn subjects(&self, changes: &[Arc<Change<M::Event>>]) -> impl Iterator<Item = Entry> {
        let id = self.shared.core.id;
        let mut groups: BTreeMap<_, Group> = BTreeMap::new();
        for change in changes {
            let revision = change.record.revision;
            for subject in change.record.events.iter().flat_map(M::subjects) {
                groups.entry(of_subject(id, &subject)).or_insert_with(|| Group::of(revision)).add(revision);
            }
        }
        // A name that long was never given by a command of ours, and cannot be asked for.
        groups.retain(|name, _| name.len() + size_of::<u64>() <= MAX_KEY_BYTES);
        groups.into_iter().map(|(name, group)| (at_revision(name, group.first), group.value()))
    }

    /// What leads from commands to these ledger records.
    fn commands(&self, changes: &[Arc<Change<M::Event>>]) -> impl Iterator<Item = Entry> {
        let id = self.shared.core.id;
        let mut spans: BTreeMap<_, Span> = BTreeMap::new();
        for change in changes {
            if let Some((_, command)) = change.command.or_else(|| command_of::<M>(&change.record)) {
                let revision = change.record.revision;
                spans.entry(of_span(id, command)).or_insert_with(|| Span::from(revision)).add(revision, command);
            }
        }
        spans.into_iter().map(|(name, span)| (at_revision(name, span.first), span.value()))
    }

    fn publish(&self) {
        let newest = self.coverage.runs().last();
        let indexed = newest.map_or_else(Indexed::default, |run| Indexed { from: run.first, through: run.last });
        self.shared.core.index.indexed.send_replace((self.generation, indexed));
    }
}

/// The command behind a ledger record, if it is known by an id.
pub(super) fn command_of<M: Machine>(record: &LedgerRecord<M::Event>) -> Option<CommandKey> {
    let Cause::Command { bytes, proof } = &record.cause else { return None };
    let envelope: Envelope<M::Command> = code::decode("command", &bytes.0).ok()?;
    (!M::is_numbered(&envelope.body)).then_some((proof.node.municipality(), envelope.id))
}
