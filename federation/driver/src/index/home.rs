//! The index of a node: one sled database for all its records, opened by whoever indexes, never waited for by a reader.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use shouwang_store::index::Index;
use shouwang_store::{Findings, Remedy, StoreError};

/// An index that is open.
pub(crate) struct Opened {
    pub index: Index,
    /// Grows with every opening: whoever knows another one begins anew.
    pub generation: u64,
}

#[derive(Default)]
struct Door {
    generation: u64,
    /// What was found not to hold what it should, until it is replaced.
    condemned: Option<Weak<Opened>>,
    closed: bool,
}

/// Where the index lives.
pub(crate) struct Home {
    dir: PathBuf,
    findings: Findings,
    current: ArcSwapOption<Opened>,
    door: Mutex<Door>,
}

impl Home {
    /// The index below the node's data; nothing is opened yet.
    pub fn new(dir: PathBuf, findings: Findings) -> Self {
        Self { dir, findings, current: ArcSwapOption::empty(), door: Mutex::default() }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        // Assignments only: whole after any panic.
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index, if it is open. To be held for the length of one piece of work.
    pub fn current(&self) -> Option<Arc<Opened>> {
        self.current.load_full()
    }

    /// The index, opened if it is not. Blocks.
    ///
    /// # Errors
    /// It cannot be opened now.
    pub fn open(&self) -> Result<Arc<Opened>, StoreError> {
        let mut door = self.door();
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if door.closed || door.condemned.as_ref().is_some_and(|old| old.strong_count() > 0) {
            return Err(StoreError::Locked { path: self.dir.clone() });
        }
        let index = if door.condemned.is_some() { Index::replace(&self.dir) } else { Index::open(&self.dir) }?;
        if let Some(damage) = index.damage() {
            self.tell(damage);
        }
        if index.needs_rebuild() {
            tracing::info!(index = %self.dir.display(), "the index is empty; it is built from the ledgers");
        }
        door.condemned = None;
        door.generation += 1;
        let opened = Arc::new(Opened { index, generation: door.generation });
        self.current.store(Some(opened.clone()));
        Ok(opened)
    }

    /// This index does not hold what it should: it is replaced by an empty one when it is opened next.
    pub fn condemn(&self, generation: u64) {
        let mut door = self.door();
        if let Some(current) = self.current().filter(|current| current.generation == generation) {
            self.tell("it does not hold what the ledgers say");
            door.condemned = Some(Arc::downgrade(&current));
            self.current.store(None);
        }
    }

    fn tell(&self, damage: &str) {
        let error = StoreError::Index { path: self.dir.clone(), detail: damage.to_owned() };
        self.findings.add(error, Remedy::Mended);
    }

    /// Lets go of the index for good.
    pub fn close(&self) {
        self.door().closed = true;
        self.current.store(None);
    }
}
