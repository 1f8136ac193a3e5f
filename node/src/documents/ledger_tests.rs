//! The dirt of real ledgers, kind by kind.

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::quantity::Fen;
use shouwang_domain::resource::{Condition, StockClass};
use shouwang_domain::time::Date;

use super::catalogue::Catalogue;
use super::ledger::{Reading, StockRow, read_stock};
use super::report::{Entry, ImportReport, SkipReason, Verdict};
use super::table::Table;
use crate::lang::Lang;

const CATALOGUE: &str = "kind,code,name,unit,aliases,packs\n\
    item,2990101,气密型化学防护服,套,重型防化服;L-7,箱=4;件=1\n\
    item,1990201,饮用水,瓶,,\n\
    owner,150000,内蒙古自治区,,自治区,\n";

fn catalogue() -> Catalogue {
    Catalogue::from_table(&Table::from_bytes("c", CATALOGUE.as_bytes(), None).unwrap()).unwrap()
}

fn import(text: &str) -> ImportReport<StockRow> {
    let catalogue = catalogue();
    let with = Reading {
        municipality: MunicipalityCode::new(150_300).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue: &catalogue,
        default_store: Some("中心库"),
    };
    read_stock(&Table::from_bytes("l.csv", text.as_bytes(), None).unwrap(), &with).unwrap()
}

/// The only row under a header.
fn one(header: &str, row: &str) -> Entry<StockRow> {
    import(&format!("{header}\n{row}\n")).entries.pop().unwrap()
}

fn codes(entry: &Entry<StockRow>) -> Vec<&'static str> {
    let reasons = if let Verdict::Rejected(reasons) = &entry.verdict { reasons } else { &entry.notes };
    reasons.iter().map(|note| note.code).collect()
}

fn taken(entry: &Entry<StockRow>) -> &StockRow {
    match &entry.verdict {
        Verdict::Accepted(row) | Verdict::Local(row) => row,
        other => panic!("{other:?}"),
    }
}

#[test]
fn quantities_units_and_packs() {
    const HEADER: &str = "名称,单位,数量,包装规格,规格";
    // The row; then quantity and unit, or the codes of the refusal.
    for (row, expected) in [
        ("重型防化服,套,１２０,,", Ok((120, "套"))),
        ("重型防化服,件,12,,", Ok((12, "套"))),
        ("重型防化服,箱,3,,", Ok((12, "套"))),
        ("重型防化服,套,3箱2套,,", Ok((14, "套"))),
        ("重型防化服,,3箱,,", Ok((12, "套"))),
        ("重型防化服,箱,3,4套/箱,", Ok((12, "套"))),
        ("重型防化服,箱,3,6套/箱,", Err("PACK_FACTOR_CONFLICT")),
        ("重型防化服,托,3,,", Err("PACK_FACTOR_UNKNOWN")),
        ("重型防化服,个,3,,", Err("UNIT_UNKNOWN")),
        ("饮用水,箱,10,,", Err("PACK_FACTOR_UNKNOWN")),
        ("饮用水,箱,10,24,", Ok((240, "瓶"))),
        ("饮用水,箱,10,每箱24瓶,", Ok((240, "瓶"))),
        ("饮用水,箱,10,,550mL*24瓶/箱", Ok((240, "瓶"))),
        ("饮用水,瓶,\"2,400\",,", Ok((2400, "瓶"))),
        ("手电筒,箱,5,20个/箱,", Ok((100, "个"))),
        ("手电筒,个,5箱,,", Err("PACK_FACTOR_UNKNOWN")),
        ("手电筒,箱,5,,", Ok((5, "箱"))),
        ("手电筒,,5,,", Err("UNIT_MISSING")),
        ("手电筒,个,约200,,", Err("APPROXIMATE_QUANTITY")),
        ("手电筒,个,-2,,", Err("QUANTITY_NEGATIVE")),
        ("手电筒,个,2.5,,", Err("QUANTITY_DECIMAL")),
        ("手电筒,个,,,", Err("QUANTITY_MISSING")),
        (",个,5,,", Err("NAME_MISSING")),
    ] {
        let entry = one(HEADER, row);
        match expected {
            Ok((qty, unit)) => assert_eq!((taken(&entry).qty.0, taken(&entry).unit.as_str()), (qty, unit), "{row}"),
            Err(code) => assert_eq!(codes(&entry), [code], "{row}"),
        }
    }
    assert_eq!(taken(&one(HEADER, "重型防化服,箱,3,,")).packs, Some(("箱".to_owned(), 4)));
    assert_eq!(codes(&one(HEADER, "手电筒,箱,5,,")), ["PACK_AS_UNIT"]);
    assert_eq!(taken(&one("名称,数量（个）", "手电筒,5")).unit, "个");
}

#[test]
fn only_the_users_own_words_give_a_code() {
    const HEADER: &str = "编码,名称,单位,数量";
    for (row, code, notes) in [
        (",重型防化服,套,1", Some(2_990_101), &[][..]),
        ("L-7,防化服,套,1", Some(2_990_101), &[]),
        ("２９９０１０１,防化服,套,1", Some(2_990_101), &[]),
        ("2160401,防化服,套,1", Some(2_160_401), &["CODE_NOT_IN_CATALOGUE"]),
        (",防化服,套,1", None, &[]),
        ("WH-9,防化服,套,1", None, &["CODE_LOCAL"]),
    ] {
        let entry = one(HEADER, row);
        assert_eq!((taken(&entry).item_code.map(u32::from), &*codes(&entry)), (code, notes), "{row}");
        assert_eq!(matches!(entry.verdict, Verdict::Local(_)), code.is_none());
    }
    assert_eq!(codes(&one(HEADER, "1990201,重型防化服,套,1"))[0], "CODE_NAME_CONFLICT");
}

#[test]
fn prices_are_exact_or_stay_text() {
    for (header, row, price, text, notes) in [
        ("名称,单位,数量,单价(元)", "A,个,1,12.5", Some(1250), None, &[][..]),
        ("名称,单位,数量,单价", "A,个,1,￥１２．５０", Some(1250), None, &[]),
        ("名称,单位,数量,单价（元）", "重型防化服,箱,1,40", Some(1000), None, &[]),
        ("名称,单位,数量,单价（元）", "重型防化服,箱,1,0.01", None, Some("元 0.01"), &["PRICE_PER_PACK"]),
        ("名称,单位,数量,单价(万元)", "A,个,1,3.6", None, Some("万元 3.6"), &["PRICE_AS_TEXT"]),
        ("名称,单位,数量,单价,币种", "A,个,1,12.5,USD", None, Some("USD 12.5"), &["PRICE_AS_TEXT"]),
        ("名称,单位,数量,单价,币种", "A,个,1,12.5,人民币", Some(1250), None, &[]),
        ("Item Name,Unit,Quantity,Unit Value", "A,pcs,1,12.5", None, Some("12.5"), &["PRICE_AS_TEXT"]),
        ("名称,单位,数量,单价", "A,个,1,—", None, None, &[]),
        ("名称,单位,数量,单价(元/个)", "A,个,1,3", Some(300), None, &[]),
        ("名称,单位,数量,单价(元/箱)", "A,个,1,3", None, Some("元/箱 3"), &["PRICE_AS_TEXT"]),
    ] {
        let entry = one(header, row);
        let found = taken(&entry);
        assert_eq!(
            (found.unit_price, found.price_text.as_deref(), &*codes(&entry)),
            (price.map(Fen), text, notes),
            "{header} {row}"
        );
    }
    assert_eq!(codes(&one("名称,单位,数量,单价", "A,个,1,1.234")), ["PRICE_DECIMALS"]);
}

#[test]
fn dates_classes_conditions_and_owners() {
    const HEADER: &str = "名称,单位,数量,生产日期,有效期至,类别,状态,所有权";
    let entry = one(HEADER, "A,个,1,2023.5.1,2026年2月28日,企业代储,待检,自治区");
    let row = taken(&entry);
    assert_eq!((row.produced, row.expires), (Date::new(2023, 5, 1), Date::new(2026, 2, 28)));
    assert_eq!((row.class, row.condition), (StockClass::EnterpriseContracted, Condition::AwaitingInspection));
    assert_eq!(row.owner.unwrap().get(), 150_000);
    assert_eq!(codes(&entry), ["EXPIRED"]);
    // The day it expires on, it is still good.
    assert!(codes(&one(HEADER, "A,个,1,,2026.3.1,政府储备,完好,")).is_empty());
    for (row, code) in [
        ("A,个,1,去年,,政府,可用,", "DATE_UNREADABLE"),
        ("A,个,1,2025.1.1,2024.1.1,政府,可用,", "DATES_OUT_OF_ORDER"),
        ("A,个,1,,,国家,可用,", "CLASS_UNKNOWN"),
        ("A,个,1,,,,可用,", "CLASS_UNKNOWN"),
        ("A,个,1,,,政府,还行,", "CONDITION_UNKNOWN"),
        ("A,个,1,,,政府,可用,某公司", "OWNER_UNKNOWN"),
    ] {
        assert!(codes(&one(HEADER, row)).contains(&code), "{row}");
    }
    let several = one(HEADER, "A,个,约3,去年,,国家,还行,某公司");
    assert_eq!(codes(&several).len(), 5, "every reason is told at once: {several:?}");
}

#[test]
fn titles_sums_and_notes_are_passed_over_by_name() {
    use SkipReason::{Blank, Header, Note, Title, Total, Zero};
    let report = import(
        "乌海市台账,,,\n填报单位：某局,,,2026年\n序号,物资名称,计量单位,数量\n1,帐篷,顶,3\n,,,\n一、生活类,,,\n\
         序号,物资名称,计量单位,数量\n2,棉被,床,4\n3,棉衣,件,0\n4,手电,,\n合 计,,,7\n填表：物资岗,,,\n",
    );
    let verdicts: Vec<_> = report
        .entries
        .iter()
        .map(|entry| match &entry.verdict {
            Verdict::Skipped(reason) => Some(*reason),
            _ => None,
        })
        .collect();
    let expected = [
        Some(Title),
        Some(Title),
        Some(Header),
        None,
        Some(Blank),
        Some(Note),
        Some(Header),
        None,
        Some(Zero),
        None,
        Some(Total),
        Some(Note),
    ];
    assert_eq!(verdicts, expected);
    assert_eq!(codes(&report.entries[9]), ["QUANTITY_MISSING"], "a name without a number is no note");
    let rows: Vec<u32> = report.entries.iter().map(|entry| entry.row).collect();
    assert_eq!(rows, (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_row_entered_twice_is_told_and_a_mended_row_renames_no_other() {
    let rows = |first: &str| format!("名称,单位,数量\n帐篷,顶,{first}\n帐篷,顶,5\n");
    let twice = import(&rows("5"));
    assert_eq!(codes(&twice.entries[2]), ["DUPLICATE_ROW"]);
    let lots: Vec<_> = twice.taken().map(|row| row.lot).collect();
    assert_ne!(lots[0], lots[1]);
    assert_eq!(taken(&twice.entries[1]).key(), taken(&twice.entries[2]).key());
    let before = import(&rows("约5"));
    assert_eq!(before.taken().map(|row| row.lot).collect::<Vec<_>>(), [lots[1]]);
}

#[test]
fn mapping_an_item_later_does_not_make_it_another_lot() {
    let table = Table::from_bytes("l", "名称,单位,数量\n重型防化服,箱,3\n".as_bytes(), None).unwrap();
    let (known, none) = (catalogue(), Catalogue::default());
    let lot = |catalogue| {
        let with = Reading {
            municipality: MunicipalityCode::new(150_300).unwrap(),
            today: Date::new(2026, 3, 1).unwrap(),
            catalogue,
            default_store: Some("中心库"),
        };
        read_stock(&table, &with).unwrap().taken().next().unwrap().lot
    };
    assert_eq!(lot(&known), lot(&none));
}

#[test]
fn files_without_a_clear_header_are_refused() {
    let catalogue = catalogue();
    let with = Reading {
        municipality: MunicipalityCode::new(150_300).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue: &catalogue,
        default_store: None,
    };
    let read = |text: &str| read_stock(&Table::from_bytes("l.csv", text.as_bytes(), None).unwrap(), &with);
    let missing = read("名称,单位\n帐篷,顶\n").unwrap_err();
    assert_eq!(missing.code(), "HEADER_NOT_FOUND");
    assert!(missing.message(Lang::Zh).contains("物资名称、数量"), "{missing}");
    let twice = read("名称,品名,数量\n帐篷,帐篷,1\n").unwrap_err();
    assert_eq!(twice.code(), "COLUMN_AMBIGUOUS");
    let report = read("名称,单位,数量\n帐篷,顶,1\n").unwrap();
    assert_eq!(codes(&report.entries[1]), ["STORE_MISSING"]);
}

#[test]
fn the_report_says_what_becomes_of_every_row() {
    let report = import("名称,单位,数量,联系人\n帐篷,顶,约3,某岗\n棉被,床,4,某岗\n");
    let zh = report.text(Lang::Zh);
    for words in ["共 3 行", "未读取的列：联系人", "第 2 行 拒收", "[APPROXIMATE_QUANTITY]", "帐篷 | 顶 | 约3 | 某岗"]
    {
        assert!(zh.contains(words), "{zh}");
    }
    let en = report.text(Lang::En);
    for words in ["3 rows: 0 accepted, 1 local (uncoded), 1 rejected, 1 skipped", "columns not read: 联系人"] {
        assert!(en.contains(words), "{en}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["counts"]["local"], 1);
    assert_eq!(json["entries"][2]["verdict"]["local"]["name"], "棉被");
}
