//! What an event is about: the objects whose history people ask for. Every figure on a screen stands on ledger records,
//! and these names lead from the one to the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::channel::{DownMessage, UpMessage};
use crate::ids::{CommandId, LotId, MissionId, MunicipalityCode, PledgeId, RequestId, StoreId};
use crate::resource::Resource;

/// An object of a record. Obligations and discrepancies are told by their mission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A store (库).
    Store(StoreId),
    /// A lot, team or vehicle (批次).
    Lot(LotId),
    /// A pledge or an addressed offer (承诺).
    Pledge(PledgeId),
    /// An aid request (支援请求).
    Request(RequestId),
    /// A mission (调派).
    Mission(MissionId),
    /// A change of the charter (协议变更).
    Change(CommandId),
    /// A working number (业务编号), used or void.
    Number(String),
    /// What a member publishes of a resource.
    Figure(MunicipalityCode, Resource),
    /// What a registry keeps of a resource: floors, visibility, what regions were told.
    Resource(Resource),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(id) => write!(f, "stores/{id}"),
            Self::Lot(id) => write!(f, "lots/{id}"),
            Self::Pledge(id) => write!(f, "pledges/{id}"),
            Self::Request(id) => write!(f, "requests/{id}"),
            Self::Mission(id) => write!(f, "missions/{id}"),
            Self::Change(id) => write!(f, "changes/{id}"),
            Self::Number(number) => f.write_str(number),
            Self::Figure(member, resource) => write!(f, "published/{member}/{resource}"),
            Self::Resource(resource) => write!(f, "resources/{resource}"),
        }
    }
}

/// What a message of a registry is about.
pub fn of_up(message: &UpMessage) -> Vec<Subject> {
    use UpMessage as U;
    match message {
        U::Publish(publication) => vec![Subject::Resource(publication.resource.clone())],
        U::Pledge(made) => {
            let request = made.for_line.map(|(request, _)| Subject::Request(request));
            [Subject::Pledge(made.pledge)].into_iter().chain(request).collect()
        }
        U::WithdrawPledge { pledge, .. } | U::Overdrawn { pledge, .. } | U::OverdraftCovered { pledge, .. } => {
            vec![Subject::Pledge(*pledge)]
        }
        U::Request(made) => vec![Subject::Request(made.request), Subject::Number(made.number.clone())],
        U::Answer(given) => vec![Subject::Request(given.request), Subject::Number(given.number.clone())],
        U::Committed { mission, .. }
        | U::CancelAcknowledged { mission }
        | U::Revoke { mission, .. }
        | U::RestockReceived { mission, .. }
        | U::RestockVerified { mission, .. } => vec![Subject::Mission(*mission)],
        U::Fact(fact) => vec![Subject::Mission(fact.mission)],
    }
}

/// What a message to a registry is about.
pub fn of_down(message: &DownMessage) -> Vec<Subject> {
    use DownMessage as D;
    match message {
        D::Outcome { .. } => Vec::new(),
        D::Released { pledge, .. } => vec![Subject::Pledge(*pledge)],
        D::Ordered(notice) | D::Inbound(notice) => {
            vec![Subject::Mission(notice.mission), Subject::Number(notice.number.clone())]
        }
        D::CancelRequested { mission, .. }
        | D::Ended { mission, .. }
        | D::LostInTransit { mission, .. }
        | D::DispatchCorrected { mission, .. }
        | D::Owed { mission, .. } => vec![Subject::Mission(*mission)],
        D::Fact(fact) => vec![Subject::Mission(fact.mission)],
    }
}
