//! What there is of each resource, kept beside the books: whoever asks what is left of one looks at its shelf, and not at
//! every lot. Nothing here is a truth of its own: all of it follows from lots, balances and mapping, so that it stands in no
//! checkpoint and in no digest, and is made anew when a state is read.

use imbl::{OrdMap, OrdSet};

use super::Registry;
use super::state::{Account, Holding, Lot};
use crate::ids::LotId;
use crate::quantity::Qty;
use crate::resource::{Condition, ItemCode, Resource};
use crate::time::{Date, Timestamp};

/// Goods of one holding, actual or of an exercise.
type Shelf = (Holding, bool);

/// The shelves of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelves {
    /// The first lot of each, in the order of lots, of those that are not in custody.
    first: OrdMap<Shelf, LotId>,
    /// Units in LOCAL that count as available until their day is over. A sum of more than 64 bits has still its parts.
    usable: OrdMap<(Shelf, Option<Date>), u128>,
    /// The municipality's words for each code.
    words: OrdSet<(ItemCode, String)>,
}

impl Shelves {
    /// The word stands for another code than before.
    pub fn map(&mut self, word: &str, before: Option<ItemCode>, code: ItemCode) {
        if let Some(before) = before {
            self.words.remove(&(before, word.to_owned()));
        }
        self.words.insert((code, word.to_owned()));
    }

    /// What is of a resource.
    fn holdings(&self, resource: &Resource) -> impl Iterator<Item = Holding> + '_ {
        let code = if let Resource::Item(code) = resource { Some(*code) } else { None };
        let words = code.into_iter().flat_map(|code| {
            let from = self.words.range((code, String::new())..);
            from.take_while(move |(of, _)| *of == code).map(|(_, word)| Holding::Local(word.clone()))
        });
        std::iter::once(Holding::from(resource)).chain(words)
    }

    /// The first lot of a resource that is not in custody.
    pub fn first(&self, resource: &Resource, exercise: bool) -> Option<LotId> {
        self.holdings(resource).filter_map(|holding| self.first.get(&(holding, exercise)).copied()).min()
    }

    /// Units of a resource in LOCAL that count as available at `at`.
    pub fn usable(&self, resource: &Resource, exercise: bool, at: Timestamp) -> Qty {
        let in_date = |day: Option<Date>| planted!(ExpiredCounted) || day.is_none_or(|day| day.end() >= at);
        let of = |holding| {
            let shelf = (holding, exercise);
            let days = self.usable.range((shelf.clone(), None)..).take_while(move |((of, _), _)| *of == shelf);
            days.filter(|((_, day), _)| in_date(*day)).map(|(_, sum)| *sum).sum::<u128>()
        };
        let sum: u128 = self.holdings(resource).map(of).sum();
        Qty(u64::try_from(sum).unwrap_or(u64::MAX))
    }

    /// Makes room for a lot that enters the books.
    fn place(&mut self, id: LotId, lot: &Lot) {
        let first = self.first.entry((lot.details.holding.clone(), lot.details.exercise)).or_insert(id);
        *first = id.min(*first);
    }

    /// So many units of a lot that counts are in LOCAL now.
    fn count(&mut self, lot: &Lot, before: Qty, now: Qty) {
        if before == now {
            return;
        }
        let place = ((lot.details.holding.clone(), lot.details.exercise), lot.details.expires);
        let left = self.usable.get(&place).copied().unwrap_or_default() + u128::from(now.0) - u128::from(before.0);
        if left == 0 {
            self.usable.remove(&place);
        } else {
            self.usable.insert(place, left);
        }
    }
}

impl Registry {
    /// The shelves as they follow from the books.
    pub(crate) fn shelves_anew(&self) -> Shelves {
        let mut shelves = Shelves::default();
        for (word, code) in &self.mapping {
            shelves.map(word, None, *code);
        }
        for (id, lot) in self.lots.iter().filter(|(_, lot)| lot.custody.is_none()) {
            shelves.place(*id, lot);
            if self.counts(lot) {
                shelves.count(lot, Qty::ZERO, self.balance(*id, Account::Local));
            }
        }
        shelves
    }

    /// Whether what is at hand of a lot counts in the owner's figures while it is in date.
    fn counts(&self, lot: &Lot) -> bool {
        lot.details.owner == self.owner() && lot.details.condition == Condition::Usable && lot.custody.is_none()
    }

    /// A lot enters the books, or becomes what it was not.
    pub(super) fn put_lot(&mut self, id: LotId, lot: Lot) {
        let at_hand = self.balance(id, Account::Local);
        if let Some(before) = self.lots.get(&id).filter(|before| self.counts(before)) {
            self.shelves.count(before, at_hand, Qty::ZERO);
        }
        if lot.custody.is_none() {
            self.shelves.place(id, &lot);
        }
        if self.counts(&lot) {
            self.shelves.count(&lot, Qty::ZERO, at_hand);
        }
        self.lots.insert(id, lot);
    }

    /// What is in LOCAL of a lot is another quantity than before.
    pub(super) fn recount(&mut self, id: LotId, before: Qty) {
        let now = self.balance(id, Account::Local);
        if let Some(lot) = self.lots.get(&id).filter(|lot| self.counts(lot)) {
            self.shelves.count(lot, before, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MissionId, StoreId};
    use crate::machine::Machine as _;
    use crate::registry::event::RegistryEvent as E;
    use crate::testing::{Rng, founding, lot, municipality};
    use crate::time::DAY_MS;

    const OWNERS: [u32; 2] = [150_300, 150_000];
    const WORDS: [&str; 2] = ["防护服", "面罩"];
    const NOW: Timestamp = Timestamp(1_772_380_000_000);

    fn codes() -> [ItemCode; 2] {
        [2_990_101, 2_990_201].map(|code| ItemCode::new(code).unwrap())
    }

    /// Something that can happen, likely or not: the shelves must follow all of it.
    fn event(registry: &Registry, rng: &mut Rng) -> E {
        let known = registry.lots.keys().nth(rng.index(registry.lots.len().max(1))).copied();
        let code = codes()[rng.index(2)];
        match (rng.below(8), known) {
            (0, _) => E::ItemMapped { local: WORDS[rng.index(2)].to_owned(), code },
            (1..=4, Some(lot)) => {
                let accounts = [Account::Source, Account::Local, Account::Consumed, Account::Repair];
                let (from, to) = (accounts[rng.index(4)], accounts[1 + rng.index(3)]);
                E::StockMoved { lot, from, to, qty: Qty(rng.below(9)), document: String::new() }
            }
            (5, Some(lot)) => {
                E::LotInspected { lot, condition: [Condition::Usable, Condition::UnderRepair][rng.index(2)] }
            }
            _ => {
                let mut details = lot(municipality(OWNERS[rng.index(2)]), StoreId(rng.uuid()), &Resource::Item(code));
                if rng.chance(50) {
                    details.holding = Holding::Local(WORDS[rng.index(2)].to_owned());
                }
                details.exercise = rng.chance(30);
                details.expires =
                    rng.chance(50).then(|| NOW.plus_ms(rng.below(3).cast_signed() * DAY_MS).shanghai_date());
                let custody = rng.chance(20).then(|| MissionId(rng.uuid()));
                E::LotOpened { lot: LotId(rng.uuid()), details: Box::new(Lot { details, custody }) }
            }
        }
    }

    #[test]
    fn a_shelf_has_what_a_walk_over_all_lots_finds() {
        let mut rng = Rng(1);
        for _ in 0..20 {
            let mut registry = Registry::found(&founding(municipality(OWNERS[0]), "乌")).unwrap();
            for _ in 0..200 {
                registry.evolve(NOW, &event(&registry.clone(), &mut rng));
                assert_eq!(registry.shelves, registry.shelves_anew());
                let (resource, exercise) = (Resource::Item(codes()[rng.index(2)]), rng.chance(50));
                let at = NOW.plus_ms(rng.below(4).cast_signed() * DAY_MS);
                let of = |lot: &Lot| {
                    lot.details.exercise == exercise
                        && registry.resource_of(&lot.details.holding).as_ref() == Some(&resource)
                };
                let own = registry
                    .lots
                    .iter()
                    .filter(|(_, lot)| of(lot) && registry.is_usable(lot, at) && lot.details.owner == registry.owner());
                let usable: Qty = own.map(|(id, _)| registry.balance(*id, Account::Local)).sum();
                assert_eq!(registry.floor_view(&resource, exercise, at).usable, usable);
                let first = registry.lots.values().find(|lot| lot.custody.is_none() && of(lot));
                let words = first.map(|lot| (lot.details.name.clone(), lot.details.unit.clone()));
                assert_eq!(registry.words_for(&resource, exercise), words);
                let ids: Vec<_> = registry.lots.keys().copied().collect();
                let shown = |last| registry.lots_after(last).map(|(id, _)| *id).collect::<Vec<_>>();
                assert_eq!(shown(None), ids);
                for (at, last) in ids.iter().enumerate() {
                    assert_eq!(shown(Some(*last)), ids[at + 1..]);
                }
            }
        }
    }
}
