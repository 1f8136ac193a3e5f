//! Signed heads of a ledger as files: what one member keeps of another's ledger, so that a copy cut off or rewritten
//! later shows.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::head::{Head, SignedHead};
use shouwang_driver::Ed25519Verifier;
use shouwang_proto::v1;

use super::client::failure;
use crate::api::convert::charter::read_algorithm;
use crate::api::fields::read_node;
use crate::exit::{Exit, Failure};
use crate::pki::files::read_text;
use crate::pki::signing::hex;

/// A head as JSON: everything in hex digits and words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFile {
    record: Hash32,
    epoch: u32,
    revision: u64,
    root: Hash32,
    node: String,
    algorithm: SignatureAlgorithm,
    public_key: Bytes,
    signature: Bytes,
}

impl HeadFile {
    /// The head that a node gave, if it is well formed.
    pub fn of(given: v1::GetRegionHeadResponse) -> Option<Self> {
        // A scheme that this program does not know proves nothing; left out, it is the default.
        let algorithm = v1::SignatureAlgorithm::try_from(given.algorithm).ok()?;
        Some(Self {
            record: Hash32::from_hex(&given.record)?,
            epoch: given.epoch,
            revision: given.revision,
            root: Hash32::from_hex(&given.root)?,
            node: given.node,
            algorithm: read_algorithm(algorithm).unwrap_or_default(),
            public_key: Bytes(given.public_key),
            signature: Bytes(given.signature),
        })
    }

    /// One row for people.
    pub fn row(&self) -> Vec<String> {
        vec![self.revision.to_string(), self.root.to_string(), self.node.clone(), hex(&self.public_key.0)]
    }

    /// The head, once its signature has been found to hold.
    pub fn signed(&self) -> Option<SignedHead> {
        let head = Head { record: self.record, epoch: self.epoch, revision: self.revision, root: self.root };
        let signed = SignedHead {
            head,
            node: read_node(&self.node)?,
            algorithm: self.algorithm,
            public_key: self.public_key.clone(),
            signature: self.signature.clone(),
        };
        signed.holds(&Ed25519Verifier).then_some(signed)
    }
}

/// Reads a head that was kept.
///
/// # Errors
/// A file that cannot be read, is no head, or whose signature does not hold.
pub fn load(path: &Path) -> Result<SignedHead, Failure> {
    let text = read_text(path)?;
    let refused = |zh: &str, en: &str| {
        let path = path.display();
        failure(Exit::BadInput, "HEAD_FILE", format!("{path}：{zh}"), format!("{path}: {en}"))
    };
    let file: HeadFile = serde_json::from_str(&text).map_err(|_| {
        refused("不是账本头（shouwang ledger head -o json）", "it is no ledger head (shouwang ledger head -o json)")
    })?;
    file.signed().ok_or_else(|| refused("签名不成立", "its signature does not hold"))
}

#[cfg(test)]
mod tests {
    use shouwang_driver::{Ed25519Signer, Signer as _};

    use super::*;

    fn given() -> v1::GetRegionHeadResponse {
        let key = Ed25519Signer::from_seed(&[7; 32]).unwrap();
        let head = Head { record: Hash32::of(&[b"r"]), epoch: 0, revision: 9, root: Hash32::of(&[b"root"]) };
        v1::GetRegionHeadResponse {
            record: head.record.to_string(),
            epoch: head.epoch,
            revision: head.revision,
            root: head.root.to_string(),
            node: "150300/1".to_owned(),
            algorithm: v1::SignatureAlgorithm::Ed25519.into(),
            public_key: key.public_key(),
            signature: key.sign(&head.signed_message()),
            grown: Vec::new(),
        }
    }

    #[test]
    fn a_head_holds_as_it_was_signed_and_not_otherwise() {
        let signed = |given| HeadFile::of(given).and_then(|file| file.signed());
        let whole = signed(given()).unwrap();
        assert_eq!((whole.node.municipality().get(), whole.node.number(), whole.head.revision), (150_300, 1, 9));
        assert_eq!(signed(v1::GetRegionHeadResponse { algorithm: 0, ..given() }), Some(whole));
        for other in [
            v1::GetRegionHeadResponse { algorithm: 99, ..given() },
            v1::GetRegionHeadResponse { revision: 10, ..given() },
            v1::GetRegionHeadResponse { root: String::new(), ..given() },
            v1::GetRegionHeadResponse { node: "150300/01".to_owned(), ..given() },
        ] {
            assert_eq!(signed(other.clone()), None, "{other:?}");
        }
    }
}
