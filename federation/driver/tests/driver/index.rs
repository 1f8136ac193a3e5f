//! What the index leads to is what the ledger says, whatever happens to the index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cluster::counter::{Ask, Counter, Happened, Member};
use crate::cluster::{Cluster, fast, node_id, signer, soon};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::CommandId;
use shouwang_domain::record::{Outcome, Verdict};
use shouwang_domain::subject::Subject;
use shouwang_driver::{DriverError, Handle, Indexed, RecordOptions, Signer as _};
use shouwang_store::index::Index;

const HOUR_MS: i64 = 3_600_000;

fn amount(n: u64) -> Vec<Subject> {
    vec![Subject::Number(n.to_string())]
}

/// What has been asked, by which id, and where each amount was added.
#[derive(Default)]
struct Diary {
    outcomes: BTreeMap<CommandId, (u32, Outcome)>,
    added: BTreeMap<u64, BTreeSet<u64>>,
    /// How much longer than usual commands are valid.
    longer_ms: i64,
}

impl Diary {
    async fn ask(&mut self, cluster: &mut Cluster, n: u32, body: Ask) {
        let mut envelope = cluster.envelope(n, body.clone());
        envelope.valid_until = envelope.valid_until.plus_ms(self.longer_ms);
        let id = envelope.id;
        let outcome = cluster.counter(n).propose(envelope, soon()).await.unwrap();
        if let Ask::Add(amount) = body {
            self.added.entry(amount).or_default().insert(outcome.revision);
        }
        self.outcomes.insert(id, (n, outcome));
    }

    /// Some of everything, a refusal and a numbered message among it.
    async fn write(&mut self, cluster: &mut Cluster, n: u32, count: u64) {
        for step in 0..count {
            let body = if step % 10 == 9 { Ask::Need(u64::MAX) } else { Ask::Add(step % 7) };
            self.ask(cluster, n, body).await;
        }
        let numbered = cluster.counter(n).view().unwrap().record.machine().numbered + 1;
        cluster.ask(n, Ask::Numbered(numbered)).await.unwrap();
    }

    /// Everything in the diary is found, and nothing else.
    async fn compare(&self, handle: &Handle<Counter>) {
        for (id, (n, outcome)) in &self.outcomes {
            let recalled = handle.recall(node_id(*n).municipality(), *id, soon()).await.unwrap();
            assert_eq!(recalled.outcome.as_ref(), Some(outcome), "{id:?}");
        }
        let unknown = handle.recall(node_id(1).municipality(), CommandId::from_u128(u128::MAX), soon()).await.unwrap();
        assert_eq!(unknown.outcome, None);
        assert!(unknown.indexed.is_whole(unknown.newest), "{unknown:?}");
        for (n, revisions) in &self.added {
            let history = handle.history(amount(*n), 0, 1000, soon()).await.unwrap();
            let found: BTreeSet<u64> = history.changes.iter().map(|change| change.record.revision).collect();
            assert_eq!(found, *revisions, "{n}");
            assert!(history.changes.iter().all(|change| change.record.events == [Happened::Added(*n)]));
            assert!(!history.more && history.indexed.is_whole(history.newest), "{history:?}");
        }
        let never = handle.history(amount(77), 0, 10, soon()).await.unwrap();
        assert!(never.changes.is_empty() && never.indexed.is_whole(never.newest));
    }
}

/// Waits until the index reflects all there is.
async fn whole(cluster: &Cluster, n: u32) {
    cluster
        .until("the index is whole", |cluster| {
            let handle = cluster.counter(n);
            handle.indexed().is_whole(handle.revision()).then_some(())
        })
        .await;
}

fn index_dir(cluster: &Cluster, n: u32) -> PathBuf {
    cluster.dirs[&n].path().join("index")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_record_has_forgotten_is_found_in_the_ledger() {
    let options = RecordOptions { segment_bytes: 4096, tail_records: 8, ..fast() };
    let mut cluster = Cluster::start(&[1, 2, 3], options).await;
    let mut diary = Diary::default();
    let n = cluster.leader().await;
    diary.write(&mut cluster, n, 40).await;
    let first = *diary.outcomes.keys().next().unwrap();
    assert!(cluster.counter(n).outcome(node_id(n).municipality(), first).is_some());
    cluster.clock.advance_ms(2 * HOUR_MS);
    diary.longer_ms = 2 * HOUR_MS;
    let follower = cluster.follower().await;
    diary.write(&mut cluster, follower, 10).await;
    cluster.settle(n).await;
    for n in [1, 2, 3] {
        assert_eq!(cluster.counter(n).outcome(node_id(n).municipality(), first), None, "it is forgotten");
        diary.compare(cluster.counter(n)).await;
    }
    assert!(diary.outcomes.values().any(|(_, outcome)| matches!(outcome.verdict, Verdict::Refused(_))));
    // Another municipality's command of that id is another command.
    let other = node_id(1 + n % 3).municipality();
    assert_eq!(cluster.counter(n).recall(other, first, soon()).await.unwrap().outcome, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_the_index_cannot_tell_apart_are_told_apart_by_the_ledger() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let (us, handle) = (node_id(1).municipality(), cluster.counter(1).clone());
    // Of the same minute, and with the same end: what the index keeps of them is the same.
    let id = |n: u128| CommandId::from_u128(1_780_000_000_000 << 80 | n << 32 | 7);
    let mut asked = Vec::new();
    for n in 1..=3 {
        let mut envelope = cluster.envelope(1, Ask::Add(7));
        envelope.id = id(n);
        asked.push(handle.propose(envelope, soon()).await.unwrap());
    }
    whole(&cluster, 1).await;
    for (n, outcome) in (1..).zip(&asked) {
        assert_eq!(handle.recall(us, id(n), soon()).await.unwrap().outcome.as_ref(), Some(outcome));
    }
    let never = handle.recall(us, id(4), soon()).await.unwrap();
    assert!(never.outcome.is_none() && never.indexed.is_whole(never.newest), "{never:?}");
    assert!(!cluster.dirs[&1].path().join("index.damaged-0").exists(), "nothing is wrong with it");
    let late = handle.recall(us, id(1), Instant::now()).await.unwrap_err();
    assert!(matches!(late, DriverError::TooSlow), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_comes_page_by_page() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    for n in 0..25 {
        cluster.add(1, n % 2).await;
    }
    let handle = cluster.counter(1);
    let both: Vec<Subject> = [amount(0), amount(1), amount(9)].concat();
    for (subjects, expected) in [(amount(1), 12), (both, 25)] {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let page = handle.history(subjects.clone(), after, 4, soon()).await.unwrap();
            assert!(page.changes.len() <= 4);
            seen.extend(page.changes.iter().map(|change| change.record.revision));
            after = *seen.last().unwrap();
            if !page.more {
                break;
            }
            assert_eq!(page.changes.len(), 4);
        }
        assert_eq!(seen.len(), expected);
        assert!(seen.is_sorted_by(|a, b| a < b));
    }
    let late = handle.history(amount(1), 0, 4, Instant::now()).await.unwrap_err();
    assert!(matches!(late, DriverError::TooSlow), "{late}");
}

/// Every file of the index, in the order of their names.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What can happen to an index while the node is down; the same in every run.
fn damage(dir: &Path, kind: u32) {
    let mut chance = u64::from(kind) + 1;
    let mut next = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap() % below.max(1)
    };
    let change = |path: &Path, change: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    match kind {
        0 => std::fs::remove_dir_all(dir).unwrap(),
        1 => files(dir).iter().for_each(|file| std::fs::write(file, b"").unwrap()),
        2 => {
            std::fs::remove_dir_all(dir).unwrap();
            std::fs::write(dir, "no directory").unwrap();
        }
        3..=6 => {
            // Bits flip in every file.
            for file in files(dir) {
                change(&file, &mut |bytes| {
                    for _ in 0..=next(20) {
                        let (at, bit) = (next(bytes.len()), next(8));
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << bit;
                        }
                    }
                });
            }
        }
        other => {
            // One file ends early.
            let files = files(dir);
            let file = &files[other as usize % files.len()];
            change(file, &mut |bytes| bytes.truncate(next(bytes.len())));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_index_the_answers_are_the_same_after_a_restart() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let mut diary = Diary::default();
    for kind in 0..12 {
        diary.write(&mut cluster, 1, 30).await;
        whole(&cluster, 1).await;
        if kind % 2 == 0 {
            cluster.counter(1).checkpoint_now().await.unwrap();
        }
        cluster.stop(1).await;
        damage(&index_dir(&cluster, 1), kind);
        cluster.up(1).await;
        cluster.counter(1).read_linearizable(soon()).await.unwrap();
        whole(&cluster, 1).await;
        diary.compare(cluster.counter(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_goes_on_with_the_index_it_had() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let mut diary = Diary::default();
    for _ in 0..3 {
        diary.write(&mut cluster, 1, 30).await;
        whole(&cluster, 1).await;
        // The ledger's end is lost and derived again; the index, which was ahead of it meanwhile, still fits.
        cluster.kill(1).await;
        cluster.up(1).await;
        cluster.counter(1).read_linearizable(soon()).await.unwrap();
        whole(&cluster, 1).await;
        diary.compare(cluster.counter(1)).await;
    }
    assert!(!cluster.dirs[&1].path().join("index.damaged-0").exists(), "it was never built anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_ledger_is_not_believed() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let mut diary = Diary::default();
    diary.write(&mut cluster, 1, 10).await;
    whole(&cluster, 1).await;
    cluster.stop(1).await;
    // A life that will not have been.
    let (data, other) = (cluster.dirs[&1].path().to_owned(), tempfile::tempdir().unwrap());
    copy(&data, other.path());
    cluster.up(1).await;
    for _ in 0..5 {
        cluster.add(1, 66).await;
    }
    whole(&cluster, 1).await;
    assert_eq!(cluster.counter(1).history(amount(66), 0, 9, soon()).await.unwrap().changes.len(), 5);
    cluster.stop(1).await;
    for entry in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.ends_with("index") {
            std::fs::remove_dir_all(&entry).unwrap();
        }
    }
    std::fs::remove_dir_all(other.path().join("index")).unwrap();
    copy(other.path(), &data);
    cluster.up(1).await;
    diary.write(&mut cluster, 1, 20).await;
    cluster.until("it is built anew", |_| data.join("index.damaged-0").exists().then_some(())).await;
    whole(&cluster, 1).await;
    diary.compare(cluster.counter(1)).await;
    assert!(cluster.counter(1).history(amount(66), 0, 9, soon()).await.unwrap().changes.is_empty());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_index_cannot_be_used_serves_and_says_so() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    let mut diary = Diary::default();
    diary.write(&mut cluster, 1, 10).await;
    cluster.stop(1).await;
    let held = Index::open(&index_dir(&cluster, 1)).unwrap();
    cluster.up(1).await;
    diary.write(&mut cluster, 1, 10).await;
    cluster.counter(1).checkpoint_now().await.unwrap();
    let handle = cluster.counter(1);
    assert_eq!(handle.indexed(), Indexed::default());
    let history = handle.history(amount(1), 0, 10, soon()).await.unwrap();
    assert_eq!((history.changes.len(), history.indexed, history.more), (0, Indexed::default(), false));
    let (id, (n, _)) = diary.outcomes.iter().next().unwrap();
    let recalled = handle.recall(node_id(*n).municipality(), *id, soon()).await.unwrap();
    assert_eq!((recalled.outcome, recalled.indexed), (None, Indexed::default()));
    drop(held);
    whole(&cluster, 1).await;
    diary.compare(cluster.counter(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_comes_late_is_indexed_when_it_comes() {
    let mut cluster = Cluster::start(&[1, 2, 3], RecordOptions { log_slack: 0, ..fast() }).await;
    let leader = cluster.leader().await;
    let mut diary = Diary::default();
    for _ in 0..3 {
        diary.write(&mut cluster, leader, 20).await;
        for n in [1, 2, 3] {
            cluster.counter(n).checkpoint_now().await.unwrap();
        }
    }
    cluster.up(4).await;
    let member = Member { key: Bytes(signer(4).public_key()), voter: false };
    cluster.ask(leader, Ask::Admit(node_id(4), member)).await.unwrap();
    cluster.until("the newcomer has the state", |c| c.counter(4).view().ok()).await;
    diary.write(&mut cluster, leader, 10).await;
    cluster.settle(leader).await;
    whole(&cluster, 4).await;
    diary.compare(cluster.counter(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_the_ledger_is_not_made_up() {
    let mut cluster = Cluster::start(&[1], RecordOptions { log_slack: 0, ..fast() }).await;
    let mut diary = Diary::default();
    for _ in 0..2 {
        diary.write(&mut cluster, 1, 10).await;
        cluster.counter(1).checkpoint_now().await.unwrap();
    }
    whole(&cluster, 1).await;
    let lost = cluster.counter(1).revision();
    for with_index in [true, false] {
        cluster.kill(1).await;
        let records = cluster.dirs[&1].path().join("records");
        let record = std::fs::read_dir(records).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_dir_all(record.join("ledger")).unwrap();
        if !with_index {
            std::fs::remove_dir_all(index_dir(&cluster, 1)).unwrap();
        }
        cluster.up(1).await;
        let (_, outcome) = cluster.add(1, 3).await;
        cluster.until("it is indexed", |c| (c.counter(1).indexed().through == outcome.revision).then_some(())).await;
        let handle = cluster.counter(1);
        if with_index {
            let gone = handle.history(amount(3), 0, 10, soon()).await.unwrap_err();
            assert!(matches!(gone, DriverError::OutOfRange { .. }), "{gone}");
            cluster.counter(1).checkpoint_now().await.unwrap();
        } else {
            let history = handle.history(amount(3), 0, 10, soon()).await.unwrap();
            let found: Vec<u64> = history.changes.iter().map(|change| change.record.revision).collect();
            assert_eq!(found, [outcome.revision]);
            assert_eq!(history.indexed, Indexed { from: outcome.revision, through: outcome.revision });
            assert!(!history.indexed.is_whole(history.newest) && history.indexed.from > lost);
        }
    }
}
