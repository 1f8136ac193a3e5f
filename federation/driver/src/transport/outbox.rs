//! What waits for one peer: bounded, and put into as few frames as possible.

use std::collections::{BTreeMap, VecDeque};

use shouwang_domain::ids::RecordId;
use shouwang_proto::replication::v1 as proto;

/// While a peer is away only this many bytes wait for it: votes are worth delivering late, entries are not.
const AWAY_BYTES: usize = 64 << 10;

/// One thing for a peer.
pub enum Item {
    /// Of Raft.
    Message(Box<proto::Message>),
    /// For the leader.
    Batch(proto::ForwardedBatch),
    /// What the leader says to a batch.
    Answer(proto::BatchAnswer),
    /// Whom the leader hears.
    RollCall(proto::RollCall),
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Message(m) => super::wire::size_of(m),
            Self::Batch(batch) => 16 + batch.batch.len(),
            Self::Answer(_) => 16,
            Self::RollCall(word) => 16 + 12 * word.nodes.len(),
        }
    }

    /// Whether it is of use only to a peer that listens now. All but votes is: a leader's old word about how far a peer has
    /// come would meet another life of that peer.
    fn is_for_now(&self) -> bool {
        use proto::MessageType::{RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse};
        let is_vote =
            |kind| matches!(kind, RequestVote | RequestVoteResponse | RequestPreVote | RequestPreVoteResponse);
        match self {
            Self::Message(m) => !is_vote(m.r#type()),
            Self::Batch(_) | Self::Answer(_) | Self::RollCall(_) => true,
        }
    }
}

/// What a record says with each of its frames.
#[derive(Clone, Copy, Default)]
pub struct Head {
    /// Which record it is.
    pub record: RecordId,
    /// Its epoch.
    pub epoch: u32,
    /// The oldest revision from which on this node holds the whole ledger.
    pub oldest: u64,
}

/// Items waiting for one peer, in order.
#[derive(Default)]
pub struct Outbox {
    items: VecDeque<(Head, Item, usize)>,
    bytes: usize,
    connected: bool,
}

impl Outbox {
    /// Adds an item; false if it is dropped.
    pub fn push(&mut self, head: Head, item: Item, max_bytes: usize) -> bool {
        let size = item.size();
        let room = if self.connected { max_bytes } else { AWAY_BYTES };
        // One item always fits, or a large entry would never go.
        if !self.connected && item.is_for_now() || !self.items.is_empty() && self.bytes + size > room {
            return false;
        }
        self.bytes += size;
        self.items.push_back((head, item, size));
        true
    }

    /// The peer listens, or does not any more: what waited for it then is gone.
    pub fn set_connected(&mut self, connected: bool) {
        self.connected = connected;
        if !connected {
            self.items.clear();
            self.bytes = 0;
        }
    }

    /// The next frame of about `max_bytes`, if anything waits.
    pub fn frame(&mut self, max_bytes: usize) -> Option<Vec<proto::RecordFrame>> {
        let mut frames: BTreeMap<RecordId, proto::RecordFrame> = BTreeMap::new();
        let mut bytes = 0;
        while let Some((head, item, size)) = self.items.pop_front_if(|next| bytes == 0 || bytes + next.2 <= max_bytes) {
            bytes += size;
            self.bytes -= size;
            let frame = frames.entry(head.record).or_insert_with(|| proto::RecordFrame {
                record_id: head.record.0.to_vec().into(),
                epoch: head.epoch,
                ..proto::RecordFrame::default()
            });
            frame.oldest_revision = head.oldest;
            match item {
                Item::Message(m) => frame.messages.push(*m),
                Item::Batch(batch) => frame.batches.push(batch),
                Item::Answer(answer) => frame.answers.push(answer),
                Item::RollCall(word) => frame.roll_call = Some(word),
            }
        }
        (!frames.is_empty()).then(|| frames.into_values().collect())
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use shouwang_domain::hash::Hash32;

    use super::*;

    fn message(bytes: usize) -> Item {
        let entries =
            if bytes == 0 { vec![] } else { vec![proto::Entry { data: vec![0; bytes].into(), ..Default::default() }] };
        Item::Message(Box::new(proto::Message { entries, ..Default::default() }))
    }

    #[test]
    fn many_items_of_many_records_share_frames() {
        let [a, b] = [1, 2].map(|n| Head { record: Hash32([n; 32]), ..Head::default() });
        let mut outbox = Outbox::default();
        outbox.set_connected(true);
        for record in [a, b, a] {
            assert!(outbox.push(record, message(100), 1000));
        }
        assert!(outbox.push(a, message(400), 1100));
        assert!(!outbox.push(a, message(100), 1100), "full");
        let frames = outbox.frame(600).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.messages.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(outbox.frame(10).unwrap()[0].messages.len(), 1, "one always goes");
        assert!(outbox.frame(10).is_none());
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_peer_that_is_away_gets_only_what_is_worth_it() {
        use proto::MessageType::{Append, Heartbeat, RequestVote};
        let of = |kind: proto::MessageType| {
            Item::Message(Box::new(proto::Message { r#type: kind.into(), ..Default::default() }))
        };
        let mut outbox = Outbox::default();
        for late in [Append, Heartbeat] {
            assert!(!outbox.push(Head::default(), of(late), 1000), "{late:?}");
        }
        assert!(outbox.push(Head::default(), of(RequestVote), 1000));
        outbox.set_connected(true);
        assert!(outbox.frame(1000).is_some(), "the vote waited");
        assert!(outbox.push(Head::default(), of(Append), 1000));
        outbox.set_connected(false);
        assert!(outbox.frame(1000).is_none());
    }
}
