//! Lines between real nodes that go bad without a word: nobody hangs up, packets are gone, and TCP believes in its
//! connections for as long as it may. Another must lead at once, whoever was cut off must be back as soon as his line is,
//! nobody may wait before a dead screen, and nothing acknowledged may be lost or doubled.
//!
//! `SHOUWANG_STORM_SECONDS` is how long each fault lasts at least; `scripts/storm` is the long way, and adds short silences.

mod play;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::affairs::{admitted, promoted};
use shouwang_cluster::clients::{CAPACITY, CONTENDED, Storm};
use shouwang_cluster::contention::contend;
use shouwang_cluster::federation::{self, WUHAI_REGION};
use shouwang_cluster::story::{ALXA, ORDOS, WUHAI, YINCHUAN, region_revision, until};
use shouwang_cluster::watchers::Watcher;
use shouwang_cluster::{Federation, Namespaces};

use play::Scene;

/// The voters, in the order of their places.
const VOTERS: [u32; 4] = [WUHAI, ORDOS, ALXA, YINCHUAN];
/// Who joins, at the fifth place.
const NEWCOMER: u32 = 150_800;
/// Those whose clients contend; the other voter is whose stock it is.
const ASKERS: [u32; 3] = [WUHAI, ORDOS, YINCHUAN];

#[test]
fn silent_lines_lose_nothing_and_are_used_again_at_once() -> Result<()> {
    let given: Option<u64> = std::env::var("SHOUWANG_STORM_SECONDS").ok().map(|text| text.parse()).transpose()?;
    let lasts = given.map(|seconds| Duration::from_secs(seconds.min(100)));
    let Some(namespaces) = Namespaces::lay(5)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let places = VOTERS.into_iter().chain([NEWCOMER]).zip(namespaces.places().iter().cloned()).collect();
    let mut federation =
        Federation::found_at(&folder.path().join("federation"), &federation::members(&VOTERS), places)?;
    federation.start_all()?;
    let each = lasts.unwrap_or_default();
    let stocks = CONTENDED + usize::try_from(each.as_secs())?;
    let contention = contend(&mut federation, &vec![CAPACITY; stocks], &ASKERS)?;
    let newcomer = WUHAI_REGION.iter().find(|member| member.code == NEWCOMER).context("one of the six")?;
    admitted(&mut federation, newcomer, &[ORDOS, YINCHUAN])?;
    let at_each = VOTERS.map(|code| federation.terminal(code, "duty"));
    let watchers: Vec<Watcher> = at_each.iter().map(Watcher::at).collect::<Result<_>>()?;
    let storm = Storm::over(contention.pledges.clone(), each);
    let left = storm.during(&mut federation, (&ASKERS, &contention), |federation| {
        Scene { federation, namespaces: &namespaces, storm: &storm, lasts }.play()
    })?;
    storm.judge(&federation, &VOTERS, &left)?;
    promoted(&federation, NEWCOMER)?;
    all_agree(&federation)?;
    let newest = region_revision(&federation.terminal(WUHAI, "admin").run(&["region", "status"])?);
    watchers.into_iter().try_for_each(|watcher| watcher.saw_all(newest))
}

/// Every member's paper, which names the digest of the state, is the same to the byte, and every ledger proves itself.
fn all_agree(federation: &Federation) -> Result<()> {
    let everybody = || federation.members.iter().map(|member| federation.terminal(member.code, "secretariat"));
    until("every member gives the same paper", || {
        let papers = everybody().map(|terminal| terminal.run(&["report", "region"])).collect::<Result<Vec<_>>>()?;
        ensure!(papers[0]["header"]["state_digest"].is_string(), "the paper names the state's digest");
        Ok(papers.iter().all(|paper| *paper == papers[0]).then_some(()))
    })?;
    for terminal in everybody() {
        until("the ledger is whole", || terminal.run(&["ledger", "verify"]).map(Some))?;
    }
    Ok(())
}
