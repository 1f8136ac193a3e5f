//! How threads hand each other work: everything waiting is taken at once, so that batches make themselves.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Items waiting for one thread.
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
}

struct State<T> {
    items: Vec<T>,
    closed: bool,
    /// What waits is not to wait any longer.
    urgent: bool,
    /// Something was put in quietly.
    quiet: bool,
    /// What is put in quietly is urgent too.
    hears_quiet: bool,
    /// So many were left patiently.
    patient: usize,
    /// So many of them are urgent; at least one.
    patience: usize,
    /// Whoever waits is to look again until when.
    nudged: bool,
}

impl<T> State<T> {
    fn is_urgent(&self) -> bool {
        self.urgent || self.hears_quiet && self.quiet || self.patient >= self.patience
    }

    fn put(&mut self, item: T, limit: usize) -> bool {
        let takes = !self.closed && self.items.len() < limit;
        if takes {
            self.items.push(item);
        }
        takes
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                items: Vec::new(),
                closed: false,
                urgent: false,
                quiet: false,
                hears_quiet: false,
                patient: 0,
                patience: 1,
                nudged: false,
            }),
            wake: Condvar::new(),
        }
    }
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Changed by pushes and swaps only: whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in; false if nobody will take it any more. For work that is bounded where it comes from.
    pub fn push(&self, item: T) -> bool {
        self.push_within(item, usize::MAX)
    }

    /// Puts an item in unless `limit` wait already.
    pub fn push_within(&self, item: T, limit: usize) -> bool {
        self.push_as(item, limit, |state| state.urgent = true)
    }

    /// Puts an item in that can wait until its taker wakes for something else, or at the time he has set himself; unless he
    /// has said that he [hears](Self::hear) it. Waking a thread costs more than most of what it is woken for.
    pub fn push_quietly(&self, item: T) -> bool {
        self.push_as(item, usize::MAX, |state| state.quiet = true)
    }

    /// Wakes the taker if the item makes urgent what was not.
    fn push_as(&self, item: T, limit: usize, mark: impl FnOnce(&mut State<T>)) -> bool {
        let mut state = self.lock();
        let was_urgent = state.is_urgent();
        if !state.put(item, limit) {
            return false;
        }
        mark(&mut state);
        let wakes = !was_urgent && state.is_urgent();
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        true
    }

    /// Puts an item in, unless `limit` wait already, and wakes nobody: whoever leaves it sees to it that it is taken.
    pub fn leave(&self, item: T, limit: usize) -> bool {
        let mut state = self.lock();
        let taken = state.put(item, limit);
        state.urgent |= taken;
        taken
    }

    /// As [`Self::leave`], for an item that waits until there are as many as its taker [has patience for](Self::hear), or he wakes
    /// for something else, or at the time he has set himself.
    pub fn leave_patiently(&self, item: T) -> bool {
        let mut state = self.lock();
        let taken = state.put(item, usize::MAX);
        state.patient += usize::from(taken);
        taken
    }

    /// From now on what is put in quietly is waited for, or not; and what is left patiently can wait until there is so much of it:
    /// 1 is no patience.
    pub fn hear(&self, quiet: bool, patience: usize) {
        let mut state = self.lock();
        (state.hears_quiet, state.patience) = (quiet, patience.max(1));
    }

    /// Waits for items until `until` and moves all of them into `into`, which must be empty. False once the box is closed
    /// and empty.
    pub fn take(&self, until: Option<Instant>, into: &mut Vec<T>) -> bool {
        self.hear(true, 1);
        let open = self.wait(until);
        self.drain(into);
        open
    }

    /// Whether something waits that is not to wait any longer.
    pub fn is_urgent(&self) -> bool {
        self.lock().is_urgent()
    }

    /// Waits until something is urgent, or until `until`, and takes nothing. False once the box is closed and empty.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        while !(state.is_urgent() || state.closed || state.nudged) {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.nudged = false;
        !(state.closed && state.items.is_empty())
    }

    /// Moves all that waits into `into`, which must be empty, at once.
    pub fn drain(&self, into: &mut Vec<T>) {
        let mut state = self.lock();
        (state.urgent, state.quiet, state.patient) = (false, false, 0);
        std::mem::swap(&mut state.items, into);
    }

    /// Ends a [wait](Self::wait) under way, or the next one, though nothing has been put in.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.wake.notify_one();
    }

    /// Waits until then, whatever is put in meanwhile; sooner only if the box is closed.
    pub fn rest(&self, until: Instant) {
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it takes no more items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more items; those waiting are still handed out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Closes and drops what waits, as a crash would.
    pub fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.items);
        drop(state);
        self.wake.notify_all();
        // Outside the lock: what is dropped may push elsewhere.
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_waits_is_taken_at_once_in_order_and_within_limits() {
        let mailbox = Mailbox::default();
        assert!(mailbox.push(1) && mailbox.push_within(2, 2) && !mailbox.push_within(3, 2));
        let mut taken = Vec::new();
        assert!(mailbox.take(None, &mut taken));
        assert_eq!(taken, [1, 2]);
        taken.clear();
        assert!(mailbox.take(Some(Instant::now()), &mut taken) && taken.is_empty(), "a deadline is no end");
        mailbox.push(4);
        mailbox.close();
        assert!(!mailbox.push(5));
        assert!(mailbox.take(None, &mut taken));
        assert_eq!(std::mem::take(&mut taken), [4]);
        assert!(!mailbox.take(None, &mut taken));
    }

    #[test]
    fn a_rest_ends_with_its_time_or_with_the_box_and_takes_nothing() {
        let mailbox = Mailbox::default();
        mailbox.push(1);
        let (until, far) = (Instant::now() + Duration::from_millis(5), Instant::now() + Duration::from_mins(10));
        mailbox.rest(until);
        assert!(Instant::now() >= until, "what waits does not end it");
        std::thread::scope(|scope| {
            let resting = scope.spawn(|| mailbox.rest(far));
            mailbox.close();
            resting.join().unwrap();
        });
        assert!(Instant::now() < far);
        let mut taken = Vec::new();
        assert!(mailbox.take(None, &mut taken));
        assert_eq!(taken, [1]);
    }

    #[test]
    fn what_is_put_in_quietly_waits_for_something_else_or_for_its_time_unless_it_is_waited_for() {
        let mailbox = Mailbox::default();
        let mut taken = Vec::new();
        mailbox.push_quietly(1);
        let soon = Instant::now() + Duration::from_millis(5);
        mailbox.hear(false, usize::MAX);
        assert!(mailbox.wait(Some(soon)) && !mailbox.is_urgent());
        assert!(Instant::now() >= soon, "it woke nobody");
        mailbox.drain(&mut taken);
        assert_eq!(std::mem::take(&mut taken), [1], "and is taken at the time that was set");
        mailbox.push_quietly(2);
        mailbox.push(3);
        assert!(mailbox.is_urgent() && mailbox.wait(None));
        mailbox.drain(&mut taken);
        assert_eq!(std::mem::take(&mut taken), [2, 3]);
        mailbox.push_quietly(4);
        assert!(mailbox.take(None, &mut taken), "waited for, though it was there before");
        assert_eq!(std::mem::take(&mut taken), [4]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut taken = Vec::new();
                mailbox.take(None, &mut taken);
                taken
            });
            mailbox.push_quietly(5);
            assert_eq!(waiting.join().unwrap(), [5]);
        });
    }

    #[test]
    fn what_is_left_patiently_is_urgent_once_there_is_enough_of_it() {
        let mailbox = Mailbox::default();
        let mut taken = Vec::new();
        assert!(mailbox.leave_patiently(1) && mailbox.is_urgent(), "the first, unless somebody gathers");
        mailbox.drain(&mut taken);
        mailbox.hear(false, 3);
        for n in 2..=3 {
            assert!(mailbox.leave_patiently(n) && !mailbox.is_urgent());
        }
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(mailbox.wait(Some(soon)) && Instant::now() >= soon, "it woke nobody");
        mailbox.leave_patiently(4);
        assert!(mailbox.is_urgent() && mailbox.wait(None), "all three are there");
        taken.clear();
        mailbox.drain(&mut taken);
        assert_eq!(taken, [2, 3, 4]);
        mailbox.hear(false, 2);
        mailbox.push_quietly(5);
        mailbox.leave_patiently(6);
        assert!(!mailbox.is_urgent(), "what is quiet does not count");
        mailbox.hear(false, 1);
        assert!(mailbox.is_urgent(), "nobody gathers any more, and it was there before");
        taken.clear();
        mailbox.drain(&mut taken);
        mailbox.push_quietly(7);
        mailbox.hear(false, 1);
        assert!(!mailbox.is_urgent(), "there is nothing but what is quiet");
        mailbox.close();
        assert!(!mailbox.leave_patiently(8));
    }

    #[test]
    fn what_is_left_wakes_nobody_and_is_urgent_to_whoever_looks() {
        let mailbox = Mailbox::default();
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| mailbox.wait(None));
            assert!(mailbox.leave(1, 1) && mailbox.is_urgent() && !mailbox.leave(2, 1));
            mailbox.drain(&mut taken);
            assert!(!mailbox.is_urgent());
            mailbox.nudge();
            assert!(waiting.join().unwrap(), "only now");
        });
        assert_eq!(taken, [1]);
        mailbox.close();
        assert!(!mailbox.leave(3, 9) && !mailbox.wait(None));
    }

    #[test]
    fn an_aborted_box_is_empty() {
        let mailbox = Mailbox::default();
        mailbox.push(1);
        mailbox.abort();
        assert!(!mailbox.take(None, &mut Vec::new()));
    }
}
