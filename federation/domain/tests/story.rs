//! The supply part of the story that every release must be able to play (23:40, chlorine leak at 乌达), over lines that
//! lose, double and reorder, with every record restarted on the way.

mod common;

use std::collections::BTreeMap;

use common::{
    ALXA, PARTIES, SHIZUISHAN, Scene, WUHAI, YINCHUAN, code_of, lot, mission, new_lot, pledge, request, suits, text,
};
use shouwang_domain::actor::Role;
use shouwang_domain::channel::Answer;
use shouwang_domain::charter::Basis;
use shouwang_domain::courier;
use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::{MissionState as M, ObligationState as O};
use shouwang_domain::region::state::DebtKind;
use shouwang_domain::region::view::LineState;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::{Account, Floors};
use shouwang_domain::resource::Warning;
use shouwang_domain::testing::{Rng, actor};
use shouwang_domain::time::{HOUR_MS, MINUTE_MS};

/// Rounds of a lossy line after which everything must have arrived.
const ROUNDS_MAX: usize = 2000;

/// The night, played on.
struct Night {
    scene: Scene,
    rng: Rng,
}

impl Night {
    fn new(seed: u64) -> Self {
        let mut scene = Scene::stocked();
        let details = scene.details(YINCHUAN);
        scene.must(YINCHUAN, C::OpenLot { lot: lot(YINCHUAN), details, qty: Qty(40) });
        Self { scene, rng: Rng(seed) }
    }

    /// Somebody of a member speaks to his own registry; the lines do what lines do.
    fn says(&mut self, member: usize, command: C) {
        self.scene.must(member, command);
        self.goes_on();
    }

    /// Somebody asks the region.
    fn asks(&mut self, member: usize, command: R) {
        let name = command.name();
        if let Err(refusal) = self.scene.ask(member, command) {
            panic!("{name}: {refusal}");
        }
        self.goes_on();
    }

    fn goes_on(&mut self) {
        self.scene.check();
        self.scene.world.carry(Some(&mut self.rng));
        self.scene.check();
        self.never_more_than_pledged();
    }

    /// Lossy rounds until no courier whose line is up has anything left to carry.
    fn arrives(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if (0..PARTIES.len()).all(|member| self.scene.world.cut[member] || self.is_level(member)) {
                return;
            }
            self.goes_on();
        }
        panic!("the couriers never come to rest");
    }

    fn is_level(&self, member: usize) -> bool {
        let (region, id) = (self.scene.region(), self.scene.world.region_id(0));
        let registry = self.scene.registry(member);
        let up = courier::upward(registry, id, region, 1).expect("no divergence");
        let down = courier::downward(region, id, registry, 1).expect("no divergence");
        up.is_empty() && down.is_empty()
    }

    fn restarts(&mut self) {
        let world = &mut self.scene.world;
        for registry in &mut world.registries {
            registry.restart();
            registry.checkpoint();
        }
        for region in &mut world.regions {
            region.restart();
            region.checkpoint();
        }
        self.scene.check();
    }

    fn never_more_than_pledged(&self) {
        let held: u64 = self.scene.region().pledges().map(|(_, pledge)| pledge.held.0).sum();
        assert!(held <= 100, "{held} held of 100");
        assert!(self.scene.region().pledges().all(|(_, pledge)| pledge.held <= pledge.total));
    }

    /// What every member still has to get (+) or to give (−), in units.
    fn books(&self) -> BTreeMap<MunicipalityCode, i128> {
        let mut books = BTreeMap::new();
        for (_, debt) in self.scene.region().obligations().filter(|(_, debt)| debt.state != O::Settled) {
            *books.entry(debt.creditor).or_default() += i128::from(debt.qty_open().0);
            *books.entry(debt.debtor).or_default() -= i128::from(debt.qty_open().0);
        }
        assert_eq!(books.values().sum::<i128>(), 0, "the books between members sum to zero");
        books
    }

    fn owed(&self) -> u64 {
        self.scene.region().obligations().map(|(_, debt)| debt.qty_open().0).sum()
    }

    /// 23:52: asked for, pledged, and what Yinchuan cannot give.
    fn they_ask_and_answer(&mut self) {
        self.says(WUHAI, self.scene.request_aid(1));
        for (n, member) in [(1, ALXA), (2, SHIZUISHAN)] {
            self.says(member, self.scene.pledge_suits(n, member, Qty(50)));
        }
        self.arrives();
        self.says(ALXA, self.scene.answer(Answer::Accept { qty: Qty(50) }));
        // Yinchuan has a chemical warning of its own; what it has is what it keeps.
        self.says(YINCHUAN, C::SetFloors { resource: suits(), floors: Floors([0, 10, 20, 40, 40].map(Qty)) });
        self.says(YINCHUAN, C::SetWarning { warning: Warning::Orange });
        let pledge = self.scene.pledge_suits(9, YINCHUAN, Qty(1));
        assert_eq!(code_of(&self.scene.say(YINCHUAN, pledge)), "BELOW_FLOOR");
        self.says(YINCHUAN, self.scene.decline());
        self.arrives();
        let answers: Vec<_> = self.scene.region().answers(request(1)).collect();
        assert_eq!(answers.len(), 2);
        let reason = answers.iter().find_map(|(_, answered)| match &answered.given.answer {
            Answer::Decline { reason } => Some(reason.as_str()),
            _ => None,
        });
        assert_eq!(reason, Some("本地化工预警"));
    }

    /// Two coordinators reach for the same suits in the same second.
    fn two_hold_at_once(&mut self) {
        let code = self.scene.code(WUHAI);
        let ask = |night: &mut Self, person, command| {
            let result = night.scene.ask_by(actor(code, Role::Coordinator, person), command);
            night.goes_on();
            result
        };
        // Who is first decides the log, not the clock.
        let (first, second) = if self.rng.chance(50) { (1, 2) } else { (2, 1) };
        assert_eq!(ask(self, first, Scene::hold(1, 1, Qty(30))), Ok(()));
        let refused: Result<(), Refusal> = ask(self, second, Scene::hold(2, 1, Qty(30)));
        assert_eq!(code_of(&refused), "NOT_ENOUGH");
        assert_eq!(ask(self, second, Scene::hold(2, 2, Qty(30))), Ok(()));
        for p in [1, 2] {
            assert_eq!(code_of(&ask(self, first, Scene::hold(3, p, Qty(1)))), "MORE_THAN_REQUESTED");
        }
        self.asks(WUHAI, Scene::order(1));
        let number = text("乌-调-2026-0002");
        self.asks(WUHAI, R::Order { mission: mission(2), number, spoken: true });
        self.arrives();
        assert_eq!([1, 2].map(|m| self.scene.state(m)), [M::Committed, M::Committed]);
        self.scene.ask_by(actor(code, Role::Leader, 2), R::ConfirmPaper { mission: mission(2) }).expect("paper");
    }

    /// Shizuishan's line is cut after its commitment; its trucks leave and arrive before the region has heard of it.
    fn the_line_is_cut(&mut self) {
        self.scene.world.cut[SHIZUISHAN] = true;
        self.says(ALXA, self.scene.dispatch(1, Qty(30)));
        let left = C::Dispatch {
            mission: mission(2),
            qty: Qty(30),
            seal: text("石-封-7"),
            happened_at: self.scene.world.now,
            emergency: None,
        };
        self.says(SHIZUISHAN, left);
        let spoken_code = mission(2).spoken_code();
        self.asks(WUHAI, R::RelayDispatch { mission: mission(2), spoken_code, qty: Qty(30) });
        self.scene.world.pass(90 * MINUTE_MS);
        self.says(WUHAI, self.scene.receive(1, Qty(30), Qty::ZERO));
        self.says(WUHAI, self.scene.receive(2, Qty(30), Qty::ZERO));
        self.arrives();
        assert_eq!(self.scene.state(2), M::Delivered, "received ahead");
        assert!(self.scene.mission(2).amounts.dispatched.is_zero(), "nobody has heard that it left");
        // Typed in again on both sides, as the paper says.
        self.says(WUHAI, self.scene.receive(2, Qty(30), Qty::ZERO));
        let again = self.scene.dispatch(2, Qty(30));
        assert_eq!(code_of(&self.scene.say(SHIZUISHAN, again)), "WRONG_STATE", "it left once");
        let handed = C::HandOver { mission: mission(2), qty: Qty(30), happened_at: self.scene.world.now };
        self.says(SHIZUISHAN, handed);
        self.restarts();
        self.scene.world.cut[SHIZUISHAN] = false;
        self.arrives();
        assert_eq!([1, 2].map(|m| self.scene.state(m)), [M::Delivered, M::Delivered]);
        let amounts = &self.scene.mission(2).amounts;
        assert_eq!((amounts.dispatched, amounts.received()), (Qty(30), Qty(30)), "one dispatch, one delivery");
        assert_eq!(self.scene.region().discrepancies().count(), 0);
        assert_eq!(self.scene.pledge(2).total, Qty(20));
        for (m, member) in [(1, ALXA), (2, SHIZUISHAN)] {
            assert_eq!(self.scene.balance(member, lot(member), Account::OnLoan(mission(m))), 30);
        }
    }

    /// 41 used, 3 damaged, 16 return; told in two reports, the first of them twice.
    fn they_use_and_return(&mut self) {
        self.says(WUHAI, self.scene.usage(1, 10, 0, 0));
        self.says(WUHAI, self.scene.usage(1, 10, 0, 0));
        self.says(WUHAI, self.scene.usage(1, 21, 2, 0));
        self.says(WUHAI, self.scene.usage(2, 20, 1, 0));
        for (m, back) in [(1, 7), (2, 9)] {
            let happened_at = self.scene.world.now;
            self.says(WUHAI, C::SendReturn { mission: mission(m), total: Qty(back), happened_at });
        }
        self.arrives();
        self.says(ALXA, self.scene.take_back(1, Qty(7), Qty::ZERO));
        self.says(SHIZUISHAN, self.scene.take_back(2, Qty(9), Qty::ZERO));
        self.arrives();
        assert_eq!([1, 2].map(|m| self.scene.state(m)), [M::Accounted, M::Accounted]);
        let amounts = [1, 2].map(|m| self.scene.mission(m).amounts.clone());
        assert_eq!(amounts.iter().map(|a| a.usage.consumed.0).sum::<u64>(), 41);
        assert_eq!(amounts.iter().map(|a| a.usage.damaged.0).sum::<u64>(), 3);
        assert_eq!(amounts.iter().map(|a| a.returned_good.0).sum::<u64>(), 16);
        assert_eq!(self.owed(), 44);
        assert_eq!(self.books()[&self.scene.code(WUHAI)], -44);
        assert_eq!(self.scene.region().line_state(request(1), 1), Some(LineState::Settling));
        let close = R::CloseRequest { request: request(1) };
        assert_eq!(code_of(&self.scene.ask(WUHAI, close)), "STILL_OPEN");
    }

    /// The enterprise is liable; by the charter Wuhai restocks first. Two persons of each owner take in and verify.
    fn they_restock(&mut self) {
        let kind = DebtKind::Goods;
        for (m, member, owed) in [(1, ALXA, 23), (2, SHIZUISHAN, 21)] {
            let mission = mission(m);
            self.asks(member, R::Claim { mission, kind, amount: Fen(0), evidence: text("核销单") });
            let basis = Basis::LiableEnterprise;
            self.asks(WUHAI, R::Recognise { mission, kind, basis, in_money: false });
            let details = self.scene.details(member);
            self.says(member, C::ReceiveRestock { mission, lot: new_lot(m), details, qty: Qty(owed) });
            let verify = C::VerifyRestock { lot: new_lot(m), accepted: Qty(owed), rejected: Qty::ZERO };
            assert_eq!(code_of(&self.scene.say(member, verify.clone())), "SAME_PERSON");
            let other = actor(self.scene.code(member), Role::Keeper, 2);
            self.scene.say_by(member, other, verify).expect("verified by another");
            self.goes_on();
        }
        self.arrives();
        assert_eq!(self.owed(), 0);
        assert!(self.books().is_empty());
    }

    /// The request closes, the pledges go home, and every suit is where it belongs.
    fn they_close(&mut self) {
        self.asks(WUHAI, R::CloseRequest { request: request(1) });
        for (n, member) in [(1, ALXA), (2, SHIZUISHAN)] {
            let (pledge, reason) = (pledge(n), text("响应结束"));
            self.says(member, C::WithdrawPledge { pledge, qty: Qty(50), reason });
        }
        self.arrives();
        self.restarts();
        self.scene.settle();
        assert_eq!(self.scene.region().line_state(request(1), 1), Some(LineState::Closed));
        for (m, member) in [(1, ALXA), (2, SHIZUISHAN)] {
            let home = self.scene.balance(member, lot(member), Account::Local);
            assert_eq!(home + self.scene.balance(member, new_lot(m), Account::Local), 100, "as many as before");
            assert!(self.scene.registry(member).pledges().all(|(_, pledge)| pledge.closed));
            assert_eq!(self.scene.balance(WUHAI, mission(m).custody_lot(), Account::Local), 0);
        }
        assert!((0..PARTIES.len()).all(|member| self.scene.registry(member).shortfalls().count() == 0));
    }
}

#[test]
fn the_night_ends_with_books_that_sum_to_zero() {
    for seed in 0..50 {
        let mut night = Night::new(seed);
        night.restarts();
        night.they_ask_and_answer();
        night.restarts();
        night.two_hold_at_once();
        night.the_line_is_cut();
        night.scene.world.pass(8 * HOUR_MS);
        night.they_use_and_return();
        night.restarts();
        night.they_restock();
        night.they_close();
    }
}
