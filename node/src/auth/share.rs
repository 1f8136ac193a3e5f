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
    held: Arc<Mutex<BTreeMap<Arc<Identity>, Arc<Semaphore>>>>,
}

impl Shares {
    /// Nobody holds anything yet; each may hold `each`.
    fn of(each: usize) -> Self {
        Self { each, held: Arc::default() }
    }

    /// The share of `identity`, of which nothing is held yet.
    fn of_one(&self, identity: &Arc<Identity>) -> Share {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let share = match held.get(identity) {
            Some(share) => Arc::clone(share),
            None => Arc::clone(held.entry(Arc::clone(identity)).or_insert(Arc::new(Semaphore::new(self.each)))),
        };
        Share { shares: self.clone(), identity: Arc::clone(identity), places: Some(share), held: None }
    }

    /// One more for `identity`; `None` when it holds all it may.
    fn take(&self, identity: &Arc<Identity>) -> Option<Share> {
        let mut one = self.of_one(identity);
        one.held = Some(Arc::clone(one.places.as_ref()?).try_acquire_owned().ok()?);
        Some(one)
    }

    /// One more for `identity`, after whoever has waited longer for one of his.
    async fn wait(&self, identity: &Arc<Identity>) -> Option<Share> {
        let mut one = self.of_one(identity);
        let share = Arc::clone(one.places.as_ref()?);
        one.held = Some(share.acquire_owned().await.ok()?);
        Some(one)
    }
}

/// One that is held or waited for; dropping it gives it back.
#[derive(Debug)]
struct Share {
    shares: Shares,
    identity: Arc<Identity>,
    /// There until this is dropped, as is the next.
    places: Option<Arc<Semaphore>>,
    held: Option<OwnedSemaphorePermit>,
}

impl Drop for Share {
    fn drop(&mut self) {
        // Under the lock, so that nobody finds the share between the last look at it and its end.
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop((self.held.take(), self.places.take()));
        // Who neither holds nor waits is forgotten, so that this does not grow with everybody who ever called.
        if held.get(&self.identity).is_some_and(|share| Arc::strong_count(share) == 1) {
            held.remove(&self.identity);
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
    pub fn take(&self, identity: &Arc<Identity>) -> Result<Place, Full> {
        let share = self.shares.take(identity).ok_or(Full::Caller)?;
        let one = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Place { _one_of_all: one, _share: share })
    }

    /// A place for `identity` as soon as there is one, in turn with others who wait.
    ///
    /// # Errors
    /// None: nobody closes what is waited for.
    pub async fn wait(&self, identity: &Arc<Identity>) -> Result<Place, Full> {
        let share = self.shares.wait(identity).await.ok_or(Full::Caller)?;
        let one = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Full::All)?;
        Ok(Place { _one_of_all: one, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn name(n: u32) -> Arc<Identity> {
        Arc::new(format!("spiffe://wuhai/municipality/150300/node/{n}").parse().unwrap())
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

    #[tokio::test]
    async fn whoever_waits_gets_the_next_place_and_leaves_no_trace_when_he_goes() {
        let places = Places::new(2, 1);
        let [first, third] = [name(1), name(3)];
        let held = places.take(&first).unwrap();
        let mut gone = Box::pin(places.wait(&first));
        assert!(gone.as_mut().now_or_never().is_none(), "his share is taken");
        let mut waits = Box::pin(places.wait(&first));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(gone);
        // Another's place is no place for him.
        drop(places.take(&name(2)).unwrap());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(held);
        let held = waits.await.unwrap();
        let others = [name(2), name(3)].map(|name| places.take(&name));
        assert!(others[0].is_ok() && others[1].as_ref().is_err_and(|full| *full == Full::All));
        let mut waits = Box::pin(places.wait(&third));
        assert!(waits.as_mut().now_or_never().is_none(), "all are taken");
        drop(held);
        drop(waits.await.unwrap());
        drop(others);
        assert!(places.shares.held.lock().unwrap().is_empty(), "who holds nothing is forgotten");
    }
}
