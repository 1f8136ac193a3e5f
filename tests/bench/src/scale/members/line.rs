//! The line of a member to all others: how fast, how far, and what waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use bytes::Bytes;
use prost::Message as _;
use shouwang_driver::{FramePacker, Outbox, OutboxHead, OutboxItem, TransportOptions};
use shouwang_proto::replication::v1 as proto;

use super::agenda::{Micros, SECOND};

/// What gRPC, HTTP/2 and TLS 1.3 put around a message that fits a record: 5, 9 and 22 bytes.
const AROUND_FRAME: usize = 36;
/// Bytes of one TCP segment, and what its headers and those of IP add.
const SEGMENT: usize = 1448;
const AROUND_SEGMENT: usize = 52;

/// What a line is like, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bits a second.
    pub rate: u64,
    /// One way, to the middle of the network.
    pub delay: Micros,
}

impl Line {
    /// How long it carries so many bytes.
    pub fn carries(&self, bytes: usize) -> Micros {
        bytes as u64 * 8 * SECOND / self.rate
    }
}

/// What waits for one other member.
struct Way {
    outbox: Outbox,
    packer: FramePacker,
    /// Has a place in the row before the line.
    in_row: bool,
}

/// What leaves a member: its ways to the others take turns, frame by frame, on its one line.
#[derive(Default)]
pub struct Uplink {
    ways: BTreeMap<usize, Way>,
    row: VecDeque<usize>,
    /// A frame is on the line.
    pub busy: bool,
    /// Bytes that have gone, headers included, and frames.
    pub sent: (u64, u64),
}

impl Uplink {
    /// Something for another member. What finds no room is dropped, as the driver drops it.
    pub fn push(&mut self, to: usize, head: OutboxHead, item: OutboxItem) -> io::Result<bool> {
        let way = match self.ways.entry(to) {
            std::collections::btree_map::Entry::Occupied(way) => way.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let mut outbox = Outbox::default();
                outbox.set_connected(true);
                place.insert(Way { outbox, packer: FramePacker::new()?, in_row: false })
            }
        };
        let queued = way.outbox.push(head, item, TransportOptions::default().queue_bytes);
        if queued && !way.in_row {
            way.in_row = true;
            self.row.push_back(to);
        }
        Ok(queued)
    }

    /// The next frame that goes, packed, with its receiver and the bytes that the line carries for it.
    pub fn next(&mut self, sent_at_ms: i64) -> io::Result<Option<(usize, Bytes, usize)>> {
        let Some(to) = self.row.pop_front() else { return Ok(None) };
        let Some(way) = self.ways.get_mut(&to) else { return Ok(None) };
        let records = way.outbox.frame(TransportOptions::default().frame_bytes).unwrap_or_default();
        way.in_row = way.outbox.bytes() > 0;
        if way.in_row {
            self.row.push_back(to);
        }
        let packed = way.packer.pack(&proto::PeerFrame { hello: None, sent_at_ms, records })?;
        let bytes = on_the_line(&packed);
        self.sent = (self.sent.0 + bytes as u64, self.sent.1 + 1);
        Ok(Some((to, packed, bytes)))
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.row.is_empty()
    }

    /// Bytes that wait for one other member.
    pub fn waits(&self, to: usize) -> usize {
        self.ways.get(&to).map_or(0, |way| way.outbox.bytes())
    }
}

/// Bytes that a line carries for a packed frame. Acknowledgements of TCP are left out: they go with what is said back.
fn on_the_line(packed: &Bytes) -> usize {
    let message = proto::StreamRequest { frame: None, packed: packed.clone() }.encoded_len() + AROUND_FRAME;
    message + message.div_ceil(SEGMENT) * AROUND_SEGMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_take_turns_and_headers_count() {
        let item = || OutboxItem::Answer(proto::BatchAnswer::default());
        let mut uplink = Uplink::default();
        for to in [3, 3, 1] {
            assert!(uplink.push(to, OutboxHead::default(), item()).unwrap());
        }
        let mut gone = || uplink.next(0).unwrap().map(|(to, packed, bytes)| (to, bytes > packed.len() + 88));
        assert_eq!([gone(), gone(), gone()], [Some((3, true)), Some((1, true)), None], "what waits goes together");
        assert_eq!(Line { rate: 8_000, delay: 0 }.carries(500), SECOND / 2);
    }
}
