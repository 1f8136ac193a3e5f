//! From what a disk gives back to a record that runs: as `record/open.rs` of the driver does it.

use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{Checkpoint, LogBase, Restored};
use shouwang_store::checkpoint::CheckpointStore;

use crate::cast::Which;
use crate::disk::{StationDisk, StoreErrorOr, read_checkpoint};
use crate::watch::Violation;

/// What a start found.
pub(crate) struct Found<M> {
    pub record: Option<Record<M>>,
    /// Raft index and term of the last entry in the record.
    pub applied: (u64, u64),
    /// The newest stamp up to there.
    pub stamp: Timestamp,
    pub restored: Restored,
    pub own: CheckpointStore,
    pub staged: CheckpointStore,
    /// Raft indexes of the newest checkpoint and of the one before it.
    pub marks: (u64, u64),
}

/// Looks for a record on a disk. One that was never there is one to join.
pub(crate) fn find<M: Machine>(disk: &StationDisk, which: Which, knows: u32) -> Result<Found<M>, StoreErrorOr> {
    let wrong = |what: &str| StoreErrorOr::Wrong(Violation::new("a disk gives back what it was given", what));
    let (own, staged) = (disk.checkpoints(which, "own")?, disk.checkpoints(which, "staged")?);
    let log = disk.log(which)?;
    own.settle(&staged, log.as_ref().map_or(0, |log| log.base.index))?;
    let newest = own.newest_verified()?;
    let marks = own.held()?.iter().map(|info| info.meta.raft_index).collect::<Vec<_>>();
    let marks = (marks.first().copied().unwrap_or_default(), marks.last().copied().unwrap_or_default());
    let stamp = newest.as_ref().map_or(Timestamp::ZERO, |newest| Timestamp(newest.meta().time_ms));
    let (record, applied, restored) = match (log, newest) {
        (Some(log), Some(newest)) => {
            let (record, conf_state) = read_checkpoint::<M>(&newest, knows)?;
            let (index, term) = (newest.meta().raft_index, newest.meta().raft_term);
            let restored = Restored {
                hard_state: log.hard_state,
                conf_state: log.conf_state,
                conf_index: log.conf_index,
                base: LogBase { index: log.base.index, term: log.base.term },
                entries: log.entries,
                checkpoint: Some(Checkpoint { index, term, conf_state }),
            };
            (Some(record), (index, term), restored)
        }
        // It has voted or heard of a term, but holds no state yet.
        (Some(log), None) if log.base.index == 0 => {
            (None, (0, 0), Restored { hard_state: log.hard_state, ..Restored::joining() })
        }
        (None, None) => (None, (0, 0), Restored::joining()),
        (Some(_), None) => return Err(wrong("there is a log and no checkpoint")),
        (None, Some(_)) => return Err(wrong("there are checkpoints and no log")),
    };
    Ok(Found { record, applied, stamp, restored, own, staged, marks })
}
