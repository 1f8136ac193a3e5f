//! One situation a test.

#![allow(clippy::unwrap_used, reason = "a failed harness is a failed test")]

mod cluster;

use cluster::Cluster;
use shouwang_replica::eraftpb::{Message, MessageType};
use shouwang_replica::{
    Action, CommittedKind, Input, MemberChange, RefusalReason, Role, Timing, conf_change, is_learner, is_voter,
};

fn three(seed: u64) -> (Cluster, u64) {
    let mut c = Cluster::new(seed, &[1, 2, 3], 3);
    let leader = c.elect();
    (c, leader)
}

fn replicate(c: &mut Cluster, data: &'static str) {
    let leader = c.elect();
    c.propose(leader, data);
    c.until("replicated", |c| c.applied_everywhere(data.as_bytes()));
}

fn refusal(c: &Cluster, id: u64, ticket: u64) -> Option<RefusalReason> {
    c.nodes[usize::try_from(id - 1).unwrap()].told.iter().find_map(|action| match action {
        Action::Refused { ticket: of, reason } if *of == ticket => Some(*reason),
        _ => None,
    })
}

fn answered(c: &Cluster, id: u64, wanted: u64) -> bool {
    c.told(id, |a| matches!(a, Action::ReadReady { ticket, .. } if *ticket == wanted))
}

fn refused_read(c: &Cluster, id: u64, wanted: u64) -> bool {
    c.told(id, |a| matches!(a, Action::ReadRefused { ticket } if *ticket == wanted))
}

fn follower(leader: u64) -> u64 {
    leader % 3 + 1
}

#[test]
fn a_leader_is_elected_and_replicates() {
    for seed in 0..20 {
        let (mut c, leader) = three(seed);
        replicate(&mut c, "first");
        let status = c.replica(leader).status();
        assert_eq!((status.role, status.leader), (Role::Leader, Some(leader)));
        assert!(status.peers.iter().all(|peer| peer.voter && peer.recent_active), "{status:?}");
    }
}

#[test]
fn a_crashed_leader_is_replaced_and_comes_back() {
    for seed in 0..20 {
        let (mut c, leader) = three(seed);
        replicate(&mut c, "before");
        c.crash(leader, 0);
        c.until("another leader", |c| c.leader().is_some_and(|id| id != leader));
        replicate(&mut c, "without");
        c.start(leader);
        c.until("caught up", |c| c.applied_everywhere(b"without"));
    }
}

/// Steps until somebody else leads.
fn replaced_within(c: &mut Cluster, leader: u64) -> u64 {
    let from = c.now;
    c.until("another leader", |c| c.leader().is_some_and(|id| id != leader));
    c.now - from
}

#[test]
fn a_leader_whose_process_has_ended_is_not_waited_for() {
    let timing = Timing::lan();
    for seed in 0..50 {
        let (mut c, leader) = three(seed);
        replicate(&mut c, "before");
        c.crash(leader, 0);
        for id in (1..=3).filter(|id| *id != leader) {
            c.give(id, vec![Input::PeerGone { id: leader }]);
        }
        // A heartbeat is missed, then the first of the two stands: each message and each write takes a step or two.
        let steps = replaced_within(&mut c, leader);
        assert!(steps < u64::from(timing.election_ticks), "seed {seed}: {steps}");
        replicate(&mut c, "without");
    }
}

#[test]
fn a_leader_that_is_said_to_be_gone_and_speaks_goes_on() {
    for seed in 0..20 {
        let (mut c, leader) = three(seed);
        let term = c.replica(leader).status().term;
        for _ in 0..100 {
            for id in (1..=3).filter(|id| *id != leader) {
                c.give(id, vec![Input::PeerGone { id: leader }]);
            }
            c.tick();
        }
        assert_eq!(c.leader(), Some(leader), "seed {seed}");
        assert_eq!(c.replica(leader).status().term, term, "seed {seed}: nobody stood");
    }
}

#[test]
fn one_that_alone_believes_a_leader_gone_is_not_heard() {
    for seed in 0..20 {
        let (mut c, leader) = three(seed);
        let term = c.replica(leader).status().term;
        let mistaken = follower(leader);
        // It does not hear the leader; the third does.
        c.cut.extend([(leader, mistaken), (mistaken, leader)]);
        c.give(mistaken, vec![Input::PeerGone { id: leader }]);
        c.run(100);
        assert_eq!((c.leader(), c.replica(leader).status().term), (Some(leader), term), "seed {seed}");
        c.cut.clear();
        replicate(&mut c, "all again");
    }
}

#[test]
fn proposals_wait_for_the_disks_of_a_majority() {
    let (mut c, leader) = three(1);
    c.held.extend([1, 2, 3].into_iter().filter(|id| *id != leader));
    c.propose(leader, "held");
    c.run(30);
    assert!(!c.applied_everywhere(b"held"), "one disk of three");
    c.held.clear();
    c.until("committed", |c| c.applied_everywhere(b"held"));
}

#[test]
fn a_sole_voter_leads_at_once_and_its_learner_hears_of_no_term_that_could_be_lost() {
    let mut c = Cluster::new(1, &[1], 2);
    c.run(3);
    assert_eq!(c.leader(), Some(1));
    c.until("first entry applied", |c| c.node(1).applied > 1);
    c.change(1, conf_change(&[MemberChange::AddLearner(2)]));
    replicate(&mut c, "one");
    // Term and entries of the next run stay off the disk; the harness checks that nothing of it is sent.
    c.crash(1, 0);
    c.held.insert(1);
    c.start(1);
    c.run(5);
    c.propose(1, "lost");
    c.run(5);
    assert!(!c.applied_everywhere(b"lost"));
    c.crash(1, 0);
    c.held.clear();
    c.start(1);
    replicate(&mut c, "two");
    assert!(!c.truth.values().any(|(_, kind, _)| *kind == CommittedKind::Normal("lost".into())));
}

#[test]
fn a_newcomer_learns_from_a_checkpoint_and_takes_a_voters_place_through_a_joint_change() {
    let mut c = Cluster::new(3, &[1, 2, 3], 4);
    let leader = c.elect();
    let gone = follower(leader);
    let impossible = c.change(leader, conf_change(&[MemberChange::Promote(4)]));
    assert_eq!(refusal(&c, leader, impossible), Some(RefusalReason::ImpossibleChange), "learner first");
    c.change(leader, conf_change(&[MemberChange::AddLearner(4)]));
    let second = c.change(leader, conf_change(&[MemberChange::Remove(gone)]));
    assert_eq!(refusal(&c, leader, second), Some(RefusalReason::ConfChangePending));
    replicate(&mut c, "to all four");
    assert!(c.told(4, |a| matches!(a, Action::WantCheckpoint { .. })));
    assert!(c.told(4, |a| matches!(a, Action::InstallCheckpoint { .. })));
    assert_eq!(c.replica(4).status().role, Role::Learner);

    let leader = c.elect();
    c.change(leader, conf_change(&[MemberChange::Promote(4), MemberChange::Demote(gone)]));
    c.until("joint membership entered and left", |c| {
        [1, 2, 3, 4].iter().all(|id| {
            let conf = c.replica(*id).conf_state();
            is_voter(&conf, 4) && is_learner(&conf, gone) && conf.get_voters_outgoing().is_empty()
        })
    });
    assert_eq!(c.replica(4).status().role, Role::Follower);
    c.until("conf states told", |c| c.told(gone, |a| matches!(a, Action::ConfState { .. })));
}

#[test]
fn a_removed_leader_steps_down_and_the_others_go_on() {
    for seed in 0..10 {
        let (mut c, leader) = three(seed);
        c.change(leader, conf_change(&[MemberChange::Remove(leader)]));
        c.until("a leader among the rest", |c| c.leader().is_some_and(|id| id != leader));
        let next = c.elect();
        c.propose(next, "two are left");
        let rest: Vec<_> = [1, 2, 3].into_iter().filter(|id| *id != leader).collect();
        c.until("committed by two", |c| {
            c.truth.values().any(|(_, kind, _)| *kind == CommittedKind::Normal("two are left".into()))
                && rest.iter().all(|id| !is_voter(&c.replica(*id).conf_state(), leader))
        });
        assert_ne!(c.replica(leader).status().role, Role::Leader);
    }
}

#[test]
fn a_change_the_state_machine_rejects_is_a_no_op_and_blocks_nothing() {
    let (mut c, leader) = three(5);
    let mut change = conf_change(&[MemberChange::Remove(follower(leader))]);
    change.set_context(b"reject".to_vec().into());
    let before = c.replica(leader).conf_state();
    c.change(leader, change);
    replicate(&mut c, "after");
    assert_eq!(c.replica(leader).conf_state(), before);
    let next = c.change(leader, conf_change(&[MemberChange::Demote(follower(leader))]));
    assert_eq!(refusal(&c, leader, next), None);
    c.until("the next change in force", |c| is_learner(&c.replica(leader).conf_state(), follower(leader)));
}

#[test]
fn the_lead_is_handed_over_and_proposals_meanwhile_are_refused() {
    let (mut c, leader) = three(6);
    replicate(&mut c, "before");
    let to = follower(leader);
    c.give(leader, vec![Input::TransferLeader { to }]);
    let ticket = c.propose(leader, "between");
    assert_eq!(refusal(&c, leader, ticket), Some(RefusalReason::Transferring));
    let started = c.now;
    c.until("handed over", |c| c.leader() == Some(to));
    assert!(c.now - started < 10, "without waiting for an election timeout");
}

#[test]
fn who_is_not_fit_hands_over_and_does_not_come_back() {
    let (mut c, leader) = three(7);
    c.give(leader, vec![Input::MayCampaign(false)]);
    c.until("another leads", |c| c.leader().is_some_and(|id| id != leader));
    replicate(&mut c, "still follows");
    let next = c.leader().unwrap();
    let last = 6 - leader - next;
    c.give(last, vec![Input::MayCampaign(false)]);
    c.crash(next, 9);
    c.run(100);
    assert_eq!(c.leader(), None, "neither of the two campaigns");
    assert_eq!(c.replica(last).status().leader, None, "nor believes in a silent leader");
    c.give(leader, vec![Input::MayCampaign(true)]);
    c.until("fit again", |c| c.leader() == Some(leader));

    // No other voter can take it: a leader that is not fit steps down all the same.
    c.isolate(&[leader]);
    c.give(leader, vec![Input::MayCampaign(false)]);
    c.until("stepped down", |c| c.replica(leader).status().role == Role::Follower);
}

#[test]
fn a_stale_leader_answers_no_read() {
    let (mut c, leader) = three(8);
    replicate(&mut c, "old");
    c.isolate(&[leader]);
    let stale = c.read(leader);
    c.until("a new leader", |c| c.leader().is_some_and(|id| id != leader));
    let next = c.elect();
    c.propose(next, "new");
    let fresh = c.read(next);
    let forwarded = c.read(6 - leader - next);
    c.until("the majority reads", |c| answered(c, next, fresh) && answered(c, 6 - leader - next, forwarded));
    c.until("the stale read is refused", |c| refused_read(c, leader, stale));
    assert!(!answered(&c, leader, stale));
}

#[test]
fn reads_survive_a_change_of_leader_and_are_bounded() {
    let (mut c, leader) = three(9);
    let asker = follower(leader);
    c.crash(leader, 0);
    let read = c.read(asker);
    c.until("read answered", |c| answered(c, asker, read) || refused_read(c, asker, read));
    c.cut.extend([(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)]);
    let limit = c.limits.max_pending_reads;
    let tickets: Vec<_> = (0..=limit).map(|_| c.read(asker)).collect();
    assert!(refused_read(&c, asker, tickets[limit]) && !refused_read(&c, asker, tickets[0]));
    c.until("all refused in time", |c| tickets.iter().all(|t| refused_read(c, asker, *t)));
}

#[test]
fn a_lagging_follower_gets_a_checkpoint_and_survives_a_crash_at_any_moment_of_it() {
    for kept in 0..6 {
        let (mut c, leader) = three(10);
        let behind = follower(leader);
        c.crash(behind, 9);
        for _ in 0..20 {
            c.propose(leader, "x".repeat(50));
            c.run(2);
        }
        replicate(&mut c, "in the checkpoint");
        c.checkpoint(leader, 2);
        assert!(c.replica(leader).status().base.index > 15);
        replicate(&mut c, "behind it");
        c.held.insert(behind);
        c.start(behind);
        c.until("the log is to restart", |c| !c.node(behind).disk.staged.is_empty());
        c.run(3);
        assert!(!c.told(behind, |a| matches!(a, Action::InstallCheckpoint { .. })), "not before it is durable");
        c.crash(behind, kept);
        c.held.clear();
        c.start(behind);
        c.until("caught up", |c| c.applied_everywhere(b"behind it"));
    }
}

#[test]
fn proposals_are_bounded() {
    let (mut c, leader) = three(11);
    c.isolate(&[leader]);
    let big = c.propose(leader, vec![0; 257]);
    assert_eq!(refusal(&c, leader, big), Some(RefusalReason::BadSize));
    let empty = c.propose(leader, "");
    assert_eq!(refusal(&c, leader, empty), Some(RefusalReason::BadSize));
    let tickets: Vec<_> = (0..20).map(|_| c.propose(leader, vec![0; 200])).collect();
    let full = tickets.iter().filter(|t| refusal(&c, leader, **t) == Some(RefusalReason::Full)).count();
    assert_eq!(full, 10, "2,048 bytes hold ten");
    let elsewhere = c.propose(follower(leader), "x");
    assert_eq!(refusal(&c, follower(leader), elsewhere), Some(RefusalReason::NotLeader { leader: Some(leader) }));
}

#[test]
fn the_log_in_memory_is_bounded_until_a_checkpoint_frees_it() {
    let (mut c, leader) = three(12);
    let mut last = 0;
    c.until("full", |c| {
        last = c.propose(leader, vec![1; 250]);
        refusal(c, leader, last) == Some(RefusalReason::Full)
    });
    let status = c.replica(leader).status();
    assert!(status.log_bytes <= c.limits.max_log_bytes_in_memory + 512, "{status:?}");
    c.run(50);
    let still = c.propose(leader, vec![1; 250]);
    assert_eq!(refusal(&c, leader, still), Some(RefusalReason::Full));
    c.checkpoint(leader, 4);
    assert!(c.told(leader, |a| matches!(a, Action::Compacted(_))));
    let again = c.propose(leader, vec![1; 250]);
    assert_eq!(refusal(&c, leader, again), None);
}

#[test]
fn a_leader_without_a_fitting_checkpoint_asks_for_one() {
    let mut c = Cluster::new(13, &[1, 2, 3], 4);
    let leader = c.elect();
    c.change(leader, conf_change(&[MemberChange::AddLearner(4)]));
    c.until("asked", |c| c.told(leader, |a| matches!(a, Action::NeedCheckpoint { to: 4, .. })));
    c.until("served", |c| is_learner(&c.replica(4).conf_state(), 4));
}

#[test]
fn a_log_that_lost_what_it_acknowledged_is_noticed() {
    let (mut c, leader) = three(14);
    let mut m = Message::default();
    m.set_msg_type(MessageType::MsgHeartbeat);
    m.set_from(leader);
    m.set_to(follower(leader));
    m.set_term(c.replica(leader).status().term);
    m.set_commit(1000);
    c.give(follower(leader), vec![Input::Message(Box::new(m))]);
    assert!(c.violation.take().unwrap().contains("damaged"));
}

#[test]
fn senseless_messages_are_dropped() {
    let (mut c, leader) = three(15);
    let to = follower(leader);
    let before = c.replica(to).status();
    for kind in MESSAGE_TYPES {
        for (from, target, term) in [(leader, to, 0), (0, to, 9), (to, to, 9), (leader, leader + 7, 9)] {
            let mut m = Message::default();
            m.set_msg_type(kind);
            m.set_from(from);
            m.set_to(target);
            m.set_term(term);
            c.give(to, vec![Input::Message(Box::new(m))]);
        }
    }
    assert_eq!(c.replica(to).status(), before);
    c.sound();
}

const MESSAGE_TYPES: [MessageType; 19] = [
    MessageType::MsgHup,
    MessageType::MsgBeat,
    MessageType::MsgPropose,
    MessageType::MsgAppend,
    MessageType::MsgAppendResponse,
    MessageType::MsgRequestVote,
    MessageType::MsgRequestVoteResponse,
    MessageType::MsgSnapshot,
    MessageType::MsgHeartbeat,
    MessageType::MsgHeartbeatResponse,
    MessageType::MsgUnreachable,
    MessageType::MsgSnapStatus,
    MessageType::MsgCheckQuorum,
    MessageType::MsgTransferLeader,
    MessageType::MsgTimeoutNow,
    MessageType::MsgReadIndex,
    MessageType::MsgReadIndexResp,
    MessageType::MsgRequestPreVote,
    MessageType::MsgRequestPreVoteResponse,
];
