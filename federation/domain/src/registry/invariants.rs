//! What must always be true of a registry, and of a registry together with its region (domain.md §6.1–2).

use std::collections::BTreeMap;

use super::Registry;
use super::state::Account;
use crate::channel::{DownMessage, Step, UpMessage};
use crate::ids::{LotId, PledgeId, RegionId};
use crate::quantity::Qty;
use crate::region::Region;

/// Checks the registry alone.
pub(super) fn check(registry: &Registry) -> Result<(), String> {
    conserved(registry)?;
    units_are_one(registry)?;
    custody_is_never_promised(registry)?;
    pledges_name_their_lot(registry)?;
    shelves_follow(registry)
}

/// What is kept beside the books is what follows from them.
fn shelves_follow(registry: &Registry) -> Result<(), String> {
    if registry.shelves == registry.shelves_anew() {
        return Ok(());
    }
    Err("invariant 16: what is kept of each resource does not follow from the lots".to_owned())
}

/// Invariant 1: per lot, the sum over all accounts is what ever came in.
fn conserved(registry: &Registry) -> Result<(), String> {
    let mut sums: BTreeMap<LotId, (Qty, Qty)> = BTreeMap::new();
    for ((lot, account), qty) in &registry.balances {
        let (source, elsewhere) = sums.entry(*lot).or_default();
        if *account == Account::Source {
            *source += *qty;
        } else {
            *elsewhere += *qty;
        }
    }
    match sums.iter().find(|(_, (source, elsewhere))| source != elsewhere) {
        Some((lot, (source, elsewhere))) => {
            Err(format!("invariant 1: lot {lot} received {source}, its accounts hold {elsewhere}"))
        }
        None => Ok(()),
    }
}

/// Invariant 5: a team or vehicle is one, so it has one active mission at most.
fn units_are_one(registry: &Registry) -> Result<(), String> {
    for (id, lot) in registry.lots.iter().filter(|(_, lot)| lot.details.holding.is_unit() && lot.custody.is_none()) {
        let present: Qty = registry
            .accounts(*id)
            .filter(|(account, _)| !matches!(account, Account::Source | Account::Lost | Account::Scrapped))
            .map(|(_, qty)| qty)
            .sum();
        if present > Qty::ONE {
            return Err(format!("invariant 5: unit {} ({id}) stands in {present} places", lot.details.name));
        }
    }
    Ok(())
}

fn custody_is_never_promised(registry: &Registry) -> Result<(), String> {
    for ((lot, account), _) in &registry.balances {
        let promised = matches!(account, Account::Pledged(_) | Account::Held(_));
        if promised && registry.lots.get(lot).is_some_and(|lot| lot.custody.is_some()) {
            return Err(format!("goods of another in custody lot {lot} were promised"));
        }
    }
    Ok(())
}

fn pledges_name_their_lot(registry: &Registry) -> Result<(), String> {
    for ((lot, account), _) in &registry.balances {
        let pledge = match account {
            Account::Pledged(pledge) | Account::Overdrawn(pledge) => *pledge,
            Account::Held(mission) => match registry.missions.get(mission) {
                Some(known) => known.notice.pledge,
                None => return Err(format!("lot {lot} holds for unknown mission {mission}")),
            },
            _ => continue,
        };
        if registry.pledges.get(&pledge).is_none_or(|known| known.made.lot != *lot) {
            return Err(format!("lot {lot} is escrowed under pledge {pledge}, which does not name it"));
        }
    }
    Ok(())
}

/// Invariant 1 across the two records, per pledge: what the registry has escrowed is what the region has, plus what is
/// on its way up, less what is on its way down.
///
/// # Errors
/// The first pledge whose books disagree.
pub fn check_across(registry: &Registry, id: RegionId, region: &Region) -> Result<(), String> {
    let mut books: BTreeMap<PledgeId, i128> = BTreeMap::new();
    let mut book = |pledge: PledgeId, qty: Qty, sign: i128| {
        *books.entry(pledge).or_default() += sign * i128::from(qty.0);
    };
    for ((_, account), qty) in &registry.balances {
        match account {
            Account::Pledged(pledge) | Account::Overdrawn(pledge) if is_of(registry, *pledge, id) => {
                book(*pledge, *qty, 1);
            }
            Account::Held(mission) => {
                if let Some(known) = registry.missions.get(mission).filter(|known| known.region == id) {
                    book(known.notice.pledge, *qty, 1);
                }
            }
            _ => {}
        }
    }
    for (pledge, known) in registry.pledges.iter().filter(|(_, known)| known.region == id) {
        book(*pledge, known.short, -1);
    }
    for (pledge, known) in region.pledges.iter().filter(|(_, pledge)| pledge.holder == registry.owner()) {
        book(*pledge, known.total, -1);
        book(*pledge, known.deficit, 1);
    }
    let taken = region.channel(registry.owner()).up;
    for (_, message) in registry.outbox.range((id, taken + 1)..=(id, u64::MAX)) {
        match message {
            UpMessage::Pledge(made) => book(made.pledge, made.qty, -1),
            UpMessage::Fact(fact) => {
                if let (Step::Dispatched { qty, .. }, Some(known)) = (&fact.step, registry.missions.get(&fact.mission))
                {
                    book(known.notice.pledge, *qty, 1);
                }
            }
            _ => {}
        }
    }
    let heard = registry.channel(id).map_or(0, |channel| channel.down);
    for (_, message) in region.messages_for(registry.owner(), heard + 1, usize::MAX) {
        if let DownMessage::Released { pledge, qty, .. } = message {
            book(*pledge, *qty, -1);
        }
    }
    match books.iter().find(|(_, sum)| **sum != 0) {
        Some((pledge, sum)) => Err(format!("invariant 1 across records: pledge {pledge} is off by {sum}")),
        None => Ok(()),
    }
}

/// Invariant 5 over all regions of a registry: what a region holds of this owner the registry has promised to that region
/// and to no other.
///
/// # Errors
/// The first pledge or mission that stands where the registry did not promise it.
pub fn check_promised_once(registry: &Registry, regions: &[(RegionId, &Region)]) -> Result<(), String> {
    let owner = registry.owner();
    for (id, region) in regions {
        for (pledge, known) in region.pledges.iter().filter(|(_, pledge)| pledge.holder == owner) {
            let promised = registry.pledges.get(pledge);
            if promised.is_none_or(|own| own.region != *id || own.made != known.made) {
                return Err(format!(
                    "invariant 5: pledge {pledge} stands in region {}, not promised there",
                    id.short()
                ));
            }
        }
        let own = region.missions.iter().filter(|(_, mission)| mission.notice.holder == owner);
        for (mission, known) in own {
            let told = registry.missions.get(mission).map(|own| (own.region, own.notice.pledge));
            if told.is_some_and(|told| told != (*id, known.notice.pledge)) {
                return Err(format!("invariant 5: mission {mission} of region {} is another's here", id.short()));
            }
        }
    }
    Ok(())
}

fn is_of(registry: &Registry, pledge: PledgeId, region: RegionId) -> bool {
    registry.pledges.get(&pledge).is_some_and(|known| known.region == region)
}
