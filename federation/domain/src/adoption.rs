//! A registry restored from a backup takes over what a region has on record of it (domain.md §2): its own pledges and
//! missions as they stand there. Until it has, nothing but facts leaves it.
//!
//! The region's word comes piece by piece, as the courier reads it from this node's own copy of the region. Every piece is
//! a total to date or a standing: given twice it moves nothing, and whatever order the pieces come in, the books end alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::channel::{MissionNotice, PledgeMade, Usage};
use crate::channel::{Step, UpMessage};
use crate::hash::Hash32;
use crate::ids::{MissionId, MunicipalityCode, PledgeId, RegionId};
use crate::quantity::Qty;
use crate::region::Region;
use crate::region::command::RegionCommand;
use crate::region::lifecycle::MissionState;
use crate::region::state::{Amounts, DebtKind, DiscrepancyKind, Mission};
use crate::registry::Registry;
use crate::registry::command::RegistryCommand;
use crate::registry::state::NumberKind;

/// The highest number under which a region gets to know a registry: whatever it is, there is room for many lives more.
pub const FIRST_LIFE_MAX: u32 = 1 << 20;

/// A life of a registry, as it tells it to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The number of the life: one more than the region knows.
    pub incarnation: u32,
    /// Tells two lives apart that came from the same backup.
    pub mark: Hash32,
}

/// One thing that a region has on record of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A pledge that the registry's books lack.
    Known(PledgeMade),
    /// A mission it sends or receives.
    Mission(Box<MissionStanding>),
    /// What a pledge still has to hold.
    Escrow(EscrowStanding),
}

/// A mission as the region has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionStanding {
    /// What both ends were told.
    pub notice: MissionNotice,
    /// Where it stands.
    pub state: MissionState,
    /// Asked to come back after departure.
    pub recalled: bool,
    /// Quantities to date.
    pub amounts: Amounts,
    /// What is owed for it in all.
    pub owed: Qty,
    /// Restock received, accepted and rejected, to date.
    pub restock: (Qty, Qty, Qty),
}

/// A pledge as the region has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowStanding {
    /// Which pledge.
    pub pledge: PledgeId,
    /// Pledged, and neither departed nor released.
    pub total: Qty,
    /// Used by its holder.
    pub overdrawn: Qty,
    /// Departed although promised elsewhere.
    pub deficit: Qty,
    /// Nothing of it is left in the region, and it takes no holds.
    pub closed: bool,
    /// What left by the registry's own books, of which the region has not heard.
    pub unheard: Qty,
    /// The missions out of it that were ordered and have not left, in the order of their holds.
    pub promised: Vec<Promised>,
}

/// Part of a pledge that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// For which mission.
    pub mission: MissionId,
    /// How much.
    pub qty: Qty,
    /// The region has heard that it was set aside.
    pub committed: bool,
}

/// The end of an adoption: all that is checked once more, in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Under which number the region knows this life.
    pub incarnation: u32,
    /// The last number that the region had addressed to this life: what it says next comes after.
    pub down: u64,
    /// The last message of the registry that was considered.
    pub considered: u64,
    /// Those among them that the region has not heard, and that still say something.
    pub unheard: Vec<u64>,
    /// Every pledge that is not over: total less deficit, and what of it is overdrawn.
    pub pledges: Vec<(PledgeId, i128, Qty)>,
    /// The highest working number of each kind and year that the region has seen: none is given out twice.
    pub numbers: Vec<(NumberKind, i32, u32)>,
}

/// What the courier of a restored registry does next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Tell the region that another life speaks.
    Region(RegionCommand),
    /// Give the registry more of the region's word.
    Registry(Vec<RegistryCommand>),
}

/// What is to be done until a restored registry has adopted what the region has on record; `None` once it has.
pub fn next(registry: &Registry, id: RegionId, region: &Region, max: usize) -> Option<Next> {
    let mark = registry.channel(id)?.adopting?.mark;
    let owner = registry.owner();
    let seen = region.channel(owner);
    // A life that has begun and said nothing yet is known by its mark.
    if seen.up > 0 || seen.up_digest != mark {
        let incarnation = seen.incarnation.max(registry.genesis().incarnation).saturating_add(1);
        return Some(Next::Region(RegionCommand::BeginLife(Life { incarnation, mark })));
    }
    let pieces = standings(registry, id, region)
        .map(|standing| RegistryCommand::Adopt { region: id, standing })
        .filter(|piece| registry.is_news(piece))
        .take(max);
    let pieces: Vec<_> = pieces.collect();
    if !pieces.is_empty() {
        return Some(Next::Registry(pieces));
    }
    let conclusion = conclude(registry, id, region, seen.incarnation, seen.down);
    Some(Next::Registry(vec![RegistryCommand::ConcludeAdoption { region: id, conclusion }]))
}

/// Everything a region has on record of a registry, in the order in which it is best taken: what exists, what moved, and
/// then what is left to hold.
fn standings<'a>(registry: &'a Registry, id: RegionId, region: &'a Region) -> impl Iterator<Item = Standing> + 'a {
    let owner = registry.owner();
    let own = move || region.pledges.values().filter(move |pledge| pledge.holder == owner);
    let known = own().map(|pledge| Standing::Known(pledge.made.clone()));
    let missions = region.missions.values().filter(move |mission| concerns(mission, owner));
    let missions = missions.map(|mission| Standing::Mission(Box::new(mission_standing(region, mission))));
    let escrows = own().map(move |pledge| Standing::Escrow(escrow(registry, id, region, pledge.made.pledge)));
    known.chain(missions).chain(escrows)
}

/// Whether a registry has been told of a mission, or will have to be.
fn concerns(mission: &Mission, owner: MunicipalityCode) -> bool {
    let told = mission.stages.ordered.is_some() || mission.state != MissionState::Held && !mission.state.is_void();
    (mission.notice.holder == owner || mission.notice.requester == owner)
        && (told || !mission.amounts.left().is_zero() || !mission.amounts.received().is_zero())
}

fn mission_standing(region: &Region, mission: &Mission) -> MissionStanding {
    let debt = region.obligations.get(&(mission.notice.mission, DebtKind::Goods));
    MissionStanding {
        notice: mission.notice.clone(),
        state: mission.state,
        recalled: mission.recalled,
        amounts: mission.amounts.clone(),
        owed: debt.map_or(Qty::ZERO, |debt| debt.qty),
        restock: debt.map_or_else(Default::default, |debt| (debt.received, debt.accepted, debt.rejected)),
    }
}

fn escrow(registry: &Registry, id: RegionId, region: &Region, pledge: PledgeId) -> EscrowStanding {
    let known = &region.pledges[&pledge];
    let mut promised: Vec<_> = region
        .missions
        .values()
        .filter(|mission| mission.notice.pledge == pledge && mission.reserving)
        .filter(|mission| mission.state.is_before_departure() && mission.state != MissionState::Held)
        .collect();
    promised.sort_by_key(|mission| mission.sequence);
    let promised = promised.into_iter().map(|mission| Promised {
        mission: mission.notice.mission,
        qty: mission.notice.qty,
        committed: mission.stages.committed.is_some(),
    });
    EscrowStanding {
        pledge,
        total: known.total,
        overdrawn: known.overdrawn,
        deficit: known.deficit,
        closed: known.closing && known.total.is_zero(),
        unheard: unheard_departures(registry, id, region).filter(|(of, _)| *of == pledge).map(|(_, qty)| qty).sum(),
        promised: promised.collect(),
    }
}

/// What left by the registry's outbox and not by the region's record.
fn unheard_departures<'a>(
    registry: &'a Registry,
    id: RegionId,
    region: &'a Region,
) -> impl Iterator<Item = (PledgeId, Qty)> + 'a {
    registry.outbox.range((id, 0)..=(id, u64::MAX)).filter_map(move |(_, message)| match message {
        UpMessage::Fact(fact) if says_more(region, registry.owner(), message) => match &fact.step {
            Step::Dispatched { qty, .. } => Some((registry.mission(fact.mission)?.notice.pledge, *qty)),
            _ => None,
        },
        _ => None,
    })
}

fn conclude(registry: &Registry, id: RegionId, region: &Region, incarnation: u32, down: u64) -> Conclusion {
    let owner = registry.owner();
    let considered = registry.channel(id).map_or(0, |channel| channel.up);
    let outbox = registry.outbox.range((id, 0)..=(id, considered));
    let unheard = outbox.filter(|(_, message)| says_more(region, owner, message)).map(|((_, number), _)| *number);
    let own = region.pledges.iter().filter(|(_, pledge)| pledge.holder == owner);
    let pledges =
        own.map(|(id, pledge)| (*id, i128::from(pledge.total.0) - i128::from(pledge.deficit.0), pledge.overdrawn));
    let (unheard, pledges, numbers) = (unheard.collect(), pledges.collect(), numbers(registry, region));
    Conclusion { incarnation, down, considered, unheard, pledges, numbers }
}

fn numbers(registry: &Registry, region: &Region) -> Vec<(NumberKind, i32, u32)> {
    let owner = registry.owner();
    let requests = region.requests.values().filter(|request| request.requester == owner);
    let answers = region.answers.iter().filter(|((.., by), _)| *by == owner);
    let missions = region.missions.values().filter(|mission| mission.notice.requester == owner);
    let written = requests
        .map(|request| &request.made.number)
        .chain(answers.map(|(_, answer)| &answer.given.number))
        .chain(missions.map(|mission| &mission.notice.number));
    let mut highest = BTreeMap::new();
    for (kind, year, count) in written.filter_map(|number| NumberKind::read(number, &registry.genesis().short)) {
        let known = highest.entry((kind, year)).or_insert(count);
        *known = count.max(*known);
    }
    highest.into_iter().map(|((kind, year), count)| (kind, year, count)).collect()
}

/// Whether a message of an earlier life says something that the region has not on record. What is told by comparing the
/// books instead (figures, overdrafts) says nothing; an intention that would count twice is left to people to repeat.
fn says_more(region: &Region, owner: MunicipalityCode, message: &UpMessage) -> bool {
    use MissionState as M;
    let state = |mission: &MissionId| region.missions.get(mission).map(|mission| mission.state);
    let debt = |mission: &MissionId| region.obligations.get(&(*mission, DebtKind::Goods));
    match message {
        UpMessage::Publish(_)
        | UpMessage::WithdrawPledge { .. }
        | UpMessage::Overdrawn { .. }
        | UpMessage::OverdraftCovered { .. } => false,
        UpMessage::Pledge(made) => !region.pledges.contains_key(&made.pledge),
        UpMessage::Request(made) => !region.requests.contains_key(&made.request),
        UpMessage::Answer(given) => !region.answers.contains_key(&(given.request, given.line, owner)),
        UpMessage::Committed { mission, .. } => region.missions.get(mission).is_some_and(|mission| {
            mission.stages.committed.is_none() && matches!(mission.state, M::Ordered | M::Cancelling)
        }),
        UpMessage::CancelAcknowledged { mission } => state(mission) == Some(M::Cancelling),
        UpMessage::Revoke { mission, .. } => matches!(state(mission), Some(M::Ordered | M::Committed | M::Picking)),
        UpMessage::RestockReceived { mission, total } => debt(mission).is_some_and(|debt| debt.received < *total),
        UpMessage::RestockVerified { mission, accepted, rejected, .. } => {
            debt(mission).is_some_and(|debt| debt.accepted + debt.rejected < *accepted + *rejected)
        }
        UpMessage::Fact(fact) => match region.missions.get(&fact.mission) {
            Some(mission) => adds(mission, &fact.step),
            None => !region.discrepancies.contains_key(&(fact.mission, DiscrepancyKind::UnknownMission)),
        },
    }
}

/// Whether a step says more than the totals to date.
fn adds(mission: &Mission, step: &Step) -> bool {
    let a = &mission.amounts;
    match step {
        Step::Picked => matches!(mission.state, MissionState::Ordered | MissionState::Committed),
        Step::Dispatched { .. } => a.dispatched.is_zero(),
        Step::HandedOver { qty } => a.handed_over.is_none_or(|known| known < *qty),
        Step::Received { good, damaged } => *good + *damaged > a.received(),
        Step::Used(usage) => grows(&a.usage, usage),
        Step::ReturnSent { total } => *total > a.return_sent,
        Step::Returned { good, damaged } => *good + *damaged > a.returned_good + a.returned_damaged,
        Step::TurnedBack { qty } => *qty > a.turned_back,
        Step::OnSite | Step::Demobilised | Step::SafetyWithdrawal { .. } => true,
    }
}

fn grows(before: &Usage, after: &Usage) -> bool {
    after.consumed >= before.consumed
        && after.damaged >= before.damaged
        && after.lost >= before.lost
        && after.total() > before.total()
}
