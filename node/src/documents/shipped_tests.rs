//! The ledgers this project ships, and a real relief agency's stock list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::resource::Condition;
use shouwang_domain::time::Date;

use super::catalogue::Catalogue;
use super::ledger::{Reading, StockRow, read_stock};
use super::report::{Counts, ImportReport, Verdict};
use super::table::{Format, Table};
use super::units::{UnitRow, read_units};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo-data")
}

fn catalogue() -> Catalogue {
    Catalogue::read(&folder().join("catalogue.csv")).unwrap()
}

fn reading(code: u32, catalogue: &Catalogue) -> Reading<'_> {
    Reading {
        municipality: MunicipalityCode::new(code).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue,
        default_store: None,
    }
}

fn stock(file: &str, code: u32) -> ImportReport<StockRow> {
    let table = Table::read(&folder().join(file), None).unwrap();
    read_stock(&table, &reading(code, &catalogue())).unwrap()
}

fn units(file: &str, code: u32) -> ImportReport<UnitRow> {
    let table = Table::read(&folder().join(file), None).unwrap();
    read_units(&table, &reading(code, &catalogue())).unwrap()
}

/// The codes of every row that was refused or has something to look at.
fn codes<T>(report: &ImportReport<T>) -> Vec<(u32, &'static str)> {
    let notes = report.entries.iter().flat_map(|entry| {
        let reasons = if let Verdict::Rejected(reasons) = &entry.verdict { reasons } else { &entry.notes };
        reasons.iter().map(|note| (entry.row, note.code))
    });
    notes.collect()
}

/// Rows, accepted, local, rejected, skipped, flagged.
const STOCK: [(&str, u32, Format, [usize; 6]); 7] = [
    ("150000-central-depot.csv", 150_300, Format::CsvUtf8, [14, 10, 0, 0, 4, 0]),
    ("150300-wuhai-stock.xlsx", 150_300, Format::Xlsx, [26, 16, 1, 1, 8, 1]),
    ("150600-ordos-stock.xlsx", 150_600, Format::Xlsx, [23, 17, 1, 0, 5, 2]),
    ("150800-bayannur-stock.csv", 150_800, Format::CsvGb18030, [20, 13, 1, 1, 5, 1]),
    ("152900-alxa-stock.csv", 152_900, Format::CsvUtf8, [20, 15, 1, 0, 4, 2]),
    ("640100-yinchuan-stock.xlsx", 640_100, Format::Xlsx, [22, 16, 0, 1, 5, 0]),
    ("640200-shizuishan-stock.csv", 640_200, Format::CsvUtf8, [20, 14, 0, 1, 5, 0]),
];

#[test]
fn every_shipped_stock_ledger_is_accounted_for() {
    for (file, code, format, [rows, accepted, local, rejected, skipped, flagged]) in STOCK {
        let report = stock(file, code);
        assert_eq!(report.format, format, "{file}");
        let expected = Counts { rows, accepted, local, rejected, skipped, flagged };
        assert_eq!(report.counts, expected, "{file}\n{}", report.text(crate::lang::Lang::En));
        assert_eq!(report, stock(file, code), "{file}: the same file twice is the same lots");
    }
}

#[test]
fn the_dirt_of_the_shipped_ledgers_is_named() {
    let has = |file: &str, code: u32, what: &str| {
        let found = codes(&stock(file, code));
        assert!(found.iter().any(|(_, code)| *code == what), "{file} {what}: {found:?}");
    };
    has("150300-wuhai-stock.xlsx", 150_300, "APPROXIMATE_QUANTITY");
    has("150600-ordos-stock.xlsx", 150_600, "EXPIRED");
    has("150600-ordos-stock.xlsx", 150_600, "DATE_MONTH_ONLY");
    has("150800-bayannur-stock.csv", 150_800, "APPROXIMATE_QUANTITY");
    has("152900-alxa-stock.csv", 152_900, "DUPLICATE_ROW");
    has("152900-alxa-stock.csv", 152_900, "EXPIRED");
    has("640100-yinchuan-stock.xlsx", 640_100, "PRICE_DECIMALS");
    has("640200-shizuishan-stock.csv", 640_200, "UNIT_UNKNOWN");
}

/// Usable, unexpired units of an item by municipality.
fn usable(item: u32) -> BTreeMap<u32, u64> {
    let today = Date::new(2026, 3, 1).unwrap();
    let mut sums = BTreeMap::new();
    for (file, code, ..) in STOCK.iter().skip(1) {
        let report = stock(file, *code);
        let fit = report.taken().filter(|row| {
            row.item_code.map(u32::from) == Some(item)
                && row.condition == Condition::Usable
                && row.expires.is_none_or(|expires| expires >= today)
        });
        sums.insert(*code, fit.map(|row| row.qty.0).sum());
    }
    sums
}

#[test]
fn the_story_can_be_played_from_what_is_held() {
    let suits = usable(2_990_101);
    assert!(suits[&152_900] >= 80 && suits[&640_200] >= 80 && suits[&640_100] >= 40, "{suits:?}");
    assert!(suits.values().all(|qty| *qty > 0), "{suits:?}");
    let breathing: u64 = usable(2_990_201).iter().filter(|(code, _)| **code != 150_300).map(|(_, qty)| qty).sum();
    assert!(breathing >= 200, "{breathing}");
    assert!(usable(2_990_301).iter().filter(|(code, _)| **code != 150_300).map(|(_, qty)| qty).sum::<u64>() >= 4);
    let depot = stock("150000-central-depot.csv", 150_300);
    assert!(depot.taken().all(|row| row.owner.unwrap().get() == 150_000));
}

#[test]
fn every_shipped_ledger_of_teams_is_accounted_for() {
    let mut held: Vec<(u32, String)> = Vec::new();
    for (file, code, [rows, accepted, rejected]) in [
        ("150300-wuhai-teams.csv", 150_300, [8, 5, 1]),
        ("150600-ordos-teams.csv", 150_600, [8, 6, 0]),
        ("150800-bayannur-teams.csv", 150_800, [6, 4, 0]),
        ("152900-alxa-teams.csv", 152_900, [7, 4, 1]),
        ("640100-yinchuan-teams.csv", 640_100, [8, 5, 1]),
        ("640200-shizuishan-teams.csv", 640_200, [6, 4, 0]),
    ] {
        let report = units(file, code);
        let counts = Counts { rows, accepted, local: 0, rejected, skipped: 2, flagged: 0 };
        assert_eq!(report.counts, counts, "{file}\n{}", report.text(crate::lang::Lang::En));
        assert!(report.columns_unread.contains(&"值班电话".to_owned()), "contacts never enter the books");
        let ready = report.taken().filter(|unit| unit.condition == Condition::Usable);
        held.extend(ready.map(|unit| (code, unit.resource.to_string())));
    }
    let has = |code, resource: &str| held.contains(&(code, resource.to_owned()));
    assert!([150_600, 640_100, 640_200].iter().all(|code| has(*code, "team:hazmat")), "{held:?}");
    assert!([150_600, 640_100].iter().all(|code| has(*code, "vehicle:air-refill")), "{held:?}");
}

#[test]
fn a_real_relief_agencys_list_is_accounted_for_row_by_row() {
    let shared = std::env::var_os("SHOUWANG_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = shared.join("data/sahana/Logistics__Demo__warehouse_stock.csv");
    if !path.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} must be there in CI", path.display());
        eprintln!("left out: {} is not here", path.display());
        return;
    }
    let table = Table::read(&path, None).unwrap();
    let report = read_stock(&table, &reading(150_300, &catalogue())).unwrap();
    let Counts { rows, accepted, local, rejected, skipped, .. } = report.counts;
    assert_eq!((rows, accepted, local, rejected, skipped), (153, 0, 152, 0, 1), "{:?}", codes(&report));
    assert!(report.taken().all(|row| row.unit_price.is_none()));
    assert!(report.taken().all(|row| row.price_text.as_ref().is_some_and(|text| text.starts_with("PHP "))));
    let total: u64 = report.taken().map(|row| row.qty.0).sum();
    let written: u64 = report.entries.iter().filter_map(|entry| entry.original[9].parse::<u64>().ok()).sum();
    assert_eq!(total, written);
}
