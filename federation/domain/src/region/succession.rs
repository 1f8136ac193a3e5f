//! The region's history only grows (domain.md §6.11, 13 and 15): nothing recorded goes away, no total falls, no clock moves
//! later, and nothing closes that is open.

use super::Region;
use super::heads::Countersignature;
use super::lifecycle::ObligationState;
use super::state::{Amounts, Channel, Mission, Obligation, Pledge, Request};
use crate::ids::{MissionId, NodeId};
use crate::succession::{first_broken, grows, stays};

/// Checks a state against the one before it.
pub(super) fn check(before: &Region, after: &Region) -> Result<(), String> {
    if before.head.charter.version > after.head.charter.version || before.head.holds > after.head.holds {
        return Err("charter or order of holds fell back".to_owned());
    }
    if before.head.level > after.head.level {
        return Err("the feature level fell".to_owned());
    }
    // A node that leaves takes its last word out of the state; it stays in the ledger.
    let falls_back = |(node, word): (&NodeId, &Countersignature)| {
        after.countersignatures.get(node).is_some_and(|later| later.revision < word.revision)
    };
    if before.countersignatures.iter().any(falls_back) {
        return Err("a node countersigned an older head than before".to_owned());
    }
    grows("mission", &before.missions, &after.missions, mission)?;
    grows("pledge", &before.pledges, &after.pledges, pledge)?;
    grows("request", &before.requests, &after.requests, |was, is| request(after, was, is))?;
    grows("obligation", &before.obligations, &after.obligations, obligation)?;
    grows("answer", &before.answers, &after.answers, |_, _| None)?;
    grows("discrepancy", &before.discrepancies, &after.discrepancies, |_, _| None)?;
    grows("retired node", &before.retired_nodes, &after.retired_nodes, |(), ()| None)?;
    grows("channel", &before.channels, &after.channels, channel)
}

fn mission(before: &Mission, after: &Mission) -> Option<&'static str> {
    let (b, a) = (&before.notice, &after.notice);
    let same = (b.pledge, b.lot, b.request, b.line, b.holder, b.requester, b.exercise)
        == (a.pledge, a.lot, a.request, a.line, a.holder, a.requester, a.exercise);
    let (s, t) = (&before.stages, &after.stages);
    let stages = [
        (&s.held, &t.held),
        (&s.ordered, &t.ordered),
        (&s.committed, &t.committed),
        (&s.dispatched, &t.dispatched),
        (&s.received, &t.received),
        (&s.accounted, &t.accounted),
    ];
    let paper = match (before.paper_due, after.paper_due) {
        (Some(before), Some(after)) => after <= before,
        _ => true,
    };
    first_broken(&[
        (same, "is about something else now"),
        (before.sequence == after.sequence, "changed its place among the holds"),
        (a.qty <= b.qty, "promises more than was held"),
        (before.hold_until == after.hold_until && paper, "a clock moved later"),
        (stages.iter().all(|(before, after)| stays(before.as_ref(), after.as_ref())), "a time was changed"),
        (totals_grow(&before.amounts, &after.amounts), "a total to date fell"),
    ])
}

fn totals_grow(before: &Amounts, after: &Amounts) -> bool {
    let totals = |a: &Amounts| {
        let sent = [a.dispatched, a.corrected, a.received(), a.return_sent, a.turned_back, a.lost_in_transit];
        let gone = [a.usage.consumed, a.usage.damaged, a.usage.lost, a.returned_good, a.returned_damaged, a.charged];
        sent.into_iter().chain(gone)
    };
    totals(before).zip(totals(after)).all(|(before, after)| before <= after)
}

fn pledge(before: &Pledge, after: &Pledge) -> Option<&'static str> {
    first_broken(&[
        (before.made == after.made && before.holder == after.holder, "is another promise now"),
        (!before.closing || after.closing, "takes holds again"),
        (after.total <= before.total, "holds more than was pledged"),
    ])
}

fn request(region: &Region, before: &Request, after: &Request) -> Option<&'static str> {
    let closes = before.closed_at.is_none() && after.closed_at.is_some();
    let mut lines = before.lines.iter().zip(&after.lines);
    let kept = lines.all(|(before, after)| after.missions.starts_with(&before.missions));
    first_broken(&[
        (before.made == after.made && before.requester == after.requester, "asks for something else now"),
        (kept && before.lines.len() == after.lines.len(), "lost a mission of a line"),
        (stays(before.closed_at.as_ref(), after.closed_at.as_ref()), "closed at another time, or not any more"),
        (
            !closes || !after.lines.iter().flat_map(|line| &line.missions).any(|id| is_open(region, *id)),
            "closed with something of it open",
        ),
    ])
}

/// domain.md §6.11, in the moment in which a request closes: a fact that comes later may open a mission again.
fn is_open(region: &Region, id: MissionId) -> bool {
    let mut apart = region.discrepancies.iter().filter(|((of, _), _)| *of == id);
    let mut debts = region.obligations.iter().filter(|((of, _), _)| *of == id);
    region.missions.get(&id).is_some_and(|mission| !mission.state.is_over())
        || apart.any(|(_, known)| known.closed_at.is_none())
        || debts.any(|(_, debt)| debt.state != ObligationState::Settled)
}

fn obligation(before: &Obligation, after: &Obligation) -> Option<&'static str> {
    first_broken(&[
        ((before.debtor, before.creditor) == (after.debtor, after.creditor), "is another's now"),
        (before.opened_at == after.opened_at, "a time was changed"),
        (before.received <= after.received && before.accepted <= after.accepted, "restock went away"),
        (before.rejected <= after.rejected, "a rejection went away"),
    ])
}

fn channel(before: &Channel, after: &Channel) -> Option<&'static str> {
    first_broken(&[
        (before.incarnation <= after.incarnation, "an older incarnation speaks"),
        (before.incarnation < after.incarnation || before.up <= after.up, "a number was taken back"),
        (after.up <= before.up + 1, "a number was skipped"),
        (before.incarnation == after.incarnation || before.up == 0 || after.up == 0, "another life speaks unannounced"),
        (before.down <= after.down && before.down_taken <= after.down_taken, "a message was taken back"),
        (after.down_taken <= after.down, "a message was taken that was never sent"),
    ])
}
