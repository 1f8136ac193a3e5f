//! What the two records say to each other: two numbered channels per registry and region, dense, one each way
//! (domain.md §2). The courier only carries; everything that makes it exactly-once stands in the two machines.

use serde::{Deserialize, Serialize};

use crate::ids::{LineNumber, LotId, MissionId, MunicipalityCode, PledgeId, RequestId};
use crate::quantity::{Fen, Qty};
use crate::refusal::Refusal;
use crate::resource::{Figure, Resource, StockClass};
use crate::time::Timestamp;

/// Most messages a registry keeps for a region that cannot be reached; beyond it the node refuses new intentions, never
/// facts.
pub const OUTBOX_MAX: u64 = 100_000;

/// A numbered message on its way up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpEnvelope {
    /// Which life of the registry speaks: it grows when a registry is restored from a backup.
    pub incarnation: u32,
    /// Dense, from 1.
    pub number: u64,
    /// What it says.
    pub message: UpMessage,
}

/// What a registry tells a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpMessage {
    /// A figure its owner releases.
    Publish(Publication),
    /// Escrow: the registry has moved it out of LOCAL already.
    Pledge(PledgeMade),
    /// The owner asks for the free part of a pledge back.
    WithdrawPledge {
        /// Which pledge.
        pledge: PledgeId,
        /// At most this much.
        qty: Qty,
        /// Why.
        reason: String,
    },
    /// "We need."
    Request(RequestMade),
    /// "We give", "perhaps", or "we cannot".
    Answer(AnswerGiven),
    /// The owner's registry has seen the order and set the goods aside.
    Committed {
        /// Which mission.
        mission: MissionId,
        /// What it could set aside; less than ordered is a shortfall.
        qty: Qty,
    },
    /// Nothing has left; the quantity is free again.
    CancelAcknowledged {
        /// Which mission.
        mission: MissionId,
    },
    /// The owner takes a commitment back before departure.
    Revoke {
        /// Which mission.
        mission: MissionId,
        /// Why; the law lets an owner refuse, the record keeps the reason.
        reason: String,
    },
    /// Something that happened; never refused.
    Fact(Fact),
    /// A cut-off owner used its own pledged stock in danger to life (break-glass).
    Overdrawn {
        /// Which pledge.
        pledge: PledgeId,
        /// How much of it.
        qty: Qty,
        /// Why.
        reason: String,
    },
    /// The owner has put back what it overdrew.
    OverdraftCovered {
        /// Which pledge.
        pledge: PledgeId,
        /// How much.
        qty: Qty,
    },
    /// Goods came back to settle an obligation; they wait for inspection.
    RestockReceived {
        /// The mission whose consumption is restocked.
        mission: MissionId,
        /// Total received to date.
        total: Qty,
    },
    /// The owner has inspected what came: same code, grade and life left.
    RestockVerified {
        /// The mission whose consumption is restocked.
        mission: MissionId,
        /// Total accepted to date.
        accepted: Qty,
        /// Total rejected to date.
        rejected: Qty,
        /// Who received it at the owner's store: never who verifies (domain.md §6.9).
        verifier: String,
    },
}

impl UpMessage {
    /// A fact happened; everything else is an intention that may be refused.
    pub fn is_fact(&self) -> bool {
        matches!(
            self,
            Self::Fact(_)
                | Self::Committed { .. }
                | Self::CancelAcknowledged { .. }
                | Self::Overdrawn { .. }
                | Self::OverdraftCovered { .. }
                | Self::RestockReceived { .. }
                | Self::RestockVerified { .. }
                | Self::Pledge(_)
        )
    }
}

/// A published figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Of what.
    pub resource: Resource,
    /// What the owner calls it.
    pub name: String,
    /// Its base unit.
    pub unit: String,
    /// As others may see it.
    pub figure: Figure,
    /// Whether it belongs to an exercise.
    pub exercise: bool,
}

/// A pledge as it enters the region: exact, because it is a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PledgeMade {
    /// Its id.
    pub pledge: PledgeId,
    /// The lot in the holder's registry.
    pub lot: LotId,
    /// Whose goods they are (the holder's own, or a superior's depot kept by it).
    pub owner: MunicipalityCode,
    /// Under which scheme they are kept.
    pub class: StockClass,
    /// What it is.
    pub resource: Resource,
    /// What the holder calls it.
    pub name: String,
    /// Its base unit.
    pub unit: String,
    /// How much.
    pub qty: Qty,
    /// Until when the promise stands.
    pub expires_at: Timestamp,
    /// Value of one unit, for the statement of debts.
    pub unit_price: Fen,
    /// An offer serves this line only; a standing pledge serves any request.
    pub for_line: Option<(RequestId, LineNumber)>,
    /// Whether it belongs to an exercise.
    pub exercise: bool,
}

/// One line of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAsked {
    /// What is needed.
    pub resource: Resource,
    /// In the requester's words.
    pub name: String,
    /// How much.
    pub qty: Qty,
}

/// How pressing a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// 一般
    Routine,
    /// 紧急
    Urgent,
    /// 特急, danger to life.
    Immediate,
}

/// An aid request as it enters the region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMade {
    /// Its id.
    pub request: RequestId,
    /// Its working number.
    pub number: String,
    /// For what.
    pub subject: String,
    /// Whereto.
    pub place: String,
    /// How pressing.
    pub priority: Priority,
    /// When it is needed.
    pub needed_by: Timestamp,
    /// After this no further hold is taken for it.
    pub expires_at: Timestamp,
    /// To whom; empty asks everybody.
    pub addressed: Vec<MunicipalityCode>,
    /// What is asked, numbered from 1.
    pub lines: Vec<LineAsked>,
    /// Whether it belongs to an exercise.
    pub exercise: bool,
}

/// The three legitimate answers (EMAC's form: accepted is binding).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// We give this much; the goods stand pledged.
    Accept {
        /// How much.
        qty: Qty,
    },
    /// We could, but.
    Provisional {
        /// How much, if the reason falls away.
        qty: Qty,
        /// Why not yet.
        reason: String,
    },
    /// We cannot.
    Decline {
        /// Why; kept and shown.
        reason: String,
    },
}

/// An answer to one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerGiven {
    /// Which request.
    pub request: RequestId,
    /// Which line.
    pub line: LineNumber,
    /// Its working number.
    pub number: String,
    /// Yes, perhaps or no.
    pub answer: Answer,
    /// What it will cost the requester, all in.
    pub cost: Fen,
    /// Expected arrival.
    pub eta: Option<Timestamp>,
}

/// Something that happened to a mission, with the time it happened (kept beside record time).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Which mission.
    pub mission: MissionId,
    /// What happened.
    pub step: Step,
    /// When it happened, by the word of the one who saw it.
    pub happened_at: Timestamp,
}

/// The steps of a movement. Quantities are *totals to date*: the same step typed twice says the same thing twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The store is picking.
    Picked,
    /// It left, under this seal.
    Dispatched {
        /// How much left.
        qty: Qty,
        /// Seal number or convoy mark.
        seal: String,
    },
    /// The carrier handed it over: the owner's signature under the delivery.
    HandedOver {
        /// How much.
        qty: Qty,
    },
    /// The requester received it: the second signature.
    Received {
        /// Fit for use.
        good: Qty,
        /// Damaged on arrival.
        damaged: Qty,
    },
    /// A team is at work; goods are in use.
    OnSite,
    /// Used up by the requester, to date.
    Used(Usage),
    /// The requester released a team, or began to send goods back.
    Demobilised,
    /// A team leader withdrew for safety; always allowed.
    SafetyWithdrawal {
        /// Why.
        reason: String,
    },
    /// Sent back, to date.
    ReturnSent {
        /// How much.
        total: Qty,
    },
    /// Arrived back at the owner, to date.
    Returned {
        /// Fit for use.
        good: Qty,
        /// Damaged.
        damaged: Qty,
    },
    /// Came back to the owner without having been delivered.
    TurnedBack {
        /// How much.
        qty: Qty,
    },
}

impl Step {
    /// The word for it in messages and life cycles.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Picked => "pick",
            Self::Dispatched { .. } => "dispatch",
            Self::HandedOver { .. } => "hand over",
            Self::Received { .. } => "receive",
            Self::OnSite => "start work",
            Self::Used(_) => "use",
            Self::Demobilised => "demobilise",
            Self::SafetyWithdrawal { .. } => "withdraw for safety",
            Self::ReturnSent { .. } => "send back",
            Self::Returned { .. } => "take back",
            Self::TurnedBack { .. } => "turn back",
        }
    }
}

/// What the requester did not and will not send back, to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Used up.
    pub consumed: Qty,
    /// Broken in use.
    pub damaged: Qty,
    /// Lost.
    pub lost: Qty,
}

impl Usage {
    /// All of it.
    pub fn total(&self) -> Qty {
        self.consumed + self.damaged + self.lost
    }
}

/// What both ends of a mission need to know to work while cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionNotice {
    /// Its id.
    pub mission: MissionId,
    /// Its working number.
    pub number: String,
    /// For which request.
    pub request: RequestId,
    /// For which line.
    pub line: LineNumber,
    /// Out of which pledge.
    pub pledge: PledgeId,
    /// Out of which lot of the holder's registry.
    pub lot: LotId,
    /// Whose goods.
    pub owner: MunicipalityCode,
    /// Whose registry holds them and sends them.
    pub holder: MunicipalityCode,
    /// Who receives them.
    pub requester: MunicipalityCode,
    /// What.
    pub resource: Resource,
    /// In the holder's words.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// How much.
    pub qty: Qty,
    /// Whereto.
    pub place: String,
    /// By when.
    pub needed_by: Timestamp,
    /// Whether it belongs to an exercise.
    pub exercise: bool,
}

/// What a region tells a member's registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownMessage {
    /// What became of the member's message with this number.
    Outcome {
        /// The message's number.
        number: u64,
        /// The refusal, if it was refused.
        refusal: Option<Refusal>,
    },
    /// The region gives this much of a pledge back: PLEDGED → LOCAL.
    Released {
        /// Which pledge.
        pledge: PledgeId,
        /// How much.
        qty: Qty,
        /// Nothing of it is left in the region.
        closed: bool,
    },
    /// To the holder: send this.
    Ordered(MissionNotice),
    /// To the requester: this is coming.
    Inbound(MissionNotice),
    /// To the holder: do not send this, if it has not left.
    CancelRequested {
        /// Which mission.
        mission: MissionId,
        /// Why.
        reason: String,
    },
    /// To the requester: this is not coming after all.
    Ended {
        /// Which mission.
        mission: MissionId,
        /// Why.
        reason: String,
    },
    /// To the other side: a fact it needs for its own books.
    Fact(Fact),
    /// To the holder: goods that never arrived are written off by agreement.
    LostInTransit {
        /// Which mission.
        mission: MissionId,
        /// How much, to date.
        total: Qty,
    },
    /// To the holder: more left than was written down, by agreement.
    DispatchCorrected {
        /// Which mission.
        mission: MissionId,
        /// How much more.
        more: Qty,
    },
    /// To the owner's registry and the debtor's: who owes what now.
    Owed {
        /// For which mission.
        mission: MissionId,
        /// Who owes.
        debtor: MunicipalityCode,
        /// To whom.
        creditor: MunicipalityCode,
        /// How many units in all.
        qty: Qty,
    },
}
