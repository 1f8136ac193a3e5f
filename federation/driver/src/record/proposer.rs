//! From callers' commands to log entries: what waits is batched and signed here, sent to whoever leads, and sent again
//! until its outcome is known or nobody waits any more. Sending twice is harmless: the record knows each command's id.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shouwang_domain::code;
use shouwang_domain::command::{BATCH_COMMANDS_MAX, Batch};
use shouwang_domain::hash::{self, Hash32};
use shouwang_domain::record::Entry;
use shouwang_domain::time::Timestamp;
use shouwang_replica::{Input, RefusalReason};

use super::batching::{BATCH_BYTES, ENTRIES_MAX, GATHER, OWN_BATCHES_AT_ONCE, OWN_BATCHES_MAX};
use super::echo::Echo;
use super::open::Environment;
use super::waiters::{CommandKey, Progress};
use super::{Core, Verdict};
use crate::clock::Clock;
use crate::error::DriverError;
use crate::keys::{CachedVerifier, Ed25519Verifier, Signer, sign_batch};
use crate::transport::Transport;

/// Bytes of batches that wait for a place in an entry.
const INTAKE_BYTES: usize = 32 << 20;
/// What the encoding adds to a batch in an entry, and to an entry, at most.
const OVERHEAD_BYTES: u64 = 64;
/// How soon a busy leader is asked again.
const RETRY_BUSY: Duration = Duration::from_millis(50);

/// A caller's command, encoded.
pub(crate) struct Command {
    pub key: CommandKey,
    pub bytes: Vec<u8>,
    pub progress: Arc<Progress>,
}

/// A batch this node has signed.
struct Own {
    bytes: Bytes,
    hash: Hash32,
    keys: Vec<CommandKey>,
    /// Which of the keys in force signed it, the newest first.
    signed_with: usize,
    sent: u32,
    /// When it is sent again; none while it waits in the intake or for a leader.
    retry: Option<Instant>,
}

/// A batch that waits for a place in an entry; `from` is 0 if it is this node's own.
struct Intake {
    from: u64,
    ticket: u64,
    bytes: Bytes,
}

/// What a proposal was made of.
enum Proposal {
    Batches(Vec<Intake>),
    Timer,
    Change,
}

/// What the proposer must know of the moment.
pub(crate) struct Moment {
    pub now: Instant,
    pub leader: Option<u64>,
    pub leads: bool,
    /// This node leads and has applied an entry of its own term: it knows every stamp in the log.
    pub ready: bool,
    pub next_due: Option<Timestamp>,
}

/// The proposer of one record.
pub(crate) struct Proposer {
    signer: Arc<dyn Signer>,
    /// What apply asks about signatures: it need not check what was signed here.
    verifier: Arc<CachedVerifier<Ed25519Verifier>>,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    retry_after: Duration,
    queue: VecDeque<Command>,
    own: BTreeMap<u64, Own>,
    /// When the last batch was signed.
    signed_at: Instant,
    echo: Echo,
    intake: VecDeque<Intake>,
    intake_bytes: usize,
    blocked: Option<Instant>,
    proposals: BTreeMap<u64, Proposal>,
    /// Indexes of this leader's entries that are not applied yet.
    entries: VecDeque<u64>,
    timer_entry: u64,
    change_entry: u64,
    applied: u64,
    stamp: Timestamp,
    next_ticket: u64,
}

impl Proposer {
    /// The proposer of a record of this node, whose apply asks `verifier`.
    pub fn new(core: &Core, env: &Environment, verifier: Arc<CachedVerifier<Ed25519Verifier>>) -> Self {
        let timing = core.options.timing;
        let election = Duration::from_millis(u64::from(timing.tick_ms * timing.election_ticks));
        Self {
            signer: env.signer.clone(),
            verifier,
            clock: env.clock.clone(),
            transport: env.transport.clone(),
            retry_after: 2 * election,
            queue: VecDeque::new(),
            own: BTreeMap::new(),
            signed_at: Instant::now(),
            echo: Echo::default(),
            intake: VecDeque::new(),
            intake_bytes: 0,
            blocked: None,
            proposals: BTreeMap::new(),
            entries: VecDeque::new(),
            timer_entry: 0,
            change_entry: 0,
            applied: 0,
            stamp: Timestamp::ZERO,
            next_ticket: 0,
        }
    }

    /// A caller's command arrives.
    pub fn add(&mut self, command: Command) {
        self.queue.push_back(command);
    }

    /// A peer's batch arrives.
    pub fn take_in(&mut self, core: &Core, from: u64, ticket: u64, bytes: Bytes, moment: &Moment) {
        let verdict = if !moment.leads {
            Verdict::NotLeader(moment.leader.unwrap_or_default())
        } else if self.intake_bytes + bytes.len() > INTAKE_BYTES || core.disk.is_full() {
            Verdict::Busy
        } else {
            self.intake_bytes += bytes.len();
            self.intake.push_back(Intake { from, ticket, bytes });
            Verdict::Taken
        };
        self.transport.answer(core, from, ticket, verdict);
    }

    /// The leader has answered a batch of ours.
    pub fn answered(&mut self, core: &Core, ticket: u64, verdict: Verdict, now: Instant) {
        let Some(own) = self.own.get_mut(&ticket) else { return };
        match verdict {
            Verdict::Busy | Verdict::NotLeader(_) => own.retry = Some(now + RETRY_BUSY),
            // Sent once only, it has certainly not happened.
            Verdict::Refused if own.sent <= 1 => {
                if self.sign_anew(core, ticket, now) {
                    return;
                }
                let keys = self.own.remove(&ticket).map(|own| own.keys).unwrap_or_default();
                core.waiters.fail(&keys, &DriverError::NotAccepted);
            }
            // Whether it comes through is told by apply; until then it is sent again now and then.
            Verdict::Taken | Verdict::Refused => {}
        }
    }

    /// The record dropped these batches whole.
    pub fn dropped(&mut self, core: &Core, hashes: &[Hash32]) {
        for (_, own) in self.own.extract_if(.., |_, own| hashes.contains(&own.hash)) {
            core.waiters.fail(&own.keys, &DriverError::NotAccepted);
        }
    }

    /// Apply has reached `index`, where the newest stamp was `stamp`, and so many callers had waited here before it did.
    pub fn applied(&mut self, core: &Core, (index, stamp): (u64, Timestamp), waited: usize, now: Instant) {
        self.applied = self.applied.max(index);
        self.stamp = self.stamp.max(stamp);
        while self.entries.pop_front_if(|first| *first <= index).is_some() {}
        let open = self.own.len();
        self.own.retain(|_, own| own.keys.iter().any(|key| core.waiters.is_waiting(key)));
        if self.own.len() < open {
            self.echo.answered(waited, self.here(), now);
        }
    }

    /// Role, term or leader changed: what is open goes to whoever leads now.
    pub fn leader_changed(&mut self, moment: &Moment) {
        self.entries.clear();
        self.proposals.clear();
        self.blocked = None;
        (self.timer_entry, self.change_entry) = (0, 0);
        if !moment.leads {
            // What peers had given us they send to the new leader themselves.
            self.intake.clear();
            self.intake_bytes = 0;
        }
        let intake = &self.intake;
        for (ticket, own) in &mut self.own {
            let waits_here = intake.iter().any(|waiting| waiting.from == 0 && waiting.ticket == *ticket);
            own.retry = (!waits_here).then_some(moment.now);
        }
    }

    /// Sends what is due; returns what the replica is to be given.
    pub fn pump(&mut self, core: &Core, moment: &Moment) -> Vec<Input> {
        self.blocked = self.blocked.filter(|until| *until > moment.now);
        self.resend(core, moment);
        while self.goes_out_at(moment.leader).is_some_and(|at| at <= moment.now) {
            if !self.sign(core, moment) {
                break;
            }
        }
        let mut inputs = Vec::new();
        if moment.ready && !core.disk.is_full() && self.blocked.is_none() {
            while self.entries.len() + self.proposals.len() < ENTRIES_MAX && !self.intake.is_empty() {
                inputs.push(self.entry(core.options.limits.max_entry_bytes));
            }
            let due = moment.next_due.is_some_and(|due| due <= self.clock.now());
            if due && self.timer_entry <= self.applied && self.entries.is_empty() && self.proposals.is_empty() {
                inputs.push(self.propose(Vec::new(), Proposal::Timer));
            }
        }
        inputs
    }

    /// The earliest moment at which something is to be signed, or sent again.
    pub fn wake_at(&self, leader: Option<u64>) -> Option<Instant> {
        let retries = self.own.values().filter_map(|own| own.retry);
        let blocked = self.blocked.filter(|_| !self.intake.is_empty());
        retries.chain(blocked).chain(self.goes_out_at(leader)).min()
    }

    /// When what waits is to be signed; none if nothing waits, nobody leads, or too much is on its way.
    fn goes_out_at(&self, leader: Option<u64>) -> Option<Instant> {
        leader?;
        let open = self.own.len();
        let gathered = if self.queue.len() >= BATCH_COMMANDS_MAX {
            self.signed_at
        } else if open >= OWN_BATCHES_AT_ONCE {
            self.signed_at + GATHER
        } else {
            self.echo.missing(self.here()).map_or(self.signed_at, |(_, until)| until)
        };
        (!self.queue.is_empty() && open < OWN_BATCHES_MAX).then_some(gathered)
    }

    /// Commands that wait here, or are on their way.
    fn here(&self) -> usize {
        self.queue.len() + self.own.values().map(|own| own.keys.len()).sum::<usize>()
    }

    /// How many commands make it worth looking before it is time to.
    pub fn patience(&self) -> usize {
        if self.queue.is_empty() {
            return 1;
        }
        let room = BATCH_COMMANDS_MAX.saturating_sub(self.queue.len()).max(1);
        let gathers = self.own.len() >= OWN_BATCHES_AT_ONCE;
        if gathers { room } else { self.echo.missing(self.here()).map_or(room, |(missing, _)| missing.min(room)) }
    }

    fn resend(&mut self, core: &Core, moment: &Moment) {
        let due: Vec<u64> = self
            .own
            .iter()
            .filter(|(_, own)| own.retry.is_some_and(|at| at <= moment.now))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            self.dispatch(core, ticket, moment);
        }
        self.own.retain(|_, own| own.retry.is_none() || own.keys.iter().any(|key| core.waiters.is_waiting(key)));
    }

    /// Makes one batch of what waits; false if nothing of it is wanted any more.
    fn sign(&mut self, core: &Core, moment: &Moment) -> bool {
        let (mut commands, mut keys, mut bytes) = (Vec::new(), Vec::new(), 0);
        while commands.len() < BATCH_COMMANDS_MAX
            && let Some(command) = self.queue.pop_front_if(|next| bytes == 0 || bytes + next.bytes.len() <= BATCH_BYTES)
        {
            core.queue.leave(command.bytes.len());
            if command.progress.send() {
                bytes += command.bytes.len();
                keys.push(command.key);
                commands.push(command.bytes);
            }
        }
        if commands.is_empty() {
            return false;
        }
        self.echo.went_out(self.here() + commands.len());
        let batch = Batch::unsigned(core.id, core.epoch.load(Ordering::Relaxed), core.node, commands);
        let (bytes, hash) = signed(batch, self.signer.among(&core.keys.load()), &self.verifier);
        self.signed_at = moment.now;
        self.next_ticket += 1;
        self.own.insert(self.next_ticket, Own { bytes, hash, keys, signed_with: 0, sent: 0, retry: None });
        self.dispatch(core, self.next_ticket, moment);
        true
    }

    /// Signs a batch that the leader did not accept with the next key in force; false if this node holds none. While a
    /// key is rotated, a leader may be a step behind this node in what it has applied.
    fn sign_anew(&mut self, core: &Core, ticket: u64, now: Instant) -> bool {
        let in_force = core.keys.load();
        let Some(own) = self.own.get_mut(&ticket) else { return false };
        let Some(next) = in_force.get(own.signed_with + 1) else { return false };
        let key = self.signer.among(std::slice::from_ref(next));
        let Some(batch) = Batch::decode(&own.bytes).ok().filter(|_| key.public_key() == *next) else { return false };
        (own.bytes, own.hash) = signed(batch, key, &self.verifier);
        own.signed_with += 1;
        (own.sent, own.retry) = (0, Some(now));
        true
    }

    fn dispatch(&mut self, core: &Core, ticket: u64, moment: &Moment) {
        let Some(own) = self.own.get_mut(&ticket) else { return };
        own.retry = match moment.leader {
            None => None,
            Some(_) if moment.leads => {
                own.sent += 1;
                self.intake_bytes += own.bytes.len();
                self.intake.push_back(Intake { from: 0, ticket, bytes: own.bytes.clone() });
                None
            }
            Some(leader) => {
                own.sent += 1;
                let queued = self.transport.batch(core, leader, ticket, own.bytes.clone());
                Some(moment.now + if queued { self.retry_after } else { RETRY_BUSY })
            }
        };
    }

    /// One entry of as many waiting batches as fit.
    fn entry(&mut self, max_bytes: u64) -> Input {
        let (mut batches, mut bytes) = (Vec::new(), OVERHEAD_BYTES);
        while let Some(next) = self
            .intake
            .pop_front_if(|next| batches.is_empty() || bytes + next.bytes.len() as u64 + OVERHEAD_BYTES <= max_bytes)
        {
            bytes += next.bytes.len() as u64 + OVERHEAD_BYTES;
            self.intake_bytes -= next.bytes.len();
            batches.push(next);
        }
        let encoded = batches.iter().map(|batch| hash::Bytes(batch.bytes.to_vec())).collect();
        self.propose(encoded, Proposal::Batches(batches))
    }

    fn propose(&mut self, batches: Vec<hash::Bytes>, of: Proposal) -> Input {
        // Never behind what the log holds, or a deadline could pass and then not have passed.
        self.stamp = self.stamp.max(self.clock.now());
        let data = code::encode(&Entry { stamp: self.stamp, batches });
        Input::Propose { ticket: self.ticket(of), data: data.into() }
    }

    fn ticket(&mut self, of: Proposal) -> u64 {
        self.next_ticket += 1;
        self.proposals.insert(self.next_ticket, of);
        self.next_ticket
    }

    /// A ticket for a change of membership, if none is under way.
    pub fn change_ticket(&mut self) -> Option<u64> {
        let under_way = self.proposals.values().any(|proposal| matches!(proposal, Proposal::Change));
        (!under_way && self.change_entry <= self.applied).then(|| self.ticket(Proposal::Change))
    }

    /// The replica appended a proposal.
    pub fn proposed(&mut self, ticket: u64, index: u64, now: Instant) {
        match self.proposals.remove(&ticket) {
            None => {}
            Some(Proposal::Timer) => self.timer_entry = index,
            Some(Proposal::Change) => self.change_entry = index,
            Some(Proposal::Batches(batches)) => {
                self.entries.push_back(index);
                for batch in batches.iter().filter(|batch| batch.from == 0) {
                    if let Some(own) = self.own.get_mut(&batch.ticket) {
                        // Lost only with the lead; then `leader_changed` sends it again.
                        own.retry = Some(now + 4 * self.retry_after);
                    }
                }
            }
        }
    }

    /// The replica did not append a proposal.
    pub fn refused(&mut self, ticket: u64, reason: RefusalReason, now: Instant) {
        let Some(proposal) = self.proposals.remove(&ticket) else { return };
        tracing::debug!(?reason, "proposal refused");
        if let Proposal::Batches(batches) = proposal {
            self.blocked = Some(now + RETRY_BUSY);
            for batch in batches.into_iter().rev() {
                self.intake_bytes += batch.bytes.len();
                self.intake.push_front(batch);
            }
        }
    }

    /// Whether something here may go out as soon as apply has come further.
    pub fn waits_for_apply(&self) -> bool {
        !self.queue.is_empty() || !self.intake.is_empty()
    }

    /// Commands and bytes that wait for a place in a batch or an entry, for metrics.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.intake_bytes)
    }
}

/// The batch with a signature, encoded, and its hash.
fn signed(mut batch: Batch, key: &dyn Signer, verifier: &CachedVerifier<Ed25519Verifier>) -> (Bytes, Hash32) {
    let message = sign_batch(&mut batch, key);
    verifier.vouch(batch.signature_algorithm, &key.public_key(), &message, &batch.signature.0);
    let bytes = code::encode(&batch);
    let hash = Hash32::of(&[&bytes]);
    (bytes.into(), hash)
}
