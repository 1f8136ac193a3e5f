//! What a region decides about its members, by the commands of the README: one party draws a change up, others sign it,
//! it comes into force.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::federation::{Federation, MemberSpec};
use crate::story::{WUHAI, number, until};
use crate::terminal::Terminal;

/// The region as the status of somebody's node shows it.
///
/// # Errors
/// The node does not answer, or hosts no region.
pub fn region_of(somebody: &Terminal) -> Result<Value> {
    let status = somebody.run(&["region", "status"])?;
    let mut records = status["records"].as_array().into_iter().flatten();
    records.find(|record| record["kind"] == "RECORD_KIND_REGION").cloned().context("the node hosts a region")
}

/// Whose node leads, as somebody's node says; nobody's if it knows none.
///
/// # Errors
/// As [`region_of`].
pub fn leader_of(somebody: &Terminal) -> Result<Option<u32>> {
    let region = region_of(somebody)?;
    Ok(region["leader"].as_str().and_then(|node| node.split('/').next()).and_then(|code| code.parse().ok()))
}

/// Waits until one of these members' nodes, if it counts, says that one that counts leads; answers whose.
///
/// # Errors
/// It never is so.
pub fn led_by(federation: &Federation, members: &[u32], what: &str, counts: impl Fn(u32) -> bool) -> Result<u32> {
    let asked = || members.iter().copied().filter(|code| counts(*code));
    until(what, || {
        let seen = |code| leader_of(&federation.terminal(code, "admin")).ok().flatten();
        Ok(asked().filter_map(seen).find(|leader| counts(*leader)))
    })
}

/// The newest revision of the region that somebody's node has.
///
/// # Errors
/// As [`region_of`].
pub fn revision_of(somebody: &Terminal) -> Result<u64> {
    Ok(number(&region_of(somebody)?["asOf"]["revision"]))
}

/// A node's entry in the group; null if it has none.
pub fn entry(region: &Value, node: &str) -> Value {
    let mut group = region["group"].as_array().into_iter().flatten();
    group.find(|entry| entry["node"] == node).cloned().unwrap_or_default()
}

/// Waits until somebody's node has every revision that the hub has now.
///
/// # Errors
/// It never has.
pub fn caught_up(federation: &Federation, somebody: &Terminal) -> Result<()> {
    let target = revision_of(&federation.terminal(WUHAI, "admin"))?;
    until("a node has caught up", || Ok((revision_of(somebody)? >= target).then_some(())))
}

/// One party draws a change up; answers its name.
///
/// # Errors
/// It is refused.
pub fn proposed(federation: &Federation, by: u32, line: &str) -> Result<String> {
    let answer = federation.terminal(by, "leader").run(&words(line))?;
    let name = answer["change"].as_str().context("the change's name")?;
    Ok(name.rsplit('/').next().unwrap_or_default().to_owned())
}

/// A change as a member's node shows it.
///
/// # Errors
/// The node does not answer.
pub fn change(federation: &Federation, at: u32, name: &str) -> Result<Value> {
    let listed = federation.terminal(at, "duty").run(&["region", "changes"])?;
    let mut changes = listed["changes"].as_array().into_iter().flatten();
    Ok(changes.find(|known| known["name"].as_str().is_some_and(|n| n.ends_with(name))).cloned().unwrap_or_default())
}

/// Waits until a member's node shows that a change is in force.
///
/// # Errors
/// It never is.
pub fn in_force(federation: &Federation, at: u32, name: &str) -> Result<()> {
    until("a change is in force", || Ok((number(&change(federation, at, name)?["inForce"]) > 0).then_some(())))
}

/// One party draws a change up and others sign it, each as soon as it is with him; answers its name once it is in force.
///
/// # Errors
/// It is refused, or never comes into force.
pub fn ratified(federation: &Federation, by: u32, line: &str, signers: &[u32]) -> Result<String> {
    let name = proposed(federation, by, line)?;
    for signer in signers {
        federation.terminal(*signer, "leader").gets_to(&["region", "sign", &name])?;
    }
    in_force(federation, by, &name)?;
    Ok(name)
}

/// A newcomer's node is prepared, the hub and those who sign admit it, it starts, catches up, and is given a vote.
///
/// # Errors
/// A step that is refused, or never done.
pub fn joined(federation: &mut Federation, newcomer: &MemberSpec, signers: &[u32]) -> Result<()> {
    admitted(federation, newcomer, signers)?;
    federation.node(newcomer.code).start()?;
    federation.node(newcomer.code).wait_ready()?;
    caught_up(federation, &federation.terminal(newcomer.code, "admin"))?;
    promoted(federation, newcomer.code)
}

/// A newcomer's node is prepared, and the hub and those who sign admit it.
///
/// # Errors
/// A step that is refused, or never done.
pub fn admitted(federation: &mut Federation, newcomer: &MemberSpec, signers: &[u32]) -> Result<()> {
    let file = federation.prepare_newcomer(newcomer)?;
    ratified(federation, WUHAI, &format!("region admit {}", file.display()), signers)?;
    Ok(())
}

/// A member's node that follows is given a vote.
///
/// # Errors
/// It is refused, or never comes to be.
pub fn promoted(federation: &Federation, code: u32) -> Result<()> {
    let (admin, node) = (federation.terminal(code, "admin"), format!("{code}/1"));
    federation.terminal(WUHAI, "admin").run(&["region", "promote", &node])?;
    until("the newcomer votes", || Ok((entry(&region_of(&admin)?, &node)["voter"] == true).then_some(())))
}

/// A member leaves: the hub and those who sign decide it, and its node has no place in the group any more.
///
/// # Errors
/// Something of it is still open, or a step that is refused, or never done.
pub fn removed(federation: &Federation, code: u32, signers: &[u32]) -> Result<()> {
    ratified(federation, WUHAI, &format!("region remove {code}"), signers)?;
    let (hub, node) = (federation.terminal(WUHAI, "admin"), format!("{code}/1"));
    until("its vote is gone", || {
        let region = region_of(&hub)?;
        Ok((entry(&region, &node).is_null() && region["leader"] != node.as_str()).then_some(()))
    })
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
