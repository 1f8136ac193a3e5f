//! Whether what clients saw could have happened one thing after the other, each between its call and its answer: the
//! search of Wing and Gong (1993) with Lowe's memo (2017) of what has been placed, in which state. An order that is known
//! beforehand is tried first: if it fits, it is the proof.

use std::collections::HashSet;
use std::hash::Hash;

/// What operations do, one after the other.
pub trait Model {
    /// What they work on.
    type State: Clone + Eq + Hash;
    /// What is asked.
    type Call;
    /// What is answered.
    type Answer;

    /// The state before the first operation.
    fn begin(&self) -> Self::State;

    /// The state after an operation, or `None` if this answer cannot come of it. Without an answer it always can.
    fn step(&self, state: &Self::State, call: &Self::Call, answer: Option<&Self::Answer>) -> Option<Self::State>;
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub struct Operation<C, A> {
    /// What was asked.
    pub call: C,
    /// When.
    pub called: u64,
    /// When it was answered, and what; `None` if the client never heard. It may then have happened at any later time, or
    /// never.
    pub answered: Option<(u64, A)>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order in which everything fits.
    Linearizable,
    /// There is none. The operation, by position, that found no place where the search came furthest.
    Impossible(usize),
    /// The search was given up.
    Undecided,
}

/// A call or an answer, in the order of time; a list from which operations are taken out and put back.
struct Events {
    /// Operation, and for a call the position of its answer.
    what: Vec<(usize, Option<usize>)>,
    next: Vec<usize>,
    before: Vec<usize>,
}

/// The position of the list's head; events follow from 1 on.
const HEAD: usize = 0;

impl Events {
    fn of<C, A>(operations: &[Operation<C, A>]) -> Self {
        let calls = operations.iter().enumerate().map(|(at, operation)| (operation.called, false, at));
        let answer = |operation: &Operation<C, A>| operation.answered.as_ref().map_or(u64::MAX, |(when, _)| *when);
        let answers = operations.iter().enumerate().map(|(at, operation)| (answer(operation), true, at));
        let mut times: Vec<(u64, bool, usize)> = calls.chain(answers).collect();
        times.sort_unstable();
        let mut what = vec![(usize::MAX, None)];
        let mut called = vec![0; operations.len()];
        for (at, (_, is_answer, operation)) in (1..).zip(times) {
            if is_answer {
                what[called[operation]].1 = Some(at);
            } else {
                called[operation] = at;
            }
            what.push((operation, None));
        }
        let count = what.len();
        let (next, before) = ((1..=count).map(|at| at % count), (0..count).map(|at| (at + count - 1) % count));
        Self { next: next.collect(), before: before.collect(), what }
    }

    fn take_out(&mut self, at: usize) {
        let (before, next) = (self.before[at], self.next[at]);
        (self.next[before], self.before[next]) = (next, before);
    }

    fn put_back(&mut self, at: usize) {
        let (before, next) = (self.before[at], self.next[at]);
        (self.next[before], self.before[next]) = (at, at);
    }
}

/// Whether everything fits in this order of all operations: each answer can come, and nothing stands behind what began
/// only after it was over.
fn fits<M: Model>(model: &M, operations: &[Operation<M::Call, M::Answer>], order: &[usize]) -> bool {
    let (mut state, mut begun) = (model.begin(), 0);
    order.len() == operations.len()
        && order.iter().all(|at| {
            let Operation { call, called, answered } = &operations[*at];
            begun = begun.max(*called);
            let over_before = answered.as_ref().is_some_and(|(when, _)| *when < begun);
            let after = model.step(&state, call, answered.as_ref().map(|(_, answer)| answer));
            after.is_some_and(|after| {
                state = after;
                !over_before
            })
        })
}

/// Looks for an order, in at most so many steps; `guess` is tried first.
pub fn check<M: Model>(
    model: &M,
    operations: &[Operation<M::Call, M::Answer>],
    guess: &[usize],
    steps_max: u64,
) -> Verdict {
    if fits(model, operations, guess) {
        return Verdict::Linearizable;
    }

    let mut events = Events::of(operations);
    let mut placed = vec![0_u64; operations.len().div_ceil(64)];
    let mut seen: HashSet<(Vec<u64>, M::State)> = HashSet::new();
    let mut stack: Vec<(usize, M::State)> = Vec::new();
    let mut state = model.begin();
    let (mut at, mut furthest) = (events.next[HEAD], (0, 0));
    for _ in 0..steps_max {
        if events.next[HEAD] == HEAD {
            return Verdict::Linearizable;
        }
        let (operation, answer) = events.what[at];
        if let Some(answer) = answer {
            let Operation { call, answered, .. } = &operations[operation];
            let bit = (operation / 64, 1 << (operation % 64));
            if let Some(after) = model.step(&state, call, answered.as_ref().map(|(_, answer)| answer)) {
                placed[bit.0] |= bit.1;
                if seen.insert((placed.clone(), after.clone())) {
                    stack.push((at, std::mem::replace(&mut state, after)));
                    events.take_out(at);
                    events.take_out(answer);
                    at = events.next[HEAD];
                    continue;
                }
                placed[bit.0] &= !bit.1;
            }
            at = events.next[at];
            continue;
        }
        // An answer whose operation has found no place: the last one placed was placed wrongly.
        if stack.len() >= furthest.0 {
            furthest = (stack.len(), operation);
        }
        let Some((call, before)) = stack.pop() else { return Verdict::Impossible(furthest.1) };
        let (operation, answer) = events.what[call];
        state = before;
        placed[operation / 64] &= !(1 << (operation % 64));
        // In the reverse order of taking out.
        if let Some(answer) = answer {
            events.put_back(answer);
        }
        events.put_back(call);
        at = events.next[call];
    }
    Verdict::Undecided
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register that can be written and read.
    struct Register;

    #[derive(Clone, Copy)]
    enum Call {
        Write(u64),
        Read,
    }

    impl Model for Register {
        type State = u64;
        type Call = Call;
        type Answer = u64;

        fn begin(&self) -> u64 {
            0
        }

        fn step(&self, state: &u64, call: &Call, answer: Option<&u64>) -> Option<u64> {
            match call {
                Call::Write(value) => Some(*value),
                Call::Read => answer.is_none_or(|read| read == state).then_some(*state),
            }
        }
    }

    fn write(value: u64, called: u64, answered: Option<u64>) -> Operation<Call, u64> {
        Operation { call: Call::Write(value), called, answered: answered.map(|at| (at, 0)) }
    }

    fn read(value: u64, called: u64, answered: u64) -> Operation<Call, u64> {
        Operation { call: Call::Read, called, answered: Some((answered, value)) }
    }

    #[test]
    fn histories_are_judged() {
        use Verdict::{Impossible, Linearizable};
        let cases = [
            ("nothing", vec![], Linearizable),
            ("one after the other", vec![write(1, 1, Some(2)), read(1, 3, 4)], Linearizable),
            ("a stale read", vec![write(1, 1, Some(2)), read(0, 3, 4)], Impossible(1)),
            ("at the same time", vec![write(1, 1, Some(4)), read(0, 2, 3), read(1, 2, 5)], Linearizable),
            ("back again", vec![write(1, 1, Some(9)), read(1, 2, 3), read(0, 4, 5)], Impossible(2)),
            ("never answered, seen", vec![write(1, 1, None), read(1, 5, 6)], Linearizable),
            ("never answered, not seen", vec![write(1, 1, None), read(0, 5, 6)], Linearizable),
            ("seen before it was asked", vec![read(1, 1, 2), write(1, 3, None)], Impossible(0)),
            (
                "two writers and two readers that disagree",
                vec![
                    write(1, 1, Some(10)),
                    write(2, 1, Some(10)),
                    read(1, 2, 3),
                    read(2, 4, 5),
                    read(2, 2, 3),
                    read(1, 4, 5),
                ],
                Impossible(5),
            ),
        ];
        for (name, operations, expected) in cases {
            let verdict = check(&Register, &operations, &[], 10_000);
            let everything: Vec<usize> = (0..operations.len()).collect();
            let guessed = check(&Register, &operations, &everything, 10_000);
            assert_eq!(verdict == Linearizable, guessed == Linearizable, "{name}: a guess proves nothing wrong");
            match (verdict, expected) {
                (Impossible(_), Impossible(_)) => {}
                _ => assert_eq!(verdict, expected, "{name}"),
            }
        }
    }

    #[test]
    fn what_is_not_decided_is_said() {
        // Everything at once, and a read of what nobody wrote: every order has to be tried.
        let mut operations: Vec<_> = (1..40).map(|value| write(value, 1, Some(100))).collect();
        operations.push(read(99, 101, 102));
        assert_eq!(check(&Register, &operations, &[], 1_000), Verdict::Undecided);
    }

    #[test]
    fn thousands_of_operations_are_decided() {
        // Four clients, each beginning before the others end.
        let operations: Vec<_> = (0..3_000)
            .map(|n| if n % 2 == 0 { write(n, 2 * n, Some(2 * n + 7)) } else { read(n - 1, 2 * n, 2 * n + 7) })
            .collect();
        assert_eq!(check(&Register, &operations, &[], 1_000_000), Verdict::Linearizable);
    }
}
