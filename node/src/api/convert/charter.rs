//! The charter and its changes.

use shouwang_domain::charter::{Charter, CharterChange, Member, MemberNode, Rules, Standing, Voting};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::CommandId;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::state::Change;
use shouwang_proto::{admin, v1};

use super::compensation::{basis, read_basis};
use super::words::{enumeration, node, time};
use super::{RegionRequest, Respond, plain_responses, region_requests};
use crate::api::fields::{Named as _, Parsing};
use crate::api::request_key::RequestKey;

/// Most nodes of a member in one change.
const NODES_MAX: usize = 16;
/// Most neighbours of a member.
const NEIGHBOURS_MAX: usize = 64;
/// The longest public key in any scheme there is or may be, bytes.
const KEY_BYTES_MAX: usize = 4096;

enumeration! {
    /// A standing's word on the wire.
    standing, read_standing: Standing = v1::Standing { Party <=> Party, Superior <=> Superior, Observer <=> Observer }
}

enumeration! {
    /// A voting rule's word on the wire.
    voting, read_voting: Voting = v1::Voting {
        Majority <=> Majority, TwoThirds <=> TwoThirds, Unanimous <=> Unanimous,
    }
}

enumeration! {
    /// A signature scheme's word on the wire.
    algorithm, read_algorithm: SignatureAlgorithm = v1::SignatureAlgorithm { Ed25519 <=> Ed25519 }
}

region_requests! {
    v1::ProposeChangeRequest, |request, p| {
        if request.base_version == 0 {
            p.violate("base_version", "必填：所据协议版本", "required: the charter version it is drawn on");
        }
        let change = read_change(p, request.change.as_ref());
        Some(R::ProposeChange { base_version: request.base_version, change: change? })
    };
    v1::SignChangeRequest, |request, p| Some(R::SignChange { change: p.id("change", &request.change)? });
}

impl RegionRequest for admin::v1::SetVoterRequest {
    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn region(&self) -> &str {
        &self.region
    }

    fn command(&self, p: &mut Parsing<'_>) -> Option<R> {
        Some(R::SetVoter { node: p.node("node", &self.node)?, voter: self.voter })
    }
}

impl RegionRequest for admin::v1::RaiseLevelRequest {
    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn region(&self) -> &str {
        &self.region
    }

    fn command(&self, p: &mut Parsing<'_>) -> Option<R> {
        if self.to == 0 {
            p.violate("to", "必填：下一功能级别", "required: the next feature level");
            return None;
        }
        Some(R::RaiseLevel { to: self.to })
    }
}

plain_responses! { SignChangeResponse }

impl Respond<R> for admin::v1::SetVoterResponse {
    fn respond(outcome: v1::Outcome, _command: &R, _key: &RequestKey) -> Self {
        Self { outcome: Some(outcome) }
    }
}

impl Respond<R> for admin::v1::RaiseLevelResponse {
    fn respond(outcome: v1::Outcome, _command: &R, _key: &RequestKey) -> Self {
        Self { outcome: Some(outcome) }
    }
}

impl Respond<R> for v1::ProposeChangeResponse {
    fn respond(outcome: v1::Outcome, _command: &R, key: &RequestKey) -> Self {
        Self { outcome: Some(outcome), change: key.command().name() }
    }
}

fn read_change(p: &mut Parsing<'_>, change: Option<&v1::CharterChange>) -> Option<CharterChange> {
    use v1::charter_change::Change as Kind;
    let Some(change) = change.and_then(|change| change.change.as_ref()) else {
        p.violate("change", "必填：恰有一项变更", "required: exactly one change");
        return None;
    };
    match change {
        Kind::Rules(rules) => read_rules(p, rules).map(CharterChange::Rules),
        Kind::AdmitMember(member) => read_member(p, member).map(CharterChange::AdmitMember),
        Kind::RemoveMember(code) => p.municipality("change.remove_member", code).map(CharterChange::RemoveMember),
        Kind::AddNode(node) => read_node(p, "change.add_node", node).map(CharterChange::AddNode),
        Kind::RemoveNode(node) => p.node("change.remove_node", node).map(CharterChange::RemoveNode),
        Kind::Hub(code) => p.municipality("change.hub", code).map(CharterChange::Hub),
        Kind::RotateKey(rotation) => {
            let node = p.node("change.rotate_key.node", &rotation.node);
            let algorithm = read_scheme(p, "change.rotate_key.algorithm", rotation.algorithm);
            let public_key = read_key(p, "change.rotate_key.public_key", &rotation.public_key);
            let old_until = p.time("change.rotate_key.old_until", rotation.old_until.as_ref());
            Some(CharterChange::RotateKey {
                node: node?,
                algorithm: algorithm?,
                public_key: public_key?,
                old_until: old_until?,
            })
        }
    }
}

fn read_rules(p: &mut Parsing<'_>, rules: &v1::Rules) -> Option<Rules> {
    let voting = p.chosen("change.rules.voting", rules.voting, read_voting);
    let basis = p.chosen("change.rules.basis", rules.basis, read_basis);
    let (hold_minutes_max, paper_hours) = (rules.hold_minutes_max, rules.paper_hours);
    Some(Rules { voting: voting?, hold_minutes_max, paper_hours, basis: basis? })
}

fn read_member(p: &mut Parsing<'_>, member: &v1::Member) -> Option<Member> {
    let at = |name: &str| format!("change.admit_member.{name}");
    let code = p.municipality(&at("code"), &member.code);
    let name = p.text(&at("title"), &member.title, 100);
    let short = p.text(&at("short"), &member.short, 4);
    let standing = p.chosen(&at("standing"), member.standing, read_standing);
    let superior = p.optional_municipality(&at("superior"), &member.superior);
    p.count(&at("neighbours"), member.neighbours.len(), 0, NEIGHBOURS_MAX)?;
    p.count(&at("nodes"), member.nodes.len(), 1, NODES_MAX)?;
    let neighbours = member.neighbours.iter().enumerate();
    let neighbours: Vec<_> =
        neighbours.map(|(i, code)| p.municipality(&at(&format!("neighbours[{i}]")), code)).collect();
    let nodes = member.nodes.iter().enumerate();
    let nodes: Vec<_> = nodes.map(|(i, node)| read_node(p, &at(&format!("nodes[{i}]")), node)).collect();
    Some(Member {
        code: code?,
        name: name?,
        short: short?,
        standing: standing?,
        superior: superior?,
        neighbours: neighbours.into_iter().collect::<Option<_>>()?,
        nodes: nodes.into_iter().collect::<Option<_>>()?,
    })
}

fn read_node(p: &mut Parsing<'_>, field: &str, node: &v1::MemberNode) -> Option<MemberNode> {
    let id = p.node(&format!("{field}.node"), &node.node);
    let algorithm = read_scheme(p, &format!("{field}.algorithm"), node.algorithm);
    let public_key = read_key(p, &format!("{field}.public_key"), &node.public_key);
    Some(MemberNode { node: id?, algorithm: algorithm?, public_key: public_key?, retiring: None, voter: node.voter })
}

fn read_scheme(p: &mut Parsing<'_>, field: &str, value: i32) -> Option<SignatureAlgorithm> {
    p.optional_chosen(field, value, read_algorithm).map(Option::unwrap_or_default)
}

fn read_key(p: &mut Parsing<'_>, field: &str, key: &[u8]) -> Option<Bytes> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Some(Bytes(key.to_vec()));
    }
    p.violate(field, "必填：公钥", "required: the public key");
    None
}

fn rules(rules: &Rules) -> v1::Rules {
    v1::Rules {
        voting: voting(rules.voting).into(),
        hold_minutes_max: rules.hold_minutes_max,
        paper_hours: rules.paper_hours,
        basis: basis(rules.basis).into(),
    }
}

fn member_node(entry: &MemberNode) -> v1::MemberNode {
    v1::MemberNode {
        node: node(entry.node),
        algorithm: algorithm(entry.algorithm).into(),
        public_key: entry.public_key.0.clone(),
        voter: entry.voter,
        retiring_until: entry.retiring.as_ref().and_then(|(_, until)| time(*until)),
    }
}

fn member(member: &Member) -> v1::Member {
    v1::Member {
        code: member.code.to_string(),
        title: member.name.clone(),
        short: member.short.clone(),
        standing: standing(member.standing).into(),
        superior: member.superior.map(|code| code.to_string()).unwrap_or_default(),
        neighbours: member.neighbours.iter().map(ToString::to_string).collect(),
        nodes: member.nodes.iter().map(member_node).collect(),
    }
}

/// The charter in force.
pub fn charter(charter: &Charter) -> v1::Charter {
    v1::Charter {
        federation: charter.federation.clone(),
        title: charter.name.clone(),
        version: charter.version,
        hub: charter.hub.to_string(),
        members: charter.members.iter().map(member).collect(),
        rules: Some(rules(&charter.rules)),
    }
}

fn what(change: &CharterChange) -> v1::CharterChange {
    use v1::charter_change::Change as Kind;
    let change = match change {
        CharterChange::Rules(new) => Kind::Rules(rules(new)),
        CharterChange::AdmitMember(new) => Kind::AdmitMember(member(new)),
        CharterChange::RemoveMember(code) => Kind::RemoveMember(code.to_string()),
        CharterChange::AddNode(new) => Kind::AddNode(member_node(new)),
        CharterChange::RemoveNode(old) => Kind::RemoveNode(node(*old)),
        CharterChange::RotateKey { node: of, algorithm: scheme, public_key, old_until } => {
            Kind::RotateKey(v1::KeyRotation {
                node: node(*of),
                algorithm: algorithm(*scheme).into(),
                public_key: public_key.0.clone(),
                old_until: time(*old_until),
            })
        }
        CharterChange::Hub(code) => Kind::Hub(code.to_string()),
    };
    v1::CharterChange { change: Some(change) }
}

/// A change of the charter on record.
pub fn change(charter: &Charter, id: CommandId, change: &Change) -> v1::Change {
    v1::Change {
        name: id.name(),
        change: Some(what(&change.change)),
        base_version: change.base_version,
        signed: change.signed.iter().map(ToString::to_string).collect(),
        needed: charter.rules.voting.needed(charter.parties()),
        in_force: change.in_force.unwrap_or_default(),
    }
}
