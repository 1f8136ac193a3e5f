//! The people of a municipality: what they ask, and that they ask again until they are told.

use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::{CommandId, MunicipalityCode};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Outcome, Verdict};

use crate::oracle::{Hosted, Oracle};
use crate::truth::Key;

/// Beyond so many unanswered commands nobody asks anything new.
const WAITING_MAX: usize = 12;
/// Most commands sent together.
const BATCH_MAX: usize = 8;

/// A command that its operator keeps, outside the node, until he knows what came of it.
#[derive(Debug)]
struct Waiting {
    key: Key,
    bytes: Vec<u8>,
    sent: Option<u64>,
}

/// What is asked of one record and not yet answered. It outlives the nodes.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    waiting: Vec<Waiting>,
}

impl Desk {
    /// Whether people still have patience for more.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Whether everything is answered.
    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a command to be sent.
    pub fn ask<C: serde::Serialize>(&mut self, envelope: &Envelope<C>) -> Key {
        let key = (envelope.actor.municipality, envelope.id);
        self.waiting.push(Waiting { key, bytes: code::encode(envelope), sent: None });
        key
    }

    /// The ids of what waits.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.waiting.iter().map(|waiting| waiting.key)
    }

    /// What to send now, for the first time or again.
    pub fn due(&mut self, now: u64, retry_after: u64) -> Vec<Vec<u8>> {
        let due = |waiting: &&mut Waiting| waiting.sent.is_none_or(|sent| now >= sent + retry_after);
        let send = |waiting: &mut Waiting| {
            waiting.sent = Some(now);
            waiting.bytes.clone()
        };
        self.waiting.iter_mut().filter(due).take(BATCH_MAX).map(send).collect()
    }

    /// Nobody will answer any more.
    pub fn give_up(&mut self) {
        self.waiting.clear();
    }

    fn take(&mut self, key: Key) -> bool {
        let at = self.waiting.iter().position(|waiting| waiting.key == key);
        at.map(|at| self.waiting.remove(at)).is_some()
    }
}

/// The people of a municipality and what they wait for.
#[derive(Debug)]
pub(crate) struct Crew {
    /// By position.
    pub city: usize,
    pub code: MunicipalityCode,
    /// By region.
    pub regions: Vec<Desk>,
    pub registry: Desk,
    ids: u64,
    /// Keys that its nodes have had, to make new ones.
    pub keys_made: u64,
}

impl Crew {
    /// Nobody has asked anything yet.
    pub fn new(city: usize, code: MunicipalityCode, regions: usize) -> Self {
        let regions = (0..regions).map(|_| Desk::default()).collect();
        Self { city, code, regions, registry: Desk::default(), ids: 0, keys_made: 0 }
    }

    /// An id that was never used, with these marks.
    pub fn next_id(&mut self, marks: u128) -> CommandId {
        self.ids += 1;
        CommandId::from_u128(marks | u128::from(self.ids))
    }

    /// Whether anybody has patience for more.
    pub fn has_room(&self) -> bool {
        self.registry.has_room() && self.regions.iter().all(Desk::has_room)
    }

    /// A record has answered a command; if it waited here, its operator is told.
    pub fn hear<M: Hosted>(&mut self, of: usize, key: Key, outcome: &Outcome, oracle: &mut Oracle) {
        if key.0 != self.code || !M::desk(self, of).take(key) {
            return;
        }
        let heard = oracle.contests.hear(self.city, key, outcome);
        let (truth, watch) = M::truth(oracle, of);
        watch.hold(heard);
        match &outcome.verdict {
            Verdict::Accepted | Verdict::Refused(_) => {
                watch.figures.answered += 1;
                watch.figures.accepted += u64::from(outcome.verdict == Verdict::Accepted);
                truth.acknowledge(key, outcome);
            }
            Verdict::Expired => watch.figures.expired += 1,
            Verdict::IdReused => watch.violate("one outcome", format!("command {} was never used for another", key.1)),
        }
    }
}

/// The commands of a desk that a record remembers.
pub(crate) fn known<M: Machine>(desk: &Desk, record: &shouwang_domain::record::Record<M>) -> Vec<(Key, Outcome)> {
    desk.keys().filter_map(|key| record.outcome(key.0, key.1).map(|outcome| (key, outcome.clone()))).collect()
}
