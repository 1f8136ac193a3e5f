//! Lines, pledges, holds and offers over time: what lapses, expires, gives way and opens again.

mod common;

use common::{
    ALXA, ASKED, HELD, PLEDGED, SHIZUISHAN, Scene, WUHAI, lot, mission, new_lot, pledge, request, store, suits, text,
};
use shouwang_domain::actor::Role;
use shouwang_domain::channel::Answer;
use shouwang_domain::quantity::Qty;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::MissionState as M;
use shouwang_domain::region::state::LineEnd;
use shouwang_domain::region::view::LineState;
use shouwang_domain::registry::command::{Offer, RegistryCommand as C};
use shouwang_domain::registry::state::Account;
use shouwang_domain::testing::actor;
use shouwang_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};

#[test]
fn a_line_reopens_by_itself() {
    let line = |scene: &Scene| scene.region().line_state(request(1), 1).unwrap();
    let mut scene = Scene::asked();
    scene.must(SHIZUISHAN, scene.pledge_suits(2, SHIZUISHAN, PLEDGED));
    scene.settle();
    assert_eq!(line(&scene), LineState::Open);
    for (m, p, qty) in [(1, 1, PLEDGED), (2, 2, Qty(10))] {
        scene.ask(WUHAI, Scene::hold(m, p, qty)).unwrap();
        scene.ask(WUHAI, Scene::order(m)).unwrap();
    }
    scene.settle();
    assert_eq!(line(&scene), LineState::Committed);
    assert!(scene.ask(WUHAI, Scene::hold(3, 2, Qty(1))).is_err(), "nothing is lacking");
    scene.must(ALXA, C::Revoke { mission: mission(1), reason: text("本地险情") });
    scene.settle();
    assert_eq!(line(&scene), LineState::PartlyCommitted);
    scene.ask(WUHAI, Scene::hold(3, 2, Qty(40))).unwrap();
    assert!(scene.ask(WUHAI, Scene::hold(4, 1, Qty(11))).is_err());
    scene.ask(WUHAI, Scene::hold(4, 1, Qty(10))).unwrap();
    scene.check();
}

#[test]
fn an_unsigned_hold_lapses_at_its_minute() {
    let mut scene = Scene::held();
    scene.world.pass(60 * MINUTE_MS - 1);
    assert_eq!((scene.state(1), scene.pledge(1).free()), (M::Held, Qty(30)));
    scene.world.pass(1);
    assert_eq!((scene.state(1), scene.pledge(1).free()), (M::Lapsed, PLEDGED));
    scene.check();
    let mut signed = Scene::ordered();
    signed.world.pass(2 * HOUR_MS);
    assert_eq!(signed.state(1), M::Ordered);
}

#[test]
fn a_pledge_expires_and_what_is_held_follows_when_it_is_free() {
    let mut scene = Scene::committed();
    scene
        .ask(
            WUHAI,
            R::Hold { mission: mission(2), request: request(1), line: 1, pledge: pledge(1), qty: Qty(5), minutes: 120 },
        )
        .unwrap();
    scene.world.pass(10 * DAY_MS - HOUR_MS);
    scene.ask(WUHAI, Scene::hold(3, 1, Qty(5))).unwrap();
    scene.world.pass(10 * DAY_MS + HOUR_MS);
    scene.settle();
    let pledge_now = scene.pledge(1);
    assert!(pledge_now.closing);
    assert_eq!((pledge_now.total, pledge_now.held, pledge_now.free()), (HELD, HELD, Qty::ZERO));
    assert_eq!(scene.balance(ALXA, lot(ALXA), Account::Local), 80, "what was free came home");
    scene.must(ALXA, C::Revoke { mission: mission(1), reason: text("过期") });
    scene.settle();
    assert_eq!(scene.pledge(1).total, Qty::ZERO);
    assert_eq!(scene.balance(ALXA, lot(ALXA), Account::Local), 100);
    assert!(scene.registry(ALXA).pledges().all(|(_, known)| known.closed));
}

#[test]
fn a_request_expires_with_its_holds_and_offers() {
    let mut scene = offered();
    scene.ask(WUHAI, Scene::hold(1, 1, HELD)).unwrap();
    scene.ask(WUHAI, Scene::order(1)).unwrap();
    scene.settle();
    scene.world.pass(10 * DAY_MS - 30 * MINUTE_MS);
    scene.ask(WUHAI, Scene::hold(2, 1, HELD)).unwrap();
    scene.world.pass(30 * MINUTE_MS);
    scene.settle();
    let known = scene.region().request(request(1)).unwrap();
    assert!(known.lines.iter().all(|line| line.end == Some(LineEnd::Expired)));
    assert_eq!([1, 2].map(|m| scene.state(m)), [M::Committed, M::HoldReleased], "what is signed goes on");
    assert_eq!((scene.pledge(3).total, scene.pledge(3).closing), (Qty::ZERO, true));
    assert_eq!(scene.balance(SHIZUISHAN, lot(SHIZUISHAN), Account::Local), 100);
    assert_eq!(scene.region().line_state(request(1), 2), Some(LineState::Expired));
}

/// Shizuishan offers 10 suits to line 1, as pledge 3.
fn offered() -> Scene {
    let mut scene = Scene::asked();
    let mut command = scene.answer(Answer::Accept { qty: Qty(10) });
    if let C::AnswerAid { offers, expires_at, .. } = &mut command {
        offers.push(Offer { pledge: pledge(3), lot: lot(SHIZUISHAN), qty: Qty(10) });
        *expires_at = scene.later(15 * DAY_MS);
    }
    scene.must(SHIZUISHAN, command);
    scene.settled()
}

#[test]
fn who_declines_takes_back_what_it_offered() {
    let mut scene = offered();
    assert_eq!(scene.pledge(3).total, Qty(10));
    scene.ask(WUHAI, Scene::hold(1, 3, Qty(4))).unwrap();
    scene.must(SHIZUISHAN, scene.decline());
    scene.settle();
    assert_eq!((scene.pledge(3).total, scene.pledge(3).free()), (Qty(4), Qty::ZERO), "what is held stays held");
    scene.ask(WUHAI, R::ReleaseHold { mission: mission(1) }).unwrap();
    scene.settle();
    assert_eq!(scene.balance(SHIZUISHAN, lot(SHIZUISHAN), Account::Local), 100);
}

#[test]
fn when_everybody_declines_the_record_says_so() {
    let unmet = |scene: &Scene| scene.region().request(request(1)).unwrap().lines[0].unmet;
    let mut scene = Scene::asked();
    for member in 1..6 {
        assert!(!unmet(&scene));
        scene.must(member, scene.decline());
        scene.settle();
    }
    assert!(unmet(&scene));
    assert_eq!(scene.region().line_state(request(1), 1), Some(LineState::Unmet));
    assert_eq!(scene.region().answers(request(1)).count(), 5, "who refused and why is kept");
    // Nobody is unmet while something is under way, or while one of those asked has not spoken.
    let mut scene = Scene::held();
    for member in 1..6 {
        scene.must(member, scene.decline());
    }
    scene.settle();
    assert!(!unmet(&scene));
}

#[test]
fn an_overdraft_takes_what_is_free_then_the_newest_hold() {
    let mut scene = Scene::asked();
    for m in 1..=4 {
        scene.ask(WUHAI, Scene::hold(m, 1, Qty(10))).unwrap();
    }
    scene.ask(WUHAI, Scene::order(4)).unwrap();
    scene.settle();
    let overdraw = |scene: &mut Scene, qty| {
        scene.must(ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(qty), reason: text("救人") });
        scene.settle();
        [1, 2, 3, 4].map(|m| scene.state(m))
    };
    assert_eq!(overdraw(&mut scene, 10), [M::Held, M::Held, M::Held, M::Committed], "ten were free");
    assert_eq!(overdraw(&mut scene, 1), [M::Held, M::Held, M::HoldReleased, M::Committed], "the newest unsigned");
    assert_eq!(overdraw(&mut scene, 29), [M::HoldReleased, M::HoldReleased, M::HoldReleased, M::Committed]);
    assert_eq!((scene.pledge(1).overdrawn, scene.pledge(1).free()), (Qty(40), Qty::ZERO));
    scene.must(ALXA, C::CoverOverdraft { pledge: pledge(1), qty: Qty(40) });
    scene.settle();
    assert_eq!((scene.pledge(1).overdrawn, scene.pledge(1).free()), (Qty::ZERO, Qty(40)));
    assert_eq!(scene.balance(ALXA, lot(ALXA), Account::Consumed), 40);
    assert_eq!(scene.balance(ALXA, lot(ALXA), Account::Local), 10);
}

#[test]
fn a_short_commitment_reopens_the_line() {
    for (used, left, state) in [(40, 10, M::Committed), (50, 0, M::Revoked)] {
        let mut scene = Scene::asked();
        scene.world.cut[ALXA] = true;
        scene.must(ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(used), reason: text("断网自用") });
        scene.ask(WUHAI, Scene::hold(1, 1, PLEDGED)).unwrap();
        scene.ask(WUHAI, Scene::order(1)).unwrap();
        scene.world.cut[ALXA] = false;
        scene.settle();
        assert_eq!((scene.state(1), scene.mission(1).notice.qty), (state, Qty(left)));
        assert_eq!(scene.registry(ALXA).shortfalls().count(), 1);
        scene.must(SHIZUISHAN, scene.pledge_suits(2, SHIZUISHAN, Qty(60)));
        scene.settle();
        assert!(scene.ask(WUHAI, Scene::hold(2, 2, Qty(ASKED.0 - left + 1))).is_err());
        scene.ask(WUHAI, Scene::hold(2, 2, Qty(ASKED.0 - left))).unwrap();
        scene.settle();
    }
}

#[test]
fn an_exercise_is_played_apart() {
    let mut scene = Scene::asked();
    let mut details = scene.details(SHIZUISHAN);
    details.exercise = true;
    scene.must(SHIZUISHAN, C::OpenLot { lot: new_lot(1), details, qty: Qty(30) });
    let mut drill = scene.request_aid(2);
    if let C::RequestAid { exercise, .. } = &mut drill {
        *exercise = true;
    }
    scene.must(WUHAI, drill);
    let (region, expires_at) = (scene.world.region_id(0), scene.later(DAY_MS));
    let (pledge, lot, qty) = (pledge(2), new_lot(1), Qty(30));
    scene.must(SHIZUISHAN, C::Pledge { region, pledge, lot, qty, expires_at, cross_floor: None });
    scene.settle();
    assert_eq!(scene.ask(WUHAI, Scene::hold(1, 2, Qty(1))), Err(Refusal::ExerciseMixed));
    let hold = |m, p| R::Hold {
        mission: mission(m),
        request: request(2),
        line: 1,
        pledge: common::pledge(p),
        qty: Qty(1),
        minutes: 5,
    };
    assert_eq!(scene.ask(WUHAI, hold(1, 1)), Err(Refusal::ExerciseMixed));
    scene.ask(WUHAI, hold(1, 2)).unwrap();
    let now = scene.world.now;
    let figures = [false, true].map(|exercise| scene.registry(SHIZUISHAN).floor_view(&suits(), exercise, now).usable);
    assert_eq!(figures, [Qty(100), Qty::ZERO], "no figure of one counts the other");
    scene.settle();
}

#[test]
fn two_coordinators_never_hold_more_than_is_pledged() {
    for qty in [1, 7, 20, 50] {
        let mut scene = Scene::asked();
        for m in 1..=120 {
            // Wuhai's own coordinator and the hub's speak in turn; only the log's order decides.
            let by = actor(scene.code(WUHAI), Role::Coordinator, 1 + u32::from(m % 2 == 0));
            let _ = scene.ask_by(by, Scene::hold(m, 1, Qty(qty)));
            assert!(scene.pledge(1).held <= PLEDGED);
        }
        assert_eq!(scene.pledge(1).held, Qty(PLEDGED.0 / qty * qty));
        scene.check();
    }
}

#[test]
fn a_team_moves_as_one_and_owes_no_goods() {
    let mut scene = Scene::asked();
    let (region, expires_at) = (scene.world.region_id(0), scene.later(DAY_MS));
    let (id, lot) = (pledge(2), common::team_lot(ALXA));
    scene.must(ALXA, C::Pledge { region, pledge: id, lot, qty: Qty::ONE, expires_at, cross_floor: None });
    assert!(
        scene
            .say(ALXA, C::Pledge { region, pledge: pledge(5), lot, qty: Qty::ONE, expires_at, cross_floor: None })
            .is_err(),
        "one active mission at most, over all regions"
    );
    scene.settle();
    scene
        .ask(
            WUHAI,
            R::Hold { mission: mission(1), request: request(1), line: 2, pledge: id, qty: Qty::ONE, minutes: 5 },
        )
        .unwrap();
    scene.ask(WUHAI, Scene::order(1)).unwrap();
    scene.settle();
    scene.must(ALXA, scene.dispatch(1, Qty::ONE));
    scene.settle();
    scene.must(WUHAI, scene.receive(1, Qty::ONE, Qty::ZERO));
    scene.must(WUHAI, C::StartWork { mission: mission(1), happened_at: scene.world.now });
    scene.settle();
    let reason = text("二次泄漏");
    scene.must(ALXA, C::WithdrawForSafety { mission: mission(1), reason, happened_at: scene.world.now });
    scene.settle();
    assert_eq!(scene.state(1), M::Demobilised);
    for side in [ALXA, WUHAI] {
        let known = scene.registry(side).mission(mission(1)).unwrap();
        assert!(known.demobilised, "both sides hear of a withdrawal, whoever says it");
    }
    scene.must(WUHAI, C::SendReturn { mission: mission(1), total: Qty::ONE, happened_at: scene.world.now });
    scene.must(ALXA, scene.take_back(1, Qty::ONE, Qty::ZERO));
    scene.settle();
    assert_eq!((scene.state(1), scene.region().obligations().count()), (M::Accounted, 0));
    assert_eq!(scene.balance(ALXA, lot, Account::Local), 1);
    assert_eq!(scene.registry(WUHAI).lot(mission(1).custody_lot()).unwrap().details.store, store());
}

#[test]
fn a_line_reopens_when_everything_for_it_turned_back() {
    let mut scene = Scene::dispatched();
    let line = |scene: &Scene| scene.region().line_state(request(1), 1).unwrap();
    assert_eq!(line(&scene), LineState::Moving);
    scene.must(ALXA, C::TurnBack { mission: mission(1), qty: HELD, happened_at: scene.world.now });
    scene.settle();
    assert_eq!((scene.state(1), line(&scene)), (M::TurnedBack, LineState::Open));
    scene.ask(WUHAI, Scene::hold(2, 1, HELD)).unwrap();
    scene.ask(WUHAI, Scene::order(2)).unwrap();
    scene.settle();
    assert_eq!(line(&scene), LineState::PartlyCommitted);
}
