//! Goods on their way, in custody, and restocked.

use super::{Case, ahead, case, damaged, nowhere, restocked};
use crate::common::{ALXA, HELD, ORDOS, Scene, WUHAI, item, lot, mission, new_lot, pledge, store, team_lot, text};
use shouwang_domain::actor::Role;
use shouwang_domain::channel::DownMessage;
use shouwang_domain::courier;
use shouwang_domain::ids::{LotId, RegionId, StoreId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::lifecycle::MissionState as M;
use shouwang_domain::registry::command::{Ahead, RegistryCommand as C};
use shouwang_domain::registry::state::{Holding, LotDetails};
use shouwang_domain::testing::actor;
use shouwang_domain::time::Date;

fn cancelling() -> Scene {
    Scene::reach(M::Cancelling).settled()
}
fn cancelled() -> Scene {
    Scene::reach(M::Cancelled)
}
fn revoke(m: u128) -> C {
    C::Revoke { mission: mission(m), reason: text("本地险情") }
}

#[rustfmt::skip]
pub const HOLDER: &[Case] = &[
    case("revoked", "ok", Scene::committed, |_| (ALXA, revoke(1))),
    case("revoked without reason", "INVALID_FIELD", Scene::committed, |_| (ALXA, C::Revoke { mission: mission(1), reason: text("") })),
    case("revoked by the requester", "NOT_YOURS", Scene::committed, |_| (WUHAI, revoke(1))),
    case("revoked nothing", "NOT_FOUND", Scene::committed, |_| (ALXA, revoke(9))),
    case("revoked after departure", "WRONG_STATE", Scene::dispatched, |_| (ALXA, revoke(1))),
    case("revoked after the end", "WRONG_STATE", cancelled, |_| (ALXA, revoke(1))),
    case("nothing left", "ok", cancelling, |_| (ALXA, C::AcknowledgeCancel { mission: mission(1) })),
    case("nothing left, unasked", "WRONG_STATE", Scene::committed, |_| (ALXA, C::AcknowledgeCancel { mission: mission(1) })),
    case("nothing left, twice", "WRONG_STATE", cancelled, |_| (ALXA, C::AcknowledgeCancel { mission: mission(1) })),
    case("nothing left, after departure", "WRONG_STATE", Scene::dispatched, |_| (ALXA, C::AcknowledgeCancel { mission: mission(1) })),
    case("nothing left, says the requester", "NOT_YOURS", cancelling, |_| (WUHAI, C::AcknowledgeCancel { mission: mission(1) })),
    case("nothing left of nothing", "NOT_FOUND", cancelling, |_| (ALXA, C::AcknowledgeCancel { mission: mission(9) })),
    case("picking", "ok", Scene::committed, |_| (ALXA, C::Pick { mission: mission(1) })),
    case("picking before the commitment is seen", "NOT_FOUND", Scene::ordered, |_| (ALXA, C::Pick { mission: mission(1) })),
    case("picking what is cancelled", "WRONG_STATE", cancelling, |_| (ALXA, C::Pick { mission: mission(1) })),
    case("picking what is over", "WRONG_STATE", cancelled, |_| (ALXA, C::Pick { mission: mission(1) })),
    case("picking what has left", "WRONG_STATE", Scene::dispatched, |_| (ALXA, C::Pick { mission: mission(1) })),
    case("picking by the requester", "NOT_YOURS", Scene::committed, |_| (WUHAI, C::Pick { mission: mission(1) })),
    case("dispatched", "ok", Scene::committed, |s| (ALXA, s.dispatch(1, HELD))),
    case("dispatched in part", "ok", Scene::committed, |s| (ALXA, s.dispatch(1, Qty(7)))),
    case("dispatched before the commitment is seen", "NOT_FOUND", Scene::ordered, |s| (ALXA, s.dispatch(1, HELD))),
    case("dispatched too much", "NOT_ENOUGH", Scene::committed, |s| (ALXA, s.dispatch(1, Qty(21)))),
    case("dispatched nothing", "QUANTITY_OUT_OF_RANGE", Scene::committed, |s| (ALXA, s.dispatch(1, Qty::ZERO))),
    case("dispatched without seal", "INVALID_FIELD", Scene::committed, |s| (ALXA, C::Dispatch { mission: mission(1), qty: HELD, seal: text(""), happened_at: s.world.now, emergency: None })),
    case("dispatched by the requester", "NOT_YOURS", Scene::committed, |s| (WUHAI, s.dispatch(1, HELD))),
    case("dispatched twice", "WRONG_STATE", Scene::dispatched, |s| (ALXA, s.dispatch(1, HELD))),
    case("dispatched though cancelled", "WRONG_STATE", cancelling, |s| (ALXA, s.dispatch(1, HELD))),
    case("dispatched by telephone", "ok", Scene::ordered, |s| ahead(s, ALXA, |_| {})),
    case("dispatched by telephone though cancelled", "ok", cancelled, |s| ahead(s, ALXA, |_| {})),
    case("dispatched by telephone, misheard", "INVALID_FIELD", Scene::ordered, |s| ahead(s, ALXA, |a| a.spoken_code = text("00000000"))),
    case("dispatched by telephone without reason", "INVALID_FIELD", Scene::ordered, |s| ahead(s, ALXA, |a| a.reason.clear())),
    case("dispatched by telephone for another region", "NOT_FOUND", Scene::ordered, |s| ahead(s, ALXA, |a| a.region = nowhere())),
    case("dispatched by telephone from no pledge", "NOT_FOUND", Scene::ordered, |s| ahead(s, ALXA, |a| a.notice.pledge = pledge(9))),
    case("dispatched by telephone from another lot", "INVALID_FIELD", Scene::ordered, |s| ahead(s, ALXA, |a| a.notice.lot = team_lot(ALXA))),
    case("dispatched by telephone by a third", "NOT_YOURS", Scene::ordered, |s| ahead(s, ORDOS, |_| {})),
    case("dispatched by telephone by the requester", "NOT_YOURS", Scene::ordered, |s| ahead(s, WUHAI, |_| {})),
    case("dispatched by telephone twice", "WRONG_STATE", Scene::dispatched, |s| ahead(s, ALXA, |_| {})),
    case("dispatched by telephone beyond the pledge", "NOT_ENOUGH", Scene::ordered, |s| { let mut c = s.dispatch_ahead(1, HELD); if let C::Dispatch { qty, .. } = &mut c { *qty = Qty(51) } (ALXA, c) }),
    case("handed over", "ok", Scene::dispatched, |s| (ALXA, C::HandOver { mission: mission(1), qty: HELD, happened_at: s.world.now })),
    case("handed over nothing", "QUANTITY_OUT_OF_RANGE", Scene::dispatched, |s| (ALXA, C::HandOver { mission: mission(1), qty: Qty::ZERO, happened_at: s.world.now })),
    case("handed over more than left", "NOT_ENOUGH", Scene::dispatched, |s| (ALXA, C::HandOver { mission: mission(1), qty: Qty(21), happened_at: s.world.now })),
    case("handed over by the requester", "NOT_YOURS", Scene::dispatched, |s| (WUHAI, C::HandOver { mission: mission(1), qty: HELD, happened_at: s.world.now })),
    case("handed over an unknown mission", "NOT_FOUND", Scene::dispatched, |s| (ALXA, C::HandOver { mission: mission(9), qty: HELD, happened_at: s.world.now })),
    case("turned back", "ok", Scene::dispatched, |s| (ALXA, C::TurnBack { mission: mission(1), qty: HELD, happened_at: s.world.now })),
    case("turned back more than is on the road", "NOT_ENOUGH", Scene::dispatched, |s| (ALXA, C::TurnBack { mission: mission(1), qty: Qty(21), happened_at: s.world.now })),
    case("turned back less than before", "NOT_ENOUGH", || Scene::reach(M::TurnedBack), |s| (ALXA, C::TurnBack { mission: mission(1), qty: Qty(1), happened_at: s.world.now })),
    case("turned back by the requester", "NOT_YOURS", Scene::dispatched, |s| (WUHAI, C::TurnBack { mission: mission(1), qty: HELD, happened_at: s.world.now })),
    case("turned back an unknown mission", "NOT_FOUND", Scene::dispatched, |s| (ALXA, C::TurnBack { mission: mission(9), qty: HELD, happened_at: s.world.now })),
    case("taken back", "ok", Scene::delivered, |s| (ALXA, s.take_back(1, Qty(4), Qty(1)))),
    case("taken back more than is out", "NOT_ENOUGH", Scene::delivered, |s| (ALXA, s.take_back(1, HELD, Qty(1)))),
    case("taken back less than before", "NOT_ENOUGH", damaged, |s| (ALXA, s.take_back(1, Qty(4), Qty(1)))),
    case("taken back less damaged than before", "NOT_ENOUGH", damaged, |s| (ALXA, s.take_back(1, Qty(6), Qty::ZERO))),
    case("taken back by the requester", "NOT_YOURS", Scene::delivered, |s| (WUHAI, s.take_back(1, Qty(4), Qty(1)))),
    case("taken back an unknown mission", "NOT_FOUND", Scene::delivered, |s| (ALXA, s.take_back(9, Qty(4), Qty(1)))),
];

#[rustfmt::skip]
pub const REQUESTER: &[Case] = &[
    case("received", "ok", Scene::dispatched, |s| (WUHAI, s.receive(1, Qty(19), Qty(1)))),
    case("received again the same", "ok", Scene::delivered, |s| (WUHAI, s.receive(1, HELD, Qty::ZERO))),
    case("received before it left", "ok", Scene::committed, |s| (WUHAI, s.receive(1, HELD, Qty::ZERO))),
    case("received by telephone", "ok", Scene::held, |s| receiving(s, WUHAI, |_| {})),
    case("received by telephone, misheard", "INVALID_FIELD", Scene::held, |s| receiving(s, WUHAI, |a| a.spoken_code.clear())),
    case("received by telephone by a third", "NOT_YOURS", Scene::held, |s| receiving(s, ORDOS, |_| {})),
    case("received nothing", "QUANTITY_OUT_OF_RANGE", Scene::dispatched, |s| (WUHAI, s.receive(1, Qty::ZERO, Qty::ZERO))),
    case("received beyond reason", "QUANTITY_OUT_OF_RANGE", Scene::dispatched, |s| (WUHAI, s.receive(1, Qty::MAX, Qty::ONE))),
    case("received less than before", "NOT_ENOUGH", Scene::delivered, |s| (WUHAI, s.receive(1, Qty(19), Qty::ZERO))),
    case("received by the holder", "NOT_YOURS", Scene::dispatched, |s| (ALXA, s.receive(1, HELD, Qty::ZERO))),
    case("received an unknown mission", "NOT_FOUND", Scene::dispatched, |s| (WUHAI, s.receive(9, HELD, Qty::ZERO))),
    case("received into no store", "NOT_FOUND", Scene::dispatched, |s| (WUHAI, C::ReceiveDelivery { mission: mission(1), store: StoreId::from_u128(9), good: HELD, damaged: Qty::ZERO, happened_at: s.world.now, ahead: None })),
    case("at work", "ok", Scene::delivered, |s| (WUHAI, C::StartWork { mission: mission(1), happened_at: s.world.now })),
    case("at work, says the holder", "NOT_YOURS", Scene::delivered, |s| (ALXA, C::StartWork { mission: mission(1), happened_at: s.world.now })),
    case("at work on nothing", "NOT_FOUND", Scene::delivered, |s| (WUHAI, C::StartWork { mission: mission(9), happened_at: s.world.now })),
    case("used", "ok", Scene::delivered, |s| (WUHAI, s.usage(1, 17, 2, 1))),
    case("used more than is there", "NOT_ENOUGH", Scene::delivered, |s| (WUHAI, s.usage(1, 17, 2, 2))),
    case("used less than before", "NOT_ENOUGH", Scene::used, |s| (WUHAI, s.usage(1, 5, 1, 1))),
    case("broke less than before", "NOT_ENOUGH", Scene::used, |s| (WUHAI, s.usage(1, 6, 0, 1))),
    case("lost less than before", "NOT_ENOUGH", Scene::used, |s| (WUHAI, s.usage(1, 6, 1, 0))),
    case("used, says the holder", "NOT_YOURS", Scene::delivered, |s| (ALXA, s.usage(1, 1, 0, 0))),
    case("used an unknown mission", "NOT_FOUND", Scene::delivered, |s| (WUHAI, s.usage(9, 1, 0, 0))),
    case("demobilised", "ok", Scene::delivered, |s| (WUHAI, C::Demobilise { mission: mission(1), happened_at: s.world.now })),
    case("demobilised by the holder", "NOT_YOURS", Scene::delivered, |s| (ALXA, C::Demobilise { mission: mission(1), happened_at: s.world.now })),
    case("demobilised nothing", "NOT_FOUND", Scene::delivered, |s| (WUHAI, C::Demobilise { mission: mission(9), happened_at: s.world.now })),
    case("out of danger, by the requester", "ok", Scene::delivered, |s| (WUHAI, safety(s, 1, "二次泄漏"))),
    case("out of danger, by the holder", "ok", Scene::delivered, |s| (ALXA, safety(s, 1, "二次泄漏"))),
    case("out of danger without reason", "INVALID_FIELD", Scene::delivered, |s| (ALXA, safety(s, 1, ""))),
    case("out of danger in no mission", "NOT_FOUND", Scene::delivered, |s| (ALXA, safety(s, 9, "二次泄漏"))),
    case("sent back", "ok", Scene::delivered, |s| (WUHAI, C::SendReturn { mission: mission(1), total: HELD, happened_at: s.world.now })),
    case("sent back more than is there", "NOT_ENOUGH", Scene::used, |s| (WUHAI, C::SendReturn { mission: mission(1), total: Qty(13), happened_at: s.world.now })),
    case("sent back by the holder", "NOT_YOURS", Scene::used, |s| (ALXA, C::SendReturn { mission: mission(1), total: Qty(1), happened_at: s.world.now })),
    case("sent back an unknown mission", "NOT_FOUND", Scene::used, |s| (WUHAI, C::SendReturn { mission: mission(9), total: Qty(1), happened_at: s.world.now })),
];

fn receiving(scene: &Scene, member: usize, change: fn(&mut Ahead)) -> (usize, C) {
    let mut told = Box::new(scene.ahead(1));
    change(&mut told);
    let (mission, happened_at) = (mission(1), scene.world.now);
    let (good, damaged, ahead) = (HELD, Qty::ZERO, Some(told));
    (member, C::ReceiveDelivery { mission, store: store(), good, damaged, happened_at, ahead })
}

fn safety(scene: &Scene, m: u128, reason: &str) -> C {
    C::WithdrawForSafety { mission: mission(m), reason: text(reason), happened_at: scene.world.now }
}

fn restock(scene: &Scene, change: fn(&mut LotDetails), lot: LotId, m: u128, qty: Qty) -> C {
    let mut details = scene.details(ALXA);
    change(&mut details);
    C::ReceiveRestock { mission: mission(m), lot, details, qty }
}

pub fn verify(lot: LotId, accepted: u64, rejected: u64) -> C {
    C::VerifyRestock { lot, accepted: Qty(accepted), rejected: Qty(rejected) }
}

fn verified() -> Scene {
    let mut scene = restocked();
    let by = actor(scene.code(ALXA), Role::Keeper, 2);
    scene.say_by(ALXA, by, verify(new_lot(1), 7, 1)).expect("verified by another");
    scene.settled()
}

/// The next message that waits for a member.
fn next_inbox(scene: &Scene, member: usize) -> C {
    let waiting = courier::downward(scene.region(), scene.world.region_id(0), scene.registry(member), 1);
    waiting.expect("no divergence").pop().expect("a message waits")
}

fn inbox(scene: &Scene, region: RegionId, ahead: u64) -> C {
    let number = scene.registry(ALXA).channel(scene.world.region_id(0)).expect("joined").down + ahead;
    C::TakeInbox { region, number, message: DownMessage::Outcome { number: 1, refusal: None } }
}

#[rustfmt::skip]
pub const DEBTS: &[Case] = &[
    case("restock", "ok", Scene::used, |s| (ALXA, restock(s, |_| {}, new_lot(1), 1, Qty(8)))),
    case("restock of nothing", "QUANTITY_OUT_OF_RANGE", Scene::used, |s| (ALXA, restock(s, |_| {}, new_lot(1), 1, Qty::ZERO))),
    case("restock for no mission", "NOT_FOUND", Scene::used, |s| (ALXA, restock(s, |_| {}, new_lot(1), 9, Qty(8)))),
    case("restock at the debtor", "NOT_YOURS", Scene::used, |s| (WUHAI, restock(s, |_| {}, new_lot(1), 1, Qty(8)))),
    case("restock into an old lot", "ALREADY_EXISTS", Scene::used, |s| (ALXA, restock(s, |_| {}, lot(ALXA), 1, Qty(8)))),
    case("restock into no store", "NOT_FOUND", Scene::used, |s| (ALXA, restock(s, |d| d.store = StoreId::from_u128(9), new_lot(1), 1, Qty(8)))),
    case("restock of other goods", "MISMATCH", Scene::used, |s| (ALXA, restock(s, |d| d.holding = Holding::Item(item(1_010_101)), new_lot(1), 1, Qty(8)))),
    case("restock of uncoded goods", "MISMATCH", Scene::used, |s| (ALXA, restock(s, |d| d.holding = Holding::Local(text("防化服")), new_lot(1), 1, Qty(8)))),
    case("expired restock", "NOT_PLEDGEABLE", Scene::used, |s| (ALXA, restock(s, |d| d.expires = Date::new(2026, 2, 1), new_lot(1), 1, Qty(8)))),
    case("as good as what was lent", "ok", restocked, |_| (ALXA, verify(new_lot(1), 7, 1))),
    case("verified in part", "NOT_ENOUGH", restocked, |_| (ALXA, verify(new_lot(1), 6, 1))),
    case("verified more than came", "NOT_ENOUGH", restocked, |_| (ALXA, verify(new_lot(1), 8, 1))),
    case("verified twice", "WRONG_STATE", verified, |_| (ALXA, verify(new_lot(1), 8, 0))),
    case("verified what is no restock", "NOT_FOUND", restocked, |_| (ALXA, verify(lot(ALXA), 8, 0))),
    case("an order comes", "ok", Scene::ordered, |s| (ALXA, next_inbox(s, ALXA))),
    case("an old message again", "ok", Scene::committed, |s| (ALXA, inbox(s, s.world.region_id(0), 0))),
    case("a message is missing", "CHANNEL_GAP", Scene::committed, |s| (ALXA, inbox(s, s.world.region_id(0), 2))),
    case("a message from nowhere", "NOT_FOUND", Scene::committed, |s| (ALXA, inbox(s, nowhere(), 1))),
];
