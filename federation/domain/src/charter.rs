//! The charter (联动协议): who is a member, with which nodes and keys, and by which rules. Every founder signs the first;
//! its hash names the region.

use serde::{Deserialize, Serialize};

use crate::code;
use crate::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use crate::ids::{MunicipalityCode, NodeId};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Most voters of a region: more would cost every write without making it safer.
pub const VOTERS_MAX: usize = 7;
/// Most members of a region.
pub const MEMBERS_MAX: usize = 512;

/// What a member is in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A party: signs, pledges, asks.
    Party,
    /// A common superior: reads everything; may own stock that a party keeps.
    Superior,
    /// Reads only (a secretariat of its own).
    Observer,
}

/// A node of a member and the key it signs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberNode {
    /// The node.
    pub node: NodeId,
    /// The scheme of its key.
    pub algorithm: SignatureAlgorithm,
    /// Its public key.
    pub public_key: Bytes,
    /// The key it had before, in force until that time (the overlap of a rotation).
    pub retiring: Option<(Bytes, Timestamp)>,
    /// Whether it votes in the region's Raft group. A vote carries no authority.
    pub voter: bool,
}

/// A member of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its GB/T 2260 code.
    pub code: MunicipalityCode,
    /// Its name, e.g. 乌海市.
    pub name: String,
    /// One character for working numbers, e.g. 乌.
    pub short: String,
    /// What it is here.
    pub standing: Standing,
    /// The government above it.
    pub superior: Option<MunicipalityCode>,
    /// Who borders it.
    pub neighbours: Vec<MunicipalityCode>,
    /// Its nodes.
    pub nodes: Vec<MemberNode>,
}

/// How many parties must sign a change of the charter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// More than half.
    Majority,
    /// At least two thirds.
    TwoThirds,
    /// All.
    Unanimous,
}

impl Voting {
    /// How many of `parties` must sign.
    pub fn needed(self, parties: u32) -> u32 {
        match self {
            Self::Majority => parties / 2 + 1,
            Self::TwoThirds => (2 * parties).div_ceil(3),
            Self::Unanimous => parties,
        }
    }
}

/// On which ground a debt stands (domain.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// 协议补库: who uses restocks.
    Restock,
    /// 责任企业承担: the liable enterprise pays; the requester restocks first.
    LiableEnterprise,
    /// 无偿救助: given without return.
    FreeAid,
    /// 征用补偿 (突发事件应对法, on requisition).
    Requisition,
    /// 代储合同价: at the price of the storage contract.
    ContractPrice,
    /// 慈善不补偿: charity is not repaid.
    Charity,
}

/// The rules the members agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Who must sign a change.
    pub voting: Voting,
    /// A hold lapses after at most this long without a signature, minutes.
    pub hold_minutes_max: u32,
    /// Paper after a spoken approval, hours (default 48; the charter's own rule, no statute).
    pub paper_hours: u32,
    /// The ground on which a debt for consumed goods stands unless the parties say otherwise.
    pub basis: Basis,
}

impl Default for Rules {
    fn default() -> Self {
        Self { voting: Voting::TwoThirds, hold_minutes_max: 120, paper_hours: 48, basis: Basis::Restock }
    }
}

/// The charter of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// The federation whose certificates the nodes carry.
    pub federation: String,
    /// The region's name, e.g. 乌海应急联动区域.
    pub name: String,
    /// Grows by one with every change in force; the first is 1.
    pub version: u32,
    /// The regional hub.
    pub hub: MunicipalityCode,
    /// The members, by code.
    pub members: Vec<Member>,
    /// The rules.
    pub rules: Rules,
}

/// Separates these signatures from every other use of the same key.
const CHARTER_DOMAIN: &[u8] = b"shouwang.charter.v1\0";

impl Charter {
    /// A member by its code.
    pub fn member(&self, code: MunicipalityCode) -> Option<&Member> {
        self.members.iter().find(|member| member.code == code)
    }

    /// Every node of every member.
    pub fn nodes(&self) -> impl Iterator<Item = (&Member, &MemberNode)> {
        self.members.iter().flat_map(|member| member.nodes.iter().map(move |node| (member, node)))
    }

    /// The number of parties: those whose signature counts.
    pub fn parties(&self) -> u32 {
        let parties = self.members.iter().filter(|member| member.standing == Standing::Party).count();
        // At most MEMBERS_MAX.
        u32::try_from(parties).unwrap_or(u32::MAX)
    }

    /// What a founder signs.
    pub fn signed_message(&self) -> Vec<u8> {
        [CHARTER_DOMAIN, &Hash32::of(&[&code::encode(self)]).0].concat()
    }

    /// Whether the charter makes sense as a whole.
    ///
    /// # Errors
    /// Says which field contradicts which rule.
    pub fn validate(&self) -> Result<(), Refusal> {
        let hub = self.member(self.hub).ok_or_else(|| Refusal::field("charter.hub", "must be a member"))?;
        if hub.standing != Standing::Party {
            return Err(Refusal::field("charter.hub", "must be a party"));
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(Refusal::field("charter.members", "at most 512"));
        }
        let mut codes: Vec<_> = self.members.iter().map(|member| member.code).collect();
        codes.sort_unstable();
        codes.dedup();
        if codes.len() != self.members.len() {
            return Err(Refusal::field("charter.members", "every code once"));
        }
        let mut nodes: Vec<_> = self.nodes().map(|(_, node)| node.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.len() != self.nodes().count() {
            return Err(Refusal::field("charter.members.nodes", "every node once"));
        }
        if self.nodes().any(|(member, node)| node.node.municipality() != member.code) {
            return Err(Refusal::field("charter.members.nodes", "a node id begins with its member's code"));
        }
        let voters = self.nodes().filter(|(_, node)| node.voter).count();
        if !(1..=VOTERS_MAX).contains(&voters) {
            return Err(Refusal::field("charter.members.nodes.voter", "1 to 7 voters"));
        }
        if !(1..=1440).contains(&self.rules.hold_minutes_max) || !(1..=720).contains(&self.rules.paper_hours) {
            return Err(Refusal::field("charter.rules", "hold 1 to 1440 minutes, paper 1 to 720 hours"));
        }
        Ok(())
    }
}

/// A founder's signature under the first charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FounderSignature {
    /// The node that signs for its municipality.
    pub node: NodeId,
    /// Signature over [`Charter::signed_message`].
    pub signature: Bytes,
}

/// The founding document of a region: the first charter. The signatures travel beside it and are not part of the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCharter {
    /// The first charter.
    pub charter: Charter,
    /// One signature per party.
    pub signatures: Vec<FounderSignature>,
}

impl SignedCharter {
    /// The parties that have not signed yet, or signed something else.
    pub fn missing(&self, verifier: &dyn Verifier) -> Vec<MunicipalityCode> {
        let message = self.charter.signed_message();
        let signed = |member: &Member| {
            self.signatures.iter().any(|signature| {
                member.nodes.iter().any(|node| {
                    node.node == signature.node
                        && verifier.verify(node.algorithm, &node.public_key.0, &message, &signature.signature.0)
                })
            })
        };
        let parties = self.charter.members.iter().filter(|member| member.standing == Standing::Party);
        parties.filter(|member| !signed(member)).map(|member| member.code).collect()
    }
}

/// A change of the charter, in force once the voting rule is met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CharterChange {
    /// New rules.
    Rules(Rules),
    /// A new member with its first nodes, as learners.
    AdmitMember(Member),
    /// A member leaves; nothing of it may still be open.
    RemoveMember(MunicipalityCode),
    /// One more node of a member, as a learner.
    AddNode(MemberNode),
    /// A node leaves for ever.
    RemoveNode(NodeId),
    /// A new key for a node; the old one stays in force until the time given.
    RotateKey {
        /// Which node.
        node: NodeId,
        /// The new key's scheme.
        algorithm: SignatureAlgorithm,
        /// The new public key.
        public_key: Bytes,
        /// End of the overlap.
        old_until: Timestamp,
    },
    /// Another hub.
    Hub(MunicipalityCode),
}

impl Charter {
    /// The charter after a change.
    ///
    /// # Errors
    /// The change contradicts the charter or its rules.
    pub fn changed(&self, change: &CharterChange) -> Result<Self, Refusal> {
        let mut next = self.clone();
        next.version += 1;
        match change {
            CharterChange::Rules(rules) => next.rules = rules.clone(),
            CharterChange::Hub(hub) => next.hub = *hub,
            CharterChange::AdmitMember(member) => {
                if member.nodes.iter().any(|node| node.voter) {
                    return Err(Refusal::field("member.nodes.voter", "a new node joins as a learner"));
                }
                next.members.push(member.clone());
                next.members.sort_by_key(|member| member.code);
            }
            CharterChange::RemoveMember(code) => {
                self.member(*code).ok_or_else(|| Refusal::not_found("member", code))?;
                next.members.retain(|member| member.code != *code);
            }
            CharterChange::AddNode(node) => {
                if node.voter {
                    return Err(Refusal::field("node.voter", "a new node joins as a learner"));
                }
                let code = node.node.municipality();
                let member = next.members.iter_mut().find(|member| member.code == code);
                member.ok_or_else(|| Refusal::not_found("member", code))?.nodes.push(node.clone());
            }
            CharterChange::RemoveNode(node) => {
                next.node_mut(*node)?;
                next.members.iter_mut().for_each(|member| member.nodes.retain(|n| n.node != *node));
            }
            CharterChange::RotateKey { node, algorithm, public_key, old_until } => {
                let entry = next.node_mut(*node)?;
                entry.retiring = Some((entry.public_key.clone(), *old_until));
                (entry.algorithm, entry.public_key) = (*algorithm, public_key.clone());
            }
        }
        next.validate()?;
        Ok(next)
    }

    /// The entry of a node.
    ///
    /// # Errors
    /// No member has that node.
    pub fn node_mut(&mut self, node: NodeId) -> Result<&mut MemberNode, Refusal> {
        let mut nodes = self.members.iter_mut().flat_map(|member| member.nodes.iter_mut());
        nodes.find(|entry| entry.node == node).ok_or_else(|| Refusal::not_found("node", node))
    }
}
