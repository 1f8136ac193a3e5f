//! A node whose log is damaged: it says so, shows what it has, and goes on once its administrator has accepted the loss.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::Federation;
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, WUHAI, until};

/// The last bytes of the log's newest file are another's.
fn spoil_log(home: &Path) -> Result<()> {
    let raft = home.join("data/records/raft");
    let files = std::fs::read_dir(&raft)?.flatten().map(|entry| entry.path());
    let newest = files.filter(|file| file.extension().is_some_and(|ext| ext == "raftlog")).max();
    let newest = newest.with_context(|| format!("no log in {}", raft.display()))?;
    let mut bytes = std::fs::read(&newest)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).context("an empty log")?;
    bytes[used / 2] ^= 8;
    Ok(std::fs::write(&newest, bytes)?)
}

fn stores(federation: &Federation) -> Result<usize> {
    let listed = federation.terminal(WUHAI, "keeper").run(&["store", "list"])?;
    Ok(listed["stores"].as_array().map_or(0, Vec::len))
}

#[test]
fn a_registry_with_a_damaged_log_is_read_only_until_the_loss_is_accepted_by_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &federation::members(&[WUHAI, ALXA]))?;
    federation.start_all()?;
    let add = |name: &str| ["store", "add", name, "--district", "海勃湾区"].map(str::to_owned);
    for n in 0..12 {
        let words = add(&format!("库{n}"));
        federation.terminal(WUHAI, "keeper").run(&words.each_ref().map(String::as_str))?;
    }
    federation.node(WUHAI).kill()?;
    spoil_log(&federation.home(WUHAI))?;

    federation.node(WUHAI).start()?;
    let admin = federation.terminal(WUHAI, "admin");
    let status = until("the node answers", || Ok(admin.run(&["region", "status"]).ok()))?;
    let trouble = status["records"][0]["trouble"].as_str().unwrap_or_default().to_owned();
    ensure!(trouble.contains("accept-loss") && trouble.contains("仅可查阅"), "{trouble}");
    let (ready, why) = federation.node(WUHAI).get("/readyz")?;
    ensure!(ready == 503 && why.contains("halted"), "{ready} {why}");
    // Killed, so that the ledger need not be whole; but nothing is ever empty.
    let shown = stores(&federation)?;
    ensure!(shown > 0, "a damaged log is an empty start");
    let more = add("新库");
    let refused = federation.terminal(WUHAI, "keeper").try_run(&more.each_ref().map(String::as_str))?;
    ensure!(refused.code != 0 && refused.err.contains("HALTED"), "{refused:?}");

    let config = federation.home(WUHAI).join("shouwang.toml");
    let config = config.to_str().context("a path of UTF-8")?;
    let accept = |federation: &Federation, name: &str| {
        federation.try_run(&["--config", config, "registry", "accept-loss", "--name", name])
    };
    let answer = accept(&federation, "乌海市")?;
    ensure!(answer.code != 0 && answer.err.contains("in use"), "while the node runs: {answer:?}");
    federation.node(WUHAI).stop()?;
    let answer = accept(&federation, "阿拉善盟")?;
    ensure!(answer.code == 2 && answer.err.contains("nothing was changed"), "{answer:?}");
    let answer = accept(&federation, "乌海市")?;
    ensure!(answer.code == 0 && answer.out.contains("goes on from revision"), "{answer:?}");
    let answer = accept(&federation, "乌海市")?;
    ensure!(answer.code == 3 && answer.err.contains("nothing is lost"), "{answer:?}");

    federation.node(WUHAI).start()?;
    until("the registry works", || {
        Ok(federation.terminal(WUHAI, "keeper").run(&more.each_ref().map(String::as_str)).ok())
    })?;
    ensure!(stores(&federation)? == shown + 1, "what was shown is what it goes on from");
    // The region cannot be accepted: others know what this node promised there.
    let status = admin.run(&["region", "status"])?;
    let region = status["records"][1]["trouble"].as_str().unwrap_or_default();
    ensure!(region.is_empty() || region.contains("join anew"), "{region}");
    Ok(())
}
