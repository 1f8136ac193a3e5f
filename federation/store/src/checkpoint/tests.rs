use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::{SimDisk, SimFault, disk::real_disk};

const DIR: &str = "/checkpoints";

fn meta(revision: u64) -> CheckpointMeta {
    CheckpointMeta {
        record_id: [3; 32],
        epoch: 2,
        revision,
        raft_index: revision * 2,
        raft_term: 5,
        conf_state: ConfState::from((vec![1, 2, 3], vec![u64::MAX])),
        time_ms: -7,
        state_digest: [4; 32],
        feature_level: 1,
        hash_algorithm: 1,
    }
}

fn records(revision: u64) -> Vec<Vec<u8>> {
    (0..20).map(|i| format!("stock line {i} at {revision}").into_bytes()).collect()
}

fn store(disk: &SimDisk) -> CheckpointStore {
    CheckpointStore::open(Arc::new(disk.clone()), Path::new(DIR)).unwrap()
}

fn write(store: &CheckpointStore, revision: u64) -> CheckpointInfo {
    store.write(&meta(revision), records(revision).into_iter()).unwrap()
}

fn newest(store: &CheckpointStore) -> Option<u64> {
    let opened = store.newest_verified().unwrap()?;
    let revision = opened.meta().revision;
    assert_eq!(*opened.meta(), meta(revision));
    let found: Vec<_> = opened.records().unwrap().collect::<Result<_>>().unwrap();
    assert_eq!((found, opened.count()), (records(revision), 20));
    Some(revision)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap()
}

#[test]
fn what_is_written_comes_back_and_two_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints");
    let checkpoints = CheckpointStore::open(real_disk(), &path).unwrap();
    assert_eq!(newest(&checkpoints), None);
    for revision in [9, 10, 11, 100] {
        let info = write(&checkpoints, revision);
        assert_eq!(info.size, std::fs::metadata(&info.file).unwrap().len());
        assert_eq!(newest(&checkpoints), Some(revision));
    }
    let checkpoints = CheckpointStore::open(real_disk(), &path).unwrap();
    assert_eq!(newest(&checkpoints), Some(100));
    let held: Vec<_> = checkpoints.held().unwrap().into_iter().map(|info| info.meta.revision).collect();
    assert_eq!(held, [100, 11]);
    let empty = checkpoints.write(&meta(101), std::iter::empty()).unwrap();
    assert_eq!(checkpoints.newest_verified().unwrap().unwrap().info(), &empty);
}

#[test]
fn every_flipped_bit_is_found_and_the_older_one_used() {
    let disk = SimDisk::new(1);
    let info = {
        write(&store(&disk), 1);
        write(&store(&disk), 2)
    };
    let whole = disk.content(&info.file).unwrap();
    for byte in 0..whole.len() as u64 {
        disk.flip_bit(&info.file, byte, 6);
        let checkpoints = store(&disk);
        assert_eq!(newest(&checkpoints), Some(1), "byte {byte}");
        let aside = PathBuf::from(format!("{}.damaged-0", info.file.display()));
        assert_eq!(disk.content(&aside).map(|c| c.len()), Some(whole.len()), "it is kept for those who look");
        disk.rename(&aside, &info.file).unwrap();
        disk.flip_bit(&info.file, byte, 6);
    }
    for len in 0..whole.len() as u64 {
        let cut = SimDisk::new(1);
        write(&store(&cut), 1);
        cut.create(&info.file).unwrap().write_at(0, &whole[..usize::try_from(len).unwrap()]).unwrap();
        assert_eq!(newest(&store(&cut)), Some(1), "cut at {len}");
    }
}

#[test]
fn a_large_record_comes_back_and_one_that_only_says_it_is_large_is_damage() {
    let large = |bytes: u32| (0..bytes).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
    let written = [large(3), large(16 * 1024), large(16 * 1024 + 1), large(100_000), large(1)];
    let disk = SimDisk::new(1);
    store(&disk).write(&meta(1), written.iter().cloned()).unwrap();
    let opened = store(&disk).newest_verified().unwrap().unwrap();
    assert_eq!(opened.records().unwrap().collect::<Result<Vec<_>>>().unwrap(), written);
    // Its last record says that it is of 60 MiB, and nothing follows.
    let [hollow, short] = [u32::to_le_bytes(60 << 20).to_vec(), [u32::to_le_bytes(70_000), [7; 4]].concat()];
    for plain in [hollow, short] {
        let file = store(&disk).write(&meta(2), records(2).into_iter()).unwrap().file;
        let head = format::encode_head(&meta(2)).unwrap();
        let mut bytes = [head, zstd::bulk::compress(&plain, 1).unwrap(), format::encode_tail(1, 70 << 20)].concat();
        bytes.extend(Sha256::digest(&bytes));
        disk.create(&file).unwrap().write_at(0, &bytes).unwrap();
        assert_eq!(store(&disk).newest_verified().unwrap().unwrap().meta().revision, 1);
    }
}

/// Makes a file one of another format, as another version of the program would have written it.
fn as_format(disk: &SimDisk, file: &Path, format: u16) -> Vec<u8> {
    let mut bytes = disk.content(file).unwrap();
    let end = bytes.len() - format::DIGEST;
    bytes[8..10].copy_from_slice(&format.to_le_bytes());
    let sum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    disk.create(file).unwrap().write_at(0, &bytes).unwrap();
    bytes
}

#[test]
fn what_another_version_wrote_is_named_and_left_as_it_is() {
    let disk = SimDisk::new(1);
    write(&store(&disk), 1);
    let foreign = write(&store(&disk), 2).file;
    let bytes = as_format(&disk, &foreign, 9);
    for _ in 0..2 {
        let error = store(&disk).newest_verified().unwrap_err();
        assert!(matches!(&error, StoreError::CheckpointForeign { file, format: 9 } if *file == foreign), "{error}");
        assert!(store(&disk).verify_all().is_err());
        let held: Vec<_> = store(&disk).held().unwrap().into_iter().map(|info| info.meta.revision).collect();
        assert_eq!(held, [1], "what this version wrote is there as ever");
    }
    // Newer ones come, and it is still there.
    for revision in [3, 4, 5] {
        write(&store(&disk), revision);
    }
    assert_eq!(disk.content(&foreign), Some(bytes.clone()));
    assert_eq!(newest(&store(&disk)), Some(5));
    // One whose sum does not fit is damaged, whatever its format says.
    disk.flip_bit(&foreign, 100, 0);
    write(&store(&disk), 6);
    assert_eq!(disk.content(&foreign), None);
}

#[test]
fn what_another_version_sent_is_not_taken_for_damaged() {
    let (there, here) = (SimDisk::new(1), SimDisk::new(2));
    let sent = write(&store(&there), 2).file;
    let bytes = as_format(&there, &sent, 9);
    let digest: [u8; 32] = bytes[bytes.len() - format::DIGEST..].try_into().unwrap();
    for _ in 0..2 {
        let mut receiver = store(&here).receive(digest, bytes.len() as u64).unwrap();
        if !receiver.is_complete() {
            receiver.write(0, &bytes).unwrap();
        }
        let error = receiver.finish().unwrap_err();
        assert_eq!(error.code(), "STORE_CHECKPOINT_FOREIGN");
        assert!(names(&here)[0].starts_with("part-"), "it need not be sent again for another version");
    }
}

#[test]
fn losing_all_is_not_an_empty_start() {
    let disk = SimDisk::new(1);
    for info in [write(&store(&disk), 1), write(&store(&disk), 2)] {
        disk.flip_bit(&info.file, 100, 0);
    }
    for _ in 0..2 {
        let e = store(&disk).newest_verified().unwrap_err();
        assert!(matches!(e, StoreError::NoUsableCheckpoint { damaged: 2, .. }), "{e}");
    }
    write(&store(&disk), 3);
    assert_eq!(newest(&store(&disk)), Some(3));
}

#[test]
fn a_damaged_one_does_not_count_as_kept() {
    let disk = SimDisk::new(1);
    write(&store(&disk), 1);
    let second = write(&store(&disk), 2);
    disk.flip_bit(&second.file, 100, 0);
    write(&store(&disk), 3);
    let held: Vec<_> = store(&disk).held().unwrap().into_iter().map(|info| info.meta.revision).collect();
    assert_eq!(held, [3, 1], "the last good one before is not removed");
}

fn milestones(store: &CheckpointStore) -> Vec<u64> {
    store.milestones().unwrap().into_iter().map(|milestone| milestone.revision).collect()
}

#[test]
fn what_is_replaced_far_enough_from_the_last_milestone_becomes_one() {
    let disk = SimDisk::new(1);
    let store = || store(&disk).with_milestones(10);
    for (revision, kept) in [
        (4, &[][..]),
        (9, &[]),
        (12, &[]),
        // 4 and 9 are too near to the founding.
        (13, &[]),
        (30, &[12][..]),
        // 13 is too near to 12.
        (31, &[12]),
        (40, &[30, 12]),
        (41, &[30, 12]),
    ] {
        let before = write(&store(), revision);
        assert_eq!((milestones(&store()), newest(&store())), (kept.to_vec(), Some(revision)));
        assert_eq!(store().newest_verified().unwrap().unwrap().info(), &before);
    }
    let held: Vec<_> = store().held().unwrap().into_iter().map(|info| info.meta.revision).collect();
    assert_eq!(held, [41, 40], "a milestone is none of those a log may be cut behind");
    let of = |revision| store().milestones().unwrap().into_iter().find(|it| it.revision == revision).unwrap();
    let opened = store().open_milestone(&of(30)).unwrap().unwrap();
    let found: Vec<_> = opened.records().unwrap().collect::<Result<_>>().unwrap();
    assert_eq!((found, opened.meta()), (records(30), &meta(30)));

    // One that rots is set aside, by whoever looks first; nothing else depends on it.
    for (revision, left) in [(30, &[12][..]), (12, &[])] {
        let rotten = of(revision);
        disk.flip_bit(&rotten.file, 100, 0);
        match revision {
            30 => assert!(store().open_milestone(&rotten).unwrap().is_none()),
            _ => assert_eq!(store().verify_all().unwrap(), 0, "none of those held"),
        }
        assert_eq!((milestones(&store()), newest(&store())), (left.to_vec(), Some(41)));
    }
    for revision in [40, 41] {
        let file = Path::new(DIR).join(file_name(&meta(revision)));
        disk.remove(&file).unwrap();
    }
    assert!(store().newest_verified().unwrap().is_none(), "a rotten milestone is no lost checkpoint");
}

#[test]
fn milestones_are_few_and_are_forgotten_with_the_past_they_stand_for() {
    let disk = SimDisk::new(1);
    let store = store(&disk).with_milestones(1);
    for revision in 1..=40 {
        write(&store, revision);
    }
    let kept = milestones(&store);
    assert_eq!((kept.len(), kept.first()), (MAX_MILESTONES, Some(&38)), "{kept:?}");
    let gaps = kept.windows(2).map(|pair| pair[0] - pair[1]).chain(kept.last().copied());
    assert!(gaps.max() <= Some(4), "{kept:?}");
    store.forget_milestones_behind(20).unwrap();
    disk.crash();
    let left: Vec<_> = kept.into_iter().filter(|revision| *revision <= 20).collect();
    assert_eq!(milestones(&self::store(&disk)), left);
}

#[test]
fn a_full_or_failing_disk_leaves_what_there_was() {
    let disk = SimDisk::new(1);
    let checkpoints = store(&disk);
    write(&checkpoints, 1);
    disk.set_capacity(Some(700));
    let e = checkpoints
        .write(&meta(2), (0..9000_u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes().to_vec()));
    assert!(e.unwrap_err().is_full());
    disk.set_capacity(None);
    assert_eq!((newest(&checkpoints), names(&disk).len()), (Some(1), 1), "nothing is left lying about");
    let large = checkpoints.write(&meta(2), std::iter::once(vec![0; MAX_CANONICAL_BYTES + 1]));
    assert_eq!(large.unwrap_err().code(), "STORE_TOO_LARGE");
    disk.inject(SimFault::Sync, ".new", 0);
    assert_eq!(checkpoints.write(&meta(2), std::iter::empty()).unwrap_err().code(), "STORE_SYNC_FAILED");
    assert_eq!(checkpoints.write(&meta(2), std::iter::empty()).unwrap_err().code(), "STORE_POISONED");
    assert_eq!(newest(&store(&disk)), Some(1));
}

#[test]
fn a_transfer_resumes_where_it_stood() {
    let (here, there) = (SimDisk::new(1), SimDisk::new(2));
    let source = store(&here);
    let info = write(&source, 5);
    let target = store(&there);
    write(&target, 4);
    let mut rounds = 0;
    while rounds < 100 {
        rounds += 1;
        let target = store(&there);
        let mut receiver = target.receive(info.digest, info.size).unwrap();
        assert_eq!(receiver.size(), info.size);
        if receiver.is_complete() {
            let done = receiver.finish().unwrap();
            assert_eq!((done.digest, &done.meta), (info.digest, &info.meta));
            break;
        }
        let at = receiver.offset();
        let chunk = source.open_held(&info).unwrap().read_chunk(at, 100).unwrap();
        for wrong in [at + 1, at.wrapping_sub(1)] {
            let e = receiver.write(wrong, &chunk).unwrap_err();
            assert!(matches!(e, StoreError::WrongOffset { expected, .. } if expected == at), "{e}");
        }
        assert_eq!(receiver.write(at, &vec![0; 10_000]).unwrap_err().code(), "STORE_TOO_LARGE");
        receiver.write(at, &chunk).unwrap();
        if !receiver.is_complete() {
            assert_eq!(receiver.finish().unwrap_err().code(), "STORE_INVALID");
        }
    }
    assert!(rounds > 3 && rounds < 100);
    let opened = source.newest_verified().unwrap().unwrap();
    assert!(opened.read_chunk(info.size, 100).unwrap().is_empty());
    (6..=8).for_each(|revision| drop(write(&source, revision)));
    assert_eq!(source.open_held(&info).unwrap_err().code(), "STORE_IO", "newer ones have replaced it");
    assert_eq!(opened.read_chunk(8, 30).unwrap().len(), 30, "what is open goes on");
    assert_eq!(newest(&store(&there)), Some(5));
    assert_eq!(names(&there).len(), 2);
}

#[test]
fn a_damaged_transfer_is_refused_and_starts_clean() {
    let (here, there) = (SimDisk::new(1), SimDisk::new(2));
    let source = store(&here);
    let info = write(&source, 5);
    let mut bytes = source.open_held(&info).unwrap().read_chunk(0, 1 << 20).unwrap();
    let target = store(&there);
    bytes[90] ^= 1;
    let mut receiver = target.receive(info.digest, info.size).unwrap();
    receiver.write(0, &bytes).unwrap();
    assert_eq!(receiver.finish().unwrap_err().code(), "STORE_CHECKPOINT_DAMAGED");
    assert_eq!(target.receive(info.digest, info.size).unwrap().offset(), 0);

    bytes[90] ^= 1;
    let mut other = target.receive([1; 32], info.size).unwrap();
    assert_eq!(names(&there).len(), 1, "one transfer at a time");
    other.write(0, &bytes).unwrap();
    assert_eq!(other.finish().unwrap_err().code(), "STORE_CHECKPOINT_DAMAGED", "whole, but not the one promised");
    assert_eq!(target.receive([0; 32], MAX_CHECKPOINT_BYTES + 1).unwrap_err().code(), "STORE_TOO_LARGE");
    assert_eq!(newest(&target), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Power may go at any operation: once a checkpoint was written, there is one, and it is right.
    #[test]
    fn power_may_go_at_any_moment(seed in any::<u64>(), power in 0..40_u64) {
        let disk = SimDisk::new(seed);
        let mut done = None;
        disk.power_off_after(power);
        for revision in 1..=5 {
            let written = CheckpointStore::open(Arc::new(disk.clone()), Path::new(DIR))
                .and_then(|store| store.with_milestones(2).write(&meta(revision), records(revision).into_iter()));
            if written.is_ok() {
                done = Some(revision);
            }
        }
        disk.crash();
        let found = newest(&store(&disk));
        prop_assert!(found >= done, "{:?} {:?}", found, done);
        for milestone in store(&disk).milestones().unwrap() {
            let opened = store(&disk).open_milestone(&milestone).unwrap();
            prop_assert_eq!(opened.map(|opened| opened.meta().revision), Some(milestone.revision));
        }
    }

    /// Any records come back as they were.
    #[test]
    fn any_records_come_back(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..50)) {
        let disk = SimDisk::new(0);
        store(&disk).write(&meta(1), records.clone().into_iter()).unwrap();
        let opened = store(&disk).newest_verified().unwrap().unwrap();
        let found: Vec<_> = opened.records().unwrap().collect::<Result<_>>().unwrap();
        prop_assert_eq!(found, records);
    }
}

#[test]
fn a_staged_checkpoint_is_settled_by_where_the_log_begins() {
    // Revision 5 stands at index 10.
    for (own, log_base, kept) in [(4, 10, 5), (4, 0, 4), (4, 12, 4), (5, 10, 5), (6, 10, 6)] {
        let disk = SimDisk::new(1);
        let (store, staged) =
            (store(&disk), CheckpointStore::open(Arc::new(disk.clone()), Path::new("/staged")).unwrap());
        write(&store, own);
        write(&staged, 5);
        store.settle(&staged, log_base).unwrap();
        assert_eq!(staged.held().unwrap(), [], "own {own}, log from {log_base}");
        disk.crash();
        let again = self::store(&disk);
        assert_eq!(newest(&again), Some(kept), "own {own}, log from {log_base}");
    }
}
