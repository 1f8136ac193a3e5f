//! Backups of running nodes, by the commands of the operators' page.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::affairs::ratified;
use shouwang_cluster::federation::{self, MemberSpec};
use shouwang_cluster::story::{ALXA, WUHAI, YINCHUAN, id, number, until};
use shouwang_cluster::{Answer, Federation, Terminal};

/// The hub and 阿拉善, both voting.
fn two() -> Vec<MemberSpec> {
    federation::members(&[WUHAI, ALXA])
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn ended(answer: &Answer, code: i32, reason: &str) -> Result<()> {
    ensure!(answer.code == code && answer.err.contains(reason), "not {code} {reason}: {answer:?}");
    Ok(())
}

/// What a backup has of the registry and of the region.
fn entries(list: &Value) -> Result<(Value, Value)> {
    let of = |kind: &str| {
        let entry = list.as_array().into_iter().flatten().find(|entry| entry["kind"] == kind);
        entry.cloned().with_context(|| format!("no {kind} in {list}"))
    };
    Ok((of("registry")?, of("region")?))
}

fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The hub, 阿拉善 and 银川, all voting: two decide when the third is lost.
fn three() -> Vec<MemberSpec> {
    federation::members(&[WUHAI, ALXA, YINCHUAN])
}

#[test]
fn a_running_node_is_backed_up_and_the_copy_checked_without_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &two())?;
    federation.start_all()?;
    let (admin, keeper) = (federation.terminal(WUHAI, "admin"), federation.terminal(WUHAI, "keeper"));
    keeper.run(&["store", "add", "一号库", "--district", "乌达区"])?;
    let lot = id();
    let of = ["--resource", "2990101", "--qty", "50", "--unit", "套", "--store", "一号库", "--id", &lot];
    keeper.run(&[&["stock", "add", "防护服"][..], &of].concat())?;
    let leader = federation.terminal(WUHAI, "leader");
    leader.run(&["pledge", "make", "--lot", &lot, "--qty", "20", "--until", "+2d"])?;
    let backup = folder.path().join("backup");
    let take = ["backup", "take", text(&backup)?];
    ended(&federation.terminal(WUHAI, "duty").try_run(&take)?, 6, "DENIED_ROLE")?;
    // Both couriers have said what they have to say, so that the next backup finds only what is done below.
    until("the couriers rest", || {
        let couriers = admin.run(&["courier", "status"])?;
        let mut all = couriers["couriers"].as_array().into_iter().flatten();
        Ok(all.all(|c| c["upSent"] == c["upApplied"] && c["downSent"] == c["downTaken"]).then_some(()))
    })?;

    let (registry, region) = entries(&admin.run(&take)?)?;
    ensure!(number(&registry["new_records"]) == number(&registry["revision"]) && number(&registry["revision"]) > 0);
    ensure!(number(&registry["incarnation"]) == 1, "{registry}");
    let before = files(&backup, "sealed")?.into_iter().map(|file| Ok((file.clone(), std::fs::read(file)?)));
    let before: Vec<(PathBuf, Vec<u8>)> = before.collect::<Result<_>>()?;

    keeper.run(&["store", "add", "二号库", "--district", "海南区"])?;
    let (again, _) = entries(&admin.run(&take)?)?;
    ensure!(number(&again["revision"]) == number(&registry["revision"]) + number(&again["new_records"]), "{again}");
    ensure!((1..=3).contains(&number(&again["new_records"])), "copied again: {again}");
    for (file, bytes) in before {
        ensure!(std::fs::read(&file)? == bytes, "{} was written again", file.display());
    }

    // The nodes are gone; the copy speaks for itself.
    federation.nodes.iter_mut().try_for_each(shouwang_cluster::NodeProcess::stop)?;
    let charter = federation.charter();
    let verify =
        |more: &[&str]| federation.try_run(&[&["backup", "verify", text(&backup)?, "-o", "json"][..], more].concat());
    let checked = verify(&["--charter", text(&charter)?])?;
    ensure!(checked.code == 0, "{checked:?}");
    let (registry, checked_region) = entries(&checked.json()?)?;
    ensure!(registry["decided_again"] == true && checked_region["decided_again"] == true, "{registry}");
    ensure!(number(&checked_region["revision"]) >= number(&region["revision"]) && number(&region["revision"]) > 0);

    let manifest = backup.join("backup.json");
    let aside = backup.join("aside");
    std::fs::rename(&manifest, &aside)?;
    ended(&verify(&[])?, 4, "BACKUP_NOT_WHOLE")?;
    std::fs::rename(&aside, &manifest)?;
    let registry = backup.join(registry["id"].as_str().context("an id")?);
    for file in [files(&registry, "sealed")?.pop(), files(&registry, "swc")?.pop()] {
        let file = &file.context("a file")?;
        let whole = std::fs::read(file)?;
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        std::fs::write(file, flipped)?;
        ended(&verify(&[])?, 10, "BACKUP_DAMAGED")?;
        std::fs::write(file, whole)?;
    }
    ensure!(verify(&[])?.code == 0);

    // Another node's backup does not go there.
    federation.start_all()?;
    ended(&federation.terminal(ALXA, "admin").try_run(&take)?, 8, "BACKUP_FOREIGN")
}

/// What a lot holds in an account, over all it belongs to.
fn balance(terminal: &Terminal, lot: &str, account: &str) -> Result<u64> {
    let lots = terminal.run(&["stock", "list", "--all"])?;
    let mut lots = lots["lots"].as_array().into_iter().flatten();
    let lot = lots.find(|known| known["name"].as_str().is_some_and(|name| name.ends_with(lot)));
    let of = lot.and_then(|lot| lot["balances"].as_array()).into_iter().flatten();
    Ok(of.filter(|of| of["account"] == format!("ACCOUNT_{account}")).map(|of| number(&of["quantity"])).sum())
}

/// What 阿拉善 does around its last backup.
struct Night {
    lot: String,
    mission: String,
}

/// Fifty suits, twenty of them pledged, backed up; then ten more pledged, and five of the first on the road.
fn night(federation: &Federation, backup: &Path) -> Result<Night> {
    let (keeper, leader) = (federation.terminal(ALXA, "keeper"), federation.terminal(ALXA, "leader"));
    let (lot, pledge, mission, request) = (id(), id(), id(), id());
    keeper.run(&["store", "add", "一号库", "--district", "左旗"])?;
    let of = ["--resource", "2990101", "--qty", "50", "--unit", "套", "--store", "一号库", "--id", &lot];
    keeper.run(&[&["stock", "add", "防护服"][..], &of].concat())?;
    leader.run(&["pledge", "make", "--lot", &lot, "--qty", "20", "--until", "+2d", "--id", &pledge])?;
    federation.terminal(ALXA, "admin").run(&["backup", "take", text(backup)?])?;

    leader.run(&["pledge", "make", "--lot", &lot, "--qty", "10", "--until", "+2d"])?;
    let [duty, coordinator, signer] = ["duty", "coordinator", "leader"].map(|role| federation.terminal(WUHAI, role));
    let what = ["--subject", "氯气泄漏", "--place", "乌达", "--needed-by", "+4h", "--until", "+2d", "--id", &request];
    duty.run(&[&["aid", "request", "--line", "2990101=5"][..], &what].concat())?;
    let hold = ["aid", "hold", &request, "--line", "1", "--pledge", &pledge, "--qty", "5", "--mission", &mission];
    coordinator.gets_to(&hold)?;
    signer.run(&["aid", "order", &mission])?;
    let dispatch = ["mission", "dispatch", &mission, "--qty", "5", "--seal", "封0412"];
    keeper.gets_to(&dispatch)?;
    let witness = federation.terminal(YINCHUAN, "duty");
    until("the region knows that it left, and of the second pledge", || {
        let shown = witness.run(&["mission", "show", &mission])?;
        let pledges = witness.run(&["region", "pledges"])?["pledges"].as_array().map_or(0, Vec::len);
        Ok((shown["mission"]["state"] == "MISSION_STATE_DISPATCHED" && pledges == 2).then_some(()))
    })?;
    Ok(Night { lot, mission })
}

/// Onto a new node and nowhere else.
fn restored(federation: &Federation, home: &Path, folder: &Path) -> Result<()> {
    let (backup, empty) = (folder.join("backup"), format!("data_dir={}", text(&folder.join("empty"))?));
    let at = |home: &Path, more: &[&str]| {
        let config = home.join("shouwang.toml");
        let restore = ["--config", text(&config)?, "restore", text(&backup)?, "--reason", "硬盘损坏", "-o", "json"];
        federation.try_run(&[&restore[..], more].concat())
    };
    ended(&at(&federation.home(ALXA), &["--set", &empty])?, 2, "RESTORE_SAME_NODE")?;
    ended(&at(&federation.home(YINCHUAN), &["--set", &empty])?, 8, "RESTORE_FOREIGN")?;
    let answer = at(home, &[])?;
    ensure!(answer.code == 0, "{answer:?}");
    let answer = answer.json()?;
    let regions = answer["regions"].as_array().map_or(0, Vec::len);
    ensure!(number(&answer["incarnation"]) == 2 && regions == 1, "{answer}");
    ended(&at(home, &[])?, 9, "RESTORE_NOT_EMPTY")
}

/// 阿拉善 is backed up, goes on working, and loses its machine: what happened between is in the region's record, and comes
/// back with it.
#[test]
fn a_lost_registry_is_restored_and_adopts_what_the_region_has_on_record() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &three())?;
    federation.start_all()?;
    let Night { lot, mission } = night(&federation, &folder.path().join("backup"))?;
    federation.node(ALXA).kill()?;
    let (mut process, key) = federation.further_node(ALXA, "registry_node = 2")?;
    let home = process.home.clone();
    restored(&federation, &home, folder.path())?;

    // Started before it is admitted: only local stock and facts.
    process.start()?;
    process.wait_ready()?;
    let [admin, keeper, leader] = ["admin", "keeper", "leader"].map(|role| federation.terminal_at(home.clone(), role));
    ensure!(balance(&keeper, &lot, "PLEDGED")? == 20, "what was backed up");
    let promise = ["pledge", "make", "--lot", &lot, "--qty", "1", "--until", "+2d"];
    ended(&leader.try_run(&promise)?, 3, "RESTORING")?;
    let waits = admin.run(&["courier", "status"])?["couriers"][0]["trouble"].to_string();
    ensure!(waits.contains("RESTORING") && waits.contains("no state of the region"), "{waits}");

    ratified(&federation, WUHAI, &format!("region add-node 152900/2 {key}"), &[YINCHUAN])?;
    ratified(&federation, WUHAI, "region remove-node 152900/1", &[YINCHUAN])?;
    for member in [WUHAI, YINCHUAN] {
        federation.add_peer(member, "152900/2", process.at(process.ports.peer))?;
    }
    until("the region's record is adopted", || {
        let stands = |account: &str| balance(&keeper, &lot, account);
        let books = (stands("LOCAL")?, stands("PLEDGED")?, stands("IN_TRANSIT")?);
        Ok((books == (20, 25, 5)).then_some(()))
    })?;
    leader.gets_to(&promise)?;
    until("the courier is at rest", || {
        let couriers = admin.run(&["courier", "status"])?;
        let courier = &couriers["couriers"][0];
        let (sent, taken) = (number(&courier["upSent"]), number(&courier["upApplied"]));
        Ok((sent > 0 && sent == taken && courier["trouble"].as_str().unwrap_or_default().is_empty()).then_some(()))
    })?;
    // The other side goes on with it as if nothing had been.
    let hub = federation.terminal(WUHAI, "keeper");
    hub.run(&["store", "add", "二号库", "--district", "乌达区"])?;
    let receive = ["mission", "receive", &mission, "--store", "二号库", "--good", "5"];
    hub.gets_to(&receive)?;
    until("the owner hears of it", || Ok((balance(&keeper, &lot, "ON_LOAN")? == 5).then_some(())))?;
    let again = folder.path().join("again");
    admin.run(&["backup", "take", text(&again)?])?;
    let checked = federation.run(&["backup", "verify", text(&again)?, "-o", "json"])?;
    let (registry, _) = entries(&serde_json::from_str(&checked)?)?;
    ensure!(number(&registry["incarnation"]) == 2, "{registry}");
    process.stop()
}
