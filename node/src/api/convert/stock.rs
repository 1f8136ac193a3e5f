//! Stores, lots and what is done with them.

use shouwang_domain::ids::LotId;
use shouwang_domain::quantity::Fen;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::{Account, Holding, Lot, LotDetails, Restock, Store};
use shouwang_domain::resource::{Condition, StockClass};
use shouwang_domain::time::Timestamp;
use shouwang_proto::v1;

use super::words::{date, enumeration, resource};
use super::{Respond, plain_responses, registry_requests};
use crate::api::fields::{Named, Parsing};
use crate::api::request_key::RequestKey;

enumeration! {
    /// A stock class's word on the wire.
    stock_class, read_stock_class: StockClass = v1::StockClass {
        Government <=> Government,
        EnterpriseContracted <=> EnterpriseContracted,
        EnterpriseOwn <=> EnterpriseOwn,
        Charity <=> Charity,
        Superior <=> Superior,
    }
}

enumeration! {
    /// A condition's word on the wire.
    condition, read_condition: Condition = v1::Condition {
        Usable <=> Usable,
        AwaitingInspection <=> AwaitingInspection,
        UnderRepair <=> UnderRepair,
        Condemned <=> Condemned,
    }
}

registry_requests! {
    v1::AddStoreRequest, |request, p| {
        let store = p.id_or_derived("store", &request.store, "store");
        let name = p.text("title", &request.title, 100);
        let district = p.text("district", &request.district, 100);
        Some(C::AddStore { store: store?, name: name?, district: district? })
    };
    v1::ReceiveStockRequest, |request, p| {
        let (lot, qty) = (p.id("lot", &request.lot), p.quantity("quantity", request.quantity));
        let document = p.text("document", &request.document, 200);
        Some(C::Receive { lot: lot?, qty: qty?, document: document? })
    };
    v1::IssueStockRequest, |request, p| {
        let (lot, qty) = (p.id("lot", &request.lot), p.quantity("quantity", request.quantity));
        let purpose = p.text("purpose", &request.purpose, 200);
        Some(C::Issue { lot: lot?, qty: qty?, purpose: purpose? })
    };
    v1::ScrapStockRequest, |request, p| {
        let (lot, qty) = (p.id("lot", &request.lot), p.quantity("quantity", request.quantity));
        let reason = p.text("reason", &request.reason, 200);
        Some(C::Scrap { lot: lot?, qty: qty?, reason: reason? })
    };
    v1::CountStockRequest, |request, p| {
        let (lot, counted) = (p.id("lot", &request.lot), p.total("counted", request.counted));
        let reason = p.text("reason", &request.reason, 200);
        Some(C::Count { lot: lot?, counted: counted?, reason: reason? })
    };
    v1::InspectLotRequest, |request, p| {
        let lot = p.id("lot", &request.lot);
        let condition = p.chosen("condition", request.condition, read_condition);
        Some(C::Inspect { lot: lot?, condition: condition? })
    };
    v1::RepairStockRequest, |request, p| {
        let (lot, qty) = (p.id("lot", &request.lot), p.quantity("quantity", request.quantity));
        Some(C::Repaired { lot: lot?, qty: qty? })
    };
    v1::MapItemRequest, |request, p| {
        let (local, code) = (p.text("local", &request.local, 200), p.item("item", &request.item));
        Some(C::MapItem { local: local?, code: code? })
    };
    v1::ReceiveRestockRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let lot = p.id_or_derived("lot", &request.lot, "lot");
        let details = read_details(p, "details", request.details.as_ref());
        let qty = p.quantity("quantity", request.quantity);
        Some(C::ReceiveRestock { mission: mission?, lot: lot?, details: details?, qty: qty? })
    };
    v1::VerifyRestockRequest, |request, p| {
        let lot = p.id("lot", &request.lot);
        let (accepted, rejected) = (p.total("accepted", request.accepted), p.total("rejected", request.rejected));
        Some(C::VerifyRestock { lot: lot?, accepted: accepted?, rejected: rejected? })
    };
}

plain_responses! {
    ReceiveStockResponse, IssueStockResponse, ScrapStockResponse, CountStockResponse, InspectLotResponse,
    RepairStockResponse, MapItemResponse, VerifyRestockResponse,
}

impl Respond<C> for v1::AddStoreResponse {
    fn respond(outcome: v1::Outcome, command: &C, _key: &RequestKey) -> Self {
        let store = if let C::AddStore { store, .. } = command { store.name() } else { String::new() };
        Self { outcome: Some(outcome), store }
    }
}

impl Respond<C> for v1::ReceiveRestockResponse {
    fn respond(outcome: v1::Outcome, command: &C, _key: &RequestKey) -> Self {
        let lot = if let C::ReceiveRestock { lot, .. } = command { lot.name() } else { String::new() };
        Self { outcome: Some(outcome), lot }
    }
}

/// The id of an imported row, whether or not the rest of it can be read.
pub fn read_row_id(p: &mut Parsing<'_>, index: usize, row: &v1::OpenLotsRow) -> Option<LotId> {
    p.id_or_derived("lot", &row.lot, &format!("lot:{index}"))
}

/// One row of an import as a command.
pub fn read_row(p: &mut Parsing<'_>, index: usize, row: &v1::OpenLotsRow) -> Option<C> {
    let lot = read_row_id(p, index, row);
    let details = read_details(p, "details", row.details.as_ref());
    let qty = p.quantity("quantity", row.quantity);
    Some(C::OpenLot { lot: lot?, details: details?, qty: qty? })
}

fn read_holding(p: &mut Parsing<'_>, field: &str, holding: Option<&v1::Holding>) -> Option<Holding> {
    use v1::holding::Kind;
    let Some(kind) = holding.and_then(|holding| holding.kind.as_ref()) else {
        p.violate(field, "必填：item、local、team 或 vehicle 之一", "required: one of item, local, team, vehicle");
        return None;
    };
    match kind {
        Kind::Item(code) => p.item(&format!("{field}.item"), code).map(Holding::Item),
        Kind::Local(word) => p.text(&format!("{field}.local"), word, 200).map(Holding::Local),
        Kind::Team(kind) => p.unit(&format!("{field}.team"), kind).map(Holding::Team),
        Kind::Vehicle(kind) => p.unit(&format!("{field}.vehicle"), kind).map(Holding::Vehicle),
    }
}

fn read_details(p: &mut Parsing<'_>, field: &str, details: Option<&v1::LotDetails>) -> Option<LotDetails> {
    let Some(details) = details else {
        p.violate(field, "必填", "required");
        return None;
    };
    let at = |name: &str| format!("{field}.{name}");
    let holding = read_holding(p, &at("holding"), details.holding.as_ref());
    let name = p.text(&at("title"), &details.title, 200);
    let unit = p.text(&at("unit"), &details.unit, 20);
    let store = p.id(&at("store"), &details.store);
    let owner = p.optional_municipality(&at("owner"), &details.owner);
    let class = p.chosen(&at("class"), details.class, read_stock_class);
    let condition = p.optional_chosen(&at("condition"), details.condition, read_condition);
    let batch = p.optional_text(&at("batch"), &details.batch, 100);
    let expires = p.optional_date(&at("expires"), &details.expires);
    let unit_price = details.unit_price_fen.map_or(Some(None), |fen| p.amount(&at("unit_price_fen"), fen).map(Some));
    let remark = p.optional_text(&at("remark"), &details.remark, 500);
    Some(LotDetails {
        holding: holding?,
        name: name?,
        unit: unit?,
        store: store?,
        owner: owner?.unwrap_or(p.own),
        class: class?,
        condition: condition?.unwrap_or(Condition::Usable),
        batch: batch?,
        expires: expires?,
        unit_price: unit_price?,
        size: details.size,
        endurance_hours: details.endurance_hours,
        remark: remark?,
        exercise: details.exercise,
    })
}

fn holding(holding: &Holding) -> v1::Holding {
    use v1::holding::Kind;
    let kind = match holding {
        Holding::Item(code) => Kind::Item(code.to_string()),
        Holding::Local(word) => Kind::Local(word.clone()),
        Holding::Team(kind) => Kind::Team(kind.to_string()),
        Holding::Vehicle(kind) => Kind::Vehicle(kind.to_string()),
    };
    v1::Holding { kind: Some(kind) }
}

fn details(details: &LotDetails) -> v1::LotDetails {
    v1::LotDetails {
        holding: Some(holding(&details.holding)),
        title: details.name.clone(),
        unit: details.unit.clone(),
        store: details.store.name(),
        owner: details.owner.to_string(),
        class: stock_class(details.class).into(),
        condition: condition(details.condition).into(),
        batch: details.batch.clone(),
        expires: date(details.expires),
        unit_price_fen: details.unit_price.map(|Fen(fen)| fen),
        size: details.size,
        endurance_hours: details.endurance_hours,
        remark: details.remark.clone(),
        exercise: details.exercise,
    }
}

fn account(account: Account) -> (v1::Account, String) {
    use v1::Account as A;
    match account {
        Account::Source => (A::Source, String::new()),
        Account::Local => (A::Local, String::new()),
        Account::Repair => (A::Repair, String::new()),
        Account::Pledged(pledge) => (A::Pledged, pledge.name()),
        Account::Held(mission) => (A::Held, mission.name()),
        Account::InTransit(mission) => (A::InTransit, mission.name()),
        Account::OnLoan(mission) => (A::OnLoan, mission.name()),
        Account::Overdrawn(pledge) => (A::Overdrawn, pledge.name()),
        Account::Consumed => (A::Consumed, String::new()),
        Account::Lost => (A::Lost, String::new()),
        Account::Scrapped => (A::Scrapped, String::new()),
        Account::Returned => (A::Returned, String::new()),
    }
}

/// A store.
pub fn store(id: shouwang_domain::ids::StoreId, store: &Store) -> v1::Store {
    v1::Store { name: id.name(), title: store.name.clone(), district: store.district.clone() }
}

/// A lot with its balances.
pub fn lot(registry: &Registry, id: LotId, lot: &Lot, at: Timestamp) -> v1::Lot {
    let balances = registry.accounts(id).map(|(place, qty)| {
        let (account, of) = account(place);
        v1::Balance { account: account.into(), of, quantity: qty.0 }
    });
    v1::Lot {
        name: id.name(),
        details: Some(details(&lot.details)),
        custody_of: lot.custody.map(Named::name).unwrap_or_default(),
        balances: balances.collect(),
        resource: registry.resource_of(&lot.details.holding).as_ref().map(resource),
        usable: registry.is_usable(lot, at),
    }
}

/// Restock that waits for inspection, or was inspected.
pub fn restock(id: LotId, restock: &Restock) -> v1::Restock {
    v1::Restock {
        lot: id.name(),
        mission: restock.mission.name(),
        received_by: restock.received_by.clone(),
        quantity: restock.qty.0,
        accepted: restock.accepted.0,
        rejected: restock.rejected.0,
    }
}
