//! The registry (台账): one municipality's own record. It works when every line is cut, and it alone decides what can
//! still be promised.

mod adoption;
pub mod command;
mod custody;
mod draft;
pub mod event;
mod inbox;
pub mod invariants;
mod movements;
mod promises;
mod shelves;
pub mod state;
mod stock;
mod subjects;
mod succession;
pub mod view;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use self::command::{RIGHTS, RegistryCommand as C};
use self::draft::Draft;
use self::event::RegistryEvent as E;
use self::shelves::Shelves;
use self::state::{
    Account, Adopting, Floors, LaterLife, Lot, NumberKind, RegistryChannel, RegistryGenesis, RegistryMission,
    RegistryNode, RegistryPledge, Restock, Shortfall, Store,
};
use crate::adoption::FIRST_LIFE_MAX;
use crate::canonical_records;
use crate::channel::UpMessage;
use crate::code::CodeError;
use crate::command::CommandProof;
use crate::hash::{Bytes, Hash32};
use crate::ids::{LotId, MissionId, NodeId, PledgeId, RegionId, StoreId};
use crate::machine::{Context, GroupNode, Machine, Signer};
use crate::quantity::Qty;
use crate::record::{Record, Written};
use crate::refusal::Refusal;
use crate::resource::{Figure, ItemCode, Resource, Visibility, Warning};
use crate::subject::Subject;
use crate::time::Timestamp;

/// What is not a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub genesis: RegistryGenesis,
    pub warning: Warning,
    pub shortfalls: u64,
    /// The life it lives now, if it is not the one it was founded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<LaterLife>,
}

/// The state of a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    pub(crate) head: Head,
    pub(crate) stores: OrdMap<StoreId, Store>,
    pub(crate) lots: OrdMap<LotId, Lot>,
    pub(crate) balances: OrdMap<(LotId, Account), Qty>,
    pub(crate) mapping: OrdMap<String, ItemCode>,
    pub(crate) floors: OrdMap<Resource, Floors>,
    pub(crate) visibility: OrdMap<(RegionId, Resource), Visibility>,
    pub(crate) figures: OrdMap<(RegionId, Resource, bool), Figure>,
    pub(crate) numbers: OrdMap<(NumberKind, i32), u32>,
    pub(crate) channels: OrdMap<RegionId, RegistryChannel>,
    pub(crate) outbox: OrdMap<(RegionId, u64), UpMessage>,
    pub(crate) pledges: OrdMap<PledgeId, RegistryPledge>,
    pub(crate) missions: OrdMap<MissionId, RegistryMission>,
    pub(crate) restocks: OrdMap<LotId, Restock>,
    pub(crate) shortfalls: OrdMap<u64, Shortfall>,
    pub(crate) shelves: Shelves,
}

canonical_records!(Registry {
    one { 1 => head }
    maps {
        2 => stores,
        3 => lots,
        4 => balances,
        5 => mapping,
        6 => floors,
        7 => visibility,
        8 => figures,
        9 => numbers,
        10 => channels,
        11 => outbox,
        12 => pledges,
        13 => missions,
        14 => restocks,
        15 => shortfalls,
    }
    derived { shelves }
});

impl Machine for Registry {
    type Genesis = RegistryGenesis;
    type Command = C;
    type Event = E;

    const NAME: &'static str = "registry";

    fn found(genesis: &RegistryGenesis) -> Result<Self, Refusal> {
        if genesis.nodes.is_empty() || genesis.nodes.iter().any(|node| node.node.municipality() != genesis.owner) {
            return Err(Refusal::field("nodes", "at least one, each of the owner's"));
        }
        if !(1..FIRST_LIFE_MAX).contains(&genesis.incarnation) {
            return Err(Refusal::field("incarnation", "from 1"));
        }
        Ok(Self {
            head: Head { genesis: genesis.clone(), warning: Warning::None, shortfalls: 0, life: None },
            stores: OrdMap::new(),
            lots: OrdMap::new(),
            balances: OrdMap::new(),
            mapping: OrdMap::new(),
            floors: OrdMap::new(),
            visibility: OrdMap::new(),
            figures: OrdMap::new(),
            numbers: OrdMap::new(),
            channels: OrdMap::new(),
            outbox: OrdMap::new(),
            pledges: OrdMap::new(),
            missions: OrdMap::new(),
            restocks: OrdMap::new(),
            shortfalls: OrdMap::new(),
            shelves: Shelves::default(),
        })
    }

    fn decide(&self, context: &Context<'_>, command: &C) -> Result<Vec<E>, Refusal> {
        let role = context.actor.role;
        if !RIGHTS.iter().any(|right| right.command == command.name() && right.roles.contains(&role)) {
            return Err(Refusal::RoleNotAllowed { role, command: command.name().to_owned() });
        }
        let mut draft = Draft::new(self, context.at);
        match command {
            C::TakeInbox { region, number, message } => inbox::take(&mut draft, *region, *number, message),
            C::Adopt { region, standing } => adoption::adopt(&mut draft, *region, standing),
            C::ConcludeAdoption { region, conclusion } => adoption::conclude(&mut draft, *region, conclusion),
            C::Restore { .. } => Err(adoption::only_with_a_backup()),
            C::Pledge { .. }
            | C::WithdrawPledge { .. }
            | C::RequestAid { .. }
            | C::AnswerAid { .. }
            | C::BreakGlass { .. }
            | C::CoverOverdraft { .. }
            | C::SetVisibility { .. }
            | C::RefreshPublication { .. }
            | C::JoinRegion { .. }
            | C::AllocateNumber { .. } => promises::decide(&mut draft, command),
            C::Revoke { .. }
            | C::AcknowledgeCancel { .. }
            | C::Pick { .. }
            | C::Dispatch { .. }
            | C::HandOver { .. }
            | C::TurnBack { .. }
            | C::TakeBack { .. } => movements::decide(&mut draft, command),
            C::ReceiveDelivery { .. }
            | C::StartWork { .. }
            | C::ReportUsage { .. }
            | C::Demobilise { .. }
            | C::WithdrawForSafety { .. }
            | C::SendReturn { .. } => custody::decide(&mut draft, command),
            _ => stock::decide(&mut draft, context, command),
        }?;
        Ok(draft.into_events())
    }

    fn evolve(&mut self, _at: Timestamp, event: &E) {
        match event {
            E::StoreAdded { store, details } => {
                self.stores.insert(*store, details.clone());
            }
            E::LotOpened { lot, details } => self.put_lot(*lot, (**details).clone()),
            E::StockMoved { lot, from, to, qty, .. } => self.move_stock(*lot, *from, *to, *qty),
            E::LotInspected { lot, condition } => {
                if let Some(mut known) = self.lots.get(lot).cloned() {
                    known.details.condition = *condition;
                    self.put_lot(*lot, known);
                }
            }
            E::ItemMapped { local, code } => {
                let before = self.mapping.insert(local.clone(), *code);
                self.shelves.map(local, before, *code);
            }
            E::FloorsSet { resource, floors } => {
                self.floors.insert(resource.clone(), *floors);
            }
            E::WarningSet { warning } => self.head.warning = *warning,
            E::VisibilitySet { region, resource, visibility } => {
                self.visibility.insert((*region, resource.clone()), *visibility);
            }
            E::FigureSent { region, resource, exercise, figure } => {
                self.figures.insert((*region, resource.clone(), *exercise), *figure);
            }
            E::RegionJoined { region, name } => {
                let adopting = self.head.life.as_ref().map(|life| Adopting { mark: life.mark, left: false });
                let unknown = || RegistryChannel { adopting, ..RegistryChannel::default() };
                self.channels.entry(*region).or_insert_with(unknown).name.clone_from(name);
            }
            E::Restored { mark, keeper, left } => self.begin_life(*mark, keeper, left),
            E::Adopted { region, incarnation, down } => self.begin_channel(*region, *incarnation, *down),
            E::NumberAllocated { kind, year, count, .. } => {
                self.numbers.insert((*kind, *year), *count);
            }
            E::Sent { region, number, message } => {
                self.channels.entry(*region).or_default().up = *number;
                self.outbox.insert((*region, *number), (**message).clone());
            }
            E::Answered { region, number } => {
                let channel = self.channels.entry(*region).or_default();
                channel.answered = channel.answered.max(*number);
                self.outbox.remove(&(*region, *number));
            }
            E::InboxTaken { region, number, .. } => self.channels.entry(*region).or_default().down = *number,
            E::PledgeRecorded { pledge, state } => {
                self.pledges.insert(*pledge, (**state).clone());
            }
            E::MissionRecorded { mission, state } => {
                self.missions.insert(*mission, (**state).clone());
            }
            E::RestockRecorded { lot, state } => {
                self.restocks.insert(*lot, state.clone());
            }
            E::ShortfallRecorded { shortfall } => {
                self.head.shortfalls += 1;
                self.shortfalls.insert(self.head.shortfalls, shortfall.clone());
            }
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        None
    }

    fn fire(&self, _now: Timestamp) -> Option<Vec<E>> {
        None
    }

    fn signers(&self, node: NodeId, _now: Timestamp) -> Vec<Signer> {
        let known = self.keepers().iter().filter(|known| known.node == node);
        let municipality = self.head.genesis.owner;
        known.map(|n| Signer { municipality, algorithm: n.algorithm, public_key: n.public_key.0.clone() }).collect()
    }

    fn group(&self) -> Vec<GroupNode> {
        self.keepers().iter().map(|node| GroupNode { node: node.node, voter: true }).collect()
    }

    fn subjects(event: &E) -> Vec<Subject> {
        event.subjects()
    }

    fn is_numbered(command: &C) -> bool {
        matches!(
            command,
            C::TakeInbox { .. } | C::RefreshPublication { .. } | C::Adopt { .. } | C::ConcludeAdoption { .. }
        )
    }

    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        self.write_records(sink);
    }

    fn restore(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, CodeError> {
        let read = Self::read_records(records)?;
        Ok(Self { shelves: read.shelves_anew(), ..read })
    }

    fn check(&self) -> Result<(), String> {
        invariants::check(self)
    }

    fn check_after(&self, before: &Self) -> Result<(), String> {
        succession::check(before, self)
    }
}

impl Record<Registry> {
    /// Begins another life of a registry restored from a backup, or read as far as a loss has left it: the first thing that
    /// its ledger has beyond it. The node that keeps it from now on proves itself; no key of the life before need be left.
    ///
    /// # Errors
    /// The registry's refusal, or bytes that are no command.
    pub fn begin_life(&mut self, now: Timestamp, bytes: Bytes, proof: CommandProof) -> Result<Written<E>, Refusal> {
        self.write_decided(now, bytes, proof, Registry::restored)
    }
}

impl Registry {
    /// What happens when another life begins by this command. Whoever restores writes it first; it is never taken from a
    /// log.
    ///
    /// # Errors
    /// Another command, or a life that cannot begin so.
    pub fn restored(&self, at: Timestamp, command: &C) -> Result<Vec<E>, Refusal> {
        let mut draft = Draft::new(self, at);
        adoption::restored(&mut draft, command)?;
        Ok(draft.into_events())
    }

    /// The nodes that keep it: those it was founded with, or the one it was restored onto.
    fn keepers(&self) -> &[RegistryNode] {
        self.head.life.as_ref().map_or(&self.head.genesis.nodes, |life| std::slice::from_ref(&life.keeper))
    }

    /// Every region must first say what it has on record of the life before; for those that were left, nobody waits.
    fn begin_life(&mut self, mark: Hash32, keeper: &RegistryNode, left: &[RegionId]) {
        let times = self.lives_before().saturating_add(1);
        self.head.life = Some(LaterLife { times, mark, keeper: keeper.clone() });
        for (region, channel) in self.channels.clone() {
            let adopting = Some(Adopting { mark, left: left.contains(&region) });
            self.channels.insert(region, RegistryChannel { adopting, ..channel });
        }
    }

    /// Both directions count anew, and every figure is published again.
    fn begin_channel(&mut self, region: RegionId, incarnation: u32, down: u64) {
        let of = |(of, _): &(RegionId, u64)| *of == region;
        self.outbox = self.outbox.iter().filter(|(key, _)| !of(key)).map(|(k, v)| (*k, v.clone())).collect();
        let figures = self.figures.iter().filter(|((of, ..), _)| *of != region);
        self.figures = figures.map(|(key, figure)| (key.clone(), *figure)).collect();
        let channel = self.channels.entry(region).or_default();
        let name = std::mem::take(&mut channel.name);
        let incarnation = Some(incarnation);
        *channel = RegistryChannel { name, down, incarnation, ..RegistryChannel::default() };
    }

    /// The one place where quantities change. `Source` counts what ever came in; every other account gives and takes.
    fn move_stock(&mut self, lot: LotId, from: Account, to: Account, qty: Qty) {
        let at_hand = self.balance(lot, Account::Local);
        if from == Account::Source {
            *self.balances.entry((lot, Account::Source)).or_default() += qty;
        } else {
            let left = self.balance(lot, from).saturating_sub(qty);
            if left.is_zero() {
                self.balances.remove(&(lot, from));
            } else {
                self.balances.insert((lot, from), left);
            }
        }
        *self.balances.entry((lot, to)).or_default() += qty;
        self.recount(lot, at_hand);
    }
}
