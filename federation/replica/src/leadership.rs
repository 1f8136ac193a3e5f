//! Time, and who may lead.

use raft::StateRole;

use crate::action::Action;
use crate::replica::Replica;

impl Replica {
    pub(crate) fn on_tick(&mut self, out: &mut Vec<Action>) {
        self.ticks += 1;
        if self.raw.raft.state == StateRole::Leader {
            self.raw.tick();
            self.hand_over_if_unfit();
        } else if self.fit_to_campaign() {
            self.raw.tick();
        } else {
            self.wait_without_campaign();
        }
        self.write_commit(out);
        out.extend(self.reads.tick().into_iter().map(|ticket| Action::ReadRefused { ticket }));
        if self.ticks.is_multiple_of(u64::from(self.config.timing.heartbeat_ticks)) {
            self.needed_told = None;
            self.compact(out);
            if self.raw.raft.state != StateRole::Leader {
                // The question, or its answer, may be lost on the way; a leader repeats its own with each heartbeat.
                self.reads.reissue();
            }
        }
    }

    /// Raft draws its timeouts from a random source of its own; replaced after every input, runs repeat. A new term or
    /// role draws anew, so that two candidates do not meet for ever.
    pub(crate) fn settle_election_timeout(&mut self) {
        let raft = &mut self.raw.raft;
        let role = match raft.state {
            StateRole::Follower => 1,
            StateRole::PreCandidate => 2,
            StateRole::Candidate => 3,
            StateRole::Leader => 4,
        };
        let election = u64::from(self.config.timing.election_ticks);
        let drawn = [self.config.seed, raft.id, raft.term, role].iter().fold(0, |mixed, &part| mix(mixed ^ part));
        // The remainder is below election_ticks, a u32.
        let spread = u32::try_from(drawn % election).unwrap_or_default();
        raft.set_randomized_election_timeout((self.config.timing.election_ticks + spread) as usize);
    }

    /// Whether an election may begin here. Raft panics when a sole voter elects itself over entries that are not durable,
    /// and when one begins between the restart of the log and its durability.
    pub(crate) fn fit_to_campaign(&self) -> bool {
        let raft = &self.raw.raft;
        let log = &raft.raft_log;
        let restoring = raft.snap().is_some() || log.applied < raft.store().base().index;
        let durable = !raft.prs().is_singleton() || log.persisted == log.last_index();
        self.may_campaign && raft.promotable() && !restoring && durable
    }

    pub(crate) fn campaign(&mut self) {
        if self.fit_to_campaign()
            && let Err(error) = self.raw.campaign()
        {
            tracing::warn!(%error, "raft did not campaign");
        }
    }

    pub(crate) fn on_may_campaign(&mut self, may: bool) {
        self.may_campaign = may;
        self.unfit_ticks = 0;
        let raft = &mut self.raw.raft;
        if !may && matches!(raft.state, StateRole::Candidate | StateRole::PreCandidate) {
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
        }
        self.hand_over_if_unfit();
    }

    /// As a follower's tick, but it never leads to an election. Raft's own would, or leave a learner with a leader that
    /// has long been silent.
    fn wait_without_campaign(&mut self) {
        let raft = &mut self.raw.raft;
        raft.election_elapsed = raft.election_elapsed.saturating_add(1);
        let candidate = raft.state != StateRole::Follower;
        let silent = raft.election_elapsed >= 2 * self.config.timing.election_ticks as usize;
        if candidate || (silent && raft.leader_id != raft::INVALID_ID) {
            let term = raft.term;
            raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// A leader that is not fit to lead gives the lead to the voter that is furthest; if none takes it in time, it steps
    /// down. A sole voter keeps it: there is nobody else.
    fn hand_over_if_unfit(&mut self) {
        if self.may_campaign || self.raw.raft.state != StateRole::Leader || self.raw.raft.prs().is_singleton() {
            return;
        }
        self.unfit_ticks += 1;
        if self.unfit_ticks > 3 * self.config.timing.election_ticks {
            self.unfit_ticks = 0;
            self.step_down();
        } else if self.raw.raft.lead_transferee.is_none()
            && let Some(best) = self.best_successor()
        {
            self.raw.transfer_leader(best);
        }
    }

    pub(crate) fn step_down(&mut self) {
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
    }

    /// The reachable voter with the longest log; the smallest id among equals, so that runs repeat.
    pub(crate) fn best_successor(&self) -> Option<u64> {
        let raft = &self.raw.raft;
        let voters = raft.prs().conf().to_conf_state();
        let progress = voters.get_voters().iter().filter(|id| **id != raft.id);
        progress
            .filter_map(|id| raft.prs().get(*id).map(|p| (p.recent_active, p.matched, std::cmp::Reverse(*id))))
            .filter(|(active, ..)| *active)
            .max()
            .map(|(_, _, id)| id.0)
    }
}

/// The finalizer of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
