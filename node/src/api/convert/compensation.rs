//! Debts, discrepancies, and what every pair of members owes each other.

use std::collections::BTreeMap;

use shouwang_domain::charter::Basis;
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::ObligationState;
use shouwang_domain::region::state::{
    DebtKind, Discrepancy, DiscrepancyKey, DiscrepancyKind, Finding, Obligation, ObligationKey,
};
use shouwang_proto::v1;

use super::words::{actor, enumeration, resource, time};
use super::{plain_responses, region_requests};
use crate::api::fields::{Named as _, Parsing};

enumeration! {
    /// An obligation state's word on the wire.
    obligation_state, read_obligation_state: ObligationState = v1::ObligationState {
        Open <=> Open,
        Claimed <=> Claimed,
        Disputed <=> Disputed,
        Recognised <=> Recognised,
        Paid <=> Paid,
        Settled <=> Settled,
    }
}

enumeration! {
    /// A debt kind's word on the wire.
    debt_kind, read_debt_kind: DebtKind = v1::DebtKind {
        Goods <=> Goods, Service <=> Service, Injury <=> Injury, LateReturn <=> LateReturn,
    }
}

enumeration! {
    /// A basis's word on the wire.
    basis, read_basis: Basis = v1::Basis {
        Restock <=> Restock,
        LiableEnterprise <=> LiableEnterprise,
        FreeAid <=> FreeAid,
        Requisition <=> Requisition,
        ContractPrice <=> ContractPrice,
        Charity <=> Charity,
    }
}

enumeration! {
    /// A discrepancy kind's word on the wire.
    discrepancy_kind, read_discrepancy_kind: DiscrepancyKind = v1::DiscrepancyKind {
        DispatchedUncommitted <=> DispatchedUncommitted,
        DispatchedAfterEnd <=> DispatchedAfterEnd,
        DispatchedTooMuch <=> DispatchedTooMuch,
        DeliveryShort <=> DeliveryShort,
        DeliveryOver <=> DeliveryOver,
        DeliveryDamaged <=> DeliveryDamaged,
        SignaturesDiffer <=> SignaturesDiffer,
        ReturnDamaged <=> ReturnDamaged,
        OverAccounted <=> OverAccounted,
        RelayDiffers <=> RelayDiffers,
        TotalFell <=> TotalFell,
        UnknownMission <=> UnknownMission,
        NotItsWord <=> NotItsWord,
    }
}

region_requests! {
    v1::ClaimRequest, |request, p| {
        let (mission, kind) = (p.id("mission", &request.mission), p.chosen("kind", request.kind, read_debt_kind));
        let amount = p.amount("amount_fen", request.amount_fen);
        if kind == Some(DebtKind::Goods) && request.amount_fen != 0 {
            p.violate("amount_fen", "物资按承诺时的单价计，不另报金额", "goods are worth what their pledge says; none is claimed");
        }
        let evidence = p.text("evidence", &request.evidence, 200);
        Some(R::Claim { mission: mission?, kind: kind?, amount: amount?, evidence: evidence? })
    };
    v1::RecogniseRequest, |request, p| {
        let (mission, kind) = (p.id("mission", &request.mission), p.chosen("kind", request.kind, read_debt_kind));
        let basis = p.chosen("basis", request.basis, read_basis);
        Some(R::Recognise { mission: mission?, kind: kind?, basis: basis?, in_money: request.in_money })
    };
    v1::DisputeRequest, |request, p| {
        let (mission, kind) = (p.id("mission", &request.mission), p.chosen("kind", request.kind, read_debt_kind));
        let reason = p.text("reason", &request.reason, 500);
        Some(R::Dispute { mission: mission?, kind: kind?, reason: reason? })
    };
    v1::ReportPaymentRequest, |request, p| {
        let (mission, kind) = (p.id("mission", &request.mission), p.chosen("kind", request.kind, read_debt_kind));
        let evidence = p.text("evidence", &request.evidence, 200);
        Some(R::ReportPayment { mission: mission?, kind: kind?, evidence: evidence? })
    };
    v1::ConfirmPaymentRequest, |request, p| {
        let (mission, kind) = (p.id("mission", &request.mission), p.chosen("kind", request.kind, read_debt_kind));
        Some(R::ConfirmPayment { mission: mission?, kind: kind?, received: request.received })
    };
    v1::ProposeFindingRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let kind = p.chosen("kind", request.kind, read_discrepancy_kind);
        let finding = read_finding(p, request.finding.as_ref());
        Some(R::ProposeFinding { discrepancy: (mission?, kind?), finding: finding? })
    };
    v1::AcceptFindingRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let kind = p.chosen("kind", request.kind, read_discrepancy_kind);
        let finding = read_finding(p, request.finding.as_ref());
        Some(R::AcceptFinding { discrepancy: (mission?, kind?), finding: finding? })
    };
}

plain_responses! {
    ClaimResponse, RecogniseResponse, DisputeResponse, ReportPaymentResponse, ConfirmPaymentResponse,
    ProposeFindingResponse, AcceptFindingResponse,
}

fn read_finding(p: &mut Parsing<'_>, finding: Option<&v1::Finding>) -> Option<Finding> {
    let Some(finding) = finding else {
        p.violate("finding", "必填", "required");
        return None;
    };
    let charge_requester = p.total("finding.charge_requester", finding.charge_requester);
    let note = p.text("finding.note", &finding.note, 500);
    Some(Finding { charge_requester: charge_requester?, note: note? })
}

/// The word of a kind in resource names.
fn slug(kind: &impl serde::Serialize) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(slug)) => slug,
        // The kinds are plain enumerations, which serialise as their names.
        _ => String::new(),
    }
}

/// A debt, with what its mission was about.
pub fn obligation(region: &Region, (mission, kind): ObligationKey, debt: &Obligation) -> v1::Obligation {
    let notice = region.mission(mission).map(|known| &known.notice);
    v1::Obligation {
        name: format!("obligations/{mission}/{}", slug(&kind)),
        mission: mission.name(),
        number: notice.map(|notice| notice.number.clone()).unwrap_or_default(),
        kind: debt_kind(kind).into(),
        state: obligation_state(debt.state).into(),
        debtor: debt.debtor.to_string(),
        creditor: debt.creditor.to_string(),
        holder: debt.holder.to_string(),
        basis: basis(debt.basis).into(),
        resource: notice.map(|notice| resource(&notice.resource)),
        title: notice.map(|notice| notice.name.clone()).unwrap_or_default(),
        unit: notice.map(|notice| notice.unit.clone()).unwrap_or_default(),
        quantity: debt.qty.0,
        quantity_open: debt.qty_open().0,
        amount_fen: debt.amount.0,
        received: debt.received.0,
        accepted: debt.accepted.0,
        rejected: debt.rejected.0,
        in_money: debt.in_money,
        evidence: debt.evidence.clone(),
        dispute: debt.dispute.clone().unwrap_or_default(),
        claimed_by: debt.claimed_by.as_ref().map(actor),
        recognised_by: debt.recognised_by.as_ref().map(actor),
        opened_at: time(debt.opened_at),
        settled_at: debt.settled_at.and_then(time),
        exercise: notice.is_some_and(|notice| notice.exercise),
    }
}

fn finding(finding: &Finding) -> v1::Finding {
    v1::Finding { charge_requester: finding.charge_requester.0, note: finding.note.clone() }
}

/// A contradiction.
pub fn discrepancy(region: &Region, (mission, kind): DiscrepancyKey, discrepancy: &Discrepancy) -> v1::Discrepancy {
    v1::Discrepancy {
        name: format!("discrepancies/{mission}/{}", slug(&kind)),
        mission: mission.name(),
        kind: discrepancy_kind(kind).into(),
        quantity: discrepancy.qty.0,
        reported_by: discrepancy.reported_by.to_string(),
        opened_at: time(discrepancy.opened_at),
        proposed: discrepancy.proposed.as_ref().map(|(proposed, _)| finding(proposed)),
        proposed_by: discrepancy.proposed.as_ref().map(|(_, by)| actor(by)),
        finding: discrepancy.finding.as_ref().map(finding),
        closed_at: discrepancy.closed_at.and_then(time),
        needs_finding: kind.needs_finding(),
        number: region.mission(mission).map(|known| known.notice.number.clone()).unwrap_or_default(),
    }
}

/// What one member owes another, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    open: u32,
    settled: u32,
    quantity_open: Qty,
    amount_open: Fen,
    amount_settled: Fen,
}

/// What every pair of members owes each other, of actual debts or of the exercise's; only pairs with `member`, if given.
pub fn statement(
    region: &Region,
    exercise: bool,
    member: Option<MunicipalityCode>,
) -> (Vec<v1::PairStatement>, Vec<v1::MemberBalance>) {
    let mut pairs: BTreeMap<(MunicipalityCode, MunicipalityCode), Pair> = BTreeMap::new();
    let mut balances: BTreeMap<MunicipalityCode, i64> = BTreeMap::new();
    for ((mission, _), debt) in region.obligations() {
        let of_exercise = region.mission(*mission).is_some_and(|mission| mission.notice.exercise);
        let concerns = member.is_none_or(|member| debt.debtor == member || debt.creditor == member);
        if of_exercise != exercise || !concerns {
            continue;
        }
        let pair = pairs.entry((debt.debtor, debt.creditor)).or_default();
        let open = debt.settled_at.is_none();
        if open {
            pair.open += 1;
            pair.quantity_open += if debt.in_money { Qty::ZERO } else { debt.qty_open() };
            pair.amount_open = Fen(pair.amount_open.0.saturating_add(debt.amount_open().0));
        } else {
            pair.settled += 1;
            pair.amount_settled = Fen(pair.amount_settled.0.saturating_add(debt.amount.0));
        }
        let owed = debt.amount_open().0;
        let creditor = balances.entry(debt.creditor).or_default();
        *creditor = creditor.saturating_add(owed);
        let debtor = balances.entry(debt.debtor).or_default();
        *debtor = debtor.saturating_sub(owed);
    }
    let pairs = pairs.into_iter().map(|((debtor, creditor), pair)| v1::PairStatement {
        debtor: debtor.to_string(),
        creditor: creditor.to_string(),
        open: pair.open,
        settled: pair.settled,
        quantity_open: pair.quantity_open.0,
        amount_open_fen: pair.amount_open.0,
        amount_settled_fen: pair.amount_settled.0,
    });
    let balances =
        balances.into_iter().map(|(member, balance_fen)| v1::MemberBalance { member: member.to_string(), balance_fen });
    (pairs.collect(), balances.collect())
}
