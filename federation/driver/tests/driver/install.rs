//! A node that fell out of the log gets a checkpoint and its history, and its power goes behind every step of that.

use crate::cluster::counter::Ask;
use crate::cluster::{Cluster, fast, node_id};
use shouwang_domain::hash::Bytes;
use shouwang_driver::RecordOptions;
use shouwang_store::{PowerLoss, SimDisk, StoreError};

/// The one whose power goes.
const VICTIM: u32 = 3;
const LOSSES: [PowerLoss; 3] = [PowerLoss::All, PowerLoss::AfterPrefix, PowerLoss::TornEnd];

/// Three nodes, of which one is down and has fallen out of the log.
async fn left_behind() -> Cluster {
    let options = RecordOptions { log_slack: 2, segment_bytes: 8 << 10, ..fast() };
    let mut cluster = Cluster::start(&[], options).await;
    cluster.genesis = crate::cluster::genesis(&[1, 2, VICTIM]);
    cluster.disks.insert(VICTIM, SimDisk::new(1));
    for n in [1, 2, VICTIM] {
        cluster.up(n).await;
    }
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    cluster.settle(leader).await;
    cluster.kill(VICTIM).await;
    let noise: Vec<u8> = (0..3_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for _ in 0..3 {
        let leader = cluster.leader().await;
        for _ in 0..8 {
            cluster.ask(leader, Ask::Note(Bytes(noise.clone()))).await.unwrap();
        }
        cluster.settle(leader).await;
        for n in [1, 2] {
            cluster.counter(n).checkpoint_now().await.unwrap();
        }
    }
    cluster
        .until("the logs are cut", |c| [1, 2].iter().all(|n| c.counter(*n).status().first_index > 10).then_some(()))
        .await;
    cluster
}

/// The victim has everything, from the first revision on.
async fn comes_back(cluster: &mut Cluster) {
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    cluster.settle(leader).await;
    cluster.until("the history is here", |c| (c.counter(VICTIM).status().oldest_revision == 1).then_some(())).await;
    assert_eq!(cluster.counter(VICTIM).status().halted, None);
    let (mut here, mut there) = (cluster.counter(VICTIM).watch(1), cluster.counter(leader).watch(1));
    for revision in 1..=cluster.counter(VICTIM).revision() {
        let (ours, theirs) = (here.next().await.unwrap(), there.next().await.unwrap());
        assert_eq!((ours.record.revision, &ours.bytes), (revision, &theirs.bytes));
    }
    let torn = |error: &StoreError| matches!(error, StoreError::LedgerTorn { .. } | StoreError::LogMarkerTorn { .. });
    let damage = cluster.counter(VICTIM).findings().into_iter().find(|finding| !torn(&finding.error));
    assert!(damage.is_none(), "a power cut is taken for damage: {damage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_may_go_behind_every_step_of_an_installation() {
    let mut cluster = left_behind().await;
    let recorded = cluster.disks[&VICTIM].clone();
    let root = cluster.dirs[&VICTIM].path().to_owned();
    recorded.record();
    cluster.up(VICTIM).await;
    comes_back(&mut cluster).await;
    cluster.kill(VICTIM).await;
    let first_life = cluster.dirs.remove(&VICTIM).unwrap();
    let steps = recorded.steps();
    for step in 0..=steps {
        let loss = LOSSES[step % LOSSES.len()];
        println!("behind step {step} of {steps} ({}), losing {loss:?}", recorded.step(step));
        // Whoever leads remembers what the victim acknowledged in another life; a new leader asks.
        let leader = cluster.leader().await;
        let next = if leader == 1 { 2 } else { 1 };
        cluster.counter(leader).transfer_leadership(node_id(next)).await.unwrap();
        cluster
            .until("another one leads", |c| (c.counter(next).status().leader == Some(node_id(next))).then_some(()))
            .await;
        let (disk, dir) = (recorded.as_of(step, step as u64), tempfile::tempdir().unwrap());
        disk.lose_power(loss);
        disk.move_names(&root, dir.path());
        cluster.disks.insert(VICTIM, disk);
        cluster.dirs.insert(VICTIM, dir);
        cluster.up(VICTIM).await;
        comes_back(&mut cluster).await;
        cluster.kill(VICTIM).await;
    }
    println!("install: steps={steps} restarts={}", steps + 1);
    assert!(steps > 40, "{steps} steps");
    for words in ["staged", "/checkpoints/", "/history/", ".sealed"] {
        assert!((1..=steps).any(|step| recorded.step(step).contains(words)), "no step has {words} in it");
    }
    drop(first_life);
}
