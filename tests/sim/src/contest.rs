//! Contended stock: a pledge that several municipalities hold from and release, and look at. What they saw is kept as a
//! history, and must have been possible one thing after the other.

use std::collections::{BTreeMap, HashMap};

use shouwang_domain::channel::{LineAsked, Priority};
use shouwang_domain::ids::{LotId, MissionId, MunicipalityCode, PledgeId, RegionId, RequestId, StoreId};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::record::{Outcome, Verdict as Answer};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::lifecycle::MissionState;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::state::LotDetails;
use shouwang_domain::resource::{ItemCode, Resource};
use shouwang_domain::testing::{self, Rng, Said};
use shouwang_domain::time::{DAY_MS, HOUR_MS, Timestamp};

use crate::linear::{self, Operation};
use crate::stock::{Ask, Stock, Told};
use crate::truth::{Key, Truth};
use crate::watch::{Verdict, Violation};

/// Most operations on one pledge: what the search can decide.
const OPERATIONS_MAX: usize = 1_000;
/// Steps after which the search is given up.
const SEARCH_MAX: u64 = 2_000_000;
/// Minutes that a hold waits for a signature: longer than such a run.
const HOLD_MINUTES: u32 = 1440;

/// One contended pledge.
#[derive(Debug)]
pub(crate) struct Contest {
    /// In which region.
    pub region: usize,
    /// Whose goods, by position.
    pub holder: usize,
    capacity: u64,
    lot: LotId,
    pledge: PledgeId,
    /// Who asks for it, with his request.
    requests: BTreeMap<usize, RequestId>,
    /// What each holds and may release.
    held: BTreeMap<usize, Vec<(MissionId, u64)>>,
    operations: Vec<Operation<Ask, Told>>,
    /// At which revision of the region each look was shown.
    shown_at: Vec<u64>,
}

/// The resource that only contended stock is of.
fn resource() -> Resource {
    Resource::Item(ItemCode::new(2_990_102).expect("a code of the right shape"))
}

impl Contest {
    /// A pledge of `holder` that the others of `cities` hold from.
    pub fn drawn(region: usize, holder: usize, cities: &[usize], rng: &mut Rng) -> Self {
        let (lot, pledge, capacity) = (LotId(rng.uuid()), PledgeId(rng.uuid()), 8 + rng.below(24));
        let others = cities.iter().filter(|city| **city != holder);
        let requests = others.map(|city| (*city, RequestId(rng.uuid()))).collect();
        let (held, operations, shown_at) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { region, holder, capacity, lot, pledge, requests, held, operations, shown_at }
    }

    /// What a municipality does so that the contest can begin, in order.
    pub fn opening(&self, (city, code): (usize, MunicipalityCode), region: RegionId, now: Timestamp) -> Vec<C> {
        let far = now.plus_ms(300 * DAY_MS);
        if let Some(request) = self.requests.get(&city) {
            return vec![C::RequestAid {
                region,
                request: *request,
                subject: "抢用物资".to_owned(),
                place: "乌达工业园".to_owned(),
                priority: Priority::Immediate,
                needed_by: now.plus_ms(HOUR_MS),
                expires_at: far,
                addressed: Vec::new(),
                lines: vec![LineAsked { resource: resource(), name: "堵漏器材".to_owned(), qty: Qty(1_000_000) }],
                exercise: false,
            }];
        }
        if city != self.holder {
            return Vec::new();
        }
        let (lot, pledge, qty, store) = (self.lot, self.pledge, Qty(self.capacity), StoreId::from_u128(1));
        let (name, unit_price) = ("堵漏器材".to_owned(), Some(Fen(10_000)));
        let details = LotDetails { name, unit_price, ..testing::lot(code, store, &resource()) };
        vec![
            C::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() },
            C::OpenLot { lot, details, qty },
            C::Pledge { region, pledge, lot, qty, expires_at: far, cross_floor: None },
        ]
    }

    /// What a client does next, if the region as he sees it has his request and the pledge.
    pub fn next(&mut self, city: usize, region: &Region, rng: &mut Rng) -> Option<(Ask, Option<R>)> {
        if self.operations.len() >= OPERATIONS_MAX {
            return None;
        }
        region.pledge(self.pledge)?;
        let Some(request) = self.requests.get(&city).copied() else { return Some((Ask::Look, None)) };
        region.request(request)?;
        let held = self.held.entry(city).or_default();
        match rng.below(10) {
            0..4 => Some((Ask::Look, None)),
            4..6 if !held.is_empty() => {
                let (mission, qty) = held.swap_remove(rng.index(held.len()));
                Some((Ask::Release(qty), Some(R::ReleaseHold { mission })))
            }
            _ => {
                let (qty, mission) = (1 + rng.below(8), MissionId(rng.uuid()));
                let (pledge, minutes) = (self.pledge, HOLD_MINUTES);
                let hold = R::Hold { mission, request, line: 1, pledge, qty: Qty(qty), minutes };
                Some((Ask::Hold(qty), Some(hold)))
            }
        }
    }

    /// What a look at the region shows.
    pub fn seen(&self, region: &Region) -> Option<Told> {
        region.pledge(self.pledge).map(|pledge| Told::Held(pledge.held.0))
    }

    /// The history without what never happened: a look that was not answered, or a hold or release of which the region
    /// shows nothing in the end. What did happen without an answer may have happened at any time.
    fn settled(
        &self,
        known: &BTreeMap<usize, (MissionId, Option<u64>)>,
        region: &Region,
    ) -> (Vec<Operation<Ask, Told>>, Vec<usize>) {
        let happened = |(at, operation): &(usize, &Operation<Ask, Told>)| {
            let mission = known.get(at).and_then(|(id, _)| region.mission(*id));
            match operation.call {
                _ if operation.answered.is_some() => true,
                Ask::Look => false,
                Ask::Hold(_) => mission.is_some(),
                Ask::Release(_) => mission.is_some_and(|mission| mission.state == MissionState::HoldReleased),
            }
        };
        let end = |operation: &Operation<Ask, Told>| {
            let answered = operation.answered.or(Some((u64::MAX, Told::Done)));
            Operation { answered, ..operation.clone() }
        };
        let settled = self.operations.iter().enumerate().filter(happened);
        let (kept, all): (Vec<usize>, Vec<_>) = settled.map(|(at, operation)| (at, end(operation))).unzip();
        // What a look shows is the state after everything of its revision.
        let place = |at: usize| {
            let revision = known.get(&at).map_or(Some(self.shown_at[at]), |(_, revision)| *revision);
            (revision.unwrap_or(u64::MAX), matches!(self.operations[at].call, Ask::Look))
        };
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|at| place(kept[*at]));
        (all, order)
    }

    /// Whether a command of others would touch what is contended, so that the history were no longer all of it.
    fn is_touched_by(&self, region: &Region, said: &Said) -> bool {
        let (pledge, request, mission) = named(said);
        let ours = |id| region.mission(id).is_some_and(|mission| mission.notice.pledge == self.pledge);
        pledge == Some(self.pledge)
            || request.is_some_and(|id| self.requests.values().any(|ours| *ours == id))
            || mission.is_some_and(ours)
    }
}

/// The pledge, request and mission that a command names.
fn named(said: &Said) -> (Option<PledgeId>, Option<RequestId>, Option<MissionId>) {
    match said {
        Said::Registry(_, command) => match command {
            C::WithdrawPledge { pledge, .. } | C::BreakGlass { pledge, .. } | C::CoverOverdraft { pledge, .. } => {
                (Some(*pledge), None, None)
            }
            C::AnswerAid { request, .. } => (None, Some(*request), None),
            C::Dispatch { mission, .. } | C::ReceiveDelivery { mission, .. } => (None, None, Some(*mission)),
            _ => (None, None, None),
        },
        Said::Region(_, command) => match command {
            R::Hold { pledge, request, .. } => (Some(*pledge), Some(*request), None),
            R::WithdrawLine { request, .. } | R::CloseRequest { request } => (None, Some(*request), None),
            R::ReleaseHold { mission }
            | R::Order { mission, .. }
            | R::CancelMission { mission, .. }
            | R::RelayDispatch { mission, .. } => (None, None, Some(*mission)),
            _ => (None, None, None),
        },
    }
}

/// An operation of a contest, by the positions of both.
pub(crate) type Place = (usize, usize);

/// All contests of a run, and the order in which calls and answers came.
#[derive(Debug, Default)]
pub(crate) struct Contests {
    pub list: Vec<Contest>,
    moment: u64,
    waiting: HashMap<Key, (Place, MissionId)>,
}

impl Contests {
    /// A client asks now.
    pub fn ask(&mut self, contest: usize, ask: Ask) -> Place {
        self.moment += 1;
        let operations = &mut self.list[contest].operations;
        operations.push(Operation { call: ask, called: self.moment, answered: None });
        let place = (contest, operations.len() - 1);
        self.list[contest].shown_at.push(u64::MAX);
        place
    }

    /// What he asks is a command with this key.
    pub fn wait(&mut self, key: Key, place: Place, command: &R) {
        if let R::Hold { mission, .. } | R::ReleaseHold { mission } = command {
            self.waiting.insert(key, (place, *mission));
        }
    }

    /// A client is shown now what the region holds at a revision.
    pub fn show(&mut self, (contest, operation): Place, revision: u64, told: Told) {
        self.list[contest].shown_at[operation] = revision;
        self.tell((contest, operation), told);
    }

    /// A client is told now.
    fn tell(&mut self, (contest, operation): Place, told: Told) {
        self.moment += 1;
        self.list[contest].operations[operation].answered = Some((self.moment, told));
    }

    /// A command was answered; if a client of a contest waits for it, he is told. What came too late to be decided may
    /// have happened before: nobody is told anything.
    pub fn hear(&mut self, city: usize, key: Key, outcome: &Outcome) -> Verdict {
        let Some((place, mission)) = self.waiting.get(&key).copied() else { return Ok(()) };
        let call = self.list[place.0].operations[place.1].call;
        match &outcome.verdict {
            Answer::Accepted => {
                self.tell(place, Told::Done);
                if let Ask::Hold(qty) = call {
                    self.list[place.0].held.entry(city).or_default().push((mission, qty));
                }
                Ok(())
            }
            Answer::Refused(Refusal::NotEnough { .. }) => {
                self.tell(place, Told::No);
                Ok(())
            }
            Answer::Refused(refusal) => {
                Err(Violation::new("linearizable", format!("a client of contended stock was refused: {refusal}")))
            }
            Answer::Expired | Answer::IdReused => Ok(()),
        }
    }

    /// Whether a command of others, given in view of a region, would touch what is contended anywhere.
    pub fn are_touched_by(&self, region: &Region, said: &Said) -> bool {
        self.list.iter().any(|contest| contest.is_touched_by(region, said))
    }

    /// Whether every history was possible, with what the regions show in the end of those operations whose answer never
    /// came. Returns how many histories there are, and how many operations.
    pub fn check(&self, regions: &[Truth<Region>]) -> Result<(u64, u64), Violation> {
        let wrong = |what: String| Err(Violation::new("linearizable", what));
        for (at, contest) in self.list.iter().enumerate() {
            let truth = &regions[contest.region];
            let ours = self.waiting.iter().filter(|(_, ((of, _), _))| *of == at);
            let known =
                ours.map(|(key, ((_, operation), mission))| (*operation, (*mission, truth.executed(key)))).collect();
            let (all, order) = contest.settled(&known, truth.record.machine());
            match linear::check(&Stock(contest.capacity), &all, &order, SEARCH_MAX) {
                linear::Verdict::Linearizable => {}
                linear::Verdict::Impossible(operation) => {
                    let operation = &all[operation];
                    return wrong(format!(
                        "history {at} of {}: no place for {operation:?} in {all:?}",
                        contest.capacity
                    ));
                }
                linear::Verdict::Undecided => return wrong(format!("history {at} is undecided")),
            }
        }
        let operations = self.list.iter().map(|contest| contest.operations.len() as u64);
        Ok((self.list.len() as u64, operations.sum()))
    }
}
