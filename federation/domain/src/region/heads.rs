//! Heads of the region's own ledger, and the word of its nodes that they hold a ledger with that head (会签).
//!
//! Whoever keeps the region's words could cut its end off, or write it anew, and sign the whole again – with the keys of
//! one node. So the record marks a head of its own now and then ([`RegionCommand::MarkHead`]): a revision, and the root
//! up to it, which the record knows by itself at that moment. Then every node says what root its own ledger has up to
//! there ([`RegionCommand::Countersign`]), under its own key, in the ledger itself. All speak of the same heads, so that
//! the record compares each word with what it knows, and need keep no more than a few roots for it.
//!
//! A word that contradicts the head is a fact, and is not refused: [`RegionEvent::HeadDisputed`] stands in the ledger for
//! everybody to see.

use serde::{Deserialize, Serialize};

use super::Region;
use super::command::RegionCommand;
use super::draft::Draft;
use super::event::RegionEvent;
use crate::actor::{Actor, Role};
use crate::code;
use crate::command::{CommandProof, Envelope};
use crate::hash::{Bytes, Hash32, Verifier};
use crate::head::Head;
use crate::ids::{CommandId, NodeId, RecordId};
use crate::machine::{Context, Machine as _};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::time::{HOUR_MS, MINUTE_MS, Timestamp};

/// The feature level of the record from which on it has heads.
pub const LEVEL: u32 = 2;
/// Most heads that can be countersigned at once: a node that is behind speaks of a later one.
pub const HEADS_MAX: usize = 8;
/// A node marks the next head by itself after at least so many ledger records …
const RECORDS_MIN: u64 = 1000;
/// … and so many for each node, since each answers with one of its own: at most two in a hundred are spent on it.
const RECORDS_PER_NODE: u64 = 50;
/// Or after so long, if there is anything new at all …
const AGE_MS: i64 = 6 * HOUR_MS;
/// … and once nothing has happened for a while: a head in the middle of a night says less than one at its end.
const QUIET_MS: i64 = 10 * MINUTE_MS;

/// A head of the record's own ledger that its nodes are asked to countersign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedHead {
    /// In which epoch.
    pub epoch: u32,
    /// The Merkle root up to its revision, as the record knew it there.
    pub root: Hash32,
    /// When it was marked.
    pub at: Timestamp,
    /// How many words of nodes have come since, about whatever head.
    pub words: u64,
}

/// What a node has said last of the ledger that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countersignature {
    /// In which epoch.
    pub epoch: u32,
    /// Up to which revision.
    pub revision: u64,
    /// The root of its ledger up to there.
    pub root: Hash32,
    /// Whether that is the record's own.
    pub agrees: bool,
    /// The ledger record that holds its word.
    pub stands_at: u64,
    /// When it was taken.
    pub at: Timestamp,
}

/// Marks the present head of the record. A node does so by itself when enough has happened, people when anything has.
pub(super) fn mark(draft: &mut Draft, context: &Context<'_>) -> Result<(), Refusal> {
    let revision = context.ledger.size();
    let region = &draft.region;
    let due = if context.actor.role == Role::Node {
        region.is_head_due(revision, context.at)
    } else {
        region.news_since_head(revision) > 0
    };
    if !due {
        return Err(Refusal::HeadTooSoon { revision: region.newest_head().map_or(0, |(revision, _)| *revision) });
    }
    draft.push(RegionEvent::HeadMarked { epoch: context.epoch, revision, root: context.ledger.root() });
    Ok(())
}

/// Takes the word of a node about a head that is marked.
pub(super) fn countersign(
    draft: &mut Draft,
    context: &Context<'_>,
    revision: u64,
    root: Hash32,
) -> Result<(), Refusal> {
    let (node, stands_at) = (context.node, context.ledger.size() + 1);
    let head = draft.region.heads.get(&revision).ok_or_else(|| Refusal::not_found("head", revision))?;
    if draft.region.has_spoken_of(node, revision) {
        return Err(Refusal::exists("countersignature", revision));
    }
    draft.push(if head.root == root || planted!(CountersignedUnseen) {
        RegionEvent::Countersigned { node, revision, stands_at }
    } else {
        RegionEvent::HeadDisputed { node, revision, root, stands_at }
    });
    Ok(())
}

pub(super) fn evolve(region: &mut Region, at: Timestamp, event: &RegionEvent) {
    match event {
        RegionEvent::HeadMarked { epoch, revision, root } => {
            region.heads.insert(*revision, MarkedHead { epoch: *epoch, root: *root, at, words: 0 });
            while region.heads.len() > HEADS_MAX {
                region.heads = region.heads.without_min().1;
            }
        }
        RegionEvent::Countersigned { node, revision, stands_at } => {
            take(region, at, (*node, *revision, *stands_at), None);
        }
        RegionEvent::HeadDisputed { node, revision, root, stands_at } => {
            take(region, at, (*node, *revision, *stands_at), Some(*root));
        }
        _ => {}
    }
}

fn take(region: &mut Region, at: Timestamp, (node, revision, stands_at): (NodeId, u64, u64), other: Option<Hash32>) {
    if let Some(newest) = region.newest_head().map(|(revision, _)| *revision)
        && let Some(newest) = region.heads.get_mut(&newest)
    {
        newest.words += 1;
    }
    let Some(head) = region.heads.get(&revision) else { return };
    let (epoch, root, agrees) = (head.epoch, other.unwrap_or(head.root), other.is_none());
    region.countersignatures.insert(node, Countersignature { epoch, revision, root, agrees, stands_at, at });
}

impl Region {
    /// The newest head that is marked in this epoch.
    pub fn newest_head(&self) -> Option<(&u64, &MarkedHead)> {
        self.heads.get_max().map(|(revision, head)| (revision, head))
    }

    /// What each node has said last of its ledger.
    pub fn countersignatures(&self) -> impl Iterator<Item = (&NodeId, &Countersignature)> {
        self.countersignatures.iter()
    }

    /// How many of `revision` ledger records have come since the newest head, but for those that came of it: a ledger in
    /// which nothing but countersignatures arrives comes to rest.
    pub fn news_since_head(&self, revision: u64) -> u64 {
        self.newest_head().map_or(revision, |(marked, head)| revision.saturating_sub(marked + 1 + head.words))
    }

    /// Whether so much has happened since the newest head that a node marks another.
    fn is_head_due(&self, revision: u64, now: Timestamp) -> bool {
        let news = self.news_since_head(revision);
        let age = self.newest_head().map_or(AGE_MS, |(_, head)| now.0.saturating_sub(head.at.0));
        news >= self.many() || news > 0 && age >= AGE_MS
    }

    /// So many records that a head is due however young the last one is.
    fn many(&self) -> u64 {
        RECORDS_MIN.max(RECORDS_PER_NODE * self.head.charter.nodes().count() as u64)
    }

    fn has_spoken_of(&self, node: NodeId, revision: u64) -> bool {
        self.countersignatures.get(&node).is_some_and(|last| last.revision >= revision)
    }
}

/// What a node says next of the ledger, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnWord {
    /// The present head is to be marked.
    Mark,
    /// What its own ledger is up to a marked head.
    Countersign {
        /// Up to where.
        revision: u64,
    },
}

impl Record<Region> {
    /// What a node has to say of the ledger where the record stands now, if anything. One of them, the leader, marks.
    pub fn own_word(&self, node: NodeId, leads: bool, now: Timestamp) -> Option<OwnWord> {
        let (region, now) = (self.machine(), now.max(self.time()));
        if region.level() < LEVEL || region.head.charter.nodes().all(|(_, entry)| entry.node != node) {
            return None;
        }
        if let Some((revision, _)) = region.newest_head()
            && !region.has_spoken_of(node, *revision)
        {
            return Some(OwnWord::Countersign { revision: *revision });
        }
        let quiet = now.0 - self.time().0 >= QUIET_MS || region.news_since_head(self.revision()) >= region.many();
        (leads && quiet && region.is_head_due(self.revision(), now)).then_some(OwnWord::Mark)
    }

    /// The command by which a node says something by itself: within an hour the same one, however often it is sent, so that
    /// it leaves one record.
    pub fn own_command(&self, node: NodeId, now: Timestamp, body: RegionCommand) -> Envelope<RegionCommand> {
        let newest = self.machine().newest_head().map_or(0, |(revision, _)| *revision);
        let hour = now.0.div_euclid(HOUR_MS);
        let (epoch, of) = (self.epoch().to_be_bytes(), node.get().to_be_bytes());
        let parts: [&[u8]; 7] = [
            b"shouwang.own-word.v1\0",
            &self.id().0,
            &epoch,
            &of,
            &newest.to_be_bytes(),
            &hour.to_be_bytes(),
            body.name().as_bytes(),
        ];
        let id = Hash32::of(&parts).0.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte));
        let valid_until = Timestamp(hour.saturating_add(2).saturating_mul(HOUR_MS));
        Envelope { id: CommandId::from_u128(id), actor: Actor::node(node), valid_until, body }
    }
}

/// A node's word as it stands in a ledger: it proves itself to whoever keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersignedHead {
    /// The epoch of the ledger record that holds it.
    pub epoch: u32,
    /// That ledger record.
    pub stands_at: u64,
    /// Whether whoever shows it says that it agrees with the ledger.
    pub agrees: bool,
    /// When it was taken.
    pub at: Timestamp,
    /// The command as the node signed it.
    pub bytes: Bytes,
    /// Who signed it, and how to check that.
    pub proof: CommandProof,
}

impl CountersignedHead {
    /// What it says of which ledger, if the key it names has signed it. Whether that key is the node's, the charter tells.
    pub fn head(&self, record: RecordId, verifier: &dyn Verifier) -> Option<Head> {
        let (revision, root) = countersigned(&self.bytes)?;
        let holds = self.proof.holds(&record, self.epoch, &self.bytes.0, verifier);
        holds.then_some(Head { record, epoch: self.epoch, revision, root })
    }
}

/// The revision and root that a command countersigns, if it does.
pub fn countersigned(bytes: &Bytes) -> Option<(u64, Hash32)> {
    match code::decode::<Envelope<RegionCommand>>("command", &bytes.0).ok()?.body {
        RegionCommand::Countersign { revision, root } => Some((revision, root)),
        _ => None,
    }
}
