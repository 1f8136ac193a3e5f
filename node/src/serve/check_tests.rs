use std::sync::Arc;

use super::*;

fn damage(error: StoreError, remedy: Remedy, alone: bool) -> Damage {
    let path = error.path().unwrap().to_owned();
    Damage { record: None, path, error: DriverError::Store(Arc::new(error)), remedy, alone }
}

#[test]
fn each_finding_says_what_to_do() {
    let dir = PathBuf::from("/data/records");
    let corrupt = || StoreError::LogCorrupt { path: dir.join("raft"), detail: "gone".to_owned() };
    let gap = || StoreError::LedgerGap { dir: dir.clone(), first: 1, last: 9 };
    let torn = || StoreError::LedgerTorn { file: dir.join("x.open"), offset: 1, bytes: 2 };
    let marker = || StoreError::MarkerMissing { dir: dir.clone(), detail: "though it holds data" };
    for (error, remedy, alone, outlook, words) in [
        (torn(), Remedy::Mended, true, Outlook::Mended, "nothing"),
        (gap(), Remedy::Fetching, false, Outlook::Fetching, "start the node"),
        (gap(), Remedy::Operator, true, Outlook::Operator, "backup"),
        (corrupt(), Remedy::Operator, true, Outlook::Operator, "accept-loss"),
        (corrupt(), Remedy::Operator, false, Outlook::Operator, "join anew"),
        (marker(), Remedy::Operator, false, Outlook::Operator, "right disk"),
        (StoreError::Full { path: "/data/tmp".into() }, Remedy::Operator, true, Outlook::Operator, "TMPDIR"),
    ] {
        let found = found(&damage(error, remedy, alone), "乌海市".to_owned());
        assert_eq!(found.outlook, outlook, "{found:?}");
        assert!(found.mend.en.contains(words), "{found:?}");
        assert!(found.code.starts_with("STORE_") && found.path.starts_with("/data"), "{found:?}");
        let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(chinese(&found.mend.zh) && chinese(&found.what.zh) && !chinese(&found.what.en), "{found:?}");
    }
}

#[test]
fn what_does_not_fit_is_told_in_both_languages() {
    let id = RecordId::of(&[b"a record"]);
    let error = DriverError::Unfit { id, what: "the log", detail: "it is gone".to_owned() };
    let damage = Damage { record: Some(id), path: "/data".into(), error, remedy: Remedy::Operator, alone: true };
    let found = found(&damage, "乌海市".to_owned());
    assert_eq!((found.code, found.record.as_str()), ("UNFIT", "乌海市"));
    assert!(found.what.zh.starts_with("记录") && found.what.en.contains("it is gone"));
}

#[test]
fn a_node_that_runs_is_not_checked() {
    let locked: DriverError = StoreError::Locked { path: "/data/records".into() }.into();
    let failure = not_now(&locked);
    assert_eq!((failure.exit, failure.code), (Exit::Failure, "STORE_LOCKED"));
    assert!(failure.text.en.contains("region status"), "{failure}");
}
