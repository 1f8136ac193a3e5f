//! A rolling upgrade: nodes of two ages keep one region, it is raised once the last of them is upgraded, and a node that is
//! set back afterwards stands still in the region alone until it is released.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::Federation;
use shouwang_cluster::affairs::{entry, leader_of, region_of, revision_of};
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, ORDOS, SUITS, WUHAI, id, number, until};

const ALL: [u32; 3] = [WUHAI, ORDOS, ALXA];
/// Whose node is upgraded last, and set back later.
const LATE: u32 = ALXA;

/// The settings of a node that is held back at a level, if at any.
fn held_at(level: Option<u32>) -> Vec<(&'static str, String)> {
    level.map(|level| ("hold_level", level.to_string())).into_iter().collect()
}

/// Stops a node and starts it again, held back at a level or not.
fn restart(federation: &mut Federation, code: u32, level: Option<u32>) -> Result<()> {
    let node = federation.node(code);
    node.stop()?;
    node.further = held_at(level);
    node.start()
}

/// Hands the lead to a member's node.
fn lead(federation: &Federation, to: u32) -> Result<()> {
    until("the node leads", || {
        let admin = federation.terminal(WUHAI, "admin");
        let Some(leader) = leader_of(&admin)? else { return Ok(None) };
        if leader == to {
            return Ok(Some(()));
        }
        // Whoever leads may have lost the lead since.
        federation.terminal(leader, "admin").try_run(&["region", "transfer", &format!("{to}/1")])?;
        Ok(None)
    })
}

/// Waits until a node knows that each of the nodes goes along up to its level.
fn announced(federation: &Federation, at: u32, levels: &[(u32, u64)]) -> Result<()> {
    let admin = federation.terminal(at, "admin");
    until("every node has said what its program knows", || {
        let region = region_of(&admin)?;
        let says = |(code, level): &(u32, u64)| number(&entry(&region, &format!("{code}/1"))["featureLevel"]) == *level;
        Ok(levels.iter().all(says).then_some(()))
    })
}

fn raise(federation: &Federation) -> Result<shouwang_cluster::Answer> {
    federation.terminal(WUHAI, "admin").try_run(&["region", "raise-level", "2"])
}

/// Wuhai asks for help, and the others see it.
fn asked(federation: &Federation, place: &str, seen_by: &[u32]) -> Result<()> {
    let id = id();
    let line = format!("{SUITS}=10");
    let what = ["aid", "request", "--line", &line, "--subject", "抢险", "--place", place, "--needed-by", "+4h"];
    let when = ["--until", "+2d", "--id", &id];
    federation.terminal(WUHAI, "duty").run(&[&what[..], &when].concat())?;
    seen_by.iter().try_for_each(|code| {
        let duty = federation.terminal(*code, "duty");
        until("the request is shown", || Ok(duty.run(&["aid", "show", &id]).ok().map(|_| ())))
    })
}

#[test]
fn a_region_is_upgraded_node_by_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &federation::members(&ALL))?;
    federation.node(LATE).further = held_at(Some(1));
    federation.start_all()?;
    two_ages(&federation)?;
    raised(&mut federation)?;
    set_back(&mut federation)?;
    released(&mut federation)?;
    leading_when_set_back(&mut federation)?;
    all_are_one(&federation)
}

/// While one node is a level behind, all work together, whoever leads, and nobody raises the region.
fn two_ages(federation: &Federation) -> Result<()> {
    announced(federation, WUHAI, &[(WUHAI, 2), (ORDOS, 2), (LATE, 1)])?;
    let other = federation.terminal(ORDOS, "admin").refused(&["region", "raise-level", "2"])?;
    ensure!(other.contains("NOT_YOURS"), "{other}");
    for leader in [LATE, ORDOS] {
        lead(federation, leader)?;
        let refused = raise(federation)?;
        ensure!(refused.code == 3, "led by {leader}: {refused:?}");
        ensure!(refused.err.contains("NODES_BELOW_LEVEL") && refused.err.contains("152900/1"), "{refused:?}");
        ensure!(!refused.err.contains("150600/1"), "the others are not named: {refused:?}");
        // What belongs to the next level waits for it, also with those who know it.
        let early = federation.terminal(ORDOS, "leader").refused(&["ledger", "countersign"])?;
        ensure!(early.contains("LEVEL_NOT_REACHED"), "{early}");
        asked(federation, "乌达", &ALL)?;
    }
    Ok(())
}

/// The last node is upgraded, and says so; the region is raised once, for all.
fn raised(federation: &mut Federation) -> Result<()> {
    restart(federation, LATE, None)?;
    federation.node(LATE).wait_ready()?;
    announced(federation, WUHAI, &[(WUHAI, 2), (ORDOS, 2), (LATE, 2)])?;
    let done = raise(federation)?;
    ensure!(done.code == 0, "{done:?}");
    for code in ALL {
        let admin = federation.terminal(code, "admin");
        until("the node stands at the level", || Ok((number(&region_of(&admin)?["featureLevel"]) == 2).then_some(())))?;
    }
    let again = raise(federation)?;
    ensure!(again.code != 0 && again.err.contains("INVALID_FIELD"), "{again:?}");
    let shown = federation.terminal(ORDOS, "duty").run(&["region", "show"])?;
    ensure!(number(&shown["featureLevel"]) == 2, "{shown}");
    // What the level brings is there at once, with all of them.
    federation.terminal(ORDOS, "leader").run(&["ledger", "countersign"])?;
    until("every node has countersigned", || {
        let head = federation.terminal(LATE, "secretariat").run(&["ledger", "head"])?;
        let words = head["countersigned"].as_array().into_iter().flatten();
        Ok((words.filter(|word| word["agrees"] == true).count() == ALL.len()).then_some(()))
    })?;
    asked(federation, "海南区", &ALL)
}

/// Set back to a program that does not know the level, a node stands still in the region, says why, and goes on at home.
fn set_back(federation: &mut Federation) -> Result<()> {
    restart(federation, LATE, Some(1))?;
    let admin = federation.terminal(LATE, "admin");
    let trouble = until("it says why it stands still", || {
        let Ok(region) = region_of(&admin) else { return Ok(None) };
        Ok(region["trouble"].as_str().filter(|trouble| !trouble.is_empty()).map(str::to_owned))
    })?;
    ensure!(trouble.starts_with("PROGRAM_TOO_OLD") && trouble.contains("hold_level"), "{trouble}");
    let asked_there = federation.terminal(LATE, "duty").try_run(&["region", "pledges", "--linearizable"])?;
    ensure!(asked_there.code != 0 && asked_there.err.contains("PROGRAM_TOO_OLD"), "{asked_there:?}");
    // What it has of the region can be read; its registry takes what happens at home.
    federation.terminal(LATE, "duty").run(&["region", "members"])?;
    let keeper = federation.terminal(LATE, "keeper");
    keeper.run(&["store", "add", "中心库", "--district", "阿左旗"])?;
    let lot = id();
    let goods = ["stock", "add", "防护服", "--resource", SUITS, "--qty", "5", "--unit", "套", "--store", "中心库"];
    keeper.run(&[&goods[..], &["--price", "100", "--id", &lot]].concat())?;
    asked(federation, "拉僧庙", &[WUHAI, ORDOS])
}

/// Whoever reads the disk of the node hears the same, and that nothing is damaged; released, it catches up.
fn released(federation: &mut Federation) -> Result<()> {
    federation.node(LATE).stop()?;
    let config = federation.home(LATE).join("shouwang.toml").to_string_lossy().into_owned();
    let check = |held: &[&str]| {
        let command = [&["--config", &config], held, &["disk", "check", "-o", "json"]].concat();
        federation.try_run(&command)
    };
    let held = check(&["--set", "hold_level=1"])?;
    let findings = held.json()?["findings"].clone();
    let codes: Vec<_> = findings.as_array().into_iter().flatten().map(|found| found["code"].clone()).collect();
    ensure!(held.code == 8 && codes == ["PROGRAM_TOO_OLD"], "{held:?}");
    let sound = check(&[])?;
    ensure!(sound.code == 0, "{sound:?}");
    let node = federation.node(LATE);
    node.further = held_at(None);
    node.start()?;
    node.wait_ready()?;
    asked(federation, "五虎山", &ALL)
}

/// A leader that is set back leads no more; the others have another one at once.
fn leading_when_set_back(federation: &mut Federation) -> Result<()> {
    lead(federation, ORDOS)?;
    restart(federation, ORDOS, Some(1))?;
    asked(federation, "千里山", &[WUHAI, LATE])?;
    let admin = federation.terminal(ORDOS, "admin");
    until("it stands still", || {
        let Ok(region) = region_of(&admin) else { return Ok(None) };
        Ok(region["trouble"].as_str().is_some_and(|why| why.starts_with("PROGRAM_TOO_OLD")).then_some(()))
    })?;
    ensure!(leader_of(&federation.terminal(WUHAI, "admin"))? != Some(ORDOS), "it leads what it cannot carry out");
    restart(federation, ORDOS, None)?;
    federation.node(ORDOS).wait_ready()
}

/// One state, one ledger, on every node, and whoever trusts nobody finds it sound.
fn all_are_one(federation: &Federation) -> Result<()> {
    let target = revision_of(&federation.terminal(WUHAI, "admin"))?;
    let shown = |code: u32| -> Result<Option<Value>> {
        let region = federation.terminal(code, "secretariat").run(&["region", "show", "--digest"])?;
        Ok(Some(region).filter(|region| number(&region["asOf"]["revision"]) >= target))
    };
    until("all are one", || {
        let shown: Vec<Value> = ALL.into_iter().filter_map(|code| shown(code).transpose()).collect::<Result<_>>()?;
        let [first, others @ ..] = &shown[..] else { return Ok(None) };
        let parts = |region: &Value| {
            ["ledgerRoot", "stateDigest"].map(|part| region[part].clone()).into_iter().collect::<Vec<_>>()
        };
        Ok((shown.len() == ALL.len() && others.iter().all(|other| parts(other) == parts(first))).then_some(()))
    })?;
    let charter = federation.charter().to_string_lossy().into_owned();
    for code in ALL {
        let verified =
            federation.terminal(code, "secretariat").try_run(&["ledger", "verify", "--charter", &charter])?;
        ensure!(verified.code == 0, "{code}: {verified:?}");
        let levels = verified.json().context("what was verified")?;
        ensure!(levels["decided_again"] == true, "{levels}");
    }
    Ok(())
}
