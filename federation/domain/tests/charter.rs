//! The charter: by which majorities it changes, and what becomes of keys and nodes.

mod common;

use common::{ALXA, ORDOS, Scene, WUHAI, code_of};
use shouwang_domain::charter::{CharterChange, MEMBERS_MAX, Rules, Voting};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::testing::municipality;
use shouwang_domain::time::{DAY_MS, HOUR_MS};

#[test]
fn votes_needed() {
    for (voting, needed) in [
        (Voting::Majority, [1, 2, 2, 3, 3, 4]),
        (Voting::TwoThirds, [1, 2, 2, 3, 4, 4]),
        (Voting::Unanimous, [1, 2, 3, 4, 5, 6]),
    ] {
        assert_eq!([1, 2, 3, 4, 5, 6].map(|parties| voting.needed(parties)), needed, "{voting:?}");
    }
}
#[test]
fn a_region_has_a_limit_of_members() {
    let mut charter = Scene::empty().region().charter().clone();
    let member = charter.members[0].clone();
    for code in 0..u32::try_from(MEMBERS_MAX).unwrap() {
        let mut more = member.clone();
        (more.code, more.nodes) = (municipality(200_000 + code), Vec::new());
        charter.members.push(more);
    }
    assert_eq!(code_of(&charter.validate()), "INVALID_FIELD");
}

#[test]
fn a_change_is_in_force_when_the_charters_own_rule_is_met() {
    for (voting, needed) in [(Voting::Majority, 4), (Voting::TwoThirds, 4), (Voting::Unanimous, 6)] {
        let mut scene = Scene::empty();
        scene.ratify(CharterChange::Rules(Rules { voting, ..Rules::default() }));
        let change = CharterChange::Rules(Rules { hold_minutes_max: 30, ..Rules::default() });
        scene.ask(WUHAI, R::ProposeChange { base_version: 2, change }).unwrap();
        let other = CharterChange::Hub(scene.code(ALXA));
        scene.ask(ORDOS, R::ProposeChange { base_version: 2, change: other }).unwrap();
        let waiting: Vec<_> =
            scene.region().changes().filter(|(_, c)| c.in_force.is_none()).map(|(id, _)| *id).collect();
        for member in 1..needed {
            assert_eq!(scene.region().charter().version, 2, "{voting:?} with {member}");
            scene.ask(member, R::SignChange { change: waiting[0] }).unwrap();
        }
        assert_eq!(scene.region().charter().version, 3, "{voting:?}");
        assert_eq!(scene.region().charter().rules.hold_minutes_max, 30);
        // What was drawn on the old version waits no longer.
        assert!(scene.ask(ALXA, R::SignChange { change: waiting[1] }).is_err());
        assert!(scene.region().changes().all(|(_, change)| change.in_force.is_some()));
        scene.check();
    }
}

#[test]
fn a_rotated_key_overlaps_and_then_retires() {
    let mut scene = Scene::empty();
    let node = NodeId::new(scene.code(ALXA), 1).unwrap();
    let keys = |scene: &Scene, at| -> Vec<Vec<u8>> {
        scene.region().signers(node, at).into_iter().map(|signer| signer.public_key).collect()
    };
    let old = keys(&scene, scene.world.now)[0].clone();
    let until = scene.later(HOUR_MS);
    let algorithm = scene.region().signers(node, until)[0].algorithm;
    let rotate = |key: &[u8], old_until| CharterChange::RotateKey {
        node,
        algorithm,
        public_key: Bytes(key.to_vec()),
        old_until,
    };
    scene.ratify(rotate(b"new", until));
    assert_eq!(keys(&scene, until), [b"new".to_vec(), old]);
    assert_eq!(keys(&scene, until.plus_ms(1)), [b"new".to_vec()], "over before the timer fires");
    // Rotated again within the overlap: the oldest key is gone at once.
    scene.ratify(rotate(b"newer", scene.later(2 * HOUR_MS)));
    assert_eq!(keys(&scene, until), [b"newer".to_vec(), b"new".to_vec()]);
    scene.world.pass(2 * HOUR_MS + 1);
    assert_eq!(keys(&scene, scene.world.now), [b"newer".to_vec()]);
    assert!(scene.region().charter().nodes().all(|(_, entry)| entry.retiring.is_none()));
    assert_eq!(scene.region().next_due(), None);
    scene.check();
}

#[test]
fn a_node_that_left_has_no_word_no_place_and_no_return() {
    let mut scene = Scene::empty();
    let node = NodeId::new(scene.code(ALXA), 2).unwrap();
    let mut entry = scene.region().charter().member(scene.code(ALXA)).unwrap().nodes[0].clone();
    (entry.node, entry.voter) = (node, false);
    scene.ratify(CharterChange::AddNode(entry.clone()));
    assert!(scene.region().group().contains(&GroupNode { node, voter: false }));
    assert_eq!(scene.region().signers(node, scene.world.now).len(), 1);
    let algorithm = entry.algorithm;
    let old_until = scene.later(DAY_MS);
    scene.ratify(CharterChange::RotateKey { node, algorithm, public_key: Bytes(b"k".to_vec()), old_until });
    scene.ratify(CharterChange::RemoveNode(node));
    assert!(scene.region().signers(node, scene.world.now).is_empty());
    assert!(scene.region().group().iter().all(|known| known.node != node));
    assert_eq!(scene.region().next_due(), None, "its key retires with it");
    let base_version = scene.region().charter().version;
    let again = R::ProposeChange { base_version, change: CharterChange::AddNode(entry) };
    assert_eq!(scene.ask(ALXA, again).unwrap_err().code(), "ALREADY_EXISTS");
}
