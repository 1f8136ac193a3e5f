//! A short night in a region, for the tests of the paper and of the screen: 60 suits asked and sent, 41 used up, 3
//! damaged, 16 returned; one member declines; one has an exercise.

use shouwang_domain::actor::Role;
use shouwang_domain::channel::{Answer, LineAsked, Priority, Usage};
use shouwang_domain::charter::Basis;
use shouwang_domain::ids::{LotId, MissionId, PledgeId, RequestId, StoreId};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::state::DebtKind;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::LotDetails;
use shouwang_domain::resource::{ItemCode, Resource, UnitKind, Visibility};
use shouwang_domain::testing::{self, World, actor};
use shouwang_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// Members: the hub that asks, two that lend, one that declines.
pub(crate) const WUHAI: usize = 0;
pub(crate) const ALXA: usize = 1;
pub(crate) const SHIZUISHAN: usize = 2;
pub(crate) const YINCHUAN: usize = 3;

pub(crate) fn suits() -> Resource {
    Resource::Item(ItemCode::new(2_990_101).unwrap())
}

fn lot(member: usize) -> LotId {
    LotId::from_u128(100 + member as u128)
}

fn pledge(member: usize) -> PledgeId {
    PledgeId::from_u128(200 + member as u128)
}

/// The mission out of a member's pledge.
pub(crate) fn mission(member: usize) -> MissionId {
    MissionId::from_u128(300 + member as u128)
}

/// The request of the night.
pub(crate) fn request() -> RequestId {
    RequestId::from_u128(400)
}

/// The night, and where it stands.
pub(crate) struct Story {
    pub world: World,
}

impl Story {
    /// Three members share suits, each in its way, and one plays an exercise.
    pub fn shared() -> Self {
        let mut story = Self { world: World::new(&[150_300, 152_900, 640_200, 640_100], 1) };
        for (member, visibility) in
            [(ALXA, Visibility::Exact), (SHIZUISHAN, Visibility::Banded), (YINCHUAN, Visibility::AskUs)]
        {
            story.stock(member, lot(member), visibility, false);
        }
        story.pledge(ALXA, pledge(ALXA), lot(ALXA), 50);
        story.pledge(SHIZUISHAN, pledge(SHIZUISHAN), lot(SHIZUISHAN), 50);
        let played = LotId::from_u128(199);
        story.stock(YINCHUAN, played, Visibility::AskUs, true);
        story.pledge(YINCHUAN, PledgeId::from_u128(299), played, 7);
        story.world.settle();
        story
    }

    /// 60 suits and two teams are asked; Yinchuan declines.
    pub fn asked() -> Self {
        let mut story = Self::shared();
        let line = |resource, name: &str, qty| LineAsked { resource, name: name.to_owned(), qty: Qty(qty) };
        let now = story.world.now;
        let command = C::RequestAid {
            region: story.world.region_id(0),
            request: request(),
            subject: "乌达氯气泄漏".to_owned(),
            place: "乌达工业园".to_owned(),
            priority: Priority::Immediate,
            needed_by: now.plus_ms(4 * HOUR_MS),
            expires_at: now.plus_ms(2 * DAY_MS),
            addressed: Vec::new(),
            lines: vec![
                line(suits(), "气密型化学防护服", 60),
                line(Resource::Team(UnitKind::new("hazmat").unwrap()), "危化救援队", 2),
            ],
            exercise: false,
        };
        story.own(WUHAI, Role::Leader, command);
        story.world.settle();
        story.world.pass(MINUTE_MS);
        let command = C::AnswerAid {
            region: story.world.region_id(0),
            request: request(),
            line: 1,
            answer: Answer::Decline { reason: "本市危化预警，储备须留用".to_owned() },
            cost: Fen(0),
            eta: None,
            offers: Vec::new(),
            expires_at: story.world.now.plus_ms(DAY_MS),
            cross_floor: None,
        };
        story.own(YINCHUAN, Role::Leader, command);
        story.world.settle();
        story
    }

    /// 50 of Alxa and 10 of Shizuishan are ordered and committed; Alxa's have left.
    pub fn moving() -> Self {
        let mut story = Self::asked();
        let hub = story.world.parties[WUHAI];
        for (member, qty) in [(ALXA, 50), (SHIZUISHAN, 10)] {
            let hold = R::Hold {
                mission: mission(member),
                request: request(),
                line: 1,
                pledge: pledge(member),
                qty: Qty(qty),
                minutes: 60,
            };
            story.shared_command(actor(hub, Role::Coordinator, 1), hold);
            story.world.pass(90_000);
            let number = format!("乌-调-2026-{member:04}");
            let order = R::Order { mission: mission(member), number, spoken: member == SHIZUISHAN };
            story.shared_command(actor(hub, Role::Leader, 1), order);
            story.world.settle();
        }
        story.world.pass(20 * MINUTE_MS);
        story.dispatch(ALXA, 50);
        story
    }

    /// Everything arrived; 41 are used, 3 come back damaged, 16 fit for use: 44 are owed.
    pub fn used() -> Self {
        let mut story = Self::moving();
        story.dispatch(SHIZUISHAN, 10);
        story.world.pass(2 * HOUR_MS);
        let store = StoreId::from_u128(1);
        story.own(
            WUHAI,
            Role::Keeper,
            C::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() },
        );
        for (member, good, consumed, damaged) in [(ALXA, 50, 35, 3), (SHIZUISHAN, 10, 6, 0)] {
            let mission = mission(member);
            let (happened_at, good) = (story.world.now, Qty(good));
            let back = good.saturating_sub(Qty(consumed + damaged));
            let receive = C::ReceiveDelivery { mission, store, good, damaged: Qty::ZERO, happened_at, ahead: None };
            story.own(WUHAI, Role::Keeper, receive);
            story.world.settle();
            let usage = Usage { consumed: Qty(consumed), damaged: Qty(damaged), lost: Qty::ZERO };
            story.own(WUHAI, Role::Keeper, C::ReportUsage { mission, usage, happened_at });
            story.own(WUHAI, Role::Keeper, C::SendReturn { mission, total: back, happened_at });
            story.world.settle();
            story.world.pass(HOUR_MS);
            let happened_at = story.world.now;
            story.own(member, Role::Keeper, C::TakeBack { mission, good: back, damaged: Qty::ZERO, happened_at });
            story.world.settle();
        }
        story
    }

    /// Alxa's 38 are claimed, recognised, restocked and verified; Shizuishan's 6 are owed still.
    pub fn restocked() -> Self {
        let mut story = Self::used();
        let (alxa, wuhai) = (story.world.parties[ALXA], story.world.parties[WUHAI]);
        let (mission, kind) = (mission(ALXA), DebtKind::Goods);
        let claim = R::Claim { mission, kind, amount: Fen(0), evidence: "交接单-1".to_owned() };
        story.shared_command(actor(alxa, Role::Leader, 1), claim);
        let recognise = R::Recognise { mission, kind, basis: Basis::Restock, in_money: false };
        story.shared_command(actor(wuhai, Role::Leader, 2), recognise);
        story.world.settle();
        let lot = LotId::from_u128(900);
        let details = story.details(ALXA, false);
        story.own(ALXA, Role::Keeper, C::ReceiveRestock { mission, lot, details, qty: Qty(38) });
        let verify = C::VerifyRestock { lot, accepted: Qty(38), rejected: Qty::ZERO };
        story.world.registry_command_by(ALXA, actor(alxa, Role::Keeper, 2), verify).unwrap();
        story.world.settle();
        story
    }

    pub fn record(&self) -> &Record<Region> {
        &self.world.regions[0].record
    }

    pub fn own(&mut self, member: usize, role: Role, command: C) {
        self.world.registry_command(member, role, command).unwrap();
    }

    pub fn shared_command(&mut self, by: shouwang_domain::actor::Actor, command: R) {
        self.world.region_command(0, by, command).unwrap();
    }

    fn details(&self, member: usize, exercise: bool) -> LotDetails {
        let owner = self.world.parties[member];
        LotDetails { exercise, ..testing::lot(owner, StoreId::from_u128(1), &suits()) }
    }

    fn stock(&mut self, member: usize, lot: LotId, visibility: Visibility, exercise: bool) {
        let region = self.world.region_id(0);
        let store = StoreId::from_u128(1);
        let add = C::AddStore { store, name: "中心库".to_owned(), district: "市区".to_owned() };
        // The store may stand already.
        let _ = self.world.registry_command(member, Role::Keeper, add);
        let details = self.details(member, exercise);
        self.own(member, Role::Keeper, C::OpenLot { lot, details, qty: Qty(120) });
        self.own(member, Role::Leader, C::SetVisibility { region, resource: suits(), visibility });
        self.own(member, Role::Node, C::RefreshPublication { region });
    }

    fn pledge(&mut self, member: usize, pledge: PledgeId, lot: LotId, qty: u64) {
        let (region, expires_at) = (self.world.region_id(0), self.world.now.plus_ms(30 * DAY_MS));
        let command = C::Pledge { region, pledge, lot, qty: Qty(qty), expires_at, cross_floor: None };
        self.own(member, Role::Leader, command);
        self.own(member, Role::Node, C::RefreshPublication { region });
    }

    fn dispatch(&mut self, member: usize, qty: u64) {
        let (mission, happened_at) = (mission(member), self.world.now);
        let seal = "封-1".to_owned();
        self.own(member, Role::Keeper, C::Dispatch { mission, qty: Qty(qty), seal, happened_at, emergency: None });
        self.world.settle();
    }
}
