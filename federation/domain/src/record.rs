//! A record: a machine with its ledger position, its memory of commands, and its time. [`Record::apply`] is the whole
//! of what a log entry does, on every node alike.

mod canonical;
mod ledger;
mod memory;
mod replay;

use crate::actor::Actor;
use crate::code;
use crate::command::{Batch, CommandProof, Envelope};
use crate::hash::{Bytes, Hash32, Verifier};
use crate::ids::{CommandId, MunicipalityCode, NodeId, RecordId};
use crate::level::TooOld;
use crate::machine::{Context, Machine, Signer};
use crate::merkle::{self, Frontier};
use crate::refusal::Refusal;
use crate::time::Timestamp;

use self::memory::{CommandKey, Memory, Remembered};

pub use self::ledger::{Applied, Cause, Entry, LedgerRecord, Outcome, Verdict, Written};
pub use self::replay::ReplayError;

/// Most timers that one entry fires; the rest fire with the next entry.
pub const TIMERS_PER_ENTRY_MAX: usize = 256;
/// A command may be valid for at most this long after it arrives (7 days): the memory of ids is bounded by it.
pub const VALIDITY_MS_MAX: i64 = 7 * crate::time::DAY_MS;

/// A batch that a member signed.
struct Verified {
    batch: Batch,
    /// The hashes of its commands.
    leaves: Vec<Hash32>,
    signer: Signer,
}

/// What a command comes to.
enum Judged<E> {
    /// An answer and no ledger record: nothing new happens.
    Answered(CommandKey, Outcome),
    /// A ledger record, if of a refusal; of bytes that cannot be read nobody knows what was asked.
    Decided { events: Vec<E>, refusal: Option<Refusal>, asked: Option<Asked> },
}

/// Who asked by which id, and up to when the id is remembered; numbered messages are known by their numbers instead.
struct Asked {
    key: CommandKey,
    forget_after: Option<Timestamp>,
}

/// A machine at a revision. Cloning is O(1): readers take a clone and are never in the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<M> {
    id: RecordId,
    epoch: u32,
    revision: u64,
    time: Timestamp,
    ledger: Frontier,
    memory: Memory,
    /// The machine itself, for readers.
    machine: M,
    /// The highest feature level that this program goes along with.
    knows: u32,
}

impl<M: Machine> Record<M> {
    /// The record right after founding; its id is the hash of the founding document.
    ///
    /// # Errors
    /// A founding document that contradicts itself.
    pub fn found(genesis: &M::Genesis) -> Result<Self, Refusal> {
        let id = Self::id_of(genesis);
        Ok(Self {
            id,
            epoch: 0,
            revision: 0,
            time: Timestamp::ZERO,
            ledger: Frontier::default(),
            memory: Memory::default(),
            machine: M::found(genesis)?,
            knows: M::NEWEST_LEVEL,
        })
    }

    /// The record in the hands of a program that goes along with no more than this feature level, whatever it knows.
    #[must_use]
    pub fn held_at(self, level: u32) -> Self {
        Self { knows: level.min(M::NEWEST_LEVEL), ..self }
    }

    /// Whether this program goes along with a record of this feature level.
    ///
    /// # Errors
    /// It does not.
    pub fn goes_along(&self, level: u32) -> Result<(), TooOld> {
        if level > self.knows { Err(TooOld { level, knows: self.knows }) } else { Ok(()) }
    }

    /// The name a founding document gives its record.
    pub fn id_of(genesis: &M::Genesis) -> RecordId {
        Hash32::of(&[b"shouwang.genesis.v1\0", M::NAME.as_bytes(), &code::encode(genesis)])
    }

    /// The record's name.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The record's epoch; it grows when a record is rescued after losing its quorum.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of ledger records so far.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Record time so far.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The Merkle root over all ledger records so far.
    pub fn ledger_root(&self) -> Hash32 {
        self.ledger.root()
    }

    /// The tree over all ledger records so far.
    pub fn ledger(&self) -> &Frontier {
        &self.ledger
    }

    /// The machine's state.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The outcome of a command that was applied and is still remembered.
    pub fn outcome(&self, municipality: MunicipalityCode, id: CommandId) -> Option<&Outcome> {
        self.memory.get(&(municipality, id)).map(|remembered| &remembered.outcome)
    }

    /// When the next entry must come at the latest, so that timers fire.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.machine.next_due()
    }

    /// Applies one log entry: due timers first, then every command in order. Bytes that are no entry do nothing (the
    /// leader alone could have written them, and every node sees the same bytes).
    ///
    /// # Errors
    /// The entry raises the record above what this program goes along with: nothing of it has happened here.
    pub fn apply(&mut self, entry: &[u8], verifier: &dyn Verifier) -> Result<Applied<M::Event>, TooOld> {
        let before = self.clone();
        let mut applied = Applied::default();
        if let Ok(entry) = code::decode::<Entry>("entry", entry) {
            applied.stamp = Some(entry.stamp);
            self.carry_out(&entry, verifier, &mut applied);
        }
        let raised = self.goes_along(self.machine.level());
        if raised.is_err() {
            *self = before;
        }
        raised.map(|()| applied)
    }

    fn carry_out(&mut self, entry: &Entry, verifier: &dyn Verifier, applied: &mut Applied<M::Event>) {
        // Record time moves only with a ledger record, so that a state rebuilt from the ledger is equal to one that
        // saw every entry.
        let now = self.time.max(entry.stamp);
        self.fire_timers(planted!(TimerByLocalClock, crate::planted::clock(), now), applied);
        for bytes in &entry.batches {
            self.apply_batch(&bytes.0, now, verifier, applied);
        }
    }

    fn fire_timers(&mut self, now: Timestamp, applied: &mut Applied<M::Event>) {
        for _ in 0..TIMERS_PER_ENTRY_MAX {
            let Some(events) = self.machine.fire(now) else { return };
            self.write(now, Cause::Timer, events, None, applied);
        }
    }

    fn advance_time(&mut self, now: Timestamp) {
        self.time = self.time.max(now);
        self.memory.forget_before(self.time);
    }

    fn apply_batch(&mut self, bytes: &[u8], now: Timestamp, verifier: &dyn Verifier, applied: &mut Applied<M::Event>) {
        let Some(Verified { batch, leaves, signer }) = self.verify(bytes, now, verifier) else {
            applied.dropped.push(Hash32::of(&[bytes]));
            return;
        };
        let count = u32::try_from(batch.commands.len()).unwrap_or(u32::MAX);
        // Each on its own would cost the square of the batch.
        let paths = merkle::paths(&leaves);
        for (index, (command, path)) in (0..).zip(batch.commands.iter().zip(paths)) {
            // The one before may have ended the key or the membership: what follows was not said by a member, and who looks
            // at the ledger later asks which keys were in force right before each record.
            if !self.machine.signers(batch.node, now).contains(&signer) {
                applied.dropped.push(Hash32::of(&[bytes]));
                return;
            }
            let proof = CommandProof {
                node: batch.node,
                public_key: Bytes(signer.public_key.clone()),
                signature_algorithm: batch.signature_algorithm,
                signature: batch.signature.clone(),
                index,
                count,
                path,
            };
            self.apply_command(command, proof, (signer.municipality, now), applied);
        }
    }

    /// Whether a batch is meant for this record and signed by a key that is in force where the record stands.
    pub fn would_take(&self, batch: &[u8], verifier: &dyn Verifier) -> bool {
        self.verify(batch, self.time, verifier).is_some()
    }

    /// The batch and the key that signed it, if it is meant for this record and the key is in force.
    fn verify(&self, bytes: &[u8], now: Timestamp, verifier: &dyn Verifier) -> Option<Verified> {
        let batch = Batch::decode(bytes).ok()?;
        if batch.record != self.id || batch.epoch != self.epoch {
            return None;
        }
        let leaves = batch.leaves();
        let root = merkle::root(&leaves);
        let signer =
            self.machine.signers(batch.node, now).into_iter().find(|s| {
                s.algorithm == batch.signature_algorithm && batch.is_signed_by(&s.public_key, &root, verifier)
            })?;
        Some(Verified { batch, leaves, signer })
    }

    fn apply_command(
        &mut self,
        bytes: &Bytes,
        proof: CommandProof,
        (municipality, now): (MunicipalityCode, Timestamp),
        applied: &mut Applied<M::Event>,
    ) {
        let node = proof.node;
        let (events, refusal, asked) = match self.judge(bytes, municipality, node, now) {
            Judged::Answered(key, outcome) => return applied.outcomes.push((key, outcome)),
            Judged::Decided { events, refusal, asked } => (events, refusal, asked),
        };
        let outcome = self.write(now, Cause::Command { bytes: bytes.clone(), proof }, events, refusal, applied);
        let Some(Asked { key, forget_after }) = asked else { return };
        if let Some(valid_until) = forget_after {
            if let Some(written) = applied.written.last_mut() {
                written.asked = Some(key);
            }
            let known_as = planted!(ResentElsewhereTwice, crate::planted::by_node(key, node), key);
            let (digest, outcome) = (Hash32::of(&[&bytes.0]), outcome.clone());
            self.memory.insert(known_as, Remembered { digest, valid_until, outcome });
        }
        applied.outcomes.push((key, outcome));
    }

    /// What a command comes to where the record stands, before anything is written.
    fn judge(&self, bytes: &Bytes, municipality: MunicipalityCode, node: NodeId, now: Timestamp) -> Judged<M::Event> {
        let Some(envelope) = self.understood(bytes) else {
            return Judged::Decided { events: Vec::new(), refusal: Some(unreadable()), asked: None };
        };
        let key = (municipality, envelope.id);
        let numbered = M::is_numbered(&envelope.body);
        let known_as = planted!(ResentElsewhereTwice, crate::planted::by_node(key, node), key);
        if !numbered && let Some(outcome) = self.answer_without_deciding(&known_as, &envelope, bytes, now) {
            return Judged::Answered(key, outcome);
        }
        let (events, refusal) = match self.decide(&envelope, municipality, node, now) {
            Ok(events) => (events, None),
            Err(refusal) => (Vec::new(), Some(refusal)),
        };
        if numbered && events.is_empty() {
            // Sent again, out of turn, or by a member at odds with itself: the channel stands where it stood, and a
            // ledger that grew by it could be filled by one who never tires of sending.
            let verdict = refusal.map_or(Verdict::Accepted, Verdict::Refused);
            return Judged::Answered(key, Outcome { revision: 0, at: now, verdict });
        }
        let forget_after = (!numbered).then_some(envelope.valid_until);
        Judged::Decided { events, refusal, asked: Some(Asked { key, forget_after }) }
    }

    /// The command that some bytes are at the record's feature level. What belongs to a later one is as unreadable here as
    /// it is to a program that has never heard of it.
    fn understood(&self, bytes: &Bytes) -> Option<Envelope<M::Command>> {
        let envelope = code::decode::<Envelope<M::Command>>("command", &bytes.0).ok()?;
        (M::level_of(&envelope.body) <= self.machine.level()).then_some(envelope)
    }

    fn decide(
        &self,
        envelope: &Envelope<M::Command>,
        municipality: MunicipalityCode,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Vec<M::Event>, Refusal> {
        if envelope.actor.municipality != municipality {
            return Err(Refusal::not_yours(municipality, "speak for another municipality"));
        }
        if envelope.actor.operator.is_empty() || envelope.actor.operator.chars().count() > 64 {
            return Err(Refusal::field("actor.operator", "1 to 64 characters"));
        }
        let context = self.context(now, &envelope.actor, node, envelope.id);
        self.machine.decide(&context, &envelope.body)
    }

    /// The circumstances of a command that came now.
    pub fn context<'a>(&'a self, at: Timestamp, actor: &'a Actor, node: NodeId, command: CommandId) -> Context<'a> {
        Context { at, actor, node, command, epoch: self.epoch, ledger: &self.ledger }
    }

    fn answer_without_deciding(
        &self,
        key: &CommandKey,
        envelope: &Envelope<M::Command>,
        bytes: &Bytes,
        now: Timestamp,
    ) -> Option<Outcome> {
        let unrecorded = |verdict| Some(Outcome { revision: 0, at: now, verdict });
        match self.memory.get(key) {
            Some(first) if first.digest == Hash32::of(&[&bytes.0]) => Some(first.outcome.clone()),
            Some(_) => unrecorded(Verdict::IdReused),
            None if envelope.valid_until < now => unrecorded(Verdict::Expired),
            None if envelope.valid_until > now.plus_ms(VALIDITY_MS_MAX) => unrecorded(Verdict::Expired),
            None => None,
        }
    }

    fn write(
        &mut self,
        now: Timestamp,
        cause: Cause,
        events: Vec<M::Event>,
        refusal: Option<Refusal>,
        applied: &mut Applied<M::Event>,
    ) -> Outcome {
        self.advance_time(now);
        for event in &events {
            self.happen(self.time, event);
        }
        self.revision += 1;
        let record = LedgerRecord { revision: self.revision, at: self.time, cause, events, refusal };
        let bytes = code::encode(&record);
        self.ledger.push(merkle::leaf(&bytes));
        let outcome = record.outcome();
        applied.written.push(Written { record, bytes, asked: None });
        outcome
    }

    fn happen(&mut self, at: Timestamp, event: &M::Event) {
        self.machine.evolve(at, event);
        self.epoch += u32::from(M::begins_epoch(event));
    }

    /// Writes what a command comes to that no log brings.
    ///
    /// # Errors
    /// What `decide` refuses, or bytes that are no command.
    pub(crate) fn write_decided(
        &mut self,
        now: Timestamp,
        bytes: Bytes,
        proof: CommandProof,
        decide: impl FnOnce(&M, Timestamp, &M::Command) -> Result<Vec<M::Event>, Refusal>,
    ) -> Result<Written<M::Event>, Refusal> {
        let envelope = self.understood(&bytes).ok_or_else(unreadable)?;
        let now = self.time.max(now);
        let events = decide(&self.machine, now, &envelope.body)?;
        let mut applied = Applied::default();
        let key = (proof.node.municipality(), envelope.id);
        let digest = Hash32::of(&[&bytes.0]);
        let outcome = self.write(now, Cause::Command { bytes, proof }, events, None, &mut applied);
        self.memory.insert(key, Remembered { digest, valid_until: envelope.valid_until, outcome });
        applied.written.pop().ok_or_else(unreadable)
    }

    /// The founding state's sanity, for tests and sampled checks on a running node.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.machine.check()
    }
}

/// The refusal of bytes that are no command this program knows.
fn unreadable() -> Refusal {
    Refusal::Malformed { detail: "unknown to this record's feature level".to_owned() }
}
