//! A node whose log is damaged: it says so, shows what it has, and goes on once its administrator has accepted the loss.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::Federation;
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, WUHAI, number, until};

/// The log's newest file.
fn log_file(home: &Path) -> Result<PathBuf> {
    let raft = home.join("data/records/raft");
    let files = std::fs::read_dir(&raft)?.flatten().map(|entry| entry.path());
    let newest = files.filter(|file| file.extension().is_some_and(|ext| ext == "raftlog")).max();
    newest.with_context(|| format!("no log in {}", raft.display()))
}

/// A bit of the log entry that holds these words, and nothing else, is flipped.
fn spoil_entry(home: &Path, words: &str) -> Result<()> {
    let newest = log_file(home)?;
    let mut bytes = std::fs::read(&newest)?;
    let at = bytes.windows(words.len()).position(|window| window == words.as_bytes()).context("no such entry")?;
    bytes[at] ^= 8;
    Ok(std::fs::write(&newest, bytes)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
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
    for n in 10..22 {
        let words = add(&format!("{n}号库"));
        federation.terminal(WUHAI, "keeper").run(&words.each_ref().map(String::as_str))?;
    }
    federation.node(WUHAI).kill()?;
    // The registry's own entry: the region keeps its in the same file, and takes their loss another way.
    spoil_entry(&federation.home(WUHAI), "16号库")?;

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

/// What a lot of 阿拉善 holds in an account.
fn balance(federation: &Federation, account: &str) -> Result<u64> {
    let lots = federation.terminal(ALXA, "keeper").run(&["stock", "list", "--all"])?;
    let of = lots["lots"][0]["balances"].as_array().into_iter().flatten();
    let account = format!("ACCOUNT_{account}");
    Ok(of.filter(|of| of["account"] == account).map(|of| number(&of["quantity"])).sum())
}

fn books(federation: &Federation) -> Result<[u64; 3]> {
    Ok([balance(federation, "LOCAL")?, balance(federation, "PLEDGED")?, balance(federation, "IN_TRANSIT")?])
}

/// 阿拉善 has told the region of a second pledge and of goods that left, and loses it: damaged are the entry of the log before
/// that, and the end of the ledger. What it said is on record in the region, and comes back.
#[test]
fn what_a_region_was_told_before_the_loss_is_adopted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &federation::members(&[WUHAI, ALXA]))?;
    federation.start_all()?;
    let [admin, keeper, leader] = ["admin", "keeper", "leader"].map(|role| federation.terminal(ALXA, role));
    let [lot, pledge, mission, request] = std::array::from_fn(|_| uuid::Uuid::now_v7().to_string());
    keeper.run(&["store", "add", "一号库", "--district", "左旗"])?;
    let of = ["--resource", "2990101", "--qty", "50", "--unit", "套", "--store", "一号库", "--id", &lot];
    keeper.run(&[&["stock", "add", "防护服"][..], &of].concat())?;
    let promise = |qty: &str, id: &str| {
        let of = ["--lot", &lot, "--qty", qty, "--until", "+2d", "--id", id];
        leader.run(&[&["pledge", "make"][..], &of].concat())
    };
    promise("20", &pledge)?;
    let at_rest = || {
        let courier = &admin.run(&["courier", "status"])?["couriers"][0];
        let moved = courier["upSent"] == courier["upApplied"] && courier["downSent"] == courier["downTaken"];
        Ok((number(&courier["upSent"]) > 0 && moved).then_some(()))
    };
    until("the courier rests", at_rest)?;
    let id = admin.run(&["region", "status"])?["records"][0]["id"].as_str().context("an id")?.to_owned();
    let (ledger, kept) =
        (federation.home(ALXA).join("data/records/records").join(id).join("ledger"), folder.path().join("kept"));
    copy(&ledger, &kept)?;

    keeper.run(&["store", "add", "二号库", "--district", "右旗"])?;
    promise("10", &uuid::Uuid::now_v7().to_string())?;
    let [duty, coordinator, signer] = ["duty", "coordinator", "leader"].map(|role| federation.terminal(WUHAI, role));
    let what = ["--subject", "氯气泄漏", "--place", "乌达", "--needed-by", "+4h", "--until", "+2d", "--id", &request];
    duty.run(&[&["aid", "request", "--line", "2990101=5"][..], &what].concat())?;
    let hold = ["aid", "hold", &request, "--line", "1", "--pledge", &pledge, "--qty", "5", "--mission", &mission];
    coordinator.gets_to(&hold)?;
    signer.run(&["aid", "order", &mission])?;
    let dispatch = ["mission", "dispatch", &mission, "--qty", "5", "--seal", "封0412"];
    keeper.gets_to(&dispatch)?;
    until("the region knows that it left", || {
        let shown = duty.run(&["mission", "show", &mission])?;
        Ok((shown["mission"]["state"] == "MISSION_STATE_DISPATCHED").then_some(()))
    })?;
    until("the courier rests again", at_rest)?;
    ensure!(books(&federation)? == [20, 25, 5], "before the loss: {:?}", books(&federation)?);

    federation.node(ALXA).kill()?;
    spoil_entry(&federation.home(ALXA), "二号库")?;
    std::fs::remove_dir_all(&ledger)?;
    copy(&kept, &ledger)?;
    let config = federation.home(ALXA).join("shouwang.toml");
    let config = config.to_str().context("a path of UTF-8")?;
    let answer = federation.try_run(&["--config", config, "registry", "accept-loss", "--name", "阿拉善盟"])?;
    ensure!(answer.code == 0, "{answer:?}");
    federation.node(ALXA).start()?;
    until("the region's record is adopted", || Ok((books(&federation)? == [20, 25, 5]).then_some(())))?;
    leader.gets_to(&["pledge", "make", "--lot", &lot, "--qty", "1", "--until", "+2d"])?;
    until("the courier goes on", || {
        let courier = &admin.run(&["courier", "status"])?["couriers"][0];
        ensure!(courier["trouble"].as_str().unwrap_or_default().is_empty(), "{courier}");
        at_rest()
    })?;
    ensure!(answer.out.contains("incarnation 2"), "{answer:?}");
    Ok(())
}
