//! What a driver may count on, input by input, with one replica and no network.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use shouwang_replica::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType};
use shouwang_replica::{
    Action, Checkpoint, Committed, CommittedKind, Config, Input, Limits, MemberChange, Persist, Replica, Restored,
    Role, Timing, conf_change, conf_state_from, decode_conf_change,
};

/// Membership entries as raft encodes them.
const ADD_LEARNER_3: &[u8] = &[0x12, 4, 0x08, 2, 0x10, 3];
const REMOVE_3: &[u8] = &[0x12, 4, 0x08, 1, 0x10, 3];
const REMOVE_2: &[u8] = &[0x12, 4, 0x08, 1, 0x10, 2];

fn entry(index: u64, conf_change: Option<&'static [u8]>) -> Entry {
    let mut e = Entry::default();
    e.set_index(index);
    e.set_term(1);
    e.set_entry_type(if conf_change.is_some() { EntryType::EntryConfChangeV2 } else { EntryType::EntryNormal });
    e.set_data(conf_change.unwrap_or(b"data").into());
    e
}

fn message(kind: MessageType) -> Message {
    let mut m = Message::default();
    m.set_msg_type(kind);
    m.set_from(2);
    m.set_to(1);
    m.set_term(1);
    m
}

fn append(entries: Vec<Entry>, commit: u64) -> Input {
    let mut m = message(MessageType::MsgAppend);
    m.set_index(entries[0].get_index() - 1);
    m.set_log_term(1);
    m.set_commit(commit);
    m.set_entries(entries.into());
    Input::Message(Box::new(m))
}

fn start(restored: Restored) -> Replica {
    let config = Config { id: 1, group: 7, timing: Timing::lan(), limits: Limits::default(), seed: 1, applied: 1 };
    Replica::new(config, restored).unwrap()
}

fn founding(voters: &[u64], learners: &[u64]) -> Replica {
    start(Restored::founding(conf_state_from(voters.iter().copied(), learners.iter().copied())))
}

fn step(replica: &mut Replica, input: Input) -> Vec<Action> {
    let mut out = Vec::new();
    replica.step(input, &mut out);
    out
}

/// Persists at once, again and again, until nothing is left to persist.
fn settle(replica: &mut Replica, input: Input) -> Vec<Action> {
    let mut all = step(replica, input);
    let mut seen = 0;
    while seen < all.len() {
        if let Action::Persist(Persist { number, .. }) = all[seen] {
            all.extend(step(replica, Input::Persisted { number }));
        }
        seen += 1;
    }
    all
}

fn applied_indexes(actions: &[Action]) -> Vec<u64> {
    let lists = actions.iter().filter_map(|a| if let Action::Apply(entries) = a { Some(entries) } else { None });
    lists.flatten().map(|committed: &Committed| committed.index).collect()
}

fn tells_membership(actions: &[Action]) -> Option<&ConfState> {
    actions.iter().find_map(|a| if let Action::ConfState { conf_state, .. } = a { Some(conf_state) } else { None })
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable_and_what_others_hold_is_applied_at_once() {
    let mut replica = founding(&[1, 2], &[]);
    let out = step(&mut replica, append(vec![entry(2, None)], 2));
    let number = out.iter().find_map(|a| if let Action::Persist(p) = a { Some(p.number) } else { None }).unwrap();
    assert!(!out.iter().any(|a| matches!(a, Action::Send(_))), "{out:?}");
    assert_eq!(applied_indexes(&out), [2], "it is committed, whatever happens to this disk");
    assert_eq!((replica.commit(), replica.persisted()), (2, 1));
    assert!(step(&mut replica, Input::Applied { index: 2 }).is_empty(), "raft is told when it can know");
    let out = step(&mut replica, Input::Persisted { number });
    assert_eq!(applied_indexes(&out), [], "once");
    assert_eq!((replica.status().applied, replica.persisted()), (2, 2));
    assert!(out.iter().any(|a| matches!(a, Action::Send(m) if m[0].get_index() == 2)), "{out:?}");
    assert!(step(&mut replica, Input::Persisted { number }).is_empty(), "said twice");
}

#[test]
fn a_membership_and_what_follows_on_it_wait_until_it_is_durable() {
    let mut replica = founding(&[1, 2], &[]);
    let entries = vec![entry(2, None), entry(3, Some(ADD_LEARNER_3)), entry(4, None)];
    let out = step(&mut replica, append(entries, 4));
    let number = out.iter().find_map(|a| if let Action::Persist(p) = a { Some(p.number) } else { None }).unwrap();
    assert_eq!(applied_indexes(&out), [2]);
    assert_eq!(applied_indexes(&step(&mut replica, Input::Tick)), []);
    assert_eq!(applied_indexes(&step(&mut replica, Input::Persisted { number })), [3, 4]);
}

/// What is to be written: how many entries, which commit index, and whether it must be synced.
fn writes(actions: &[Action]) -> Vec<(usize, Option<u64>, bool)> {
    let writes = actions.iter().filter_map(|a| if let Action::Persist(persist) = a { Some(persist) } else { None });
    writes.map(|w| (w.entries.len(), w.hard_state.as_ref().map(HardState::get_commit), w.must_sync)).collect()
}

fn committed_up_to(commit: u64) -> Input {
    let mut m = message(MessageType::MsgAppend);
    m.set_index(commit);
    m.set_log_term(1);
    m.set_commit(commit);
    Input::Message(Box::new(m))
}

#[test]
fn how_far_is_committed_is_written_with_the_next_write_or_the_next_tick() {
    let mut replica = founding(&[1, 2], &[]);
    assert_eq!(writes(&settle(&mut replica, append(vec![entry(2, None)], 1))), [(1, None, true)]);
    let told = settle(&mut replica, committed_up_to(2));
    assert_eq!(applied_indexes(&told), [2], "it is applied at once");
    assert_eq!(writes(&told), [], "and alone not worth a write");
    assert_eq!(writes(&settle(&mut replica, append(vec![entry(3, None)], 2))), [(1, Some(2), true)]);
    settle(&mut replica, committed_up_to(3));
    assert_eq!(
        writes(&settle(&mut replica, Input::Tick)),
        [(0, Some(3), false)],
        "a killed node knows nearly all of it"
    );
    assert_eq!(writes(&settle(&mut replica, Input::Tick)), []);
    settle(&mut replica, append(vec![entry(4, Some(ADD_LEARNER_3))], 3));
    settle(&mut replica, committed_up_to(4));
    let joined = settle(&mut replica, Input::ConfChangeApplied { index: 4, accepted: true });
    assert_eq!(writes(&joined), [(0, Some(4), true)], "never a membership without the commit of its entry");
    settle(&mut replica, append(vec![entry(5, None)], 4));
    settle(&mut replica, committed_up_to(5));
    let mut last = Vec::new();
    replica.write_commit(&mut last);
    assert_eq!(writes(&last), [(0, Some(5), false)], "and whoever stops knows all of it");
}

/// What others are sent: how many entries, and how far is committed.
fn appends(actions: &[Action]) -> Vec<(usize, u64)> {
    let sent = actions.iter().filter_map(|a| if let Action::Send(messages) = a { Some(messages) } else { None });
    let appends = sent.flatten().filter(|m| m.get_msg_type() == MessageType::MsgAppend);
    appends.map(|m| (m.get_entries().len(), m.get_commit())).collect()
}

#[test]
fn how_far_is_committed_rides_with_the_next_entries_or_is_told_when_it_is_due() {
    // The only voter commits what it has written; the learner has to be told.
    let mut replica = founding(&[1], &[2]);
    settle(&mut replica, Input::Tick);
    let heard = |replica: &mut Replica| {
        let (mut m, status) = (message(MessageType::MsgAppendResponse), replica.status());
        m.set_term(status.term);
        m.set_index(status.last);
        settle(replica, Input::Message(Box::new(m)))
    };
    heard(&mut replica);
    settle(&mut replica, Input::TellCommit);
    let base = replica.status().commit;
    let propose = |ticket| Input::Propose { ticket, data: b"data".as_slice().into() };

    assert_eq!(appends(&settle(&mut replica, propose(1))), [(1, base)], "it goes out before it is written");
    assert_eq!(appends(&heard(&mut replica)), [], "and that it is committed is no message of its own");
    assert!(replica.owes_commit());
    assert_eq!(appends(&settle(&mut replica, propose(2))), [(1, base + 1)], "the next entry says it");
    heard(&mut replica);
    assert_eq!(appends(&settle(&mut replica, Input::TellCommit)), [(0, base + 2)], "or it is said when nothing comes");
    assert!(!replica.owes_commit());
    assert_eq!(appends(&settle(&mut replica, Input::TellCommit)), [], "once");
    settle(&mut replica, propose(3));
    heard(&mut replica);
    assert_eq!(appends(&settle(&mut replica, Input::Tick)), [(0, base + 3)], "a tick says what is left");

    let mut alone = founding(&[1], &[]);
    settle(&mut alone, Input::Tick);
    settle(&mut alone, propose(1));
    assert!(!alone.owes_commit(), "there is nobody to tell");
}

#[test]
fn how_far_is_committed_is_taken_in_without_an_answer() {
    let mut replica = founding(&[1, 2], &[]);
    settle(&mut replica, append(vec![entry(2, None), entry(3, None)], 1));
    let mut notice = |index: u64, commit: u64| {
        let mut m = message(MessageType::MsgAppend);
        m.set_index(index);
        m.set_log_term(1);
        m.set_commit(commit);
        let out = settle(&mut replica, Input::Message(Box::new(m)));
        let sent = out.iter().filter_map(|a| if let Action::Send(messages) = a { Some(messages) } else { None });
        let answers: Vec<_> = sent.flatten().map(|m| (m.get_index(), m.get_reject())).collect();
        (applied_indexes(&out), answers)
    };
    assert_eq!(notice(3, 2), (vec![2], vec![]));
    assert_eq!(notice(3, 2), (vec![], vec![(3, false)]), "without news somebody wants to know");
    assert_eq!(notice(7, 3), (vec![], vec![(7, true)]), "entries are missing");
    assert_eq!(notice(3, 3), (vec![3], vec![]));
}

#[test]
fn applied_waits_for_the_answer_to_a_membership_entry() {
    let mut replica = founding(&[1, 2], &[]);
    settle(&mut replica, append(vec![entry(2, Some(ADD_LEARNER_3)), entry(3, None)], 3));
    step(&mut replica, Input::Applied { index: 3 });
    assert_eq!(replica.status().applied, 1);
    let out = step(&mut replica, Input::ConfChangeApplied { index: 2, accepted: true });
    assert_eq!(tells_membership(&out), Some(&conf_state_from([1, 2], [3])));
    let kept = |a: &Action| matches!(a, Action::Persist(Persist { conf_state: Some((2, _)), must_sync: true, .. }));
    assert!(out.iter().any(kept), "{out:?}");
    assert_eq!(replica.status().applied, 3);
    assert!(step(&mut replica, Input::Applied { index: 99 }).is_empty());
    assert_eq!(replica.status().applied, 3, "never beyond what is committed");
}

#[test]
fn a_restart_does_not_carry_out_membership_entries_twice() {
    let mut restored = Restored::founding(conf_state_from([1, 2], []));
    restored.entries = vec![entry(2, Some(ADD_LEARNER_3)), entry(3, Some(REMOVE_3))];
    restored.hard_state.set_commit(3);
    restored.conf_index = 3;
    let mut replica = start(restored);
    assert_eq!(applied_indexes(&step(&mut replica, Input::Tick)), [2, 3]);
    for index in [2, 3] {
        let out = step(&mut replica, Input::ConfChangeApplied { index, accepted: true });
        assert_eq!(tells_membership(&out), None, "the learner must not come back at {index}");
    }
    step(&mut replica, Input::Applied { index: 3 });
    assert_eq!((replica.status().applied, replica.conf_state()), (3, conf_state_from([1, 2], [])));
}

#[test]
fn a_restart_takes_the_newer_membership_of_log_and_checkpoint() {
    // The power went after the checkpoint was durable, and before the log's own note of the entry in it was.
    let (old, new) = (conf_state_from([1, 2], []), conf_state_from([1, 2], [3]));
    for (noted, conf_index, expected) in [(&old, 1, &new), (&new, 2, &new), (&old, 4, &old)] {
        let mut restored = Restored::founding(old.clone());
        restored.entries = vec![entry(2, Some(ADD_LEARNER_3)), entry(3, None), entry(4, Some(REMOVE_3))];
        restored.hard_state.set_commit(3);
        (restored.conf_state, restored.conf_index) = (noted.clone(), conf_index);
        restored.checkpoint = Some(Checkpoint { index: 3, term: 1, conf_state: new.clone() });
        let config = Config { id: 1, group: 7, timing: Timing::lan(), limits: Limits::default(), seed: 1, applied: 3 };
        let replica = Replica::new(config, restored).unwrap();
        assert_eq!(replica.conf_state(), *expected, "noted at {conf_index}");
        assert_eq!(replica.status().conf_index, conf_index.max(3));
    }
}

#[test]
fn who_becomes_the_sole_voter_waits_for_its_disk() {
    let mut replica = founding(&[1, 2], &[]);
    settle(&mut replica, append(vec![entry(2, Some(REMOVE_2))], 2));
    settle(&mut replica, Input::ConfChangeApplied { index: 2, accepted: true });
    step(&mut replica, Input::Applied { index: 2 });
    let out = step(&mut replica, append(vec![entry(3, None)], 2));
    let number = out.iter().find_map(|a| if let Action::Persist(p) = a { Some(p.number) } else { None }).unwrap();
    for _ in 0..50 {
        step(&mut replica, Input::Tick);
    }
    step(&mut replica, Input::Campaign);
    assert_eq!(replica.status().role, Role::Follower);
    step(&mut replica, Input::Persisted { number });
    step(&mut replica, Input::Campaign);
    assert_eq!(replica.status().role, Role::Leader);
}

#[test]
fn a_joint_membership_is_left_even_if_the_state_machine_refuses() {
    let mut replica = founding(&[1], &[2, 3]);
    settle(&mut replica, Input::Tick);
    step(&mut replica, Input::Applied { index: 2 });
    let change = conf_change(&[MemberChange::Remove(2), MemberChange::Remove(3)]);
    settle(&mut replica, Input::ProposeConfChange { ticket: 1, change });
    settle(&mut replica, Input::ConfChangeApplied { index: 3, accepted: true });
    assert!(!replica.conf_state().get_voters_outgoing().is_empty());
    let out = settle(&mut replica, Input::Applied { index: 3 });
    let leave = |a: &Action| matches!(a, Action::Apply(e) if e[0].kind == CommittedKind::Conf(conf_change(&[])));
    assert!(out.iter().any(leave), "{out:?}");
    settle(&mut replica, Input::ConfChangeApplied { index: 4, accepted: false });
    assert_eq!(replica.conf_state(), conf_state_from([1], []));
}

#[test]
fn a_checkpoint_is_asked_for_only_if_the_log_does_not_reach_it() {
    let offer = |index| {
        let mut m = message(MessageType::MsgSnapshot);
        let meta = m.mut_snapshot().mut_metadata();
        meta.set_index(index);
        meta.set_term(1);
        meta.set_conf_state(conf_state_from([1, 2], []));
        Input::Message(Box::new(m))
    };
    let mut replica = founding(&[1, 2], &[]);
    settle(&mut replica, append(vec![entry(2, None), entry(3, None)], 1));
    for (index, asked) in [(1, false), (3, false), (9, true)] {
        let out = settle(&mut replica, offer(index));
        assert_eq!(out.iter().any(|a| matches!(a, Action::WantCheckpoint { .. })), asked, "{index}: {out:?}");
    }
    assert_eq!(replica.status().last, 3, "nothing restarts before the file is here");
    let conf_state = conf_state_from([1, 2], []);
    let out = settle(&mut replica, Input::CheckpointReceived { index: 9, term: 1, conf_state: conf_state.clone() });
    let at = |wanted: fn(&Action) -> bool| out.iter().position(wanted).unwrap();
    let reset = at(|a| matches!(a, Action::Persist(Persist { reset_to: Some(_), .. })));
    let install = at(|a| matches!(a, Action::InstallCheckpoint { index: 9, .. }));
    let answer = at(|a| matches!(a, Action::Send(m) if m.iter().any(|m| m.get_index() == 9)));
    assert!(reset < install && install < answer, "{out:?}");
    let late = settle(&mut replica, Input::CheckpointReceived { index: 9, term: 1, conf_state });
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn what_follows_on_a_checkpoint_is_applied_after_it() {
    let mut replica = founding(&[1, 2], &[]);
    settle(&mut replica, append(vec![entry(2, None)], 1));
    let conf_state = conf_state_from([1, 2], []);
    let mut out = step(&mut replica, Input::CheckpointReceived { index: 9, term: 1, conf_state });
    out.extend(step(&mut replica, append(vec![entry(10, None)], 10)));
    assert_eq!(applied_indexes(&out), [], "the checkpoint is not the state yet: {out:?}");
    let number = out.iter().rev().find_map(|a| if let Action::Persist(p) = a { Some(p.number) } else { None }).unwrap();
    let out = step(&mut replica, Input::Persisted { number });
    let at = |wanted: fn(&Action) -> bool| out.iter().position(wanted).unwrap();
    assert!(at(|a| matches!(a, Action::InstallCheckpoint { index: 9, .. })) < at(|a| matches!(a, Action::Apply(_))));
    assert_eq!(applied_indexes(&out), [10]);
}

#[test]
fn a_checkpoint_with_a_membership_that_cannot_be_is_not_asked_for() {
    type Parts<'a> = [&'a [u64]; 4];
    let ask = |[voters, learners, outgoing, next]: Parts<'_>, auto_leave| {
        let mut m = message(MessageType::MsgSnapshot);
        let meta = m.mut_snapshot().mut_metadata();
        (meta.index, meta.term) = (9, 1);
        let conf = meta.mut_conf_state();
        (conf.voters, conf.learners) = (voters.to_vec(), learners.to_vec());
        (conf.voters_outgoing, conf.learners_next) = (outgoing.to_vec(), next.to_vec());
        conf.set_auto_leave(auto_leave);
        let conf_state = conf.clone();
        let mut replica = founding(&[1, 2], &[]);
        let out = settle(&mut replica, Input::Message(Box::new(m)));
        let asked = out.iter().any(|a| matches!(a, Action::WantCheckpoint { .. }));
        if asked {
            // What is asked for can be installed.
            settle(&mut replica, Input::CheckpointReceived { index: 9, term: 1, conf_state });
            settle(&mut replica, Input::Applied { index: 9 });
        }
        asked
    };
    let many: Vec<u64> = (1..=2000).collect();
    let cases: [(Parts<'_>, bool, bool); 12] = [
        ([&[1, 2], &[3], &[], &[]], false, true),
        ([&[1, 3], &[4], &[1, 2], &[2]], true, true),
        ([&[], &[1], &[], &[]], false, false),
        ([&[1, 1], &[], &[], &[]], false, false),
        ([&[0, 1], &[], &[], &[]], false, false),
        ([&[1, 2], &[2], &[], &[]], false, false),
        ([&[1], &[2], &[1, 2], &[]], false, false),
        ([&[1], &[], &[1, 2], &[3]], false, false),
        ([&[1, 2], &[], &[1, 2], &[2]], false, false),
        ([&[1, 2], &[], &[], &[3]], false, false),
        ([&[1, 2], &[], &[], &[]], true, false),
        ([&many, &[], &[], &[]], false, false),
    ];
    for (parts, auto_leave, asked) in cases {
        assert_eq!(ask(parts, auto_leave), asked, "{:?}", parts.map(|part| part.iter().take(5).collect::<Vec<_>>()));
    }
}

/// A leader's word that it can only send its checkpoint of this index.
fn offer(index: u64) -> Input {
    let mut m = message(MessageType::MsgSnapshot);
    let meta = m.mut_snapshot().mut_metadata();
    meta.set_index(index);
    meta.set_term(1);
    meta.set_conf_state(conf_state_from([1, 2], []));
    Input::Message(Box::new(m))
}

#[test]
fn no_second_checkpoint_is_asked_for_before_the_first_is_the_state() {
    let wants = |actions: &[Action], wanted: u64| {
        actions.iter().any(|a| matches!(a, Action::WantCheckpoint { index, .. } if *index == wanted))
    };
    let mut replica = founding(&[1, 2], &[]);
    assert!(wants(&step(&mut replica, offer(10)), 10));
    let received = Input::CheckpointReceived { index: 10, term: 1, conf_state: conf_state_from([1, 2], []) };
    let mut out = Vec::new();
    replica.step_all([offer(20), received], &mut out);
    let restart = out.iter().find_map(|a| if let Action::Persist(p) = a { Some(p.number) } else { None }).unwrap();
    assert!(!wants(&out, 20), "what is fetched next would take the place of what is to be installed: {out:?}");
    assert!(!wants(&step(&mut replica, offer(20)), 20), "the restart of the log is not durable");
    let out = step(&mut replica, Input::Persisted { number: restart });
    assert!(out.iter().any(|a| matches!(a, Action::InstallCheckpoint { index: 10, .. })), "{out:?}");
    assert!(!wants(&step(&mut replica, offer(20)), 20), "it is not the state yet");
    step(&mut replica, Input::Applied { index: 10 });
    assert!(wants(&step(&mut replica, offer(20)), 20));
}

#[test]
fn a_leader_keeps_the_log_behind_a_checkpoint_that_is_on_its_way() {
    let limits = Limits { max_log_bytes_in_memory: 4096, ..Limits::default() };
    let config = Config { id: 1, group: 7, timing: Timing::lan(), limits, seed: 1, applied: 1 };
    let mut leader = Replica::new(config, Restored::founding(conf_state_from([1], [2]))).unwrap();
    settle(&mut leader, Input::Tick);
    let lead = |leader: &mut Replica, bytes: usize| {
        settle(leader, Input::Propose { ticket: 1, data: vec![7; bytes].into() });
        let (index, term) = (leader.status().commit, leader.status().term);
        step(leader, Input::Applied { index });
        let conf_state = leader.conf_state();
        step(leader, Input::CheckpointReady { index, term, conf_state });
        let out = step(leader, Input::Compact { index });
        out.iter().any(|a| matches!(a, Action::Compacted(base) if base.index == index))
    };
    let alive = || {
        let mut m = message(MessageType::MsgHeartbeatResponse);
        m.set_term(2);
        Input::Message(Box::new(m))
    };
    assert!(lead(&mut leader, 10), "nobody has answered yet");
    // The learner is there and has nothing: it is sent the checkpoint.
    let sent = settle(&mut leader, alive());
    assert!(sent.iter().any(|a| matches!(a, Action::SendCheckpoint { to: 2, .. })), "{sent:?}");
    for _ in 0..30 {
        settle(&mut leader, Input::Tick);
    }
    assert!(lead(&mut leader, 10), "it is silent");
    settle(&mut leader, alive());
    assert!(!lead(&mut leader, 10), "it is there, and will need what follows its checkpoint");
    let meanwhile: Vec<_> = (0..40).flat_map(|_| [Input::Tick, alive()]).flat_map(|i| settle(&mut leader, i)).collect();
    assert!(
        !meanwhile.iter().any(|a| matches!(a, Action::Compacted(_))),
        "it answers all the while, whenever raft counts anew who is there"
    );
    let later: Vec<_> = (0..30).flat_map(|_| settle(&mut leader, Input::Tick)).collect();
    assert!(
        later.iter().any(|a| matches!(a, Action::Compacted(_))),
        "it is silent again, and nobody asks a second time"
    );
    settle(&mut leader, alive());
    assert!(lead(&mut leader, 2500), "but not at any price");
}

#[test]
fn peers_cannot_slip_in_what_raft_would_parse_or_panic_on() {
    let mut replica = founding(&[1, 2], &[]);
    // The first step also tells the role.
    step(&mut replica, Input::Tick);
    let mut nested = entry(2, Some(REMOVE_2));
    nested.set_data(vec![0x0b; 100_000].into());
    assert!(decode_conf_change(nested.get_data()).is_none());
    let mut hole = append(vec![entry(2, None), entry(4, None)], 1);
    assert!(step(&mut replica, append(vec![nested], 1)).is_empty());
    assert!(step(&mut replica, hole.clone()).is_empty());
    if let Input::Message(m) = &mut hole {
        m.mut_entries().pop();
        m.mut_entries()[0].set_term(9);
    }
    assert!(step(&mut replica, hole).is_empty(), "a term from the future");
    assert_eq!(replica.status().last, 1);
}

#[test]
fn a_term_that_elections_cannot_have_reached_is_not_believed() {
    // Node 1 of two stands for election, again and again, in the terms that follow what it was told.
    let outlived = |kind, term| {
        let mut replica = founding(&[1, 2], &[]);
        let mut m = message(kind);
        m.set_term(term);
        settle(&mut replica, Input::Message(Box::new(m)));
        let known = replica.status().term;
        for _ in 0..100 {
            settle(&mut replica, Input::Tick);
        }
        settle(&mut replica, Input::Campaign);
        known
    };
    for kind in [MessageType::MsgHeartbeat, MessageType::MsgAppend, MessageType::MsgRequestVote] {
        assert_eq!(
            outlived(kind, 1 << 40),
            1 << 40,
            "{kind:?}: a member that was away for long hears how far others are"
        );
        for term in [u64::MAX, u64::MAX - 1, 1 << 50] {
            assert_eq!(outlived(kind, term), 1, "{kind:?}");
        }
    }
}

#[test]
fn an_index_that_no_log_reaches_is_not_believed() {
    for index in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let mut offered = message(MessageType::MsgSnapshot);
        let meta = offered.mut_snapshot().mut_metadata();
        (meta.index, meta.term) = (index, 1);
        meta.set_conf_state(conf_state_from([1, 2], []));
        let mut append = message(MessageType::MsgAppend);
        append.index = index;
        let mut heartbeat = message(MessageType::MsgHeartbeat);
        heartbeat.commit = index;
        let mut answer = message(MessageType::MsgAppendResponse);
        (answer.index, answer.reject_hint) = (index, index);
        for m in [offered, append, heartbeat, answer] {
            let mut replica = founding(&[1, 2], &[]);
            let kind = m.get_msg_type();
            let out = settle(&mut replica, Input::Message(Box::new(m)));
            assert!(!out.iter().any(|a| matches!(a, Action::WantCheckpoint { .. })), "{kind:?} {index}: {out:?}");
        }
    }
}
