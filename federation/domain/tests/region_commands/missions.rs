//! Holds, orders, and the lines and requests they serve.

use super::debts::back_damaged;
use super::{Case, case};
use crate::common::{ALXA, HELD, ORDOS, PLEDGED, SHIZUISHAN, Scene, WUHAI, lot, mission, pledge, request, text};
use shouwang_domain::channel::Answer;
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::MissionState as M;
use shouwang_domain::registry::command::{Offer, RegistryCommand as C};
use shouwang_domain::time::HOUR_MS;

/// The mission is over, 8 suits are owed; Bayannur is the hub.
pub fn accounted_and_owed() -> Scene {
    let mut scene = Scene::used();
    scene.must(ALXA, scene.take_back(1, Qty(12), Qty::ZERO));
    scene.must(ALXA, C::WithdrawPledge { pledge: pledge(1), qty: PLEDGED, reason: text("收回") });
    scene.settled().with_other_hub()
}

/// A request of Wuhai for an exercise.
fn exercise() -> Scene {
    let mut scene = Scene::asked();
    let mut command = scene.request_aid(2);
    if let C::RequestAid { exercise, .. } = &mut command {
        *exercise = true;
    }
    scene.must(WUHAI, command);
    scene.settled()
}

/// Wuhai pledges its own suits as 2; Shizuishan offers 10 as 3 to line 1 of request 2.
fn more_pledges() -> Scene {
    let mut scene = Scene::asked();
    scene.must(WUHAI, scene.request_aid(2));
    scene.must(WUHAI, scene.pledge_suits(2, WUHAI, Qty(10)));
    scene.settle();
    let mut command = scene.answer(Answer::Accept { qty: Qty(10) });
    if let C::AnswerAid { request: to, offers, .. } = &mut command {
        *to = request(2);
        offers.push(Offer { pledge: pledge(3), lot: lot(SHIZUISHAN), qty: Qty(10) });
    }
    scene.must(SHIZUISHAN, command);
    scene.settled()
}

/// A request of Ordos, number 2.
fn others_request() -> Scene {
    let mut scene = Scene::asked().with_other_hub();
    scene.must(ORDOS, scene.request_aid(2));
    scene.settled()
}

fn closing_pledge() -> Scene {
    let mut scene = Scene::held();
    scene.must(ALXA, C::WithdrawPledge { pledge: pledge(1), qty: PLEDGED, reason: text("收回") });
    let mut scene = scene.settled();
    scene.ask(WUHAI, R::ReleaseHold { mission: mission(1) }).expect("a release");
    scene.settled()
}

/// A hold of a pledge that expires before the hold lapses.
fn expiring_hold() -> Scene {
    let mut scene = Scene::asked();
    let (region, expires_at) = (scene.world.region_id(0), scene.later(HOUR_MS / 2));
    let (pledge, lot) = (pledge(2), lot(SHIZUISHAN));
    scene.must(SHIZUISHAN, C::Pledge { region, pledge, lot, qty: Qty(10), expires_at, cross_floor: None });
    scene.settle();
    scene.ask(WUHAI, Scene::hold(1, 2, Qty(5))).expect("a hold");
    scene.world.pass(HOUR_MS * 3 / 4);
    scene.settled()
}

fn withdrawn_line() -> Scene {
    let mut scene = Scene::asked();
    scene.ask(WUHAI, R::WithdrawLine { request: request(1), line: 1 }).expect("withdrawn");
    scene.settled()
}

fn spoken() -> Scene {
    let mut scene = Scene::held();
    scene
        .ask(WUHAI, R::Order { mission: mission(1), number: text("乌-调-2026-0001"), spoken: true })
        .expect("an order");
    scene.settled()
}

/// Over and done, but for the paper.
fn spoken_and_accounted() -> Scene {
    let mut scene = spoken();
    scene.must(ALXA, scene.dispatch(1, HELD));
    scene.must(ALXA, C::TurnBack { mission: mission(1), qty: HELD, happened_at: scene.world.now });
    scene.settled()
}

fn closed() -> Scene {
    let mut scene = Scene::asked();
    scene.ask(WUHAI, R::CloseRequest { request: request(1) }).expect("closed");
    scene.settled()
}

fn hold(change: fn(&mut R)) -> (usize, R) {
    let mut command = Scene::hold(2, 1, Qty(10));
    change(&mut command);
    (WUHAI, command)
}

fn order(m: u128, words: &str) -> R {
    R::Order { mission: mission(m), number: text(words), spoken: false }
}
fn cancel(m: u128, words: &str) -> R {
    R::CancelMission { mission: mission(m), reason: text(words) }
}
fn relay(m: u128, qty: Qty) -> R {
    R::RelayDispatch { mission: mission(m), spoken_code: mission(m).spoken_code(), qty }
}
fn withdraw(n: u128, line: u16) -> R {
    R::WithdrawLine { request: request(n), line }
}
fn close(n: u128) -> R {
    R::CloseRequest { request: request(n) }
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a hold", "ok", Scene::asked, |_| hold(|_| {})),
    case("a hold of an offer for the line", "ok", more_pledges, |_| hold(|c| if let R::Hold { pledge: p, request: r, .. } = c { *p = pledge(3); *r = request(2) })),
    case("a hold of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| hold(|c| if let R::Hold { qty, .. } = c { *qty = Qty::ZERO })),
    case("a hold of no time", "INVALID_FIELD", Scene::asked, |_| hold(|c| if let R::Hold { minutes, .. } = c { *minutes = 0 })),
    case("a hold longer than agreed", "INVALID_FIELD", Scene::asked, |_| hold(|c| if let R::Hold { minutes, .. } = c { *minutes = 121 })),
    case("the same hold again", "ALREADY_EXISTS", Scene::held, |_| (WUHAI, Scene::hold(1, 1, Qty(10)))),
    case("a hold for no request", "NOT_FOUND", Scene::asked, |_| hold(|c| if let R::Hold { request: r, .. } = c { *r = request(9) })),
    case("a hold for line 0", "NOT_FOUND", Scene::asked, |_| hold(|c| if let R::Hold { line, .. } = c { *line = 0 })),
    case("a hold for line 3", "NOT_FOUND", Scene::asked, |_| hold(|c| if let R::Hold { line, .. } = c { *line = 3 })),
    case("a hold for a line that is over", "WRONG_STATE", withdrawn_line, |_| hold(|_| {})),
    case("a hold from no pledge", "NOT_FOUND", Scene::asked, |_| hold(|c| if let R::Hold { pledge: p, .. } = c { *p = pledge(9) })),
    case("a hold of the real for an exercise", "EXERCISE_MIXED", exercise, |_| hold(|c| if let R::Hold { request: r, .. } = c { *r = request(2) })),
    case("a hold of one's own", "NOT_YOURS", more_pledges, |_| hold(|c| if let R::Hold { pledge: p, .. } = c { *p = pledge(2) })),
    case("a hold for another", "NOT_YOURS", others_request, |_| hold(|c| if let R::Hold { request: r, .. } = c { *r = request(2) })),
    case("a hold of other things", "MISMATCH", Scene::asked, |_| hold(|c| if let R::Hold { line, .. } = c { *line = 2 })),
    case("a hold of another line's offer", "MISMATCH", more_pledges, |_| hold(|c| if let R::Hold { pledge: p, .. } = c { *p = pledge(3) })),
    case("a hold of what goes back", "TOO_LATE", closing_pledge, |_| hold(|_| {})),
    case("a hold of what has expired", "TOO_LATE", expiring_hold, |_| hold(|c| if let R::Hold { pledge: p, .. } = c { *p = pledge(2) })),
    case("a hold of too much", "NOT_ENOUGH", Scene::asked, |_| hold(|c| if let R::Hold { qty, .. } = c { *qty = Qty(51) })),
    case("a hold of more than is needed", "MORE_THAN_REQUESTED", || { let mut s = Scene::held(); s.must(SHIZUISHAN, s.pledge_suits(2, SHIZUISHAN, PLEDGED)); s.settled() }, |_| hold(|c| if let R::Hold { pledge: p, qty, .. } = c { *p = pledge(2); *qty = Qty(41) })),
    case("released", "ok", Scene::held, |_| (WUHAI, R::ReleaseHold { mission: mission(1) })),
    case("released of what goes back", "ok", || { let mut s = Scene::held(); s.must(ALXA, C::WithdrawPledge { pledge: pledge(1), qty: PLEDGED, reason: text("收回") }); s.settled() }, |_| (WUHAI, R::ReleaseHold { mission: mission(1) })),
    case("released nothing", "NOT_FOUND", Scene::held, |_| (WUHAI, R::ReleaseHold { mission: mission(9) })),
    case("released what is signed", "WRONG_STATE", Scene::ordered, |_| (WUHAI, R::ReleaseHold { mission: mission(1) })),
    case("ordered", "ok", Scene::held, |_| (WUHAI, order(1, "乌-调-2026-0001"))),
    case("ordered nothing", "NOT_FOUND", Scene::held, |_| (WUHAI, order(9, "乌-调-2026-0001"))),
    case("ordered without number", "INVALID_FIELD", Scene::held, |_| (WUHAI, order(1, ""))),
    case("ordered twice", "WRONG_STATE", Scene::ordered, |_| (WUHAI, order(1, "乌-调-2026-0001"))),
    case("paper", "ok", spoken, |_| (WUHAI, R::ConfirmPaper { mission: mission(1) })),
    case("paper that nobody owes", "WRONG_STATE", Scene::ordered, |_| (WUHAI, R::ConfirmPaper { mission: mission(1) })),
    case("paper for nothing", "NOT_FOUND", spoken, |_| (WUHAI, R::ConfirmPaper { mission: mission(9) })),
    case("cancelled", "ok", Scene::committed, |_| (WUHAI, cancel(1, "情况缓解"))),
    case("called back", "ok", Scene::dispatched, |_| (WUHAI, cancel(1, "情况缓解"))),
    case("cancelled without reason", "INVALID_FIELD", Scene::committed, |_| (WUHAI, cancel(1, ""))),
    case("cancelled nothing", "NOT_FOUND", Scene::committed, |_| (WUHAI, cancel(9, "情况缓解"))),
    case("cancelled a hold", "WRONG_STATE", Scene::held, |_| (WUHAI, cancel(1, "情况缓解"))),
    case("cancelled what is over", "WRONG_STATE", || Scene::reach(M::Accounted), |_| (WUHAI, cancel(1, "情况缓解"))),
    case("heard by telephone", "ok", Scene::ordered, |_| (WUHAI, relay(1, HELD))),
    case("heard by telephone again", "ok", Scene::dispatched, |_| (WUHAI, relay(1, HELD))),
    case("misheard", "INVALID_FIELD", Scene::ordered, |_| (WUHAI, R::RelayDispatch { mission: mission(1), spoken_code: text("12345678"), qty: HELD })),
    case("heard of nothing", "QUANTITY_OUT_OF_RANGE", Scene::ordered, |_| (WUHAI, relay(1, Qty::ZERO))),
    case("heard of an unknown mission", "NOT_FOUND", Scene::ordered, |_| (WUHAI, relay(9, HELD))),
    case("a line less", "ok", Scene::held, |_| (WUHAI, withdraw(1, 1))),
    case("a line less, with an offer", "ok", more_pledges, |_| (WUHAI, withdraw(2, 1))),
    case("a line of no request", "NOT_FOUND", Scene::held, |_| (WUHAI, withdraw(9, 1))),
    case("line 3 less", "NOT_FOUND", Scene::held, |_| (WUHAI, withdraw(1, 3))),
    case("a line less twice", "WRONG_STATE", withdrawn_line, |_| (WUHAI, withdraw(1, 1))),
    case("closed", "ok", Scene::held, |_| (WUHAI, close(1))),
    case("closed, with an offer", "ok", more_pledges, |_| (WUHAI, close(2))),
    case("closed nothing", "NOT_FOUND", Scene::held, |_| (WUHAI, close(9))),
    case("closed twice", "WRONG_STATE", closed, |_| (WUHAI, close(1))),
    case("closed with a mission open", "STILL_OPEN", Scene::committed, |_| (WUHAI, close(1))),
    case("closed with a debt open", "STILL_OPEN", accounted_and_owed, |_| (WUHAI, close(1))),
    case("closed with a discrepancy open", "STILL_OPEN", || back_damaged(HELD), |_| (WUHAI, close(1))),
    case("closed with paper owed", "PAPER_OWED", spoken_and_accounted, |_| (WUHAI, close(1))),
];
