//! An import up to what would be sent, and from what came back.

use shouwang_domain::time::Date;
use shouwang_proto::v1::{Outcome, Refusal};

use super::*;

const CATALOGUE: &str = "kind,code,name,unit,aliases,packs\nitem,2990101,气密型化学防护服,套,,箱=4\n\
                         team,hazmat,危化救援队,,,\nowner,150000,自治区,,,\n";
const LEDGER: &str = "物资名称,单位,数量,仓库,区,有效期至,单价,备注\n\
                      气密型化学防护服,套,60,危化库,乌达区,2033.3.31,18200,新\n\
                      气密型化学防护服,箱,6,危化库,,2034.3.31,,\n\
                      警戒带,卷,30,综合库,,,,\n\
                      气密型化学防护服,套,约200,危化库,,,,\n\
                      合计,,96,,,,,\n";

fn catalogue() -> Catalogue {
    Catalogue::from_table(&Table::from_bytes("c.csv", CATALOGUE.as_bytes(), None).unwrap()).unwrap()
}

fn report() -> ImportReport<StockRow> {
    let table = Table::from_bytes("l.csv", LEDGER.as_bytes(), None).unwrap();
    let catalogue = catalogue();
    let with = Reading {
        municipality: MunicipalityCode::new(152_900).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue: &catalogue,
        default_store: None,
    };
    read_stock(&table, &with).unwrap()
}

fn plan() -> (Imported, Vec<OpenLotsRow>) {
    let report = report();
    let rows = report.taken().map(|row| goods(row, Some("150000"))).collect();
    (told(&report, |row| (row.row, row.lot.to_string(), row.title(), row.qty.0, row.unit.clone())), rows)
}

fn result(verdict: Decided, already_there: bool) -> OpenLotsResult {
    let refusal = (verdict == Decided::Refused).then(|| Refusal {
        reason: "INVALID_FIELD".into(),
        zh: "字段有误".into(),
        en: "wrong".into(),
        ..Refusal::default()
    });
    let outcome = Outcome { verdict: verdict.into(), refusal, ..Outcome::default() };
    OpenLotsResult { lot: String::new(), outcome: Some(outcome), already_there }
}

#[test]
fn rows_become_lots_with_all_that_the_ledger_says() {
    let (_, rows) = plan();
    assert_eq!(rows.iter().map(|row| row.quantity).collect::<Vec<_>>(), [60, 24, 30]);
    let first = rows[0].details.clone().unwrap();
    assert_eq!(first.holding.unwrap().kind, Some(holding::Kind::Item("2990101".to_owned())));
    assert_eq!((first.expires.as_str(), first.unit_price_fen), ("2033-03-31", Some(1_820_000)));
    assert_eq!((first.owner.as_str(), first.class, first.condition), ("150000", 1, 1));
    assert!(first.remark.contains('新'));
    let boxes = rows[1].details.clone().unwrap();
    assert!(boxes.remark.contains("每箱 4 套") && boxes.unit == "套", "{}", boxes.remark);
    let local = rows[2].details.clone().unwrap().holding.unwrap().kind;
    assert_eq!(local, Some(holding::Kind::Local("警戒带".to_owned())));
    let again: Vec<_> = plan().1.into_iter().map(|row| row.lot).collect();
    assert_eq!(rows.into_iter().map(|row| row.lot).collect::<Vec<_>>(), again, "the file names its rows");
}

#[test]
fn each_store_is_opened_once_with_the_district_that_is_known() {
    let report = report();
    let stores = stores(report.taken().map(|row| (row.store_id.to_string(), &row.store, row.district.as_ref())));
    let mut named: Vec<_> = stores.values().map(|store| (store.name.as_str(), store.district.as_deref())).collect();
    named.sort_unstable();
    assert_eq!(named, [("危化库", Some("乌达区")), ("综合库", None)]);
}

#[test]
fn every_row_has_a_verdict_and_a_second_run_says_that_nothing_changed() {
    let (mut first, rows) = plan();
    assert_eq!(first.rows.len(), 6, "header included");
    first.book(&rows, vec![result(Decided::Accepted, false); 3]).unwrap();
    assert_eq!((first.entered, first.already_there, first.refused), (3, 0, 0));
    assert!(first.summary().en.contains("3 lots entered"));
    let (mut second, _) = plan();
    second.book(&rows, vec![result(Decided::Accepted, true); 3]).unwrap();
    assert!(second.summary().en.contains("nothing changed") && second.summary().zh.contains("无变化"));
    let table = second.table(Lang::Zh);
    assert!(table.iter().any(|row| row[1] == "拒收" && row[5].contains('约')), "{table:?}");
    assert!(table.iter().any(|row| row[1] == "仅本地" && row[2] == "已在账"), "{table:?}");
}

#[test]
fn a_row_that_the_books_refuse_fails_the_import_and_says_why() {
    let (mut imported, rows) = plan();
    let results =
        vec![result(Decided::Accepted, false), result(Decided::Refused, false), result(Decided::Accepted, true)];
    imported.book(&rows, results).unwrap();
    assert_eq!((imported.entered, imported.already_there, imported.refused), (1, 1, 1));
    let refused = imported.rows.iter().find(|row| row.booked == "refused").unwrap();
    assert_eq!(refused.refusal.as_ref().unwrap().zh, "字段有误 (INVALID_FIELD)");
    let json = serde_json::to_value(&imported).unwrap();
    assert_eq!((json["refused"].as_u64(), json["counts"]["accepted"].as_u64()), (Some(1), Some(2)));
    assert!(imported.book(&rows, vec![]).is_err(), "answers that do not match are no answers");
}

#[test]
fn large_ledgers_go_in_portions() {
    let rows = vec![OpenLotsRow::default(); 2_500];
    let sizes: Vec<usize> = pages(&rows).map(<[OpenLotsRow]>::len).collect();
    assert_eq!(sizes, [vec![PORTION; 12], vec![100]].concat());
    assert_eq!(pages(&[]).count(), 0, "nothing to send is not sent");
}
