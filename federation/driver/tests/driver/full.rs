//! A disk that runs full and is freed again, for real: a small file system in memory, which takes root to mount.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::counter::{Ask, Counter};
use crate::cluster::{Cluster, envelope, fast, genesis, node_id, soon};
use shouwang_domain::hash::Bytes;
use shouwang_driver::{RecordOptions, Role};
use tempfile::TempDir;

const SIZE: u64 = 8 << 20;

/// A file system of its own, as long as this lives.
struct Mount(PathBuf);

impl Mount {
    /// Mounts on a folder; nothing where this may not be done, which is said. Under CI root must be able to.
    fn on(dir: &Path) -> Option<Self> {
        let size = format!("size={SIZE}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self(dir.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let why = format!("a file system of {SIZE} bytes cannot be mounted here, which takes root: {why}");
        assert!(std::env::var_os("CI").is_none() || !rustix::process::geteuid().is_root(), "{why}");
        println!("left out: {why}");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Best effort: the folder is in memory, and nobody else knows it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
    }
}

fn free(dir: &Path) -> u64 {
    let stat = rustix::fs::statvfs(dir).unwrap();
    stat.f_bavail * stat.f_frsize
}

/// Fills the disk up to `left` bytes, or to its end if somebody else fills it too.
fn fill(dir: &Path, left: u64) -> PathBuf {
    let ballast = dir.join("ballast");
    let size = usize::try_from(free(dir).saturating_sub(left)).unwrap();
    match fs::write(&ballast, vec![0x5A; size]) {
        Err(error) if error.kind() == ErrorKind::StorageFull => {}
        other => other.unwrap(),
    }
    ballast
}

fn options() -> RecordOptions {
    RecordOptions { segment_bytes: 256 << 10, checkpoint_records: 200, ..fast() }
}

/// A cluster whose node `n` keeps its data on the small disk.
async fn with_small_disk(voters: &[u32], n: u32) -> Option<(Cluster, Mount)> {
    let dir = TempDir::new().unwrap();
    let mount = Mount::on(dir.path())?;
    let mut cluster = Cluster::start(&[], options()).await;
    cluster.genesis = genesis(voters);
    cluster.dirs.insert(n, dir);
    for n in voters {
        cluster.up(*n).await;
    }
    Some((cluster, mount))
}

async fn until_full(cluster: &Cluster, n: u32, full: bool) {
    cluster.until("the node sees its disk", |c| (c.counter(n).status().sync.disk_full == full).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_before_the_log_is_hurt_and_goes_on_when_there_is_room() {
    let Some((mut cluster, mount)) = with_small_disk(&[1], 1).await else { return };
    for _ in 0..20 {
        cluster.add(1, 1).await;
    }
    // Less than an eighth of the disk is free: full, and far from the end of it.
    let ballast = fill(&mount.0, SIZE / 16);
    until_full(&cluster, 1, true).await;
    let error = cluster.ask(1, Ask::Add(1)).await.unwrap_err();
    assert!(error.code() == "DISK_FULL" && error.is_certain(), "{error}");
    assert_eq!(cluster.counter(1).read_linearizable(soon()).await.unwrap().record.machine().sum, 20, "reads go on");
    // It also comes up on such a disk.
    for _ in 0..2 {
        cluster.kill(1).await;
        cluster.up(1).await;
        until_full(&cluster, 1, true).await;
        assert_eq!(cluster.counter(1).read_linearizable(soon()).await.unwrap().record.machine().sum, 20);
        assert_eq!(cluster.ask(1, Ask::Add(1)).await.unwrap_err().code(), "DISK_FULL");
    }
    // To the last byte but the reserve: what it is for.
    fs::remove_file(&ballast).unwrap();
    let ballast = fill(&mount.0, 0);
    cluster.kill(1).await;
    cluster.up(1).await;
    assert_eq!(cluster.counter(1).read_linearizable(soon()).await.unwrap().record.machine().sum, 20);
    fs::remove_file(&ballast).unwrap();
    until_full(&cluster, 1, false).await;
    cluster.add(1, 1).await;
    assert!(cluster.dirs[&1].path().join("reserve.space").exists(), "the reserve is back");
    cluster.stop(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_under_load_loses_nothing() {
    let Some((mut cluster, mount)) = with_small_disk(&[1], 1).await else { return };
    let noise: Vec<u8> = (0..30_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let mut acknowledged = Vec::new();
    for round in 0..3_u128 {
        let mut ballast = None;
        let handle = cluster.counter(1).clone();
        for asked in 1.. {
            let id = 1_000_000 * (round + 1) + asked;
            let note = envelope::<Counter>(1, id, Ask::Note(Bytes(noise.clone())));
            match handle.propose(note, Instant::now() + Duration::from_millis(300)).await {
                Ok(outcome) => acknowledged.push((id, outcome)),
                Err(error) if error.code() == "DISK_FULL" => break,
                Err(error) => assert!(["DEADLINE_EXCEEDED", "BUSY"].contains(&error.code()), "{error}"),
            }
            if asked == 10 {
                // Faster than anybody looks at the room: the log meets the end of the disk itself.
                ballast = Some(fill(&mount.0, 0));
            }
            assert!(asked < 1_000, "a disk without room takes no end of notes");
        }
        let ballast = ballast.unwrap();
        if round == 1 {
            cluster.kill(1).await;
            fs::remove_file(&ballast).unwrap();
            cluster.up(1).await;
        } else {
            fs::remove_file(&ballast).unwrap();
        }
        until_full(&cluster, 1, false).await;
        // All by itself.
        cluster.add(1, 1).await;
        for (id, outcome) in &acknowledged {
            let known =
                cluster.counter(1).outcome(node_id(1).municipality(), shouwang_domain::ids::CommandId::from_u128(*id));
            assert_eq!(known.as_ref(), Some(outcome), "acknowledged and lost");
        }
        // Room for the next round.
        cluster.counter(1).checkpoint_now().await.unwrap();
        cluster.counter(1).checkpoint_now().await.unwrap();
    }
    assert!(acknowledged.len() >= 30, "{}", acknowledged.len());
    let mut watch = cluster.counter(1).watch(1);
    for revision in 1..=cluster.counter(1).revision() {
        assert_eq!(watch.next().await.unwrap().record.revision, revision);
    }
    cluster.stop(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_a_full_disk_reads_on_and_catches_up() {
    let Some((mut cluster, mount)) = with_small_disk(&[1, 2, 3], 3).await else { return };
    let leader = cluster.leader().await;
    cluster.add(leader, 1).await;
    cluster.settle(leader).await;
    let ballast = fill(&mount.0, SIZE / 16);
    until_full(&cluster, 3, true).await;
    // If it led, it gives the lead away: a node without room does not lead.
    let leader = cluster
        .until("somebody with room leads", |c| {
            let leads = |n: &&u32| c.counter(**n).status().role == Role::Leader;
            [1, 2].iter().find(leads).copied().filter(|_| c.counter(3).status().leader.is_some())
        })
        .await;
    let before = cluster.counter(3).revision();
    for _ in 0..30 {
        cluster.add(leader, 1).await;
    }
    // It could not hear what came of a command, so it sends none.
    let error = cluster.ask(3, Ask::Add(1)).await.unwrap_err();
    assert!(error.code() == "DISK_FULL" && error.is_certain(), "{error}");
    assert_eq!(cluster.counter(3).revision(), before, "appends are dropped");
    let view = cluster.counter(3).view().unwrap();
    assert!(view.in_touch, "it still hears its leader");
    fs::remove_file(&ballast).unwrap();
    until_full(&cluster, 3, false).await;
    cluster.settle(leader).await;
    assert_eq!(cluster.counter(3).view().unwrap().record.machine().sum, 31);
    for n in [1, 2, 3] {
        cluster.stop(n).await;
    }
}
