//! Committed entries into the state: as `record/apply.rs` of the driver does it.

use shouwang_domain::code;
use shouwang_domain::merkle;
use shouwang_domain::record::Outcome;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{Committed, CommittedKind, Input, follows};

use crate::disk::{StationDisk, Trouble};
use crate::host::{Host, Work, seats};
use crate::oracle::Hosted;
use crate::people::Crew;
use crate::scene::Scene;
use crate::signing::{Signatures, fingerprint};
use crate::truth::Key;
use crate::watch::Violation;

/// Most entries a record applies in one step.
const APPLY_MAX: usize = 8;
/// Most roots that a node remembers: of what a region still wants to hear about.
const ROOTS_MAX: usize = 256;

/// The stamp of an entry, without its batches.
#[derive(serde::Deserialize)]
struct Stamp {
    stamp: Timestamp,
}

impl<M: Hosted> Host<M> {
    /// Applies what is committed, some at a time, and tells those who wait.
    pub fn apply(&mut self, disk: &StationDisk, crew: &mut Crew, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        let before = self.applied;
        for _ in 0..APPLY_MAX {
            if self.too_old {
                return Ok(());
            }
            match self.work.pop_front() {
                Some(Work::Install(index, term)) => self.install(index, term, disk, scene)?,
                Some(Work::Entry(entry)) => {
                    for (key, outcome) in self.apply_one(entry, scene)? {
                        crew.hear::<M>(self.of, key, &outcome, scene.oracle);
                    }
                }
                None => break,
            }
        }
        if self.applied != before {
            let index = self.applied.0;
            if let Some(record) = &self.record {
                self.group = seats(&record.machine().group());
            }
            while self.open.pop_front_if(|first| *first <= index).is_some() {}
            self.give(vec![Input::Applied { index }], scene);
        }
        Ok(())
    }

    fn apply_one(&mut self, entry: Committed, scene: &mut Scene<'_>) -> Result<Vec<(Key, Outcome)>, Violation> {
        let Committed { index, term, kind } = entry;
        let (id, station) = (self.me.id, self.me.station as u64);
        if index != self.applied.0 + 1 {
            let what = format!("node {id} was handed entry {index} after {}", self.applied.0);
            return Err(Violation::new("entries come in order", what));
        }
        self.applied = (index, term);
        let (truth, watch) = M::truth(scene.oracle, self.of);
        watch.figures.applied += 1;
        let data = match kind {
            CommittedKind::Normal(data) => data,
            CommittedKind::Empty => bytes::Bytes::new(),
            CommittedKind::Conf(change) => {
                let content = fingerprint(change.get_context()) ^ change.get_changes().len() as u64;
                truth.raft.commit(id, (index, term), content, || None)?;
                let group = self.machine().map(|machine| seats(&machine.group())).unwrap_or_default();
                let accepted = follows(&group, &self.conf.1, &change);
                self.give(vec![Input::ConfChangeApplied { index, accepted }], scene);
                return Ok(Vec::new());
            }
        };
        let content = fingerprint(&data);
        watch.mark(&[station, 4, index, term, content]);
        let stamp = || code::decode::<Stamp>("entry", &data).ok().map(|entry| entry.stamp);
        let stamp = truth.raft.commit(id, (index, term), content, stamp)?;
        self.stamp = self.stamp.max(stamp.unwrap_or(Timestamp::ZERO));
        let (false, Some(record)) = (data.is_empty(), &mut self.record) else { return Ok(Vec::new()) };
        #[cfg(feature = "planted")]
        shouwang_domain::planted::set_clock(scene.clock);
        let mut ledger = record.ledger().clone();
        let Ok(applied) = record.apply(&data, &Signatures) else {
            self.stands_still(scene);
            return Ok(Vec::new());
        };
        for written in &applied.written {
            self.roots.insert(ledger.size(), ledger.root());
            ledger.push(merkle::leaf(&written.bytes));
        }
        while self.roots.len() > ROOTS_MAX {
            self.roots.pop_first();
        }
        let (truth, watch) = M::truth(scene.oracle, self.of);
        watch.figures.dropped += truth.apply(id, record, &applied)?;
        Ok(applied.outcomes)
    }

    /// The record is above what this node's program goes along with: here it stands still until another program runs.
    pub fn stands_still(&mut self, scene: &mut Scene<'_>) {
        self.too_old = true;
        scene.oracle.watch.figures.too_old += 1;
    }

    /// A staged checkpoint becomes the state.
    fn install(&mut self, index: u64, term: u64, disk: &StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        let staged = self.transfers.staged.take().filter(|staged| staged.info.meta.raft_index == index);
        let Some(staged) = staged else {
            let what = format!("node {}: the one of index {index} is not staged", self.me.id);
            return Err(Violation::new("checkpoints install", what).into());
        };
        if let Err(error) = self.own.take_over(&self.staged, &staged.info) {
            // The log begins behind it already: a restart finds it staged.
            disk.judge(&error)?;
            return Err(Trouble::Broken);
        }
        self.marks = (index, self.marks.0);
        self.applied = (index, term);
        self.stamp = self.stamp.max(Timestamp(staged.info.meta.time_ms));
        self.record = Some(staged.record);
        // What came before it this node has not seen.
        self.roots.clear();
        // The history behind a checkpoint comes later, over the same lines.
        self.whole_from = scene.now + 20 + scene.rng.below(80);
        scene.oracle.watch.figures.installs += 1;
        Ok(())
    }
}
