//! Everything that only looks, once in each form: a table for people, JSON and YAML for programs, saying the same.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::story::{ALXA, until};

use crate::desk::{Desk, id};

/// What may be looked at, and by whom.
const LOOKS: &[(&str, &str)] = &[
    ("keeper", "store list"),
    ("keeper", "stock list"),
    ("keeper", "stock list --all"),
    ("keeper", "team list"),
    ("duty", "floor show"),
    ("duty", "floor show 2990511"),
    ("duty", "warning show"),
    ("duty", "publish list"),
    ("duty", "pledge list --closed"),
    ("duty", "pledge shortfalls"),
    ("duty", "aid list --closed"),
    ("secretariat", "mission list --all"),
    ("secretariat", "mission list --own"),
    ("secretariat", "obligation list --settled"),
    ("secretariat", "discrepancy list --closed"),
    ("secretariat", "statement"),
    ("keeper", "restock list"),
    ("superior", "situation"),
    ("secretariat", "report region"),
    ("secretariat", "ledger verify"),
    ("secretariat", "ledger proof 1"),
    ("secretariat", "watch --from 1 --once"),
    ("secretariat", "watch --registry --from 1 --once"),
    ("admin", "region list"),
    ("admin", "region show --digest"),
    ("admin", "region members"),
    ("admin", "region pledges"),
    ("admin", "region published"),
    ("admin", "region changes"),
    ("admin", "region status"),
    ("admin", "courier status"),
];

/// Looks at all of it.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    for (role, line) in LOOKS {
        in_three_forms(desk, role, line)?;
    }
    one_of_each(desk)
}

fn in_three_forms(desk: &Desk<'_>, role: &'static str, line: &str) -> Result<()> {
    let person = desk.at(ALXA, role);
    let table = person.shown(line, "table")?;
    ensure!(!table.trim().is_empty(), "shouwang {line} shows an empty table");
    let width = table.lines().next().unwrap_or_default().split("  ").count();
    ensure!(width >= 1, "shouwang {line} has no head: {table}");
    let json = person.shown(line, "json")?;
    let yaml = person.shown(line, "yaml")?;
    if line.starts_with("watch") {
        // A stream: one value a line, or one document a value.
        let values = json.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
        ensure!(!values.is_empty() && yaml.contains("revision"), "shouwang {line}: {json} {yaml}");
        return Ok(());
    }
    // Both write the fields in the order of the contract.
    let first = json.split('"').nth(1).unwrap_or_default().to_owned();
    let json: Value = serde_json::from_str(&json).with_context(|| format!("shouwang {line} -o json: {json}"))?;
    ensure!(json.is_object(), "shouwang {line}: {json}");
    // What may be shown again and again is a document each time.
    let yaml = yaml.strip_prefix("---\n").unwrap_or(&yaml);
    let begins = yaml.lines().next().unwrap_or_default();
    ensure!(
        begins.starts_with(&format!("{first}:")),
        "shouwang {line} -o yaml begins with {begins}, JSON with {first}"
    );
    Ok(())
}

/// One object of each list, by its own name.
fn one_of_each(desk: &Desk<'_>) -> Result<()> {
    let duty = desk.at(ALXA, "duty");
    // One of which the own registry knows too: others' stand in the list as well, and news may be on their way.
    let known = until("a mission with a number", || {
        let missions = duty.does("mission list --all")?;
        let mut numbered =
            missions["missions"].as_array().into_iter().flatten().filter(|mission| mission["number"] != "");
        let own = |mission: &&Value| {
            let name = mission["name"].as_str().unwrap_or_default();
            duty.shown(&format!("mission show {name} --own"), "json").is_ok()
        };
        Ok(numbered.find(own).cloned())
    })?;
    let (name, number) = (known["name"].as_str().unwrap_or_default(), known["number"].as_str().unwrap_or_default());
    for shown in [name, number] {
        in_three_forms(desk, "duty", &format!("mission show {shown}"))?;
        in_three_forms(desk, "duty", &format!("mission show {shown} --own"))?;
    }
    let requests = duty.does("aid list --closed")?;
    let request = requests["requests"][0]["number"].as_str().context("a request with a number")?;
    in_three_forms(desk, "duty", &format!("aid show {request}"))?;
    let request_id = id();
    desk.at(ALXA, "admin").does(&format!("region join --title 乌海应急 --request-id {request_id}"))?;
    in_three_forms(desk, "admin", &format!("outcome {request_id}"))?;
    let statement = duty.does("statement")?;
    let balances = statement["balances"].as_array().into_iter().flatten();
    let of = |balance: &Value| balance["balanceFen"].as_str().and_then(|fen| fen.parse::<i64>().ok()).unwrap_or(0);
    ensure!(balances.map(of).sum::<i64>() == 0, "the books do not sum to zero: {statement}");
    for (line, reason) in [
        ("mission show 乌-调-1999-0001", "NOT_FOUND"),
        ("aid show 乌-需-1999-0001", "NOT_FOUND"),
        ("aid show 0190f3a2-7b1c-7d2e-8f00-0123456789ab", "NOT_FOUND"),
        ("outcome 0190f3a2-7b1c-7d2e-8f00-0123456789ab", "NOT_FOUND"),
        ("mission show 0190f3a2-7b1c-7d2e-8f00-0123456789ab --own", "MISSION"),
    ] {
        duty.refused(line, 4, reason)?;
    }
    Ok(())
}
