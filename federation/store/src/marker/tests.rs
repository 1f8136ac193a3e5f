use super::*;
use crate::SimDisk;

fn marker() -> StoreMarker {
    StoreMarker { cluster: [1; 32], node_id: 3, store_id: [2; 16] }
}

fn expected() -> ExpectedMarker {
    ExpectedMarker { cluster: [1; 32], node_id: 3, store_id: Some([2; 16]), used_before: true }
}

/// Name, marked, holds data, expected, and whether it passes as ours.
type Case = (&'static str, bool, bool, ExpectedMarker, Result<bool, &'static str>);

#[test]
fn only_the_right_disk_passes() {
    let dir = Path::new("/data");
    let bare = SimDisk::new(1);
    let marked = SimDisk::new(1);
    marker().create(&marked, dir).unwrap();
    marked.crash();
    let first = ExpectedMarker { store_id: None, used_before: false, ..expected() };
    let unknown = ExpectedMarker { store_id: None, ..expected() };
    let cases: [Case; 9] = [
        ("new node, empty disk", false, false, first.clone(), Ok(false)),
        ("data without a marker", false, true, first.clone(), Err("STORE_MARKER_MISSING")),
        ("wiped disk", false, false, expected(), Err("STORE_MARKER_MISSING")),
        ("our disk", true, true, expected(), Ok(true)),
        ("our disk, store not remembered", true, true, unknown, Ok(true)),
        ("marked and still empty", true, false, first, Ok(true)),
        ("other cluster", true, true, ExpectedMarker { cluster: [9; 32], ..expected() }, Err("STORE_MARKER_MISMATCH")),
        ("other node", true, true, ExpectedMarker { node_id: 4, ..expected() }, Err("STORE_MARKER_MISMATCH")),
        (
            "swapped disk",
            true,
            true,
            ExpectedMarker { store_id: Some([9; 16]), ..expected() },
            Err("STORE_MARKER_MISMATCH"),
        ),
    ];
    for (name, is_marked, has_data, expected, want) in cases {
        let disk = if is_marked { &marked } else { &bare };
        let state = StoreMarker::check(disk, dir, has_data, &expected, &Findings::default());
        let found = state.map(|state| state == MarkerState::Ours(marker())).map_err(|e| e.code());
        assert_eq!(found, want, "{name}");
    }
    assert_eq!(marker().create(&marked, dir).unwrap_err().code(), "STORE_INVALID");
}

#[test]
fn every_flipped_bit_is_found_and_mended_from_the_other_file() {
    let dir = Path::new("/data");
    let disk = SimDisk::new(1);
    marker().create(&disk, dir).unwrap();
    for (at, name) in NAMES.iter().enumerate() {
        for byte in 0..SIZE as u64 {
            disk.flip_bit(&dir.join(name), byte, 2);
            let findings = Findings::default();
            assert_eq!(StoreMarker::load(&disk, dir, &findings).unwrap(), Some(marker()), "byte {byte}");
            let told = findings.all();
            assert!(matches!(&*told[0].error, StoreError::MarkerDamaged { file, .. } if *file == dir.join(name)));
            assert!(StoreMarker::load(&disk, dir, &findings).is_ok() && findings.all().len() == 1, "mended");
        }
        disk.open(&dir.join(name)).unwrap().set_size(5).unwrap();
        assert_eq!(StoreMarker::load(&disk, dir, &Findings::default()).unwrap(), Some(marker()));
        disk.remove(&dir.join(NAMES[1 - at])).unwrap();
        assert_eq!(StoreMarker::load(&disk, dir, &Findings::default()).unwrap(), Some(marker()));
    }
    for name in NAMES {
        disk.flip_bit(&dir.join(name), 3, 2);
    }
    assert_eq!(StoreMarker::load(&disk, dir, &Findings::default()).unwrap_err().code(), "STORE_MARKER_DAMAGED");
    // Two whole markers that say different things: somebody has copied a file.
    let other = SimDisk::new(1);
    StoreMarker { node_id: 9, ..marker() }.write(&other, &dir.join(NAMES[0])).unwrap();
    marker().write(&other, &dir.join(NAMES[1])).unwrap();
    assert_eq!(StoreMarker::load(&other, dir, &Findings::default()).unwrap_err().code(), "STORE_MARKER_DAMAGED");
}

#[test]
fn data_is_told_from_what_is_always_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = crate::RealDisk;
    assert!(!holds_data(&disk, &dir.path().join("none")).unwrap());
    marker().create(&disk, dir.path()).unwrap();
    crate::reserve::Reserve::open(dir.path(), 4096).unwrap();
    assert!(!holds_data(&disk, dir.path()).unwrap());
    assert_eq!(StoreMarker::load(&disk, dir.path(), &Findings::default()).unwrap(), Some(marker()));
    std::fs::create_dir(dir.path().join("raft")).unwrap();
    assert!(holds_data(&disk, dir.path()).unwrap());
}
