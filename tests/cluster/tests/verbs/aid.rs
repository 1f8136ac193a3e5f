//! Requests and answers: withdrawn, unmet, provisional, offers for one line, holds, spoken orders, and what may be closed.

use anyhow::{Result, ensure};
use serde_json::Value;
use shouwang_cluster::story::{ALXA, WUHAI, YINCHUAN, number};

use crate::desk::{Desk, STORE, id};

const GOODS: &str = "2990531";

/// Plays all of them.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    unmet(desk)?;
    offered(desk)?;
    two_persons_and_paper(desk)?;
    withdrawn(desk)
}

/// The answer of a member to the first line.
fn answer(line: &Value, member: u32) -> Value {
    let mut answers = line["answers"].as_array().into_iter().flatten();
    answers.find(|answer| answer["member"] == member.to_string().as_str()).cloned().unwrap_or_default()
}

/// Everybody who was asked declines, each with a reason that all can read; first one of them had only said "perhaps".
fn unmet(desk: &Desk<'_>) -> Result<()> {
    let (alxa, yinchuan) = (desk.at(ALXA, "leader"), desk.at(YINCHUAN, "leader"));
    let to = format!("--to {ALXA} --to {YINCHUAN}");
    desk.at(WUHAI, "duty").refused(
        &format!("aid request --line {GOODS}=5 --subject 事由 --place 乌达区 --needed-by +4h --to {WUHAI}"),
        2,
        "INVALID_FIELD",
    )?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=5")], &to, YINCHUAN)?;
    let answers = format!("aid answer {request} --line 1");
    alxa.refused(&format!("{answers} --decline 无"), 2, "CONFIRM")?;
    desk.at(ALXA, "duty").refused(&format!("{answers} --decline 无 --yes"), 6, "DENIED_ROLE")?;
    alxa.does(&format!("{answers} --provisional 3 --reason 待检 --cost 18200.50 --eta +3h --yes"))?;
    let line = desk.await_line(WUHAI, (&request, 1), |line| !answer(line, ALXA).is_null())?;
    let said = answer(&line, ALXA);
    ensure!(said["kind"] == "ANSWER_KIND_PROVISIONAL" && said["reason"] == "待检", "{said}");
    ensure!(number(&said["quantity"]) == 3 && number(&said["costFen"]) == 1_820_050, "{said}");
    yinchuan.does(&format!("{answers} --decline 本市红色预警 --yes"))?;
    let line = desk.await_line(WUHAI, (&request, 1), |line| !answer(line, YINCHUAN).is_null())?;
    ensure!(line["state"] == "LINE_STATE_OPEN", "one of two has declined: {line}");
    alxa.does(&format!("{answers} --decline 检验不合格 --yes"))?;
    let line = desk.await_line(WUHAI, (&request, 1), |line| line["state"] == "LINE_STATE_UNMET")?;
    ensure!(answer(&line, ALXA)["reason"] == "检验不合格", "{line}");
    let unmet = desk.at(WUHAI, "secretariat").does("aid list --state unmet")?;
    ensure!(unmet["requests"].to_string().contains(&request), "{unmet}");
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    Ok(())
}

/// An offer is a pledge for one line: no other line may take it, and a declined one goes back.
fn offered(desk: &Desk<'_>) -> Result<()> {
    let alxa = desk.at(ALXA, "leader");
    let lot = desk.lot(ALXA, GOODS, 20)?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=5"), &format!("{GOODS}=9")], "", ALXA)?;
    let answers = format!("aid answer {request} --line 1 --yes");
    alxa.refused(&format!("{answers} --accept 5 --offer {lot}=4"), 3, "MISMATCH")?;
    let made = alxa.does(&format!("{answers} --accept 5 --offer {lot}=5 --cost 500"))?;
    let offer = made["pledges"][0].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    let seen = desk.await_pledge(WUHAI, &offer, |seen| number(&seen["free"]) == 5)?;
    ensure!(
        seen["aidRequest"].as_str().is_some_and(|of| of.ends_with(&request)) && number(&seen["line"]) == 1,
        "{seen}"
    );
    desk.await_stock(ALXA, &lot, &[("LOCAL", 15), ("PLEDGED", 5)])?;
    let hub = desk.at(WUHAI, "coordinator");
    hub.refused(&format!("aid hold {request} --line 2 --pledge {offer} --qty 5"), 3, "MISMATCH")?;
    hub.refused(&format!("aid hold {request} --line 1 --pledge {offer} --qty 6"), 3, "NOT_ENOUGH")?;
    let mission = desk.hold(&request, 1, &offer, 4)?;
    hub.refused(&format!("aid hold {request} --line 1 --pledge {offer} --qty 2"), 3, "MORE_THAN_REQUESTED").or_else(
        // One is left of the offer and of the line alike: either is a good reason.
        |_| hub.refused(&format!("aid hold {request} --line 1 --pledge {offer} --qty 2"), 3, "NOT_ENOUGH"),
    )?;
    hub.does(&format!("aid release {mission}"))?;
    hub.refused(&format!("aid release {mission}"), 3, "WRONG_STATE")?;
    desk.await_pledge(WUHAI, &offer, |seen| number(&seen["held"]) == 0 && number(&seen["free"]) == 5)?;
    // Accepting more than is asked escrows nothing: the region's "no" reaches who signed.
    let beyond = alxa.refused(&format!("{answers} --accept 6 --offer {lot}=6"), 3, "MORE_THAN_REQUESTED")?;
    ensure!(beyond.contains('5'), "{beyond}");
    desk.await_stock(ALXA, &lot, &[("LOCAL", 15), ("PLEDGED", 5)])?;
    // Out of what is pledged already, without an offer.
    alxa.does(&format!("aid answer {request} --line 2 --accept 3 --yes"))?;
    desk.await_line(WUHAI, (&request, 2), |line| number(&answer(line, ALXA)["quantity"]) == 3)?;
    alxa.does(&format!("{answers} --decline 本地险情"))?;
    desk.await_own_pledge(ALXA, &offer, |own| own["closed"] == true)?;
    desk.await_stock(ALXA, &lot, &[("LOCAL", 20), ("PLEDGED", 0)])?;
    desk.at(WUHAI, "leader").does(&format!("aid close {request}"))?;
    alxa.refused(&format!("aid answer {request} --line 2 --accept 3 --yes"), 3, "WRONG_STATE")?;
    Ok(())
}

/// Who holds does not order; who ordered by word of mouth does not confirm the paper; nothing is closed before it is
/// there.
fn two_persons_and_paper(desk: &Desk<'_>) -> Result<()> {
    let lot = desk.lot(ALXA, GOODS, 6)?;
    let pledge = desk.pledge(ALXA, &lot, 6)?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=6")], "", ALXA)?;
    let leader = desk.at(WUHAI, "leader");
    let mission = id();
    leader.does(&format!("aid hold {request} --line 1 --pledge {pledge} --qty 6 --mission {mission}"))?;
    leader.refused(&format!("aid order {mission}"), 6, "SAME_PERSON")?;
    desk.at(WUHAI, "coordinator").refused(&format!("aid order {mission}"), 6, "DENIED_ROLE")?;
    desk.at(ALXA, "leader").refused(&format!("aid order {mission}"), 6, "NOT_YOURS")?;
    leader.refused(&format!("aid confirm-paper {mission}"), 3, "WRONG_STATE")?;
    leader.second().does(&format!("aid order {mission} --spoken"))?;
    let seen = desk.await_state(ALXA, &mission, "COMMITTED")?;
    ensure!(seen["paperDue"].is_string() && seen["orderedBy"]["operator"] == "leader-2", "{seen}");
    desk.at(ALXA, "keeper").does(&format!("mission dispatch {mission} --qty 6 --seal 封4"))?;
    desk.at(WUHAI, "keeper").gets_to(&format!("mission receive {mission} --store {STORE} --good 6"))?;
    leader.refused(&format!("aid close {request}"), 3, "STILL_OPEN")?;
    desk.at(WUHAI, "keeper").does(&format!("mission send-back {mission} --total 6"))?;
    desk.at(ALXA, "keeper").gets_to(&format!("mission take-back {mission} --good 6"))?;
    desk.await_state(WUHAI, &mission, "ACCOUNTED")?;
    leader.refused(&format!("aid close {request}"), 3, "PAPER_OWED")?;
    leader.second().refused(&format!("aid confirm-paper {mission}"), 6, "SAME_PERSON")?;
    desk.at(WUHAI, "duty").does(&format!("aid confirm-paper {mission}"))?;
    desk.at(ALXA, "leader").refused(&format!("aid close {request}"), 6, "NOT_YOURS")?;
    leader.does(&format!("aid close {request}"))?;
    leader.refused(&format!("aid close {request}"), 3, "WRONG_STATE")?;
    let hidden = desk.at(ALXA, "duty").does("aid list")?;
    ensure!(!hidden.to_string().contains(&request), "a closed request is listed: {hidden}");
    Ok(())
}

/// A line that needs no more gives its holds back; what is signed goes on.
fn withdrawn(desk: &Desk<'_>) -> Result<()> {
    let lot = desk.lot(ALXA, GOODS, 10)?;
    let pledge = desk.pledge(ALXA, &lot, 10)?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=4"), &format!("{GOODS}=4")], "", ALXA)?;
    let held = desk.hold(&request, 1, &pledge, 4)?;
    let leader = desk.at(WUHAI, "leader");
    desk.at(ALXA, "leader").refused(&format!("aid withdraw-line {request} --line 1"), 6, "NOT_YOURS")?;
    leader.refused(&format!("aid withdraw-line {request} --line 3"), 4, "NOT_FOUND")?;
    leader.does(&format!("aid withdraw-line {request} --line 1"))?;
    desk.await_line(ALXA, (&request, 1), |line| line["state"] == "LINE_STATE_WITHDRAWN")?;
    desk.await_state(ALXA, &held, "HOLD_RELEASED")?;
    desk.await_pledge(ALXA, &pledge, |seen| number(&seen["free"]) == 10)?;
    let hub = desk.at(WUHAI, "coordinator");
    hub.refused(&format!("aid hold {request} --line 1 --pledge {pledge} --qty 4"), 3, "WRONG_STATE")?;
    leader.refused(&format!("aid withdraw-line {request} --line 1"), 3, "WRONG_STATE")?;
    let signed = desk.committed(&request, 2, &pledge, 4)?;
    leader.does(&format!("aid withdraw-line {request} --line 2"))?;
    desk.await_line(ALXA, (&request, 2), |line| number(&line["committed"]) == 4)?;
    let said = leader.refused(&format!("aid close {request}"), 3, "STILL_OPEN")?;
    ensure!(said.contains("mission"), "{said}");
    leader.does(&format!("mission cancel {signed} --reason 不再需要"))?;
    desk.at(ALXA, "leader").gets_to(&format!("mission ack-cancel {signed}"))?;
    desk.await_state(WUHAI, &signed, "CANCELLED")?;
    leader.does(&format!("aid close {request}"))?;
    Ok(())
}

/// A hold that nobody signs within its time; it is looked at again when everything else has been played.
pub fn hold_for_a_minute(desk: &Desk<'_>) -> Result<(String, String)> {
    let lot = desk.lot(YINCHUAN, GOODS, 3)?;
    let pledge = desk.pledge(YINCHUAN, &lot, 3)?;
    let request = desk.ask(WUHAI, &[&format!("{GOODS}=3")], "", WUHAI)?;
    let hub = desk.at(WUHAI, "coordinator");
    let hold = format!("aid hold {request} --line 1 --pledge {pledge} --qty 3");
    hub.refused(&format!("{hold} --minutes 121"), 2, "INVALID_FIELD")?;
    let mission = id();
    hub.does(&format!("{hold} --minutes 1 --mission {mission}"))?;
    Ok((mission, pledge))
}

/// It has lapsed, and what it held is free again.
pub fn lapsed(desk: &Desk<'_>, (mission, pledge): &(String, String)) -> Result<()> {
    desk.await_state(WUHAI, mission, "LAPSED")?;
    desk.await_pledge(YINCHUAN, pledge, |seen| number(&seen["held"]) == 0 && number(&seen["free"]) == 3)?;
    desk.at(WUHAI, "leader").refused(&format!("aid order {mission}"), 3, "WRONG_STATE")?;
    Ok(())
}
