//! Obligations (补偿义务): who owes whom, until the owner has verified what came back (谁使用、谁投资、谁补库).

use super::command::RegionCommand;
use super::draft::{Draft, check_text};
use super::event::RegionEvent;
use super::lifecycle::{OBLIGATION, ObligationState, row};
use super::state::{DebtKind, Obligation, ObligationKey};
use crate::actor::Actor;
use crate::channel::DownMessage;
use crate::charter::Basis;
use crate::ids::{MissionId, MunicipalityCode};
use crate::machine::Context;
use crate::quantity::{Fen, Qty};
use crate::refusal::Refusal;
use crate::resource::StockClass;

/// Keeps the debt for goods in step with what is known: one obligation per mission, however many reports made it.
pub(super) fn weigh_goods(draft: &mut Draft, id: MissionId) {
    let Some(mission) = draft.region.missions.get(&id) else { return };
    // Whole teams and vehicles are not consumed; their service is claimed in money. And nobody owes himself for his own
    // goods out of another's keeping.
    if mission.notice.resource.is_unit() || mission.notice.owner == mission.notice.requester {
        return;
    }
    let qty = mission.amounts.usage.total() + mission.amounts.charged;
    let price = draft.region.pledges.get(&mission.notice.pledge).map_or(Fen(0), |pledge| pledge.made.unit_price);
    let key = (id, DebtKind::Goods);
    match draft.region.obligations.get(&key) {
        None if qty.is_zero() => return,
        None => open(draft, key, qty, price.times(qty)),
        Some(known) if known.qty == qty => return,
        Some(known) => {
            // What was paid, given or settled covered less: the rest is owed again.
            let step = if known.is_gift() { "reopen the gift" } else { "reopen" };
            let reopened = row(OBLIGATION, known.state, step).map(|row| row.to);
            draft.push(RegionEvent::ObligationChanged { key, qty, amount: price.times(qty) });
            if let Some(to) = reopened {
                draft.push(RegionEvent::ObligationMoved { key, to });
            }
        }
    }
    tell(draft, key);
}

fn open(draft: &mut Draft, key: ObligationKey, qty: Qty, amount: Fen) {
    let Some(mission) = draft.region.missions.get(&key.0) else { return };
    let class = draft.region.pledges.get(&mission.notice.pledge).map(|pledge| pledge.made.class);
    let basis = match class {
        Some(StockClass::Charity) => Basis::Charity,
        Some(StockClass::EnterpriseContracted) => Basis::ContractPrice,
        _ => draft.region.head.charter.rules.basis,
    };
    let (owner, holder, debtor) = (mission.notice.owner, mission.notice.holder, mission.notice.requester);
    let obligation = Obligation {
        state: ObligationState::Open,
        debtor,
        // What an owner gets out of its own depot it does not owe for; the service is its keeper's.
        creditor: if owner == debtor { holder } else { owner },
        holder,
        basis,
        qty,
        amount,
        received: Qty::ZERO,
        accepted: Qty::ZERO,
        rejected: Qty::ZERO,
        cleared: Qty::ZERO,
        in_money: false,
        claimed_by: None,
        evidence: String::new(),
        recognised_by: None,
        paid_by: None,
        dispute: None,
        opened_at: draft.at,
        settled_at: None,
    };
    draft.push(RegionEvent::ObligationOpened { key, obligation: Box::new(obligation) });
}

/// Both registries hear what is owed now.
fn tell(draft: &mut Draft, key: ObligationKey) {
    let Some(debt) = draft.region.obligations.get(&key) else { return };
    let (holder, debtor, creditor, qty) = (debt.holder, debt.debtor, debt.creditor, debt.qty);
    let owed = DownMessage::Owed { mission: key.0, debtor, creditor, qty };
    draft.send(holder, owed.clone());
    draft.send(debtor, owed);
}

pub(super) fn decide(draft: &mut Draft, context: &Context<'_>, command: &RegionCommand) -> Result<(), Refusal> {
    match command {
        RegionCommand::Claim { mission, kind, amount, evidence } => {
            claim(draft, context, (*mission, *kind), *amount, evidence)
        }
        RegionCommand::Recognise { mission, kind, basis, in_money } => {
            recognise(draft, context, (*mission, *kind), *basis, *in_money)
        }
        RegionCommand::Dispute { mission, kind, reason } => {
            let key = (*mission, *kind);
            check_debtor(draft, context, key)?;
            check_step(draft, key, "dispute")?;
            check_text("reason", reason, 500)?;
            let by = context.actor.clone();
            draft.push(RegionEvent::ObligationDisputed { key, reason: reason.clone(), by });
            Ok(())
        }
        RegionCommand::ReportPayment { mission, kind, evidence } => {
            let key = (*mission, *kind);
            check_debtor(draft, context, key)?;
            check_step(draft, key, "report payment")?;
            check_text("evidence", evidence, 200)?;
            if !debt(draft, key)?.in_money {
                return Err(Refusal::Mismatch { wanted: "restock".to_owned(), given: "money".to_owned() });
            }
            let by = context.actor.clone();
            draft.push(RegionEvent::PaymentReported { key, evidence: evidence.clone(), by });
            Ok(())
        }
        RegionCommand::ConfirmPayment { mission, kind, received } => {
            let key = (*mission, *kind);
            check_creditor(draft, context, key)?;
            let step = match (*received, debt(draft, key)?.is_gift()) {
                (true, _) => "confirm payment",
                (false, true) => "deny the gift",
                (false, false) => "reject payment",
            };
            let to = check_step(draft, key, step)?;
            draft.push(RegionEvent::ObligationMoved { key, to });
            Ok(())
        }
        other => Err(Refusal::Malformed { detail: format!("{} is not about an obligation", other.name()) }),
    }
}

fn claim(
    draft: &mut Draft,
    context: &Context<'_>,
    key: ObligationKey,
    amount: Fen,
    evidence: &str,
) -> Result<(), Refusal> {
    check_text("evidence", evidence, 200)?;
    if key.1 != DebtKind::Goods && !draft.region.obligations.contains_key(&key) {
        let notice = &draft.mission(key.0)?.notice;
        check_one_of(context, &[notice.owner, notice.holder], "claim")?;
        if amount.0 <= 0 {
            return Err(Refusal::field("amount", "more than zero fen"));
        }
        open(draft, key, Qty::ZERO, amount);
    }
    check_creditor(draft, context, key)?;
    check_step(draft, key, "claim")?;
    if key.1 != DebtKind::Goods && amount.0 != 0 {
        claim_anew(draft, key, amount)?;
    }
    let by = context.actor.clone();
    draft.push(RegionEvent::ObligationClaimed { key, evidence: evidence.to_owned(), by });
    Ok(())
}

/// After a dispute the creditor may claim another amount.
fn claim_anew(draft: &mut Draft, key: ObligationKey, amount: Fen) -> Result<(), Refusal> {
    if amount.0 < 0 {
        return Err(Refusal::field("amount", "more than zero fen"));
    }
    let known = debt(draft, key)?;
    if known.amount != amount {
        let qty = known.qty;
        draft.push(RegionEvent::ObligationChanged { key, qty, amount });
    }
    Ok(())
}

fn recognise(
    draft: &mut Draft,
    context: &Context<'_>,
    key: ObligationKey,
    basis: Basis,
    in_money: bool,
) -> Result<(), Refusal> {
    check_debtor(draft, context, key)?;
    check_step(draft, key, "recognise")?;
    let in_money = in_money || key.1 != DebtKind::Goods;
    let by = context.actor.clone();
    draft.push(RegionEvent::ObligationRecognised { key, basis, in_money, by });
    if debt(draft, key)?.is_gift() {
        // Nobody forgives his own debt: that it was given without return is the creditor's to confirm.
        draft.push(RegionEvent::ObligationMoved { key, to: ObligationState::Paid });
    } else {
        settle_if_verified(draft, key);
    }
    Ok(())
}

/// Restock arrived: a fact of the holder's store.
pub(super) fn restock_received(draft: &mut Draft, context: &Context<'_>, mission: MissionId, total: Qty) {
    let key = (mission, DebtKind::Goods);
    if is_holder(draft, context, key) && debt(draft, key).is_ok_and(|debt| debt.received < total) {
        draft.push(RegionEvent::RestockReceived { key, total });
    }
}

/// The owner verified it: a fact of the holder's store. Everything accepted settles the debt.
pub(super) fn restock_verified(
    draft: &mut Draft,
    context: &Context<'_>,
    mission: MissionId,
    accepted: Qty,
    rejected: Qty,
) {
    let key = (mission, DebtKind::Goods);
    let grows = |debt: &Obligation| debt.accepted < accepted || debt.rejected < rejected;
    if is_holder(draft, context, key) && debt(draft, key).is_ok_and(grows) {
        draft.push(RegionEvent::RestockVerified { key, accepted, rejected });
        settle_if_verified(draft, key);
    }
}

fn settle_if_verified(draft: &mut Draft, key: ObligationKey) {
    let verified = debt(draft, key).is_ok_and(|debt| {
        key.1 == DebtKind::Goods
            && !debt.in_money
            && debt.qty_open().is_zero()
            && row(OBLIGATION, debt.state, "verify").is_some()
    });
    if verified {
        draft.push(RegionEvent::ObligationMoved { key, to: ObligationState::Settled });
    }
}

fn is_holder(draft: &Draft, context: &Context<'_>, key: ObligationKey) -> bool {
    debt(draft, key).is_ok_and(|debt| debt.holder == context.actor.municipality)
}

fn debt(draft: &Draft, key: ObligationKey) -> Result<&Obligation, Refusal> {
    draft.region.obligations.get(&key).ok_or_else(|| Refusal::not_found("obligation", format!("{} {:?}", key.0, key.1)))
}

/// Where the step leads from where the debt stands.
fn check_step(draft: &Draft, key: ObligationKey, step: &str) -> Result<ObligationState, Refusal> {
    let state = debt(draft, key)?.state;
    row(OBLIGATION, state, step).map(|row| row.to).ok_or_else(|| Refusal::WrongState {
        kind: "obligation".to_owned(),
        state: state.slug().to_owned(),
        step: step.to_owned(),
    })
}

fn check_debtor(draft: &Draft, context: &Context<'_>, key: ObligationKey) -> Result<(), Refusal> {
    check_one_of(context, &[debt(draft, key)?.debtor], "act for the debtor")
}

fn check_creditor(draft: &Draft, context: &Context<'_>, key: ObligationKey) -> Result<(), Refusal> {
    let known = debt(draft, key)?;
    check_one_of(context, &[known.creditor, known.holder], "act for the creditor")
}

fn check_one_of(context: &Context<'_>, who: &[MunicipalityCode], action: &str) -> Result<(), Refusal> {
    let actor: &Actor = context.actor;
    if who.contains(&actor.municipality) { Ok(()) } else { Err(Refusal::not_yours(actor.municipality, action)) }
}
