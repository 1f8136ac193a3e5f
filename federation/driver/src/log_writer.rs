//! The one thread that writes the Raft log of a node: everything waiting, of all records, in one synced write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shouwang_replica::{LogBase, Persist};
use shouwang_store::StoreError;
use shouwang_store::log::{self, LogStore, LogWrite, RecordSlot};
use shouwang_store::reserve::{DiskSpace, Reserve, SpaceState};

use crate::error::DriverError;
use crate::mailbox::Mailbox;
use crate::metrics;
use crate::record::spawn;
use crate::status::SyncStats;

/// Told up to which number the writes of a record are done.
pub(crate) type Persisted = Arc<dyn Fn(u64) + Send + Sync>;
/// Called once when the node can no longer trust its disk: the process must stop.
pub(crate) type FatalHook = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// How long a write that found the disk full waits before it is tried again.
const RETRY_FULL: Duration = Duration::from_millis(200);
/// How often the room on the disk is looked at.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);
/// How often dropped log files are given back.
const PURGE_EVERY: u32 = 60;

/// One thing to do to the log.
pub(crate) enum LogJob {
    /// Write, sync if it must be, and say so.
    Persist { slot: RecordSlot, persist: Box<Persist>, persisted: Persisted },
    /// Drop what a checkpoint covers.
    Compact { slot: RecordSlot, base: LogBase },
}

/// What the node knows about its disk.
pub(crate) struct DiskState {
    full: AtomicBool,
    broken: AtomicBool,
    syncs: AtomicU64,
    total_us: AtomicU64,
    max_us: AtomicU64,
    told: metrics::Histogram,
}

impl Default for DiskState {
    fn default() -> Self {
        Self {
            full: AtomicBool::default(),
            broken: AtomicBool::default(),
            syncs: AtomicU64::default(),
            total_us: AtomicU64::default(),
            max_us: AtomicU64::default(),
            told: metrics::fsync(),
        }
    }
}

impl DiskState {
    /// Whether new entries are refused for want of room.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn synced(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(us, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
        self.told.record(took.as_secs_f64());
    }

    /// Synced writes so far.
    pub fn stats(&self) -> SyncStats {
        let (syncs, total) = (self.syncs.load(Ordering::Relaxed), self.total_us.load(Ordering::Relaxed));
        let mean_us = total.checked_div(syncs).unwrap_or_default();
        SyncStats { syncs, mean_us, max_us: self.max_us.load(Ordering::Relaxed), disk_full: self.is_full() }
    }
}

/// The log writer of a node and the thread that watches the disk's room.
pub(crate) struct LogWriter {
    pub mailbox: Arc<Mailbox<LogJob>>,
    pub disk: Arc<DiskState>,
    pub fatal: FatalHook,
    watch: Arc<Mailbox<()>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl LogWriter {
    /// Starts both threads.
    pub fn start(
        store: Arc<dyn LogStore>,
        dir: PathBuf,
        reserve: Reserve,
        space: DiskSpace,
        fatal: FatalHook,
    ) -> Result<Self, DriverError> {
        let (mailbox, disk) = (Arc::new(Mailbox::default()), Arc::new(DiskState::default()));
        let reserve = Arc::new(reserve);
        let watch = Arc::new(Mailbox::default());
        let writer = Writer {
            store: store.clone(),
            mailbox: mailbox.clone(),
            disk: disk.clone(),
            reserve: reserve.clone(),
            fatal: fatal.clone(),
        };
        let writing = spawn("log", move || writer.run())?;
        let watcher =
            Watcher { store, dir, space, reserve, disk: disk.clone(), stop: watch.clone(), fatal: fatal.clone() };
        // Before anything is taken.
        watcher.look();
        let watching = spawn("disk", move || watcher.run())?;
        Ok(Self { mailbox, disk, fatal, watch, threads: Mutex::new(vec![writing, watching]) })
    }

    /// Ends both threads; what waits is written first unless `abort`. Blocks.
    pub fn stop(&self, abort: bool) {
        if abort {
            self.mailbox.abort();
        } else {
            self.mailbox.close();
        }
        self.watch.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        crate::record::join_all(threads);
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Nobody would ever end them.
        self.mailbox.abort();
        self.watch.close();
    }
}

struct Writer {
    store: Arc<dyn LogStore>,
    mailbox: Arc<Mailbox<LogJob>>,
    disk: Arc<DiskState>,
    reserve: Arc<Reserve>,
    fatal: FatalHook,
}

/// Writes gathered for one call of the store.
#[derive(Default)]
struct Gathered {
    writes: Vec<LogWrite>,
    sync: bool,
    /// Whom to tell of it, and the newest number, of each record.
    done: BTreeMap<RecordSlot, (Persisted, u64)>,
}

impl Writer {
    fn run(self) {
        let mut jobs = Vec::new();
        while self.mailbox.take(None, &mut jobs) {
            if self.carry_out(jobs.drain(..)).is_err() {
                self.mailbox.abort();
                return;
            }
        }
    }

    fn carry_out(&self, jobs: impl Iterator<Item = LogJob>) -> Result<(), ()> {
        let mut gathered = Gathered::default();
        for job in jobs {
            match job {
                LogJob::Persist { slot, persist, persisted } => {
                    // A restart of the log begins a write of its own: nothing of the old log may share its batch.
                    if persist.reset_to.is_some() {
                        self.write(&mut gathered)?;
                    }
                    gathered.sync |= persist.must_sync;
                    gathered.done.insert(slot, (persisted, persist.number));
                    gathered.writes.push(log_write(slot, *persist));
                }
                LogJob::Compact { slot, base } => {
                    self.write(&mut gathered)?;
                    let base = log::LogBase { index: base.index, term: base.term };
                    self.until_room(|| self.store.compact(slot, base))?;
                }
            }
        }
        self.write(&mut gathered)
    }

    fn write(&self, gathered: &mut Gathered) -> Result<(), ()> {
        let Gathered { writes, sync, done } = std::mem::take(gathered);
        if writes.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        self.until_room(|| if sync { self.store.write(&writes) } else { self.store.write_unsynced(&writes) })?;
        if sync {
            self.disk.synced(began.elapsed());
        }
        for (persisted, number) in done.into_values() {
            persisted(number);
        }
        Ok(())
    }

    /// Tries until there is room, the node stops, or the disk can no longer be trusted.
    fn until_room(&self, write: impl Fn() -> shouwang_store::Result<()>) -> Result<(), ()> {
        loop {
            match write() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_full() => {
                    if !self.disk.full.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "no room for the log; giving the reserve to votes");
                    }
                    if let Err(error) = self.reserve.release() {
                        tracing::error!(%error, "the reserve cannot be given up");
                    }
                    if self.mailbox.is_closed() {
                        return Err(());
                    }
                    std::thread::sleep(RETRY_FULL);
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be written");
                    self.disk.broken.store(true, Ordering::Relaxed);
                    (self.fatal)(&error);
                    return Err(());
                }
            }
        }
    }
}

fn log_write(slot: RecordSlot, persist: Persist) -> LogWrite {
    LogWrite {
        slot,
        entries: persist.entries,
        hard_state: persist.hard_state,
        conf_state: persist.conf_state,
        reset_to: persist.reset_to.map(|base| log::LogBase { index: base.index, term: base.term }),
    }
}

struct Watcher {
    store: Arc<dyn LogStore>,
    dir: PathBuf,
    space: DiskSpace,
    reserve: Arc<Reserve>,
    disk: Arc<DiskState>,
    stop: Arc<Mailbox<()>>,
    fatal: FatalHook,
}

impl Watcher {
    fn run(self) {
        let mut round = 0_u32;
        while self.stop.take(Some(Instant::now() + SPACE_INTERVAL), &mut Vec::new()) {
            self.look();
            round = round.wrapping_add(1);
            if round.is_multiple_of(PURGE_EVERY) && !self.disk.broken.load(Ordering::Relaxed) {
                match self.store.purge() {
                    Err(error) if error.is_fatal() => (self.fatal)(&error),
                    Err(error) => tracing::warn!(%error, "old log files are not given back"),
                    Ok(()) => {}
                }
            }
        }
    }

    fn look(&self) {
        match self.space.check(&self.dir) {
            Ok(SpaceState::Full(free)) => {
                if !self.disk.full.swap(true, Ordering::Relaxed) {
                    tracing::error!(free, "the disk is full: no new entries are taken");
                }
            }
            Ok(SpaceState::Ok(_) | SpaceState::Low(_)) => {
                // The reserve comes back first, so that the next shortage finds it.
                let kept = self.reserve.restore();
                if kept.is_ok() && self.disk.full.swap(false, Ordering::Relaxed) {
                    tracing::info!("there is room again: entries are taken");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot tell how much room there is"),
        }
        metrics::disk_full(self.disk.is_full());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use shouwang_replica::eraftpb::{Entry, HardState};
    use shouwang_store::log::{LoadedLog, MemoryLog};

    use super::*;

    /// A log that fails as told, a number of times.
    #[derive(Default)]
    struct Failing {
        inner: MemoryLog,
        full: AtomicUsize,
        broken: AtomicBool,
        writes: AtomicUsize,
    }

    impl LogStore for Failing {
        fn slots(&self) -> Vec<RecordSlot> {
            self.inner.slots()
        }
        fn load(&self, slot: RecordSlot) -> shouwang_store::Result<Option<LoadedLog>> {
            self.inner.load(slot)
        }
        fn write(&self, writes: &[LogWrite]) -> shouwang_store::Result<()> {
            if self.broken.load(Ordering::SeqCst) {
                return Err(StoreError::SyncFailed { path: "disk".into(), detail: "EIO".to_owned() });
            }
            let left = self.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() {
                return Err(StoreError::Full { path: "disk".into() });
            }
            self.writes.fetch_add(1, Ordering::SeqCst);
            self.inner.write(writes)
        }
        fn write_unsynced(&self, writes: &[LogWrite]) -> shouwang_store::Result<()> {
            self.write(writes)
        }
        fn compact(&self, slot: RecordSlot, base: log::LogBase) -> shouwang_store::Result<()> {
            self.inner.compact(slot, base)
        }
        fn remove(&self, slot: RecordSlot) -> shouwang_store::Result<()> {
            self.inner.remove(slot)
        }
        fn purge(&self) -> shouwang_store::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        dir: tempfile::TempDir,
        store: Arc<Failing>,
        writer: LogWriter,
        /// Slots and numbers, as they were told.
        told: Arc<Mailbox<(u64, u64)>>,
        fatal: Arc<Mutex<Vec<String>>>,
    }

    fn bench() -> Bench {
        let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(Failing::default()));
        let reserve = Reserve::open(dir.path(), 1 << 16).unwrap();
        let fatal: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = fatal.clone();
        let hook: FatalHook = Arc::new(move |error| told.lock().unwrap().push(error.code().to_owned()));
        let space = DiskSpace { low_bytes: 2, full_bytes: 1 };
        let writer = LogWriter::start(store.clone(), dir.path().to_owned(), reserve, space, hook).unwrap();
        Bench { dir, store, writer, told: Arc::default(), fatal }
    }

    impl Bench {
        fn persist(&self, slot: u64, number: u64) {
            let (mut entry, mut hard_state) = (Entry::default(), HardState::default());
            entry.set_index(number);
            entry.set_term(1);
            hard_state.set_term(1);
            let entries = vec![entry];
            let persist =
                Persist { number, entries, hard_state: Some(hard_state), must_sync: true, ..Persist::default() };
            let told = self.told.clone();
            let persisted: Persisted = Arc::new(move |number| {
                told.push((slot, number));
            });
            let (slot, persist) = (RecordSlot(slot), Box::new(persist));
            self.writer.mailbox.push(LogJob::Persist { slot, persist, persisted });
        }

        /// Waits until a record's writes up to this number have been reported.
        fn reported(&self, slot: u64, number: u64) {
            let (mut newest, mut taken) = (0, Vec::new());
            while newest < number {
                assert!(self.told.take(Some(Instant::now() + Duration::from_secs(20)), &mut taken));
                assert!(!taken.is_empty(), "{newest} of {number} in time");
                newest = taken.drain(..).filter(|told| told.0 == slot).map(|told| told.1).fold(newest, u64::max);
            }
        }
    }

    #[test]
    fn a_full_disk_is_waited_for_with_the_reserve_given_up() {
        let bench = bench();
        bench.store.full.store(2, Ordering::SeqCst);
        bench.persist(1, 1);
        bench.reported(1, 1);
        assert_eq!(bench.store.writes.load(Ordering::SeqCst), 1);
        let reserve = Reserve::open(bench.dir.path(), 1 << 16).unwrap();
        assert!(reserve.is_held());
        assert!(bench.fatal.lock().unwrap().is_empty());
        bench.writer.stop(false);
        assert_eq!(bench.store.load(RecordSlot(1)).unwrap().unwrap().last_index(), 1);
    }

    #[test]
    fn what_waits_of_all_records_is_one_write_and_a_stop_does_it_first() {
        let bench = bench();
        bench.store.full.store(1, Ordering::SeqCst);
        bench.persist(1, 1);
        for number in 2..=50 {
            bench.persist(1, number);
            bench.persist(2, number - 1);
        }
        bench.reported(1, 50);
        bench.persist(2, 50);
        bench.writer.stop(false);
        let writes = bench.store.writes.load(Ordering::SeqCst);
        assert!(writes <= 4, "{writes} writes");
        assert_eq!(bench.writer.disk.stats().syncs, writes as u64);
        assert_eq!(bench.store.load(RecordSlot(2)).unwrap().unwrap().last_index(), 50);
    }

    #[test]
    fn a_failed_sync_ends_all_writing_and_is_told_once() {
        let bench = bench();
        bench.store.broken.store(true, Ordering::SeqCst);
        bench.persist(1, 1);
        bench.persist(1, 2);
        bench.writer.stop(false);
        assert_eq!(*bench.fatal.lock().unwrap(), ["STORE_SYNC_FAILED"]);
        assert!(bench.writer.mailbox.is_closed());
        bench.told.close();
        assert!(!bench.told.take(None, &mut Vec::new()), "nothing is reported as written");
    }
}
