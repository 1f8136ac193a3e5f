//! Changes of the charter.

use super::missions::accounted_and_owed;
use super::{Case, case, learner, node};
use crate::common::{ALXA, BAYANNUR, ORDOS, SHIZUISHAN, SUPERIOR, Scene, WUHAI, figure, lot};
use shouwang_domain::actor::Role;
use shouwang_domain::channel::Step;
use shouwang_domain::charter::{CharterChange, MemberNode, Rules};
use shouwang_domain::ids::{CommandId, NodeId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::testing::municipality;

fn propose(scene: &Scene, change: CharterChange) -> (usize, R) {
    (WUHAI, R::ProposeChange { base_version: scene.region().charter().version, change })
}

fn rules(scene: &Scene, change: fn(&mut Rules)) -> (usize, R) {
    let mut rules = Rules::default();
    change(&mut rules);
    propose(scene, CharterChange::Rules(rules))
}

/// Ordos is proposed as the hub.
fn proposed() -> Scene {
    let mut scene = Scene::empty();
    let (who, command) = propose(&scene, CharterChange::Hub(scene.code(ORDOS)));
    scene.ask(who, command).expect("a proposal");
    scene
}

pub fn waiting(scene: &Scene) -> CommandId {
    *scene.region().changes().last().expect("a change").0
}

/// One signature is missing for the change that waits.
fn nearly_ratified() -> Scene {
    let mut scene = proposed();
    for member in [ORDOS, BAYANNUR] {
        let change = waiting(&scene);
        scene.ask(member, R::SignChange { change }).expect("a signature");
    }
    scene
}

fn in_force() -> Scene {
    let mut scene = nearly_ratified();
    let change = waiting(&scene);
    scene.ask(ALXA, R::SignChange { change }).expect("a signature");
    scene
}

/// A node of Wuhai joined and left for ever.
fn node_retired() -> Scene {
    let mut scene = Scene::empty();
    scene.ratify(CharterChange::AddNode(learner(&scene, WUHAI, 2)));
    scene.ratify(CharterChange::RemoveNode(node(WUHAI, 2)));
    scene
}

/// Seven nodes vote, and one more could.
fn seven_voters() -> Scene {
    let mut scene = Scene::empty();
    for number in 2..=4 {
        scene.ratify(CharterChange::AddNode(learner(&scene, WUHAI, number)));
    }
    for number in 2..=3 {
        scene.ask(WUHAI, R::SetVoter { node: node(WUHAI, number), voter: true }).expect("a vote");
    }
    scene
}

fn changes_waiting() -> Scene {
    let mut scene = Scene::empty();
    for _ in 0..32 {
        let (who, command) = propose(&scene, CharterChange::Hub(scene.code(ORDOS)));
        scene.ask(who, command).expect("a proposal");
    }
    scene
}

/// Wuhai has asked, nobody has promised anything.
fn asked_only() -> Scene {
    let mut scene = Scene::stocked();
    scene.must(WUHAI, scene.request_aid(1));
    scene.settled()
}

/// Alxa's courier has not taken what the region says of its figure.
fn figure_on_its_way() -> Scene {
    let mut scene = Scene::empty();
    scene.up(ALXA, figure(3)).expect("a figure");
    scene
}

/// Ordos reported a step that is not its own.
fn contradicted() -> Scene {
    let mut scene = Scene::committed();
    scene.fact(ORDOS, 1, Step::OnSite).expect("taken");
    let through = scene.region().channel(scene.code(ORDOS)).down;
    scene.ask_as(ORDOS, Role::Node, R::AckDown { through }).expect("taken by its registry");
    scene
}

/// Inner Mongolia's suits lie with Alxa, who pledged them.
fn superiors_goods_pledged() -> Scene {
    let mut scene = Scene::empty().with_superior();
    let mut details = scene.details(ALXA);
    details.owner = municipality(SUPERIOR);
    scene.must(ALXA, C::OpenLot { lot: lot(ALXA), details, qty: Qty(100) });
    scene.must(ALXA, scene.pledge_suits(1, ALXA, Qty(50)));
    scene.settled()
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a change", "ok", Scene::empty, |s| propose(s, CharterChange::Hub(s.code(ORDOS)))),
    case("a change of what was", "STALE_VERSION", in_force, |s| (WUHAI, R::ProposeChange { base_version: 1, change: CharterChange::Hub(s.code(ALXA)) })),
    case("a hub that is no member", "INVALID_FIELD", Scene::empty, |s| propose(s, CharterChange::Hub(municipality(SUPERIOR)))),
    case("a hub that is no party", "INVALID_FIELD", || Scene::empty().with_superior(), |s| propose(s, CharterChange::Hub(municipality(SUPERIOR)))),
    case("holds without end", "INVALID_FIELD", Scene::empty, |s| rules(s, |r| r.hold_minutes_max = 1441)),
    case("holds of no time", "INVALID_FIELD", Scene::empty, |s| rules(s, |r| r.hold_minutes_max = 0)),
    case("paper after a month", "INVALID_FIELD", Scene::empty, |s| rules(s, |r| r.paper_hours = 721)),
    case("a member twice", "INVALID_FIELD", Scene::empty, |s| { let mut m = s.region().charter().members[1].clone(); m.nodes[0].voter = false; propose(s, CharterChange::AdmitMember(m)) }),
    case("a member with a vote", "INVALID_FIELD", Scene::empty, |s| propose(s, CharterChange::AdmitMember(s.region().charter().members[1].clone()))),
    case("a member with another's node", "INVALID_FIELD", Scene::empty, |s| { let mut m = s.region().charter().members[1].clone(); m.code = municipality(SUPERIOR); m.nodes = vec![learner(s, WUHAI, 2)]; propose(s, CharterChange::AdmitMember(m)) }),
    case("a node twice", "INVALID_FIELD", Scene::empty, |s| propose(s, CharterChange::AddNode(learner(s, WUHAI, 1)))),
    case("a node with a vote", "INVALID_FIELD", Scene::empty, |s| propose(s, CharterChange::AddNode(MemberNode { voter: true, ..learner(s, WUHAI, 2) }))),
    case("a node of nobody", "NOT_FOUND", Scene::empty, |s| propose(s, CharterChange::AddNode(MemberNode { node: NodeId::new(municipality(SUPERIOR), 1).expect("a node"), ..learner(s, WUHAI, 2) }))),
    case("a node that left for ever", "ALREADY_EXISTS", node_retired, |s| propose(s, CharterChange::AddNode(learner(s, WUHAI, 2)))),
    case("leaving of an unknown node", "NOT_FOUND", Scene::empty, |s| propose(s, CharterChange::RemoveNode(node(WUHAI, 2)))),
    case("a key of an unknown node", "NOT_FOUND", Scene::empty, |s| propose(s, CharterChange::RotateKey { node: node(WUHAI, 2), algorithm: learner(s, WUHAI, 2).algorithm, public_key: learner(s, WUHAI, 2).public_key, old_until: s.world.now })),
    case("leaving of an unknown member", "NOT_FOUND", Scene::empty, |s| propose(s, CharterChange::RemoveMember(municipality(SUPERIOR)))),
    case("leaving of the hub", "INVALID_FIELD", Scene::empty, |s| propose(s, CharterChange::RemoveMember(s.code(WUHAI)))),
    case("leaving with a pledge", "STILL_OPEN", Scene::asked, |s| propose(s, CharterChange::RemoveMember(s.code(ALXA)))),
    case("leaving with a mission", "STILL_OPEN", || Scene::delivered().with_other_hub(), |s| propose(s, CharterChange::RemoveMember(s.code(WUHAI)))),
    case("leaving with a request", "STILL_OPEN", || asked_only().with_other_hub(), |s| propose(s, CharterChange::RemoveMember(s.code(WUHAI)))),
    case("leaving with messages on the way", "STILL_OPEN", figure_on_its_way, |s| propose(s, CharterChange::RemoveMember(s.code(ALXA)))),
    case("leaving with a contradiction", "STILL_OPEN", contradicted, |s| propose(s, CharterChange::RemoveMember(s.code(ORDOS)))),
    case("leaving of a superior whose goods are pledged", "STILL_OPEN", superiors_goods_pledged, |s| propose(s, CharterChange::RemoveMember(municipality(SUPERIOR)))),
    case("leaving with nothing open", "ok", Scene::delivered, |s| propose(s, CharterChange::RemoveMember(s.code(ORDOS)))),
    case("leaving with a debt", "STILL_OPEN", accounted_and_owed, |s| propose(s, CharterChange::RemoveMember(s.code(WUHAI)))),
    case("a 33rd change", "LIMIT_REACHED", changes_waiting, |s| propose(s, CharterChange::Hub(s.code(ORDOS)))),
    case("a signature", "ok", proposed, |s| (ORDOS, R::SignChange { change: waiting(s) })),
    case("the last signature", "ok", nearly_ratified, |s| (ALXA, R::SignChange { change: waiting(s) })),
    case("a signature twice", "ALREADY_EXISTS", proposed, |s| (WUHAI, R::SignChange { change: waiting(s) })),
    case("a signature under nothing", "NOT_FOUND", proposed, |_| (ORDOS, R::SignChange { change: CommandId::from_u128(1 << 90) })),
    case("a signature under what is in force", "WRONG_STATE", in_force, |s| (SHIZUISHAN, R::SignChange { change: waiting(s) })),
    case("a vote", "ok", Scene::empty, |_| (WUHAI, R::SetVoter { node: node(SHIZUISHAN, 1), voter: true })),
    case("a vote it has", "ok", Scene::empty, |_| (WUHAI, R::SetVoter { node: node(WUHAI, 1), voter: true })),
    case("a vote less", "ok", Scene::empty, |_| (WUHAI, R::SetVoter { node: node(WUHAI, 1), voter: false })),
    case("a vote of nobody", "NOT_FOUND", Scene::empty, |_| (WUHAI, R::SetVoter { node: node(WUHAI, 2), voter: true })),
    case("an eighth vote", "INVALID_FIELD", seven_voters, |_| (WUHAI, R::SetVoter { node: node(WUHAI, 4), voter: true })),
];
