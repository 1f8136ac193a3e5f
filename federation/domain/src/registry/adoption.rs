//! The restored registry's side of an adoption ([`crate::adoption`]): its books come to say what the region has on record.
//!
//! What left, left: goods that the books do not show are entered as received. What is promised and not in the books is not
//! there to be sent: it stands as overdrawn, so that nobody holds it, until somebody has counted and covers it.

use std::collections::{BTreeMap, BTreeSet};

use super::command::RegistryCommand as C;
use super::custody::open_custody;
use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::inbox;
use super::state::{Account, Holding, Lot, LotDetails, RegistryMission, RegistryPledge};
use crate::adoption::{Conclusion, EscrowStanding, MissionStanding, Promised, Standing};
use crate::channel::{Fact, PledgeMade, Step, UpMessage};
use crate::ids::{LotId, MissionId, PledgeId, RegionId, StoreId};
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::region::draft::check_text;
use crate::region::lifecycle::MissionState;
use crate::resource::Condition;

/// What every movement of an adoption is booked under.
const DOCUMENT: &str = "adopted from the region";
/// Most regions that a registry is restored for.
pub const REGIONS_MAX: usize = 64;

/// A registry begins another life: its channels stand still until each region's record is adopted.
pub(super) fn restored(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    let C::Restore { mark, keeper, regions, left, reason } = command else {
        return Err(Refusal::Malformed { detail: "no restoration".to_owned() });
    };
    check_text("reason", reason, 500)?;
    if keeper.node.municipality() != draft.registry.owner() {
        return Err(Refusal::not_yours(keeper.node.municipality(), "keep this registry"));
    }
    if regions.len() > REGIONS_MAX {
        return Err(Refusal::LimitReached { what: "regions".to_owned(), limit: REGIONS_MAX as u64 });
    }
    for (region, name) in regions {
        check_text("regions.name", name, 100)?;
        if !draft.registry.channels.contains_key(region) {
            draft.push(E::RegionJoined { region: *region, name: name.clone() });
        }
    }
    if let Some(region) = left.iter().find(|region| !draft.registry.channels.contains_key(*region)) {
        return Err(Refusal::not_found("region", region.short()));
    }
    // Nobody would ever speak for a region that this node does not take part in, and everything would wait for it.
    let decided = |region: &RegionId| regions.iter().any(|(id, _)| id == region) != left.contains(region);
    if let Some((region, channel)) = draft.registry.channels.iter().find(|(region, _)| !decided(region)) {
        return Err(Refusal::RegionUndecided { region: format!("{} {}", region.short(), channel.name) });
    }
    draft.push(E::Restored { mark: *mark, keeper: keeper.clone(), left: left.clone() });
    left.iter().try_for_each(|region| leave(draft, *region))
}

/// Whoever has left a region owes it nothing that was not delivered: what was promised there is the owner's again.
fn leave(draft: &mut Draft, region: RegionId) -> Result<(), Refusal> {
    let pledges: Vec<_> = draft.registry.pledges.iter().filter(|(_, known)| known.region == region).collect();
    let nothing = |(id, known): (&PledgeId, &RegistryPledge)| EscrowStanding {
        pledge: *id,
        total: Qty::ZERO,
        overdrawn: Qty::ZERO,
        deficit: Qty::ZERO,
        closed: true,
        unheard: known.short,
        promised: Vec::new(),
    };
    let standings: Vec<_> = pledges.into_iter().map(nothing).collect();
    standings.iter().try_for_each(|standing| escrow(draft, region, standing))
}

/// A restoration is never asked for in the log: whoever could write it there could take the registry over.
pub(super) fn only_with_a_backup() -> Refusal {
    let (kind, state, step) = ("registry".to_owned(), "running".to_owned(), "restore".to_owned());
    Refusal::WrongState { kind, state, step }
}

pub(super) fn adopt(draft: &mut Draft, region: RegionId, standing: &Standing) -> Result<(), Refusal> {
    check_adopting(draft, region)?;
    match standing {
        Standing::Known(made) => known(draft, region, made),
        Standing::Mission(standing) => mission(draft, region, standing),
        Standing::Escrow(standing) => escrow(draft, region, standing)?,
    }
    Ok(())
}

fn check_adopting(draft: &Draft, region: RegionId) -> Result<(), Refusal> {
    let channel = draft.registry.channels.get(&region).ok_or_else(|| Refusal::not_found("region", region.short()))?;
    if channel.adopting.is_some() {
        return Ok(());
    }
    let (kind, state, step) = ("region".to_owned(), "joined".to_owned(), "adopt".to_owned());
    Err(Refusal::WrongState { kind, state, step })
}

/// A pledge made after the backup, and the lot it is of: what it holds comes with its escrow.
fn known(draft: &mut Draft, region: RegionId, made: &PledgeMade) {
    if !draft.registry.lots.contains_key(&made.lot) {
        let details = LotDetails {
            holding: Holding::from(&made.resource),
            name: made.name.clone(),
            unit: made.unit.clone(),
            store: some_store(draft),
            owner: made.owner,
            class: made.class,
            condition: Condition::Usable,
            batch: String::new(),
            expires: None,
            unit_price: Some(made.unit_price),
            size: 0,
            endurance_hours: 0,
            remark: DOCUMENT.to_owned(),
            exercise: made.exercise,
        };
        draft.push(E::LotOpened { lot: made.lot, details: Box::new(Lot { details, custody: None }) });
    }
    if !draft.registry.pledges.contains_key(&made.pledge) {
        let state = RegistryPledge { region, made: made.clone(), short: Qty::ZERO, closed: false };
        draft.push(E::PledgeRecorded { pledge: made.pledge, state: Box::new(state) });
    }
}

/// Where nobody knows better: the first store in the books.
fn some_store(draft: &Draft) -> StoreId {
    draft.registry.stores.keys().next().copied().unwrap_or(StoreId::from_u128(0))
}

fn mission(draft: &mut Draft, region: RegionId, standing: &MissionStanding) {
    let id = standing.notice.mission;
    if draft.registry.missions.get(&id).is_none_or(|known| known.ahead || known.notice != standing.notice) {
        inbox::learn(draft, region, &standing.notice);
    }
    if standing.notice.holder == draft.registry.owner() {
        sent(draft, standing);
    } else {
        received(draft, standing);
    }
    let (received, accepted, rejected) = standing.restock;
    let void = standing.state.is_void() && standing.amounts.left().is_zero();
    let mut after = draft.registry.missions[&id].clone();
    after.owed = standing.owed;
    after.restock_received = after.restock_received.max(received);
    after.restock_accepted = after.restock_accepted.max(accepted);
    after.restock_rejected = after.restock_rejected.max(rejected);
    after.ended |= void && after.dispatched.is_zero();
    after.cancel_requested |= standing.recalled || standing.state == MissionState::Cancelling;
    if draft.registry.missions[&id] != after {
        draft.push(E::MissionRecorded { mission: id, state: Box::new(after) });
    }
}

/// Moves what the books show. What they do not show exists all the same, for it moved: it counts as used here in ignorance,
/// or else as received unnoticed, and is noted for whoever counts.
fn draw(draft: &mut Draft, lot: LotId, from: &[Account], to: Account, qty: Qty) {
    let missing = draft.shift_from(lot, from, to, qty, DOCUMENT);
    let mut elsewhere = vec![Account::Consumed];
    if draft.registry.lots.get(&lot).is_some_and(|lot| lot.details.holding.is_unit()) {
        // There is one of it: wherever an older word has it, it is there no more.
        elsewhere.extend(draft.registry.accounts(lot).map(|(account, _)| account));
        elsewhere.retain(|account| *account != to && *account != Account::Source);
    }
    let unnoticed = draft.shift_from(lot, &elsewhere, to, missing, DOCUMENT);
    draft.shift(lot, Account::Source, to, unnoticed, DOCUMENT);
    draft.shortfall(Some(lot), qty, missing, "adoption");
}

fn hear(draft: &mut Draft, mission: MissionId, step: Step) {
    let happened_at = draft.at;
    inbox::hear(draft, &Fact { mission, step, happened_at });
}

/// A mission out of this registry: what left and came back by its own word, what was used by the other side's.
fn sent(draft: &mut Draft, standing: &MissionStanding) {
    let (id, lot) = (standing.notice.mission, standing.notice.lot);
    let (a, known) = (&standing.amounts, draft.registry.missions[&id].clone());
    let out = [Account::OnLoan(id), Account::InTransit(id)];
    let more = a.dispatched.saturating_sub(known.dispatched);
    let from = [Account::Held(id), Account::Pledged(standing.notice.pledge), Account::Local];
    draw(draft, lot, &from, Account::InTransit(id), more);
    // What two parties agreed on later is booked as it was then: out of LOCAL, as far as it goes.
    let corrected = a.left().saturating_sub(known.dispatched + more);
    let missing = draft.shift_from(lot, &[Account::Local], Account::OnLoan(id), corrected, DOCUMENT);
    draft.shortfall(Some(lot), corrected, missing, "adoption");
    note(draft, id, |mission| mission.dispatched += more + corrected);
    if a.received() > known.received_good + known.received_damaged {
        hear(draft, id, Step::Received { good: a.received_good, damaged: a.received_damaged });
    }
    if a.usage != known.usage {
        hear(draft, id, Step::Used(a.usage));
    }
    if a.lost_in_transit > known.lost_in_transit {
        inbox::lost_in_transit(draft, id, a.lost_in_transit);
    }
    let good = a.returned_good.saturating_sub(known.returned_good);
    let damaged = a.returned_damaged.saturating_sub(known.returned_damaged);
    let turned = a.turned_back.saturating_sub(known.turned_back);
    for (to, qty) in [(Account::Local, good), (Account::Repair, damaged), (Account::Local, turned)] {
        let missing = draft.shift_from(lot, &out, to, qty, DOCUMENT);
        draft.shortfall(Some(lot), qty, missing, "adoption");
    }
    note(draft, id, |mission| {
        mission.returned_good += good;
        mission.returned_damaged += damaged;
        mission.turned_back += turned;
        mission.return_sent = mission.return_sent.max(a.return_sent);
    });
}

/// A mission to this registry: what arrived, was used and went back by its own word, what left there by the other side's.
fn received(draft: &mut Draft, standing: &MissionStanding) {
    let (id, a) = (standing.notice.mission, &standing.amounts);
    let known = draft.registry.missions[&id].clone();
    let lot = id.custody_lot();
    let here = [Account::Local, Account::Repair];
    let good = a.received_good.saturating_sub(known.received_good);
    let damaged = a.received_damaged.saturating_sub(known.received_damaged);
    if !(good + damaged).is_zero() {
        let store = some_store(draft);
        open_custody(draft, &known, store);
        draft.shift(lot, Account::Source, Account::Local, good, DOCUMENT);
        draft.shift(lot, Account::Source, Account::Repair, damaged, DOCUMENT);
    }
    let back = a.return_sent.saturating_sub(known.return_sent);
    let more = |now: Qty, before: Qty| now.saturating_sub(before);
    for (to, qty) in [
        (Account::Consumed, more(a.usage.consumed, known.usage.consumed)),
        (Account::Scrapped, more(a.usage.damaged, known.usage.damaged)),
        (Account::Lost, more(a.usage.lost, known.usage.lost)),
        (Account::InTransit(id), back),
    ] {
        let missing = draft.shift_from(lot, &here, to, qty, DOCUMENT);
        draft.shortfall(Some(lot), qty, missing, "adoption");
    }
    note(draft, id, |mission| {
        mission.received_good += good;
        mission.received_damaged += damaged;
        mission.usage.consumed = mission.usage.consumed.max(a.usage.consumed);
        mission.usage.damaged = mission.usage.damaged.max(a.usage.damaged);
        mission.usage.lost = mission.usage.lost.max(a.usage.lost);
        mission.return_sent += back;
        mission.dispatched = mission.dispatched.max(a.left());
        mission.turned_back = mission.turned_back.max(a.turned_back);
    });
    if a.returned_good + a.returned_damaged > known.returned_good + known.returned_damaged {
        hear(draft, id, Step::Returned { good: a.returned_good, damaged: a.returned_damaged });
    }
}

/// A note only if it says something: a standing given twice moves nothing.
fn note(draft: &mut Draft, id: MissionId, change: impl FnOnce(&mut RegistryMission)) {
    let mut after = draft.registry.missions[&id].clone();
    change(&mut after);
    if after != draft.registry.missions[&id] {
        draft.push(E::MissionRecorded { mission: id, state: Box::new(after) });
    }
}

/// What a pledge has to hold comes to stand where the region has it: set aside, overdrawn, or free for holds.
fn escrow(draft: &mut Draft, region: RegionId, standing: &EscrowStanding) -> Result<(), Refusal> {
    let id = standing.pledge;
    let known = draft.pledge(id)?.clone();
    let lot = known.made.lot;
    let gone = standing.deficit + standing.unheard;
    let short = known.short.max(gone.saturating_sub(standing.total));
    let due = (standing.total + short).saturating_sub(gone);
    if (short, standing.closed) != (known.short, known.closed) {
        let state = RegistryPledge { short, closed: standing.closed, ..known };
        draft.push(E::PledgeRecorded { pledge: id, state: Box::new(state) });
    }
    let (pledged, overdrawn) = (Account::Pledged(id), Account::Overdrawn(id));
    for mission in missions_of(draft, id) {
        if !standing.promised.iter().any(|promised| promised.mission == mission) {
            shift_whole(draft, lot, Account::Held(mission), pledged);
        }
    }
    let used = draft.registry.balance(lot, overdrawn);
    let wanted = used.max(standing.overdrawn).min(due);
    draft.shift(lot, overdrawn, Account::Consumed, used.saturating_sub(wanted), DOCUMENT);
    draw(draft, lot, &[pledged, Account::Local], overdrawn, wanted.saturating_sub(used));
    level(draft, id, lot, due);
    standing.promised.iter().try_for_each(|promised| set_aside(draft, region, (id, lot), *promised))
}

fn shift_whole(draft: &mut Draft, lot: LotId, from: Account, to: Account) {
    let qty = draft.registry.balance(lot, from);
    draft.shift(lot, from, to, qty, DOCUMENT);
}

/// The missions whose goods are set aside out of a pledge.
fn missions_of(draft: &Draft, pledge: PledgeId) -> Vec<MissionId> {
    let Some(lot) = draft.registry.pledges.get(&pledge).map(|known| known.made.lot) else { return Vec::new() };
    let held = draft.registry.accounts(lot).filter_map(|(account, _)| match account {
        Account::Held(mission) => Some(mission),
        _ => None,
    });
    let of = |mission: &MissionId| draft.registry.missions.get(mission).is_some_and(|m| m.notice.pledge == pledge);
    held.filter(of).collect()
}

/// All that stands under a pledge: free, set aside, overdrawn.
fn standing_under(draft: &Draft, pledge: PledgeId, lot: LotId) -> Qty {
    let held = missions_of(draft, pledge).into_iter().map(Account::Held);
    let accounts = held.chain([Account::Pledged(pledge), Account::Overdrawn(pledge)]);
    accounts.map(|account| draft.registry.balance(lot, account)).sum()
}

/// As much stands under the pledge as is due: the rest goes back to LOCAL, what is missing is overdrawn.
fn level(draft: &mut Draft, pledge: PledgeId, lot: LotId, due: Qty) {
    let (free, local) = (Account::Pledged(pledge), Account::Local);
    let mut from = vec![free];
    from.extend(missions_of(draft, pledge).into_iter().map(Account::Held));
    let stands = standing_under(draft, pledge, lot);
    draft.shift_from(lot, &from, local, stands.saturating_sub(due), DOCUMENT);
    let missing = draft.shift_from(lot, &[local], free, due.saturating_sub(stands), DOCUMENT);
    draw(draft, lot, &[], Account::Overdrawn(pledge), missing);
}

/// What was ordered is set aside, as far as the pledge has it; the region hears of it if it has not yet.
fn set_aside(
    draft: &mut Draft,
    region: RegionId,
    (pledge, lot): (PledgeId, LotId),
    promised: Promised,
) -> Result<(), Refusal> {
    let (id, free) = (promised.mission, Account::Pledged(pledge));
    let Some(known) = draft.registry.missions.get(&id).cloned() else { return Ok(()) };
    let held = Account::Held(id);
    if known.ended || !known.dispatched.is_zero() {
        // Cancelled, revoked or gone by the own books: the region is about to hear it.
        shift_whole(draft, lot, held, free);
        return Ok(());
    }
    let has = draft.registry.balance(lot, held);
    draft.shift(lot, held, free, has.saturating_sub(promised.qty), DOCUMENT);
    draft.shift_from(lot, &[free], held, promised.qty.saturating_sub(has), DOCUMENT);
    let qty = draft.registry.balance(lot, held);
    note(draft, id, |mission| {
        mission.committed = qty;
        mission.ended = !promised.committed && qty.is_zero();
    });
    let committed = UpMessage::Committed { mission: id, qty };
    let outbox = draft.registry.outbox.range((region, 0)..=(region, u64::MAX));
    let last = outbox
        .map(|(_, message)| message)
        .rfind(|m| matches!(m, UpMessage::Committed { mission, .. } if *mission == id));
    if promised.committed || last == Some(&committed) {
        return Ok(());
    }
    draft.send(region, committed)
}

/// The books say what the region has on record: the channel begins anew, with what the region has not heard.
pub(super) fn conclude(draft: &mut Draft, region: RegionId, conclusion: &Conclusion) -> Result<(), Refusal> {
    check_adopting(draft, region)?;
    let unheard: BTreeSet<u64> = conclusion.unheard.iter().copied().collect();
    let outbox = draft.registry.outbox.range((region, 0)..=(region, u64::MAX));
    let again: Vec<UpMessage> = outbox
        .filter(|((_, number), _)| unheard.contains(number) || *number > conclusion.considered)
        .map(|(_, message)| message.clone())
        .filter(|message| still_meant(draft, message))
        .collect();
    check_books(draft, region, conclusion, &again)?;
    let (incarnation, down) = (conclusion.incarnation, conclusion.down);
    draft.push(E::Adopted { region, incarnation, down });
    for (kind, year, count) in &conclusion.numbers {
        let (kind, year, count) = (*kind, *year, *count);
        if draft.registry.numbers.get(&(kind, year)).is_none_or(|known| *known < count) {
            let number = kind.write(&draft.registry.head.genesis.short, year, count);
            draft.push(E::NumberAllocated { kind, year, count, number });
        }
    }
    for (pledge, _, overdrawn) in &conclusion.pledges {
        let lot = draft.pledge(*pledge)?.made.lot;
        let qty = draft.registry.balance(lot, Account::Overdrawn(*pledge)).saturating_sub(*overdrawn);
        if !qty.is_zero() {
            let reason =
                "restored from a backup: not in the books, to be counted / 由备份恢复，账上不足，待盘点".to_owned();
            draft.send(region, UpMessage::Overdrawn { pledge: *pledge, qty, reason })?;
        }
    }
    again.into_iter().try_for_each(|message| draft.send(region, message))
}

/// Whether a message that the region has not heard is still to be said. What is overdrawn is told by the books; a promise
/// that was taken back because the region was left is none.
fn still_meant(draft: &Draft, message: &UpMessage) -> bool {
    match message {
        UpMessage::Overdrawn { .. } | UpMessage::OverdraftCovered { .. } => false,
        UpMessage::Pledge(made) => draft.registry.pledges.get(&made.pledge).is_none_or(|known| !known.closed),
        _ => true,
    }
}

/// Nothing is concluded unless both books agree, pledge by pledge, once what is on its way has arrived.
fn check_books(draft: &Draft, region: RegionId, conclusion: &Conclusion, again: &[UpMessage]) -> Result<(), Refusal> {
    let mut due: BTreeMap<PledgeId, i128> = conclusion.pledges.iter().map(|(id, due, _)| (*id, *due)).collect();
    for message in again {
        match message {
            UpMessage::Pledge(made) => *due.entry(made.pledge).or_default() += i128::from(made.qty.0),
            UpMessage::Fact(Fact { mission, step: Step::Dispatched { qty, .. }, .. }) => {
                if let Some(known) = draft.registry.missions.get(mission) {
                    *due.entry(known.notice.pledge).or_default() -= i128::from(qty.0);
                }
            }
            _ => {}
        }
    }
    for (id, known) in draft.registry.pledges.iter().filter(|(_, known)| known.region == region) {
        let stands = i128::from(standing_under(draft, *id, known.made.lot).0) - i128::from(known.short.0);
        if due.remove(id).unwrap_or_default() != stands {
            return Err(disagree(*id));
        }
    }
    due.into_iter().find(|(_, due)| *due != 0).map_or(Ok(()), |(id, _)| Err(disagree(id)))
}

/// Somebody moved goods meanwhile: the courier looks again.
fn disagree(pledge: PledgeId) -> Refusal {
    let (state, step) = (format!("{pledge}: not as the region has it"), "conclude an adoption".to_owned());
    Refusal::WrongState { kind: "pledge".to_owned(), state, step }
}
