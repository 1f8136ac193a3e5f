//! Shizuishan is cut off: it breaks the glass, its trucks leave on a spoken word, and what it did fits back in once.

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::story::{ALXA, SHIZUISHAN, WUHAI, YINCHUAN, number};

use crate::desk::{Desk, STORE, id};

const GOODS: &str = "2990551";

/// Plays both stories, one after the other on the same lot.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    let lot = desk.lot(SHIZUISHAN, GOODS, 30)?;
    let pledge = desk.pledge(SHIZUISHAN, &lot, 20)?;
    glass_broken(desk, &lot, &pledge)?;
    sent_on_a_spoken_word(desk, &lot, &pledge)?;
    both_ahead(desk)
}

/// Cut off and in danger, the owner takes pledged stock; afterwards all see what is missing, until it is put back.
fn glass_broken(desk: &Desk<'_>, lot: &str, pledge: &str) -> Result<()> {
    let (keeper, leader) = (desk.at(SHIZUISHAN, "keeper"), desk.at(SHIZUISHAN, "leader"));
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=12")], "", SHIZUISHAN)?;
    let signed = desk.committed(&request, 1, pledge, 4)?;
    let held = desk.hold(&request, 1, pledge, 8)?;
    desk.await_own(SHIZUISHAN, &signed, |own| number(&own["committed"]) == 4)?;
    desk.0.cut(SHIZUISHAN, true);
    keeper.refused(&format!("pledge break-glass {pledge} --qty 17 --reason 人命关天"), 3, "NOT_ENOUGH")?;
    keeper.does(&format!("pledge break-glass {pledge} --qty 12 --reason 人命关天"))?;
    desk.await_stock(SHIZUISHAN, lot, &[("LOCAL", 10), ("PLEDGED", 4), ("HELD", 4), ("OVERDRAWN", 12)])?;
    // What needs the shared order is not to be had now, and the terminal says so.
    desk.out_of_touch(SHIZUISHAN)?;
    let claim = format!("obligation claim {signed} --evidence 单1 --timeout 2");
    let said = leader.refused(&claim, 5, "NO_LEADER")?;
    ensure!(!said.contains("outcome is unknown"), "nothing was sent, so nothing is unknown: {said}");
    let asked = desk
        .at(SHIZUISHAN, "duty")
        .does("aid request --line 2990559=1 --subject 断线求援 --place 惠农区 --needed-by +4h --until +1d")?;
    ensure!(asked["outcome"]["awaitsRegion"] == true, "{asked}");
    desk.await_pledge(WUHAI, pledge, |seen| number(&seen["overdrawn"]) == 0 && number(&seen["held"]) == 12)?;
    desk.0.cut(SHIZUISHAN, false);
    // 20 pledged, 12 overdrawn: what is free goes first, then the newest hold without a signature.
    let asked = asked["aidRequest"].as_str().unwrap_or_default().to_owned();
    desk.await_line(WUHAI, (&asked, 1), |line| line["state"] == "LINE_STATE_OPEN")?;
    for member in [WUHAI, ALXA, YINCHUAN, SHIZUISHAN] {
        let seen = desk.await_pledge(member, pledge, |seen| number(&seen["overdrawn"]) == 12)?;
        ensure!(number(&seen["held"]) == 4 && number(&seen["free"]) == 4, "{seen}");
    }
    desk.await_state(WUHAI, &held, "HOLD_RELEASED")?;
    desk.await_state(WUHAI, &signed, "COMMITTED")?;
    leader.refused(&format!("pledge cover {pledge} --qty 13"), 3, "NOT_ENOUGH")?;
    leader.refused(&format!("pledge cover {pledge} --qty 12"), 3, "NOT_ENOUGH")?;
    keeper.does(&format!("stock receive {lot} 2 --document 入1"))?;
    leader.does(&format!("pledge cover {pledge} --qty 12"))?;
    desk.await_pledge(ALXA, pledge, |seen| number(&seen["overdrawn"]) == 0 && number(&seen["free"]) == 16)?;
    desk.await_stock(SHIZUISHAN, lot, &[("LOCAL", 0), ("PLEDGED", 16), ("HELD", 4), ("CONSUMED", 12)])?;
    leader.does(&format!("mission revoke {signed} --reason 本地险情"))?;
    desk.await_state(WUHAI, &signed, "REVOKED")?;
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    Ok(())
}

/// The order cannot reach the holder; it sends on the eight digits, the hub writes down what it heard, and the goods
/// arrive before the region knows that they left.
fn sent_on_a_spoken_word(desk: &Desk<'_>, lot: &str, pledge: &str) -> Result<()> {
    let (keeper, hub) = (desk.at(SHIZUISHAN, "keeper"), desk.at(WUHAI, "coordinator"));
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=6")], "", SHIZUISHAN)?;
    let mission = desk.hold(&request, 1, pledge, 6)?;
    desk.await_state(SHIZUISHAN, &mission, "HELD")?;
    desk.0.cut(SHIZUISHAN, true);
    desk.at(WUHAI, "leader").does(&format!("aid order {mission} --spoken"))?;
    let seen = desk.await_state(WUHAI, &mission, "ORDERED")?;
    let code = seen["spokenCode"].as_str().context("a spoken code")?.to_owned();
    let dispatch = format!("mission dispatch {mission} --qty 6 --seal 封5");
    keeper.refused(&dispatch, 4, "NOT_FOUND")?;
    let wrong = if code == "00000000" { "11111111" } else { "00000000" };
    let spoken = "--spoken-reason 断线，电话下令";
    keeper.refused(&format!("{dispatch} --spoken-code {wrong} {spoken}"), 2, "INVALID_FIELD")?;
    keeper.does(&format!("{dispatch} --spoken-code {code} {spoken}"))?;
    desk.await_stock(SHIZUISHAN, lot, &[("PLEDGED", 14), ("IN_TRANSIT", 6)])?;
    keeper.refused(&format!("{dispatch} --spoken-code {code} {spoken}"), 3, "WRONG_STATE")?;
    hub.refused(&format!("mission relay {mission} --code {wrong} --qty 6"), 2, "INVALID_FIELD")?;
    hub.does(&format!("mission relay {mission} --code {code} --qty 6"))?;
    let seen = desk.await_mission(ALXA, &mission, |seen| number(&seen["relayed"]) == 6)?;
    ensure!(number(&seen["amounts"]["dispatched"]) == 0, "{seen}");
    desk.at(WUHAI, "keeper").gets_to(&format!("mission receive {mission} --store {STORE} --good 6"))?;
    desk.await_mission(ALXA, &mission, |seen| number(&seen["amounts"]["receivedGood"]) == 6)?;
    desk.0.cut(SHIZUISHAN, false);
    let seen = desk.await_mission(WUHAI, &mission, |seen| number(&seen["amounts"]["dispatched"]) == 6)?;
    ensure!(number(&seen["amounts"]["outstanding"]) == 6 && seen["state"] == "MISSION_STATE_DELIVERED", "{seen}");
    desk.await_stock(SHIZUISHAN, lot, &[("PLEDGED", 14), ("IN_TRANSIT", 0), ("ON_LOAN", 6), ("HELD", 0)])?;
    desk.await_pledge(WUHAI, pledge, |seen| number(&seen["total"]) == 14 && number(&seen["held"]) == 0)?;
    // It left before its registry had seen the order: people say that this was in order.
    desk.agree(&format!("{mission}/dispatched_uncommitted"), (SHIZUISHAN, WUHAI), 0)?;
    desk.at(WUHAI, "keeper").does(&format!("mission send-back {mission} --total 6"))?;
    keeper.gets_to(&format!("mission take-back {mission} --good 6"))?;
    desk.await_state(WUHAI, &mission, "ACCOUNTED")?;
    let leader = desk.at(WUHAI, "leader");
    leader.refused(&format!("aid close {request}"), 3, "PAPER_OWED")?;
    leader.second().does(&format!("aid confirm-paper {mission}"))?;
    leader.does(&format!("aid close {request}"))?;
    Ok(())
}

/// The requester is cut off before anybody ordered: Alxa sends and Shizuishan receives, both on the spoken word alone.
fn both_ahead(desk: &Desk<'_>) -> Result<()> {
    let (alxa, shizuishan) = (desk.at(ALXA, "keeper"), desk.at(SHIZUISHAN, "keeper"));
    let lot = desk.lot(ALXA, GOODS, 5)?;
    let pledge = desk.pledge(ALXA, &lot, 5)?;
    let request = desk.ask(SHIZUISHAN, &[&format!("{GOODS}=5")], "", ALXA)?;
    let mission = desk.hold(&request, 1, &pledge, 5)?;
    let seen = desk.await_state(SHIZUISHAN, &mission, "HELD")?;
    desk.await_state(ALXA, &mission, "HELD")?;
    let code = seen["spokenCode"].as_str().context("a spoken code")?.to_owned();
    desk.0.cut(SHIZUISHAN, true);
    let spoken = format!("--spoken-code {code} --spoken-reason 请求方断线");
    let receive = format!("mission receive {mission} --store {STORE} --good 5");
    alxa.does(&format!("mission dispatch {mission} --qty 5 --seal 封6 {spoken}"))?;
    shizuishan.refused(&receive, 4, "NOT_FOUND")?;
    shizuishan.does(&format!("{receive} {spoken}"))?;
    let own = desk.await_own(SHIZUISHAN, &mission, |own| own["ahead"] == true)?;
    ensure!(number(&own["receivedGood"]) == 5 && own["holder"] == "152900", "{own}");
    desk.await_mission(WUHAI, &mission, |seen| number(&seen["amounts"]["dispatched"]) == 5)?;
    desk.0.cut(SHIZUISHAN, false);
    let seen = desk.await_state(WUHAI, &mission, "DELIVERED")?;
    ensure!(number(&seen["amounts"]["receivedGood"]) == 5 && number(&seen["amounts"]["dispatched"]) == 5, "{seen}");
    desk.await_stock(ALXA, &lot, &[("PLEDGED", 0), ("ON_LOAN", 5), ("IN_TRANSIT", 0)])?;
    desk.agree(&format!("{mission}/dispatched_uncommitted"), (ALXA, SHIZUISHAN), 0)?;
    shizuishan.does(&format!("mission use {mission} --consumed 5"))?;
    desk.await_state(ALXA, &mission, "ACCOUNTED")?;
    desk.await_own(ALXA, &mission, |own| number(&own["owed"]) == 5)?;
    desk.await_stock(ALXA, &lot, &[("ON_LOAN", 0), ("CONSUMED", 5)])?;
    restocked(desk, &mission)?;
    let none = desk.at(SHIZUISHAN, "leader").does("pledge shortfalls")?;
    ensure!(none["shortfalls"].as_array().is_none_or(Vec::is_empty), "{none}");
    Ok(())
}

/// Five are owed: four of the first five that come are as good as what was lent, and the fifth follows.
fn restocked(desk: &Desk<'_>, mission: &str) -> Result<()> {
    let (keeper, debt) = (desk.at(ALXA, "keeper"), format!("{mission}/goods"));
    desk.at(ALXA, "leader").refused(
        &format!("obligation claim {mission} --amount 1 --evidence 单1"),
        2,
        "INVALID_FIELDS",
    )?;
    desk.at(ALXA, "leader").does(&format!("obligation claim {mission} --evidence 交接单1"))?;
    desk.at(SHIZUISHAN, "leader").gets_to(&format!("obligation recognise {mission}"))?;
    desk.at(SHIZUISHAN, "leader").refused(&format!("obligation pay {mission} --evidence 付1"), 3, "MISMATCH")?;
    for (came, accepted, open) in [(5, 4, 1), (1, 1, 0)] {
        let lot = id();
        let receive = format!("restock receive {mission} --qty {came} --store {STORE} --id {lot}");
        keeper.does(&receive)?;
        desk.at(SHIZUISHAN, "keeper").refused(&receive, 6, "NOT_YOURS")?;
        let verify = format!("restock verify {lot} --accepted {accepted} --rejected {}", came - accepted);
        keeper.refused(&verify, 6, "SAME_PERSON")?;
        keeper.second().refused(&format!("restock verify {lot} --accepted {}", came + 1), 3, "NOT_ENOUGH")?;
        keeper.second().does(&verify)?;
        keeper.second().refused(&verify, 3, "WRONG_STATE")?;
        desk.await_debt(SHIZUISHAN, &debt, |seen| number(&seen["quantityOpen"]) == open)?;
        desk.await_stock(ALXA, &lot, &[("LOCAL", accepted), ("RETURNED", came - accepted)])?;
    }
    desk.await_debt(SHIZUISHAN, &debt, |seen| seen["state"] == "OBLIGATION_STATE_SETTLED")?;
    Ok(())
}
