//! What people do with the two records: real commands, in one order, each with an id of its own.

use shouwang_domain::actor::Role;
use shouwang_domain::channel::{Answer, LineAsked, Priority};
use shouwang_domain::charter::{CharterChange, Rules};
use shouwang_domain::ids::{LotId, PledgeId, RegionId, RequestId, StoreId};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::{Floors, Holding, LotDetails, NumberKind};
use shouwang_domain::resource::{Condition, ItemCode, Resource, UnitKind, Visibility, Warning};
use shouwang_domain::testing;
use shouwang_domain::time::{DAY_MS, HOUR_MS};

use crate::node::{START, wuhai};

/// One thing that is done.
#[derive(Clone, Debug)]
pub enum Act {
    /// Somebody speaks to his own registry.
    Own(Role, C),
    /// Somebody asks the region.
    Shared(Role, R),
    /// The courier carries what there is, both ways, until nothing is left.
    Carry,
    /// The registry writes a checkpoint.
    RegistryCheckpoint,
    /// The region writes a checkpoint.
    RegionCheckpoint,
    /// Space of dropped log entries is given back.
    Purge,
}

fn text(words: &str) -> String {
    words.to_owned()
}

/// Protective suits.
pub(crate) fn suits() -> Resource {
    Resource::Item(ItemCode::new(2_990_101).expect("seven digits"))
}

fn store(n: u128) -> StoreId {
    StoreId::from_u128(n)
}

fn lot(n: u128) -> LotId {
    LotId::from_u128(1000 + n)
}

fn pledge(n: u128) -> PledgeId {
    PledgeId::from_u128(4000 + n)
}

fn details(holding: Holding, name: &str) -> LotDetails {
    let expires = Some(START.plus_ms(400 * DAY_MS).shanghai_date());
    LotDetails {
        holding,
        name: text(name),
        batch: text("2025-07"),
        expires,
        ..testing::lot(wuhai(), store(1), &suits())
    }
}

fn keep(command: C) -> Act {
    Act::Own(Role::Keeper, command)
}

fn lead(command: C) -> Act {
    Act::Own(Role::Leader, command)
}

/// The books are opened.
fn opening() -> Vec<Act> {
    let team = details(Holding::Team(UnitKind::new("hazmat").expect("a slug")), "危化品救援队");
    let team = LotDetails { size: 12, endurance_hours: 8, expires: None, unit: text("支"), ..team };
    vec![
        keep(C::AddStore { store: store(1), name: text("中心库"), district: text("海勃湾区") }),
        keep(C::AddStore { store: store(2), name: text("乌达库"), district: text("乌达区") }),
        keep(C::OpenLot {
            lot: lot(1), details: details(Holding::from(&suits()), "气密型化学防护服"), qty: Qty(60)
        }),
        keep(C::OpenLot {
            lot: lot(2),
            details: details(Holding::Local(text("堵漏器材")), "带压堵漏器材"),
            qty: Qty(4),
        }),
        keep(C::OpenLot { lot: lot(3), details: team, qty: Qty::ONE }),
        keep(C::MapItem { local: text("堵漏器材"), code: ItemCode::new(2_050_101).expect("seven digits") }),
        keep(C::Receive { lot: lot(1), qty: Qty(20), document: text("入库单-7") }),
        keep(C::Issue { lot: lot(1), qty: Qty(3), purpose: text("训练") }),
        // Refused, and recorded as such.
        keep(C::Issue { lot: lot(2), qty: Qty(500), purpose: text("超出库存") }),
        keep(C::Count { lot: lot(1), counted: Qty(76), reason: text("盘点") }),
        lead(C::SetFloors { resource: suits(), floors: Floors([10, 15, 20, 30, 40].map(Qty)) }),
        Act::RegistryCheckpoint,
    ]
}

/// The registry meets its region.
fn joining(region: RegionId) -> Vec<Act> {
    vec![
        Act::Own(Role::Admin, C::JoinRegion { region, name: text("乌海区域") }),
        lead(C::SetVisibility { region, resource: suits(), visibility: Visibility::Exact }),
        Act::Own(Role::Node, C::RefreshPublication { region }),
        Act::Carry,
        lead(C::Pledge {
            region,
            pledge: pledge(1),
            lot: lot(1),
            qty: Qty(30),
            expires_at: START.plus_ms(20 * DAY_MS),
            cross_floor: None,
        }),
        Act::Carry,
        lead(C::WithdrawPledge { pledge: pledge(1), qty: Qty(5), reason: text("本地需要") }),
        Act::Carry,
        Act::RegionCheckpoint,
        lead(C::BreakGlass { pledge: pledge(1), qty: Qty(2), reason: text("险情危及生命") }),
        Act::Carry,
        Act::Purge,
    ]
}

/// A request nobody can meet, and a rule that is changed.
fn asking(region: RegionId) -> Vec<Act> {
    let request = RequestId::from_u128(5001);
    let line = LineAsked { resource: suits(), name: text("防护服"), qty: Qty(60) };
    let rules = Rules { hold_minutes_max: 90, ..Rules::default() };
    vec![
        lead(C::CoverOverdraft { pledge: pledge(1), qty: Qty(2) }),
        Act::Own(Role::Duty, C::AllocateNumber { kind: NumberKind::Request }),
        lead(C::RequestAid {
            region,
            request,
            subject: text("氯气泄漏"),
            place: text("乌达工业园"),
            priority: Priority::Immediate,
            needed_by: START.plus_ms(4 * HOUR_MS),
            expires_at: START.plus_ms(10 * DAY_MS),
            addressed: Vec::new(),
            lines: vec![line],
            exercise: false,
        }),
        Act::Carry,
        lead(C::AnswerAid {
            region,
            request,
            line: 1,
            answer: Answer::Decline { reason: text("本地预警") },
            cost: Fen(0),
            eta: None,
            offers: Vec::new(),
            expires_at: START.plus_ms(DAY_MS),
            cross_floor: None,
        }),
        Act::Carry,
        Act::Shared(Role::Leader, R::ProposeChange { base_version: 1, change: CharterChange::Rules(rules) }),
        Act::Shared(Role::Coordinator, R::WithdrawLine { request, line: 1 }),
        Act::Shared(Role::Leader, R::WithdrawLine { request, line: 1 }),
        Act::Carry,
        Act::RegionCheckpoint,
    ]
}

/// An ordinary day afterwards.
fn afterwards(region: RegionId) -> Vec<Act> {
    vec![
        keep(C::Inspect { lot: lot(2), condition: Condition::UnderRepair }),
        keep(C::Scrap { lot: lot(1), qty: Qty(2), reason: text("破损") }),
        lead(C::SetWarning { warning: Warning::Orange }),
        Act::Purge,
        Act::Own(Role::Node, C::RefreshPublication { region }),
        Act::Carry,
        keep(C::Inspect { lot: lot(2), condition: Condition::Usable }),
        Act::RegistryCheckpoint,
        keep(C::Receive { lot: lot(2), qty: Qty(6), document: text("入库单-8") }),
        keep(C::Count { lot: lot(2), counted: Qty(9), reason: text("盘点") }),
        lead(C::SetWarning { warning: Warning::None }),
    ]
}

/// The whole script.
pub fn acts(region: RegionId) -> Vec<Act> {
    [opening(), joining(region), asking(region), afterwards(region)].concat()
}
