//! Six neighbours to test with: Wuhai, the hub, asks for 60 suits and a team; Alxa and Shizuishan keep suits.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub mod routing;
mod words;

use std::collections::BTreeSet;

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::channel::{DownMessage, Fact, Publication, Step, UpEnvelope, UpMessage};
use shouwang_domain::charter::{Basis, CharterChange, Standing};
use shouwang_domain::ids::{LotId, MissionId, MunicipalityCode, NodeId, PledgeId, RequestId, StoreId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::Qty;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::{MissionState as M, ObligationState as O};
use shouwang_domain::region::state::{DebtKind, DiscrepancyKind, Finding, Mission, Obligation, Pledge};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::Account;
use shouwang_domain::resource::{Figure, ItemCode, Resource, UnitKind};
use shouwang_domain::testing::{World, actor, municipality};
use shouwang_domain::time::{HOUR_MS, Timestamp};

pub const WUHAI: usize = 0;
pub const ORDOS: usize = 1;
pub const BAYANNUR: usize = 2;
pub const ALXA: usize = 3;
pub const YINCHUAN: usize = 4;
pub const SHIZUISHAN: usize = 5;
/// Above Wuhai, Ordos, Bayannur and Alxa; a member only where a test admits it.
pub const SUPERIOR: u32 = 150_000;
pub const PARTIES: [u32; 6] = [150_300, 150_600, 150_800, 152_900, 640_100, 640_200];

/// What the helpers below ask for and give, unless a test says otherwise.
pub const ASKED: Qty = Qty(60);
pub const PLEDGED: Qty = Qty(50);
pub const HELD: Qty = Qty(20);

pub fn store() -> StoreId {
    StoreId::from_u128(1)
}
/// The suits of a member.
pub fn lot(member: usize) -> LotId {
    LotId::from_u128(1000 + member as u128)
}
/// The hazmat team of a member.
pub fn team_lot(member: usize) -> LotId {
    LotId::from_u128(2000 + member as u128)
}
/// Some other lot.
pub fn new_lot(n: u128) -> LotId {
    LotId::from_u128(3000 + n)
}
pub fn pledge(n: u128) -> PledgeId {
    PledgeId::from_u128(4000 + n)
}
pub fn request(n: u128) -> RequestId {
    RequestId::from_u128(5000 + n)
}
pub fn mission(n: u128) -> MissionId {
    MissionId::from_u128(6000 + n)
}
pub fn suits() -> Resource {
    Resource::Item(item(2_990_101))
}
pub fn team() -> Resource {
    Resource::Team(UnitKind::new("hazmat").expect("a slug"))
}
pub fn figure(qty: u64) -> UpMessage {
    let (name, unit) = (text("防护服"), text("套"));
    UpMessage::Publish(Publication { resource: suits(), name, unit, figure: Figure::Exact(Qty(qty)), exercise: false })
}
pub fn debt() -> (MissionId, DebtKind) {
    (mission(1), DebtKind::Goods)
}
pub fn text(words: &str) -> String {
    words.to_owned()
}
/// More characters than any field takes.
pub fn long() -> String {
    "长".repeat(501)
}

/// The code of the suits, or another.
pub fn item(code: u32) -> ItemCode {
    ItemCode::new(code).expect("seven digits")
}

/// The code of a refusal, or `ok`.
pub fn code_of<T>(result: &Result<T, Refusal>) -> &'static str {
    result.as_ref().map_or_else(Refusal::code, |_| "ok")
}

/// A world with the words to speak in it. Whoever speaks fills the first post that may.
#[derive(Clone, Debug)]
pub struct Scene {
    pub world: World,
}

impl Scene {
    /// Everybody has a store; nothing else.
    pub fn empty() -> Self {
        let mut scene = Self { world: World::new(&PARTIES, 1) };
        for member in 0..PARTIES.len() {
            scene.must(member, C::AddStore { store: store(), name: text("中心库"), district: text("城区") });
        }
        scene
    }

    /// Alxa and Shizuishan have 100 suits and a team each, Wuhai has 10 suits.
    pub fn stocked() -> Self {
        let mut scene = Self::empty();
        for (member, qty) in [(ALXA, 100), (SHIZUISHAN, 100), (WUHAI, 10)] {
            let details = scene.details(member);
            scene.must(member, C::OpenLot { lot: lot(member), details, qty: Qty(qty) });
        }
        for member in [ALXA, SHIZUISHAN] {
            let details = scene.team_details(member);
            scene.must(member, C::OpenLot { lot: team_lot(member), details, qty: Qty::ONE });
        }
        scene
    }

    /// Wuhai asks: line 1 for 60 suits, line 2 for a team. Alxa has pledged 50 suits as pledge 1.
    pub fn asked() -> Self {
        let mut scene = Self::stocked();
        scene.must(WUHAI, scene.request_aid(1));
        scene.must(ALXA, scene.pledge_suits(1, ALXA, PLEDGED));
        scene.settle();
        scene
    }

    /// Mission 1: Wuhai's coordinator holds 20 of Alxa's suits.
    pub fn held() -> Self {
        let mut scene = Self::asked();
        scene.ask(WUHAI, Self::hold(1, 1, HELD)).expect("a hold");
        scene
    }

    /// Its leader has signed; nobody has heard yet.
    pub fn ordered() -> Self {
        let mut scene = Self::held();
        scene.ask(WUHAI, Self::order(1)).expect("an order");
        scene
    }

    /// Alxa has set the goods aside.
    pub fn committed() -> Self {
        Self::ordered().settled()
    }

    pub fn dispatched() -> Self {
        let mut scene = Self::committed();
        scene.must(ALXA, scene.dispatch(1, HELD));
        scene.settled()
    }

    pub fn delivered() -> Self {
        let mut scene = Self::dispatched();
        scene.must(WUHAI, scene.receive(1, HELD, Qty::ZERO));
        scene.settled()
    }

    /// 8 of the 20 are used: 6 up, 1 broken, 1 lost.
    pub fn used() -> Self {
        let mut scene = Self::delivered();
        scene.must(WUHAI, scene.usage(1, 6, 1, 1));
        scene.settled()
    }

    /// A scene in which mission 1 stands in that state.
    pub fn reach(state: M) -> Self {
        let mut scene = match state {
            M::Held | M::Lapsed | M::HoldReleased => Self::held(),
            M::Ordered => Self::ordered(),
            M::Committed | M::Picking | M::Cancelling | M::Cancelled | M::Revoked => Self::committed(),
            M::Dispatched | M::TurnedBack => Self::dispatched(),
            M::Delivered | M::OnSite | M::Demobilised | M::Returned | M::Accounted => Self::delivered(),
        };
        let (id, at) = (mission(1), scene.world.now);
        match state {
            M::Held | M::Ordered | M::Committed | M::Dispatched | M::Delivered => {}
            M::Lapsed => scene.world.pass(3 * HOUR_MS),
            M::HoldReleased => scene.ask(WUHAI, R::ReleaseHold { mission: id }).expect("a release"),
            M::Picking => scene.must(ALXA, C::Pick { mission: id }),
            M::Cancelling | M::Cancelled => {
                scene.ask(WUHAI, Self::cancel(1)).expect("a cancellation");
                if state == M::Cancelled {
                    scene.settle();
                    scene.must(ALXA, C::AcknowledgeCancel { mission: id });
                }
            }
            M::Revoked => scene.must(ALXA, C::Revoke { mission: id, reason: text("本地险情") }),
            M::TurnedBack => scene.must(ALXA, C::TurnBack { mission: id, qty: HELD, happened_at: at }),
            M::OnSite => scene.must(WUHAI, C::StartWork { mission: id, happened_at: at }),
            M::Demobilised => scene.must(WUHAI, C::Demobilise { mission: id, happened_at: at }),
            M::Returned => scene.must(ALXA, scene.take_back(1, Qty(5), Qty::ZERO)),
            M::Accounted => scene.must(ALXA, scene.take_back(1, HELD, Qty::ZERO)),
        }
        if state != M::Cancelling {
            // A cancellation that is still on its way is the hard case; everything else comes to rest.
            scene = if state == M::Ordered { scene } else { scene.settled() };
        }
        assert_eq!(scene.mission(1).state, state);
        scene
    }

    /// A scene in which the debt for mission 1 (8 suits) stands in that state.
    pub fn debt_in(state: O, in_money: bool) -> Self {
        let steps: &[R] = match state {
            O::Open => &[],
            O::Claimed => &[Self::claim()],
            O::Disputed => &[Self::claim(), Self::dispute()],
            O::Recognised => &[Self::claim(), Self::recognise(in_money)],
            O::Paid => &[Self::claim(), Self::recognise(true), Self::report_payment()],
            O::Settled => &[Self::claim(), Self::recognise(true), Self::report_payment(), Self::confirm_payment(true)],
        };
        Self::debt_by(steps, state)
    }

    /// The same for a debt that its debtor recognises as free aid as soon as it can.
    pub fn gift_in(state: O) -> Self {
        let (mission, kind) = debt();
        let gift = R::Recognise { mission, kind, basis: Basis::FreeAid, in_money: false };
        match state {
            O::Paid => Self::debt_by(&[Self::claim(), gift], state),
            O::Settled => Self::debt_by(&[Self::claim(), gift, Self::confirm_payment(true)], state),
            _ => Self::debt_in(state, false),
        }
    }

    fn debt_by(steps: &[R], state: O) -> Self {
        let mut scene = Self::used();
        for step in steps {
            let who = if matches!(step, R::Claim { .. } | R::ConfirmPayment { .. }) { ALXA } else { WUHAI };
            scene.ask(who, step.clone()).expect("a step towards the debt's state");
        }
        let scene = scene.settled();
        assert_eq!(scene.debt().state, state);
        scene
    }
}

/// Speaking and looking.
impl Scene {
    pub fn code(&self, member: usize) -> MunicipalityCode {
        self.world.parties[member]
    }

    pub fn later(&self, ms: i64) -> Timestamp {
        self.world.now.plus_ms(ms)
    }

    pub fn region(&self) -> &Region {
        self.world.region(0)
    }

    pub fn registry(&self, member: usize) -> &Registry {
        self.world.registry(member)
    }

    pub fn mission(&self, m: u128) -> &Mission {
        self.region().mission(mission(m)).expect("the mission is in the region")
    }

    pub fn state(&self, m: u128) -> M {
        self.mission(m).state
    }

    pub fn pledge(&self, n: u128) -> &Pledge {
        self.region().pledge(pledge(n)).expect("the pledge is in the region")
    }

    /// The debt for the goods of mission 1.
    pub fn debt(&self) -> &Obligation {
        let mut debts = self.region().obligations();
        debts.find(|(key, _)| **key == debt()).expect("mission 1 owes").1
    }

    pub fn balance(&self, member: usize, lot: LotId, account: Account) -> u64 {
        self.registry(member).balance(lot, account).0
    }

    /// Says it to a member's own registry, in the first post that may.
    pub fn say(&mut self, member: usize, command: C) -> Result<(), Refusal> {
        let role = routing::first_role(command.name());
        self.say_as(member, role, command)
    }

    pub fn say_as(&mut self, member: usize, role: Role, command: C) -> Result<(), Refusal> {
        self.world.registry_command(member, role, command)
    }

    pub fn say_by(&mut self, member: usize, by: Actor, command: C) -> Result<(), Refusal> {
        self.world.registry_command_by(member, by, command)
    }

    /// Says what cannot be refused here.
    pub fn must(&mut self, member: usize, command: C) {
        let name = command.name();
        if let Err(refusal) = self.say(member, command) {
            panic!("{name}: {refusal}");
        }
    }

    /// Asks the region, in the first post that may.
    pub fn ask(&mut self, member: usize, command: R) -> Result<(), Refusal> {
        let role = routing::first_role(command.name());
        self.ask_as(member, role, command)
    }

    pub fn ask_as(&mut self, member: usize, role: Role, command: R) -> Result<(), Refusal> {
        self.ask_by(actor(self.code(member), role, 1), command)
    }

    pub fn ask_by(&mut self, by: Actor, command: R) -> Result<(), Refusal> {
        self.world.region_command(0, by, command)
    }

    /// Hands the region a member's next message as if its registry had sent it, and answers the outcome. The member's
    /// registry knows nothing of it, so no courier may run afterwards.
    pub fn up(&mut self, member: usize, message: UpMessage) -> Result<(), Refusal> {
        let code = self.code(member);
        let number = self.region().channel(code).up + 1;
        let envelope = R::Up(UpEnvelope { incarnation: 1, number, message });
        self.ask_by(actor(code, Role::Node, 1), envelope).expect("the next number is always taken");
        let down = self.region().channel(code).down;
        match self.region().messages_for(code, down, 1).next() {
            Some((_, DownMessage::Outcome { refusal, .. })) => refusal.clone().map_or(Ok(()), Err),
            other => panic!("the outcome is the last message down, not {other:?}"),
        }
    }

    pub fn fact(&mut self, member: usize, m: u128, step: Step) -> Result<(), Refusal> {
        let happened_at = self.world.now;
        self.up(member, UpMessage::Fact(Fact { mission: mission(m), step, happened_at }))
    }

    /// Has the parties put a change of the charter in force.
    pub fn ratify(&mut self, change: CharterChange) {
        let base_version = self.region().charter().version;
        self.ask(WUHAI, R::ProposeChange { base_version, change }).expect("a change that fits");
        let waiting = |scene: &Self| {
            let mut changes = scene.region().changes();
            changes.find(|(_, change)| change.in_force.is_none() && change.base_version == base_version).map(|c| *c.0)
        };
        for member in ORDOS..PARTIES.len() {
            if let Some(change) = waiting(self) {
                self.ask(member, R::SignChange { change }).expect("a signature");
            }
        }
        assert_eq!(self.region().charter().version, base_version + 1);
    }

    /// Every node goes along with level 2, and Wuhai raises the region.
    pub fn raised(mut self) -> Self {
        for member in 0..PARTIES.len() {
            self.must_ask(member, R::AnnounceLevel { level: 2 });
        }
        self.must_ask(WUHAI, R::RaiseLevel { to: 2 });
        self
    }

    /// Bayannur becomes the hub, so that the hub is neither requester nor holder.
    pub fn with_other_hub(mut self) -> Self {
        self.ratify(CharterChange::Hub(self.code(BAYANNUR)));
        self
    }

    /// Inner Mongolia joins as a superior with one node.
    pub fn with_superior(mut self) -> Self {
        let code = municipality(SUPERIOR);
        let mut member = self.region().charter().member(self.code(WUHAI)).expect("a member").clone();
        (member.code, member.standing) = (code, Standing::Superior);
        member.nodes.truncate(1);
        (member.nodes[0].node, member.nodes[0].voter) = (NodeId::new(code, 1).expect("node 1"), false);
        self.ratify(CharterChange::AdmitMember(member));
        self
    }

    pub fn must_ask(&mut self, member: usize, command: R) {
        let name = command.name();
        if let Err(refusal) = self.ask(member, command) {
            panic!("{name}: {refusal}");
        }
    }

    /// The discrepancies that nobody has closed, with their quantities.
    pub fn open_discrepancies(&self) -> Vec<(DiscrepancyKind, u64)> {
        let open = self.region().discrepancies().filter(|(_, known)| known.closed_at.is_none());
        open.map(|((_, kind), known)| (*kind, known.qty.0)).collect()
    }

    /// Alxa proposes how a discrepancy of mission 1 is settled, Wuhai agrees.
    pub fn agree(&mut self, kind: DiscrepancyKind, charge: u64) {
        let finding = Finding { charge_requester: Qty(charge), note: text("双方确认") };
        let discrepancy = (mission(1), kind);
        self.must_ask(ALXA, R::ProposeFinding { discrepancy, finding: finding.clone() });
        self.must_ask(WUHAI, R::AcceptFinding { discrepancy, finding });
        self.settle();
    }

    /// The last number addressed to each member.
    pub fn downs(&self) -> Vec<u64> {
        self.world.parties.iter().map(|code| self.region().channel(*code).down).collect()
    }

    /// The names of the messages addressed to anybody since then.
    pub fn sent_since(&self, before: &[u64]) -> BTreeSet<&'static str> {
        let of = |(code, sent): (&MunicipalityCode, &u64)| -> Vec<&'static str> {
            let messages = self.region().messages_for(*code, sent + 1, usize::MAX);
            messages.map(|(_, message)| routing::down_name(message)).collect()
        };
        self.world.parties.iter().zip(before).flat_map(of).collect()
    }

    /// Carries everything that waits and checks every invariant.
    pub fn settle(&mut self) {
        self.world.settle();
        self.check();
    }

    pub fn settled(mut self) -> Self {
        self.settle();
        self
    }

    pub fn check(&self) {
        if let Err(what) = self.world.check() {
            panic!("{what}");
        }
    }

    /// Checks the region alone, for scenes in which a message was made up.
    pub fn check_region(&self) {
        if let Err(what) = self.world.regions[0].record.check() {
            panic!("{what}");
        }
    }

    /// Digest of the region's own state, without the memory of commands.
    pub fn region_digest(&self) -> shouwang_domain::hash::Hash32 {
        self.region().digest()
    }
}
