//! From what people say to entries of the log: as `record/proposer.rs` of the driver does it, with its numbers.

use std::collections::VecDeque;

use shouwang_domain::code;
use shouwang_domain::command::{BATCH_COMMANDS_MAX, Envelope};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{CommandId, MunicipalityCode};
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::Entry;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::state::{DiscrepancyKind, Finding};
use shouwang_domain::testing::{Rng, actor};
use shouwang_domain::time::{HOUR_MS, Timestamp};
use shouwang_driver::batching::{self, ENTRIES_MAX, OWN_BATCHES_AT_ONCE, OWN_BATCHES_MAX};
use shouwang_micro::{desk, strife};

use super::agenda::Micros;
use crate::payload;

/// How long commands gather, as [`batching::GATHER`].
const GATHER: Micros = batching::GATHER.subsec_micros() as Micros;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 1 << 20;

/// The desk of somebody who speaks.
pub struct Desk {
    node: desk::Desk<Region>,
    of: MunicipalityCode,
    rng: Rng,
    waiting: VecDeque<(CommandId, Vec<u8>)>,
    /// The last command of each batch whose outcome is open.
    open: VecDeque<CommandId>,
    signed_at: Micros,
}

impl Desk {
    /// The desk of the first node of a municipality.
    pub fn new(node: desk::Desk<Region>, of: MunicipalityCode, seed: u64) -> Self {
        let rng = Rng(seed ^ u64::from(of.get()));
        Self { node, of, rng, waiting: VecDeque::new(), open: VecDeque::new(), signed_at: 0 }
    }

    /// A signing leader makes something else of it: 256 bytes that do not compress, as 342 letters.
    pub fn says(&mut self, now: Timestamp) -> CommandId {
        let bytes: Vec<u8> = (0..payload::BYTES / 8).flat_map(|_| self.rng.draw().to_be_bytes()).collect();
        let finding = Finding { charge_requester: Qty::ZERO, note: payload::text(&bytes) };
        let discrepancy = (strife::mission(), DiscrepancyKind::DeliveryShort);
        let id = CommandId::from_u128(self.rng.uuid().as_u128());
        let envelope = Envelope {
            id,
            actor: actor(self.of, shouwang_domain::actor::Role::Leader, 1),
            valid_until: now.plus_ms(24 * HOUR_MS),
            body: RegionCommand::ProposeFinding { discrepancy, finding },
        };
        self.waiting.push_back((id, code::encode(&envelope)));
        id
    }

    /// When what waits is to be signed; nothing if nothing waits, or too much is on its way.
    pub fn signs_at(&self) -> Option<Micros> {
        let at_once = self.open.len() < OWN_BATCHES_AT_ONCE || self.waiting.len() >= BATCH_COMMANDS_MAX;
        let ready = !self.waiting.is_empty() && self.open.len() < OWN_BATCHES_MAX;
        ready.then_some(self.signed_at + if at_once { 0 } else { GATHER })
    }

    /// A batch of what waits, signed, if it is time.
    pub fn sign(&mut self, now: Micros) -> Option<Vec<u8>> {
        self.signs_at().filter(|at| *at <= now)?;
        let count = self.waiting.len().min(BATCH_COMMANDS_MAX);
        let (ids, commands): (Vec<_>, Vec<_>) = self.waiting.drain(..count).unzip();
        self.open.extend(ids.last());
        self.signed_at = now;
        Some(code::encode(&self.node.batch(commands)))
    }

    /// A command has its outcome on this node.
    pub fn hears(&mut self, id: CommandId) {
        self.open.retain(|last| *last != id);
    }
}

/// What waits at the leader for a place in the log.
#[derive(Default)]
pub struct Intake {
    batches: VecDeque<Vec<u8>>,
    /// Indexes of entries that are not applied yet.
    pub entries: VecDeque<u64>,
    stamp: Timestamp,
}

impl Intake {
    /// A batch that was checked.
    pub fn take(&mut self, batch: Vec<u8>) {
        self.batches.push_back(batch);
    }

    /// Apply has come so far.
    pub fn applied(&mut self, index: u64) {
        while self.entries.pop_front_if(|first| *first <= index).is_some() {}
    }

    /// Whether something waits, and there is room for an entry.
    pub fn has_entry(&self) -> bool {
        !self.batches.is_empty() && self.entries.len() < ENTRIES_MAX
    }

    /// The next entry, of all that waits and fits.
    pub fn entry(&mut self, now: Timestamp) -> Vec<u8> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = self.batches.pop_front_if(|next| bytes == 0 || bytes + next.len() <= ENTRY_BYTES) {
            bytes += batch.len();
            batches.push(Bytes(batch));
        }
        self.stamp = self.stamp.max(now);
        code::encode(&Entry { stamp: self.stamp, batches })
    }
}
