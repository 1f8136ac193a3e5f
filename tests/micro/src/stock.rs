//! A registry with a hundred lots, into and out of which its keeper moves goods; and one of a large depot.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::command::BATCH_COMMANDS_MAX;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{LotId, MunicipalityCode, RegionId, StoreId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::Record;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::resource::{ItemCode, Resource, Visibility};
use shouwang_domain::testing::{actor, founding, lot, municipality};
use shouwang_domain::time::Timestamp;
use shouwang_driver::Signer as _;

use crate::desk::{Desk, key_of};

const LOTS: u128 = 100;
const NOW: Timestamp = Timestamp(1_772_380_000_000);

fn wuhai() -> MunicipalityCode {
    municipality(150_300)
}

fn keeper() -> Actor {
    actor(wuhai(), Role::Keeper, 1)
}

/// The registry before its node.
pub(crate) fn desk() -> Desk<Registry> {
    let mut genesis = founding(wuhai(), "乌");
    genesis.nodes[0].public_key = Bytes(key_of(wuhai()).public_key());
    let record = Record::found(&genesis).expect("a valid founding document");
    let mut desk = Desk::new(record, NOW, wuhai());
    let store = StoreId::from_u128(1);
    let suits = Resource::Item(ItemCode::new(2_990_101).expect("seven digits"));
    let opening =
        RegistryCommand::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() };
    let lots = (1..=LOTS).map(|n| RegistryCommand::OpenLot {
        lot: LotId::from_u128(n),
        details: lot(wuhai(), store, &suits),
        qty: Qty(1000),
    });
    let said = [opening].into_iter().chain(lots).map(|command| (keeper(), command)).collect();
    desk.carry_out(said);
    desk
}

/// The registry of a large depot before its node: so many items of four lots each, all of them released to a region.
pub(crate) fn depot(items: usize, region: RegionId) -> Desk<Registry> {
    let mut desk = desk();
    let resource = |n: usize| {
        let code = u32::try_from(2_000_000 + n).expect("less than a million items");
        Resource::Item(ItemCode::new(code).expect("seven digits"))
    };
    let lots = (0..4 * items).map(|n| RegistryCommand::OpenLot {
        lot: LotId::from_u128(LOTS + 1 + n as u128),
        details: lot(wuhai(), StoreId::from_u128(1), &resource(n % items)),
        qty: Qty(1000),
    });
    let mut said: Vec<_> = lots.map(|command| (keeper(), command)).collect();
    let join = RegistryCommand::JoinRegion { region, name: "乌海应急联动区域".to_owned() };
    said.push((actor(wuhai(), Role::Admin, 1), join));
    let release = |n| RegistryCommand::SetVisibility { region, resource: resource(n), visibility: Visibility::Exact };
    said.extend((0..items).map(|n| (actor(wuhai(), Role::Leader, 1), release(n))));
    said.chunks(BATCH_COMMANDS_MAX).for_each(|part| drop(desk.carry_out(part.to_vec())));
    desk
}

/// So many movements: something comes in and something goes out, lot after lot.
pub(crate) fn movements(count: usize) -> Vec<(Actor, RegistryCommand)> {
    let movement = |n: usize| {
        let (lot, qty) = (LotId::from_u128(1 + n as u128 % LOTS), Qty(1));
        if n.is_multiple_of(2) {
            RegistryCommand::Receive { lot, qty, document: format!("入库单-2026-{n:04}") }
        } else {
            RegistryCommand::Issue { lot, qty, purpose: "园区值守自用".to_owned() }
        }
    };
    (0..count).map(|n| (keeper(), movement(n))).collect()
}
