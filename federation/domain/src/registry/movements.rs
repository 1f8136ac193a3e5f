//! The holder's side of a mission: from the commitment it has seen to the goods it takes back.

use super::command::{Ahead, RegistryCommand as C};
use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::state::{Account, RegistryMission};
use crate::channel::{Step, UpMessage};
use crate::ids::MissionId;
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::region::draft::{check_qty, check_text};
use crate::time::Timestamp;

pub(super) fn decide(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    match command {
        C::Revoke { mission, reason } => revoke(draft, *mission, reason),
        C::AcknowledgeCancel { mission } => acknowledge_cancel(draft, *mission),
        C::Pick { mission } => {
            check_can_leave(draft, *mission, "pick")?;
            draft.send_fact(*mission, Step::Picked, draft.at)
        }
        C::Dispatch { mission, qty, seal, happened_at, emergency } => {
            dispatch(draft, *mission, (*qty, seal, *happened_at), emergency.as_deref())
        }
        C::HandOver { mission, qty, happened_at } => {
            check_qty(*qty)?;
            let known = holder_side(draft, *mission)?;
            if *qty > known.dispatched {
                let free = known.dispatched;
                return Err(Refusal::NotEnough { wanted: *qty, free, place: "IN_TRANSIT 在途".to_owned() });
            }
            draft.note(*mission, |mission| mission.handed_over = *qty);
            draft.send_fact(*mission, Step::HandedOver { qty: *qty }, *happened_at)
        }
        C::TurnBack { mission, qty, happened_at } => {
            let (lot, known) = (holder_side(draft, *mission)?.notice.lot, draft.mission(*mission)?.turned_back);
            let more = grown(*qty, known)?;
            draft.shift_all(lot, Account::InTransit(*mission), Account::Local, more, "turned back")?;
            draft.note(*mission, |mission| mission.turned_back = *qty);
            draft.send_fact(*mission, Step::TurnedBack { qty: *qty }, *happened_at)
        }
        C::TakeBack { mission, good, damaged, happened_at } => {
            take_back(draft, *mission, (*good, *damaged), *happened_at)
        }
        other => Err(Refusal::Malformed { detail: format!("{} moves nothing", other.name()) }),
    }
}

/// How much a total to date has grown; it never falls.
pub(super) fn grown(now: Qty, before: Qty) -> Result<Qty, Refusal> {
    now.checked_sub(before).ok_or(Refusal::NotEnough { wanted: now, free: before, place: "total to date".to_owned() })
}

fn holder_side(draft: &Draft, id: MissionId) -> Result<&RegistryMission, Refusal> {
    let mission = draft.mission(id)?;
    let owner = draft.registry.owner();
    if mission.notice.holder == owner { Ok(mission) } else { Err(Refusal::not_yours(owner, "act for the holder")) }
}

/// Committed here, not cancelled, not gone.
fn check_can_leave(draft: &Draft, id: MissionId, step: &str) -> Result<(), Refusal> {
    let mission = holder_side(draft, id)?;
    let state = if !mission.dispatched.is_zero() {
        "dispatched"
    } else if mission.ended {
        "ended"
    } else if mission.cancel_requested {
        "cancelling"
    } else if mission.committed.is_zero() {
        "not committed here"
    } else {
        return Ok(());
    };
    Err(Refusal::WrongState { kind: "mission".to_owned(), state: state.to_owned(), step: step.to_owned() })
}

fn revoke(draft: &mut Draft, id: MissionId, reason: &str) -> Result<(), Refusal> {
    check_text("reason", reason, 500)?;
    let known = holder_side(draft, id)?.clone();
    if known.ended || !known.dispatched.is_zero() {
        let state = if known.ended { "ended" } else { "dispatched" }.to_owned();
        return Err(Refusal::WrongState { kind: "mission".to_owned(), state, step: "revoke".to_owned() });
    }
    put_back(draft, &known, "revoked");
    draft.note(id, |mission| mission.ended = true);
    draft.send(known.region, UpMessage::Revoke { mission: id, reason: reason.to_owned() })
}

fn acknowledge_cancel(draft: &mut Draft, id: MissionId) -> Result<(), Refusal> {
    let known = holder_side(draft, id)?.clone();
    if !known.cancel_requested || known.ended || !known.dispatched.is_zero() {
        let state = if known.dispatched.is_zero() { "not cancelling" } else { "dispatched" }.to_owned();
        let step = "acknowledge the cancellation".to_owned();
        return Err(Refusal::WrongState { kind: "mission".to_owned(), state, step });
    }
    put_back(draft, &known, "cancelled");
    draft.note(id, |mission| mission.ended = true);
    draft.send(known.region, UpMessage::CancelAcknowledged { mission: id })
}

/// What was set aside is again part of the pledge, until the region releases it.
fn put_back(draft: &mut Draft, mission: &RegistryMission, document: &str) {
    let (id, lot) = (mission.notice.mission, mission.notice.lot);
    let held = draft.registry.balance(lot, Account::Held(id));
    draft.shift(lot, Account::Held(id), Account::Pledged(mission.notice.pledge), held, document);
}

/// It left. Normally out of what was set aside; in emergency out of the pledge, with what was said on the telephone.
fn dispatch(
    draft: &mut Draft,
    id: MissionId,
    (qty, seal, happened_at): (Qty, &str, Timestamp),
    emergency: Option<&Ahead>,
) -> Result<(), Refusal> {
    check_qty(qty)?;
    check_text("seal", seal, 100)?;
    if let Some(ahead) = emergency {
        check_text("reason", &ahead.reason, 500)?;
        learn_ahead(draft, id, ahead)?;
        let known = holder_side(draft, id)?;
        if !known.dispatched.is_zero() {
            let state = "dispatched".to_owned();
            return Err(Refusal::WrongState { kind: "mission".to_owned(), state, step: "dispatch".to_owned() });
        }
    } else {
        check_can_leave(draft, id, "dispatch")?;
    }
    let notice = holder_side(draft, id)?.notice.clone();
    let (held, pledged) = (Account::Held(id), Account::Pledged(notice.pledge));
    let mut free = draft.registry.balance(notice.lot, held);
    if emergency.is_some() {
        free += draft.registry.balance(notice.lot, pledged);
    }
    if qty > free {
        return Err(Refusal::NotEnough { wanted: qty, free, place: "HELD 待发".to_owned() });
    }
    draft.shift_from(notice.lot, &[held, pledged], Account::InTransit(id), qty, seal);
    // What was set aside and did not leave is part of the pledge again: the line reopens for it.
    let rest = draft.registry.balance(notice.lot, held);
    draft.shift(notice.lot, held, pledged, rest, "not dispatched");
    draft.note(id, |mission| {
        mission.dispatched = qty;
        mission.ended = false;
    });
    draft.send_fact(id, Step::Dispatched { qty, seal: seal.to_owned() }, happened_at)
}

/// Books a mission that was told by telephone before the region's message came.
pub(super) fn learn_ahead(draft: &mut Draft, id: MissionId, ahead: &Ahead) -> Result<(), Refusal> {
    if ahead.notice.mission != id || ahead.spoken_code != id.spoken_code() {
        return Err(Refusal::field("spoken_code", "the eight digits of this mission"));
    }
    if draft.registry.missions.contains_key(&id) {
        return Ok(());
    }
    if !draft.registry.channels.contains_key(&ahead.region) {
        return Err(Refusal::not_found("region", ahead.region.short()));
    }
    let owner = draft.registry.owner();
    if ahead.notice.holder == owner {
        let pledge = draft.pledge(ahead.notice.pledge)?;
        if pledge.made.lot != ahead.notice.lot || pledge.region != ahead.region {
            return Err(Refusal::field("notice", "lot and pledge belong together"));
        }
    } else if ahead.notice.requester != owner {
        return Err(Refusal::not_yours(owner, "take part in this mission"));
    }
    let state = RegistryMission::new(ahead.region, ahead.notice.clone(), true);
    draft.push(E::MissionRecorded { mission: id, state: Box::new(state) });
    Ok(())
}

fn take_back(
    draft: &mut Draft,
    id: MissionId,
    (good, damaged): (Qty, Qty),
    happened_at: Timestamp,
) -> Result<(), Refusal> {
    let known = holder_side(draft, id)?.clone();
    let more_good = grown(good, known.returned_good)?;
    let more_damaged = grown(damaged, known.returned_damaged)?;
    let lot = known.notice.lot;
    let out = [Account::OnLoan(id), Account::InTransit(id)];
    let free: Qty = out.iter().map(|account| draft.registry.balance(lot, *account)).sum();
    if more_good + more_damaged > free {
        let wanted = more_good + more_damaged;
        return Err(Refusal::NotEnough { wanted, free, place: "ON_LOAN 借出".to_owned() });
    }
    draft.shift_from(lot, &out, Account::Local, more_good, "taken back");
    draft.shift_from(lot, &out, Account::Repair, more_damaged, "taken back damaged");
    draft.note(id, |mission| (mission.returned_good, mission.returned_damaged) = (good, damaged));
    draft.send_fact(id, Step::Returned { good, damaged }, happened_at)
}
