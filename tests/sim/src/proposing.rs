//! From commands to log entries, and the group that follows the state: as the driver's proposer does it.

use shouwang_domain::code;
use shouwang_domain::command::Batch;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::NodeId;
use shouwang_domain::merkle;
use shouwang_domain::record::{self, Record};
use shouwang_replica::{Input, Seat, conf_change, next_changes};

use crate::host::Host;
use crate::network::Wire;
use crate::oracle::Hosted;
use crate::scene::Scene;
use crate::signing::sign;

/// Most batches that wait for the leader's next entry; what is too much is sent again by its origin.
const INBOX_MAX: usize = 64;
/// Most entries of a leader that are not applied yet.
const OPEN_MAX: usize = 16;
/// Bytes of batches in one entry; one always goes.
const ENTRY_BYTES: usize = 32 << 10;

impl<M: Hosted> Host<M> {
    /// Takes batches in for the next entry, if this node leads.
    pub fn collect(&mut self, batches: Vec<Bytes>) {
        if self.leads() {
            self.inbox.extend(batches);
            self.inbox.truncate(INBOX_MAX);
        }
    }

    /// Signs commands and hands them to the leader, as far as this node knows one.
    pub fn forward(&mut self, commands: Vec<Vec<u8>>, node: NodeId, keys: &[Vec<u8>], scene: &mut Scene<'_>) {
        let Some(record) = self.record.as_ref().filter(|_| !commands.is_empty()) else { return };
        let Some(batch) = signed(record, commands, node, keys, scene.oracle, self.of) else { return };
        let batches = vec![batch];
        if self.leads() {
            return self.collect(batches);
        }
        let leader = self.leader.and_then(|id| scene.cast.station(id)).filter(|to| *to != self.me.station);
        if let Some(to) = leader {
            scene.post(self.me.station, to, self.which(), false, Wire::Batches(batches));
        }
    }

    /// The leader makes an entry of what waits, or of nothing when a timer is due.
    pub fn propose(&mut self, full: bool, scene: &mut Scene<'_>) {
        if !self.leads() {
            self.inbox.clear();
            return;
        }
        // Only a leader that has applied an entry of its own term knows every stamp in the log.
        let ready = self.applied.1 == self.term && !full;
        let Some(record) = self.record.as_ref().filter(|_| ready && self.open.len() < OPEN_MAX) else { return };
        let due = self.open.is_empty() && record.next_due().is_some_and(|due| due <= scene.clock);
        if self.inbox.is_empty() && !due {
            return;
        }
        self.stamp = self.stamp.max(scene.clock);
        let data = code::encode(&record::Entry { stamp: self.stamp, batches: self.fit_batches() });
        self.give(vec![Input::Propose { ticket: 0, data: data.into() }], scene);
    }

    fn fit_batches(&mut self) -> Vec<Bytes> {
        let mut size = 0;
        let fitting = self.inbox.iter().take_while(|batch| {
            size += batch.0.len();
            size <= ENTRY_BYTES
        });
        let count = fitting.count().max(1).min(self.inbox.len());
        self.inbox.drain(..count).collect()
    }

    /// The leader lets the membership follow the state.
    pub fn follow_group(&mut self, full: bool, scene: &mut Scene<'_>) {
        if !self.leads() || self.applied.1 != self.term || full || self.group_is_followed() {
            return;
        }
        let changes = next_changes(&self.group, &self.replica.status(), &self.whole);
        if !changes.is_empty() {
            self.give(vec![Input::ProposeConfChange { ticket: 0, change: conf_change(&changes) }], scene);
        }
    }
}

impl<M: Hosted> Host<M> {
    /// Whether the membership in force is what the state wants.
    pub fn group_is_followed(&self) -> bool {
        let conf = &self.conf.1;
        let (voters, learners) = (conf.get_voters(), conf.get_learners());
        let sits = |seat: &Seat| if seat.voter { voters } else { learners }.contains(&seat.id);
        conf.get_voters_outgoing().is_empty()
            && voters.len() + learners.len() == self.group.len()
            && self.group.iter().all(sits)
    }
}

/// A batch signed with the newest key of the node that this copy of the record knows to be in force.
fn signed<M: Hosted>(
    record: &Record<M>,
    commands: Vec<Vec<u8>>,
    node: NodeId,
    keys: &[Vec<u8>],
    oracle: &mut crate::oracle::Oracle,
    of: usize,
) -> Option<Bytes> {
    let in_force = record.machine().signers(node, record.time());
    let newest = keys.iter().rev().find(|key| in_force.first().is_some_and(|signer| signer.public_key == **key));
    let key = newest.or(keys.first())?;
    let mut batch = Batch::unsigned(record.id(), record.epoch(), node, commands);
    batch.signature = Bytes(sign(key, &batch.signed_message(&merkle::root(&batch.leaves()))).to_vec());
    let bytes = code::encode(&batch);
    let (truth, _) = M::truth(oracle, of);
    truth.sign(&bytes, node, key.clone());
    Some(Bytes(bytes))
}
