//! What nodes say of their programs, and the feature level that follows from it.

use super::{Case, case, learner, node};
use crate::common::{ALXA, ORDOS, PARTIES, SHIZUISHAN, Scene, WUHAI};
use shouwang_domain::charter::CharterChange;
use shouwang_domain::machine::Machine;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::command::RegionCommand as R;

/// These members' nodes have said that they know a level.
fn announced(members: impl IntoIterator<Item = usize>, level: u32) -> Scene {
    let mut scene = Scene::empty();
    for member in members {
        scene.ask(member, R::AnnounceLevel { level }).expect("a node's word");
    }
    scene
}

fn all_know(level: u32) -> Scene {
    announced(0..PARTIES.len(), level)
}

fn raised() -> Scene {
    Scene::empty().raised()
}

/// A node joined a raised region, and has said nothing yet.
fn joined_late() -> Scene {
    let mut scene = raised();
    scene.ratify(CharterChange::AddNode(learner(&scene, WUHAI, 2)));
    scene
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a level that a program knows", "ok", Scene::empty, |_| (ALXA, R::AnnounceLevel { level: 2 })),
    case("a level that nobody else knows", "ok", Scene::empty, |_| (ALXA, R::AnnounceLevel { level: u32::MAX })),
    case("no level", "INVALID_FIELD", Scene::empty, |_| (ALXA, R::AnnounceLevel { level: 0 })),
    case("back to an older program", "ok", raised, |_| (ALXA, R::AnnounceLevel { level: 1 })),
    case("the next level", "ok", || all_know(2), |_| (WUHAI, R::RaiseLevel { to: 2 })),
    case("the next level of many", "ok", || all_know(9), |_| (WUHAI, R::RaiseLevel { to: 2 })),
    case("a level that nobody has announced", "NODES_BELOW_LEVEL", Scene::empty, |_| (WUHAI, R::RaiseLevel { to: 2 })),
    case("a level that one has not announced", "NODES_BELOW_LEVEL", || announced(1..PARTIES.len(), 2), |_| (WUHAI, R::RaiseLevel { to: 2 })),
    case("a level left out", "INVALID_FIELD", || all_know(9), |_| (WUHAI, R::RaiseLevel { to: 3 })),
    case("the level it stands at", "INVALID_FIELD", raised, |_| (WUHAI, R::RaiseLevel { to: 2 })),
    case("a level before", "INVALID_FIELD", raised, |_| (WUHAI, R::RaiseLevel { to: 1 })),
    case("no level at all", "INVALID_FIELD", raised, |_| (WUHAI, R::RaiseLevel { to: 0 })),
    case("a vote of who has said nothing", "NODES_BELOW_LEVEL", joined_late, |_| (WUHAI, R::SetVoter { node: node(WUHAI, 2), voter: true })),
    case("a vote of who goes along", "ok", raised, |_| (WUHAI, R::SetVoter { node: node(SHIZUISHAN, 1), voter: true })),
];

#[test]
fn who_does_not_go_along_is_named() {
    let scene = announced((0..PARTIES.len()).filter(|member| ![ALXA, ORDOS].contains(member)), 2);
    let refusal = scene.clone().ask(WUHAI, R::RaiseLevel { to: 2 }).expect_err("two have said nothing");
    let nodes = [ORDOS, ALXA].map(|member| node(member, 1).spoken()).join(", ");
    assert_eq!(refusal, Refusal::NodesBelowLevel { level: 2, nodes: nodes.clone() });
    assert!(refusal.zh().contains(&nodes) && refusal.en().contains(&nodes));
    assert!(nodes.contains("150600/1"), "as people write it: {nodes}");
}

#[test]
fn what_a_node_said_goes_with_it() {
    let mut scene = joined_late();
    let gone = node(ALXA, 1);
    assert_eq!((scene.region().level(), scene.region().node_level(gone)), (2, 2));
    assert_eq!(scene.region().node_level(node(WUHAI, 2)), 1);
    scene.ratify(CharterChange::RemoveNode(gone));
    assert_eq!(scene.region().node_level(gone), 1);
    assert_eq!(scene.region().level(), 2, "the record does not fall back");
}

#[test]
fn a_region_that_nobody_has_raised_is_stored_as_before_there_were_levels() {
    let records = |scene: &Scene| {
        let mut records = Vec::new();
        scene.region().records(&mut |record| records.push(record));
        records.concat()
    };
    let says = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"level");
    assert!(!says(&records(&Scene::asked())));
    assert!(says(&records(&raised())));
}
