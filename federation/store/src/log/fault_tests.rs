use std::{
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use super::{
    EngineLog, HardState, LogBase, LogStore, LogWrite,
    tests::{A, B, append, big, open, tiny, vote},
};
use crate::{Disk, PowerLoss, SimDisk};

type Real = DefaultFileSystem;

/// The engine's own file system with switches that make it fail.
#[derive(Default, Clone)]
struct FailingFiles(Arc<Switches>);

#[derive(Default)]
struct Switches {
    sync: AtomicBool,
    full: AtomicBool,
    write: AtomicBool,
}

impl Switches {
    fn on(switch: &AtomicBool) -> bool {
        switch.load(Ordering::SeqCst)
    }
}

struct FailingHandle(Arc<<Real as FileSystem>::Handle>, Arc<Switches>);
struct FailingWriter(<Real as FileSystem>::Writer, Arc<Switches>);

impl Handle for FailingHandle {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.0.truncate(offset)
    }
    fn file_size(&self) -> io::Result<usize> {
        self.0.file_size()
    }
    fn sync(&self) -> io::Result<()> {
        if Switches::on(&self.1.sync) { Err(io::Error::from_raw_os_error(5)) } else { self.0.sync() }
    }
}

impl Write for FailingWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if Switches::on(&self.1.full) {
            // The words the engine's own files use.
            return Err(io::Error::new(io::ErrorKind::StorageFull, "nospace"));
        }
        if Switches::on(&self.1.write) { Err(io::Error::from_raw_os_error(5)) } else { self.0.write(buf) }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for FailingWriter {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl WriteExt for FailingWriter {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.0.truncate(offset)
    }
    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        self.0.allocate(offset, size)
    }
}

impl FileSystem for FailingFiles {
    type Handle = FailingHandle;
    type Reader = <Real as FileSystem>::Reader;
    type Writer = FailingWriter;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<Self::Handle> {
        Ok(FailingHandle(Arc::new(DefaultFileSystem.create(path)?), self.0.clone()))
    }
    fn open<P: AsRef<Path>>(&self, path: P, perm: Permission) -> io::Result<Self::Handle> {
        Ok(FailingHandle(Arc::new(DefaultFileSystem.open(path, perm)?), self.0.clone()))
    }
    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        DefaultFileSystem.delete(path)
    }
    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        DefaultFileSystem.rename(from, to)
    }
    fn new_reader(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Reader> {
        DefaultFileSystem.new_reader(handle.0.clone())
    }
    fn new_writer(&self, handle: Arc<Self::Handle>) -> io::Result<Self::Writer> {
        Ok(FailingWriter(DefaultFileSystem.new_writer(handle.0.clone())?, self.0.clone()))
    }
}

#[test]
fn a_failed_sync_or_write_poisons_the_log() {
    type Case = (fn(&Switches) -> &AtomicBool, &'static str);
    let cases: [Case; 2] = [(|s| &s.sync, "STORE_SYNC_FAILED"), (|s| &s.write, "STORE_IO")];
    for (switch, code) in cases {
        let dir = tempfile::tempdir().unwrap();
        let files = FailingFiles::default();
        let log = EngineLog::open_on(dir.path(), &tiny(), &Arc::new(files.clone()), &*crate::real_disk()).unwrap();
        log.write(&[append(A, 1..=3, 1)]).unwrap();
        switch(&files.0).store(true, Ordering::SeqCst);
        let e = log.write(&[append(A, 4..=4, 1)]).unwrap_err();
        assert_eq!(e.code(), code, "{e}");
        switch(&files.0).store(false, Ordering::SeqCst);
        let base = LogBase { index: 2, term: 1 };
        let after = [log.write(&[vote(A, 2)]), log.write_unsynced(&[vote(A, 2)]), log.remove(A), log.purge()];
        for again in after.into_iter().chain([log.compact(A, base)]) {
            assert_eq!(again.unwrap_err().code(), "STORE_POISONED", "a retry after a failure can lie");
        }
        drop(log);
        assert!(open(dir.path()).load(A).unwrap().unwrap().last_index() >= 3);
    }
}

#[test]
fn a_purge_takes_nothing_whose_replacement_could_still_be_lost() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new(1));
    let log = EngineLog::open_simulated(&disk, dir.path(), &tiny()).unwrap();
    log.write(&[append(A, 1..=3, 1), vote(A, 7)]).unwrap();
    for index in 1..=30 {
        log.write(&[LogWrite { entries: vec![big(index)], ..LogWrite::new(B) }]).unwrap();
    }
    log.compact(B, LogBase { index: 29, term: 1 }).unwrap();
    // Replaces the vote's place in memory, and can still be lost.
    let committed = HardState { term: 7, vote: 1, commit: 3, ..HardState::default() };
    log.write_unsynced(&[LogWrite { hard_state: Some(committed), ..LogWrite::new(A) }]).unwrap();
    let files = |disk: &SimDisk| disk.list(&dir.path().join("raft")).unwrap().len();
    let before = files(&disk);
    log.purge().unwrap();
    assert!(files(&disk) < before, "files were given back");
    disk.sync_dir(&dir.path().join("raft")).unwrap();
    // As the disk is now: an orderly end would sync.
    let disk = disk.as_of(0, 1);
    disk.lose_power(PowerLoss::All);
    let again = tempfile::tempdir().unwrap();
    disk.move_names(dir.path(), again.path());
    let log = EngineLog::open_simulated(&disk, again.path(), &tiny()).unwrap();
    assert_eq!(log.load(A).unwrap().unwrap().hard_state.term, 7);
}

#[test]
fn a_full_disk_refuses_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let files = FailingFiles::default();
    let log = EngineLog::open_on(dir.path(), &tiny(), &Arc::new(files.clone()), &*crate::real_disk()).unwrap();
    log.write(&[append(A, 1..=3, 1)]).unwrap();
    for round in 0..3 {
        files.0.full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(log.write(&[append(A, 4..=4, 1)]).unwrap_err().is_full());
            assert!(log.write_unsynced(&[vote(A, 9)]).unwrap_err().is_full());
        }
        assert!(log.compact(A, LogBase { index: 3, term: 1 }).unwrap_err().is_full());
        assert_eq!(log.load(A).unwrap().unwrap().last_index(), 3, "reads go on, nothing has changed");
        files.0.full.store(false, Ordering::SeqCst);
        log.write(&[vote(A, round + 2)]).unwrap();
    }
    log.write(&[append(A, 4..=6, 1)]).unwrap();
    drop(log);
    let log = open(dir.path());
    let loaded = log.load(A).unwrap().unwrap();
    assert_eq!((loaded.last_index(), loaded.hard_state.term), (6, 4));
}
