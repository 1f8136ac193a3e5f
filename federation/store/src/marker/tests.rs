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
        let state = StoreMarker::check(disk, dir, has_data, &expected);
        let found = state.map(|state| state == MarkerState::Ours(marker())).map_err(|e| e.code());
        assert_eq!(found, want, "{name}");
    }
    assert_eq!(marker().create(&marked, dir).unwrap_err().code(), "STORE_INVALID");
}

#[test]
fn every_flipped_bit_is_found() {
    let dir = Path::new("/data");
    let disk = SimDisk::new(1);
    marker().create(&disk, dir).unwrap();
    for byte in 0..SIZE as u64 {
        disk.flip_bit(&path(dir), byte, 2);
        assert_eq!(StoreMarker::load(&disk, dir).unwrap_err().code(), "STORE_MARKER_DAMAGED", "byte {byte}");
        disk.flip_bit(&path(dir), byte, 2);
    }
    disk.open(&path(dir)).unwrap().set_size(5).unwrap();
    assert_eq!(StoreMarker::load(&disk, dir).unwrap_err().code(), "STORE_MARKER_DAMAGED");
}

#[test]
fn data_is_told_from_what_is_always_there() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!holds_data(&dir.path().join("none")).unwrap());
    marker().create(&crate::RealDisk, dir.path()).unwrap();
    crate::reserve::Reserve::open(dir.path(), 4096).unwrap();
    assert!(!holds_data(dir.path()).unwrap());
    assert_eq!(StoreMarker::load(&crate::RealDisk, dir.path()).unwrap(), Some(marker()));
    std::fs::create_dir(dir.path().join("raft")).unwrap();
    assert!(holds_data(dir.path()).unwrap());
}
