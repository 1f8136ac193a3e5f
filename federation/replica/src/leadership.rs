//! Time, and who may lead.

use raft::StateRole;

use crate::action::Action;
use crate::replica::Replica;

/// Ticks between one voter's standing and the next one's when a leader's process has ended: votes go there and back, and onto
/// disks, in that time.
const GONE_TICKS: u32 = 3;

impl Replica {
    pub(crate) fn on_tick(&mut self, out: &mut Vec<Action>) {
        self.ticks += 1;
        self.give_up_a_gone_leader();
        if self.raw.raft.state == StateRole::Leader {
            self.raw.tick();
            self.tell_commit();
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
        // Whoever waits for his turn does not stand before it.
        let turn = self.stands_in.map_or(0, |left| (left + 1).min(self.config.timing.election_ticks - 1));
        let spread = spread.max(turn);
        raft.set_randomized_election_timeout((self.config.timing.election_ticks + spread) as usize);
    }

    /// Waits no longer for a leader whose process has ended and who has missed a heartbeat. The voters stand one after the
    /// other, so that they do not take each other's votes. A node that is mistaken is not heard by those that still hear the
    /// leader (the vote before the vote).
    fn give_up_a_gone_leader(&mut self) {
        let gone = self.gone.map(|(gone, _)| gone);
        let Some(leader) = gone.filter(|gone| self.leader() == Some(*gone)) else { return self.stands_in = None };
        let silent = self.ticks - self.heard.get(&leader).copied().unwrap_or_default();
        let raft = &mut self.raw.raft;
        if silent <= u64::from(self.config.timing.heartbeat_ticks) || raft.state != StateRole::Follower {
            return;
        }
        let left = self.stands_in.unwrap_or_else(|| {
            let own = raft.id;
            let voters = raft.prs().conf().to_conf_state();
            let before = voters.get_voters().iter().filter(|id| **id != leader && **id < own).count();
            // The first one, too, lets the others notice what it has noticed.
            1 + GONE_TICKS.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX))
        });
        // From here on this node votes for another one.
        raft.election_elapsed = raft.election_elapsed.max(self.config.timing.election_ticks as usize);
        self.stands_in = left.checked_sub(1);
        if left == 0 {
            self.campaign();
        }
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
