//! Plausible things that people do, drawn at random: most are legal, many are not, and none may break an invariant.
//! A person acts on what his own node shows him, however old that is.

use super::world::{Rng, actor, lot};
use crate::actor::{Actor, Role};
use crate::channel::{Answer, LineAsked, Priority, Usage};
use crate::charter::Basis;
use crate::ids::{LotId, MissionId, MunicipalityCode, PledgeId, RegionId, RequestId, StoreId};
use crate::quantity::{Fen, Qty};
use crate::region::Region;
use crate::region::command::RegionCommand as R;
use crate::region::state::{DebtKind, Finding, Mission, Obligation, Pledge};
use crate::registry::Registry;
use crate::registry::command::{Ahead, Offer, RegistryCommand as C};
use crate::registry::state::{Floors, LotDetails, RegistryMission};
use crate::resource::{Condition, ItemCode, Resource, UnitKind, Visibility, Warning};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// What a person has before him: his municipality's own registry, and the region as his node knows it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What his clock says.
    pub now: Timestamp,
    /// Whom he speaks for.
    pub me: MunicipalityCode,
    /// The members of the region.
    pub parties: &'a [MunicipalityCode],
    /// His own registry.
    pub registry: &'a Registry,
    /// The region's name.
    pub region_id: RegionId,
    /// The region.
    pub region: &'a Region,
}

/// A command somebody gives, and to which record.
#[derive(Clone, Debug)]
pub enum Said {
    /// To his own registry.
    Registry(Actor, C),
    /// To the region.
    Region(Actor, R),
}

/// The goods of the random world.
fn item() -> Resource {
    Resource::Item(ItemCode::new(2_990_101).expect("a code of the right shape"))
}

/// The team of the random world.
fn team() -> Resource {
    Resource::Team(UnitKind::new("hazmat").expect("a slug"))
}

/// The one store that everybody has.
fn store() -> StoreId {
    StoreId::from_u128(1)
}

/// One of what an iterator gives, if it gives anything.
fn any<T>(things: impl Iterator<Item = T>, rng: &mut Rng) -> Option<T> {
    let mut things: Vec<T> = things.collect();
    let at = rng.below(things.len() as u64) as usize;
    (at < things.len()).then(|| things.swap_remove(at))
}

/// What somebody does next; nothing if there is nothing to do it to.
pub fn random_commands(view: &View<'_>, rng: &mut Rng) -> Vec<Said> {
    match rng.below(90) {
        0..10 => view.stock(rng),
        10..20 => view.pledge(rng),
        20..26 => view.request(rng),
        26..32 => view.answer(rng),
        32..44 => view.hold(rng),
        44..52 => view.order_or_cancel(rng),
        52..80 => view.move_goods(rng),
        80..86 => view.settle_debt(rng),
        _ => view.settle_discrepancy(rng),
    }
}

fn mostly(rng: &mut Rng, right: Role) -> Role {
    if rng.chance(95) { right } else { Role::ALL[rng.below(8) as usize] }
}

impl View<'_> {
    fn own(&self, role: Role, command: C) -> Said {
        Said::Registry(actor(self.me, role, 1), command)
    }

    fn shared(&self, role: Role, number: u32, command: R) -> Said {
        Said::Region(actor(self.me, role, number), command)
    }

    fn is_hub(&self) -> bool {
        self.region.charter().hub == self.me
    }

    fn any_lot(&self, rng: &mut Rng) -> Option<LotId> {
        any(self.registry.lots().map(|(id, _)| *id), rng)
    }

    fn any_mission(&self, rng: &mut Rng) -> Option<(MissionId, Mission)> {
        any(self.region.missions(), rng).map(|(id, mission)| (*id, mission.clone()))
    }

    fn stock(&self, rng: &mut Rng) -> Vec<Said> {
        let qty = Qty(1 + rng.below(20));
        let (role, command) = match (rng.below(14), self.any_lot(rng)) {
            (0, Some(lot)) => (Role::Keeper, C::Receive { lot, qty, document: "入库".to_owned() }),
            (1, Some(lot)) => (Role::Keeper, C::Issue { lot, qty, purpose: "自用".to_owned() }),
            (2, Some(lot)) => (Role::Keeper, C::Scrap { lot, qty, reason: "破损".to_owned() }),
            (3, Some(lot)) => (Role::Keeper, C::Count { lot, counted: qty, reason: "盘点".to_owned() }),
            (4, Some(lot)) => {
                let condition = [Condition::Usable, Condition::UnderRepair][rng.below(2) as usize];
                (Role::Keeper, C::Inspect { lot, condition })
            }
            (5, Some(lot)) => (Role::Keeper, C::Repaired { lot, qty }),
            (6, _) => (Role::Leader, C::SetFloors { resource: item(), floors: Floors([0, 2, 4, 8, 16].map(Qty)) }),
            (7, _) => (Role::Leader, C::SetWarning { warning: [Warning::None, Warning::Red][rng.below(2) as usize] }),
            (8, _) => {
                let visibility = [Visibility::Exact, Visibility::Banded][rng.below(2) as usize];
                (Role::Leader, C::SetVisibility { region: self.region_id, resource: item(), visibility })
            }
            _ => (Role::Keeper, self.open_lot(rng)),
        };
        let opened = self.registry.stores().any(|(id, _)| *id == store());
        let opening = C::AddStore { store: store(), name: "中心库".to_owned(), district: "海勃湾区".to_owned() };
        let mut said = Vec::new();
        if !opened {
            said.push(self.own(Role::Keeper, opening));
        }
        let role = mostly(rng, role);
        said.push(self.own(role, command));
        if rng.chance(50) {
            said.push(self.own(Role::Node, C::RefreshPublication { region: self.region_id }));
        }
        said
    }

    fn lot_details(&self, rng: &mut Rng, unit: bool) -> LotDetails {
        let longest = if rng.chance(20) { 10 } else { 90 };
        let days = rng.below(longest) as i64;
        LotDetails {
            // Now and then a depot that is kept for another.
            owner: if rng.chance(80) { self.me } else { self.parties[rng.below(2) as usize] },
            expires: rng.chance(50).then(|| self.now.plus_ms(days * DAY_MS).shanghai_date()),
            exercise: rng.chance(10),
            ..lot(self.me, store(), &if unit { team() } else { item() })
        }
    }

    fn open_lot(&self, rng: &mut Rng) -> C {
        let unit = rng.chance(30);
        let qty = if unit { Qty::ONE } else { Qty(1 + rng.below(60)) };
        C::OpenLot { lot: LotId(rng.uuid()), details: self.lot_details(rng, unit), qty }
    }

    fn pledge(&self, rng: &mut Rng) -> Vec<Said> {
        let known = any(self.registry.pledges().map(|(id, _)| *id), rng);
        let qty = Qty(1 + rng.below(30));
        let reason = "险情危及生命".to_owned();
        let command = match (rng.below(8), known, self.any_lot(rng)) {
            (0, Some(pledge), _) => C::WithdrawPledge { pledge, qty, reason },
            (1, Some(pledge), _) => C::BreakGlass { pledge, qty: Qty(1 + rng.below(5)), reason },
            (2, Some(pledge), _) => C::CoverOverdraft { pledge, qty: Qty(1 + rng.below(5)) },
            (_, _, Some(lot)) => C::Pledge {
                region: self.region_id,
                pledge: PledgeId(rng.uuid()),
                lot,
                qty: if rng.chance(40) { Qty::ONE } else { qty },
                expires_at: self.now.plus_ms(HOUR_MS + rng.below(20 * DAY_MS as u64) as i64),
                cross_floor: rng.chance(50).then(|| "签发领导同意".to_owned()),
            },
            _ => return Vec::new(),
        };
        vec![self.own(mostly(rng, Role::Leader), command)]
    }

    fn request(&self, rng: &mut Rng) -> Vec<Said> {
        let line = |resource, qty| LineAsked { resource, name: "需求".to_owned(), qty };
        let command = C::RequestAid {
            region: self.region_id,
            request: RequestId(rng.uuid()),
            subject: "氯气泄漏".to_owned(),
            place: "乌达工业园".to_owned(),
            priority: Priority::Immediate,
            needed_by: self.now.plus_ms(4 * HOUR_MS),
            expires_at: self.now.plus_ms(HOUR_MS + rng.below(10 * DAY_MS as u64) as i64),
            addressed: Vec::new(),
            lines: vec![line(item(), Qty(1 + rng.below(60))), line(team(), Qty(1 + rng.below(2)))],
            exercise: rng.chance(10),
        };
        vec![self.own(Role::Leader, command)]
    }

    fn answer(&self, rng: &mut Rng) -> Vec<Said> {
        let request = any(self.region.requests().map(|(id, _)| *id), rng);
        let (Some(request), Some(lot)) = (request, self.any_lot(rng)) else { return Vec::new() };
        let qty = Qty(1 + rng.below(20));
        let accept = rng.chance(60);
        let command = C::AnswerAid {
            region: self.region_id,
            request,
            line: 1 + rng.below(2) as u16,
            answer: if accept { Answer::Accept { qty } } else { Answer::Decline { reason: "本地预警".to_owned() } },
            cost: Fen(0),
            eta: None,
            offers: accept.then(|| Offer { pledge: PledgeId(rng.uuid()), lot, qty }).into_iter().collect(),
            expires_at: self.now.plus_ms(DAY_MS),
            cross_floor: None,
        };
        vec![self.own(Role::Leader, command)]
    }

    /// The requester holds for itself, the hub for anybody; now and then somebody who may not.
    fn hold(&self, rng: &mut Rng) -> Vec<Said> {
        let everybody = self.is_hub() || rng.chance(5);
        let requests = self.region.requests().filter(|(_, request)| everybody || request.requester == self.me);
        let request = any(requests.map(|(id, request)| (*id, request.requester, request.made.exercise)), rng);
        let Some((request, requester, exercise)) = request else { return Vec::new() };
        // Mostly what looks free; now and then anything.
        let blind = rng.chance(20);
        let fits = |pledge: &Pledge| {
            let for_this = pledge.made.for_line.is_none_or(|(of, _)| of == request);
            let same = pledge.holder != requester && pledge.made.exercise == exercise;
            for_this && same && !pledge.free().is_zero()
        };
        let pledges = self.region.pledges().filter(|(_, pledge)| blind || fits(pledge));
        let pledge = any(pledges.map(|(id, pledge)| (*id, pledge.made.resource.clone(), pledge.free())), rng);
        let Some((pledge, resource, free)) = pledge else { return Vec::new() };
        let right_line = if resource == item() { 1 } else { 2 };
        let line = if rng.chance(90) { right_line } else { 1 + rng.below(3) as u16 };
        let qty = if line == 2 { Qty::ONE } else { Qty(1 + rng.below(free.0.min(30) + 1)) };
        let mission = MissionId(rng.uuid());
        let hold = R::Hold { mission, request, line, pledge, qty, minutes: 1 + rng.below(120) as u32 };
        let mut said = vec![self.shared(Role::Coordinator, 1, hold)];
        if requester == self.me && rng.chance(70) {
            let order = R::Order { mission, number: "甲-调-2026-0001".to_owned(), spoken: rng.chance(20) };
            said.push(self.shared(Role::Leader, 1, order));
        }
        said
    }

    fn order_or_cancel(&self, rng: &mut Rng) -> Vec<Said> {
        let everybody = rng.chance(10);
        let mine = |mission: &Mission| everybody || mission.notice.requester == self.me;
        let missions = self.region.missions().filter(|(_, mission)| mine(mission));
        let Some((mission, notice)) = any(missions.map(|(id, mission)| (*id, mission.notice.clone())), rng) else {
            return Vec::new();
        };
        let reason = "情况变化".to_owned();
        let number = "甲-调-2026-0002".to_owned();
        let command = match rng.below(8) {
            0 => R::ReleaseHold { mission },
            1 | 2 => R::Order { mission, number, spoken: false },
            3 | 4 => R::CancelMission { mission, reason },
            5 => R::ConfirmPaper { mission },
            6 => R::RelayDispatch { mission, spoken_code: mission.spoken_code(), qty: notice.qty },
            _ if rng.chance(50) => R::WithdrawLine { request: notice.request, line: notice.line },
            _ => R::CloseRequest { request: notice.request },
        };
        let role = if rng.chance(50) { Role::Leader } else { Role::Coordinator };
        vec![self.shared(role, 2, command)]
    }

    fn move_goods(&self, rng: &mut Rng) -> Vec<Said> {
        let known = any(self.registry.missions().map(|(id, mission)| (*id, mission.clone())), rng);
        let command = match known {
            Some((mission, known)) if rng.chance(96) => self.movement(rng, mission, &known),
            _ => match self.emergency(rng) {
                Some(command) => command,
                None => return Vec::new(),
            },
        };
        let leader = matches!(command, C::Revoke { .. });
        vec![self.own(if leader { Role::Leader } else { Role::Keeper }, command)]
    }

    fn movement(&self, rng: &mut Rng, mission: MissionId, known: &RegistryMission) -> C {
        let full = if rng.chance(80) { known.notice.qty } else { Qty(1 + rng.below(known.notice.qty.0 + 2)) };
        let sends = known.notice.holder == self.me;
        // Now and then somebody reports what only the other side can know.
        if sends == rng.chance(95) {
            self.of_holder(rng, mission, known, full)
        } else {
            self.of_requester(rng, mission, known, full)
        }
    }

    fn of_holder(&self, rng: &mut Rng, mission: MissionId, known: &RegistryMission, full: Qty) -> C {
        let happened_at = self.now;
        match rng.below(12) {
            0 => C::Revoke { mission, reason: "现场危险".to_owned() },
            1 | 2 => C::AcknowledgeCancel { mission },
            3 => C::Pick { mission },
            4..8 => C::Dispatch { mission, qty: full, seal: "封-1".to_owned(), happened_at, emergency: None },
            8 => C::HandOver { mission, qty: full, happened_at },
            9 => C::TurnBack { mission, qty: known.turned_back + Qty(1 + rng.below(3)), happened_at },
            _ => {
                let good = known.returned_good + Qty(rng.below(known.notice.qty.0 + 1));
                C::TakeBack { mission, good, damaged: known.returned_damaged + Qty(rng.below(2)), happened_at }
            }
        }
    }

    fn of_requester(&self, rng: &mut Rng, mission: MissionId, known: &RegistryMission, full: Qty) -> C {
        let happened_at = self.now;
        match rng.below(10) {
            0..4 => {
                let damaged = if rng.chance(20) { Qty::ONE } else { Qty::ZERO };
                let good = full.saturating_sub(damaged);
                C::ReceiveDelivery { mission, store: store(), good, damaged, happened_at, ahead: None }
            }
            4..7 => {
                let mut usage: Usage = known.usage;
                usage.consumed += Qty(rng.below(known.notice.qty.0 + 1));
                usage.damaged += Qty(rng.below(2));
                C::ReportUsage { mission, usage, happened_at }
            }
            7 => C::Demobilise { mission, happened_at },
            _ => C::SendReturn { mission, total: known.return_sent + Qty(1 + rng.below(20)), happened_at },
        }
    }

    /// Goods leave or arrive on the strength of a telephone call.
    fn emergency(&self, rng: &mut Rng) -> Option<C> {
        let (mission, Mission { notice, .. }) = self.any_mission(rng)?;
        let ahead = Box::new(Ahead {
            region: self.region_id,
            notice: notice.clone(),
            spoken_code: mission.spoken_code(),
            reason: "断网".to_owned(),
        });
        let (qty, happened_at) = (notice.qty, self.now);
        Some(if notice.holder == self.me {
            C::Dispatch { mission, qty, seal: "封-2".to_owned(), happened_at, emergency: Some(ahead) }
        } else {
            let (good, damaged) = (qty, Qty::ZERO);
            C::ReceiveDelivery { mission, store: store(), good, damaged, happened_at, ahead: Some(ahead) }
        })
    }

    fn settle_debt(&self, rng: &mut Rng) -> Vec<Said> {
        let everybody = rng.chance(5);
        let mine = |debt: &Obligation| everybody || [debt.debtor, debt.creditor, debt.holder].contains(&self.me);
        let debts = self.region.obligations().filter(|(_, debt)| mine(debt));
        let Some(((mission, kind), debt)) = any(debts.map(|(key, debt)| (*key, debt.clone())), rng) else {
            let claim = |mission| {
                let evidence = "工时单".to_owned();
                R::Claim { mission, kind: DebtKind::Service, amount: Fen(10_000), evidence }
            };
            let claimed = self.any_mission(rng).map(|(mission, _)| self.shared(Role::Leader, 1, claim(mission)));
            return claimed.into_iter().collect();
        };
        let evidence = "凭证-1".to_owned();
        let command = if debt.debtor == self.me {
            match rng.below(4) {
                0 | 1 => R::Recognise { mission, kind, basis: Basis::Restock, in_money: rng.chance(20) },
                2 => R::Dispute { mission, kind, reason: "数量有异议".to_owned() },
                _ => R::ReportPayment { mission, kind, evidence },
            }
        } else if rng.chance(65) {
            R::Claim { mission, kind, amount: Fen(1), evidence }
        } else {
            R::ConfirmPayment { mission, kind, received: rng.chance(70) }
        };
        let mut said = vec![self.shared(Role::Leader, 3, command)];
        if debt.holder == self.me {
            said.extend(self.restock(rng, mission, &debt));
        }
        said
    }

    /// What came in to settle a debt: one keeper receives, another verifies.
    fn restock(&self, rng: &mut Rng, mission: MissionId, debt: &Obligation) -> [Said; 2] {
        let (lot, details) = (LotId(rng.uuid()), self.lot_details(rng, false));
        let qty = Qty(1 + rng.below(debt.qty.0 + 1));
        let rejected = if rng.chance(20) { Qty::ONE } else { Qty::ZERO };
        let verify = C::VerifyRestock { lot, accepted: qty.saturating_sub(rejected), rejected };
        [
            self.own(Role::Keeper, C::ReceiveRestock { mission, lot, details, qty }),
            Said::Registry(actor(self.me, Role::Keeper, 2), verify),
        ]
    }

    /// Agrees with what the other side proposes, or proposes.
    fn settle_discrepancy(&self, rng: &mut Rng) -> Vec<Said> {
        let Some((discrepancy, known)) = any(self.region.discrepancies(), rng).map(|(key, d)| (*key, d.clone())) else {
            return Vec::new();
        };
        let command = match known.proposed {
            Some((finding, by)) if by.municipality != self.me && rng.chance(80) => {
                R::AcceptFinding { discrepancy, finding }
            }
            _ => {
                let charged = discrepancy.1.needs_finding();
                let charge_requester = if charged { Qty(rng.below(known.qty.0 + 1)) } else { Qty::ZERO };
                R::ProposeFinding {
                    discrepancy, finding: Finding { charge_requester, note: "双方核对".to_owned() }
                }
            }
        };
        vec![self.shared(Role::Leader, 1, command)]
    }
}
