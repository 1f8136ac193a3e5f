//! What the owner decides alone, even when cut off: its own stock outside the pledge.

use super::command::RegistryCommand as C;
use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::state::{Account, Lot, LotDetails, Restock, Store};
use crate::channel::UpMessage;
use crate::ids::{LotId, MissionId, StoreId};
use crate::machine::Context;
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::region::draft::{check_qty, check_text};
use crate::resource::Condition;

pub(super) fn decide(draft: &mut Draft, context: &Context<'_>, command: &C) -> Result<(), Refusal> {
    match command {
        C::AddStore { store, name, district } => add_store(draft, *store, name, district),
        C::OpenLot { lot, details, qty } => open_lot(draft, *lot, details, *qty),
        C::Receive { lot, qty, document } => {
            check_qty(*qty)?;
            check_text("document", document, 200)?;
            let known = own_lot(draft, *lot)?;
            if known.details.holding.is_unit() {
                return Err(Refusal::NotPledgeable { why: "a team or vehicle is always one".to_owned() });
            }
            draft.shift(*lot, Account::Source, Account::Local, *qty, document);
            Ok(())
        }
        C::Issue { lot, qty, purpose } => {
            check_qty(*qty)?;
            check_text("purpose", purpose, 200)?;
            own_lot(draft, *lot)?;
            draft.shift_all(*lot, Account::Local, Account::Consumed, *qty, purpose)
        }
        C::Scrap { lot, qty, reason } => {
            check_qty(*qty)?;
            check_text("reason", reason, 200)?;
            own_lot(draft, *lot)?;
            let free = draft.registry.balance(*lot, Account::Repair) + draft.registry.balance(*lot, Account::Local);
            if *qty > free {
                return Err(Refusal::NotEnough { wanted: *qty, free, place: "LOCAL 在库".to_owned() });
            }
            draft.shift_from(*lot, &[Account::Repair, Account::Local], Account::Scrapped, *qty, reason);
            Ok(())
        }
        C::Count { lot, counted, reason } => count(draft, *lot, *counted, reason),
        C::Inspect { lot, condition } => {
            own_lot(draft, *lot)?;
            if draft.registry.restocks.get(lot).is_some_and(|r| r.accepted + r.rejected < r.qty) {
                return Err(Refusal::WrongState {
                    kind: "lot".to_owned(),
                    state: "restock under inspection".to_owned(),
                    step: "inspect".to_owned(),
                });
            }
            draft.push(E::LotInspected { lot: *lot, condition: *condition });
            Ok(())
        }
        C::Repaired { lot, qty } => {
            check_qty(*qty)?;
            draft.lot(*lot)?;
            draft.shift_all(*lot, Account::Repair, Account::Local, *qty, "repaired")
        }
        C::MapItem { local, code } => {
            check_text("local", local, 200)?;
            draft.push(E::ItemMapped { local: local.clone(), code: *code });
            Ok(())
        }
        C::SetFloors { resource, floors } => {
            draft.push(E::FloorsSet { resource: resource.clone(), floors: *floors });
            Ok(())
        }
        C::SetWarning { warning } => {
            draft.push(E::WarningSet { warning: *warning });
            Ok(())
        }
        C::ReceiveRestock { mission, lot, details, qty } => {
            receive_restock(draft, context, (*mission, *lot), details, *qty)
        }
        C::VerifyRestock { lot, accepted, rejected } => verify_restock(draft, context, *lot, *accepted, *rejected),
        other => Err(Refusal::Malformed { detail: format!("{} is not about stock", other.name()) }),
    }
}

fn add_store(draft: &mut Draft, store: StoreId, name: &str, district: &str) -> Result<(), Refusal> {
    check_text("name", name, 100)?;
    check_text("district", district, 100)?;
    let details = Store { name: name.to_owned(), district: district.to_owned() };
    match draft.registry.stores.get(&store) {
        Some(known) if *known == details => Ok(()),
        Some(_) => Err(Refusal::exists("store", store)),
        None => {
            draft.push(E::StoreAdded { store, details });
            Ok(())
        }
    }
}

/// The same lot with the same details changes nothing, so that a ledger file can be imported twice.
fn open_lot(draft: &mut Draft, lot: LotId, details: &LotDetails, qty: Qty) -> Result<(), Refusal> {
    check_qty(qty)?;
    check_details(draft, details)?;
    if details.holding.is_unit() && qty != Qty::ONE {
        return Err(Refusal::QuantityOutOfRange { qty });
    }
    let opened = Lot { details: details.clone(), custody: None };
    if let Some(known) = draft.registry.lots.get(&lot) {
        // The condition may have changed since by inspection; everything else is the lot's identity.
        let same = Lot {
            details: LotDetails { condition: known.details.condition, ..details.clone() },
            custody: known.custody,
        };
        return if *known == same { Ok(()) } else { Err(Refusal::exists("lot", lot)) };
    }
    draft.push(E::LotOpened { lot, details: Box::new(opened) });
    draft.shift(lot, Account::Source, Account::Local, qty, "opening");
    Ok(())
}

fn check_details(draft: &Draft, details: &LotDetails) -> Result<(), Refusal> {
    check_text("name", &details.name, 200)?;
    check_text("unit", &details.unit, 20)?;
    if details.batch.chars().count() > 100 || details.remark.chars().count() > 500 {
        return Err(Refusal::field("batch, remark", "at most 100 and 500 characters"));
    }
    if details.unit_price.is_some_and(|price| price.0 < 0) {
        return Err(Refusal::field("unit_price", "not negative"));
    }
    if !draft.registry.stores.contains_key(&details.store) {
        return Err(Refusal::not_found("store", details.store));
    }
    Ok(())
}

fn count(draft: &mut Draft, lot: LotId, counted: Qty, reason: &str) -> Result<(), Refusal> {
    check_text("reason", reason, 200)?;
    if counted > Qty::MAX {
        return Err(Refusal::QuantityOutOfRange { qty: counted });
    }
    let known = own_lot(draft, lot)?;
    if known.details.holding.is_unit() {
        let away: Qty = draft.registry.accounts(lot).filter(|(account, _)| is_away(*account)).map(|(_, qty)| qty).sum();
        if counted + away > Qty::ONE {
            return Err(Refusal::QuantityOutOfRange { qty: counted });
        }
    }
    let book = draft.registry.balance(lot, Account::Local);
    draft.shift(lot, Account::Source, Account::Local, counted.saturating_sub(book), reason);
    draft.shift(lot, Account::Local, Account::Lost, book.saturating_sub(counted), reason);
    Ok(())
}

/// Accounts of units that still exist, but not at their owner's disposal.
fn is_away(account: Account) -> bool {
    !matches!(account, Account::Source | Account::Local | Account::Lost | Account::Scrapped)
}

/// A lot that is the owner's to use: custody goods are reported as usage instead.
fn own_lot(draft: &Draft, id: LotId) -> Result<&Lot, Refusal> {
    let lot = draft.lot(id)?;
    if lot.custody.is_some() {
        return Err(Refusal::NotPledgeable {
            why: "goods of another in custody: report usage or return them".to_owned(),
        });
    }
    Ok(lot)
}

fn receive_restock(
    draft: &mut Draft,
    context: &Context<'_>,
    (mission, lot): (MissionId, LotId),
    details: &LotDetails,
    qty: Qty,
) -> Result<(), Refusal> {
    check_qty(qty)?;
    let known = draft.mission(mission)?.clone();
    if known.notice.holder != draft.registry.owner() {
        return Err(Refusal::not_yours(draft.registry.owner(), "take restock for another's goods"));
    }
    if draft.registry.lots.contains_key(&lot) {
        return Err(Refusal::exists("lot", lot));
    }
    check_details(draft, details)?;
    let resource = draft.registry.resource_of(&details.holding);
    if resource.as_ref() != Some(&known.notice.resource) {
        let given = resource.map_or_else(|| details.name.clone(), |resource| resource.to_string());
        return Err(Refusal::Mismatch { wanted: known.notice.resource.to_string(), given });
    }
    if details.expires.is_some_and(|day| day.end() <= draft.at) {
        return Err(Refusal::NotPledgeable { why: "restock is expired".to_owned() });
    }
    let waiting = LotDetails { condition: Condition::AwaitingInspection, ..details.clone() };
    draft.push(E::LotOpened { lot, details: Box::new(Lot { details: waiting, custody: None }) });
    draft.shift(lot, Account::Source, Account::Local, qty, "restock");
    let received_by = context.actor.operator.clone();
    let state = Restock { mission, received_by, qty, accepted: Qty::ZERO, rejected: Qty::ZERO };
    draft.push(E::RestockRecorded { lot, state });
    draft.note(mission, |mission| mission.restock_received += qty);
    let total = draft.mission(mission)?.restock_received;
    draft.send(known.region, UpMessage::RestockReceived { mission, total })
}

/// Another person than who received it says what of it is as good as what was lent.
fn verify_restock(
    draft: &mut Draft,
    context: &Context<'_>,
    lot: LotId,
    accepted: Qty,
    rejected: Qty,
) -> Result<(), Refusal> {
    let Some(mut restock) = draft.registry.restocks.get(&lot).cloned() else {
        return Err(Refusal::not_found("restock", lot));
    };
    if restock.received_by == context.actor.operator {
        return Err(Refusal::SamePerson { step: "verify restock".to_owned() });
    }
    if restock.accepted + restock.rejected == restock.qty {
        let state = "inspected".to_owned();
        return Err(Refusal::WrongState { kind: "restock".to_owned(), state, step: "verify".to_owned() });
    }
    if accepted + rejected != restock.qty {
        let free = restock.qty;
        return Err(Refusal::NotEnough { wanted: accepted + rejected, free, place: "restock".to_owned() });
    }
    draft.shift_all(lot, Account::Local, Account::Returned, rejected, "restock rejected")?;
    draft.push(E::LotInspected { lot, condition: Condition::Usable });
    (restock.accepted, restock.rejected) = (accepted, rejected);
    let mission = restock.mission;
    draft.push(E::RestockRecorded { lot, state: restock });
    draft.note(mission, |mission| {
        mission.restock_accepted += accepted;
        mission.restock_rejected += rejected;
    });
    let known = draft.mission(mission)?;
    let (accepted, rejected) = (known.restock_accepted, known.restock_rejected);
    let verifier = context.actor.operator.clone();
    draft.send(known.region, UpMessage::RestockVerified { mission, accepted, rejected, verifier })
}
