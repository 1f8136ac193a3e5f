//! The Raft group follows the record's state: which change comes next, and which changes may take effect.

use std::collections::BTreeSet;

use shouwang_domain::machine::GroupNode;
use shouwang_replica::eraftpb::{ConfChangeType, ConfChangeV2, ConfState};
use shouwang_replica::{MemberChange, Status, is_learner, is_voter};

/// A learner is promoted when it lacks no more than this many entries.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// What the leader should change next so that the membership becomes `group`. New nodes come first, as learners; votes
/// are given only to those who have caught up and hold the whole ledger; nobody leaves while somebody else is on the way
/// in.
pub(crate) fn next_changes(group: &[GroupNode], status: &Status, whole: &BTreeSet<u64>) -> Vec<MemberChange> {
    let Status { conf_state: conf, peers, commit, .. } = status;
    if group.is_empty() || !conf.get_voters_outgoing().is_empty() {
        return Vec::new();
    }
    let is_member = |id: u64| is_voter(conf, id) || is_learner(conf, id);
    let new: Vec<_> = group.iter().map(|m| m.node.get()).filter(|id| !is_member(*id)).collect();
    if !new.is_empty() {
        return new.into_iter().map(MemberChange::AddLearner).collect();
    }
    let caught_up = |id: u64| {
        whole.contains(&id)
            && peers
                .iter()
                .any(|p| p.id == id && p.recent_active && p.matched.saturating_add(CAUGHT_UP_ENTRIES) >= *commit)
    };
    let mut changes = Vec::new();
    for member in group {
        let id = member.node.get();
        if member.voter && is_learner(conf, id) && caught_up(id) {
            changes.push(MemberChange::Promote(id));
        } else if !member.voter && is_voter(conf, id) {
            changes.push(MemberChange::Demote(id));
        }
    }
    let gone = conf.get_voters().iter().chain(conf.get_learners()).copied();
    let wanted = |id: u64| group.iter().any(|member| member.node.get() == id);
    changes.extend(gone.filter(|id| !wanted(*id)).map(MemberChange::Remove));
    if leaves_no_voter(conf, &changes) { Vec::new() } else { changes }
}

fn leaves_no_voter(conf: &ConfState, changes: &[MemberChange]) -> bool {
    let loses =
        |id: &u64| changes.iter().any(|c| matches!(c, MemberChange::Demote(x) | MemberChange::Remove(x) if x == id));
    let gains = changes.iter().any(|c| matches!(c, MemberChange::Promote(_)));
    !gains && conf.get_voters().iter().all(loses)
}

/// Whether a committed change follows from the state at that point; the same on every member, as all have the same state
/// and the same membership there.
pub(crate) fn follows(group: &[GroupNode], conf: &ConfState, change: &ConfChangeV2) -> bool {
    change.get_changes().iter().all(|single| {
        let id = single.get_node_id();
        let wanted = group.iter().find(|member| member.node.get() == id);
        match single.get_change_type() {
            ConfChangeType::AddNode => wanted.is_some_and(|member| member.voter),
            ConfChangeType::AddLearnerNode => wanted.is_some_and(|member| !member.voter || !is_voter(conf, id)),
            ConfChangeType::RemoveNode => wanted.is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use shouwang_domain::ids::{MunicipalityCode, NodeId};
    use shouwang_replica::{LogBase, PeerStatus, Role, conf_change, conf_state_from};

    use super::*;

    fn id(n: u32) -> u64 {
        NodeId::new(MunicipalityCode::new(150_300).unwrap(), n).unwrap().get()
    }

    fn group(voters: &[u32], learners: &[u32]) -> Vec<GroupNode> {
        let node = |n: &u32, voter| GroupNode { node: NodeId::try_from(id(*n)).unwrap(), voter };
        voters.iter().map(|n| node(n, true)).chain(learners.iter().map(|n| node(n, false))).collect()
    }

    fn conf(voters: &[u32], learners: &[u32]) -> ConfState {
        conf_state_from(voters.iter().map(|n| id(*n)), learners.iter().map(|n| id(*n)))
    }

    /// As the leader sees it: 4 and 6 have caught up, 6 lacks a part of the ledger, 5 is far behind.
    fn status(conf_state: ConfState) -> Status {
        Status {
            id: id(1),
            role: Role::Leader,
            term: 1,
            leader: Some(id(1)),
            silent_ticks: 0,
            transferring_to: None,
            commit: 1000,
            applied: 1000,
            persisted: 1000,
            last: 1000,
            base: LogBase::default(),
            checkpoint: 1,
            conf_state,
            conf_index: 1,
            log_bytes: 0,
            peers: vec![peer(4, 900), peer(5, 10), peer(6, 1000)],
        }
    }

    fn peer(n: u32, matched: u64) -> PeerStatus {
        PeerStatus { id: id(n), voter: false, matched, recent_active: true, paused: false, pending_checkpoint: None }
    }

    #[test]
    fn the_group_is_followed_step_by_step() {
        use MemberChange::{AddLearner, Demote, Promote, Remove};
        let cases = [
            ("equal", group(&[1, 2], &[3]), conf(&[1, 2], &[3]), vec![]),
            ("learners first", group(&[1, 4], &[]), conf(&[1, 2], &[]), vec![AddLearner(id(4))]),
            ("then the rest", group(&[1, 4], &[]), conf(&[1, 2], &[4]), vec![Promote(id(4)), Remove(id(2))]),
            ("not caught up", group(&[1, 5], &[]), conf(&[1], &[5]), vec![]),
            ("not the whole ledger", group(&[1, 6], &[]), conf(&[1], &[6]), vec![]),
            ("demoted", group(&[1], &[2]), conf(&[1, 2], &[]), vec![Demote(id(2))]),
            ("the last voter stays", group(&[5], &[]), conf(&[1], &[5]), vec![]),
            ("no group known", vec![], conf(&[1], &[]), vec![]),
        ];
        for (name, group, conf, expected) in cases {
            let changes = next_changes(&group, &status(conf.clone()), &BTreeSet::from([id(4), id(5)]));
            assert_eq!(changes, expected, "{name}");
            assert!(follows(&group, &conf, &conf_change(&changes)), "{name}");
        }
    }

    #[test]
    fn what_does_not_follow_has_no_effect() {
        let (group, conf) = (group(&[1, 2], &[3]), conf(&[1, 2], &[3]));
        for change in [
            MemberChange::AddLearner(id(9)),
            MemberChange::Promote(id(3)),
            MemberChange::Demote(id(1)),
            MemberChange::Remove(id(3)),
        ] {
            assert!(!follows(&group, &conf, &conf_change(&[change])), "{change:?}");
        }
        assert!(follows(&group, &conf, &conf_change(&[])), "leaving a joint membership");
    }
}
