//! Linearizable reads under way. Reads that arrive together share one round of asking the quorum.

use std::collections::BTreeMap;

#[derive(Debug)]
struct Round {
    tickets: Vec<u64>,
    age_ticks: u32,
    /// Handed to raft, and not lost with a leader since.
    issued: bool,
    /// Handed to raft at least once: an answer may be on its way, too old for reads that join only now.
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Reads {
    id: u64,
    nonce: u64,
    limit: usize,
    timeout_ticks: u32,
    next: u64,
    count: usize,
    rounds: BTreeMap<u64, Round>,
}

impl Reads {
    /// `nonce` keeps answers to an earlier run of this node from matching.
    pub fn new(id: u64, nonce: u64, limit: usize, timeout_ticks: u32) -> Self {
        Self { id, nonce, limit, timeout_ticks, next: 0, count: 0, rounds: BTreeMap::new() }
    }

    /// Takes a read in, unless too many wait.
    pub fn add(&mut self, ticket: u64) -> bool {
        if self.count >= self.limit {
            return false;
        }
        self.count += 1;
        if let Some(mut last) = self.rounds.last_entry()
            && !last.get().closed
        {
            last.get_mut().tickets.push(ticket);
            return true;
        }
        self.rounds.insert(self.next, Round { tickets: vec![ticket], age_ticks: 0, issued: false, closed: false });
        self.next += 1;
        true
    }

    /// The contexts to hand to raft now.
    pub fn issue(&mut self) -> Vec<Vec<u8>> {
        let (id, nonce) = (self.id, self.nonce);
        let issue = |(&number, round): (&u64, &mut Round)| {
            (round.issued, round.closed) = (true, true);
            [id, nonce, number].iter().flat_map(|part| part.to_be_bytes()).collect()
        };
        self.rounds.iter_mut().filter(|(_, round)| !round.issued).map(issue).collect()
    }

    /// What raft was given may be lost; all is to be issued again, under the same context.
    pub fn reissue(&mut self) {
        self.rounds.values_mut().for_each(|round| round.issued = false);
    }

    /// The tickets that a context answers; none if it is not one of ours or was answered before.
    pub fn answer(&mut self, context: &[u8]) -> Vec<u64> {
        let part = |n: usize| context.get(8 * n..8 * n + 8)?.try_into().ok().map(u64::from_be_bytes);
        if context.len() != 24 || part(0) != Some(self.id) || part(1) != Some(self.nonce) {
            return Vec::new();
        }
        let Some(round) = part(2).and_then(|number| self.rounds.remove(&number)) else { return Vec::new() };
        self.count -= round.tickets.len();
        round.tickets
    }

    /// A tick passes; the tickets that have waited too long.
    pub fn tick(&mut self) -> Vec<u64> {
        self.rounds.values_mut().for_each(|round| round.age_ticks += 1);
        let mut expired = Vec::new();
        while let Some(first) = self.rounds.first_entry() {
            if first.get().age_ticks < self.timeout_ticks {
                break;
            }
            expired.extend(first.remove().tickets);
        }
        self.count -= expired.len();
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_share_a_round_until_it_is_asked() {
        let mut reads = Reads::new(1, 9, 3, 2);
        assert!(reads.add(10) && reads.add(11));
        let first = reads.issue();
        assert_eq!(first.len(), 1);
        reads.reissue();
        assert!(reads.add(12), "must not join a round whose answer may be older");
        assert!(!reads.add(13), "limit");
        let again = reads.issue();
        assert_eq!((again.len(), &again[0]), (2, &first[0]));
        assert_eq!(reads.answer(&first[0]), [10, 11]);
        assert!(reads.answer(&first[0]).is_empty(), "once");
        assert!(reads.add(13));
    }

    #[test]
    fn reads_expire_and_foreign_contexts_answer_nothing() {
        let mut reads = Reads::new(1, 9, 9, 2);
        reads.add(1);
        let context = reads.issue().remove(0);
        assert!(Reads::new(1, 8, 9, 2).answer(&context).is_empty());
        let mut other_run = Reads::new(1, 8, 9, 2);
        other_run.add(5);
        assert!(other_run.answer(&context).is_empty(), "an answer to an earlier run");
        assert!(reads.answer(b"short").is_empty());
        assert!(reads.tick().is_empty());
        assert_eq!(reads.tick(), [1]);
    }
}
