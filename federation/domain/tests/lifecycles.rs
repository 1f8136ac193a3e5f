//! Life cycles: every state against every step, and the long ways through them.

mod common;

use common::routing::{FACTS, steps};
use common::{ALXA, HELD, ORDOS, PLEDGED, Scene, WUHAI, lot, mission, pledge, text};
use shouwang_domain::channel::{Step, UpMessage, Usage};
use shouwang_domain::quantity::Qty;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::{MISSION, MissionState as M, OBLIGATION, ObligationState as O, row};
use shouwang_domain::region::state::{DiscrepancyKind as D, Finding, Mission};
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::Account;
use shouwang_domain::time::HOUR_MS;

/// Takes a step of the mission table, whatever the mission's state; clocks and consequences just happen.
fn take_mission_step(scene: &mut Scene, step: &str) -> Result<(), Refusal> {
    let id = mission(1);
    match step {
        "order" => scene.ask(WUHAI, Scene::order(1)),
        "release" => scene.ask(WUHAI, R::ReleaseHold { mission: id }),
        "cancel" => scene.ask(WUHAI, Scene::cancel(1)),
        "lapse" => {
            scene.world.pass(3 * HOUR_MS);
            Ok(())
        }
        "displace" => scene.up(ALXA, UpMessage::Overdrawn { pledge: pledge(1), qty: PLEDGED, reason: text("救人") }),
        "commit" => scene.up(ALXA, UpMessage::Committed { mission: id, qty: HELD }),
        "acknowledge the cancellation" => scene.up(ALXA, UpMessage::CancelAcknowledged { mission: id }),
        "revoke" => scene.up(ALXA, UpMessage::Revoke { mission: id, reason: text("险情") }),
        other => panic!("the table has a step that no test takes: {other}"),
    }
}

#[test]
fn a_mission_moves_only_where_a_row_says_so() {
    // Clocks, consequences and the owner's facts are never refused; they only move nothing where no row leads on.
    let refusable = ["order", "release", "cancel", "revoke"];
    for from in M::ALL {
        let scene = Scene::reach(from);
        for step in MISSION.iter().map(|row| row.step) {
            let mut scene = scene.clone();
            let result = take_mission_step(&mut scene, step);
            let to = row(MISSION, from, step).map(|row| row.to);
            assert_eq!(scene.state(1), to.unwrap_or(from), "{from:?} --{step}--> {result:?}");
            let recall = step == "cancel" && matches!(from, M::Dispatched | M::Delivered);
            let legal = to.is_some() || recall || !refusable.contains(&step);
            assert_eq!(result.is_ok(), legal, "{from:?} --{step}--> {result:?}");
            assert_eq!(scene.mission(1).recalled, recall, "{from:?} --{step}");
            scene.check_region();
        }
    }
}

fn take_debt_step(scene: &mut Scene, step: &str) -> Result<(), Refusal> {
    match step {
        "claim" => scene.ask(ALXA, Scene::claim()),
        "recognise" => scene.ask(WUHAI, Scene::recognise(false)),
        "dispute" => scene.ask(WUHAI, Scene::dispute()),
        "report payment" => scene.ask(WUHAI, Scene::report_payment()),
        "confirm payment" => scene.ask(ALXA, Scene::confirm_payment(true)),
        "reject payment" | "deny the gift" => scene.ask(ALXA, Scene::confirm_payment(false)),
        "verify" => {
            let (accepted, rejected, verifier) = (Qty(8), Qty::ZERO, text("keeper-2"));
            scene.up(ALXA, UpMessage::RestockVerified { mission: mission(1), accepted, rejected, verifier })
        }
        "reopen" | "reopen the gift" => {
            scene.fact(WUHAI, 1, Step::Used(Usage { consumed: Qty(9), damaged: Qty(1), lost: Qty(1) }))
        }
        other => panic!("the table has a step that no test takes: {other}"),
    }
}

#[test]
fn a_debt_moves_only_where_a_row_says_so() {
    for from in O::ALL {
        for step in OBLIGATION.iter().map(|row| row.step) {
            // What is recognised is either paid, or given, or restocked; restocking is what verifying is about.
            let gift = step.ends_with("the gift");
            if gift && from == O::Recognised {
                // Recognised as a gift, it waits for its creditor at once.
                continue;
            }
            let mut scene = if gift { Scene::gift_in(from) } else { Scene::debt_in(from, step == "report payment") };
            let result = take_debt_step(&mut scene, step);
            let to = row(OBLIGATION, from, step).map(|row| row.to);
            assert_eq!(scene.debt().state, to.unwrap_or(from), "{from:?} --{step}--> {result:?}");
            let legal = to.is_some() || matches!(step, "verify" | "reopen" | "reopen the gift");
            assert_eq!(result.is_ok(), legal, "{from:?} --{step}--> {result:?}");
            assert_eq!(scene.debt().settled_at.is_some(), scene.debt().state == O::Settled);
            scene.check_region();
        }
    }
}

/// What facts may change of a mission; people's words about a hold are not among it.
fn known(scene: &Scene) -> (Mission, Vec<String>, Vec<String>, Vec<String>) {
    let region = scene.region();
    (
        scene.mission(1).clone(),
        region.discrepancies().map(|pair| format!("{pair:?}")).collect(),
        region.obligations().map(|pair| format!("{pair:?}")).collect(),
        region.pledges().map(|pair| format!("{pair:?}")).collect(),
    )
}

#[test]
fn a_fact_is_taken_in_every_state_from_everybody_and_only_lifts() {
    for from in M::ALL {
        let scene = Scene::reach(from);
        for step in steps(HELD) {
            for speaker in [ALXA, WUHAI, ORDOS] {
                let mut scene = scene.clone();
                let what = format!("{from:?}: {} says {}", scene.code(speaker), step.name());
                assert_eq!(scene.fact(speaker, 1, step.clone()), Ok(()), "{what}");
                let to = scene.state(1);
                assert_eq!(from.lifted_to(to), to, "{what}: fell to {to:?}");
                scene.check_region();
                let once = known(&scene);
                assert_eq!(scene.fact(speaker, 1, step.clone()), Ok(()), "{what}, again");
                assert_eq!(known(&scene), once, "{what}: typed twice is one");
                let foreign = scene.region().discrepancies().any(|(key, _)| *key == (mission(1), D::NotItsWord));
                assert!(!foreign || to == from, "{what}: another's word moves nothing");
                assert!(foreign || speaker != ORDOS, "{what}: a third has no word in it");
                if to == M::Held {
                    scene.world.pass(3 * HOUR_MS);
                    assert_eq!(scene.state(1), M::Lapsed, "{what}: a hold stays under its clock");
                }
            }
        }
    }
}

#[test]
fn facts_prove_the_stages_of_the_table() {
    for (step, (name, reached)) in steps(HELD).into_iter().zip(FACTS) {
        assert_eq!(step.name(), *name);
        let from = if *reached == M::Picking { M::Committed } else { M::Dispatched };
        let speaker = match step {
            Step::Received { .. } | Step::Used(_) | Step::ReturnSent { .. } => WUHAI,
            _ => ALXA,
        };
        let mut scene = Scene::reach(from);
        scene.fact(speaker, 1, step).unwrap();
        assert_eq!(scene.state(1), from.lifted_to(*reached), "{name}");
    }
}

#[test]
fn a_fact_about_nothing_is_kept_as_a_discrepancy() {
    let mut scene = Scene::asked();
    scene.fact(ALXA, 9, Step::OnSite).unwrap();
    let (key, discrepancy) = scene.region().discrepancies().next().unwrap();
    assert_eq!((*key, discrepancy.qty), ((mission(9), D::UnknownMission), Qty::ONE));
    // Settled between who said it and the hub.
    let finding = Finding { charge_requester: Qty::ZERO, note: text("误报") };
    let discrepancy = (mission(9), D::UnknownMission);
    scene.ask(ALXA, R::ProposeFinding { discrepancy, finding: finding.clone() }).unwrap();
    scene.ask(WUHAI, R::AcceptFinding { discrepancy, finding }).unwrap();
    assert!(scene.region().discrepancies().next().unwrap().1.closed_at.is_some());
}

#[test]
fn a_delivery_has_two_signatures() {
    // Either order; signatures that differ are a discrepancy until the later word agrees.
    for holder_first in [true, false] {
        let mut scene = Scene::dispatched();
        let hand_over = |scene: &Scene, qty| C::HandOver { mission: mission(1), qty, happened_at: scene.world.now };
        let both: [(usize, C); 2] = [(ALXA, hand_over(&scene, Qty(19))), (WUHAI, scene.receive(1, HELD, Qty::ZERO))];
        for (member, command) in if holder_first {
            both
        } else {
            let [a, b] = both;
            [b, a]
        } {
            scene.must(member, command);
            scene.settle();
        }
        assert_eq!(scene.open_discrepancies(), [(D::SignaturesDiffer, 1)]);
        scene.must(ALXA, hand_over(&scene, HELD));
        scene.settle();
        assert_eq!((scene.open_discrepancies(), scene.state(1)), (vec![], M::Delivered));
        let amounts = &scene.mission(1).amounts;
        assert_eq!((amounts.handed_over, amounts.received()), (Some(HELD), HELD));
    }
}

#[test]
fn goods_arrive_before_the_record_hears_that_they_left() {
    let mut scene = Scene::committed();
    scene.world.cut[ALXA] = true;
    scene.must(ALXA, scene.dispatch(1, HELD));
    let relayed = R::RelayDispatch { mission: mission(1), spoken_code: mission(1).spoken_code(), qty: HELD };
    scene.ask(WUHAI, relayed).unwrap();
    scene.must(WUHAI, scene.receive(1, HELD, Qty::ZERO));
    scene.settle();
    assert_eq!(scene.state(1), M::Delivered);
    assert_eq!(scene.pledge(1).total, PLEDGED, "nothing is known to have left");
    assert_eq!(scene.open_discrepancies(), []);
    scene.world.cut[ALXA] = false;
    scene.settle();
    assert_eq!((scene.state(1), scene.mission(1).amounts.dispatched), (M::Delivered, HELD));
    assert_eq!((scene.pledge(1).total, scene.pledge(1).held), (Qty(30), Qty::ZERO));
    assert_eq!(scene.open_discrepancies(), []);
    assert_eq!(scene.balance(ALXA, lot(ALXA), Account::OnLoan(mission(1))), HELD.0);
    assert_eq!(scene.balance(WUHAI, mission(1).custody_lot(), Account::Local), HELD.0);
}

#[test]
fn the_owners_word_differs_from_what_was_heard() {
    let mut scene = Scene::committed();
    let relayed = R::RelayDispatch { mission: mission(1), spoken_code: mission(1).spoken_code(), qty: Qty(12) };
    scene.ask(WUHAI, relayed).unwrap();
    scene.must(ALXA, scene.dispatch(1, HELD));
    scene.settle();
    assert_eq!(scene.open_discrepancies(), [(D::RelayDiffers, HELD.0)]);
}

#[test]
fn goods_leave_although_the_mission_was_over() {
    for state in [M::Cancelled, M::Revoked, M::Lapsed, M::HoldReleased] {
        let mut scene = Scene::reach(state);
        scene.must(ALXA, scene.dispatch_ahead(1, HELD));
        scene.settle();
        assert_eq!(scene.state(1), M::Dispatched, "{state:?}");
        assert_eq!(scene.open_discrepancies(), [(D::DispatchedAfterEnd, HELD.0)], "{state:?}");
        assert_eq!((scene.pledge(1).total, scene.pledge(1).held), (Qty(30), Qty::ZERO), "{state:?}");
        // They come back undelivered, and every book is whole again.
        scene.must(ALXA, C::TurnBack { mission: mission(1), qty: HELD, happened_at: scene.world.now });
        scene.settle();
        scene.agree(D::DispatchedAfterEnd, 0);
        assert_eq!((scene.state(1), scene.open_discrepancies()), (M::TurnedBack, vec![]), "{state:?}");
        assert_eq!(scene.balance(ALXA, lot(ALXA), Account::Local), 70);
    }
}

#[test]
fn goods_leave_before_the_commitment_is_seen() {
    let mut scene = Scene::ordered();
    scene.must(ALXA, scene.dispatch_ahead(1, HELD));
    scene.settle();
    assert_eq!(scene.state(1), M::Dispatched);
    assert_eq!(scene.open_discrepancies(), [(D::DispatchedUncommitted, HELD.0)]);
    assert_eq!(scene.pledge(1).total, Qty(30), "the order that came later set nothing aside");
    // More leaves than was ordered, out of a pledge that others count on: the newest hold gives way.
    let mut scene = Scene::held();
    scene.ask(WUHAI, Scene::hold(2, 1, Qty(15))).unwrap();
    scene.ask(WUHAI, Scene::hold(3, 1, Qty(15))).unwrap();
    scene.must(ALXA, scene.dispatch_ahead(1, Qty(30)));
    scene.settle();
    assert_eq!([1, 2, 3].map(|m| scene.state(m)), [M::Dispatched, M::Held, M::HoldReleased]);
    assert_eq!(scene.open_discrepancies(), [(D::DispatchedUncommitted, 30), (D::DispatchedTooMuch, 10)]);
    assert_eq!((scene.pledge(1).total, scene.pledge(1).held), (Qty(20), Qty(15)));
}

#[test]
fn cancelling_is_a_handshake() {
    let mut scene = Scene::committed();
    scene.ask(WUHAI, Scene::cancel(1)).unwrap();
    scene.settle();
    assert_eq!((scene.state(1), scene.pledge(1).free()), (M::Cancelling, Qty(30)), "not free before the owner speaks");
    scene.must(ALXA, C::AcknowledgeCancel { mission: mission(1) });
    assert_eq!(scene.pledge(1).free(), Qty(30));
    scene.settle();
    assert_eq!((scene.state(1), scene.pledge(1).free()), (M::Cancelled, PLEDGED));
    assert!(scene.registry(WUHAI).mission(mission(1)).unwrap().ended);

    // The order crosses the cancellation on the way to an owner that is cut off: the truck wins.
    let mut scene = Scene::committed();
    scene.world.cut[ALXA] = true;
    scene.ask(WUHAI, Scene::cancel(1)).unwrap();
    scene.must(ALXA, scene.dispatch(1, HELD));
    scene.world.cut[ALXA] = false;
    scene.settle();
    assert_eq!((scene.state(1), scene.open_discrepancies()), (M::Dispatched, vec![]));

    // A cancellation before the owner has heard of the order.
    let mut scene = Scene::ordered();
    scene.ask(WUHAI, Scene::cancel(1)).unwrap();
    scene.settle();
    scene.must(ALXA, C::AcknowledgeCancel { mission: mission(1) });
    scene.settle();
    assert_eq!((scene.state(1), scene.pledge(1).free()), (M::Cancelled, PLEDGED));
}
