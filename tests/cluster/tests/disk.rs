//! A node's disk is read while it stands: what is wrong is told by file and code, and nothing is changed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::Federation;
use shouwang_cluster::federation;
use shouwang_cluster::story::{ALXA, WUHAI};

/// Files below a folder that end so, oldest name first.
fn ending(dir: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(ending(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn row<'a>(findings: &'a Value, check: &str) -> Result<&'a Value> {
    let rows = findings.as_array().context("a list of findings")?;
    rows.iter().find(|row| row["check"] == check).with_context(|| format!("no row {check} in {findings}"))
}

#[test]
fn a_disk_is_checked_while_its_node_stands_and_asked_about_while_it_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &federation::members(&[WUHAI, ALXA]))?;
    federation.start_all()?;
    federation.terminal(WUHAI, "keeper").run(&["store", "add", "中心库", "--district", "海勃湾区"])?;
    let home = federation.home(WUHAI);
    let config = home.join("shouwang.toml");
    let config = config.to_str().context("a path of UTF-8")?.to_owned();
    let check = |federation: &Federation| federation.try_run(&["--config", &config, "disk", "check", "-o", "json"]);
    let doctor = |federation: &Federation| {
        let answer = federation.terminal(WUHAI, "admin").try_run(&["--config", &config, "doctor"])?;
        anyhow::Ok(row(&answer.json()?, "store")?.clone())
    };

    let refused = check(&federation)?;
    ensure!(refused.code == 1 && refused.err.contains("STORE_LOCKED"), "{refused:?}");
    let told = doctor(&federation)?;
    ensure!(told["verdict"] == "good" && told["found"].to_string().contains("running node"), "{told}");

    federation.node(WUHAI).stop()?;
    let sound = check(&federation)?;
    ensure!(sound.code == 0, "{sound:?}");
    let records = sound.json()?["records"].clone();
    ensure!(records[0]["title"] == "乌海市" && records[0]["kind"] == "registry" && records[1]["kind"] == "region");
    ensure!(records[0]["newest"].as_u64() > Some(0) && records[0]["replayed_from"] == 0, "{records}");
    ensure!(doctor(&federation)?["verdict"] == "good");

    let checkpoints = ending(&home.join("data"), ".swc")?;
    let spoilt = checkpoints.last().context("a checkpoint")?;
    let (whole, mut bytes) = (std::fs::read(spoilt)?, std::fs::read(spoilt)?);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(spoilt, &bytes)?;
    let found = check(&federation)?;
    ensure!(found.code == 10 && found.err.contains("nothing was changed"), "{found:?}");
    let findings = found.json()?["findings"].clone();
    let named = |finding: &Value| finding["path"] == *spoilt.to_string_lossy();
    let finding = findings.as_array().and_then(|all| all.iter().find(|it| named(it))).context("it is named")?;
    ensure!(finding["code"] == "STORE_CHECKPOINT_DAMAGED" && finding["mend"]["zh"].is_string(), "{finding}");
    ensure!(std::fs::read(spoilt)? == bytes, "nothing is mended");
    let table = federation.try_run(&["--config", &config, "--lang", "zh", "disk", "check"])?;
    ensure!(table.out.contains("STORE_CHECKPOINT_DAMAGED") && table.out.contains("检查点"), "{table:?}");
    ensure!(doctor(&federation)?["verdict"] != "good");

    std::fs::write(spoilt, whole)?;
    let founding = home.join("data/registry.json");
    std::fs::write(&founding, "{")?;
    let found = check(&federation)?;
    ensure!(
        found.code == 10 && found.out.contains("REGISTRY_FOUNDING") && found.out.contains("registry.json"),
        "{found:?}"
    );
    Ok(())
}
