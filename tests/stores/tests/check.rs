//! `shouwang disk check`: whatever a node would tell of its disk is named while it stands, and nothing is changed.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::fs;
use std::path::Path;

use shouwang_domain::hash::Hash32;
use shouwang_driver::{Remedy, Storage};
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::real_disk;
use shouwang_stores::damage::{Kind, Place, copy};
use shouwang_stores::looked_at::{Look, all, check};
use shouwang_stores::{Node, Sizes, alone, folder};

#[test]
fn damage_of_every_kind_is_named_and_nothing_is_changed() {
    let (seen, failures) = all(8, 7).unwrap();
    println!("check: {seen:?}");
    let some: Vec<_> = failures.iter().take(10).collect();
    assert!(failures.is_empty(), "{} failed, such as: {some:#?}", failures.len());
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Reserve) {
        assert!(seen.get(&(kind, Look::Named)).is_some_and(|named| *named > 0), "no {kind:?} was named: {seen:?}");
    }
    // The room kept back holds nothing.
    assert!(!seen.contains_key(&(Kind::Reserve, Look::Named)), "{seen:?}");
}

#[test]
fn a_sound_disk_is_sound_and_read_to_its_end() {
    for orderly in [true, false] {
        let place = Place::new(orderly).unwrap();
        let report = check(place.root()).unwrap();
        assert!(report.damage.is_empty() && report.moved_away.is_empty(), "{report:?}");
        assert_eq!(report.records.len(), 2);
        for record in &report.records {
            let (first, last) = record.ledger.unwrap();
            assert!(first == 1 && last > 15 && record.replayed == Some((0, last)), "{record:?}");
            assert!(record.segments > 0 && record.checkpoints == 2 && record.log_entries > 0, "{record:?}");
        }
    }
}

/// Puts another record in the place of the last one of a sealed segment, with checksums that fit.
fn forge(dir: &Path) -> std::path::PathBuf {
    let place = Place::new(true).unwrap();
    copy(place.root(), dir).unwrap();
    let file = dir.join(place.files(Kind::Sealed).first().unwrap());
    let id = file.ancestors().nth(2).unwrap().file_name().unwrap().to_str().unwrap();
    let id = Hash32::from_hex(id).unwrap().0;
    let ledger = Ledger::open(real_disk(), file.parent().unwrap(), id, LedgerOptions::default()).unwrap();
    let segment = ledger.reader().segments().into_iter().find(|segment| segment.file == file).unwrap();
    let count = usize::try_from(segment.last - segment.first + 1).unwrap();
    let mut records = ledger.reader().read(segment.first, count, usize::MAX).unwrap();
    assert_eq!(records.len(), count);
    // Of the time stamps and texts in it, some byte can be another without the record being none.
    let bytes = &mut records.last_mut().unwrap().1;
    let at = bytes.windows(2).position(|pair| pair == b"at").unwrap();
    bytes[at + 10] ^= 1;
    let aside = folder().unwrap();
    let mut forged = Ledger::open(real_disk(), aside.path(), id, LedgerOptions::default()).unwrap();
    forged.begin_at(segment.first).unwrap();
    for (revision, bytes) in &records {
        forged.append(*revision, bytes).unwrap();
    }
    forged.seal(segment.root).unwrap();
    fs::copy(aside.path().join(file.file_name().unwrap()), &file).unwrap();
    file
}

#[test]
fn a_forged_record_is_found_though_every_checksum_fits() {
    let here = folder().unwrap();
    let file = forge(here.path());
    let report = check(here.path()).unwrap();
    let found = report.damage.iter().find(|damage| damage.path == file);
    assert!(found.is_some_and(|damage| damage.error.code() == "STORE_LEDGER_DAMAGED"), "{:?}", report.damage);
}

#[test]
fn a_disk_is_read_by_one_at_a_time() {
    let place = Place::new(true).unwrap();
    let here = folder().unwrap();
    copy(place.root(), here.path()).unwrap();
    alone(async {
        let node = Node::open(here.path(), Storage::real(), &Sizes::default()).await.unwrap();
        let refused = Node::check(here.path(), &Sizes::default()).unwrap_err();
        assert_eq!(refused.code(), "STORE_LOCKED");
        node.stop().await;
        let held = Node::hold(here.path(), &Sizes::default()).unwrap();
        let refused = Node::open(here.path(), Storage::real(), &Sizes::default()).await.err().unwrap();
        assert_eq!(refused.code(), "STORE_LOCKED");
        drop(held);
        Node::open(here.path(), Storage::real(), &Sizes::default()).await.unwrap().stop().await;
    });
}

#[test]
fn nothing_and_nothing_left_are_told_apart() {
    let here = folder().unwrap();
    let never = Node::check(&here.path().join("never"), &Sizes::default()).unwrap();
    assert!(never.damage.is_empty() && never.records.is_empty());
    let place = Place::new(true).unwrap();
    copy(place.root(), here.path()).unwrap();
    for marker in place.files(Kind::Marker) {
        fs::remove_file(here.path().join(marker)).unwrap();
    }
    let report = check(here.path()).unwrap();
    let codes: Vec<_> = report.damage.iter().map(|damage| (damage.error.code(), damage.remedy)).collect();
    assert_eq!(codes, [("STORE_MARKER_MISSING", Remedy::Operator)]);
    // The rest was read all the same.
    assert!(report.records.iter().all(|record| record.replayed.is_some()), "{report:?}");
}

#[test]
fn a_record_that_nobody_asks_for_is_read_too() {
    let place = Place::new(true).unwrap();
    let here = folder().unwrap();
    copy(place.root(), here.path()).unwrap();
    let read = || Node::hold(here.path(), &Sizes::default()).unwrap().unwrap().finish(&|_| ());
    let report = read();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    assert!(report.records.iter().all(|record| record.machine.is_none() && record.checkpoints == 2));
    let file = here.path().join(place.files(Kind::Sealed).first().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = read();
    assert!(report.damage.iter().any(|damage| damage.path == file), "{:?}", report.damage);
}
