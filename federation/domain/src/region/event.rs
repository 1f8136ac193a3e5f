//! What can happen in a region: the public vocabulary that ledgers keep, watchers receive and reports fold.

use serde::{Deserialize, Serialize};

use super::lifecycle::{MissionState, ObligationState};
use super::state::{DiscrepancyKey, Finding, LineEnd, Mission, Obligation, ObligationKey};
use crate::actor::Actor;
use crate::adoption::Life;
use crate::channel::{AnswerGiven, DownMessage, Fact, PledgeMade, Publication, RequestMade};
use crate::charter::{Basis, CharterChange};
use crate::hash::Hash32;
use crate::ids::{CommandId, LineNumber, MissionId, MunicipalityCode, NodeId, PledgeId, RequestId};
use crate::quantity::{Fen, Qty};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Something that happened in the region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are the words of the sentence above each variant")]
pub enum RegionEvent {
    /// A numbered message of a member was taken; a refusal consumes its number too.
    UpTaken { member: MunicipalityCode, incarnation: u32, number: u64, digest: Hash32, refusal: Option<Refusal> },
    /// A member's registry was restored: its earlier lives are heard no more, and this one reads the record itself.
    LifeBegun { member: MunicipalityCode, life: Life },
    /// A numbered message was addressed to a member.
    Sent { to: MunicipalityCode, number: u64, message: DownMessage },
    /// A member's registry has taken its messages up to this number.
    DownTaken { member: MunicipalityCode, through: u64 },

    /// A change of the charter was drawn up.
    ChangeProposed { change: CommandId, base_version: u32, what: CharterChange },
    /// A party signed a change.
    ChangeSigned { change: CommandId, by: MunicipalityCode },
    /// A change is in force.
    CharterChanged { change: CommandId, version: u32 },
    /// The overlap of a rotated key is over.
    KeyRetired { node: NodeId },
    /// A node votes, or no longer does.
    VoterSet { node: NodeId, voter: bool },
    /// A node's program goes along up to this feature level.
    LevelAnnounced { node: NodeId, level: u32 },
    /// The record stands at this feature level from here on.
    LevelRaised { to: u32 },
    /// Voters were lost for good: another epoch begins, by this node, with these votes.
    Rescued { epoch: u32, by: NodeId, voters: Vec<NodeId>, lost: Vec<NodeId> },
    /// The record marked a head of its own ledger: how long it was, and its root.
    HeadMarked { epoch: u32, revision: u64, root: Hash32 },
    /// A node's own ledger has the head that is marked at this revision.
    Countersigned { node: NodeId, revision: u64, stands_at: u64 },
    /// A node's own ledger has another root there.
    HeadDisputed { node: NodeId, revision: u64, root: Hash32, stands_at: u64 },

    /// A member released a figure.
    Published { member: MunicipalityCode, publication: Publication },
    /// A pledge stands.
    Pledged { holder: MunicipalityCode, pledge: PledgeMade },
    /// Part of a pledge goes back to its holder.
    PledgeReleased { pledge: PledgeId, qty: Qty },
    /// A pledge takes no more holds; what becomes free goes back.
    PledgeClosing { pledge: PledgeId, expired: bool },
    /// Its holder used part of it in danger to life.
    PledgeOverdrawn { pledge: PledgeId, qty: Qty, reason: String },
    /// Its holder put that back.
    OverdraftCovered { pledge: PledgeId, qty: Qty },

    /// A member asks for help.
    RequestMade { requester: MunicipalityCode, request: RequestMade },
    /// A member answered a line.
    Answered { by: MunicipalityCode, answer: AnswerGiven },
    /// Everybody who was asked declined.
    LineUnmet { request: RequestId, line: LineNumber, declined: Vec<MunicipalityCode> },
    /// A line takes no more holds.
    LineEnded { request: RequestId, line: LineNumber, end: LineEnd },
    /// A request has run out of time; its lines take no more holds.
    RequestExpired { request: RequestId },
    /// A request is closed: nothing of it is open.
    RequestClosed { request: RequestId },

    /// A hold: a mission begins.
    MissionHeld { mission: Box<Mission> },
    /// A mission moved on.
    MissionMoved { mission: MissionId, to: MissionState },
    /// The requester's leader signed.
    MissionOrdered { mission: MissionId, number: String, by: Actor, paper_due: Option<Timestamp> },
    /// The owner's registry has set the goods aside, whatever else is known of the mission.
    CommitmentSeen { mission: MissionId },
    /// The paper for a spoken approval came.
    PaperConfirmed { mission: MissionId, by: Actor },
    /// A mission's promise shrank: what it no longer reserves is free again.
    MissionReduced { mission: MissionId, to: Qty },
    /// A mission no longer reserves anything of its pledge.
    ReservationEnded { mission: MissionId },
    /// What had left although it was promised elsewhere is taken off what has become free.
    DeficitAbsorbed { pledge: PledgeId, qty: Qty },
    /// Goods left the pledge.
    PledgeDeparted { pledge: PledgeId, qty: Qty },
    /// The requester or the hub asks for goods on the road to return.
    MissionRecalled { mission: MissionId, reason: String },
    /// A dispatch was heard by telephone.
    DispatchRelayed { mission: MissionId, qty: Qty, by: Actor },
    /// A fact about a mission.
    FactRecorded { by: MunicipalityCode, fact: Fact },
    /// An agreed correction of what left.
    DispatchCorrected { mission: MissionId, more: Qty },
    /// Agreed: this much never arrived.
    LostInTransit { mission: MissionId, qty: Qty },
    /// Agreed: the requester bears this much beyond what it used.
    Charged { mission: MissionId, qty: Qty },

    /// Two sayings contradict each other.
    DiscrepancyOpened { discrepancy: DiscrepancyKey, qty: Qty, by: MunicipalityCode },
    /// A later fact changed how much it is about; nothing left closes it.
    DiscrepancyChanged { discrepancy: DiscrepancyKey, qty: Qty },
    /// One side proposes who bears it.
    FindingProposed { discrepancy: DiscrepancyKey, finding: Finding, by: Actor },
    /// The other side agreed.
    DiscrepancyClosed { discrepancy: DiscrepancyKey, finding: Finding, by: Actor },

    /// Somebody owes.
    ObligationOpened { key: ObligationKey, obligation: Box<Obligation> },
    /// What is owed changed.
    ObligationChanged { key: ObligationKey, qty: Qty, amount: Fen },
    /// A debt moved on.
    ObligationMoved { key: ObligationKey, to: ObligationState },
    /// The creditor claimed.
    ObligationClaimed { key: ObligationKey, evidence: String, by: Actor },
    /// The debtor recognised.
    ObligationRecognised { key: ObligationKey, basis: Basis, in_money: bool, by: Actor },
    /// The debtor objected.
    ObligationDisputed { key: ObligationKey, reason: String, by: Actor },
    /// The debtor says it paid.
    PaymentReported { key: ObligationKey, evidence: String, by: Actor },
    /// Restock arrived at the owner's store.
    RestockReceived { key: ObligationKey, total: Qty },
    /// The owner inspected it.
    RestockVerified { key: ObligationKey, accepted: Qty, rejected: Qty },
}
