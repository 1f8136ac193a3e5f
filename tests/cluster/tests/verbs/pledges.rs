//! What is promised: withdrawn, expired, above and below the floor, and what cannot be promised at all.

use anyhow::{Result, ensure};
use shouwang_cluster::story::{ALXA, WUHAI, YINCHUAN, number};

use crate::desk::{Desk, STORE, id};

const GOODS: &str = "2990541";
const SUITS: &str = "2990542";

/// Plays all of them.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    let expiring = expiring(desk)?;
    withdrawn(desk)?;
    not_pledgeable(desk)?;
    floors(desk)?;
    expired(desk, &expiring)
}

/// Part, the whole, and more than is free.
fn withdrawn(desk: &Desk<'_>) -> Result<()> {
    let leader = desk.at(ALXA, "leader");
    let lot = desk.lot(ALXA, GOODS, 20)?;
    let pledge = desk.pledge(ALXA, &lot, 20)?;
    leader.refused(&format!("pledge make --lot {lot} --qty 1 --until +2d"), 3, "NOT_ENOUGH")?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=8")], "", ALXA)?;
    leader.does(&format!("pledge withdraw {pledge} --qty 5 --reason 本地需要"))?;
    desk.await_stock(ALXA, &lot, &[("LOCAL", 5), ("PLEDGED", 15)])?;
    let mission = desk.hold(&request, 1, &pledge, 8)?;
    desk.await_pledge(ALXA, &pledge, |seen| number(&seen["held"]) == 8)?;
    // Seven are free; asked for ten of fifteen, the region gives what is free.
    leader.does(&format!("pledge withdraw {pledge} --qty 10 --reason 本地需要"))?;
    desk.await_stock(ALXA, &lot, &[("LOCAL", 12), ("PLEDGED", 8)])?;
    let said = leader.refused(&format!("pledge withdraw {pledge} --qty 2 --reason 再要"), 3, "NOT_ENOUGH")?;
    ensure!(said.contains("only 0 free"), "{said}");
    // All of it: no more holds, and what is held now goes back when it becomes free.
    leader.refused(&format!("pledge withdraw {pledge} --qty 8 --reason 全部"), 3, "NOT_ENOUGH")?;
    desk.at(WUHAI, "coordinator").does(&format!("aid release {mission}"))?;
    desk.await_pledge(ALXA, &pledge, |seen| number(&seen["free"]) == 8)?;
    leader.does(&format!("pledge withdraw {pledge} --qty 8 --reason 全部"))?;
    desk.await_own_pledge(ALXA, &pledge, |own| own["closed"] == true)?;
    desk.await_stock(ALXA, &lot, &[("LOCAL", 20), ("PLEDGED", 0)])?;
    let hold = format!("aid hold {request} --line 1 --pledge {pledge} --qty 1");
    desk.at(WUHAI, "coordinator").refused(&hold, 3, "TOO_LATE")?;
    leader.refused(&format!("pledge withdraw {} --qty 1 --reason 无", id()), 4, "NOT_FOUND")?;
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    Ok(())
}

/// Uncoded, not inspected, too old, and another's.
fn not_pledgeable(desk: &Desk<'_>) -> Result<()> {
    let (keeper, leader) = (desk.at(ALXA, "keeper"), desk.at(ALXA, "leader"));
    let pledge = |lot: &str| format!("pledge make --lot {lot} --qty 1 --until +2d");
    let (uncoded, waiting, old) = (id(), id(), id());
    let add = format!("--qty 3 --unit 套 --store {STORE}");
    keeper.does(&format!("stock add 无码物资 {add} --id {uncoded}"))?;
    leader.refused(&pledge(&uncoded), 3, "NOT_PLEDGEABLE")?;
    keeper
        .does(&format!("stock add 待检物资 {add} --resource {GOODS} --condition awaiting-inspection --id {waiting}"))?;
    leader.refused(&pledge(&waiting), 3, "NOT_PLEDGEABLE")?;
    keeper.does(&format!("stock add 过期物资 {add} --resource {GOODS} --expires 2020-01-01 --id {old}"))?;
    leader.refused(&pledge(&old), 3, "NOT_PLEDGEABLE")?;
    leader.refused(&pledge(&id()), 4, "NOT_FOUND")?;
    keeper.refused(&pledge(&uncoded), 6, "DENIED_ROLE")?;
    Ok(())
}

/// Yinchuan keeps ten, under red thirty: above the floor it promises, below it only with its leader's reason.
fn floors(desk: &Desk<'_>) -> Result<()> {
    let (leader, keeper) = (desk.at(YINCHUAN, "leader"), desk.at(YINCHUAN, "keeper"));
    let lot = desk.lot(YINCHUAN, SUITS, 40)?;
    leader.does(&format!("publish set {SUITS} --as exact"))?;
    keeper.refused(&format!("floor set {SUITS} --none 10"), 6, "DENIED_ROLE")?;
    leader.does(&format!("floor set {SUITS} --none 10 --orange 20 --red 38"))?;
    leader.refused(&format!("pledge make --lot {lot} --qty 31 --until +2d"), 3, "BELOW_FLOOR")?;
    let pledge = desk.pledge(YINCHUAN, &lot, 10)?;
    let left = leader.does(&format!("floor show {SUITS}"))?;
    ensure!(number(&left["left"]["usable"]) == 30 && number(&left["left"]["pledgeable"]) == 20, "{left}");
    // A raised floor never claws a pledge back, it only keeps what is left.
    leader.does("warning set red")?;
    let left = leader.does(&format!("floor show {SUITS}"))?;
    ensure!(left["warning"] == "WARNING_RED" && number(&left["left"]["pledgeable"]) == 0, "{left}");
    desk.await_own_pledge(YINCHUAN, &pledge, |own| number(&own["pledged"]) == 10)?;
    leader.refused(&format!("pledge make --lot {lot} --qty 1 --until +2d"), 3, "BELOW_FLOOR")?;
    let request = desk.ask(WUHAI, &[&format!("{SUITS}=20")], "", YINCHUAN)?;
    let answer = format!("aid answer {request} --line 1 --yes");
    let said = leader.refused(&format!("{answer} --accept 5 --offer auto"), 3, "BELOW_FLOOR")?;
    ensure!(said.contains("LEFT FOR US") && said.contains("this crosses the floor"), "{said}");
    let said = leader.refused(&format!("{answer} --accept 31 --offer auto"), 2, "OFFER")?;
    ensure!(said.contains("wanted 31, there is 30"), "{said}");
    leader.refused(&format!("{answer} --accept 5 --offer {lot}=5"), 3, "BELOW_FLOOR")?;
    leader.does(&format!("{answer} --decline 本市化工园区红色预警，防护服低于保底"))?;
    desk.await_line(ALXA, (&request, 1), |line| {
        line["answers"][0]["reason"] == "本市化工园区红色预警，防护服低于保底"
    })?;
    // The leader may cross it, with a reason that is kept.
    let crossed = id();
    let cross = format!("pledge make --lot {lot} --qty 5 --until +2d --id {crossed} --cross-floor 自治区要求");
    leader.does(&cross)?;
    desk.await_pledge(WUHAI, &crossed, |seen| number(&seen["free"]) == 5)?;
    leader.does("warning set none")?;
    let shown = leader.does("warning show")?;
    ensure!(shown["warning"] == "WARNING_NONE", "{shown}");
    leader.does(&format!("{answer} --accept 5 --offer auto"))?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 20), ("PLEDGED", 20)])?;
    published(desk)?;
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    Ok(())
}

/// What the region may see of it: exactly, in bands, on asking, not at all.
fn published(desk: &Desk<'_>) -> Result<()> {
    let leader = desk.at(YINCHUAN, "leader");
    let shows = |form: &'static str| {
        let hub = desk.at(WUHAI, "duty");
        shouwang_cluster::story::until(form, || {
            let seen = hub.does(&format!("region published --resource {SUITS} --member {YINCHUAN}"))?;
            let figure = &seen["published"][0]["figure"]["form"];
            Ok((figure.as_str().unwrap_or("none") == form).then_some(()))
        })
    };
    shows("FIGURE_FORM_EXACT")?;
    for (how, form) in [("banded", "FIGURE_FORM_AT_LEAST"), ("ask-us", "FIGURE_FORM_ASK_US"), ("hidden", "none")] {
        leader.does(&format!("publish set {SUITS} --as {how}"))?;
        leader.does("publish refresh")?;
        shows(form)?;
    }
    Ok(())
}

/// A pledge that stands for some seconds only.
fn expiring(desk: &Desk<'_>) -> Result<(String, String)> {
    let lot = desk.lot(ALXA, GOODS, 5)?;
    let pledge = id();
    let leader = desk.at(ALXA, "leader");
    leader.refused(&format!("pledge make --lot {lot} --qty 5 --until 2020-01-01T00:00"), 3, "TOO_LATE")?;
    leader.does(&format!("pledge make --lot {lot} --qty 5 --until +5s --id {pledge}"))?;
    Ok((lot, pledge))
}

/// It has expired: the region gave it back by itself.
fn expired(desk: &Desk<'_>, (lot, pledge): &(String, String)) -> Result<()> {
    desk.await_own_pledge(ALXA, pledge, |own| own["closed"] == true && number(&own["pledged"]) == 0)?;
    desk.await_stock(ALXA, lot, &[("LOCAL", 5), ("PLEDGED", 0)])?;
    desk.await_pledge(WUHAI, pledge, |seen| seen["closing"] == true && number(&seen["total"]) == 0)?;
    Ok(())
}
