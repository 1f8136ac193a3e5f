//! How a follower that has fallen out of the log comes back: a leader names its checkpoint, the driver fetches the file
//! beside raft, and only then the log restarts behind it.
//!
//! Raft's `MsgSnapshot` is never stepped while its file is missing: raft would restart the log at once and acknowledge it.
//! It is not held either. `CheckpointReceived` is complete in itself, and what it contains is committed whoever leads by
//! then, so it is restored directly and acknowledged to the leader of that moment.

use raft::StateRole;
use raft::eraftpb::{Message, MessageType, Snapshot};

use crate::action::{Action, LogBase};
use crate::config::Checkpoint;
use crate::membership::is_member;
use crate::replica::Replica;

impl Replica {
    /// A leader says that we need its checkpoint.
    pub(crate) fn on_snapshot_offer(&mut self, m: Message) {
        let meta = m.get_snapshot().get_metadata();
        let (index, term) = (meta.get_index(), meta.get_term());
        let log = &self.raw.raft.raft_log;
        if m.get_term() < self.raw.raft.term || index <= log.committed || log.match_term(index, term) {
            // Out of date, or the log has it all: raft answers without any file.
            self.step_raft(m);
            return;
        }
        let conf_state = meta.get_conf_state().clone();
        // The leader is alive, and raft must know. A heartbeat from it says so and claims nothing else.
        let mut alive = Message::default();
        alive.set_msg_type(MessageType::MsgHeartbeat);
        alive.set_from(m.get_from());
        alive.set_to(m.get_to());
        alive.set_term(m.get_term());
        self.step_raft(alive);
        if is_member(&conf_state, self.config.id) {
            self.wanted = Some(Action::WantCheckpoint { from: m.get_from(), index, term, conf_state });
        } else {
            tracing::warn!(index, from = m.get_from(), "offered a checkpoint from before this node's membership");
        }
    }

    /// Asks for the checkpoint that was offered, unless one that was received is still on its way to become the state: the
    /// driver stages one file, and the next would take its place. The leader offers again.
    pub(crate) fn tell_wanted_checkpoint(&mut self, out: &mut Vec<Action>) {
        let installing = self.applied_reported < self.raw.store().base().index;
        out.extend(self.wanted.take().filter(|_| !installing));
    }

    /// The driver holds the staged file: restart the log behind it, if that still is a step forward.
    pub(crate) fn on_checkpoint_received(&mut self, checkpoint: Checkpoint) {
        let raft = &mut self.raw.raft;
        if checkpoint.index <= raft.raft_log.committed || raft.state == StateRole::Leader {
            tracing::debug!(
                index = checkpoint.index,
                commit = raft.raft_log.committed,
                "checkpoint not needed any more"
            );
            return;
        }
        if raft.state != StateRole::Follower {
            // Raft restores followers only; a candidate that lacks committed entries cannot win anyway.
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
        }
        let mut snapshot = Snapshot::default();
        let meta = snapshot.mut_metadata();
        meta.set_index(checkpoint.index);
        meta.set_term(checkpoint.term);
        meta.set_conf_state(checkpoint.conf_state);
        let restored = raft.restore(snapshot);
        if raft.leader_id == raft::INVALID_ID {
            return;
        }
        // Leaves, like all a follower says, only when the restart of the log is durable.
        let mut answer = Message::default();
        answer.set_msg_type(MessageType::MsgAppendResponse);
        answer.set_from(raft.id);
        answer.set_to(raft.leader_id);
        answer.set_term(raft.term);
        answer.set_index(if restored { raft.raft_log.last_index() } else { raft.raft_log.committed });
        answer.set_commit(raft.raft_log.committed);
        raft.msgs.push(answer);
    }

    /// The log's restart behind a checkpoint is durable.
    pub(crate) fn install(&mut self, base: LogBase, out: &mut Vec<Action>) {
        // Raft counts it as applied from here on, as its log has nothing before it; the driver's own report comes later.
        if base.index > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(base.index);
        }
        out.push(Action::InstallCheckpoint { index: base.index, term: base.term });
    }

    /// Drops what is not asked to be kept, and is applied, checkpointed and needed by nobody any more. What is still needed
    /// now goes later: it is tried again with every heartbeat.
    pub(crate) fn compact(&mut self, out: &mut Vec<Action>) {
        if self.compact_to <= self.raw.store().base().index {
            return;
        }
        let (applied, needed) = (self.raw.raft.raft_log.applied, self.needed_by_peers());
        let store = self.raw.mut_store();
        let Some(checkpoint) = store.checkpoint().map(|held| held.index) else { return };
        if let Some(base) = store.compact(self.compact_to.min(applied).min(checkpoint).min(needed)) {
            out.push(Action::Compacted(base));
        }
    }

    /// Up to where a leader's log can go without a live peer needing it: what follows on the checkpoint that is on its way
    /// to one is kept until it is there, or a slow one would be sent checkpoint after checkpoint and never come back into
    /// the log. With half of the memory for logs in use, nobody is waited for.
    fn needed_by_peers(&self) -> u64 {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader || self.log_bytes() > self.config.limits.max_log_bytes_in_memory / 2 {
            return u64::MAX;
        }
        // Not raft's own word for it: with each check of its quorum it takes nobody for alive until the next answers come, and
        // within that moment the log would go.
        let heard_since = self.ticks.saturating_sub(2 * u64::from(self.config.timing.election_ticks));
        let is_alive = |id: &u64| self.heard.get(id).is_some_and(|heard| *heard >= heard_since);
        let alive = raft.prs().iter().filter(|(id, _)| **id != raft.id && is_alive(id));
        alive.map(|(_, progress)| progress.matched.max(progress.pending_snapshot)).min().unwrap_or(u64::MAX)
    }

    /// Tells the driver which checkpoint raft has missed, once a heartbeat.
    pub(crate) fn tell_needed_checkpoint(&mut self, out: &mut Vec<Action>) {
        let Some(needed) = self.raw.mut_store().take_needed() else { return };
        if self.needed_told != Some(needed) {
            self.needed_told = Some(needed);
            out.push(Action::NeedCheckpoint { to: needed.0, at_least: needed.1 });
        }
    }
}
