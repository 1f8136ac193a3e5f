//! A storm over real processes: clients contend for stock while nodes are killed and frozen, lines are cut, far and thin, a
//! disk runs full, a clock is wrong, members come and go, keys change and certificates are taken back. What the clients saw
//! must have been possible one thing after the other, nothing acknowledged may be lost, and whoever watches sees every
//! revision once and in order.
//!
//! `SHOUWANG_STORM_SECONDS` is how long each kind of fault lasts; `scripts/storm` is the long way. `SHOUWANG_STORM_FAULTS`
//! names the kinds to be played; without it all are.

mod clients;
mod faults;
mod watchers;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use shouwang_cluster::contention::{Contention, contend};
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, ORDOS, WUHAI, YINCHUAN, region_revision, until};
use shouwang_cluster::{Clock, Federation, SmallDisk, Terminal};
use shouwang_domain::testing::Rng;
use shouwang_sim::linear::{self, Verdict};
use shouwang_sim::stock::Stock;

use clients::{CAPACITY, CLIENTS, CONTENDED, Storm, held_of};
use faults::{Fault, Scene};
use watchers::Watcher;

/// The voters. They are four, so that neither half is a quorum, and a ring is less than everybody with everybody.
const VOTERS: [u32; 4] = [WUHAI, ORDOS, ALXA, YINCHUAN];
/// Those whose clients contend; the fourth is whose stock it is.
const ASKERS: [u32; 3] = [WUHAI, ORDOS, YINCHUAN];
/// Steps after which the search for an order is given up.
const SEARCH_MAX: u64 = 20_000_000;

/// A region whose nodes live by clocks that can be set wrong, one of them on a disk that can be filled.
fn found(dir: &Path) -> Result<(Federation, Option<SmallDisk>)> {
    // Papers are older than a clock that is an hour behind; to it, those of this minute would not be valid yet.
    let yesterday = Clock::within(dir)?;
    yesterday.set(-86_400)?;
    let members = federation::members(&VOTERS);
    let mut federation = Federation::found_by(&dir.join("federation"), &members, Some(yesterday))?;
    for node in &mut federation.nodes {
        node.clock = Some(Clock::within(&node.home)?);
    }
    let disk = SmallDisk::at(&federation.home(ORDOS).join("data"))?;
    federation.start_all()?;
    Ok((federation, disk))
}

#[test]
fn what_clients_saw_in_a_storm_was_possible() -> Result<()> {
    let given = std::env::var("SHOUWANG_STORM_SECONDS").ok().map(|text| text.parse()).transpose()?;
    let seconds = given.unwrap_or(1);
    ensure!(seconds <= 100, "with {seconds} s for each kind of fault the storm outlasts the holds in it");
    let (lasts, faults) = (Duration::from_secs(seconds), Fault::chosen(given.is_none())?);
    let folder = tempfile::tempdir()?;
    let (mut federation, disk) = found(folder.path())?;
    // A longer storm has more stocks, of which ten are contended for at any time, so that no history is full before its end.
    let pledged = vec![CAPACITY; CONTENDED + usize::try_from(seconds)?];
    let Contention { requests, pledges } = contend(&mut federation, &pledged, &ASKERS)?;
    let at_each = VOTERS.map(|code| federation.terminal(code, "duty"));
    let watchers: Vec<Watcher> = at_each.iter().map(Watcher::at).collect::<Result<_>>()?;
    let storm = Storm::over(pledges, lasts);
    let clients: Vec<(Terminal, &str)> = (0..CLIENTS)
        .map(|client| {
            let at = client % ASKERS.len();
            let coordinator = federation.terminal(ASKERS[at], "coordinator");
            let is_first = (client / ASKERS.len()).is_multiple_of(2);
            (if is_first { coordinator } else { coordinator.second() }, requests[at].as_str())
        })
        .collect();
    let left = std::thread::scope(|scope| {
        let work =
            |(at, (terminal, request)): (usize, &(Terminal, &str))| storm.work(terminal, request, Rng(at as u64));
        let workers: Vec<_> = clients.iter().enumerate().map(|client| scope.spawn(move || work(client))).collect();
        let scene = Scene { federation: &mut federation, storm: &storm, disk: disk.as_ref(), lasts };
        let struck = scene.strike_all(&faults);
        let full = storm.contended().len() < CONTENDED;
        storm.end();
        let left: Vec<Result<Vec<u64>>> =
            workers.into_iter().map(|worker| worker.join().expect("a client does not panic")).collect();
        struck?;
        ensure!(!full, "too few stocks had room for more operations: the last faults met less load, it takes more");
        left.into_iter().collect::<Result<Vec<_>>>()
    })?;
    judge(&federation, &storm, &left)?;
    let newest = region_revision(&federation.terminal(WUHAI, "admin").run(&["region", "status"])?);
    ensure!(newest > 100, "the ledger has {newest} records only");
    watchers.into_iter().try_for_each(|watcher| watcher.saw_all(newest))
}

/// Every history was possible, and in the end every node shows what the clients still hold.
fn judge(federation: &Federation, storm: &Storm, left: &[Vec<u64>]) -> Result<()> {
    for (at, (pledge, history)) in storm.histories().into_iter().enumerate() {
        let expected: u64 = left.iter().map(|of| of[at]).sum();
        until("every node shows what is held", || {
            let shown = VOTERS.map(|code| {
                let pledges = federation.terminal(code, "coordinator").run(&["region", "pledges"])?;
                Ok::<u64, anyhow::Error>(held_of(&pledges, pledge))
            });
            let shown = shown.into_iter().collect::<Result<Vec<_>>>()?;
            if shown.iter().all(|held| *held == expected) {
                return Ok(Some(()));
            }
            bail!("of stock {at} {expected} are held, but {shown:?} are shown")
        })?;
        match linear::check(&Stock(CAPACITY), &history, &[], SEARCH_MAX) {
            Verdict::Linearizable => {}
            Verdict::Impossible(operation) => bail!("stock {at}: no place for {:?} in {history:?}", history[operation]),
            Verdict::Undecided => bail!("the history of stock {at} is undecided"),
        }
    }
    let (operations, unanswered) = storm.figures();
    let used = storm.histories().iter().filter(|(_, history)| !history.is_empty()).count();
    println!("storm: {operations} operations on {used} stocks, {unanswered} calls repeated");
    ensure!(operations > 100, "only {operations} operations");
    ensure!(unanswered > 0, "nobody ever had to ask again: that was no storm");
    Ok(())
}
