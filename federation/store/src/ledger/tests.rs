use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{PowerLoss, SimDisk, SimFault, disk::real_disk, quarantine};

const ID: [u8; 32] = [7; 32];
const ROOT: [u8; 32] = [9; 32];
const DIR: &str = "/ledger";

fn sim(seed: u64) -> SimDisk {
    SimDisk::new(seed)
}

fn body(revision: u64) -> Vec<u8> {
    format!("record {revision} ").repeat(1 + usize::try_from(revision % 5).unwrap()).into_bytes()
}

fn open(disk: &SimDisk) -> Result<Ledger> {
    open_after(disk, None)
}

fn open_after(disk: &SimDisk, synced_at_least: Option<u64>) -> Result<Ledger> {
    let options = LedgerOptions { synced_at_least, segment_bytes: 1024, ..LedgerOptions::default() };
    Ledger::open(Arc::new(disk.clone()), Path::new(DIR), ID, options)
}

fn fill(ledger: &mut Ledger, range: std::ops::RangeInclusive<u64>) {
    for revision in range {
        ledger.append(revision, &body(revision)).unwrap();
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn check(ledger: &Ledger, range: std::ops::RangeInclusive<u64>) {
    assert_eq!((ledger.first(), ledger.last()), (Some(*range.start()), Some(*range.end())));
    let all = ledger.reader().read(*range.start(), usize::MAX, usize::MAX).unwrap();
    assert_eq!(all, range.map(|r| (r, body(r))).collect::<Vec<_>>());
    ledger.verify_all().unwrap();
}

#[test]
fn records_come_back_from_memory_disk_and_sealed_segments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let options = LedgerOptions { segment_bytes: 600, ..LedgerOptions::default() };
    let mut ledger = Ledger::open(real_disk(), &path, ID, options.clone()).unwrap();
    assert_eq!((ledger.first(), ledger.last(), ledger.next()), (None, None, 1));
    assert!(ledger.reader().read(1, 10, 1000).unwrap().is_empty());
    for revision in 1..=100 {
        ledger.append(revision, &body(revision)).unwrap();
        if revision % 7 == 0 {
            ledger.sync().unwrap();
        }
        if ledger.should_seal() {
            assert_eq!(ledger.unsealed().map(|u| u.1), Some(revision));
            ledger.seal(ROOT).unwrap();
        }
    }
    check(&ledger, 1..=100);
    let segments = ledger.reader().segments();
    assert!(segments.len() > 3 && segments.iter().all(|s| s.root == ROOT && s.hash_algorithm == 1));
    ledger.sync().unwrap();
    drop(ledger);
    let ledger = Ledger::open(real_disk(), &path, ID, options.clone()).unwrap();
    check(&ledger, 1..=100);
    assert_eq!(ledger.reader().segments(), segments);
    assert_eq!(Ledger::open(real_disk(), &path, [8; 32], options).unwrap_err().code(), "STORE_LEDGER_DAMAGED");
}

#[test]
fn reads_keep_their_limits() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=20);
    ledger.seal(ROOT).unwrap();
    fill(&mut ledger, 21..=40);
    ledger.sync().unwrap();
    fill(&mut ledger, 41..=60);
    let reader = ledger.reader().clone();
    for from in 1..=60 {
        for (records, bytes) in [(1, 0), (3, 1000), (100, 90), (100, 10_000), (0, 0)] {
            let page = reader.read(from, records, bytes).unwrap();
            let size: usize = page.iter().map(|(_, b)| b.len()).sum();
            assert!(!page.is_empty() && page.len() <= records.max(1) && (page.len() == 1 || size <= bytes));
            assert!(page.iter().zip(from..).all(|((r, b), want)| *r == want && *b == body(want)));
        }
        assert_eq!(reader.get(from).unwrap(), body(from));
    }
    assert!(reader.read(61, 10, 10).unwrap().is_empty());
    assert_eq!(reader.get(61).unwrap_err().code(), "STORE_OUT_OF_RANGE");
    assert_eq!(reader.read(0, 10, 10).unwrap_err().code(), "STORE_OUT_OF_RANGE");
}

#[test]
fn appends_out_of_order_are_refused() {
    let mut ledger = open(&sim(1)).unwrap();
    fill(&mut ledger, 1..=3);
    for wrong in [0, 3, 5] {
        assert_eq!(ledger.append(wrong, b"x").unwrap_err().code(), "STORE_INVALID");
    }
    assert_eq!(ledger.append(4, &vec![0; MAX_RECORD_BYTES + 1]).unwrap_err().code(), "STORE_TOO_LARGE");
    assert_eq!(ledger.begin_at(3).unwrap_err().code(), "STORE_INVALID");
    ledger.append(4, b"").unwrap();
    assert_eq!(ledger.reader().get(4).unwrap(), b"");
}

#[test]
fn a_ledger_can_begin_late_and_be_filled_from_behind() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    ledger.begin_at(50).unwrap();
    fill(&mut ledger, 50..=60);
    ledger.begin_at(100).unwrap();
    fill(&mut ledger, 100..=110);
    ledger.sync().unwrap();
    drop(ledger);
    let mut ledger = open(&disk).unwrap();
    check(&ledger, 100..=110);
    assert_eq!(ledger.missing(), [(1, 49), (61, 99)]);
    assert_eq!(ledger.reader().get(55).unwrap(), body(55), "older runs stay readable");
    assert_eq!(ledger.reader().read(55, 100, 100_000).unwrap().len(), 6, "a page ends before a gap");
    assert!(matches!(
        ledger.reader().read(70, 1, 1).unwrap_err(),
        StoreError::OutOfRange { requested: 70, first: 100, last: 110 }
    ));
    let history = |range: std::ops::RangeInclusive<u64>| range.map(body).collect::<Vec<_>>();
    for (first, records) in [(60, history(60..=70)), (95, history(95..=100)), (61, vec![])] {
        assert_eq!(ledger.add_history(first, &records, ROOT).unwrap_err().code(), "STORE_INVALID");
    }
    ledger.add_history(80, &history(80..=99), ROOT).unwrap();
    assert_eq!((ledger.first(), ledger.missing()), (Some(80), vec![(1, 49), (61, 79)]));
    ledger.add_history(61, &history(61..=79), ROOT).unwrap();
    ledger.add_history(1, &history(1..=49), ROOT).unwrap();
    assert!(ledger.missing().is_empty());
    drop(ledger);
    check(&open(&disk).unwrap(), 1..=110);
}

#[test]
fn a_ledger_that_begins_anew_is_whole_wherever_the_power_goes() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=3);
    ledger.sync().unwrap();
    disk.record();
    ledger.begin_at(50).unwrap();
    ledger.begin_at(100).unwrap();
    let reopened = |step: usize, loss| {
        let disk = disk.as_of(step, step as u64);
        disk.lose_power(loss);
        let ledger = open_after(&disk, Some(3)).unwrap();
        (1..=3).for_each(|revision| assert_eq!(ledger.reader().get(revision).unwrap(), body(revision)));
        ledger.next()
    };
    for step in 0..=disk.steps() {
        for loss in [PowerLoss::All, PowerLoss::AfterPrefix, PowerLoss::TornEnd, PowerLoss::Scattered] {
            let next = reopened(step, loss);
            assert!([4, 50, 100].contains(&next), "{next} behind step {step}, losing {loss:?}");
        }
    }
    assert_eq!(reopened(disk.steps(), PowerLoss::All), 100, "where it begins survives");
}

#[test]
fn the_tail_can_be_dropped_but_nothing_sealed() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=10);
    ledger.seal(ROOT).unwrap();
    fill(&mut ledger, 11..=20);
    assert_eq!(ledger.truncate_after(9).unwrap_err().code(), "STORE_INVALID");
    ledger.truncate_after(25).unwrap();
    ledger.truncate_after(14).unwrap();
    check(&ledger, 1..=14);
    ledger.truncate_after(10).unwrap();
    check(&ledger, 1..=10);
    fill(&mut ledger, 11..=12);
    ledger.sync().unwrap();
    disk.crash();
    check(&open(&disk).unwrap(), 1..=12);
}

#[test]
fn a_torn_last_write_is_cut_wherever_it_tears() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=4);
    ledger.sync().unwrap();
    let whole = disk.content(&file("ledger-00000000000000000001.open")).unwrap();
    let last = format::FRAME_HEAD + body(4).len();
    for cut in 1..=last {
        for junk in [&[][..], &[0; 40], &[0xEE; 7]] {
            let torn = sim(2);
            let f = torn.create(&file("ledger-00000000000000000001.open")).unwrap();
            f.write_at(0, &[&whole[..whole.len() - cut], junk].concat()).unwrap();
            let error = open_after(&torn, Some(4)).unwrap_err();
            assert_eq!(error.path(), Some(&*file("ledger-00000000000000000001.open")), "{error}");
            let short = cut == last && junk.is_empty();
            assert_eq!(error.code(), if short { "STORE_LEDGER_SHORT" } else { "STORE_LEDGER_DAMAGED" }, "4 was synced");
            let mut ledger = open_after(&torn, Some(3)).unwrap();
            check(&ledger, 1..=3);
            fill(&mut ledger, 4..=5);
            check(&ledger, 1..=5);
        }
    }
    for cut in 0..format::HEADER {
        let torn = sim(2);
        torn.create(&file("ledger-00000000000000000001.open")).unwrap().write_at(0, &whole[..cut]).unwrap();
        assert_eq!(open(&torn).unwrap().last(), None, "a segment that was just being created");
    }
}

#[test]
fn every_flipped_bit_is_found_and_the_file_named() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=10);
    ledger.seal(ROOT).unwrap();
    fill(&mut ledger, 11..=16);
    ledger.sync().unwrap();
    drop(ledger);
    let sealed = file("ledger-00000000000000000001.sealed");
    for byte in 0..disk.content(&sealed).unwrap().len() as u64 {
        disk.flip_bit(&sealed, byte, 3);
        let e = open(&disk).and_then(|ledger| ledger.verify_all()).unwrap_err();
        assert!(matches!(&e, StoreError::LedgerDamaged { file, .. } if *file == sealed), "byte {byte}: {e}");
        disk.flip_bit(&sealed, byte, 3);
    }
    let active = file("ledger-00000000000000000011.open");
    let before_last = disk.content(&active).unwrap().len() - format::FRAME_HEAD - body(16).len();
    for byte in 0..before_last as u64 {
        disk.flip_bit(&active, byte, 5);
        let e = open(&disk).unwrap_err();
        assert!(matches!(&e, StoreError::LedgerDamaged { file, .. } if *file == active), "byte {byte}: {e}");
        disk.flip_bit(&active, byte, 5);
    }
    disk.flip_bit(&active, before_last as u64 + 20, 1);
    assert_eq!(open_after(&disk, Some(16)).unwrap_err().code(), "STORE_LEDGER_DAMAGED");
    assert_eq!(open(&disk).unwrap().last(), Some(15), "only the last record can have been torn");
}

#[test]
fn damage_noticed_by_a_reader_is_an_answer() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=10);
    ledger.sync().unwrap();
    disk.flip_bit(&file("ledger-00000000000000000001.open"), 200, 0);
    assert_eq!(ledger.reader().read(1, 100, 10_000).unwrap_err().code(), "STORE_LEDGER_DAMAGED");
    assert_eq!(ledger.verify_all().unwrap_err().code(), "STORE_LEDGER_DAMAGED");
    assert_eq!(ledger.seal(ROOT).unwrap_err().code(), "STORE_LEDGER_DAMAGED", "damage is not sealed in");
}

#[test]
fn a_quarantined_segment_leaves_a_gap_that_can_be_healed() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=10);
    ledger.seal(ROOT).unwrap();
    fill(&mut ledger, 11..=20);
    ledger.seal(ROOT).unwrap();
    fill(&mut ledger, 21..=22);
    ledger.sync().unwrap();
    drop(ledger);
    let sealed = file("ledger-00000000000000000011.sealed");
    disk.flip_bit(&sealed, 3, 3);
    let Err(StoreError::LedgerDamaged { file, .. }) = open(&disk) else { panic!("the damage is not seen") };
    quarantine(&disk, &file).unwrap();
    let mut ledger = open(&disk).unwrap();
    assert_eq!((ledger.first(), ledger.missing()), (Some(21), vec![(11, 20)]));
    ledger.add_history(11, &(11..=20).map(body).collect::<Vec<_>>(), ROOT).unwrap();
    check(&ledger, 1..=22);
}

#[test]
fn salvage_keeps_what_is_whole_and_names_what_was_not() {
    let disk = sim(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut ledger = open(&disk).unwrap();
    for last in [10, 20] {
        fill(&mut ledger, last - 9..=last);
        ledger.seal(ROOT).unwrap();
    }
    fill(&mut ledger, 21..=30);
    ledger.sync().unwrap();
    let active = file("ledger-00000000000000000021.open");
    let whole = disk.content(&active).unwrap();
    drop(ledger);
    disk.flip_bit(&file("ledger-00000000000000000011.sealed"), 3, 3);
    let break_at = whole.len() / 2;
    disk.flip_bit(&active, break_at as u64, 3);
    let options = LedgerOptions { synced_at_least: Some(30), ..LedgerOptions::default() };
    let (mut ledger, wrong) = Ledger::salvage(&shared, Path::new(DIR), ID, options.clone()).unwrap();
    let codes: Vec<_> = wrong.iter().map(StoreError::code).collect();
    assert_eq!(codes, ["STORE_LEDGER_DAMAGED", "STORE_LEDGER_DAMAGED", "STORE_LEDGER_SHORT"]);
    let last = ledger.last().unwrap();
    assert!((22..30).contains(&last));
    check(&ledger, 21..=last);
    assert_eq!(ledger.missing(), [(11, 20)]);
    let aside = disk.content(&file("ledger-00000000000000000021.open.damaged-0")).unwrap();
    assert_eq!(aside.len(), whole.len(), "all of it is kept for those who look");
    fill(&mut ledger, last + 1..=30);
    ledger.sync().unwrap();
    drop(ledger);
    let (_, wrong) = Ledger::salvage(&shared, Path::new(DIR), ID, options).unwrap();
    assert!(wrong.is_empty(), "it is healed");
}

#[test]
fn a_full_disk_is_told_and_heals() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=3);
    ledger.sync().unwrap();
    disk.set_capacity(Some(300));
    let mut next = 4;
    let big = vec![1; 300 * 1024];
    let refused = loop {
        match ledger.append(next, &big) {
            Ok(()) => next += 1,
            Err(e) => break e,
        }
    };
    assert!(refused.is_full() && next < 30, "memory has a limit: {next}");
    assert!(ledger.sync().unwrap_err().is_full());
    assert!(ledger.seal(ROOT).unwrap_err().is_full());
    assert_eq!(ledger.reader().get(next - 1).unwrap(), big, "what was taken stays readable");
    disk.set_capacity(None);
    ledger.append(next, b"room again").unwrap();
    ledger.sync().unwrap();
    disk.crash();
    assert_eq!(open(&disk).unwrap().last(), Some(next));
}

#[test]
fn a_failed_sync_or_write_poisons() {
    for (fault, code) in [(SimFault::Sync, "STORE_SYNC_FAILED"), (SimFault::Write, "STORE_IO")] {
        let disk = sim(1);
        let mut ledger = open(&disk).unwrap();
        fill(&mut ledger, 1..=3);
        disk.inject(fault, ".open", 0);
        assert_eq!(ledger.sync().unwrap_err().code(), code);
        let after = [ledger.sync(), ledger.append(4, b"x"), ledger.seal(ROOT), ledger.truncate_after(1)];
        for again in after {
            assert_eq!(again.unwrap_err().code(), "STORE_POISONED");
        }
    }
}

#[test]
fn readers_go_on_while_the_writer_seals() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    ledger.append(1, &body(1)).unwrap();
    let reader = ledger.reader();
    let reading = std::thread::spawn(move || {
        let mut next = 1;
        while next <= 2000 {
            for (revision, bytes) in reader.read(next, 17, 500).unwrap() {
                assert_eq!((revision, bytes), (next, body(next)));
                next += 1;
            }
        }
    });
    for revision in 2..=2000 {
        ledger.append(revision, &body(revision)).unwrap();
        if ledger.should_seal() {
            ledger.seal(ROOT).unwrap();
        }
    }
    reading.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Power may go at any operation: what was synced is there, what is there is right, and writing goes on.
    #[test]
    fn power_may_go_at_any_moment(seed in any::<u64>(), power in 1..120_u64, rounds in 1..4) {
        let disk = sim(seed);
        let mut synced = 0;
        for round in 0..rounds {
            disk.power_off_after(power + u64::try_from(round).unwrap());
            let mut run = || -> Result<()> {
                let mut ledger = open_after(&disk, Some(synced))?;
                for step in 0..60_u64 {
                    let next = ledger.next();
                    ledger.append(next, &body(next))?;
                    if step % 4 == 3 {
                        ledger.sync()?;
                        synced = next;
                    }
                    if ledger.should_seal() {
                        ledger.seal(ROOT)?;
                        synced = next;
                    }
                }
                Ok(())
            };
            if let Err(e) = run() {
                prop_assert!(["STORE_IO", "STORE_SYNC_FAILED"].contains(&e.code()), "{}", e);
            }
            disk.crash();
            let ledger = open_after(&disk, Some(synced)).unwrap();
            prop_assert!(ledger.last().unwrap_or(0) >= synced);
            if let Some(last) = ledger.last() {
                check(&ledger, 1..=last);
                synced = last;
            }
            disk.crash();
        }
    }
}

#[test]
fn what_the_log_derives_again_can_be_given_up_and_damage_is_taken_out_of_use() {
    let disk = sim(1);
    let mut ledger = open(&disk).unwrap();
    for revision in 1..=30 {
        ledger.append(revision, &[7; 40]).unwrap();
        if revision % 10 == 0 && revision < 30 {
            ledger.seal([1; 32]).unwrap();
        }
    }
    ledger.sync().unwrap();
    let segments = ledger.reader().segments();
    assert_eq!(segments.iter().map(|s| (s.first, s.last)).collect::<Vec<_>>(), [(1, 10), (11, 20)]);
    assert_eq!(ledger.rewind(15).unwrap_err().code(), "STORE_INVALID");
    ledger.rewind(25).unwrap();
    assert_eq!((ledger.next(), ledger.missing()), (26, vec![]));
    disk.flip_bit(&segments[0].file, 80, 3);
    let reader = ledger.reader();
    reader.verify_segment(&segments[1]).unwrap();
    assert_eq!(reader.verify_segment(&segments[0]).unwrap_err().code(), "STORE_LEDGER_DAMAGED");
    ledger.give_up(&segments[0]).unwrap();
    ledger.give_up(&segments[0]).unwrap();
    reader.verify_segment(&segments[0]).unwrap();
    assert_eq!(ledger.missing(), [(1, 10)]);
    ledger.rewind(10).unwrap();
    assert_eq!((ledger.next(), ledger.last(), ledger.missing()), (11, None, vec![(1, 10)]));
    ledger.append(11, b"again").unwrap();
    ledger.sync().unwrap();
    drop(ledger);
    disk.crash();
    let ledger = open(&disk).unwrap();
    assert_eq!((ledger.first(), ledger.last()), (Some(11), Some(11)));
}

#[test]
fn a_segment_behind_which_nothing_could_come_is_damaged() {
    let disk = sim(7);
    let mut ledger = open(&disk).unwrap();
    fill(&mut ledger, 1..=3);
    ledger.seal(ROOT).unwrap();
    let path = ledger.reader().segments()[0].file.clone();
    drop(ledger);
    let segment = disk.open(&path).unwrap();
    let size = segment.size().unwrap();
    let trailer = read_exact_at(&*segment, size - format::TRAILER as u64, format::TRAILER).unwrap();
    let (len, crc) = format::Footer::decode_trailer(&trailer).unwrap();
    let at = size - format::TRAILER as u64 - u64::from(len);
    let footer = format::Footer::decode(&read_exact_at(&*segment, at, len as usize).unwrap(), crc).unwrap();
    segment.write_at(at, &format::Footer { last: u64::MAX, ..footer }.encode()).unwrap();
    segment.sync().unwrap();
    assert_eq!(open(&disk).err().map(|error| error.code()), Some("STORE_LEDGER_DAMAGED"));
}
