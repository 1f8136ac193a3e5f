//! Signed heads of a ledger as files: what one member keeps of another's ledger, so that a copy cut off or rewritten
//! later shows.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shouwang_domain::command::CommandProof;
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::head::{Head, SignedHead};
use shouwang_domain::region::heads::CountersignedHead;
use shouwang_domain::time::Timestamp;
use shouwang_driver::Ed25519Verifier;
use shouwang_proto::v1;

use super::client::failure;
use super::ledger_words::KeptWord;
use crate::api::convert::charter::read_algorithm;
use crate::api::convert::words::node as name_of;
use crate::api::fields::read_node;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
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
    /// What the nodes of the region had countersigned by then. Heads kept before there was any have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    countersigned: Vec<CountersignedHead>,
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
            countersigned: given.countersigned.into_iter().map(countersigned).collect::<Option<_>>()?,
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

    /// The word of the node that gave it, and those of all who have countersigned, once every signature has been found to
    /// hold.
    fn kept(&self) -> Option<Vec<KeptWord>> {
        let SignedHead { head, node, public_key, .. } = self.signed()?;
        let own = KeptWord { head, node, public_key, stands_at: None };
        let others = self.countersigned.iter().map(|word| {
            let head = word.head(self.record, &Ed25519Verifier)?;
            let (node, public_key) = (word.proof.node, word.proof.public_key.clone());
            Some(KeptWord { head, node, public_key, stands_at: Some(word.stands_at) })
        });
        std::iter::once(Some(own)).chain(others).collect()
    }

    /// One row for each countersignature, for people: whose, up to which revision, when, and whether this ledger has that
    /// root there. `None` if a signature does not hold.
    pub fn countersigned_rows(&self, lang: Lang) -> Option<Vec<Vec<String>>> {
        let told = |word: &CountersignedHead| {
            let head = word.head(self.record, &Ed25519Verifier)?;
            let agrees = match (word.agrees, lang) {
                (true, _) => "-",
                (false, Lang::Zh) => "与本账本不符",
                (false, Lang::En) => "contradicts this ledger",
            };
            let (node, revision, root) = (name_of(word.proof.node), head.revision.to_string(), head.root.to_string());
            Some(vec![node, revision, root, crate::words::moment(&word.at.to_string()), agrees.to_owned()])
        };
        self.countersigned.iter().map(told).collect()
    }
}

/// A countersignature as a node gave it, if it is well formed.
fn countersigned(given: v1::Countersignature) -> Option<CountersignedHead> {
    let algorithm = v1::SignatureAlgorithm::try_from(given.algorithm).ok()?;
    let path = given.path.iter().map(|hash| Some(Hash32(hash.as_slice().try_into().ok()?)));
    let proof = CommandProof {
        node: read_node(&given.node)?,
        public_key: Bytes(given.public_key),
        signature_algorithm: read_algorithm(algorithm).unwrap_or_default(),
        signature: Bytes(given.signature),
        index: given.index,
        count: given.count,
        path: path.collect::<Option<_>>()?,
    };
    let at = given
        .at
        .map(|at| Timestamp(at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000)))
        .unwrap_or_default();
    let (epoch, stands_at, agrees) = (given.epoch, given.stands_at, given.agrees);
    Some(CountersignedHead { epoch, stands_at, agrees, at, bytes: Bytes(given.command), proof })
}

/// Reads a head that was kept: the word of the node that gave it, and those of all who had countersigned by then.
///
/// # Errors
/// A file that cannot be read, is no head, or of which a signature does not hold.
pub fn load(path: &Path) -> Result<Vec<KeptWord>, Failure> {
    let text = read_text(path)?;
    let refused = |zh: &str, en: &str| {
        let path = path.display();
        failure(Exit::BadInput, "HEAD_FILE", format!("{path}：{zh}"), format!("{path}: {en}"))
    };
    let file: HeadFile = serde_json::from_str(&text).map_err(|_| {
        refused("不是账本头（shouwang ledger head -o json）", "it is no ledger head (shouwang ledger head -o json)")
    })?;
    file.kept().ok_or_else(|| refused("签名不成立", "a signature in it does not hold"))
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
            countersigned: Vec::new(),
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
