//! What is not as it should be, who bears it, and how a debt ends.

mod common;

use common::{ALXA, HELD, PLEDGED, Scene, WUHAI, debt, lot, mission, new_lot, request, text};
use shouwang_domain::actor::Role;
use shouwang_domain::charter::Basis;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::region::lifecycle::{MissionState as M, ObligationState as O};
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind as D, Finding};
use shouwang_domain::region::view::LineState;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::Account;
use shouwang_domain::testing::actor;

#[test]
fn findings_settle_a_delivery_that_was_not_what_left() {
    // (good, damaged, open, kind, charge) → (owed, state once all that is there came back)
    for (good, damaged, kind, open, charge) in [
        (17, 0, D::DeliveryShort, 3, 0),
        (17, 0, D::DeliveryShort, 3, 2),
        (23, 0, D::DeliveryOver, 3, 0),
        (18, 2, D::DeliveryDamaged, 2, 1),
    ] {
        let what = format!("{kind:?}, {charge} charged");
        let mut scene = Scene::dispatched();
        scene.must(WUHAI, scene.receive(1, Qty(good), Qty(damaged)));
        scene.settle();
        assert_eq!(scene.open_discrepancies(), [(kind, open)], "{what}");
        scene.agree(kind, charge);
        assert_eq!(scene.open_discrepancies(), [], "{what}");
        let owed: u64 = scene.region().obligations().map(|(_, debt)| debt.qty.0).sum();
        assert_eq!(owed, charge, "{what}");
        assert_eq!(scene.balance(ALXA, lot(ALXA), Account::OnLoan(mission(1))), good + damaged, "{what}");
        scene.must(ALXA, scene.take_back(1, Qty(good), Qty(damaged)));
        scene.settle();
        assert_eq!(scene.state(1), M::Accounted, "{what}");
        let back = scene.balance(ALXA, lot(ALXA), Account::Local) + scene.balance(ALXA, lot(ALXA), Account::Repair);
        assert_eq!(back + 30 + scene.balance(ALXA, lot(ALXA), Account::Lost), 100, "{what}");
    }
}

#[test]
fn damage_on_return_that_is_charged_is_owed_once() {
    let mut scene = Scene::used();
    assert_eq!(scene.debt().qty, Qty(8));
    scene.must(ALXA, scene.take_back(1, Qty(5), Qty(2)));
    scene.settle();
    scene.agree(D::ReturnDamaged, 2);
    assert_eq!(scene.debt().qty, Qty(10));
    assert_eq!(scene.debt().amount, Fen(3_800_000));
    // A third one is found to be damaged: the discrepancy speaks of all three, and so does the new finding.
    scene.must(ALXA, scene.take_back(1, Qty(9), Qty(3)));
    scene.settle();
    assert_eq!((scene.state(1), scene.open_discrepancies()), (M::Accounted, vec![(D::ReturnDamaged, 3)]));
    let finding = Finding { charge_requester: Qty(1), note: text("减轻") };
    let less = R::ProposeFinding { discrepancy: (mission(1), D::ReturnDamaged), finding };
    assert_eq!(scene.ask(ALXA, less).unwrap_err().code(), "INVALID_FIELD", "two are charged already");
    scene.agree(D::ReturnDamaged, 3);
    assert_eq!(scene.debt().qty, Qty(11), "eight used, three damaged");
}

fn restock(scene: &mut Scene, n: u128, qty: u64) {
    let details = scene.details(ALXA);
    scene.must(ALXA, C::ReceiveRestock { mission: mission(1), lot: new_lot(n), details, qty: Qty(qty) });
}

fn verify(scene: &mut Scene, n: u128, accepted: u64, rejected: u64) {
    let by = actor(scene.code(ALXA), Role::Keeper, 2);
    let command = C::VerifyRestock { lot: new_lot(n), accepted: Qty(accepted), rejected: Qty(rejected) };
    scene.say_by(ALXA, by, command).expect("verified by another");
    scene.settle();
}

#[test]
fn a_debt_in_goods_is_settled_when_the_owner_has_verified_all() {
    let mut scene = Scene::debt_in(O::Recognised, false);
    restock(&mut scene, 1, 8);
    scene.settle();
    assert_eq!((scene.debt().received, scene.debt().state), (Qty(8), O::Recognised), "what came is not yet good");
    verify(&mut scene, 1, 6, 2);
    assert_eq!((scene.debt().qty_open(), scene.debt().state), (Qty(2), O::Recognised));
    restock(&mut scene, 2, 2);
    verify(&mut scene, 2, 2, 0);
    assert_eq!((scene.debt().qty_open(), scene.debt().state), (Qty::ZERO, O::Settled));
    let restocked: u64 = [1, 2].map(|n| scene.balance(ALXA, new_lot(n), Account::Local)).iter().sum();
    assert_eq!(restocked, 8);
    // More is consumed afterwards: it opens again, for what is new.
    scene.must(WUHAI, scene.usage(1, 7, 1, 1));
    scene.settle();
    assert_eq!((scene.debt().qty_open(), scene.debt().state), (Qty(1), O::Recognised));
    // Restock may come before anybody claims; recognition then finds it done.
    let mut early = Scene::used();
    restock(&mut early, 1, 8);
    verify(&mut early, 1, 8, 0);
    assert_eq!(early.debt().state, O::Open);
    early.ask(ALXA, Scene::claim()).unwrap();
    early.ask(WUHAI, Scene::recognise(false)).unwrap();
    assert_eq!(early.debt().state, O::Settled);
    early.check();
}

#[test]
fn a_debt_in_money_is_settled_when_the_creditor_has_it() {
    let mut scene = Scene::debt_in(O::Paid, true);
    assert_eq!(scene.debt().amount, Fen(8 * 380_000));
    scene.ask(ALXA, Scene::confirm_payment(false)).unwrap();
    assert_eq!(scene.debt().state, O::Recognised);
    scene.ask(WUHAI, Scene::report_payment()).unwrap();
    scene.ask(ALXA, Scene::confirm_payment(true)).unwrap();
    assert_eq!(scene.debt().state, O::Settled);
    // Service is always money, whatever its debtor ticked.
    let (mission, kind) = (mission(1), DebtKind::Service);
    scene.ask(ALXA, R::Claim { mission, kind, amount: Fen(900), evidence: text("服务单") }).unwrap();
    scene.ask(WUHAI, R::Dispute { mission, kind, reason: text("多计四小时") }).unwrap();
    // Claimed anew, for less; without an amount it stays as it was.
    let amount = |scene: &Scene| scene.region().obligations().find(|(key, _)| key.1 == kind).unwrap().1.amount;
    scene.ask(ALXA, R::Claim { mission, kind, amount: Fen(800), evidence: text("更正单") }).unwrap();
    assert_eq!(amount(&scene), Fen(800));
    scene.ask(WUHAI, R::Dispute { mission, kind, reason: text("再核") }).unwrap();
    scene.ask(ALXA, R::Claim { mission, kind, amount: Fen(0), evidence: text("明细") }).unwrap();
    assert_eq!(amount(&scene), Fen(800));
    scene.ask(WUHAI, R::Recognise { mission, kind, basis: Basis::Restock, in_money: false }).unwrap();
    scene.ask(WUHAI, R::ReportPayment { mission, kind, evidence: text("回单") }).unwrap();
    scene.ask(ALXA, R::ConfirmPayment { mission, kind, received: true }).unwrap();
    assert!(scene.region().obligations().all(|(_, debt)| debt.state == O::Settled));
    scene.check();
}

#[test]
fn what_is_given_without_return_is_settled_when_the_creditor_confirms_it() {
    for basis in [Basis::FreeAid, Basis::Charity] {
        let mut scene = Scene::debt_in(O::Claimed, false);
        let (mission, kind) = debt();
        scene.ask(WUHAI, R::Recognise { mission, kind, basis, in_money: false }).unwrap();
        assert_eq!(scene.debt().state, O::Paid, "nobody forgives his own debt");
        let confirm = R::ConfirmPayment { mission, kind, received: true };
        assert!(scene.ask(WUHAI, confirm.clone()).is_err());
        scene.ask(ALXA, confirm).unwrap();
        assert_eq!(scene.debt().state, O::Settled);
        scene.check();
    }
}

#[test]
fn a_gift_covers_what_was_given_and_nothing_more() {
    let (mission, kind) = debt();
    let recognise = |basis| R::Recognise { mission, kind, basis, in_money: false };
    let confirm = |received| R::ConfirmPayment { mission, kind, received };
    let mut scene = Scene::debt_in(O::Claimed, false);
    scene.must_ask(WUHAI, recognise(Basis::FreeAid));
    // The creditor did not give it: the debtor must find another ground.
    scene.must_ask(ALXA, confirm(false));
    assert_eq!(scene.debt().state, O::Claimed);
    scene.must_ask(WUHAI, recognise(Basis::FreeAid));
    scene.must_ask(ALXA, confirm(true));
    assert_eq!((scene.debt().state, scene.debt().qty_open(), scene.debt().amount_open()), (O::Settled, Qty(0), Fen(0)));
    // Two more are used up: they were not part of the gift.
    scene.must(WUHAI, scene.usage(1, 8, 1, 1));
    scene.settle();
    assert_eq!((scene.debt().state, scene.debt().qty_open()), (O::Claimed, Qty(2)));
    assert_eq!(scene.debt().amount_open(), Fen(2 * 380_000));
    let mut given_again = scene.clone();
    given_again.must_ask(WUHAI, recognise(Basis::FreeAid));
    given_again.must_ask(ALXA, confirm(true));
    assert_eq!((given_again.debt().state, given_again.debt().qty_open()), (O::Settled, Qty(0)));
    given_again.check();
    // Or they are restocked, and then only they.
    scene.must_ask(WUHAI, recognise(Basis::Restock));
    restock(&mut scene, 1, 2);
    verify(&mut scene, 1, 2, 0);
    assert_eq!((scene.debt().state, scene.debt().accepted), (O::Settled, Qty(2)));
    scene.check();
}

#[test]
fn what_was_paid_for_is_not_owed_again_when_more_is_consumed() {
    let mut scene = Scene::debt_in(O::Settled, true);
    scene.must(WUHAI, scene.usage(1, 9, 1, 1));
    scene.settle();
    assert_eq!((scene.debt().state, scene.debt().qty_open()), (O::Recognised, Qty(3)));
    assert_eq!((scene.debt().amount, scene.debt().amount_open()), (Fen(11 * 380_000), Fen(3 * 380_000)));
    scene.must_ask(WUHAI, Scene::report_payment());
    scene.must_ask(ALXA, Scene::confirm_payment(true));
    assert_eq!((scene.debt().state, scene.debt().qty_open()), (O::Settled, Qty(0)));
    scene.check();
}

#[test]
fn nobody_owes_himself_for_his_own_goods_out_of_anothers_keeping() {
    // Alxa's store keeps suits that are Wuhai's; Wuhai asks for them and uses eight.
    let mut scene = Scene::empty();
    let mut details = scene.details(ALXA);
    details.owner = scene.code(WUHAI);
    scene.must(ALXA, C::OpenLot { lot: lot(ALXA), details, qty: Qty(100) });
    scene.must(WUHAI, scene.request_aid(1));
    scene.must(ALXA, scene.pledge_suits(1, ALXA, PLEDGED));
    scene.settle();
    scene.must_ask(WUHAI, Scene::hold(1, 1, HELD));
    scene.must_ask(WUHAI, Scene::order(1));
    scene.settle();
    scene.must(ALXA, scene.dispatch(1, HELD));
    scene.settle();
    scene.must(WUHAI, scene.receive(1, HELD, Qty::ZERO));
    scene.settle();
    scene.must(WUHAI, scene.usage(1, 6, 1, 1));
    scene.settle();
    assert_eq!(scene.region().obligations().count(), 0);
    // The keeper's trouble is another matter.
    let (mission, kind, evidence) = (mission(1), DebtKind::Service, text("搬运单"));
    scene.must_ask(ALXA, R::Claim { mission, kind, amount: Fen(800), evidence });
    let debts: Vec<_> = scene.region().obligations().map(|(_, debt)| (debt.debtor, debt.creditor)).collect();
    assert_eq!(debts, [(scene.code(WUHAI), scene.code(ALXA))]);
    scene.must(ALXA, scene.take_back(1, Qty(12), Qty::ZERO));
    scene.settle();
    assert_eq!(scene.state(1), M::Accounted);
}

/// What the check of a state against the one before it says if request 1 closes now, whatever is open.
fn closed_all_the_same(scene: &Scene) -> Result<(), String> {
    let mut after = scene.region().clone();
    after.evolve(scene.world.now, &RegionEvent::RequestClosed { request: request(1) });
    after.check_after(scene.region())
}

#[test]
fn a_request_closes_when_nothing_of_it_is_open() {
    let mut scene = Scene::used();
    let close = R::CloseRequest { request: request(1) };
    let still = |scene: &mut Scene, why: &str| {
        let refusal = scene.ask(WUHAI, close.clone()).expect_err(why);
        assert_eq!(refusal.code(), "STILL_OPEN", "{why}");
        assert!(closed_all_the_same(scene).is_err(), "{why}");
        refusal.en()
    };
    assert!(still(&mut scene, "a mission").contains("mission"));
    scene.must(ALXA, scene.take_back(1, Qty(11), Qty(1)));
    scene.settle();
    assert!(still(&mut scene, "a discrepancy").contains("ReturnDamaged"));
    scene.agree(D::ReturnDamaged, 1);
    assert!(still(&mut scene, "a debt").contains("obligation"));
    scene.ask(ALXA, Scene::claim()).unwrap();
    scene.ask(WUHAI, Scene::recognise(false)).unwrap();
    restock(&mut scene, 1, 9);
    verify(&mut scene, 1, 9, 0);
    assert_eq!(closed_all_the_same(&scene), Ok(()));
    scene.ask(WUHAI, close).unwrap();
    scene.settle();
    assert_eq!(scene.region().line_state(request(1), 1), Some(LineState::Closed));
}

#[test]
fn what_turns_up_after_closing_opens_its_mission_again() {
    let mut scene = Scene::reach(M::Accounted);
    scene.must_ask(WUHAI, R::CloseRequest { request: request(1) });
    scene.settle();
    // Three that nobody had written down: a fact all the same, and once both sides agree somebody must give them back.
    scene.must(WUHAI, scene.receive(1, HELD + Qty(3), Qty::ZERO));
    scene.settle();
    assert_eq!(scene.state(1), M::Accounted);
    scene.agree(D::DeliveryOver, 0);
    scene.settle();
    assert_eq!(scene.state(1), M::Delivered);
}
