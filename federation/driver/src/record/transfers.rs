//! Checkpoints on their way to peers. Each is held open until its peer has it: newer ones take its place in the folder
//! meanwhile, and a peer on a thin line that had to begin again with each of them would never arrive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shouwang_store::StoreError;
use shouwang_store::checkpoint::{CheckpointStore, OpenedCheckpoint};

/// What a peer is being sent, and when it last took a part.
struct Transfer {
    opened: Arc<OpenedCheckpoint>,
    moved: Instant,
}

/// All transfers of one record, one a peer.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<BTreeMap<u64, Transfer>>);

impl Transfers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Transfer>> {
        // Single insertions and removals: whole after any panic. As many entries as there are members.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The checkpoint to send to a peer that asks for one of at least `index`: the one it has begun with, or the newest.
    /// `None` if none is that new.
    ///
    /// # Errors
    /// Those of [`CheckpointStore::held`] and [`CheckpointStore::open_held`].
    pub fn begin(
        &self,
        peer: u64,
        index: u64,
        store: &CheckpointStore,
        now: Instant,
    ) -> Result<Option<Arc<OpenedCheckpoint>>, StoreError> {
        if let Some(begun) = self.lock().get_mut(&peer).filter(|begun| begun.opened.meta().raft_index >= index) {
            begun.moved = now;
            return Ok(Some(begun.opened.clone()));
        }
        let held = store.held()?;
        let Some(newest) = held.first().filter(|newest| newest.meta.raft_index >= index) else { return Ok(None) };
        let opened = Arc::new(store.open_held(newest)?);
        self.lock().insert(peer, Transfer { opened: opened.clone(), moved: now });
        Ok(Some(opened))
    }

    /// A peer has taken a part.
    pub fn advance(&self, peer: u64, now: Instant) {
        if let Some(transfer) = self.lock().get_mut(&peer) {
            transfer.moved = now;
        }
    }

    /// A peer has the whole of it.
    pub fn end(&self, peer: u64) {
        self.lock().remove(&peer);
    }

    /// Gives up those that have not moved for so long. What is kept until then bridges a line that breaks and comes back.
    pub fn give_up(&self, now: Instant, after: Duration) {
        self.lock().retain(|_, transfer| now.saturating_duration_since(transfer.moved) <= after);
    }

    /// When a peer last took a part of what it is being sent.
    pub fn moved(&self, peer: u64) -> Option<Instant> {
        self.lock().get(&peer).map(|transfer| transfer.moved)
    }
}

#[cfg(test)]
mod tests {
    use shouwang_store::SimDisk;
    use shouwang_store::checkpoint::CheckpointMeta;
    use shouwang_store::log::ConfState;

    use super::*;

    fn write(store: &CheckpointStore, index: u64) {
        let meta = CheckpointMeta {
            record_id: [7; 32],
            epoch: 1,
            revision: index,
            raft_index: index,
            raft_term: 1,
            conf_state: ConfState::default(),
            time_ms: 0,
            state_digest: [0; 32],
            feature_level: 1,
            hash_algorithm: 1,
        };
        store.write(&meta, [vec![u8::try_from(index).unwrap_or_default(); 1000]].into_iter()).unwrap();
    }

    #[test]
    fn a_peer_goes_on_with_what_it_has_begun_with() {
        let store = CheckpointStore::open(Arc::new(SimDisk::new(1)), std::path::Path::new("/own")).unwrap();
        let (transfers, now) = (Transfers::default(), Instant::now());
        let begin = |peer, index, now| transfers.begin(peer, index, &store, now).unwrap();
        assert!(begin(2, 1, now).is_none(), "there is none");
        write(&store, 5);
        assert!(begin(2, 6, now).is_none(), "there is none so new");
        let first = begin(2, 5, now).unwrap();
        let whole = first.read_chunk(0, 1 << 20).unwrap();
        (6..=9).for_each(|index| write(&store, index));
        assert_eq!(begin(3, 5, now).unwrap().meta().raft_index, 9, "others get the newest");
        // The line breaks, and comes back.
        let later = now + Duration::from_secs(10);
        let again = begin(2, 5, later).unwrap();
        assert_eq!((again.info(), again.read_chunk(0, 1 << 20).unwrap()), (first.info(), whole));
        transfers.give_up(later + Duration::from_secs(15), Duration::from_secs(20));
        assert!(transfers.moved(2).is_some() && transfers.moved(3).is_none(), "one of them has moved since");
        assert_eq!(begin(2, 7, later).unwrap().meta().raft_index, 9, "what it has begun with does not do any more");
        transfers.end(2);
        assert!(transfers.moved(2).is_none());
    }
}
