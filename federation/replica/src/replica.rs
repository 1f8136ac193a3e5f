//! The replica itself: inputs into raft, raft's readies into actions.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, ConfState, Entry, EntryType, HardState, Message, MessageType};
use raft::{Error, GetEntriesContext, Progress, ProgressState, RawNode, Ready, SnapshotStatus, StateRole, Storage};

use crate::action::{Action, Committed, CommittedKind, LogBase, Persist, RefusalReason, Role};
use crate::config::{Checkpoint, Config, Restored};
use crate::error::ReplicaError;
use crate::input::Input;
use crate::log_cache::LogCache;
use crate::logger::raft_logger;
use crate::membership::{decode_conf_change, is_member, sorted};
use crate::persist::{PersistQueue, Released, Waiting};
use crate::reads::Reads;
use crate::screen::{self, Verdict};

/// One member of one record's Raft group.
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) raw: RawNode<LogCache>,
    pub(crate) reads: Reads,
    pub(crate) ticks: u64,
    /// When each member was last heard, in ticks.
    pub(crate) heard: BTreeMap<u64, u64>,
    /// The leader whose process has ended, so far as is known, and in which tick that was said.
    pub(crate) gone: Option<(u64, u64)>,
    /// After how many ticks this node stands in the place of a leader that is gone.
    pub(crate) stands_in: Option<u32>,
    pub(crate) may_campaign: bool,
    /// Ticks this node has led although it is not fit to.
    pub(crate) unfit_ticks: u32,
    pub(crate) needed_told: Option<(u64, u64)>,
    /// The log up to here is not to be kept for its own sake.
    pub(crate) compact_to: u64,
    /// A checkpoint that was offered and is to be asked for.
    pub(crate) wanted: Option<Action>,
    /// The entry that made the membership in force.
    pub(crate) conf_index: u64,
    /// Membership entries handed out for apply and not yet answered.
    conf_pending: VecDeque<(u64, ConfChangeV2)>,
    /// The last entry that was handed out for apply, or that the state began with.
    handed_out: u64,
    /// What the driver has reported; raft may be told later.
    pub(crate) applied_reported: u64,
    persists: PersistQueue,
    /// How far is committed, as the others were last told.
    commit_told: u64,
    /// How far is committed, where that alone is new since the log was last written.
    unwritten: Option<HardState>,
    seen: (Role, u64, Option<u64>),
}

impl Replica {
    /// A replica as its disk remembers it. A sole voter elects itself at once; the actions come with the first step.
    ///
    /// # Errors
    /// If the configuration is senseless, or what was restored shows a loss; see [`ReplicaError`].
    pub fn new(config: Config, mut restored: Restored) -> Result<Self, ReplicaError> {
        config.check()?;
        restored.check(config.applied)?;
        restored.take_newest_membership();
        let (conf_index, durable_term) = (restored.conf_index, restored.hard_state.get_term());
        let store = LogCache::new(restored, config.applied);
        let raw = RawNode::new(&config.raft(), store, &raft_logger(config.group))
            .map_err(|error| ReplicaError::Raft { reason: error.to_string() })?;
        let (limit, timeout_ticks) = (config.limits.max_pending_reads, 2 * config.timing.election_ticks);
        let mut replica = Self {
            reads: Reads::new(config.id, config.seed, limit, timeout_ticks),
            ticks: 0,
            heard: BTreeMap::new(),
            gone: None,
            stands_in: None,
            may_campaign: true,
            unfit_ticks: 0,
            needed_told: None,
            compact_to: 0,
            wanted: None,
            conf_index,
            conf_pending: VecDeque::new(),
            handed_out: config.applied,
            applied_reported: config.applied,
            persists: PersistQueue::new(durable_term),
            commit_told: 0,
            unwritten: None,
            seen: (Role::Learner, 0, None),
            config,
            raw,
        };
        if replica.raw.raft.prs().is_singleton() {
            replica.campaign();
        }
        replica.settle_election_timeout();
        Ok(replica)
    }

    /// Takes one input; what is to be done is appended to `out`.
    pub fn step(&mut self, input: Input, out: &mut Vec<Action>) {
        self.step_all([input], out);
    }

    /// Takes all inputs at hand and makes one batch of them: one append per peer, one write to the log.
    pub fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>, out: &mut Vec<Action>) {
        for input in inputs {
            self.take(input, out);
            self.settle_election_timeout();
        }
        self.pump(out);
    }

    fn take(&mut self, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Tick => self.on_tick(out),
            Input::Message(message) => self.on_message(*message, out),
            Input::Propose { ticket, data } => self.on_propose(ticket, data, out),
            Input::ProposeConfChange { ticket, change } => self.on_propose_conf_change(ticket, &change, out),
            Input::Persisted { number } => {
                let released = self.persists.persisted(number);
                self.carry_out(released, out);
            }
            Input::Applied { index } => self.applied_reported = self.applied_reported.max(index),
            Input::ConfChangeApplied { index, accepted } => self.on_conf_change_applied(index, accepted, out),
            Input::TellCommit => self.tell_commit(),
            Input::ReadIndex { ticket } => {
                if !self.reads.add(ticket) {
                    out.push(Action::ReadRefused { ticket });
                }
            }
            Input::TransferLeader { to } => {
                if self.raw.raft.state == StateRole::Leader {
                    self.raw.transfer_leader(to);
                }
            }
            Input::PeerUnreachable { id } => self.raw.report_unreachable(id),
            Input::PeerGone { id } if self.leader() == Some(id) => self.gone = Some((id, self.ticks)),
            // Of no other peer it is of any use to know.
            Input::PeerGone { .. } => {}
            Input::SnapshotStatus { id, ok } => {
                self.raw.report_snapshot(id, if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
            }
            Input::CheckpointReady { index, term, conf_state } => {
                self.raw.mut_store().set_checkpoint(Checkpoint { index, term, conf_state });
                self.needed_told = None;
            }
            Input::Compact { index } => {
                self.compact_to = self.compact_to.max(index);
                self.compact(out);
            }
            Input::CheckpointReceived { index, term, conf_state } => {
                self.on_checkpoint_received(Checkpoint { index, term, conf_state });
            }
            Input::Campaign => self.campaign(),
            Input::MayCampaign(may) => self.on_may_campaign(may),
        }
    }

    fn on_message(&mut self, m: Message, out: &mut Vec<Action>) {
        match screen::check(&self.raw.raft, &m, self.config.limits.max_pending_reads) {
            Verdict::Pass => {}
            Verdict::Drop(reason) => {
                tracing::debug!(from = m.get_from(), kind = ?m.get_msg_type(), reason, "peer message dropped");
                return;
            }
            Verdict::Damaged(detail) => {
                tracing::error!(group = self.config.group, detail, "this log has lost what it acknowledged");
                out.push(Action::Damaged { detail });
                return;
            }
        }
        self.heard.insert(m.get_from(), self.ticks);
        // What was on its way is still heard for a moment; whoever speaks later is there.
        let passing = u64::from(self.config.timing.heartbeat_ticks);
        self.gone = self.gone.filter(|(gone, said)| *gone != m.get_from() || self.ticks <= said + passing);
        match m.get_msg_type() {
            MessageType::MsgSnapshot => self.on_snapshot_offer(m),
            MessageType::MsgTimeoutNow if !self.fit_to_campaign() => {
                tracing::debug!(from = m.get_from(), "lead declined: not fit to campaign");
            }
            MessageType::MsgAppend if m.get_entries().is_empty() => self.on_notice(m),
            _ => self.step_raft(m),
        }
    }

    /// How far is committed, and no entries: what this node holds it has acknowledged already, and does not again.
    fn on_notice(&mut self, m: Message) {
        let raft = &self.raw.raft;
        let (is_news, said) = (m.get_commit() > raft.raft_log.committed, raft.msgs.len());
        self.step_raft(m);
        let raft = &mut self.raw.raft;
        let takes =
            |answer: &mut Message| answer.get_msg_type() == MessageType::MsgAppendResponse && !answer.get_reject();
        if is_news && raft.msgs.len() == said + 1 {
            raft.msgs.pop_if(takes);
        }
    }

    pub(crate) fn step_raft(&mut self, m: Message) {
        let (from, kind) = (m.get_from(), m.get_msg_type());
        if let Err(error) = self.raw.step(m) {
            tracing::debug!(from, ?kind, %error, "raft did not take a message");
        }
    }

    fn on_propose(&mut self, ticket: u64, data: Bytes, out: &mut Vec<Action>) {
        let size = data.len() as u64;
        let limits = &self.config.limits;
        if size == 0 || size > limits.max_entry_bytes {
            out.push(Action::Refused { ticket, reason: RefusalReason::BadSize });
        } else if self.log_bytes() + size > limits.max_log_bytes_in_memory && self.role() == Role::Leader {
            out.push(Action::Refused { ticket, reason: RefusalReason::Full });
        } else {
            let mut entry = Entry::default();
            entry.set_data(data);
            // Stepped by hand: raft's own `propose` would copy the bytes.
            let mut m = Message::default();
            m.set_msg_type(MessageType::MsgPropose);
            m.set_from(self.config.id);
            m.set_entries(vec![entry].into());
            let verdict = self.may_propose().and_then(|()| self.raw.raft.step(m).map_err(|e| self.why_dropped(&e)));
            self.answer_proposal(ticket, verdict, out);
        }
    }

    fn on_propose_conf_change(&mut self, ticket: u64, change: &ConfChangeV2, out: &mut Vec<Action>) {
        let verdict = self
            .may_propose()
            .and_then(|()| self.may_change(change))
            .and_then(|()| self.raw.propose_conf_change(Vec::new(), change.clone()).map_err(|e| self.why_dropped(&e)));
        self.answer_proposal(ticket, verdict, out);
    }

    fn answer_proposal(&mut self, ticket: u64, verdict: Result<(), RefusalReason>, out: &mut Vec<Action>) {
        let raft = &self.raw.raft;
        out.push(match verdict {
            Ok(()) => {
                // Raft sends a new entry to everybody at once, with how far is committed.
                self.commit_told = raft.raft_log.committed;
                Action::Proposed { ticket, index: raft.raft_log.last_index(), term: raft.term }
            }
            Err(reason) => Action::Refused { ticket, reason },
        });
    }

    fn may_propose(&self) -> Result<(), RefusalReason> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Err(RefusalReason::NotLeader { leader: self.leader() });
        }
        // Raft would forget to say why.
        if raft.lead_transferee.is_some() { Err(RefusalReason::Transferring) } else { Ok(()) }
    }

    /// Raft turns a change it cannot take into an empty entry without a word, and fails at apply on an impossible one.
    fn may_change(&self, change: &ConfChangeV2) -> Result<(), RefusalReason> {
        let raft = &self.raw.raft;
        let joint = !raft.prs().conf().to_conf_state().get_voters_outgoing().is_empty();
        if raft.has_pending_conf() || (joint && !change.leave_joint()) {
            return Err(RefusalReason::ConfChangePending);
        }
        let adds_voter = |single: &raft::eraftpb::ConfChangeSingle| {
            single.get_change_type() == raft::eraftpb::ConfChangeType::AddNode
                && raft.prs().get(single.get_node_id()).is_none()
        };
        let mut trial = raft::Changer::new(raft.prs());
        let changes = change.get_changes();
        let possible = if change.leave_joint() {
            trial.leave_joint()
        } else if let Some(auto_leave) = change.enter_joint() {
            trial.enter_joint(auto_leave, changes)
        } else {
            trial.simple(changes)
        };
        if possible.is_err() || changes.iter().any(|c| c.get_node_id() == 0 || adds_voter(c)) {
            return Err(RefusalReason::ImpossibleChange);
        }
        Ok(())
    }

    fn why_dropped(&self, error: &Error) -> RefusalReason {
        match error {
            Error::ProposalDropped if self.raw.raft.prs().get(self.config.id).is_some() => RefusalReason::Full,
            _ => RefusalReason::NotLeader { leader: None },
        }
    }

    fn on_conf_change_applied(&mut self, index: u64, accepted: bool, out: &mut Vec<Action>) {
        let Some((_, change)) = self.conf_pending.pop_front_if(|(next, _)| *next == index) else {
            tracing::debug!(index, "membership entry answered out of order, or overtaken by a checkpoint");
            return;
        };
        // Leaving a joint membership completes what was accepted before; no state machine may keep it half done.
        if index <= self.conf_index || !(accepted || change.leave_joint()) {
            return;
        }
        match self.raw.apply_conf_change(&change) {
            Ok(conf_state) => self.adopt_membership(index, sorted(conf_state), out),
            // The same on every member, as all apply it to the same membership; leaving twice ends here.
            Err(error) => tracing::info!(index, %error, "membership entry without effect"),
        }
    }

    fn adopt_membership(&mut self, index: u64, conf_state: ConfState, out: &mut Vec<Action>) {
        self.conf_index = index;
        self.heard.retain(|id, _| is_member(&conf_state, *id));
        // A write of its own, before any later entry's: a node that has such an entry never wakes up in the old membership.
        let number = self.persists.issue();
        let released = self.persists.enqueue(Waiting { number, must_sync: true, ..Waiting::default() });
        self.carry_out(released, out);
        let (conf, hard_state) = (Some((index, conf_state.clone())), self.unwritten.take());
        let persist = Persist { number, hard_state, conf_state: conf, must_sync: true, ..Persist::default() };
        out.push(Action::Persist(persist));
        out.push(Action::ConfState { index, conf_state });
        if self.raw.raft.state == StateRole::Leader && !self.raw.raft.promotable() {
            // Raft would let a removed leader go on, and fail on it.
            if let Some(next) = self.best_successor() {
                self.raw.raft.send_timeout_now(next);
            }
            self.step_down();
        }
    }

    /// Whether more is committed than this leader has told the others. It need not be said by itself where more entries go out
    /// at the same moment: they say it too. A tick tells what is left.
    pub fn owes_commit(&self) -> bool {
        let raft = &self.raw.raft;
        raft.state == StateRole::Leader && raft.raft_log.committed > self.commit_told && raft.prs().iter().len() > 1
    }

    pub(crate) fn tell_commit(&mut self) {
        if self.owes_commit() {
            let raft = &mut self.raw.raft;
            self.commit_told = raft.raft_log.committed;
            // Who is only being felt for must answer before more is sent to him, and a notice is not answered: his heartbeats
            // say it.
            let listens =
                |(id, progress): &(&u64, &Progress)| **id != raft.id && progress.state == ProgressState::Replicate;
            let listening: Vec<u64> = raft.prs().iter().filter(listens).map(|(id, _)| *id).collect();
            for id in listening {
                raft.send_append(id);
            }
        }
    }

    /// Tells raft how far the state machine is: not beyond an unanswered membership entry, nor what raft can know.
    fn advance_applied(&mut self) {
        let log = &self.raw.raft.raft_log;
        let unanswered = self.conf_pending.front().map_or(u64::MAX, |(index, _)| index - 1);
        let index = self.applied_reported.min(unanswered).min(log.committed).min(log.persisted);
        if index > log.applied {
            self.raw.advance_apply_to(index);
        }
    }

    fn pump(&mut self, out: &mut Vec<Action>) {
        self.advance_applied();
        self.tell_role(out);
        self.issue_reads();
        while self.raw.has_ready() {
            let ready = self.raw.ready();
            self.on_ready(ready, out);
        }
        self.hand_out(out);
        self.settle_election_timeout();
        self.tell_needed_checkpoint(out);
        self.tell_wanted_checkpoint(out);
    }

    fn tell_role(&mut self, out: &mut Vec<Action>) {
        let now = (self.role(), self.raw.raft.term, self.leader());
        if now != self.seen {
            self.seen = now;
            self.reads.reissue();
            let (role, term, leader) = now;
            out.push(Action::RoleChanged { role, term, leader });
        }
    }

    fn issue_reads(&mut self) {
        let raft = &self.raw.raft;
        // Raft drops reads silently before a leader has committed in its term, and without a leader.
        let ready =
            if raft.state == StateRole::Leader { raft.commit_to_current_term() } else { self.leader().is_some() };
        if ready {
            for context in self.reads.issue() {
                self.raw.read_index(context);
            }
        }
    }

    /// One ready, in the order raft asks for: the log shows it, then it is persisted beside, then what depends on it.
    fn on_ready(&mut self, mut ready: Ready, out: &mut Vec<Action>) {
        for state in ready.take_read_states() {
            let index = state.index;
            let tickets = self.reads.answer(&state.request_ctx);
            out.extend(tickets.into_iter().map(|ticket| Action::ReadReady { ticket, index }));
        }
        let mut persist = Persist {
            hard_state: ready.hs().cloned(),
            must_sync: ready.must_sync(),
            entries: ready.take_entries(),
            ..Persist::default()
        };
        let mut waiting = Waiting { ready: ready.number(), must_sync: persist.must_sync, ..Waiting::default() };
        waiting.messages = ready.take_persisted_messages();
        waiting.term = persist.hard_state.as_ref().map_or(0, HardState::get_term);
        if !ready.snapshot().is_empty() {
            self.restart_log(&ready, &mut persist, &mut waiting, out);
        }
        self.raw.mut_store().append(&persist.entries);

        let messages = ready.take_messages();
        if self.raw.raft.term > self.persists.durable_term() {
            // A sole voter leads before its new term is durable. Its learners must not hear of a term that a crash could
            // take back and use a second time.
            waiting.messages.extend(messages);
        } else {
            send(messages, out);
        }
        // How far is committed Raft finds out again: it need not be written by itself, and nothing waits for it.
        self.unwritten = persist.hard_state.take().or(self.unwritten.take());
        if persist.must_sync {
            persist.hard_state = self.unwritten.take();
            persist.number = self.persists.issue();
            out.push(Action::Persist(persist));
        }
        waiting.number = self.persists.last_issued();
        self.raw.advance_append_async(ready);
        let released = self.persists.enqueue(waiting);
        self.carry_out(released, out);
    }

    /// Writes down how far is committed, if only that is new. With every tick, so that a node that is killed knows nearly
    /// all of it; and before it stops, so that it shows all of it when it starts where nobody can be asked.
    pub fn write_commit(&mut self, out: &mut Vec<Action>) {
        if let Some(hard_state) = self.unwritten.take() {
            let (number, hard_state) = (self.persists.issue(), Some(hard_state));
            out.push(Action::Persist(Persist { number, hard_state, ..Persist::default() }));
        }
    }

    fn restart_log(&mut self, ready: &Ready, persist: &mut Persist, waiting: &mut Waiting, out: &mut Vec<Action>) {
        let meta = ready.snapshot().get_metadata();
        let conf_state = sorted(meta.get_conf_state().clone());
        let base = LogBase { index: meta.get_index(), term: meta.get_term() };
        let checkpoint = Checkpoint { index: base.index, term: base.term, conf_state: conf_state.clone() };
        self.raw.mut_store().reset(checkpoint);
        self.conf_pending.clear();
        (self.conf_index, self.handed_out) = (base.index, base.index);
        persist.reset_to = Some(base);
        persist.conf_state = Some((base.index, conf_state.clone()));
        waiting.installs = Some(base);
        out.push(Action::ConfState { index: base.index, conf_state });
    }

    fn carry_out(&mut self, released: Released, out: &mut Vec<Action>) {
        if released.ready > 0 {
            self.raw.on_persist_ready(released.ready);
        }
        for base in released.installs {
            self.install(base, out);
        }
        send(released.messages, out);
    }

    /// Hands out what is committed, be it on this node's own disk yet or not: it is on those of a quorum, which no crash here
    /// takes back. Raft's own word waits for this disk, and whoever watches here would wait with it. A change of membership
    /// does wait, as what is written about it must come behind it.
    fn hand_out(&mut self, out: &mut Vec<Action>) {
        let log = &self.raw.raft.raft_log;
        let (committed, persisted) = (log.committed, log.persisted);
        // A checkpoint on its way to become the state comes before what follows on it.
        while persisted >= self.raw.store().base().index && self.handed_out < committed {
            // In pieces, so that no single action outgrows what is in flight anyway.
            let most = self.config.limits.max_uncommitted_bytes;
            let next = (self.handed_out + 1, committed + 1);
            let entries = self.raw.store().entries(next.0, next.1, most, GetEntriesContext::empty(false));
            let may =
                |entry: &Entry| entry.get_index() <= persisted || entry.get_entry_type() == EntryType::EntryNormal;
            let entries: Vec<_> = entries.unwrap_or_default().into_iter().take_while(may).collect();
            let Some(last) = entries.last() else { return };
            self.handed_out = last.get_index();
            let committed: Vec<_> = entries.into_iter().map(|entry| self.committed(entry)).collect();
            out.push(Action::Apply(committed));
        }
    }

    fn committed(&mut self, entry: Entry) -> Committed {
        let (index, term) = (entry.get_index(), entry.get_term());
        let kind = committed_kind(entry);
        if let CommittedKind::Conf(change) = &kind {
            self.conf_pending.push_back((index, change.clone()));
        }
        Committed { index, term, kind }
    }

    pub(crate) fn role(&self) -> Role {
        let raft = &self.raw.raft;
        match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Candidate => Role::Candidate,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Follower if raft.promotable() => Role::Follower,
            StateRole::Follower => Role::Learner,
        }
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        Some(self.raw.raft.leader_id).filter(|id| *id != raft::INVALID_ID)
    }

    /// The log held in memory, in bytes.
    pub fn log_bytes(&self) -> u64 {
        self.raw.store().bytes() + self.raw.raft.raft_log.unstable.entries_size as u64
    }
}

fn send(messages: Vec<Message>, out: &mut Vec<Action>) {
    if messages.is_empty() {
        return;
    }
    for m in messages.iter().filter(|m| m.get_msg_type() == MessageType::MsgSnapshot) {
        out.push(Action::SendCheckpoint { to: m.get_to(), index: m.get_snapshot().get_metadata().get_index() });
    }
    out.push(Action::Send(messages));
}

/// What an entry asks the state machine to do, once it is committed.
pub fn committed_kind(mut entry: Entry) -> CommittedKind {
    let change = match entry.get_entry_type() {
        EntryType::EntryNormal if entry.get_data().is_empty() => return CommittedKind::Empty,
        EntryType::EntryNormal => return CommittedKind::Normal(entry.take_data()),
        EntryType::EntryConfChange => None,
        EntryType::EntryConfChangeV2 => decode_conf_change(entry.get_data()),
    };
    change.map_or_else(
        || {
            // Screened out on the way in; one that is here nevertheless changes nothing, on every member alike.
            tracing::error!(index = entry.get_index(), "unreadable membership entry has no effect");
            CommittedKind::Empty
        },
        CommittedKind::Conf,
    )
}
