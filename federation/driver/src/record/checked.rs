//! A record read in full while the node stands: opened as a start would open it, on a disk that keeps every change in
//! memory, and then everything that a start does not read.

use std::path::PathBuf;
use std::sync::Arc;

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Record, ReplayError};
use shouwang_store::checkpoint::{CheckpointInfo, CheckpointStore, OpenedCheckpoint};
use shouwang_store::ledger::{Ledger, LedgerOptions, SegmentInfo};
use shouwang_store::{Findings, Remedy, ShadowDisk, StoreError};

use super::checkpoints::restore;
use super::found::{Dirs, is_damage, open_ledger};
use super::open::{Ground, Opened, opened};
use super::rescue::SetAside;
use crate::Result;
use crate::check::{Damage, FINDINGS_MAX};
use crate::error::DriverError;
use crate::options::HostSpec;

/// Ledger records read at once, and their bytes.
const PAGE: (usize, usize) = (1024, 4 << 20);

/// What was read of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRecord {
    /// The record.
    pub id: RecordId,
    /// What kind it is of; nothing if the configuration does not name it.
    pub machine: Option<&'static str>,
    /// The revision of the state that a start begins from, before it applies the log; 0 if there is none.
    pub state: u64,
    /// Entries of its log.
    pub log_entries: u64,
    /// Checkpoints that hold what they say.
    pub checkpoints: usize,
    /// Sealed segments of its ledger that hold what they say.
    pub segments: usize,
    /// The first and the last revision of the newest part of its ledger that has no gap.
    pub ledger: Option<(u64, u64)>,
    /// The epoch it was set aside with, if it lies there.
    pub set_aside: Option<u32>,
    /// What was decided once more: from behind the first of these revisions up to the last.
    pub replayed: Option<(u64, u64)>,
}

/// What a check of one record works with.
struct Examination<'a> {
    ground: &'a Ground,
    dirs: Dirs,
    checked: CheckedRecord,
    damage: Vec<Damage>,
    /// Nobody else has the record.
    alone: bool,
    go_on: &'a dyn Fn(u64, u64),
}

impl Examination<'_> {
    fn found(&mut self, error: DriverError, remedy: Remedy) {
        let path = match &error {
            DriverError::Store(error) => error.path().map(ToOwned::to_owned),
            _ => None,
        };
        let path: PathBuf = path.unwrap_or_else(|| self.dirs.root.clone());
        let damage = Damage { record: Some(self.checked.id), alone: self.alone, path, error, remedy };
        // What is looked at twice is told once.
        if !self.damage.iter().any(|known| known.is_same(&damage)) {
            self.damage.push(damage);
        }
    }

    /// Who can mend what is lost of a ledger.
    fn remedy(&self) -> Remedy {
        if self.alone { Remedy::Operator } else { Remedy::Fetching }
    }

    fn take(&mut self, findings: &Findings) {
        for finding in findings.all() {
            self.found(DriverError::Store(finding.error), finding.remedy);
        }
    }

    /// Reads every sealed segment, every checkpoint and every milestone in full. Returns what holds.
    fn read_files(&mut self, ledger: &mut Ledger, checkpoints: &CheckpointStore) -> Result<Files> {
        let (mut whole, all) = (Vec::new(), ledger.reader().segments());
        for (segment, done) in all.iter().zip(1..) {
            match ledger.reader().verify_segment(segment) {
                Ok(()) => whole.push(segment.clone()),
                Err(error @ StoreError::LedgerDamaged { .. }) => {
                    ledger.give_up(segment)?;
                    self.found(error.into(), self.remedy());
                }
                Err(error) => self.found(error.into(), Remedy::Operator),
            }
            (self.go_on)(done, all.len() as u64);
        }
        let held = checkpoints.held().unwrap_or_else(|error| {
            self.found(error.into(), Remedy::Operator);
            Vec::new()
        });
        let all = checkpoints.milestones().unwrap_or_else(|error| {
            self.found(error.into(), Remedy::Operator);
            Vec::new()
        });
        let mut milestones = Vec::new();
        for milestone in all {
            match checkpoints.open_milestone(&milestone) {
                Ok(opened) => milestones.extend(opened),
                // Of the others each is read all the same.
                Err(error) => self.found(error.into(), Remedy::Operator),
            }
        }
        self.checked.segments = whole.len();
        self.checked.checkpoints = held.len() + milestones.len();
        self.checked.ledger = ledger.first().zip(ledger.last());
        // What only this reading has found of checkpoints is told as well.
        self.take(&self.ground.findings.clone());
        Ok(Files { segments: whole, held, milestones })
    }
}

/// What of a record's files can be read in full.
struct Files {
    segments: Vec<SegmentInfo>,
    held: Vec<CheckpointInfo>,
    milestones: Vec<OpenedCheckpoint>,
}

/// Reads a record in full. `go_on` is told how much is done, of how much. Blocks.
///
/// # Errors
/// A founding document that contradicts itself. What the disk has wrong is among the damage.
pub(crate) fn check<M: Machine>(
    ground: &Ground,
    spec: &HostSpec<M>,
    go_on: &dyn Fn(u64, u64),
) -> Result<(CheckedRecord, Vec<Damage>)> {
    let founded = spec.founded()?;
    let ground = &Ground { findings: Findings::remembering(FINDINGS_MAX), ..ground.clone() };
    let mut exam = begin(ground, spec.id, Some(M::NAME), go_on);
    let opened = start(ground, spec, &exam.dirs, founded.as_ref());
    let (mut ledger, checkpoints) = match opened {
        Ok((Opened { replica, record, ledger, .. }, checkpoints)) => {
            let log = replica.status();
            exam.alone = record.as_ref().is_some_and(|record| record.machine().group().len() == 1);
            exam.checked.state = record.as_ref().map_or(0, Record::revision);
            exam.checked.log_entries = log.last - log.base.index;
            (ledger, checkpoints)
        }
        Err(error) => {
            exam.alone = founded.as_ref().is_some_and(|record| record.machine().group().len() == 1);
            let is_damage = is_damage(&error) || matches!(error, DriverError::Store(_) | DriverError::TooOld(_));
            if !is_damage {
                return Err(error);
            }
            exam.found(error, Remedy::Operator);
            rest(&mut exam, spec)?
        }
    };
    let files = exam.read_files(&mut ledger, &checkpoints)?;
    let restored = |opened: &OpenedCheckpoint| restore::<M>(spec.id, opened, spec.options.level_max);
    let mut states = Vec::new();
    for info in &files.held {
        let opened = checkpoints.open_held(info).map_err(DriverError::from);
        match opened.and_then(|opened| restored(&opened)) {
            Ok(state) => states.push((info, state)),
            Err(error) => exam.unusable(info, error),
        }
    }
    exam.replay(&ledger, founded, &files, &states, &restored);
    Ok((exam.checked, exam.damage))
}

/// Reads files that no start of this node opens: of a record that the configuration does not name, or what was set aside
/// with an epoch (`rescue resubmit` reads it too).
///
/// # Errors
/// What the system says.
pub(crate) fn check_unopened(
    ground: &Ground,
    id: RecordId,
    aside: Option<SetAside>,
    go_on: &dyn Fn(u64, u64),
) -> Result<(CheckedRecord, Vec<Damage>)> {
    let ground = &Ground { findings: Findings::remembering(FINDINGS_MAX), ..ground.clone() };
    let mut exam = begin(ground, id, None, go_on);
    if let Some(aside) = aside {
        exam.checked.set_aside = Some(aside.epoch);
        exam.dirs = Dirs::within(aside.dir);
    }
    let checkpoints = CheckpointStore::open(ground.disk.clone(), &exam.dirs.checkpoints)?;
    let checkpoints = checkpoints.telling(ground.findings.clone());
    let synced = checkpoints.held()?.first().map(|newest| newest.meta.revision);
    let options =
        LedgerOptions { synced_at_least: synced, findings: ground.findings.clone(), ..LedgerOptions::default() };
    let (mut ledger, wrong) = Ledger::salvage(&ground.disk, &exam.dirs.ledger, id.0, options)?;
    for error in wrong {
        exam.found(error.into(), Remedy::Operator);
    }
    exam.read_files(&mut ledger, &checkpoints)?;
    Ok((exam.checked, exam.damage))
}

fn begin<'a>(
    ground: &'a Ground,
    id: RecordId,
    machine: Option<&'static str>,
    go_on: &'a dyn Fn(u64, u64),
) -> Examination<'a> {
    let checked = CheckedRecord {
        id,
        machine,
        state: 0,
        log_entries: 0,
        checkpoints: 0,
        segments: 0,
        ledger: None,
        set_aside: None,
        replayed: None,
    };
    Examination { ground, dirs: Dirs::new(ground, id), checked, damage: Vec::new(), alone: false, go_on }
}

/// Opens it as a start does.
fn start<M: Machine>(
    ground: &Ground,
    spec: &HostSpec<M>,
    dirs: &Dirs,
    founded: Option<&Record<M>>,
) -> Result<(Opened<M>, CheckpointStore)> {
    let (checkpoints, staged) = dirs.stores(ground)?;
    Ok((opened(ground, spec, dirs, founded, (&checkpoints, &staged))?, checkpoints))
}

/// What else is there of a record that does not start: looked at anew, as if nothing had been set aside yet.
fn rest<M: Machine>(exam: &mut Examination<'_>, spec: &HostSpec<M>) -> Result<(Ledger, CheckpointStore)> {
    let ground = &Ground { disk: Arc::new(ShadowDisk::default()), ..exam.ground.clone() };
    let checkpoints = CheckpointStore::open(ground.disk.clone(), &exam.dirs.checkpoints)?;
    let checkpoints = checkpoints.telling(ground.findings.clone());
    let synced = checkpoints.held()?.first().map_or(0, |newest| newest.meta.revision);
    let (ledger, wrong) = open_ledger(ground, spec, &exam.dirs, synced)?;
    for error in wrong {
        exam.found(error.into(), exam.remedy());
    }
    Ok((ledger, checkpoints))
}

fn unfit(info: &CheckpointInfo, detail: &str) -> DriverError {
    StoreError::CheckpointDamaged { file: info.file.clone(), detail: detail.to_owned() }.into()
}

impl Examination<'_> {
    /// A checkpoint whose state cannot be made.
    fn unusable(&mut self, info: &CheckpointInfo, error: DriverError) {
        match error {
            DriverError::TooOld(_) => self.found(error, Remedy::Operator),
            error => self.found(unfit(info, &error.to_string()), Remedy::Mended),
        }
    }

    /// Makes the states again from the ledger, as far as it has no gap, and compares them with what segments, checkpoints
    /// and milestones say. Of the latter one state at a time is `restored`.
    fn replay<M: Machine>(
        &mut self,
        ledger: &Ledger,
        founded: Option<Record<M>>,
        files: &Files,
        states: &[(&CheckpointInfo, Record<M>)],
        restored: &dyn Fn(&OpenedCheckpoint) -> Result<Record<M>>,
    ) {
        let Some((first, last)) = self.checked.ledger else { return };
        let oldest = states.iter().rev().map(|(_, state)| state).find(|state| state.revision() + 1 >= first);
        let Some(mut record) = founded.filter(|_| first == 1).or_else(|| oldest.cloned()) else { return };
        let begun = record.revision();
        'pages: while record.revision() < last {
            let page = match ledger.reader().read(record.revision() + 1, PAGE.0, PAGE.1) {
                Ok(page) if !page.is_empty() => page,
                Ok(_) => break,
                Err(error) => {
                    self.found(error.into(), self.remedy());
                    break;
                }
            };
            for (revision, bytes) in page {
                match record.replay(&bytes) {
                    Ok(()) => {}
                    // What lies behind it is another program's to read: nothing says that it is damaged.
                    Err(ReplayError::TooOld(error)) => {
                        self.found(error.into(), Remedy::Operator);
                        break 'pages;
                    }
                    Err(ReplayError::Code(error)) => {
                        let detail = format!("revision {revision} does not follow from what is before it: {error}");
                        self.found(self.misled(&files.segments, revision, detail), self.remedy());
                        break 'pages;
                    }
                }
                self.compare_root(&record, &files.segments);
                for (info, state) in states.iter().filter(|(info, _)| info.meta.revision == revision) {
                    self.compare(&record, info, state);
                }
                for milestone in files.milestones.iter().filter(|opened| opened.meta().revision == revision) {
                    match restored(milestone) {
                        Ok(state) => self.compare(&record, milestone.info(), &state),
                        Err(error) => self.unusable(milestone.info(), error),
                    }
                }
            }
            (self.go_on)(record.revision(), last);
        }
        self.checked.replayed = Some((begun, record.revision()));
    }

    /// Whether a state that was made again has the root its ledger is sealed with there.
    fn compare_root<M: Machine>(&mut self, record: &Record<M>, segments: &[SegmentInfo]) {
        let sealed = segments.iter().find(|segment| segment.last == record.revision());
        // Before a jump behind a checkpoint nobody knows the root.
        if sealed.is_some_and(|segment| segment.root != [0; 32] && segment.root != record.ledger_root().0) {
            let detail = "its records do not lead to the root it is sealed with".to_owned();
            self.found(self.misled(segments, record.revision(), detail), self.remedy());
        }
    }

    /// Whether a state that was made again is the one that was written down.
    fn compare<M: Machine>(&mut self, record: &Record<M>, info: &CheckpointInfo, state: &Record<M>) {
        let parts = |record: &Record<M>| -> (Hash32, Hash32) { (record.digest(), record.ledger_root()) };
        if parts(state) != parts(record) {
            self.found(unfit(info, "its state is not the one that the ledger leads to"), Remedy::Operator);
        }
    }

    /// A ledger that is whole by its checksums, and wrong.
    fn misled(&self, segments: &[SegmentInfo], revision: u64, detail: String) -> DriverError {
        let holds = |segment: &&SegmentInfo| segment.first <= revision && revision <= segment.last;
        let file = segments.iter().find(holds).map_or_else(|| self.dirs.ledger.clone(), |it| it.file.clone());
        StoreError::LedgerDamaged { file, offset: 0, detail }.into()
    }
}
