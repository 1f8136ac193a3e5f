//! The region (应急联动区域): the record that all members share, written only through the log, in one order.
//!
//! [`Region`] is its state. A command runs through a [`draft::Draft`]: a working copy that collects events, each of
//! which is let happen at once, so that later guards see the effect of earlier events.

pub mod command;
mod discrepancies;
pub(crate) mod draft;
pub mod event;
mod evolve;
mod facts;
pub mod heads;
mod invariants;
mod levels;
pub mod lifecycle;
mod membership;
mod missions;
mod obligations;
mod pledges;
mod requests;
pub use self::requests::LINES_MAX;
pub mod state;
mod subjects;
mod succession;
mod timers;
mod up;
pub mod view;

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use self::command::{RIGHTS, RegionCommand};
use self::draft::Draft;
use self::event::RegionEvent;
use self::heads::{Countersignature, MarkedHead};
use self::state::{
    Answered, Change, Channel, Discrepancy, DiscrepancyKey, Mission, Obligation, ObligationKey, Pledge, Published,
    Request, Timer,
};
use crate::canonical_records;
use crate::channel::DownMessage;
use crate::charter::Charter;
use crate::code::CodeError;
use crate::ids::{CommandId, LineNumber, MissionId, MunicipalityCode, NodeId, PledgeId, RequestId};
use crate::level;
use crate::machine::{Context, GroupNode, Machine, Signer};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::subject::Subject;
use crate::time::Timestamp;

/// What is not a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The charter in force; shared, for every decision is made on a copy of the state.
    pub charter: Arc<Charter>,
    /// The order of holds so far.
    pub holds: u64,
    /// The feature level of the record.
    #[serde(default = "level::first", skip_serializing_if = "level::is_first")]
    pub level: u32,
}

/// The shared state of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub(crate) head: Head,
    pub(crate) changes: OrdMap<CommandId, Change>,
    pub(crate) retired_nodes: OrdMap<NodeId, ()>,
    pub(crate) channels: OrdMap<MunicipalityCode, Channel>,
    pub(crate) outbox: OrdMap<(MunicipalityCode, u64), DownMessage>,
    pub(crate) published: OrdMap<(MunicipalityCode, Resource, bool), Published>,
    pub(crate) pledges: OrdMap<PledgeId, Pledge>,
    pub(crate) requests: OrdMap<RequestId, Request>,
    pub(crate) answers: OrdMap<(RequestId, LineNumber, MunicipalityCode), Answered>,
    pub(crate) missions: OrdMap<MissionId, Mission>,
    pub(crate) discrepancies: OrdMap<DiscrepancyKey, Discrepancy>,
    pub(crate) obligations: OrdMap<ObligationKey, Obligation>,
    pub(crate) timers: OrdMap<(Timestamp, Timer), ()>,
    pub(crate) node_levels: OrdMap<NodeId, u32>,
    pub(crate) heads: OrdMap<u64, MarkedHead>,
    pub(crate) countersignatures: OrdMap<NodeId, Countersignature>,
}

canonical_records!(Region {
    one { 1 => head }
    maps {
        2 => changes,
        3 => retired_nodes,
        4 => channels,
        5 => outbox,
        6 => published,
        7 => pledges,
        8 => requests,
        9 => answers,
        10 => missions,
        11 => discrepancies,
        12 => obligations,
        13 => timers,
        14 => node_levels,
        15 => heads,
        16 => countersignatures,
    }
});

impl Machine for Region {
    type Genesis = Charter;
    type Command = RegionCommand;
    type Event = RegionEvent;

    const NAME: &'static str = "region";
    const NEWEST_LEVEL: u32 = 2;

    fn found(genesis: &Charter) -> Result<Self, Refusal> {
        genesis.validate()?;
        if genesis.version != 1 {
            return Err(Refusal::field("charter.version", "the first charter is version 1"));
        }
        Ok(Self {
            head: Head { charter: Arc::new(genesis.clone()), holds: 0, level: level::FIRST },
            changes: OrdMap::new(),
            retired_nodes: OrdMap::new(),
            channels: OrdMap::new(),
            outbox: OrdMap::new(),
            published: OrdMap::new(),
            pledges: OrdMap::new(),
            requests: OrdMap::new(),
            answers: OrdMap::new(),
            missions: OrdMap::new(),
            discrepancies: OrdMap::new(),
            obligations: OrdMap::new(),
            timers: OrdMap::new(),
            node_levels: OrdMap::new(),
            heads: OrdMap::new(),
            countersignatures: OrdMap::new(),
        })
    }

    fn decide(&self, context: &Context<'_>, command: &RegionCommand) -> Result<Vec<RegionEvent>, Refusal> {
        check_right(context, command)?;
        let mut draft = Draft::new(self, context.at);
        match command {
            RegionCommand::Up(envelope) => up::take(&mut draft, context, envelope),
            RegionCommand::BeginLife(life) => up::begin_life(&mut draft, context, *life),
            RegionCommand::AckDown { through } => up::acknowledge(&mut draft, context, *through),
            RegionCommand::ProposeChange { base_version, change } => {
                membership::propose(&mut draft, context, *base_version, change)
            }
            RegionCommand::SignChange { change } => membership::sign(&mut draft, context, *change),
            RegionCommand::SetVoter { node, voter } => membership::set_voter(&mut draft, context, *node, *voter),
            RegionCommand::AnnounceLevel { level } => levels::announce(&mut draft, context, *level),
            RegionCommand::RaiseLevel { to } => levels::raise(&mut draft, context, *to),
            RegionCommand::MarkHead {} => heads::mark(&mut draft, context),
            RegionCommand::Countersign { revision, root } => heads::countersign(&mut draft, context, *revision, *root),
            RegionCommand::Rescue { .. } => Err(membership::only_outside_the_log()),
            RegionCommand::Hold { .. }
            | RegionCommand::ReleaseHold { .. }
            | RegionCommand::Order { .. }
            | RegionCommand::ConfirmPaper { .. }
            | RegionCommand::CancelMission { .. }
            | RegionCommand::RelayDispatch { .. } => missions::decide(&mut draft, context, command),
            RegionCommand::WithdrawLine { request, line } => requests::withdraw(&mut draft, context, *request, *line),
            RegionCommand::CloseRequest { request } => requests::close(&mut draft, context, *request),
            RegionCommand::ProposeFinding { discrepancy, finding } => {
                discrepancies::propose(&mut draft, context, *discrepancy, finding)
            }
            RegionCommand::AcceptFinding { discrepancy, finding } => {
                discrepancies::accept(&mut draft, context, *discrepancy, finding)
            }
            RegionCommand::Claim { .. }
            | RegionCommand::Recognise { .. }
            | RegionCommand::Dispute { .. }
            | RegionCommand::ReportPayment { .. }
            | RegionCommand::ConfirmPayment { .. } => obligations::decide(&mut draft, context, command),
        }?;
        Ok(draft.into_events())
    }

    fn evolve(&mut self, at: Timestamp, event: &RegionEvent) {
        evolve::evolve(self, at, event);
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.timers.get_min().map(|((at, _), ())| *at)
    }

    fn fire(&self, now: Timestamp) -> Option<Vec<RegionEvent>> {
        timers::fire(self, now)
    }

    fn signers(&self, node: NodeId, now: Timestamp) -> Vec<Signer> {
        membership::signers(self, node, now)
    }

    fn group(&self) -> Vec<GroupNode> {
        self.head.charter.nodes().map(|(_, node)| GroupNode { node: node.node, voter: node.voter }).collect()
    }

    fn level(&self) -> u32 {
        self.head.level
    }

    fn level_of(command: &RegionCommand) -> u32 {
        match command {
            RegionCommand::MarkHead {} | RegionCommand::Countersign { .. } => heads::LEVEL,
            _ => level::FIRST,
        }
    }

    fn raises_to(event: &RegionEvent) -> Option<u32> {
        match event {
            RegionEvent::LevelRaised { to } => Some(*to),
            _ => None,
        }
    }

    fn begins_epoch(event: &RegionEvent) -> bool {
        matches!(event, RegionEvent::Rescued { .. })
    }

    fn subjects(event: &RegionEvent) -> Vec<Subject> {
        event.subjects()
    }

    fn is_numbered(command: &RegionCommand) -> bool {
        use RegionCommand::{AckDown, BeginLife, Countersign, Up};
        matches!(command, Up(_) | AckDown { .. } | BeginLife(_) | Countersign { .. })
    }

    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        self.write_records(sink);
    }

    fn restore(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, CodeError> {
        Self::read_records(records)
    }

    fn check(&self) -> Result<(), String> {
        invariants::check(self)
    }

    fn check_after(&self, before: &Self) -> Result<(), String> {
        succession::check(before, self)
    }
}

/// The rights table of this machine, at apply: what changes state is decided from replicated knowledge alone. That the
/// actor's municipality is a member follows from its key being in force; which party it must be each decision checks.
fn check_right(context: &Context<'_>, command: &RegionCommand) -> Result<(), Refusal> {
    let role = context.actor.role;
    if RIGHTS.iter().any(|right| right.command == command.name() && right.roles.contains(&role)) {
        Ok(())
    } else {
        Err(Refusal::RoleNotAllowed { role, command: command.name().to_owned() })
    }
}
