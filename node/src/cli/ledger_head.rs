//! Signed heads of a ledger as files: what one member keeps of another's ledger, so that a copy cut off or rewritten
//! later shows.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::head::{Head, SignedHead};
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_driver::Ed25519Verifier;
use shouwang_proto::v1::GetRegionHeadResponse;

use super::client::failure;
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
    pub fn of(given: GetRegionHeadResponse) -> Option<Self> {
        let algorithm = match given.algorithm.as_str() {
            "Ed25519" => SignatureAlgorithm::Ed25519,
            _ => return None,
        };
        Some(Self {
            record: Hash32::from_hex(&given.record)?,
            epoch: given.epoch,
            revision: given.revision,
            root: Hash32::from_hex(&given.root)?,
            node: given.node,
            algorithm,
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
        let (code, number) = self.node.split_once('/')?;
        let code = MunicipalityCode::new(code.parse().ok()?).ok()?;
        let head = Head { record: self.record, epoch: self.epoch, revision: self.revision, root: self.root };
        let signed = SignedHead {
            head,
            node: NodeId::new(code, number.parse().ok()?).ok()?,
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
