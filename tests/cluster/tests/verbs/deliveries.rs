//! What arrives is not what left: short, damaged on the way, damaged on the way back; and what both sides find about it.

use anyhow::{Result, ensure};
use shouwang_cluster::story::{ALXA, WUHAI, number};

use crate::desk::{Desk, STORE, figure};

const GOODS: &str = "2990521";

/// Plays all of them on one request, which is closed in the end.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    let lot = desk.lot(ALXA, GOODS, 40)?;
    let pledge = desk.pledge(ALXA, &lot, 40)?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=40")], "", ALXA)?;
    short(desk, &lot, (&request, 1, &pledge))?;
    damaged(desk, (&request, 1, &pledge))?;
    damaged_on_return(desk, (&request, 1, &pledge))?;
    desk.await_stock(ALXA, &lot, &[("PLEDGED", 10), ("LOCAL", 25), ("REPAIR", 3), ("LOST", 2), ("ON_LOAN", 0)])?;
    let said = desk.at(WUHAI, "leader").refused(&format!("aid close {request}"), 3, "STILL_OPEN")?;
    ensure!(said.contains("obligation"), "{said}");
    settle_in_money(desk, &request)
}

/// Ten left, ten were handed over by the carrier's word, eight arrived.
fn short(desk: &Desk<'_>, lot: &str, of: (&str, u32, &str)) -> Result<()> {
    let (alxa, wuhai) = (desk.at(ALXA, "keeper"), desk.at(WUHAI, "keeper"));
    let mission = desk.dispatched(ALXA, of, 10)?;
    alxa.refused(&format!("mission hand-over {mission} --qty 11"), 3, "NOT_ENOUGH")?;
    alxa.does(&format!("mission hand-over {mission} --qty 10"))?;
    wuhai.gets_to(&format!("mission receive {mission} --store {STORE} --good 8"))?;
    let name = format!("{mission}/delivery_short");
    let seen = desk.await_discrepancy(ALXA, &name, |seen| seen["closedAt"].is_null())?;
    ensure!(number(&seen["quantity"]) == 2 && seen["needsFinding"] == true, "{seen}");
    let line = desk.await_line(ALXA, (of.0, 1), |line| line["state"] == "LINE_STATE_DISPUTED")?;
    figure(&line, "received", 8)?;
    // Nobody agrees with himself, and nobody bears more than there is.
    let (leader, other) = (desk.at(WUHAI, "leader"), desk.at(ALXA, "leader"));
    leader.refused(&format!("discrepancy propose {name} --charge 3 --note 多"), 2, "INVALID_FIELD")?;
    other.refused(&format!("discrepancy accept {name} --yes"), 4, "FINDING")?;
    leader.does(&format!("discrepancy propose {name} --charge 0 --note 途中遗失"))?;
    leader.refused(&format!("discrepancy accept {name} --yes"), 6, "NOT_YOURS")?;
    desk.agree(&name, (WUHAI, ALXA), 0)?;
    desk.await_stock(ALXA, lot, &[("LOST", 2), ("ON_LOAN", 8), ("IN_TRANSIT", 0)])?;
    let seen = desk.await_mission(WUHAI, &mission, |seen| number(&seen["amounts"]["lostInTransit"]) == 2)?;
    figure(&seen["amounts"], "charged", 0)?;
    desk.agree(&format!("{mission}/signatures_differ"), (ALXA, WUHAI), 0)?;
    back(desk, &mission, 8, 0)
}

/// Ten left, eight arrived whole and two damaged: by agreement the owner bears one and the requester one.
fn damaged(desk: &Desk<'_>, of: (&str, u32, &str)) -> Result<()> {
    let mission = desk.dispatched(ALXA, of, 10)?;
    let receive = format!("mission receive {mission} --store {STORE} --good 8 --damaged 2");
    desk.at(WUHAI, "keeper").gets_to(&receive)?;
    let name = format!("{mission}/delivery_damaged");
    desk.agree(&name, (ALXA, WUHAI), 1)?;
    let seen = desk.await_debt(ALXA, &format!("{mission}/goods"), |seen| number(&seen["quantity"]) == 1)?;
    ensure!(seen["debtor"] == "150300" && seen["creditor"] == "152900", "{seen}");
    desk.await_own(WUHAI, &mission, |own| number(&own["owed"]) == 1)?;
    desk.await_own(ALXA, &mission, |own| number(&own["owed"]) == 1)?;
    back(desk, &mission, 8, 2)?;
    // The same damage seen again on the way back is not charged twice.
    desk.agree(&format!("{mission}/return_damaged"), (WUHAI, ALXA), 0)?;
    desk.await_debt(WUHAI, &format!("{mission}/goods"), |seen| number(&seen["quantity"]) == 1)?;
    Ok(())
}

/// Ten arrived whole, one of them comes back damaged, and the requester bears it.
fn damaged_on_return(desk: &Desk<'_>, of: (&str, u32, &str)) -> Result<()> {
    let mission = desk.delivered(ALXA, of, 10)?;
    back(desk, &mission, 9, 1)?;
    desk.agree(&format!("{mission}/return_damaged"), (ALXA, WUHAI), 1)?;
    desk.await_debt(WUHAI, &format!("{mission}/goods"), |seen| number(&seen["quantity"]) == 1)?;
    Ok(())
}

/// Everything that arrived goes back; the owner takes it in as it is.
fn back(desk: &Desk<'_>, mission: &str, good: u64, damaged: u64) -> Result<()> {
    let total = good + damaged;
    desk.at(WUHAI, "keeper").does(&format!("mission send-back {mission} --total {total}"))?;
    let take = format!("mission take-back {mission} --good {good} --damaged {damaged}");
    desk.at(ALXA, "keeper").gets_to(&take)?;
    desk.await_state(WUHAI, mission, "ACCOUNTED")?;
    Ok(())
}

/// What is owed for the two that were charged: one is paid for, the other was given without return, by the creditor's
/// word.
fn settle_in_money(desk: &Desk<'_>, request: &str) -> Result<()> {
    let (creditor, debtor) = (desk.at(ALXA, "leader"), desk.at(WUHAI, "leader"));
    let open = desk.at(WUHAI, "duty").does("obligation list --member 152900")?;
    let open = open["obligations"].as_array().into_iter().flatten().filter(|debt| debt["resource"]["item"] == GOODS);
    let names: Vec<String> = open.filter_map(|debt| debt["name"].as_str().map(str::to_owned)).collect();
    let [paid, given] = names.as_slice() else { anyhow::bail!("two debts, not {names:?}") };
    for debt in &names {
        creditor.does(&format!("obligation claim {debt} --evidence 交接单1"))?;
        desk.await_debt(WUHAI, debt, |seen| seen["state"] == "OBLIGATION_STATE_CLAIMED")?;
    }
    debtor.does(&format!("obligation recognise {paid} --basis liable-enterprise --in-money"))?;
    debtor.does(&format!("obligation recognise {given} --basis free-aid"))?;
    debtor.refused(&format!("obligation confirm {given}"), 6, "NOT_YOURS")?;
    // It was not given: the debtor must find another ground, or be given it after all.
    creditor.gets_to(&format!("obligation confirm {given} --not-received"))?;
    desk.await_debt(WUHAI, given, |seen| seen["state"] == "OBLIGATION_STATE_CLAIMED")?;
    debtor.does(&format!("obligation recognise {given} --basis free-aid"))?;
    desk.at(WUHAI, "duty").does(&format!("obligation pay {paid} --evidence 付款单1"))?;
    for debt in &names {
        let seen = desk.await_debt(ALXA, debt, |seen| seen["state"] == "OBLIGATION_STATE_PAID")?;
        ensure!(number(&seen["amountFen"]) == 10_000, "one at 100 yuan: {seen}");
        creditor.does(&format!("obligation confirm {debt}"))?;
        desk.await_debt(WUHAI, debt, |seen| seen["state"] == "OBLIGATION_STATE_SETTLED")?;
    }
    debtor.does(&format!("aid close {request}"))?;
    desk.await_line(ALXA, (request, 1), |line| line["state"] == "LINE_STATE_CLOSED")?;
    // The quantity nobody took is still pledged, and free for the next request.
    Ok(())
}
