//! What may be asked of a registry.

use serde::{Deserialize, Serialize};

use super::state::{Floors, LotDetails, NumberKind, RegistryNode};
use crate::actor::Role;
use crate::adoption::{Conclusion, Standing};
use crate::channel::{Answer, DownMessage, LineAsked, MissionNotice, Priority, Usage};
use crate::hash::Hash32;
use crate::ids::{LineNumber, LotId, MissionId, MunicipalityCode, PledgeId, RegionId, RequestId, StoreId};
use crate::quantity::{Fen, Qty};
use crate::region::command::Right;
use crate::resource::{Condition, ItemCode, Resource, Visibility, Warning};
use crate::time::Timestamp;

/// An offer inside an answer: a pledge addressed to the answered line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The pledge's id.
    pub pledge: PledgeId,
    /// Out of which lot.
    pub lot: LotId,
    /// How much.
    pub qty: Qty,
}

/// What was said on the telephone about a mission that this registry has not heard of yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// In which region.
    pub region: RegionId,
    /// The mission as told.
    pub notice: MissionNotice,
    /// The spoken code, so that both mean the same mission.
    pub spoken_code: String,
    /// Why it could not wait.
    pub reason: String,
}

/// A command of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "fields repeat the words of domain.md; the sentence above each command says what they do"
)]
pub enum RegistryCommand {
    /// Opens a store.
    AddStore { store: StoreId, name: String, district: String },
    /// Enters a lot, team or vehicle with its quantity. The same again changes nothing.
    OpenLot { lot: LotId, details: LotDetails, qty: Qty },
    /// More of a lot came in.
    Receive { lot: LotId, qty: Qty, document: String },
    /// The owner uses its own stock (or custody goods are refused here: those are reported as usage).
    Issue { lot: LotId, qty: Qty, purpose: String },
    /// Scraps what cannot be used any more, damaged stock first.
    Scrap { lot: LotId, qty: Qty, reason: String },
    /// Somebody counted: LOCAL becomes what was found.
    Count { lot: LotId, counted: Qty, reason: String },
    /// Somebody inspected.
    Inspect { lot: LotId, condition: Condition },
    /// Damaged units are fit for use again.
    Repaired { lot: LotId, qty: Qty },
    /// The municipality's own word stands for a catalogue code from now on.
    MapItem { local: String, code: ItemCode },
    /// What the owner keeps for itself, by warning colour.
    SetFloors { resource: Resource, floors: Floors },
    /// The warning in force, set by hand.
    SetWarning { warning: Warning },
    /// How a region may see a resource: a standing release.
    SetVisibility { region: RegionId, resource: Resource, visibility: Visibility },
    /// Opens the channel to a region.
    JoinRegion { region: RegionId, name: String },
    /// A working number for a document of this municipality.
    AllocateNumber { kind: NumberKind },
    /// Escrows part of a lot for a region: LOCAL → PLEDGED before anything leaves the node.
    Pledge {
        region: RegionId,
        pledge: PledgeId,
        lot: LotId,
        qty: Qty,
        expires_at: Timestamp,
        /// A signing leader's reason for crossing the floor; the system never crosses it by itself.
        cross_floor: Option<String>,
    },
    /// Asks the region for the free part of a pledge back.
    WithdrawPledge { pledge: PledgeId, qty: Qty, reason: String },
    /// "We need."
    RequestAid {
        region: RegionId,
        request: RequestId,
        subject: String,
        place: String,
        priority: Priority,
        needed_by: Timestamp,
        expires_at: Timestamp,
        addressed: Vec<MunicipalityCode>,
        lines: Vec<LineAsked>,
        exercise: bool,
    },
    /// "We give", with offers that are escrowed in the same step; or "perhaps", or "we cannot".
    AnswerAid {
        region: RegionId,
        request: RequestId,
        line: LineNumber,
        answer: Answer,
        cost: Fen,
        eta: Option<Timestamp>,
        offers: Vec<Offer>,
        expires_at: Timestamp,
        cross_floor: Option<String>,
    },
    /// Takes a commitment back before departure.
    Revoke { mission: MissionId, reason: String },
    /// Nothing has left: the cancelled quantity goes back to the pledge.
    AcknowledgeCancel { mission: MissionId },
    /// The store is picking.
    Pick { mission: MissionId },
    /// It left. Without a commitment seen here only in emergency, with what was said on the telephone.
    Dispatch { mission: MissionId, qty: Qty, seal: String, happened_at: Timestamp, emergency: Option<Box<Ahead>> },
    /// The carrier handed it over (the owner's signature).
    HandOver { mission: MissionId, qty: Qty, happened_at: Timestamp },
    /// It came back undelivered, to date.
    TurnBack { mission: MissionId, qty: Qty, happened_at: Timestamp },
    /// It arrived here, to date (the requester's signature); a custody lot opens.
    ReceiveDelivery {
        mission: MissionId,
        store: StoreId,
        good: Qty,
        damaged: Qty,
        happened_at: Timestamp,
        ahead: Option<Box<Ahead>>,
    },
    /// At work.
    StartWork { mission: MissionId, happened_at: Timestamp },
    /// What will not go back, to date.
    ReportUsage { mission: MissionId, usage: Usage, happened_at: Timestamp },
    /// Not needed any longer.
    Demobilise { mission: MissionId, happened_at: Timestamp },
    /// A leader takes his team out of danger; always allowed.
    WithdrawForSafety { mission: MissionId, reason: String, happened_at: Timestamp },
    /// Sent back, to date.
    SendReturn { mission: MissionId, total: Qty, happened_at: Timestamp },
    /// Arrived back at the owner, to date.
    TakeBack { mission: MissionId, good: Qty, damaged: Qty, happened_at: Timestamp },
    /// Break-glass: uses pledged stock in danger to life.
    BreakGlass { pledge: PledgeId, qty: Qty, reason: String },
    /// Puts back what was overdrawn.
    CoverOverdraft { pledge: PledgeId, qty: Qty },
    /// Goods came in to settle a debt; they wait for inspection in a lot of their own.
    ReceiveRestock { mission: MissionId, lot: LotId, details: LotDetails, qty: Qty },
    /// The owner inspected restock: same code, grade, life left.
    VerifyRestock { lot: LotId, accepted: Qty, rejected: Qty },
    /// The next message from a region, carried by the courier.
    TakeInbox { region: RegionId, number: u64, message: DownMessage },
    /// Publishes what has changed and may be seen.
    RefreshPublication { region: RegionId },
    /// Begins another life, out of a backup or after a loss, kept by this node. Never taken from the log: whoever restores
    /// writes it first. Every region it has a channel to is named: as one whose record is adopted, or as one that was left.
    Restore {
        mark: Hash32,
        keeper: RegistryNode,
        regions: Vec<(RegionId, String)>,
        left: Vec<RegionId>,
        reason: String,
    },
    /// Something that a region has on record of this registry, for a life that has just begun.
    Adopt { region: RegionId, standing: Standing },
    /// All of it is adopted: the channel begins anew.
    ConcludeAdoption { region: RegionId, conclusion: Conclusion },
}

use Role::{Admin, Coordinator, Duty, Keeper, Leader, Node};

const OWN: &str = "the registry's municipality";

const fn right(command: &'static str, roles: &'static [Role]) -> Right {
    Right { command, roles, party: OWN }
}

/// Who may give which command of the registry: the table that decides, and the documentation.
pub const RIGHTS: &[Right] = &[
    right("add_store", &[Keeper, Admin]),
    right("open_lot", &[Keeper]),
    right("receive", &[Keeper]),
    right("issue", &[Keeper]),
    right("scrap", &[Keeper]),
    right("count", &[Keeper]),
    right("inspect", &[Keeper]),
    right("repaired", &[Keeper]),
    right("map_item", &[Keeper, Leader]),
    right("set_floors", &[Leader]),
    right("set_warning", &[Leader, Duty]),
    right("set_visibility", &[Leader]),
    right("join_region", &[Admin, Node]),
    right("allocate_number", &[Leader, Duty, Coordinator, Node]),
    right("pledge", &[Leader]),
    right("withdraw_pledge", &[Leader]),
    right("request_aid", &[Leader, Duty]),
    right("answer_aid", &[Leader]),
    right("revoke", &[Leader]),
    right("acknowledge_cancel", &[Leader, Keeper]),
    right("pick", &[Keeper]),
    right("dispatch", &[Keeper]),
    right("hand_over", &[Keeper]),
    right("turn_back", &[Keeper]),
    right("receive_delivery", &[Keeper]),
    right("start_work", &[Keeper, Duty]),
    right("report_usage", &[Keeper]),
    right("demobilise", &[Keeper, Duty, Leader]),
    right("withdraw_for_safety", &[Keeper, Duty, Leader]),
    right("send_return", &[Keeper]),
    right("take_back", &[Keeper]),
    right("break_glass", &[Leader, Keeper]),
    right("cover_overdraft", &[Leader, Keeper]),
    right("receive_restock", &[Keeper]),
    right("verify_restock", &[Keeper, Leader]),
    right("take_inbox", &[Node]),
    right("refresh_publication", &[Node, Leader]),
    right("restore", &[Admin]),
    right("adopt", &[Node]),
    right("conclude_adoption", &[Node]),
];

impl RegistryCommand {
    /// Its name in the rights table, the routing table and the docs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddStore { .. } => "add_store",
            Self::OpenLot { .. } => "open_lot",
            Self::Receive { .. } => "receive",
            Self::Issue { .. } => "issue",
            Self::Scrap { .. } => "scrap",
            Self::Count { .. } => "count",
            Self::Inspect { .. } => "inspect",
            Self::Repaired { .. } => "repaired",
            Self::MapItem { .. } => "map_item",
            Self::SetFloors { .. } => "set_floors",
            Self::SetWarning { .. } => "set_warning",
            Self::SetVisibility { .. } => "set_visibility",
            Self::JoinRegion { .. } => "join_region",
            Self::AllocateNumber { .. } => "allocate_number",
            Self::Pledge { .. } => "pledge",
            Self::WithdrawPledge { .. } => "withdraw_pledge",
            Self::RequestAid { .. } => "request_aid",
            Self::AnswerAid { .. } => "answer_aid",
            Self::Revoke { .. } => "revoke",
            Self::AcknowledgeCancel { .. } => "acknowledge_cancel",
            Self::Pick { .. } => "pick",
            Self::Dispatch { .. } => "dispatch",
            Self::HandOver { .. } => "hand_over",
            Self::TurnBack { .. } => "turn_back",
            Self::ReceiveDelivery { .. } => "receive_delivery",
            Self::StartWork { .. } => "start_work",
            Self::ReportUsage { .. } => "report_usage",
            Self::Demobilise { .. } => "demobilise",
            Self::WithdrawForSafety { .. } => "withdraw_for_safety",
            Self::SendReturn { .. } => "send_return",
            Self::TakeBack { .. } => "take_back",
            Self::BreakGlass { .. } => "break_glass",
            Self::CoverOverdraft { .. } => "cover_overdraft",
            Self::ReceiveRestock { .. } => "receive_restock",
            Self::VerifyRestock { .. } => "verify_restock",
            Self::TakeInbox { .. } => "take_inbox",
            Self::RefreshPublication { .. } => "refresh_publication",
            Self::Restore { .. } => "restore",
            Self::Adopt { .. } => "adopt",
            Self::ConcludeAdoption { .. } => "conclude_adoption",
        }
    }
}
