//! Who is a member, with which nodes and keys: the README's commands in their order, and what each refuses.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shouwang_cluster::Federation;
use shouwang_cluster::affairs::{self, caught_up, change, entry, in_force, proposed, ratified};
use shouwang_cluster::federation::WUHAI_REGION;
use shouwang_cluster::story::{ALXA, WUHAI, YINCHUAN, number, until};

use crate::desk::{Desk, Person, STORE, id};

const BAYANNUR: u32 = 150_800;
const GOODS: &str = "2990571";

/// The region as the status of a person's node shows it.
fn region_of(person: &Person) -> Result<Value> {
    affairs::region_of(&person.0)
}

/// 巴彦淖尔 joins: its node is prepared, the parties admit it, it catches up, and it is given a vote.
pub fn admitted(federation: &mut Federation) -> Result<()> {
    let newcomer = WUHAI_REGION.iter().find(|member| member.code == BAYANNUR).copied().context("one of the six")?;
    let file = federation.prepare_newcomer(&newcomer)?;
    let admit = format!("region admit {}", file.display());
    let desk = Desk(federation);
    desk.at(WUHAI, "duty").refused(&admit, 6, "DENIED_ROLE")?;
    let name = proposed(desk.0, WUHAI, &admit)?;
    let waiting = change(desk.0, WUHAI, &name)?;
    ensure!(number(&waiting["needed"]) == 2 && number(&waiting["inForce"]) == 0, "{waiting}");
    desk.at(WUHAI, "leader").second().refused(&format!("region sign {name}"), 9, "ALREADY_EXISTS")?;
    desk.at(ALXA, "leader").gets_to(&format!("region sign {name}"))?;
    in_force(desk.0, YINCHUAN, &name)?;
    let members = desk.at(YINCHUAN, "duty").does("region members")?;
    ensure!(members.to_string().contains("巴彦淖尔市"), "{members}");
    desk.at(WUHAI, "leader").refused(&admit, 2, "INVALID_FIELD")?;
    federation.node(BAYANNUR).start()?;
    federation.node(BAYANNUR).wait_ready()?;

    let desk = Desk(federation);
    let (admin, hub) = (desk.at(BAYANNUR, "admin"), desk.at(WUHAI, "admin"));
    caught_up(desk.0, &admin.0)?;
    ensure!(entry(&region_of(&admin)?, "150800/1")["voter"] == false, "a newcomer votes");
    desk.at(BAYANNUR, "keeper").does(&format!("store add {STORE} --district 临河区"))?;
    let lot = desk.lot(BAYANNUR, GOODS, 10)?;
    desk.pledge(BAYANNUR, &lot, 10)?;
    desk.at(ALXA, "admin").refused("region promote 150800/1", 6, "NOT_YOURS")?;
    desk.at(WUHAI, "leader").refused("region promote 150800/1", 6, "DENIED_ROLE")?;
    hub.refused("region promote 150800/7", 4, "NOT_FOUND")?;
    hub.does("region promote 150800/1")?;
    until("the newcomer votes", || Ok((entry(&region_of(&admin)?, "150800/1")["voter"] == true).then_some(())))
}

/// A second node of the hub: configured and started before the others know its address; a vote, none again, and gone.
pub fn second_node(federation: &mut Federation) -> Result<()> {
    let (mut second, key) = federation.further_node(WUHAI, "")?;
    let desk = Desk(federation);
    ratified(desk.0, WUHAI, &format!("region add-node 150300/2 {key}"), &[ALXA, YINCHUAN])?;
    second.start()?;
    second.wait_ready()?;
    for member in [WUHAI, ALXA, YINCHUAN, BAYANNUR] {
        federation.add_peer(member, "150300/2", second.at(second.ports.peer))?;
    }
    let desk = Desk(federation);
    let at = |role: &'static str| Person(federation.terminal_at(second.home.clone(), role));
    caught_up(desk.0, &at("admin").0)?;
    // It keeps no registry: what is asked of one is sent to the node that does.
    let said = at("keeper").refused("stock list", 3, "REGISTRY_ELSEWHERE")?;
    ensure!(said.contains("150300/1"), "{said}");
    at("leader").refused("warning set red", 3, "REGISTRY_ELSEWHERE")?;
    at("duty").does("region members")?;
    at("admin").does("region checkpoint")?;
    // What its people say to the region counts as their municipality's word.
    let rules = at("leader").does("region rules --paper-hours 24")?;
    let rules = rules["change"].as_str().context("a change")?.rsplit('/').next().unwrap_or_default().to_owned();
    ensure!(change(desk.0, WUHAI, &rules)?["signed"][0] == "150300", "signed by another");
    let hub = desk.at(WUHAI, "admin");
    for (verb, votes) in [("promote", true), ("demote", false)] {
        hub.does(&format!("region {verb} 150300/2"))?;
        until(verb, || Ok((entry(&region_of(&hub)?, "150300/2")["voter"] == votes).then_some(())))?;
    }
    ratified(desk.0, ALXA, "region remove-node 150300/2", &[WUHAI, YINCHUAN])?;
    told_it_is_out(&at("admin"), &at("leader"))?;
    let again = format!("region add-node 150300/2 {key}");
    desk.at(WUHAI, "leader").refused(&again, 9, "ALREADY_EXISTS")?;
    until("the group forgets it", || Ok(entry(&region_of(&hub)?, "150300/2").is_null().then_some(())))?;
    second.stop()
}

/// A node that is no member's any more says so: it does not vote, it cannot propose, and what it holds can be read.
fn told_it_is_out(admin: &Person, leader: &Person) -> Result<()> {
    until("the node knows that it is out", || {
        let region = region_of(admin)?;
        Ok(region["trouble"].as_str().is_some_and(|trouble| trouble.contains("no longer")).then_some(()))
    })?;
    let said = leader.refused("region rules --paper-hours 12", 3, "REMOVED")?;
    ensure!(!said.contains("outcome is unknown"), "{said}");
    leader.does("region members")?;
    Ok(())
}

/// 阿拉善 gets a new key while its coordinators work: nothing they say is lost, and the old key ends with its time.
pub fn key_rotated(federation: &mut Federation) -> Result<()> {
    let config = federation.home(ALXA).join("shouwang.toml").to_string_lossy().into_owned();
    let key = federation.run(&["--config", &config, "charter", "new-key"])?;
    restarted(federation, ALXA)?;
    let desk = Desk(federation);
    let lot = desk.lot(WUHAI, GOODS, 10)?;
    let pledge = desk.pledge(WUHAI, &lot, 10)?;
    let request = desk.ask(ALXA, &[&format!("{GOODS}=10")], "", WUHAI)?;
    let (stop, held) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let work = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::SeqCst) {
                let mission = id();
                let hold = format!("aid hold {request} --line 1 --pledge {pledge} --qty 1 --mission {mission}");
                desk.at(ALXA, "coordinator").does(&hold)?;
                desk.at(ALXA, "duty").does(&format!("aid release {mission}"))?;
                held.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let rotated = rotate(&desk, &key, &held);
        stop.store(true, Ordering::SeqCst);
        work.join().map_err(|_| anyhow::anyhow!("a coordinator panicked"))??;
        rotated
    })?;
    let missions = desk.at(YINCHUAN, "duty").does(&format!("mission list --all --request {request}"))?;
    let count = missions["missions"].as_array().map_or(0, Vec::len) as u64;
    ensure!(count == held.load(Ordering::SeqCst), "{count} holds are on record, {held:?} were acknowledged");
    for member in [WUHAI, ALXA, YINCHUAN, BAYANNUR] {
        desk.at(member, "secretariat").does("ledger verify")?;
    }
    desk.at(ALXA, "leader").does(&format!("aid close {request}"))?;
    only_the_old_key(federation, &pledge)
}

/// Stopped in order and started again; neither streams of other nodes nor whoever watches keep a node from stopping.
fn restarted(federation: &mut Federation, code: u32) -> Result<()> {
    let newest = affairs::revision_of(&federation.terminal(code, "admin"))?.to_string();
    let (_watching, mut shown) = federation.terminal(code, "duty").follow(&["watch", "--from", &newest])?;
    shown.read_exact(&mut [0])?;
    let began = Instant::now();
    federation.node(code).stop()?;
    ensure!(began.elapsed() < Duration::from_secs(8), "it took {:?} to stop", began.elapsed());
    federation.node(code).start()?;
    federation.node(code).wait_ready()
}

fn rotate(desk: &Desk<'_>, key: &str, held: &AtomicU64) -> Result<()> {
    let goes_on = |what: &str| {
        let before = held.load(Ordering::SeqCst);
        until(what, || Ok((held.load(Ordering::SeqCst) > before + 1).then_some(())))
    };
    goes_on("they work under the old key")?;
    ratified(desk.0, ALXA, &format!("region rotate-key 152900/1 {key} --old-until +6s"), &[WUHAI, YINCHUAN])?;
    let retiring = || -> Result<Value> {
        let shown = desk.at(ALXA, "duty").does("region show")?;
        let mut members = shown["charter"]["members"].as_array().into_iter().flatten();
        Ok(members.find(|member| member["code"] == "152900").cloned().unwrap_or_default()["nodes"][0].clone())
    };
    goes_on("they work under both")?;
    until("the old key has retired", || Ok(retiring()?["retiringUntil"].is_null().then_some(())))?;
    goes_on("they work under the new key")
}

/// With the old key alone the node is heard by nobody, and still runs its own registry.
fn only_the_old_key(federation: &mut Federation, pledge: &str) -> Result<()> {
    let home = federation.home(ALXA);
    let files = std::fs::read_dir(&home)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_new = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("signing-"));
    let new = files.into_iter().find(is_new).context("the new key's file")?;
    let aside = home.join("aside.key");
    std::fs::rename(&new, &aside)?;
    restarted(federation, ALXA)?;
    let desk = Desk(federation);
    desk.lot(ALXA, GOODS, 1)?;
    let claim = "region rules --paper-hours 36";
    until("the node knows a leader", || Ok((region_of(&desk.at(ALXA, "admin"))?["leader"] != "").then_some(())))?;
    desk.at(ALXA, "leader").refused(claim, 3, "NOT_ACCEPTED")?;
    std::fs::rename(&aside, &new)?;
    restarted(federation, ALXA)?;
    let desk = Desk(federation);
    desk.at(ALXA, "leader").gets_to("region rules --paper-hours 36")?;
    desk.await_pledge(ALXA, pledge, |seen| number(&seen["free"]) == 10)?;
    Ok(())
}

/// Another hub, other rules, and the voting rule that decides both.
pub fn hub_and_rules(desk: &Desk<'_>) -> Result<()> {
    let overtaken = proposed(desk.0, YINCHUAN, "region rules --basis free-aid")?;
    ratified(desk.0, WUHAI, "region hub 152900", &[ALXA, YINCHUAN])?;
    let hub = |at: u32| -> Result<Value> { Ok(desk.at(at, "duty").does("region show")?["charter"]["hub"].clone()) };
    until("all see the new hub", || Ok((hub(YINCHUAN)? == "152900" && hub(BAYANNUR)? == "152900").then_some(())))?;
    // A change drawn on the charter before can never come into force any more.
    desk.at(WUHAI, "leader").refused(&format!("region sign {overtaken}"), 4, "NOT_FOUND")?;
    desk.at(WUHAI, "admin").refused("region demote 150800/1", 6, "NOT_YOURS")?;
    desk.at(ALXA, "admin").does("region demote 150800/1")?;
    desk.at(ALXA, "admin").does("region promote 150800/1")?;
    desk.at(WUHAI, "leader").refused("region hub 150000", 2, "INVALID_FIELD")?;
    ratified(desk.0, ALXA, "region rules --voting unanimous --hold-minutes-max 60", &[WUHAI, YINCHUAN])?;
    let back = proposed(desk.0, ALXA, "region hub 150300")?;
    for signer in [WUHAI, YINCHUAN] {
        desk.at(signer, "leader").gets_to(&format!("region sign {back}"))?;
    }
    let waiting = change(desk.0, ALXA, &back)?;
    ensure!(
        number(&waiting["inForce"]) == 0 && number(&waiting["needed"]) == 4,
        "three of four are not all: {waiting}"
    );
    desk.at(BAYANNUR, "leader").gets_to(&format!("region sign {back}"))?;
    in_force(desk.0, WUHAI, &back)?;
    let rules = desk.at(YINCHUAN, "duty").does("region show")?["charter"]["rules"].clone();
    ensure!(rules["voting"] == "VOTING_UNANIMOUS" && number(&rules["holdMinutesMax"]) == 60, "{rules}");
    ratified(desk.0, WUHAI, "region rules --voting two-thirds", &[ALXA, YINCHUAN, BAYANNUR])?;
    Ok(())
}

/// The lead is handed over by those who run nodes; a checkpoint is taken when they ask.
pub fn leadership(desk: &Desk<'_>) -> Result<()> {
    let leads = |at: u32| affairs::leader_of(&desk.at(at, "admin").0);
    let leader = until("somebody leads", || leads(WUHAI))?;
    let next = if leader == ALXA { YINCHUAN } else { ALXA };
    desk.at(leader, "leader").refused("region transfer", 6, "DENIED_ROLE")?;
    let said = desk.at(next, "admin").refused(&format!("region transfer {leader}/1"), 3, "NOT_LEADER")?;
    ensure!(said.contains(&leader.to_string()), "it does not say who leads: {said}");
    let answer = desk.at(leader, "admin").does(&format!("region transfer {next}/1"))?;
    ensure!(answer["leader"] == format!("{next}/1"), "{answer}");
    until("all follow the new leader", || {
        Ok((leads(WUHAI)? == Some(next) && leads(BAYANNUR)? == Some(next)).then_some(()))
    })?;
    let answer = desk.at(next, "admin").does("region transfer")?;
    ensure!(
        answer["leader"].as_str().is_some_and(|leader| leader != format!("{next}/1") && !leader.is_empty()),
        "{answer}"
    );
    desk.at(WUHAI, "admin").refused("region transfer --registry", 3, "NO_SUCCESSOR")?;
    let before = number(&region_of(&desk.at(WUHAI, "admin"))?["asOf"]["revision"]);
    for (line, least) in [("region checkpoint", before), ("region checkpoint --registry", 1)] {
        let taken = desk.at(WUHAI, "admin").does(line)?;
        ensure!(number(&taken["revision"]) >= least, "{line}: {taken}");
    }
    desk.at(WUHAI, "duty").refused("region checkpoint", 6, "DENIED_ROLE")?;
    Ok(())
}

/// A member leaves: not while something of it is open; then its node is out, whoever led, and the others go on.
pub fn removed(federation: &mut Federation) -> Result<()> {
    let desk = Desk(federation);
    let pledges = desk.at(BAYANNUR, "leader").does("pledge list")?;
    let pledge = pledges["pledges"][0]["name"].as_str().context("a pledge")?.to_owned();
    let said = desk.at(WUHAI, "leader").refused("region remove 150800", 3, "STILL_OPEN")?;
    ensure!(said.contains("pledges of 150800"), "{said}");
    desk.at(BAYANNUR, "leader").does(&format!("pledge withdraw {pledge} --qty 10 --reason 退出"))?;
    desk.await_own_pledge(BAYANNUR, &pledge, |own| own["closed"] == true)?;
    // Its node leads when it leaves.
    until("巴彦淖尔 leads", || {
        let region = region_of(&desk.at(BAYANNUR, "admin"))?;
        let leader = region["leader"].as_str().unwrap_or_default().to_owned();
        if leader == "150800/1" {
            return Ok(Some(()));
        }
        let code: u32 = leader.split('/').next().unwrap_or_default().parse()?;
        desk.at(code, "admin").does("region transfer 150800/1").map(|_| None)
    })?;
    let name = until("nothing of it is open", || proposed(desk.0, WUHAI, "region remove 150800").map(Some))?;
    for signer in [ALXA, YINCHUAN] {
        desk.at(signer, "leader").gets_to(&format!("region sign {name}"))?;
    }
    until("it is a member no longer", || {
        let members = desk.at(ALXA, "duty").does("region members")?;
        Ok((!members.to_string().contains("巴彦淖尔市")).then_some(()))
    })?;
    told_it_is_out(&desk.at(BAYANNUR, "admin"), &desk.at(BAYANNUR, "leader"))?;
    desk.lot(BAYANNUR, GOODS, 1)?;
    // Two of the three that are left are a quorum: the one that left has no vote.
    until("its vote is gone", || {
        let region = region_of(&desk.at(WUHAI, "admin"))?;
        Ok((entry(&region, "150800/1").is_null() && region["leader"] != "150800/1" && region["leader"] != "")
            .then_some(()))
    })?;
    federation.node(YINCHUAN).kill()?;
    let desk = Desk(federation);
    let lot = desk.lot(ALXA, GOODS, 3)?;
    desk.pledge(ALXA, &lot, 3)?;
    desk.ask(WUHAI, &[&format!("{GOODS}=1")], "", ALXA)?;
    Ok(())
}

/// Which settings are in force, and where each came from, in all forms.
pub fn configured(federation: &Federation) -> Result<()> {
    let config = federation.home(WUHAI).join("shouwang.toml").to_string_lossy().into_owned();
    let (charter, cert) = (federation.charter(), federation.home(WUHAI).join("tls/node.pem"));
    let (charter, cert) = (charter.to_string_lossy().into_owned(), cert.to_string_lossy().into_owned());
    for (line, mark) in
        [(["charter", "show", &charter], "乌海市"), (["pki", "show", &cert], "municipality/150300/node/1")]
    {
        for form in ["table", "json", "yaml"] {
            let shown = federation.run(&[&line[..], &["-o", form]].concat())?;
            ensure!(shown.contains(mark), "{line:?} -o {form}: {shown}");
        }
    }
    let show = ["--config", &config, "--set", "log.level=debug", "config", "show"];
    let table = federation.run(&show)?;
    ensure!(table.contains("municipality.code") && table.contains("150300"), "{table}");
    for (form, mark) in [("json", "\"log.level\""), ("yaml", "log.level")] {
        let shown = federation.run(&[&show[..], &["-o", form]].concat())?;
        ensure!(shown.contains(mark) && shown.contains("debug"), "{form}: {shown}");
    }
    Ok(())
}
