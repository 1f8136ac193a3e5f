//! An honest keeper of the node that is attacked, and what the node's process takes meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::{NodeProcess, Terminal};

/// An answer that takes longer than this is none: the deadline that the command line gives its calls.
const DEADLINE: Duration = Duration::from_secs(10);
/// The most that the process may take, in bytes, beside what it took before anything. The bound that follows from all
/// limits together is in docs/reliability.md; what is seen here is far below.
const GROWTH_MAX: u64 = 700 << 20;

pub struct Guest {
    keeper: Terminal,
    status: PathBuf,
    before: u64,
    most: u64,
    served: u32,
    slowest: Duration,
    began: Instant,
}

impl Guest {
    pub fn new(keeper: Terminal, node: &NodeProcess) -> Result<Self> {
        let pid = node.pid().context("the node runs")?;
        let status = PathBuf::from(format!("/proc/{pid}/status"));
        let before = resident(&status)?;
        Ok(Self { keeper, status, before, most: before, served: 0, slowest: Duration::ZERO, began: Instant::now() })
    }

    /// Writes something and reads it again, both within the deadline; and the process has not grown beyond its bound.
    pub fn is_served(&mut self, what: &str) -> Result<()> {
        self.served += 1;
        let store = format!("{what} 库");
        self.timed(what, &["store", "add", &store, "--district", "海勃湾区"])?;
        let listed = self.timed(what, &["store", "list"])?;
        ensure!(listed.contains(&store), "{what}: what was written is not shown: {listed}");
        let now = resident(&self.status).with_context(|| format!("the node's process, after: {what}"))?;
        self.most = self.most.max(now);
        let so_far = self.began.elapsed().as_secs();
        println!("hostile: {what}: served, {} MiB at most, {so_far} s", now >> 20);
        ensure!(now < self.before + GROWTH_MAX, "{what}: from {} to {now} bytes resident", self.before);
        Ok(())
    }

    fn timed(&mut self, what: &str, command: &[&str]) -> Result<String> {
        let started = Instant::now();
        let answer = self.keeper.try_run(command)?;
        let took = started.elapsed();
        self.slowest = self.slowest.max(took);
        ensure!(answer.code == 0, "{what}: {command:?} ended with {}: {}", answer.code, answer.err);
        ensure!(took < DEADLINE, "{what}: {command:?} took {took:?}");
        Ok(answer.out)
    }

    pub fn summary(&self) {
        let (before, most) = (self.before >> 20, self.most >> 20);
        let slowest = self.slowest.as_millis();
        println!("hostile: attacks={} slowest_ms={slowest} resident_mib={before}..{most}", self.served - 1);
    }
}

/// The most bytes of a process that were in memory at once.
fn resident(status: &std::path::Path) -> Result<u64> {
    let text = std::fs::read_to_string(status)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
