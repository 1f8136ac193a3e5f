//! The fold: from the record's maps to the rows of the paper, in an order that the record alone decides.

use std::collections::{BTreeMap, BTreeSet};

use shouwang_domain::ids::{MissionId, MunicipalityCode, RequestId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::state::{Mission, Pledge, Published, Request};
use shouwang_domain::region::view::LineState;
use shouwang_domain::resource::Resource;
use shouwang_domain::time::Timestamp;

use super::debts::{self, Debts};
use super::stages::{self, Durations};
use super::words::{self, LineFigures, Names};
use super::{
    AnswerRow, DiscrepancyRow, FORM, Fill, Header, LineRow, MemberRow, MissionRow, ObligationRow, PledgeRow,
    RegionReport, RequestRow, ResourceFill, Section, Share, Word,
};
use crate::api::convert::{aid, charter, compensation, mission, stock};
use crate::words as terms;

/// The paper of a region at the record's revision.
pub(super) fn report(record: &Record<Region>) -> RegionReport {
    let region = record.machine();
    let charter = region.charter();
    let header = Header {
        form: FORM,
        federation: charter.federation.clone(),
        region: charter.name.clone(),
        region_id: record.id(),
        epoch: record.epoch(),
        revision: record.revision(),
        record_time: record.time().to_string(),
        record_time_ms: record.time().0,
        ledger_root: record.ledger_root(),
        state_digest: record.digest(),
        charter_version: charter.version,
        hub: charter.hub,
    };
    let names = Names::of(region);
    let mut members: Vec<MemberRow> = charter
        .members
        .iter()
        .map(|member| MemberRow {
            code: member.code,
            name: member.name.clone(),
            standing: Word::of(terms::STANDING, charter::standing(member.standing)),
            superior: member.superior,
            nodes: member.nodes.len() as u64,
            voters: member.nodes.iter().filter(|node| node.voter).count() as u64,
        })
        .collect();
    members.sort_by_key(|member| member.code);
    let section = |exercise| section(region, &names, exercise);
    RegionReport { header, members, actual: section(false), exercise: section(true) }
}

/// One of the two halves; nothing of the other touches it.
fn section(region: &Region, names: &Names, exercise: bool) -> Section {
    let requests = requests(region, exercise);
    let missions = missions(region, exercise);
    let (discrepancies, discrepancies_closed) = discrepancies(region, exercise);
    let obligations = obligations(region, exercise);
    let members = region.charter().members.iter().map(|member| member.code);
    // Where there never was an exercise with a debt, a table of zeros would only look like one.
    let members = members.filter(|_| !exercise || !obligations.is_empty());
    Section {
        shares: shares(region, names, exercise),
        fill: fill(&requests, region, names),
        stages: stages::summary(&missions),
        debts: Debts::of(&obligations, members),
        requests: requests.into_iter().map(|(_, row)| row).collect(),
        missions,
        discrepancies,
        discrepancies_closed,
        obligations,
    }
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

fn when(at: Option<Timestamp>) -> Option<String> {
    at.map(time)
}

#[derive(Default)]
struct Shared<'a> {
    published: Option<&'a Published>,
    pledges: Vec<PledgeRow>,
    named: Option<(&'a str, &'a str)>,
}

fn shares(region: &Region, names: &Names, exercise: bool) -> Vec<Share> {
    let mut shared: BTreeMap<(MunicipalityCode, &Resource), Shared<'_>> = BTreeMap::new();
    for ((member, resource, _), published) in region.published().filter(|((_, _, of), _)| *of == exercise) {
        let entry = shared.entry((*member, resource)).or_default();
        entry.published = Some(published);
        entry.named = Some((&published.publication.name, &published.publication.unit));
    }
    for (id, pledge) in region.pledges().filter(|(_, pledge)| pledge.made.exercise == exercise) {
        if pledge.total.is_zero() && pledge.overdrawn.is_zero() && pledge.deficit.is_zero() {
            continue;
        }
        let entry = shared.entry((pledge.holder, &pledge.made.resource)).or_default();
        entry.named.get_or_insert((&pledge.made.name, &pledge.made.unit));
        entry.pledges.push(pledge_row(*id, pledge));
    }
    shared.into_iter().map(|((member, resource), entry)| share(member, resource, entry, names)).collect()
}

fn share(member: MunicipalityCode, resource: &Resource, entry: Shared<'_>, names: &Names) -> Share {
    let (name, unit) = match entry.named {
        Some((name, unit)) => (name.to_owned(), unit.to_owned()),
        None => names.resource(resource),
    };
    let sum = |part: fn(&PledgeRow) -> u64| entry.pledges.iter().map(part).fold(0, u64::saturating_add);
    let figure = entry.published.map(|published| published.publication.figure);
    Share {
        member,
        resource: resource.to_string(),
        name,
        unit,
        figure: figure.map(words::figure),
        published: figure.and_then(words::figure_qty),
        as_of: when(entry.published.map(|published| published.as_of)),
        pledged: sum(|row| row.pledged),
        held: sum(|row| row.held),
        free: sum(|row| row.free),
        overdrawn: sum(|row| row.overdrawn),
        deficit: sum(|row| row.deficit),
        pledges: entry.pledges,
    }
}

fn pledge_row(id: shouwang_domain::ids::PledgeId, pledge: &Pledge) -> PledgeRow {
    PledgeRow {
        pledge: id,
        owner: pledge.made.owner,
        class: Word::of(terms::STOCK_CLASS, stock::stock_class(pledge.made.class)),
        pledged: pledge.total.0,
        held: pledge.held.0,
        free: pledge.free().0,
        overdrawn: pledge.overdrawn.0,
        deficit: pledge.deficit.0,
        unit_price_fen: pledge.made.unit_price.0,
        expires_at: time(pledge.made.expires_at),
        for_request: pledge.made.for_line.map(|(request, _)| request),
        for_line: pledge.made.for_line.map(|(_, line)| line),
        closing: pledge.closing,
    }
}

fn requests(region: &Region, exercise: bool) -> Vec<(RequestId, RequestRow)> {
    let mut requests: Vec<(&RequestId, &Request)> =
        region.requests().filter(|(_, request)| request.made.exercise == exercise).collect();
    requests.sort_by_key(|(id, request)| (request.at, **id));
    requests.into_iter().map(|(id, request)| (*id, request_row(region, *id, request))).collect()
}

fn request_row(region: &Region, id: RequestId, request: &Request) -> RequestRow {
    let mut answers: BTreeMap<u16, Vec<AnswerRow>> = BTreeMap::new();
    for ((_, line, by), answered) in region.answers(id) {
        let (answer, qty, reason) = words::answer(&answered.given.answer);
        let (cost_fen, eta) = (answered.given.cost.0, when(answered.given.eta));
        let row = AnswerRow { by: *by, answer, qty, reason, cost_fen, eta, at: time(answered.at) };
        answers.entry(*line).or_default().push(row);
    }
    let mut line = |number| {
        let (asked, line) = request.line(number)?;
        let figures = LineFigures::of(line.missions.iter().filter_map(|id| region.mission(*id)));
        Some(LineRow {
            line: number,
            resource: asked.resource.to_string(),
            name: asked.name.clone(),
            asked: asked.qty.0,
            committed: figures.committed,
            delivered: figures.delivered,
            damaged: figures.damaged,
            fill_percent: words::percent(figures.usable(), asked.qty.0),
            state: Word::of(terms::LINE_STATE, aid::line_state(region.line_state(id, number)?)),
            answers: answers.remove(&number).unwrap_or_default(),
        })
    };
    RequestRow {
        request: id,
        number: request.made.number.clone(),
        requester: request.requester,
        subject: request.made.subject.clone(),
        place: request.made.place.clone(),
        priority: Word::of(terms::PRIORITY, aid::priority(request.made.priority)),
        made_at: time(request.at),
        needed_by: time(request.made.needed_by),
        expires_at: time(request.made.expires_at),
        closed_at: when(request.closed_at),
        addressed: request.made.addressed.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
        lines: request.line_numbers().filter_map(&mut line).collect(),
    }
}

fn fill(requests: &[(RequestId, RequestRow)], region: &Region, names: &Names) -> Fill {
    let mut resources: BTreeMap<&Resource, ResourceFill> = BTreeMap::new();
    let (mut lines, mut filled, mut unmet, mut withdrawn) = (0, 0, 0, 0);
    for (id, row) in requests {
        for line in &row.lines {
            let Some((asked, _)) = region.request(*id).and_then(|request| request.line(line.line)) else { continue };
            if line.state.code == LineState::Withdrawn.slug() {
                withdrawn += 1;
                continue;
            }
            lines += 1;
            filled += u64::from(line.fill_percent >= 100);
            unmet += u64::from(line.state.code == LineState::Unmet.slug());
            let sum = resources.entry(&asked.resource).or_insert_with(|| {
                let ((name, unit), resource) = (names.resource(&asked.resource), asked.resource.to_string());
                ResourceFill { resource, name, unit, asked: 0, committed: 0, delivered: 0, damaged: 0, fill_percent: 0 }
            });
            sum.asked = sum.asked.saturating_add(line.asked);
            sum.committed = sum.committed.saturating_add(line.committed);
            sum.delivered = sum.delivered.saturating_add(line.delivered);
            sum.damaged = sum.damaged.saturating_add(line.damaged);
        }
    }
    let rate = |mut sum: ResourceFill| {
        sum.fill_percent = words::percent(sum.delivered.saturating_sub(sum.damaged), sum.asked);
        sum
    };
    Fill {
        requests: requests.len() as u64,
        requests_closed: requests.iter().filter(|(_, row)| row.closed_at.is_some()).count() as u64,
        lines,
        lines_filled: filled,
        lines_filled_percent: words::percent(filled, lines),
        lines_unmet: unmet,
        lines_withdrawn: withdrawn,
        resources: resources.into_values().map(rate).collect(),
    }
}

fn missions(region: &Region, exercise: bool) -> Vec<MissionRow> {
    let mut missions: Vec<&Mission> =
        region.missions().map(|(_, mission)| mission).filter(|mission| mission.notice.exercise == exercise).collect();
    missions.sort_by_key(|mission| (mission.sequence, mission.notice.mission));
    missions.into_iter().map(|mission| mission_row(region, mission)).collect()
}

fn mission_row(region: &Region, mission: &Mission) -> MissionRow {
    let (notice, a, stages) = (&mission.notice, &mission.amounts, &mission.stages);
    MissionRow {
        mission: notice.mission,
        number: notice.number.clone(),
        request: notice.request,
        line: notice.line,
        owner: notice.owner,
        holder: notice.holder,
        requester: notice.requester,
        resource: notice.resource.to_string(),
        name: notice.name.clone(),
        unit: notice.unit.clone(),
        qty: notice.qty.0,
        state: Word::of(terms::MISSION_STATE, mission::mission_state(mission.state)),
        dispatched: a.left().0,
        received: a.received_good.0,
        received_damaged: a.received_damaged.0,
        consumed: a.usage.consumed.0,
        damaged: a.usage.damaged.0,
        lost: a.usage.lost.0,
        returned: a.returned_good.0,
        returned_damaged: a.returned_damaged.0,
        turned_back: a.turned_back.0,
        lost_in_transit: a.lost_in_transit.0,
        outstanding: a.outstanding().0,
        relayed: mission.relayed.map(|qty| qty.0),
        recalled: mission.recalled,
        paper_due: when(mission.paper_due),
        needed_by: time(notice.needed_by),
        held_at: when(stages.held),
        ordered_at: when(stages.ordered),
        committed_at: when(stages.committed),
        dispatched_at: when(stages.dispatched),
        received_at: when(stages.received),
        accounted_at: when(stages.accounted),
        seconds: Durations::of(region.request(notice.request).map(|request| request.at), stages),
    }
}

/// Whether something about a mission belongs to this half. A contradiction about an unknown mission counts as actual:
/// nobody can say that it was only played.
fn belongs(region: &Region, mission: MissionId, exercise: bool) -> bool {
    region.mission(mission).is_some_and(|mission| mission.notice.exercise) == exercise
}

fn number_of(region: &Region, mission: MissionId) -> String {
    region.mission(mission).map(|mission| mission.notice.number.clone()).unwrap_or_default()
}

fn discrepancies(region: &Region, exercise: bool) -> (Vec<DiscrepancyRow>, u64) {
    let all = region.discrepancies().filter(|((mission, _), _)| belongs(region, *mission, exercise));
    let (mut open, closed): (Vec<_>, Vec<_>) = all.partition(|(_, known)| known.closed_at.is_none());
    open.sort_by_key(|(key, known)| (known.opened_at, **key));
    let row =
        |((mission, kind), known): (&(MissionId, _), &shouwang_domain::region::state::Discrepancy)| DiscrepancyRow {
            mission: *mission,
            number: number_of(region, *mission),
            kind: Word::of(terms::DISCREPANCY_KIND, compensation::discrepancy_kind(*kind)),
            qty: known.qty.0,
            reported_by: known.reported_by,
            opened_at: time(known.opened_at),
            proposed_by: known.proposed.as_ref().map(|(_, by)| by.municipality),
        };
    (open.into_iter().map(row).collect(), closed.len() as u64)
}

fn obligations(region: &Region, exercise: bool) -> Vec<ObligationRow> {
    let mut all: Vec<_> =
        region.obligations().filter(|((mission, _), _)| belongs(region, *mission, exercise)).collect();
    all.sort_by_key(|(key, debt)| (debt.opened_at, **key));
    let row = |((mission, kind), debt): (&(MissionId, _), &shouwang_domain::region::state::Obligation)| {
        let open = debts::open(*kind, debt);
        // An obligation always has its mission (domain.md §6.10); without it the row still stands.
        let notice = region.mission(*mission).map(|mission| &mission.notice);
        ObligationRow {
            mission: *mission,
            number: number_of(region, *mission),
            kind: Word::of(terms::DEBT_KIND, compensation::debt_kind(*kind)),
            state: Word::of(terms::OBLIGATION_STATE, compensation::obligation_state(debt.state)),
            basis: Word::of(terms::BASIS, compensation::basis(debt.basis)),
            debtor: debt.debtor,
            creditor: debt.creditor,
            holder: debt.holder,
            resource: notice.map(|notice| notice.resource.to_string()).unwrap_or_default(),
            name: notice.map(|notice| notice.name.clone()).unwrap_or_default(),
            unit: notice.map(|notice| notice.unit.clone()).unwrap_or_default(),
            qty: debt.qty.0,
            received: debt.received.0,
            accepted: debt.accepted.0,
            rejected: debt.rejected.0,
            open_units: open.units,
            open_value_fen: open.value,
            open_money_fen: open.money,
            amount_fen: debt.amount.0,
            in_money: debt.in_money,
            dispute: debt.dispute.clone(),
            opened_at: time(debt.opened_at),
            settled_at: when(debt.settled_at),
        }
    };
    all.into_iter().map(row).collect()
}
