//! A follower behind a line of 64 kbit/s, with real nodes, each in a network of its own: how late it is during a night's
//! traffic, what that takes off its line, and how long it takes to catch up after an hour without one.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::affairs::{leader_of, revision_of};
use shouwang_cluster::federation::WUHAI_REGION;
use shouwang_cluster::namespaces::Fault;
use shouwang_cluster::story::{BAYANNUR, WUHAI, number, until};
use shouwang_cluster::terminal::{Following, Terminal};
use shouwang_cluster::{Federation, Namespaces};

use super::{Scale, anew, figure, night};
use crate::figures::{millis, number as count_of, quantile};
use crate::report::Sheet;
use crate::system::OWN;
use crate::works::Work;

/// Whose line is thin: 巴彦淖尔, which follows and does not vote.
const THIN: u32 = BAYANNUR;
/// How long the line is looked at while nothing is said.
const RESTS: Duration = Duration::from_secs(30);

/// What is measured.
pub const WORKS: [Work; 8] = [
    figure("thin_lag", "ms", false, "a record at the leader until it is at the follower behind 64 kbit/s, median"),
    figure("thin_lag_p99", "ms", false, "of 99 in 100"),
    figure("thin_lag_last", "ms", false, "of the last"),
    figure("thin_bytes", "B", false, "to the follower for each record, beyond what goes at rest; Ethernet included"),
    figure("thin_idle", "B/s", false, "to the follower when nothing is said"),
    figure("thin_missed", "records", false, "while its line was dead"),
    figure("thin_catch_up", "s", false, "line back until it has them"),
    figure("thin_catch_up_bytes", "B", false, "to the follower meanwhile, for each of them"),
];

/// What somebody is shown of the region, and when.
struct Watch {
    seen: Arc<Mutex<Vec<(u64, Instant)>>>,
    _watching: Following,
}

impl Watch {
    fn at(terminal: &Terminal) -> Result<Self> {
        let (watching, data) = terminal.follow(&["watch", "--from", "1"])?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(data).lines().map_while(Result::ok) {
                let now = Instant::now();
                let revision = serde_json::from_str::<Value>(&line).map(|record| number(&record["revision"]));
                // Single pushes: whole after any panic.
                noted.lock().unwrap_or_else(PoisonError::into_inner).extend(revision.ok().map(|seen| (seen, now)));
            }
        });
        Ok(Self { seen, _watching: watching })
    }

    /// When each revision behind this one was shown.
    fn behind(&self, revision: u64) -> Vec<(u64, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().copied().filter(|(shown, _)| *shown > revision).collect()
    }

    fn newest(&self) -> u64 {
        self.behind(0).last().map_or(0, |(revision, _)| *revision)
    }
}

/// Measures; blocks. Where there are no namespaces it says so, and there are no figures.
///
/// # Errors
/// What went wrong first.
pub fn measure(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    let Some(namespaces) = Namespaces::lay(u8::try_from(WUHAI_REGION.len())?)? else { return Ok(()) };
    let folder = anew(&scale.folder.join("thin"))?;
    let places = WUHAI_REGION.iter().map(|member| member.code).zip(namespaces.places().iter().cloned()).collect();
    let mut federation = Federation::found_at(&folder, &WUHAI_REGION, places)?;
    for node in &mut federation.nodes {
        // As between cities, and as a node does if nobody says otherwise.
        node.further.push(("timing", "wan".to_owned()));
    }
    federation.start_all()?;
    night::prepare(&federation, &data()?)?;
    let leader = leader(&federation)?;
    let [near, far] = [leader, THIN].map(|code| Watch::at(&federation.terminal(code, "duty")));
    let (near, far) = (near?, far?);
    let thin = WUHAI_REGION.iter().position(|member| member.code == THIN).context("one of the seven")?;
    let line = Line { namespaces: &namespaces, thin };
    namespaces.spoil(Fault::Thin, |from, to| from == thin || to == thin)?;
    let mut note = |work, value: f64| {
        eprintln!("  {work}: {value:.1}");
        sheet.note(work, scale.requests, OWN, value);
    };
    eprintln!("a follower behind 64 kbit/s, {} requests of a night", scale.requests);
    let began = caught_up(&near, &far, &federation, leader)?;
    let idle = line.rests()?;
    note("thin_idle", idle);

    let (before, since) = (line.carried()?, Instant::now());
    for done in 1..=scale.requests {
        night::request(&mut federation)?;
        eprintln!("  request {done} after {:.0} s", since.elapsed().as_secs_f64());
    }
    let ended = caught_up(&near, &far, &federation, leader)?;
    let carried = count_of(line.carried()? - before) - idle * since.elapsed().as_secs_f64();
    let mut lags = lags(&near.behind(began), &far.behind(began), ended)?;
    let records = lags.len();
    eprintln!("  {records} records in {:.0} s", since.elapsed().as_secs_f64());
    for (work, part) in [("thin_lag", 0.5), ("thin_lag_p99", 0.99), ("thin_lag_last", 1.0)] {
        note(work, quantile(&mut lags, part).map(millis).context("nothing was recorded")?);
    }
    note("thin_bytes", carried / count_of(records as u64));

    namespaces.mend()?;
    namespaces.spoil(Fault::Silent, |from, to| from == thin || to == thin)?;
    night::request(&mut federation)?;
    let (had, newest) = (far.newest(), revision_of(&federation.terminal(leader, "admin"))?);
    ensure!(had < newest, "the line was not dead: the follower has all {newest} records");
    let before = line.carried()?;
    namespaces.mend()?;
    namespaces.spoil(Fault::Thin, |from, to| from == thin || to == thin)?;
    let back = Instant::now();
    until("the follower has caught up", || Ok((far.newest() >= newest).then_some(())))?;
    let shown = far.behind(had).into_iter().find(|(revision, _)| *revision >= newest).map(|(_, at)| at);
    let missed = count_of(newest - had);
    note("thin_missed", missed);
    note("thin_catch_up", shown.context("it has")?.saturating_duration_since(back).as_secs_f64());
    note("thin_catch_up_bytes", count_of(line.carried()? - before) / missed);
    ensure!(self::leader(&federation)? == leader, "another leads: lags would be those of two leaders");
    agree(&federation)
}

/// The line of the follower.
struct Line<'a> {
    namespaces: &'a Namespaces,
    thin: usize,
}

impl Line<'_> {
    /// Bytes that have gone to the follower.
    fn carried(&self) -> Result<u64> {
        self.namespaces.carried(self.thin)
    }

    /// Bytes a second while nothing is said.
    fn rests(&self) -> Result<f64> {
        let before = self.carried()?;
        std::thread::sleep(RESTS);
        Ok(count_of(self.carried()? - before) / RESTS.as_secs_f64())
    }
}

/// The folder with the ledgers of the demonstration.
fn data() -> Result<PathBuf> {
    let root = std::env::var_os("SHOUWANG_ROOT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let data = root.join("scripts/demo-data");
    ensure!(Path::new(&data).is_dir(), "{}: run it in a checkout, or name one in SHOUWANG_ROOT", data.display());
    Ok(data.canonicalize()?)
}

fn leader(federation: &Federation) -> Result<u32> {
    until("somebody leads", || leader_of(&federation.terminal(WUHAI, "admin")))
}

/// Waits until nothing is under way that the follower has not got; answers how far that is.
fn caught_up(near: &Watch, far: &Watch, federation: &Federation, leader: u32) -> Result<u64> {
    until("the follower has everything", || {
        let newest = revision_of(&federation.terminal(leader, "admin"))?;
        Ok((near.newest() == newest && far.newest() == newest).then_some(newest))
    })
}

/// How much later each record was shown at the follower than at the leader: every one, up to this.
fn lags(near: &[(u64, Instant)], far: &[(u64, Instant)], ended: u64) -> Result<Vec<Duration>> {
    let pairs = near.iter().zip(far).take_while(|((revision, _), _)| *revision <= ended);
    pairs
        .map(|((revision, shown), (at_far, later))| {
            ensure!(revision == at_far, "the leader showed {revision} where the follower showed {at_far}");
            Ok(later.saturating_duration_since(*shown))
        })
        .collect()
}

/// The follower's paper, which names the digest of the state, is the leader's to the byte.
fn agree(federation: &Federation) -> Result<()> {
    until("the follower gives the hub's paper", || {
        let [hub, follower] = [WUHAI, THIN].map(|code| federation.terminal(code, "secretariat"));
        Ok((hub.run(&["report", "region"])? == follower.run(&["report", "region"])?).then_some(()))
    })
}
