//! A region and the lines between its nodes, one event after the other: what the driver's threads do, in their order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use shouwang_domain::ids::{CommandId, NodeId};
use shouwang_domain::machine::{GroupNode, Machine as _};
use shouwang_domain::record::Outcome;
use shouwang_domain::testing::Rng;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{OutboxItem, peer_message, raft_message};
use shouwang_micro::strife;
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::{Entry, Message, MessageType};
use shouwang_replica::{Action, Committed, CommittedKind, Input, Replica, conf_state_from};

use super::agenda::{Agenda, Event, Letter, Micros};
use super::desk::Desk;
use super::line::Line;
use super::member::{Member, TIMING};
use super::meter::{Part, Spent};
use super::news::News;

/// The position of the member that leads.
pub const LEADER: usize = 0;
/// The other one whose people speak.
pub const OTHER: usize = 1;
/// A synced write.
const SYNC: Micros = 2_000;
/// By up to which part of its delay a line is late.
const JITTER: Micros = 5;
const TICK: Micros = TIMING.tick_ms as Micros * 1_000;

/// How a region is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many take part.
    pub members: usize,
    /// How many of them vote, the first.
    pub voters: usize,
    /// How many learners feed all others; 0 if the leader feeds everybody.
    pub relays: usize,
    /// The leader's line.
    pub leader: Line,
    /// Those of the others: near and far ones in turn.
    pub others: [Line; 2],
}

/// A region at work.
pub struct Region {
    /// Its members, the leader first.
    pub members: Vec<Member>,
    places: BTreeMap<u64, usize>,
    pub(super) agenda: Agenda,
    /// What the leader has spent.
    pub spent: Spent,
    /// What has become of what was said.
    pub news: News,
    /// As a machine's clock would count from here.
    began: Instant,
    epoch: Timestamp,
    rng: Rng,
}

impl Region {
    /// Founds it, and lets its first member lead.
    pub fn found(shape: Shape, seed: u64) -> Result<Self> {
        let desk = strife::desk_with(shape.members, shape.voters);
        let (record, epoch) = (desk.record, desk.now);
        let group = record.machine().group();
        ensure!(group.len() == shape.members, "{} nodes for {} members", group.len(), shape.members);
        let follows = if shape.relays == 0 { shape.members } else { shape.voters + shape.relays };
        let ids = |range: std::ops::Range<usize>| group[range].iter().map(|member| member.node.get());
        let conf = conf_state_from(ids(0..shape.voters), ids(shape.voters..follows));
        let mut members = Vec::new();
        for (at, GroupNode { node, .. }) in group.iter().copied().enumerate() {
            let line = if at == LEADER { shape.leader } else { shape.others[at % 2] };
            members.push(Member::new(node, line, record.clone(), (at < follows).then_some(&conf))?);
        }
        for fed in follows..shape.members {
            members[shape.voters + fed % shape.relays].feeds.push(fed);
        }
        for at in [LEADER, OTHER] {
            let of = members[at].node.municipality();
            let node = shouwang_micro::desk::Desk::new(record.clone(), epoch, of);
            members[at].desk = Some(Desk::new(node, of, seed));
        }
        let places = members.iter().enumerate().map(|(at, member)| (member.node.get(), at)).collect();
        let news = News::of(members.len(), record.revision());
        let (agenda, spent, began, rng) = (Agenda::default(), Spent::default(), Instant::now(), Rng(seed));
        let mut region = Self { members, places, agenda, spent, news, began, epoch, rng };
        for at in 0..follows {
            // Not all at the same moment.
            region.agenda.at(at as Micros * TICK / follows as Micros, Event::Ticks(at));
        }
        region.give(LEADER, vec![Input::Campaign])?;
        region.goes_out(LEADER)?;
        Ok(region)
    }

    /// Time passes until then.
    pub fn run(&mut self, until: Micros) -> Result<()> {
        while let Some(event) = self.agenda.next(until) {
            let at = match event {
                Event::Ticks(at) => self.ticks(at)?,
                Event::LineFree(at) => {
                    self.members[at].uplink.busy = false;
                    at
                }
                Event::Arrives(letter) => self.arrives(&letter)?,
                Event::Synced(at) => self.synced(at)?,
                Event::Gathered(at) => at,
                Event::Asks(at) => self.asks(at)?,
            };
            self.signs(at)?;
            self.proposes(at)?;
            self.tells_commit(at)?;
            self.goes_out(at)?;
        }
        Ok(())
    }

    /// How far is committed, unless what went out just now has said it.
    fn tells_commit(&mut self, at: usize) -> Result<()> {
        let owes = self.members[at].replica.as_ref().is_some_and(Replica::owes_commit);
        if owes { self.give(at, vec![Input::TellCommit]) } else { Ok(()) }
    }

    fn now(&self) -> Instant {
        self.began + Duration::from_micros(self.agenda.now())
    }

    fn clock(&self) -> Timestamp {
        self.epoch.plus_ms(i64::try_from(self.agenda.now() / 1_000).unwrap_or(i64::MAX))
    }

    /// Does something at a member; at the leader it is noted what it took.
    fn timed<T>(&mut self, at: usize, part: Part, work: impl FnOnce(&mut Member) -> T) -> T {
        let member = &mut self.members[at];
        if at == LEADER { self.spent.time(part, || work(member)) } else { work(member) }
    }

    fn ticks(&mut self, at: usize) -> Result<usize> {
        self.agenda.after(TICK, Event::Ticks(at));
        self.give(at, vec![Input::Tick])?;
        if self.members[at].leads() {
            self.timed(at, Part::Raft, |member| member.looks_at_group());
            let now = self.now();
            if let Some(word) = self.timed(at, Part::Roll, |member| member.roll_call(now)) {
                let with_raft = |to: &usize| *to != at && self.members[*to].replica.is_some();
                for to in (0..self.members.len()).filter(with_raft).collect::<Vec<_>>() {
                    self.timed(at, Part::Roll, |member| {
                        member.uplink.push(to, member.head(), OutboxItem::RollCall(word.clone()))
                    })?;
                }
            }
        }
        Ok(at)
    }

    fn synced(&mut self, at: usize) -> Result<usize> {
        let (number, more) = self.members[at].synced()?;
        if more {
            self.agenda.after(SYNC, Event::Synced(at));
        }
        self.give(at, vec![Input::Persisted { number }])?;
        Ok(at)
    }

    fn asks(&mut self, at: usize) -> Result<usize> {
        let clock = self.clock();
        let id = self.members[at].desk.as_mut().context("nobody speaks there")?.says(clock);
        self.news.asked(id, self.agenda.now());
        Ok(at)
    }

    /// What waits at a desk goes to the leader.
    fn signs(&mut self, at: usize) -> Result<()> {
        let (now, Some(leader)) = (self.agenda.now(), self.members[at].standing.2) else { return Ok(()) };
        if self.members[at].desk.is_none() {
            return Ok(());
        }
        let due = |member: &Member| member.desk.as_ref().and_then(Desk::signs_at).is_some_and(|at| at <= now);
        while due(&self.members[at])
            && let Some(batch) = self.timed(at, Part::Sign, |member| member.desk.as_mut()?.sign(now))
        {
            if self.members[at].leads() {
                self.members[at].intake.take(batch);
            } else {
                let batch = proto::ForwardedBatch { ticket: now, batch: batch.into() };
                self.post(at, self.place(leader)?, OutboxItem::Batch(batch))?;
            }
        }
        if let Some(later) = self.members[at].desk.as_ref().and_then(Desk::signs_at).filter(|later| *later > now) {
            self.agenda.at(later, Event::Gathered(at));
        }
        Ok(())
    }

    /// The leader makes entries of what waits.
    fn proposes(&mut self, at: usize) -> Result<()> {
        let clock = self.clock();
        while self.members[at].is_ready() && self.members[at].intake.has_entry() {
            let data = self.timed(at, Part::Sign, |member| member.intake.entry(clock));
            self.give(at, vec![Input::Propose { ticket: 0, data: data.into() }])?;
        }
        Ok(())
    }

    fn place(&self, id: u64) -> Result<usize> {
        self.places.get(&id).copied().with_context(|| format!("nobody is {id}"))
    }

    fn post(&mut self, at: usize, to: usize, item: OutboxItem) -> Result<bool> {
        Ok(self.timed(at, Part::Queue, |member| member.uplink.push(to, member.head(), item))?)
    }

    /// Gives a replica inputs, and carries out what it wants until it wants nothing more.
    fn give(&mut self, at: usize, mut inputs: Vec<Input>) -> Result<()> {
        while !inputs.is_empty() {
            let mut actions = Vec::new();
            self.timed(at, Part::Raft, |member| {
                member.replica.as_mut().map(|replica| replica.step_all(inputs.drain(..), &mut actions))
            })
            .context("who is fed by another has no Raft")?;
            for action in actions {
                self.carry_out(at, action, &mut inputs)?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, at: usize, action: Action, inputs: &mut Vec<Input>) -> Result<()> {
        match action {
            Action::Send(messages) => {
                for message in messages {
                    let (to, carries) = (message.get_to(), !message.get_entries().is_empty());
                    let wire = self.timed(at, Part::Queue, |_| peer_message(message));
                    let item = OutboxItem::Message(Box::new(wire.context("a message that no peer is sent")?));
                    if !self.post(at, self.place(to)?, item)? && carries {
                        inputs.push(Input::PeerUnreachable { id: to });
                    }
                }
            }
            Action::Persist(persist) => {
                if self.members[at].persist(&persist).is_some() {
                    self.agenda.after(SYNC, Event::Synced(at));
                }
            }
            Action::Apply(entries) => {
                self.apply(at, &entries)?;
                inputs.push(Input::Applied { index: self.members[at].applied.0 });
            }
            Action::Proposed { index, .. } => self.members[at].intake.entries.push_back(index),
            Action::RoleChanged { role, term, leader } => {
                let now = self.now();
                self.members[at].takes_role((role, term, leader), now);
                self.news.elections += u64::from(at != LEADER && self.members[at].leads());
            }
            Action::ConfState { .. } | Action::Compacted(_) => {}
            other => bail!("{}: nothing here brings about {other:?}", self.members[at].node),
        }
        Ok(())
    }

    fn apply(&mut self, at: usize, entries: &[Committed]) -> Result<()> {
        let before = self.members[at].applied;
        let all = self.timed(at, Part::Apply, |member| member.apply(entries))?;
        let now = self.agenda.now();
        for applied in &all {
            for ((of, id), Outcome { revision, .. }) in &applied.outcomes {
                self.news.reached(at, *revision, now);
                if *of == self.members[at].node.municipality() {
                    self.hears(at, *id);
                }
            }
        }
        let fed = self.members[at].feeds.clone();
        for to in fed {
            let message = passed_on(before, entries, (self.members[at].node, self.members[to].node));
            let wire = peer_message(message).context("a message that no peer is sent")?;
            ensure!(self.post(at, to, OutboxItem::Message(Box::new(wire)))?, "too much waits for who is fed");
        }
        Ok(())
    }

    /// A command has its outcome where it was said. Who has another one under way all the time says the next.
    fn hears(&mut self, at: usize, id: CommandId) {
        if let Some(desk) = &mut self.members[at].desk {
            desk.hears(id);
            if self.news.answered(id, self.agenda.now()) {
                self.agenda.after(0, Event::Asks(at));
            }
        }
    }

    fn arrives(&mut self, Letter { from, to, packed }: &Letter) -> Result<usize> {
        let (from, to, now) = (*from, *to, self.now());
        let sender = self.members[from].node;
        let frame = self.timed(to, Part::Unpack, |member| member.unpack(from, packed))?;
        for record in frame.records {
            let proto::RecordFrame { messages, batches, roll_call, .. } = record;
            let messages: Option<Vec<_>> =
                self.timed(to, Part::Unpack, |_| messages.into_iter().map(raft_message).collect());
            self.members[to].hears(sender, roll_call.as_ref(), now);
            let messages = messages.context("a message that no peer sends")?;
            if self.members[to].replica.is_some() {
                // What is fed answers whoever feeds it, not his Raft.
                let fed = self.members[to].feeds.contains(&from);
                let inputs = messages.into_iter().filter(|_| !fed).map(|message| Input::Message(Box::new(message)));
                let inputs: Vec<_> = inputs.collect();
                self.give(to, inputs)?;
            } else {
                self.is_fed(to, from, messages)?;
            }
            // Who does not lead any more would say so, and it would be said again to whoever does: not here, where a run
            // ends with that.
            let leads = self.members[to].leads();
            for proto::ForwardedBatch { ticket, batch } in batches.into_iter().filter(|_| leads) {
                ensure!(self.timed(to, Part::Sign, |member| member.would_take(&batch)), "a batch that is not in order");
                self.members[to].intake.take(batch.to_vec());
                let verdict = proto::BatchVerdict::Taken.into();
                self.post(to, from, OutboxItem::Answer(proto::BatchAnswer { ticket, verdict, leader: 0 }))?;
            }
        }
        Ok(to)
    }

    /// What somebody passes on is committed, and is carried out at once; the answer says how far.
    fn is_fed(&mut self, at: usize, by: usize, messages: Vec<Message>) -> Result<()> {
        for mut message in messages {
            let term = message.get_term();
            let committed: Vec<_> = message.take_entries().into_iter().map(committed).collect();
            self.apply(at, &committed)?;
            let mut answer = Message::default();
            answer.set_msg_type(MessageType::MsgAppendResponse);
            (answer.from, answer.to) = (self.members[at].node.get(), self.members[by].node.get());
            (answer.term, answer.index) = (term, self.members[at].applied.0);
            let wire = peer_message(answer).context("a message that no peer is sent")?;
            self.post(at, by, OutboxItem::Message(Box::new(wire)))?;
        }
        Ok(())
    }

    /// What waits goes out, one frame after the other.
    fn goes_out(&mut self, at: usize) -> Result<()> {
        let clock = self.clock();
        if self.members[at].uplink.busy || self.members[at].uplink.is_idle() {
            return Ok(());
        }
        let next = self.timed(at, Part::Pack, |member| member.uplink.next(clock.0))?;
        let Some((to, packed, bytes)) = next else { return Ok(()) };
        let (near, far) = (self.members[at].line, self.members[to].line);
        self.members[at].uplink.busy = true;
        self.agenda.after(near.carries(bytes), Event::LineFree(at));
        // No two packets take the same time; were it so, what nodes say of times would always be the same, and compress to
        // nothing.
        let delay = near.delay + far.delay;
        let there = self.agenda.now() + near.carries(bytes) + delay + self.rng.below(delay / JITTER + 1);
        let arrived = there.max(self.members[to].downlink_busy) + far.carries(bytes);
        self.members[to].downlink_busy = arrived;
        self.agenda.at(arrived, Event::Arrives(Letter { from: at, to, packed }));
        Ok(())
    }

    /// Who has not got what the leader has, for whoever wants to know why.
    pub fn behind(&self) -> String {
        let leader = &self.members[LEADER];
        let (newest, mut behind) = (leader.ledger().0, Vec::new());
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.ledger().0 != newest) {
            let waits = leader.uplink.waits(at);
            behind.push(format!("{} at {} ({waits} bytes wait for it)", member.node, member.ledger().0));
        }
        let (leads, count, elections) = (leader.leads(), behind.len(), self.news.elections);
        behind.truncate(3);
        format!(
            "the first member leads: {leads} ({elections} times another began to), {count} are not at {newest}: {}",
            behind.join(", ")
        )
    }

    /// Everybody's ledger is the leader's.
    pub fn agrees(&self) -> Result<u64> {
        let leaders = self.members[LEADER].ledger();
        for member in &self.members {
            ensure!(member.ledger() == leaders, "{} has {:?}, the leader {leaders:?}", member.node, member.ledger());
        }
        Ok(leaders.0)
    }
}

/// What a member that feeds others passes on of what it has carried out: as a leader would send it.
fn passed_on((index, term): (u64, u64), entries: &[Committed], (from, to): (NodeId, NodeId)) -> Message {
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgAppend);
    (message.from, message.to, message.index, message.log_term) = (from.get(), to.get(), index, term);
    let last = entries.last().map_or((index, term), |last| (last.index, last.term));
    (message.commit, message.term) = last;
    let entry = |committed: &Committed| {
        let mut entry = Entry::default();
        (entry.index, entry.term) = (committed.index, committed.term);
        if let CommittedKind::Normal(data) = &committed.kind {
            entry.set_data(data.clone());
        }
        entry
    };
    message.set_entries(entries.iter().map(entry).collect::<Vec<_>>().into());
    message
}

fn committed(mut entry: Entry) -> Committed {
    let data: Bytes = entry.take_data();
    let kind = if data.is_empty() { CommittedKind::Empty } else { CommittedKind::Normal(data) };
    Committed { index: entry.get_index(), term: entry.get_term(), kind }
}
