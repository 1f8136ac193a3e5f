//! Discrepancies: what contradicts what, until people on both sides agree.

use super::draft::{Draft, check_text};
use super::event::RegionEvent;
use super::facts;
use super::state::{Discrepancy, DiscrepancyKey, DiscrepancyKind, Finding, Mission};
use crate::channel::DownMessage;
use crate::ids::MunicipalityCode;
use crate::machine::Context;
use crate::quantity::Qty;
use crate::refusal::Refusal;

/// Brings a discrepancy to `qty`: opens it, changes it, or lets a later fact resolve it. One that people have closed
/// opens again only when the quantity goes beyond what they closed.
pub(super) fn set(draft: &mut Draft, key: DiscrepancyKey, qty: Qty, by: MunicipalityCode) {
    match draft.region.discrepancies.get(&key) {
        None if qty.is_zero() => {}
        None => draft.push(RegionEvent::DiscrepancyOpened { discrepancy: key, qty, by }),
        Some(known) if known.qty == qty => {}
        Some(known) if known.finding.is_some() && qty < known.qty => {}
        Some(_) => draft.push(RegionEvent::DiscrepancyChanged { discrepancy: key, qty }),
    }
}

/// One of the two sides proposes who bears it.
pub(super) fn propose(
    draft: &mut Draft,
    context: &Context<'_>,
    key: DiscrepancyKey,
    finding: &Finding,
) -> Result<(), Refusal> {
    check_open(draft, key)?;
    check_text("note", &finding.note, 500)?;
    let discrepancy = &draft.region.discrepancies[&key];
    if finding.charge_requester > discrepancy.qty || (!key.1.needs_finding() && !finding.charge_requester.is_zero()) {
        return Err(Refusal::field("charge_requester", "not more than the discrepancy is about"));
    }
    if finding.charge_requester < settled_before(discrepancy, key.1) {
        return Err(Refusal::field("charge_requester", "not less than what was agreed before"));
    }
    sides(draft, key, context)?;
    let by = context.actor.clone();
    draft.push(RegionEvent::FindingProposed { discrepancy: key, finding: finding.clone(), by });
    Ok(())
}

/// The other side agrees with the proposal as it stands.
pub(super) fn accept(
    draft: &mut Draft,
    context: &Context<'_>,
    key: DiscrepancyKey,
    finding: &Finding,
) -> Result<(), Refusal> {
    check_open(draft, key)?;
    let discrepancy = &draft.region.discrepancies[&key];
    let Some((proposed, by)) = &discrepancy.proposed else {
        return Err(Refusal::not_found("proposal", format!("{key:?}")));
    };
    if proposed != finding {
        return Err(Refusal::Mismatch { wanted: format!("{proposed:?}"), given: format!("{finding:?}") });
    }
    if by.municipality == context.actor.municipality {
        return Err(Refusal::not_yours(by.municipality, "agree with its own proposal"));
    }
    let (qty, before) = (discrepancy.qty, settled_before(discrepancy, key.1));
    let mission = sides(draft, key, context)?;
    if mission.as_ref().is_some_and(|mission| mission.amounts.dispatched.is_zero())
        && matches!(key.1, DiscrepancyKind::DeliveryShort | DiscrepancyKind::DeliveryOver)
    {
        // Until the owner's own word about what left is on record, there is nothing to agree about.
        return Err(Refusal::StillOpen { what: "the owner's word about the dispatch".to_owned() });
    }
    let by = context.actor.clone();
    draft.push(RegionEvent::DiscrepancyClosed { discrepancy: key, finding: finding.clone(), by });
    if let Some(mission) = mission {
        let charge = finding.charge_requester.saturating_sub(before);
        apply(draft, &mission, key.1, qty, charge);
        facts::weigh(draft, key.0, context.actor.municipality);
    }
    Ok(())
}

/// What earlier findings have charged of a quantity that the next one counts again.
fn settled_before(discrepancy: &Discrepancy, kind: DiscrepancyKind) -> Qty {
    if kind.is_total() { discrepancy.charged } else { Qty::ZERO }
}

/// What the two sides agreed on takes effect in the quantities, and in both registries.
fn apply(draft: &mut Draft, mission: &Mission, kind: DiscrepancyKind, qty: Qty, charge: Qty) {
    let (id, holder) = (mission.notice.mission, mission.notice.holder);
    match kind {
        DiscrepancyKind::DeliveryShort => {
            draft.push(RegionEvent::LostInTransit { mission: id, qty });
            let total = mission.amounts.lost_in_transit + qty;
            draft.send(holder, DownMessage::LostInTransit { mission: id, total });
        }
        DiscrepancyKind::DeliveryOver => {
            draft.push(RegionEvent::DispatchCorrected { mission: id, more: qty });
            draft.send(holder, DownMessage::DispatchCorrected { mission: id, more: qty });
        }
        _ => {}
    }
    if kind.needs_finding() && kind != DiscrepancyKind::DeliveryOver && !charge.is_zero() {
        draft.push(RegionEvent::Charged { mission: id, qty: charge });
    }
}

fn check_open(draft: &Draft, key: DiscrepancyKey) -> Result<(), Refusal> {
    let found = draft.region.discrepancies.get(&key);
    let discrepancy = found.ok_or_else(|| Refusal::not_found("discrepancy", format!("{} {:?}", key.0, key.1)))?;
    if discrepancy.closed_at.is_none() {
        return Ok(());
    }
    Err(Refusal::WrongState { kind: "discrepancy".to_owned(), state: "closed".to_owned(), step: "settle".to_owned() })
}

/// The mission, if the actor is one of its two sides. A fact about an unknown mission is settled between who reported
/// it and the hub.
fn sides(draft: &Draft, key: DiscrepancyKey, context: &Context<'_>) -> Result<Option<Mission>, Refusal> {
    let actor = context.actor.municipality;
    let mission = draft.region.missions.get(&key.0).cloned();
    let parties = match &mission {
        Some(mission) => [mission.notice.requester, mission.notice.holder],
        None => [draft.region.discrepancies[&key].reported_by, draft.region.head.charter.hub],
    };
    if parties.contains(&actor) {
        Ok(mission)
    } else {
        Err(Refusal::not_yours(actor, "settle a discrepancy of others"))
    }
}
