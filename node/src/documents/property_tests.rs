//! Whatever the bytes, nothing panics and no row is lost; the same file gives the same lots.

use proptest::prelude::*;
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::time::Date;

use super::catalogue::Catalogue;
use super::ledger::{Reading, read_stock};
use super::report::ImportReport;
use super::table::Table;
use super::units::read_units;

const CATALOGUE: &str = include_str!("../../../scripts/demo-data/catalogue.csv");

fn with(catalogue: &Catalogue) -> Reading<'_> {
    Reading {
        municipality: MunicipalityCode::new(150_300).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue,
        default_store: None,
    }
}

fn catalogue() -> Catalogue {
    Catalogue::from_table(&Table::from_bytes("c", CATALOGUE.as_bytes(), None).unwrap()).unwrap()
}

fn accounted<T>(table: &Table, report: &ImportReport<T>) {
    let counts = report.counts;
    assert_eq!(counts.accepted + counts.local + counts.rejected + counts.skipped, table.rows.len());
    assert_eq!(counts.rows, table.rows.len());
    let reported = report.entries.iter().map(|entry| entry.row);
    assert!(reported.eq(table.rows.iter().map(|(row, _)| *row)), "every row once, in order");
}

fn read_all(bytes: &[u8]) {
    let Ok(table) = Table::from_bytes("p", bytes, None) else { return };
    let catalogue = catalogue();
    let with = with(&catalogue);
    if let Ok(report) = read_stock(&table, &with) {
        accounted(&table, &report);
        let again = read_stock(&Table::from_bytes("p", bytes, None).unwrap(), &with).unwrap();
        assert_eq!(report, again);
        let mut lots: Vec<_> = report.taken().map(|row| row.lot).collect();
        lots.sort_unstable();
        lots.dedup();
        assert_eq!(lots.len(), report.taken().count(), "one lot, one row");
    }
    if let Ok(report) = read_units(&table, &with) {
        accounted(&table, &report);
    }
    // Only that it returns: a catalogue of noise is refused.
    let _ = Catalogue::from_table(&table);
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "",
            "12",
            "１２０",
            "约200",
            "3箱5件",
            "1,200",
            "-5",
            "2.50",
            "2023.5.1",
            "2023-05",
            "45047",
            "箱",
            "件",
            "套",
            "气密型化学防护服",
            "帐篷",
            "合计",
            "危化救援队",
            "充气车",
            "2990101",
            "可用",
            "政府",
            "待命",
            "元",
            "PHP",
            "\"",
            "\n",
            "—",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ]
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn any_text_under_a_header(text in "[\\PC\n\r,\"]{0,300}") {
        read_all(format!("序号,名称,单位,数量,单价,类型,有效期至\n{text}").as_bytes());
    }

    #[test]
    fn any_rows_of_plausible_cells(rows in proptest::collection::vec(proptest::collection::vec(cell(), 0..16), 0..20)) {
        let header = "编码,名称,规格,单位,数量,包装规格,仓库,生产日期,有效期至,单价(元),币种,类别,状态,批号,所有权,备注";
        let mut text = header.to_owned();
        for row in rows {
            let cells: Vec<_> = row.iter().map(|cell| quoted(cell)).collect();
            text.push('\n');
            text += &cells.join(",");
        }
        read_all(text.as_bytes());
    }

    #[test]
    fn any_damage_to_a_workbook(at in 0.0..1.0f64, bytes in proptest::collection::vec(any::<u8>(), 1..8), cut in any::<bool>()) {
        let mut file = include_bytes!("../../../scripts/demo-data/150300-wuhai-stock.xlsx").to_vec();
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let at = (file.len() as f64 * at) as usize;
        if cut {
            file.truncate(at);
        }
        for (place, byte) in file.iter_mut().skip(at).zip(bytes) {
            *place = byte;
        }
        read_all(&file);
    }
}
