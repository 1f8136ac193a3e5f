//! Changes of a charter: drawn up by one party, in force once the voting rule is met.

use std::path::PathBuf;

use clap::Subcommand;
use shouwang_domain::charter as domain;
use shouwang_domain::ids::NodeId;
use shouwang_proto::v1::{
    CharterChange, KeyRotation, Member, MemberNode, ProposeChangeRequest, Rules, SignChangeRequest, SignatureAlgorithm,
    Standing, charter_change,
};

use super::client::{Client, carry};
use super::parse::{self, Key, When};
use super::{region_view, words};
use crate::charter;
use crate::exit::Failure;

/// The verbs that change the charter.
#[derive(Debug, Subcommand)]
pub enum ChangeVerb {
    /// Admit a member (the table of a charter draft, TOML) 接纳成员（协议草案中的成员表，TOML）
    Admit {
        /// The member's file 成员文件
        file: PathBuf,
    },
    /// A member leaves; nothing of it may still be open 成员退出
    Remove {
        /// Its code 代码
        #[arg(value_parser = parse::municipality)]
        code: String,
    },
    /// One more node of a member, as a learner 增加节点
    AddNode {
        /// The node, such as 150300/2 节点
        #[arg(value_parser = parse::node)]
        node: String,
        /// Its public signing key, 64 hex digits 签名公钥
        #[arg(value_parser = parse::key)]
        key: Key,
    },
    /// A node leaves for ever 撤除节点
    RemoveNode {
        /// The node 节点
        #[arg(value_parser = parse::node)]
        node: String,
    },
    /// A new signing key for a node 更换节点密钥
    RotateKey {
        /// The node 节点
        #[arg(value_parser = parse::node)]
        node: String,
        /// The new public key, 64 hex digits 新公钥
        #[arg(value_parser = parse::key)]
        key: Key,
        /// Until when the old key stays in force 旧密钥有效期至
        #[arg(long, value_name = "TIME", default_value = "+1d", value_parser = parse::when)]
        old_until: When,
    },
    /// Another hub 变更区域中心
    Hub {
        /// Its code 代码
        #[arg(value_parser = parse::municipality)]
        code: String,
    },
    /// New rules; what is not given stays 修改规则，未给出的不变
    Rules {
        /// How many parties must sign a change 表决规则
        #[arg(long, value_parser = words::VOTING.parser())]
        voting: Option<i32>,
        /// A hold lapses after at most this many minutes 占用时限（分钟）
        #[arg(long, value_name = "MINUTES")]
        hold_minutes_max: Option<u32>,
        /// Paper after a spoken approval, hours 补办手续（小时）
        #[arg(long, value_name = "HOURS")]
        paper_hours: Option<u32>,
        /// The ground of debts unless the parties say otherwise 补偿依据
        #[arg(long, value_parser = words::BASIS.parser())]
        basis: Option<i32>,
    },
    /// Sign a change 会签变更
    Sign {
        /// The change 变更
        change: String,
    },
}

/// Runs a verb that changes the charter.
///
/// # Errors
/// As [`Client::change`]; a member's file that cannot be used.
pub async fn run(client: &Client, verb: ChangeVerb) -> Result<(), Failure> {
    use charter_change::Change;
    let change = match verb {
        ChangeVerb::Sign { change } => {
            let (mut api, region) = (region_view::api(client), client.region.clone());
            return carry!(client, api, "region sign", sign_change, SignChangeRequest { region, change });
        }
        ChangeVerb::Admit { file } => Change::AdmitMember(told(&charter::member(&file)?)),
        ChangeVerb::Remove { code } => Change::RemoveMember(code),
        ChangeVerb::AddNode { node, key } => Change::AddNode(MemberNode {
            node,
            algorithm: SignatureAlgorithm::Ed25519.into(),
            public_key: key.0,
            voter: false,
            retiring_until: None,
        }),
        ChangeVerb::RemoveNode { node } => Change::RemoveNode(node),
        ChangeVerb::RotateKey { node, key, old_until } => Change::RotateKey(KeyRotation {
            node,
            algorithm: SignatureAlgorithm::Ed25519.into(),
            public_key: key.0,
            old_until: Some(client.moment(old_until)),
        }),
        ChangeVerb::Hub { code } => Change::Hub(code),
        ChangeVerb::Rules { voting, hold_minutes_max, paper_hours, basis } => {
            let now = region_view::read(client, false, true).await?.charter.unwrap_or_default().rules;
            let now = now.unwrap_or_default();
            Change::Rules(Rules {
                voting: voting.unwrap_or(now.voting),
                hold_minutes_max: hold_minutes_max.unwrap_or(now.hold_minutes_max),
                paper_hours: paper_hours.unwrap_or(now.paper_hours),
                basis: basis.unwrap_or(now.basis),
            })
        }
    };
    propose(client, change).await
}

/// Draws the change up on the charter in force.
async fn propose(client: &Client, change: charter_change::Change) -> Result<(), Failure> {
    let base_version = region_view::read(client, false, true).await?.charter.unwrap_or_default().version;
    let (mut api, region) = (region_view::api(client), client.region.clone());
    let change = Some(CharterChange { change: Some(change) });
    carry!(client, api, "region change", propose_change, ProposeChangeRequest { region, base_version, change })
}

/// A member as the contract writes it.
fn told(member: &domain::Member) -> Member {
    let standing = match member.standing {
        domain::Standing::Party => Standing::Party,
        domain::Standing::Superior => Standing::Superior,
        domain::Standing::Observer => Standing::Observer,
    };
    let node = |node: &domain::MemberNode| MemberNode {
        node: name(node.node),
        algorithm: SignatureAlgorithm::Ed25519.into(),
        public_key: node.public_key.0.clone(),
        voter: node.voter,
        retiring_until: None,
    };
    Member {
        code: member.code.to_string(),
        title: member.name.clone(),
        short: member.short.clone(),
        standing: standing.into(),
        superior: member.superior.map(|code| code.to_string()).unwrap_or_default(),
        neighbours: member.neighbours.iter().map(ToString::to_string).collect(),
        nodes: member.nodes.iter().map(node).collect(),
    }
}

/// A node as the contract names it, `150300/1`.
fn name(node: NodeId) -> String {
    node.spoken()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_draft_is_told_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("member.toml");
        let text = format!(
            "code = 152900\nname = \"阿拉善盟\"\nshort = \"阿\"\nstanding = \"party\"\nsuperior = 150000\n\
             neighbours = [150300]\n[[nodes]]\nnumber = 2\nkey = \"{}\"\n",
            "ab".repeat(32)
        );
        std::fs::write(&path, text).unwrap();
        let member = told(&charter::member(&path).unwrap());
        assert_eq!((member.code.as_str(), member.superior.as_str()), ("152900", "150000"));
        assert_eq!(member.standing(), Standing::Party);
        assert_eq!((member.nodes[0].node.as_str(), member.nodes[0].public_key.len()), ("152900/2", 32));
    }
}
