//! Places that all callers share: so many for all, and no more than a share for each, so that nobody, whoever he is, takes
//! all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::identity::Identity;

/// Counts what each identity holds, up to a number each. Clones are one counter.
#[derive(Clone, Debug)]
struct Shares {
    each: usize,
    held: Arc<Mutex<BTreeMap<Identity, usize>>>,
}

impl Shares {
    /// Nobody holds anything yet; each may hold `each`.
    fn of(each: usize) -> Self {
        Self { each, held: Arc::default() }
    }

    /// One more for `identity`; `None` when it holds all it may.
    fn take(&self, identity: &Identity) -> Option<Share> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(identity).copied().unwrap_or_default();
        if count >= self.each {
            return None;
        }
        held.insert(identity.clone(), count + 1);
        Some(Share { shares: self.clone(), identity: identity.clone() })
    }
}

/// One that is held; dropping it gives it back.
#[derive(Debug)]
struct Share {
    shares: Shares,
    identity: Identity,
}

impl Drop for Share {
    fn drop(&mut self) {
        // Counts change in one step each: whole after any panic.
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.identity) {
            Some(count) if *count > 1 => *count -= 1,
            // Who holds nothing is forgotten, so that this does not grow with everybody who ever called.
            _ => drop(held.remove(&self.identity)),
        }
    }
}

/// So many places for all, and a share of them for each.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    shares: Shares,
}

/// A place that is held; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _one_of_all: OwnedSemaphorePermit,
    _share: Share,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Everybody together holds all of them.
    All,
    /// The caller holds its share.
    Caller,
}

impl Places {
    /// `all` places, and no more than `each` for one identity.
    pub fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), shares: Shares::of(each) }
    }

    /// A place for `identity`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&self, identity: &Identity) -> Result<Place, Full> {
        let share = self.shares.take(identity).ok_or(Full::Caller)?;
        let one = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Place { _one_of_all: one, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: u32) -> Identity {
        format!("spiffe://wuhai/municipality/150300/node/{n}").parse().unwrap()
    }

    #[test]
    fn each_holds_a_share_and_nobody_anothers() {
        let places = Places::new(3, 2);
        let first = places.take(&name(1)).unwrap();
        let second = places.take(&name(1)).unwrap();
        assert_eq!(places.take(&name(1)).unwrap_err(), Full::Caller);
        let other = places.take(&name(2)).unwrap();
        assert_eq!(places.take(&name(2)).unwrap_err(), Full::All);
        drop(first);
        let again = places.take(&name(1)).unwrap();
        assert_eq!(places.take(&name(1)).unwrap_err(), Full::Caller);
        drop((second, other, again));
        assert!(places.shares.held.lock().unwrap().is_empty(), "who holds nothing is forgotten");
        assert_eq!(places.all.available_permits(), 3);
    }
}
