//! What may be asked of the region directly. Everything an owner or a requester says through its own registry first
//! arrives as [`RegionCommand::Up`].

use serde::{Deserialize, Serialize};

use super::state::{DebtKind, DiscrepancyKey, Finding};
use crate::actor::Role;
use crate::adoption::Life;
use crate::channel::UpEnvelope;
use crate::charter::CharterChange;
use crate::hash::Hash32;
use crate::ids::{CommandId, LineNumber, MissionId, NodeId, PledgeId, RequestId};
use crate::quantity::{Fen, Qty};
use crate::rescue::SignedStanding;

/// A command of the region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionCommand {
    /// A numbered message of the member's registry, carried by its courier.
    Up(UpEnvelope),
    /// The member's registry has taken everything up to this number.
    AckDown {
        /// The last number taken.
        through: u64,
    },
    /// The member's registry was restored from a backup: what it says comes from another life from now on.
    BeginLife(Life),
    /// Draws up a change of the charter; the proposer's party signs with it.
    ProposeChange {
        /// The charter version it is drawn on.
        base_version: u32,
        /// What changes.
        change: CharterChange,
    },
    /// Signs a change.
    SignChange {
        /// The id of the command that proposed it.
        change: CommandId,
    },
    /// Makes a node a voter or a learner (hub's administrator; a vote carries no authority).
    SetVoter {
        /// Which node.
        node: NodeId,
        /// Voter, or else learner.
        voter: bool,
    },
    /// A node says up to which feature level its program goes along.
    AnnounceLevel {
        /// The level.
        level: u32,
    },
    /// Raises the record's feature level by one, once every node goes along (hub's administrator).
    RaiseLevel {
        /// The next level.
        to: u32,
    },
    /// Marks the present head of the record's own ledger: its nodes are asked to countersign it.
    MarkHead {},
    /// A node says what its own ledger is up to a marked head.
    Countersign {
        /// How many ledger records.
        revision: u64,
        /// The Merkle root over them.
        root: Hash32,
    },
    /// Begins the next epoch, with those who are left. Never taken from the log: it is written by whom it is begun.
    Rescue {
        /// The word of everybody who is left.
        standings: Vec<SignedStanding>,
        /// Every voter that has given none: by the word of whoever begins it, it will not come back.
        lost: Vec<NodeId>,
        /// What happened.
        reason: String,
    },
    /// Takes from a pledge for a line. The hold is a mission in its first state.
    Hold {
        /// The mission's id.
        mission: MissionId,
        /// For which request.
        request: RequestId,
        /// For which line.
        line: LineNumber,
        /// From which pledge.
        pledge: PledgeId,
        /// How much.
        qty: Qty,
        /// For how many minutes it waits for the signature.
        minutes: u32,
    },
    /// Gives a hold back.
    ReleaseHold {
        /// Which mission.
        mission: MissionId,
    },
    /// The requester's leader signs: the owner is told to send.
    Order {
        /// Which mission.
        mission: MissionId,
        /// The working number of the order.
        number: String,
        /// The approval was spoken; paper is owed within the charter's time.
        spoken: bool,
    },
    /// The paper for a spoken approval has come.
    ConfirmPaper {
        /// Which mission.
        mission: MissionId,
    },
    /// Not needed any more. Before departure the owner must say that nothing left; after it, this asks for a return.
    CancelMission {
        /// Which mission.
        mission: MissionId,
        /// Why.
        reason: String,
    },
    /// A dispatch heard by telephone, with the spoken code, while the owner's line is cut.
    RelayDispatch {
        /// Which mission.
        mission: MissionId,
        /// The code as heard.
        spoken_code: String,
        /// How much is said to have left.
        qty: Qty,
    },
    /// The line needs no more.
    WithdrawLine {
        /// Which request.
        request: RequestId,
        /// Which line.
        line: LineNumber,
    },
    /// Everything is accounted for.
    CloseRequest {
        /// Which request.
        request: RequestId,
    },
    /// Proposes who bears a discrepancy.
    ProposeFinding {
        /// Which discrepancy.
        discrepancy: DiscrepancyKey,
        /// The proposal.
        finding: Finding,
    },
    /// The other side agrees with the proposal as it stands.
    AcceptFinding {
        /// Which discrepancy.
        discrepancy: DiscrepancyKey,
        /// The proposal it agrees with, so that a changed one is not agreed to unseen.
        finding: Finding,
    },
    /// The creditor claims, with evidence. For service, injury and late return this opens the debt.
    Claim {
        /// Of which mission.
        mission: MissionId,
        /// Which kind.
        kind: DebtKind,
        /// For kinds other than goods: the amount.
        amount: Fen,
        /// A document number or hash.
        evidence: String,
    },
    /// The debtor recognises the claim.
    Recognise {
        /// Of which mission.
        mission: MissionId,
        /// Which kind.
        kind: DebtKind,
        /// On which ground.
        basis: crate::charter::Basis,
        /// Paid in money rather than restocked.
        in_money: bool,
    },
    /// The debtor objects.
    Dispute {
        /// Of which mission.
        mission: MissionId,
        /// Which kind.
        kind: DebtKind,
        /// Why.
        reason: String,
    },
    /// The debtor says it has paid.
    ReportPayment {
        /// Of which mission.
        mission: MissionId,
        /// Which kind.
        kind: DebtKind,
        /// A document number.
        evidence: String,
    },
    /// The creditor has the money, or has not.
    ConfirmPayment {
        /// Of which mission.
        mission: MissionId,
        /// Which kind.
        kind: DebtKind,
        /// It has.
        received: bool,
    },
}

/// One row of the rights table.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// The command.
    pub command: &'static str,
    /// The posts that may give it.
    pub roles: &'static [Role],
    /// Which party it must be, for people; decide checks it.
    pub party: &'static str,
}

use Role::{Admin, Coordinator, Duty, Keeper, Leader, Node};

/// Who may give which command of the region: the table that decides, and the documentation.
pub const RIGHTS: &[Right] = &[
    Right { command: "up", roles: &[Node], party: "a party or an observer with a registry, its own channel" },
    Right { command: "begin_life", roles: &[Node], party: "the member, its own channel" },
    Right { command: "ack_down", roles: &[Node], party: "the member, its own channel" },
    Right { command: "propose_change", roles: &[Leader, Admin], party: "a party" },
    Right { command: "sign_change", roles: &[Leader], party: "a party" },
    Right { command: "set_voter", roles: &[Admin], party: "the hub" },
    Right { command: "announce_level", roles: &[Node], party: "the node, of itself" },
    Right { command: "raise_level", roles: &[Admin], party: "the hub" },
    Right { command: "mark_head", roles: &[Node, Leader, Admin], party: "a member" },
    Right { command: "countersign", roles: &[Node], party: "the node, of its own ledger" },
    Right { command: "rescue", roles: &[Admin], party: "whoever has most, outside the log" },
    Right {
        command: "hold",
        roles: &[Coordinator, Duty, Leader],
        party: "the hub for any request, a requester for its own",
    },
    Right { command: "release_hold", roles: &[Coordinator, Duty, Leader], party: "the hub, or the requester" },
    Right { command: "order", roles: &[Leader], party: "the requester; another person than who held" },
    Right { command: "confirm_paper", roles: &[Leader, Duty], party: "the requester; another person than who ordered" },
    Right { command: "cancel_mission", roles: &[Leader, Coordinator], party: "the requester or the hub" },
    Right { command: "relay_dispatch", roles: &[Coordinator, Duty, Keeper], party: "the requester or the hub" },
    Right { command: "withdraw_line", roles: &[Leader], party: "the requester" },
    Right { command: "close_request", roles: &[Leader], party: "the requester" },
    Right { command: "propose_finding", roles: &[Leader], party: "the requester or the holder" },
    Right { command: "accept_finding", roles: &[Leader], party: "the other of the two" },
    Right { command: "claim", roles: &[Leader, Duty], party: "the creditor, or who holds for it" },
    Right { command: "recognise", roles: &[Leader], party: "the debtor" },
    Right { command: "dispute", roles: &[Leader], party: "the debtor" },
    Right { command: "report_payment", roles: &[Leader, Duty], party: "the debtor" },
    Right { command: "confirm_payment", roles: &[Leader], party: "the creditor, or who holds for it" },
];

impl RegionCommand {
    /// Its name in the rights table, the routing table and the docs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::BeginLife(_) => "begin_life",
            Self::AckDown { .. } => "ack_down",
            Self::ProposeChange { .. } => "propose_change",
            Self::SignChange { .. } => "sign_change",
            Self::SetVoter { .. } => "set_voter",
            Self::AnnounceLevel { .. } => "announce_level",
            Self::RaiseLevel { .. } => "raise_level",
            Self::MarkHead {} => "mark_head",
            Self::Countersign { .. } => "countersign",
            Self::Rescue { .. } => "rescue",
            Self::Hold { .. } => "hold",
            Self::ReleaseHold { .. } => "release_hold",
            Self::Order { .. } => "order",
            Self::ConfirmPaper { .. } => "confirm_paper",
            Self::CancelMission { .. } => "cancel_mission",
            Self::RelayDispatch { .. } => "relay_dispatch",
            Self::WithdrawLine { .. } => "withdraw_line",
            Self::CloseRequest { .. } => "close_request",
            Self::ProposeFinding { .. } => "propose_finding",
            Self::AcceptFinding { .. } => "accept_finding",
            Self::Claim { .. } => "claim",
            Self::Recognise { .. } => "recognise",
            Self::Dispute { .. } => "dispute",
            Self::ReportPayment { .. } => "report_payment",
            Self::ConfirmPayment { .. } => "confirm_payment",
        }
    }
}
