//! Damage that was found: nothing is mended in silence. Whoever opens a store hands in a list; what is written there is
//! shown to those who run the node.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::StoreError;

/// Most findings that are remembered; the oldest go first.
const REMEMBERED: usize = 64;

/// What became of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It was rebuilt from what else is there; nothing is missing.
    Mended,
    /// It was set aside; what it held is fetched from a peer, if one has it.
    Fetching,
    /// An operator must act.
    Operator,
}

/// One piece of damage.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was found, where.
    pub error: Arc<StoreError>,
    /// What became of it.
    pub remedy: Remedy,
}

/// What was found since the node started. Clones share the list.
#[derive(Debug, Clone)]
pub struct Findings {
    all: Arc<Mutex<VecDeque<Finding>>>,
    most: usize,
}

impl Default for Findings {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl Findings {
    /// A list that remembers so many.
    pub fn remembering(most: usize) -> Self {
        Self { all: Arc::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Finding>> {
        // Single insertions and removals: whole after any panic.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, and warns of it.
    pub fn add(&self, error: StoreError, remedy: Remedy) {
        let (code, zh) = (error.code(), error.zh());
        match remedy {
            Remedy::Mended => tracing::warn!(code, %error, zh, "damage was found and mended"),
            Remedy::Fetching => tracing::error!(code, %error, zh, "damage was found; it is fetched from a peer"),
            Remedy::Operator => tracing::error!(code, %error, zh, "damage was found; an operator must act"),
        }
        let mut all = self.lock();
        if all.len() >= self.most {
            all.pop_front();
        }
        all.push_back(Finding { error: Arc::new(error), remedy });
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> Vec<Finding> {
        self.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_remembered() {
        let findings = Findings::default();
        for synced in 0..100 {
            let error = StoreError::LedgerShort { place: "ledger".into(), last: 0, synced };
            findings.clone().add(error, Remedy::Mended);
        }
        let all = findings.all();
        assert_eq!(all.len(), REMEMBERED);
        assert!(matches!(&*all[0].error, StoreError::LedgerShort { synced: 36, .. }));
    }
}
