//! What people say in the tests, in full sentences.

use super::{ASKED, Scene, debt, lot, mission, pledge, request, store, suits, team, text};
use shouwang_domain::channel::{Answer, LineAsked, MissionNotice, Priority, Usage};
use shouwang_domain::charter::Basis;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::registry::command::{Ahead, RegistryCommand as C};
use shouwang_domain::registry::state::{Holding, LotDetails};
use shouwang_domain::testing;
use shouwang_domain::time::{DAY_MS, HOUR_MS};

impl Scene {
    pub fn details(&self, owner: usize) -> LotDetails {
        let (name, batch) = (text("气密型化学防护服"), text("B-1"));
        LotDetails { name, batch, ..testing::lot(self.code(owner), store(), &suits()) }
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
