//! Who acts: a pseudonymous operator with a role, speaking for one municipality.

use serde::{Deserialize, Serialize};

use crate::ids::{MunicipalityCode, NodeId};

/// The post an operator fills. What each may do stands in each machine's rights table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 值班员: writes down, asks, reports.
    Duty,
    /// 签发: the signing leader; pledges, orders, answers for the municipality.
    Leader,
    /// 库管: keeps stores and teams, dispatches and receives.
    Keeper,
    /// 联络员: coordinates for the region at the hub.
    Coordinator,
    /// 秘书处: reads and reports for the joint meeting.
    Secretariat,
    /// 上级督导: reads everything, changes nothing.
    Superior,
    /// 管理员: runs the node.
    Admin,
    /// The node itself: its courier and its timers.
    Node,
}

impl Role {
    /// Every role, in the order of the rights table.
    pub const ALL: [Self; 8] = [
        Self::Duty,
        Self::Leader,
        Self::Keeper,
        Self::Coordinator,
        Self::Secretariat,
        Self::Superior,
        Self::Admin,
        Self::Node,
    ];

    /// The word in certificates, commands and ledgers.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Duty => "duty",
            Self::Leader => "leader",
            Self::Keeper => "keeper",
            Self::Coordinator => "coordinator",
            Self::Secretariat => "secretariat",
            Self::Superior => "superior",
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }
}

/// An operator as the ledger knows him: never by name (domain.md §2: persons never enter a ledger).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The municipality he speaks for.
    pub municipality: MunicipalityCode,
    /// His pseudonymous id, 1 to 64 characters.
    pub operator: String,
    /// The post he fills.
    pub role: Role,
}

impl Actor {
    /// A node that speaks by itself.
    pub fn node(node: NodeId) -> Self {
        Self { municipality: node.municipality(), operator: format!("node-{}", node.number()), role: Role::Node }
    }

    /// Whether both stand for the same person of the same municipality (the two-person rule, domain.md §6.9).
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.municipality == other.municipality && self.operator == other.operator
    }
}
