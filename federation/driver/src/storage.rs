//! The disk below a driver: whose it is, its log, and the room kept back on it.

use std::path::Path;
use std::sync::Arc;

use shouwang_store::log::{self, EngineLog, EngineLogOptions, LogStore, MemoryLog, UnreadableLog};
use shouwang_store::marker::{ExpectedMarker, MarkerState, StoreMarker, holds_data};
use shouwang_store::reserve::{Reserve, disk_size};
use shouwang_store::{Disk, Findings, Remedy, ShadowDisk, SimDisk, StoreError, quarantine, real_disk};

use crate::Result;
use crate::options::DriverOptions;
use crate::record::{Ground, RECORDS, note_lost_logs};

type OpenLog = dyn Fn(&Path, &EngineLogOptions) -> Result<Arc<dyn LogStore>, StoreError> + Send;

/// What a driver keeps its records on.
pub struct Storage {
    disk: Arc<dyn Disk>,
    open_log: Box<OpenLog>,
}

/// A disk that is this node's.
pub(crate) struct Opened {
    pub store_id: [u8; 16],
    pub store: Arc<dyn LogStore>,
    pub reserve: Reserve,
    pub findings: Findings,
    pub disk: Arc<dyn Disk>,
}

impl Storage {
    /// The operating system's disk.
    pub fn real() -> Self {
        Self::new(real_disk(), |dir, options| Ok(Arc::new(EngineLog::open(dir, options)?)))
    }

    /// A simulated disk, for tests. The data directory must be a real one as well; see [`EngineLog::open_simulated`].
    pub fn simulated(disk: &SimDisk) -> Self {
        let log = disk.clone();
        Self::new(Arc::new(disk.clone()), move |dir, options| EngineLog::open_simulated(&log, dir, options))
    }

    /// A disk that is only looked at: what is changed is changed in memory.
    pub(crate) fn shadow(disk: &ShadowDisk) -> Self {
        let log = disk.clone();
        Self::new(Arc::new(disk.clone()), move |dir, options| EngineLog::open_shadow(&log, dir, options))
    }

    /// Another one: its files, and what opens the log in the data directory.
    pub fn new(
        disk: Arc<dyn Disk>,
        open_log: impl Fn(&Path, &EngineLogOptions) -> Result<Arc<dyn LogStore>, StoreError> + Send + 'static,
    ) -> Self {
        Self { disk, open_log: Box::new(open_log) }
    }

    /// Opens it if it is this node's. A log that cannot be read at all does not keep the rest from being read.
    pub(crate) fn open(self, options: &DriverOptions) -> Result<Opened> {
        let findings = Findings::default();
        let (store_id, used) = check_marker(&*self.disk, options, &findings)?;
        let reserve = Reserve::open(&options.data_dir, options.reserve_bytes)?;
        let store = match self.log(options, used, &findings) {
            // What the reserve is for: a node that is full must still come up, or it could not even be looked at.
            Err(error) if error.is_full() => {
                reserve.release()?;
                self.log(options, used, &findings)?
            }
            other => other?,
        };
        Ok(Opened { store_id, store, reserve, findings, disk: self.disk })
    }

    /// Opens it to be looked at, whosever it is: what is wrong with it is told, and what can be read is there.
    pub(crate) fn look(self, options: &DriverOptions, findings: Findings) -> Result<Ground> {
        let told = |error| {
            findings.add(error, Remedy::Operator);
            true
        };
        let used = check_marker(&*self.disk, options, &findings).map_or_else(told, |(_, used)| used);
        let store: Arc<dyn LogStore> = if options.data_dir.is_dir() {
            match self.log(options, used, &findings) {
                // What the disk does not give; a temporary folder that cannot be used says nothing about the disk.
                Err(error @ StoreError::Io { .. })
                    if error.path().is_some_and(|at| at.starts_with(&options.data_dir)) =>
                {
                    let unread = UnreadableLog::new(options.data_dir.join(log::DIR), error.to_string());
                    findings.add(error, Remedy::Operator);
                    Arc::new(unread)
                }
                other => other?,
            }
        } else {
            // All of it is gone, which the marker's absence has told.
            Arc::new(MemoryLog::default())
        };
        Ok(Ground { node: options.node, data_dir: options.data_dir.clone(), disk: self.disk, store, findings })
    }

    /// The log; one that cannot be read at all does not keep the rest from being read.
    fn log(&self, options: &DriverOptions, used: bool, findings: &Findings) -> Result<Arc<dyn LogStore>, StoreError> {
        let dir = &options.data_dir;
        let sizes = options.log.on_disk_of(disk_size(dir)?);
        let opened = if used && is_gone(&*self.disk, dir)? {
            Err(StoreError::LogCorrupt { path: dir.join(log::DIR), detail: "it is gone".to_owned() })
        } else {
            (self.open_log)(dir, &EngineLogOptions { findings: findings.clone(), ..sizes })
        };
        match opened {
            Err(StoreError::LogCorrupt { path, detail }) => Ok(Arc::new(UnreadableLog::new(path, detail))),
            other => other,
        }
    }
}

/// The identity of the disk, and whether it was used before.
fn check_marker(disk: &dyn Disk, options: &DriverOptions, findings: &Findings) -> Result<([u8; 16], bool), StoreError> {
    let DriverOptions { node, cluster, data_dir, .. } = options;
    let expected = ExpectedMarker {
        cluster: *cluster,
        node_id: node.get(),
        store_id: options.store_id,
        used_before: options.used_before,
    };
    match StoreMarker::check(disk, data_dir, holds_data(disk, data_dir)?, &expected, findings)? {
        MarkerState::Ours(marker) => Ok((marker.store_id, true)),
        MarkerState::Fresh => {
            let store_id = uuid::Uuid::now_v7().into_bytes();
            let marker = StoreMarker { cluster: *cluster, node_id: node.get(), store_id };
            marker.create(disk, data_dir)?;
            Ok((store_id, false))
        }
    }
}

/// Whether there are records but no log: it was there before any of them.
fn is_gone(disk: &dyn Disk, data_dir: &Path) -> Result<bool, StoreError> {
    let records = data_dir.join(RECORDS);
    let held = disk.list(&records).map_err(|e| StoreError::io("list", &records, e))?;
    Ok(!held.is_empty() && !EngineLog::exists(disk, data_dir)?)
}

/// Sets a log aside that cannot be opened, so that a new one can begin. Records other than `but` have lost theirs.
pub(crate) fn set_unreadable_log_aside(options: &DriverOptions, but: &str) -> Result<()> {
    let disk = real_disk();
    check_marker(&*disk, options, &Findings::default())?;
    let gone = is_gone(&*disk, &options.data_dir)?;
    if !gone {
        match EngineLog::open(&options.data_dir, &options.log) {
            Err(StoreError::LogCorrupt { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
    note_lost_logs(&disk, &options.data_dir, but)?;
    if !gone {
        quarantine(&*disk, &options.data_dir.join(log::DIR))?;
    }
    EngineLog::open(&options.data_dir, &options.log)?;
    Ok(())
}
