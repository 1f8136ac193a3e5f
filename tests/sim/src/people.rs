//! The people of a member: what they ask, and that they ask again until they are told.

use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::CommandId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Outcome, Verdict};

use crate::oracle::{Key, Truth, Watch};

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

/// What is asked of one record and not yet answered. It outlives the node.
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
    pub fn ask<C: serde::Serialize>(&mut self, envelope: &Envelope<C>) {
        let key = (envelope.actor.municipality, envelope.id);
        self.waiting.push(Waiting { key, bytes: code::encode(envelope), sent: None });
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

    /// The record has answered a command; if it waited here, its operator is told.
    pub fn hear<M: Machine>(&mut self, key: Key, outcome: &Outcome, truth: &mut Truth<M>, watch: &mut Watch) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.key == key) else { return };
        self.waiting.remove(at);
        match &outcome.verdict {
            Verdict::Accepted | Verdict::Refused(_) => {
                watch.figures.answered += 1;
                watch.figures.accepted += u64::from(outcome.verdict == Verdict::Accepted);
                truth.acknowledge(key, outcome);
            }
            Verdict::Expired => watch.figures.expired += 1,
            Verdict::IdReused => watch.violate(format!("command {} was never used for another", key.1)),
        }
    }
}

/// Ids of one member's commands, each used once.
#[derive(Debug, Default)]
pub(crate) struct Ids(u64);

impl Ids {
    /// The next one, with these marks.
    pub fn next(&mut self, marks: u128) -> CommandId {
        self.0 += 1;
        CommandId::from_u128(marks | u128::from(self.0))
    }
}
