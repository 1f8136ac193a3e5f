//! Checkpoints of the region on their way between nodes: in parts, over the same bad lines, resumed where they broke off.

use std::collections::BTreeMap;

use raft_proto::eraftpb::ConfState;
use shouwang_replica::{Action, Input};
use shouwang_store::checkpoint::{OpenedCheckpoint, Receiver};

use crate::disk::Job;
use crate::member::Env;
use crate::network::Wire;
use crate::running::Running;

/// Steps without a part after which it is asked for again.
const ASK_AGAIN: u64 = 15;
/// Steps after which either side gives a transfer up.
const GIVE_UP: u64 = 120;

/// A checkpoint on its way to a peer. The file is held open: newer checkpoints may take its place in the directory.
#[derive(Debug)]
struct Serving {
    index: u64,
    opened: Option<OpenedCheckpoint>,
    until: u64,
}

/// A checkpoint on its way here.
#[derive(Debug)]
struct Fetching {
    from: usize,
    index: u64,
    term: u64,
    conf_state: ConfState,
    receiver: Option<Receiver>,
    asked: u64,
    since: u64,
}

/// Transfers of one node, in both directions.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    /// By receiver.
    serving: BTreeMap<usize, Serving>,
    fetching: Option<Fetching>,
    /// Received and given to the replica, not yet the state. Nothing else is fetched meanwhile: what the log begins
    /// behind must stay the newest one staged.
    pub staged: Option<u64>,
    /// A peer can only be served by a newer checkpoint than there is.
    pub wanted: bool,
}

impl Running {
    /// Carries out what the replica wants done about checkpoints.
    pub(crate) fn run_errands(&mut self, env: &mut Env<'_>) {
        for action in std::mem::take(&mut self.region.errands) {
            match action {
                Action::SendCheckpoint { to, index } => {
                    let newest = self.region_files.newest_verified();
                    let opened = newest.ok().flatten().filter(|opened| opened.meta().raft_index == index);
                    if let Some(to) = env.position(to) {
                        let until = env.now + GIVE_UP;
                        self.transfers.serving.insert(to, Serving { index, opened, until });
                    }
                }
                Action::WantCheckpoint { from, index, term, conf_state } => {
                    let newer = self.transfers.fetching.as_ref().is_none_or(|now| now.index < index);
                    if let (None, true, Some(from)) = (self.transfers.staged, newer, env.position(from)) {
                        let (asked, since) = (env.now, env.now);
                        let fetching = Fetching { from, index, term, conf_state, receiver: None, asked, since };
                        self.transfers.fetching = Some(fetching);
                        env.post(self.region.me.who, from, Wire::Fetch { index, offset: 0 });
                    }
                }
                _ => self.transfers.wanted = true,
            }
        }
        self.watch_transfers(env);
    }

    fn watch_transfers(&mut self, env: &mut Env<'_>) {
        let late = self.transfers.serving.iter().filter(|(_, serving)| serving.until <= env.now);
        let late: Vec<usize> = late.map(|(to, _)| *to).collect();
        for to in late {
            self.end_serving(to, false, env);
        }
        let Some(fetching) = &mut self.transfers.fetching else { return };
        if env.now >= fetching.since + GIVE_UP {
            self.transfers.fetching = None;
        } else if env.now >= fetching.asked + ASK_AGAIN {
            fetching.asked = env.now;
            let offset = fetching.receiver.as_ref().map_or(0, Receiver::offset);
            let (from, index) = (fetching.from, fetching.index);
            env.post(self.region.me.who, from, Wire::Fetch { index, offset });
        }
    }

    fn end_serving(&mut self, to: usize, ok: bool, env: &mut Env<'_>) {
        if self.transfers.serving.remove(&to).is_some() {
            let input = Input::SnapshotStatus { id: env.raft_id(to), ok };
            self.region.give(vec![input], &mut env.oracle.region, &mut env.oracle.watch);
        }
    }

    /// A peer asks for a part.
    pub(crate) fn serve(&mut self, to: usize, index: u64, offset: u64, env: &mut Env<'_>) {
        let who = self.region.me.who;
        let serving = self.transfers.serving.get_mut(&to).filter(|serving| serving.index == index);
        let Some((serving, opened)) = serving.and_then(|serving| serving.opened.take().map(|o| (serving, o))) else {
            env.post(who, to, Wire::Gone { index });
            self.end_serving(to, false, env);
            return;
        };
        serving.until = env.now + GIVE_UP;
        let (digest, size) = (opened.info().digest, opened.info().size);
        let part = opened.read_chunk(offset, env.habits.chunk);
        serving.opened = Some(opened);
        match part {
            Ok(bytes) => {
                let ends = offset + bytes.len() as u64 >= size;
                env.post(who, to, Wire::Part { index, digest, size, offset, bytes });
                if ends {
                    self.end_serving(to, true, env);
                }
            }
            Err(error) => env.oracle.watch.violate(error.to_string()),
        }
    }

    /// The peer does not hold it any more.
    pub(crate) fn give_up_fetching(&mut self, index: u64) {
        self.transfers.fetching.take_if(|fetching| fetching.index == index);
    }

    /// A part arrives.
    pub(crate) fn take_part(&mut self, part: Wire, env: &mut Env<'_>) -> Result<(), String> {
        let Wire::Part { index, digest, size, offset, bytes } = part else { return Ok(()) };
        let Some(mut fetching) = self.transfers.fetching.take_if(|fetching| fetching.index == index) else {
            return Ok(());
        };
        let mut receiver = match fetching.receiver.take() {
            Some(receiver) => receiver,
            None => self.staged_files.receive(digest, size).map_err(|error| error.to_string())?,
        };
        if receiver.offset() == offset {
            receiver.write(offset, &bytes).map_err(|error| error.to_string())?;
        }
        if !receiver.is_complete() {
            let offset = receiver.offset();
            let from = fetching.from;
            (fetching.asked, fetching.receiver) = (env.now, Some(receiver));
            self.transfers.fetching = Some(fetching);
            env.post(self.region.me.who, from, Wire::Fetch { index, offset });
            return Ok(());
        }
        let info = receiver.finish().map_err(|error| error.to_string())?;
        if (info.meta.raft_index, info.meta.raft_term) != (index, fetching.term) {
            return Err(format!("member {} received another checkpoint than {index}", self.region.me.who));
        }
        let Fetching { term, conf_state, .. } = fetching;
        let input = Input::CheckpointReceived { index, term, conf_state };
        self.region.give(vec![input], &mut env.oracle.region, &mut env.oracle.watch);
        // If the replica went on without it, the file is of no use and in nobody's way.
        let taken = |job: &Job| matches!(job, Job::Persist(persist) if persist.reset_to.is_some());
        self.transfers.staged = self.region.jobs.iter().any(taken).then_some(index);
        Ok(())
    }
}
