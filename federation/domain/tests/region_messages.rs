//! Every message of a registry to the region: what comes of it, and each "no" it can meet.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::routing::{self, UP_LEADS_TO};
use common::{
    ALXA, ASKED, HELD, ORDOS, PARTIES, PLEDGED, SUPERIOR, Scene, WUHAI, code_of, figure, mission, pledge, request, text,
};
use shouwang_domain::actor::Role;
use shouwang_domain::channel::{
    Answer, AnswerGiven, LineAsked, PledgeMade, RequestMade, Step, UpEnvelope, UpMessage, Usage,
};
use shouwang_domain::charter::Basis;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::MissionState as M;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::resource::StockClass;
use shouwang_domain::testing::{actor, municipality};
use shouwang_domain::time::Timestamp;

/// Who says what through his registry's channel in which scene, and what becomes of it.
type Message = (&'static str, &'static str, fn() -> Scene, fn(&Scene) -> (usize, UpMessage));

fn offer(scene: &Scene, change: fn(&mut PledgeMade)) -> (usize, UpMessage) {
    let mut made = scene.pledge(1).made.clone();
    made.pledge = pledge(9);
    change(&mut made);
    (ALXA, UpMessage::Pledge(made))
}

fn ask_for(scene: &Scene, change: fn(&mut RequestMade)) -> (usize, UpMessage) {
    let mut made = scene.region().request(request(1)).expect("asked").made.clone();
    made.request = request(9);
    change(&mut made);
    (WUHAI, UpMessage::Request(made))
}

fn answer(change: fn(&mut AnswerGiven)) -> (usize, UpMessage) {
    let (number, answer) = (text("阿-答-2026-0001"), Answer::Accept { qty: Qty(10) });
    let mut given = AnswerGiven { request: request(1), line: 1, number, answer, cost: Fen(0), eta: None };
    change(&mut given);
    (ALXA, UpMessage::Answer(given))
}

fn take_pledge(n: u128, qty: u64) -> UpMessage {
    UpMessage::WithdrawPledge { pledge: pledge(n), qty: Qty(qty), reason: text("预警") }
}
fn overdraw(n: u128) -> UpMessage {
    UpMessage::Overdrawn { pledge: pledge(n), qty: Qty(5), reason: text("救人") }
}
fn cover(n: u128) -> UpMessage {
    UpMessage::OverdraftCovered { pledge: pledge(n), qty: Qty(5) }
}
fn revoke(m: u128, words: &str) -> UpMessage {
    UpMessage::Revoke { mission: mission(m), reason: text(words) }
}
fn all_held() -> Scene {
    let mut scene = Scene::asked();
    scene.ask(WUHAI, Scene::hold(1, 1, PLEDGED)).expect("a hold");
    scene
}

#[rustfmt::skip]
const MESSAGES: &[Message] = &[
    ("a figure", "ok", Scene::empty, |_| (ALXA, figure(1))),
    ("a pledge", "ok", Scene::asked, |s| offer(s, |_| {})),
    ("a pledge again", "ALREADY_EXISTS", Scene::asked, |s| offer(s, |p| p.pledge = pledge(1))),
    ("an expired pledge, booked and given back", "ok", Scene::asked, |s| offer(s, |p| p.expires_at = Timestamp(0))),
    ("an offer to no request, booked and given back", "ok", Scene::asked, |s| offer(s, |p| p.for_line = Some((request(9), 1)))),
    ("an offer to no line, booked and given back", "ok", Scene::asked, |s| offer(s, |p| p.for_line = Some((request(1), 9)))),
    ("an exercise's offer, booked and given back", "ok", Scene::asked, |s| offer(s, |p| { p.exercise = true; p.for_line = Some((request(1), 1)) })),
    ("a withdrawal", "ok", Scene::asked, |_| (ALXA, take_pledge(1, 5))),
    ("a withdrawal of all", "ok", Scene::asked, |_| (ALXA, take_pledge(1, 50))),
    ("a withdrawal of what is held", "NOT_ENOUGH", all_held, |_| (ALXA, take_pledge(1, 5))),
    ("a withdrawal of no pledge", "NOT_FOUND", Scene::asked, |_| (ALXA, take_pledge(9, 5))),
    ("a withdrawal of another's", "NOT_YOURS", Scene::asked, |_| (ORDOS, take_pledge(1, 5))),
    ("break-glass", "ok", Scene::asked, |_| (ALXA, overdraw(1))),
    ("break-glass of what goes back", "ok", || { let mut s = closing_with_hold(); s.settle(); s }, |_| (ALXA, overdraw(1))),
    ("break-glass of no pledge", "NOT_FOUND", Scene::asked, |_| (ALXA, overdraw(9))),
    ("break-glass of another's", "NOT_YOURS", Scene::asked, |_| (ORDOS, overdraw(1))),
    ("put back", "ok", Scene::asked, |_| (ALXA, cover(1))),
    ("put back what goes back", "ok", overdrawn_and_closing, |_| (ALXA, cover(1))),
    ("put back to no pledge", "NOT_FOUND", Scene::asked, |_| (ALXA, cover(9))),
    ("put back another's", "NOT_YOURS", Scene::asked, |_| (ORDOS, cover(1))),
    ("a request", "ok", Scene::asked, |s| ask_for(s, |_| {})),
    ("a request to one", "ok", Scene::asked, |s| ask_for(s, |r| r.addressed = vec![municipality(PARTIES[ALXA])])),
    ("a request again", "ALREADY_EXISTS", Scene::asked, |s| ask_for(s, |r| r.request = request(1))),
    ("a request without number", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.number.clear())),
    ("a request about nothing", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.subject.clear())),
    ("a request to no place", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.place.clear())),
    ("a request without lines", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.lines.clear())),
    ("a line of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |s| ask_for(s, |r| r.lines[0].qty = Qty::ZERO)),
    ("a line without words", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.lines[0] = LineAsked { name: text(""), ..r.lines[0].clone() })),
    ("a request that is over", "TOO_LATE", Scene::asked, |s| ask_for(s, |r| r.expires_at = Timestamp(0))),
    ("a request to a stranger", "NOT_A_MEMBER", Scene::asked, |s| ask_for(s, |r| r.addressed = vec![municipality(SUPERIOR)])),
    ("a request to oneself", "INVALID_FIELD", Scene::asked, |s| ask_for(s, |r| r.addressed = vec![municipality(PARTIES[WUHAI])])),
    ("yes", "ok", Scene::asked, |_| answer(|_| {})),
    ("perhaps", "ok", Scene::asked, |_| answer(|a| a.answer = Answer::Provisional { qty: Qty(1), reason: text("待定") })),
    ("no, and the offer goes back", "ok", offered, |_| answer(|a| a.answer = Answer::Decline { reason: text("预警") })),
    ("yes to no request", "NOT_FOUND", Scene::asked, |_| answer(|a| a.request = request(9))),
    ("yes to no line", "NOT_FOUND", Scene::asked, |_| answer(|a| a.line = 3)),
    ("yes to oneself", "NOT_YOURS", Scene::asked, |_| (WUHAI, answer(|_| {}).1)),
    ("yes to a line that is over", "WRONG_STATE", withdrawn_line, |_| answer(|_| {})),
    ("more than is asked", "MORE_THAN_REQUESTED", Scene::asked, |_| answer(|a| a.answer = Answer::Accept { qty: Qty(ASKED.0 + 1) })),
    ("yes to nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| answer(|a| a.answer = Answer::Accept { qty: Qty::ZERO })),
    ("perhaps nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| answer(|a| a.answer = Answer::Provisional { qty: Qty::ZERO, reason: text("待定") })),
    ("perhaps without reason", "INVALID_FIELD", Scene::asked, |_| answer(|a| a.answer = Answer::Provisional { qty: Qty(1), reason: text("") })),
    ("no without reason", "INVALID_FIELD", Scene::asked, |_| answer(|a| a.answer = Answer::Decline { reason: text("") })),
    ("a commitment", "ok", Scene::ordered, |_| (ALXA, UpMessage::Committed { mission: mission(1), qty: HELD })),
    ("a commitment of nothing, of what goes back", "ok", ordered_and_closing, |_| (ALXA, UpMessage::Committed { mission: mission(1), qty: Qty::ZERO })),
    ("a commitment to nothing", "NOT_FOUND", Scene::ordered, |_| (ALXA, UpMessage::Committed { mission: mission(9), qty: HELD })),
    ("another's commitment", "NOT_YOURS", Scene::ordered, |_| (ORDOS, UpMessage::Committed { mission: mission(1), qty: HELD })),
    ("nothing left", "ok", || Scene::reach(M::Cancelling), |_| (ALXA, UpMessage::CancelAcknowledged { mission: mission(1) })),
    ("nothing left of what goes back", "ok", || { let mut s = ordered_and_closing(); s.ask(WUHAI, Scene::cancel(1)).expect("cancelled"); s }, |_| (ALXA, UpMessage::CancelAcknowledged { mission: mission(1) })),
    ("nothing left of nothing", "NOT_FOUND", Scene::committed, |_| (ALXA, UpMessage::CancelAcknowledged { mission: mission(9) })),
    ("nothing left, says another", "NOT_YOURS", Scene::committed, |_| (WUHAI, UpMessage::CancelAcknowledged { mission: mission(1) })),
    ("revoked", "ok", Scene::committed, |_| (ALXA, revoke(1, "险情"))),
    ("revoked what goes back", "ok", ordered_and_closing, |_| (ALXA, revoke(1, "险情"))),
    ("revoked without reason", "INVALID_FIELD", Scene::committed, |_| (ALXA, revoke(1, ""))),
    ("revoked by another", "NOT_YOURS", Scene::committed, |_| (WUHAI, revoke(1, "险情"))),
    ("revoked after departure", "WRONG_STATE", Scene::dispatched, |_| (ALXA, revoke(1, "险情"))),
    ("revoked nothing", "NOT_FOUND", Scene::committed, |_| (ALXA, revoke(9, "险情"))),
    ("restock", "ok", Scene::used, |_| (ALXA, UpMessage::RestockReceived { mission: mission(1), total: Qty(8) })),
    ("restock for nothing", "ok", Scene::used, |_| (ALXA, UpMessage::RestockReceived { mission: mission(9), total: Qty(8) })),
    ("restock verified", "ok", Scene::used, |_| (ALXA, UpMessage::RestockVerified { mission: mission(1), accepted: Qty(8), rejected: Qty::ZERO, verifier: text("keeper-2") })),
];

fn withdrawn_line() -> Scene {
    let mut scene = Scene::asked();
    scene.ask(WUHAI, R::WithdrawLine { request: request(1), line: 1 }).expect("withdrawn");
    scene.settled()
}

fn offered() -> Scene {
    let mut scene = Scene::asked();
    let made = offer(&scene, |p| p.for_line = Some((request(1), 1))).1;
    scene.up(ALXA, made).expect("an offer");
    scene
}

fn closing_with_hold() -> Scene {
    let mut scene = Scene::held();
    scene.must(ALXA, C::WithdrawPledge { pledge: pledge(1), qty: PLEDGED, reason: text("收回") });
    scene.settled()
}

fn ordered_and_closing() -> Scene {
    let mut scene = closing_with_hold();
    scene.ask(WUHAI, Scene::order(1)).expect("an order");
    scene
}

fn overdrawn_and_closing() -> Scene {
    let mut scene = Scene::asked();
    scene.must(ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(5), reason: text("救人") });
    scene.must(ALXA, C::WithdrawPledge { pledge: pledge(1), qty: PLEDGED, reason: text("收回") });
    scene.settled()
}

#[test]
fn every_message_of_a_registry_is_taken_and_its_outcome_said() {
    let mut works = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (what, code, on, say) in MESSAGES {
        let mut scene = on();
        let (member, message) = say(&scene);
        let (name, sent) = (routing::up_name(&message), scene.downs());
        assert_eq!(UP_LEADS_TO.iter().find(|row| row.0 == name).map(|row| row.1), Some(message.is_fact()), "{name}");
        let result = scene.up(member, message);
        assert_eq!(code_of(&result), *code, "{name}: {what}: {result:?}");
        scene.check_region();
        let messages = scene.sent_since(&sent);
        if result.is_ok() {
            works.entry(name).or_default().extend(messages.into_iter().filter(|name| *name != "outcome"));
        } else {
            assert_eq!(messages, BTreeSet::from(["outcome"]), "{name}: {what}: a refusal leaves only itself");
        }
    }
    for (name, _, leads_to) in UP_LEADS_TO.iter().filter(|(name, ..)| *name != "fact") {
        assert_eq!(works.remove(name), Some(leads_to.iter().copied().collect()), "{name}");
    }
}

#[test]
fn a_resend_changes_nothing_and_a_refusal_consumes_its_number() {
    let mut scene = Scene::asked();
    let code = scene.code(ORDOS);
    let envelope = |number, message| R::Up(UpEnvelope { incarnation: 1, number, message });
    let node = actor(code, Role::Node, 1);
    let before = scene.region().channel(code).up;
    let refused = envelope(before + 1, take_pledge(1, 5));
    scene.ask_by(node.clone(), refused.clone()).unwrap();
    let (after, digest) = (scene.region().channel(code), scene.region_digest());
    assert_eq!(after.up, before + 1);
    scene.ask_by(node.clone(), refused).unwrap();
    assert_eq!(scene.region_digest(), digest, "answered once");
    scene.ask_by(node.clone(), envelope(before + 2, figure(1))).unwrap();
    // What the registry has taken need not be kept; saying it again, or late, changes nothing.
    for (through, kept) in [(1, after.down), (1, after.down), (after.down + 1, 0), (2, 0)] {
        scene.ask_by(node.clone(), R::AckDown { through }).unwrap();
        assert_eq!(scene.region().messages_for(code, 0, usize::MAX).count() as u64, kept, "through {through}");
    }
}

#[test]
fn the_stock_class_decides_on_which_ground_a_debt_stands() {
    for (class, basis) in [
        (StockClass::Government, Basis::Restock),
        (StockClass::EnterpriseOwn, Basis::Restock),
        (StockClass::EnterpriseContracted, Basis::ContractPrice),
        (StockClass::Charity, Basis::Charity),
    ] {
        let mut scene = Scene::asked();
        let (_, message) = offer(&scene, |_| {});
        let UpMessage::Pledge(mut made) = message else { unreachable!("an offer is a pledge") };
        made.class = class;
        scene.up(ALXA, UpMessage::Pledge(made)).unwrap();
        scene.ask(WUHAI, Scene::hold(1, 9, HELD)).unwrap();
        scene.fact(ALXA, 1, Step::Dispatched { qty: HELD, seal: text("封") }).unwrap();
        let usage = Usage { consumed: Qty(2), ..Default::default() };
        scene.fact(WUHAI, 1, Step::Used(usage)).unwrap();
        assert_eq!((scene.debt().basis, scene.debt().amount), (basis, Fen(760_000)), "{class:?}");
    }
}
