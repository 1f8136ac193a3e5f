use std::path::Path;

use proptest::prelude::*;

use super::*;

pub(super) const A: RecordSlot = RecordSlot(0);
pub(super) const B: RecordSlot = RecordSlot(7);

fn entry(index: u64, term: u64) -> Entry {
    let mut e = Entry { index, term, ..Entry::default() };
    e.set_data(format!("entry {index} of term {term}").into_bytes().into());
    e
}

fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    range.map(|i| entry(i, term)).collect()
}

fn hard(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term, vote, commit, ..HardState::default() }
}

pub(super) fn append(slot: RecordSlot, range: std::ops::RangeInclusive<u64>, term: u64) -> LogWrite {
    LogWrite { entries: entries(range, term), ..LogWrite::new(slot) }
}

pub(super) fn vote(slot: RecordSlot, term: u64) -> LogWrite {
    LogWrite { hard_state: Some(hard(term, 1, 0)), ..LogWrite::new(slot) }
}

pub(super) fn reset(slot: RecordSlot, index: u64, term: u64) -> LogWrite {
    LogWrite { reset_to: Some(LogBase { index, term }), ..LogWrite::new(slot) }
}

pub(super) fn open(dir: &Path) -> EngineLog {
    EngineLog::open(dir, &EngineLogOptions::default()).unwrap()
}

fn indexes(log: &LoadedLog) -> Vec<(u64, u64)> {
    log.entries.iter().map(|e| (e.index, e.term)).collect()
}

/// Small files, so that rotation, recycling and rewriting happen within a test.
pub(super) fn tiny() -> EngineLogOptions {
    EngineLogOptions { file_bytes: 4096, purge_bytes: 8192, marker_sync_every: 3, ..EngineLogOptions::default() }
}

#[test]
fn every_store_keeps_the_same_contract() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [(&str, Box<dyn LogStore>); 3] = [
        ("engine", Box::new(open(dir.path()))),
        ("memory", Box::new(MemoryLog::new())),
        ("simulated", Box::new(SimLog::new(1))),
    ];
    for (name, store) in stores {
        assert_eq!(store.load(A).unwrap(), None, "{name}: nothing was written");
        store.write(&[append(A, 1..=5, 1), vote(A, 1), append(B, 1..=2, 1)]).unwrap();
        store.write_unsynced(&[append(A, 4..=4, 2)]).unwrap();
        let log = store.load(A).unwrap().unwrap();
        assert_eq!(indexes(&log), [(1, 1), (2, 1), (3, 1), (4, 2)], "{name}: a lower index cuts the end");
        assert_eq!(log.hard_state, hard(1, 1, 0), "{name}");

        store.compact(A, LogBase { index: 2, term: 1 }).unwrap();
        store.compact(A, LogBase { index: 1, term: 1 }).unwrap();
        let log = store.load(A).unwrap().unwrap();
        assert_eq!((log.base.index, indexes(&log)), (2, vec![(3, 1), (4, 2)]), "{name}: compaction never goes back");

        store.write(&[LogWrite { entries: entries(11..=12, 3), ..reset(A, 10, 3) }]).unwrap();
        let log = store.load(A).unwrap().unwrap();
        assert_eq!((log.base, indexes(&log)), (LogBase { index: 10, term: 3 }, vec![(11, 3), (12, 3)]), "{name}");
        assert_eq!(log.hard_state, hard(1, 1, 0), "{name}: a reset keeps the vote");
        store.write(&[reset(A, 4, 3), append(A, 5..=6, 3)]).unwrap();
        assert_eq!(indexes(&store.load(A).unwrap().unwrap()), [(5, 3), (6, 3)], "{name}: a reset may go back");
        store.compact(A, LogBase { index: 6, term: 3 }).unwrap();
        assert!(store.load(A).unwrap().unwrap().entries.is_empty(), "{name}");

        assert_eq!(store.slots(), [A, B], "{name}");
        store.remove(A).unwrap();
        store.remove(A).unwrap();
        assert_eq!(store.load(A).unwrap(), None, "{name}: removed");
        store.write(&[append(A, 1..=1, 9)]).unwrap();
        let log = store.load(A).unwrap().unwrap();
        assert_eq!((indexes(&log), log.hard_state), (vec![(1, 9)], HardState::default()), "{name}: made anew");
        store.purge().unwrap();
    }
}

#[test]
fn writes_that_do_not_fit_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [Box<dyn LogStore>; 3] =
        [Box::new(open(dir.path())), Box::new(MemoryLog::new()), Box::new(SimLog::new(1))];
    for store in stores {
        store.write(&[append(A, 1..=3, 1)]).unwrap();
        store.compact(A, LogBase { index: 2, term: 1 }).unwrap();
        let before = store.load(A).unwrap();
        let cases = [
            ("hole", vec![append(A, 5..=6, 1)]),
            ("compacted", vec![append(A, 2..=4, 1)]),
            ("not in a row", vec![LogWrite { entries: vec![entry(4, 1), entry(6, 1)], ..LogWrite::new(A) }]),
            ("hole behind a reset", vec![LogWrite { entries: entries(9..=9, 1), ..reset(A, 7, 1) }]),
            ("second of two", vec![append(A, 4..=4, 1), append(A, 6..=6, 1)]),
        ];
        for (name, writes) in cases {
            let e = store.write(&writes).unwrap_err();
            assert_eq!(e.code(), "STORE_INVALID", "{name}");
            assert_eq!(store.load(A).unwrap(), before, "{name}");
        }
        assert_eq!(store.compact(A, LogBase { index: 4, term: 1 }).unwrap_err().code(), "STORE_INVALID");
        store.write(&[append(A, 4..=5, 1)]).unwrap();
    }
}

#[test]
fn the_engine_reopens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.write(&[LogWrite { conf_state: Some((7, ConfState::from((vec![1, 2], vec![3])))), ..append(A, 1..=9, 1) }])
        .unwrap();
    log.write(&[vote(B, 4)]).unwrap();
    log.compact(A, LogBase { index: 3, term: 1 }).unwrap();
    log.write_unsynced(&[append(A, 8..=8, 2)]).unwrap();
    let before = (log.load(A).unwrap(), log.load(B).unwrap());
    assert!(matches!(EngineLog::open(dir.path(), &tiny()), Err(StoreError::Locked { .. })));
    drop(log);
    for _ in 0..3 {
        let log = open(dir.path());
        assert_eq!((log.load(A).unwrap(), log.load(B).unwrap()), before);
        assert!(log.damaged().is_empty());
    }
}

/// Cuts the newest log file behind the byte length `keep(len)`.
fn cut_log(dir: &Path, keep: impl Fn(u64) -> u64) {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("raft")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.to_string_lossy().ends_with(".raftlog"));
    files.sort();
    let file = std::fs::OpenOptions::new().write(true).open(files.last().unwrap()).unwrap();
    file.set_len(keep(file.metadata().unwrap().len())).unwrap();
}

fn log_size(dir: &Path) -> u64 {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("raft")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.to_string_lossy().ends_with(".raftlog"));
    files.sort();
    let bytes = std::fs::read(files.last().unwrap()).unwrap();
    // The engine allocates ahead: what counts ends at the last byte that is not zero.
    bytes.iter().rposition(|b| *b != 0).unwrap() as u64 + 1
}

#[test]
fn a_synced_write_that_is_gone_is_damage_for_its_record_alone() {
    type Case = (&'static str, fn(&EngineLog), bool);
    let cases: [Case; 4] = [
        ("entries", |log| log.write(&[append(A, 4..=6, 1)]).unwrap(), true),
        ("a vote alone", |log| log.write(&[vote(A, 8)]).unwrap(), true),
        ("a reset", |log| log.write(&[reset(A, 50, 2)]).unwrap(), true),
        ("an unsynced write", |log| log.write_unsynced(&[append(A, 4..=6, 1)]).unwrap(), false),
    ];
    for (name, lost, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        log.write(&[append(A, 1..=3, 1), vote(A, 1), append(B, 1..=3, 1)]).unwrap();
        let keep = log_size(dir.path());
        lost(&log);
        drop(log);
        cut_log(dir.path(), |_| keep);
        // Twice: the knowledge must outlive a restart.
        for _ in 0..2 {
            let log = open(dir.path());
            assert_eq!(log.damaged(), if damage { vec![A] } else { vec![] }, "{name}");
            if damage {
                let e = log.load(A).unwrap_err();
                assert!(
                    matches!(&e, StoreError::LogDamaged { slot: A, expected, found, .. }
                    if expected.write > found.write && found.index == 3),
                    "{name}: {e}"
                );
                assert_eq!(log.write(&[vote(A, 9)]).unwrap_err().code(), "STORE_LOG_DAMAGED", "{name}");
            } else {
                assert_eq!(log.load(A).unwrap().unwrap().last_index(), 3, "{name}");
            }
            assert_eq!(log.load(B).unwrap().unwrap().last_index(), 3, "{name}: the other record is whole");
            log.write(&[vote(B, 2)]).unwrap();
            assert_eq!(log.slots(), [A, B], "{name}");
        }
        let log = open(dir.path());
        log.remove(A).unwrap();
        log.write(&[append(A, 1..=1, 9)]).unwrap();
        drop(log);
        assert!(open(dir.path()).damaged().is_empty(), "{name}: a removed record starts anew");
    }
}

#[test]
fn a_flipped_bit_in_a_synced_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for i in 1..=20 {
        log.write(&[append(A, i..=i, 1)]).unwrap();
    }
    let size = log_size(dir.path());
    drop(log);
    let file = std::fs::read_dir(dir.path().join("raft")).unwrap().map(|e| e.unwrap().path());
    let file = file.filter(|p| p.to_string_lossy().ends_with(".raftlog")).max().unwrap();
    let whole = std::fs::read(&file).unwrap();
    for byte in (20..size).step_by(37) {
        let mut bytes = whole.clone();
        bytes[usize::try_from(byte).unwrap()] ^= 4;
        std::fs::write(&file, &bytes).unwrap();
        // Kept aside: an opening tidies the file and renews the marker.
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("raft")).unwrap();
        for f in std::fs::read_dir(dir.path().join("raft")).unwrap().map(|e| e.unwrap().path()) {
            std::fs::copy(&f, copy.path().join("raft").join(f.file_name().unwrap())).unwrap();
        }
        let answer = EngineLog::open(copy.path(), &EngineLogOptions::default()).and_then(|log| log.load(A));
        let code = answer.map(|log| log.map(|l| l.last_index())).unwrap_err().code();
        assert!(["STORE_LOG_DAMAGED", "STORE_LOG_CORRUPT"].contains(&code), "byte {byte}: {code}");
    }
}

/// The log files of one kind, oldest first.
fn log_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir.join("raft")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.to_string_lossy().ends_with(".raftlog")).collect();
    files.sort();
    files
}

#[test]
fn a_batch_that_is_gone_from_the_middle_is_named() {
    // Each case loses the end of the first of two files exactly at the border of two batches, which the engine accepts.
    type Case = (&'static str, fn(&EngineLog), fn(&EngineLog));
    let cases: [Case; 3] = [
        ("a vote", |log| log.write(&[vote(A, 8)]).unwrap(), |log| log.write(&[append(A, 4..=4, 1)]).unwrap()),
        (
            "an overwritten end",
            |log| log.write(&[append(A, 2..=3, 2)]).unwrap(),
            |log| log.write(&[append(A, 4..=4, 2)]).unwrap(),
        ),
        (
            "a membership",
            |log| log.write(&[LogWrite { conf_state: Some((9, ConfState::default())), ..LogWrite::new(A) }]).unwrap(),
            |log| log.write(&[vote(A, 3)]).unwrap(),
        ),
    ];
    for (name, lost, later) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = EngineLog::open(dir.path(), &tiny()).unwrap();
        log.write(&[append(A, 1..=3, 1), vote(A, 1)]).unwrap();
        let keep = log_size(dir.path());
        lost(&log);
        // Fills the file, so that the next write begins another.
        log.write(&[LogWrite { entries: (1..=9).map(big).collect(), ..LogWrite::new(B) }]).unwrap();
        later(&log);
        drop(log);
        let files = log_files(dir.path());
        assert_eq!(files.len(), 2, "{name}");
        std::fs::OpenOptions::new().write(true).open(&files[0]).unwrap().set_len(keep).unwrap();
        let log = EngineLog::open(dir.path(), &tiny());
        let code = log.and_then(|log| log.load(A)).map(|_| ()).map_err(|e| e.code());
        assert_eq!(code, Err("STORE_LOG_DAMAGED"), "{name}");
    }
}

pub(super) fn big(index: u64) -> Entry {
    let mut e = entry(index, 1);
    // Not compressible, or the engine would make little of it.
    let noise = (0..600_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[usize::from(index.is_multiple_of(2))])
        .collect::<Vec<_>>();
    e.set_data(noise.into());
    e
}

#[test]
fn unreadable_entries_behind_a_checkpoint_are_dropped_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = EngineLog::open(dir.path(), &tiny()).unwrap();
    for index in 1..=20 {
        log.write(&[LogWrite { entries: vec![big(index)], ..LogWrite::new(A) }]).unwrap();
    }
    log.write(&[vote(A, 7)]).unwrap();
    drop(log);
    let files = log_files(dir.path());
    assert!(files.len() > 2);
    let whole = std::fs::read(&files[1]).unwrap();
    let mut bytes = whole.clone();
    // In the middle of an entry's data: what the engine looks at when it opens is elsewhere.
    bytes[200] ^= 16;
    std::fs::write(&files[1], &bytes).unwrap();
    let log = EngineLog::open(dir.path(), &tiny()).unwrap();
    let e = log.load(A).unwrap_err();
    assert_eq!(e.code(), "STORE_LOG_CORRUPT");
    let text = e.to_string();
    let salvaged = log.salvage(A).unwrap().unwrap();
    let bad = salvaged.last_index() + 1;
    assert!(text.contains(&format!("the entry {bad} cannot be read")), "{text}");
    assert_eq!(salvaged.hard_state.term, 7);
    assert_eq!(log.forgive(A, LogBase { index: bad - 1, term: 1 }).unwrap_err().code(), "STORE_LOG_CORRUPT");
    assert_eq!(log.write(&[vote(A, 8)]).unwrap_err().code(), "STORE_LOG_CORRUPT");
    log.forgive(A, LogBase { index: bad, term: 1 }).unwrap();
    for _ in 0..2 {
        let log = log.load(A).unwrap().unwrap();
        assert_eq!((log.base.index, log.last_index(), log.hard_state.term), (bad, 20, 7));
    }
    log.write(&[vote(A, 8)]).unwrap();
    drop(log);
    let log = EngineLog::open(dir.path(), &tiny()).unwrap();
    assert_eq!(log.load(A).unwrap().unwrap().hard_state.term, 8);
    log.forgive(A, LogBase { index: 20, term: 1 }).unwrap();
    assert_eq!(log.load(A).unwrap().unwrap().base.index, bad, "a whole log is left alone");
}

#[test]
fn the_file_that_keeps_a_log_from_opening_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = EngineLog::open(dir.path(), &tiny()).unwrap();
    for index in 1..=30 {
        log.write(&[LogWrite { entries: vec![big(index)], ..LogWrite::new(A) }]).unwrap();
    }
    drop(log);
    let files = log_files(dir.path());
    let mut bytes = std::fs::read(&files[1]).unwrap();
    bytes[17] ^= 1;
    std::fs::write(&files[1], &bytes).unwrap();
    let e = EngineLog::open(dir.path(), &tiny()).unwrap_err();
    assert!(matches!(&e, StoreError::LogCorrupt { path, .. } if *path == files[1]), "{e}");
}

#[test]
fn a_small_disk_gets_a_small_log() {
    let sizes = |disk| {
        let options = EngineLogOptions::default().on_disk_of(disk);
        (options.file_bytes, options.purge_bytes)
    };
    assert_eq!((sizes(8 << 20), sizes(1 << 40)), ((256 << 10, 2 << 20), (16 << 20, 64 << 20)));
}

#[test]
fn files_that_are_gone_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("raft/tail.marker");
    open(dir.path()).write(&[append(A, 1..=3, 1)]).unwrap();
    let bytes = std::fs::read(&marker).unwrap();

    std::fs::remove_file(&marker).unwrap();
    assert_eq!(EngineLog::open(dir.path(), &tiny()).unwrap_err().code(), "STORE_LOG_CORRUPT");
    std::fs::write(&marker, vec![0; bytes.len()]).unwrap();
    assert_eq!(EngineLog::open(dir.path(), &tiny()).unwrap_err().code(), "STORE_LOG_CORRUPT");

    let mut torn = bytes.clone();
    torn[64 * 1024 + 20..64 * 1024 + 40].fill(0);
    std::fs::write(&marker, &torn).unwrap();
    assert!(open(dir.path()).damaged().is_empty(), "one torn part of the marker is no damage");

    for file in std::fs::read_dir(dir.path().join("raft")).unwrap().map(|e| e.unwrap().path()) {
        if file != marker {
            std::fs::remove_file(file).unwrap();
        }
    }
    let log = open(dir.path());
    assert_eq!(log.load(A).unwrap_err().code(), "STORE_LOG_DAMAGED", "a wiped log is not a new one");
}

#[test]
fn a_removal_cut_short_is_finished_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.write(&[append(A, 1..=3, 1), append(B, 1..=3, 1)]).unwrap();
    let before = log_size(dir.path());
    log.remove(A).unwrap();
    drop(log);
    cut_log(dir.path(), |_| before);
    for _ in 0..2 {
        let log = open(dir.path());
        assert_eq!((log.slots(), log.damaged()), (vec![B], vec![]));
    }
}

#[test]
fn compacted_logs_give_their_files_back_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..6 {
        let log = EngineLog::open(dir.path(), &tiny()).unwrap();
        for _ in 0..40 {
            log.write(&[append(A, last + 1..=last + 10, round + 1), vote(B, round + 1)]).unwrap();
            last += 10;
        }
        log.compact(A, LogBase { index: last - 5, term: round + 1 }).unwrap();
        if round == 3 {
            log.write(&[reset(A, 17, 4)]).unwrap();
            last = 17;
        }
        log.purge().unwrap();
        let loaded = log.load(A).unwrap().unwrap();
        assert_eq!(loaded.last_index(), last);
        assert_eq!(loaded.entries.len(), if round == 3 { 0 } else { 5 });
        assert_eq!(log.load(B).unwrap().unwrap().hard_state.term, round + 1);
    }
    let files = std::fs::read_dir(dir.path().join("raft")).unwrap().map(|e| e.unwrap().path());
    let live = files.filter(|p| p.to_string_lossy().ends_with(".raftlog")).count();
    assert!(live < 20, "{live} log files are left");
}

#[test]
fn the_simulated_log_loses_only_what_was_not_synced() {
    for seed in 0..200 {
        let log = SimLog::new(seed);
        log.write(&[append(A, 1..=3, 1)]).unwrap();
        for i in 4..=8 {
            log.write_unsynced(&[append(A, i..=i, 1)]).unwrap();
        }
        let lost = log.crash() as u64;
        assert_eq!(log.load(A).unwrap().unwrap().last_index(), 8 - lost);
        log.write(&[append(A, 9 - lost..=9 - lost, 2)]).unwrap();
        assert_eq!(log.crash(), 0, "everything was synced");
    }
    let log = SimLog::new(3);
    log.write_unsynced(&[vote(A, 1)]).unwrap();
    assert_eq!((log.crash_losing_all(), log.load(A).unwrap()), (1, None));
}

#[test]
fn the_simulated_log_fails_as_told() {
    let log = SimLog::new(5);
    log.inject(SimLogFault::Full, 1);
    log.write(&[append(A, 1..=1, 1)]).unwrap();
    assert!(log.write(&[append(A, 2..=2, 1)]).unwrap_err().is_full());
    log.write(&[append(A, 2..=2, 1)]).unwrap();
    log.set_full(true);
    assert!(log.write(&[vote(A, 1)]).unwrap_err().is_full());
    log.set_full(false);
    for (fault, code) in [(SimLogFault::WriteEio, "STORE_IO"), (SimLogFault::Sync, "STORE_SYNC_FAILED")] {
        log.inject(fault, 0);
        assert_eq!(log.write(&[vote(A, 7)]).unwrap_err().code(), code);
        assert_eq!(log.write(&[vote(A, 7)]).unwrap_err().code(), "STORE_POISONED");
        log.crash();
        assert_eq!(log.load(A).unwrap().unwrap().last_index(), 2);
    }
    log.set_lying(true);
    log.write(&[append(A, 3..=3, 1)]).unwrap();
    log.crash_losing_all();
    assert_eq!(log.load(A).unwrap_err().code(), "STORE_LOG_DAMAGED");
    assert_eq!(log.write(&[vote(A, 8)]).unwrap_err().code(), "STORE_LOG_DAMAGED");
    log.remove(A).unwrap();
    assert_eq!(log.load(A).unwrap(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Append { slot: u64, back: u64, count: u64 },
    Vote { slot: u64 },
    Compact { slot: u64, keep: u64 },
    Reset { slot: u64, to: u64 },
    Remove { slot: u64 },
    Purge,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..3_u64;
    prop_oneof![
        6 => (slot.clone(), 0..4_u64, 1..9_u64).prop_map(|(slot, back, count)| Step::Append { slot, back, count }),
        2 => slot.clone().prop_map(|slot| Step::Vote { slot }),
        2 => (slot.clone(), 0..5_u64).prop_map(|(slot, keep)| Step::Compact { slot, keep }),
        1 => (slot.clone(), 0..60_u64).prop_map(|(slot, to)| Step::Reset { slot, to }),
        1 => slot.prop_map(|slot| Step::Remove { slot }),
        1 => Just(Step::Purge),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The engine and the plain model agree after any history, across restarts and rewritten files.
    #[test]
    fn the_engine_is_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let model = MemoryLog::new();
        let mut log = EngineLog::open(dir.path(), &tiny()).unwrap();
        for (term, step) in (1_u64..).zip(steps) {
            let end = |slot| model.load(RecordSlot(slot)).unwrap().map_or((0, 0), |l| (l.base.index, l.last_index()));
            let writes = match step {
                Step::Append { slot, back, count } => {
                    let (base, last) = end(slot);
                    let first = (last + 1).saturating_sub(back).max(base + 1);
                    vec![append(RecordSlot(slot), first..=first + count - 1, term)]
                }
                Step::Vote { slot } => vec![vote(RecordSlot(slot), term)],
                Step::Reset { slot, to } => vec![reset(RecordSlot(slot), to, term)],
                Step::Compact { slot, keep } => {
                    let base = LogBase { index: end(slot).1.saturating_sub(keep), term };
                    model.compact(RecordSlot(slot), base).unwrap();
                    log.compact(RecordSlot(slot), base).unwrap();
                    vec![]
                }
                Step::Remove { slot } => {
                    model.remove(RecordSlot(slot)).unwrap();
                    log.remove(RecordSlot(slot)).unwrap();
                    vec![]
                }
                Step::Purge => { log.purge().unwrap(); vec![] }
                Step::Reopen => {
                    drop(log);
                    log = EngineLog::open(dir.path(), &tiny()).unwrap();
                    vec![]
                }
            };
            model.write(&writes).unwrap();
            log.write(&writes).unwrap();
        }
        drop(log);
        let log = EngineLog::open(dir.path(), &tiny()).unwrap();
        prop_assert_eq!(log.slots(), model.slots());
        for slot in model.slots() {
            prop_assert_eq!(log.load(slot).unwrap(), model.load(slot).unwrap());
        }
    }
}
