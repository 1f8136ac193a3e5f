//! Watching a record: a cursor over its ledger and a wake-up. What is new comes from memory, what is old from disk.

use std::collections::VecDeque;
use std::sync::Arc;

use shouwang_domain::machine::Machine;
use shouwang_store::StoreError;
use thiserror::Error;
use tokio::sync::watch;

use crate::record::Shared;
use crate::tail::Change;

/// Records read at once, from memory or disk, and their bytes.
const PAGE: (usize, usize) = (256, 1 << 20);

/// Why a watch ends.
#[derive(Clone, Debug, Error)]
pub enum WatchError {
    /// The revision asked for is not held on this node.
    #[error("the revision is not held here any more; the oldest is {oldest}")]
    Compacted {
        /// The oldest revision held without a gap.
        oldest: u64,
    },
    /// The node or the record is stopping.
    #[error("this node is stopping; resume on another one")]
    Stopped,
    /// The ledger on disk does not read.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// A position in a record's ledger.
pub struct WatchCursor<M: Machine> {
    shared: Arc<Shared<M>>,
    next: u64,
    page: VecDeque<Arc<Change<M::Event>>>,
    published: watch::Receiver<u64>,
}

impl<M: Machine> WatchCursor<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, from: u64) -> Self {
        let published = shared.core.published.subscribe();
        Self { shared, next: from, page: VecDeque::new(), published }
    }

    /// The revision that comes next: where a later watch resumes.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next ledger record, waited for if it has not happened yet. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// [`WatchError`]; the cursor stays where it is.
    pub async fn next(&mut self) -> Result<Arc<Change<M::Event>>, WatchError> {
        loop {
            if let Some(change) = self.page.pop_front() {
                self.next = change.record.revision + 1;
                return Ok(change);
            }
            let published = *self.published.borrow_and_update();
            if self.next > published {
                self.wait().await?;
                continue;
            }
            // The tail may already hold what readers cannot see yet: nobody hears of a change before he can look at it.
            let visible = usize::try_from(published - self.next + 1).unwrap_or(usize::MAX);
            self.page = match self.shared.tail.read(self.next, PAGE.0.min(visible)) {
                Some(page) if !page.is_empty() => page.into(),
                _ => self.read_disk(published).await?,
            };
        }
    }

    async fn wait(&mut self) -> Result<(), WatchError> {
        if self.shared.core.inbox.is_closed() {
            return Err(WatchError::Stopped);
        }
        tokio::select! {
            changed = self.published.changed() => changed.map_err(|_| WatchError::Stopped),
            () = self.shared.core.ended.notified() => {
                // Passed on: one permit wakes one watcher.
                self.shared.core.ended.notify_one();
                Err(WatchError::Stopped)
            }
        }
    }

    async fn read_disk(&self, published: u64) -> Result<VecDeque<Arc<Change<M::Event>>>, WatchError> {
        let (shared, from) = (self.shared.clone(), self.next);
        let reading = tokio::task::spawn_blocking(move || {
            let most = usize::try_from(published - from + 1).unwrap_or(PAGE.0).min(PAGE.0);
            let records = shared.ledger.read(from, most, PAGE.1).map_err(|error| match error {
                StoreError::OutOfRange { .. } => WatchError::Compacted { oldest: shared.core.oldest() },
                other => WatchError::Store(Arc::new(other)),
            })?;
            if records.is_empty() {
                // Behind an installed checkpoint: history that this node has not got, and nothing after it yet.
                return Err(WatchError::Compacted { oldest: shared.core.oldest() });
            }
            let unreadable = |error| WatchError::Store(Arc::new(error));
            let decode = |bytes: Vec<u8>| Change::decode(bytes.into()).map(Arc::new).map_err(unreadable);
            records.into_iter().map(|(_, bytes)| decode(bytes)).collect()
        });
        reading.await.map_err(|_| WatchError::Stopped)?
    }
}
