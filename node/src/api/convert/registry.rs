//! Floors, releases, pledges and missions as the municipality's own record knows them.

use shouwang_domain::ids::{MissionId, PledgeId, RegionId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::{
    Account, FloorView, Floors, RegistryChannel, RegistryMission, RegistryPledge, Shortfall,
};
use shouwang_domain::resource::Resource;
use shouwang_proto::v1;

use super::words::{read_visibility, read_warning, resource, time};
use super::{Respond, plain_responses, registry_requests};
use crate::api::fields::Named;
use crate::api::request_key::RequestKey;

registry_requests! {
    v1::SetFloorsRequest, |request, p| {
        let Some(floors) = request.floors.as_ref() else {
            p.violate("floors", "必填", "required");
            return None;
        };
        let resource = p.resource("floors.resource", floors.resource.as_ref());
        let none = p.total("floors.none", floors.none);
        let blue = p.total("floors.blue", floors.blue);
        let yellow = p.total("floors.yellow", floors.yellow);
        let orange = p.total("floors.orange", floors.orange);
        let red = p.total("floors.red", floors.red);
        Some(C::SetFloors { resource: resource?, floors: Floors([none?, blue?, yellow?, orange?, red?]) })
    };
    v1::SetWarningRequest, |request, p| {
        Some(C::SetWarning { warning: p.chosen("warning", request.warning, read_warning)? })
    };
    v1::SetVisibilityRequest, |request, p| {
        let region = p.region(&request.region);
        let resource = p.resource("resource", request.resource.as_ref());
        let visibility = p.chosen("visibility", request.visibility, read_visibility);
        Some(C::SetVisibility { region: region?, resource: resource?, visibility: visibility? })
    };
    v1::RefreshPublicationRequest, |request, p| {
        Some(C::RefreshPublication { region: p.region(&request.region)? })
    };
    v1::MakePledgeRequest, |request, p| {
        let region = p.region(&request.region);
        let pledge = p.id_or_derived("pledge", &request.pledge, "pledge");
        let (lot, qty) = (p.id("lot", &request.lot), p.quantity("quantity", request.quantity));
        let expires_at = p.time("expires_at", request.expires_at.as_ref());
        let cross_floor = p.reason_if_any("cross_floor", &request.cross_floor, 500);
        Some(C::Pledge {
            region: region?,
            pledge: pledge?,
            lot: lot?,
            qty: qty?,
            expires_at: expires_at?,
            cross_floor: cross_floor?,
        })
    };
    v1::WithdrawPledgeRequest, |request, p| {
        let (pledge, qty) = (p.id("pledge", &request.pledge), p.quantity("quantity", request.quantity));
        let reason = p.text("reason", &request.reason, 500);
        Some(C::WithdrawPledge { pledge: pledge?, qty: qty?, reason: reason? })
    };
    v1::BreakGlassRequest, |request, p| {
        let (pledge, qty) = (p.id("pledge", &request.pledge), p.quantity("quantity", request.quantity));
        let reason = p.text("reason", &request.reason, 500);
        Some(C::BreakGlass { pledge: pledge?, qty: qty?, reason: reason? })
    };
    v1::CoverOverdraftRequest, |request, p| {
        let (pledge, qty) = (p.id("pledge", &request.pledge), p.quantity("quantity", request.quantity));
        Some(C::CoverOverdraft { pledge: pledge?, qty: qty? })
    };
}

plain_responses! {
    SetFloorsResponse, SetWarningResponse, SetVisibilityResponse, RefreshPublicationResponse, JoinRegionResponse,
    WithdrawPledgeResponse, BreakGlassResponse, CoverOverdraftResponse,
}

impl Respond<C> for v1::MakePledgeResponse {
    fn respond(outcome: v1::Outcome, command: &C, _key: &RequestKey) -> Self {
        let pledge = if let C::Pledge { pledge, .. } = command { pledge.name() } else { String::new() };
        Self { outcome: Some(outcome), pledge }
    }
}

/// The floors of a resource.
pub fn floors(of: &Resource, floors: &Floors) -> v1::Floors {
    let [none, blue, yellow, orange, red] = floors.0.map(|Qty(qty)| qty);
    v1::Floors { resource: Some(resource(of)), none, blue, yellow, orange, red }
}

/// "What is left for us".
pub fn floor_view(view: FloorView) -> v1::FloorView {
    v1::FloorView { usable: view.usable.0, floor: view.floor.0, pledgeable: view.pledgeable.0 }
}

/// Escrowed for regions out of this resource and not set aside for a mission.
pub fn pledged(registry: &Registry, of: &Resource, exercise: bool) -> Qty {
    let pledges = registry
        .pledges()
        .filter(|(_, pledge)| !pledge.closed && pledge.made.resource == *of && pledge.made.exercise == exercise);
    pledges.map(|(id, pledge)| registry.balance(pledge.made.lot, Account::Pledged(*id))).sum()
}

/// The channel to a region.
pub fn channel(region: RegionId, channel: &RegistryChannel) -> v1::RegistryChannel {
    v1::RegistryChannel {
        region: region.to_string(),
        title: channel.name.clone(),
        up: channel.up,
        answered: channel.answered,
        down: channel.down,
    }
}

/// A pledge as its registry knows it.
pub fn pledge(registry: &Registry, id: PledgeId, pledge: &RegistryPledge) -> v1::RegistryPledge {
    let made = &pledge.made;
    v1::RegistryPledge {
        name: id.name(),
        region: pledge.region.to_string(),
        lot: made.lot.name(),
        resource: Some(resource(&made.resource)),
        title: made.name.clone(),
        unit: made.unit.clone(),
        quantity: made.qty.0,
        pledged: registry.balance(made.lot, Account::Pledged(id)).0,
        overdrawn: registry.balance(made.lot, Account::Overdrawn(id)).0,
        expires_at: time(made.expires_at),
        aid_request: made.for_line.map(|(request, _)| request.name()).unwrap_or_default(),
        line: made.for_line.map_or(0, |(_, line)| u32::from(line)),
        closed: pledge.closed,
        exercise: made.exercise,
    }
}

/// A mission as this registry knows it.
pub fn mission(registry: &Registry, id: MissionId, mission: &RegistryMission) -> v1::RegistryMission {
    let notice = &mission.notice;
    let custody = registry.lot(id.custody_lot()).filter(|lot| lot.custody == Some(id));
    v1::RegistryMission {
        name: id.name(),
        region: mission.region.to_string(),
        number: notice.number.clone(),
        aid_request: notice.request.name(),
        line: u32::from(notice.line),
        pledge: notice.pledge.name(),
        lot: notice.lot.name(),
        owner: notice.owner.to_string(),
        holder: notice.holder.to_string(),
        requester: notice.requester.to_string(),
        resource: Some(resource(&notice.resource)),
        title: notice.name.clone(),
        unit: notice.unit.clone(),
        quantity: notice.qty.0,
        place: notice.place.clone(),
        needed_by: time(notice.needed_by),
        spoken_code: id.spoken_code(),
        ahead: mission.ahead,
        committed: mission.committed.0,
        cancel_requested: mission.cancel_requested,
        ended: mission.ended,
        dispatched: mission.dispatched.0,
        handed_over: mission.handed_over.0,
        received_good: mission.received_good.0,
        received_damaged: mission.received_damaged.0,
        consumed: mission.usage.consumed.0,
        damaged: mission.usage.damaged.0,
        lost: mission.usage.lost.0,
        return_sent: mission.return_sent.0,
        returned_good: mission.returned_good.0,
        returned_damaged: mission.returned_damaged.0,
        turned_back: mission.turned_back.0,
        on_site: mission.on_site,
        demobilised: mission.demobilised,
        owed: mission.owed.0,
        restock_accepted: mission.restock_accepted.0,
        exercise: notice.exercise,
        custody_lot: custody.map(|_| id.custody_lot().name()).unwrap_or_default(),
    }
}

/// A shortfall.
pub fn shortfall(shortfall: &Shortfall) -> v1::Shortfall {
    v1::Shortfall {
        at: time(shortfall.at),
        lot: shortfall.lot.map(Named::name).unwrap_or_default(),
        wanted: shortfall.wanted.0,
        moved: shortfall.moved.0,
        what: shortfall.what.clone(),
    }
}
