//! Everything on a node's disk, read in full while the node stands, and nothing of it changed: what a start would find,
//! and what only a reader of every byte finds.
//!
//! What must never stand here: a repair.

use std::fs::File;
use std::path::{Path, PathBuf};

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_store::log::EngineLog;
use shouwang_store::{Findings, Remedy, ShadowDisk, StoreError};

use crate::Result;
use crate::error::DriverError;
use crate::index;
use crate::options::{DriverOptions, HostSpec};
use crate::record::{CheckedRecord, Ground, RECORDS, SetAside, all_aside, check, check_unopened};
use crate::storage::Storage;

/// Most pieces of damage that are told of one record.
pub(crate) const FINDINGS_MAX: usize = 10_000;

/// One piece of damage.
#[derive(Clone, Debug)]
pub struct Damage {
    /// Of which record, if of one alone.
    pub record: Option<RecordId>,
    /// Where: a file, or the folder of what is missing.
    pub path: PathBuf,
    /// What it is.
    pub error: DriverError,
    /// What comes of it when the node starts.
    pub remedy: Remedy,
    /// No other node has the record.
    pub alone: bool,
}

impl Damage {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.error.to_string() == other.error.to_string()
    }
}

/// What is being read, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A record: so many of its segments, and then of its ledger records, of so many.
    Record(RecordId, u64, u64),
    /// The index.
    Index,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct DiskReport {
    /// The records, those first that the configuration names.
    pub records: Vec<CheckedRecord>,
    /// What is wrong.
    pub damage: Vec<Damage>,
    /// Damaged files that earlier starts have moved out of the way: nothing reads them any more.
    pub moved_away: Vec<PathBuf>,
}

/// A check under way. As long as it lives, no node starts on this disk.
pub struct DiskCheck {
    ground: Ground,
    report: DiskReport,
    _lock: Option<File>,
}

impl DiskCheck {
    /// Takes the lock that a node takes, and looks at markers and log; none where nobody has stored anything yet. Blocks, as
    /// everything here.
    ///
    /// # Errors
    /// `Store`: `Locked` while a node runs here, or what the system says.
    pub fn open(options: &DriverOptions) -> Result<Option<Self>> {
        if !options.data_dir.is_dir() && !options.used_before {
            return Ok(None);
        }
        let lock = EngineLog::hold(&options.data_dir)?;
        let findings = Findings::remembering(FINDINGS_MAX);
        let ground = Storage::shadow(&ShadowDisk::default()).look(options, findings)?;
        Ok(Some(Self { ground, report: DiskReport::default(), _lock: lock }))
    }

    /// Reads a record that the configuration names.
    ///
    /// # Errors
    /// `Founding`: its founding document contradicts itself.
    pub fn record<M: Machine>(&mut self, spec: &HostSpec<M>, progress: &dyn Fn(Reading)) -> Result<()> {
        let go_on = |done, all| progress(Reading::Record(spec.id, done, all));
        let read = check(&self.ground, spec, &go_on)?;
        self.take(read);
        Ok(())
    }

    /// Reads what is left: other records, what was set aside with an epoch, the index.
    pub fn finish(mut self, progress: &dyn Fn(Reading)) -> DiskReport {
        let records = self.ground.data_dir.join(RECORDS);
        let names = self.ground.disk.list(&records).unwrap_or_else(|error| {
            self.note(StoreError::io("list", &records, error));
            Vec::new()
        });
        for id in names.iter().filter_map(|name| Hash32::from_hex(name)) {
            if self.report.records.iter().all(|known| known.id != id) {
                self.unopened(id, None, progress);
            }
        }
        self.set_aside(progress);
        progress(Reading::Index);
        let known: Vec<RecordId> = self.report.records.iter().map(|record| record.id).collect();
        match index::check(&self.ground.data_dir.join(index::DIR), &known) {
            Ok(None) => {}
            Ok(Some(damage)) => self.add(damage.into(), Remedy::Mended),
            Err(error) => self.note(error),
        }
        for finding in self.ground.findings.all() {
            self.add(DriverError::Store(finding.error), finding.remedy);
        }
        let mut aside = Vec::new();
        moved_away(&self.ground.data_dir, &mut aside);
        self.report.moved_away = aside;
        self.report
    }

    /// What was set aside with an epoch: what this node alone had done there is given once more from it.
    fn set_aside(&mut self, progress: &dyn Fn(Reading)) {
        let all = all_aside(&self.ground.data_dir).unwrap_or_else(|error| {
            self.note(error);
            Vec::new()
        });
        for aside in all {
            self.unopened(aside.id, Some(aside), progress);
        }
    }

    fn unopened(&mut self, id: RecordId, aside: Option<SetAside>, progress: &dyn Fn(Reading)) {
        let go_on = |done, all| progress(Reading::Record(id, done, all));
        match check_unopened(&self.ground, id, aside, &go_on) {
            Ok(read) => self.take(read),
            Err(error) => self.add(error, Remedy::Operator),
        }
    }

    fn take(&mut self, (checked, damage): (CheckedRecord, Vec<Damage>)) {
        self.report.records.push(checked);
        self.report.damage.extend(damage);
    }

    fn note(&mut self, error: StoreError) {
        self.add(error.into(), Remedy::Operator);
    }

    fn add(&mut self, error: DriverError, remedy: Remedy) {
        let path = match &error {
            DriverError::Store(error) => error.path().map(ToOwned::to_owned),
            _ => None,
        };
        let path = path.unwrap_or_else(|| self.ground.data_dir.clone());
        self.report.damage.push(Damage { record: None, path, error, remedy, alone: false });
    }
}

/// Files and folders that were moved out of the way. What cannot be listed is told elsewhere.
fn moved_away(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(".damaged-")) {
            found.push(path);
        } else if path.is_dir() {
            moved_away(&path, found);
        }
    }
}
