//! The Raft group follows the record's state: which change comes next, and which changes may take effect.

use std::collections::BTreeSet;

use raft::eraftpb::{ConfChangeType, ConfChangeV2, ConfState};

use crate::membership::{MemberChange, is_learner, is_voter};
use crate::status::Status;

/// A learner is promoted when it lacks no more than this many entries.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// A member of the group as the record's state wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its Raft id.
    pub id: u64,
    /// A voter, or else a learner.
    pub voter: bool,
}

/// What the leader should change next so that the membership becomes `group`. New nodes come first, as learners; votes
/// are given only to those who have caught up and hold the whole ledger; nobody leaves while somebody else is on the way
/// in.
pub fn next_changes(group: &[Seat], status: &Status, whole: &BTreeSet<u64>) -> Vec<MemberChange> {
    let Status { conf_state: conf, peers, commit, .. } = status;
    if group.is_empty() || !conf.get_voters_outgoing().is_empty() {
        return Vec::new();
    }
    let is_member = |id: u64| is_voter(conf, id) || is_learner(conf, id);
    let new: Vec<_> = group.iter().map(|seat| seat.id).filter(|id| !is_member(*id)).collect();
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
    for Seat { id, voter } in group.iter().copied() {
        if voter && is_learner(conf, id) && caught_up(id) {
            changes.push(MemberChange::Promote(id));
        } else if !voter && is_voter(conf, id) {
            changes.push(MemberChange::Demote(id));
        }
    }
    let gone = conf.get_voters().iter().chain(conf.get_learners()).copied();
    let wanted = |id: u64| group.iter().any(|seat| seat.id == id);
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
pub fn follows(group: &[Seat], conf: &ConfState, change: &ConfChangeV2) -> bool {
    change.get_changes().iter().all(|single| {
        let id = single.get_node_id();
        let wanted = group.iter().find(|seat| seat.id == id);
        match single.get_change_type() {
            ConfChangeType::AddNode => wanted.is_some_and(|seat| seat.voter),
            ConfChangeType::AddLearnerNode => wanted.is_some_and(|seat| !seat.voter || !is_voter(conf, id)),
            ConfChangeType::RemoveNode => wanted.is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{LogBase, Role};
    use crate::membership::{conf_change, conf_state_from};
    use crate::status::PeerStatus;

    fn group(voters: &[u64], learners: &[u64]) -> Vec<Seat> {
        let seat = |id: &u64, voter| Seat { id: *id, voter };
        voters.iter().map(|id| seat(id, true)).chain(learners.iter().map(|id| seat(id, false))).collect()
    }

    fn conf(voters: &[u64], learners: &[u64]) -> ConfState {
        conf_state_from(voters.iter().copied(), learners.iter().copied())
    }

    /// As the leader sees it: 4 and 6 have caught up, 6 lacks a part of the ledger, 5 is far behind.
    fn status(conf_state: ConfState) -> Status {
        Status {
            id: 1,
            role: Role::Leader,
            term: 1,
            leader: Some(1),
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

    fn peer(id: u64, matched: u64) -> PeerStatus {
        PeerStatus { id, voter: false, matched, recent_active: true, paused: false, pending_checkpoint: None }
    }

    #[test]
    fn the_group_is_followed_step_by_step() {
        use MemberChange::{AddLearner, Demote, Promote, Remove};
        let cases = [
            ("equal", group(&[1, 2], &[3]), conf(&[1, 2], &[3]), vec![]),
            ("learners first", group(&[1, 4], &[]), conf(&[1, 2], &[]), vec![AddLearner(4)]),
            ("then the rest", group(&[1, 4], &[]), conf(&[1, 2], &[4]), vec![Promote(4), Remove(2)]),
            ("not caught up", group(&[1, 5], &[]), conf(&[1], &[5]), vec![]),
            ("not the whole ledger", group(&[1, 6], &[]), conf(&[1], &[6]), vec![]),
            ("demoted", group(&[1], &[2]), conf(&[1, 2], &[]), vec![Demote(2)]),
            ("the last voter stays", group(&[5], &[]), conf(&[1], &[5]), vec![]),
            ("no group known", vec![], conf(&[1], &[]), vec![]),
        ];
        for (name, group, conf, expected) in cases {
            let changes = next_changes(&group, &status(conf.clone()), &BTreeSet::from([4, 5]));
            assert_eq!(changes, expected, "{name}");
            assert!(follows(&group, &conf, &conf_change(&changes)), "{name}");
        }
    }

    #[test]
    fn what_does_not_follow_has_no_effect() {
        let (group, conf) = (group(&[1, 2], &[3]), conf(&[1, 2], &[3]));
        for change in
            [MemberChange::AddLearner(9), MemberChange::Promote(3), MemberChange::Demote(1), MemberChange::Remove(3)]
        {
            assert!(!follows(&group, &conf, &conf_change(&[change])), "{change:?}");
        }
        assert!(follows(&group, &conf, &conf_change(&[])), "leaving a joint membership");
    }
}
