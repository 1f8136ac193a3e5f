//! Plausible things that people do, drawn at random: most are legal, many are not, and none may break an invariant.

use super::world::{Rng, World, actor};
use crate::actor::Role;
use crate::channel::{Answer, LineAsked, Priority, Usage};
use crate::charter::Basis;
use crate::ids::{LotId, MissionId, PledgeId, RequestId, StoreId};
use crate::quantity::{Fen, Qty};
use crate::region::command::RegionCommand as R;
use crate::region::state::{DebtKind, Finding};
use crate::registry::command::{Ahead, Offer, RegistryCommand as C};
use crate::registry::state::{Floors, Holding, LotDetails};
use crate::resource::{Condition, ItemCode, Resource, StockClass, UnitKind, Visibility, Warning};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// The goods of the random world.
fn item() -> Resource {
    Resource::Item(ItemCode::new(2_990_101).expect("a code of the right shape"))
}

/// The team of the random world.
fn team() -> Resource {
    Resource::Team(UnitKind::new("hazmat").expect("a slug"))
}

/// Does one thing somewhere. Refusals are part of life.
pub fn random_step(world: &mut World, rng: &mut Rng) {
    let member = rng.below(world.parties.len() as u64) as usize;
    let region = rng.below(world.regions.len() as u64) as usize;
    match rng.below(100) {
        0..10 => stock(world, rng, member, region),
        10..20 => pledge(world, rng, member, region),
        20..26 => request(world, rng, member, region),
        26..32 => answer(world, rng, member, region),
        32..44 => hold(world, rng, region),
        44..52 => order_or_cancel(world, rng, region),
        52..80 => move_goods(world, rng, member),
        80..86 => settle_debt(world, rng, region),
        86..90 => settle_discrepancy(world, rng, region),
        90..93 => {
            let ms = [MINUTE_MS, 30 * MINUTE_MS, 5 * HOUR_MS, DAY_MS][rng.below(4) as usize];
            world.pass(ms);
        }
        93..96 => world.cut[member] = !world.cut[member],
        96..98 => world.registries[member].checkpoint(),
        98 => world.registries[member].restart(),
        _ => {
            world.regions[region].restart();
            world.regions[region].checkpoint();
        }
    }
    world.carry(Some(rng));
}

fn role(rng: &mut Rng, right: Role) -> Role {
    if rng.chance(95) { right } else { Role::ALL[rng.below(8) as usize] }
}

fn own(world: &mut World, member: usize, role: Role, command: C) {
    let _ = world.registry_command(member, role, command);
}

fn stock(world: &mut World, rng: &mut Rng, member: usize, region: usize) {
    let store = StoreId::from_u128(1);
    own(world, member, Role::Keeper, C::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() });
    let lots: Vec<LotId> = world.registry(member).lots().map(|(id, _)| *id).collect();
    let lot = rng.pick(&lots).copied();
    let qty = Qty(1 + rng.below(20));
    let command = match (rng.below(10), lot) {
        (0, Some(lot)) => C::Receive { lot, qty, document: "入库".to_owned() },
        (1, Some(lot)) => C::Issue { lot, qty, purpose: "自用".to_owned() },
        (2, Some(lot)) => C::Scrap { lot, qty, reason: "破损".to_owned() },
        (3, Some(lot)) => C::Count { lot, counted: qty, reason: "盘点".to_owned() },
        (4, Some(lot)) => {
            C::Inspect { lot, condition: [Condition::Usable, Condition::UnderRepair][rng.below(2) as usize] }
        }
        (5, Some(lot)) => C::Repaired { lot, qty },
        (6, _) => C::SetFloors { resource: item(), floors: Floors([0, 2, 4, 8, 16].map(Qty)) },
        (7, _) => C::SetWarning { warning: [Warning::None, Warning::Red][rng.below(2) as usize] },
        (8, _) => C::SetVisibility {
            region: world.region_id(region),
            resource: item(),
            visibility: [Visibility::Exact, Visibility::Banded][rng.below(2) as usize],
        },
        _ => open_lot(world, rng, store),
    };
    own(world, member, Role::Keeper, command.clone());
    own(world, member, Role::Leader, command);
    own(world, member, Role::Node, C::RefreshPublication { region: world.region_id(region) });
}

fn open_lot(world: &World, rng: &mut Rng, store: StoreId) -> C {
    let unit = rng.chance(30);
    let expires = rng.chance(50).then(|| world.now.plus_ms(i64::from(rng.below(30) as u32) * DAY_MS).shanghai_date());
    let details = LotDetails {
        holding: Holding::from(&if unit { team() } else { item() }),
        name: "防护服".to_owned(),
        unit: "套".to_owned(),
        store,
        owner: world.parties[if rng.chance(80) { 1 } else { 0 }],
        class: StockClass::Government,
        condition: Condition::Usable,
        batch: String::new(),
        expires,
        unit_price: Some(Fen(380_000)),
        size: 0,
        endurance_hours: 0,
        remark: String::new(),
        exercise: rng.chance(10),
    };
    let qty = if unit { Qty::ONE } else { Qty(1 + rng.below(60)) };
    C::OpenLot { lot: LotId(rng.uuid()), details, qty }
}

fn pledge(world: &mut World, rng: &mut Rng, member: usize, region: usize) {
    let lots: Vec<LotId> = world.registry(member).lots().map(|(id, _)| *id).collect();
    let pledges: Vec<PledgeId> = world.registry(member).pledges().map(|(id, _)| *id).collect();
    let qty = Qty(1 + rng.below(30));
    let reason = "险情危及生命".to_owned();
    let command = match (rng.below(8), rng.pick(&pledges).copied(), rng.pick(&lots).copied()) {
        (0, Some(pledge), _) => C::WithdrawPledge { pledge, qty, reason },
        (1, Some(pledge), _) => C::BreakGlass { pledge, qty: Qty(1 + rng.below(5)), reason },
        (2, Some(pledge), _) => C::CoverOverdraft { pledge, qty: Qty(1 + rng.below(5)) },
        (_, _, Some(lot)) => C::Pledge {
            region: world.region_id(region),
            pledge: PledgeId(rng.uuid()),
            lot,
            qty: if rng.chance(40) { Qty::ONE } else { qty },
            expires_at: world.now.plus_ms(HOUR_MS + rng.below(20 * DAY_MS as u64) as i64),
            cross_floor: rng.chance(50).then(|| "签发领导同意".to_owned()),
        },
        _ => return,
    };
    let role = role(rng, Role::Leader);
    own(world, member, role, command);
}

fn request(world: &mut World, rng: &mut Rng, member: usize, region: usize) {
    let line = |resource, qty| LineAsked { resource, name: "需求".to_owned(), qty };
    let command = C::RequestAid {
        region: world.region_id(region),
        request: RequestId(rng.uuid()),
        subject: "氯气泄漏".to_owned(),
        place: "乌达工业园".to_owned(),
        priority: Priority::Immediate,
        needed_by: world.now.plus_ms(4 * HOUR_MS),
        expires_at: world.now.plus_ms(HOUR_MS + rng.below(10 * DAY_MS as u64) as i64),
        addressed: Vec::new(),
        lines: vec![line(item(), Qty(1 + rng.below(60))), line(team(), Qty(1 + rng.below(2)))],
        exercise: rng.chance(10),
    };
    own(world, member, Role::Leader, command);
}

fn answer(world: &mut World, rng: &mut Rng, member: usize, region: usize) {
    let requests: Vec<RequestId> = world.region(region).requests().map(|(id, _)| *id).collect();
    let lots: Vec<LotId> = world.registry(member).lots().map(|(id, _)| *id).collect();
    let (Some(request), Some(lot)) = (rng.pick(&requests).copied(), rng.pick(&lots).copied()) else { return };
    let qty = Qty(1 + rng.below(20));
    let line = 1 + rng.below(2) as u16;
    let accept = rng.chance(60);
    let command = C::AnswerAid {
        region: world.region_id(region),
        request,
        line,
        answer: if accept { Answer::Accept { qty } } else { Answer::Decline { reason: "本地预警".to_owned() } },
        cost: Fen(0),
        eta: None,
        offers: accept.then(|| Offer { pledge: PledgeId(rng.uuid()), lot, qty }).into_iter().collect(),
        expires_at: world.now.plus_ms(DAY_MS),
        cross_floor: None,
    };
    own(world, member, Role::Leader, command);
}

fn hold(world: &mut World, rng: &mut Rng, region: usize) {
    let requests: Vec<_> = world.region(region).requests().map(|(id, request)| (*id, request.requester)).collect();
    let pledges: Vec<PledgeId> = world.region(region).pledges().map(|(id, _)| *id).collect();
    let (Some((request, requester)), Some(pledge)) = (rng.pick(&requests).copied(), rng.pick(&pledges).copied()) else {
        return;
    };
    let matching = world.region(region).pledge(pledge).map(|pledge| pledge.made.resource == item());
    let line = if rng.chance(90) { if matching == Some(true) { 1 } else { 2 } } else { 1 + rng.below(3) as u16 };
    let by = if rng.chance(70) { requester } else { world.parties[0] };
    let qty = if line == 2 { Qty::ONE } else { Qty(1 + rng.below(30)) };
    let mission = MissionId(rng.uuid());
    let hold = R::Hold { mission, request, line, pledge, qty, minutes: 1 + rng.below(120) as u32 };
    if world.region_command(region, actor(by, Role::Coordinator, 1), hold).is_ok() && rng.chance(70) {
        let order = R::Order { mission, number: "甲-调-2026-0001".to_owned(), spoken: rng.chance(20) };
        let _ = world.region_command(region, actor(requester, Role::Leader, 1), order);
    }
}

fn any_mission(world: &World, rng: &mut Rng, region: usize) -> Option<(MissionId, crate::channel::MissionNotice)> {
    let missions: Vec<_> = world.region(region).missions().map(|(id, m)| (*id, m.notice.clone())).collect();
    rng.pick(&missions).cloned()
}

fn order_or_cancel(world: &mut World, rng: &mut Rng, region: usize) {
    let Some((mission, notice)) = any_mission(world, rng, region) else { return };
    let reason = "情况变化".to_owned();
    let number = "甲-调-2026-0002".to_owned();
    let command = match rng.below(8) {
        0 => R::ReleaseHold { mission },
        1 | 2 => R::Order { mission, number, spoken: false },
        3 | 4 => R::CancelMission { mission, reason },
        5 => R::ConfirmPaper { mission },
        6 => R::RelayDispatch { mission, spoken_code: mission.spoken_code(), qty: notice.qty },
        _ if rng.chance(50) => R::WithdrawLine { request: notice.request, line: notice.line },
        _ => R::CloseRequest { request: notice.request },
    };
    let by = actor(notice.requester, if rng.chance(50) { Role::Leader } else { Role::Coordinator }, 2);
    let _ = world.region_command(region, by, command);
}

fn move_goods(world: &mut World, rng: &mut Rng, member: usize) {
    let store = StoreId::from_u128(1);
    let missions: Vec<_> = world.registry(member).missions().map(|(id, m)| (*id, m.clone())).collect();
    let at = world.now;
    let Some((mission, known)) = rng.pick(&missions).cloned() else {
        emergency(world, rng, member);
        return;
    };
    let full = if rng.chance(80) { known.notice.qty } else { Qty(1 + rng.below(known.notice.qty.0 + 2)) };
    let reason = "现场危险".to_owned();
    let command = match rng.below(24) {
        0 => C::Revoke { mission, reason },
        1 | 2 => C::AcknowledgeCancel { mission },
        3 => C::Pick { mission },
        4..9 => C::Dispatch { mission, qty: full, seal: "封-1".to_owned(), happened_at: at, emergency: None },
        9 => C::HandOver { mission, qty: full, happened_at: at },
        10 => C::TurnBack { mission, qty: known.turned_back + Qty(1 + rng.below(3)), happened_at: at },
        11 | 12 => {
            let good = known.returned_good + Qty(rng.below(known.notice.qty.0 + 1));
            C::TakeBack { mission, good, damaged: known.returned_damaged + Qty(rng.below(2)), happened_at: at }
        }
        13..18 => {
            let damaged = if rng.chance(20) { Qty::ONE } else { Qty::ZERO };
            let good = full.saturating_sub(damaged);
            C::ReceiveDelivery { mission, store, good, damaged, happened_at: at, ahead: None }
        }
        18..21 => {
            let mut usage: Usage = known.usage;
            usage.consumed += Qty(rng.below(known.notice.qty.0 + 1));
            usage.damaged += Qty(rng.below(2));
            C::ReportUsage { mission, usage, happened_at: at }
        }
        21 => C::Demobilise { mission, happened_at: at },
        22 => C::SendReturn { mission, total: known.return_sent + Qty(1 + rng.below(20)), happened_at: at },
        _ => {
            emergency(world, rng, member);
            return;
        }
    };
    let leader = matches!(command, C::Revoke { .. });
    own(world, member, if leader { Role::Leader } else { Role::Keeper }, command);
}

/// Goods leave or arrive on the strength of a telephone call.
fn emergency(world: &mut World, rng: &mut Rng, member: usize) {
    let region = rng.below(world.regions.len() as u64) as usize;
    let Some((mission, notice)) = any_mission(world, rng, region) else { return };
    let ahead = Box::new(Ahead {
        region: world.region_id(region),
        notice: notice.clone(),
        spoken_code: mission.spoken_code(),
        reason: "断网".to_owned(),
    });
    let (qty, at) = (notice.qty, world.now);
    let command = if notice.holder == world.parties[member] {
        C::Dispatch { mission, qty, seal: "封-2".to_owned(), happened_at: at, emergency: Some(ahead) }
    } else {
        let store = StoreId::from_u128(1);
        C::ReceiveDelivery { mission, store, good: qty, damaged: Qty::ZERO, happened_at: at, ahead: Some(ahead) }
    };
    own(world, member, Role::Keeper, command);
}

fn settle_debt(world: &mut World, rng: &mut Rng, region: usize) {
    let debts: Vec<_> = world.region(region).obligations().map(|(key, debt)| (*key, debt.clone())).collect();
    let Some(((mission, kind), debt)) = rng.pick(&debts).cloned() else {
        if let Some((mission, notice)) = any_mission(world, rng, region) {
            let claim =
                R::Claim { mission, kind: DebtKind::Service, amount: Fen(10_000), evidence: "工时单".to_owned() };
            let _ = world.region_command(region, actor(notice.holder, Role::Leader, 1), claim);
        }
        return;
    };
    let evidence = "凭证-1".to_owned();
    let (by, command) = match rng.below(7) {
        0 | 1 => (debt.creditor, R::Claim { mission, kind, amount: Fen(1), evidence }),
        2 | 3 => {
            let in_money = rng.chance(20);
            (debt.debtor, R::Recognise { mission, kind, basis: Basis::Restock, in_money })
        }
        4 => (debt.debtor, R::Dispute { mission, kind, reason: "数量有异议".to_owned() }),
        5 => (debt.debtor, R::ReportPayment { mission, kind, evidence }),
        _ => (debt.creditor, R::ConfirmPayment { mission, kind, received: rng.chance(70) }),
    };
    let _ = world.region_command(region, actor(by, Role::Leader, 3), command);
    restock(world, rng, mission, &debt);
}

fn restock(world: &mut World, rng: &mut Rng, mission: MissionId, debt: &crate::region::state::Obligation) {
    let Some(member) = world.parties.iter().position(|code| *code == debt.holder) else { return };
    let store = StoreId::from_u128(1);
    let lot = LotId(rng.uuid());
    let C::OpenLot { mut details, .. } = open_lot(world, rng, store) else { return };
    details.holding = Holding::from(&item());
    let qty = Qty(1 + rng.below(debt.qty.0 + 1));
    own(world, member, Role::Keeper, C::ReceiveRestock { mission, lot, details, qty });
    let rejected = if rng.chance(20) { Qty::ONE } else { Qty::ZERO };
    let verify = C::VerifyRestock { lot, accepted: qty.saturating_sub(rejected), rejected };
    let by = actor(world.parties[member], Role::Keeper, 2);
    let _ = world.registry_command_by(member, by, verify);
}

fn settle_discrepancy(world: &mut World, rng: &mut Rng, region: usize) {
    let open: Vec<_> = world.region(region).discrepancies().map(|(key, d)| (*key, d.clone())).collect();
    let Some((discrepancy, known)) = rng.pick(&open).cloned() else { return };
    let notice = world.region(region).mission(discrepancy.0).map(|mission| mission.notice.clone());
    let (one, other) = notice.map_or((known.reported_by, world.parties[0]), |n| (n.holder, n.requester));
    let charge_requester = if discrepancy.1.needs_finding() { Qty(rng.below(known.qty.0 + 1)) } else { Qty::ZERO };
    let finding = Finding { charge_requester, note: "双方核对".to_owned() };
    let propose = R::ProposeFinding { discrepancy, finding: finding.clone() };
    let _ = world.region_command(region, actor(one, Role::Leader, 1), propose);
    if rng.chance(80) {
        let accept = R::AcceptFinding { discrepancy, finding };
        let _ = world.region_command(region, actor(other, Role::Leader, 1), accept);
    }
}
