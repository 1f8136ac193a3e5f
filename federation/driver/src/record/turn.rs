//! Raft's turn, and apply's. Whoever brings a record something for Raft that somebody waits for carries it out himself, unless
//! somebody is at it already: a message of a peer is answered by the thread that read it, what the log has written by the thread
//! that wrote it. Waking another thread for it costs more than the turn itself. Raft has a thread of its own for all that is due
//! at a time, and for what can wait until that thread is awake, so that what comes together is taken together.
//!
//! Whoever's turn has committed one small entry applies it as well, for the same reason. What takes longer, or waits, is left to
//! the apply thread: who reads a peer's messages has the next one to read.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Instant;

use super::raft::RaftLoop;
use super::{ApplyWork, Command, Core, PEER_FRAMES_MAX, RaftMsg, RecordPort};
use crate::mailbox::Mailbox;

/// Turns that somebody takes at once who has something else to do.
const TURNS_MAX: usize = 4;

/// What is done in turns.
pub(crate) trait Turn {
    /// Carries out all that waits, and what is due. Says when something is due next.
    fn turn(&mut self, whose: Whose) -> Instant;
}

/// Which thread takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The one that is there for it, and may take its time.
    Own,
    /// One that has something else to do.
    Anybodys,
}

/// A turn has ended in a panic: nobody knows any more how things stand.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Where one sits whose turns anybody may take, one at a time; empty before he begins, and once he has ended.
pub(crate) struct Seat<T>(Mutex<Option<Seated<T>>>);

struct Seated<T> {
    who: T,
    /// Until when his own thread sleeps.
    sleeps_until: Instant,
}

impl<T> Default for Seat<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Turn> Seat<T> {
    /// Takes the turn for what was [left](Mailbox::leave) in his box, if nobody has it. Whoever has it looks once more when he
    /// is done, so that nothing is left lying.
    fn take<M>(&self, inbox: &Mailbox<M>) -> Result<(), Panicked> {
        for _ in 0..TURNS_MAX {
            // Nothing was brought, or somebody has had it already.
            if !inbox.is_urgent() {
                return Ok(());
            }
            match self.0.try_lock() {
                Ok(mut seat) => {
                    // Who begins takes what waits; who has ended, nothing.
                    let Some(seated) = seat.as_mut() else { return Ok(()) };
                    let due = seated.who.turn(Whose::Anybodys);
                    if due < seated.sleeps_until {
                        seated.sleeps_until = due;
                        inbox.nudge();
                    }
                }
                Err(TryLockError::WouldBlock) => return Ok(()),
                Err(TryLockError::Poisoned(_)) => return Err(Panicked),
            }
        }
        inbox.nudge();
        Ok(())
    }

    /// His own thread, until the box is closed; after each turn it does what follows from it. Gives him back: he knows the seat,
    /// and the seat must not keep him.
    fn sit<M>(&self, inbox: &Mailbox<M>, who: T, follows: impl Fn()) -> Result<Option<T>, Panicked> {
        let mut until = Instant::now();
        *self.lock()? = Some(Seated { who, sleeps_until: until });
        while inbox.wait(Some(until)) {
            let mut seat = self.lock()?;
            let Some(seated) = seat.as_mut() else { return Ok(None) };
            until = seated.who.turn(Whose::Own);
            seated.sleeps_until = until;
            drop(seat);
            follows();
        }
        Ok(self.lock()?.take().map(|seated| seated.who))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Seated<T>>>, Panicked> {
        self.0.lock().map_err(|_| Panicked)
    }
}

impl Core {
    /// Takes in what a peer has sent; false if too much waits, or Raft has ended. Whoever leaves something takes the
    /// [turn](Self::take_turn) for it.
    pub fn leave(&self, message: RaftMsg) -> bool {
        self.inbox.leave(message, PEER_FRAMES_MAX)
    }

    /// Takes in that the log's writes up to this number are done.
    pub fn persisted(&self, number: u64) {
        self.inbox.leave(RaftMsg::Persisted(number), usize::MAX);
        self.take_turn();
    }

    /// Takes in a caller's command, for whose outcome he waits already. One alone goes out at once; of those that go together
    /// the last one brings them all.
    pub fn ask(&self, command: Command) -> bool {
        let taken = self.inbox.leave_patiently(RaftMsg::Command(command));
        self.take_turn();
        taken
    }

    /// Takes Raft's turn, if nobody has it, and then apply's.
    pub fn take_turn(&self) {
        if self.seat.take(&self.inbox).is_err() {
            self.end_in_panic("raft");
        }
        self.take_apply_turn();
    }

    /// Takes in what is committed. What anybody may apply is [left](Mailbox::leave) to whoever has Raft's turn.
    pub fn hand_to_apply(&self, work: ApplyWork) {
        if work.is_for_anybody() && !self.keeper_is_behind() {
            self.apply.leave(work, usize::MAX);
        } else {
            self.apply.push(work);
        }
    }

    fn take_apply_turn(&self) {
        if self.apply_seat.take(&self.apply).is_err() {
            self.end_in_panic("apply");
        }
    }

    fn end_in_panic(&self, who: &str) {
        if self.halted.get().is_none() {
            self.halt(format!("{who} ended in a panic, which the log tells; start the node again"));
        }
    }
}

impl<T: Turn + ?Sized> Turn for Box<T> {
    fn turn(&mut self, whose: Whose) -> Instant {
        (**self).turn(whose)
    }
}

/// Raft's own thread, until the inbox is closed.
pub(crate) fn run(port: &Arc<dyn RecordPort>, raft: RaftLoop) {
    let core = port.core();
    match core.seat.sit(&core.inbox, raft, || core.take_apply_turn()) {
        Ok(raft) => raft.into_iter().for_each(RaftLoop::end),
        Err(Panicked) => core.end_in_panic("raft"),
    }
}

/// The apply thread, until its box is closed.
pub(crate) fn run_apply(port: &Arc<dyn RecordPort>, apply: Box<dyn Turn + Send>) {
    let core = port.core();
    if core.apply_seat.sit(&core.apply, apply, || ()).is_err() {
        core.end_in_panic("apply");
    }
    tracing::debug!(record = %core.label, "apply thread ends");
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    /// Adds up what it finds in its box, and trips over 0.
    struct Adder {
        inbox: Arc<Mailbox<u64>>,
        sum: Arc<Mutex<u64>>,
        /// Which threads took its turns.
        by: Arc<Mutex<Vec<std::thread::ThreadId>>>,
        /// Its own thread, as it was told.
        own: Option<std::thread::ThreadId>,
        next: Duration,
    }

    impl Turn for Adder {
        fn turn(&mut self, whose: Whose) -> Instant {
            let mut taken = Vec::new();
            self.inbox.drain(&mut taken);
            let by = std::thread::current().id();
            if whose == Whose::Own {
                assert_eq!(*self.own.get_or_insert(by), by, "one thread is its own");
            } else {
                assert_ne!(self.own, Some(by), "its own thread knows itself");
            }
            self.by.lock().unwrap().push(by);
            for number in taken {
                assert!(number > 0, "planted");
                *self.sum.lock().unwrap() += number;
            }
            Instant::now() + self.next
        }
    }

    #[derive(Default)]
    struct Bench {
        seat: Arc<Seat<Adder>>,
        inbox: Arc<Mailbox<u64>>,
        sum: Arc<Mutex<u64>>,
        by: Arc<Mutex<Vec<std::thread::ThreadId>>>,
    }

    impl Bench {
        /// Starts the thread and waits until it sleeps, for long.
        fn start(&self) -> std::thread::JoinHandle<Result<bool, Panicked>> {
            let (inbox, sum, by) = (self.inbox.clone(), self.sum.clone(), self.by.clone());
            let adder = Adder { inbox, sum, by, own: None, next: LONG };
            let (seat, inbox) = (self.seat.clone(), self.inbox.clone());
            let thread = std::thread::spawn(move || seat.sit(&inbox, adder, || ()).map(|adder| adder.is_some()));
            while self.by.lock().unwrap().is_empty() {
                std::thread::yield_now();
            }
            // Until its first turn has ended, too: meanwhile it would have another's.
            drop(self.seat.lock().unwrap());
            thread
        }
    }

    #[test]
    fn nothing_that_is_left_waits_for_the_thread_however_many_come_at_once() {
        const THREADS: usize = 3;
        const ROUNDS: u64 = 20_000;
        let bench = Bench::default();
        let thread = bench.start();
        let (together, left_lying) = (Barrier::new(THREADS), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let bring = || {
                for round in 1..=ROUNDS {
                    together.wait();
                    assert!(bench.inbox.leave(1, usize::MAX));
                    bench.seat.take(&bench.inbox).unwrap();
                    together.wait();
                    // All have come: what is not carried out by now, nobody will.
                    let missed = *bench.sum.lock().unwrap() != round * THREADS as u64;
                    left_lying.fetch_add(u64::from(missed), Ordering::Relaxed);
                }
            };
            for _ in 1..THREADS {
                scope.spawn(bring);
            }
            bring();
        });
        bench.inbox.close();
        assert!(thread.join().unwrap().unwrap(), "it is given back");
        assert_eq!(left_lying.into_inner(), 0, "rounds after which something was left lying");
    }

    #[test]
    fn whoever_brings_something_carries_it_out_and_the_thread_learns_when_to_look() {
        let bench = Bench::default();
        let thread = bench.start();
        let turns = || bench.by.lock().unwrap().clone();
        assert!(bench.inbox.leave(5, 1));
        bench.seat.take(&bench.inbox).unwrap();
        let taken = turns().len();
        bench.seat.take(&bench.inbox).unwrap();
        assert_eq!(turns().len(), taken, "there was nothing to do");
        assert_eq!(*bench.sum.lock().unwrap(), 5);
        assert_eq!(turns().last(), Some(&std::thread::current().id()));
        // Something is due at once now: the thread hears of it and takes turns of its own.
        let before = turns().len();
        bench.seat.lock().unwrap().as_mut().unwrap().who.next = Duration::from_millis(1);
        assert!(bench.inbox.leave(1, 1));
        bench.seat.take(&bench.inbox).unwrap();
        let own = thread.thread().id();
        while !turns()[before..].contains(&own) {
            std::thread::yield_now();
        }
        bench.inbox.close();
        assert!(thread.join().unwrap().unwrap());
        bench.seat.take(&bench.inbox).unwrap();
    }

    #[test]
    fn a_panic_in_somebodys_turn_is_told_to_all_who_come_after() {
        let bench = Bench::default();
        let thread = bench.start();
        assert!(bench.inbox.leave(0, 1));
        std::thread::scope(|scope| {
            assert!(scope.spawn(|| bench.seat.take(&bench.inbox)).join().is_err(), "his own");
        });
        assert!(bench.inbox.leave(1, 1));
        assert!(bench.seat.take(&bench.inbox).is_err());
        bench.inbox.nudge();
        assert!(thread.join().unwrap().is_err());
    }
}
