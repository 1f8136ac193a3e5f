//! The charter as files: a draft that people write (TOML), and the signed charter that nodes found a region from (JSON).

use std::path::Path;

use serde::Deserialize;
use shouwang_domain::charter::{
    Basis, Charter, FounderSignature, Member, MemberNode, Rules, SignedCharter, Standing, Voting,
};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{MunicipalityCode, NodeId, RegionId};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_driver::Ed25519Verifier;

use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::nesting::from_toml;
use crate::pki::SigningKey;
use crate::pki::files::read_text;

/// The largest charter file that is read, bytes.
const CHARTER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A charter as a drafter writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    federation: String,
    name: String,
    hub: MunicipalityCode,
    #[serde(default)]
    rules: DraftRules,
    members: Vec<DraftMember>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftRules {
    voting: Option<Voting>,
    hold_minutes_max: Option<u32>,
    paper_hours: Option<u32>,
    basis: Option<Basis>,
}

/// A member as a drafter writes it; also the file of a `charter admit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftMember {
    code: MunicipalityCode,
    name: String,
    short: String,
    standing: Standing,
    superior: Option<MunicipalityCode>,
    #[serde(default)]
    neighbours: Vec<MunicipalityCode>,
    nodes: Vec<DraftNode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftNode {
    number: u32,
    key: String,
    #[serde(default)]
    voter: bool,
}

impl DraftMember {
    fn member(self) -> Result<Member, String> {
        let code = self.code;
        let node = |node: DraftNode| {
            Ok(MemberNode {
                node: NodeId::new(code, node.number).map_err(|error| error.to_string())?,
                algorithm: SignatureAlgorithm::Ed25519,
                public_key: public_key(&node.key)?,
                retiring: None,
                voter: node.voter,
            })
        };
        Ok(Member {
            code,
            name: self.name,
            short: self.short,
            standing: self.standing,
            superior: self.superior,
            neighbours: self.neighbours,
            nodes: self.nodes.into_iter().map(node).collect::<Result<_, String>>()?,
        })
    }
}

/// A record-signing public key from the 64 hex digits that `shouwang init` prints.
///
/// # Errors
/// Says what is wrong with the text.
pub fn public_key(text: &str) -> Result<Bytes, String> {
    let hash = shouwang_domain::hash::Hash32::from_hex(text);
    let bytes = hash.ok_or_else(|| format!("{text}: a signing key is 64 hex digits / 签名公钥应为 64 位十六进制"))?;
    Ok(Bytes(bytes.0.to_vec()))
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Failure {
    let path = path.display();
    let text = Bilingual::new(format!("{path} 有误：{why}"), format!("{path}: {why}"));
    Failure::new(Exit::BadInput, "CHARTER_FILE", text)
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    if text.len() > CHARTER_BYTES_MAX { Err(bad(path, "larger than 4 MiB")) } else { Ok(text) }
}

/// Reads a draft and makes the charter of it, without signatures.
///
/// # Errors
/// A file that cannot be read, is no draft, or contradicts itself.
pub fn draft(path: &Path) -> Result<SignedCharter, Failure> {
    let draft: Draft = from_toml(&read(path)?).map_err(|error| bad(path, error))?;
    let usual = Rules::default();
    let rules = Rules {
        voting: draft.rules.voting.unwrap_or(usual.voting),
        hold_minutes_max: draft.rules.hold_minutes_max.unwrap_or(usual.hold_minutes_max),
        paper_hours: draft.rules.paper_hours.unwrap_or(usual.paper_hours),
        basis: draft.rules.basis.unwrap_or(usual.basis),
    };
    let members = draft.members.into_iter().map(DraftMember::member).collect::<Result<Vec<_>, _>>();
    let mut members = members.map_err(|why| bad(path, why))?;
    members.sort_by_key(|member| member.code);
    let charter =
        Charter { federation: draft.federation, name: draft.name, version: 1, hub: draft.hub, members, rules };
    charter.validate().map_err(|refusal| bad(path, refusal))?;
    Ok(SignedCharter { charter, signatures: Vec::new() })
}

/// Reads a member to be admitted (the same table as in a draft).
///
/// # Errors
/// A file that cannot be read or is no member.
pub fn member(path: &Path) -> Result<Member, Failure> {
    let member: DraftMember = from_toml(&read(path)?).map_err(|error| bad(path, error))?;
    member.member().map_err(|why| bad(path, why))
}

/// Reads a charter file, signed or not.
///
/// # Errors
/// A file that cannot be read or is no charter.
pub fn load(path: &Path) -> Result<SignedCharter, Failure> {
    let signed: SignedCharter = serde_json::from_str(&read(path)?).map_err(|error| bad(path, error))?;
    signed.charter.validate().map_err(|refusal| bad(path, refusal))?;
    Ok(signed)
}

/// Reads a charter that every party has signed.
///
/// # Errors
/// As [`load`], or names the parties whose signature is missing or wrong.
pub fn load_complete(path: &Path) -> Result<SignedCharter, Failure> {
    let signed = load(path)?;
    let missing = signed.missing(&Ed25519Verifier);
    if missing.is_empty() {
        return Ok(signed);
    }
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    Err(bad(path, format!("not signed by 尚未签署: {}", missing.join(", "))))
}

/// Adds a founder's signature; signing twice changes nothing.
///
/// # Errors
/// The node is no founder's, or the charter names another key for it.
pub fn sign(signed: &mut SignedCharter, node: NodeId, key: &SigningKey) -> Result<(), Failure> {
    let found = signed.charter.nodes().find(|(_, entry)| entry.node == node);
    let name = crate::api::convert::words::node(node);
    let refuse = |zh: String, en: String| Err(Failure::new(Exit::Permission, "CHARTER_SIGN", Bilingual::new(zh, en)));
    match found {
        None => refuse(format!("协议中没有节点 {name}"), format!("the charter names no node {name}")),
        Some((_, entry)) if entry.public_key.0 != key.public_key() => refuse(
            format!("协议中节点 {name} 的公钥与本节点签名密钥不符"),
            format!("the charter names another key for node {name} than this node's signing key"),
        ),
        Some(_) => {
            signed.signatures.retain(|signature| signature.node != node);
            let signature = Bytes(key.sign(&signed.charter.signed_message()));
            signed.signatures.push(FounderSignature { node, signature });
            signed.signatures.sort_by_key(|signature| signature.node);
            Ok(())
        }
    }
}

/// The region's name among records: the hash of its first charter.
pub fn region_id(charter: &Charter) -> RegionId {
    Record::<Region>::id_of(charter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAFT: &str = r#"
        federation = "wuhai"
        name = "乌海应急联动区域"
        hub = 150300
        [rules]
        voting = "majority"
        [[members]]
        code = 150300
        name = "乌海市"
        short = "乌"
        standing = "party"
        superior = 150000
        [[members.nodes]]
        number = 1
        voter = true
        key = "KEY"
    "#;

    #[test]
    fn a_draft_is_signed_by_its_founders_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::create(&dir.path().join("a.key")).unwrap();
        let other = SigningKey::create(&dir.path().join("b.key")).unwrap();
        let path = dir.path().join("draft.toml");
        std::fs::write(&path, DRAFT.replace("KEY", &key.public_hex())).unwrap();
        let mut signed = draft(&path).unwrap();
        let node = NodeId::try_from(1_503_000_001).unwrap();
        assert_eq!(signed.missing(&Ed25519Verifier).len(), 1);
        assert_eq!(sign(&mut signed, node, &other).unwrap_err().code, "CHARTER_SIGN");
        sign(&mut signed, node, &key).unwrap();
        sign(&mut signed, node, &key).unwrap();
        assert_eq!(signed.signatures.len(), 1);
        let file = dir.path().join("charter.json");
        std::fs::write(&file, serde_json::to_string(&signed).unwrap()).unwrap();
        assert_eq!(load_complete(&file).unwrap(), signed);
        let mut altered = signed;
        altered.charter.rules.paper_hours = 1;
        std::fs::write(&file, serde_json::to_string(&altered).unwrap()).unwrap();
        assert_eq!(load_complete(&file).unwrap_err().exit, Exit::BadInput);
    }

    #[test]
    fn a_bad_draft_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("draft.toml");
        for (text, told) in [
            (DRAFT.to_owned(), "64 hex"),
            (DRAFT.replace("KEY", &"0".repeat(64)).replace("hub = 150300", "hub = 150400"), "charter.hub"),
            (DRAFT.replace("voting", "votting"), "votting"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(draft(&path).unwrap_err().to_string().contains(told), "{told}");
        }
    }
}
