//! Who is a member, with which nodes and keys: domain state, changed by signed commands.

use super::Region;
use super::draft::Draft;
use super::event::RegionEvent;
use super::levels;
use super::lifecycle::ObligationState;
use super::state::{Change, Discrepancy, DiscrepancyKey, Obligation, Pledge};
use crate::charter::{Charter, CharterChange};
use crate::ids::{CommandId, MunicipalityCode, NodeId};
use crate::machine::{Context, Signer};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Most changes of the charter that wait for signatures at once.
pub const CHANGES_WAITING_MAX: usize = 32;

/// The keys in force for a node, the retiring one included while its overlap lasts.
pub(super) fn signers(region: &Region, node: NodeId, now: Timestamp) -> Vec<Signer> {
    let Some((member, entry)) = region.head.charter.nodes().find(|(_, entry)| entry.node == node) else {
        return Vec::new();
    };
    let retiring = entry.retiring.iter().filter(|(_, until)| *until >= now).map(|(key, _)| key);
    let keys = std::iter::once(&entry.public_key).chain(retiring);
    keys.map(|key| Signer { municipality: member.code, algorithm: entry.algorithm, public_key: key.0.clone() })
        .collect()
}

/// Draws up a change; the proposing party signs with it.
pub(super) fn propose(
    draft: &mut Draft,
    context: &Context<'_>,
    base_version: u32,
    change: &CharterChange,
) -> Result<(), Refusal> {
    draft.party(context)?;
    let waiting = draft.region.changes.values().filter(|change| change.in_force.is_none()).count();
    if waiting >= CHANGES_WAITING_MAX {
        let limit = CHANGES_WAITING_MAX as u64;
        return Err(Refusal::LimitReached { what: "changes waiting for signatures".to_owned(), limit });
    }
    check_fits(draft, base_version, change)?;
    let what = change.clone();
    draft.push(RegionEvent::ChangeProposed { change: context.command, base_version, what });
    add_signature(draft, context, context.command)
}

/// A party signs a change.
pub(super) fn sign(draft: &mut Draft, context: &Context<'_>, id: CommandId) -> Result<(), Refusal> {
    draft.party(context)?;
    let change = draft.region.changes.get(&id).ok_or_else(|| Refusal::not_found("change", id))?;
    if change.in_force.is_some() {
        let state = "in force".to_owned();
        return Err(Refusal::WrongState { kind: "change".to_owned(), state, step: "sign".to_owned() });
    }
    if change.signed.contains(&context.actor.municipality) {
        return Err(Refusal::exists("signature", context.actor.municipality));
    }
    let (base_version, what) = (change.base_version, change.change.clone());
    check_fits(draft, base_version, &what)?;
    add_signature(draft, context, id)
}

fn add_signature(draft: &mut Draft, context: &Context<'_>, id: CommandId) -> Result<(), Refusal> {
    draft.push(RegionEvent::ChangeSigned { change: id, by: context.actor.municipality });
    let Some(Change { signed, change, .. }) = draft.region.changes.get(&id).cloned() else { return Ok(()) };
    let charter = &draft.region.head.charter;
    if u32::try_from(signed.len()).unwrap_or(u32::MAX) < charter.rules.voting.needed(charter.parties()) {
        return Ok(());
    }
    let version = charter.changed(&change)?.version;
    draft.push(RegionEvent::CharterChanged { change: id, version });
    Ok(())
}

/// Whether a change fits the charter in force and strands nothing.
fn check_fits(draft: &Draft, base_version: u32, change: &CharterChange) -> Result<(), Refusal> {
    let charter = &draft.region.head.charter;
    if base_version != charter.version {
        return Err(Refusal::StaleVersion { expected: charter.version, got: base_version });
    }
    let new_nodes = match change {
        CharterChange::AdmitMember(member) => member.nodes.iter().map(|node| node.node).collect(),
        CharterChange::AddNode(node) => vec![node.node],
        _ => Vec::new(),
    };
    if let Some(node) = new_nodes.iter().find(|node| draft.region.retired_nodes.contains_key(*node)) {
        // A node that left may have forgotten a vote: its id is never used again.
        return Err(Refusal::exists("retired node", node));
    }
    if let CharterChange::RemoveMember(code) = change {
        check_member_is_clear(draft, *code)?;
    }
    charter.changed(change).map(|_| ())
}

fn check_member_is_clear(draft: &Draft, code: MunicipalityCode) -> Result<(), Refusal> {
    let open = |what: String| Err(Refusal::StillOpen { what });
    let region = &draft.region;
    let channel = region.channel(code);
    if channel.down_taken < channel.down {
        return open(format!("messages that {code} has not taken"));
    }
    if let Some(request) = region.requests.values().find(|r| r.closed_at.is_none() && r.requester == code) {
        return open(format!("request {}", request.made.number));
    }
    let of_mission = |notice: &crate::channel::MissionNotice| {
        notice.holder == code || notice.requester == code || notice.owner == code
    };
    if let Some(mission) = region.missions.values().find(|m| !m.state.is_over() && of_mission(&m.notice)) {
        return open(format!("mission {}", mission.notice.number));
    }
    let of_pledge = |pledge: &Pledge| pledge.holder == code || pledge.made.owner == code;
    if region.pledges.values().any(|pledge| of_pledge(pledge) && !pledge.total.is_zero()) {
        return open(format!("pledges of {code}"));
    }
    let disputed = |((mission, _), discrepancy): (&DiscrepancyKey, &Discrepancy)| {
        let of_code = || region.missions.get(mission).is_some_and(|mission| of_mission(&mission.notice));
        discrepancy.closed_at.is_none() && (discrepancy.reported_by == code || of_code())
    };
    if region.discrepancies.iter().any(disputed) {
        return open(format!("discrepancies of {code}"));
    }
    let owes = |debt: &Obligation| [debt.debtor, debt.creditor, debt.holder].contains(&code);
    if region.obligations.values().any(|debt| debt.state != ObligationState::Settled && owes(debt)) {
        return open(format!("obligations of {code}"));
    }
    Ok(())
}

/// Makes a node a voter or a learner. A vote carries no authority, so the hub's administrator decides it.
pub(super) fn set_voter(draft: &mut Draft, context: &Context<'_>, node: NodeId, voter: bool) -> Result<(), Refusal> {
    if !draft.is_hub(context) {
        return Err(Refusal::not_yours(context.actor.municipality, "set voters"));
    }
    let mut charter = Charter::clone(&draft.region.head.charter);
    let entry = charter.node_mut(node)?;
    if entry.voter == voter {
        return Ok(());
    }
    entry.voter = voter;
    charter.validate()?;
    if voter {
        levels::goes_along(&draft.region, node)?;
    }
    draft.push(RegionEvent::VoterSet { node, voter });
    Ok(())
}

/// A rescue is never asked for in the log: whoever could write it there has a quorum, and needs none.
pub(super) fn only_outside_the_log() -> Refusal {
    let (kind, state, step) = ("region".to_owned(), "running".to_owned(), "rescue".to_owned());
    Refusal::WrongState { kind, state, step }
}
