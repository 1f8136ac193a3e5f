//! A look at the past equals the state that was current then, on every node, however much of its making is left there.

use std::path::PathBuf;
use std::time::Instant;

use crate::cluster::counter::{Ask, Counter, Member};
use crate::cluster::{Cluster, fast, node_id, signer, soon};
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{DriverError, Handle, RecordOptions, Signer as _};

/// What a state is known by.
fn face(record: &Record<Counter>) -> (u64, Timestamp, Hash32, Hash32) {
    (record.revision(), record.time(), record.digest(), record.ledger_root())
}

/// The state after every command, as it was when it was current.
#[derive(Default)]
struct Album(Vec<(u64, Timestamp, Hash32, Hash32)>);

impl Album {
    fn take(&mut self, handle: &Handle<Counter>) {
        self.0.push(face(&handle.view().unwrap().record));
    }

    async fn compare(&self, handle: &Handle<Counter>) {
        for known in &self.0 {
            assert_eq!(face(&handle.at(known.0, soon()).await.unwrap()), *known);
        }
    }
}

async fn out_of_range(handle: &Handle<Counter>, revision: u64) -> u64 {
    match handle.at(revision, soon()).await.unwrap_err() {
        DriverError::OutOfRange { oldest, .. } => oldest,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_can_be_looked_at_again_on_every_node() {
    // Little stays in memory, and segments are sealed often.
    let options = RecordOptions { segment_bytes: 4096, tail_records: 8, log_slack: 0, ..fast() };
    let mut cluster = Cluster::start(&[1, 2, 3], options).await;
    let leader = cluster.leader().await;
    let mut album = Album::default();
    album.take(cluster.counter(leader));
    for round in 0..4 {
        for n in 0..12 {
            match n {
                3 => drop(cluster.ask(leader, Ask::Need(u64::MAX)).await.unwrap()),
                7 => drop(cluster.ask(leader, Ask::Numbered(n)).await.unwrap()),
                _ => drop(cluster.add(leader, n).await),
            }
            album.take(cluster.counter(leader));
        }
        cluster.settle(leader).await;
        for n in [1, 2, 3] {
            album.compare(cluster.counter(n)).await;
        }
        if round > 0 {
            for n in [1, 2, 3] {
                cluster.counter(n).checkpoint_now().await.unwrap();
            }
        }
    }
    cluster.until("the log is cut", |c| (c.counter(leader).status().first_index > 20).then_some(())).await;
    let newest = cluster.counter(leader).revision();
    let beyond = cluster.counter(leader).at(newest + 1, soon()).await.unwrap_err();
    assert!(matches!(beyond, DriverError::NotYet { newest: known, .. } if known == newest), "{beyond}");
    let late = cluster.counter(leader).at(5, Instant::now()).await.unwrap_err();
    assert!(matches!(late, DriverError::TooSlow), "{late}");

    let again = cluster.follower().await;
    cluster.kill(again).await;
    cluster.up(again).await;
    cluster.settle(leader).await;
    album.compare(cluster.counter(again)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_again_is_named_with_what_can() {
    let mut cluster = Cluster::start(&[1], RecordOptions { log_slack: 0, ..fast() }).await;
    let (mut album, mut taken) = (Album::default(), Vec::new());
    for _ in 0..2 {
        for _ in 0..10 {
            cluster.add(1, 1).await;
            album.take(cluster.counter(1));
        }
        taken.push(cluster.counter(1).checkpoint_now().await.unwrap().meta.revision);
    }
    cluster.kill(1).await;
    std::fs::remove_dir_all(below(&cluster, "ledger")).unwrap();
    cluster.up(1).await;
    cluster.add(1, 1).await;
    album.take(cluster.counter(1));
    let handle = cluster.counter(1);
    // A checkpoint is a state of its own; what would need the lost ledger is out of range, the founding is not.
    for known in &album.0 {
        if taken.contains(&known.0) || known.0 > taken[1] {
            assert_eq!(face(&handle.at(known.0, soon()).await.unwrap()), *known);
        } else {
            assert_eq!(out_of_range(handle, known.0).await, taken[1]);
        }
    }
    assert_eq!(handle.at(0, soon()).await.unwrap().machine().sum, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_rots_is_passed_over() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let mut album = Album::default();
    for _ in 0..2 {
        for _ in 0..5 {
            cluster.add(1, 1).await;
            album.take(cluster.counter(1));
        }
        cluster.counter(1).checkpoint_now().await.unwrap();
    }
    cluster.add(1, 1).await;
    album.take(cluster.counter(1));
    let newest = cluster.counter(1).checkpoint_now().await.unwrap().file;
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xa5);
    std::fs::write(&newest, bytes).unwrap();
    cluster.add(1, 1).await;
    album.take(cluster.counter(1));
    cluster.add(1, 1).await;
    album.compare(cluster.counter(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joined_by_checkpoint_has_the_past_as_soon_as_its_history_is_here() {
    let mut cluster = Cluster::start(&[1, 2, 3], RecordOptions { log_slack: 0, ..fast() }).await;
    let leader = cluster.leader().await;
    let mut album = Album::default();
    for _ in 0..3 {
        for _ in 0..10 {
            cluster.add(leader, 1).await;
            album.take(cluster.counter(leader));
        }
        for n in [1, 2, 3] {
            cluster.counter(n).checkpoint_now().await.unwrap();
        }
    }
    cluster.up(4).await;
    let member = Member { key: Bytes(signer(4).public_key()), voter: false };
    cluster.ask(leader, Ask::Admit(node_id(4), member)).await.unwrap();
    cluster.until("the newcomer has the state", |c| c.counter(4).view().ok()).await;
    // Whatever of its history is here already, no look is wrong.
    for known in &album.0 {
        match cluster.counter(4).at(known.0, soon()).await {
            Ok(record) => assert_eq!(face(&record), *known),
            Err(DriverError::OutOfRange { oldest, .. }) => assert!(oldest > known.0),
            Err(other) => panic!("{other}"),
        }
    }
    cluster.until("the history is here", |c| (c.counter(4).status().oldest_revision == 1).then_some(())).await;
    album.compare(cluster.counter(4)).await;
}

/// What is kept of a checkpoint that was replaced is where a look begins: what lies behind it needs nothing from before.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_begins_at_the_nearest_milestone() {
    let options = RecordOptions { milestone_records: 10, segment_bytes: 2048, tail_records: 4, log_slack: 0, ..fast() };
    let mut cluster = Cluster::start(&[1], options).await;
    let (mut album, mut taken) = (Album::default(), Vec::new());
    for _ in 0..5 {
        for n in 0..12 {
            cluster.add(1, n).await;
            album.take(cluster.counter(1));
        }
        taken.push(cluster.counter(1).checkpoint_now().await.unwrap().meta.revision);
    }
    album.compare(cluster.counter(1)).await;
    cluster.kill(1).await;
    let named = |name: &str, prefix: &str| {
        let files = std::fs::read_dir(below(&cluster, name)).unwrap().map(|entry| entry.unwrap().path());
        let of_kind = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with(prefix);
        let mut files: Vec<_> = files.filter(of_kind).collect();
        files.sort();
        files
    };
    let milestones = named("checkpoints", "ms-");
    assert_eq!(milestones.len(), 3, "{milestones:?}");
    // The ledger's beginning goes, so that nothing leads from the founding to what is looked at.
    std::fs::remove_file(&named("ledger", "")[0]).unwrap();
    cluster.up(1).await;
    let handle = cluster.counter(1);
    let reach = |from: u64| album.0.iter().filter(move |known| known.0 >= from);
    for known in reach(taken[0]) {
        assert_eq!(face(&handle.at(known.0, soon()).await.unwrap()), *known);
    }
    assert_eq!(out_of_range(handle, taken[0] - 1).await, taken[0]);

    // One that rots is passed over; what lies right behind the next one is as near as ever.
    let mut bytes = std::fs::read(&milestones[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    cluster.kill(1).await;
    std::fs::write(&milestones[0], bytes).unwrap();
    cluster.up(1).await;
    let handle = cluster.counter(1);
    for known in reach(taken[1]) {
        assert_eq!(face(&handle.at(known.0, soon()).await.unwrap()), *known);
    }
    // The first look finds out; from then on it is no beginning any more.
    drop(handle.at(taken[1] - 1, soon()).await.unwrap_err());
    assert_eq!(out_of_range(handle, taken[1] - 1).await, taken[1]);
}

/// The directory of this name on the disk of node 1.
fn below(cluster: &Cluster, name: &str) -> PathBuf {
    let records = cluster.dirs[&1].path().join("records");
    std::fs::read_dir(records).unwrap().next().unwrap().unwrap().path().join(name)
}
