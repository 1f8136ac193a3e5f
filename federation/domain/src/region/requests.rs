//! Aid requests, their lines and the answers to them.

use super::draft::{Draft, check_qty, check_text};
use super::event::RegionEvent;
use super::lifecycle::{MissionState, ObligationState};
use super::state::LineEnd;
use super::{missions, pledges};
use crate::channel::{Answer, AnswerGiven, RequestMade};
use crate::charter::Standing;
use crate::ids::{LineNumber, MunicipalityCode, PledgeId, RequestId};
use crate::machine::Context;
use crate::refusal::Refusal;

/// Most lines of one request.
pub const LINES_MAX: usize = 100;

/// "We need": a new request.
pub(super) fn take(draft: &mut Draft, context: &Context<'_>, made: &RequestMade) -> Result<(), Refusal> {
    let requester = draft.party(context)?.code;
    if draft.region.requests.contains_key(&made.request) {
        return Err(Refusal::exists("request", made.request));
    }
    check_text("number", &made.number, 64)?;
    check_text("subject", &made.subject, 200)?;
    check_text("place", &made.place, 200)?;
    if made.lines.is_empty() || made.lines.len() > LINES_MAX {
        return Err(Refusal::field("lines", "1 to 100"));
    }
    for line in &made.lines {
        check_qty(line.qty)?;
        check_text("lines.name", &line.name, 200)?;
    }
    if made.expires_at <= draft.at {
        return Err(Refusal::TooLate { due: made.expires_at });
    }
    for code in &made.addressed {
        let member = draft.region.head.charter.member(*code).ok_or(Refusal::NotAMember { municipality: *code })?;
        if member.code == requester {
            return Err(Refusal::field("addressed", "others than the requester"));
        }
    }
    draft.push(RegionEvent::RequestMade { requester, request: made.clone() });
    Ok(())
}

/// "We give", "perhaps", "we cannot": all three are legitimate, and kept.
pub(super) fn answer(draft: &mut Draft, context: &Context<'_>, given: &AnswerGiven) -> Result<(), Refusal> {
    let by = draft.party(context)?.code;
    let request = draft.request(given.request)?;
    let (asked, line) = request.line(given.line).ok_or_else(|| Refusal::not_found("line", given.line))?;
    if request.requester == by {
        return Err(Refusal::not_yours(by, "answer its own request"));
    }
    if let Some(end) = &line.end {
        let state = format!("{end:?}");
        return Err(Refusal::WrongState { kind: "line".to_owned(), state, step: "answer".to_owned() });
    }
    match &given.answer {
        Answer::Accept { qty } if *qty > asked.qty => {
            return Err(Refusal::MoreThanRequested { wanted: *qty, open: asked.qty });
        }
        Answer::Accept { qty } => check_qty(*qty)?,
        Answer::Provisional { qty, reason } => {
            check_qty(*qty)?;
            pledges::check_reason(reason)?;
        }
        Answer::Decline { reason } => pledges::check_reason(reason)?,
    }
    let declined = matches!(given.answer, Answer::Decline { .. });
    draft.push(RegionEvent::Answered { by, answer: given.clone() });
    if declined {
        close_offers(draft, given.request, given.line, Some(by));
        note_unmet(draft, given.request, given.line);
    }
    Ok(())
}

/// 无法满足: when everybody who was asked has declined and nothing is under way, the record says so by itself.
fn note_unmet(draft: &mut Draft, id: RequestId, number: LineNumber) {
    let Some(request) = draft.region.requests.get(&id) else { return };
    let Some((_, line)) = request.line(number) else { return };
    let under_way =
        line.missions.iter().any(|id| draft.region.missions.get(id).is_some_and(|mission| !mission.state.is_void()));
    let asked: Vec<MunicipalityCode> = if request.made.addressed.is_empty() {
        let members = draft.region.head.charter.members.iter();
        let parties = members.filter(|member| member.standing == Standing::Party);
        parties.map(|member| member.code).filter(|code| *code != request.requester).collect()
    } else {
        request.made.addressed.clone()
    };
    let has_declined = |code: &MunicipalityCode| {
        let answer = draft.region.answers.get(&(id, number, *code));
        answer.is_some_and(|answered| matches!(answered.given.answer, Answer::Decline { .. }))
    };
    if !line.unmet && !under_way && asked.iter().all(has_declined) {
        draft.push(RegionEvent::LineUnmet { request: id, line: number, declined: asked });
    }
}

/// 撤回: unsigned holds go back; what is signed must be cancelled mission by mission.
pub(super) fn withdraw(
    draft: &mut Draft,
    context: &Context<'_>,
    id: RequestId,
    number: LineNumber,
) -> Result<(), Refusal> {
    let request = draft.request(id)?;
    check_requester(request.requester, context, "withdraw a line")?;
    let (_, line) = request.line(number).ok_or_else(|| Refusal::not_found("line", number))?;
    if let Some(end) = &line.end {
        let state = format!("{end:?}");
        return Err(Refusal::WrongState { kind: "line".to_owned(), state, step: "withdraw".to_owned() });
    }
    end_line(draft, id, number, LineEnd::Withdrawn);
    Ok(())
}

/// A line takes no more holds: its unsigned holds and its offers go back.
pub(super) fn end_line(draft: &mut Draft, id: RequestId, number: LineNumber, end: LineEnd) {
    let Some(request) = draft.region.requests.get(&id) else { return };
    let Some((_, line)) = request.line(number) else { return };
    let holds: Vec<_> = line
        .missions
        .iter()
        .filter(|id| draft.region.missions.get(*id).is_some_and(|mission| mission.state == MissionState::Held))
        .copied()
        .collect();
    draft.push(RegionEvent::LineEnded { request: id, line: number, end });
    for mission in holds {
        missions::end_hold(draft, mission, MissionState::HoldReleased);
    }
    close_offers(draft, id, number, None);
}

/// Offers for a line that is over go back in full (those of one member, or all).
fn close_offers(draft: &mut Draft, id: RequestId, number: LineNumber, of: Option<MunicipalityCode>) {
    let offers: Vec<PledgeId> = draft
        .region
        .pledges
        .iter()
        .filter(|(_, pledge)| pledge.made.for_line == Some((id, number)))
        .filter(|(_, pledge)| of.is_none_or(|member| pledge.holder == member))
        .map(|(pledge, _)| *pledge)
        .collect();
    for pledge in offers {
        pledges::close(draft, pledge, false);
    }
}

/// 办结: only when no quantity, discrepancy, paper or obligation is open (domain.md §6.11).
pub(super) fn close(draft: &mut Draft, context: &Context<'_>, id: RequestId) -> Result<(), Refusal> {
    let request = draft.request(id)?;
    check_requester(request.requester, context, "close a request")?;
    if request.closed_at.is_some() {
        return Err(Refusal::WrongState {
            kind: "request".to_owned(),
            state: "closed".to_owned(),
            step: "close".to_owned(),
        });
    }
    for mission in request.lines.iter().flat_map(|line| &line.missions) {
        check_nothing_open(draft, *mission)?;
    }
    for number in request.line_numbers() {
        if draft.request(id)?.line(number).is_some_and(|(_, line)| line.end.is_none()) {
            end_line(draft, id, number, LineEnd::Closed);
        }
    }
    draft.push(RegionEvent::RequestClosed { request: id });
    Ok(())
}

fn check_nothing_open(draft: &Draft, id: crate::ids::MissionId) -> Result<(), Refusal> {
    let open = |what: String| Err(Refusal::StillOpen { what });
    let mission = draft.mission(id)?;
    if !mission.state.is_over() && mission.state != MissionState::Held {
        return open(format!("mission {} ({})", mission.notice.number, mission.state.slug()));
    }
    if let Some(due) = mission.paper_due
        && !mission.state.is_void()
    {
        return Err(Refusal::PaperOwed { due });
    }
    let of_mission = |key: &crate::ids::MissionId| *key == id;
    if let Some(((_, kind), _)) =
        draft.region.discrepancies.iter().find(|((key, _), d)| of_mission(key) && d.closed_at.is_none())
    {
        return open(format!("discrepancy {kind:?} of mission {}", mission.notice.number));
    }
    let debts = draft.region.obligations.iter();
    match debts.into_iter().find(|((key, _), debt)| of_mission(key) && debt.state != ObligationState::Settled) {
        Some(_) => open(format!("obligation of mission {}", mission.notice.number)),
        None => Ok(()),
    }
}

fn check_requester(requester: MunicipalityCode, context: &Context<'_>, action: &str) -> Result<(), Refusal> {
    if requester == context.actor.municipality {
        Ok(())
    } else {
        Err(Refusal::not_yours(context.actor.municipality, action))
    }
}
