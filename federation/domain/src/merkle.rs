//! The Merkle tree over a record's ledger and over the commands of a batch (RFC 6962 §2.1): leaves and inner nodes are
//! hashed with different prefixes, so that neither can be passed off as the other.

use serde::{Deserialize, Serialize};

use crate::hash::Hash32;

/// Hash of a leaf: SHA-256(0x00 ‖ bytes).
pub fn leaf(bytes: &[u8]) -> Hash32 {
    Hash32::of(&[&[0], bytes])
}

fn node(left: &Hash32, right: &Hash32) -> Hash32 {
    Hash32::of(&[&[1], &left.0, &right.0])
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first. O(log n) to append and to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash32>,
}

impl Frontier {
    /// Adds a leaf hash.
    pub fn push(&mut self, leaf: Hash32) {
        let mut carry = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            // One peak stands for every set bit of the size.
            let left = self.peaks.pop().expect("a set bit has its peak");
            carry = node(&left, &carry);
            size >>= 1;
        }
        self.peaks.push(carry);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves; the hash of nothing for an empty tree.
    pub fn root(&self) -> Hash32 {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Hash32::of(&[]),
            Some(last) => peaks.fold(*last, |right, left| node(left, &right)),
        }
    }
}

/// The root over some leaf hashes.
pub fn root(leaves: &[Hash32]) -> Hash32 {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

fn split(size: usize) -> usize {
    // The largest power of two smaller than size (RFC 6962: k < n ≤ 2k).
    size.next_power_of_two() / 2
}

/// The audit path of leaf `index` among `leaves`, from the leaf upwards (RFC 6962 §2.1.1).
pub fn path(index: usize, leaves: &[Hash32]) -> Vec<Hash32> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (mut steps, sibling) = if index < k {
        (path(index, &leaves[..k]), root(&leaves[k..]))
    } else {
        (path(index - k, &leaves[k..]), root(&leaves[..k]))
    };
    steps.push(sibling);
    steps
}

/// The audit paths of all leaves at once, each as [`path`] gives it: two hashes per leaf instead of one per pair of leaves.
pub fn paths(leaves: &[Hash32]) -> Vec<Vec<Hash32>> {
    fn climb(leaves: &[Hash32], paths: &mut [Vec<Hash32>]) -> Hash32 {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (left_paths, right_paths) = paths.split_at_mut(left.len());
        let (left_root, right_root) = (climb(left, left_paths), climb(right, right_paths));
        for path in left_paths {
            path.push(right_root);
        }
        for path in right_paths {
            path.push(left_root);
        }
        node(&left_root, &right_root)
    }
    let mut paths = vec![Vec::new(); leaves.len()];
    if !leaves.is_empty() {
        climb(leaves, &mut paths);
    }
    paths
}

/// The root that a leaf at `index` of `size` and its audit path lead to, or `None` if the path has the wrong length.
pub fn root_from_path(leaf: Hash32, index: u64, size: u64, steps: &[Hash32]) -> Option<Hash32> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for step in steps {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(step, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// What shows that the tree over `leaves` grew out of the tree over the first `older` of them (RFC 6962 §2.1.2); nothing if
/// there are not so many.
pub fn consistency(older: usize, leaves: &[Hash32]) -> Vec<Hash32> {
    /// `whole`: the older tree is one whole subtree here, whose root its keeper knows.
    fn climb(older: usize, leaves: &[Hash32], whole: bool) -> Vec<Hash32> {
        if older == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut steps, sibling) = match older.checked_sub(left.len()) {
            None | Some(0) => (climb(older, left, whole), root(right)),
            Some(beyond) => (climb(beyond, right, false), root(left)),
        };
        steps.push(sibling);
        steps
    }
    if older == 0 || older > leaves.len() { Vec::new() } else { climb(older, leaves, true) }
}

/// Whether these steps show that the newer tree, of so many leaves and with that root, grew out of the older one (RFC 9162
/// §2.1.4.2).
pub fn grew(older: (u64, Hash32), newer: (u64, Hash32), steps: &[Hash32]) -> bool {
    if older.0 == 0 || older.0 >= newer.0 {
        // Nothing grows into anything, and what has not grown is the same.
        return steps.is_empty() && (older == newer || older == (0, Hash32::of(&[])));
    }
    let (mut at, mut last) = (older.0 - 1, newer.0 - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // A tree of 2^k leaves is one subtree of the newer one.
    let mut steps = steps.iter();
    let begin = if at == 0 { Some(&older.1) } else { steps.next() };
    let Some((mut old, mut new)) = begin.map(|hash| (*hash, *hash)) else { return false };
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (old, new) = (node(step, &old), node(step, &new));
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node(&new, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && (old, new) == (older.1, newer.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tree_shows_that_it_grew_out_of_every_older_one_and_of_no_other() {
        let leaves: Vec<_> = (0..40u64).map(|n| leaf(&n.to_be_bytes())).collect();
        let tree = |size: usize| (size as u64, root(&leaves[..size]));
        for newer in 0..leaves.len() {
            for older in 0..=newer {
                let steps = consistency(older, &leaves[..newer]);
                assert!(grew(tree(older), tree(newer), &steps), "{older} to {newer}");
                let mut rewritten = leaves[..older].to_vec();
                if let Some(last) = rewritten.last_mut() {
                    *last = leaf(b"planted");
                    assert!(
                        !grew((older as u64, root(&rewritten)), tree(newer), &steps),
                        "{older} to {newer}, rewritten"
                    );
                }
                for wrong in [older + 1, older.wrapping_sub(1)].into_iter().filter(|wrong| *wrong < newer && older > 0)
                {
                    assert!(!grew((wrong as u64, tree(older).1), tree(newer), &steps), "{older} as {wrong} to {newer}");
                }
                for cut in 0..steps.len() {
                    let without: Vec<_> = [&steps[..cut], &steps[cut + 1..]].concat();
                    assert!(!grew(tree(older), tree(newer), &without), "{older} to {newer} without step {cut}");
                }
            }
        }
        assert!(!grew(tree(7), tree(5), &[]), "a tree does not shrink");
    }

    #[test]
    fn every_leaf_of_every_tree_proves_itself_and_no_other() {
        for size in 0..40u64 {
            let leaves: Vec<_> = (0..size).map(|n| leaf(&n.to_be_bytes())).collect();
            let mut frontier = Frontier::default();
            for leaf in &leaves {
                frontier.push(*leaf);
            }
            let all = paths(&leaves);
            for index in 0..leaves.len() {
                let steps = path(index, &leaves);
                assert_eq!(all[index], steps, "{index} of {size}");
                let proven = |leaf, index| root_from_path(leaf, index, size, &steps);
                assert_eq!(proven(leaves[index], index as u64), Some(frontier.root()), "{index} of {size}");
                assert_ne!(proven(leaf(b"planted"), index as u64), Some(frontier.root()));
                if size > 1 {
                    assert_ne!(proven(leaves[index], (index as u64 + 1) % size), Some(frontier.root()));
                }
            }
        }
    }

    #[test]
    fn a_path_of_the_wrong_length_proves_nothing() {
        let leaves: Vec<_> = (0..5u8).map(|n| leaf(&[n])).collect();
        let mut steps = path(1, &leaves);
        steps.pop();
        assert_eq!(root_from_path(leaves[1], 1, 5, &steps), None);
        assert_eq!(root_from_path(leaves[1], 5, 5, &steps), None);
    }
}
