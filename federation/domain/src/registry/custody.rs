//! The requester's side of a mission: custody lots, usable, never pledgeable, with the owner's lot named.

use super::command::RegistryCommand as C;
use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::movements::{grown, learn_ahead};
use super::state::{Account, Holding, Lot, LotDetails, RegistryMission};
use crate::channel::{Step, Usage};
use crate::ids::{MissionId, StoreId};
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::region::draft::check_text;
use crate::resource::{Condition, StockClass};
use crate::time::Timestamp;

pub(super) fn decide(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    match command {
        C::ReceiveDelivery { mission, store, good, damaged, happened_at, ahead } => {
            if let Some(ahead) = ahead {
                learn_ahead(draft, *mission, ahead)?;
            }
            receive(draft, *mission, *store, (*good, *damaged), *happened_at)
        }
        C::StartWork { mission, happened_at } => {
            requester_side(draft, *mission)?;
            draft.note(*mission, |mission| mission.on_site = true);
            draft.send_fact(*mission, Step::OnSite, *happened_at)
        }
        C::ReportUsage { mission, usage, happened_at } => report_usage(draft, *mission, *usage, *happened_at),
        C::Demobilise { mission, happened_at } => {
            requester_side(draft, *mission)?;
            draft.note(*mission, |mission| mission.demobilised = true);
            draft.send_fact(*mission, Step::Demobilised, *happened_at)
        }
        C::WithdrawForSafety { mission, reason, happened_at } => {
            check_text("reason", reason, 500)?;
            draft.note(*mission, |mission| mission.demobilised = true);
            draft.send_fact(*mission, Step::SafetyWithdrawal { reason: reason.clone() }, *happened_at)
        }
        C::SendReturn { mission, total, happened_at } => send_return(draft, *mission, *total, *happened_at),
        other => Err(Refusal::Malformed { detail: format!("{} is not about custody", other.name()) }),
    }
}

fn requester_side(draft: &Draft, id: MissionId) -> Result<&RegistryMission, Refusal> {
    let mission = draft.mission(id)?;
    let owner = draft.registry.owner();
    if mission.notice.requester == owner {
        Ok(mission)
    } else {
        Err(Refusal::not_yours(owner, "act for the requester"))
    }
}

/// The second signature of a delivery. Goods that arrive before the record has heard that they left are received ahead.
fn receive(
    draft: &mut Draft,
    id: MissionId,
    store: StoreId,
    (good, damaged): (Qty, Qty),
    happened_at: Timestamp,
) -> Result<(), Refusal> {
    let known = requester_side(draft, id)?.clone();
    let more_good = grown(good, known.received_good)?;
    let more_damaged = grown(damaged, known.received_damaged)?;
    if (good + damaged).is_zero() || good + damaged > Qty::MAX {
        return Err(Refusal::QuantityOutOfRange { qty: good + damaged });
    }
    if !draft.registry.stores.contains_key(&store) {
        return Err(Refusal::not_found("store", store));
    }
    let lot = id.custody_lot();
    open_custody(draft, &known, store);
    draft.shift(lot, Account::Source, Account::Local, more_good, "delivered");
    draft.shift(lot, Account::Source, Account::Repair, more_damaged, "delivered damaged");
    draft.note(id, |mission| (mission.received_good, mission.received_damaged) = (good, damaged));
    draft.send_fact(id, Step::Received { good, damaged }, happened_at)
}

/// The lot in which another's goods stand here.
pub(super) fn open_custody(draft: &mut Draft, mission: &RegistryMission, store: StoreId) {
    let id = mission.notice.mission;
    if !draft.registry.lots.contains_key(&id.custody_lot()) {
        let details = Box::new(Lot { details: custody_details(mission, store), custody: Some(id) });
        draft.push(E::LotOpened { lot: id.custody_lot(), details });
    }
}

fn custody_details(mission: &RegistryMission, store: StoreId) -> LotDetails {
    LotDetails {
        holding: Holding::from(&mission.notice.resource),
        name: mission.notice.name.clone(),
        unit: mission.notice.unit.clone(),
        store,
        owner: mission.notice.owner,
        class: StockClass::Government,
        condition: Condition::Usable,
        batch: mission.notice.number.clone(),
        expires: None,
        unit_price: None,
        size: 0,
        endurance_hours: 0,
        remark: String::new(),
        exercise: mission.notice.exercise,
    }
}

/// Totals to date of what will not go back.
fn report_usage(draft: &mut Draft, id: MissionId, usage: Usage, happened_at: Timestamp) -> Result<(), Refusal> {
    let known = requester_side(draft, id)?.usage;
    let consumed = grown(usage.consumed, known.consumed)?;
    let damaged = grown(usage.damaged, known.damaged)?;
    let lost = grown(usage.lost, known.lost)?;
    let lot = id.custody_lot();
    let here = [Account::Local, Account::Repair];
    let free: Qty = here.iter().map(|account| draft.registry.balance(lot, *account)).sum();
    let wanted = consumed + damaged + lost;
    if wanted > free {
        return Err(Refusal::NotEnough { wanted, free, place: "custody 代管".to_owned() });
    }
    draft.shift_from(lot, &here, Account::Consumed, consumed, "used");
    draft.shift_from(lot, &[Account::Repair, Account::Local], Account::Scrapped, damaged, "damaged");
    draft.shift_from(lot, &here, Account::Lost, lost, "lost");
    draft.note(id, |mission| mission.usage = usage);
    draft.send_fact(id, Step::Used(usage), happened_at)
}

fn send_return(draft: &mut Draft, id: MissionId, total: Qty, happened_at: Timestamp) -> Result<(), Refusal> {
    let more = grown(total, requester_side(draft, id)?.return_sent)?;
    let lot = id.custody_lot();
    let here = [Account::Local, Account::Repair];
    let free: Qty = here.iter().map(|account| draft.registry.balance(lot, *account)).sum();
    if more > free {
        return Err(Refusal::NotEnough { wanted: more, free, place: "custody 代管".to_owned() });
    }
    draft.shift_from(lot, &here, Account::InTransit(id), more, "sent back");
    draft.note(id, |mission| mission.return_sent = total);
    draft.send_fact(id, Step::ReturnSent { total }, happened_at)
}
