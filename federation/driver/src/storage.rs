//! The disk below a driver: whose it is, its log, and the room kept back on it.

use std::path::Path;
use std::sync::Arc;

use shouwang_store::log::{self, EngineLog, EngineLogOptions, LogStore, UnreadableLog};
use shouwang_store::marker::{ExpectedMarker, MarkerState, StoreMarker, holds_data};
use shouwang_store::reserve::{Reserve, disk_size};
use shouwang_store::{Disk, Findings, SimDisk, StoreError, quarantine, real_disk};

use crate::Result;
use crate::options::DriverOptions;
use crate::record::{RECORDS, note_lost_logs};

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

    /// Another one: its files, and what opens the log in the data directory.
    pub fn new(
        disk: Arc<dyn Disk>,
        open_log: impl Fn(&Path, &EngineLogOptions) -> Result<Arc<dyn LogStore>, StoreError> + Send + 'static,
    ) -> Self {
        Self { disk, open_log: Box::new(open_log) }
    }

    /// Opens it if it is this node's. A log that cannot be read at all does not keep the rest from being read.
    pub(crate) fn open(self, options: &DriverOptions) -> Result<Opened> {
        let Self { disk, open_log } = self;
        let findings = Findings::default();
        let (store_id, used) = check_marker(&*disk, options, &findings)?;
        let reserve = Reserve::open(&options.data_dir, options.reserve_bytes)?;
        let sizes = options.log.on_disk_of(disk_size(&options.data_dir)?);
        let log = EngineLogOptions { findings: findings.clone(), ..sizes };
        let opened = if used && is_gone(&*disk, &options.data_dir)? {
            Err(StoreError::LogCorrupt { path: options.data_dir.join(log::DIR), detail: "it is gone".to_owned() })
        } else {
            match open_log(&options.data_dir, &log) {
                // What the reserve is for: a node that is full must still come up, or it could not even be looked at.
                Err(error) if error.is_full() => {
                    reserve.release()?;
                    open_log(&options.data_dir, &log)
                }
                other => other,
            }
        };
        let store = match opened {
            Err(StoreError::LogCorrupt { path, detail }) => Arc::new(UnreadableLog::new(path, detail)),
            other => other?,
        };
        Ok(Opened { store_id, store, reserve, findings, disk })
    }
}

/// The identity of the disk, and whether it was used before.
fn check_marker(disk: &dyn Disk, options: &DriverOptions, findings: &Findings) -> Result<([u8; 16], bool)> {
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
fn is_gone(disk: &dyn Disk, data_dir: &Path) -> Result<bool> {
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
