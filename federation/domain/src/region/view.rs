//! Reading the region: what edges, reports and couriers may look at.

use serde::Serialize;

use super::Region;
use super::lifecycle::MissionState;
use super::state::{
    Answered, Change, Channel, Discrepancy, DiscrepancyKey, LineEnd, Mission, Obligation, ObligationKey, Pledge,
    Published, Request,
};
use crate::channel::DownMessage;
use crate::charter::Charter;
use crate::ids::{CommandId, LineNumber, MissionId, MunicipalityCode, NodeId, PledgeId, RequestId};
use crate::level;
use crate::quantity::Qty;
use crate::resource::Resource;

/// Where a line stands, derived from its missions: never stored, so never wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// 已发出
    Open,
    /// 部分落实
    PartlyCommitted,
    /// 全部落实
    Committed,
    /// 调运中
    Moving,
    /// 到位
    Arrived,
    /// 使用中
    InUse,
    /// 核销中
    Accounting,
    /// 结算中
    Settling,
    /// 已办结
    Closed,
    /// 撤回
    Withdrawn,
    /// 到期
    Expired,
    /// 无法满足
    Unmet,
    /// 争议
    Disputed,
}

impl LineState {
    /// The word on screens.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Open => "已发出",
            Self::PartlyCommitted => "部分落实",
            Self::Committed => "全部落实",
            Self::Moving => "调运中",
            Self::Arrived => "到位",
            Self::InUse => "使用中",
            Self::Accounting => "核销中",
            Self::Settling => "结算中",
            Self::Closed => "已办结",
            Self::Withdrawn => "撤回",
            Self::Expired => "到期",
            Self::Unmet => "无法满足",
            Self::Disputed => "争议",
        }
    }

    /// The word in the API.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::PartlyCommitted => "partly_committed",
            Self::Committed => "committed",
            Self::Moving => "moving",
            Self::Arrived => "arrived",
            Self::InUse => "in_use",
            Self::Accounting => "accounting",
            Self::Settling => "settling",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Unmet => "unmet",
            Self::Disputed => "disputed",
        }
    }
}

impl Region {
    /// The charter in force.
    pub fn charter(&self) -> &Charter {
        &self.head.charter
    }

    /// Changes of the charter, waiting or in force.
    pub fn changes(&self) -> impl Iterator<Item = (&CommandId, &Change)> {
        self.changes.iter()
    }

    /// Where a member's courier stands.
    pub fn channel(&self, member: MunicipalityCode) -> Channel {
        self.channels.get(&member).cloned().unwrap_or_default()
    }

    /// Messages addressed to a member from `number` on, at most `max`.
    pub fn messages_for(
        &self,
        member: MunicipalityCode,
        number: u64,
        max: usize,
    ) -> impl Iterator<Item = (u64, &DownMessage)> {
        self.outbox
            .range((member, number)..=(member, u64::MAX))
            .take(max)
            .map(|((_, number), message)| (*number, message))
    }

    /// What members have published.
    pub fn published(&self) -> impl Iterator<Item = (&(MunicipalityCode, Resource, bool), &Published)> {
        self.published.iter()
    }

    /// A pledge.
    pub fn pledge(&self, id: PledgeId) -> Option<&Pledge> {
        self.pledges.get(&id)
    }

    /// Every pledge.
    pub fn pledges(&self) -> impl Iterator<Item = (&PledgeId, &Pledge)> {
        self.pledges.iter()
    }

    /// A request.
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.requests.get(&id)
    }

    /// Every request.
    pub fn requests(&self) -> impl Iterator<Item = (&RequestId, &Request)> {
        self.requests.iter()
    }

    /// Answers to a request.
    pub fn answers(
        &self,
        id: RequestId,
    ) -> impl Iterator<Item = (&(RequestId, LineNumber, MunicipalityCode), &Answered)> {
        self.answers.iter().filter(move |((request, _, _), _)| *request == id)
    }

    /// Up to which feature level a node has said that its program goes along.
    pub fn node_level(&self, node: NodeId) -> u32 {
        self.node_levels.get(&node).copied().unwrap_or(level::FIRST)
    }

    /// A mission.
    pub fn mission(&self, id: MissionId) -> Option<&Mission> {
        self.missions.get(&id)
    }

    /// Every mission.
    pub fn missions(&self) -> impl Iterator<Item = (&MissionId, &Mission)> {
        self.missions.iter()
    }

    /// Every discrepancy.
    pub fn discrepancies(&self) -> impl Iterator<Item = (&DiscrepancyKey, &Discrepancy)> {
        self.discrepancies.iter()
    }

    /// Every obligation.
    pub fn obligations(&self) -> impl Iterator<Item = (&ObligationKey, &Obligation)> {
        self.obligations.iter()
    }

    /// Where a line stands.
    pub fn line_state(&self, id: RequestId, number: LineNumber) -> Option<LineState> {
        let request = self.requests.get(&id)?;
        let (asked, line) = request.line(number)?;
        let missions: Vec<&Mission> = line.missions.iter().filter_map(|id| self.missions.get(id)).collect();
        // What never left, or came back undelivered, has done nothing for the line.
        let idle = |state: MissionState| state.is_void() || state == MissionState::TurnedBack;
        let live: Vec<&&Mission> = missions.iter().filter(|mission| !idle(mission.state)).collect();
        let of_line = |id: &MissionId| line.missions.contains(id);
        let disputed = self.discrepancies.iter().any(|((id, _), d)| of_line(id) && d.closed_at.is_none());
        let owed = self.obligations.iter().any(|((id, _), debt)| of_line(id) && debt.settled_at.is_none());
        if request.closed_at.is_some() {
            return Some(LineState::Closed);
        }
        if live.is_empty() && !disputed {
            return Some(match &line.end {
                Some(LineEnd::Withdrawn) => LineState::Withdrawn,
                Some(LineEnd::Expired) => LineState::Expired,
                Some(LineEnd::Closed) => LineState::Closed,
                None if line.unmet => LineState::Unmet,
                None => LineState::Open,
            });
        }
        let counted = |states: &dyn Fn(MissionState) -> bool| -> Qty {
            live.iter().filter(|mission| states(mission.state)).map(|mission| mission.counts_for_line()).sum()
        };
        let over = live.iter().all(|mission| mission.state.is_over());
        let furthest = |state: MissionState| live.iter().any(|mission| mission.state == state);
        Some(if disputed {
            LineState::Disputed
        } else if over && owed {
            LineState::Settling
        } else if over || furthest(MissionState::Returned) || furthest(MissionState::Demobilised) {
            LineState::Accounting
        } else if furthest(MissionState::OnSite) || furthest(MissionState::Accounted) {
            LineState::InUse
        } else if counted(&|state| state == MissionState::Delivered) >= asked.qty {
            LineState::Arrived
        } else if furthest(MissionState::Dispatched) || furthest(MissionState::Delivered) {
            LineState::Moving
        } else if counted(&|state| !matches!(state, MissionState::Held | MissionState::Ordered)) >= asked.qty {
            LineState::Committed
        } else if counted(&|state| !matches!(state, MissionState::Held | MissionState::Ordered)).is_zero() {
            LineState::Open
        } else {
            LineState::PartlyCommitted
        })
    }

    /// What a pledge's holder has pledged here in all: escrowed now, overdrafts included.
    pub fn pledged_by(&self, holder: MunicipalityCode) -> Qty {
        self.pledges.values().filter(|pledge| pledge.holder == holder).map(|pledge| pledge.total).sum()
    }
}
