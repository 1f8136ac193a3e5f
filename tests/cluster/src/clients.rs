//! Who works while things go wrong: clients who hold, release and look at contended stock, and note what they saw. In the
//! end that must have been possible, one thing after the other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use shouwang_domain::testing::Rng;
use shouwang_sim::linear::{self, Operation, Verdict};
use shouwang_sim::stock::{Ask, Stock, Told};

use crate::contention::Contention;
use crate::federation::Federation;
use crate::story::{id, number, until};
use crate::terminal::Terminal;

/// How many clients there are.
pub const CLIENTS: usize = 8;
/// How many stocks they contend for at any time.
pub const CONTENDED: usize = 10;
/// How much there is of each.
pub const CAPACITY: u64 = 20;
/// How many operations on one stock the search is asked to decide; then another takes its place.
const OPERATIONS_MAX: usize = 1_000;
/// Steps after which the search for an order is given up.
const SEARCH_MAX: u64 = 20_000_000;
/// How long a hold waits for its signature: longer than the storm, and not longer than a clock that is an hour off.
const HOLD_MINUTES: &str = "60";

/// One contended pledge and everything that was asked of it.
#[derive(Debug)]
struct Contended {
    pledge: String,
    history: Mutex<Vec<Operation<Ask, Told>>>,
}

/// What all clients share.
#[derive(Debug)]
pub struct Storm {
    began: Instant,
    stop: AtomicBool,
    stocks: Vec<Contended>,
    done: AtomicUsize,
    unanswered: AtomicUsize,
    /// How long a client asks again before the test fails.
    patience: Duration,
}

impl Storm {
    /// A storm over these pledges, each kind of fault of which lasts so long.
    pub fn over(pledges: Vec<String>, lasts: Duration) -> Self {
        Self {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            stocks: pledges.into_iter().map(|pledge| Contended { pledge, history: Mutex::default() }).collect(),
            done: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            // Two faults after one another may meet the same client.
            patience: Duration::from_mins(2) + 2 * lasts,
        }
    }

    fn moment(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn note(&self, stock: usize, call: Ask, called: u64, told: Told) {
        let answered = Some((self.moment(), told));
        self.stocks[stock].history.lock().expect("no client panics").push(Operation { call, called, answered });
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    /// How many operations were answered so far, and how many calls had to be repeated.
    pub fn figures(&self) -> (usize, usize) {
        (self.done.load(Ordering::SeqCst), self.unanswered.load(Ordering::SeqCst))
    }

    /// Each pledge, with everything that was asked of it.
    fn histories(&self) -> Vec<(&str, Vec<Operation<Ask, Told>>)> {
        let of = |stock: &Contended| stock.history.lock().expect("no client panics").clone();
        self.stocks.iter().map(|stock| (stock.pledge.as_str(), of(stock))).collect()
    }

    /// The stocks contended for now: the first of those whose histories have room for what each client may add.
    fn contended(&self) -> Vec<usize> {
        let full = OPERATIONS_MAX - CLIENTS;
        let has_room = |at: &usize| self.stocks[*at].history.lock().expect("no client panics").len() < full;
        (0..self.stocks.len()).filter(has_room).take(CONTENDED).collect()
    }

    /// Asks until somebody answers, under the same id. What was refused is `false`.
    fn insist(&self, terminal: &Terminal, command: &[&str]) -> Result<bool> {
        let request_id = id();
        let command = [command, &["--request-id", &request_id, "--timeout", "3"]].concat();
        let patience = Instant::now() + self.patience;
        loop {
            let answer = terminal.try_run(&command)?;
            match answer.code {
                0 => return Ok(true),
                _ if answer.err.contains("NOT_ENOUGH") => return Ok(false),
                // Nothing has happened: his node waits for room, or for somebody else to lead.
                3 if answer.err.contains("DISK_FULL") && Instant::now() < patience => {
                    self.unanswered.fetch_add(1, Ordering::SeqCst);
                }
                5 | 7 if Instant::now() < patience => {
                    self.unanswered.fetch_add(1, Ordering::SeqCst);
                }
                code => bail!("{command:?} ended with {code}: {}", answer.err),
            }
        }
    }

    /// Lets eight clients work at these members' nodes while `play` goes on, each for the request of its member. Answers
    /// what each still holds, by stock.
    ///
    /// # Errors
    /// What the play says; a client whom nobody answers; too few stocks for all that was done.
    pub fn during(
        &self,
        federation: &mut Federation,
        (askers, asked): (&[u32], &Contention),
        play: impl FnOnce(&mut Federation) -> Result<()>,
    ) -> Result<Vec<Vec<u64>>> {
        let clients: Vec<(Terminal, &str)> = (0..CLIENTS)
            .map(|client| {
                let at = client % askers.len();
                let coordinator = federation.terminal(askers[at], "coordinator");
                let is_first = (client / askers.len()).is_multiple_of(2);
                (if is_first { coordinator } else { coordinator.second() }, asked.requests[at].as_str())
            })
            .collect();
        std::thread::scope(|scope| {
            let work = |(at, (terminal, request)): (usize, &(Terminal, &str))| {
                let left = self.work(terminal, (request, asked.lines), Rng(at as u64));
                left.inspect_err(|error| eprintln!("a client stopped: {error:#}"))
            };
            let workers: Vec<_> = clients.iter().enumerate().map(|client| scope.spawn(move || work(client))).collect();
            let played = play(federation);
            let full = self.contended().len() < CONTENDED;
            self.stop.store(true, Ordering::SeqCst);
            let left: Result<Vec<Vec<u64>>> =
                workers.into_iter().map(|worker| worker.join().expect("a client does not panic")).collect();
            // Where clients stop, what the play waits for does not come either: theirs is the reason.
            let left = match (left, played) {
                (Ok(left), played) => played.map(|()| left)?,
                (Err(client), Ok(())) => return Err(client),
                (Err(client), Err(play)) => {
                    return Err(client.context(format!("{play:#}; before that a client stopped")));
                }
            };
            ensure!(!full, "too few stocks had room for more operations: the last faults met less load, it takes more");
            Ok(left)
        })
    }

    /// Every history was possible, and in the end each of these members' nodes shows what the clients still hold.
    ///
    /// # Errors
    /// Something was not possible or is not shown, or there was no storm.
    pub fn judge(&self, federation: &Federation, members: &[u32], left: &[Vec<u64>]) -> Result<()> {
        for (at, (pledge, history)) in self.histories().into_iter().enumerate() {
            let expected: u64 = left.iter().map(|of| of[at]).sum();
            until("every node shows what is held", || {
                let shown = members.iter().map(|code| {
                    let pledges = federation.terminal(*code, "coordinator").run(&["region", "pledges"])?;
                    Ok::<u64, anyhow::Error>(held_of(&pledges, pledge))
                });
                let shown = shown.collect::<Result<Vec<_>>>()?;
                if shown.iter().all(|held| *held == expected) {
                    return Ok(Some(()));
                }
                bail!("of stock {at} {expected} are held, but {shown:?} are shown")
            })?;
            match linear::check(&Stock(CAPACITY), &history, &[], SEARCH_MAX) {
                Verdict::Linearizable => {}
                Verdict::Impossible(operation) => {
                    bail!("stock {at}: no place for {:?} in {history:?}", history[operation])
                }
                Verdict::Undecided => bail!("the history of stock {at} is undecided"),
            }
        }
        let (operations, unanswered) = self.figures();
        let used = self.histories().iter().filter(|(_, history)| !history.is_empty()).count();
        println!("storm: {operations} operations on {used} stocks, {unanswered} calls repeated");
        ensure!(operations > 100, "only {operations} operations");
        ensure!(unanswered > 0, "nobody ever had to ask again: that was no storm");
        Ok(())
    }

    /// A client holds, releases and looks until the storm is over. Answers what he still holds, by stock.
    fn work(&self, terminal: &Terminal, (request, lines): (&str, usize), mut rng: Rng) -> Result<Vec<u64>> {
        let mut held: Vec<Vec<(String, u64)>> = vec![Vec::new(); self.stocks.len()];
        while !self.stop.load(Ordering::SeqCst) {
            // Where nothing has room any more the storm was too long for its stocks; that is said in the end.
            let Some(stock) = rng.pick(&self.contended()).copied() else { break };
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
                    let (text, line) = (qty.to_string(), (1 + rng.index(lines)).to_string());
                    let what = ["--line", &line, "--pledge", pledge, "--qty", &text, "--mission", &mission];
                    let hold = [&["aid", "hold", request, "--minutes", HOLD_MINUTES][..], &what].concat();
                    let done = self.insist(terminal, &hold)?;
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

/// How much of a pledge is held, as the list of pledges says.
fn held_of(pledges: &Value, pledge: &str) -> u64 {
    let mut all = pledges["pledges"].as_array().into_iter().flatten();
    let ours = all.find(|known| known["name"].as_str().is_some_and(|name| name.ends_with(pledge)));
    ours.map_or(0, |ours| number(&ours["held"]))
}
