//! Findings and debts.

use super::{Case, case};
use crate::common::{ALXA, HELD, ORDOS, Scene, WUHAI, mission, text};
use shouwang_domain::channel::Step;
use shouwang_domain::charter::Basis;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::ObligationState as O;
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind as D, Finding};

/// Two of the suits came back damaged, the others in good order.
pub fn back_damaged(qty: Qty) -> Scene {
    let mut scene = Scene::delivered();
    scene.must(ALXA, scene.take_back(1, qty.saturating_sub(Qty(2)), Qty(2)));
    scene.settled()
}

fn finding(charge: u64) -> Finding {
    Finding { charge_requester: Qty(charge), note: text("联席会议认定") }
}
fn propose_finding(kind: D, charge: u64) -> R {
    R::ProposeFinding { discrepancy: (mission(1), kind), finding: finding(charge) }
}
pub fn accept_finding(kind: D, charge: u64) -> R {
    R::AcceptFinding { discrepancy: (mission(1), kind), finding: finding(charge) }
}

/// Wuhai proposes that it bears one of the two.
pub fn damage_proposed() -> Scene {
    let mut scene = back_damaged(HELD);
    scene.ask(WUHAI, propose_finding(D::ReturnDamaged, 1)).expect("a proposal");
    scene
}

fn damage_settled() -> Scene {
    let mut scene = damage_proposed();
    scene.ask(ALXA, accept_finding(D::ReturnDamaged, 1)).expect("agreed");
    scene.settled()
}

/// 18 of 20 arrived; or 22. The holder proposes that the requester bears `charge`.
fn delivered_otherwise(qty: u64, kind: D, charge: u64) -> Scene {
    let mut scene = Scene::dispatched();
    scene.must(WUHAI, scene.receive(1, Qty(qty), Qty::ZERO));
    scene.settle();
    scene.ask(ALXA, propose_finding(kind, charge)).expect("a proposal");
    scene
}

/// More arrived than was ordered, and the owner has not said yet that anything left.
fn over_received_ahead() -> Scene {
    let mut scene = Scene::committed();
    scene.must(WUHAI, scene.receive(1, Qty(22), Qty::ZERO));
    scene.settle();
    scene.ask(ALXA, propose_finding(D::DeliveryOver, 0)).expect("a proposal");
    scene
}

pub fn claim(m: u128, kind: DebtKind, amount: i64, evidence: &str) -> R {
    R::Claim { mission: mission(m), kind, amount: Fen(amount), evidence: text(evidence) }
}
fn open_debt() -> Scene {
    Scene::debt_in(O::Open, false)
}
fn claimed() -> Scene {
    Scene::debt_in(O::Claimed, false)
}
fn recognised() -> Scene {
    Scene::debt_in(O::Recognised, false)
}
fn to_be_paid() -> Scene {
    Scene::debt_in(O::Recognised, true)
}
fn paid() -> Scene {
    Scene::debt_in(O::Paid, true)
}
fn recognise(m: u128) -> R {
    R::Recognise { mission: mission(m), kind: DebtKind::Goods, basis: Basis::Restock, in_money: false }
}
fn dispute(m: u128, words: &str) -> R {
    R::Dispute { mission: mission(m), kind: DebtKind::Goods, reason: text(words) }
}
fn report(m: u128, words: &str) -> R {
    R::ReportPayment { mission: mission(m), kind: DebtKind::Goods, evidence: text(words) }
}
fn confirm(m: u128, received: bool) -> R {
    R::ConfirmPayment { mission: mission(m), kind: DebtKind::Goods, received }
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a finding", "ok", || back_damaged(HELD), |_| (WUHAI, propose_finding(D::ReturnDamaged, 1))),
    case("another finding", "ok", damage_proposed, |_| (ALXA, propose_finding(D::ReturnDamaged, 2))),
    case("a finding about nothing", "NOT_FOUND", Scene::delivered, |_| (WUHAI, propose_finding(D::ReturnDamaged, 0))),
    case("a finding without words", "INVALID_FIELD", || back_damaged(HELD), |_| (WUHAI, R::ProposeFinding { discrepancy: (mission(1), D::ReturnDamaged), finding: Finding { note: text(""), ..finding(1) } })),
    case("a finding of more than it is about", "INVALID_FIELD", || back_damaged(HELD), |_| (WUHAI, propose_finding(D::ReturnDamaged, 3))),
    case("a charge for a contradiction", "INVALID_FIELD", || { let mut s = Scene::committed(); s.fact(ORDOS, 1, Step::OnSite).expect("taken"); s }, |_| (WUHAI, propose_finding(D::NotItsWord, 1))),
    case("a finding after the end", "WRONG_STATE", damage_settled, |_| (WUHAI, propose_finding(D::ReturnDamaged, 1))),
    case("agreed: one of two is charged", "ok", damage_proposed, |_| (ALXA, accept_finding(D::ReturnDamaged, 1))),
    case("agreed: lost on the road", "ok", || delivered_otherwise(18, D::DeliveryShort, 2), |_| (WUHAI, accept_finding(D::DeliveryShort, 2))),
    case("agreed: more had left", "ok", || delivered_otherwise(22, D::DeliveryOver, 0), |_| (WUHAI, accept_finding(D::DeliveryOver, 0))),
    case("agreed to what was not proposed", "MISMATCH", damage_proposed, |_| (ALXA, accept_finding(D::ReturnDamaged, 2))),
    case("agreed to nothing", "NOT_FOUND", || back_damaged(HELD), |_| (ALXA, accept_finding(D::ReturnDamaged, 1))),
    case("agreed about nothing", "NOT_FOUND", Scene::delivered, |_| (ALXA, accept_finding(D::ReturnDamaged, 1))),
    case("agreed with oneself", "NOT_YOURS", damage_proposed, |_| (WUHAI, accept_finding(D::ReturnDamaged, 1))),
    case("agreed before the owner spoke", "STILL_OPEN", over_received_ahead, |_| (WUHAI, accept_finding(D::DeliveryOver, 0))),
    case("agreed after the end", "WRONG_STATE", damage_settled, |_| (ALXA, accept_finding(D::ReturnDamaged, 1))),
    case("a claim for goods", "ok", open_debt, |_| (ALXA, Scene::claim())),
    case("a claim after a dispute", "ok", || Scene::debt_in(O::Disputed, false), |_| (ALXA, Scene::claim())),
    case("a claim for service", "ok", Scene::delivered, |_| (ALXA, claim(1, DebtKind::Service, 800_000, "服务单"))),
    case("a claim for injury", "ok", Scene::delivered, |_| (ALXA, claim(1, DebtKind::Injury, 1, "鉴定书"))),
    case("a claim without evidence", "INVALID_FIELD", open_debt, |_| (ALXA, claim(1, DebtKind::Goods, 0, ""))),
    case("a claim of no money", "INVALID_FIELD", Scene::delivered, |_| (ALXA, claim(1, DebtKind::LateReturn, 0, "单据"))),
    case("a claim for goods that nobody used", "NOT_FOUND", Scene::delivered, |_| (ALXA, Scene::claim())),
    case("a claim for no mission", "NOT_FOUND", Scene::delivered, |_| (ALXA, claim(9, DebtKind::Service, 1, "单据"))),
    case("a claim twice", "WRONG_STATE", claimed, |_| (ALXA, Scene::claim())),
    case("recognised", "ok", claimed, |_| (WUHAI, recognise(1))),
    case("recognised after a dispute", "ok", || Scene::debt_in(O::Disputed, false), |_| (WUHAI, recognise(1))),
    case("recognised unclaimed", "WRONG_STATE", open_debt, |_| (WUHAI, recognise(1))),
    case("recognised nothing", "NOT_FOUND", claimed, |_| (WUHAI, recognise(9))),
    case("disputed", "ok", claimed, |_| (WUHAI, dispute(1, "成色"))),
    case("disputed without reason", "INVALID_FIELD", claimed, |_| (WUHAI, dispute(1, ""))),
    case("disputed after recognition", "WRONG_STATE", recognised, |_| (WUHAI, dispute(1, "成色"))),
    case("disputed nothing", "NOT_FOUND", claimed, |_| (WUHAI, dispute(9, "成色"))),
    case("said to be paid", "ok", to_be_paid, |_| (WUHAI, report(1, "回单"))),
    case("said to be paid without evidence", "INVALID_FIELD", to_be_paid, |_| (WUHAI, report(1, ""))),
    case("said to be paid what is restocked", "MISMATCH", recognised, |_| (WUHAI, report(1, "回单"))),
    case("said to be paid unrecognised", "WRONG_STATE", claimed, |_| (WUHAI, report(1, "回单"))),
    case("said to be paid nothing", "NOT_FOUND", to_be_paid, |_| (WUHAI, report(9, "回单"))),
    case("paid", "ok", paid, |_| (ALXA, confirm(1, true))),
    case("not paid", "ok", paid, |_| (ALXA, confirm(1, false))),
    case("paid before it is said", "WRONG_STATE", to_be_paid, |_| (ALXA, confirm(1, true))),
    case("paid nothing", "NOT_FOUND", paid, |_| (ALXA, confirm(9, true))),
];
