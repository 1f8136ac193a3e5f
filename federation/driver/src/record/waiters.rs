//! Callers waiting for outcomes. Every node learns outcomes from its own apply, so nothing has to be sent back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{CommandId, MunicipalityCode};
use shouwang_domain::record::{Outcome, Verdict};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::Result;
use crate::error::DriverError;

/// A command as the record remembers it.
pub(crate) type CommandKey = (MunicipalityCode, CommandId);

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// How far a command has got on its way out of this node.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    /// The command goes out now; false if its caller has withdrawn it.
    pub fn send(&self) -> bool {
        self.0.compare_exchange(QUEUED, SENT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller gives up; false if the command has gone out.
    pub fn withdraw(&self) -> bool {
        self.0.compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the caller has withdrawn it.
    pub fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }
}

struct Waiting {
    digest: Hash32,
    progress: Arc<Progress>,
    callers: Vec<(u64, oneshot::Sender<Result<Outcome>>)>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<CommandKey, Waiting>,
}

/// What became of an attempt to wait.
pub(crate) enum Registered {
    /// The command is new on this node and must be sent.
    New(Place),
    /// The same command is on its way already.
    Joined(Place),
    /// Another command with the same id is on its way.
    Conflict,
}

/// A caller's place.
pub(crate) struct Place {
    pub token: u64,
    pub progress: Arc<Progress>,
    pub outcome: oneshot::Receiver<Result<Outcome>>,
}

/// What is to be told to whom.
#[derive(Default)]
pub(crate) struct Answers(Vec<(oneshot::Sender<Result<Outcome>>, Outcome)>);

impl Answers {
    /// Tells them. Several from within the runtime, which then has all of them waiting before it runs the first: what they
    /// answer on the same connection leaves together, and nobody is woken for each of them.
    pub fn tell(self, runtime: &Handle) {
        if self.0.len() > 1 {
            runtime.spawn(async { self.tell_here() });
        } else {
            self.tell_here();
        }
    }

    fn tell_here(self) {
        for (caller, outcome) in self.0 {
            // A caller that has just left needs no answer.
            let _ = caller.send(Ok(outcome));
        }
    }
}

/// All callers of a record on this node; as many as the queue lets in.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<State>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Single insertions and removals: whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the outcome of a command with this digest.
    pub fn register(&self, key: CommandKey, digest: Hash32) -> Registered {
        let state = &mut *self.lock();
        state.next += 1;
        let token = state.next;
        let (sender, outcome) = oneshot::channel();
        if let Some(waiting) = state.waiting.get_mut(&key) {
            // One that was withdrawn is on its way out of the queue and will never be sent.
            if waiting.digest != digest || waiting.progress.is_withdrawn() {
                return Registered::Conflict;
            }
            waiting.callers.push((token, sender));
            return Registered::Joined(Place { token, progress: waiting.progress.clone(), outcome });
        }
        let progress = Arc::new(Progress::default());
        let callers = vec![(token, sender)];
        state.waiting.insert(key, Waiting { digest, progress: progress.clone(), callers });
        Registered::New(Place { token, progress, outcome })
    }

    /// A caller is gone. True if it was the last one and its command will not be sent any more.
    pub fn leave(&self, key: &CommandKey, token: u64) -> bool {
        let state = &mut *self.lock();
        let Some(waiting) = state.waiting.get_mut(key) else { return false };
        waiting.callers.retain(|(caller, _)| *caller != token);
        if !waiting.callers.is_empty() {
            return false;
        }
        let withdrawn = waiting.progress.withdraw();
        state.waiting.remove(key);
        withdrawn
    }

    /// Whether anybody still waits for this command.
    pub fn is_waiting(&self, key: &CommandKey) -> bool {
        self.lock().waiting.contains_key(key)
    }

    /// Whether nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Whom to tell which outcomes. `digest_at` gives the digest of the command that a revision holds: the same id may have been
    /// used for another command elsewhere, and that command's outcome is not ours. With it, how many commands were waited for.
    pub fn resolve(
        &self,
        outcomes: Vec<(CommandKey, Outcome)>,
        digest_at: impl Fn(u64) -> Option<Hash32>,
    ) -> (Answers, usize) {
        let state = &mut *self.lock();
        let (mut answers, waited) = (Answers::default(), state.waiting.len());
        for (key, outcome) in outcomes {
            let Some(waiting) = state.waiting.get(&key) else { continue };
            let foreign = outcome.revision > 0 && digest_at(outcome.revision).is_some_and(|of| of != waiting.digest);
            // What leaves no record is about our command only if ours has gone out.
            let not_sent = matches!(outcome.verdict, Verdict::Expired | Verdict::IdReused)
                && waiting.progress.0.load(Ordering::Acquire) == QUEUED;
            if foreign || not_sent {
                continue;
            }
            let callers = state.waiting.remove(&key).map(|waiting| waiting.callers).unwrap_or_default();
            answers.0.extend(callers.into_iter().map(|(_, caller)| (caller, outcome.clone())));
        }
        (answers, waited)
    }

    /// These commands certainly fail.
    pub fn fail(&self, keys: &[CommandKey], error: &DriverError) {
        let state = &mut *self.lock();
        for waiting in keys.iter().filter_map(|key| state.waiting.remove(key)) {
            for (_, caller) in waiting.callers {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }

    /// Nothing will be answered any more.
    pub fn fail_all(&self, error: &DriverError) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for (_, caller) in waiting.into_values().flat_map(|waiting| waiting.callers) {
            let _ = caller.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::time::Timestamp;

    use super::*;

    fn key() -> CommandKey {
        (MunicipalityCode::new(150_300).unwrap(), CommandId::from_u128(7))
    }

    fn outcome(revision: u64, verdict: Verdict) -> Outcome {
        Outcome { revision, at: Timestamp::ZERO, verdict }
    }

    fn new(waiters: &Waiters, digest: &[u8]) -> Place {
        match waiters.register(key(), Hash32::of(&[digest])) {
            Registered::New(place) | Registered::Joined(place) => place,
            Registered::Conflict => panic!("another command"),
        }
    }

    #[test]
    fn the_same_command_is_waited_for_together_and_another_is_refused() {
        let waiters = Waiters::default();
        let (mut a, mut b) = (new(&waiters, b"a"), new(&waiters, b"a"));
        assert!(matches!(waiters.register(key(), Hash32::of(&[b"b"])), Registered::Conflict));
        a.progress.send();
        let resolve = |outcome, digest: &dyn Fn(u64) -> Option<Hash32>| {
            let (answers, waited) = waiters.resolve(vec![(key(), outcome)], digest);
            answers.tell_here();
            waited
        };
        assert_eq!(resolve(outcome(9, Verdict::Accepted), &|_| Some(Hash32::of(&[b"other"]))), 1);
        assert!(a.outcome.try_recv().is_err(), "the outcome of another node's command");
        assert_eq!(resolve(outcome(0, Verdict::IdReused), &|_| None), 1);
        assert_eq!(a.outcome.try_recv().unwrap().unwrap().verdict, Verdict::IdReused);
        assert!(b.outcome.try_recv().unwrap().is_ok());
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_command_is_withdrawn_by_its_last_caller_unless_it_was_sent() {
        let waiters = Waiters::default();
        let (a, b) = (new(&waiters, b"a"), new(&waiters, b"a"));
        assert!(!waiters.leave(&key(), a.token));
        assert!(waiters.leave(&key(), b.token));
        assert!(!b.progress.send());
        let c = new(&waiters, b"c");
        assert!(c.progress.send());
        assert!(!waiters.leave(&key(), c.token), "it may happen");
        assert!(waiters.is_empty());
    }
}
