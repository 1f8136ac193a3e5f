//! From a record and its node's contact to the picture.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use shouwang_domain::channel::Answer;
use shouwang_domain::ids::{LineNumber, MissionId, MunicipalityCode, RequestId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::lifecycle::MissionState;
use shouwang_domain::region::state::{Mission, Request, Stages};
use shouwang_domain::region::view::LineState;
use shouwang_domain::resource::Resource;
use shouwang_domain::time::Timestamp;

use super::{
    Board, Contact, DiscrepancyLine, HEARD_WITHIN_MS, Listed, MemberLine, MissionLine, ObligationLine, ROWS_MAX,
    RequestLine, Situation, StateCount, StockLine,
};
use crate::documents::region_words::{self as words, LineFigures, Names};

/// The picture of a region as `contact`'s node sees it.
pub(super) fn situation(record: &Record<Region>, contact: &Contact<'_>) -> Situation {
    let region = record.machine();
    let charter = region.charter();
    let names = Names::of(region);
    let others = contact.last_heard.iter().filter(|(code, _)| *code != contact.own);
    Situation {
        federation: charter.federation.clone(),
        region: charter.name.clone(),
        region_id: record.id(),
        epoch: record.epoch(),
        revision: record.revision(),
        record_time: record.time(),
        now: contact.now,
        own: contact.own,
        in_touch: contact.in_touch,
        leader: contact.leader,
        silent_ms: others.filter_map(|(_, age)| *age).min(),
        members: members(region, contact),
        actual: board(region, &names, contact.now, false),
        exercise: board(region, &names, contact.now, true),
    }
}

fn members(region: &Region, contact: &Contact<'_>) -> Vec<MemberLine> {
    let heard: BTreeMap<MunicipalityCode, Option<u64>> = contact.last_heard.iter().copied().collect();
    let line = |member: &shouwang_domain::charter::Member| {
        let own = member.code == contact.own;
        let last_heard_ms = heard.get(&member.code).copied().flatten().filter(|_| !own);
        MemberLine {
            code: member.code,
            name: member.name.clone(),
            standing: words::standing(member.standing),
            hub: member.code == region.charter().hub,
            leads: contact.leader.is_some_and(|leader| leader.municipality() == member.code),
            in_touch: if own { contact.in_touch } else { last_heard_ms.is_some_and(|age| age <= HEARD_WITHIN_MS) },
            last_heard_ms,
        }
    };
    let mut members: Vec<MemberLine> = region.charter().members.iter().map(line).collect();
    members.sort_by_key(|member| member.code);
    members
}

/// The first rows of what is already in order.
fn listed<S, T>(all: Vec<S>, row: impl FnMut(S) -> T) -> Listed<T> {
    let more = all.len().saturating_sub(ROWS_MAX) as u64;
    Listed { rows: all.into_iter().take(ROWS_MAX).map(row).collect(), more }
}

fn board(region: &Region, names: &Names, now: Timestamp, exercise: bool) -> Board {
    let (requests, line_states) = requests(region, now, exercise);
    let of_half = region.requests().filter(|(_, request)| request.made.exercise == exercise);
    Board {
        stock: stock(region, names, exercise),
        requests,
        line_states,
        requests_closed: of_half.filter(|(_, request)| request.closed_at.is_some()).count() as u64,
        missions: missions(region, now, exercise),
        discrepancies: discrepancies(region, exercise),
        obligations: obligations(region, exercise),
    }
}

fn stock(region: &Region, names: &Names, exercise: bool) -> Listed<StockLine> {
    let mut lines: BTreeMap<(&Resource, MunicipalityCode), StockLine> = BTreeMap::new();
    let empty = |resource: &Resource, member| {
        let (name, unit) = names.resource(resource);
        StockLine {
            resource: resource.to_string(),
            name,
            unit,
            member,
            figure: None,
            published: None,
            as_of: None,
            pledged: 0,
            held: 0,
            free: 0,
            overdrawn: 0,
        }
    };
    for ((member, resource, _), known) in region.published().filter(|((_, _, of), _)| *of == exercise) {
        let line = lines.entry((resource, *member)).or_insert_with(|| empty(resource, *member));
        line.figure = Some(words::figure(known.publication.figure));
        line.published = words::figure_qty(known.publication.figure);
        line.as_of = Some(known.as_of);
    }
    for (_, pledge) in region.pledges().filter(|(_, pledge)| pledge.made.exercise == exercise) {
        if pledge.total.is_zero() && pledge.overdrawn.is_zero() {
            continue;
        }
        let (resource, member) = (&pledge.made.resource, pledge.holder);
        let line = lines.entry((resource, member)).or_insert_with(|| empty(resource, member));
        line.pledged = line.pledged.saturating_add(pledge.total.0);
        line.held = line.held.saturating_add(pledge.held.0);
        line.free = line.free.saturating_add(pledge.free().0);
        line.overdrawn = line.overdrawn.saturating_add(pledge.overdrawn.0);
    }
    listed(lines.into_values().collect(), |line| line)
}

fn requests(region: &Region, now: Timestamp, exercise: bool) -> (Listed<RequestLine>, Vec<StateCount>) {
    let mut open: Vec<(&RequestId, &Request)> = region
        .requests()
        .filter(|(_, request)| request.made.exercise == exercise && request.closed_at.is_none())
        .collect();
    open.sort_by_key(|(id, request)| (Reverse(request.made.priority), request.made.needed_by, request.at, **id));
    let mut states: BTreeMap<LineState, u64> = BTreeMap::new();
    let mut lines: Vec<(RequestId, &Request, LineNumber, LineState)> = Vec::new();
    for (id, request) in open {
        for number in request.line_numbers() {
            let Some(state) = region.line_state(*id, number) else { continue };
            *states.entry(state).or_default() += 1;
            lines.push((*id, request, number, state));
        }
    }
    let mut declined = Declined::default();
    let row = |(id, request, number, state): (_, &Request, _, _)| {
        request_line(region, now, (id, request, number), state, declined.of(region, id, number))
    };
    let states = states.into_iter().map(|(state, lines)| StateCount { state: words::line_state(state), lines });
    let more = lines.len().saturating_sub(ROWS_MAX) as u64;
    let rows = lines.into_iter().take(ROWS_MAX).filter_map(row).collect();
    (Listed { rows, more }, states.collect())
}

/// How many members declined each line of the request last looked at: its lines come one after the other.
#[derive(Default)]
struct Declined {
    request: Option<RequestId>,
    lines: BTreeMap<LineNumber, u64>,
}

impl Declined {
    fn of(&mut self, region: &Region, request: RequestId, line: LineNumber) -> u64 {
        if self.request != Some(request) {
            self.lines.clear();
            self.request = Some(request);
            for ((_, line, _), answered) in region.answers(request) {
                if matches!(answered.given.answer, Answer::Decline { .. }) {
                    *self.lines.entry(*line).or_default() += 1;
                }
            }
        }
        self.lines.get(&line).copied().unwrap_or_default()
    }
}

fn request_line(
    region: &Region,
    now: Timestamp,
    (id, request, number): (RequestId, &Request, LineNumber),
    state: LineState,
    declined: u64,
) -> Option<RequestLine> {
    let (asked, line) = request.line(number)?;
    let figures = LineFigures::of(line.missions.iter().filter_map(|id| region.mission(*id)));
    let waiting = !matches!(state, LineState::Withdrawn | LineState::Expired | LineState::Closed);
    Some(RequestLine {
        request: id,
        number: request.made.number.clone(),
        requester: request.requester,
        subject: request.made.subject.clone(),
        priority: words::priority(request.made.priority),
        line: number,
        name: asked.name.clone(),
        asked: asked.qty.0,
        committed: figures.committed,
        delivered: figures.usable(),
        fill_percent: words::percent(figures.usable(), asked.qty.0),
        state: words::line_state(state),
        declined,
        at: request.at,
        needed_by: request.made.needed_by,
        overdue: waiting && request.made.needed_by < now && figures.usable() < asked.qty.0,
    })
}

fn missions(region: &Region, now: Timestamp, exercise: bool) -> Listed<MissionLine> {
    let mut under_way: Vec<&Mission> = region
        .missions()
        .map(|(_, mission)| mission)
        .filter(|mission| mission.notice.exercise == exercise && !mission.state.is_over())
        .collect();
    under_way.sort_by_key(|mission| {
        let notice = &mission.notice;
        (Reverse(is_overdue(mission, now)), notice.needed_by, mission.sequence, notice.mission)
    });
    let shown: BTreeSet<RequestId> = under_way.iter().take(ROWS_MAX).map(|mission| mission.notice.request).collect();
    let expected: BTreeMap<_, Timestamp> = shown
        .into_iter()
        .flat_map(|request| region.answers(request))
        .filter_map(|(key, answered)| Some((*key, answered.given.eta?)))
        .collect();
    listed(under_way, |mission| {
        let notice = &mission.notice;
        let eta = expected.get(&(notice.request, notice.line, notice.holder)).copied();
        mission_line(mission, is_overdue(mission, now), eta)
    })
}

/// Needed by now, and not arrived.
fn is_overdue(mission: &Mission, now: Timestamp) -> bool {
    let to_come = mission.state.is_before_departure() || mission.state == MissionState::Dispatched;
    to_come && mission.notice.needed_by < now
}

fn mission_line(mission: &Mission, overdue: bool, eta: Option<Timestamp>) -> MissionLine {
    let notice = &mission.notice;
    let left = mission.amounts.left();
    MissionLine {
        mission: notice.mission,
        number: notice.number.clone(),
        request: notice.request,
        line: notice.line,
        owner: notice.owner,
        holder: notice.holder,
        requester: notice.requester,
        name: notice.name.clone(),
        unit: notice.unit.clone(),
        qty: if left.is_zero() { notice.qty.0 } else { left.0 },
        outstanding: mission.amounts.outstanding().0,
        state: words::mission_state(mission.state),
        held_at: mission.stages.held,
        since: latest(&mission.stages),
        needed_by: notice.needed_by,
        eta,
        overdue,
        hold_until: (mission.state == MissionState::Held).then_some(mission.hold_until),
        paper_due: mission.paper_due,
        relayed: mission.relayed.map(|qty| qty.0),
        recalled: mission.recalled,
    }
}

fn latest(stages: &Stages) -> Option<Timestamp> {
    let later = [stages.accounted, stages.received, stages.dispatched, stages.committed, stages.ordered, stages.held];
    later.into_iter().flatten().next()
}

/// As in the paper, a contradiction about an unknown mission counts as actual.
fn belongs(region: &Region, mission: MissionId, exercise: bool) -> bool {
    region.mission(mission).is_some_and(|mission| mission.notice.exercise) == exercise
}

fn number_of(region: &Region, mission: MissionId) -> String {
    region.mission(mission).map(|mission| mission.notice.number.clone()).unwrap_or_default()
}

fn discrepancies(region: &Region, exercise: bool) -> Listed<DiscrepancyLine> {
    let mut open: Vec<_> = region
        .discrepancies()
        .filter(|((mission, _), known)| known.closed_at.is_none() && belongs(region, *mission, exercise))
        .collect();
    open.sort_by_key(|(key, known)| (known.opened_at, **key));
    listed(open, |((mission, kind), known)| DiscrepancyLine {
        mission: *mission,
        number: number_of(region, *mission),
        kind: words::discrepancy(*kind),
        qty: known.qty.0,
        reported_by: known.reported_by,
        opened_at: known.opened_at,
        proposed: known.proposed.is_some(),
    })
}

fn obligations(region: &Region, exercise: bool) -> Listed<ObligationLine> {
    let mut open: Vec<_> = region
        .obligations()
        .filter(|((mission, _), debt)| debt.settled_at.is_none() && belongs(region, *mission, exercise))
        .collect();
    open.sort_by_key(|(key, debt)| (debt.opened_at, **key));
    listed(open, |((mission, kind), debt)| {
        let notice = region.mission(*mission).map(|mission| &mission.notice);
        ObligationLine {
            mission: *mission,
            number: number_of(region, *mission),
            kind: words::debt_kind(*kind),
            state: words::obligation_state(debt.state),
            debtor: debt.debtor,
            creditor: debt.creditor,
            name: notice.map(|notice| notice.name.clone()).unwrap_or_default(),
            unit: notice.map(|notice| notice.unit.clone()).unwrap_or_default(),
            qty: debt.qty.0,
            accepted: debt.accepted.0,
            in_money: debt.in_money,
            amount_fen: debt.amount.0,
            opened_at: debt.opened_at,
        }
    })
}
