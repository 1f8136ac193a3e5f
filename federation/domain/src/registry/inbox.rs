//! The downward channel. The registry accepts only n + 1 and moves cursor and effect in one step; it never refuses an
//! inbox item, it records a shortfall.

use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::state::{Account, RegistryMission};
use crate::channel::{DownMessage, Fact, MissionNotice, Step, UpMessage, Usage};
use crate::ids::{MissionId, PledgeId, RegionId};
use crate::quantity::Qty;
use crate::refusal::Refusal;

pub(super) fn take(draft: &mut Draft, region: RegionId, number: u64, message: &DownMessage) -> Result<(), Refusal> {
    let channel = draft.registry.channels.get(&region).ok_or_else(|| Refusal::not_found("region", region.short()))?;
    if channel.adopting.is_some() {
        return Err(Refusal::Restoring { region: region.short() });
    }
    let next = channel.down + u64::from(!(planted!(DoubledDelivery) && number == channel.down));
    if number < next {
        return Ok(());
    }
    if number != next {
        return Err(Refusal::ChannelGap { expected: next, got: number });
    }
    draft.push(E::InboxTaken { region, number, message: Box::new(message.clone()) });
    match message {
        DownMessage::Outcome { number, .. } => draft.push(E::Answered { region, number: *number }),
        DownMessage::Released { pledge, qty, closed } => released(draft, *pledge, *qty, *closed),
        DownMessage::Ordered(notice) => ordered(draft, region, notice)?,
        DownMessage::Inbound(notice) => learn(draft, region, notice),
        DownMessage::CancelRequested { mission, .. } => draft.note(*mission, |mission| mission.cancel_requested = true),
        DownMessage::Ended { mission, .. } => draft.note(*mission, |mission| mission.ended = true),
        DownMessage::Fact(fact) => hear(draft, fact),
        DownMessage::LostInTransit { mission, total } => lost_in_transit(draft, *mission, *total),
        DownMessage::DispatchCorrected { mission, more } => dispatch_corrected(draft, *mission, *more),
        DownMessage::Owed { mission, qty, .. } => draft.note(*mission, |mission| mission.owed = *qty),
    }
    Ok(())
}

/// PLEDGED → LOCAL. What left in emergency while the release was on its way is missing here and in the region alike.
fn released(draft: &mut Draft, pledge: PledgeId, qty: Qty, closed: bool) {
    let Some(lot) = draft.registry.pledges.get(&pledge).map(|known| known.made.lot) else {
        draft.shortfall(None, qty, qty, "release of an unknown pledge");
        return;
    };
    let missing = draft.shift_from(lot, &[Account::Pledged(pledge)], Account::Local, qty, "released");
    draft.shortfall(Some(lot), qty, missing, "release");
    draft.note_pledge(pledge, |known| {
        known.short += missing;
        known.closed = closed;
    });
}

pub(super) fn learn(draft: &mut Draft, region: RegionId, notice: &MissionNotice) {
    let mut state = RegistryMission::new(region, notice.clone(), false);
    if let Some(known) = draft.registry.missions.get(&notice.mission) {
        state = RegistryMission { notice: notice.clone(), ahead: false, ..known.clone() };
    }
    draft.push(E::MissionRecorded { mission: notice.mission, state: Box::new(state) });
}

/// The registry sees its own commitment: PLEDGED → HELD, and says so.
fn ordered(draft: &mut Draft, region: RegionId, notice: &MissionNotice) -> Result<(), Refusal> {
    learn(draft, region, notice);
    let (id, lot) = (notice.mission, notice.lot);
    if draft.registry.missions.get(&id).is_some_and(|mission| !mission.dispatched.is_zero()) {
        // It left in emergency before the order came; the dispatch has spoken for itself.
        return Ok(());
    }
    let missing = draft.shift_from(lot, &[Account::Pledged(notice.pledge)], Account::Held(id), notice.qty, "committed");
    draft.shortfall(Some(lot), notice.qty, missing, "order");
    let qty = notice.qty.saturating_sub(missing);
    draft.note(id, |mission| {
        mission.committed = qty;
        mission.ended = qty.is_zero();
    });
    draft.send(region, UpMessage::Committed { mission: id, qty })
}

/// The other side's facts, for the books of this side.
pub(super) fn hear(draft: &mut Draft, fact: &Fact) {
    let id = fact.mission;
    let Some(known) = draft.registry.missions.get(&id).cloned() else {
        draft.shortfall(None, Qty::ONE, Qty::ONE, "fact of an unknown mission");
        return;
    };
    let lot = known.notice.lot;
    match &fact.step {
        Step::Received { good, damaged } => {
            let more = (*good + *damaged).saturating_sub(known.received_good + known.received_damaged);
            let missing = draft.shift_from(lot, &[Account::InTransit(id)], Account::OnLoan(id), more, "delivered");
            let gone = known.returned_good + known.returned_damaged + known.usage.total();
            draft.shortfall(Some(lot), more, missing.saturating_sub(gone), "delivery");
            draft.note(id, |mission| (mission.received_good, mission.received_damaged) = (*good, *damaged));
        }
        Step::Used(usage) => used(draft, &known, *usage),
        Step::ReturnSent { total } => draft.note(id, |mission| mission.return_sent = *total),
        Step::Demobilised | Step::SafetyWithdrawal { .. } => draft.note(id, |mission| mission.demobilised = true),
        Step::Dispatched { qty, .. } => draft.note(id, |mission| mission.dispatched = *qty),
        Step::TurnedBack { qty } => draft.note(id, |mission| mission.turned_back = *qty),
        Step::Returned { good, damaged } => {
            let more = (*good + *damaged).saturating_sub(known.returned_good + known.returned_damaged);
            let from = [Account::InTransit(id), Account::Local, Account::Repair];
            let lot = id.custody_lot();
            let missing = draft.shift_from(lot, &from, Account::Returned, more, "returned");
            draft.shortfall(Some(lot), more, missing, "return");
            draft.note(id, |mission| (mission.returned_good, mission.returned_damaged) = (*good, *damaged));
        }
        Step::Picked | Step::HandedOver { .. } | Step::OnSite => {}
    }
}

/// ON_LOAN → CONSUMED, SCRAPPED, LOST in the holder's books.
fn used(draft: &mut Draft, known: &RegistryMission, usage: Usage) {
    let (id, lot) = (known.notice.mission, known.notice.lot);
    let out = [Account::OnLoan(id), Account::InTransit(id)];
    for (now, before, to) in [
        (usage.consumed, known.usage.consumed, Account::Consumed),
        (usage.damaged, known.usage.damaged, Account::Scrapped),
        (usage.lost, known.usage.lost, Account::Lost),
    ] {
        let more = now.saturating_sub(before);
        let missing = draft.shift_from(lot, &out, to, more, "used by the requester");
        draft.shortfall(Some(lot), more, missing, "usage");
    }
    draft.note(id, |mission| mission.usage = usage);
}

pub(super) fn lost_in_transit(draft: &mut Draft, id: MissionId, total: Qty) {
    let Some(known) = draft.registry.missions.get(&id).cloned() else { return };
    let more = total.saturating_sub(known.lost_in_transit);
    let lot = known.notice.lot;
    let missing =
        draft.shift_from(lot, &[Account::InTransit(id), Account::OnLoan(id)], Account::Lost, more, "lost in transit");
    draft.shortfall(Some(lot), more, missing, "loss in transit");
    draft.note(id, |mission| mission.lost_in_transit = total);
}

fn dispatch_corrected(draft: &mut Draft, id: MissionId, more: Qty) {
    let Some(lot) = draft.registry.missions.get(&id).map(|mission| mission.notice.lot) else { return };
    let missing = draft.shift_from(lot, &[Account::Local], Account::OnLoan(id), more, "dispatch corrected");
    draft.shortfall(Some(lot), more, missing, "dispatch correction");
    draft.note(id, |mission| mission.dispatched += more);
}
