//! Nodes whose program is a level behind: they go along until the record is raised, stand still then, and go on where they
//! stood once their program knows the level.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cluster::counter::{Ask, Counter};
use crate::cluster::{self, Cluster, fast, node_id};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Verdict;
use shouwang_driver::{DiskCheck, DriverError, DriverOptions, HostSpec, Role};

/// The node that is a level behind.
const OLD: u32 = 3;

/// What a record says that stands still because of its level.
fn says_what_to_do(reason: &str) -> bool {
    reason.starts_with("PROGRAM_TOO_OLD: ") && reason.contains("请安装") && reason.contains("install a program")
}

fn halted(cluster: &Cluster, n: u32) -> Option<String> {
    cluster.counter(n).status().halted
}

async fn halts(cluster: &Cluster, n: u32) {
    let reason = cluster.until("it stands still", |cluster| halted(cluster, n)).await;
    assert!(says_what_to_do(&reason), "{reason}");
}

fn refusal(verdict: &Verdict) -> &str {
    if let Verdict::Refused(refusal) = verdict { refusal.code() } else { "none" }
}

/// Three nodes, one of them held back; both levels' commands have been asked for through each.
async fn held_back() -> Cluster {
    let mut cluster = Cluster::start(&[], fast()).await;
    cluster.genesis = cluster::genesis(&[1, 2, OLD]);
    cluster.held.insert(OLD, 1);
    for n in [1, 2, OLD] {
        cluster.up(n).await;
    }
    for n in [1, 2, OLD] {
        cluster.add(n, 1).await;
        let outcome = cluster.ask(n, Ask::Double).await.unwrap();
        assert_eq!(refusal(&outcome.verdict), "LEVEL_NOT_REACHED", "through {n}");
        assert_eq!(outcome.revision, 0, "nothing is written down");
    }
    cluster.settle(1).await;
    cluster
}

async fn raise(cluster: &mut Cluster) -> u64 {
    let outcome = cluster.ask(1, Ask::Raise(2)).await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Accepted);
    outcome.revision
}

/// Every file below a folder, with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_behind_stands_still_at_the_raise_and_goes_on_with_a_newer_program() {
    for leads in [false, true] {
        let mut cluster = held_back().await;
        let leader = cluster.leader().await;
        if (leader == OLD) != leads {
            let to = if leads { OLD } else { 1 };
            cluster.counter(leader).transfer_leadership(node_id(to)).await.unwrap();
            cluster
                .until("the other leads", |c| (c.counter(to).status().leader == Some(node_id(to))).then_some(()))
                .await;
        }
        let raised = raise(&mut cluster).await;
        halts(&cluster, OLD).await;
        // It shows the record as it was right before, and takes nothing.
        let view = cluster.counter(OLD).view().unwrap();
        assert_eq!((view.record.revision(), view.record.machine().level()), (raised - 1, 1));
        assert_eq!(cluster.ask(OLD, Ask::Add(1)).await.unwrap_err().code(), "HALTED");
        let status = cluster.counter(OLD).status();
        assert_eq!((status.role, status.leader), (Role::Follower, None), "whoever stands still leads nobody");
        // The others go on, whoever led.
        let outcome = cluster.ask(2, Ask::Double).await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Accepted, "led by the old one: {leads}");
        let sum = cluster.counter(2).view().unwrap().record.machine().sum;
        assert_eq!(sum, 6);
        // Started again as it is, it stands still again.
        cluster.stop(OLD).await;
        cluster.up(OLD).await;
        halts(&cluster, OLD).await;
        assert_eq!(cluster.counter(OLD).view().unwrap().record.revision(), raised - 1);
        cluster.kill(OLD).await;
        cluster.held.clear();
        cluster.up(OLD).await;
        let revision = cluster.counter(1).revision();
        cluster.until("it is as far", |c| (c.counter(OLD).revision() >= revision).then_some(())).await;
        cluster.settle(1).await;
        let (_, outcome) = cluster.add(OLD, 1).await;
        assert_eq!(outcome.verdict, Verdict::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_a_later_level_is_left_as_it_is_and_waits_for_its_program() {
    let mut cluster = held_back().await;
    cluster.held.clear();
    cluster.stop(OLD).await;
    cluster.up(OLD).await;
    let raised = raise(&mut cluster).await;
    cluster.ask(1, Ask::Double).await.unwrap();
    cluster.settle(1).await;
    // Both checkpoints are of the later level: nothing but the founding and the ledger is left of the time before.
    for _ in 0..2 {
        cluster.add(1, 1).await;
        cluster.settle(1).await;
        let info = cluster.counter(OLD).checkpoint_now().await.unwrap();
        assert_eq!(info.meta.feature_level, 2);
    }
    cluster.stop(OLD).await;
    let id = cluster.any().counter.id();
    let record = cluster.dirs[&OLD].path().join("records").join(id.to_string());
    let before = files(&record);
    cluster.held.insert(OLD, 1);
    cluster.up(OLD).await;
    halts(&cluster, OLD).await;
    let view = cluster.counter(OLD).view().unwrap();
    assert_eq!((view.record.revision(), view.record.machine().level()), (raised - 1, 1), "what it can still read");
    assert!(cluster.counter(OLD).findings().is_empty(), "nothing is damaged");
    cluster.stop(OLD).await;
    assert_eq!(files(&record), before, "nothing is written, moved or removed");
    check_says_so(&cluster);
    assert_eq!(files(&record), before);
    cluster.held.clear();
    cluster.up(OLD).await;
    let revision = cluster.counter(1).revision();
    cluster.until("it is as far", |c| (c.counter(OLD).revision() >= revision).then_some(())).await;
    cluster.settle(1).await;
}

/// Whoever reads the disk of a node that is held back hears the same, and of no damage.
fn check_says_so(cluster: &Cluster) {
    let options = DriverOptions::new(node_id(OLD), [7; 32], cluster.dirs[&OLD].path());
    let mut disk = DiskCheck::open(&options).unwrap().unwrap();
    let spec = HostSpec::<Counter>::found(cluster.genesis.clone(), cluster.options_of(OLD));
    disk.record(&spec, &|_| {}).unwrap();
    let report = disk.finish(&|_| {});
    let codes: Vec<_> = report.damage.iter().map(|damage| damage.error.code()).collect();
    assert_eq!(codes, ["PROGRAM_TOO_OLD"], "{:?}", report.damage);
    assert!(matches!(report.damage[0].error, DriverError::TooOld(told) if (told.level, told.knows) == (2, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fell_out_of_the_log_is_told_by_the_checkpoint() {
    let mut cluster = held_back().await;
    cluster.kill(OLD).await;
    raise(&mut cluster).await;
    for _ in 0..3 {
        for _ in 0..20 {
            cluster.add(1, 1).await;
        }
        cluster.settle(1).await;
        for n in [1, 2] {
            cluster.counter(n).checkpoint_now().await.unwrap();
        }
    }
    let cut = |c: &Cluster| [1, 2].iter().all(|n| c.counter(*n).status().first_index > 12);
    cluster.until("the logs are cut", |c| cut(c).then_some(())).await;
    cluster.up(OLD).await;
    halts(&cluster, OLD).await;
    assert_eq!(cluster.counter(OLD).view().unwrap().record.machine().level(), 1);
    cluster.stop(OLD).await;
    cluster.held.clear();
    cluster.up(OLD).await;
    let revision = cluster.counter(1).revision();
    cluster.until("it is as far", |c| (c.counter(OLD).revision() >= revision).then_some(())).await;
    cluster.settle(1).await;
}
