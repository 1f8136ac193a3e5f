//! Proofs that a ledger record is part of a record's history.

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_store::StoreError;
use shouwang_store::ledger::LedgerReader;

use crate::Result;
use crate::error::DriverError;

/// Ledger records read at once, and their bytes.
const PAGE: (usize, usize) = (4096, 4 << 20);

/// What proves one ledger record (RFC 6962 §2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The revision proven.
    pub revision: u64,
    /// Number of ledger records the root covers.
    pub size: u64,
    /// Hash of the record's bytes as a leaf.
    pub leaf: Hash32,
    /// Audit path from the leaf to the root.
    pub path: Vec<Hash32>,
    /// The Merkle root over `size` records.
    pub root: Hash32,
}

impl InclusionProof {
    /// Whether `bytes` are the ledger record this proof is about.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let index = self.revision.checked_sub(1);
        let root = index.and_then(|index| merkle::root_from_path(merkle::leaf(bytes), index, self.size, &self.path));
        root == Some(self.root)
    }
}

/// Climbs from a revision to the root over all leaves.
pub(crate) fn include(revision: u64, leaves: &[Hash32], root: Hash32) -> Result<InclusionProof> {
    let (size, index) = (leaves.len() as u64, revision.checked_sub(1).and_then(|index| usize::try_from(index).ok()));
    let index = index.filter(|_| revision <= size).ok_or(DriverError::OutOfRange { revision, oldest: 1 })?;
    Ok(InclusionProof { revision, size, leaf: leaves[index], path: merkle::path(index, leaves), root })
}

/// The leaves of the ledger up to `size`, which lead to this root. What the disk does not have yet is `newest`.
pub(crate) fn leaves(
    id: RecordId,
    ledger: &LedgerReader,
    newest: impl Fn(u64) -> Vec<Vec<u8>>,
    (size, root): (u64, Hash32),
) -> Result<Vec<Hash32>> {
    let oldest = ledger.first().unwrap_or(size + 1);
    if oldest > 1 {
        return Err(DriverError::OutOfRange { revision: 1, oldest });
    }
    let mut leaves = Vec::new();
    each(ledger, newest, (0, size), |bytes| leaves.push(merkle::leaf(bytes)))?;
    if merkle::root(&leaves) != root {
        let detail = "it does not have the root the state names; run a check of the disk and fetch it anew".to_owned();
        return Err(DriverError::Unfit { id, what: "the ledger", detail });
    }
    Ok(leaves)
}

/// The tree over the ledger up to `through`, grown out of an earlier one by what lies on the disk and nowhere else.
pub(crate) fn grow(ledger: &LedgerReader, mut tree: Frontier, through: u64) -> Result<Frontier> {
    each(ledger, |_| Vec::new(), (tree.size(), through), |bytes| tree.push(merkle::leaf(bytes)))?;
    Ok(tree)
}

/// Hands every record behind the first `read` ones to `take`, up to `through`. What the disk does not have yet is `newest`.
fn each(
    ledger: &LedgerReader,
    newest: impl Fn(u64) -> Vec<Vec<u8>>,
    (mut read, through): (u64, u64),
    mut take: impl FnMut(&[u8]),
) -> Result<()> {
    while read < through {
        let mut page: Vec<_> = match ledger.read(read + 1, PAGE.0, PAGE.1) {
            Ok(page) => page.into_iter().map(|(_, bytes)| bytes).collect(),
            Err(StoreError::OutOfRange { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if page.is_empty() {
            page = newest(read + 1);
        }
        if page.is_empty() {
            let oldest = ledger.first().unwrap_or(through + 1);
            return Err(DriverError::OutOfRange { revision: read + 1, oldest });
        }
        let left = usize::try_from(through - read).unwrap_or(usize::MAX);
        page.truncate(left);
        for bytes in &page {
            take(bytes);
        }
        read += page.len() as u64;
    }
    Ok(())
}
