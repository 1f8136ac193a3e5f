//! What both ends of a stream know need not be said in each of its frames: which record is meant, beyond its number in the
//! stream, and who speaks to whom. A frame that only acknowledges something shrinks by nearly half.

use bytes::Bytes;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_proto::replication::v1 as proto;

/// Records that have a number in a stream; others are called by their full ids each time.
const NUMBERED_MAX: usize = 1024;

/// The records of a stream that were called by their ids, in this order: their numbers begin at 1. Both ends keep one, from the
/// same frames.
#[derive(Default)]
pub(crate) struct Names(Vec<RecordId>);

impl Names {
    /// Leaves out of the next frame what the other end knows.
    pub fn shorten(&mut self, records: &mut [proto::RecordFrame]) {
        for record in records {
            match self.0.iter().position(|known| known.0.as_slice() == record.record_id) {
                Some(at) => (record.record_number, record.record_id) = (number(at), Bytes::new()),
                None => {
                    self.learn(&record.record_id);
                }
            }
            for message in &mut record.messages {
                (message.from, message.to) = (0, 0);
            }
        }
    }

    /// The record that a part of the next frame concerns; its messages are made whole again. None for a record that was never
    /// called by its id.
    pub fn restore(&mut self, peer: NodeId, me: NodeId, record: &mut proto::RecordFrame) -> Option<RecordId> {
        for message in &mut record.messages {
            for (said, known) in [(&mut message.from, peer), (&mut message.to, me)] {
                if *said == 0 {
                    *said = known.get();
                }
            }
        }
        match usize::try_from(record.record_number).ok()?.checked_sub(1) {
            None => self.learn(&record.record_id),
            Some(at) => self.0.get(at).copied(),
        }
    }

    fn learn(&mut self, id: &Bytes) -> Option<RecordId> {
        let id = <[u8; 32]>::try_from(id.as_ref()).ok().map(Hash32)?;
        if self.0.len() < NUMBERED_MAX && !self.0.contains(&id) {
            self.0.push(id);
        }
        Some(id)
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use shouwang_domain::ids::MunicipalityCode;

    use super::*;

    fn node(code: u32) -> NodeId {
        NodeId::new(MunicipalityCode::new(code).unwrap(), 1).unwrap()
    }

    fn frame(record: usize) -> proto::RecordFrame {
        let mut id = vec![7; 32];
        id[..8].copy_from_slice(&record.to_be_bytes());
        let (from, to) = (node(150_300).get(), node(152_900).get());
        let message = proto::Message { from, to, index: 9, ..proto::Message::default() };
        proto::RecordFrame { record_id: id.into(), messages: vec![message; 2], ..proto::RecordFrame::default() }
    }

    #[test]
    fn what_was_left_out_is_known_at_the_other_end() {
        let (mut here, mut there) = (Names::default(), Names::default());
        for (record, named) in [(1, true), (2, true), (1, false), (2, false), (3, true), (2, false)] {
            let mut sent = [frame(record)];
            here.shorten(&mut sent);
            let [mut sent] = sent;
            assert_eq!(!sent.record_id.is_empty(), named, "{record}");
            assert!(sent.messages.iter().all(|message| message.from == 0 && message.to == 0));
            let id = there.restore(node(150_300), node(152_900), &mut sent).unwrap();
            assert_eq!(id.0.as_slice(), frame(record).record_id.as_ref());
            assert_eq!(sent.messages, frame(record).messages);
        }
    }

    #[test]
    fn more_records_than_have_numbers_keep_their_names() {
        let (mut here, mut there) = (Names::default(), Names::default());
        for record in (0..NUMBERED_MAX + 10).chain(0..NUMBERED_MAX + 10) {
            let mut sent = [frame(record)];
            here.shorten(&mut sent);
            let id = there.restore(node(150_300), node(152_900), &mut sent[0]).unwrap();
            assert_eq!(id.0.as_slice(), frame(record).record_id.as_ref(), "{record}");
        }
        assert_eq!((here.0.len(), there.0.len()), (NUMBERED_MAX, NUMBERED_MAX));
    }

    #[test]
    fn what_nobody_has_called_by_its_name_is_no_record() {
        let (mut names, me) = (Names::default(), node(150_300));
        for (record_id, record_number) in
            [(vec![], 1), (vec![], u32::MAX), (vec![], 0), (vec![1; 31], 0), (vec![1; 33], 0)]
        {
            let mut record = proto::RecordFrame { record_id: record_id.into(), record_number, ..Default::default() };
            assert_eq!(names.restore(me, me, &mut record), None, "{record:?}");
        }
        // What another says of himself is looked at by whoever takes it in.
        let mut lie = frame(1);
        lie.messages[0].from = 5;
        names.restore(me, me, &mut lie).unwrap();
        assert_eq!(lie.messages[0].from, 5);
    }
}
