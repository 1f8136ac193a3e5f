//! Every command of the region and every message of a registry: what it does for those who may, and each "no".

#[path = "../common/mod.rs"]
mod common;

mod charter;
mod debts;
mod heads;
mod levels;
mod missions;

use std::collections::{BTreeMap, BTreeSet};

use charter::waiting;
use common::routing::{self, SENDS_DOWN};
use common::{
    ALXA, BAYANNUR, HELD, ORDOS, PARTIES, SUPERIOR, Scene, WUHAI, code_of, figure, mission, new_lot, pledge, request,
    text,
};
use debts::{accept_finding, claim, damage_proposed};
use shouwang_domain::actor::Role;
use shouwang_domain::adoption::{FIRST_LIFE_MAX, Life};
use shouwang_domain::channel::{RequestMade, UpEnvelope, UpMessage};
use shouwang_domain::charter::{CharterChange, MemberNode};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::command::{RIGHTS, RegionCommand as R};
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind as D};
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::testing::{actor, municipality};
use shouwang_domain::time::{DAY_MS, HOUR_MS};

/// Who asks what in which scene, and what comes of it (`ok` or the code of a refusal).
struct Case {
    what: &'static str,
    code: &'static str,
    on: fn() -> Scene,
    say: fn(&Scene) -> (usize, R),
}

const fn case(what: &'static str, code: &'static str, on: fn() -> Scene, say: fn(&Scene) -> (usize, R)) -> Case {
    Case { what, code, on, say }
}

fn wuhai() -> MunicipalityCode {
    municipality(PARTIES[WUHAI])
}

fn node(member: usize, number: u32) -> NodeId {
    NodeId::new(municipality(PARTIES[member]), number).expect("a node")
}

/// A learner of a member with a key like the first node's.
fn learner(scene: &Scene, member: usize, number: u32) -> MemberNode {
    let known = scene.region().charter().member(scene.code(member)).expect("a member");
    MemberNode { node: node(member, number), voter: false, ..known.nodes[0].clone() }
}

fn up(scene: &Scene, incarnation: u32, ahead: i64, message: UpMessage) -> R {
    let number = scene.region().channel(scene.code(ALXA)).up.checked_add_signed(ahead).expect("a number");
    R::Up(UpEnvelope { incarnation, number, message })
}
/// Alxa's last word was a figure of 7.
fn published() -> Scene {
    let mut scene = Scene::asked();
    scene.up(ALXA, figure(7)).expect("published");
    scene
}
fn ack(scene: &Scene, ahead: u64) -> R {
    R::AckDown { through: scene.region().channel(scene.code(ALXA)).down + ahead }
}

/// Alxa's registry says that it was restored.
fn life(scene: &Scene, ahead: u32) -> R {
    let incarnation = scene.region().channel(scene.code(ALXA)).incarnation + ahead;
    R::BeginLife(Life { incarnation, mark: Hash32::of(&[b"another disk"]) })
}

#[rustfmt::skip]
const CHANNEL: &[Case] = &[
    case("the next message", "ok", Scene::asked, |s| (ALXA, up(s, 1, 1, figure(7)))),
    case("the last message again", "ok", published, |s| (ALXA, up(s, 1, 0, figure(7)))),
    case("the last message otherwise", "CHANNEL_FORK", published, |s| (ALXA, up(s, 1, 0, figure(8)))),
    case("an older message", "CHANNEL_GAP", published, |s| (ALXA, up(s, 1, -1, figure(7)))),
    case("a message too far", "CHANNEL_GAP", published, |s| (ALXA, up(s, 1, 2, figure(7)))),
    case("another life of the registry", "WRONG_INCARNATION", published, |s| (ALXA, up(s, 2, 1, figure(7)))),
    case("the first word of no life", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, up(s, 0, 1, figure(7)))),
    case("the first word of a late life", "ok", Scene::empty, |s| (ALXA, up(s, FIRST_LIFE_MAX, 1, figure(7)))),
    case("no room for another", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, up(s, FIRST_LIFE_MAX + 1, 1, figure(7)))),
    case("the last number there is", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, up(s, u32::MAX, 1, figure(7)))),
    case("another life, announced", "ok", published, |s| (ALXA, life(s, 1))),
    case("no life before the first word", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, life(s, 0))),
    case("a late life before the first word", "ok", Scene::empty, |s| (ALXA, life(s, FIRST_LIFE_MAX))),
    case("a life without room", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, life(s, FIRST_LIFE_MAX + 1))),
    case("the last life there is", "WRONG_INCARNATION", Scene::empty, |s| (ALXA, life(s, u32::MAX))),
    case("a life too far", "WRONG_INCARNATION", published, |s| (ALXA, life(s, 2))),
    case("the life that speaks", "WRONG_INCARNATION", published, |s| (ALXA, life(s, 0))),
    case("all taken", "ok", published, |s| (ALXA, ack(s, 0))),
    case("taken what was never said", "CHANNEL_GAP", published, |s| (ALXA, ack(s, 1))),
];

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [charter::CASES, heads::CASES, levels::CASES, missions::CASES, debts::CASES, CHANNEL].into_iter().flatten()
}

/// Who confirms the paper is another person than who ordered.
fn speak(scene: &mut Scene, member: usize, role: Role, command: R) -> Result<(), Refusal> {
    let number = if command.name() == "confirm_paper" { 2 } else { 1 };
    scene.ask_by(actor(scene.code(member), role, number), command)
}

#[test]
fn every_command_does_what_it_says_or_says_why_not() {
    let mut sends: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Case { what, code, on, say } in all_cases() {
        let mut scene = on();
        let (member, command) = say(&scene);
        let name = command.name();
        let (before, sent) = (scene.region_digest(), scene.downs());
        let result = speak(&mut scene, member, routing::first_role(name), command);
        assert_eq!(code_of(&result), *code, "{name}: {what}: {result:?}");
        if result.is_ok() {
            sends.entry(name).or_default().extend(scene.sent_since(&sent));
        } else {
            assert_eq!(scene.region_digest(), before, "{name}: {what}: a refusal leaves nothing behind");
        }
        scene.check_region();
    }
    // A rescue never comes through the log, and is told in `record/rescue.rs`.
    for right in RIGHTS.iter().filter(|right| right.command != "rescue") {
        let messages = sends.remove(right.command).unwrap_or_else(|| panic!("{} has no case", right.command));
        let table = routing::leads_to(SENDS_DOWN, right.command).iter().copied().collect();
        assert_eq!(messages, table, "{} sends", right.command);
    }
}

#[test]
fn only_the_posts_of_the_rights_table_may() {
    for Case { what, on, say, .. } in all_cases().filter(|case| case.code == "ok") {
        let scene = on();
        let (member, command) = say(&scene);
        let right = routing::right(command.name());
        for role in Role::ALL {
            let mut scene = scene.clone();
            let before = scene.region_digest();
            let result = speak(&mut scene, member, role, command.clone());
            let expected = if right.roles.contains(&role) { "ok" } else { "ROLE_NOT_ALLOWED" };
            assert_eq!(code_of(&result), expected, "{}: {what}: {role:?}", right.command);
            assert!(result.is_ok() || scene.region_digest() == before);
        }
    }
}

/// Which of requester, hub and holder may: Wuhai asks and owes, Bayannur is the hub, Alxa holds and is owed.
const PARTY: &[(&str, &[usize])] = &[
    ("set_voter", &[BAYANNUR]),
    ("raise_level", &[BAYANNUR]),
    ("hold", &[WUHAI, BAYANNUR]),
    ("release_hold", &[WUHAI, BAYANNUR]),
    ("order", &[WUHAI]),
    ("confirm_paper", &[WUHAI]),
    ("cancel_mission", &[WUHAI, BAYANNUR]),
    ("relay_dispatch", &[WUHAI, BAYANNUR]),
    ("withdraw_line", &[WUHAI]),
    ("close_request", &[WUHAI]),
    ("propose_finding", &[WUHAI, ALXA]),
    ("claim", &[ALXA]),
    ("recognise", &[WUHAI]),
    ("dispute", &[WUHAI]),
    ("report_payment", &[WUHAI]),
    ("confirm_payment", &[ALXA]),
];

#[test]
fn only_the_party_that_it_belongs_to_may() {
    let mut seen = BTreeSet::new();
    for Case { what, on, say, .. } in all_cases().filter(|case| case.code == "ok") {
        let scene = on();
        let (_, command) = say(&scene);
        let name = command.name();
        let Some((_, parties)) = PARTY.iter().find(|(known, _)| *known == name) else { continue };
        seen.insert(name);
        let scene = scene.with_other_hub();
        for member in 0..PARTIES.len() {
            let mut scene = scene.clone();
            let result = speak(&mut scene, member, routing::first_role(name), command.clone());
            let expected = if parties.contains(&member) { "ok" } else { "NOT_YOURS" };
            assert_eq!(code_of(&result), expected, "{name}: {what}: {member}: {result:?}");
        }
    }
    // Proposals, signatures and heads belong to everybody, channels, levels and words to their own member; agreeing is told
    // below.
    let own = ["up", "ack_down", "begin_life", "announce_level", "mark_head", "countersign"];
    let elsewhere = ["rescue", "propose_change", "sign_change", "accept_finding"];
    assert_eq!(seen.len() + own.len() + elsewhere.len(), RIGHTS.len());
}

#[test]
fn a_finding_is_agreed_by_the_other_side_alone() {
    for member in 0..PARTIES.len() {
        let mut scene = damage_proposed();
        let result = scene.ask(member, accept_finding(D::ReturnDamaged, 1));
        assert_eq!(code_of(&result), if member == ALXA { "ok" } else { "NOT_YOURS" }, "{member}");
    }
}

#[test]
fn a_superior_reads_and_does_not_act_as_a_party() {
    let mut scene = Scene::asked().with_superior();
    let superior = municipality(SUPERIOR);
    let base_version = scene.region().charter().version;
    let change = CharterChange::Hub(scene.code(ORDOS));
    for (role, command) in [
        (Role::Leader, R::ProposeChange { base_version, change }),
        (Role::Leader, R::SignChange { change: waiting(&scene) }),
        (Role::Coordinator, Scene::hold(1, 1, Qty(1))),
        (Role::Admin, R::SetVoter { node: node(WUHAI, 1), voter: false }),
    ] {
        assert_eq!(
            code_of(&scene.ask_by(actor(superior, role, 1), command.clone())),
            "NOT_YOURS",
            "{}",
            command.name()
        );
    }
    let made = scene.region().request(request(1)).unwrap().made.clone();
    let message = UpMessage::Request(RequestMade { request: request(2), ..made });
    let envelope = R::Up(UpEnvelope { incarnation: 1, number: 1, message });
    scene.ask_by(actor(superior, Role::Node, 1), envelope).unwrap();
    assert!(scene.region().request(request(2)).is_none(), "taken, and refused");
}

#[test]
fn who_held_does_not_sign_and_who_signed_does_not_confirm() {
    let mut scene = Scene::asked();
    let leader = |number| actor(wuhai(), Role::Leader, number);
    scene.ask_by(leader(1), Scene::hold(1, 1, HELD)).unwrap();
    let spoken = R::Order { mission: mission(1), number: text("乌-调-2026-0001"), spoken: true };
    assert_eq!(code_of(&scene.ask_by(leader(1), spoken.clone())), "SAME_PERSON");
    scene.ask_by(leader(2), spoken).unwrap();
    let due = scene.mission(1).paper_due.expect("paper is owed");
    assert_eq!(due, scene.later(48 * HOUR_MS));
    let paper = R::ConfirmPaper { mission: mission(1) };
    assert_eq!(code_of(&scene.ask_by(leader(2), paper.clone())), "SAME_PERSON");
    scene.ask_by(leader(1), paper).unwrap();
    assert_eq!(scene.mission(1).paper_due, None);
    // The hub may hold for the requester; its leader is another person, though he bears the same pseudonym.
    let mut scene = Scene::asked().with_other_hub();
    scene.ask_by(actor(scene.code(BAYANNUR), Role::Leader, 1), Scene::hold(1, 1, HELD)).unwrap();
    scene.ask_by(leader(1), Scene::order(1)).unwrap();
}

/// Alxa keeps 40 suits that belong to another.
fn kept_for(owner: usize) -> Scene {
    let mut scene = Scene::stocked();
    let details = scene.details(owner);
    scene.must(ALXA, C::OpenLot { lot: new_lot(1), details, qty: Qty(40) });
    scene.must(WUHAI, scene.request_aid(1));
    let (region, expires_at) = (scene.world.region_id(0), scene.later(20 * DAY_MS));
    let (pledge, lot) = (pledge(1), new_lot(1));
    scene.must(ALXA, C::Pledge { region, pledge, lot, qty: Qty(40), expires_at, cross_floor: None });
    scene.settle();
    scene.must_ask(WUHAI, Scene::hold(1, 1, HELD));
    scene.must_ask(WUHAI, Scene::order(1));
    scene.settle();
    scene.must(ALXA, scene.dispatch(1, HELD));
    scene.settle();
    scene.must(WUHAI, scene.receive(1, HELD, Qty::ZERO));
    scene.must(WUHAI, scene.usage(1, 5, 0, 0));
    scene.settled()
}

#[test]
fn a_debt_for_a_depot_is_owed_to_its_owner_and_claimed_by_either() {
    for (member, code) in [(ORDOS, "ok"), (ALXA, "ok"), (BAYANNUR, "NOT_YOURS"), (WUHAI, "NOT_YOURS")] {
        let mut scene = kept_for(ORDOS);
        assert_eq!((scene.debt().creditor, scene.debt().holder), (scene.code(ORDOS), scene.code(ALXA)));
        assert_eq!(code_of(&scene.ask(member, Scene::claim())), code, "{member}");
        let service = claim(1, DebtKind::Service, 100, "服务单");
        assert_eq!(code_of(&scene.ask(member, service)), code, "{member}");
    }
}

#[test]
fn a_line_has_a_limit_of_missions() {
    let mut scene = Scene::asked();
    for n in 1..=1000 {
        scene.ask(WUHAI, Scene::hold(n, 1, Qty::ONE)).unwrap();
        scene.ask(WUHAI, R::ReleaseHold { mission: mission(n) }).unwrap();
    }
    assert_eq!(code_of(&scene.ask(WUHAI, Scene::hold(1001, 1, Qty::ONE))), "LIMIT_REACHED");
}
