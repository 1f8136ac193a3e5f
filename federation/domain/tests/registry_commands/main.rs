//! Every command of the registry: what it does for those who may, and each "no" it can give.

#[path = "../common/mod.rs"]
mod common;

mod movements;
mod promises;

use std::collections::{BTreeMap, BTreeSet};

use common::routing::{self, SENDS_UP};
use common::{
    ALXA, HELD, ORDOS, Scene, WUHAI, code_of, item, long, lot, mission, new_lot, pledge, request, store, suits,
    team_lot, text,
};
use movements::verify;
use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::adoption::Standing;
use shouwang_domain::channel::Answer;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{LotId, RegionId, StoreId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::registry::command::{Ahead, Offer, RIGHTS, RegistryCommand as C};
use shouwang_domain::registry::state::{Floors, LotDetails};
use shouwang_domain::resource::{Condition, Visibility, Warning};
use shouwang_domain::testing::actor;
use shouwang_domain::time::DAY_MS;

/// Who says what in which scene, and what comes of it (`ok` or the code of a refusal).
struct Case {
    what: &'static str,
    code: &'static str,
    on: fn() -> Scene,
    say: fn(&Scene) -> (usize, C),
}

const fn case(what: &'static str, code: &'static str, on: fn() -> Scene, say: fn(&Scene) -> (usize, C)) -> Case {
    Case { what, code, on, say }
}

fn nowhere() -> RegionId {
    Hash32::of(&[b"no such region"])
}

fn over() -> Qty {
    Qty(Qty::MAX.0 + 1)
}

fn restoration(scene: &Scene) -> C {
    let keeper = scene.registry(ALXA).genesis().nodes[0].clone();
    C::Restore {
        mark: Hash32::of(&[b"another disk"]),
        keeper,
        regions: Vec::new(),
        left: Vec::new(),
        reason: text("硬盘损坏"),
    }
}

fn word(scene: &Scene) -> C {
    let made = scene.registry(ALXA).pledges().next().expect("a pledge").1.made.clone();
    C::Adopt { region: scene.world.region_id(0), standing: Standing::Known(made) }
}

/// One of Alxa's suits came back damaged.
fn damaged() -> Scene {
    let mut scene = Scene::delivered();
    scene.must(ALXA, scene.take_back(1, Qty(5), Qty::ONE));
    scene.settled()
}

/// Alxa used 5 of its pledge while cut off.
fn overdrawn() -> Scene {
    let mut scene = Scene::asked();
    scene.must(ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(5), reason: text("断网自用") });
    scene.settled()
}

/// Alxa's team is pledged as 2 and on loan.
fn team_on_loan() -> Scene {
    let mut scene = Scene::asked();
    let (region, expires_at) = (scene.world.region_id(0), scene.later(DAY_MS));
    let (pledge, lot) = (pledge(2), team_lot(ALXA));
    scene.must(ALXA, C::Pledge { region, pledge, lot, qty: Qty::ONE, expires_at, cross_floor: None });
    scene.settled()
}

/// 8 suits came to Alxa to make up for those used; they wait for inspection in a lot of their own.
fn restocked() -> Scene {
    let mut scene = Scene::used();
    let details = scene.details(ALXA);
    scene.must(ALXA, C::ReceiveRestock { mission: mission(1), lot: new_lot(1), details, qty: Qty(8) });
    scene.settled()
}

/// The lot of the stock scene with something different about it.
fn odd_lot(change: fn(&mut LotDetails)) -> Scene {
    let mut scene = Scene::stocked();
    let mut details = scene.details(ALXA);
    change(&mut details);
    scene.must(ALXA, C::OpenLot { lot: new_lot(9), details, qty: Qty(10) });
    scene
}

fn open(scene: &Scene, change: fn(&mut LotDetails), qty: Qty) -> (usize, C) {
    let mut details = scene.details(ALXA);
    change(&mut details);
    (ALXA, C::OpenLot { lot: new_lot(1), details, qty })
}

fn pledging(scene: &Scene, change: fn(&mut C)) -> (usize, C) {
    let mut command = scene.pledge_suits(2, ALXA, Qty(10));
    change(&mut command);
    (ALXA, command)
}

fn asking(scene: &Scene, change: fn(&mut C)) -> (usize, C) {
    let mut command = scene.request_aid(2);
    change(&mut command);
    (WUHAI, command)
}

fn answering(scene: &Scene, change: fn(&mut C)) -> (usize, C) {
    let mut command = scene.answer(Answer::Accept { qty: Qty(10) });
    if let C::AnswerAid { offers, .. } = &mut command {
        offers.push(Offer { pledge: pledge(3), lot: lot(ALXA), qty: Qty(10) });
    }
    change(&mut command);
    (ALXA, command)
}

/// An emergency dispatch with something wrong about it.
fn ahead(scene: &Scene, member: usize, change: fn(&mut Ahead)) -> (usize, C) {
    let mut command = scene.dispatch_ahead(1, HELD);
    if let C::Dispatch { emergency: Some(ahead), .. } = &mut command {
        change(ahead);
    }
    (member, command)
}

fn receive(lot: LotId, qty: u64, document: &str) -> (usize, C) {
    (ALXA, C::Receive { lot, qty: Qty(qty), document: text(document) })
}
fn issue(lot: LotId, qty: u64, purpose: &str) -> (usize, C) {
    (ALXA, C::Issue { lot, qty: Qty(qty), purpose: text(purpose) })
}
fn scrap(lot: LotId, qty: u64, reason: &str) -> (usize, C) {
    (ALXA, C::Scrap { lot, qty: Qty(qty), reason: text(reason) })
}
fn count(lot: LotId, counted: Qty, reason: &str) -> (usize, C) {
    (ALXA, C::Count { lot, counted, reason: text(reason) })
}
/// Custody goods: what Wuhai received for mission 1.
fn in_custody(command: C) -> (usize, C) {
    (WUHAI, command)
}

#[rustfmt::skip]
const STOCK: &[Case] = &[
    case("a backup over what runs", "WRONG_STATE", Scene::empty, |s| (ALXA, restoration(s))),
    case("a region's word where none is waited for", "WRONG_STATE", Scene::asked, |s| (ALXA, word(s))),
    case("another store", "ok", Scene::empty, |_| (ALXA, C::AddStore { store: StoreId::from_u128(2), name: text("东库"), district: text("左旗") })),
    case("the same store again", "ok", Scene::empty, |_| (ALXA, C::AddStore { store: store(), name: text("中心库"), district: text("城区") })),
    case("the same store otherwise", "ALREADY_EXISTS", Scene::empty, |_| (ALXA, C::AddStore { store: store(), name: text("西库"), district: text("城区") })),
    case("a store without name", "INVALID_FIELD", Scene::empty, |_| (ALXA, C::AddStore { store: StoreId::from_u128(2), name: text(""), district: text("城区") })),
    case("a store without district", "INVALID_FIELD", Scene::empty, |_| (ALXA, C::AddStore { store: StoreId::from_u128(2), name: text("东库"), district: text("") })),
    case("a lot", "ok", Scene::stocked, |s| open(s, |_| {}, Qty(7))),
    case("the same lot again", "ok", Scene::stocked, |s| (ALXA, C::OpenLot { lot: lot(ALXA), details: s.details(ALXA), qty: Qty(100) })),
    case("the same lot otherwise", "ALREADY_EXISTS", Scene::stocked, |s| (ALXA, C::OpenLot { lot: lot(ALXA), details: s.team_details(ALXA), qty: Qty::ONE })),
    case("a lot of nothing", "QUANTITY_OUT_OF_RANGE", Scene::stocked, |s| open(s, |_| {}, Qty::ZERO)),
    case("a lot of too much", "QUANTITY_OUT_OF_RANGE", Scene::stocked, |s| open(s, |_| {}, over())),
    case("two of one team", "QUANTITY_OUT_OF_RANGE", Scene::stocked, |s| (ALXA, C::OpenLot { lot: new_lot(1), details: s.team_details(ALXA), qty: Qty(2) })),
    case("a lot without name", "INVALID_FIELD", Scene::stocked, |s| open(s, |d| d.name.clear(), Qty(7))),
    case("a lot with a line break in its unit", "INVALID_FIELD", Scene::stocked, |s| open(s, |d| d.unit.push('\n'), Qty(7))),
    case("a lot with an endless batch", "INVALID_FIELD", Scene::stocked, |s| open(s, |d| d.batch = long(), Qty(7))),
    case("a lot with an endless remark", "INVALID_FIELD", Scene::stocked, |s| open(s, |d| d.remark = long(), Qty(7))),
    case("a negative price", "INVALID_FIELD", Scene::stocked, |s| open(s, |d| d.unit_price = Some(Fen(-1)), Qty(7))),
    case("a lot in no store", "NOT_FOUND", Scene::stocked, |s| open(s, |d| d.store = StoreId::from_u128(9), Qty(7))),
    case("more", "ok", Scene::stocked, |_| receive(lot(ALXA), 5, "入库单")),
    case("more of nothing", "NOT_FOUND", Scene::stocked, |_| receive(new_lot(1), 5, "入库单")),
    case("nothing more", "QUANTITY_OUT_OF_RANGE", Scene::stocked, |_| receive(lot(ALXA), 0, "入库单")),
    case("more without a document", "INVALID_FIELD", Scene::stocked, |_| receive(lot(ALXA), 5, "")),
    case("a second of one team", "NOT_PLEDGEABLE", Scene::stocked, |_| receive(team_lot(ALXA), 1, "入库单")),
    case("more into custody", "NOT_PLEDGEABLE", Scene::delivered, |_| in_custody(receive(mission(1).custody_lot(), 5, "入库单").1)),
    case("own use", "ok", Scene::asked, |_| issue(lot(ALXA), 50, "自用")),
    case("own use of the pledged", "NOT_ENOUGH", Scene::asked, |_| issue(lot(ALXA), 51, "自用")),
    case("own use of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| issue(lot(ALXA), 0, "自用")),
    case("own use without purpose", "INVALID_FIELD", Scene::asked, |_| issue(lot(ALXA), 1, "")),
    case("own use of an unknown lot", "NOT_FOUND", Scene::asked, |_| issue(new_lot(1), 1, "自用")),
    case("own use of custody goods", "NOT_PLEDGEABLE", Scene::delivered, |_| in_custody(issue(mission(1).custody_lot(), 1, "自用").1)),
    case("scrapped, damaged first", "ok", damaged, |_| scrap(lot(ALXA), 2, "破损")),
    case("scrapping the pledged", "NOT_ENOUGH", Scene::asked, |_| scrap(lot(ALXA), 51, "破损")),
    case("scrapping nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| scrap(lot(ALXA), 0, "破损")),
    case("scrapping without reason", "INVALID_FIELD", Scene::asked, |_| scrap(lot(ALXA), 1, "")),
    case("scrapping an unknown lot", "NOT_FOUND", Scene::asked, |_| scrap(new_lot(1), 1, "破损")),
    case("scrapping custody goods", "NOT_PLEDGEABLE", Scene::delivered, |_| in_custody(scrap(mission(1).custody_lot(), 1, "破损").1)),
    case("counted less", "ok", Scene::asked, |_| count(lot(ALXA), Qty(48), "盘点")),
    case("counted more", "ok", Scene::asked, |_| count(lot(ALXA), Qty(52), "盘点")),
    case("counted nothing", "ok", Scene::asked, |_| count(lot(ALXA), Qty::ZERO, "盘点")),
    case("counted beyond reason", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| count(lot(ALXA), over(), "盘点")),
    case("counted without reason", "INVALID_FIELD", Scene::asked, |_| count(lot(ALXA), Qty(1), "")),
    case("counted an unknown lot", "NOT_FOUND", Scene::asked, |_| count(new_lot(1), Qty(1), "盘点")),
    case("counted one team twice", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| count(team_lot(ALXA), Qty(2), "盘点")),
    case("counted a team that is promised", "QUANTITY_OUT_OF_RANGE", team_on_loan, |_| count(team_lot(ALXA), Qty::ONE, "盘点")),
    case("counted custody goods", "NOT_PLEDGEABLE", Scene::delivered, |_| in_custody(count(mission(1).custody_lot(), Qty(1), "盘点").1)),
    case("inspected", "ok", Scene::stocked, |_| (ALXA, C::Inspect { lot: lot(ALXA), condition: Condition::UnderRepair })),
    case("inspected an unknown lot", "NOT_FOUND", Scene::stocked, |_| (ALXA, C::Inspect { lot: new_lot(1), condition: Condition::Usable })),
    case("restock released without verification", "WRONG_STATE", restocked, |_| (ALXA, C::Inspect { lot: new_lot(1), condition: Condition::Usable })),
    case("inspected custody goods", "NOT_PLEDGEABLE", Scene::delivered, |_| (WUHAI, C::Inspect { lot: mission(1).custody_lot(), condition: Condition::Usable })),
    case("repaired", "ok", damaged, |_| (ALXA, C::Repaired { lot: lot(ALXA), qty: Qty::ONE })),
    case("repaired more than is broken", "NOT_ENOUGH", damaged, |_| (ALXA, C::Repaired { lot: lot(ALXA), qty: Qty(2) })),
    case("repaired nothing", "QUANTITY_OUT_OF_RANGE", damaged, |_| (ALXA, C::Repaired { lot: lot(ALXA), qty: Qty::ZERO })),
    case("repaired an unknown lot", "NOT_FOUND", damaged, |_| (ALXA, C::Repaired { lot: new_lot(1), qty: Qty::ONE })),
    case("a word for a code", "ok", Scene::empty, |_| (ALXA, C::MapItem { local: text("重型防化服"), code: item(2_990_101) })),
    case("no word for a code", "INVALID_FIELD", Scene::empty, |_| (ALXA, C::MapItem { local: text(""), code: item(2_990_101) })),
    case("floors", "ok", Scene::empty, |_| (ALXA, C::SetFloors { resource: suits(), floors: Floors([Qty(9); 5]) })),
    case("a warning", "ok", Scene::empty, |_| (ALXA, C::SetWarning { warning: Warning::Orange })),
];

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [STOCK, promises::CASES, movements::HOLDER, movements::REQUESTER, movements::DEBTS].into_iter().flatten()
}

/// What only a registry restored from a backup does: `tests/restored.rs` plays it whole.
const RESTORED: [&str; 3] = ["restore", "adopt", "conclude_adoption"];

/// The second of a post: another person than the one who received the restock.
fn speak(scene: &mut Scene, member: usize, role: Role, command: C) -> Result<(), Refusal> {
    let by = actor(scene.code(member), role, if command.name() == "verify_restock" { 2 } else { 1 });
    scene.say_by(member, by, command)
}

/// The names of the messages a member has sent after `sent`.
fn sent_since(scene: &Scene, member: usize, sent: u64) -> BTreeSet<&'static str> {
    let region = scene.world.region_id(0);
    let registry = scene.registry(member);
    let up = registry.channel(region).expect("joined").up;
    (sent + 1..=up).map(|n| routing::up_name(registry.outgoing(region, n).expect("it waits"))).collect()
}

#[test]
fn every_command_does_what_it_says_or_says_why_not() {
    let mut sends: BTreeMap<&str, BTreeSet<&str>> =
        RIGHTS.iter().map(|right| (right.command, BTreeSet::new())).collect();
    let mut works = BTreeSet::new();
    for Case { what, code, on, say } in all_cases() {
        let mut scene = on();
        let (member, command) = say(&scene);
        let name = command.name();
        let before = scene.registry(member).digest();
        let sent = scene.registry(member).channel(scene.world.region_id(0)).expect("joined").up;
        let result = speak(&mut scene, member, routing::first_role(name), command);
        assert_eq!(code_of(&result), *code, "{name}: {what}: {result:?}");
        let messages = sent_since(&scene, member, sent);
        if result.is_ok() {
            works.insert(name);
            sends.get_mut(name).expect("a row in the rights table").extend(messages);
        } else {
            assert_eq!(scene.registry(member).digest(), before, "{name}: {what}: a refusal leaves nothing behind");
        }
        scene.check();
        scene.settle();
    }
    for (name, messages) in sends {
        if RESTORED.contains(&name) {
            continue;
        }
        assert!(works.contains(name), "{name} has no case in which it works");
        assert_eq!(messages, routing::leads_to(SENDS_UP, name).iter().copied().collect(), "{name} sends");
    }
}

#[test]
fn only_the_posts_of_the_rights_table_may() {
    let mut seen = BTreeSet::new();
    for Case { what, on, say, .. } in all_cases().filter(|case| case.code == "ok") {
        let scene = on();
        let (member, command) = say(&scene);
        let right = routing::right(command.name());
        seen.insert(right.command);
        for role in Role::ALL {
            let mut scene = scene.clone();
            let before = scene.registry(member).digest();
            let result = speak(&mut scene, member, role, command.clone());
            let expected = if right.roles.contains(&role) { "ok" } else { "ROLE_NOT_ALLOWED" };
            assert_eq!(code_of(&result), expected, "{}: {what}: {role:?}", right.command);
            assert!(scene.registry(member).digest() == before || result.is_ok());
        }
    }
    assert_eq!(seen.len() + RESTORED.len(), RIGHTS.len());
}

#[test]
fn nobody_else_speaks_to_a_registry() {
    for Case { what, on, say, .. } in all_cases().filter(|case| case.code == "ok") {
        let mut scene = on();
        let (member, command) = say(&scene);
        let name = command.name();
        let by = actor(scene.code(ORDOS), routing::first_role(name), 1);
        let before = scene.registry(member).digest();
        assert_eq!(code_of(&scene.say_by(member, by, command)), "NOT_YOURS", "{name}: {what}");
        assert_eq!(scene.registry(member).digest(), before);
    }
}

#[test]
fn who_received_restock_does_not_verify_it() {
    let mut scene = restocked();
    let by = |number| Actor { role: Role::Leader, ..actor(scene.code(ALXA), Role::Keeper, number) };
    let (receiver, other) = (by(1), by(2));
    assert_eq!(code_of(&scene.say_by(ALXA, receiver, verify(new_lot(1), 8, 0))), "SAME_PERSON", "in any post");
    assert_eq!(code_of(&scene.say_by(ALXA, other, verify(new_lot(1), 8, 0))), "ok");
    scene.settle();
}

#[test]
fn working_numbers_are_dense_per_kind_and_year() {
    let mut scene = Scene::stocked();
    let number = |scene: &Scene, n| scene.region().request(request(n)).expect("asked").made.number.clone();
    for n in 1..=3 {
        // A refused request takes no number.
        let refused = asking(&scene, |c| {
            if let C::RequestAid { place, .. } = c {
                place.clear();
            }
        })
        .1;
        scene.say(WUHAI, refused).unwrap_err();
        scene.must(WUHAI, scene.request_aid(n));
        scene.settle();
        assert_eq!(number(&scene, n), format!("乌-需-2026-{n:04}"));
    }
    scene.world.pass(306 * DAY_MS);
    scene.must(WUHAI, scene.request_aid(4));
    scene.settle();
    assert_eq!(number(&scene, 4), "乌-需-2027-0001", "Shanghai's new year");
}

#[test]
fn a_banded_figure_is_sent_again_only_when_its_band_changes() {
    let mut scene = Scene::stocked();
    let region = scene.world.region_id(0);
    let sent = |scene: &Scene| scene.registry(ALXA).channel(region).unwrap().up;
    scene.must(ALXA, C::SetVisibility { region, resource: suits(), visibility: Visibility::Banded });
    for (qty, news) in [(1, 1), (49, 0), (1, 1), (10, 0)] {
        let before = sent(&scene);
        scene.must(ALXA, issue(lot(ALXA), qty, "自用").1);
        scene.must(ALXA, C::RefreshPublication { region });
        scene.must(ALXA, C::RefreshPublication { region });
        let said = sent(&scene) - before;
        assert_eq!(said, news, "after {qty} more");
    }
    scene.must(ALXA, C::SetVisibility { region, resource: suits(), visibility: Visibility::Hidden });
    scene.settle();
    assert_eq!(scene.region().published().count(), 0, "hidden is withdrawn");
}
