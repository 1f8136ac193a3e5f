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
            (Ask::Release(qty), _) => held.checked_sub(*qty),
            (Ask::Look, Some(Told::Held(seen))) => (seen == held).then_some(*held),
            (Ask::Look, _) => Some(*held),
        }
    }
}
