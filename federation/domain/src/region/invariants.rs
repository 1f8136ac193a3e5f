//! What must always be true of the region alone (domain.md §6). Those that span both records stand in
//! [`crate::registry::invariants`].

use super::Region;
use super::heads::HEADS_MAX;
use super::lifecycle::{MissionState, ObligationState};
use super::state::{DebtKind, Mission};
use crate::quantity::Qty;

type Check = fn(&Region) -> Result<(), String>;

/// The checks by the number of their invariant.
const CHECKS: &[(&str, Check)] = &[
    ("2 holds within the pledge", holds_within_pledge),
    ("3 nothing dispatched is stranded", dispatched_ends_once),
    ("4 a line gives no more than it asked", lines_in_order),
    ("9 two persons", two_persons),
    ("10 consumption opens one obligation", consumption_is_owed),
    ("11 nothing waits for a closed request", closed_means_closed),
    ("12 exercise never touches actual", exercise_apart),
    ("channels dense", channels_dense),
    ("who countersigns agrees", who_countersigns_agrees),
];

/// Checks all of them.
pub(super) fn check(region: &Region) -> Result<(), String> {
    CHECKS.iter().try_for_each(|(name, check)| check(region).map_err(|what| format!("invariant {name}: {what}")))
}

fn holds_within_pledge(region: &Region) -> Result<(), String> {
    let mut held = std::collections::BTreeMap::new();
    for mission in region.missions.values().filter(|mission| mission.reserving) {
        *held.entry(mission.notice.pledge).or_insert(Qty::ZERO) += mission.notice.qty;
    }
    for (id, pledge) in &region.pledges {
        let sum = held.remove(id).unwrap_or_default();
        if sum != pledge.held {
            return Err(format!("pledge {id}: its missions reserve {sum}, the pledge says {}", pledge.held));
        }
        if pledge.held > pledge.total {
            return Err(format!("pledge {id}: {} held of {}", pledge.held, pledge.total));
        }
    }
    held.keys().next().map_or(Ok(()), |id| Err(format!("missions reserve pledge {id}, which does not exist")))
}

fn dispatched_ends_once(region: &Region) -> Result<(), String> {
    for (id, mission) in &region.missions {
        let a = &mission.amounts;
        let reserves = mission.state.is_before_departure();
        if mission.reserving != reserves && a.received().is_zero() {
            return Err(format!("mission {id} is {} and reserving={}", mission.state.slug(), mission.reserving));
        }
        if mission.state == MissionState::Accounted && !a.outstanding().is_zero() {
            return Err(format!("mission {id} is accounted with {} outstanding", a.outstanding()));
        }
    }
    Ok(())
}

fn lines_in_order(region: &Region) -> Result<(), String> {
    for (id, request) in &region.requests {
        for (index, (asked, line)) in request.made.lines.iter().zip(&request.lines).enumerate() {
            let missions: Vec<&Mission> = line.missions.iter().filter_map(|id| region.missions.get(id)).collect();
            // Goods that left against the record are counted all the same, and each such mission shows a discrepancy.
            let promised: Qty = missions.iter().copied().map(Mission::counts_for_line).sum();
            if promised > asked.qty && !missions.iter().any(|mission| left_against_the_record(region, mission)) {
                return Err(format!("request {id} line {}: {promised} promised of {}", index + 1, asked.qty));
            }
        }
    }
    Ok(())
}

fn left_against_the_record(region: &Region, mission: &Mission) -> bool {
    use super::state::DiscrepancyKind as K;
    let kinds = [K::DispatchedUncommitted, K::DispatchedAfterEnd, K::DispatchedTooMuch, K::DeliveryOver];
    kinds.into_iter().any(|kind| region.discrepancies.contains_key(&(mission.notice.mission, kind)))
}

fn two_persons(region: &Region) -> Result<(), String> {
    for (id, mission) in &region.missions {
        if mission.ordered_by.as_ref().is_some_and(|by| by.is_same_person(&mission.held_by)) {
            return Err(format!("mission {id} was held and ordered by the same person"));
        }
    }
    Ok(())
}

fn consumption_is_owed(region: &Region) -> Result<(), String> {
    for (id, mission) in region.missions.iter().filter(|(_, mission)| !mission.notice.resource.is_unit()) {
        if mission.notice.owner == mission.notice.requester {
            continue;
        }
        let consumed = mission.amounts.usage.total() + mission.amounts.charged;
        let owed = region.obligations.get(&(*id, DebtKind::Goods)).map_or(Qty::ZERO, |debt| debt.qty);
        if consumed != owed {
            return Err(format!("mission {id}: {consumed} consumed, {owed} owed"));
        }
    }
    for ((id, kind), debt) in &region.obligations {
        if !region.missions.contains_key(id) {
            return Err(format!("obligation {kind:?} of unknown mission {id}"));
        }
        if debt.debtor == debt.creditor {
            return Err(format!("obligation {kind:?} of {id}: {} owes itself", debt.debtor));
        }
        if debt.state == ObligationState::Settled && !debt.qty_open().is_zero() {
            return Err(format!("obligation of {id} is settled with {} open", debt.qty_open()));
        }
    }
    Ok(())
}

/// That nothing was open when it closed, [`super::succession`] sees. A fact that comes later is taken all the same; but
/// nobody waits for goods of a closed request, and nothing is set aside for one.
fn closed_means_closed(region: &Region) -> Result<(), String> {
    for (id, request) in region.requests.iter().filter(|(_, request)| request.closed_at.is_some()) {
        for mission in request.lines.iter().flat_map(|line| &line.missions).filter_map(|id| region.missions.get(id)) {
            if mission.state.is_before_departure() {
                return Err(format!("request {id} is closed, mission {} waits", mission.notice.mission));
            }
        }
    }
    Ok(())
}

fn exercise_apart(region: &Region) -> Result<(), String> {
    for (id, mission) in &region.missions {
        let pledge = region.pledges.get(&mission.notice.pledge).map(|pledge| pledge.made.exercise);
        let request = region.requests.get(&mission.notice.request).map(|request| request.made.exercise);
        let exercise = Some(mission.notice.exercise);
        if pledge != exercise || request != exercise {
            return Err(format!("mission {id} mixes exercise and actual"));
        }
    }
    Ok(())
}

fn channels_dense(region: &Region) -> Result<(), String> {
    for (member, channel) in &region.channels {
        let kept = region.outbox.range((*member, 0)..=(*member, u64::MAX)).count() as u64;
        if kept != channel.down - channel.down_taken {
            return Err(format!("{member}: {kept} messages kept, {} due", channel.down - channel.down_taken));
        }
    }
    Ok(())
}

fn who_countersigns_agrees(region: &Region) -> Result<(), String> {
    if region.heads.len() > HEADS_MAX {
        return Err(format!("{} heads are marked at once", region.heads.len()));
    }
    for (node, word) in &region.countersignatures {
        if region.heads.get(&word.revision).is_some_and(|head| (head.root == word.root) != word.agrees) {
            return Err(format!("{node} is said to agree with the head of {}: {}", word.revision, word.agrees));
        }
        if region.head.charter.nodes().all(|(_, entry)| entry.node != *node) {
            return Err(format!("{node} has countersigned and is no node of the region"));
        }
    }
    Ok(())
}
