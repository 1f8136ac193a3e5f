//! The head of a ledger: how long it is and what its tree's root is, signed by a node that holds it. Whoever keeps one
//! notices when a copy of the ledger is cut off before it, or tells another story up to it.

use serde::{Deserialize, Serialize};

use crate::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use crate::ids::{NodeId, RecordId};

/// Separates these signatures from every other use of the same key.
const HEAD_DOMAIN: &[u8] = b"shouwang.head.v1\0";

/// A ledger up to a revision, in 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of which record.
    pub record: RecordId,
    /// In which epoch.
    pub epoch: u32,
    /// How many ledger records.
    pub revision: u64,
    /// The Merkle root over them (RFC 6962 §2.1).
    pub root: Hash32,
}

impl Head {
    /// What a node signs.
    pub fn signed_message(&self) -> Vec<u8> {
        let parts: [&[u8]; 5] =
            [HEAD_DOMAIN, &self.record.0, &self.epoch.to_be_bytes(), &self.revision.to_be_bytes(), &self.root.0];
        parts.concat()
    }
}

/// A head with the word of the node that holds the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What is said.
    pub head: Head,
    /// Who says it.
    pub node: NodeId,
    /// The scheme of its key.
    pub algorithm: SignatureAlgorithm,
    /// The key it signed with.
    pub public_key: Bytes,
    /// The signature over [`Head::signed_message`].
    pub signature: Bytes,
}

impl SignedHead {
    /// Whether the key it names has signed it. Whether that key is the node's, the charter tells.
    pub fn holds(&self, verifier: &dyn Verifier) -> bool {
        verifier.verify(self.algorithm, &self.public_key.0, &self.head.signed_message(), &self.signature.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_names_record_epoch_length_and_root() {
        let head = Head { record: Hash32::of(&[b"r"]), epoch: 1, revision: 7, root: Hash32::of(&[b"root"]) };
        for other in [
            Head { record: Hash32::of(&[b"s"]), ..head },
            Head { epoch: 2, ..head },
            Head { revision: 8, ..head },
            Head { root: Hash32::of(&[b"other"]), ..head },
        ] {
            assert_ne!(head.signed_message(), other.signed_message());
        }
        assert_eq!(head.signed_message(), Head { ..head }.signed_message());
    }
}
