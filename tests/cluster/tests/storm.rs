//! A storm over real processes: clients contend for stock while nodes are killed and frozen and lines are cut, one way or
//! both, far and thin. What the clients saw must have been possible one thing after the other, nothing acknowledged may be
//! lost, and whoever watches sees every revision once and in order.
//!
//! `SHOUWANG_STORM_SECONDS` is how long each kind of fault lasts; `scripts/storm` is the long way.

use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use shouwang_cluster::contention::{Contention, contend};
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, ORDOS, Story, WUHAI, id, number, region_revision, until};
use shouwang_cluster::{Federation, Following, Terminal};
use shouwang_domain::testing::Rng;
use shouwang_sim::linear::{self, Operation, Verdict};
use shouwang_sim::stock::{Ask, Stock, Told};

/// How much there is of each contended stock.
const CAPACITY: u64 = 20;
/// About how many operations on one stock the search can decide; then clients turn to others.
const OPERATIONS_MAX: usize = 2_000;
/// Steps after which the search is given up.
const SEARCH_MAX: u64 = 20_000_000;
/// How long a client asks again before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillLeader,
    KillFollower,
    FreezeLeader,
    CutLeader,
    CutFollower,
    LeaderUnheard,
    LeaderDeaf,
    FarLines,
    ThinLines,
    RollingRestart,
}

const FAULTS: [Fault; 10] = [
    Fault::KillLeader,
    Fault::FreezeLeader,
    Fault::CutLeader,
    Fault::LeaderUnheard,
    Fault::FarLines,
    Fault::KillFollower,
    Fault::LeaderDeaf,
    Fault::ThinLines,
    Fault::CutFollower,
    Fault::RollingRestart,
];

/// One contended pledge and everything that was asked of it.
struct Contended {
    pledge: String,
    history: Mutex<Vec<Operation<Ask, Told>>>,
}

/// What all clients share.
struct Storm {
    began: Instant,
    stop: AtomicBool,
    stocks: Vec<Contended>,
    unanswered: Mutex<u64>,
}

impl Storm {
    fn moment(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn note(&self, stock: usize, call: Ask, called: u64, told: Told) {
        let answered = Some((self.moment(), told));
        self.stocks[stock].history.lock().expect("no client panics").push(Operation { call, called, answered });
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The stocks whose histories the search can still decide.
    fn with_room(&self) -> Vec<usize> {
        let has_room = |at: &usize| self.stocks[*at].history.lock().expect("no client panics").len() < OPERATIONS_MAX;
        (0..self.stocks.len()).filter(has_room).collect()
    }

    /// Asks until somebody answers, under the same id. What was refused is `false`.
    fn insist(&self, terminal: &Terminal, command: &[&str]) -> Result<bool> {
        let request_id = id();
        let command = [command, &["--request-id", &request_id, "--timeout", "3"]].concat();
        let patience = Instant::now() + PATIENCE;
        loop {
            let answer = terminal.try_run(&command)?;
            match answer.code {
                0 => return Ok(true),
                _ if answer.err.contains("NOT_ENOUGH") => return Ok(false),
                5 | 7 if Instant::now() < patience => *self.unanswered.lock().expect("no client panics") += 1,
                code => bail!("{command:?} ended with {code}: {}", answer.err),
            }
        }
    }

    /// A client holds, releases and looks until the storm is over. Answers what he still holds, by stock.
    fn work(&self, terminal: &Terminal, request: &str, mut rng: Rng) -> Result<Vec<u64>> {
        let mut held: Vec<Vec<(String, u64)>> = vec![Vec::new(); self.stocks.len()];
        while !self.is_over() {
            // Where nothing has room any more the storm was too long for its stocks; that is said in the end.
            let Some(stock) = rng.pick(&self.with_room()).copied() else { break };
            let (pledge, ours) = (&self.stocks[stock].pledge, &mut held[stock]);
            let called = self.moment();
            match rng.below(10) {
                0..3 => {
                    let seen = terminal.try_run(&["region", "pledges", "--linearizable", "--timeout", "3"])?;
                    if seen.code == 0 {
                        self.note(stock, Ask::Look, called, Told::Held(held_of(&seen.json()?, pledge)));
                    }
                }
                3..6 if !ours.is_empty() => {
                    let (mission, qty) = ours.swap_remove(rng.index(ours.len()));
                    ensure!(self.insist(terminal, &["aid", "release", &mission])?, "a release was refused");
                    self.note(stock, Ask::Release(qty), called, Told::Done);
                }
                _ => {
                    let (qty, mission) = (1 + rng.below(6), id());
                    let text = qty.to_string();
                    let what = ["--line", "1", "--pledge", pledge, "--qty", &text, "--mission", &mission];
                    let done = self.insist(terminal, &[&["aid", "hold", request][..], &what].concat())?;
                    self.note(stock, Ask::Hold(qty), called, if done { Told::Done } else { Told::No });
                    if done {
                        ours.push((mission, qty));
                    }
                }
            }
        }
        Ok(held.iter().map(|of| of.iter().map(|(_, qty)| qty).sum()).collect())
    }
}

fn held_of(pledges: &Value, pledge: &str) -> u64 {
    let mut all = pledges["pledges"].as_array().into_iter().flatten();
    let ours = all.find(|known| known["name"].as_str().is_some_and(|name| name.ends_with(pledge)));
    ours.map_or(0, |ours| number(&ours["held"]))
}

/// Who leads, as anybody who answers says.
fn leader(federation: &mut Federation) -> Result<u32> {
    until("somebody leads", || {
        let story = Story::new(federation);
        Ok([WUHAI, ORDOS, ALXA].iter().find_map(|code| story.leader(*code).ok()))
    })
}

fn strike(federation: &mut Federation, fault: Fault, lasts: Duration) -> Result<()> {
    let leader = leader(federation)?;
    let follower = [WUHAI, ORDOS, ALXA].into_iter().find(|code| *code != leader).context("there are three")?;
    println!("  {fault:?}: {leader} leads");
    // What a storm is: it lasts. Nothing is waited for here.
    let wait = |part: u32| std::thread::sleep(lasts / part);
    let revive = |federation: &mut Federation, code: u32| {
        federation.node(code).start()?;
        federation.node(code).wait_ready()
    };
    match fault {
        Fault::KillLeader | Fault::KillFollower => {
            let victim = if matches!(fault, Fault::KillLeader) { leader } else { follower };
            federation.node(victim).kill()?;
            wait(1);
            revive(federation, victim)?;
        }
        Fault::FreezeLeader => {
            federation.node(leader).freeze(true)?;
            wait(1);
            federation.node(leader).freeze(false)?;
        }
        Fault::CutLeader | Fault::CutFollower => {
            let victim = if matches!(fault, Fault::CutLeader) { leader } else { follower };
            federation.cut(victim, true);
            wait(1);
            federation.cut(victim, false);
        }
        // A node's frames go by the line it dials itself: cut, it is heard no more, or hears no more.
        Fault::LeaderUnheard | Fault::LeaderDeaf => {
            let unheard = matches!(fault, Fault::LeaderUnheard);
            let lines = || federation.lines.iter().filter(|((from, to), _)| *if unheard { from } else { to } == leader);
            lines().for_each(|(_, line)| line.cut(true));
            wait(1);
            lines().for_each(|(_, line)| line.cut(false));
        }
        Fault::FarLines => {
            federation.lines.values().for_each(|line| line.far(150, 300));
            wait(1);
            federation.lines.values().for_each(|line| line.far(0, 0));
        }
        Fault::ThinLines => {
            federation.lines.values().for_each(|line| line.thin(8_000));
            wait(1);
            federation.lines.values().for_each(|line| line.thin(0));
        }
        Fault::RollingRestart => {
            for code in [WUHAI, ORDOS, ALXA] {
                federation.node(code).stop()?;
                revive(federation, code)?;
                wait(3);
            }
        }
    }
    Ok(())
}

/// Somebody at each node who watches from the first revision on. What he is shown comes out in the end.
struct Watcher {
    watching: Following,
    last: Arc<AtomicU64>,
    seen: JoinHandle<Vec<u64>>,
}

fn watch(terminal: &Terminal) -> Result<Watcher> {
    let (watching, data) = terminal.follow(&["watch", "--from", "1"])?;
    let lines = BufReader::new(data).lines();
    let last = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&last);
    let revision = move |line: std::io::Result<String>| {
        let record: Value = serde_json::from_str(&line.ok()?).ok()?;
        let revision = number(&record["revision"]);
        told.store(revision, Ordering::SeqCst);
        Some(revision)
    };
    Ok(Watcher { watching, last, seen: std::thread::spawn(move || lines.filter_map(revision).collect()) })
}

#[test]
fn what_clients_saw_in_a_storm_was_possible() -> Result<()> {
    let seconds = std::env::var("SHOUWANG_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let folder = tempfile::tempdir()?;
    let mut federation =
        Federation::found(&folder.path().join("federation"), &federation::members(&[WUHAI, ORDOS, ALXA]))?;
    federation.start_all()?;
    // A longer storm has more stocks, so that the search for each stays as short and nothing is full before its end: a
    // hundred operations a second are more than four clients get done.
    let pledged = vec![CAPACITY; 4 + usize::try_from(seconds / 2)?];
    let askers = [WUHAI, ORDOS];
    let Contention { requests, pledges } = contend(&mut federation, &pledged, &askers)?;
    let watchers: Vec<Watcher> =
        [WUHAI, ORDOS, ALXA].iter().map(|code| watch(&federation.terminal(*code, "duty"))).collect::<Result<_>>()?;
    let stocks = pledges.into_iter().map(|pledge| Contended { pledge, history: Mutex::default() }).collect();
    let (began, stop) = (Instant::now(), AtomicBool::new(false));
    let storm = Storm { began, stop, stocks, unanswered: Mutex::default() };
    let clients: Vec<(Terminal, &str)> = askers
        .iter()
        .zip(&requests)
        .flat_map(|(code, request)| {
            let first = federation.terminal(*code, "coordinator");
            [(first.second(), request.as_str()), (first, request.as_str())]
        })
        .collect();
    let left = std::thread::scope(|scope| {
        let work =
            |(at, (terminal, request)): (usize, &(Terminal, &str))| storm.work(terminal, request, Rng(at as u64));
        let workers: Vec<_> = clients.iter().enumerate().map(|client| scope.spawn(move || work(client))).collect();
        let struck = FAULTS.iter().try_for_each(|fault| strike(&mut federation, *fault, Duration::from_secs(seconds)));
        let full = storm.with_room().is_empty();
        storm.stop.store(true, Ordering::SeqCst);
        let left: Vec<Result<Vec<u64>>> =
            workers.into_iter().map(|worker| worker.join().expect("a client does not panic")).collect();
        struck?;
        ensure!(!full, "no stock had room for more operations: the last faults met no load, it takes more stocks");
        left.into_iter().collect::<Result<Vec<_>>>()
    })?;
    judge(&federation, &storm, &left)?;
    let newest = region_revision(&federation.terminal(WUHAI, "admin").run(&["region", "status"])?);
    all_was_seen(watchers, newest)
}

/// Every history was possible, and in the end every node shows what the clients still hold.
fn judge(federation: &Federation, storm: &Storm, left: &[Vec<u64>]) -> Result<()> {
    let mut operations = 0;
    for (at, stock) in storm.stocks.iter().enumerate() {
        let expected: u64 = left.iter().map(|of| of[at]).sum();
        until("every node shows what is held", || {
            let shown = [WUHAI, ORDOS, ALXA].map(|code| {
                let pledges = federation.terminal(code, "coordinator").run(&["region", "pledges"])?;
                Ok::<u64, anyhow::Error>(held_of(&pledges, &stock.pledge))
            });
            let shown = shown.into_iter().collect::<Result<Vec<_>>>()?;
            if shown.iter().all(|held| *held == expected) {
                return Ok(Some(()));
            }
            bail!("of stock {at} {expected} are held, but {shown:?} are shown")
        })?;
        let history = stock.history.lock().expect("no client panics").clone();
        operations += history.len();
        match linear::check(&Stock(CAPACITY), &history, &[], SEARCH_MAX) {
            Verdict::Linearizable => {}
            Verdict::Impossible(operation) => bail!("stock {at}: no place for {:?} in {history:?}", history[operation]),
            Verdict::Undecided => bail!("the history of stock {at} is undecided"),
        }
    }
    let unanswered = *storm.unanswered.lock().expect("no client panics");
    let stocks = storm.stocks.len();
    println!("storm: {operations} operations on {stocks} stocks, {unanswered} calls repeated");
    ensure!(operations > 100, "only {operations} operations");
    ensure!(unanswered > 0, "nobody ever had to ask again: that was no storm");
    Ok(())
}

/// Every watcher was shown every revision once and in order.
fn all_was_seen(watchers: Vec<Watcher>, newest: u64) -> Result<()> {
    ensure!(newest > 100, "the ledger has {newest} records only");
    for watcher in watchers {
        // He goes on by himself after every cut; what he has not been shown yet is on its way.
        until("a watcher has been shown the newest revision", || {
            Ok((watcher.last.load(Ordering::SeqCst) >= newest).then_some(()))
        })?;
        drop(watcher.watching);
        let seen = watcher.seen.join().expect("reading does not panic");
        let expected: Vec<u64> = (1..=newest).collect();
        ensure!(seen.len() >= expected.len(), "a watcher was shown {} of {newest} revisions", seen.len());
        ensure!(seen[..expected.len()] == expected[..], "a watcher was not shown every revision once and in order");
    }
    Ok(())
}
