//! Facts: they happened, and the record takes them, late and out of order if need be. Nothing here refuses; what
//! contradicts the record opens a discrepancy that people close.

use super::draft::Draft;
use super::event::RegionEvent;
use super::lifecycle::MissionState;
use super::state::{DiscrepancyKind, Mission};
use super::{discrepancies, obligations, pledges};
use crate::channel::{DownMessage, Fact, Step};
use crate::ids::{MissionId, MunicipalityCode};
use crate::machine::Context;
use crate::quantity::Qty;

/// Takes a fact from the side that speaks.
pub(super) fn take(draft: &mut Draft, context: &Context<'_>, fact: &Fact) {
    let by = context.actor.municipality;
    let Some(mission) = draft.region.missions.get(&fact.mission).cloned() else {
        discrepancies::set(draft, (fact.mission, DiscrepancyKind::UnknownMission), Qty::ONE, by);
        return;
    };
    if !is_of_side(&mission, &fact.step, by) {
        // Somebody else's word about a step that is not his to report is kept as a contradiction, and moves nothing.
        discrepancies::set(draft, (fact.mission, DiscrepancyKind::NotItsWord), Qty::ONE, by);
        return;
    }
    if is_repetition(&mission, &fact.step) {
        return;
    }
    if falls(&mission, &fact.step) {
        discrepancies::set(draft, (fact.mission, DiscrepancyKind::TotalFell), Qty::ONE, by);
        return;
    }
    match &fact.step {
        Step::Dispatched { qty, .. } => depart(draft, &mission, *qty, by),
        // What arrives must have left, although the record had the mission ended.
        Step::Received { good, damaged } if mission.state.is_void() => {
            discrepancies::set(draft, (fact.mission, DiscrepancyKind::DispatchedAfterEnd), *good + *damaged, by);
        }
        _ => {}
    }
    draft.push(RegionEvent::FactRecorded { by, fact: fact.clone() });
    tell_the_other_side(draft, &mission, fact, by);
    weigh(draft, fact.mission, by);
}

/// Only the holder dispatches and takes back; only the receiver receives and uses (domain.md §6.6).
fn is_of_side(mission: &Mission, step: &Step, by: MunicipalityCode) -> bool {
    match step {
        Step::Picked
        | Step::Dispatched { .. }
        | Step::HandedOver { .. }
        | Step::Returned { .. }
        | Step::TurnedBack { .. } => by == mission.notice.holder,
        Step::Received { .. } | Step::Used(_) | Step::ReturnSent { .. } => by == mission.notice.requester,
        Step::OnSite | Step::Demobilised | Step::SafetyWithdrawal { .. } => {
            by == mission.notice.requester || by == mission.notice.holder
        }
    }
}

/// The same step with the same totals is the same fact.
fn is_repetition(mission: &Mission, step: &Step) -> bool {
    let a = &mission.amounts;
    match step {
        Step::Dispatched { qty, .. } => a.dispatched == *qty,
        Step::HandedOver { qty } => a.handed_over == Some(*qty),
        Step::Received { good, damaged } => {
            a.received() != Qty::ZERO && (a.received_good, a.received_damaged) == (*good, *damaged)
        }
        Step::Used(usage) => a.usage == *usage,
        Step::ReturnSent { total } => a.return_sent == *total,
        Step::Returned { good, damaged } => (a.returned_good, a.returned_damaged) == (*good, *damaged),
        Step::TurnedBack { qty } => a.turned_back == *qty,
        Step::Picked | Step::OnSite | Step::Demobilised | Step::SafetyWithdrawal { .. } => false,
    }
}

/// Totals to date only grow; a dispatch happens once.
fn falls(mission: &Mission, step: &Step) -> bool {
    let a = &mission.amounts;
    match step {
        Step::Dispatched { .. } => !a.dispatched.is_zero(),
        Step::Received { good, damaged } => *good + *damaged < a.received(),
        Step::Used(usage) => {
            usage.consumed < a.usage.consumed || usage.damaged < a.usage.damaged || usage.lost < a.usage.lost
        }
        Step::ReturnSent { total } => *total < a.return_sent,
        Step::Returned { good, damaged } => *good < a.returned_good || *damaged < a.returned_damaged,
        Step::TurnedBack { qty } => *qty < a.turned_back,
        _ => false,
    }
}

/// Goods left. They leave the pledge, whatever the record thought of the mission; what is then missing for others is
/// taken from the newest unsigned hold.
fn depart(draft: &mut Draft, mission: &Mission, qty: Qty, by: MunicipalityCode) {
    let id = mission.notice.mission;
    if mission.state.is_void() {
        discrepancies::set(draft, (id, DiscrepancyKind::DispatchedAfterEnd), qty, by);
    } else if mission.stages.committed.is_none() {
        discrepancies::set(draft, (id, DiscrepancyKind::DispatchedUncommitted), qty, by);
    }
    if qty > mission.notice.qty {
        let more = qty.saturating_sub(mission.notice.qty);
        discrepancies::set(draft, (id, DiscrepancyKind::DispatchedTooMuch), more, by);
    }
    if mission.relayed.is_some_and(|relayed| relayed != qty) {
        discrepancies::set(draft, (id, DiscrepancyKind::RelayDiffers), qty, by);
    }
    if mission.reserving {
        draft.push(RegionEvent::ReservationEnded { mission: id });
    }
    draft.push(RegionEvent::PledgeDeparted { pledge: mission.notice.pledge, qty });
    pledges::displace(draft, mission.notice.pledge);
    pledges::settle(draft, mission.notice.pledge);
}

/// Each side's registry keeps its own books; it hears what the other side did.
fn tell_the_other_side(draft: &mut Draft, mission: &Mission, fact: &Fact, by: MunicipalityCode) {
    let (holder, requester) = (mission.notice.holder, mission.notice.requester);
    let to = match &fact.step {
        Step::Dispatched { .. } | Step::Returned { .. } | Step::TurnedBack { .. } => requester,
        // Either side may say it; the other one hears it.
        Step::Demobilised | Step::SafetyWithdrawal { .. } if by == holder => requester,
        Step::Demobilised
        | Step::SafetyWithdrawal { .. }
        | Step::Received { .. }
        | Step::Used(_)
        | Step::ReturnSent { .. } => holder,
        Step::Picked | Step::HandedOver { .. } | Step::OnSite => return,
    };
    draft.send(to, DownMessage::Fact(fact.clone()));
}

/// Looks at the whole of what is now known about a mission: contradictions, debts, and whether it is over.
pub(super) fn weigh(draft: &mut Draft, id: MissionId, by: MunicipalityCode) {
    let Some(mission) = draft.region.missions.get(&id).cloned() else { return };
    let a = &mission.amounts;
    let arrived = a.received() != Qty::ZERO;
    // Received ahead of the dispatch is no contradiction yet: the owner's word is still on its way.
    let left = if a.dispatched.is_zero() { mission.notice.qty } else { a.left() };
    let gone = a.received() + a.turned_back + a.lost_in_transit;
    let short = if arrived && !a.dispatched.is_zero() { left.saturating_sub(gone) } else { Qty::ZERO };
    let over = (a.received() + a.turned_back).saturating_sub(left);
    let signed_apart = match a.handed_over {
        Some(handed) if arrived => handed.saturating_sub(a.received()) + a.received().saturating_sub(handed),
        _ => Qty::ZERO,
    };
    let over_accounted = a.accounted().saturating_sub(a.left().max(a.received()));
    for (kind, qty) in [
        (DiscrepancyKind::DeliveryShort, short),
        (DiscrepancyKind::DeliveryOver, over),
        (DiscrepancyKind::DeliveryDamaged, a.received_damaged),
        (DiscrepancyKind::SignaturesDiffer, signed_apart),
        (DiscrepancyKind::ReturnDamaged, a.returned_damaged),
        (DiscrepancyKind::OverAccounted, over_accounted),
    ] {
        discrepancies::set(draft, (id, kind), qty, by);
    }
    obligations::weigh_goods(draft, id);
    finish(draft, id);
}

/// Accounted: everything that left is back, used up or lost. Turned back: nothing of it was ever delivered. An agreed
/// correction of what left opens a mission again.
fn finish(draft: &mut Draft, id: MissionId) {
    let Some(mission) = draft.region.missions.get(&id) else { return };
    let a = &mission.amounts;
    let to = match (a.outstanding().is_zero(), mission.state) {
        (true, state) if a.left().is_zero() || state.is_over() => return,
        (true, _) if a.turned_back == a.left() => MissionState::TurnedBack,
        (true, _) => MissionState::Accounted,
        (false, MissionState::Accounted | MissionState::TurnedBack) => MissionState::Delivered,
        (false, _) => return,
    };
    draft.push(RegionEvent::MissionMoved { mission: id, to });
}
