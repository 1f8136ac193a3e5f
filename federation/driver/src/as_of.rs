//! The record as of an earlier revision: the nearest state before it that this node still has, moved forward by the
//! ledger. Nothing is decided again, so it equals the state that was current then, digest included.

use std::sync::Arc;
use std::time::Instant;

use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Record, ReplayError};
use shouwang_store::StoreError;
use shouwang_store::checkpoint::{CheckpointInfo, Milestone};
use tokio::time::timeout_at;

use crate::Result;
use crate::error::DriverError;
use crate::handle::Handle;
use crate::record::{Shared, restore_while};

/// Looks at the past of one record at once; further ones wait for their turn.
pub(crate) const AT_ONCE: usize = 2;
/// Ledger records read at once.
const PAGE: usize = 512;

impl<M: Machine> Handle<M> {
    /// The record as it was at `revision`, 0 being its founding: from the newest checkpoint or milestone before, or else from
    /// the founding document, and every ledger record up to there. Works off the async threads and reads the ledger page by
    /// page.
    ///
    /// # Errors
    /// `NotYet`; `OutOfRange` with the oldest revision from which on every one can be made again here; `TooSlow`,
    /// `Joining`, `Stopped`, `Halted`, `Store`, `Unfit`.
    pub async fn at(&self, revision: u64, deadline: Instant) -> Result<Arc<Record<M>>> {
        let newest = self.shared.record.load_full().ok_or(DriverError::Joining)?;
        if revision == newest.revision() {
            return Ok(newest);
        }
        if revision > newest.revision() {
            return Err(DriverError::NotYet { revision, newest: newest.revision() });
        }
        let turn = timeout_at(deadline.into(), self.shared.past.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| DriverError::TooSlow)?.map_err(|_| DriverError::Stopped)?;
        let past = Past { shared: self.shared.clone(), newest: newest.revision(), deadline };
        let folding = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            past.at(revision).map(Arc::new)
        });
        folding.await.map_err(|_| DriverError::Stopped)?
    }
}

/// A state that this node still has.
enum Base<M> {
    Checkpoint(CheckpointInfo),
    Milestone(Milestone),
    Founding(Record<M>),
}

impl<M: Machine> Base<M> {
    fn revision(&self) -> u64 {
        match self {
            Self::Checkpoint(info) => info.meta.revision,
            Self::Milestone(milestone) => milestone.revision,
            Self::Founding(_) => 0,
        }
    }
}

/// A look at the past under way.
struct Past<M: Machine> {
    shared: Arc<Shared<M>>,
    newest: u64,
    deadline: Instant,
}

impl<M: Machine> Past<M> {
    fn at(&self, revision: u64) -> Result<Record<M>> {
        let held = self.shared.held(self.newest);
        // Newest first, so that the least is left to fold.
        let checkpoints = self.shared.checkpoints.held()?.into_iter().map(Base::Checkpoint);
        let milestones = self.shared.checkpoints.milestones()?.into_iter().map(Base::Milestone);
        let founding = self.shared.founded.clone().map(Base::Founding);
        let bases: Vec<_> = checkpoints.chain(milestones).chain(founding).collect();
        for base in bases.iter().filter(|base| {
            let from = base.revision();
            from <= revision && reach(&held, from) >= revision
        }) {
            self.go_on()?;
            match self.open(base) {
                Ok(Some(record)) => return self.fold(record, revision),
                // Set aside, which is among what the node's status shows.
                Ok(None) => {}
                // Replaced meanwhile by newer ones, or damaged: the one before it reaches as far.
                Err(error @ (DriverError::Store(_) | DriverError::Unfit { .. })) => {
                    tracing::warn!(record = %self.shared.core.label, %error, "a checkpoint cannot be used for a look at the past");
                }
                Err(error) => return Err(error),
            }
        }
        let bases: Vec<u64> = bases.iter().map(Base::revision).collect();
        Err(DriverError::OutOfRange { revision, oldest: oldest(&held, &bases, self.newest) })
    }

    fn open(&self, base: &Base<M>) -> Result<Option<Record<M>>> {
        let opened = match base {
            Base::Founding(record) => return Ok(Some(record.clone())),
            Base::Checkpoint(info) => Some(self.shared.checkpoints.open_held(info)?),
            Base::Milestone(milestone) => self.shared.checkpoints.open_milestone(milestone)?,
        };
        let core = &self.shared.core;
        let restored = |opened| restore_while(core.id, &opened, core.options.level_max, || self.go_on());
        opened.map(restored).transpose()
    }

    fn fold(&self, mut record: Record<M>, revision: u64) -> Result<Record<M>> {
        while record.revision() < revision {
            self.go_on()?;
            let next = record.revision() + 1;
            let left = usize::try_from(revision - record.revision()).unwrap_or(PAGE).min(PAGE);
            let page = match self.shared.bytes(next, left) {
                // Set aside as damaged since the runs were looked up.
                Err(StoreError::OutOfRange { .. }) => Vec::new(),
                other => other?,
            };
            if page.is_empty() {
                return Err(DriverError::OutOfRange { revision: next, oldest: self.shared.core.oldest() });
            }
            for bytes in page {
                record.replay(&bytes).map_err(|error| match error {
                    ReplayError::TooOld(error) => error.into(),
                    ReplayError::Code(error) => {
                        DriverError::Unfit { id: self.shared.core.id, what: "the ledger", detail: error.to_string() }
                    }
                })?;
            }
        }
        Ok(record)
    }

    /// Whether anybody still waits for this, and somebody may.
    fn go_on(&self) -> Result<()> {
        if let Some(error) = self.shared.core.refuses() {
            return Err(error);
        }
        if Instant::now() < self.deadline { Ok(()) } else { Err(DriverError::TooSlow) }
    }
}

/// The last revision that can be made from a state at `base` with the records held.
fn reach(held: &[(u64, u64)], base: u64) -> u64 {
    let next = base + 1;
    held.iter().find(|run| run.0 <= next && next <= run.1).map_or(base, |run| run.1)
}

/// The oldest revision from which on every one up to `newest` can be made; `bases` from the newest to the oldest.
fn oldest(held: &[(u64, u64)], bases: &[u64], newest: u64) -> u64 {
    bases.iter().fold(newest, |oldest, base| if reach(held, *base) + 1 >= oldest { oldest.min(*base) } else { oldest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_revision_is_where_the_last_gap_ends() {
        for (held, bases, expected) in [
            (&[(1, 90)][..], &[80, 60, 0][..], 0),
            (&[(1, 90)], &[80, 60], 60),
            (&[], &[], 90),
            (&[], &[90, 0], 90),
            (&[(61, 90)], &[80, 60, 0], 60),
            (&[(1, 40), (61, 90)], &[80, 60, 20, 0], 60),
            (&[(1, 59), (61, 90)], &[80, 60, 0], 0),
            (&[(70, 90)], &[80, 60], 80),
        ] {
            assert_eq!(oldest(held, bases, 90), expected, "{held:?} {bases:?}");
        }
    }
}
