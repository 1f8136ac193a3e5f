//! What becomes of what was said: when it was accepted, and when the last member knew of it.

use std::collections::BTreeMap;

use shouwang_domain::ids::CommandId;

use super::agenda::Micros;
use super::network::LEADER;

/// What is known of every command.
#[derive(Debug, Default)]
pub struct News {
    members: usize,
    /// Up to which revision nobody asks.
    from: u64,
    asked: BTreeMap<CommandId, Micros>,
    /// Of each revision that has not reached everybody: when the leader had accepted it, and how many have it.
    under_way: BTreeMap<u64, (Micros, usize)>,
    /// From acceptance until the last member had it.
    pub fresh: Vec<Micros>,
    /// From being said until whoever said it was answered.
    pub answers: Vec<Micros>,
    /// How many commands the leader has accepted.
    pub accepted: u64,
    /// Whether whoever is answered says the next.
    pub again: bool,
    /// How often somebody else began to lead.
    pub elections: u64,
}

impl News {
    /// Nothing has been said yet.
    pub fn of(members: usize, from: u64) -> Self {
        Self { members, from, ..Self::default() }
    }

    /// Forgets what has come to its end.
    pub fn forget(&mut self) {
        self.fresh.clear();
        self.answers.clear();
    }

    /// Somebody says something.
    pub fn asked(&mut self, id: CommandId, now: Micros) {
        self.asked.insert(id, now);
    }

    /// He is answered. Whether he says the next at once.
    pub fn answered(&mut self, id: CommandId, now: Micros) -> bool {
        self.answers.extend(self.asked.remove(&id).map(|asked| now - asked));
        self.again
    }

    /// A member has a revision.
    pub fn reached(&mut self, at: usize, revision: u64, now: Micros) {
        if revision <= self.from {
            return;
        }
        let (accepted, count) = self.under_way.entry(revision).or_insert((now, 0));
        *count += 1;
        if at == LEADER {
            (*accepted, self.accepted) = (now, self.accepted + 1);
        }
        if *count == self.members {
            self.fresh.push(now - *accepted);
            self.under_way.remove(&revision);
        }
    }

    /// Whether everybody knows of everything, and everybody has his answer.
    pub fn is_quiet(&self) -> bool {
        self.asked.is_empty() && self.under_way.is_empty()
    }
}
