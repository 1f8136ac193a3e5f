//! Reading a registry.

use std::ops::Bound;

use super::Registry;
use super::command::RegistryCommand;
use super::draft::Draft;
use super::state::{
    Account, FloorView, Floors, Holding, Lot, RegistryChannel, RegistryGenesis, RegistryMission, RegistryPledge,
    Restock, Shortfall, Store,
};
use crate::channel::{MissionNotice, UpMessage};
use crate::ids::{LotId, MissionId, MunicipalityCode, PledgeId, RegionId, StoreId};
use crate::quantity::Qty;
use crate::resource::{Condition, Resource, Visibility, Warning};
use crate::time::Timestamp;

impl Registry {
    /// Whose registry.
    pub fn owner(&self) -> MunicipalityCode {
        self.head.genesis.owner
    }

    /// The document it was founded with, whose hash names the record.
    pub fn genesis(&self) -> &RegistryGenesis {
        &self.head.genesis
    }

    /// Which life of the registry this is.
    pub fn incarnation(&self) -> u32 {
        self.head.genesis.incarnation.saturating_add(self.lives_before())
    }

    /// How many lives came before this one.
    pub(crate) fn lives_before(&self) -> u32 {
        self.head.life.as_ref().map_or(0, |life| life.times)
    }

    /// Under which number a region knows this life.
    pub fn incarnation_in(&self, region: RegionId) -> u32 {
        let known = self.channel(region).and_then(|channel| channel.incarnation);
        known.unwrap_or(self.head.genesis.incarnation)
    }

    /// The regions whose record of this registry is still to be adopted.
    pub fn adopting(&self) -> impl Iterator<Item = (&RegionId, &RegistryChannel)> {
        self.channels.iter().filter(|(_, channel)| channel.adopting.is_some())
    }

    /// Those of them whose word is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = RegionId> + '_ {
        self.adopting()
            .filter(|(_, channel)| channel.adopting.is_some_and(|adopting| !adopting.left))
            .map(|(id, _)| *id)
    }

    /// Whether a command of the courier would move anything as the books stand.
    pub(crate) fn is_news(&self, command: &RegistryCommand) -> bool {
        let RegistryCommand::Adopt { region, standing } = command else { return true };
        let mut draft = Draft::new(self, Timestamp::ZERO);
        super::adoption::adopt(&mut draft, *region, standing).is_ok() && !draft.into_events().is_empty()
    }

    /// The warning in force.
    pub fn warning(&self) -> Warning {
        self.head.warning
    }

    /// How many units of a lot stand in an account.
    pub fn balance(&self, lot: LotId, account: Account) -> Qty {
        self.balances.get(&(lot, account)).copied().unwrap_or_default()
    }

    /// All accounts of a lot that hold anything.
    pub fn accounts(&self, lot: LotId) -> impl Iterator<Item = (Account, Qty)> + '_ {
        let of_lot = self.balances.range((lot, Account::Source)..=(lot, Account::Returned));
        of_lot.map(|((_, account), qty)| (*account, *qty))
    }

    /// Every lot, team and vehicle.
    pub fn lots(&self) -> impl Iterator<Item = (&LotId, &Lot)> {
        self.lots.iter()
    }

    /// Those of them that come after this one in the order of their ids. What comes before costs nothing.
    pub fn lots_after(&self, last: Option<LotId>) -> impl Iterator<Item = (&LotId, &Lot)> {
        self.lots.range((last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// A lot.
    pub fn lot(&self, id: LotId) -> Option<&Lot> {
        self.lots.get(&id)
    }

    /// Every store.
    pub fn stores(&self) -> impl Iterator<Item = (&StoreId, &Store)> {
        self.stores.iter()
    }

    /// Every pledge.
    pub fn pledges(&self) -> impl Iterator<Item = (&PledgeId, &RegistryPledge)> {
        self.pledges.iter()
    }

    /// Every mission this registry takes part in.
    pub fn missions(&self) -> impl Iterator<Item = (&MissionId, &RegistryMission)> {
        self.missions.iter()
    }

    /// A mission.
    pub fn mission(&self, id: MissionId) -> Option<&RegistryMission> {
        self.missions.get(&id)
    }

    /// Restock by its lot.
    pub fn restocks(&self) -> impl Iterator<Item = (&LotId, &Restock)> {
        self.restocks.iter()
    }

    /// What inbox items asked for and was not here.
    pub fn shortfalls(&self) -> impl Iterator<Item = (&u64, &Shortfall)> {
        self.shortfalls.iter()
    }

    /// Floors that were set.
    pub fn floors(&self) -> impl Iterator<Item = (&Resource, &Floors)> {
        self.floors.iter()
    }

    /// Standing releases.
    pub fn visibilities(&self) -> impl Iterator<Item = (&(RegionId, Resource), &Visibility)> {
        self.visibility.iter()
    }

    /// The channels to regions.
    pub fn channels(&self) -> impl Iterator<Item = (&RegionId, &RegistryChannel)> {
        self.channels.iter()
    }

    /// The channel to a region.
    pub fn channel(&self, region: RegionId) -> Option<&RegistryChannel> {
        self.channels.get(&region)
    }

    /// The message to a region with this number, while it is kept.
    pub fn outgoing(&self, region: RegionId, number: u64) -> Option<&UpMessage> {
        self.outbox.get(&(region, number))
    }

    /// The catalogue resource of a holding; `None` while it is uncoded.
    pub fn resource_of(&self, holding: &Holding) -> Option<Resource> {
        match holding {
            Holding::Item(code) => Some(Resource::Item(*code)),
            Holding::Local(word) => self.mapping.get(word).map(|code| Resource::Item(*code)),
            Holding::Team(kind) => Some(Resource::Team(kind.clone())),
            Holding::Vehicle(kind) => Some(Resource::Vehicle(kind.clone())),
        }
    }

    /// Whether units of this lot in LOCAL count as available at `at`: usable, in date, not another's in custody.
    pub fn is_usable(&self, lot: &Lot, at: Timestamp) -> bool {
        lot.details.condition == Condition::Usable
            && lot.custody.is_none()
            && (planted!(ExpiredCounted) || lot.details.expires.is_none_or(|day| day.end() >= at))
    }

    /// `pledgeable = usable − floor(item, own warning colour)` over the owner's own lots (domain.md §3). Goods kept for
    /// another owner are counted by that owner's rule, not by this floor.
    pub fn floor_view(&self, resource: &Resource, exercise: bool, at: Timestamp) -> FloorView {
        let usable = self.shelves.usable(resource, exercise, at);
        let floor = self.floors.get(resource).map_or(Qty::ZERO, |floors| floors.under(self.head.warning));
        FloorView { usable, floor, pledgeable: usable.saturating_sub(floor) }
    }

    /// Name and unit of the first lot of a resource, as its owner writes them.
    pub fn words_for(&self, resource: &Resource, exercise: bool) -> Option<(String, String)> {
        let lot = self.lots.get(&self.shelves.first(resource, exercise)?)?;
        Some((lot.details.name.clone(), lot.details.unit.clone()))
    }

    /// What stands escrowed for a region, set-aside and overdrawn goods included.
    pub fn pledged_to(&self, region: RegionId) -> Qty {
        let of_region = |pledge: &PledgeId| self.pledges.get(pledge).is_some_and(|known| known.region == region);
        let counts = |account: &Account| match account {
            Account::Pledged(pledge) | Account::Overdrawn(pledge) => of_region(pledge),
            Account::Held(mission) => self.missions.get(mission).is_some_and(|known| known.region == region),
            _ => false,
        };
        self.balances.iter().filter(|((_, account), _)| counts(account)).map(|(_, qty)| *qty).sum()
    }
}

impl RegistryMission {
    /// A mission of which nothing has happened here yet.
    pub fn new(region: RegionId, notice: MissionNotice, ahead: bool) -> Self {
        let zero = Qty::ZERO;
        Self {
            region,
            notice,
            ahead,
            committed: zero,
            cancel_requested: false,
            ended: false,
            dispatched: zero,
            handed_over: zero,
            received_good: zero,
            received_damaged: zero,
            usage: crate::channel::Usage::default(),
            return_sent: zero,
            returned_good: zero,
            returned_damaged: zero,
            turned_back: zero,
            lost_in_transit: zero,
            on_site: false,
            demobilised: false,
            owed: zero,
            restock_received: zero,
            restock_accepted: zero,
            restock_rejected: zero,
        }
    }
}
