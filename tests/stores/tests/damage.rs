//! Damage of every kind is named, and mended as far as anything is left to mend it from.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use shouwang_stores::damage::{Case, Fate, Kind, Place, Spoil, all};

#[test]
fn no_damage_is_silent_and_none_is_an_empty_start() {
    let (figures, failures) = all(48, 1).unwrap();
    println!("damage: {figures}");
    let some: Vec<_> = failures.iter().take(10).collect();
    assert!(failures.is_empty(), "{} of {}, such as: {some:#?}", failures.len(), figures.cases);
    assert!(figures.cases >= 400, "{figures}");
    // Each way of ending was seen, or the cases are not what they should be.
    for (kind, fate) in [
        (Kind::Log, Fate::Mended),
        (Kind::Log, Fate::AcceptedNothingLost),
        (Kind::LogMarker, Fate::Mended),
        (Kind::Marker, Fate::Mended),
        (Kind::Sealed, Fate::Mended),
        (Kind::Sealed, Fate::HistoryMissing),
        (Kind::Active, Fate::Mended),
        (Kind::Checkpoint, Fate::Mended),
        (Kind::Reserve, Fate::NothingChanged),
        (Kind::Index, Fate::Mended),
    ] {
        assert!(figures.of(kind, fate) > 0, "no {kind:?} ended in {fate:?}: {figures}");
    }
    // Only the log is there once: whatever else is damaged is mended without an operator. Of its marker this is not so when
    // it is gone, after an orderly stop or after a kill: then nothing tells whether the log is whole.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Log) {
        for fate in [Fate::AcceptedNothingLost, Fate::Accepted, Fate::RegionReadOnly] {
            let expected = if (kind, fate) == (Kind::LogMarker, Fate::AcceptedNothingLost) { 2 } else { 0 };
            assert_eq!(figures.of(kind, fate), expected, "{kind:?} ended in {fate:?}: {figures}");
        }
    }
}

#[test]
fn every_kind_of_file_is_there_to_be_damaged() {
    let place = Place::new(true).unwrap();
    let kinds = place.kinds();
    for kind in Kind::ALL {
        assert!(kinds.contains_key(&kind), "{kinds:?} lacks {kind:?}");
    }
    assert!(kinds[&Kind::Checkpoint] >= 4 && kinds[&Kind::Log] >= 2 && kinds[&Kind::Sealed] >= 2, "{kinds:?}");
}

#[test]
fn a_log_that_is_gone_altogether_is_not_a_new_one() {
    let place = Place::new(true).unwrap();
    let gone = |file: &std::path::PathBuf| Case { kind: Kind::Log, file: file.clone(), spoil: Spoil::Remove };
    let mut all: Vec<_> = place.files(Kind::Log).iter().map(gone).collect();
    all.extend(place.files(Kind::LogMarker).iter().map(gone));
    let first = all.pop().unwrap();
    assert_eq!(place.judge_together(&first, &all), Ok(Fate::AcceptedNothingLost));
}

#[test]
fn a_ledger_that_was_cut_between_two_records_is_named_with_its_file() {
    // No checksum fails there: all that is left is whole, and less than was synced.
    const HEAD: usize = 56;
    let place = Place::new(true).unwrap();
    let active = place.files(Kind::Active);
    assert!(!active.is_empty());
    for file in active {
        let case = Case { kind: Kind::Active, file, spoil: Spoil::Cut { size: HEAD } };
        assert_eq!(place.judge(&case), Ok(Fate::Mended));
    }
}
