//! A cluster in memory: a seeded network that loses, delays, doubles and cuts; disks that forget what was not flushed; and
//! the invariants of Raft, checked at every action. Time is a count of steps; everything follows from the seed.

#![allow(dead_code, reason = "each test file uses its part of the harness")]

mod disk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shouwang_replica::eraftpb::{ConfChangeV2, ConfState, Message, MessageType};
use shouwang_replica::{
    Action, Checkpoint, Committed, CommittedKind, Config, Input, Limits, Persist, Replica, Role, Timing,
};

use disk::{Disk, File};

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

enum Work {
    Entry(Committed),
    Install(u64),
}

pub struct Node {
    pub id: u64,
    pub replica: Option<Replica>,
    pub disk: Disk,
    unflushed: VecDeque<Persist>,
    work: VecDeque<Work>,
    pub applied: u64,
    hash: u64,
    starts: u64,
    /// Everything the replica has answered or told, `Send`, `Persist` and `Apply` left out.
    pub told: Vec<Action>,
}

/// What can go wrong, in percent per message or step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub loss: u64,
    pub double: u64,
    pub max_delay: u64,
    /// Percent of steps in which a disk does nothing.
    pub slow_disk: u64,
    pub slow_apply: u64,
}

/// Planted errors, to see that the checks see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    None,
    /// `Persisted` is reported before anything is durable.
    Eager,
    /// The same, and the check of what is sent looks away.
    EagerUnseen,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub faults: Faults,
    pub now: u64,
    pub rng: Rng,
    pub limits: Limits,
    pub cut: BTreeSet<(u64, u64)>,
    pub held: BTreeSet<u64>,
    plant: Plant,
    seed: u64,
    wire: BTreeMap<(u64, u64), Message>,
    transfers: BTreeMap<(u64, u64), (u64, u64)>,
    sequence: u64,
    leaders: BTreeMap<u64, u64>,
    /// Per index: term, content and state hash, as first applied anywhere.
    pub truth: BTreeMap<u64, (u64, CommittedKind, u64)>,
    reads: BTreeMap<u64, u64>,
    pub tickets: u64,
    /// Hash of all actions, if asked for.
    pub trace: Option<u64>,
    pub violation: Option<String>,
}

impl Cluster {
    pub fn new(seed: u64, voters: &[u64], nodes: u64) -> Self {
        Self::planted(seed, voters, nodes, Plant::None)
    }

    pub fn planted(seed: u64, voters: &[u64], nodes: u64, plant: Plant) -> Self {
        let founders = shouwang_replica::conf_state_from(voters.iter().copied(), []);
        let node = |id| Node {
            id,
            replica: None,
            disk: if voters.contains(&id) { Disk::founding(founders.clone()) } else { Disk::default() },
            unflushed: VecDeque::new(),
            work: VecDeque::new(),
            applied: 0,
            hash: 0,
            starts: 0,
            told: Vec::new(),
        };
        let limits = Limits {
            max_entry_bytes: 256,
            max_message_bytes: 512,
            max_inflight_messages: 8,
            max_uncommitted_bytes: 2048,
            max_pending_reads: 16,
            max_log_bytes_in_memory: 16 << 10,
        };
        let mut cluster = Self {
            nodes: (1..=nodes).map(node).collect(),
            faults: Faults { max_delay: 1, ..Faults::default() },
            now: 0,
            rng: Rng::new(seed),
            limits,
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            plant,
            seed,
            wire: BTreeMap::new(),
            transfers: BTreeMap::new(),
            sequence: 0,
            leaders: BTreeMap::new(),
            truth: BTreeMap::new(),
            reads: BTreeMap::new(),
            tickets: 0,
            trace: None,
            violation: None,
        };
        (1..=nodes).for_each(|id| cluster.start(id));
        cluster
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        &mut self.nodes[usize::try_from(id - 1).unwrap()]
    }

    pub fn replica(&self, id: u64) -> &Replica {
        self.nodes[usize::try_from(id - 1).unwrap()].replica.as_ref().expect("the node is up")
    }

    pub fn is_up(&self, id: u64) -> bool {
        self.nodes[usize::try_from(id - 1).unwrap()].replica.is_some()
    }

    pub fn start(&mut self, id: u64) {
        let (seed, limits) = (self.seed, self.limits);
        let node = self.node(id);
        let (restored, applied, hash) = node.disk.reopen();
        (node.applied, node.hash) = (applied, hash);
        node.starts += 1;
        let seed = seed ^ (node.starts << 32);
        let config = Config { id, group: 7, timing: Timing::lan(), limits, seed, applied };
        match Replica::new(config, restored) {
            Ok(replica) => node.replica = Some(replica),
            Err(error) => self.violate(format!("node {id} does not start: {error}")),
        }
    }

    /// Stops a node where it is; of the writes under way, the first `kept` have reached the disk.
    pub fn crash(&mut self, id: u64, kept: usize) {
        let node = self.node(id);
        node.replica = None;
        for persist in node.unflushed.drain(..).take(kept).collect::<Vec<_>>() {
            node.disk.write(&persist);
        }
        node.work.clear();
        node.told.clear();
    }

    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub fn give(&mut self, id: u64, inputs: Vec<Input>) {
        let mut out = Vec::new();
        if let Some(replica) = self.node(id).replica.as_mut() {
            replica.step_all(inputs, &mut out);
        }
        for action in out {
            if let Some(trace) = &mut self.trace {
                for byte in format!("{id} {action:?}").bytes() {
                    *trace = (*trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
            self.act(id, action);
        }
    }

    fn act(&mut self, id: u64, action: Action) {
        match &action {
            Action::Send(messages) => messages.iter().for_each(|m| self.post(id, m)),
            Action::Persist(persist) => {
                let number = persist.number;
                self.node(id).unflushed.push_back(persist.clone());
                if self.plant != Plant::None {
                    self.give(id, vec![Input::Persisted { number }]);
                }
            }
            Action::Apply(entries) => self.node(id).work.extend(entries.iter().cloned().map(Work::Entry)),
            Action::InstallCheckpoint { index, .. } => self.node(id).work.push_back(Work::Install(*index)),
            Action::Compacted(base) => self.node(id).disk.compact(*base),
            Action::SendCheckpoint { to, .. } => {
                let due = self.now + 1 + self.rng.below(8);
                self.sequence += 1;
                self.transfers.insert((due, self.sequence), (id, *to));
            }
            Action::NeedCheckpoint { .. } => self.checkpoint(id, 0),
            Action::Damaged { detail } => self.violate(format!("node {id} damaged: {detail}")),
            Action::RoleChanged { role: Role::Leader, term, .. } => self.check_leader(id, *term),
            Action::ReadReady { ticket, index } => {
                let floor = self.reads.remove(ticket).unwrap_or_default();
                if *index < floor {
                    self.violate(format!(
                        "node {id} answered read {ticket} at {index}, but {floor} was applied before"
                    ));
                }
            }
            _ => {}
        }
        if !matches!(action, Action::Send(_) | Action::Persist(_) | Action::Apply(_)) {
            self.node(id).told.push(action);
        }
    }

    fn post(&mut self, id: u64, m: &Message) {
        if self.plant != Plant::EagerUnseen {
            self.check_durable(id, m);
        }
        let copies = if self.rng.percent(self.faults.double) { 2 } else { 1 };
        for _ in 0..copies {
            if self.cut.contains(&(id, m.get_to())) || self.rng.percent(self.faults.loss) {
                continue;
            }
            let due = self.now + 1 + self.rng.below(self.faults.max_delay);
            self.sequence += 1;
            self.wire.insert((due, self.sequence), m.clone());
        }
    }

    /// Whatever a message promises must be on the disk of its sender.
    fn check_durable(&mut self, id: u64, m: &Message) {
        let (term, vote, last) = {
            let disk = &self.node(id).disk;
            (disk.hard_state.get_term(), disk.hard_state.get_vote(), disk.last())
        };
        let kept = match m.get_msg_type() {
            MessageType::MsgRequestPreVote | MessageType::MsgRequestPreVoteResponse | MessageType::MsgReadIndex => true,
            MessageType::MsgRequestVote => term > m.get_term() || (term == m.get_term() && vote == id),
            MessageType::MsgRequestVoteResponse if !m.get_reject() => {
                term > m.get_term() || (term == m.get_term() && vote == m.get_to())
            }
            // In a later term what was acknowledged may have been replaced since, as if the message had been slow.
            MessageType::MsgAppendResponse if !m.get_reject() => {
                term > m.get_term() || (term == m.get_term() && last >= m.get_index())
            }
            _ => term >= m.get_term(),
        };
        if !kept {
            self.violate(format!(
                "node {id} sent before it was durable (term {term}, vote {vote}, last {last}): {m:?}"
            ));
        }
    }

    /// One leader per term, and it has everything committed before.
    fn check_leader(&mut self, id: u64, term: u64) {
        let other = *self.leaders.entry(term).or_insert(id);
        if other != id {
            self.violate(format!("nodes {other} and {id} both lead term {term}"));
        }
        let node = &self.nodes[usize::try_from(id - 1).unwrap()];
        let mut log = Disk { base: node.disk.base, entries: node.disk.entries.clone(), ..Disk::default() };
        node.unflushed.iter().for_each(|persist| log.write(persist));
        let committed = self.truth.iter().filter(|(index, (of, ..))| **index >= log.base.index && *of < term);
        let missing =
            committed.map(|(index, (of, ..))| (*index, *of)).find(|(index, of)| log.term_at(*index) != Some(*of));
        if let Some((index, of)) = missing {
            self.violate(format!("node {id} leads term {term} without entry {index} of term {of}"));
        }
    }

    pub fn flush(&mut self, id: u64, count: usize) {
        let node = self.node(id);
        let mut number = 0;
        for _ in 0..count.min(node.unflushed.len()) {
            let Some(persist) = node.unflushed.pop_front() else { break };
            node.disk.write(&persist);
            number = persist.number;
        }
        if number > 0 && self.plant == Plant::None {
            self.give(id, vec![Input::Persisted { number }]);
        }
    }

    pub fn apply(&mut self, id: u64, count: usize) {
        for _ in 0..count {
            match self.node(id).work.pop_front() {
                Some(Work::Entry(entry)) => self.apply_entry(id, entry),
                Some(Work::Install(index)) => self.install(id, index),
                None => break,
            }
        }
        let index = self.node(id).applied;
        self.give(id, vec![Input::Applied { index }]);
    }

    fn apply_entry(&mut self, id: u64, entry: Committed) {
        let Committed { index, term, kind } = entry;
        let node = self.node(id);
        if index != node.applied + 1 {
            let applied = node.applied;
            self.violate(format!("node {id} was handed {index} after {applied}"));
            return;
        }
        node.applied = index;
        node.hash = (node.hash ^ term ^ index).wrapping_mul(0x0000_0100_0000_01b3);
        let mine = (term, kind.clone(), node.hash);
        let truth = self.truth.entry(index).or_insert_with(|| mine.clone()).clone();
        if truth != mine {
            self.violate(format!("node {id} applied {mine:?} at {index}, another {truth:?}"));
        }
        if let CommittedKind::Conf(change) = kind {
            self.give(id, vec![Input::ConfChangeApplied { index, accepted: change.get_context() != b"reject" }]);
        }
    }

    fn install(&mut self, id: u64, index: u64) {
        let node = self.node(id);
        let Some(file) = node.disk.staged.remove(&index) else {
            self.violate(format!("node {id} is to install {index}, which is not staged"));
            return;
        };
        node.disk.staged.retain(|at, _| *at > index);
        (node.applied, node.hash) = (index, file.hash);
        let hash = file.hash;
        node.disk.file = Some(file);
        if self.truth.get(&index).is_some_and(|truth| truth.2 != hash) {
            self.violate(format!("node {id} installed another state at {index}"));
        }
    }

    /// Takes a checkpoint and compacts behind it, but for `slack` entries.
    pub fn checkpoint(&mut self, id: u64, slack: u64) {
        let node = self.node(id);
        let Some(replica) = &node.replica else { return };
        let status = replica.status();
        let (index, held) = (node.applied, node.disk.file.as_ref().map_or(0, |file| file.at.index));
        // Membership must be as of the checkpoint: after a restart it may be ahead of what is applied again.
        if index <= held || index < status.conf_index || index < status.base.index {
            return;
        }
        let conf_state: ConfState = status.conf_state;
        let Some(term) = node.disk.term_at(index) else { return };
        let at = Checkpoint { index, term, conf_state: conf_state.clone() };
        node.disk.file = Some(File { at, hash: node.hash });
        let compact = Input::Compact { index: index.saturating_sub(slack) };
        self.give(id, vec![Input::CheckpointReady { index, term, conf_state }, compact]);
    }

    fn transfer(&mut self, from: u64, to: u64) {
        let open = !self.cut.contains(&(from, to)) && self.is_up(from) && self.is_up(to);
        let file = self.node(from).disk.file.clone().filter(|_| open);
        if let Some(file) = &file {
            let Checkpoint { index, term, conf_state } = file.at.clone();
            self.node(to).disk.staged.insert(index, file.clone());
            self.give(to, vec![Input::CheckpointReceived { index, term, conf_state }]);
        }
        self.give(from, vec![Input::SnapshotStatus { id: to, ok: file.is_some() }]);
    }

    /// One unit of time for everyone.
    pub fn tick(&mut self) {
        self.now += 1;
        let due: Vec<_> = self.wire.range(..=(self.now, u64::MAX)).map(|(at, _)| *at).collect();
        for m in due.iter().filter_map(|at| self.wire.remove(at)).collect::<Vec<_>>() {
            if !self.cut.contains(&(m.get_from(), m.get_to())) {
                self.give(m.get_to(), vec![Input::Message(Box::new(m))]);
            }
        }
        let due: Vec<_> = self.transfers.range(..=(self.now, u64::MAX)).map(|(at, _)| *at).collect();
        for (from, to) in due.iter().filter_map(|at| self.transfers.remove(at)).collect::<Vec<_>>() {
            self.transfer(from, to);
        }
        for id in 1..=self.nodes.len() as u64 {
            if !self.is_up(id) {
                continue;
            }
            self.give(id, vec![Input::Tick]);
            if !self.held.contains(&id) && !self.rng.percent(self.faults.slow_disk) {
                let count = 1 + usize::try_from(self.rng.below(4)).unwrap();
                self.flush(id, count);
            }
            if !self.rng.percent(self.faults.slow_apply) {
                self.apply(id, 8);
            }
        }
    }

    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.tick();
        }
    }

    /// Runs until `done`, for at most 1,000 steps.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..1000 {
            if done(self) {
                self.sound();
                return;
            }
            self.tick();
        }
        panic!("never: {what}; violation: {:?}", self.violation);
    }

    pub fn sound(&self) {
        assert_eq!(self.violation, None, "seed {}, step {}", self.seed, self.now);
    }

    /// The leader of the highest term, once its first entry is committed.
    pub fn leader(&self) -> Option<u64> {
        let up = self.nodes.iter().filter_map(|node| node.replica.as_ref()).map(Replica::status);
        up.filter(|s| s.role == Role::Leader).max_by_key(|s| s.term).map(|s| s.id)
    }

    pub fn elect(&mut self) -> u64 {
        self.until("a leader that has committed in its term", |c| {
            let Some(id) = c.leader() else { return false };
            let status = c.replica(id).status();
            c.truth.last_key_value().is_some_and(|(_, (term, ..))| *term == status.term)
        });
        self.leader().unwrap()
    }

    pub fn propose(&mut self, id: u64, data: impl Into<Bytes>) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.give(id, vec![Input::Propose { ticket, data: data.into() }]);
        ticket
    }

    pub fn read(&mut self, id: u64) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        let floor = self.truth.last_key_value().map_or(0, |(index, _)| *index);
        self.reads.insert(ticket, floor);
        self.give(id, vec![Input::ReadIndex { ticket }]);
        ticket
    }

    pub fn change(&mut self, id: u64, change: ConfChangeV2) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.give(id, vec![Input::ProposeConfChange { ticket, change }]);
        ticket
    }

    pub fn applied_everywhere(&self, data: &[u8]) -> bool {
        let at = self.truth.iter().find(|(_, (_, kind, _))| matches!(kind, CommittedKind::Normal(d) if d == data));
        at.is_some_and(|(index, _)| self.nodes.iter().filter(|n| n.replica.is_some()).all(|n| n.applied >= *index))
    }

    /// Cuts `ids` off from everyone else, both ways.
    pub fn isolate(&mut self, ids: &[u64]) {
        for a in 1..=self.nodes.len() as u64 {
            for b in 1..=self.nodes.len() as u64 {
                if ids.contains(&a) != ids.contains(&b) {
                    self.cut.insert((a, b));
                }
            }
        }
    }

    pub fn told(&self, id: u64, wanted: impl Fn(&Action) -> bool) -> bool {
        self.nodes[usize::try_from(id - 1).unwrap()].told.iter().any(wanted)
    }
}
