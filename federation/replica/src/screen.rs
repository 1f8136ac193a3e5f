//! What a peer's message must be before raft sees it: raft-rs asserts some of this, and a panic is no answer to a peer.

use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{Raft, StateRole};

use crate::log_cache::LogCache;
use crate::membership::{decode_conf_change, is_sound};

/// Longest context a read may carry, in bytes; ours have 24.
const MAX_READ_CONTEXT_BYTES: usize = 64;

/// No group of honest nodes gets to this term: an election a millisecond would take nine thousand years.
const TERM_FAR: u64 = 1 << 48;
/// How far behind another's term beyond that a node may be and still believe it. Terms count by one; whoever would lead
/// them to the end of their type, where raft-rs panics, has to say so a million million times.
const TERM_LEAP: u64 = 1 << 24;

/// No log gets to this index; raft-rs adds to what it is told.
const INDEX_FAR: u64 = 1 << 62;

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Pass,
    Drop(&'static str),
    /// The peer rightly counts on something this log does not hold.
    Damaged(String),
}

pub(crate) fn check(raft: &Raft<LogCache>, m: &Message, max_reads: usize) -> Verdict {
    use MessageType as T;
    let kind = m.get_msg_type();
    if m.get_to() != raft.id || m.get_from() == 0 || m.get_from() == raft.id {
        return Verdict::Drop("not from a peer to this node");
    }
    if (m.get_term() == 0) != (kind == T::MsgReadIndex) {
        return Verdict::Drop("term missing, or where none belongs");
    }
    if m.get_term() > raft.term.max(TERM_FAR).saturating_add(TERM_LEAP) {
        return Verdict::Drop("a term that elections cannot have reached");
    }
    let offered = m.get_snapshot().get_metadata().get_index();
    let indexes = [m.get_index(), m.get_commit(), m.get_reject_hint(), m.get_request_snapshot(), offered];
    if indexes.into_iter().any(|index| index > INDEX_FAR) {
        return Verdict::Drop("an index that no log reaches");
    }
    match kind {
        T::MsgHup | T::MsgBeat | T::MsgUnreachable | T::MsgSnapStatus | T::MsgCheckQuorum => {
            Verdict::Drop("a node's own affair")
        }
        T::MsgPropose | T::MsgTransferLeader => Verdict::Drop("proposals and hand-overs are not forwarded by raft"),
        T::MsgAppend => check_append(raft, m),
        T::MsgHeartbeat if m.get_term() >= raft.term && m.get_commit() > raft.raft_log.last_index() => {
            let (last, commit) = (raft.raft_log.last_index(), m.get_commit());
            let from = m.get_from();
            Verdict::Damaged(format!("leader {from} holds our acknowledgement up to {commit}, the log ends at {last}"))
        }
        T::MsgAppendResponse if m.get_request_snapshot() != 0 => {
            Verdict::Drop("checkpoints are not asked for this way")
        }
        T::MsgSnapshot => check_snapshot(m),
        T::MsgReadIndex | T::MsgReadIndexResp if !read_context_fits(m) => Verdict::Drop("read without its context"),
        T::MsgReadIndex if raft.state != StateRole::Leader => Verdict::Drop("read for the leader"),
        T::MsgReadIndex if raft.pending_read_count() >= max_reads => Verdict::Drop("too many reads wait"),
        _ => Verdict::Pass,
    }
}

fn check_append(raft: &Raft<LogCache>, m: &Message) -> Verdict {
    let (mut index, mut term) = (m.get_index(), m.get_log_term());
    for entry in m.get_entries() {
        if Some(entry.get_index()) != index.checked_add(1) || entry.get_term() < term || entry.get_term() > m.get_term()
        {
            return Verdict::Drop("entries do not follow one another");
        }
        if !readable(entry) {
            return Verdict::Drop("unreadable membership entry");
        }
        (index, term) = (entry.get_index(), entry.get_term());
    }
    let (at, committed, base) = (m.get_index(), raft.raft_log.committed, raft.raft_log.first_index() - 1);
    if m.get_term() >= raft.term && at <= committed && at >= base && !raft.raft_log.match_term(at, m.get_log_term()) {
        let (from, theirs) = (m.get_from(), m.get_log_term());
        return Verdict::Damaged(format!("leader {from} has term {theirs} at {at}, which is committed here otherwise"));
    }
    Verdict::Pass
}

fn readable(entry: &Entry) -> bool {
    match entry.get_entry_type() {
        EntryType::EntryNormal => true,
        EntryType::EntryConfChange => false,
        EntryType::EntryConfChangeV2 => decode_conf_change(entry.get_data()).is_some(),
    }
}

fn check_snapshot(m: &Message) -> Verdict {
    let meta = m.get_snapshot().get_metadata();
    let fits = meta.get_index() > 0 && meta.get_term() > 0 && meta.get_term() <= m.get_term();
    match (fits, is_sound(meta.get_conf_state())) {
        (true, true) => Verdict::Pass,
        (false, _) => Verdict::Drop("checkpoint without position"),
        (true, false) => Verdict::Drop("checkpoint with a membership that cannot be"),
    }
}

fn read_context_fits(m: &Message) -> bool {
    matches!(m.get_entries(), [entry] if entry.get_data().len() <= MAX_READ_CONTEXT_BYTES)
}
