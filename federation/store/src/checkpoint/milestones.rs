//! Milestones: checkpoints that stay when newer ones replace them, so that a look at the past begins near to where it
//! leads. Nothing depends on them: one that is damaged or missing costs time, and never a state.

use std::path::PathBuf;

use super::{CheckpointStore, OpenedCheckpoint, has_suffix, revision_in};
use crate::error::{Result, StoreError};

/// Most milestones of one record; beyond, the one goes whose neighbours are nearest to each other.
pub const MAX_MILESTONES: usize = 16;

/// A checkpoint that was kept, by its name; it is read when it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Revision of the last ledger record the state contains.
    pub revision: u64,
    /// The file.
    pub file: PathBuf,
}

impl CheckpointStore {
    /// Keeps a checkpoint that is replaced as a milestone where the one before, or the founding, lies at least `every`
    /// revisions back; 0 keeps none.
    pub fn with_milestones(self, every: u64) -> Self {
        Self { milestone_every: every, ..self }
    }

    /// The milestones, newest first. None of them is read.
    ///
    /// # Errors
    /// `Io`.
    pub fn milestones(&self) -> Result<Vec<Milestone>> {
        let mut names: Vec<_> = self.list()?.into_iter().filter(|name| has_suffix(name, ".swc")).collect();
        names.reverse();
        let of = |name: String| {
            let revision = revision_in(name.strip_prefix("ms-")?)?;
            Some(Milestone { revision, file: self.dir.join(name) })
        };
        Ok(names.into_iter().filter_map(of).collect())
    }

    /// Opens a milestone; one that this store has not read in full yet is, to be sure. `None` if it is damaged, and set
    /// aside.
    ///
    /// # Errors
    /// `Io`, `CheckpointForeign`.
    pub fn open_milestone(&self, milestone: &Milestone) -> Result<Option<OpenedCheckpoint>> {
        self.known_or_verified(&milestone.file)?.map(|info| self.open_held(&info)).transpose()
    }

    /// Removes the milestones behind `revision`, durably: the record goes on from there, and what was behind it is not its
    /// past any more.
    ///
    /// # Errors
    /// `Io`, `SyncFailed`, `Poisoned`.
    pub fn forget_milestones_behind(&self, revision: u64) -> Result<()> {
        self.poison.check()?;
        for milestone in self.milestones()?.iter().filter(|milestone| milestone.revision > revision) {
            self.remove(&milestone.file)?;
        }
        self.sync_names()
    }

    /// Lets go of a checkpoint of this name that newer ones have replaced, or keeps it.
    pub(super) fn replace(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        let milestones = self.milestones()?;
        let before = milestones.first().map_or(0, |newest| newest.revision);
        let Some(kept) = name.strip_prefix("cp-").filter(|rest| {
            let revision = revision_in(rest).unwrap_or_default();
            self.milestone_every > 0 && revision >= before.saturating_add(self.milestone_every)
        }) else {
            return self.remove(&path);
        };
        let to = self.dir.join(format!("ms-{kept}"));
        self.disk.rename(&path, &to).map_err(|e| StoreError::io("rename", &path, e))?;
        self.verified().remove(&path);
        let milestones = self.milestones()?;
        if milestones.len() > MAX_MILESTONES
            && let Some(least) = least_needed(&milestones.iter().map(|it| it.revision).collect::<Vec<_>>())
        {
            self.remove(&milestones[least].file)?;
        }
        Ok(())
    }
}

/// Which of these revisions, newest first, leaves the smallest gap when it goes; never the newest. Of several the oldest: what
/// lies far back is asked for least.
fn least_needed(revisions: &[u64]) -> Option<usize> {
    let gap = |at: usize| revisions[at - 1] - revisions.get(at + 1).copied().unwrap_or_default();
    (1..revisions.len()).rev().min_by_key(|at| gap(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_goes_that_leaves_the_smallest_gap() {
        for (revisions, expected) in [
            (&[][..], None),
            (&[10][..], None),
            (&[20, 10], Some(1)),
            (&[40, 30, 20, 10], Some(3)),
            (&[40, 30, 25, 5], Some(1)),
            (&[90, 40, 39, 10], Some(2)),
            (&[90, 41, 40, 10], Some(2)),
            (&[90, 50, 20, 15], Some(3)),
        ] {
            assert_eq!(least_needed(revisions), expected, "{revisions:?}");
        }
    }
}
