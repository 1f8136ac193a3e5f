//! Who is a member, and changes of it.

use std::collections::BTreeSet;

use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};

/// One change of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// A new node, as a learner.
    AddLearner(u64),
    /// A learner becomes a voter.
    Promote(u64),
    /// A voter becomes a learner.
    Demote(u64),
    /// A member leaves.
    Remove(u64),
}

/// The entry that carries these changes out: at once if it is one, through a joint membership, left by itself, if there
/// are several.
pub fn conf_change(changes: &[MemberChange]) -> ConfChangeV2 {
    let mut all = ConfChangeV2::default();
    for change in changes {
        let (kind, id) = match *change {
            MemberChange::AddLearner(id) | MemberChange::Demote(id) => (ConfChangeType::AddLearnerNode, id),
            MemberChange::Promote(id) => (ConfChangeType::AddNode, id),
            MemberChange::Remove(id) => (ConfChangeType::RemoveNode, id),
        };
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.set_node_id(id);
        all.mut_changes().push(single);
    }
    all
}

/// A membership that is not joint.
pub fn conf_state_from(voters: impl IntoIterator<Item = u64>, learners: impl IntoIterator<Item = u64>) -> ConfState {
    let mut conf_state = ConfState::default();
    conf_state.mut_voters().extend(voters);
    conf_state.mut_learners().extend(learners);
    sorted(conf_state)
}

/// Whether `id` votes, in either half of a joint membership.
pub fn is_voter(conf_state: &ConfState, id: u64) -> bool {
    conf_state.get_voters().contains(&id) || conf_state.get_voters_outgoing().contains(&id)
}

/// Whether `id` is a learner.
pub fn is_learner(conf_state: &ConfState, id: u64) -> bool {
    conf_state.get_learners().contains(&id)
}

pub(crate) fn is_member(conf_state: &ConfState, id: u64) -> bool {
    is_voter(conf_state, id) || is_learner(conf_state, id)
}

/// Most nodes in one part of a membership that a peer may name.
const NODES_MAX: usize = 1024;

/// Whether a membership is one that changes can lead to: raft-rs asserts as much of what it restores.
pub(crate) fn is_sound(conf: &ConfState) -> bool {
    let (voters, learners) = (conf.get_voters(), conf.get_learners());
    let (outgoing, next) = (conf.get_voters_outgoing(), conf.get_learners_next());
    let distinct = |part: &[u64]| {
        part.len() <= NODES_MAX && !part.contains(&0) && part.iter().collect::<BTreeSet<_>>().len() == part.len()
    };
    let apart = |one: &[u64], other: &[u64]| one.iter().all(|id| !other.contains(id));
    let joint = !outgoing.is_empty();
    !voters.is_empty()
        && [voters, learners, outgoing, next].into_iter().all(distinct)
        && apart(learners, voters)
        && apart(learners, outgoing)
        && apart(next, voters)
        && apart(next, learners)
        && next.iter().all(|id| outgoing.contains(id))
        && (joint || !conf.get_auto_leave())
}

/// Raft keeps members in hash order; sorted, equal memberships have equal bytes on every node.
pub(crate) fn sorted(mut conf_state: ConfState) -> ConfState {
    conf_state.mut_voters().sort_unstable();
    conf_state.mut_learners().sort_unstable();
    conf_state.mut_voters_outgoing().sort_unstable();
    conf_state.mut_learners_next().sort_unstable();
    conf_state
}

/// Reads a membership entry's bytes; `None` if they are not exactly that.
///
/// Written by hand because such bytes come from peers, and protobuf 2's parser must not see those (RUSTSEC-2024-0437).
pub fn decode_conf_change(bytes: &[u8]) -> Option<ConfChangeV2> {
    let mut change = ConfChangeV2::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        match varint(&mut rest)? {
            0x08 => change.set_transition(match varint(&mut rest)? {
                0 => ConfChangeTransition::Auto,
                1 => ConfChangeTransition::Implicit,
                2 => ConfChangeTransition::Explicit,
                _ => return None,
            }),
            0x12 => change.mut_changes().push(decode_single(chunk(&mut rest)?)?),
            0x1a => change.set_context(chunk(&mut rest)?.to_vec().into()),
            _ => return None,
        }
    }
    Some(change)
}

fn decode_single(mut rest: &[u8]) -> Option<ConfChangeSingle> {
    let mut single = ConfChangeSingle::default();
    while !rest.is_empty() {
        match varint(&mut rest)? {
            0x08 => single.set_change_type(match varint(&mut rest)? {
                0 => ConfChangeType::AddNode,
                1 => ConfChangeType::RemoveNode,
                2 => ConfChangeType::AddLearnerNode,
                _ => return None,
            }),
            0x10 => single.set_node_id(varint(&mut rest)?),
            _ => return None,
        }
    }
    Some(single)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn chunk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_raft_writes_them() {
        // Bytes as protobuf encodes them; written out so that the reader is not tested against its own writer.
        let cases: [(&[u8], ConfChangeV2); 5] = [
            (&[], conf_change(&[])),
            (&[0x12, 2, 0x10, 4], conf_change(&[MemberChange::Promote(4)])),
            (&[0x12, 4, 0x08, 2, 0x10, 5], conf_change(&[MemberChange::AddLearner(5)])),
            (&[0x12, 5, 0x08, 1, 0x10, 0xac, 0x02], conf_change(&[MemberChange::Remove(300)])),
            (
                &[0x12, 2, 0x10, 4, 0x12, 4, 0x08, 2, 0x10, 1],
                conf_change(&[MemberChange::Promote(4), MemberChange::Demote(1)]),
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decode_conf_change(bytes), Some(expected), "{bytes:?}");
        }
        let with_context = decode_conf_change(&[0x08, 2, 0x1a, 2, b'h', b'i']).unwrap();
        assert_eq!(with_context.get_transition(), ConfChangeTransition::Explicit);
        assert_eq!(with_context.get_context(), b"hi");
    }

    #[test]
    fn anything_else_is_refused() {
        let cases: [&[u8]; 8] = [
            &[0x12],
            &[0x12, 9, 0x10],
            &[0x0b; 4096],
            &[0x08, 3],
            &[0x12, 2, 0x08, 7],
            &[0x10, 1],
            &[0xff; 11],
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ];
        for bytes in cases {
            assert_eq!(decode_conf_change(bytes), None, "{:?}", &bytes[..bytes.len().min(8)]);
        }
    }

    #[test]
    fn several_changes_are_joint() {
        assert_eq!(conf_change(&[MemberChange::Promote(4)]).enter_joint(), None);
        assert_eq!(conf_change(&[MemberChange::Promote(4), MemberChange::Remove(1)]).enter_joint(), Some(true));
        assert!(conf_change(&[]).leave_joint());
    }
}
