//! The objects of a registry.

use serde::{Deserialize, Serialize};

use crate::channel::{MissionNotice, PledgeMade, Usage};
use crate::hash::{Bytes, Hash32, SignatureAlgorithm};
use crate::ids::{LotId, MissionId, MunicipalityCode, NodeId, PledgeId, RegionId, StoreId};
use crate::quantity::{Fen, Qty};
use crate::resource::{Condition, ItemCode, Resource, StockClass, UnitKind, Warning};
use crate::time::{Date, Timestamp};

/// A node of this municipality and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryNode {
    /// The node.
    pub node: NodeId,
    /// The scheme of its key.
    pub algorithm: SignatureAlgorithm,
    /// Its public key.
    pub public_key: Bytes,
}

/// The founding document of a registry: one municipality, with keys of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryGenesis {
    /// Whose registry.
    pub owner: MunicipalityCode,
    /// Its name, e.g. 乌海市.
    pub name: String,
    /// One character for working numbers, e.g. 乌.
    pub short: String,
    /// Which life of the registry this is; a restored one begins the next.
    pub incarnation: u32,
    /// Its nodes; all vote.
    pub nodes: Vec<RegistryNode>,
}

/// A store (库).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// The district or banner it stands in.
    pub district: String,
}

/// What a lot is of. Uncoded items stay local until the user maps them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// Goods under a catalogue code.
    Item(ItemCode),
    /// Goods under the municipality's own word.
    Local(String),
    /// A rescue team.
    Team(UnitKind),
    /// A vehicle.
    Vehicle(UnitKind),
}

impl From<&Resource> for Holding {
    fn from(resource: &Resource) -> Self {
        match resource {
            Resource::Item(code) => Self::Item(*code),
            Resource::Team(kind) => Self::Team(kind.clone()),
            Resource::Vehicle(kind) => Self::Vehicle(kind.clone()),
        }
    }
}

impl Holding {
    /// Whether it moves as one whole, in quantity one.
    pub fn is_unit(&self) -> bool {
        matches!(self, Self::Team(_) | Self::Vehicle(_))
    }
}

/// What is known of a lot when it enters the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotDetails {
    /// What it is.
    pub holding: Holding,
    /// The municipality's word for it (for a team or vehicle its name), with the model.
    pub name: String,
    /// Base unit.
    pub unit: String,
    /// Where it stands.
    pub store: StoreId,
    /// Whose it is; another than the registry's owner makes the registry its custodian.
    pub owner: MunicipalityCode,
    /// Under which scheme.
    pub class: StockClass,
    /// Whether it can be used.
    pub condition: Condition,
    /// Batch number, may be empty.
    pub batch: String,
    /// Last day it is good for.
    pub expires: Option<Date>,
    /// Value of one unit.
    pub unit_price: Option<Fen>,
    /// A team's head count, 0 for goods.
    pub size: u32,
    /// How long a team can work without relief, hours; 0 for goods.
    pub endurance_hours: u32,
    /// Anything else in the source, as text.
    pub remark: String,
    /// Whether it belongs to an exercise.
    pub exercise: bool,
}

/// A lot, team or vehicle in the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// What it is.
    pub details: LotDetails,
    /// Set for a custody lot: goods of another that a mission brought; usable, never pledgeable.
    pub custody: Option<MissionId>,
}

/// Where units of a lot are. Every movement takes from one account and adds to another; balances are folds over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The other side of every receipt: how much ever came in.
    Source,
    /// With the owner, at its disposal.
    Local,
    /// With the owner, damaged or rejected, not usable.
    Repair,
    /// Escrowed for a region.
    Pledged(PledgeId),
    /// Set aside for a mission.
    Held(MissionId),
    /// On the road.
    InTransit(MissionId),
    /// With the requester of a mission.
    OnLoan(MissionId),
    /// Used by the owner out of its own pledge, in danger to life.
    Overdrawn(PledgeId),
    /// Used up.
    Consumed,
    /// Lost.
    Lost,
    /// Scrapped.
    Scrapped,
    /// Custody goods that went back to their owner, or rejected restock that went back to its sender.
    Returned,
}

/// Floors of a resource by warning colour: none, blue, yellow, orange, red.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors(pub [Qty; 5]);

impl Floors {
    /// The floor under a warning.
    pub fn under(&self, warning: Warning) -> Qty {
        self.0[warning as usize]
    }
}

/// What a working number counts (业务编号).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// 需: an aid request.
    Request,
    /// 答: an answer.
    Answer,
    /// 调: a mission's order.
    Mission,
}

impl NumberKind {
    /// A working number as written: 乌-调-2026-0012.
    pub fn write(self, short: &str, year: i32, count: u32) -> String {
        format!("{short}-{}-{year}-{count:04}", self.mark())
    }

    /// What a working number of the municipality with this character says; `None` of any other text.
    pub fn read(number: &str, short: &str) -> Option<(Self, i32, u32)> {
        let rest = number.strip_prefix(short)?.strip_prefix('-')?;
        let (kind, rest) = [Self::Request, Self::Answer, Self::Mission]
            .into_iter()
            .find_map(|kind| Some((kind, rest.strip_prefix(kind.mark())?.strip_prefix('-')?)))?;
        let (year, count) = rest.split_once('-')?;
        Some((kind, year.parse().ok()?, count.parse().ok()?))
    }

    /// The character in the number.
    pub fn mark(self) -> char {
        match self {
            Self::Request => '需',
            Self::Answer => '答',
            Self::Mission => '调',
        }
    }
}

/// Where the courier to a region stands, as the registry knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryChannel {
    /// The region's name, for people.
    pub name: String,
    /// The last number sent up.
    pub up: u64,
    /// The last number whose outcome is known.
    pub answered: u64,
    /// The last number taken from the region.
    pub down: u64,
    /// Under which number the region knows this life, once it has adopted the region's record; until then, and if there
    /// was never another, it is the life the registry was founded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u32>,
    /// A new life has not adopted the region's record yet: intentions wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopting: Option<Adopting>,
}

/// A region whose record is still to be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopting {
    /// The mark of the life that adopts.
    pub mark: Hash32,
    /// By the administrator's word the municipality has left it: nothing waits for its word. If it speaks all the same, it
    /// is adopted first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

/// The life of a registry that was restored from a backup, or went on after a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterLife {
    /// How many lives there were before.
    pub times: u32,
    /// What tells it from others that came from the same copy.
    pub mark: Hash32,
    /// The node that keeps it.
    pub keeper: RegistryNode,
}

/// A pledge as its registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryPledge {
    /// To which region.
    pub region: RegionId,
    /// The promise as made.
    pub made: PledgeMade,
    /// Released by the region although it had already left here (a dispatch in emergency crossed the release).
    pub short: Qty,
    /// The region has given back everything.
    pub closed: bool,
}

/// A mission as a registry knows it, on either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryMission {
    /// In which region.
    pub region: RegionId,
    /// What both ends were told.
    pub notice: MissionNotice,
    /// Learned by telephone, before the region's own message.
    pub ahead: bool,
    /// Set aside here (holder).
    pub committed: Qty,
    /// The region asks to cancel.
    pub cancel_requested: bool,
    /// Ended without departure.
    pub ended: bool,
    /// Left here, or said to have left there.
    pub dispatched: Qty,
    /// Handed over by the carrier.
    pub handed_over: Qty,
    /// Received fit for use.
    pub received_good: Qty,
    /// Received damaged.
    pub received_damaged: Qty,
    /// Not coming back.
    pub usage: Usage,
    /// Sent back.
    pub return_sent: Qty,
    /// Back fit for use.
    pub returned_good: Qty,
    /// Back damaged.
    pub returned_damaged: Qty,
    /// Back undelivered.
    pub turned_back: Qty,
    /// Written off on the road.
    pub lost_in_transit: Qty,
    /// At work (teams), or in use.
    pub on_site: bool,
    /// Released by the requester.
    pub demobilised: bool,
    /// What is owed for it in all, as the region says.
    pub owed: Qty,
    /// Restock received at this store, to date.
    pub restock_received: Qty,
    /// Restock accepted, to date.
    pub restock_accepted: Qty,
    /// Restock rejected, to date.
    pub restock_rejected: Qty,
}

/// Restock waiting for inspection: who received it, so that another verifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restock {
    /// For which mission's debt.
    pub mission: MissionId,
    /// Who took it in.
    pub received_by: String,
    /// How much came.
    pub qty: Qty,
    /// Accepted so far.
    pub accepted: Qty,
    /// Rejected so far.
    pub rejected: Qty,
}

/// An inbox item asked for more than is here: never refused, always shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// When it was noticed.
    pub at: Timestamp,
    /// Of which lot.
    pub lot: Option<LotId>,
    /// What the message wanted to move.
    pub wanted: Qty,
    /// What could be moved.
    pub moved: Qty,
    /// Which message.
    pub what: String,
}

/// How one region sees one resource of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorView {
    /// Usable and not promised.
    pub usable: Qty,
    /// What the owner keeps for itself under the warning in force.
    pub floor: Qty,
    /// What may still be pledged.
    pub pledgeable: Qty,
}
