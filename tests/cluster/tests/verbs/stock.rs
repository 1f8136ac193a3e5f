//! The store keeper's day: received, counted, inspected, repaired, scrapped, issued, imported, given a code.

use anyhow::{Result, ensure};
use serde_json::Value;
use shouwang_cluster::story::{YINCHUAN, number};

use crate::desk::{Desk, STORE, id};

const GOODS: &str = "2990561";

/// Plays all of them.
pub fn play(desk: &Desk<'_>) -> Result<()> {
    stores(desk)?;
    moved(desk)?;
    coded(desk)?;
    imported(desk)?;
    teams(desk)
}

/// A store of the same name is the same store; one of another place under its id is not.
fn stores(desk: &Desk<'_>) -> Result<()> {
    let keeper = desk.at(YINCHUAN, "keeper");
    let first = keeper.does("store add 东区分库 --district 兴庆区")?;
    let again = keeper.does("store add 东区分库 --district 兴庆区")?;
    ensure!(first["store"] == again["store"] && first["store"].is_string(), "{first} {again}");
    keeper.refused("store add 东区分库 --district 金凤区", 9, "ALREADY_EXISTS")?;
    desk.at(YINCHUAN, "duty").refused("store add 西区分库 --district 西夏区", 6, "DENIED_ROLE")?;
    let listed = keeper.does("store list")?;
    let count = listed["stores"].as_array().into_iter().flatten().filter(|store| store["title"] == "东区分库").count();
    ensure!(count == 1, "{listed}");
    Ok(())
}

/// Every way in which the units of a lot move.
fn moved(desk: &Desk<'_>) -> Result<()> {
    let keeper = desk.at(YINCHUAN, "keeper");
    let lot = desk.lot(YINCHUAN, GOODS, 10)?;
    keeper.does(&format!("stock receive {lot} 5 --document 入库单1"))?;
    keeper.does(&format!("stock issue {lot} 2 --purpose 演练"))?;
    keeper.refused(&format!("stock issue {lot} 14 --purpose 演练"), 3, "NOT_ENOUGH")?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 13), ("CONSUMED", 2), ("SOURCE", 15)])?;
    keeper.does(&format!("stock count {lot} 12 --reason 年度盘点"))?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 12), ("LOST", 1)])?;
    keeper.does(&format!("stock count {lot} 14 --reason 复盘"))?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 14), ("LOST", 1), ("SOURCE", 17)])?;
    keeper.does(&format!("stock scrap {lot} 3 --reason 破损"))?;
    keeper.refused(&format!("stock scrap {lot} 12 --reason 破损"), 3, "NOT_ENOUGH")?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 11), ("SCRAPPED", 3)])?;
    keeper.refused(&format!("stock repaired {lot} 1"), 3, "NOT_ENOUGH")?;
    keeper.refused(&format!("stock receive {} 1 --document 入1", id()), 4, "NOT_FOUND")?;
    // Inspected: what waits for it does not count as available.
    keeper.does(&format!("stock inspect {lot} 待检"))?;
    ensure!(!is_available(desk, &lot)?, "a lot that waits for inspection is available");
    keeper.does(&format!("stock inspect {lot} usable"))?;
    ensure!(is_available(desk, &lot)?, "an inspected lot is not available");
    Ok(())
}

fn is_available(desk: &Desk<'_>, lot: &str) -> Result<bool> {
    let listed = desk.at(YINCHUAN, "duty").does(&format!("stock list --resource {GOODS} --available"))?;
    Ok(listed["lots"].to_string().contains(lot))
}

/// A local word gets a code: from then on its lots can be promised, those entered before included.
fn coded(desk: &Desk<'_>) -> Result<()> {
    let keeper = desk.at(YINCHUAN, "keeper");
    let lot = id();
    keeper.does(&format!("stock add 本地防护服 --qty 4 --unit 套 --store {STORE} --id {lot}"))?;
    let uncoded = keeper.does("stock list --uncoded")?;
    ensure!(uncoded["lots"].to_string().contains(&lot), "{uncoded}");
    let pledge = format!("pledge make --lot {lot} --qty 4 --until +2d");
    desk.at(YINCHUAN, "leader").refused(&pledge, 3, "NOT_PLEDGEABLE")?;
    keeper.refused("stock map 本地防护服 990101", 2, "INVALID_FIELDS")?;
    keeper.does("stock map 本地防护服 2990569")?;
    let coded = keeper.does("stock list --resource 2990569")?;
    ensure!(coded["lots"].to_string().contains(&lot), "{coded}");
    let left = keeper.does("floor show 2990569")?;
    ensure!(number(&left["left"]["pledgeable"]) == 4, "{left}");
    desk.at(YINCHUAN, "leader").does(&pledge)?;
    desk.await_stock(YINCHUAN, &lot, &[("LOCAL", 0), ("PLEDGED", 4)])
}

/// A ledger file: every row has a verdict, and the same file again changes nothing.
fn imported(desk: &Desk<'_>) -> Result<()> {
    let keeper = desk.at(YINCHUAN, "keeper");
    let catalogue = "kind,code,name,unit,aliases,packs\nitem,2990562,排水泵,台,潜水泵,箱=2\n";
    let catalogue = desk.file("catalogue.csv", catalogue)?;
    let rows =
        "物资名称,单位,数量,仓库,区\n潜水泵,箱,３,泵库,兴庆区\n铁锹,把,20,泵库,兴庆区\n排水泵,台,约10,泵库,兴庆区\n";
    let ledger = desk.file("ledger.csv", rows)?;
    let import = format!("stock import {ledger} --catalogue {catalogue}");
    let dry = keeper.does(&format!("{import} --dry-run"))?;
    ensure!(number(&dry["counts"]["rejected"]) == 1 && number(&dry["entered"]) == 0, "about ten is no number: {dry}");
    let before = keeper.does("stock list --resource 2990562")?;
    ensure!(before["lots"].as_array().is_none_or(Vec::is_empty), "a dry run has entered something: {before}");
    let first = keeper.does(&import)?;
    let taken = number(&first["counts"]["accepted"]) + number(&first["counts"]["local"]);
    ensure!(number(&first["entered"]) == taken && taken == 2, "{first}");
    // Other themes work in the same books meanwhile.
    let of_file = |books: &Value| -> Vec<Value> {
        let lots = books["lots"].as_array().into_iter().flatten();
        let is_of_file =
            |lot: &&Value| ["泵", "铁锹"].iter().any(|word| lot["details"]["title"].to_string().contains(word));
        lots.filter(is_of_file).cloned().collect()
    };
    let books = of_file(&keeper.does("stock list --all")?);
    ensure!(books.len() == 2, "{books:?}");
    let again = keeper.does(&import)?;
    ensure!(number(&again["entered"]) == 0 && number(&again["already_there"]) == taken, "{again}");
    let after = of_file(&keeper.does("stock list --all")?);
    ensure!(books == after, "the same file twice changed the books");
    let pumps = keeper.does("stock list --resource 2990562 --store 泵库")?;
    ensure!(local(&pumps) == 6, "three boxes of two: {pumps}");
    keeper.refused(&format!("stock import {ledger}.xlsx --catalogue {catalogue}"), 8, "FILE_UNREADABLE")?;
    Ok(())
}

fn local(lots: &Value) -> u64 {
    let balances = lots["lots"].as_array().into_iter().flatten().filter_map(|lot| lot["balances"].as_array());
    balances.flatten().filter(|of| of["account"] == "ACCOUNT_LOCAL").map(|of| number(&of["quantity"])).sum()
}

/// Teams are one each, and counted as such.
fn teams(desk: &Desk<'_>) -> Result<()> {
    let keeper = desk.at(YINCHUAN, "keeper");
    let team = desk.team(YINCHUAN, "team:flood")?;
    let truck = id();
    let add =
        format!("team add 充气车 --kind vehicle:air-refill --store {STORE} --condition under-repair --id {truck}");
    keeper.does(&add)?;
    let again = keeper.does(&add)?;
    ensure!(again["results"][0]["alreadyThere"] == true, "{again}");
    keeper.refused(&format!("stock receive {team} 1 --document 入1"), 3, "NOT_PLEDGEABLE")?;
    keeper.refused(&format!("stock count {team} 2 --reason 点名"), 2, "QUANTITY_OUT_OF_RANGE")?;
    let rows = "队伍名称,类型,人数,驻地,区\n防汛一队,防汛抢险队,30,泵库,兴庆区\n";
    let catalogue = "kind,code,name,unit,aliases,packs\nteam,flood,防汛抢险队,,,\n";
    let (rows, catalogue) = (desk.file("teams.csv", rows)?, desk.file("kinds.csv", catalogue)?);
    for entered in [1, 0] {
        let told = keeper.does(&format!("team import {rows} --catalogue {catalogue}"))?;
        ensure!(number(&told["entered"]) == entered, "{told}");
    }
    let listed = keeper.does("team list --kind vehicle:air-refill")?;
    ensure!(listed["lots"].to_string().contains(&truck) && !listed["lots"].to_string().contains(&team), "{listed}");
    desk.at(YINCHUAN, "leader").refused(
        &format!("pledge make --lot {truck} --qty 1 --until +2d"),
        3,
        "NOT_PLEDGEABLE",
    )?;
    keeper.does(&format!("stock inspect {truck} usable"))?;
    desk.pledge(YINCHUAN, &truck, 1)?;
    desk.await_stock(YINCHUAN, &truck, &[("LOCAL", 0), ("PLEDGED", 1)])
}
