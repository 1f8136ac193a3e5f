//! The objects of the region. Every quantity that can be derived is derived; what is stored is what was said.

use serde::{Deserialize, Serialize};

use super::lifecycle::{MissionState, ObligationState};
use crate::actor::Actor;
use crate::channel::{AnswerGiven, MissionNotice, PledgeMade, Publication, RequestMade, Usage};
use crate::charter::{Basis, CharterChange};
use crate::hash::Hash32;
use crate::ids::{LineNumber, MissionId, MunicipalityCode, PledgeId, RequestId};
use crate::quantity::{Fen, Qty};
use crate::time::Timestamp;

/// A figure a member has released, and since when it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// What was said.
    pub publication: Publication,
    /// When the region heard it: its "as of".
    pub as_of: Timestamp,
}

/// A pledge: escrow that a hold takes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pledge {
    /// The promise as made.
    pub made: PledgeMade,
    /// The member whose registry holds the lot.
    pub holder: MunicipalityCode,
    /// What is escrowed here now: pledged and not yet departed or released.
    pub total: Qty,
    /// The part promised to missions that have not departed.
    pub held: Qty,
    /// What its holder used in danger to life, in its own account.
    pub overdrawn: Qty,
    /// Departed although it was promised elsewhere (a dispatch in emergency): taken off as soon as it becomes free.
    pub deficit: Qty,
    /// Expired, withdrawn whole, or an offer that is over: what becomes free goes back by itself.
    pub closing: bool,
}

impl Pledge {
    /// What a hold may take now.
    pub fn free(&self) -> Qty {
        if self.closing { Qty::ZERO } else { self.unheld() }
    }

    /// What is escrowed and neither held, overdrawn nor missing, closing or not.
    pub fn unheld(&self) -> Qty {
        self.total.saturating_sub(self.held + self.overdrawn + self.deficit)
    }

    /// How much of the deficit can be taken off now.
    pub fn absorbable(&self) -> Qty {
        self.deficit.min(self.total.saturating_sub(self.held + self.overdrawn))
    }
}

/// Why a line takes no more holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    /// 撤回: the requester no longer needs it.
    Withdrawn,
    /// 到期.
    Expired,
    /// 已办结.
    Closed,
}

/// A line of a request with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its missions, in the order of their holds.
    pub missions: Vec<MissionId>,
    /// Set when it takes no more holds.
    pub end: Option<LineEnd>,
    /// 无法满足: everybody who was asked declined.
    pub unmet: bool,
}

/// An aid request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// As asked.
    pub made: RequestMade,
    /// Who asks.
    pub requester: MunicipalityCode,
    /// When the region heard it.
    pub at: Timestamp,
    /// What came of each line, by its number less one.
    pub lines: Vec<Line>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

impl Request {
    /// The numbers of its lines, from 1.
    pub fn line_numbers(&self) -> std::ops::RangeInclusive<LineNumber> {
        // At most LINES_MAX of them, by the guard of the request.
        1..=LineNumber::try_from(self.lines.len()).unwrap_or(LineNumber::MAX)
    }

    /// The asked line with that number.
    pub fn line(&self, number: LineNumber) -> Option<(&crate::channel::LineAsked, &Line)> {
        let index = usize::from(number).checked_sub(1)?;
        Some((self.made.lines.get(index)?, self.lines.get(index)?))
    }
}

/// An answer on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What was said.
    pub given: AnswerGiven,
    /// When the region heard it.
    pub at: Timestamp,
}

/// What is known of a mission's quantities: totals to date, as reported by the side that knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Left the owner's store (owner).
    pub dispatched: Qty,
    /// Left beyond what was written down, by agreement.
    pub corrected: Qty,
    /// Handed over by the carrier (owner's side of the delivery); `None` until it is said.
    pub handed_over: Option<Qty>,
    /// Received fit for use (requester).
    pub received_good: Qty,
    /// Received damaged (requester).
    pub received_damaged: Qty,
    /// Not coming back (requester).
    pub usage: Usage,
    /// Sent back (requester).
    pub return_sent: Qty,
    /// Back fit for use (owner).
    pub returned_good: Qty,
    /// Back damaged (owner).
    pub returned_damaged: Qty,
    /// Back without having been delivered (owner).
    pub turned_back: Qty,
    /// Never arrived, by agreement.
    pub lost_in_transit: Qty,
    /// Charged to the requester beyond its usage, by agreement (damage in transit or on return).
    pub charged: Qty,
}

impl Amounts {
    /// Left the owner's store in all.
    pub fn left(&self) -> Qty {
        self.dispatched + self.corrected
    }

    /// Received, in whatever state.
    pub fn received(&self) -> Qty {
        self.received_good + self.received_damaged
    }

    /// Everything that is accounted for: returned, consumed, damaged, lost.
    pub fn accounted(&self) -> Qty {
        self.usage.total() + self.returned_good + self.returned_damaged + self.turned_back + self.lost_in_transit
    }

    /// Dispatched and not yet accounted for.
    pub fn outstanding(&self) -> Qty {
        self.left().saturating_sub(self.accounted())
    }
}

/// When each stage of a mission was reached, by record time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Held.
    pub held: Option<Timestamp>,
    /// Ordered.
    pub ordered: Option<Timestamp>,
    /// Committed.
    pub committed: Option<Timestamp>,
    /// Dispatched: when it happened, by the owner's word.
    pub dispatched: Option<Timestamp>,
    /// Received: when it happened, by the requester's word.
    pub received: Option<Timestamp>,
    /// Accounted.
    pub accounted: Option<Timestamp>,
}

/// One movement of one holder's lot, or of one team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mission {
    /// Where it stands.
    pub state: MissionState,
    /// What both ends were told; `qty` is what is promised now.
    pub notice: MissionNotice,
    /// Order of holds in the region: the newest gives way first.
    pub sequence: u64,
    /// Until when the hold waits for a signature.
    pub hold_until: Timestamp,
    /// Who held.
    pub held_by: Actor,
    /// Who signed the order.
    pub ordered_by: Option<Actor>,
    /// Whether part of the pledge is still reserved for it.
    pub reserving: bool,
    /// When the paper for a spoken approval is due; `None` when none is owed.
    pub paper_due: Option<Timestamp>,
    /// A dispatch heard by telephone before the owner's own word came: how much.
    pub relayed: Option<Qty>,
    /// Recalled after departure: a request to return.
    pub recalled: bool,
    /// Quantities to date.
    pub amounts: Amounts,
    /// Times.
    pub stages: Stages,
}

/// What contradicts what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscrepancyKind {
    /// It left before its owner's registry had seen the order.
    DispatchedUncommitted,
    /// It left although the record had it cancelled, released, lapsed or revoked.
    DispatchedAfterEnd,
    /// More left than was ordered.
    DispatchedTooMuch,
    /// Less arrived than left.
    DeliveryShort,
    /// More arrived than left.
    DeliveryOver,
    /// Arrived damaged.
    DeliveryDamaged,
    /// Carrier and receiver signed different quantities.
    SignaturesDiffer,
    /// Came back damaged.
    ReturnDamaged,
    /// More is accounted for than ever left.
    OverAccounted,
    /// The owner's word differs from what was heard by telephone.
    RelayDiffers,
    /// A later total is lower than an earlier one.
    TotalFell,
    /// A fact names a mission that this region does not know.
    UnknownMission,
    /// Somebody reported a step that only the other side can report.
    NotItsWord,
}

impl DiscrepancyKind {
    /// Whether closing it needs a finding about who bears the quantity.
    pub fn needs_finding(self) -> bool {
        matches!(self, Self::DeliveryShort | Self::DeliveryOver | Self::DeliveryDamaged | Self::ReturnDamaged)
    }

    /// Whether its quantity is a total to date, so that a later finding speaks again of what an earlier one settled.
    pub fn is_total(self) -> bool {
        matches!(self, Self::DeliveryDamaged | Self::ReturnDamaged)
    }
}

/// The name of a discrepancy: one per mission and kind.
pub type DiscrepancyKey = (MissionId, DiscrepancyKind);

/// What two parties agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much of the quantity the requester bears; the owner bears the rest.
    pub charge_requester: Qty,
    /// The reasoning, 1 to 500 characters.
    pub note: String,
}

/// A contradiction that people close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discrepancy {
    /// How many units it is about.
    pub qty: Qty,
    /// Who said what contradicts the record.
    pub reported_by: MunicipalityCode,
    /// Since when.
    pub opened_at: Timestamp,
    /// A finding waiting for the other side, and who proposed it.
    pub proposed: Option<(Finding, Actor)>,
    /// The finding both agreed on, or `None` when later facts resolved it.
    pub finding: Option<Finding>,
    /// The most that a finding about it has charged to the requester so far.
    #[serde(default)]
    pub charged: Qty,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// Why somebody owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DebtKind {
    /// Goods used up, damaged, lost.
    Goods,
    /// Hours of a lent team or vehicle.
    Service,
    /// Injury of lent rescuers (突发事件应对法 arts. 40, 91).
    Injury,
    /// Returned late.
    LateReturn,
}

/// The name of an obligation: one per mission and kind.
pub type ObligationKey = (MissionId, DebtKind);

/// A debt between two members (补偿义务).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// Where it stands.
    pub state: ObligationState,
    /// Who owes.
    pub debtor: MunicipalityCode,
    /// To whom.
    pub creditor: MunicipalityCode,
    /// The member whose registry takes the restock (the creditor, or who keeps its depot).
    pub holder: MunicipalityCode,
    /// On which ground.
    pub basis: Basis,
    /// Units owed (goods).
    pub qty: Qty,
    /// Value owed: units times price, or the claimed amount.
    pub amount: Fen,
    /// Units that have come back and wait for inspection or have passed it.
    pub received: Qty,
    /// Units the owner accepted.
    pub accepted: Qty,
    /// Units the owner rejected.
    pub rejected: Qty,
    /// Units cleared without goods coming back: paid for, or given without return, by the creditor's word.
    #[serde(default)]
    pub cleared: Qty,
    /// Settled in money instead of goods.
    pub in_money: bool,
    /// Who claimed, with a reference to the evidence.
    pub claimed_by: Option<Actor>,
    /// Evidence: a document number or hash.
    pub evidence: String,
    /// Who recognised.
    pub recognised_by: Option<Actor>,
    /// Who said it was paid.
    pub paid_by: Option<Actor>,
    /// The latest objection.
    pub dispute: Option<String>,
    /// Since when it exists.
    pub opened_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
}

impl Obligation {
    /// Units neither restocked and verified nor cleared otherwise.
    pub fn qty_open(&self) -> Qty {
        self.qty.saturating_sub(self.accepted + self.cleared)
    }

    /// The value of what is still owed, in fen: of goods the units still open at their price, of everything else all.
    pub fn amount_open(&self) -> Fen {
        if self.state == ObligationState::Settled {
            Fen(0)
        } else if self.qty.is_zero() {
            self.amount
        } else {
            // The amount is price times units (`Fen::times`), so that this divides without a rest.
            let value = i128::from(self.amount.0) * i128::from(self.qty_open().0) / i128::from(self.qty.0);
            // A part of an amount that fits.
            Fen(i64::try_from(value).unwrap_or(self.amount.0))
        }
    }

    /// Given without return: nobody owes goods or money for it once its creditor has said so.
    pub fn is_gift(&self) -> bool {
        matches!(self.basis, Basis::FreeAid | Basis::Charity)
    }
}

/// Where a member's courier stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Which life of the registry speaks.
    pub incarnation: u32,
    /// The last number applied.
    pub up: u64,
    /// The digest of the last message applied, to tell a resend from a fork.
    pub up_digest: Hash32,
    /// The last number addressed to the member.
    pub down: u64,
    /// The last of those that its registry has taken.
    pub down_taken: u64,
}

/// A change of the charter waiting for signatures, or in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What changes.
    pub change: CharterChange,
    /// The version it was drawn on.
    pub base_version: u32,
    /// The parties that signed.
    pub signed: Vec<MunicipalityCode>,
    /// The version it made, once in force.
    pub in_force: Option<u32>,
}

/// What a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// A hold waits no longer for its signature.
    HoldLapses(MissionId),
    /// A pledge expires.
    PledgeExpires(PledgeId),
    /// A request takes no more holds.
    RequestExpires(RequestId),
    /// A rotated key is no longer accepted.
    KeyRetires(crate::ids::NodeId),
}
