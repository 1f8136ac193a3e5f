//! What Raft itself promises of one record (Ongaro and Ousterhout, fig. 3), seen from above.

use std::collections::{BTreeMap, HashMap};

use raft_proto::eraftpb::ConfState;
use shouwang_domain::time::Timestamp;

use crate::watch::{Verdict, Violation};

/// An entry as it was first committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommittedEntry {
    term: u64,
    content: u64,
    /// The leader's time, if the entry has one.
    pub stamp: Option<Timestamp>,
}

/// The history of one record's Raft group as first seen anywhere.
#[derive(Debug, Default)]
pub(crate) struct RaftRules {
    /// By term.
    leaders: BTreeMap<u64, u64>,
    /// By voter and term.
    votes: HashMap<(u64, u64), u64>,
    /// By index and term, as written to any log.
    written: HashMap<(u64, u64), u64>,
    /// By index.
    committed: BTreeMap<u64, CommittedEntry>,
    /// By the index of the entry that made it.
    memberships: BTreeMap<u64, ConfState>,
    newest_stamp: Timestamp,
}

impl RaftRules {
    /// The highest Raft index applied anywhere.
    pub fn last(&self) -> u64 {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// Election safety: one leader per term. Leader completeness: its log reaches as far as what was committed before.
    pub fn lead(&mut self, id: u64, term: u64, last: u64) -> Verdict {
        let other = *self.leaders.entry(term).or_insert(id);
        if other != id {
            return Err(Violation::new("one leader per term", format!("nodes {other} and {id} both lead term {term}")));
        }
        match self.committed.iter().rev().find(|(_, entry)| entry.term < term) {
            Some((index, _)) if *index > last => {
                let what = format!("node {id} leads term {term} with a log to {last}, {index} is committed");
                Err(Violation::new("leader completeness", what))
            }
            _ => Ok(()),
        }
    }

    /// A node votes once in a term, whatever happens to it.
    pub fn vote(&mut self, id: u64, term: u64, candidate: u64) -> Verdict {
        let first = *self.votes.entry((id, term)).or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        let what = format!("node {id} votes for {first} and for {candidate} in term {term}");
        Err(Violation::new("one vote per term", what))
    }

    /// Log matching: index and term name one entry, in whichever log.
    pub fn write(&mut self, id: u64, index: u64, term: u64, content: u64) -> Verdict {
        if *self.written.entry((index, term)).or_insert(content) == content {
            return Ok(());
        }
        Err(Violation::new("log matching", format!("node {id} writes another entry {index} of term {term}")))
    }

    /// State machine safety: the same entry at the same index, everywhere. Stamps rise along the log.
    pub fn commit(
        &mut self,
        id: u64,
        (index, term): (u64, u64),
        content: u64,
        stamp: impl FnOnce() -> Option<Timestamp>,
    ) -> Result<Option<Timestamp>, Violation> {
        if let Some(first) = self.committed.get(&index) {
            if (first.term, first.content) == (term, content) {
                return Ok(first.stamp);
            }
            let what =
                format!("at index {index} node {id} applies an entry of term {term}, not that of {}", first.term);
            return Err(Violation::new("state machine safety", what));
        }
        let stamp = stamp();
        self.committed.insert(index, CommittedEntry { term, content, stamp });
        if let Some(stamp) = stamp {
            if stamp < self.newest_stamp {
                let (newest, stamp) = (self.newest_stamp.0, stamp.0);
                return Err(Violation::new("stamps rise", format!("entry {index} has {stamp} after {newest}")));
            }
            self.newest_stamp = stamp;
        }
        Ok(stamp)
    }

    /// The same membership from the same entry; whether that is news.
    pub fn membership(&mut self, id: u64, index: u64, state: &ConfState) -> Result<bool, Violation> {
        let news = !self.memberships.contains_key(&index);
        let first = self.memberships.entry(index).or_insert_with(|| state.clone());
        if first == state {
            return Ok(news);
        }
        let what = format!("node {id} has {state:?} from entry {index}, another one {first:?}");
        Err(Violation::new("one membership per entry", what))
    }
}
