//! Lets region events happen. No guards, no decisions: whatever arrives here has been decided.

use std::sync::Arc;

use super::Region;
use super::event::RegionEvent as E;
use super::heads;
use super::lifecycle::{MissionState, ObligationState};
use super::state::{
    Answered, Change, Discrepancy, Line, Mission, Obligation, ObligationKey, Pledge, Published, Request, Timer,
};
use crate::channel::{Fact, Step};
use crate::charter::CharterChange;
use crate::ids::{MissionId, PledgeId};
use crate::quantity::Qty;
use crate::resource::Figure;
use crate::time::Timestamp;

pub(super) fn evolve(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::UpTaken { .. } | E::LifeBegun { .. } | E::Sent { .. } | E::DownTaken { .. } => channel(region, event),
        E::ChangeProposed { .. }
        | E::ChangeSigned { .. }
        | E::CharterChanged { .. }
        | E::KeyRetired { .. }
        | E::VoterSet { .. }
        | E::LevelAnnounced { .. }
        | E::LevelRaised { .. }
        | E::Rescued { .. } => membership(region, event),
        E::HeadMarked { .. } | E::Countersigned { .. } | E::HeadDisputed { .. } => heads::evolve(region, at, event),
        E::Published { .. }
        | E::Pledged { .. }
        | E::PledgeReleased { .. }
        | E::PledgeClosing { .. }
        | E::PledgeOverdrawn { .. }
        | E::OverdraftCovered { .. }
        | E::DeficitAbsorbed { .. }
        | E::PledgeDeparted { .. } => pledge(region, at, event),
        E::RequestMade { .. }
        | E::Answered { .. }
        | E::LineUnmet { .. }
        | E::LineEnded { .. }
        | E::RequestExpired { .. }
        | E::RequestClosed { .. } => request(region, at, event),
        E::DiscrepancyOpened { .. }
        | E::DiscrepancyChanged { .. }
        | E::FindingProposed { .. }
        | E::DiscrepancyClosed { .. } => discrepancy(region, at, event),
        E::ObligationOpened { .. }
        | E::ObligationChanged { .. }
        | E::ObligationMoved { .. }
        | E::ObligationClaimed { .. }
        | E::ObligationRecognised { .. }
        | E::ObligationDisputed { .. }
        | E::PaymentReported { .. }
        | E::RestockReceived { .. }
        | E::RestockVerified { .. } => obligation(region, at, event),
        _ => mission(region, at, event),
    }
}

fn channel(region: &mut Region, event: &E) {
    match event {
        E::UpTaken { member, incarnation, number, digest, .. } => {
            let channel = region.channels.entry(*member).or_default();
            (channel.incarnation, channel.up, channel.up_digest) = (*incarnation, *number, *digest);
        }
        E::LifeBegun { member, life } => {
            let channel = region.channels.entry(*member).or_default();
            (channel.incarnation, channel.up, channel.up_digest) = (life.incarnation, 0, life.mark);
            channel.down_taken = channel.down;
            region.outbox = region.outbox.iter().filter(|((to, _), _)| to != member).cloned_pairs();
            region.published = region.published.iter().filter(|((of, ..), _)| of != member).cloned_pairs();
        }
        E::Sent { to, number, message } => {
            region.channels.entry(*to).or_default().down = *number;
            region.outbox.insert((*to, *number), message.clone());
        }
        E::DownTaken { member, through } => {
            let channel = region.channels.entry(*member).or_default();
            let taken = channel.down_taken + 1..=*through;
            channel.down_taken = *through;
            taken.for_each(|number| {
                region.outbox.remove(&(*member, number));
            });
        }
        _ => {}
    }
}

fn membership(region: &mut Region, event: &E) {
    match event {
        E::ChangeProposed { change, base_version, what } => {
            let waiting =
                Change { change: what.clone(), base_version: *base_version, signed: Vec::new(), in_force: None };
            region.changes.insert(*change, waiting);
        }
        E::ChangeSigned { change, by } => {
            if let Some(change) = region.changes.get_mut(change) {
                change.signed.push(*by);
            }
        }
        E::CharterChanged { change, version } => put_in_force(region, *change, *version),
        E::KeyRetired { node } => {
            if let Ok(entry) = Arc::make_mut(&mut region.head.charter).node_mut(*node)
                && let Some((_, until)) = entry.retiring.take()
            {
                region.timers.remove(&(until, Timer::KeyRetires(*node)));
            }
        }
        E::VoterSet { node, voter } => {
            if let Ok(entry) = Arc::make_mut(&mut region.head.charter).node_mut(*node) {
                entry.voter = *voter;
            }
        }
        E::LevelAnnounced { node, level } => {
            region.node_levels.insert(*node, *level);
        }
        E::LevelRaised { to } => region.head.level = *to,
        E::Rescued { voters, .. } => {
            let charter = Arc::make_mut(&mut region.head.charter);
            let nodes = charter.members.iter_mut().flat_map(|member| member.nodes.iter_mut());
            nodes.for_each(|entry| entry.voter = voters.contains(&entry.node));
            // What was said of them stays said, of its epoch; nobody speaks of them any more.
            region.heads.clear();
        }
        _ => {}
    }
}

fn put_in_force(region: &mut Region, id: crate::ids::CommandId, version: u32) {
    let Some(change) = region.changes.get_mut(&id) else { return };
    change.in_force = Some(version);
    let what = change.change.clone();
    let before: Vec<_> = region.head.charter.nodes().map(|(_, entry)| entry.node).collect();
    if let CharterChange::RotateKey { node, old_until, .. } = &what {
        if let Some((_, entry)) = region.head.charter.nodes().find(|(_, entry)| entry.node == *node)
            && let Some((_, until)) = &entry.retiring
        {
            region.timers.remove(&(*until, Timer::KeyRetires(*node)));
        }
        region.timers.insert((*old_until, Timer::KeyRetires(*node)), ());
    }
    if let CharterChange::RemoveMember(code) = &what {
        // Who is no member shows nothing any more.
        region.published = region.published.iter().filter(|((member, ..), _)| member != code).cloned_pairs();
    }
    // The decision has tried this very change on this very charter.
    if let Ok(charter) = region.head.charter.changed(&what) {
        region.head.charter = Arc::new(charter);
    }
    for node in before {
        if !region.head.charter.nodes().any(|(_, entry)| entry.node == node) {
            region.retired_nodes.insert(node, ());
            region.node_levels.remove(&node);
            region.countersignatures.remove(&node);
            region.timers = region.timers.iter().filter(|((_, t), ())| *t != Timer::KeyRetires(node)).cloned_pairs();
        }
    }
    // A change drawn on an older version can never come into force: it stops waiting.
    let version_now = region.head.charter.version;
    let waiting = region.changes.iter().filter(|(_, c)| c.in_force.is_some() || c.base_version == version_now);
    region.changes = waiting.cloned_pairs();
}

/// Collects borrowed pairs of a persistent map into a new one.
trait ClonedPairs<K, V> {
    fn cloned_pairs(self) -> imbl::OrdMap<K, V>;
}

impl<'a, K: Ord + Clone + 'a, V: Clone + 'a, I: Iterator<Item = (&'a K, &'a V)>> ClonedPairs<K, V> for I {
    fn cloned_pairs(self) -> imbl::OrdMap<K, V> {
        self.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

fn pledge(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::Published { member, publication } => {
            let key = (*member, publication.resource.clone(), publication.exercise);
            if publication.figure == Figure::Withdrawn {
                region.published.remove(&key);
            } else {
                region.published.insert(key, Published { publication: publication.clone(), as_of: at });
            }
        }
        E::Pledged { holder, pledge } => {
            region.timers.insert((pledge.expires_at, Timer::PledgeExpires(pledge.pledge)), ());
            let made = pledge.clone();
            let (total, zero) = (made.qty, Qty::ZERO);
            let pledge =
                Pledge { made, holder: *holder, total, held: zero, overdrawn: zero, deficit: zero, closing: false };
            region.pledges.insert(pledge.made.pledge, pledge);
        }
        E::PledgeReleased { pledge, qty } => {
            with_pledge(region, *pledge, |pledge| pledge.total = pledge.total.saturating_sub(*qty));
        }
        E::PledgeDeparted { pledge, qty } => with_pledge(region, *pledge, |pledge| {
            let taken = (*qty).min(pledge.unheld());
            pledge.total = pledge.total.saturating_sub(taken);
            pledge.deficit += qty.saturating_sub(taken);
        }),
        E::DeficitAbsorbed { pledge, qty } => with_pledge(region, *pledge, |pledge| {
            pledge.total = pledge.total.saturating_sub(*qty);
            pledge.deficit = pledge.deficit.saturating_sub(*qty);
        }),
        E::PledgeClosing { pledge, .. } => {
            if let Some(known) = region.pledges.get(pledge) {
                region.timers.remove(&(known.made.expires_at, Timer::PledgeExpires(*pledge)));
            }
            with_pledge(region, *pledge, |pledge| pledge.closing = true);
        }
        E::PledgeOverdrawn { pledge, qty, .. } => with_pledge(region, *pledge, |pledge| pledge.overdrawn += *qty),
        E::OverdraftCovered { pledge, qty } => {
            with_pledge(region, *pledge, |pledge| pledge.overdrawn = pledge.overdrawn.saturating_sub(*qty));
        }
        _ => {}
    }
}

fn with_pledge(region: &mut Region, id: PledgeId, change: impl FnOnce(&mut Pledge)) {
    if let Some(pledge) = region.pledges.get_mut(&id) {
        change(pledge);
    }
}

fn request(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::RequestMade { requester, request } => {
            region.timers.insert((request.expires_at, Timer::RequestExpires(request.request)), ());
            let line = Line { missions: Vec::new(), end: None, unmet: false };
            let lines = vec![line; request.lines.len()];
            let made = request.clone();
            let request = Request { made, requester: *requester, at, lines, closed_at: None };
            region.requests.insert(request.made.request, request);
        }
        E::Answered { by, answer } => {
            let key = (answer.request, answer.line, *by);
            region.answers.insert(key, Answered { given: answer.clone(), at });
        }
        E::LineUnmet { request, line, .. } => with_line(region, *request, *line, |line| line.unmet = true),
        E::LineEnded { request, line, end } => {
            with_line(region, *request, *line, |line| line.end = Some(end.clone()));
        }
        E::RequestExpired { request } => {
            if let Some(expires_at) = region.requests.get(request).map(|request| request.made.expires_at) {
                region.timers.remove(&(expires_at, Timer::RequestExpires(*request)));
            }
        }
        E::RequestClosed { request: id } => {
            if let Some(request) = region.requests.get_mut(id) {
                request.closed_at = Some(at);
                region.timers.remove(&(request.made.expires_at, Timer::RequestExpires(*id)));
            }
        }
        _ => {}
    }
}

fn with_line(region: &mut Region, id: crate::ids::RequestId, number: u16, change: impl FnOnce(&mut Line)) {
    let line = region.requests.get_mut(&id).and_then(|r| r.lines.get_mut(usize::from(number).wrapping_sub(1)));
    if let Some(line) = line {
        change(line);
    }
}

fn mission(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::MissionHeld { mission } => {
            let id = mission.notice.mission;
            region.head.holds = mission.sequence;
            region.timers.insert((mission.hold_until, Timer::HoldLapses(id)), ());
            with_pledge(region, mission.notice.pledge, |pledge| pledge.held += mission.notice.qty);
            with_line(region, mission.notice.request, mission.notice.line, |line| line.missions.push(id));
            region.missions.insert(id, (**mission).clone());
        }
        E::MissionReduced { mission: id, to } => {
            let Some(known) = region.missions.get(id).cloned() else { return };
            if known.reserving {
                let less = known.notice.qty.saturating_sub(*to);
                with_pledge(region, known.notice.pledge, |pledge| pledge.held = pledge.held.saturating_sub(less));
            }
            with_mission(region, *id, |mission| mission.notice.qty = *to);
        }
        E::ReservationEnded { mission: id } => {
            let Some(known) = region.missions.get(id).filter(|mission| mission.reserving).cloned() else { return };
            let qty = known.notice.qty;
            with_pledge(region, known.notice.pledge, |pledge| pledge.held = pledge.held.saturating_sub(qty));
            with_mission(region, *id, |mission| mission.reserving = false);
        }
        E::MissionMoved { mission: id, to } => {
            leave_hold(region, *id);
            with_mission(region, *id, |mission| move_to(mission, *to, at));
        }
        E::MissionOrdered { mission: id, number, by, paper_due } => {
            leave_hold(region, *id);
            with_mission(region, *id, |mission| {
                mission.notice.number.clone_from(number);
                mission.ordered_by = Some(by.clone());
                mission.paper_due = *paper_due;
                move_to(mission, MissionState::Ordered, at);
            });
        }
        E::FactRecorded { fact, .. } => {
            with_mission(region, fact.mission, |mission| record_fact(mission, fact));
            // Words that prove no departure leave a hold where it is, and under its clock.
            if region.missions.get(&fact.mission).is_some_and(|mission| mission.state != MissionState::Held) {
                leave_hold(region, fact.mission);
            }
        }
        E::CommitmentSeen { mission } => with_mission(region, *mission, |mission| {
            mission.stages.committed.get_or_insert(at);
        }),
        E::PaperConfirmed { mission, .. } => with_mission(region, *mission, |mission| mission.paper_due = None),
        E::MissionRecalled { mission, .. } => with_mission(region, *mission, |mission| mission.recalled = true),
        E::DispatchRelayed { mission, qty, .. } => {
            with_mission(region, *mission, |mission| mission.relayed = Some(*qty));
        }
        E::DispatchCorrected { mission, more } => {
            with_mission(region, *mission, |mission| mission.amounts.corrected += *more);
        }
        E::LostInTransit { mission, qty } => {
            with_mission(region, *mission, |mission| mission.amounts.lost_in_transit += *qty);
        }
        E::Charged { mission, qty } => with_mission(region, *mission, |mission| mission.amounts.charged += *qty),
        _ => {}
    }
}

fn with_mission(region: &mut Region, id: MissionId, change: impl FnOnce(&mut Mission)) {
    if let Some(mission) = region.missions.get_mut(&id) {
        change(mission);
    }
}

/// A mission that leaves its first state no longer lapses.
fn leave_hold(region: &mut Region, id: MissionId) {
    if let Some(mission) = region.missions.get(&id) {
        region.timers.remove(&(mission.hold_until, Timer::HoldLapses(id)));
    }
}

fn move_to(mission: &mut Mission, to: MissionState, at: Timestamp) {
    mission.state = to;
    let stage = match to {
        MissionState::Ordered => &mut mission.stages.ordered,
        MissionState::Accounted => &mut mission.stages.accounted,
        _ => return,
    };
    stage.get_or_insert(at);
}

fn record_fact(mission: &mut Mission, fact: &Fact) {
    let a = &mut mission.amounts;
    let reached = match &fact.step {
        Step::Picked => MissionState::Picking,
        Step::Dispatched { qty, .. } => {
            a.dispatched = *qty;
            mission.stages.dispatched = Some(fact.happened_at);
            MissionState::Dispatched
        }
        Step::HandedOver { qty } => {
            a.handed_over = Some(*qty);
            MissionState::Dispatched
        }
        Step::Received { good, damaged } => {
            (a.received_good, a.received_damaged) = (*good, *damaged);
            mission.stages.received.get_or_insert(fact.happened_at);
            MissionState::Delivered
        }
        Step::OnSite => MissionState::OnSite,
        Step::Used(usage) => {
            a.usage = *usage;
            MissionState::OnSite
        }
        Step::Demobilised | Step::SafetyWithdrawal { .. } => MissionState::Demobilised,
        Step::ReturnSent { total } => {
            a.return_sent = *total;
            MissionState::Demobilised
        }
        Step::Returned { good, damaged } => {
            (a.returned_good, a.returned_damaged) = (*good, *damaged);
            MissionState::Returned
        }
        Step::TurnedBack { qty } => {
            a.turned_back = *qty;
            MissionState::Dispatched
        }
    };
    // Words about work prove a stage only of a mission whose goods are known to have left; picking only of one that waits.
    let moved = !a.dispatched.is_zero() || !a.received().is_zero();
    let proves = match reached {
        MissionState::Picking => matches!(mission.state, MissionState::Ordered | MissionState::Committed),
        _ => moved,
    };
    if proves {
        mission.state = mission.state.lifted_to(reached);
    }
}

fn discrepancy(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::DiscrepancyOpened { discrepancy, qty, by } => {
            let opened = Discrepancy {
                qty: *qty,
                reported_by: *by,
                opened_at: at,
                proposed: None,
                finding: None,
                charged: Qty::ZERO,
                closed_at: None,
            };
            region.discrepancies.insert(*discrepancy, opened);
        }
        E::DiscrepancyChanged { discrepancy, qty } => {
            if let Some(known) = region.discrepancies.get_mut(discrepancy) {
                known.qty = *qty;
                (known.proposed, known.finding) = (None, None);
                known.closed_at = qty.is_zero().then_some(at);
            }
        }
        E::FindingProposed { discrepancy, finding, by } => {
            if let Some(known) = region.discrepancies.get_mut(discrepancy) {
                known.proposed = Some((finding.clone(), by.clone()));
            }
        }
        E::DiscrepancyClosed { discrepancy, finding, .. } => {
            if let Some(known) = region.discrepancies.get_mut(discrepancy) {
                known.finding = Some(finding.clone());
                known.charged = known.charged.max(finding.charge_requester);
                known.closed_at = Some(at);
            }
        }
        _ => {}
    }
}

fn obligation(region: &mut Region, at: Timestamp, event: &E) {
    match event {
        E::ObligationOpened { key, obligation } => {
            region.obligations.insert(*key, (**obligation).clone());
        }
        E::ObligationChanged { key, qty, amount } => {
            with_debt(region, *key, |debt| (debt.qty, debt.amount) = (*qty, *amount));
        }
        E::ObligationMoved { key, to } => with_debt(region, *key, |debt| {
            debt.state = *to;
            let settled = *to == ObligationState::Settled;
            debt.settled_at = settled.then_some(at);
            if settled && (debt.in_money || debt.is_gift()) {
                debt.cleared = debt.qty.saturating_sub(debt.accepted);
            }
        }),
        E::ObligationClaimed { key, evidence, by } => with_debt(region, *key, |debt| {
            debt.state = ObligationState::Claimed;
            debt.evidence.clone_from(evidence);
            debt.claimed_by = Some(by.clone());
        }),
        E::ObligationRecognised { key, basis, in_money, by } => with_debt(region, *key, |debt| {
            debt.state = ObligationState::Recognised;
            (debt.basis, debt.in_money) = (*basis, *in_money);
            debt.recognised_by = Some(by.clone());
        }),
        E::ObligationDisputed { key, reason, .. } => with_debt(region, *key, |debt| {
            debt.state = ObligationState::Disputed;
            debt.dispute = Some(reason.clone());
        }),
        E::PaymentReported { key, evidence, by } => with_debt(region, *key, |debt| {
            debt.state = ObligationState::Paid;
            debt.evidence.clone_from(evidence);
            debt.paid_by = Some(by.clone());
        }),
        E::RestockReceived { key, total } => with_debt(region, *key, |debt| debt.received = *total),
        E::RestockVerified { key, accepted, rejected } => with_debt(region, *key, |debt| {
            (debt.accepted, debt.rejected) = (*accepted, *rejected);
            debt.received = debt.received.max(*accepted + *rejected);
        }),
        _ => {}
    }
}

fn with_debt(region: &mut Region, key: ObligationKey, change: impl FnOnce(&mut Obligation)) {
    if let Some(debt) = region.obligations.get_mut(&key) {
        change(debt);
    }
}
