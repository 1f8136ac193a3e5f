//! Nodes die and come back: nothing acknowledged is lost, nothing happens twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cluster::counter::{Ask, Counter, Member};
use crate::cluster::{Cluster, envelope, fast, node_id, signer, soon};
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::CommandId;
use shouwang_domain::record::{Cause, Outcome, Verdict};
use shouwang_driver::{Handle, Limits, RecordOptions};
use shouwang_store::{Finding, StoreError};
use tokio::task::JoinHandle;

type Acked = (CommandId, Outcome);

/// Asks one thing after the other through a node until the node is gone; what was acknowledged.
fn ask_on(handle: Handle<Counter>, n: u32, first_id: u128) -> JoinHandle<Vec<Acked>> {
    tokio::spawn(async move {
        let mut acked = Vec::new();
        for id in first_id.. {
            let envelope = envelope::<Counter>(n, id, Ask::Add(1));
            match handle.propose(envelope, Instant::now() + Duration::from_secs(1)).await {
                Ok(outcome) => acked.push((CommandId::from_u128(id), outcome)),
                Err(_) if handle.status().halted.is_some() => break,
                Err(error) if error.code() == "STOPPED" => break,
                Err(_) => {}
            }
        }
        acked
    })
}

/// Every command in the ledger at most once, and every acknowledged one where its outcome says.
async fn check_ledger(handle: &Handle<Counter>, acked: &BTreeMap<(u32, CommandId), Outcome>) {
    let last = handle.read_linearizable(soon()).await.unwrap().record.revision();
    let mut watch = handle.watch(1);
    let mut found = BTreeMap::new();
    for revision in 1..=last {
        let change = watch.next().await.unwrap();
        assert_eq!(change.record.revision, revision);
        let Cause::Command { bytes, proof } = &change.record.cause else { continue };
        let asked: Envelope<Ask> = code::decode("command", &bytes.0).unwrap();
        let twice = found.insert((proof.node, asked.id), revision);
        assert_eq!(twice, None, "{:?} twice", asked.id);
    }
    for ((n, id), outcome) in acked {
        assert_eq!(found.get(&(node_id(*n), *id)), Some(&outcome.revision), "{id:?}");
        let remembered = handle.outcome(node_id(*n).municipality(), *id);
        assert_eq!(remembered.as_ref(), Some(outcome), "{id:?}");
    }
    let view = handle.view().unwrap();
    assert_eq!(view.record.machine().sum, found.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_killed_under_load_and_nothing_acknowledged_is_lost_or_doubled() {
    let options = RecordOptions { checkpoint_records: 150, tail_records: 32, segment_bytes: 16 << 10, ..fast() };
    let mut cluster = Cluster::start(&[1, 2, 3], options).await;
    let mut acked: BTreeMap<(u32, CommandId), Outcome> = BTreeMap::new();
    for round in 0..4_u128 {
        let victim = cluster.leader().await;
        let tasks: Vec<_> = (0..6)
            .map(|task: u32| {
                let n = 1 + task % 3;
                (n, ask_on(cluster.counter(n).clone(), n, 1_000_000 * (6 * round + u128::from(task) + 1)))
            })
            .collect();
        let progress = cluster.counter(victim).revision() + 100;
        cluster.until("some commands", |c| (c.counter(victim).revision() >= progress).then_some(())).await;
        cluster.kill(victim).await;
        let survivor = *cluster.nodes.keys().next().unwrap();
        let progress = cluster.counter(survivor).revision() + 100;
        cluster.until("the others go on", |c| (c.counter(survivor).revision() >= progress).then_some(())).await;
        if round % 2 == 0 {
            for n in cluster.nodes.keys().copied().collect::<Vec<_>>() {
                cluster.kill(n).await;
            }
        } else {
            for n in cluster.nodes.keys().copied().collect::<Vec<_>>() {
                cluster.stop(n).await;
            }
        }
        for (n, task) in tasks {
            acked.extend(task.await.unwrap().into_iter().map(|(id, outcome)| ((n, id), outcome)));
        }
        for n in [1, 2, 3] {
            cluster.up(n).await;
        }
        let last = cluster.leader().await;
        check_ledger(cluster.counter(last), &acked).await;
        cluster.settle(last).await;
    }
    assert!(acked.len() > 400, "{}", acked.len());
    for n in [1, 2, 3] {
        check_ledger(cluster.counter(n), &acked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_too_late_stays_too_late_when_a_clock_goes_back() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    cluster.add(1, 1).await;
    let late = cluster.envelope(1, Ask::Add(1));
    cluster.clock.advance_ms(7_200_000);
    // It leaves no ledger record: only the stamp of its entry says how late it was.
    assert_eq!(cluster.counter(1).propose(late.clone(), soon()).await.unwrap().verdict, Verdict::Expired);
    cluster.counter(1).checkpoint_now().await.unwrap();
    cluster.stop(1).await;
    cluster.clock.advance_ms(-7_200_000);
    cluster.up(1).await;
    cluster.leader().await;
    assert_eq!(cluster.counter(1).propose(late, soon()).await.unwrap().verdict, Verdict::Expired);
    assert_eq!(cluster.counter(1).view().unwrap().record.machine().sum, 1);
}

/// The sealed ledger segments of a node, oldest first.
fn sealed(cluster: &Cluster, n: u32) -> Vec<PathBuf> {
    let records = cluster.dirs[&n].path().join("records");
    let record = std::fs::read_dir(records).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(record.join("ledger")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "sealed")).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_has_gone_bad_behind_the_checkpoint_stops_nobody() {
    let mut cluster = Cluster::start(&[1], RecordOptions { segment_bytes: 4096, ..fast() }).await;
    let noise: Vec<u8> = (0..3_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for _ in 0..6 {
        cluster.ask(1, Ask::Note(Bytes(noise.clone()))).await.unwrap();
    }
    cluster.settle(1).await;
    cluster.kill(1).await;
    let file = sealed(&cluster, 1).first().unwrap().clone();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    // The log derives again what is in it, and finds it unreadable.
    cluster.up(1).await;
    cluster.add(1, 1).await;
    cluster.settle(1).await;
    // By the keeper, which answers no caller and may still be on its way there.
    let damaged = |finding: &Finding| matches!(*finding.error, StoreError::LedgerDamaged { .. });
    let told = |c: &Cluster| c.counter(1).findings().iter().any(damaged).then_some(());
    cluster.until("the damage is told", told).await;
    assert_eq!(cluster.counter(1).status().halted, None);
    // The next start has it from the log.
    cluster.stop(1).await;
    cluster.up(1).await;
    cluster.add(1, 1).await;
    cluster.until("all of it is here", |c| (c.counter(1).status().oldest_revision == 1).then_some(())).await;
    check_ledger_reads(cluster.counter(1)).await;
}

/// Every revision can be watched from the first on.
async fn check_ledger_reads(handle: &Handle<Counter>) {
    let mut watch = handle.watch(1);
    for revision in 1..=handle.revision() {
        assert_eq!(watch.next().await.unwrap().record.revision, revision);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_fell_out_of_the_log_gets_a_checkpoint() {
    let options = RecordOptions { log_slack: 5, ..fast() };
    let mut cluster = Cluster::start(&[1, 2, 3], options).await;
    let behind = cluster.follower().await;
    cluster.add(behind, 1).await;
    cluster.kill(behind).await;
    let leader = cluster.leader().await;
    let noise: Vec<u8> = (0..40_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for _ in 0..3 {
        for _ in 0..20 {
            cluster.add(leader, 1).await;
        }
        cluster.ask(leader, Ask::Note(Bytes(noise.clone()))).await.unwrap();
        cluster.counter(leader).checkpoint_now().await.unwrap();
        let other = *cluster.nodes.keys().find(|n| **n != leader).unwrap();
        cluster.counter(other).checkpoint_now().await.unwrap();
    }
    cluster.until("the log is cut", |c| (c.counter(leader).status().first_index > 20).then_some(())).await;
    cluster.up(behind).await;
    cluster.add(behind, 1).await;
    cluster.settle(behind).await;
    cluster.until("its log begins late", |c| (c.counter(behind).status().first_index > 20).then_some(())).await;
    // What lies before the checkpoint follows, and fits.
    cluster.until("the history is here", |c| (c.counter(behind).status().oldest_revision == 1).then_some(())).await;
    same_ledger(&cluster, leader, behind).await;
    // It goes on from there after another death.
    cluster.kill(behind).await;
    cluster.up(behind).await;
    cluster.add(behind, 1).await;
    cluster.settle(behind).await;
    assert_eq!(cluster.counter(behind).status().oldest_revision, 1);
    same_ledger(&cluster, leader, behind).await;
    let view = cluster.counter(behind).view().unwrap();
    cluster.counter(behind).inclusion_proof(view.record.revision()).await.unwrap();
}

/// Entries of a busy record are large: those that are kept for slow followers, or that wait for the next checkpoint, may be
/// more than memory has room for.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fills_its_memory_goes_behind_a_checkpoint() {
    let limits = Limits { max_log_bytes_in_memory: 256 << 10, ..Limits::default() };
    let mut cluster = Cluster::start(&[1], RecordOptions { limits, log_slack: 4096, ..fast() }).await;
    let large = || Ask::Note(Bytes(vec![7; 30_000]));
    for _ in 0..30 {
        cluster.ask(1, large()).await.unwrap();
    }
    cluster.kill(1).await;
    cluster.up(1).await;
    for _ in 0..10 {
        cluster.ask(1, large()).await.unwrap();
    }
    assert!(cluster.counter(1).status().first_index > 20, "{:?}", cluster.counter(1).status());
}

/// Both nodes tell the same story from the beginning.
async fn same_ledger(cluster: &Cluster, a: u32, b: u32) {
    let (mut one, mut other) = (cluster.counter(a).watch(1), cluster.counter(b).watch(1));
    for revision in 1..=cluster.counter(b).revision() {
        let (here, there) = (one.next().await.unwrap(), other.next().await.unwrap());
        assert_eq!((here.record.revision, &here.bytes), (revision, &there.bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_whose_history_nobody_has_says_so_and_does_not_vote() {
    let mut cluster = Cluster::start(&[1], RecordOptions { log_slack: 0, ..fast() }).await;
    for _ in 0..2 {
        for _ in 0..10 {
            cluster.add(1, 1).await;
        }
        cluster.counter(1).checkpoint_now().await.unwrap();
    }
    // The only ledger there is loses its beginning.
    cluster.kill(1).await;
    let ledger = walk(cluster.dirs[&1].path(), "ledger");
    std::fs::remove_dir_all(&ledger).unwrap();
    cluster.up(1).await;
    cluster.add(1, 1).await;
    let oldest = cluster.counter(1).status().oldest_revision;
    assert!(oldest > 1);
    let compacted = cluster.counter(1).watch(1).next().await.unwrap_err();
    assert!(compacted.to_string().contains(&oldest.to_string()), "{compacted}");
    cluster.join(2, 1).await;
    let member = Member { key: Bytes(shouwang_driver::Signer::public_key(&signer(2))), voter: true };
    cluster.ask(1, Ask::Admit(node_id(2), member)).await.unwrap();
    cluster.until("the newcomer has the state", |c| c.counter(2).view().ok()).await;
    cluster.add(2, 1).await;
    cluster.settle(2).await;
    assert!(cluster.counter(2).status().oldest_revision > 1);
    assert_eq!(cluster.counter(1).status().voters, [node_id(1).get()]);
}

/// The directory of this name below `dir`.
fn walk(dir: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            if entry.file_name().is_some_and(|found| found == name) {
                return entry;
            }
            waiting.push(entry);
        }
    }
    panic!("no {name} below {}", dir.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_altogether_is_named_and_nothing_is_founded_anew() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    cluster.add(1, 1).await;
    // In order, so that the ledger has what the log has.
    cluster.stop(1).await;
    std::fs::remove_dir_all(walk(cluster.dirs[&1].path(), "raft")).unwrap();
    cluster.up(1).await;
    let halted = cluster.counter(1).status().halted.expect("a record without its log takes no writes");
    assert!(halted.starts_with("STORE_LOG_CORRUPT: ") && halted.contains("it is gone"), "{halted}");
    assert!(halted.contains("accept-loss"), "{halted}");
    assert_eq!(cluster.counter(1).view().unwrap().record.machine().sum, 1, "what the ledger has is shown");
    assert_eq!(cluster.ask(1, Ask::Add(1)).await.unwrap_err().code(), "HALTED");
    let ledger = walk(cluster.dirs[&1].path(), "ledger");
    assert!(std::fs::read_dir(ledger).unwrap().next().is_some(), "the ledger was cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_die_at_once_and_a_sole_voter_comes_back_alone() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    for _ in 0..3 {
        let (id, outcome) = cluster.add(1, 1).await;
        cluster.counter(1).checkpoint_now().await.unwrap();
        let (_, later) = cluster.add(1, 1).await;
        cluster.kill(1).await;
        cluster.up(1).await;
        cluster.counter(1).read_linearizable(soon()).await.unwrap();
        assert_eq!(cluster.counter(1).outcome(node_id(1).municipality(), id), Some(outcome));
        assert_eq!(cluster.counter(1).revision(), later.revision);
    }
    assert_eq!(cluster.counter(1).view().unwrap().record.machine().sum, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_order_gives_the_lead_away_first() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    let term = cluster.counter(leader).status().term;
    cluster.stop(leader).await;
    let next = cluster.leader().await;
    assert_eq!(cluster.counter(next).status().term, term + 1, "handed over, not fought for");
    let (_, outcome) = cluster.add(next, 1).await;
    assert_eq!(outcome.verdict, Verdict::Accepted);
}
