//! One record on a running node: its replica, its state, and what waits between them.

use std::collections::VecDeque;

use raft_proto::eraftpb::{Entry, Message};
use shouwang_domain::code;
use shouwang_domain::hash::Bytes;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{self, Outcome, Record};
use shouwang_domain::testing::AnyVerifier;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{Action, Committed, CommittedKind, Config, Input, Limits, Persist, Replica, Role, Timing};

use crate::disk::{Job, Recovered};
use crate::oracle::{Key, Truth, Watch};

/// Most batches that wait for the leader's next entry; what is too much is sent again by its origin.
const INBOX_MAX: usize = 64;
/// Steps after which a leader proposes a due timer's entry again.
const TIMER_RETRY: u64 = 20;

const LIMITS: Limits = Limits {
    max_entry_bytes: 64 << 10,
    max_message_bytes: 16 << 10,
    max_inflight_messages: 16,
    max_uncommitted_bytes: 128 << 10,
    max_pending_reads: 16,
    max_log_bytes_in_memory: 8 << 20,
};

/// Who runs the record, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The member, by position.
    pub who: usize,
    /// Its Raft id.
    pub id: u64,
    /// Differs from start to start.
    pub seed: u64,
    /// Says that writes are durable before they are.
    pub lies: bool,
}

/// What the state machine does next.
#[derive(Debug)]
pub(crate) enum Work {
    Entry(Committed),
    Install(u64),
}

/// A record on a running node.
pub(crate) struct Host<M: Machine> {
    pub me: Identity,
    pub record: Record<M>,
    pub replica: Replica,
    /// Raft index and term of the last entry applied.
    pub applied: (u64, u64),
    pub work: VecDeque<Work>,
    pub jobs: VecDeque<Job>,
    pub outgoing: Vec<Message>,
    /// What the replica wants done about checkpoints.
    pub errands: Vec<Action>,
    pub leads: bool,
    pub leader: Option<u64>,
    /// Batches for the next entry, if this node leads.
    pub inbox: Vec<Bytes>,
    /// Since this start, the state has been seen to hold everything that was committed before it.
    pub caught_up: bool,
    /// The answer to the catching-up read.
    read_index: Option<u64>,
    /// When the last read was asked, and the highest index applied anywhere at that time.
    read: Option<(u64, u64)>,
    tickets: u64,
    commit: u64,
    timer_asked: Option<(Timestamp, u64)>,
}

impl<M: Machine> Host<M> {
    /// Starts from what the disk held.
    pub fn start(me: Identity, found: Recovered<M>) -> Result<Self, String> {
        let applied = found.applied;
        let config =
            Config { id: me.id, group: 0, timing: Timing::lan(), limits: LIMITS, seed: me.seed, applied: applied.0 };
        let replica = Replica::new(config, found.restored).map_err(|error| error.to_string())?;
        Ok(Self {
            me,
            record: found.record,
            replica,
            applied,
            work: VecDeque::new(),
            jobs: VecDeque::new(),
            outgoing: Vec::new(),
            errands: Vec::new(),
            leads: false,
            leader: None,
            inbox: Vec::new(),
            caught_up: false,
            read_index: None,
            read: None,
            tickets: 0,
            commit: 0,
            timer_asked: None,
        })
    }

    /// Gives the replica inputs and sorts what comes out.
    pub fn give(&mut self, inputs: Vec<Input>, truth: &mut Truth<M>, watch: &mut Watch) {
        let mut actions = Vec::new();
        self.replica.step_all(inputs, &mut actions);
        let mut lied = None;
        for action in actions {
            if let Action::Persist(Persist { number, .. }) = &action {
                lied = self.me.lies.then_some(*number).or(lied);
            }
            self.take(action, truth, watch);
        }
        if let Some(number) = lied {
            self.give(vec![Input::Persisted { number }], truth, watch);
        }
    }

    fn take(&mut self, action: Action, truth: &mut Truth<M>, watch: &mut Watch) {
        let who = self.me.who as u64;
        match action {
            Action::Send(messages) => self.outgoing.extend(messages),
            Action::Persist(persist) => {
                let last = persist.entries.last().map_or(0, Entry::get_index);
                watch.mark(&[who, 1, persist.number, last, u64::from(persist.must_sync)]);
                self.jobs.push_back(Job::Persist(Box::new(persist)));
            }
            Action::Compacted(base) => self.jobs.push_back(Job::Compact(base)),
            Action::Apply(entries) => self.work.extend(entries.into_iter().map(Work::Entry)),
            Action::InstallCheckpoint { index, .. } => {
                watch.mark(&[who, 2, index]);
                self.work.push_back(Work::Install(index));
            }
            Action::RoleChanged { role, term, leader } => {
                watch.mark(&[who, 3, role as u64, term, leader.unwrap_or_default()]);
                (self.leads, self.leader) = (role == Role::Leader, leader);
                if self.leads {
                    watch.figures.elections += 1;
                    watch.hold(truth.lead(self.me.who, term, self.replica.status().last));
                }
            }
            Action::ReadReady { ticket, index } => self.answer_read(ticket, index, watch),
            Action::ReadRefused { ticket } if ticket == self.tickets => self.read = None,
            Action::Damaged { detail } => watch.violate(format!("member {who}: {detail}")),
            Action::SendCheckpoint { .. } | Action::WantCheckpoint { .. } | Action::NeedCheckpoint { .. } => {
                self.errands.push(action);
            }
            // A proposal's fate is known by its outcome, and membership does not change here.
            Action::Proposed { .. }
            | Action::Refused { .. }
            | Action::ReadRefused { .. }
            | Action::ConfState { .. } => {}
        }
    }

    /// Asks for the index that a linearizable read must wait for; one at a time.
    pub fn ask_read(&mut self, now: u64, truth: &mut Truth<M>, watch: &mut Watch) {
        if self.read.is_some_and(|(asked, _)| now < asked + 50) {
            return;
        }
        self.tickets += 1;
        self.read = Some((now, truth.last()));
        self.give(vec![Input::ReadIndex { ticket: self.tickets }], truth, watch);
    }

    fn answer_read(&mut self, ticket: u64, index: u64, watch: &mut Watch) {
        let Some((_, floor)) = self.read.take_if(|_| ticket == self.tickets) else { return };
        watch.figures.reads += 1;
        if index < floor {
            let who = self.me.who;
            watch.violate(format!("member {who} reads at {index}, {floor} was applied before it asked"));
        }
        self.read_index.get_or_insert(index);
    }

    /// Commit never falls, and the state never runs ahead of it. Notes when the state has caught up.
    pub fn look(&mut self, watch: &mut Watch) {
        let who = self.me.who;
        let status = self.replica.status();
        if status.commit < self.commit || self.applied.0 > status.commit {
            let (applied, before) = (self.applied.0, self.commit);
            watch.violate(format!("member {who}: commit {} after {before}, applied {applied}", status.commit));
        }
        self.commit = status.commit;
        self.caught_up |= self.read_index.is_some_and(|index| self.applied.0 >= index);
    }

    /// Applies one entry; what its commands came to, and whether this was news to the world.
    pub fn apply(&mut self, entry: Committed, truth: &mut Truth<M>, watch: &mut Watch) -> (Vec<(Key, Outcome)>, bool) {
        let Committed { index, term, kind } = entry;
        let who = self.me.who;
        if index != self.applied.0 + 1 {
            watch.violate(format!("member {who} was handed entry {index} after {}", self.applied.0));
        }
        self.applied = (index, term);
        watch.figures.applied += 1;
        let data = match kind {
            CommittedKind::Normal(data) => data,
            CommittedKind::Empty => bytes::Bytes::new(),
            CommittedKind::Conf(_) => {
                watch.violate(format!("member {who}: a change of membership that nobody asked for"));
                return (Vec::new(), false);
            }
        };
        let content = content(&data);
        watch.mark(&[who as u64, 4, index, term, content]);
        watch.hold(truth.commit(who, index, term, content));
        if data.is_empty() {
            return (Vec::new(), false);
        }
        let applied = self.record.apply(&data, &AnyVerifier);
        let news = truth.apply(who, &self.record, &applied);
        let fresh = *news.as_ref().unwrap_or(&false);
        watch.hold(news.map(|_| ()));
        (applied.outcomes, fresh)
    }

    /// Takes batches in for the next entry, if this node leads.
    pub fn collect(&mut self, batches: Vec<Bytes>) {
        if self.leads {
            self.inbox.extend(batches);
            self.inbox.truncate(INBOX_MAX);
        }
    }

    /// The leader makes an entry of what waits, or of nothing when a timer is due.
    pub fn propose(&mut self, now: u64, wall: Timestamp, truth: &mut Truth<M>, watch: &mut Watch) {
        if !self.leads {
            self.inbox.clear();
            return;
        }
        let stamp = wall.max(self.record.time());
        let due = self.record.next_due().filter(|due| *due <= stamp);
        let asked = self.timer_asked.is_some_and(|(of, at)| Some(of) == due && now < at + TIMER_RETRY);
        if self.inbox.is_empty() && (due.is_none() || asked) {
            return;
        }
        self.timer_asked = due.map(|due| (due, now));
        let batches = self.fit_batches();
        let data = code::encode(&record::Entry { stamp, batches });
        let ticket = now;
        self.give(vec![Input::Propose { ticket, data: data.into() }], truth, watch);
    }

    fn fit_batches(&mut self) -> Vec<Bytes> {
        let room = usize::try_from(LIMITS.max_entry_bytes / 2).unwrap_or(usize::MAX);
        let mut size = 0;
        let fitting = self.inbox.iter().take_while(|batch| {
            size += batch.0.len();
            size <= room
        });
        let count = fitting.count().max(1).min(self.inbox.len());
        self.inbox.drain(..count).collect()
    }
}

/// A fingerprint of an entry's bytes, for comparison within a run only.
fn content(data: &[u8]) -> u64 {
    let word = |chunk: &[u8]| chunk.iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
    let mix = |hash: u64, chunk: &[u8]| (hash ^ word(chunk)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    data.chunks(8).fold(data.len() as u64, mix)
}
