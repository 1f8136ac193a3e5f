//! Contended stock as its clients see it: so many, of which a part is held.

use crate::linear::Model;

/// What a client asks.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// So many to be held for him.
    Hold(u64),
    /// So many that he holds to be let go.
    Release(u64),
    /// How many are held.
    Look,
}

/// What he is told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// It is done.
    Done,
    /// There is not enough.
    No,
    /// So many are held.
    Held(u64),
}

/// A stock of so many.
#[derive(Clone, Copy, Debug)]
pub struct Stock(pub u64);

impl Model for Stock {
    type State = u64;
    type Call = Ask;
    type Answer = Told;

    fn begin(&self) -> u64 {
        0
    }

    fn step(&self, held: &u64, call: &Ask, answer: Option<&Told>) -> Option<u64> {
        match (call, answer) {
            (Ask::Hold(qty), answer) => {
                let fits = held + qty <= self.0;
                let possible = answer.is_none_or(|told| matches!(told, Told::Done) == fits);
                possible.then_some(if fits { held + qty } else { *held })
            }
            // Nobody releases what he does not hold, but before an answer that is not known here.
            (Ask::Release(qty), None) => Some(held.saturating_sub(*qty)),
            (Ask::Release(qty), Some(Told::Done)) => held.checked_sub(*qty),
            (Ask::Look, Some(Told::Held(seen))) => (seen == held).then_some(*held),
            (Ask::Look, None) => Some(*held),
            (Ask::Release(_) | Ask::Look, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_a_call_is_as_it_was_told() {
        use Ask::{Hold, Look, Release};
        use Told::{Done, Held, No};
        // Held before, call, answer, held afterwards; of ten.
        let cases = [
            (4, Hold(6), Some(Done), Some(10)),
            (4, Hold(7), Some(Done), None),
            (4, Hold(7), Some(No), Some(4)),
            (4, Hold(6), Some(No), None),
            (4, Hold(6), None, Some(10)),
            (4, Hold(7), None, Some(4)),
            (4, Release(4), Some(Done), Some(0)),
            (4, Release(5), Some(Done), None),
            (4, Release(4), Some(No), None),
            (4, Release(3), None, Some(1)),
            // Without an answer there is always a state behind it.
            (4, Release(5), None, Some(0)),
            (4, Look, Some(Held(4)), Some(4)),
            (4, Look, Some(Held(5)), None),
            (4, Look, Some(Done), None),
            (4, Look, None, Some(4)),
        ];
        for (held, call, answer, after) in cases {
            assert_eq!(Stock(10).step(&held, &call, answer.as_ref()), after, "{call:?} of {held}, told {answer:?}");
        }
    }
}
