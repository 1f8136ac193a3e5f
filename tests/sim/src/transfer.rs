//! Checkpoints: taken, and on their way between nodes – in parts, over the same bad lines, resumed where they broke off.

use std::collections::BTreeMap;

use raft_proto::eraftpb::ConfState;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_replica::{Action, Input};
use shouwang_store::checkpoint::{CheckpointInfo, OpenedCheckpoint, Receiver};

use crate::disk::{StationDisk, StoreErrorOr, Trouble, read_checkpoint, take_checkpoint};
use crate::host::Host;
use crate::network::Wire;
use crate::oracle::Hosted;
use crate::scene::Scene;
use crate::watch::Violation;

/// Steps without a part after which it is asked for again.
const ASK_AGAIN: u64 = 15;
/// Steps without a part after which either side gives a transfer up.
const GIVE_UP: u64 = 120;

/// A checkpoint on its way to a peer. The file is held open: newer checkpoints may take its place in the directory.
#[derive(Debug)]
struct Serving {
    opened: Option<OpenedCheckpoint>,
    until: u64,
}

/// A checkpoint on its way here.
#[derive(Debug)]
struct Fetching {
    from: usize,
    index: u64,
    receiver: Option<(Receiver, [u8; 32])>,
    asked: u64,
    moved: u64,
}

/// A received checkpoint that waits for its turn.
#[derive(Debug)]
pub(crate) struct Staged<M: Machine> {
    pub info: CheckpointInfo,
    pub record: Record<M>,
}

/// Transfers of one record on one node, in both directions.
#[derive(Debug)]
pub(crate) struct Transfers<M: Machine> {
    /// By receiver.
    serving: BTreeMap<usize, Serving>,
    fetching: Option<Fetching>,
    pub staged: Option<Staged<M>>,
    /// A peer can only be served by a checkpoint of at least this index.
    wanted: Option<u64>,
}

impl<M: Machine> Default for Transfers<M> {
    fn default() -> Self {
        Self { serving: BTreeMap::new(), fetching: None, staged: None, wanted: None }
    }
}

impl<M: Hosted> Host<M> {
    /// Carries out what the replica wants done about checkpoints, and looks after what is under way.
    pub fn run_errands(&mut self, scene: &mut Scene<'_>) {
        for action in std::mem::take(&mut self.errands) {
            match action {
                Action::SendCheckpoint { to, .. } => {
                    if let Some(to) = scene.cast.station(to) {
                        self.transfers.serving.insert(to, Serving { opened: None, until: scene.now + GIVE_UP });
                    }
                }
                Action::WantCheckpoint { from, index, .. } => {
                    if let (None, Some(from)) = (&self.transfers.fetching, scene.cast.station(from)) {
                        let (asked, moved) = (scene.now, scene.now);
                        self.transfers.fetching = Some(Fetching { from, index, receiver: None, asked, moved });
                        self.fetch(scene);
                    }
                }
                Action::NeedCheckpoint { at_least, .. } => self.transfers.wanted = Some(at_least),
                _ => {}
            }
        }
        let serving = self.transfers.serving.iter();
        let late: Vec<usize> = serving.filter(|(_, serving)| serving.until <= scene.now).map(|(to, _)| *to).collect();
        for to in late {
            self.end_serving(to, false, scene);
        }
        let Some(fetching) = &mut self.transfers.fetching else { return };
        if scene.now >= fetching.moved + GIVE_UP {
            self.transfers.fetching = None;
        } else if scene.now >= fetching.asked + ASK_AGAIN {
            fetching.asked = scene.now;
            self.fetch(scene);
        }
    }

    fn fetch(&self, scene: &mut Scene<'_>) {
        let Some(Fetching { from, index, receiver, .. }) = &self.transfers.fetching else { return };
        let (digest, offset) = receiver.as_ref().map_or(([0; 32], 0), |(part, digest)| (*digest, part.offset()));
        scene.post(self.me.station, *from, self.which(), false, Wire::Fetch { index: *index, digest, offset });
    }

    fn end_serving(&mut self, to: usize, ok: bool, scene: &mut Scene<'_>) {
        if self.transfers.serving.remove(&to).is_some() {
            let id = scene.cast.posts[to].node.get();
            self.give(vec![Input::SnapshotStatus { id, ok }], scene);
        }
    }

    /// A peer asks for a part of the newest checkpoint, or of the one it has begun with.
    pub fn serve(
        &mut self,
        to: usize,
        (index, digest, offset): (u64, [u8; 32], u64),
        disk: &StationDisk,
        scene: &mut Scene<'_>,
    ) -> Result<(), Trouble> {
        let (station, which) = (self.me.station, self.which());
        let Some(serving) = self.transfers.serving.get_mut(&to) else {
            scene.post(station, to, which, false, Wire::Gone);
            return Ok(());
        };
        serving.until = scene.now + GIVE_UP;
        if serving.opened.as_ref().is_none_or(|opened| opened.info().digest != digest) {
            match self.own.newest_verified() {
                Ok(newest) => serving.opened = newest.filter(|newest| newest.meta().raft_index >= index),
                Err(error) => return disk.judge(&error),
            }
        }
        let Some(opened) = &mut serving.opened else {
            scene.post(station, to, which, false, Wire::Gone);
            self.end_serving(to, false, scene);
            return Ok(());
        };
        let offset = if opened.info().digest == digest { offset } else { 0 };
        let (index, digest, size) = (opened.meta().raft_index, opened.info().digest, opened.info().size);
        match opened.read_chunk(offset, scene.habits.chunk) {
            Ok(bytes) => {
                let ends = offset + bytes.len() as u64 >= size;
                scene.post(station, to, which, false, Wire::Part { index, digest, size, offset, bytes });
                if ends {
                    self.end_serving(to, true, scene);
                }
                Ok(())
            }
            Err(error) => disk.judge(&error),
        }
    }

    /// The peer does not hold it any more.
    pub fn give_up_fetching(&mut self, from: usize) {
        self.transfers.fetching.take_if(|fetching| fetching.from == from);
    }

    /// A part arrives.
    pub fn take_part(
        &mut self,
        from: usize,
        part: Wire,
        disk: &StationDisk,
        scene: &mut Scene<'_>,
    ) -> Result<(), Trouble> {
        let Wire::Part { index, digest, size, offset, bytes } = part else { return Ok(()) };
        let fits = |fetching: &mut Fetching| fetching.from == from && fetching.index <= index;
        let Some(mut fetching) = self.transfers.fetching.take_if(fits) else { return Ok(()) };
        let begun = fetching.receiver.take().filter(|(_, begun)| *begun == digest);
        let mut receiver = match begun.map_or_else(|| self.staged.receive(digest, size), |(receiver, _)| Ok(receiver)) {
            Ok(receiver) => receiver,
            Err(error) => return disk.judge(&error),
        };
        if receiver.offset() == offset {
            if let Err(error) = receiver.write(offset, &bytes) {
                return disk.judge(&error);
            }
            fetching.moved = scene.now;
        }
        if !receiver.is_complete() {
            (fetching.asked, fetching.receiver) = (scene.now, Some((receiver, digest)));
            self.transfers.fetching = Some(fetching);
            self.fetch(scene);
            return Ok(());
        }
        match receiver.finish() {
            Ok(info) => self.stage(info, disk, scene),
            Err(error) => disk.judge(&error),
        }
    }

    fn stage(&mut self, info: CheckpointInfo, disk: &StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        let opened = match self.staged.newest_verified() {
            Ok(opened) => opened.filter(|opened| *opened.info() == info),
            Err(error) => return disk.judge(&error),
        };
        let Some(opened) = opened else {
            let what = format!("node {}: what it received is not the newest staged", self.me.id);
            return Err(Violation::new("checkpoints install", what).into());
        };
        let (record, conf_state): (Record<M>, ConfState) = match read_checkpoint(&opened, self.me.knows) {
            Ok(read) => read,
            Err(StoreErrorOr::Store(error)) => return disk.judge(&error),
            Err(StoreErrorOr::Wrong(violation)) => return Err(violation.into()),
            Err(StoreErrorOr::TooOld) => {
                self.stands_still(scene);
                return Ok(());
            }
        };
        let (truth, _) = M::truth(scene.oracle, self.of);
        truth.compare_digest(self.me.id, record.revision(), record.digest())?;
        let (index, term) = (info.meta.raft_index, info.meta.raft_term);
        self.transfers.staged = Some(Staged { info, record });
        self.give(vec![Input::CheckpointReceived { index, term, conf_state }], scene);
        Ok(())
    }

    /// Takes a checkpoint when it is due, or a peer needs one, and lets the log behind the older one go.
    pub fn take_checkpoint(&mut self, disk: &StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        let (index, term) = self.applied;
        let wanted = self.transfers.wanted.is_some_and(|at_least| at_least <= index);
        let due = wanted || index >= self.marks.0 + scene.habits.checkpoint_every;
        // After a restart the membership may be ahead of what is applied again: what it was here is not known then.
        let known = self.conf.0 <= index && index > self.marks.0;
        // Nor may a state outlive the log that it came from.
        let durable = index <= self.replica.persisted() || shouwang_domain::planted!(CheckpointBeforeLog);
        let Some(record) = self.record.as_ref().filter(|_| due && known && durable) else { return Ok(()) };
        let conf_state = self.conf.1.clone();
        let digest = match take_checkpoint(&self.own, record, (index, term, self.stamp), &conf_state) {
            Ok(digest) => digest,
            Err(error) => return disk.judge(&error),
        };
        let (truth, watch) = M::truth(scene.oracle, self.of);
        watch.figures.checkpoints += 1;
        truth.compare_digest(self.me.id, record.revision(), digest)?;
        self.marks = (index, self.marks.0);
        self.transfers.wanted = None;
        let compact_to = self.marks.1.saturating_sub(scene.habits.slack);
        let inputs = vec![Input::CheckpointReady { index, term, conf_state }, Input::Compact { index: compact_to }];
        self.give(inputs, scene);
        Ok(())
    }
}
