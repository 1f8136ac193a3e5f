//! Backups of running nodes, by the commands of the operators' page.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::Federation;
use shouwang_cluster::federation::{MemberSpec, WUHAI_REGION};
use shouwang_cluster::story::{ALXA, WUHAI, number, until};
use shouwang_cluster::terminal::Answer;

/// The hub and 阿拉善, both voting.
fn two() -> Vec<MemberSpec> {
    WUHAI_REGION.iter().filter(|member| [WUHAI, ALXA].contains(&member.code)).copied().collect()
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

#[test]
fn a_running_node_is_backed_up_and_the_copy_checked_without_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &two())?;
    federation.start_all()?;
    let (admin, keeper) = (federation.terminal(WUHAI, "admin"), federation.terminal(WUHAI, "keeper"));
    keeper.run(&["store", "add", "一号库", "--district", "乌达区"])?;
    let lot = uuid::Uuid::now_v7().to_string();
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
    let nobody = federation.terminal(WUHAI, "duty");
    let verify = |more: &[&str]| nobody.try_offline(&[&["backup", "verify", text(&backup)?][..], more].concat());
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
