//! Many seeds of everything at once: loss, delay, doubling, cuts, crashes, slow disks, membership changes, checkpoints.

#![allow(clippy::unwrap_used, reason = "a failed harness is a failed test")]

mod cluster;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::{Cluster, Faults, Plant};
use shouwang_replica::{Input, MemberChange, conf_change};

const SEEDS: u64 = 200;
const STEPS: u64 = 600;
const NODES: u64 = 5;

fn membership(c: &mut Cluster, leader: u64) {
    let conf = c.replica(leader).conf_state();
    let id = 1 + c.rng.below(NODES);
    let (voter, learner) = (conf.get_voters().contains(&id), conf.get_learners().contains(&id));
    let other = conf.get_voters().iter().copied().find(|v| *v != id);
    let mut change = match (voter, learner, other) {
        (true, ..) if conf.get_voters().len() > 3 => conf_change(&[MemberChange::Demote(id)]),
        (false, true, Some(other)) if c.rng.percent(50) => {
            conf_change(&[MemberChange::Promote(id), MemberChange::Demote(other)])
        }
        (false, true, _) => conf_change(&[MemberChange::Promote(id)]),
        (false, false, _) => conf_change(&[MemberChange::AddLearner(id)]),
        _ => return,
    };
    if c.rng.percent(25) {
        change.set_context(b"reject".to_vec().into());
    }
    c.change(leader, change);
}

fn disturb(c: &mut Cluster) {
    let id = 1 + c.rng.below(NODES);
    match c.rng.below(100) {
        0 if c.is_up(id) => {
            let kept = usize::try_from(c.rng.below(4)).unwrap();
            c.crash(id, kept);
        }
        1..=4 if !c.is_up(id) && c.violation.is_none() => c.start(id),
        5 => c.isolate(&[id]),
        6 => {
            let other = 1 + c.rng.below(NODES);
            c.isolate(&[id, other]);
        }
        7..=10 => c.cut.clear(),
        11..=13 if c.is_up(id) => {
            let slack = c.rng.below(8);
            c.checkpoint(id, slack);
        }
        14 => c.give(id, vec![Input::MayCampaign(c.now.is_multiple_of(2))]),
        15 => {
            let to = 1 + c.rng.below(NODES);
            c.give(id, vec![Input::TransferLeader { to }]);
        }
        16 if c.now.is_multiple_of(2) => c.give(id, vec![Input::Campaign]),
        16 => {
            // True or not.
            let gone = 1 + c.rng.below(NODES);
            c.give(id, vec![Input::PeerGone { id: gone }]);
        }
        17..=19 => {
            if let Some(leader) = c.leader() {
                membership(c, leader);
            }
        }
        20..=30 if c.is_up(id) => {
            c.read(id);
        }
        31..=60 => {
            let target = c.leader().unwrap_or(id);
            let data = format!("{}-{target}", c.now);
            c.propose(target, data);
        }
        _ => {}
    }
}

/// A storm, then calm: safety throughout, and in the end everyone agrees and goes on.
fn storm(seed: u64, plant: Plant, trace: bool) -> Cluster {
    let mut c = Cluster::planted(seed, &[1, 2, 3], NODES, plant);
    c.trace = trace.then_some(0);
    c.faults = Faults {
        loss: c.rng.below(15),
        double: c.rng.below(15),
        max_delay: 1 + c.rng.below(8),
        slow_disk: c.rng.below(70),
        slow_apply: c.rng.below(70),
    };
    for _ in 0..STEPS {
        disturb(&mut c);
        c.tick();
        if c.violation.is_some() {
            return c;
        }
    }
    c.faults = Faults { max_delay: 1, ..Faults::default() };
    c.cut.clear();
    for id in 1..=NODES {
        if !c.is_up(id) {
            c.start(id);
        }
        c.give(id, vec![Input::MayCampaign(true)]);
    }
    c
}

fn calm(c: &mut Cluster, seed: u64) {
    let leader = c.elect();
    let mut proposed = false;
    for n in 0..1000 {
        let at = c.leader().unwrap_or(leader);
        if n % 50 == 0 && !proposed {
            c.propose(at, "calm");
        }
        proposed = c.truth.values().any(|(_, kind, _)| format!("{kind:?}").contains("calm"));
        let conf = c.replica(at).conf_state();
        let members: Vec<_> = conf.get_voters().iter().chain(conf.get_learners()).copied().collect();
        let last = c.truth.last_key_value().map_or(0, |(index, _)| *index);
        let joint = !conf.get_voters_outgoing().is_empty();
        if proposed && !joint && members.iter().all(|id| c.node(*id).applied >= last) {
            c.sound();
            return;
        }
        c.tick();
    }
    let all: Vec<_> = (1..=NODES).map(|id| c.replica(id).status()).collect();
    panic!("seed {seed}: no agreement after the storm: {all:#?}; violation: {:?}", c.violation);
}

#[test]
fn storms_break_nothing() {
    let (mut entries, mut checkpoints, mut reads) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut c = storm(seed, Plant::None, false);
        assert_eq!(c.violation, None, "seed {seed}");
        let told = |c: &Cluster, what: &str| {
            c.nodes.iter().flat_map(|n| &n.told).filter(|a| format!("{a:?}").starts_with(what)).count()
        };
        calm(&mut c, seed);
        entries += c.truth.len();
        checkpoints += told(&c, "InstallCheckpoint");
        reads += told(&c, "ReadReady");
    }
    // The storm must have had something to break.
    assert!(entries > 50 * usize::try_from(SEEDS).unwrap(), "{entries} entries");
    assert!(checkpoints > 50, "{checkpoints} checkpoints installed");
    assert!(reads > 1000, "{reads} reads answered");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| storm(seed, Plant::None, true).trace;
    let first: Vec<_> = (0..8).map(trace).collect();
    let again: Vec<_> = (0..8).map(trace).collect();
    assert_eq!(first, again);
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn acknowledging_before_the_disk_is_noticed() {
    let c = storm(1, Plant::Eager, false);
    let noticed = c.violation.expect("an acknowledgement that is not durable");
    assert!(noticed.contains("before it was durable"), "{noticed}");
    // And if nobody looked at the messages, what they cause is seen all the same.
    let harmed = (0..50).filter(|seed| {
        catch_unwind(AssertUnwindSafe(|| storm(*seed, Plant::EagerUnseen, false).violation.is_some())).unwrap_or(true)
    });
    assert!(harmed.count() > 0);
}
