//! The sweep: one run of the script on a disk that remembers its steps, and then a power cut behind every one of them,
//! in every way of losing what was not synced. What a restart finds is compared with the tale.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use shouwang_store::{PowerLoss, SimDisk, StoreError};

use crate::plant::{Plant, storage};
use crate::script::acts;
use crate::{Node, Result, Sizes, Tale, alone, folder, judge_all};

/// The ways of losing what was not synced.
pub const LOSSES: [PowerLoss; 4] = [PowerLoss::All, PowerLoss::AfterPrefix, PowerLoss::TornEnd, PowerLoss::Scattered];
/// Commands asked after a restart, to see that work goes on.
const MORE: usize = 2;

/// One run of the script.
pub struct Recorded {
    disk: SimDisk,
    root: tempfile::TempDir,
    /// What came of it.
    pub tale: Tale,
}

/// A disk with what a node did to it below which directory, and how many commands were there at which of its steps.
type Life = (SimDisk, PathBuf, Vec<(usize, usize)>);

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Figures {
    /// Commands in the script.
    pub commands: usize,
    /// Steps of the disk.
    pub steps: usize,
    /// Restarts after a power cut, each followed by a second cut somewhere in that life and one more restart.
    pub restarts: usize,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commands, steps, restarts, failures } = self;
        write!(f, "commands={commands} steps={steps} restarts={restarts} failed={}", failures.len())
    }
}

impl Recorded {
    /// Plays the script once.
    pub fn new(plant: Plant) -> Result<Self> {
        let (disk, root, log) = (SimDisk::new(1), folder()?, Arc::new(OnceLock::new()));
        disk.record();
        let tale = alone(async {
            let storage = storage(&disk, plant, Arc::clone(&log));
            let node = Node::open(root.path(), storage, &Sizes::default()).await.map_err(|error| error.to_string())?;
            let log = log.get().ok_or("the log was not opened")?;
            let tale = Tale::play(&node, acts(node.region_id()), log, || disk.steps()).await;
            node.stop().await;
            tale
        })?;
        Ok(Self { disk, root, tale })
    }

    /// What the disk did, step by step.
    pub fn steps(&self) -> Vec<String> {
        (1..=self.disk.steps()).map(|step| self.disk.step(step)).collect()
    }

    /// How many steps of the disk have these words in them.
    pub fn saw(&self, words: &[&str]) -> usize {
        self.steps().iter().filter(|step| words.iter().all(|word| step.contains(word))).count()
    }

    /// Cuts the power behind every step in every way; each time a second cut falls somewhere into the restart. `stride`
    /// leaves out steps: 1 is all of them.
    pub fn sweep(&self, losses: &[PowerLoss], stride: usize) -> Figures {
        let steps = self.disk.steps();
        let cases: Vec<(usize, PowerLoss)> =
            (0..=steps).step_by(stride).flat_map(|step| losses.iter().map(move |loss| (step, *loss))).collect();
        let verdicts = judge_all(&cases, |(step, loss)| self.cut(*step, *loss));
        let failures = verdicts.into_iter().filter_map(Result::err).collect();
        Figures { commands: self.tale.done.len(), steps, restarts: cases.len(), failures }
    }

    /// One case: the disk as it was after `step` steps loses its power.
    pub fn cut(&self, step: usize, loss: PowerLoss) -> Result<()> {
        let seed = step as u64 * 8 + loss as u64;
        let named = |why| format!("behind step {step} ({}), losing {loss:?}: {why}", self.disk.step(step));
        let acknowledged = self.tale.done.iter().take_while(|done| done.steps <= step).count();
        let disk = self.disk.as_of(step, seed);
        let (life, was, more) = self.restart((&disk, self.root.path()), loss, acknowledged).map_err(named)?;
        // The second cut: anywhere from the opening to the end of that life.
        let second = usize::try_from(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33).unwrap_or(0) % (life.steps() + 1);
        let loss = LOSSES[step % LOSSES.len()];
        let acknowledged =
            acknowledged.max(more.iter().filter(|(_, steps)| *steps <= second).map(|m| m.0).max().unwrap_or(0));
        let again = life.as_of(second, seed);
        let named =
            |why| named(format!("and again behind step {second} ({}), losing {loss:?}: {why}", life.step(second)));
        self.restart((&again, &was), loss, acknowledged).map_err(named).map(drop)
    }

    /// Lets a disk, whose files lie below a directory, lose its power, and starts a node on it. Returns the disk with what
    /// that node did below which directory, and how many commands were there at which of its steps.
    fn restart(&self, (disk, was): (&SimDisk, &Path), loss: PowerLoss, acknowledged: usize) -> Result<Life> {
        let (here, log) = (folder()?, Arc::new(OnceLock::new()));
        disk.lose_power(loss);
        disk.move_names(was, here.path());
        disk.record();
        let counted = alone(async {
            let storage = storage(disk, Plant::None, log);
            let node = Node::open(here.path(), storage, &Sizes::default()).await.map_err(|error| error.to_string())?;
            let checked = self.check(&node, disk, acknowledged).await;
            node.abort().await;
            checked
        });
        Ok((disk.clone(), here.path().to_owned(), counted?))
    }

    async fn check(&self, node: &Node, disk: &SimDisk, acknowledged: usize) -> Result<Vec<(usize, usize)>> {
        let position = self.tale.check(node, acknowledged).await?;
        let mut counted = vec![(position, disk.steps())];
        self.tale.go_on(node, position, MORE).await?;
        counted.push((self.tale.done.len().min(position + MORE), disk.steps()));
        if node.is_broken() {
            return Err("a power cut is taken for a disk that cannot be trusted".to_owned());
        }
        // A power cut tears what was being written; it must never be taken for more than that.
        let torn =
            |error: &StoreError| matches!(error, StoreError::LedgerTorn { .. } | StoreError::LogMarkerTorn { .. });
        match node.registry.findings().into_iter().find(|finding| !torn(&finding.error)) {
            Some(finding) => Err(format!("a power cut is taken for damage: {}", finding.error)),
            None => Ok(counted),
        }
    }
}
