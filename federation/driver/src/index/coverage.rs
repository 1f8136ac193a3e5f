//! What the index reflects of a ledger: which revisions, and how to tell that nothing of them has been lost since.

use serde::{Deserialize, Serialize};
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;

/// Changes when entries are made in another way: an index made in the old way is then built anew.
const SCHEME: u32 = 3;
/// Most runs kept apart. Each is left by a checkpoint that was installed before older history had come.
const RUNS_MAX: usize = 32;

/// A run of revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The first revision.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The Merkle leaf of the last one: another ledger has another one there.
    pub leaf: Hash32,
}

/// How many entries there are, and a sum over all of them that does not depend on their order. sled forgets what does
/// not read, in silence; this tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    /// Whether there are no more entries than in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.count <= other.count
    }

    /// Counts an entry in, which must be new.
    pub fn count(&mut self, key: &[u8], value: &[u8]) {
        let mut head = [0; 8];
        head.copy_from_slice(&Hash32::of(&[&key.len().to_be_bytes(), key, value]).0[..8]);
        self.count += 1;
        self.sum = self.sum.wrapping_add(u64::from_be_bytes(head));
    }
}

/// The position of the index in one record's ledger. The oldest part of a ledger may come after its newest, so this is a
/// list of runs and not one number: each part is indexed when it is here, and what adjoins is joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coverage {
    scheme: u32,
    /// Oldest first, apart from each other.
    runs: Vec<Run>,
    /// The entries of all of them.
    pub tally: Tally,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { scheme: SCHEME, runs: Vec::new(), tally: Tally::default() }
    }
}

impl Coverage {
    /// What was noted last; none if this program cannot go on from it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        code::decode::<Self>("index position", bytes).ok().filter(|coverage| coverage.scheme == SCHEME)
    }

    /// The form that is noted; within the size of an index value, for there are at most `RUNS_MAX` runs.
    pub fn encode(&self) -> Vec<u8> {
        code::encode(self)
    }

    /// The runs, oldest first.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What of the runs held is not reflected yet, oldest first.
    pub fn gaps(&self, held: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        for &(first, last) in held {
            let mut next = first;
            for run in self.runs.iter().filter(|run| run.last >= first && run.first <= last) {
                if run.first > next {
                    gaps.push((next, run.first - 1));
                }
                next = next.max(run.last + 1);
            }
            if next <= last {
                gaps.push((next, last));
            }
        }
        gaps
    }

    /// Takes in a run that lies in a gap; false if there would be too many to keep.
    #[must_use]
    pub fn add(&mut self, run: Run) -> bool {
        let at = self.runs.partition_point(|known| known.first < run.first);
        self.runs.insert(at, run);
        self.runs.dedup_by(|later, earlier| {
            let joins = earlier.last + 1 == later.first;
            if joins {
                (earlier.last, earlier.leaf) = (later.last, later.leaf);
            }
            joins
        });
        self.runs.len() <= RUNS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64) -> Run {
        Run { first, last, leaf: Hash32::of(&[&last.to_be_bytes()]) }
    }

    fn coverage(runs: &[(u64, u64)]) -> Coverage {
        let mut coverage = Coverage::default();
        assert!(runs.iter().all(|(first, last)| coverage.add(run(*first, *last))));
        coverage
    }

    #[test]
    fn gaps_are_what_is_held_and_not_reflected() {
        for (held, runs, gaps) in [
            (&[(1, 9)][..], &[][..], &[(1, 9)][..]),
            (&[(1, 9)], &[(1, 9)], &[]),
            (&[(1, 9)], &[(1, 4)], &[(5, 9)]),
            (&[(1, 9)], &[(3, 4), (7, 7)], &[(1, 2), (5, 6), (8, 9)]),
            (&[(5, 9)], &[(1, 20)], &[]),
            (&[(5, 9)], &[(1, 5), (9, 20)], &[(6, 8)]),
            (&[(1, 3), (8, 9)], &[(2, 8)], &[(1, 1), (9, 9)]),
        ] {
            assert_eq!(coverage(runs).gaps(held), gaps, "{held:?} {runs:?}");
        }
    }

    #[test]
    fn runs_that_adjoin_are_one_in_whatever_order_they_come() {
        let parts = [(1, 4), (5, 5), (6, 9), (12, 14)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 2, 1]] {
            let coverage = coverage(&order.map(|at| parts[at]));
            assert_eq!(coverage.runs(), [run(1, 9), run(12, 14)], "{order:?}");
        }
    }

    #[test]
    fn what_is_noted_fits_and_is_read_again() {
        let mut most = Coverage::default();
        for n in 0..RUNS_MAX as u64 {
            assert!(most.add(run(u64::MAX / 2 + 3 * n, u64::MAX / 2 + 3 * n + 1)));
        }
        assert!(most.encode().len() <= shouwang_store::index::MAX_VALUE_BYTES);
        assert_eq!(Coverage::decode(&most.encode()), Some(most.clone()));
        assert!(!most.add(run(1, 1)));
        assert_eq!(Coverage::decode(b"?"), None);
        let older = Coverage { scheme: SCHEME + 1, ..Coverage::default() };
        assert_eq!(Coverage::decode(&older.encode()), None);
    }

    #[test]
    fn a_lost_a_changed_and_a_foreign_entry_are_all_told() {
        let tally = |keys: &[&str]| {
            let mut tally = Tally::default();
            for key in keys {
                let (key, value) = key.split_once('=').unwrap_or((key, ""));
                tally.count(key.as_bytes(), value.as_bytes());
            }
            tally
        };
        let known = tally(&["a", "b", "c"]);
        assert_eq!(known, tally(&["c", "a", "b"]));
        for wrong in [&["a", "b"][..], &["a", "b", "d"], &["a", "b", "c", "d"], &["a", "b", "b"], &["a", "b", "c=1"]] {
            assert_ne!(known, tally(wrong), "{wrong:?}");
        }
    }
}
