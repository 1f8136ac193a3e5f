//! Missions up to departure: the intentions. A hold is a mission in its first state.

use super::command::RegionCommand;
use super::draft::{Draft, check_qty, check_text};
use super::event::RegionEvent;
use super::lifecycle::{MISSION, MissionState, row};
use super::pledges::{self, check_reason};
use super::state::{Amounts, Mission, Pledge, Request, Stages};
use crate::channel::{DownMessage, MissionNotice};
use crate::ids::{LineNumber, MissionId, MunicipalityCode, PledgeId, RequestId};
use crate::machine::Context;
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::time::{HOUR_MS, MINUTE_MS};

/// Most missions of one line.
pub const MISSIONS_PER_LINE_MAX: usize = 1000;

pub(super) fn decide(draft: &mut Draft, context: &Context<'_>, command: &RegionCommand) -> Result<(), Refusal> {
    match command {
        RegionCommand::Hold { mission, request, line, pledge, qty, minutes } => {
            hold(draft, context, *mission, (*request, *line), *pledge, (*qty, *minutes))
        }
        RegionCommand::ReleaseHold { mission } => {
            check_requester_or_hub(draft, context, *mission, "release a hold")?;
            check_step(draft, *mission, "release")?;
            end_hold(draft, *mission, MissionState::HoldReleased);
            Ok(())
        }
        RegionCommand::Order { mission, number, spoken } => order(draft, context, *mission, number, *spoken),
        RegionCommand::ConfirmPaper { mission } => confirm_paper(draft, context, *mission),
        RegionCommand::CancelMission { mission, reason } => cancel(draft, context, *mission, reason),
        RegionCommand::RelayDispatch { mission, spoken_code, qty } => {
            relay(draft, context, *mission, spoken_code, *qty)
        }
        other => Err(Refusal::Malformed { detail: format!("{} is not about a mission", other.name()) }),
    }
}

/// What a line still lacks: asked, less what its missions promise or have delivered.
pub(super) fn open_qty(draft: &Draft, id: RequestId, number: LineNumber) -> Option<Qty> {
    let (asked, line) = draft.region.requests.get(&id)?.line(number)?;
    let promised = line.missions.iter().filter_map(|id| draft.region.missions.get(id)).map(Mission::counts_for_line);
    Some(asked.qty.saturating_sub(promised.sum()))
}

/// Takes from a pledge for a line, at once and in log order: two coordinators can never promise the same mask.
fn hold(
    draft: &mut Draft,
    context: &Context<'_>,
    id: MissionId,
    of: (RequestId, LineNumber),
    pledge_id: PledgeId,
    (qty, minutes): (Qty, u32),
) -> Result<(), Refusal> {
    check_qty(qty)?;
    let limit = draft.region.head.charter.rules.hold_minutes_max;
    if !(1..=limit).contains(&minutes) {
        return Err(Refusal::field("minutes", &format!("1 to {limit} (the charter's rule)")));
    }
    if draft.region.missions.contains_key(&id) {
        return Err(Refusal::exists("mission", id));
    }
    check_line_takes_holds(draft, context, of)?;
    check_pledge_fits(draft, of, pledge_id, qty)?;
    let open = open_qty(draft, of.0, of.1).unwrap_or_default();
    if qty > open {
        return Err(Refusal::MoreThanRequested { wanted: qty, open });
    }
    let mission = Mission {
        state: MissionState::Held,
        notice: notice(draft.request(of.0)?, draft.pledge(pledge_id)?, id, of.1, qty),
        sequence: draft.region.head.holds + 1,
        hold_until: draft.at.plus_ms(i64::from(minutes) * MINUTE_MS),
        held_by: context.actor.clone(),
        ordered_by: None,
        reserving: true,
        paper_due: None,
        relayed: None,
        recalled: false,
        amounts: Amounts::default(),
        stages: Stages { held: Some(draft.at), ..Stages::default() },
    };
    draft.push(RegionEvent::MissionHeld { mission: Box::new(mission) });
    Ok(())
}

/// The hub may hold for any request, a requester for its own; the line must still take holds.
fn check_line_takes_holds(
    draft: &Draft,
    context: &Context<'_>,
    (request_id, line_number): (RequestId, LineNumber),
) -> Result<(), Refusal> {
    let request = draft.request(request_id)?;
    if request.requester != context.actor.municipality && !draft.is_hub(context) {
        return Err(Refusal::not_yours(context.actor.municipality, "hold for another's request"));
    }
    draft.party(context)?;
    let (_, line) = request.line(line_number).ok_or_else(|| Refusal::not_found("line", line_number))?;
    if let Some(end) = &line.end {
        let state = format!("{end:?}");
        return Err(Refusal::WrongState { kind: "line".to_owned(), state, step: "hold".to_owned() });
    }
    if line.missions.len() >= MISSIONS_PER_LINE_MAX {
        let limit = MISSIONS_PER_LINE_MAX as u64;
        return Err(Refusal::LimitReached { what: "missions of a line".to_owned(), limit });
    }
    Ok(())
}

/// The pledge is of what is asked, for this line or for any, in force, and has that much free.
fn check_pledge_fits(
    draft: &Draft,
    (request_id, line_number): (RequestId, LineNumber),
    pledge_id: PledgeId,
    qty: Qty,
) -> Result<(), Refusal> {
    let (request, pledge) = (draft.request(request_id)?, draft.pledge(pledge_id)?);
    let (asked, _) = request.line(line_number).ok_or_else(|| Refusal::not_found("line", line_number))?;
    if pledge.made.exercise != request.made.exercise {
        return Err(Refusal::ExerciseMixed);
    }
    if pledge.holder == request.requester {
        return Err(Refusal::not_yours(pledge.holder, "lend to itself"));
    }
    if pledge.made.resource != asked.resource {
        let (wanted, given) = (asked.resource.to_string(), pledge.made.resource.to_string());
        return Err(Refusal::Mismatch { wanted, given });
    }
    if pledge.made.for_line.is_some_and(|for_line| for_line != (request_id, line_number)) {
        return Err(Refusal::Mismatch { wanted: "the line it is offered to".to_owned(), given: "another".to_owned() });
    }
    if pledge.closing || pledge.made.expires_at <= draft.at {
        return Err(Refusal::TooLate { due: pledge.made.expires_at });
    }
    if qty > pledge.free() && !planted!(HoldUnchecked) {
        return Err(Refusal::NotEnough { wanted: qty, free: pledge.free(), place: "pledge".to_owned() });
    }
    Ok(())
}

/// What both ends will be told.
fn notice(request: &Request, pledge: &Pledge, mission: MissionId, line: LineNumber, qty: Qty) -> MissionNotice {
    MissionNotice {
        mission,
        number: String::new(),
        request: request.made.request,
        line,
        pledge: pledge.made.pledge,
        lot: pledge.made.lot,
        owner: pledge.made.owner,
        holder: pledge.holder,
        requester: request.requester,
        resource: pledge.made.resource.clone(),
        name: pledge.made.name.clone(),
        unit: pledge.made.unit.clone(),
        qty,
        place: request.made.place.clone(),
        needed_by: request.made.needed_by,
        exercise: request.made.exercise,
    }
}

/// Ends a hold that nobody signed: the quantity is free again.
pub(super) fn end_hold(draft: &mut Draft, id: MissionId, to: MissionState) {
    draft.push(RegionEvent::MissionMoved { mission: id, to });
    end_reservation(draft, id);
}

/// Gives back what a mission still reserves of its pledge.
pub(super) fn end_reservation(draft: &mut Draft, id: MissionId) {
    let Some(mission) = draft.region.missions.get(&id) else { return };
    if mission.reserving {
        let pledge = mission.notice.pledge;
        draft.push(RegionEvent::ReservationEnded { mission: id });
        pledges::settle(draft, pledge);
    }
}

/// The requester's leader signs.
fn order(draft: &mut Draft, context: &Context<'_>, id: MissionId, number: &str, spoken: bool) -> Result<(), Refusal> {
    let mission = draft.mission(id)?;
    if mission.notice.requester != context.actor.municipality {
        return Err(Refusal::not_yours(context.actor.municipality, "sign for the requester"));
    }
    check_step(draft, id, "order")?;
    check_text("number", number, 64)?;
    if mission.held_by.is_same_person(context.actor) {
        return Err(Refusal::SamePerson { step: "order".to_owned() });
    }
    let hours = i64::from(draft.region.head.charter.rules.paper_hours);
    let paper_due = spoken.then(|| draft.at.plus_ms(hours * HOUR_MS));
    let by = context.actor.clone();
    draft.push(RegionEvent::MissionOrdered { mission: id, number: number.to_owned(), by, paper_due });
    let notice = draft.mission(id)?.notice.clone();
    draft.send(notice.holder, DownMessage::Ordered(notice.clone()));
    draft.send(notice.requester, DownMessage::Inbound(notice));
    Ok(())
}

fn confirm_paper(draft: &mut Draft, context: &Context<'_>, id: MissionId) -> Result<(), Refusal> {
    let mission = draft.mission(id)?;
    if mission.notice.requester != context.actor.municipality {
        return Err(Refusal::not_yours(context.actor.municipality, "confirm for the requester"));
    }
    if mission.paper_due.is_none() {
        let state = "none owed".to_owned();
        return Err(Refusal::WrongState { kind: "paper".to_owned(), state, step: "confirm".to_owned() });
    }
    if mission.ordered_by.as_ref().is_some_and(|by| by.is_same_person(context.actor)) {
        return Err(Refusal::SamePerson { step: "confirm the paper".to_owned() });
    }
    draft.push(RegionEvent::PaperConfirmed { mission: id, by: context.actor.clone() });
    Ok(())
}

/// The owner's registry has set goods aside. A fact: what it could not set aside is a shortfall, and the line reopens.
pub(super) fn committed(draft: &mut Draft, context: &Context<'_>, id: MissionId, qty: Qty) -> Result<(), Refusal> {
    check_holder(draft, context, id, "commit")?;
    let mission = draft.mission(id)?;
    let promised = mission.notice.qty;
    if !qty.is_zero() && mission.stages.committed.is_none() {
        draft.push(RegionEvent::CommitmentSeen { mission: id });
    }
    let mission = draft.mission(id)?;
    match mission.state {
        // Nothing could be set aside: the owner has nothing to send and nothing to acknowledge.
        MissionState::Ordered | MissionState::Cancelling if qty.is_zero() => {
            draft.push(RegionEvent::MissionMoved { mission: id, to: MissionState::Revoked });
        }
        MissionState::Ordered => {
            draft.push(RegionEvent::MissionMoved { mission: id, to: MissionState::Committed });
        }
        _ => {}
    }
    if draft.mission(id)?.reserving && qty < promised {
        reduce(draft, id, qty);
    }
    Ok(())
}

/// A mission promises less than before; what it reserved beyond that is free again.
pub(super) fn reduce(draft: &mut Draft, id: MissionId, to: Qty) {
    let Some(mission) = draft.region.missions.get(&id) else { return };
    let (pledge, requester) = (mission.notice.pledge, mission.notice.requester);
    draft.push(RegionEvent::MissionReduced { mission: id, to });
    if to.is_zero() {
        end_reservation(draft, id);
        draft.send(requester, DownMessage::Ended { mission: id, reason: "shortfall".to_owned() });
    }
    pledges::settle(draft, pledge);
}

/// Cancelling takes effect only when the owner says that nothing left; after departure it is a request to return.
fn cancel(draft: &mut Draft, context: &Context<'_>, id: MissionId, reason: &str) -> Result<(), Refusal> {
    check_requester_or_hub(draft, context, id, "cancel a mission")?;
    check_reason(reason)?;
    let mission = draft.mission(id)?;
    let holder = mission.notice.holder;
    if mission.state == MissionState::Dispatched || mission.state == MissionState::Delivered {
        draft.push(RegionEvent::MissionRecalled { mission: id, reason: reason.to_owned() });
    } else {
        check_step(draft, id, "cancel")?;
        draft.push(RegionEvent::MissionMoved { mission: id, to: MissionState::Cancelling });
    }
    draft.send(holder, DownMessage::CancelRequested { mission: id, reason: reason.to_owned() });
    Ok(())
}

/// The owner says that nothing left: only now is the quantity free again.
pub(super) fn cancel_acknowledged(draft: &mut Draft, context: &Context<'_>, id: MissionId) -> Result<(), Refusal> {
    check_holder(draft, context, id, "acknowledge a cancellation")?;
    if check_step(draft, id, "acknowledge the cancellation").is_ok() {
        end_before_departure(draft, id, MissionState::Cancelled, "cancelled");
    }
    Ok(())
}

/// The owner takes its commitment back before departure; the line reopens by itself.
pub(super) fn revoke(draft: &mut Draft, context: &Context<'_>, id: MissionId, reason: &str) -> Result<(), Refusal> {
    check_holder(draft, context, id, "revoke")?;
    check_reason(reason)?;
    check_step(draft, id, "revoke")?;
    end_before_departure(draft, id, MissionState::Revoked, reason);
    Ok(())
}

fn end_before_departure(draft: &mut Draft, id: MissionId, to: MissionState, reason: &str) {
    draft.push(RegionEvent::MissionMoved { mission: id, to });
    end_reservation(draft, id);
    if let Some(mission) = draft.region.missions.get(&id) {
        let requester = mission.notice.requester;
        draft.send(requester, DownMessage::Ended { mission: id, reason: reason.to_owned() });
    }
}

/// A dispatch heard by telephone. It moves no quantity (the owner's own word will), it only lets everybody see.
fn relay(draft: &mut Draft, context: &Context<'_>, id: MissionId, spoken_code: &str, qty: Qty) -> Result<(), Refusal> {
    check_requester_or_hub(draft, context, id, "relay a dispatch")?;
    check_qty(qty)?;
    if spoken_code != id.spoken_code() {
        return Err(Refusal::field("spoken_code", "the eight digits of this mission"));
    }
    let mission = draft.mission(id)?;
    if mission.amounts.dispatched.is_zero() && mission.relayed != Some(qty) {
        draft.push(RegionEvent::DispatchRelayed { mission: id, qty, by: context.actor.clone() });
    }
    Ok(())
}

pub(super) fn check_step(draft: &Draft, id: MissionId, step: &str) -> Result<(), Refusal> {
    let state = draft.mission(id)?.state;
    row(MISSION, state, step).map(|_| ()).ok_or_else(|| Refusal::WrongState {
        kind: "mission".to_owned(),
        state: state.slug().to_owned(),
        step: step.to_owned(),
    })
}

fn check_holder(draft: &Draft, context: &Context<'_>, id: MissionId, action: &str) -> Result<(), Refusal> {
    check_one_of(context, &[draft.mission(id)?.notice.holder], action)
}

fn check_requester_or_hub(draft: &Draft, context: &Context<'_>, id: MissionId, action: &str) -> Result<(), Refusal> {
    check_one_of(context, &[draft.mission(id)?.notice.requester, draft.region.head.charter.hub], action)
}

fn check_one_of(context: &Context<'_>, who: &[MunicipalityCode], action: &str) -> Result<(), Refusal> {
    let actor = context.actor.municipality;
    if who.contains(&actor) { Ok(()) } else { Err(Refusal::not_yours(actor, action)) }
}

impl Mission {
    /// What this mission takes off its line's need: what it promises, or once it departed what left and did not turn
    /// back undelivered.
    pub fn counts_for_line(&self) -> Qty {
        if self.amounts.dispatched.is_zero() {
            if self.state.is_void() { Qty::ZERO } else { self.notice.qty.max(self.amounts.received()) }
        } else {
            self.amounts.left().saturating_sub(self.amounts.turned_back)
        }
    }
}
