//! Life cycles as tables: the code runs them, the docs draw them, the edges read them to offer the next steps.
//!
//! Missions move by two kinds of step. *Intentions* (hold, order, cancel …) are legal only where a row says so.
//! *Facts* are legal everywhere and late: they lift a mission to the stage they prove and never set it back.

use serde::{Deserialize, Serialize};

/// Who may take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The requester's side.
    Requester,
    /// The requester or the hub.
    RequesterOrHub,
    /// The holder's registry, through its courier.
    Holder,
    /// The owner of the goods, or the holder for it.
    Creditor,
    /// Who owes.
    Debtor,
    /// A deadline.
    Clock,
    /// The record itself, as a consequence.
    Record,
}

/// One row of a life cycle.
#[derive(Clone, Copy, Debug)]
pub struct Row<S: 'static> {
    /// From any of these.
    pub from: &'static [S],
    /// By this step.
    pub step: &'static str,
    /// To this.
    pub to: S,
    /// Who may.
    pub who: Party,
    /// Under which condition, for people.
    pub guard: &'static str,
}

/// Where a mission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissionState {
    /// 占用: taken from a pledge, waiting for the requester's signature.
    Held,
    /// 已下令: signed; on its way to the owner's registry.
    Ordered,
    /// 已落实: the owner's registry has set it aside.
    Committed,
    /// 备货
    Picking,
    /// 取消中: waiting for the owner to say that nothing left.
    Cancelling,
    /// 已出发
    Dispatched,
    /// 已送达
    Delivered,
    /// 使用中
    OnSite,
    /// 解除任务
    Demobilised,
    /// 已返还
    Returned,
    /// 已核销: every unit is accounted for.
    Accounted,
    /// 占用到期
    Lapsed,
    /// 释放占用
    HoldReleased,
    /// 已取消
    Cancelled,
    /// 已折返
    TurnedBack,
    /// 已撤销 by its owner, before departure.
    Revoked,
}

use MissionState as M;

impl M {
    /// Every state.
    pub const ALL: [Self; 16] = [
        M::Held,
        M::Ordered,
        M::Committed,
        M::Picking,
        M::Cancelling,
        M::Dispatched,
        M::Delivered,
        M::OnSite,
        M::Demobilised,
        M::Returned,
        M::Accounted,
        M::Lapsed,
        M::HoldReleased,
        M::Cancelled,
        M::TurnedBack,
        M::Revoked,
    ];

    /// Ended without anything having left.
    pub fn is_void(self) -> bool {
        matches!(self, M::Lapsed | M::HoldReleased | M::Cancelled | M::Revoked)
    }

    /// Ended one way or the other.
    pub fn is_over(self) -> bool {
        self.is_void() || matches!(self, M::Accounted | M::TurnedBack)
    }

    /// Nothing has left yet, as far as the record knows.
    pub fn is_before_departure(self) -> bool {
        matches!(self, M::Held | M::Ordered | M::Committed | M::Picking | M::Cancelling)
    }

    /// How far along a movement this is; facts only lift it.
    fn stage(self) -> u8 {
        match self {
            M::Held
            | M::Ordered
            | M::Committed
            | M::Cancelling
            | M::Lapsed
            | M::HoldReleased
            | M::Cancelled
            | M::Revoked => 0,
            M::Picking => 1,
            M::Dispatched => 2,
            M::Delivered => 3,
            M::OnSite => 4,
            M::Demobilised => 5,
            M::Returned => 6,
            M::TurnedBack | M::Accounted => 7,
        }
    }

    /// The state after a fact that proves `reached`.
    #[must_use]
    pub fn lifted_to(self, reached: Self) -> Self {
        if reached.stage() > self.stage() { reached } else { self }
    }

    /// The word on screens.
    pub fn zh(self) -> &'static str {
        match self {
            M::Held => "占用",
            M::Ordered => "已下令",
            M::Committed => "已落实",
            M::Picking => "备货",
            M::Cancelling => "取消中",
            M::Dispatched => "已出发",
            M::Delivered => "已送达",
            M::OnSite => "使用中",
            M::Demobilised => "解除任务",
            M::Returned => "已返还",
            M::Accounted => "已核销",
            M::Lapsed => "占用到期",
            M::HoldReleased => "释放占用",
            M::Cancelled => "已取消",
            M::TurnedBack => "已折返",
            M::Revoked => "已撤销",
        }
    }

    /// The word in the API and the ledger.
    pub fn slug(self) -> &'static str {
        match self {
            M::Held => "held",
            M::Ordered => "ordered",
            M::Committed => "committed",
            M::Picking => "picking",
            M::Cancelling => "cancelling",
            M::Dispatched => "dispatched",
            M::Delivered => "delivered",
            M::OnSite => "on_site",
            M::Demobilised => "demobilised",
            M::Returned => "returned",
            M::Accounted => "accounted",
            M::Lapsed => "lapsed",
            M::HoldReleased => "hold_released",
            M::Cancelled => "cancelled",
            M::TurnedBack => "turned_back",
            M::Revoked => "revoked",
        }
    }
}

/// The intentions of a mission. Facts (dispatched, received …) need no row: they are never refused.
pub const MISSION: &[Row<M>] = &[
    Row {
        from: &[M::Held],
        step: "order",
        to: M::Ordered,
        who: Party::Requester,
        guard: "another person than who held",
    },
    Row { from: &[M::Held], step: "release", to: M::HoldReleased, who: Party::RequesterOrHub, guard: "" },
    Row {
        from: &[M::Held],
        step: "lapse",
        to: M::Lapsed,
        who: Party::Clock,
        guard: "no signature within the time limit",
    },
    Row {
        from: &[M::Held],
        step: "displace",
        to: M::HoldReleased,
        who: Party::Record,
        guard: "a shortfall takes the newest hold",
    },
    Row {
        from: &[M::Ordered],
        step: "commit",
        to: M::Committed,
        who: Party::Holder,
        guard: "its registry has set the goods aside",
    },
    Row {
        from: &[M::Ordered, M::Committed, M::Picking],
        step: "cancel",
        to: M::Cancelling,
        who: Party::RequesterOrHub,
        guard: "the record knows of no departure",
    },
    Row {
        from: &[M::Cancelling],
        step: "acknowledge the cancellation",
        to: M::Cancelled,
        who: Party::Holder,
        guard: "nothing left",
    },
    Row {
        from: &[M::Ordered, M::Committed, M::Picking, M::Cancelling],
        step: "revoke",
        to: M::Revoked,
        who: Party::Holder,
        guard: "before departure, with a reason",
    },
];

/// Where a debt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObligationState {
    /// It exists because goods were consumed.
    Open,
    /// 申报, with evidence.
    Claimed,
    /// 争议
    Disputed,
    /// 认定: 补库中 or 应付.
    Recognised,
    /// The debtor says it was paid; the creditor has not confirmed.
    Paid,
    /// 结清
    Settled,
}

use ObligationState as O;

impl O {
    /// Every state.
    pub const ALL: [Self; 6] = [O::Open, O::Claimed, O::Disputed, O::Recognised, O::Paid, O::Settled];

    /// The word on screens.
    pub fn zh(self) -> &'static str {
        match self {
            O::Open => "待申报",
            O::Claimed => "已申报",
            O::Disputed => "争议",
            O::Recognised => "已认定",
            O::Paid => "待确认到账",
            O::Settled => "结清",
        }
    }

    /// The word in the API and the ledger.
    pub fn slug(self) -> &'static str {
        match self {
            O::Open => "open",
            O::Claimed => "claimed",
            O::Disputed => "disputed",
            O::Recognised => "recognised",
            O::Paid => "paid",
            O::Settled => "settled",
        }
    }
}

/// The life of a debt.
pub const OBLIGATION: &[Row<O>] = &[
    Row { from: &[O::Open, O::Disputed], step: "claim", to: O::Claimed, who: Party::Creditor, guard: "with evidence" },
    Row {
        from: &[O::Claimed, O::Disputed],
        step: "recognise",
        to: O::Recognised,
        who: Party::Debtor,
        guard: "as free aid or charity it then waits for the creditor (Paid)",
    },
    Row { from: &[O::Claimed], step: "dispute", to: O::Disputed, who: Party::Debtor, guard: "with a reason" },
    Row { from: &[O::Recognised], step: "report payment", to: O::Paid, who: Party::Debtor, guard: "settled in money" },
    Row { from: &[O::Paid], step: "reject payment", to: O::Recognised, who: Party::Creditor, guard: "with a reason" },
    Row {
        from: &[O::Paid],
        step: "deny the gift",
        to: O::Claimed,
        who: Party::Creditor,
        guard: "recognised as free aid or charity, and its creditor did not give it",
    },
    Row { from: &[O::Paid], step: "confirm payment", to: O::Settled, who: Party::Creditor, guard: "" },
    Row {
        from: &[O::Recognised],
        step: "verify",
        to: O::Settled,
        who: Party::Holder,
        guard: "every unit owed was accepted by the owner",
    },
    Row {
        from: &[O::Settled, O::Paid],
        step: "reopen",
        to: O::Recognised,
        who: Party::Record,
        guard: "more was consumed",
    },
    Row {
        from: &[O::Settled, O::Paid],
        step: "reopen the gift",
        to: O::Claimed,
        who: Party::Record,
        guard: "more was consumed than was given without return",
    },
];

/// The row of a table that leads on from `from` by `step`.
pub fn row<S: Copy + PartialEq>(table: &'static [Row<S>], from: S, step: &str) -> Option<&'static Row<S>> {
    table.iter().find(|row| row.step == step && row.from.contains(&from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_is_ambiguous() {
        for state in M::ALL {
            for entry in MISSION {
                let rows = MISSION.iter().filter(|r| r.step == entry.step && r.from.contains(&state)).count();
                assert!(rows <= 1, "{state:?} --{}-->", entry.step);
            }
        }
        for state in O::ALL {
            for entry in OBLIGATION {
                let rows = OBLIGATION.iter().filter(|r| r.step == entry.step && r.from.contains(&state)).count();
                assert!(rows <= 1, "{state:?} --{}-->", entry.step);
            }
        }
    }

    #[test]
    fn facts_only_lift() {
        assert_eq!(M::Held.lifted_to(M::Dispatched), M::Dispatched);
        assert_eq!(M::Delivered.lifted_to(M::Dispatched), M::Delivered);
        assert_eq!(M::Cancelled.lifted_to(M::Delivered), M::Delivered);
        assert_eq!(M::Accounted.lifted_to(M::Returned), M::Accounted);
    }
}
