//! Checkpoints: written from an O(1) clone on a thread of their own, and read back into a record.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use shouwang_domain::ids::RecordId;
use shouwang_domain::level::TooOld;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::eraftpb::ConfState;
use shouwang_store::StoreError;
use shouwang_store::checkpoint::{Bundle, CheckpointInfo, CheckpointMeta, CheckpointStore, OpenedCheckpoint};
use tokio::sync::oneshot;

use crate::Result;
use crate::error::DriverError;

/// Registry number of SHA-256 in stored formats.
pub(crate) const SHA256: u8 = 1;
/// Bundles of canonical records on their way to the file.
const IN_FLIGHT: usize = 8;

/// Where in the log a state stands.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Raft index of the last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The newest stamp up to there: a later leader must not stamp below it.
    pub stamp: Timestamp,
}

/// A state to be written down.
pub(crate) trait Source: Send + Sync {
    /// What the file says about it, but for the digest.
    fn meta(&self, at: At, conf_state: &ConfState) -> CheckpointMeta;
    /// Every canonical record, in order, and the digest of them all.
    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) -> [u8; 32];
}

impl<M: Machine> Source for Record<M> {
    fn meta(&self, at: At, conf_state: &ConfState) -> CheckpointMeta {
        CheckpointMeta {
            record_id: self.id().0,
            epoch: self.epoch(),
            revision: self.revision(),
            raft_index: at.index,
            raft_term: at.term,
            conf_state: conf_state.clone(),
            time_ms: self.time().max(at.stamp).0,
            state_digest: [0; 32],
            feature_level: self.machine().level(),
            hash_algorithm: SHA256,
        }
    }

    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) -> [u8; 32] {
        self.records_with_digest(sink).0
    }
}

/// A checkpoint that is to be taken.
pub(crate) struct Candidate {
    pub source: Box<dyn Source>,
    pub at: At,
    pub conf_state: ConfState,
    pub began: Instant,
    /// Somebody cannot go on without it: the log is full, or a peer waits for it.
    pub pressing: bool,
    pub replies: Vec<oneshot::Sender<Result<CheckpointInfo>>>,
}

/// Whoever makes a state's records is told with it that nobody takes them any more.
struct HungUp;

/// Writes a state down. Its records are made and hashed on one thread and compressed on another. Blocks.
pub(crate) fn write(
    store: &CheckpointStore,
    source: &dyn Source,
    at: At,
    conf_state: &ConfState,
) -> Result<CheckpointInfo, StoreError> {
    write_unless(store, source, at, conf_state, &AtomicBool::new(false))
}

/// As [`write`], until it is given up.
///
/// # Errors
/// `Invalid` once it is given up; what [`CheckpointStore::write`] has.
pub(crate) fn write_unless(
    store: &CheckpointStore,
    source: &dyn Source,
    at: At,
    conf_state: &ConfState,
    given_up: &AtomicBool,
) -> Result<CheckpointInfo, StoreError> {
    let meta = source.meta(at, conf_state);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(IN_FLIGHT);
        let making = scope.spawn(move || {
            // The only way out of a state half made. It is not changed, and nobody is told of a panic.
            let send = |bundle| sender.send(bundle).unwrap_or_else(|_| resume_unwind(Box::new(HungUp)));
            let mut bundle = Bundle::default();
            let digest = source.records(&mut |record| {
                bundle.push(&record);
                bundle.take_full().into_iter().for_each(send);
            });
            if !bundle.is_empty() {
                send(bundle);
            }
            digest
        });
        let mut making = Some(making);
        // Whoever makes them may have made all of them by then: what was not taken is missing all the same.
        let cut = Cell::new(false);
        let records = receiver.into_iter().take_while(|_| {
            cut.set(given_up.load(Ordering::Relaxed));
            !cut.get()
        });
        let written = store.write_digested(&meta, records, || made(making.take()?).filter(|_| !cut.get()));
        // Its reader has failed, and it has noticed or will at once.
        making.map(made);
        written
    })
}

/// The digest of what was made, if all of it was.
fn made(making: ScopedJoinHandle<'_, [u8; 32]>) -> Option<[u8; 32]> {
    match making.join() {
        Ok(digest) => Some(digest),
        Err(panic) if panic.is::<HungUp>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// The record that a checkpoint holds, checked against what the file says about it, for a node that goes along up to a
/// feature level. Blocks.
pub(crate) fn restore<M: Machine>(id: RecordId, opened: &OpenedCheckpoint, level_max: u32) -> Result<Record<M>> {
    restore_while(id, opened, level_max, || Ok(()))
}

/// As [`restore`], asking before every part of the state whether to go on.
pub(crate) fn restore_while<M: Machine>(
    id: RecordId,
    opened: &OpenedCheckpoint,
    level_max: u32,
    go_on: impl Fn() -> Result<()>,
) -> Result<Record<M>> {
    let unfit = |detail: String| DriverError::Unfit { id, what: "the checkpoint", detail };
    let meta = opened.meta();
    if meta.record_id != id.0 {
        return Err(unfit("it belongs to another record".to_owned()));
    }
    // Before anything of the state is read: what a later level wrote, this program may read as something else.
    let (level, knows) = (meta.feature_level, level_max.min(M::NEWEST_LEVEL));
    if level > knows {
        return Err(TooOld { level, knows }.into());
    }
    let mut failed = None;
    let next = |record: Result<Vec<u8>, StoreError>| go_on().and_then(|()| Ok(record?));
    let records = opened.records()?.map_while(|record| next(record).map_err(|error| failed = Some(error)).ok());
    let restored = Record::<M>::restore(records);
    if let Some(error) = failed {
        return Err(error);
    }
    let record = restored.map_err(|error| unfit(error.to_string()))?.held_at(level_max);
    let head = (record.id(), record.epoch(), record.revision(), record.machine().level());
    if head != (id, meta.epoch, meta.revision, level) {
        return Err(unfit("its head does not fit its state".to_owned()));
    }
    if record.digest().0 != meta.state_digest {
        return Err(unfit("its state does not have the digest it names; fetch one from a peer".to_owned()));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use shouwang_store::{Disk as _, SimDisk};

    use super::*;

    /// A state without an end, or of so many records.
    struct Long(Option<u32>);

    impl Source for Long {
        fn meta(&self, _: At, conf_state: &ConfState) -> CheckpointMeta {
            CheckpointMeta {
                record_id: [1; 32],
                epoch: 0,
                revision: 1,
                raft_index: 1,
                raft_term: 1,
                conf_state: conf_state.clone(),
                time_ms: 0,
                state_digest: [0; 32],
                feature_level: 1,
                hash_algorithm: SHA256,
            }
        }

        fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) -> [u8; 32] {
            let noise = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes().to_vec();
            (0..self.0.unwrap_or(u32::MAX)).for_each(|n| sink(noise(n)));
            [7; 32]
        }
    }

    #[test]
    fn a_checkpoint_that_is_given_up_or_fails_ends_at_once_and_leaves_nothing() {
        let disk = SimDisk::new(1);
        let store = CheckpointStore::open(Arc::new(disk.clone()), Path::new("/own")).unwrap();
        let at = At { index: 1, term: 1, stamp: Timestamp::ZERO };
        // Also where the few records there are have all been made before anybody looks.
        for state in [Long(None), Long(Some(10))] {
            let given_up = write_unless(&store, &state, at, &ConfState::default(), &AtomicBool::new(true));
            assert_eq!(given_up.unwrap_err().code(), "STORE_INVALID");
        }
        disk.set_capacity(Some(100_000));
        assert!(write(&store, &Long(None), at, &ConfState::default()).unwrap_err().is_full());
        assert!(disk.list(Path::new("/own")).unwrap().is_empty());
        disk.set_capacity(None);
        let info = write(&store, &Long(Some(1000)), at, &ConfState::default()).unwrap();
        assert_eq!(info.meta.state_digest, [7; 32], "what whoever made it found");
        assert_eq!(store.newest_verified().unwrap().unwrap().count(), 1000);
    }
}
