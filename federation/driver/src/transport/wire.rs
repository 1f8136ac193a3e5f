//! Raft's types and the wire's, converted field by field in both directions: raft's own parser never sees bytes from a
//! peer (RUSTSEC-2024-0437).

use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::{ConfState, Entry, EntryType, Message, MessageType, Snapshot, SnapshotMetadata};

const TYPES: [(proto::MessageType, MessageType); 13] = [
    (proto::MessageType::Append, MessageType::MsgAppend),
    (proto::MessageType::AppendResponse, MessageType::MsgAppendResponse),
    (proto::MessageType::RequestVote, MessageType::MsgRequestVote),
    (proto::MessageType::RequestVoteResponse, MessageType::MsgRequestVoteResponse),
    (proto::MessageType::Snapshot, MessageType::MsgSnapshot),
    (proto::MessageType::Heartbeat, MessageType::MsgHeartbeat),
    (proto::MessageType::HeartbeatResponse, MessageType::MsgHeartbeatResponse),
    (proto::MessageType::TimeoutNow, MessageType::MsgTimeoutNow),
    (proto::MessageType::ReadIndex, MessageType::MsgReadIndex),
    (proto::MessageType::ReadIndexResponse, MessageType::MsgReadIndexResp),
    (proto::MessageType::RequestPreVote, MessageType::MsgRequestPreVote),
    (proto::MessageType::RequestPreVoteResponse, MessageType::MsgRequestPreVoteResponse),
    (proto::MessageType::Propose, MessageType::MsgPropose),
];

/// A message for the wire; none for those that are a node's own affair.
pub fn to_wire(mut m: Message) -> Option<proto::Message> {
    let kind = TYPES.iter().find(|(_, raft)| *raft == m.get_msg_type())?.0;
    let snapshot = m.has_snapshot().then(|| position_to_wire(m.get_snapshot().get_metadata()));
    Some(proto::Message {
        r#type: kind.into(),
        to: m.get_to(),
        from: m.get_from(),
        term: m.get_term(),
        log_term: m.get_log_term(),
        index: m.get_index(),
        entries: m.take_entries().into_iter().map(entry_to_wire).collect(),
        commit: m.get_commit(),
        snapshot,
        reject: m.get_reject(),
        reject_hint: m.get_reject_hint(),
        context: m.take_context(),
        request_snapshot: m.get_request_snapshot(),
        commit_term: m.get_commit_term(),
        priority: m.get_priority(),
    })
}

/// A message from the wire; none if it is of a kind that no peer sends.
pub fn from_wire(wire: proto::Message) -> Option<Message> {
    let kind = TYPES.iter().find(|(kind, _)| *kind == wire.r#type())?.1;
    let mut m = Message::default();
    m.set_msg_type(kind);
    m.set_to(wire.to);
    m.set_from(wire.from);
    m.set_term(wire.term);
    m.set_log_term(wire.log_term);
    m.set_index(wire.index);
    let entries: Option<Vec<_>> = wire.entries.into_iter().map(entry_from_wire).collect();
    m.set_entries(entries?.into());
    m.set_commit(wire.commit);
    if let Some(position) = wire.snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.set_metadata(position_from_wire(position));
        m.set_snapshot(snapshot);
    }
    m.set_reject(wire.reject);
    m.set_reject_hint(wire.reject_hint);
    m.set_context(wire.context);
    m.set_request_snapshot(wire.request_snapshot);
    m.set_commit_term(wire.commit_term);
    m.set_priority(wire.priority);
    Some(m)
}

fn entry_to_wire(mut entry: Entry) -> proto::Entry {
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => proto::EntryType::Normal,
        EntryType::EntryConfChange => proto::EntryType::ConfChange,
        EntryType::EntryConfChangeV2 => proto::EntryType::ConfChangeV2,
    };
    let (term, index) = (entry.get_term(), entry.get_index());
    proto::Entry { r#type: kind.into(), term, index, data: entry.take_data(), context: entry.take_context() }
}

fn entry_from_wire(wire: proto::Entry) -> Option<Entry> {
    let mut entry = Entry::default();
    entry.set_entry_type(match wire.r#type() {
        proto::EntryType::Normal => EntryType::EntryNormal,
        proto::EntryType::ConfChange => EntryType::EntryConfChange,
        proto::EntryType::ConfChangeV2 => EntryType::EntryConfChangeV2,
        proto::EntryType::Unspecified => return None,
    });
    entry.set_term(wire.term);
    entry.set_index(wire.index);
    entry.set_data(wire.data);
    entry.set_context(wire.context);
    Some(entry)
}

fn position_to_wire(meta: &SnapshotMetadata) -> proto::SnapshotMetadata {
    proto::SnapshotMetadata {
        index: meta.get_index(),
        term: meta.get_term(),
        conf_state: Some(conf_to_wire(meta.get_conf_state())),
    }
}

fn position_from_wire(wire: proto::SnapshotMetadata) -> SnapshotMetadata {
    let mut meta = SnapshotMetadata::default();
    meta.set_index(wire.index);
    meta.set_term(wire.term);
    meta.set_conf_state(conf_from_wire(wire.conf_state.unwrap_or_default()));
    meta
}

/// A membership for the wire.
pub(crate) fn conf_to_wire(conf: &ConfState) -> proto::ConfState {
    proto::ConfState {
        voters: conf.get_voters().to_vec(),
        learners: conf.get_learners().to_vec(),
        voters_outgoing: conf.get_voters_outgoing().to_vec(),
        learners_next: conf.get_learners_next().to_vec(),
        auto_leave: conf.get_auto_leave(),
    }
}

fn conf_from_wire(wire: proto::ConfState) -> ConfState {
    let mut conf = ConfState::default();
    conf.set_voters(wire.voters);
    conf.set_learners(wire.learners);
    conf.set_voters_outgoing(wire.voters_outgoing);
    conf.set_learners_next(wire.learners_next);
    conf.set_auto_leave(wire.auto_leave);
    conf
}

/// About how many bytes a message is on the wire.
pub(crate) fn size_of(m: &proto::Message) -> usize {
    64 + m.context.len() + m.entries.iter().map(|entry| 24 + entry.data.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        let mut entry = Entry::default();
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.set_index(9);
        entry.set_term(3);
        entry.set_data(b"data".as_slice().into());
        for (_, kind) in TYPES {
            let mut m = Message::default();
            m.set_msg_type(kind);
            m.set_from(1);
            m.set_to(2);
            m.set_term(3);
            m.set_log_term(4);
            m.set_index(8);
            m.set_commit(5);
            m.set_commit_term(6);
            m.set_reject(true);
            m.set_reject_hint(7);
            m.set_priority(-1);
            m.set_request_snapshot(11);
            m.set_context(b"context".as_slice().into());
            m.set_entries(vec![entry.clone()].into());
            if kind == MessageType::MsgSnapshot {
                let meta = m.mut_snapshot().mut_metadata();
                meta.set_index(12);
                meta.set_term(3);
                meta.mut_conf_state().set_voters(vec![1, 2]);
                meta.mut_conf_state().set_auto_leave(true);
            }
            let wire = to_wire(m.clone()).unwrap();
            assert!(size_of(&wire) > 64);
            assert_eq!(from_wire(wire), Some(m), "{kind:?}");
        }
    }

    #[test]
    fn what_no_peer_sends_is_nothing() {
        let mut m = Message::default();
        m.set_msg_type(MessageType::MsgHup);
        assert_eq!(to_wire(m), None);
        for kind in [0, 1, 2, 11, 12, 13, 99] {
            assert_eq!(from_wire(proto::Message { r#type: kind, ..proto::Message::default() }), None, "{kind}");
        }
        let entries = vec![proto::Entry::default()];
        let unknown = proto::Message { entries, ..to_wire(append()).unwrap() };
        assert_eq!(from_wire(unknown), None, "an entry of no known kind");
    }

    fn append() -> Message {
        let mut m = Message::default();
        m.set_msg_type(MessageType::MsgAppend);
        m
    }
}
