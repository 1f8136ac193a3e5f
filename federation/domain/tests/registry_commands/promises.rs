//! What the owner lets others count on.

use super::{Case, answering, asking, case, issue, nowhere, odd_lot, overdrawn, pledging, receive};
use crate::common::{ALXA, PARTIES, SHIZUISHAN, Scene, WUHAI, lot, mission, new_lot, pledge, suits, text};
use shouwang_domain::channel::{Answer, LineAsked};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::{Floors, Holding, NumberKind};
use shouwang_domain::resource::{Condition, Visibility, Warning};
use shouwang_domain::testing::municipality;
use shouwang_domain::time::Date;

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a standing release", "ok", Scene::stocked, |s| (ALXA, C::SetVisibility { region: s.world.region_id(0), resource: suits(), visibility: Visibility::Banded })),
    case("a release to nowhere", "NOT_FOUND", Scene::stocked, |_| (ALXA, C::SetVisibility { region: nowhere(), resource: suits(), visibility: Visibility::Exact })),
    case("publishing what changed", "ok", changed_figure, |s| (ALXA, C::RefreshPublication { region: s.world.region_id(0) })),
    case("publishing to nowhere", "NOT_FOUND", Scene::stocked, |_| (ALXA, C::RefreshPublication { region: nowhere() })),
    case("another region", "ok", Scene::empty, |_| (ALXA, C::JoinRegion { region: nowhere(), name: text("邻区") })),
    case("the same region again", "ok", Scene::empty, |s| (ALXA, C::JoinRegion { region: s.world.region_id(0), name: s.world.region_id(0).short() })),
    case("a region without name", "INVALID_FIELD", Scene::empty, |_| (ALXA, C::JoinRegion { region: nowhere(), name: text("") })),
    case("a working number", "ok", Scene::empty, |_| (ALXA, C::AllocateNumber { kind: NumberKind::Mission })),
    case("a pledge", "ok", Scene::asked, |s| pledging(s, |_| {})),
    case("a pledge of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |s| pledging(s, |c| if let C::Pledge { qty, .. } = c { *qty = Qty::ZERO })),
    case("a pledge to nowhere", "NOT_FOUND", Scene::asked, |s| pledging(s, |c| if let C::Pledge { region, .. } = c { *region = nowhere() })),
    case("the same pledge again", "ALREADY_EXISTS", Scene::asked, |s| pledging(s, |c| if let C::Pledge { pledge: id, .. } = c { *id = pledge(1) })),
    case("a pledge that is over", "TOO_LATE", Scene::asked, |s| (ALXA, C::Pledge { region: s.world.region_id(0), pledge: pledge(2), lot: lot(ALXA), qty: Qty(1), expires_at: s.world.now, cross_floor: None })),
    case("a pledge of an unknown lot", "NOT_FOUND", Scene::asked, |s| pledging(s, |c| if let C::Pledge { lot, .. } = c { *lot = new_lot(1) })),
    case("a pledge of the pledged", "NOT_ENOUGH", Scene::asked, |s| pledging(s, |c| if let C::Pledge { qty, .. } = c { *qty = Qty(51) })),
    case("a pledge of custody goods", "NOT_PLEDGEABLE", Scene::delivered, |s| (WUHAI, pledging(s, |c| if let C::Pledge { lot, .. } = c { *lot = mission(1).custody_lot() }).1)),
    case("a pledge of what waits for inspection", "NOT_PLEDGEABLE", || odd_lot(|d| d.condition = Condition::AwaitingInspection), |s| pledging(s, |c| if let C::Pledge { lot, .. } = c { *lot = new_lot(9) })),
    case("a pledge longer than the goods are good for", "NOT_PLEDGEABLE", || odd_lot(|d| d.expires = Date::new(2026, 3, 3)), |s| pledging(s, |c| if let C::Pledge { lot, .. } = c { *lot = new_lot(9) })),
    case("a pledge of the uncoded", "NOT_PLEDGEABLE", || odd_lot(|d| d.holding = Holding::Local(text("土袋"))), |s| pledging(s, |c| if let C::Pledge { lot, .. } = c { *lot = new_lot(9) })),
    case("a pledge below the floor", "BELOW_FLOOR", floored, |s| pledging(s, |_| {})),
    case("a pledge down to the floor", "ok", floored, |s| pledging(s, |c| if let C::Pledge { qty, .. } = c { *qty = Qty(5) })),
    case("a pledge below the floor with a reason", "ok", floored, |s| pledging(s, |c| if let C::Pledge { cross_floor, .. } = c { *cross_floor = Some(text("全力支援")) })),
    case("a pledge below the floor with an empty reason", "INVALID_FIELD", floored, |s| pledging(s, |c| if let C::Pledge { cross_floor, .. } = c { *cross_floor = Some(text("")) })),
    case("a withdrawal", "ok", Scene::asked, |_| (ALXA, C::WithdrawPledge { pledge: pledge(1), qty: Qty(5), reason: text("预警") })),
    case("a withdrawal of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| (ALXA, C::WithdrawPledge { pledge: pledge(1), qty: Qty::ZERO, reason: text("预警") })),
    case("a withdrawal without reason", "INVALID_FIELD", Scene::asked, |_| (ALXA, C::WithdrawPledge { pledge: pledge(1), qty: Qty(5), reason: text("") })),
    case("a withdrawal of no pledge", "NOT_FOUND", Scene::asked, |_| (ALXA, C::WithdrawPledge { pledge: pledge(9), qty: Qty(5), reason: text("预警") })),
    case("another's pledge", "NOT_FOUND", Scene::asked, |_| (SHIZUISHAN, C::WithdrawPledge { pledge: pledge(1), qty: Qty(5), reason: text("预警") })),
    case("a request", "ok", Scene::stocked, |s| asking(s, |_| {})),
    case("a request to nowhere", "NOT_FOUND", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { region, .. } = c { *region = nowhere() })),
    case("a request about nothing", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { subject, .. } = c { subject.clear() })),
    case("a request to no place", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { place, .. } = c { place.clear() })),
    case("a request to oneself", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { addressed, .. } = c { addressed.push(municipality(PARTIES[WUHAI])) })),
    case("a request without lines", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { lines, .. } = c { lines.clear() })),
    case("a request of 101 lines", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { lines, .. } = c { *lines = vec![lines[0].clone(); 101] })),
    case("a line of nothing", "QUANTITY_OUT_OF_RANGE", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { lines, .. } = c { lines[1].qty = Qty::ZERO })),
    case("a line without words", "INVALID_FIELD", Scene::stocked, |s| asking(s, |c| if let C::RequestAid { lines, .. } = c { lines[1] = LineAsked { name: text(""), ..lines[1].clone() } })),
    case("a request that is over", "TOO_LATE", Scene::stocked, |s| { let now = s.world.now; let (who, mut c) = asking(s, |_| {}); if let C::RequestAid { expires_at, .. } = &mut c { *expires_at = now } (who, c) }),
    case("an acceptance with its offer", "ok", Scene::asked, |s| answering(s, |_| {})),
    case("an acceptance that stands on the pledge", "ok", Scene::asked, |s| (ALXA, s.answer(Answer::Accept { qty: Qty(10) }))),
    case("perhaps", "ok", Scene::asked, |s| (ALXA, s.answer(Answer::Provisional { qty: Qty(10), reason: text("待上级同意") }))),
    case("no", "ok", Scene::asked, |s| (ALXA, s.decline())),
    case("an answer to nowhere", "NOT_FOUND", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { region, .. } = c { *region = nowhere() })),
    case("an acceptance of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |s| (ALXA, s.answer(Answer::Accept { qty: Qty::ZERO }))),
    case("perhaps nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |s| (ALXA, s.answer(Answer::Provisional { qty: Qty::ZERO, reason: text("待定") }))),
    case("perhaps without reason", "INVALID_FIELD", Scene::asked, |s| (ALXA, s.answer(Answer::Provisional { qty: Qty(1), reason: text("") }))),
    case("no without reason", "INVALID_FIELD", Scene::asked, |s| (ALXA, s.answer(Answer::Decline { reason: text("") }))),
    case("an offer of another quantity", "MISMATCH", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { answer, .. } = c { *answer = Answer::Accept { qty: Qty(11) } })),
    case("too many offers", "LIMIT_REACHED", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { offers, .. } = c { *offers = vec![offers[0].clone(); 101] })),
    case("no, with an offer", "INVALID_FIELD", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { answer, .. } = c { *answer = Answer::Decline { reason: text("不可") } })),
    case("a negative cost", "INVALID_FIELD", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { cost, .. } = c { *cost = Fen(-1) })),
    case("an offer of the pledged", "NOT_ENOUGH", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { answer, offers, .. } = c { *answer = Answer::Accept { qty: Qty(51) }; offers[0].qty = Qty(51) })),
    case("one offer twice", "ALREADY_EXISTS", Scene::asked, |s| answering(s, |c| if let C::AnswerAid { answer, offers, .. } = c { *answer = Answer::Accept { qty: Qty(20) }; *offers = vec![offers[0].clone(); 2] })),
    case("break-glass", "ok", Scene::asked, |_| (ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(5), reason: text("救人") })),
    case("break-glass beyond the pledge", "NOT_ENOUGH", Scene::asked, |_| (ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(51), reason: text("救人") })),
    case("break-glass of nothing", "QUANTITY_OUT_OF_RANGE", Scene::asked, |_| (ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty::ZERO, reason: text("救人") })),
    case("break-glass without reason", "INVALID_FIELD", Scene::asked, |_| (ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(5), reason: text("") })),
    case("break-glass of no pledge", "NOT_FOUND", Scene::asked, |_| (ALXA, C::BreakGlass { pledge: pledge(9), qty: Qty(5), reason: text("救人") })),
    case("put back", "ok", overdrawn, |_| (ALXA, C::CoverOverdraft { pledge: pledge(1), qty: Qty(5) })),
    case("put back more than was taken", "NOT_ENOUGH", overdrawn, |_| (ALXA, C::CoverOverdraft { pledge: pledge(1), qty: Qty(6) })),
    case("put back what is not there", "NOT_ENOUGH", || { let mut s = overdrawn(); s.must(ALXA, issue(lot(ALXA), 50, "自用").1); s }, |_| (ALXA, C::CoverOverdraft { pledge: pledge(1), qty: Qty(5) })),
    case("put back nothing", "QUANTITY_OUT_OF_RANGE", overdrawn, |_| (ALXA, C::CoverOverdraft { pledge: pledge(1), qty: Qty::ZERO })),
    case("put back to no pledge", "NOT_FOUND", overdrawn, |_| (ALXA, C::CoverOverdraft { pledge: pledge(9), qty: Qty(5) })),
];

/// A release stands and the figure has moved since.
fn changed_figure() -> Scene {
    let mut scene = Scene::stocked();
    let region = scene.world.region_id(0);
    scene.must(ALXA, C::SetVisibility { region, resource: suits(), visibility: Visibility::Exact });
    scene.must(ALXA, receive(lot(ALXA), 5, "入库单").1);
    scene
}

/// Alxa keeps 45 of its remaining 50 under the warning in force.
fn floored() -> Scene {
    let mut scene = Scene::asked();
    scene.must(ALXA, C::SetFloors { resource: suits(), floors: Floors([0, 0, 0, 45, 50].map(Qty)) });
    scene.must(ALXA, C::SetWarning { warning: Warning::Orange });
    scene
}
