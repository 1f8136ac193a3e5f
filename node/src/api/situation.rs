//! The hub's eyes: all that a live screen of a region needs, folded from one view.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use shouwang_domain::charter::Member;
use shouwang_domain::ids::{MissionId, MunicipalityCode, NodeId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::Region;
use shouwang_domain::region::lifecycle::MissionState;
use shouwang_domain::region::state::{Mission, Pledge, Published, Request};
use shouwang_domain::region::view::LineState;
use shouwang_domain::resource::{Figure, Resource};
use shouwang_domain::time::Timestamp;
use shouwang_driver::Contact;
use shouwang_proto::v1;

use super::contact::member_contact;
use super::convert::words::{figure, node, resource, time};
use super::convert::{aid, charter, compensation, mission};
use super::fields::Named as _;
use super::read::Look;

/// Most open requests shown.
const REQUESTS_MAX: usize = 200;
/// Most missions under way, open obligations and open discrepancies shown, of each.
const ROWS_MAX: usize = 500;

/// From where a picture is taken.
pub struct Standpoint<'a> {
    /// The node that takes it.
    pub node: NodeId,
    /// How the nodes of the region's group are in touch, as it sees it.
    pub contacts: &'a [Contact],
    /// Its clock.
    pub now: Timestamp,
}

/// The situation of a region, of what is real or of the exercise.
pub fn of(look: &Look<Region>, from: &Standpoint<'_>, exercise: bool) -> v1::GetSituationResponse {
    let (region, now) = (look.state(), from.now);
    let leader = look.view.leader;
    let members = region.charter().members.iter().map(|known| member(region, known, leader, from));
    let requests = requests(region, exercise);
    let (missions, under_way) = missions(region, exercise, now);
    let (obligations, _) = compensation::statement(region, exercise, None);
    let of_this_half = |id: &MissionId| region.mission(*id).is_some_and(|known| known.notice.exercise) == exercise;
    let mut owed: Vec<_> =
        region.obligations().filter(|((id, _), debt)| debt.settled_at.is_none() && of_this_half(id)).collect();
    owed.sort_by_key(|(key, debt)| (debt.opened_at, **key));
    let mut discrepancies: Vec<_> =
        region.discrepancies().filter(|((id, _), known)| known.closed_at.is_none() && of_this_half(id)).collect();
    discrepancies.sort_by_key(|(key, known)| (known.opened_at, **key));
    v1::GetSituationResponse {
        region: look.view.record.id().to_string(),
        title: region.charter().name.clone(),
        members: members.collect(),
        resources: resources(region, exercise),
        lines: requests.lines,
        requests: requests.shown,
        requests_open: requests.open,
        requests_closed: requests.closed,
        missions,
        missions_under_way: under_way,
        obligations,
        obligations_open: count(owed.len()),
        owed: owed.iter().take(ROWS_MAX).map(|(key, debt)| compensation::obligation(region, **key, debt)).collect(),
        discrepancies_open: count(discrepancies.len()),
        discrepancies: discrepancies
            .iter()
            .take(ROWS_MAX)
            .map(|(key, known)| compensation::discrepancy(region, **key, known))
            .collect(),
        as_of: Some(look.as_of.clone()),
        node: node(from.node),
        taken_at: time(now),
        leader: leader.map(node).unwrap_or_default(),
        exercise,
    }
}

/// Counts on a screen; none comes near 2^32.
fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn member(region: &Region, member: &Member, leader: Option<NodeId>, from: &Standpoint<'_>) -> v1::SituationMember {
    let channel = region.channel(member.code);
    let contact = member_contact(member.code, from.contacts, from.now);
    v1::SituationMember {
        code: member.code.to_string(),
        title: member.name.clone(),
        standing: charter::standing(member.standing).into(),
        hub: region.charter().hub == member.code,
        touch: contact.touch,
        last_heard: contact.last_heard,
        heard_by: contact.heard_by,
        nodes: count(member.nodes.len()),
        voters: count(member.nodes.iter().filter(|entry| entry.voter).count()),
        waiting: channel.down.saturating_sub(channel.down_taken),
        leads: leader.is_some_and(|leader| leader.municipality() == member.code),
    }
}

/// What one member shows of a resource.
#[derive(Default)]
struct Share<'a> {
    published: Option<&'a Published>,
    pledges: Vec<&'a Pledge>,
}

fn resources(region: &Region, exercise: bool) -> Vec<v1::SituationResource> {
    let mut shares: BTreeMap<&Resource, BTreeMap<MunicipalityCode, Share<'_>>> = BTreeMap::new();
    for ((by, of, in_exercise), known) in region.published() {
        if *in_exercise == exercise && known.publication.figure != Figure::Withdrawn {
            shares.entry(of).or_default().entry(*by).or_default().published = Some(known);
        }
    }
    let pledges = region.pledges().map(|(_, pledge)| pledge).filter(|pledge| pledge.made.exercise == exercise);
    for pledge in pledges.filter(|pledge| !pledge.total.is_zero() || !pledge.overdrawn.is_zero()) {
        shares.entry(&pledge.made.resource).or_default().entry(pledge.holder).or_default().pledges.push(pledge);
    }
    shares.into_iter().map(|(of, members)| situation_resource(of, &members)).collect()
}

fn situation_resource(of: &Resource, shares: &BTreeMap<MunicipalityCode, Share<'_>>) -> v1::SituationResource {
    let words = shares.values().find_map(|share| match (share.published, share.pledges.first()) {
        (Some(known), _) => Some((&known.publication.name, &known.publication.unit)),
        (None, Some(pledge)) => Some((&pledge.made.name, &pledge.made.unit)),
        (None, None) => None,
    });
    let (title, unit) = words.map(|(title, unit)| (title.clone(), unit.clone())).unwrap_or_default();
    let figures = || shares.values().filter_map(|share| Some(share.published?.publication.figure));
    let known: Qty = figures()
        .map(|figure| match figure {
            Figure::Exact(qty) | Figure::AtLeast(qty) => qty,
            Figure::AskUs | Figure::Withdrawn => Qty::ZERO,
        })
        .sum();
    let members: Vec<v1::MemberFigure> = shares.iter().map(|(member, share)| member_figure(*member, share)).collect();
    let sum = |of: fn(&v1::MemberFigure) -> u64| members.iter().map(of).fold(0, u64::saturating_add);
    v1::SituationResource {
        resource: Some(resource(of)),
        title,
        unit,
        published: known.0,
        published_more: figures().any(|figure| matches!(figure, Figure::AtLeast(_) | Figure::AskUs)),
        pledged: sum(|figure| figure.pledged),
        free: sum(|figure| figure.free),
        held: sum(|figure| figure.held),
        members,
    }
}

fn member_figure(member: MunicipalityCode, share: &Share<'_>) -> v1::MemberFigure {
    let sum = |of: fn(&Pledge) -> Qty| share.pledges.iter().map(|pledge| of(pledge)).sum::<Qty>().0;
    v1::MemberFigure {
        member: member.to_string(),
        published: share.published.map(|known| figure(known.publication.figure)),
        published_at: share.published.and_then(|known| time(known.as_of)),
        pledged: sum(|pledge| pledge.total),
        free: sum(Pledge::free),
        held: sum(|pledge| pledge.held),
        overdrawn: sum(|pledge| pledge.overdrawn),
    }
}

/// Requests as a screen shows them.
struct Requests {
    lines: Vec<v1::LineCount>,
    shown: Vec<v1::SituationRequest>,
    open: u32,
    closed: u32,
}

fn requests(region: &Region, exercise: bool) -> Requests {
    let all = region.requests().filter(|(_, known)| known.made.exercise == exercise);
    let (mut open, closed): (Vec<_>, Vec<_>) = all.partition(|(_, known)| known.closed_at.is_none());
    open.sort_by_key(|(id, known): &(_, &Request)| (Reverse(known.made.priority), known.made.needed_by, **id));
    let mut states: BTreeMap<LineState, u32> = BTreeMap::new();
    for (id, known) in &open {
        for state in known.line_numbers().filter_map(|line| region.line_state(**id, line)) {
            *states.entry(state).or_default() += 1;
        }
    }
    let lines = states.into_iter().map(|(state, lines)| v1::LineCount { state: aid::line_state(state).into(), lines });
    let shown = open.iter().take(REQUESTS_MAX).map(|(id, known)| v1::SituationRequest {
        name: id.name(),
        number: known.made.number.clone(),
        requester: known.requester.to_string(),
        subject: known.made.subject.clone(),
        priority: aid::priority(known.made.priority).into(),
        needed_by: time(known.made.needed_by),
        lines: known.line_numbers().filter_map(|line| aid::line(region, **id, known, line, false)).collect(),
    });
    let (lines, shown) = (lines.collect(), shown.collect());
    Requests { lines, shown, open: count(open.len()), closed: count(closed.len()) }
}

/// The missions under way that are shown, and how many there are.
fn missions(region: &Region, exercise: bool, now: Timestamp) -> (Vec<v1::SituationMission>, u32) {
    let under_way = region.missions().filter(|(_, known)| !known.state.is_over() && known.notice.exercise == exercise);
    let mut under_way: Vec<_> = under_way.map(|(_, known)| Expected::of(region, known, now)).collect();
    under_way.sort_by_key(|expected| {
        let (known, notice) = (expected.known, &expected.known.notice);
        (Reverse(expected.late), notice.needed_by, known.sequence, notice.mission)
    });
    let shown = under_way.iter().take(ROWS_MAX).map(|expected| situation_mission(expected, now));
    (shown.collect(), count(under_way.len()))
}

/// A mission under way, when its holder said it arrives, and whether it should have.
struct Expected<'a> {
    known: &'a Mission,
    eta: Option<Timestamp>,
    late: bool,
}

impl<'a> Expected<'a> {
    fn of(region: &Region, known: &'a Mission, now: Timestamp) -> Self {
        let eta = eta(region, known);
        Self { known, eta, late: is_late(known, eta, now) }
    }
}

/// Expected arrival by the holder's answer.
fn eta(region: &Region, known: &Mission) -> Option<Timestamp> {
    let notice = &known.notice;
    let mut answers = region.answers(notice.request);
    let answer = answers.find(|((_, line, by), _)| *line == notice.line && *by == notice.holder);
    answer.and_then(|(_, answered)| answered.given.eta)
}

/// Not arrived although it should have been by what its holder said, or by what its requester needs.
fn is_late(known: &Mission, eta: Option<Timestamp>, now: Timestamp) -> bool {
    let to_come = known.state.is_before_departure() || known.state == MissionState::Dispatched;
    to_come && now > eta.map_or(known.notice.needed_by, |eta| eta.min(known.notice.needed_by))
}

fn situation_mission(expected: &Expected<'_>, now: Timestamp) -> v1::SituationMission {
    let known = expected.known;
    let (notice, left) = (&known.notice, known.amounts.left());
    let since = since(known);
    v1::SituationMission {
        name: notice.mission.name(),
        number: notice.number.clone(),
        state: mission::mission_state(known.state).into(),
        resource: Some(resource(&notice.resource)),
        title: notice.name.clone(),
        unit: notice.unit.clone(),
        quantity: if left.is_zero() { notice.qty.0 } else { left.0 },
        holder: notice.holder.to_string(),
        requester: notice.requester.to_string(),
        place: notice.place.clone(),
        since: time(since),
        age: Some(age(since, now)),
        eta: expected.eta.and_then(time),
        needed_by: time(notice.needed_by),
        late: expected.late,
        outstanding: known.amounts.outstanding().0,
        hold_until: (known.state == MissionState::Held).then_some(known.hold_until).and_then(time),
        paper_due: known.paper_due.and_then(time),
        relayed: known.relayed.map(|qty| qty.0),
        recalled: known.recalled,
    }
}

/// Since when a mission is where it stands, as far as its stages tell.
fn since(mission: &Mission) -> Timestamp {
    let stages = &mission.stages;
    let reached = match mission.state {
        MissionState::Held => None,
        MissionState::Ordered => stages.ordered,
        MissionState::Committed | MissionState::Picking | MissionState::Cancelling => {
            stages.committed.or(stages.ordered)
        }
        MissionState::Dispatched => stages.dispatched,
        _ => stages.received.or(stages.dispatched),
    };
    reached.or(stages.held).unwrap_or_default()
}

fn age(since: Timestamp, now: Timestamp) -> prost_types::Duration {
    let ms = u64::try_from(now.0.saturating_sub(since.0)).unwrap_or_default();
    // Two times of this era are less than 2^63 seconds apart.
    prost_types::Duration::try_from(Duration::from_millis(ms)).unwrap_or_default()
}

#[cfg(test)]
#[path = "situation_tests.rs"]
mod tests;
