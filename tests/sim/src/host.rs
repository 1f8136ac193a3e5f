//! One record on a running node: its replica, its state, and what waits between them. It does what the driver's threads
//! do, in the same order and with the same rules, one step at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft_proto::eraftpb::{ConfState, Message, MessageType};
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::machine::{GroupNode, Machine};
use shouwang_domain::record::Record;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{
    Action, Committed, Config, Input, Limits, PeerClocks, Replica, Role, Seat, Timing, is_learner, is_voter,
};
use shouwang_store::checkpoint::CheckpointStore;

use crate::cast::Which;
use crate::clock::STEP_MS;
use crate::disk::{self, Job};
use crate::oracle::Hosted;
use crate::reading::{Reader, Reads};
use crate::scene::Scene;
use crate::signing::fingerprint;
use crate::starting::Found;
use crate::transfer::Transfers;

/// Bounds small enough that a run meets them.
const LIMITS: Limits = Limits {
    max_entry_bytes: 64 << 10,
    max_message_bytes: 16 << 10,
    max_inflight_messages: 16,
    max_uncommitted_bytes: 128 << 10,
    max_pending_reads: 16,
    max_log_bytes_in_memory: 8 << 20,
};
/// A node that is not fit to lead hands over within so many ticks, and has stepped down by then at the latest.
const UNFIT_TICKS_MAX: u32 = 4 * Timing::lan().election_ticks;

/// Who runs the record, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// By position.
    pub station: usize,
    /// Its Raft id.
    pub id: u64,
    /// Differs from start to start.
    pub seed: u64,
    /// Up to which feature level its program goes along.
    pub knows: u32,
}

/// What the state machine does next.
#[derive(Debug)]
pub(crate) enum Work {
    Entry(Committed),
    Install(u64, u64),
}

/// A record on a running node.
pub(crate) struct Host<M: Machine> {
    /// Which of its kind, by position.
    pub of: usize,
    pub me: Identity,
    /// None until a first checkpoint has come.
    pub record: Option<Record<M>>,
    pub replica: Replica,
    /// Raft index and term of the last entry applied.
    pub applied: (u64, u64),
    /// The membership in force, and the entry that made it.
    pub conf: (u64, ConfState),
    /// What the state wants the group to be.
    pub group: Vec<Seat>,
    pub work: VecDeque<Work>,
    pub jobs: VecDeque<Job>,
    /// What the replica wants done about checkpoints.
    pub errands: Vec<Action>,
    pub role: Role,
    pub term: u64,
    pub leader: Option<u64>,
    /// What somebody outside asks of the replica.
    pub inbound: Vec<Input>,
    /// Batches for the next entry, if this node leads.
    pub inbox: Vec<Bytes>,
    /// Indexes of this leader's entries that are not applied yet.
    pub open: VecDeque<u64>,
    /// The newest stamp in what is applied or proposed.
    pub stamp: Timestamp,
    pub reads: Reads,
    /// Peers that hold the whole ledger.
    pub whole: BTreeSet<u64>,
    /// From which step on this node holds the whole ledger.
    pub whole_from: u64,
    pub own: CheckpointStore,
    pub staged: CheckpointStore,
    /// Raft indexes of the newest checkpoint and of the one before it.
    pub marks: (u64, u64),
    pub transfers: Transfers<M>,
    /// The record was raised above what this node's program goes along with.
    pub too_old: bool,
    /// The roots of the ledger up to its newest revisions, as this node has seen them pass.
    pub roots: BTreeMap<u64, Hash32>,
    outgoing: Vec<Message>,
    commit: u64,
    fit: bool,
    unfit_ticks: u32,
}

/// A record's group as Raft knows its members.
pub(crate) fn seats(group: &[GroupNode]) -> Vec<Seat> {
    group.iter().map(|member| Seat { id: member.node.get(), voter: member.voter }).collect()
}

impl<M: Hosted> Host<M> {
    /// Starts from what the disk held.
    pub fn start(of: usize, me: Identity, found: Found<M>) -> Result<Self, String> {
        let applied = found.applied;
        let config =
            Config { id: me.id, group: 0, timing: Timing::lan(), limits: LIMITS, seed: me.seed, applied: applied.0 };
        let replica = Replica::new(config, found.restored).map_err(|error| error.to_string())?;
        let status = replica.status();
        let group = found.record.as_ref().map(|record| seats(&record.machine().group()));
        Ok(Self {
            of,
            me,
            stamp: found.stamp,
            record: found.record,
            replica,
            applied,
            conf: (status.conf_index, status.conf_state),
            group: group.unwrap_or_default(),
            work: VecDeque::new(),
            jobs: VecDeque::new(),
            errands: Vec::new(),
            role: Role::Learner,
            term: 0,
            leader: None,
            inbound: Vec::new(),
            inbox: Vec::new(),
            open: VecDeque::new(),
            reads: Reads::default(),
            whole: BTreeSet::new(),
            whole_from: 0,
            own: found.own,
            staged: found.staged,
            marks: found.marks,
            transfers: Transfers::default(),
            too_old: false,
            roots: BTreeMap::new(),
            outgoing: Vec::new(),
            commit: 0,
            fit: true,
            unfit_ticks: 0,
        })
    }

    /// Which record it is.
    pub fn which(&self) -> Which {
        M::which(self.of)
    }

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        self.role == Role::Leader
    }

    /// The state, once there is one.
    pub fn machine(&self) -> Option<&M> {
        self.record.as_ref().map(Record::machine)
    }

    /// Whether a peer may speak about this record: it is of the group, or this node has yet to join and knows no better.
    pub fn accepts(&self, peer: u64) -> bool {
        let member = |conf: &ConfState| {
            is_voter(conf, peer) || is_learner(conf, peer) || conf.get_learners_next().contains(&peer)
        };
        self.record.is_none() || self.group.iter().any(|seat| seat.id == peer) || member(&self.conf.1)
    }

    /// Gives the replica inputs and sorts what comes out.
    pub fn give(&mut self, inputs: Vec<Input>, scene: &mut Scene<'_>) {
        let mut actions = Vec::new();
        self.replica.step_all(inputs, &mut actions);
        for action in actions {
            self.take(action, scene);
        }
    }

    fn take(&mut self, action: Action, scene: &mut Scene<'_>) {
        let (id, station) = (self.me.id, self.me.station as u64);
        let (truth, watch) = M::truth(scene.oracle, self.of);
        match action {
            Action::Send(messages) => self.outgoing.extend(messages),
            Action::Persist(persist) => {
                let mut last = 0;
                for (index, term, data) in disk::entries(&persist) {
                    watch.hold(truth.raft.write(id, index, term, fingerprint(data)));
                    last = index;
                }
                watch.mark(&[station, 1, persist.number, last, u64::from(persist.must_sync)]);
                self.jobs.push_back(Job::of(disk::slot(self.which()), persist));
            }
            Action::Compacted(base) => self.jobs.push_back(Job::Compact(base)),
            Action::Apply(entries) => self.work.extend(entries.into_iter().map(Work::Entry)),
            Action::InstallCheckpoint { index, term } => {
                watch.mark(&[station, 2, index]);
                self.work.push_back(Work::Install(index, term));
            }
            Action::RoleChanged { role, term, leader } => {
                watch.mark(&[station, 3, role as u64, term, leader.unwrap_or_default()]);
                (self.role, self.term, self.leader) = (role, term, leader);
                self.open.clear();
                if role == Role::Leader {
                    watch.figures.elections += 1;
                    watch.hold(truth.raft.lead(id, term, self.replica.status().last));
                }
            }
            Action::ConfState { index, conf_state } => {
                watch.mark(&[station, 5, index]);
                match truth.raft.membership(id, index, &conf_state) {
                    Ok(news) => watch.figures.memberships += u64::from(news),
                    Err(violation) => watch.hold(Err(violation)),
                }
                self.conf = (index, conf_state);
            }
            Action::ReadReady { ticket, index } => self.read_ready(ticket, index, scene),
            Action::ReadRefused { ticket } => self.reads.refuse(ticket),
            Action::Damaged { detail } => watch.violate("no log forgets", format!("node {id}: {detail}")),
            Action::SendCheckpoint { .. } | Action::WantCheckpoint { .. } | Action::NeedCheckpoint { .. } => {
                self.errands.push(action);
            }
            Action::Proposed { index, .. } => self.open.push_back(index),
            // What was not appended is sent again by who asked for it.
            Action::Refused { .. } => {}
        }
    }

    /// Ticks pass: first of all, whether this node is fit to lead.
    pub fn tick(&mut self, ticks: u32, clocks: &PeerClocks, full: bool, scene: &mut Scene<'_>) {
        if ticks == 0 {
            return;
        }
        let mut inputs = vec![Input::Tick; ticks as usize];
        let fit = clocks.is_fit(self.group.iter().map(|seat| seat.id), scene.now * STEP_MS) && !full;
        if fit != self.fit {
            self.fit = fit;
            scene.oracle.watch.figures.unfit += u64::from(!fit);
            if !shouwang_domain::planted!(UnfitLeads) {
                inputs.push(Input::MayCampaign(fit));
            }
        }
        self.unfit_ticks =
            if self.leads() && !fit && self.conf.1.get_voters().len() > 1 { self.unfit_ticks + ticks } else { 0 };
        if self.unfit_ticks > UNFIT_TICKS_MAX {
            let what = format!("node {} has led for {} ticks without being fit to", self.me.id, self.unfit_ticks);
            scene.oracle.watch.violate("nobody unfit leads", what);
        }
        self.give(inputs, scene);
    }

    /// Tells the others how far is committed, unless what went out has.
    pub fn tell_commit(&mut self, scene: &mut Scene<'_>) {
        if self.replica.owes_commit() {
            self.give(vec![Input::TellCommit], scene);
        }
    }

    /// Commit never falls, and the state never runs ahead of it.
    pub fn look(&mut self, scene: &mut Scene<'_>) {
        let commit = self.replica.commit();
        if commit < self.commit || self.applied.0 > commit {
            let (id, applied, before) = (self.me.id, self.applied.0, self.commit);
            let what = format!("node {id}: {commit} after {before}, applied {applied}");
            scene.oracle.watch.violate("commit never falls", what);
        }
        self.commit = commit;
        if let Some(level) = self.machine().map(M::level).filter(|level| *level > self.me.knows) {
            let what = format!("node {} knows {} and carries out {level}", self.me.id, self.me.knows);
            scene.oracle.watch.violate("levels", what);
        }
        if !self.reads.caught_up && !self.reads.asks_to_catch_up() {
            self.ask_read(Reader::CatchUp, scene);
        }
    }

    /// What leaves this node about this record.
    pub fn outgoing(&mut self, scene: &mut Scene<'_>) -> Vec<Message> {
        let messages = std::mem::take(&mut self.outgoing);
        let (truth, watch) = M::truth(scene.oracle, self.of);
        for m in &messages {
            match m.get_msg_type() {
                MessageType::MsgRequestVote => watch.hold(truth.raft.vote(self.me.id, m.get_term(), self.me.id)),
                MessageType::MsgRequestVoteResponse if !m.get_reject() => {
                    watch.hold(truth.raft.vote(self.me.id, m.get_term(), m.get_to()));
                }
                _ => {}
            }
        }
        messages
    }
}
