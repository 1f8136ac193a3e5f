//! One record on three nodes: propose, read, watch, time, and who may speak.

use std::time::{Duration, Instant};

use crate::cluster::counter::{Ask, Counter, Happened};
use crate::cluster::{Cluster, envelope, fast, node_id, soon};
use shouwang_domain::record::Verdict;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{DriverError, RecordOptions, Timing, WatchError};

#[tokio::test(flavor = "multi_thread")]
async fn commands_through_any_node_reach_all() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let follower = cluster.follower().await;
    for n in [1, 2, 3] {
        let (id, outcome) = cluster.add(n, 10).await;
        assert_eq!(outcome.verdict, Verdict::Accepted);
        assert_eq!(cluster.counter(n).outcome(node_id(n).municipality(), id), Some(outcome));
    }
    let view = cluster.counter(follower).read_linearizable(soon()).await.unwrap();
    assert_eq!((view.record.machine().sum, view.record.revision(), view.in_touch), (30, 3, true));
    let refused = cluster.ask(follower, Ask::Need(31)).await.unwrap();
    assert!(matches!(refused.verdict, Verdict::Refused(_)) && refused.revision == 4);
    cluster.settle(follower).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_process_has_ended_is_not_waited_for() {
    // Silence alone leads to an election after five seconds at the earliest.
    let timing = Timing { tick_ms: 20, heartbeat_ticks: 2, election_ticks: 250 };
    let mut cluster = Cluster::start(&[1, 2, 3], RecordOptions { timing, ..fast() }).await;
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    cluster.kill(leader).await;
    let killed = Instant::now();
    cluster.leader().await;
    assert!(killed.elapsed() < Duration::from_secs(4), "{:?}", killed.elapsed());
    let left = cluster.any().n;
    cluster.add(left, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_gives_the_first_outcome_and_another_body_is_refused() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let first = cluster.envelope(1, Ask::Add(5));
    let outcome = cluster.counter(1).propose(first.clone(), soon()).await.unwrap();
    for n in [1, 1] {
        assert_eq!(cluster.counter(n).propose(first.clone(), soon()).await.unwrap(), outcome);
    }
    let other = shouwang_domain::command::Envelope { body: Ask::Add(6), ..first.clone() };
    let refused = cluster.counter(1).propose(other.clone(), soon()).await.unwrap();
    assert_eq!((refused.verdict, refused.revision), (Verdict::IdReused, 0));
    let handle = cluster.counter(1).clone();
    let together = [first.clone(), first.clone(), other].map(|envelope| handle.propose(envelope, soon()));
    let [a, b, c] = together;
    let (a, b, c) = tokio::join!(a, b, c);
    assert_eq!((a.unwrap(), b.unwrap()), (outcome.clone(), outcome));
    assert_eq!(c.unwrap().verdict, Verdict::IdReused);
    let mut late = cluster.envelope(1, Ask::Add(1));
    late.valid_until = Timestamp(1);
    assert_eq!(cluster.counter(1).propose(late, soon()).await.unwrap().verdict, Verdict::Expired);
    for number in [1, 1, 2] {
        cluster.ask(2, Ask::Numbered(number)).await.unwrap();
    }
    let view = cluster.counter(2).read_linearizable(soon()).await.unwrap();
    assert_eq!((view.record.machine().sum, view.record.machine().numbered), (7, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_batches_and_each_hears_its_own() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    cluster.leader().await;
    let mut asked = Vec::new();
    for round in 0..600_u64 {
        let n = 1 + u32::try_from(round % 3).unwrap();
        let envelope = cluster.envelope(n, if round % 5 == 0 { Ask::Need(u64::MAX) } else { Ask::Add(round) });
        let handle = cluster.counter(n).clone();
        asked.push((round, tokio::spawn(async move { handle.propose(envelope, soon()).await.unwrap() })));
    }
    let (mut sum, mut revisions) = (0, Vec::new());
    for (round, task) in asked {
        let outcome = task.await.unwrap();
        assert_eq!(matches!(outcome.verdict, Verdict::Refused(_)), round % 5 == 0, "{round}: {outcome:?}");
        sum += if round % 5 == 0 { 0 } else { round };
        revisions.push(outcome.revision);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=600).collect::<Vec<_>>());
    let view = cluster.counter(1).read_linearizable(soon()).await.unwrap();
    assert_eq!(view.record.machine().sum, sum);
    let entries = cluster.counter(1).status().applied;
    assert!(entries < 500, "{entries} entries for 600 commands");
    cluster.settle(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_happens_and_that_is_certain() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    cluster.leader().await;
    cluster.kill(2).await;
    cluster.kill(3).await;
    cluster.until("no leader", |c| c.counter(1).status().leader.is_none().then_some(())).await;
    let shortly = || Instant::now() + Duration::from_millis(100);
    let envelope = cluster.envelope(1, Ask::Add(1));
    let error = cluster.counter(1).propose(envelope.clone(), shortly()).await.unwrap_err();
    assert!(matches!(error, DriverError::NoLeader) && error.is_certain(), "{error}");
    assert!(matches!(cluster.counter(1).read_linearizable(shortly()).await, Err(DriverError::NoLeader)));
    let view = cluster.counter(1).view().unwrap();
    assert!(!view.in_touch && view.leader.is_none());
    cluster.up(2).await;
    let outcome = cluster.counter(1).propose(envelope, soon()).await.unwrap();
    assert_eq!((outcome.verdict, outcome.revision), (Verdict::Accepted, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_every_revision_once_in_order_from_memory_and_from_disk() {
    let options = RecordOptions { tail_records: 4, segment_bytes: 4096, ..fast() };
    let mut cluster = Cluster::start(&[1, 2, 3], options).await;
    let watched = cluster.follower().await;
    let mut live = cluster.counter(watched).watch(1);
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 60 {
            seen.push(live.next().await.unwrap().record.revision);
        }
        seen
    });
    for n in 0..60 {
        cluster.add(1 + n % 3, u64::from(n)).await;
    }
    assert_eq!(following.await.unwrap(), (1..=60).collect::<Vec<_>>());
    cluster.until("all is here", |c| (c.counter(watched).revision() == 60).then_some(())).await;
    let mut again = cluster.counter(watched).watch(25);
    for revision in 25..=60 {
        let change = again.next().await.unwrap();
        assert_eq!(change.record.revision, revision);
        assert!(matches!(change.record.events[..], [Happened::Added(_)]));
        let proof = cluster.counter(watched).inclusion_proof(revision).await.unwrap();
        assert!(proof.holds(&change.bytes) && !proof.holds(b"planted"));
    }
    assert_eq!(again.position(), 61);
    let (stopped, ()) = tokio::join!(again.next(), async { cluster.stop(watched).await });
    assert!(matches!(stopped, Err(WatchError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_when_the_leaders_clock_says_so() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let start = 1_700_000_000_000;
    for minutes in [1, 2, 3] {
        cluster.ask(1, Ask::Alarm(Timestamp(start + minutes * 60_000))).await.unwrap();
    }
    assert_eq!(cluster.counter(1).revision(), 3);
    cluster.clock.advance_ms(120_000);
    cluster.until("two alarms ring", |c| (c.counter(2).revision() == 5).then_some(())).await;
    cluster.clock.advance_ms(60_000);
    cluster.until("the third rings", |c| (c.counter(2).revision() == 6).then_some(())).await;
    let view = cluster.counter(2).view().unwrap();
    assert_eq!((view.record.machine().sum, view.record.time()), (3, Timestamp(start + 180_000)));
    cluster.settle(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_with_a_key_that_is_not_in_force() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let follower = cluster.follower().await;
    let leader = cluster.leader().await;
    // The record is told that these nodes have another key now.
    let member = crate::cluster::counter::Member {
        key: shouwang_domain::hash::Bytes(shouwang_driver::Signer::public_key(&crate::cluster::signer(9))),
        voter: true,
    };
    let third = (1..=3).find(|n| ![follower, leader].contains(n)).unwrap();
    for n in [follower, leader] {
        cluster.ask(third, Ask::Admit(node_id(n), member.clone())).await.unwrap();
    }
    for n in [follower, leader] {
        let revoked = envelope::<Counter>(n, 77, Ask::Add(1));
        let error = cluster.counter(n).propose(revoked, soon()).await.unwrap_err();
        assert!(matches!(error, DriverError::NotAccepted), "{n}: {error}");
    }
}
