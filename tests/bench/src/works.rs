//! What is measured, and how: each work with both systems in turns, in several rounds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::block_in_place;

use crate::costs;
use crate::etcd::Etcd;
use crate::figures::{millis, number, quantile};
use crate::floor::Floor;
use crate::load::{Ask, Pace, Run, Span, drive};
use crate::movements;
use crate::region::Region;
use crate::report::Sheet;
use crate::system::{Client as _, Served, System};

/// One work: a name, and for how many clients at once.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Its name.
    pub name: &'static str,
    /// For each of these.
    pub clients: &'static [usize],
    /// What one figure of it is in.
    pub unit: &'static str,
    /// What is measured.
    pub about: &'static str,
    /// Whether more is better.
    pub more: bool,
}

/// All works, in the order in which they are told.
pub fn all() -> impl Iterator<Item = &'static Work> {
    WORKS.iter().chain(&movements::WORKS)
}

/// The works that a word stands for: one of them, or a whole group.
pub fn named(word: &str) -> Option<Vec<&'static str>> {
    let names = |works: &'static [Work]| works.iter().map(|work| work.name).collect();
    match word {
        "region" => Some(names(&WORKS)),
        "registry" => Some(names(&movements::WORKS)),
        _ => all().find(|work| work.name == word).map(|work| vec![work.name]),
    }
}

/// The works of a region.
pub const WORKS: [Work; 9] = [
    Work { name: COMMIT, clients: &[1, 16, 64, 256], unit: "/s", about: "commands accepted, one a call", more: true },
    Work {
        name: STREAM,
        clients: &[64, 256],
        unit: "/s",
        about: "commands accepted, those of a connection in one stream; etcd one a call",
        more: true,
    },
    Work {
        name: LATENCY,
        clients: &[1],
        unit: "floors",
        about: "median of a commit, in times of one fdatasync and one loopback round trip",
        more: false,
    },
    Work { name: CPU, clients: &[256], unit: "µs", about: "processor time of all nodes for one commit", more: false },
    Work {
        name: BYTES,
        clients: &[16],
        unit: "B",
        about: "between the nodes for one commit, per follower",
        more: false,
    },
    Work { name: READ, clients: &[64, 256], unit: "/s", about: "linearizable reads, one a call", more: true },
    Work {
        name: WATCH,
        clients: &[1],
        unit: "ms",
        about: "accepted until seen by a watcher at a follower, p99 at 1,000/s",
        more: false,
    },
    Work {
        name: ASKED,
        clients: &[1],
        unit: "ms",
        about: "asked until seen by a watcher at a follower, p99 at 1,000/s",
        more: false,
    },
    Work {
        name: FAILOVER,
        clients: &[1],
        unit: "ms",
        about: "leader killed at 200 commits/s until the next is accepted at a follower",
        more: false,
    },
];

const COMMIT: &str = "commit_unary";
const STREAM: &str = "commit_stream";
const LATENCY: &str = "commit_latency";
const CPU: &str = "cpu_per_commit";
const BYTES: &str = "bytes_per_commit";
const READ: &str = "read_linearizable";
const WATCH: &str = "watch_latency";
const ASKED: &str = "watch_latency_asked";
const FAILOVER: &str = "failover";

/// Writes a second while somebody watches, and over how many clients.
const WATCHED: (u32, usize) = (1000, 16);
/// Writes a second while the leader is killed, and over how many clients.
const FAILING: (u32, usize) = (200, 16);
/// How long a leader may be missed.
const FAILOVER_MAX: Duration = Duration::from_secs(30);

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which works.
    pub works: Vec<&'static str>,
    /// How often each.
    pub rounds: usize,
    /// Each run.
    pub span: Span,
    /// Where all systems keep their data: on the disk that is meant to be measured.
    pub folder: PathBuf,
    /// Only Shouwang: there is nothing to compare with, and the other systems need not be there.
    pub alone: bool,
}

impl Plan {
    /// Whether this work is to be done.
    pub fn asks(&self, work: &str) -> bool {
        self.works.contains(&work)
    }

    /// Whether any of these works is to be done.
    pub fn asks_any(&self, works: &[Work]) -> bool {
        works.iter().any(|work| self.asks(work.name))
    }

    fn clients_that_write(&self) -> Vec<usize> {
        let of = WORKS.iter().filter(|work| [COMMIT, LATENCY, CPU, BYTES].contains(&work.name) && self.asks(work.name));
        let mut clients: Vec<usize> = of.flat_map(|work| work.clients).copied().collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

/// Two systems on this machine.
pub struct Bench {
    region: Region,
    etcd: Option<Etcd>,
    plan: Plan,
}

impl Bench {
    /// Founds both.
    ///
    /// # Errors
    /// One of them does not come up.
    pub async fn found(plan: Plan) -> Result<Self> {
        eprintln!("founding a federation of three, and a discrepancy between two of them");
        let region = block_in_place(|| Region::found(&plan.folder.join("region")))?;
        let etcd = if plan.alone {
            None
        } else {
            eprintln!("starting etcd");
            Some(Etcd::start(&plan.folder, region.node_papers(), region.dialler()).await?)
        };
        Ok(Self { region, etcd, plan })
    }

    /// Measures all that is planned, in rounds.
    ///
    /// # Errors
    /// What went wrong first: there is no figure of a run that was not whole.
    pub async fn run(mut self, sheet: &mut Sheet) -> Result<()> {
        if let Some(etcd) = &self.etcd {
            sheet.introduce(Etcd::NAME, etcd.version().await?);
        }
        for round in 0..self.plan.rounds {
            eprintln!("round {} of {}", round + 1, self.plan.rounds);
            self.round(round, sheet).await?;
        }
        Ok(())
    }

    async fn round(&mut self, round: usize, sheet: &mut Sheet) -> Result<()> {
        let Self { region, etcd, plan } = self;
        let plan: &Plan = plan;
        // Whoever begins has the machine as the other left it: they take turns in that as well.
        let region_first = round.is_multiple_of(2);
        macro_rules! both {
            ($measure:ident($($with:expr),*)) => {
                if region_first {
                    $measure(region, $($with,)* sheet).await?;
                }
                if let Some(etcd) = etcd {
                    $measure(etcd, $($with,)* sheet).await?;
                }
                if !region_first {
                    $measure(region, $($with,)* sheet).await?;
                }
            };
        }
        for clients in plan.clients_that_write() {
            let floor = block_in_place(|| Floor::measure(&plan.folder))?;
            both!(commits(plan, (clients, floor)));
        }
        if plan.asks(STREAM) {
            for clients in [64, 256] {
                both!(streamed(plan, clients));
            }
        }
        if plan.asks(READ) {
            for clients in [64, 256] {
                both!(reads(plan, clients));
            }
        }
        if plan.asks(WATCH) || plan.asks(ASKED) {
            both!(watched(plan));
        }
        if plan.asks(FAILOVER) {
            both!(failover(plan));
        }
        Ok(())
    }
}

/// Clients that write, and what one commit costs.
async fn commits<S: System>(
    system: &mut S,
    plan: &Plan,
    (clients, floor): (usize, Floor),
    sheet: &mut Sheet,
) -> Result<()> {
    let leader = system.leader().await?;
    let writers = system.clients(leader, clients).await?;
    costs::rest(system).await?;
    let wants_bytes = plan.asks(BYTES) && clients == 16;
    let (processes, ports) = (system.processes(), system.peer_ports());
    let sent_before = if wants_bytes { costs::between_nodes(&ports)? } else { 0 };
    let cpu_before = costs::cpu(&processes)?;
    let mut run = drive(writers, Ask::Write, plan.span).await?;
    // What was put off behind the answers belongs to them.
    costs::rest(system).await?;
    let cpu = costs::cpu(&processes)?.saturating_sub(cpu_before);
    let mut tell = |work: &'static str, figure: f64| {
        if plan.asks(work) && WORKS.iter().any(|known| known.name == work && known.clients.contains(&clients)) {
            sheet.note(work, clients, S::NAME, figure);
        }
    };
    tell(COMMIT, run.rate());
    tell(CPU, cpu.as_secs_f64() * 1e6 / number(run.all));
    let (half, most) = (time(&mut run, 0.5)?, time(&mut run, 0.99)?);
    tell(LATENCY, half.as_secs_f64() / floor.sum().as_secs_f64());
    if wants_bytes {
        let sent = costs::between_nodes(&ports)?.saturating_sub(sent_before);
        tell(BYTES, number(sent) / 2.0 / number(run.all));
    }
    say::<S>(&format!(
        "{clients} writing: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} µs of processor each; fdatasync {:.3} ms, round trip {:.3} ms",
        run.rate(),
        millis(half),
        millis(most),
        cpu.as_secs_f64() * 1e6 / number(run.all),
        millis(floor.sync),
        millis(floor.round_trip),
    ));
    Ok(())
}

/// Clients that write, those of a connection in one stream where there is such a thing.
async fn streamed<S: System>(system: &mut S, plan: &Plan, clients: usize, sheet: &mut Sheet) -> Result<()> {
    let leader = system.leader().await?;
    let writers = system.gateways(leader, clients).await?;
    costs::rest(system).await?;
    let processes = system.processes();
    let before = costs::cpu(&processes)?;
    let mut run = drive(writers, Ask::Write, plan.span).await?;
    costs::rest(system).await?;
    let cpu = costs::cpu(&processes)?.saturating_sub(before);
    sheet.note(STREAM, clients, S::NAME, run.rate());
    let (half, most) = (time(&mut run, 0.5)?, time(&mut run, 0.99)?);
    say::<S>(&format!(
        "{clients} writing in streams: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} µs of processor each",
        run.rate(),
        millis(half),
        millis(most),
        cpu.as_secs_f64() * 1e6 / number(run.all),
    ));
    Ok(())
}

async fn reads<S: System>(system: &mut S, plan: &Plan, clients: usize, sheet: &mut Sheet) -> Result<()> {
    let leader = system.leader().await?;
    let readers = system.clients(leader, clients).await?;
    for reader in &readers {
        // What each reads is there.
        reader.write(crate::payload::Mark::next()).await?;
    }
    costs::rest(system).await?;
    let mut run = drive(readers, Ask::Read, plan.span).await?;
    sheet.note(READ, clients, S::NAME, run.rate());
    let (half, most) = (time(&mut run, 0.5)?, time(&mut run, 0.99)?);
    say::<S>(&format!(
        "{clients} reading: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
        run.rate(),
        millis(half),
        millis(most)
    ));
    Ok(())
}

/// Writes at the leader at a steady pace; a watcher at a follower sees each of them.
async fn watched<S: System>(system: &mut S, plan: &Plan, sheet: &mut Sheet) -> Result<()> {
    let leader = system.leader().await?;
    let writers = system.clients(leader, WATCHED.1).await?;
    let watcher = system.clients(system.follower(leader), 1).await?;
    costs::rest(system).await?;
    let pace = Pace::begin(writers, WATCHED.0);
    let book = pace.book.clone();
    let watching = watcher[0].follow(move |mark| book.saw(mark)).await?;
    tokio::time::sleep(plan.span.warm).await;
    let from = Instant::now();
    tokio::time::sleep(plan.span.measured).await;
    let until = Instant::now();
    let book = pace.end().await?;
    costs::rest(system).await?;
    ensure!(!watching.is_finished(), "{}: {:#}", S::NAME, watching.await.context("the watcher panicked")?);
    watching.abort();
    let measured = book.all().into_iter().filter(|write| (from..until).contains(&write.asked));
    let (mut accepted, mut asked) = (Vec::new(), Vec::new());
    for write in measured {
        let told = write.accepted.with_context(|| format!("{}: a write was not accepted", S::NAME))?;
        let seen = write.seen.with_context(|| format!("{}: the watcher missed a write", S::NAME))?;
        // The watcher may have heard before the writer.
        accepted.push(seen.saturating_duration_since(told));
        asked.push(seen - write.asked);
    }
    let rate = number(asked.len() as u64) / (until - from).as_secs_f64();
    let [accepted, asked] =
        [&mut accepted, &mut asked].map(|times| Some([quantile(times, 0.5)?, quantile(times, 0.99)?]));
    let [accepted, asked] = [accepted, asked].map(|times| times.context("nothing was written"));
    let (accepted, asked) = (accepted?, asked?);
    for (work, times) in [(WATCH, accepted), (ASKED, asked)] {
        if plan.asks(work) {
            sheet.note(work, 1, S::NAME, millis(times[1]));
        }
    }
    say::<S>(&format!(
        "watched at {rate:.0}/s: accepted until seen p50 {:.2} ms, p99 {:.2} ms; asked until seen p50 {:.2} ms, p99 {:.2} ms",
        millis(accepted[0]),
        millis(accepted[1]),
        millis(asked[0]),
        millis(asked[1])
    ));
    Ok(())
}

/// Writes at a follower at a steady pace; the leader is killed.
async fn failover<S: System>(system: &mut S, plan: &Plan, sheet: &mut Sheet) -> Result<()> {
    let leader = system.leader().await?;
    let writers = system.clients(system.follower(leader), FAILING.1).await?;
    costs::rest(system).await?;
    let pace = Pace::begin(writers, FAILING.0);
    tokio::time::sleep(plan.span.warm.max(Duration::from_secs(1))).await;
    ensure!(pace.book.all().iter().any(|write| write.accepted.is_some()), "{} accepts nothing", S::NAME);
    let killed = Instant::now();
    system.kill(leader)?;
    let took = loop {
        if let Some(accepted) = pace.book.first_accepted_after(killed) {
            break accepted - killed;
        }
        ensure!(killed.elapsed() < FAILOVER_MAX, "{} accepts nothing within {FAILOVER_MAX:?}", S::NAME);
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    drop(pace);
    sheet.note(FAILOVER, 1, S::NAME, millis(took));
    say::<S>(&format!("leader killed: {:.0} ms until the next commit", millis(took)));
    system.restart(leader).await?;
    costs::rest(system).await
}

/// The time within which so much of the calls were answered.
pub(crate) fn time(run: &mut Run, part: f64) -> Result<Duration> {
    quantile(&mut run.latencies, part).context("no call was answered")
}

pub(crate) fn say<S: Served>(what: &str) {
    eprintln!("  {:<10} {what}", S::NAME);
}

/// The folder for all, on the disk to measure.
///
/// # Errors
/// It cannot be made.
pub fn folder(within: Option<&Path>) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("shouwang-bench-");
    let made = within.map_or_else(|| builder.tempdir(), |within| builder.tempdir_in(within));
    made.context("a folder for the data of all systems")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_word_stands_for_a_work_or_for_a_group() {
        let (region, registry) = (named("region").unwrap(), named("registry").unwrap());
        let names: BTreeSet<&str> = region.iter().chain(&registry).copied().collect();
        assert_eq!(names.len(), region.len() + registry.len(), "a name that two works have");
        assert!(all().map(|work| work.name).eq(region.iter().chain(&registry).copied()));
        for work in &names {
            assert_eq!(named(work), Some(vec![*work]));
        }
        assert_eq!(named("commit"), None);
    }
}
