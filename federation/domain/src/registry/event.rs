//! What can happen in a registry. Quantities change by one event only: [`RegistryEvent::StockMoved`].

use serde::{Deserialize, Serialize};

use super::state::{
    Account, Floors, Lot, NumberKind, RegistryMission, RegistryNode, RegistryPledge, Restock, Shortfall, Store,
};
use crate::channel::{DownMessage, UpMessage};
use crate::hash::Hash32;
use crate::ids::{LotId, MissionId, PledgeId, RegionId, StoreId};
use crate::quantity::Qty;
use crate::resource::{Condition, Figure, ItemCode, Resource, Visibility, Warning};

/// Something that happened in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are the words of the sentence above each variant")]
pub enum RegistryEvent {
    /// A store was opened.
    StoreAdded { store: StoreId, details: Store },
    /// A lot, team or vehicle entered the books.
    LotOpened { lot: LotId, details: Box<Lot> },
    /// Units moved from one account of a lot to another: the double-entry ledger.
    StockMoved { lot: LotId, from: Account, to: Account, qty: Qty, document: String },
    /// A lot's condition was found to be this.
    LotInspected { lot: LotId, condition: Condition },
    /// A local word stands for a code.
    ItemMapped { local: String, code: ItemCode },
    /// Floors were set.
    FloorsSet { resource: Resource, floors: Floors },
    /// The warning in force changed.
    WarningSet { warning: Warning },
    /// A standing release for a region.
    VisibilitySet { region: RegionId, resource: Resource, visibility: Visibility },
    /// What a region was last told of a resource.
    FigureSent { region: RegionId, resource: Resource, exercise: bool, figure: Figure },
    /// A channel to a region was opened.
    RegionJoined { region: RegionId, name: String },
    /// Restored from a backup, or gone on with after a loss: another life begins, kept by this node. No region has been
    /// adopted yet; those that were left are not waited for.
    Restored { mark: Hash32, keeper: RegistryNode, left: Vec<RegionId> },
    /// The region's record of this registry is adopted: it knows this life by that number, and both count anew.
    Adopted { region: RegionId, incarnation: u32, down: u64 },
    /// A working number was given out.
    NumberAllocated { kind: NumberKind, year: i32, count: u32, number: String },
    /// A numbered message to a region.
    Sent { region: RegionId, number: u64, message: Box<UpMessage> },
    /// The region answered a message: it need not be kept any longer.
    Answered { region: RegionId, number: u64 },
    /// A numbered message from a region was taken.
    InboxTaken { region: RegionId, number: u64, message: Box<DownMessage> },
    /// A pledge was made, or its standing changed.
    PledgeRecorded { pledge: PledgeId, state: Box<RegistryPledge> },
    /// What is known of a mission.
    MissionRecorded { mission: MissionId, state: Box<RegistryMission> },
    /// Restock waits for inspection, or was inspected.
    RestockRecorded { lot: LotId, state: Restock },
    /// An inbox item asked for more than is here.
    ShortfallRecorded { shortfall: Shortfall },
}
