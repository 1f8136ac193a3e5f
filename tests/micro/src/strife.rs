//! A region in which ten suits have left and eight arrived, and what the two sides make of it: the command that
//! `scripts/bench` gives as well.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::channel::{LineAsked, Priority};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{LotId, MissionId, PledgeId, RequestId, StoreId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::state::{DiscrepancyKind, Finding};
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::resource::{ItemCode, Resource};
use shouwang_domain::testing::{Named, Rng, World, actor, charter, lot, municipality};
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::Signer as _;

use crate::desk::{Desk, key_of, node_of};

/// Three of them speak.
const PARTIES: [u32; 3] = [150_300, 152_900, 640_200];
/// The first of those who only belong to it.
const FURTHER: u32 = 330_101;
/// 乌海 asks, 阿拉善 gives.
const ASKS: usize = 0;
const GIVES: usize = 1;
const SENT: Qty = Qty(10);
const ARRIVED: Qty = Qty(8);
/// Letters of what a side makes of it: 256 bytes that do not compress, as people may write them.
const LETTERS: usize = 342;

/// The mission that they differ about.
pub fn mission() -> MissionId {
    MissionId::from_u128(4)
}

/// A world of one region of so many members, whose nodes have keys that sign; the first of them vote.
fn world(members: usize, voters: usize) -> World {
    let mut world = World::new(&PARTIES, 0);
    let mut charter = charter("region", &world.parties, None);
    for code in (FURTHER..).map(municipality).take(members.saturating_sub(PARTIES.len())) {
        let mut further = charter.members[0].clone();
        (further.code, further.name, further.short) = (code, format!("市{code}"), code.to_string());
        further.nodes[0].node = node_of(code);
        charter.members.push(further);
    }
    for (place, member) in charter.members.iter_mut().enumerate() {
        member.nodes[0].public_key = Bytes(key_of(member.code).public_key());
        member.nodes[0].voter = place < voters;
    }
    let record = Record::<Region>::found(&charter).expect("a valid charter");
    let region = record.id();
    world.regions.push(Named { record, log: Vec::new(), checkpoint: None });
    for member in [ASKS, GIVES] {
        says(&mut world, member, Role::Admin, C::JoinRegion { region, name: "region".to_owned() });
    }
    world
}

fn says(world: &mut World, member: usize, role: Role, command: C) {
    let name = command.name();
    world.registry_command(member, role, command).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
}

fn asks(world: &mut World, role: Role, command: RegionCommand) {
    let (by, name) = (actor(world.parties[ASKS], role, 1), command.name());
    world.region_command(0, by, command).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
}

/// Ten suits leave 阿拉善, eight arrive in 乌海.
fn deliver_short(world: &mut World) {
    let (now, region) = (world.now, world.region_id(0));
    let suits = Resource::Item(ItemCode::new(2_990_101).expect("seven digits"));
    let (store, suits_lot) = (StoreId::from_u128(1), LotId::from_u128(1));
    let (request, pledge) = (RequestId::from_u128(2), PledgeId::from_u128(3));
    let expires_at = now.plus_ms(24 * HOUR_MS);
    for member in [ASKS, GIVES] {
        let opening = C::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() };
        says(world, member, Role::Keeper, opening);
    }
    let details = lot(world.parties[GIVES], store, &suits);
    says(world, GIVES, Role::Keeper, C::OpenLot { lot: suits_lot, details, qty: Qty(100) });
    let asking = C::RequestAid {
        region,
        request,
        subject: "氯气泄漏".to_owned(),
        place: "乌达工业园".to_owned(),
        priority: Priority::Immediate,
        needed_by: now.plus_ms(4 * HOUR_MS),
        expires_at,
        addressed: Vec::new(),
        lines: vec![LineAsked { resource: suits, name: "防护服".to_owned(), qty: SENT }],
        exercise: false,
    };
    says(world, ASKS, Role::Leader, asking);
    let giving = C::Pledge { region, pledge, lot: suits_lot, qty: Qty(50), expires_at, cross_floor: None };
    says(world, GIVES, Role::Leader, giving);
    world.settle();
    let (mission, number) = (mission(), "乌-调-2026-0001".to_owned());
    let hold = RegionCommand::Hold { mission, request, line: 1, pledge, qty: SENT, minutes: 60 };
    asks(world, Role::Coordinator, hold);
    asks(world, Role::Leader, RegionCommand::Order { mission, number, spoken: false });
    world.settle();
    let leaving = C::Dispatch { mission, qty: SENT, seal: "封-1".to_owned(), happened_at: now, emergency: None };
    says(world, GIVES, Role::Keeper, leaving);
    world.settle();
    let (good, damaged) = (ARRIVED, Qty::ZERO);
    let arriving = C::ReceiveDelivery { mission, store, good, damaged, happened_at: now, ahead: None };
    says(world, ASKS, Role::Keeper, arriving);
    world.settle();
}

/// A region of so many members, three at least, before the node of who asked.
pub fn desk(members: usize) -> Desk<Region> {
    desk_with(members, PARTIES.len())
}

/// As [`desk`], with so many voters.
pub fn desk_with(members: usize, voters: usize) -> Desk<Region> {
    let mut world = world(members, voters);
    deliver_short(&mut world);
    let record = world.regions.swap_remove(0).record;
    Desk::new(record, world.now, world.parties[ASKS])
}

/// So many findings of who asked, each in other words.
pub fn findings(count: usize, rng: &mut Rng) -> Vec<(Actor, RegionCommand)> {
    let code = municipality(PARTIES[ASKS]);
    let propose = |_| {
        let letter = |_| char::from(b'a' + u8::try_from(rng.below(26)).unwrap_or_default());
        let note = (0..LETTERS).map(letter).collect();
        let finding = Finding { charge_requester: Qty::ZERO, note };
        let discrepancy = (mission(), DiscrepancyKind::DeliveryShort);
        (actor(code, Role::Leader, 1), RegionCommand::ProposeFinding { discrepancy, finding })
    };
    (0..count).map(propose).collect()
}
