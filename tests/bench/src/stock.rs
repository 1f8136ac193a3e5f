//! What a registry and a database keep alike: lots with what is at hand of each, and movements that change it. And the books
//! that are kept beside them, so that no figure comes of movements that were not carried out.

use anyhow::{Context as _, Result, ensure};
use shouwang_domain::testing::Rng;
use uuid::Uuid;

use crate::load::Asker;
use crate::payload::Mark;
use crate::system::Served;

/// How many lots there are.
pub const LOTS: usize = 1000;
/// In how many stores they stand, in turns.
pub const STORES: usize = 10;
/// What there is of each lot in the beginning: more than is ever issued of it.
pub const OPENING: u64 = 1_000_000;
/// The most that one movement receives or issues, and by how much a count may differ from the opening.
const MOVED_MAX: u64 = 20;
const COUNT_OFF_MAX: u64 = 500;

/// The id of a lot, whoever keeps it.
pub fn id(n: usize) -> Uuid {
    let mut rng = Rng(n as u64);
    let random = u128::from(rng.draw()) << 64 | u128::from(rng.draw());
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
}

/// The id of a store.
pub fn store_id(n: usize) -> Uuid {
    id(LOTS + n)
}

/// What a store keeper enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// More came in (入库).
    Receive,
    /// The owner uses its own (出库自用).
    Issue,
    /// Somebody counted (盘点).
    Count,
}

/// One movement of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Which.
    pub kind: Kind,
    /// Of which lot, from 0.
    pub lot: usize,
    /// How much; what was found, for a count.
    pub qty: u64,
    /// Makes its request id.
    pub mark: Mark,
}

impl Movement {
    /// What is at hand after it; none if there is not enough.
    pub fn after(&self, at_hand: u64) -> Option<u64> {
        match self.kind {
            Kind::Receive => at_hand.checked_add(self.qty),
            Kind::Issue => at_hand.checked_sub(self.qty),
            Kind::Count => Some(self.qty),
        }
    }

    /// The paper it is entered from.
    pub fn document(&self) -> String {
        let paper = match self.kind {
            Kind::Receive => "入库单",
            Kind::Issue => "领用单",
            Kind::Count => "盘点表",
        };
        format!("{paper} 2026-{:06}", self.lot * 1000 + usize::try_from(self.qty % 1000).unwrap_or_default())
    }
}

/// Movements of one kind, one after the other, as a seed decides.
#[derive(Clone, Debug)]
pub struct Draws {
    kind: Kind,
    rng: Rng,
}

impl Draws {
    /// Begins.
    pub fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, rng: Rng(seed) }
    }

    /// The next one: of any lot, and never refused.
    pub fn draw(&mut self) -> Movement {
        let lot = self.rng.index(LOTS);
        let qty = match self.kind {
            Kind::Receive | Kind::Issue => 1 + self.rng.below(MOVED_MAX),
            Kind::Count => OPENING - COUNT_OFF_MAX + self.rng.below(2 * COUNT_OFF_MAX + 1),
        };
        Movement { kind: self.kind, lot, qty, mark: Mark::next() }
    }
}

/// One client.
pub trait Keeper: Send + 'static {
    /// Enters a movement, and waits until it is durable and carried out. Answers its number: of two movements of one lot,
    /// the one that was carried out later has the greater one.
    ///
    /// # Errors
    /// It was refused, or there was no answer in time.
    fn enter(&mut self, movement: &Movement) -> impl Future<Output = Result<u64>> + Send;
}

/// What keeps the stock.
pub trait Stockroom: Served {
    /// Its clients.
    type Keeper: Keeper;

    /// So many clients.
    ///
    /// # Errors
    /// It lets nobody in.
    fn keepers(&self, count: usize) -> impl Future<Output = Result<Vec<Self::Keeper>>>;

    /// How its books stand now.
    ///
    /// # Errors
    /// It does not say, or what it says does not add up in itself.
    fn books(&self) -> impl Future<Output = Result<Books>>;
}

/// How books stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// What is at hand of each lot.
    pub at_hand: Vec<u64>,
    /// How many movements were entered since the opening.
    pub entered: u64,
}

impl Books {
    /// As they stand in the beginning.
    pub fn opened() -> Self {
        Self { at_hand: vec![OPENING; LOTS], entered: 0 }
    }

    /// Enters what was accepted, in the order of its numbers.
    ///
    /// # Errors
    /// Two have the same number, or one cannot have been accepted.
    pub fn enter(&mut self, mut accepted: Vec<(u64, Movement)>) -> Result<()> {
        accepted.sort_unstable_by_key(|(number, _)| *number);
        let twice = accepted.windows(2).find(|pair| pair[0].0 == pair[1].0);
        ensure!(twice.is_none(), "two movements under one number: {twice:?}");
        for (number, movement) in accepted {
            let at_hand = self.at_hand.get_mut(movement.lot).context("a lot that is not there")?;
            let after = movement.after(*at_hand);
            *at_hand = after.with_context(|| format!("{number}: {movement:?} with {at_hand} at hand"))?;
            self.entered += 1;
        }
        Ok(())
    }

    /// Compares them with what somebody else says.
    ///
    /// # Errors
    /// They differ; with where.
    pub fn agree(&self, told: &Self) -> Result<()> {
        ensure!(self.entered == told.entered, "{} movements accepted, {} in the books", self.entered, told.entered);
        ensure!(self.at_hand.len() == told.at_hand.len(), "{} lots of {}", told.at_hand.len(), self.at_hand.len());
        for (lot, (expected, found)) in self.at_hand.iter().zip(&told.at_hand).enumerate() {
            ensure!(expected == found, "lot {lot}: {found} at hand where {expected} follow from what was accepted");
        }
        Ok(())
    }
}

/// A client with what it has to enter and what was accepted of it.
pub struct Desk<K> {
    keeper: K,
    draws: Draws,
    /// What was accepted, with its numbers.
    pub accepted: Vec<(u64, Movement)>,
}

impl<K> Desk<K> {
    /// One that begins.
    pub fn new(keeper: K, draws: Draws) -> Self {
        Self { keeper, draws, accepted: Vec::new() }
    }
}

impl<K: Keeper> Asker for Desk<K> {
    async fn ask(&mut self) -> Result<()> {
        let movement = self.draws.draw();
        let number = self.keeper.enter(&movement).await?;
        self.accepted.push((number, movement));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movement(kind: Kind, lot: usize, qty: u64) -> Movement {
        Movement { kind, lot, qty, mark: Mark::next() }
    }

    #[test]
    fn the_same_seed_draws_the_same_movements_of_all_lots() {
        for kind in [Kind::Receive, Kind::Issue, Kind::Count] {
            let (mut one, mut other) = (Draws::new(kind, 7), Draws::new(kind, 7));
            let mut lots = vec![false; LOTS];
            for _ in 0..20 * LOTS {
                let (drawn, again) = (one.draw(), other.draw());
                assert_eq!((drawn.lot, drawn.qty), (again.lot, again.qty));
                assert_ne!(drawn.mark, again.mark, "every call has a request id of its own");
                let moved = drawn.after(OPENING).unwrap().abs_diff(OPENING);
                assert!(moved <= if kind == Kind::Count { COUNT_OFF_MAX } else { MOVED_MAX }, "{drawn:?}");
                assert!((1..=200).contains(&drawn.document().chars().count()));
                lots[drawn.lot] = true;
            }
            assert!(lots.iter().all(|drawn| *drawn), "{kind:?} leaves lots out");
        }
    }

    #[test]
    fn books_follow_from_what_was_accepted_in_the_order_of_its_numbers() {
        let mut books = Books::opened();
        let accepted = vec![
            (9, movement(Kind::Issue, 3, 20)),
            (5, movement(Kind::Receive, 3, 7)),
            (7, movement(Kind::Count, 3, 100)),
            (8, movement(Kind::Receive, 4, 1)),
        ];
        books.enter(accepted.clone()).unwrap();
        assert_eq!((books.at_hand[3], books.at_hand[4], books.at_hand[5]), (80, OPENING + 1, OPENING));
        assert_eq!(books.entered, 4);
        let mut twice = accepted.clone();
        twice.push((9, movement(Kind::Issue, 4, 1)));
        for impossible in [twice, vec![(1, movement(Kind::Issue, 3, 81))], vec![(1, movement(Kind::Receive, LOTS, 1))]]
        {
            assert!(books.clone().enter(impossible.clone()).is_err(), "{impossible:?}");
        }
    }

    #[test]
    fn books_that_differ_are_no_figure() {
        let books = Books::opened();
        books.agree(&books).unwrap();
        let (mut lost, mut moved, mut short) = (books.clone(), books.clone(), books.clone());
        lost.entered += 1;
        moved.at_hand[500] -= 1;
        short.at_hand.pop();
        for (told, why) in [(lost, "0 movements accepted, 1 in"), (moved, "lot 500: 999999"), (short, "999 lots")] {
            let error = books.agree(&told).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
