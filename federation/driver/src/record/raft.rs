//! Raft of a record: inputs from everywhere into the replica, its actions to everyone. Whose thread does it, says `turn.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::ids::NodeId;
use shouwang_replica::eraftpb::Message;
use shouwang_replica::{Action, Input, Replica, Role, Seat, conf_change, next_changes};

use super::proposer::{Moment, Proposer};
use super::reads::Reads;
use super::roll_call::Teller;
use super::turn::{Turn, Whose};
use super::{AppliedNote, ApplyWork, RaftMsg, RecordPort, Vitals};
use crate::error::DriverError;
use crate::log_writer::{LogJob, Persisted};
use crate::mailbox::Mailbox;
use crate::transport::Transport;

/// More ticks than this are not caught up with: a node that was held up must not hold an election at once.
const TICKS_AT_ONCE: u32 = 2;
/// What is due within this, in milliseconds, may be due by the clock of whoever leads.
const DUE_SOON_MS: i64 = 1000;
/// After so long a checkpoint that was asked for is taken for one that could not be written.
const ROOM_AGAIN: Duration = Duration::from_secs(30);

pub(crate) struct RaftLoop {
    pub port: Arc<dyn RecordPort>,
    pub replica: Replica,
    pub proposer: Proposer,
    pub transport: Arc<Transport>,
    pub log: Arc<Mailbox<LogJob>>,
    /// Tells this record what is written.
    persisted: Persisted,
    messages: Vec<RaftMsg>,
    inputs: Vec<Input>,
    reads: Reads,
    role: Role,
    term: u64,
    leader: Option<u64>,
    applied: AppliedNote,
    group: Vec<Seat>,
    tick: Duration,
    next_tick: Instant,
    fit: bool,
    resigned: bool,
    fetching: Option<u64>,
    sending: BTreeMap<u64, Instant>,
    /// Peers that hold the whole ledger.
    whole: BTreeSet<u64>,
    snapshot_wanted: Option<u64>,
    /// When a checkpoint was asked for, so that the log can go.
    room_asked: Option<Instant>,
    /// The newest checkpoint since the start.
    checkpointed: u64,
    teller: Teller,
}

impl Turn for RaftLoop {
    fn turn(&mut self, _: Whose) -> Instant {
        let port = self.port.clone();
        let core = port.core();
        let (mut messages, mut inputs) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.inputs));
        core.inbox.drain(&mut messages);
        let ticked = self.ticks(&mut inputs);
        let mut answered = Vec::new();
        for message in messages.drain(..) {
            if let RaftMsg::ConfApplied { index, .. } = &message {
                answered.push(*index);
            }
            self.receive(message, &mut inputs);
        }
        inputs.extend(self.reads.ask().map(|ticket| Input::ReadIndex { ticket }));
        // The first step carries out what the start has decided.
        self.step(&mut inputs);
        for index in answered {
            core.conf.answer(index);
        }
        core.durable.reach(self.replica.persisted());
        self.lead(&mut inputs);
        self.tell_commit(&mut inputs);
        self.reads.applied(self.applied.index);
        if ticked {
            self.tell();
            self.call_roll();
        }
        (self.messages, self.inputs) = (messages, inputs);
        let quiet = self.reads.wait_for_apply() || self.proposer.waits_for_apply();
        core.inbox.hear(quiet, self.proposer.patience());
        self.proposer.wake_at(self.leader).map_or(self.next_tick, |at| at.min(self.next_tick))
    }
}

impl RaftLoop {
    pub fn new(
        port: Arc<dyn RecordPort>,
        replica: Replica,
        proposer: Proposer,
        transport: Arc<Transport>,
        log: Arc<Mailbox<LogJob>>,
        applied: AppliedNote,
    ) -> Self {
        let core = port.core();
        let group = super::seats(&core.group.load());
        let tick = Duration::from_millis(u64::from(core.options.timing.tick_ms));
        let writes_for = port.clone();
        Self {
            persisted: Arc::new(move |number| writes_for.core().persisted(number)),
            messages: Vec::new(),
            inputs: Vec::new(),
            tick,
            next_tick: Instant::now() + tick,
            port,
            replica,
            proposer,
            transport,
            log,
            reads: Reads::default(),
            role: Role::Learner,
            term: 0,
            leader: None,
            applied,
            group,
            fit: true,
            resigned: false,
            fetching: None,
            sending: BTreeMap::new(),
            whole: BTreeSet::new(),
            snapshot_wanted: None,
            room_asked: None,
            checkpointed: 0,
            teller: Teller::default(),
        }
    }

    /// Says the last that is to be said.
    pub fn end(mut self) {
        let mut last = Vec::new();
        self.replica.write_commit(&mut last);
        for action in last {
            self.act(action);
        }
        self.tell();
        tracing::debug!(record = %self.port.core().label, "raft ends");
    }

    /// Tells the others how far is committed, unless what went out just now has.
    fn tell_commit(&mut self, inputs: &mut Vec<Input>) {
        if self.replica.owes_commit() {
            inputs.push(Input::TellCommit);
            self.step(inputs);
        }
    }

    /// Half of the memory for the log is in use.
    fn is_log_crowded(&self) -> bool {
        self.replica.log_bytes() > self.port.core().options.limits.max_log_bytes_in_memory / 2
    }

    /// A log that fills its memory goes behind a second checkpoint, which cannot be left to come after so many records: none
    /// come any more once it is full.
    fn make_room(&mut self) {
        let asked = self.room_asked.is_some_and(|asked| asked.elapsed() < ROOM_AGAIN);
        if !asked && self.applied.index > self.checkpointed && self.is_log_crowded() {
            self.room_asked = Some(Instant::now());
            self.port.core().apply.push(ApplyWork::PRESSING_CHECKPOINT);
        }
    }

    fn ticks(&mut self, inputs: &mut Vec<Input>) -> bool {
        let now = Instant::now();
        let mut ticked = 0;
        while self.next_tick <= now && ticked < TICKS_AT_ONCE {
            inputs.push(Input::Tick);
            self.next_tick += self.tick;
            ticked += 1;
        }
        if self.next_tick <= now {
            self.next_tick = now + self.tick;
        }
        if ticked > 0 {
            self.judge_fitness(inputs);
            self.give_up_transfers(now, inputs);
            self.make_room();
        }
        ticked > 0
    }

    /// A node without room, with a clock of its own, or about to stop does not lead.
    fn judge_fitness(&mut self, inputs: &mut Vec<Input>) {
        let core = self.port.core();
        let clock = self.transport.clock_is_fit(&self.group);
        let fit = clock && !core.disk.is_full() && !self.resigned;
        if fit != self.fit {
            tracing::info!(record = %core.label, fit, clock, resigned = self.resigned, "fitness to lead changed");
            self.fit = fit;
            inputs.push(Input::MayCampaign(fit));
        }
    }

    fn give_up_transfers(&mut self, now: Instant, inputs: &mut Vec<Input>) {
        let (transfers, patience) = (&self.port.core().transfers, self.transport.options.stall_timeout);
        transfers.give_up(now, patience);
        let stalled = |peer: &u64, since: &Instant| {
            let last = transfers.moved(*peer).map_or(*since, |moved| moved.max(*since));
            now.saturating_duration_since(last) > patience
        };
        for (id, _) in self.sending.extract_if(.., |peer, since| stalled(peer, since)) {
            inputs.push(Input::SnapshotStatus { id, ok: false });
        }
    }

    fn moment(&self) -> Moment {
        let leads = self.role == Role::Leader;
        Moment {
            now: Instant::now(),
            leader: self.leader,
            leads,
            ready: leads && self.applied.term == self.term,
            next_due: self.applied.next_due,
        }
    }

    fn receive(&mut self, message: RaftMsg, inputs: &mut Vec<Input>) {
        let port = self.port.clone();
        let core = port.core();
        match message {
            RaftMsg::Messages { from, whole_ledger, messages } => {
                if whole_ledger {
                    self.whole.insert(from);
                } else {
                    self.whole.remove(&from);
                }
                // With a full disk, entries are left to be sent again; votes and heartbeats go on.
                let full = core.disk.is_full();
                let kept = messages.into_iter().filter(|m| !full || m.get_entries().is_empty() || !is_append(m));
                inputs.extend(kept.map(|m| Input::Message(Box::new(m))));
            }
            RaftMsg::Batch { from, ticket, batch } => {
                let moment = self.moment();
                self.proposer.take_in(core, from, ticket, batch, &moment);
            }
            RaftMsg::Answer { from, ticket, verdict } => {
                if self.leader == Some(from) {
                    self.proposer.answered(core, ticket, verdict, Instant::now());
                }
            }
            RaftMsg::Persisted(number) => inputs.push(Input::Persisted { number }),
            RaftMsg::Applied { note, waited } => {
                self.applied = note;
                self.proposer.applied(core, (note.index, note.stamp), waited, Instant::now());
                inputs.push(Input::Applied { index: note.index });
                // At once: what comes until the next tick may fill what is left.
                self.make_room();
            }
            RaftMsg::ConfApplied { index, accepted } => inputs.push(Input::ConfChangeApplied { index, accepted }),
            RaftMsg::Group(group) => self.group = super::seats(&group),
            RaftMsg::Dropped(hashes) => self.proposer.dropped(core, &hashes),
            RaftMsg::CheckpointReady { index, term, conf_state, oldest } => {
                (self.snapshot_wanted, self.room_asked, self.checkpointed) = (None, None, index);
                inputs.push(Input::CheckpointReady { index, term, conf_state });
                // Entries may be large: what is kept for slow followers must not be what fills the memory for the log.
                let slack = if self.is_log_crowded() { 0 } else { core.options.log_slack };
                inputs.push(Input::Compact { index: oldest.saturating_sub(slack) });
            }
            RaftMsg::Fetched(fetched) => {
                self.fetching = None;
                if let Some((index, term, conf_state)) = fetched {
                    inputs.push(Input::CheckpointReceived { index, term, conf_state });
                }
            }
            RaftMsg::Served { to, ok } => {
                if self.sending.remove(&to).is_some() {
                    inputs.push(Input::SnapshotStatus { id: to, ok });
                }
            }
            RaftMsg::Command(command) => self.proposer.add(command),
            RaftMsg::Read(caller) => self.reads.add(caller),
            RaftMsg::Transfer { to, reply } => {
                let leads = self.role == Role::Leader;
                if leads {
                    inputs.push(Input::TransferLeader { to });
                }
                let leader = self.leader.and_then(|id| NodeId::try_from(id).ok());
                // A caller that has just left needs no answer.
                let _ = reply.send(if leads { Ok(()) } else { Err(DriverError::NotLeader { leader }) });
            }
            RaftMsg::Resign => self.resigned = true,
            RaftMsg::Unreachable { id, gone } => {
                inputs.push(Input::PeerUnreachable { id });
                inputs.extend(gone.then_some(Input::PeerGone { id }));
                // Whoever comes back may have begun anew and know of no checkpoint: it is offered again, and who is still
                // fetching it goes on.
                if self.sending.remove(&id).is_some() {
                    inputs.push(Input::SnapshotStatus { id, ok: false });
                }
            }
        }
    }

    fn step(&mut self, inputs: &mut Vec<Input>) {
        let mut out = Vec::new();
        self.replica.step_all(inputs.drain(..), &mut out);
        for action in out {
            self.act(action);
        }
    }

    /// Sends what waits, and what follows from that, until nothing more does.
    fn lead(&mut self, inputs: &mut Vec<Input>) {
        let port = self.port.clone();
        loop {
            let moment = self.moment();
            inputs.extend(self.proposer.pump(port.core(), &moment));
            if inputs.is_empty() {
                return;
            }
            self.step(inputs);
        }
    }

    fn act(&mut self, action: Action) {
        let port = self.port.clone();
        let core = port.core();
        match action {
            Action::Send(messages) => self.transport.messages(core, messages),
            Action::Persist(persist) => {
                let persist = Box::new(persist);
                let persisted = self.persisted.clone();
                self.log.push(LogJob::Persist { slot: core.slot, persist, persisted });
            }
            Action::Apply(entries) => {
                // What is due comes about first, and may be much.
                let soon = self.transport.clock.now().plus_ms(DUE_SOON_MS);
                let due = self.applied.next_due.is_some_and(|next| next <= soon);
                core.hand_to_apply(ApplyWork::of(entries, due));
            }
            Action::Proposed { ticket, index, .. } => self.proposer.proposed(ticket, index, Instant::now()),
            Action::Refused { ticket, reason } => self.proposer.refused(ticket, reason, Instant::now()),
            Action::ReadReady { ticket, index } => self.reads.ready(ticket, index),
            Action::ReadRefused { ticket } => self.reads.refused(ticket),
            Action::RoleChanged { role, term, leader } => self.role_changed(role, term, leader),
            Action::ConfState { index, conf_state } => core.conf.set(index, conf_state),
            Action::SendCheckpoint { to, .. } => {
                self.sending.insert(to, Instant::now());
            }
            Action::WantCheckpoint { from, index, .. } => {
                if self.fetching.is_none() {
                    self.fetching = Some(index);
                    self.transport.fetch_checkpoint(self.port.clone(), from, index);
                }
            }
            Action::InstallCheckpoint { index, term } => {
                core.apply.push(ApplyWork::Install { index, term });
            }
            Action::NeedCheckpoint { to, at_least } => {
                if self.applied.index >= at_least && self.snapshot_wanted.is_none_or(|at| at < at_least) {
                    tracing::info!(record = %core.label, to, at_least, "taking a checkpoint for a peer");
                    self.snapshot_wanted = Some(at_least);
                    core.apply.push(ApplyWork::PRESSING_CHECKPOINT);
                }
            }
            Action::Compacted(base) => {
                self.log.push(LogJob::Compact { slot: core.slot, base });
            }
            Action::Damaged { detail } => core.halt(format!(
                "its log has lost what it acknowledged ({detail}); remove this node and let it join under a new id"
            )),
        }
    }

    fn role_changed(&mut self, role: Role, term: u64, leader: Option<u64>) {
        let core = self.port.core();
        tracing::info!(record = %core.label, ?role, term, ?leader, "role changed");
        (self.role, self.term, self.leader) = (role, term, leader);
        self.snapshot_wanted = None;
        core.roll_call.leads(role == Role::Leader, Instant::now());
        self.teller.forget();
        let moment = self.moment();
        self.proposer.leader_changed(&moment);
        self.tell();
    }

    /// Tells the others whom this node hears, if it leads and there is something to tell.
    fn call_roll(&mut self) {
        let now = Instant::now();
        if self.role != Role::Leader || !self.teller.is_due(now) {
            return;
        }
        let core = self.port.core();
        let contacts = core.contacts();
        if let Some(word) = self.teller.word(&contacts, now) {
            let group: Vec<_> = contacts.iter().map(|contact| contact.node).collect();
            self.transport.roll_call(core, &group, &word);
        }
    }

    /// Publishes how things stand, and lets the membership follow the state.
    fn tell(&mut self) {
        let port = self.port.clone();
        let core = port.core();
        let status = self.replica.status();
        let (_, bytes) = self.proposer.waiting();
        core.metrics.raft(&status, core.queue.commands.load(std::sync::atomic::Ordering::Relaxed), bytes);
        if self.moment().ready && !core.disk.is_full() {
            let changes = next_changes(&self.group, &status, &self.whole);
            if !changes.is_empty()
                && let Some(ticket) = self.proposer.change_ticket()
            {
                tracing::info!(record = %core.label, ?changes, "membership follows the record's state");
                self.step(&mut vec![Input::ProposeConfChange { ticket, change: conf_change(&changes) }]);
            }
        }
        let leader = status.leader.and_then(|id| NodeId::try_from(id).ok());
        let heard =
            leader.and_then(|of| core.roll_call.quorum_heard(core.node, of, &status.conf_state, Instant::now()));
        let before = core.vitals.load().heard_at;
        core.vitals.store(Arc::new(Vitals { status, heard_at: heard.map_or(before, |at| at.max(before)) }));
    }
}

fn is_append(m: &Message) -> bool {
    m.get_msg_type() == shouwang_replica::eraftpb::MessageType::MsgAppend
}
