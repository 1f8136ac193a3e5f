//! Aid requests, answers, holds and orders.

use shouwang_domain::channel::{Answer, LineAsked, Priority};
use shouwang_domain::ids::{LineNumber, RequestId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::MissionState;
use shouwang_domain::region::state::{Answered, Mission, Pledge, Request};
use shouwang_domain::region::view::LineState;
use shouwang_domain::region::{LINES_MAX, Region};
use shouwang_domain::registry::command::{Offer, RegistryCommand as C};
use shouwang_proto::v1;

use super::words::{enumeration, resource, time};
use super::{Respond, plain_responses, region_requests, registry_requests};
use crate::api::fields::{Named as _, Parsing};
use crate::api::request_key::RequestKey;

/// For how many minutes a hold waits when the client does not say.
pub const HOLD_MINUTES_DEFAULT: u32 = 30;
/// Most offers of one answer, as the registry has it.
const OFFERS_MAX: usize = 100;
/// Most members a request can be addressed to.
const ADDRESSED_MAX: usize = 512;

enumeration! {
    /// A priority's word on the wire.
    priority, read_priority: Priority = v1::Priority {
        Routine <=> Routine, Urgent <=> Urgent, Immediate <=> Immediate,
    }
}

enumeration! {
    /// A line state's word on the wire.
    line_state, read_line_state: LineState = v1::LineState {
        Open <=> Open,
        PartlyCommitted <=> PartlyCommitted,
        Committed <=> Committed,
        Moving <=> Moving,
        Arrived <=> Arrived,
        InUse <=> InUse,
        Accounting <=> Accounting,
        Settling <=> Settling,
        Closed <=> Closed,
        Withdrawn <=> Withdrawn,
        Expired <=> Expired,
        Unmet <=> Unmet,
        Disputed <=> Disputed,
    }
}

registry_requests! {
    v1::RequestAidRequest, |request, p| {
        let region = p.region(&request.region);
        let id = p.id_or_derived("aid_request", &request.aid_request, "request");
        let subject = p.text("subject", &request.subject, 200);
        let place = p.text("place", &request.place, 200);
        let priority = p.chosen("priority", request.priority, read_priority);
        let needed_by = p.time("needed_by", request.needed_by.as_ref());
        let expires_at = p.time("expires_at", request.expires_at.as_ref());
        p.count("addressed", request.addressed.len(), 0, ADDRESSED_MAX)?;
        p.count("lines", request.lines.len(), 1, LINES_MAX)?;
        let addressed = request.addressed.iter().enumerate();
        let addressed: Vec<_> = addressed.map(|(at, code)| p.municipality(&format!("addressed[{at}]"), code)).collect();
        let lines = request.lines.iter().enumerate();
        let lines: Vec<_> = lines.map(|(at, line)| read_line(p, at, line)).collect();
        Some(C::RequestAid {
            region: region?,
            request: id?,
            subject: subject?,
            place: place?,
            priority: priority?,
            needed_by: needed_by?,
            expires_at: expires_at?,
            addressed: addressed.into_iter().collect::<Option<_>>()?,
            lines: lines.into_iter().collect::<Option<_>>()?,
            exercise: request.exercise,
        })
    };
    v1::AnswerAidRequest, |request, p| {
        let region = p.region(&request.region);
        let id = p.id("aid_request", &request.aid_request);
        let line = p.line("line", request.line);
        let answer = read_answer(p, request);
        let cost = p.amount("cost_fen", request.cost_fen);
        let eta = p.optional_time("eta", request.eta.as_ref());
        p.count("offers", request.offers.len(), 0, OFFERS_MAX)?;
        let offers = request.offers.iter().enumerate();
        let offers: Vec<_> = offers.map(|(at, offer)| read_offer(p, at, offer)).collect();
        // Without offers nothing is promised here, so there is nothing to expire.
        let expires_at = if request.offers.is_empty() {
            p.optional_time("expires_at", request.expires_at.as_ref()).map(Option::unwrap_or_default)
        } else {
            p.time("expires_at", request.expires_at.as_ref())
        };
        let cross_floor = p.reason_if_any("cross_floor", &request.cross_floor, 500);
        Some(C::AnswerAid {
            region: region?,
            request: id?,
            line: line?,
            answer: answer?,
            cost: cost?,
            eta: eta?,
            offers: offers.into_iter().collect::<Option<_>>()?,
            expires_at: expires_at?,
            cross_floor: cross_floor?,
        })
    };
}

region_requests! {
    v1::HoldRequest, |request, p| {
        let mission = p.id_or_derived("mission", &request.mission, "mission");
        let aid_request = p.id("aid_request", &request.aid_request);
        let line = p.line("line", request.line);
        let (pledge, qty) = (p.id("pledge", &request.pledge), p.quantity("quantity", request.quantity));
        let minutes = if request.minutes == 0 { HOLD_MINUTES_DEFAULT } else { request.minutes };
        Some(R::Hold { mission: mission?, request: aid_request?, line: line?, pledge: pledge?, qty: qty?, minutes })
    };
    v1::ReleaseHoldRequest, |request, p| Some(R::ReleaseHold { mission: p.id("mission", &request.mission)? });
    v1::ConfirmPaperRequest, |request, p| Some(R::ConfirmPaper { mission: p.id("mission", &request.mission)? });
    v1::WithdrawLineRequest, |request, p| {
        let (id, line) = (p.id("aid_request", &request.aid_request), p.line("line", request.line));
        Some(R::WithdrawLine { request: id?, line: line? })
    };
    v1::CloseRequestRequest, |request, p| {
        Some(R::CloseRequest { request: p.id("aid_request", &request.aid_request)? })
    };
}

plain_responses! {
    ReleaseHoldResponse, OrderResponse, ConfirmPaperResponse, WithdrawLineResponse, CloseRequestResponse,
}

impl Respond<C> for v1::RequestAidResponse {
    fn respond(outcome: v1::Outcome, command: &C, _key: &RequestKey) -> Self {
        let aid_request = if let C::RequestAid { request, .. } = command { request.name() } else { String::new() };
        Self { outcome: Some(outcome), aid_request }
    }
}

impl Respond<C> for v1::AnswerAidResponse {
    fn respond(outcome: v1::Outcome, command: &C, _key: &RequestKey) -> Self {
        let offers: &[Offer] = if let C::AnswerAid { offers, .. } = command { offers } else { &[] };
        Self { outcome: Some(outcome), pledges: offers.iter().map(|offer| offer.pledge.name()).collect() }
    }
}

impl Respond<R> for v1::HoldResponse {
    fn respond(outcome: v1::Outcome, command: &R, _key: &RequestKey) -> Self {
        let mission = if let R::Hold { mission, .. } = command { mission.name() } else { String::new() };
        Self { outcome: Some(outcome), mission }
    }
}

fn read_line(p: &mut Parsing<'_>, at: usize, line: &v1::LineAsked) -> Option<LineAsked> {
    let resource = p.resource(&format!("lines[{at}].resource"), line.resource.as_ref());
    let name = p.text(&format!("lines[{at}].title"), &line.title, 200);
    let qty = p.quantity(&format!("lines[{at}].quantity"), line.quantity);
    Some(LineAsked { resource: resource?, name: name?, qty: qty? })
}

fn read_offer(p: &mut Parsing<'_>, at: usize, offer: &v1::Offer) -> Option<Offer> {
    let pledge = p.id_or_derived(&format!("offers[{at}].pledge"), &offer.pledge, &format!("pledge:{at}"));
    let lot = p.id(&format!("offers[{at}].lot"), &offer.lot);
    let qty = p.quantity(&format!("offers[{at}].quantity"), offer.quantity);
    Some(Offer { pledge: pledge?, lot: lot?, qty: qty? })
}

fn read_answer(p: &mut Parsing<'_>, request: &v1::AnswerAidRequest) -> Option<Answer> {
    use v1::AnswerKind as Kind;
    let kind = p.chosen("kind", request.kind, |kind| (kind != Kind::Unspecified).then_some(kind))?;
    if kind != Kind::Accept && !request.offers.is_empty() {
        p.violate("offers", "仅在同意时可附", "only with ANSWER_KIND_ACCEPT");
    }
    match kind {
        Kind::Accept => Some(Answer::Accept { qty: p.quantity("quantity", request.quantity)? }),
        Kind::Provisional => {
            let (qty, reason) = (p.quantity("quantity", request.quantity), p.text("reason", &request.reason, 500));
            Some(Answer::Provisional { qty: qty?, reason: reason? })
        }
        Kind::Decline => Some(Answer::Decline { reason: p.text("reason", &request.reason, 500)? }),
        Kind::Unspecified => None,
    }
}

/// An answer on record.
pub fn answer(by: shouwang_domain::ids::MunicipalityCode, answered: &Answered) -> v1::Answer {
    use v1::AnswerKind as Kind;
    let (kind, quantity, reason) = match &answered.given.answer {
        Answer::Accept { qty } => (Kind::Accept, qty.0, ""),
        Answer::Provisional { qty, reason } => (Kind::Provisional, qty.0, reason.as_str()),
        Answer::Decline { reason } => (Kind::Decline, 0, reason.as_str()),
    };
    v1::Answer {
        member: by.to_string(),
        number: answered.given.number.clone(),
        kind: kind.into(),
        quantity,
        reason: reason.to_owned(),
        cost_fen: answered.given.cost.0,
        eta: answered.given.eta.and_then(time),
        at: time(answered.at),
    }
}

/// The missions of a line that are on record.
fn missions_of<'a>(region: &'a Region, request: &'a Request, line: LineNumber) -> impl Iterator<Item = &'a Mission> {
    let ids = request.line(line).map(|(_, line)| line.missions.as_slice()).unwrap_or_default();
    ids.iter().filter_map(|id| region.mission(*id))
}

/// What a line still lacks.
pub fn open_quantity(region: &Region, request: &Request, line: LineNumber) -> Qty {
    let asked = request.line(line).map_or(Qty::ZERO, |(asked, _)| asked.qty);
    asked.saturating_sub(missions_of(region, request, line).map(Mission::counts_for_line).sum())
}

/// A line and what came of it; `answers` leaves the answers out when false.
pub fn line(
    region: &Region,
    id: RequestId,
    request: &Request,
    number: LineNumber,
    answers: bool,
) -> Option<v1::RequestLine> {
    let (asked, line) = request.line(number)?;
    let under_way = || missions_of(region, request, number).filter(|mission| !mission.state.is_void());
    let past_commitment = |mission: &&Mission| !matches!(mission.state, MissionState::Held | MissionState::Ordered);
    let said = || region.answers(id).filter(|((_, line, _), _)| *line == number).map(|((.., by), said)| (*by, said));
    let declined = said().filter(|(_, said)| matches!(said.given.answer, Answer::Decline { .. })).count();
    Some(v1::RequestLine {
        line: u32::from(number),
        resource: Some(resource(&asked.resource)),
        title: asked.name.clone(),
        quantity: asked.qty.0,
        state: region.line_state(id, number).map_or(v1::LineState::Unspecified, line_state).into(),
        held: under_way().map(Mission::counts_for_line).sum::<Qty>().0,
        committed: under_way().filter(past_commitment).map(Mission::counts_for_line).sum::<Qty>().0,
        dispatched: under_way().map(|mission| mission.amounts.left()).sum::<Qty>().0,
        received: under_way().map(|mission| mission.amounts.received()).sum::<Qty>().0,
        missions: line.missions.iter().map(|mission| mission.name()).collect(),
        answers: said().filter(|_| answers).map(|(by, said)| answer(by, said)).collect(),
        // One answer per member and line; a charter has at most 512 members.
        declined: u32::try_from(declined).unwrap_or(u32::MAX),
    })
}

/// A request with the state of every line.
pub fn request(region: &Region, id: RequestId, request: &Request) -> v1::AidRequest {
    let made = &request.made;
    v1::AidRequest {
        name: id.name(),
        number: made.number.clone(),
        requester: request.requester.to_string(),
        subject: made.subject.clone(),
        place: made.place.clone(),
        priority: priority(made.priority).into(),
        needed_by: time(made.needed_by),
        expires_at: time(made.expires_at),
        addressed: made.addressed.iter().map(ToString::to_string).collect(),
        lines: request.line_numbers().filter_map(|number| line(region, id, request, number, true)).collect(),
        exercise: made.exercise,
        at: time(request.at),
        closed_at: request.closed_at.and_then(time),
    }
}

/// A pledge as the region knows it.
pub fn pledge(id: shouwang_domain::ids::PledgeId, pledge: &Pledge) -> v1::Pledge {
    let made = &pledge.made;
    v1::Pledge {
        name: id.name(),
        holder: pledge.holder.to_string(),
        owner: made.owner.to_string(),
        lot: made.lot.name(),
        resource: Some(resource(&made.resource)),
        title: made.name.clone(),
        unit: made.unit.clone(),
        quantity: made.qty.0,
        total: pledge.total.0,
        free: pledge.free().0,
        held: pledge.held.0,
        overdrawn: pledge.overdrawn.0,
        deficit: pledge.deficit.0,
        closing: pledge.closing,
        expires_at: time(made.expires_at),
        unit_price_fen: made.unit_price.0,
        aid_request: made.for_line.map(|(request, _)| request.name()).unwrap_or_default(),
        line: made.for_line.map_or(0, |(_, line)| u32::from(line)),
        exercise: made.exercise,
    }
}
