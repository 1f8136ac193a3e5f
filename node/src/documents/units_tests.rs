//! Ledgers of teams and vehicles.

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::resource::Condition;
use shouwang_domain::time::Date;

use super::catalogue::Catalogue;
use super::ledger::Reading;
use super::report::{ImportReport, Verdict};
use super::table::Table;
use super::units::{UnitRow, read_units};

const CATALOGUE: &str = "kind,code,name,aliases\n\
    team,hazmat,危化救援队,化工救援队\nvehicle,air-refill,充气车,\nowner,150300,乌海市,\n";

fn import(text: &str) -> ImportReport<UnitRow> {
    let table = |text: &str| Table::from_bytes("u.csv", text.as_bytes(), None).unwrap();
    let catalogue = Catalogue::from_table(&table(CATALOGUE)).unwrap();
    let with = Reading {
        municipality: MunicipalityCode::new(150_300).unwrap(),
        today: Date::new(2026, 3, 1).unwrap(),
        catalogue: &catalogue,
        default_store: None,
    };
    read_units(&table(text), &with).unwrap()
}

const HEADER: &str = "队伍名称,类型,人数,驻地,单位,状态,值守耐力(小时),所有权\n";

#[test]
fn units_are_read_or_refused_with_every_reason() {
    for (row, expected) in [
        ("甲队,化工救援队,３６,乌达站,某局,待命,24,乌海市", Ok(("team:hazmat", 36, 24, Condition::Usable))),
        ("甲队,team:hazmat,36人,乌达站,,休整,24小时,", Ok(("team:hazmat", 36, 24, Condition::UnderRepair))),
        ("一号,充气车,,乌达站,,停用,,150300", Ok(("vehicle:air-refill", 0, 0, Condition::Condemned))),
        ("甲队,骆驼队,36,乌达站,,待命,24,", Err(&["UNIT_KIND_UNKNOWN"][..])),
        ("甲队,危化救援队,约36,乌达站,,待命,24,", Err(&["APPROXIMATE_QUANTITY"])),
        ("甲队,危化救援队,,乌达站,,待命,24,", Err(&["SIZE_MISSING"])),
        ("甲队,危化救援队,36箱,乌达站,,待命,24,", Err(&["FIGURE_UNREADABLE"])),
        (",危化救援队,36,,,睡觉,24,某公司", Err(&["NAME_MISSING", "BASE_MISSING", "STATE_UNKNOWN", "OWNER_UNKNOWN"])),
    ] {
        let entry = import(&format!("{HEADER}{row}\n")).entries.pop().unwrap();
        let found = match &entry.verdict {
            Verdict::Accepted(unit) => Ok((unit.resource.to_string(), unit.size, unit.endurance_hours, unit.condition)),
            Verdict::Rejected(reasons) => Err(reasons.iter().map(|note| note.code).collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        };
        let expected = expected.map(|(kind, size, hours, state)| (kind.to_owned(), size, hours, state));
        assert_eq!(found, expected.map_err(<[_]>::to_vec), "{row}");
    }
}

#[test]
fn a_team_exists_once() {
    let row = "甲队,危化救援队,36,乌达站,某局,待命,24,\n";
    let report = import(&format!("台账\n{HEADER}{row}{row}合计,,72\n"));
    assert_eq!((report.counts.accepted, report.counts.rejected, report.counts.skipped), (1, 1, 3));
    assert!(matches!(&report.entries[3].verdict, Verdict::Rejected(notes) if notes[0].code == "DUPLICATE_ROW"));
}
