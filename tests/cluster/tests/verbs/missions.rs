//! Missions that do not go as planned: turned back, revoked, cancelled, recalled, withdrawn, short and damaged.

use anyhow::{Result, ensure};
use shouwang_cluster::story::{ALXA, WUHAI, number};

use crate::desk::{Desk, STORE, figure};

const GOODS: &str = "2990511";

/// A lot of Alxa's with 100, of which 60 are pledged, and a request of Wuhai's for 60.
struct Ground {
    lot: String,
    pledge: String,
    request: String,
}

impl Ground {
    fn new(desk: &Desk<'_>, resource: &str) -> Result<Self> {
        let lot = desk.lot(ALXA, resource, 100)?;
        let pledge = desk.pledge(ALXA, &lot, 60)?;
        let request = desk.ask(WUHAI, &[&format!("{resource}=60")], "", ALXA)?;
        Ok(Self { lot, pledge, request })
    }

    fn line(&self) -> (&str, u32, &str) {
        (&self.request, 1, &self.pledge)
    }
}

/// Plays all of them.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    let ground = Ground::new(desk, GOODS)?;
    turned_back(desk, &ground)?;
    revoked(desk, &ground)?;
    cancelled(desk, &ground)?;
    recalled(desk, &ground)?;
    picked_and_demobilised(desk, &ground)
}

/// Part of a load comes back undelivered, then a whole one.
fn turned_back(desk: &Desk<'_>, ground: &Ground) -> Result<()> {
    let (alxa, wuhai) = (desk.at(ALXA, "keeper"), desk.at(WUHAI, "keeper"));
    let mission = desk.dispatched(ALXA, ground.line(), 10)?;
    desk.await_stock(ALXA, &ground.lot, &[("LOCAL", 40), ("PLEDGED", 50), ("IN_TRANSIT", 10)])?;
    alxa.does(&format!("mission turn-back {mission} --qty 4"))?;
    let seen = desk.await_mission(WUHAI, &mission, |seen| number(&seen["amounts"]["turnedBack"]) == 4)?;
    figure(&seen["amounts"], "outstanding", 6)?;
    desk.await_own(WUHAI, &mission, |own| number(&own["turnedBack"]) == 4)?;
    desk.await_stock(ALXA, &ground.lot, &[("LOCAL", 44), ("PLEDGED", 50), ("IN_TRANSIT", 6)])?;
    // Totals to date: less than before is a slip of the pen, more than is on the road cannot be.
    alxa.refused(&format!("mission turn-back {mission} --qty 3"), 3, "NOT_ENOUGH")?;
    alxa.refused(&format!("mission turn-back {mission} --qty 11"), 3, "NOT_ENOUGH")?;
    wuhai.does(&format!("mission receive {mission} --store {STORE} --good 6"))?;
    desk.await_stock(ALXA, &ground.lot, &[("IN_TRANSIT", 0), ("ON_LOAN", 6)])?;
    wuhai.does(&format!("mission send-back {mission} --total 6"))?;
    alxa.gets_to(&format!("mission take-back {mission} --good 6"))?;
    desk.await_state(WUHAI, &mission, "ACCOUNTED")?;
    desk.await_stock(ALXA, &ground.lot, &[("LOCAL", 50), ("PLEDGED", 50), ("ON_LOAN", 0), ("IN_TRANSIT", 0)])?;

    let whole = desk.dispatched(ALXA, ground.line(), 5)?;
    alxa.does(&format!("mission turn-back {whole} --qty 5"))?;
    desk.await_state(WUHAI, &whole, "TURNED_BACK")?;
    desk.await_stock(ALXA, &ground.lot, &[("LOCAL", 55), ("PLEDGED", 45), ("IN_TRANSIT", 0)])?;
    // What came back takes nothing off the need; what arrived does.
    let line = desk.await_line(WUHAI, (&ground.request, 1), |line| number(&line["held"]) == 6)?;
    figure(&line, "dispatched", 15)
}

/// The owner takes a commitment back before departure: the line reopens, the pledge is free again.
fn revoked(desk: &Desk<'_>, ground: &Ground) -> Result<()> {
    let leader = desk.at(ALXA, "leader");
    let mission = desk.committed(&ground.request, 1, &ground.pledge, 8)?;
    desk.await_pledge(WUHAI, &ground.pledge, |seen| number(&seen["held"]) == 8 && number(&seen["free"]) == 37)?;
    desk.await_stock(ALXA, &ground.lot, &[("PLEDGED", 37), ("HELD", 8)])?;
    desk.at(ALXA, "keeper").refused(&format!("mission revoke {mission} --reason 本地险情"), 6, "DENIED_ROLE")?;
    desk.at(WUHAI, "leader").refused(&format!("mission revoke {mission} --reason 本地险情"), 6, "NOT_YOURS")?;
    leader.does(&format!("mission revoke {mission} --reason 本地险情"))?;
    desk.await_state(WUHAI, &mission, "REVOKED")?;
    desk.await_own(WUHAI, &mission, |own| own["ended"] == true)?;
    desk.await_stock(ALXA, &ground.lot, &[("PLEDGED", 45), ("HELD", 0)])?;
    desk.await_pledge(WUHAI, &ground.pledge, |seen| number(&seen["held"]) == 0 && number(&seen["free"]) == 45)?;
    let dispatch = format!("mission dispatch {mission} --qty 8 --seal 封1");
    desk.at(ALXA, "keeper").refused(&dispatch, 3, "WRONG_STATE")?;
    leader.refused(&format!("mission revoke {mission} --reason 再次"), 3, "WRONG_STATE")?;
    // The line takes the same quantity again.
    let again = desk.hold(&ground.request, 1, &ground.pledge, 8)?;
    desk.at(WUHAI, "duty").does(&format!("aid release {again}"))?;
    desk.await_state(ALXA, &again, "HOLD_RELEASED")?;
    Ok(())
}

/// Cancelling takes effect only when the owner says that nothing left.
fn cancelled(desk: &Desk<'_>, ground: &Ground) -> Result<()> {
    let keeper = desk.at(ALXA, "keeper");
    let mission = desk.committed(&ground.request, 1, &ground.pledge, 7)?;
    keeper.refused(&format!("mission ack-cancel {mission}"), 3, "WRONG_STATE")?;
    desk.at(ALXA, "leader").refused(&format!("mission cancel {mission} --reason 不再需要"), 6, "NOT_YOURS")?;
    desk.at(WUHAI, "leader").does(&format!("mission cancel {mission} --reason 不再需要"))?;
    desk.await_state(ALXA, &mission, "CANCELLING")?;
    desk.await_own(ALXA, &mission, |own| own["cancelRequested"] == true)?;
    desk.await_pledge(WUHAI, &ground.pledge, |seen| number(&seen["held"]) == 7 && number(&seen["free"]) == 38)?;
    desk.await_stock(ALXA, &ground.lot, &[("PLEDGED", 38), ("HELD", 7)])?;
    keeper.refused(&format!("mission dispatch {mission} --qty 7 --seal 封2"), 3, "WRONG_STATE")?;
    keeper.does(&format!("mission ack-cancel {mission}"))?;
    desk.await_state(WUHAI, &mission, "CANCELLED")?;
    desk.await_pledge(WUHAI, &ground.pledge, |seen| number(&seen["held"]) == 0 && number(&seen["free"]) == 45)?;
    desk.await_stock(ALXA, &ground.lot, &[("PLEDGED", 45), ("HELD", 0)])?;
    desk.await_own(WUHAI, &mission, |own| own["ended"] == true)?;
    Ok(())
}

/// After departure a cancellation is a request to return.
fn recalled(desk: &Desk<'_>, ground: &Ground) -> Result<()> {
    let keeper = desk.at(ALXA, "keeper");
    let mission = desk.dispatched(ALXA, ground.line(), 6)?;
    desk.at(WUHAI, "coordinator").does(&format!("mission cancel {mission} --reason 已由邻区解决"))?;
    desk.await_mission(ALXA, &mission, |seen| seen["recalled"] == true && seen["state"] == "MISSION_STATE_DISPATCHED")?;
    desk.await_own(ALXA, &mission, |own| own["cancelRequested"] == true)?;
    keeper.refused(&format!("mission ack-cancel {mission}"), 3, "WRONG_STATE")?;
    keeper.does(&format!("mission turn-back {mission} --qty 6"))?;
    desk.await_state(WUHAI, &mission, "TURNED_BACK")?;
    desk.await_stock(ALXA, &ground.lot, &[("LOCAL", 61), ("PLEDGED", 39), ("IN_TRANSIT", 0)])?;
    Ok(())
}

/// Picked, at work, not needed any longer, and back.
fn picked_and_demobilised(desk: &Desk<'_>, ground: &Ground) -> Result<()> {
    let (alxa, wuhai) = (desk.at(ALXA, "keeper"), desk.at(WUHAI, "keeper"));
    let mission = desk.committed(&ground.request, 1, &ground.pledge, 4)?;
    alxa.does(&format!("mission pick {mission}"))?;
    desk.await_state(WUHAI, &mission, "PICKING")?;
    alxa.does(&format!("mission dispatch {mission} --qty 4 --seal 封3"))?;
    alxa.refused(&format!("mission pick {mission}"), 3, "WRONG_STATE")?;
    wuhai.gets_to(&format!("mission receive {mission} --store {STORE} --good 4"))?;
    wuhai.does(&format!("mission start {mission}"))?;
    desk.await_state(ALXA, &mission, "ON_SITE")?;
    wuhai.refused(&format!("mission use {mission} --consumed 5"), 3, "NOT_ENOUGH")?;
    desk.at(WUHAI, "duty").does(&format!("mission demobilise {mission}"))?;
    desk.await_state(ALXA, &mission, "DEMOBILISED")?;
    desk.await_own(ALXA, &mission, |own| own["demobilised"] == true)?;
    wuhai.does(&format!("mission send-back {mission} --total 4"))?;
    alxa.gets_to(&format!("mission take-back {mission} --good 4"))?;
    let seen = desk.await_state(WUHAI, &mission, "ACCOUNTED")?;
    ensure!(seen["accountedAt"].is_string(), "no time of accounting: {seen}");
    Ok(())
}

/// A team, which its leader takes out of danger.
pub fn team_withdrawn(desk: &Desk<'_>) -> Result<()> {
    let team = desk.team(ALXA, "team:hazmat")?;
    let pledge = desk.pledge(ALXA, &team, 1)?;
    let request = desk.ask(WUHAI, &["team:hazmat=1"], "", ALXA)?;
    let mission = desk.delivered(ALXA, (&request, 1, &pledge), 1)?;
    desk.at(WUHAI, "duty").does(&format!("mission start {mission}"))?;
    desk.await_state(ALXA, &mission, "ON_SITE")?;
    desk.at(ALXA, "duty").does(&format!("mission withdraw {mission} --reason 二次泄漏"))?;
    desk.await_state(WUHAI, &mission, "DEMOBILISED")?;
    desk.await_own(ALXA, &mission, |own| own["demobilised"] == true)?;
    desk.await_own(WUHAI, &mission, |own| own["demobilised"] == true)?;
    desk.at(WUHAI, "keeper").does(&format!("mission send-back {mission} --total 1"))?;
    desk.at(ALXA, "keeper").gets_to(&format!("mission take-back {mission} --good 1"))?;
    desk.await_state(WUHAI, &mission, "ACCOUNTED")?;
    desk.await_stock(ALXA, &team, &[("LOCAL", 1), ("PLEDGED", 0), ("ON_LOAN", 0)])?;
    debts_for_service(desk, &mission)?;
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    Ok(())
}

/// Hours of the team: claimed, disputed, claimed again, recognised, said to be paid, not there, paid, settled.
fn debts_for_service(desk: &Desk<'_>, mission: &str) -> Result<()> {
    let (creditor, debtor) = (desk.at(ALXA, "leader"), desk.at(WUHAI, "leader"));
    let debt = format!("{mission}/service");
    let is = |state: &'static str| move |seen: &serde_json::Value| seen["state"] == format!("OBLIGATION_STATE_{state}");
    creditor.refused(&format!("obligation claim {mission} --kind service --evidence 工时单1"), 2, "INVALID_FIELD")?;
    debtor.refused(&format!("obligation claim {debt} --amount 100 --evidence 工时单1"), 6, "NOT_YOURS")?;
    creditor.does(&format!("obligation claim {mission} --kind service --amount 12000.50 --evidence 工时单1"))?;
    let seen = desk.await_debt(WUHAI, &debt, is("CLAIMED"))?;
    ensure!(number(&seen["amountFen"]) == 1_200_050, "{seen}");
    creditor.refused(&format!("obligation recognise {debt}"), 6, "NOT_YOURS")?;
    debtor.does(&format!("obligation dispute {debt} --reason 多计四小时"))?;
    let seen = desk.await_debt(ALXA, &debt, is("DISPUTED"))?;
    ensure!(seen["dispute"] == "多计四小时", "{seen}");
    creditor.does(&format!("obligation claim {debt} --amount 11000 --evidence 工时单2"))?;
    let seen = desk.await_debt(WUHAI, &debt, is("CLAIMED"))?;
    ensure!(number(&seen["amountFen"]) == 1_100_000, "the second claim is of another amount: {seen}");
    debtor.does(&format!("obligation recognise {debt} --in-money"))?;
    debtor.does(&format!("obligation pay {debt} --evidence 付款单1"))?;
    desk.await_debt(ALXA, &debt, is("PAID"))?;
    debtor.refused(&format!("obligation confirm {debt}"), 6, "NOT_YOURS")?;
    creditor.does(&format!("obligation confirm {debt} --not-received"))?;
    desk.await_debt(WUHAI, &debt, is("RECOGNISED"))?;
    debtor.does(&format!("obligation pay {debt} --evidence 付款单2"))?;
    creditor.gets_to(&format!("obligation confirm {debt}"))?;
    let seen = desk.await_debt(WUHAI, &debt, is("SETTLED"))?;
    ensure!(seen["settledAt"].is_string() && seen["inMoney"] == true, "{seen}");
    Ok(())
}
