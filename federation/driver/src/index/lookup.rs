//! What readers ask of the index. Every answer is read from the ledger, and says what the index covered when it was asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::ids::{CommandId, MunicipalityCode};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Outcome;
use shouwang_domain::subject::Subject;
use shouwang_store::StoreError;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::Indexed;
use super::entries::{Entry, Group, PAGE, READ_MAX, Span, at_revision, of_span, of_subject};
use super::home::Opened;
use super::indexer::command_of;
use crate::Result;
use crate::error::DriverError;
use crate::handle::Handle;
use crate::record::Shared;
use crate::tail::Change;

/// How long an answer waits for the index to reach what was newest when it was asked for. It is a moment behind as a
/// rule, and far behind while it is built anew: that is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// A part of an object's history.
#[derive(Clone, Debug)]
pub struct History<E> {
    /// The ledger records about it, oldest first.
    pub changes: Vec<Arc<Change<E>>>,
    /// There are more behind the last.
    pub more: bool,
    /// What the index covers: before and behind that there may be records about the object that are not shown.
    pub indexed: Indexed,
    /// The newest revision when it was asked for.
    pub newest: u64,
}

/// What the ledger says of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// What came of it, if the index leads to it.
    pub outcome: Option<Outcome>,
    /// What the index covers: the command may stand before or behind that.
    pub indexed: Indexed,
    /// The newest revision when it was asked for.
    pub newest: u64,
}

impl<M: Machine> Handle<M> {
    /// The ledger records about any of these subjects behind the revision `after`, at most `most`.
    ///
    /// # Errors
    /// `OutOfRange` if one of them is not held here any more; `TooSlow`, `Joining`, `Stopped`, `Store`.
    pub async fn history(
        &self,
        subjects: Vec<Subject>,
        after: u64,
        most: usize,
        deadline: Instant,
    ) -> Result<History<M::Event>> {
        let look = self.look(deadline).await?;
        let looking = spawn_blocking(move || look.history(&subjects, after, most));
        looking.await.map_err(|_| DriverError::Stopped)?
    }

    /// The outcome of a command from the ledger, however long ago the record has forgotten it.
    ///
    /// # Errors
    /// As [`Handle::history`].
    pub async fn recall(
        &self,
        municipality: MunicipalityCode,
        command: CommandId,
        deadline: Instant,
    ) -> Result<Recalled> {
        let look = self.look(deadline).await?;
        let looking = spawn_blocking(move || look.recall(municipality, command));
        looking.await.map_err(|_| DriverError::Stopped)?
    }

    /// How far the index of this record is.
    pub fn indexed(&self) -> Indexed {
        self.shared.indexed().1
    }

    async fn look(&self, deadline: Instant) -> Result<Look<M>> {
        let newest = self.shared.record.load().as_ref().map(|record| record.revision()).ok_or(DriverError::Joining)?;
        if self.shared.index_home.current().is_some() {
            let mut indexed = self.shared.core.index.indexed.subscribe();
            let until = deadline.min(Instant::now() + PATIENCE);
            let reached = indexed.wait_for(|(_, indexed)| indexed.through >= newest);
            // Reached or not, the answer says how far it is.
            let _ = timeout_at(until.into(), reached).await;
        }
        Ok(Look { shared: self.shared.clone(), newest, deadline })
    }
}

impl<M: Machine> Shared<M> {
    /// The index that is open, and how far it is.
    fn indexed(&self) -> (Option<Arc<Opened>>, Indexed) {
        let opened = self.index_home.current();
        let (generation, indexed) = *self.core.index.indexed.borrow();
        let speaks = opened.as_ref().is_some_and(|opened| opened.generation == generation);
        (opened, if speaks { indexed } else { Indexed::default() })
    }
}

/// A look under way.
struct Look<M: Machine> {
    shared: Arc<Shared<M>>,
    newest: u64,
    deadline: Instant,
}

impl<M: Machine> Look<M> {
    fn history(&self, subjects: &[Subject], after: u64, most: usize) -> Result<History<M::Event>> {
        let id = self.shared.core.id;
        let prefixes: Vec<_> = subjects.iter().map(|subject| of_subject(id, subject)).collect();
        // One more than asked for tells whether there are more.
        let (found, mut indexed) = self.find(&prefixes, after, most.saturating_add(1));
        let more = found.len() > most;
        let mut changes = Vec::new();
        for revision in found.into_iter().take(most) {
            let change = self.change(revision)?;
            if change.record.events.iter().flat_map(M::subjects).any(|subject| subjects.contains(&subject)) {
                changes.push(change);
            } else {
                indexed = self.mistaken(revision);
            }
        }
        Ok(History { changes, more, indexed, newest: self.newest })
    }

    fn recall(&self, municipality: MunicipalityCode, command: CommandId) -> Result<Recalled> {
        let (opened, mut indexed) = self.opened();
        let mut outcome = None;
        if let Some(opened) = opened {
            let Some(marked) = self.marked(&opened, command)? else {
                return Ok(Recalled { outcome, indexed: Indexed::default(), newest: self.newest });
            };
            for revision in marked {
                let record = &self.change(revision)?.record;
                let Some((asked_by, asked)) = command_of::<M>(record) else {
                    indexed = self.mistaken(revision);
                    continue;
                };
                if (asked_by, asked) == (municipality, command) {
                    outcome = Some(record.outcome());
                    break;
                }
                if Span::mark(asked) != Span::mark(command) {
                    indexed = self.mistaken(revision);
                }
            }
        }
        Ok(Recalled { outcome, indexed, newest: self.newest })
    }

    /// Where the command may stand, in order; none if the index does not read.
    fn marked(&self, opened: &Opened, command: CommandId) -> Result<Option<Vec<u64>>> {
        let prefix = of_span(self.shared.core.id, command);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            if Instant::now() >= self.deadline {
                return Err(DriverError::TooSlow);
            }
            let entries = opened.index.scan_prefix(&prefix, after.as_deref(), READ_MAX);
            let Some(spans) = self.read(opened, entries, Span::read) else { return Ok(None) };
            found.extend(spans.iter().flat_map(|span| span.revisions(command)));
            match spans.last() {
                Some(last) if spans.len() == READ_MAX => after = Some(at_revision(prefix.clone(), last.first)),
                _ => break,
            }
        }
        // The index may be ahead of what readers can see. Parts of a ledger may have come in any order.
        found.retain(|revision| *revision <= self.newest);
        found.sort_unstable();
        Ok(Some(found))
    }

    /// The index, and what it covers of what readers can see.
    fn opened(&self) -> (Option<Arc<Opened>>, Indexed) {
        let (opened, indexed) = self.shared.indexed();
        (opened, Indexed { through: indexed.through.min(self.newest), ..indexed })
    }

    /// The first revisions behind `after` that any of these prefixes leads to, and what the index covers.
    fn find(&self, prefixes: &[Vec<u8>], after: u64, most: usize) -> (BTreeSet<u64>, Indexed) {
        let (opened, indexed) = self.opened();
        let Some(opened) = opened else { return Default::default() };
        let mut found = BTreeSet::new();
        for prefix in prefixes {
            // A group may begin a page before what it leads to, and so many of them may lead to nothing behind `after`.
            let from = at_revision(prefix.clone(), after.saturating_sub(PAGE as u64));
            let entries = opened.index.scan_prefix(prefix, Some(&from), most.saturating_add(PAGE));
            let Some(groups) = self.read(&opened, entries, Group::read) else { return Default::default() };
            found.extend(groups.iter().flat_map(Group::revisions).filter(|revision| *revision > after));
        }
        // The index may be ahead of what readers can see.
        found.retain(|revision| *revision <= self.newest);
        (found.into_iter().take(most).collect(), indexed)
    }

    /// What these entries say; none, and the index is condemned, if they do not read.
    fn read<T>(
        &self,
        opened: &Opened,
        entries: Result<Vec<Entry>, StoreError>,
        read: impl Fn(&[u8], &[u8]) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entries = entries.map_err(|error| error.to_string()).and_then(|entries| {
            let entries = entries.iter().map(|(key, value)| read(key, value));
            entries.collect::<Option<_>>().ok_or_else(|| "an entry is none".to_owned())
        });
        entries
            .inspect_err(|error| {
                tracing::warn!(record = %self.shared.core.label, error, "the index does not read");
                self.condemn(opened.generation);
            })
            .ok()
    }

    fn change(&self, revision: u64) -> Result<Arc<Change<M::Event>>> {
        if Instant::now() >= self.deadline {
            return Err(DriverError::TooSlow);
        }
        if let Some(change) = self.shared.tail.read(revision, 1).and_then(|page| page.into_iter().next()) {
            return Ok(change);
        }
        match self.shared.ledger.get(revision) {
            Ok(bytes) => Ok(Arc::new(Change::decode(bytes.into())?)),
            Err(StoreError::OutOfRange { .. }) => {
                Err(DriverError::OutOfRange { revision, oldest: self.shared.core.oldest() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The index leads to a record that is about something else: nothing it says is to be believed.
    fn mistaken(&self, revision: u64) -> Indexed {
        tracing::warn!(record = %self.shared.core.label, revision, "the index leads to a record about something else");
        if let (Some(opened), _) = self.shared.indexed() {
            self.condemn(opened.generation);
        }
        Indexed::default()
    }

    fn condemn(&self, generation: u64) {
        self.shared.index_home.condemn(generation);
        self.shared.core.index.ring();
    }
}
