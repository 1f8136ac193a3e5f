//! What a replica tells about itself.

use raft::eraftpb::ConfState;
use raft::{ProgressState, StateRole};

use crate::action::{LogBase, Role};
use crate::membership::{is_voter, sorted};
use crate::replica::Replica;

/// A replica at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its Raft id.
    pub id: u64,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<u64>,
    /// Whom it is handing the lead to.
    pub transferring_to: Option<u64>,
    /// Raft index known to be committed.
    pub commit: u64,
    /// Raft index reported as applied.
    pub applied: u64,
    /// Raft index durable here.
    pub persisted: u64,
    /// Raft index of the last entry.
    pub last: u64,
    /// Where the log in memory begins.
    pub base: LogBase,
    /// Raft index of the newest checkpoint; 0 if none.
    pub checkpoint: u64,
    /// Membership in force here, sorted by id.
    pub conf_state: ConfState,
    /// Raft index of the entry that made it.
    pub conf_index: u64,
    /// The log in memory, in bytes.
    pub log_bytes: u64,
    /// The other members by id, if this is the leader; else empty.
    pub peers: Vec<PeerStatus>,
}

/// How far a member is, as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its Raft id.
    pub id: u64,
    /// Whether it votes.
    pub voter: bool,
    /// Raft index up to which its log is known to equal ours.
    pub matched: u64,
    /// Heard from within the last election timeout.
    pub recent_active: bool,
    /// Nothing is sent to it until it answers.
    pub paused: bool,
    /// Raft index of the checkpoint it is being sent.
    pub pending_checkpoint: Option<u64>,
}

impl Replica {
    /// A replica at a glance.
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let conf_state = self.conf_state();
        Status {
            id: raft.id,
            role: self.role(),
            term: raft.term,
            leader: self.leader(),
            transferring_to: raft.lead_transferee,
            commit: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            persisted: raft.raft_log.persisted,
            last: raft.raft_log.last_index(),
            base: raft.store().base(),
            checkpoint: raft.store().checkpoint().map_or(0, |held| held.index),
            conf_index: self.conf_index,
            log_bytes: self.log_bytes(),
            peers: self.peers(&conf_state),
            conf_state,
        }
    }

    /// Raft index known to be committed.
    pub fn commit(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    /// Raft index of the last entry on this node's own disk; what is handed out for apply may be ahead of it.
    pub fn persisted(&self) -> u64 {
        self.raw.raft.raft_log.persisted
    }

    /// Membership in force here, sorted by id.
    pub fn conf_state(&self) -> ConfState {
        sorted(self.raw.raft.prs().conf().to_conf_state())
    }

    fn peers(&self, conf_state: &ConfState) -> Vec<PeerStatus> {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let others = raft.prs().iter().filter(|(id, _)| **id != raft.id);
        let mut peers: Vec<_> = others
            .map(|(&id, progress)| PeerStatus {
                id,
                voter: is_voter(conf_state, id),
                matched: progress.matched,
                recent_active: progress.recent_active,
                paused: progress.is_paused(),
                pending_checkpoint: (progress.state == ProgressState::Snapshot).then_some(progress.pending_snapshot),
            })
            .collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        peers
    }
}
