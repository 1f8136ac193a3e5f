//! The membership in force, as Raft has last made it; apply waits here for the answer to an entry it judged.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::GroupNode;
use shouwang_replica::eraftpb::ConfState;
use shouwang_replica::{Seat, is_learner, is_voter};

use super::reached::Reached;

/// The group that a record's state wants, as Raft knows its members.
pub(crate) fn seats(group: &[GroupNode]) -> Vec<Seat> {
    group.iter().map(|member| Seat { id: member.node.get(), voter: member.voter }).collect()
}

#[derive(Default)]
struct Board {
    index: u64,
    state: ConfState,
}

/// The membership in force.
#[derive(Default)]
pub(crate) struct ConfBoard {
    board: Mutex<Board>,
    answered: Reached,
}

impl ConfBoard {
    fn lock(&self) -> MutexGuard<'_, Board> {
        // Plain assignments: whole after any panic.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The membership and the index of the entry that made it.
    pub fn get(&self) -> (u64, ConfState) {
        let board = self.lock();
        (board.index, board.state.clone())
    }

    /// Whether `id` is a member.
    pub fn has(&self, id: u64) -> bool {
        let board = self.lock();
        is_voter(&board.state, id) || is_learner(&board.state, id) || board.state.get_learners_next().contains(&id)
    }

    /// All its nodes, sorted, those on their way out among them.
    pub fn nodes(&self) -> Vec<NodeId> {
        let board = self.lock();
        let conf = &board.state;
        let all = [conf.get_voters(), conf.get_learners(), conf.get_voters_outgoing(), conf.get_learners_next()];
        let nodes: BTreeSet<_> = all.concat().into_iter().filter_map(|id| NodeId::try_from(id).ok()).collect();
        nodes.into_iter().collect()
    }

    /// Another membership is in force.
    pub fn set(&self, index: u64, state: ConfState) {
        let mut board = self.lock();
        (board.index, board.state) = (index, state);
    }

    /// The membership entry at `index` has had its effect, or none.
    pub fn answer(&self, index: u64) {
        self.answered.reach(index);
    }

    /// Waits until the entry at `index` is answered, or `gone` says that it never will be.
    pub fn wait(&self, index: u64, gone: impl Fn() -> bool) {
        self.answered.wait(index, gone);
    }
}
