//! A storm over real processes: clients contend for stock while nodes are killed and frozen, lines are cut, far and thin, a
//! disk runs full, a clock is wrong, members come and go, keys change and certificates are taken back. What the clients saw
//! must have been possible one thing after the other, nothing acknowledged may be lost, and whoever watches sees every
//! revision once and in order.
//!
//! `SHOUWANG_STORM_SECONDS` is how long each kind of fault lasts; `scripts/storm` is the long way. `SHOUWANG_STORM_FAULTS`
//! names the kinds to be played; without it all are.

mod faults;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use shouwang_cluster::clients::{CAPACITY, CONTENDED, Storm};
use shouwang_cluster::contention::contend;
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, ORDOS, WUHAI, YINCHUAN, region_revision};
use shouwang_cluster::watchers::Watcher;
use shouwang_cluster::{Clock, Federation, SmallDisk};

use faults::{Fault, Scene};

/// The voters. They are four, so that neither half is a quorum, and a ring is less than everybody with everybody.
const VOTERS: [u32; 4] = [WUHAI, ORDOS, ALXA, YINCHUAN];
/// Those whose clients contend; the fourth is whose stock it is.
const ASKERS: [u32; 3] = [WUHAI, ORDOS, YINCHUAN];

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
    let contention = contend(&mut federation, &pledged, &ASKERS)?;
    let at_each = VOTERS.map(|code| federation.terminal(code, "duty"));
    let watchers: Vec<Watcher> = at_each.iter().map(Watcher::at).collect::<Result<_>>()?;
    let storm = Storm::over(contention.pledges.clone(), lasts);
    let left = storm.during(&mut federation, (&ASKERS, &contention), |federation| {
        let scene = Scene { federation, storm: &storm, disk: disk.as_ref(), lasts };
        scene.strike_all(&faults)
    })?;
    storm.judge(&federation, &VOTERS, &left)?;
    let newest = region_revision(&federation.terminal(WUHAI, "admin").run(&["region", "status"])?);
    ensure!(newest > 100, "the ledger has {newest} records only");
    watchers.into_iter().try_for_each(|watcher| watcher.saw_all(newest))
}
