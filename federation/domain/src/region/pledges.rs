//! Pledges: one kind of escrow. The registry has moved the quantity out of LOCAL before it says so here.

use super::draft::{Draft, check_text};
use super::event::RegionEvent;
use super::lifecycle::MissionState;
use super::missions;
use crate::channel::{DownMessage, PledgeMade};
use crate::ids::{MunicipalityCode, PledgeId};
use crate::machine::Context;
use crate::quantity::Qty;
use crate::refusal::Refusal;

/// A pledge arrives. It is escrow that has already left LOCAL, so it is never refused: what the region cannot take it
/// books and gives back in the same step, and the holder's books stay whole.
pub(super) fn take(draft: &mut Draft, context: &Context<'_>, made: &PledgeMade) -> Result<(), Refusal> {
    let holder = context.actor.municipality;
    if draft.region.pledges.contains_key(&made.pledge) {
        // The registry names each pledge once; a second one is a forked registry, and its escrow is not ours to judge.
        return Err(Refusal::exists("pledge", made.pledge));
    }
    draft.push(RegionEvent::Pledged { holder, pledge: made.clone() });
    let unwanted = draft.party(context).is_err()
        || made.expires_at <= draft.at
        || made.for_line.is_some_and(|(request, line)| {
            draft.region.requests.get(&request).is_none_or(|request| {
                request.made.exercise != made.exercise || request.line(line).is_none_or(|(_, line)| line.end.is_some())
            })
        });
    if unwanted {
        close(draft, made.pledge, made.expires_at <= draft.at);
    }
    Ok(())
}

/// The owner asks for a part back: it gets what is free, at once.
pub(super) fn withdraw(draft: &mut Draft, context: &Context<'_>, id: PledgeId, qty: Qty) -> Result<(), Refusal> {
    let pledge = draft.pledge(id)?;
    check_holder(pledge.holder, context, "withdraw a pledge")?;
    let free = pledge.free();
    if free.is_zero() {
        return Err(Refusal::NotEnough { wanted: qty, free, place: "pledge".to_owned() });
    }
    if qty >= pledge.total {
        close(draft, id, false);
    } else {
        release(draft, id, qty.min(free));
    }
    Ok(())
}

/// Break-glass: a fact. What is free goes first, then the newest hold without a signature; what is ordered or committed
/// the owner covers or revokes, and until then everybody sees the shortfall.
pub(super) fn overdraw(
    draft: &mut Draft,
    context: &Context<'_>,
    id: PledgeId,
    qty: Qty,
    reason: &str,
) -> Result<(), Refusal> {
    check_holder(draft.pledge(id)?.holder, context, "overdraw a pledge")?;
    draft.push(RegionEvent::PledgeOverdrawn { pledge: id, qty, reason: reason.to_owned() });
    displace(draft, id);
    Ok(())
}

/// The owner put back what it overdrew.
pub(super) fn cover(draft: &mut Draft, context: &Context<'_>, id: PledgeId, qty: Qty) -> Result<(), Refusal> {
    check_holder(draft.pledge(id)?.holder, context, "cover an overdraft")?;
    draft.push(RegionEvent::OverdraftCovered { pledge: id, qty });
    settle(draft, id);
    Ok(())
}

/// Takes unsigned holds back, newest first, until what is held is deliverable.
pub(super) fn displace(draft: &mut Draft, id: PledgeId) {
    while let Some(pledge) = draft.region.pledges.get(&id) {
        if pledge.held + pledge.overdrawn + pledge.deficit <= pledge.total {
            return;
        }
        let missions = draft.region.missions.iter();
        let newest = missions
            .filter(|(_, mission)| mission.notice.pledge == id && mission.state == MissionState::Held)
            .max_by_key(|(_, mission)| mission.sequence)
            .map(|(mission, _)| *mission);
        let Some(mission) = newest else { return };
        missions::end_hold(draft, mission, MissionState::HoldReleased);
    }
}

/// No more holds from this pledge; what is free goes back now, the rest when it becomes free.
pub(super) fn close(draft: &mut Draft, id: PledgeId, expired: bool) {
    if draft.region.pledges.get(&id).is_some_and(|pledge| !pledge.closing) {
        draft.push(RegionEvent::PledgeClosing { pledge: id, expired });
    }
    settle(draft, id);
}

/// After something became free: takes a deficit off it, and gives a closing pledge's free part back to its holder.
pub(super) fn settle(draft: &mut Draft, id: PledgeId) {
    if let Some(qty) = draft.region.pledges.get(&id).map(super::state::Pledge::absorbable)
        && !qty.is_zero()
    {
        draft.push(RegionEvent::DeficitAbsorbed { pledge: id, qty });
    }
    if let Some(pledge) = draft.region.pledges.get(&id)
        && pledge.closing
        && !pledge.unheld().is_zero()
    {
        release(draft, id, pledge.unheld());
    }
}

fn release(draft: &mut Draft, id: PledgeId, qty: Qty) {
    let Some(pledge) = draft.region.pledges.get(&id) else { return };
    let holder = pledge.holder;
    draft.push(RegionEvent::PledgeReleased { pledge: id, qty });
    let closed = draft.region.pledges.get(&id).is_some_and(|pledge| pledge.closing && pledge.total.is_zero());
    draft.send(holder, DownMessage::Released { pledge: id, qty, closed });
}

fn check_holder(holder: MunicipalityCode, context: &Context<'_>, action: &str) -> Result<(), Refusal> {
    if holder == context.actor.municipality {
        Ok(())
    } else {
        Err(Refusal::not_yours(context.actor.municipality, action))
    }
}

/// A reason that people wrote down.
pub(super) fn check_reason(reason: &str) -> Result<(), Refusal> {
    check_text("reason", reason, 500)
}
