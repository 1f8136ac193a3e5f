//! Six neighbours to test with: Wuhai, the hub, asks for 60 suits and a team; Alxa and Shizuishan keep suits.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub mod routing;

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::channel::{
    Answer, DownMessage, Fact, LineAsked, MissionNotice, Priority, Step, UpEnvelope, UpMessage, Usage,
};
use shouwang_domain::charter::Basis;
use shouwang_domain::ids::{LotId, MissionId, MunicipalityCode, PledgeId, RequestId, StoreId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::{MissionState as M, ObligationState as O};
use shouwang_domain::region::state::{DebtKind, Mission, Obligation, Pledge};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::{Ahead, RegistryCommand as C};
use shouwang_domain::registry::state::{Account, Holding, LotDetails};
use shouwang_domain::resource::{Condition, ItemCode, Resource, StockClass, UnitKind};
use shouwang_domain::testing::{World, actor};
use shouwang_domain::time::{DAY_MS, HOUR_MS, Timestamp};

pub const WUHAI: usize = 0;
pub const ORDOS: usize = 1;
pub const BAYANNUR: usize = 2;
pub const ALXA: usize = 3;
pub const YINCHUAN: usize = 4;
pub const SHIZUISHAN: usize = 5;
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
    Resource::Item(ItemCode::new(2_990_101).expect("seven digits"))
}
pub fn team() -> Resource {
    Resource::Team(UnitKind::new("hazmat").expect("a slug"))
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
        let mut scene = Self::used();
        let steps: &[R] = match state {
            O::Open => &[],
            O::Claimed => &[Self::claim()],
            O::Disputed => &[Self::claim(), Self::dispute()],
            O::Recognised => &[Self::claim(), Self::recognise(in_money)],
            O::Paid => &[Self::claim(), Self::recognise(true), Self::report_payment()],
            O::Settled => &[Self::claim(), Self::recognise(true), Self::report_payment(), Self::confirm_payment(true)],
        };
        for step in steps {
            let who = if matches!(step, R::Claim { .. } | R::ConfirmPayment { .. }) { ALXA } else { WUHAI };
            scene.ask(who, step.clone()).expect("a step towards the debt's state");
        }
        let scene = scene.settled();
        assert_eq!(scene.debt().state, state);
        scene
    }
}

/// What people say.
impl Scene {
    pub fn details(&self, owner: usize) -> LotDetails {
        LotDetails {
            holding: Holding::from(&suits()),
            name: text("气密型化学防护服"),
            unit: text("套"),
            store: store(),
            owner: self.code(owner),
            class: StockClass::Government,
            condition: Condition::Usable,
            batch: text("B-1"),
            expires: None,
            unit_price: Some(Fen(380_000)),
            size: 0,
            endurance_hours: 0,
            remark: String::new(),
            exercise: false,
        }
    }

    pub fn team_details(&self, owner: usize) -> LotDetails {
        let holding = Holding::from(&team());
        LotDetails { holding, name: text("危化品救援队"), unit: text("队"), size: 20, ..self.details(owner) }
    }

    pub fn request_aid(&self, n: u128) -> C {
        let line = |resource, name: &str, qty| LineAsked { resource, name: text(name), qty };
        C::RequestAid {
            region: self.world.region_id(0),
            request: request(n),
            subject: text("氯气泄漏"),
            place: text("乌达工业园"),
            priority: Priority::Immediate,
            needed_by: self.later(4 * HOUR_MS),
            expires_at: self.later(10 * DAY_MS),
            addressed: Vec::new(),
            lines: vec![line(suits(), "防护服", ASKED), line(team(), "救援队", Qty::ONE)],
            exercise: false,
        }
    }

    pub fn pledge_suits(&self, n: u128, member: usize, qty: Qty) -> C {
        let region = self.world.region_id(0);
        let expires_at = self.later(20 * DAY_MS);
        C::Pledge { region, pledge: pledge(n), lot: lot(member), qty, expires_at, cross_floor: None }
    }

    pub fn answer(&self, answer: Answer) -> C {
        C::AnswerAid {
            region: self.world.region_id(0),
            request: request(1),
            line: 1,
            answer,
            cost: Fen(0),
            eta: None,
            offers: Vec::new(),
            expires_at: self.later(DAY_MS),
            cross_floor: None,
        }
    }

    pub fn decline(&self) -> C {
        self.answer(Answer::Decline { reason: text("本地化工预警") })
    }

    pub fn hold(m: u128, p: u128, qty: Qty) -> R {
        R::Hold { mission: mission(m), request: request(1), line: 1, pledge: pledge(p), qty, minutes: 60 }
    }

    pub fn order(m: u128) -> R {
        R::Order { mission: mission(m), number: format!("乌-调-2026-{m:04}"), spoken: false }
    }

    pub fn cancel(m: u128) -> R {
        R::CancelMission { mission: mission(m), reason: text("情况缓解") }
    }

    pub fn dispatch(&self, m: u128, qty: Qty) -> C {
        let happened_at = self.world.now;
        C::Dispatch { mission: mission(m), qty, seal: text("封-1"), happened_at, emergency: None }
    }

    /// Dispatched on the strength of a telephone call.
    pub fn dispatch_ahead(&self, m: u128, qty: Qty) -> C {
        let (happened_at, emergency) = (self.world.now, Some(Box::new(self.ahead(m))));
        C::Dispatch { mission: mission(m), qty, seal: text("封-2"), happened_at, emergency }
    }

    pub fn receive(&self, m: u128, good: Qty, damaged: Qty) -> C {
        let happened_at = self.world.now;
        C::ReceiveDelivery { mission: mission(m), store: store(), good, damaged, happened_at, ahead: None }
    }

    pub fn ahead(&self, m: u128) -> Ahead {
        let (region, spoken_code) = (self.world.region_id(0), mission(m).spoken_code());
        Ahead { region, notice: self.notice(m), spoken_code, reason: text("断网") }
    }

    pub fn notice(&self, m: u128) -> MissionNotice {
        self.mission(m).notice.clone()
    }

    pub fn usage(&self, m: u128, consumed: u64, damaged: u64, lost: u64) -> C {
        let usage = Usage { consumed: Qty(consumed), damaged: Qty(damaged), lost: Qty(lost) };
        C::ReportUsage { mission: mission(m), usage, happened_at: self.world.now }
    }

    pub fn take_back(&self, m: u128, good: Qty, damaged: Qty) -> C {
        C::TakeBack { mission: mission(m), good, damaged, happened_at: self.world.now }
    }

    pub fn claim() -> R {
        R::Claim { mission: debt().0, kind: debt().1, amount: Fen(0), evidence: text("验收单 3") }
    }

    pub fn dispute() -> R {
        R::Dispute { mission: debt().0, kind: debt().1, reason: text("成色有异议") }
    }

    pub fn recognise(in_money: bool) -> R {
        R::Recognise { mission: debt().0, kind: debt().1, basis: Basis::Restock, in_money }
    }

    pub fn report_payment() -> R {
        R::ReportPayment { mission: debt().0, kind: debt().1, evidence: text("回单 7") }
    }

    pub fn confirm_payment(received: bool) -> R {
        R::ConfirmPayment { mission: debt().0, kind: debt().1, received }
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
