//! Missions: the steps of a movement and the way they are shown.

use shouwang_domain::channel::{MissionNotice, Usage};
use shouwang_domain::ids::{MissionId, RegionId};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::{MISSION, MissionState};
use shouwang_domain::region::state::{Amounts, Mission};
use shouwang_domain::registry::command::{Ahead, RegistryCommand as C};
use shouwang_proto::v1;

use super::words::{actor, enumeration, resource, time};
use super::{plain_responses, region_requests, registry_requests};
use crate::api::fields::{Named as _, Parsing};

enumeration! {
    /// A mission state's word on the wire.
    mission_state, read_mission_state: MissionState = v1::MissionState {
        Held <=> Held,
        Ordered <=> Ordered,
        Committed <=> Committed,
        Picking <=> Picking,
        Cancelling <=> Cancelling,
        Dispatched <=> Dispatched,
        Delivered <=> Delivered,
        OnSite <=> OnSite,
        Demobilised <=> Demobilised,
        Returned <=> Returned,
        Accounted <=> Accounted,
        Lapsed <=> Lapsed,
        HoldReleased <=> HoldReleased,
        Cancelled <=> Cancelled,
        TurnedBack <=> TurnedBack,
        Revoked <=> Revoked,
    }
}

registry_requests! {
    v1::PickRequest, |request, p| Some(C::Pick { mission: p.id("mission", &request.mission)? });
    v1::AcknowledgeCancelRequest, |request, p| {
        Some(C::AcknowledgeCancel { mission: p.id("mission", &request.mission)? })
    };
    v1::RevokeRequest, |request, p| {
        let (mission, reason) = (p.id("mission", &request.mission), p.text("reason", &request.reason, 500));
        Some(C::Revoke { mission: mission?, reason: reason? })
    };
    v1::DispatchRequest, |request, p| {
        let (mission, qty) = (p.id("mission", &request.mission), p.quantity("quantity", request.quantity));
        let seal = p.text("seal", &request.seal, 100);
        let happened_at = p.happened_at(request.happened_at.as_ref());
        let emergency = read_spoken(p, "emergency", mission, request.emergency.as_ref());
        Some(C::Dispatch {
            mission: mission?,
            qty: qty?,
            seal: seal?,
            happened_at: happened_at?,
            emergency: emergency?.map(Box::new),
        })
    };
    v1::HandOverRequest, |request, p| {
        let (mission, qty) = (p.id("mission", &request.mission), p.quantity("quantity", request.quantity));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::HandOver { mission: mission?, qty: qty?, happened_at: happened_at? })
    };
    v1::TurnBackRequest, |request, p| {
        let (mission, qty) = (p.id("mission", &request.mission), p.quantity("quantity", request.quantity));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::TurnBack { mission: mission?, qty: qty?, happened_at: happened_at? })
    };
    v1::ReceiveDeliveryRequest, |request, p| {
        let (mission, store) = (p.id("mission", &request.mission), p.id("store", &request.store));
        let (good, damaged) = (p.total("good", request.good), p.total("damaged", request.damaged));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        let ahead = read_spoken(p, "ahead", mission, request.ahead.as_ref());
        Some(C::ReceiveDelivery {
            mission: mission?,
            store: store?,
            good: good?,
            damaged: damaged?,
            happened_at: happened_at?,
            ahead: ahead?.map(Box::new),
        })
    };
    v1::StartWorkRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::StartWork { mission: mission?, happened_at: happened_at? })
    };
    v1::ReportUsageRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let (consumed, damaged) = (p.total("consumed", request.consumed), p.total("damaged", request.damaged));
        let lost = p.total("lost", request.lost);
        let happened_at = p.happened_at(request.happened_at.as_ref());
        let usage = Usage { consumed: consumed?, damaged: damaged?, lost: lost? };
        Some(C::ReportUsage { mission: mission?, usage, happened_at: happened_at? })
    };
    v1::DemobiliseRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::Demobilise { mission: mission?, happened_at: happened_at? })
    };
    v1::WithdrawForSafetyRequest, |request, p| {
        let (mission, reason) = (p.id("mission", &request.mission), p.text("reason", &request.reason, 500));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::WithdrawForSafety { mission: mission?, reason: reason?, happened_at: happened_at? })
    };
    v1::SendReturnRequest, |request, p| {
        let (mission, total) = (p.id("mission", &request.mission), p.quantity("quantity", request.quantity));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::SendReturn { mission: mission?, total: total?, happened_at: happened_at? })
    };
    v1::TakeBackRequest, |request, p| {
        let mission = p.id("mission", &request.mission);
        let (good, damaged) = (p.total("good", request.good), p.total("damaged", request.damaged));
        let happened_at = p.happened_at(request.happened_at.as_ref());
        Some(C::TakeBack { mission: mission?, good: good?, damaged: damaged?, happened_at: happened_at? })
    };
}

region_requests! {
    v1::CancelMissionRequest, |request, p| {
        let (mission, reason) = (p.id("mission", &request.mission), p.text("reason", &request.reason, 500));
        Some(R::CancelMission { mission: mission?, reason: reason? })
    };
    v1::RelayDispatchRequest, |request, p| {
        let (mission, qty) = (p.id("mission", &request.mission), p.quantity("quantity", request.quantity));
        let spoken_code = read_spoken_code(p, "spoken_code", &request.spoken_code);
        Some(R::RelayDispatch { mission: mission?, spoken_code: spoken_code?, qty: qty? })
    };
}

plain_responses! {
    PickResponse, DispatchResponse, HandOverResponse, TurnBackResponse, ReceiveDeliveryResponse, StartWorkResponse,
    ReportUsageResponse, DemobiliseResponse, WithdrawForSafetyResponse, SendReturnResponse, TakeBackResponse,
    RevokeResponse, AcknowledgeCancelResponse, CancelMissionResponse, RelayDispatchResponse,
}

fn read_spoken_code(p: &mut Parsing<'_>, field: &str, code: &str) -> Option<String> {
    if code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(code.to_owned());
    }
    p.violate(field, "须为八位数字口令", "must be the eight digits read over the telephone");
    None
}

/// What was said on the telephone; `None` within when nothing was.
#[expect(clippy::option_option, reason = "the outer tells whether it could be read, the inner whether it was given")]
fn read_spoken(
    p: &mut Parsing<'_>,
    field: &str,
    mission: Option<MissionId>,
    spoken: Option<&v1::SpokenMission>,
) -> Option<Option<Ahead>> {
    let Some(spoken) = spoken else { return Some(None) };
    let at = |name: &str| format!("{field}.{name}");
    let region: Option<RegionId> = p.region(&spoken.region);
    let pledge = p.id(&at("pledge"), &spoken.pledge);
    let lot = p.id(&at("lot"), &spoken.lot);
    let request = p.id(&at("aid_request"), &spoken.aid_request);
    let line = p.line(&at("line"), spoken.line);
    let number = p.optional_text(&at("number"), &spoken.number, 64);
    let owner = p.municipality(&at("owner"), &spoken.owner);
    let holder = p.municipality(&at("holder"), &spoken.holder);
    let requester = p.municipality(&at("requester"), &spoken.requester);
    let resource = p.resource(&at("resource"), spoken.resource.as_ref());
    let name = p.text(&at("title"), &spoken.title, 200);
    let unit = p.text(&at("unit"), &spoken.unit, 20);
    let qty = p.quantity(&at("quantity"), spoken.quantity);
    let place = p.text(&at("place"), &spoken.place, 200);
    let needed_by = p.time(&at("needed_by"), spoken.needed_by.as_ref());
    let spoken_code = read_spoken_code(p, &at("spoken_code"), &spoken.spoken_code);
    let reason = p.text(&at("reason"), &spoken.reason, 500);
    let notice = MissionNotice {
        mission: mission?,
        number: number?,
        request: request?,
        line: line?,
        pledge: pledge?,
        lot: lot?,
        owner: owner?,
        holder: holder?,
        requester: requester?,
        resource: resource?,
        name: name?,
        unit: unit?,
        qty: qty?,
        place: place?,
        needed_by: needed_by?,
        exercise: spoken.exercise,
    };
    Some(Some(Ahead { region: region?, notice, spoken_code: spoken_code?, reason: reason? }))
}

fn amounts(amounts: &Amounts) -> v1::Amounts {
    v1::Amounts {
        dispatched: amounts.dispatched.0,
        corrected: amounts.corrected.0,
        handed_over: amounts.handed_over.map(|qty| qty.0),
        received_good: amounts.received_good.0,
        received_damaged: amounts.received_damaged.0,
        consumed: amounts.usage.consumed.0,
        damaged: amounts.usage.damaged.0,
        lost: amounts.usage.lost.0,
        return_sent: amounts.return_sent.0,
        returned_good: amounts.returned_good.0,
        returned_damaged: amounts.returned_damaged.0,
        turned_back: amounts.turned_back.0,
        lost_in_transit: amounts.lost_in_transit.0,
        charged: amounts.charged.0,
        outstanding: amounts.outstanding().0,
    }
}

/// A mission as the region knows it.
pub fn mission(id: MissionId, mission: &Mission) -> v1::Mission {
    let (notice, stages) = (&mission.notice, &mission.stages);
    let next = MISSION.iter().filter(|row| row.from.contains(&mission.state));
    v1::Mission {
        name: id.name(),
        state: mission_state(mission.state).into(),
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
        hold_until: time(mission.hold_until),
        held_by: Some(actor(&mission.held_by)),
        ordered_by: mission.ordered_by.as_ref().map(actor),
        paper_due: mission.paper_due.and_then(time),
        relayed: mission.relayed.map(|qty| qty.0),
        recalled: mission.recalled,
        amounts: Some(amounts(&mission.amounts)),
        held_at: stages.held.and_then(time),
        ordered_at: stages.ordered.and_then(time),
        committed_at: stages.committed.and_then(time),
        dispatched_at: stages.dispatched.and_then(time),
        received_at: stages.received.and_then(time),
        accounted_at: stages.accounted.and_then(time),
        exercise: notice.exercise,
        next_steps: next.map(|row| row.step.to_owned()).collect(),
    }
}
