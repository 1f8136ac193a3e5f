//! One member's node: the real replica and the real record; its disk takes the time of a sync, and its line is simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::record::{Applied, Record, Verdict};
use shouwang_domain::region::Region;
use shouwang_domain::region::event::RegionEvent;
use shouwang_driver::{
    CachedVerifier, Contact, Ed25519Verifier, FrameUnpacker, OutboxHead, OwnStanding, RollCall, Teller, in_touch_within,
};
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::ConfState;
use shouwang_replica::{
    Committed, CommittedKind, Config, GENESIS_INDEX, Persist, Replica, Restored, Role, Seat, Timing, next_changes,
};

use super::desk::{Desk, Intake};
use super::line::{Line, Uplink};

/// As between cities, which is what a node does if nobody says otherwise.
pub const TIMING: Timing = Timing::wan();

/// A member's node.
pub struct Member {
    /// Who it is.
    pub node: NodeId,
    /// Its Raft; none for one that is fed by another member.
    pub replica: Option<Replica>,
    /// The record.
    pub record: Record<Region>,
    verifier: CachedVerifier<Ed25519Verifier>,
    /// Raft index and term of the last entry applied.
    pub applied: (u64, u64),
    /// What it is, in which term, after whom.
    pub standing: (Role, u64, Option<u64>),
    /// Its line.
    pub line: Line,
    /// What leaves by it.
    pub uplink: Uplink,
    /// Until when it carries what has come.
    pub downlink_busy: u64,
    unpackers: BTreeMap<usize, FrameUnpacker>,
    /// The write under way, and the newest behind it.
    pub disk: (Option<u64>, Option<u64>),
    /// Where its people speak, if they do.
    pub desk: Option<Desk>,
    /// What waits for a place in the log, if it leads.
    pub intake: Intake,
    roll_call: RollCall,
    teller: Teller,
    group: Vec<Seat>,
    /// Whom it feeds.
    pub feeds: Vec<usize>,
}

impl Member {
    /// A node that begins where the region stands.
    pub fn new(node: NodeId, line: Line, record: Record<Region>, conf: Option<&ConfState>) -> Result<Self> {
        let start = |conf: &ConfState| {
            let limits = shouwang_driver::RecordOptions::default().limits;
            let (id, applied) = (node.get(), GENESIS_INDEX);
            let config = Config { id, group: 0, timing: TIMING, limits, seed: id, applied };
            Replica::new(config, Restored::founding(conf.clone()))
        };
        Ok(Self {
            node,
            replica: conf.map(start).transpose()?,
            record,
            verifier: CachedVerifier::new(Ed25519Verifier),
            applied: (GENESIS_INDEX, 0),
            standing: (Role::Learner, 0, None),
            line,
            uplink: Uplink::default(),
            downlink_busy: 0,
            unpackers: BTreeMap::new(),
            disk: (None, None),
            desk: None,
            intake: Intake::default(),
            roll_call: RollCall::default(),
            teller: Teller::default(),
            group: Vec::new(),
            feeds: Vec::new(),
        })
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.standing.0 == Role::Leader
    }

    /// Whether it leads and knows every stamp in the log.
    pub fn is_ready(&self) -> bool {
        self.leads() && self.applied.1 == self.standing.1
    }

    /// What stands at the head of each of its frames.
    pub fn head(&self) -> OutboxHead {
        OutboxHead { record: self.record.id(), epoch: self.record.epoch(), oldest: 1 }
    }

    /// Another role, term or leader.
    pub fn takes_role(&mut self, standing: (Role, u64, Option<u64>), now: Instant) {
        self.standing = standing;
        self.roll_call.leads(self.leads(), now);
        self.teller.forget();
    }

    /// A frame, unpacked and decoded.
    pub fn unpack(&mut self, from: usize, packed: &Bytes) -> Result<proto::PeerFrame> {
        let unpacker = match self.unpackers.entry(from) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(FrameUnpacker::new()?),
        };
        Ok(unpacker.unpack(packed)?)
    }

    /// Somebody was heard, and what he says of others.
    pub fn hears(&mut self, from: NodeId, word: Option<&proto::RollCall>, now: Instant) {
        self.roll_call.heard(from, now);
        if let Some(word) = word.filter(|_| self.standing.2 == Some(from.get())) {
            let nodes: Vec<_> = self.record.machine().group().iter().map(|member| member.node).collect();
            self.roll_call.told(from, word, &nodes, now);
        }
    }

    /// Whether the record would take a batch.
    pub fn would_take(&self, batch: &[u8]) -> bool {
        self.record.would_take(batch, &self.verifier)
    }

    /// What a leader does with each tick beside Raft: how things stand, and whether the group is to change.
    /// Nothing comes of it: whom others feed are of the group, and Raft does not know them.
    pub fn looks_at_group(&self) {
        if let Some(replica) = &self.replica {
            std::hint::black_box(next_changes(&self.group, &replica.status(), &BTreeSet::new()));
        }
    }

    /// What the leader tells everybody now, if anything: whom it hears.
    pub fn roll_call(&mut self, now: Instant) -> Option<proto::RollCall> {
        if !self.leads() || !self.teller.is_due(now) {
            return None;
        }
        let own =
            OwnStanding { node: self.node, in_touch: true, leader: Some(self.node), within: in_touch_within(&TIMING) };
        let nodes: Vec<_> = self.record.machine().group().iter().map(|member| member.node).collect();
        let contacts: Vec<Contact> = self.roll_call.of(&nodes, &own, now);
        self.teller.word(&contacts, now)
    }

    /// Carries out what is committed; whatever was asked must be accepted. Answers what was applied, and what its own
    /// people hear.
    pub fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Applied<RegionEvent>>> {
        let mut all = Vec::new();
        for Committed { index, term, kind } in entries {
            ensure!(*index == self.applied.0 + 1, "{}: entry {index} after {}", self.node, self.applied.0);
            self.applied = (*index, *term);
            let data = match kind {
                CommittedKind::Normal(data) => data,
                CommittedKind::Empty => continue,
                CommittedKind::Conf(change) => return Err(anyhow!("nobody asked for {change:?}")),
            };
            let applied = self.record.apply(data, &self.verifier).map_err(|error| anyhow!("{error:?}"))?;
            ensure!(applied.dropped.is_empty(), "{}: a batch was dropped", self.node);
            let refused = applied.outcomes.iter().find(|(_, outcome)| outcome.verdict != Verdict::Accepted);
            ensure!(refused.is_none(), "{}: {refused:?}", self.node);
            all.push(applied);
        }
        // As the apply thread publishes it: a view, the keys in force, the group.
        let group = self.record.machine().group();
        self.group = group.iter().map(|member| Seat { id: member.node.get(), voter: member.voter }).collect();
        std::hint::black_box((self.record.clone(), self.record.machine().signers(self.node, self.record.time())));
        self.intake.applied(self.applied.0);
        Ok(all)
    }

    /// Something to write. Answers the number that begins to be written now, if the disk was idle.
    pub fn persist(&mut self, persist: &Persist) -> Option<u64> {
        let (under_way, behind) = &mut self.disk;
        if under_way.is_some() {
            *behind = Some(persist.number);
            return None;
        }
        *under_way = Some(persist.number);
        *under_way
    }

    /// The write under way is done. Answers its number, and whether another begins.
    pub fn synced(&mut self) -> Result<(u64, bool)> {
        let (under_way, behind) = &mut self.disk;
        let done = under_way.take().context("nothing was being written")?;
        *under_way = behind.take();
        Ok((done, under_way.is_some()))
    }

    /// How far its ledger is, and what it comes to.
    pub fn ledger(&self) -> (u64, Hash32) {
        (self.record.revision(), self.record.ledger_root())
    }
}
