use std::path::Path;

use super::*;

fn written(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(Path::new(name)).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

#[test]
fn a_crash_keeps_what_was_synced_and_nothing_that_was_never_written() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let file = written(&disk, "/d/a", b"synced");
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(6, b" one").unwrap();
        file.write_at(10, b" two").unwrap();
        disk.crash();
        assert!(file.size().is_err(), "a handle does not outlive its process");
        let content = disk.content(Path::new("/d/a")).unwrap();
        assert!(b"synced one two".starts_with(&content) && content.len() >= 6, "{content:?}");
        outcomes.insert(content.len());
    }
    assert_eq!(outcomes.len(), 9, "torn writes of every length come up");
}

#[test]
fn a_name_is_durable_only_after_its_directory_is_synced() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        written(&disk, "/d/a", b"old").sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        written(&disk, "/d/b", b"new").sync().unwrap();
        disk.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
        disk.crash();
        match disk.content(Path::new("/d/a")).unwrap().as_slice() {
            b"old" => old += 1,
            b"new" => new += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(old > 20 && new > 20, "{old} {new}");
}

#[test]
fn faults_come_when_told() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "/d/a", b"1234");
    disk.inject(SimFault::Sync, "/d/a", 1);
    file.sync().unwrap();
    assert!(file.sync().is_err());
    file.sync().unwrap();
    disk.inject(SimFault::Write, "/d/other", 0);
    file.write_at(0, b"12345").unwrap();
    disk.set_capacity(Some(8));
    file.write_at(3, b"45678").unwrap();
    assert_eq!(file.write_at(4, b"56789").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(disk.flip_bit(Path::new("/d/a"), 0, 0));
    assert_eq!(disk.content(Path::new("/d/a")).unwrap(), b"02345678");
    disk.power_off_after(1);
    file.write_at(0, b"x").unwrap();
    assert!(file.write_at(0, b"y").is_err());
    assert!(file.sync().is_err());
}

#[test]
fn quarantine_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk;
    let file = dir.path().join("x");
    for n in 0..3 {
        disk.create(&file).unwrap();
        assert_eq!(quarantine(&disk, &file).unwrap(), dir.path().join(format!("x.damaged-{n}")));
    }
    assert_eq!(disk.list(dir.path()).unwrap(), ["x.damaged-0", "x.damaged-1", "x.damaged-2"]);
}
