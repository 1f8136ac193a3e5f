//! Real processes under faults: what was acknowledged is found again, once, on every node.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use shouwang_cluster::affairs::joined;
use shouwang_cluster::contention::{Contention, contend};
use shouwang_cluster::federation::{self, MemberSpec, WUHAI_REGION};
use shouwang_cluster::story::{ALXA, ORDOS, Story, WUHAI, id, number, region_revision, until};
use shouwang_cluster::{Federation, Terminal};

/// The hub, 鄂尔多斯 and 阿拉善, all voting.
fn three() -> Vec<MemberSpec> {
    federation::members(&[WUHAI, ORDOS, ALXA])
}

/// A region with one request for a million suits and one pledge of a million, so that holds of one contend for both.
fn contended(federation: &mut Federation) -> Result<(String, String)> {
    let Contention { requests, pledges, .. } = contend(federation, &[1_000_000], &[WUHAI])?;
    Ok((requests.concat(), pledges.concat()))
}

/// People who hold one suit after the other, each repeating a hold under the same id until it is answered.
struct Load {
    stop: AtomicBool,
    acknowledged: Mutex<Vec<String>>,
    unanswered: AtomicU64,
}

impl Load {
    fn new() -> Self {
        Self { stop: AtomicBool::new(false), acknowledged: Mutex::default(), unanswered: AtomicU64::new(0) }
    }

    fn work(&self, terminal: &Terminal, request: &str, pledge: &str) -> Result<()> {
        while !self.stop.load(Ordering::SeqCst) {
            let (mission, request_id) = (id(), id());
            let what = ["--line", "1", "--pledge", pledge, "--qty", "1", "--mission", &mission, "--timeout", "5"];
            let command = [&["aid", "hold", request, "--request-id", &request_id][..], &what].concat();
            let patience = Instant::now() + Duration::from_mins(1);
            loop {
                let answer = terminal.try_run(&command)?;
                match answer.code {
                    0 => {
                        self.acknowledged.lock().expect("no holder panics").push(mission);
                        break;
                    }
                    // Nobody answered: the same id again, until somebody does.
                    5 | 7 if Instant::now() < patience => {
                        self.unanswered.fetch_add(1, Ordering::SeqCst);
                    }
                    code => anyhow::bail!("a hold ended with {code}: {}", answer.err),
                }
            }
        }
        Ok(())
    }
}

/// Every acknowledged hold is on every node, no hold is there twice, and the pledge adds up.
fn check(federation: &Federation, acknowledged: &[String], request: &str, pledge: &str) -> Result<()> {
    let codes: Vec<u32> = federation.members.iter().map(|member| member.code).collect();
    until("all nodes show the same", || {
        let mut lists = Vec::new();
        for code in &codes {
            let shown = federation.terminal(*code, "secretariat").run(&["aid", "show", request])?;
            let missions = shown["aidRequest"]["lines"][0]["missions"].as_array().cloned().unwrap_or_default();
            lists.push(missions.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        if lists.iter().any(|list| *list != lists[0]) {
            return Ok(None);
        }
        let mut distinct = lists[0].clone();
        distinct.sort();
        distinct.dedup();
        ensure!(distinct.len() == lists[0].len(), "a hold stands twice");
        for mission in acknowledged {
            ensure!(lists[0].iter().any(|known| known.contains(mission)), "acknowledged hold {mission} is lost");
        }
        let pledges = federation.terminal(WUHAI, "coordinator").run(&["region", "pledges"])?;
        let known = pledges["pledges"].as_array().into_iter().flatten().find(|p| p.to_string().contains(pledge));
        let held = known.map_or(0, |known| number(&known["held"]));
        ensure!(held == distinct.len() as u64, "{held} held for {} missions", distinct.len());
        Ok(Some(()))
    })
}

/// Every member, whenever it joined, gives the same paper as of earlier revisions, and the same history of the request.
fn look_back(federation: &Federation, request: &str) -> Result<()> {
    let secretariats = || federation.members.iter().map(|member| federation.terminal(member.code, "secretariat"));
    let newest = region_revision(&federation.terminal(WUHAI, "admin").run(&["region", "status"])?);
    for at in [1, newest / 2, newest].map(|at| at.to_string()) {
        until("every member gives the same paper of that revision", || {
            let papers = secretariats().map(|terminal| terminal.try_run(&["report", "region", "--at", &at]));
            let papers = papers.collect::<Result<Vec<_>>>()?;
            // One that has just joined may still wait for the beginning of the ledger.
            if papers.iter().any(|paper| paper.code != 0) {
                return Ok(None);
            }
            ensure!(papers.iter().all(|paper| paper.out == papers[0].out), "two papers of revision {at}");
            Ok(Some(()))
        })?;
    }
    until("every member tells the same history of the request", || {
        let told = secretariats().map(|terminal| terminal.run(&["ledger", "history", request]));
        let told = told.collect::<Result<Vec<_>>>()?;
        let is_whole =
            |history: &Value| number(&history["completeFrom"]) == 1 && number(&history["completeThrough"]) >= newest;
        if !told.iter().all(is_whole) {
            return Ok(None);
        }
        let records = told[0]["records"].as_array().map_or(0, Vec::len);
        ensure!(records > 2, "only {records} records about a request with many holds");
        ensure!(told.iter().all(|history| history["records"] == told[0]["records"]), "two histories");
        Ok(Some(()))
    })
}

#[test]
fn killed_nodes_forget_nothing_they_acknowledged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &three())?;
    federation.start_all()?;
    let (request, pledge) = contended(&mut federation)?;
    let load = Load::new();
    // The hub's own node stays up, so that its coordinators always have a terminal; leader or follower, the others die.
    let terminals = [federation.terminal(WUHAI, "coordinator"), federation.terminal(WUHAI, "coordinator").second()];
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            terminals.iter().map(|terminal| scope.spawn(|| load.work(terminal, &request, &pledge))).collect();
        let killed = kill_in_turn(&mut federation, &load);
        load.stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().expect("a coordinator does not panic")?;
        }
        killed
    })?;
    let acknowledged = load.acknowledged.lock().expect("no holder panics").clone();
    ensure!(acknowledged.len() > 20, "only {} holds were acknowledged", acknowledged.len());
    check(&federation, &acknowledged, &request, &pledge)?;

    // Everybody at once: restart of all.
    federation.nodes.iter_mut().try_for_each(shouwang_cluster::NodeProcess::kill)?;
    federation.start_all()?;
    check(&federation, &acknowledged, &request, &pledge)?;
    look_back(&federation, &request)?;
    println!(
        "{} acknowledged, {} unanswered calls repeated",
        acknowledged.len(),
        load.unanswered.load(Ordering::SeqCst)
    );
    Ok(())
}

/// Kills the leader if it is not the hub's node, else a follower; each time after new holds were acknowledged.
fn kill_in_turn(federation: &mut Federation, load: &Load) -> Result<()> {
    for round in 0..6 {
        let before = load.acknowledged.lock().expect("no holder panics").len();
        until("holds go on", || {
            Ok((load.acknowledged.lock().expect("no holder panics").len() > before + 3).then_some(()))
        })?;
        let leader = Story::new(federation).leader(WUHAI)?;
        let victim = if leader == WUHAI { [ORDOS, ALXA][round % 2] } else { leader };
        federation.node(victim).kill()?;
        federation.node(victim).start()?;
        federation.node(victim).wait_ready()?;
    }
    Ok(())
}

#[test]
fn a_member_joins_and_is_promoted_under_load() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let newcomer = WUHAI_REGION.iter().find(|member| member.code == 150_800).expect("巴彦淖尔 is one of the six");
    let mut federation = Federation::found(&folder.path().join("federation"), &three())?;
    federation.start_all()?;
    let (request, pledge) = contended(&mut federation)?;
    let load = Load::new();
    let terminal = federation.terminal(WUHAI, "coordinator");
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| load.work(&terminal, &request, &pledge));
        let joined = joined(&mut federation, newcomer, &[ORDOS]);
        load.stop.store(true, Ordering::SeqCst);
        worker.join().expect("a coordinator does not panic")?;
        joined
    })?;
    let acknowledged = load.acknowledged.lock().expect("no holder panics").clone();
    // One of the old voters may die now: three of four still are a quorum.
    federation.node(ORDOS).kill()?;
    let more = Load::new();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| more.work(&terminal, &request, &pledge));
        let went_on = until("holds go on without 鄂尔多斯", || {
            Ok((more.acknowledged.lock().expect("no holder panics").len() > 3).then_some(()))
        });
        more.stop.store(true, Ordering::SeqCst);
        worker.join().expect("a coordinator does not panic")?;
        went_on
    })?;
    federation.node(ORDOS).start()?;
    federation.node(ORDOS).wait_ready()?;
    let acknowledged = [acknowledged, more.acknowledged.lock().expect("no holder panics").clone()].concat();
    check(&federation, &acknowledged, &request, &pledge)?;
    look_back(&federation, &request)
}
