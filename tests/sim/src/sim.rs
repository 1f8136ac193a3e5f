//! A run: a storm in which everything must stay safe, then calm in which everything must come to rest.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shouwang_domain::ids::MunicipalityCode;
use shouwang_domain::record::Record;
use shouwang_domain::testing::{Rng, charter, founding, municipality};
use shouwang_domain::time::{HOUR_MS, MINUTE_MS, Timestamp};
use shouwang_replica::{Input, conf_state_from};

use crate::figures::Figures;
use crate::member::{Env, Member, node_of};
use crate::network::{Letter, Network};
use crate::oracle::{Oracle, Truth, Watch};
use crate::plan::{Habits, Plan, Plant, Weather, between, draw};

/// The six cities of the Wuhai region, the hub first, with the characters of their working numbers.
const CITIES: [(u32, &str); 6] =
    [(150_300, "乌"), (150_600, "鄂"), (150_800, "巴"), (152_900, "阿"), (640_100, "银"), (640_200, "石")];
/// Voters of the region; further members are learners.
const VOTERS: usize = 5;
/// When every run begins: 2026-03-01T23:40:00+08:00.
const BEGINNING: Timestamp = Timestamp(1_772_379_600_000);
/// Steps within which everything must come to rest once nothing goes wrong any more.
const CALM_MAX: u64 = 6_000;

/// A run that showed nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Hash over everything that was delivered and done: the same seed gives the same.
    pub trace: u64,
    /// What was counted.
    pub figures: Figures,
}

/// A run that showed something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of the run.
    pub seed: u64,
    /// Steps of its safety phase.
    pub steps: u64,
    /// What was planted.
    pub plant: Plant,
    /// In which step.
    pub step: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, plant, step, what } = self;
        let (next, plant) = (seed + 1, plant.name());
        write!(
            f,
            "seed {seed} step {step}: {what}\n  replay: cargo run -p shouwang-sim -- \
             --seeds {seed}..{next} --steps {steps} --plant {plant}"
        )
    }
}

/// Plays a run. A panic anywhere in it is a failure like others.
///
/// # Errors
/// The first thing that was not as it must be.
pub fn run(plan: &Plan) -> Result<Report, Failure> {
    let step = std::cell::Cell::new(0);
    let played = catch_unwind(AssertUnwindSafe(|| play(plan, &step)));
    let verdict = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("without words")))
    });
    let Plan { seed, steps, plant } = *plan;
    verdict.map_err(|what| Failure { seed, steps, plant, step: step.get(), what })
}

fn play(plan: &Plan, step: &std::cell::Cell<u64>) -> Result<Report, String> {
    let mut sim = Sim::found(plan)?;
    for _ in 0..plan.steps {
        sim.disturb()?;
        sim.step()?;
        step.set(sim.now);
    }
    sim.clear_up()?;
    sim.come_to_rest(step)?;
    // Then the power goes everywhere at once, and everything must be there again.
    for member in &mut sim.members {
        member.crash(&mut sim.oracle);
    }
    sim.clear_up()?;
    sim.come_to_rest(step)?;
    Ok(sim.report())
}

struct Sim {
    now: u64,
    wall_ms: i64,
    plant: Plant,
    weather: Weather,
    habits: Habits,
    parties: Vec<MunicipalityCode>,
    rng: Rng,
    network: Network,
    oracle: Oracle,
    members: Vec<Member>,
    talk: bool,
}

impl Sim {
    fn found(plan: &Plan) -> Result<Self, String> {
        let mut rng = Rng(plan.seed);
        let (weather, habits) = draw(&mut rng);
        let cities = &CITIES[..habits.members];
        let parties: Vec<MunicipalityCode> = cities.iter().map(|(code, _)| municipality(*code)).collect();
        let region = Record::found(&charter("乌海及周边", &parties, None)).map_err(|refusal| format!("{refusal:?}"))?;
        let registry = |(code, short): &(u32, &str)| {
            let record = Record::found(&founding(municipality(*code), short));
            let record = record.map_err(|refusal| format!("{refusal:?}"))?;
            Ok(Truth::new(format!("registry {code}"), record))
        };
        let registries: Result<Vec<_>, String> = cities.iter().map(registry).collect();
        let region_id = region.id();
        let region = Truth::new("region".to_owned(), region);
        let oracle = Oracle { watch: Watch::default(), region_id, region, registries: registries? };
        let mut sim = Self {
            now: 0,
            wall_ms: 0,
            plant: plan.plant,
            weather,
            habits,
            parties,
            rng,
            network: Network::default(),
            oracle,
            members: Vec::new(),
            talk: true,
        };
        sim.found_members()?;
        Ok(sim)
    }

    fn found_members(&mut self) -> Result<(), String> {
        let ids: Vec<u64> = self.parties.iter().map(|code| node_of(*code).get()).collect();
        let (voters, learners) = ids.split_at(VOTERS.min(ids.len()));
        let conf = conf_state_from(voters.iter().copied(), learners.iter().copied());
        for who in 0..self.parties.len() {
            let seed = self.rng.draw();
            let (env, _) = self.env(who);
            let mut member = Member::found(who, &env, seed, &conf)?;
            member.start(&env)?;
            self.members.push(member);
        }
        Ok(())
    }

    /// The world as a member meets it, and the members beside it.
    fn env(&mut self, who: usize) -> (Env<'_>, &mut Vec<Member>) {
        let env = Env {
            now: self.now,
            wall: BEGINNING.plus_ms(self.wall_ms + self.habits.skew_ms[who]),
            weather: &self.weather,
            habits: &self.habits,
            plant: self.plant,
            parties: &self.parties,
            talk: self.talk,
            rng: &mut self.rng,
            network: &mut self.network,
            oracle: &mut self.oracle,
        };
        (env, &mut self.members)
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += 1;
        self.wall_ms += self.habits.step_ms;
        let mut inboxes: Vec<Vec<Letter>> = self.parties.iter().map(|_| Vec::new()).collect();
        for letter in self.network.arrivals(self.now) {
            inboxes[letter.to].push(letter);
        }
        for (who, letters) in inboxes.into_iter().enumerate() {
            let (mut env, members) = self.env(who);
            members[who].step(letters, &mut env);
            if let Some(what) = self.oracle.watch.violation.take() {
                return Err(what);
            }
        }
        Ok(())
    }

    /// What goes wrong in this step.
    fn disturb(&mut self) -> Result<(), String> {
        let who = self.rng.index(self.members.len());
        if self.rng.below(1000) < self.weather.crash {
            self.members[who].crash(&mut self.oracle);
        }
        if self.rng.below(1000) < self.weather.torn_checkpoint {
            let (region, operations) = (self.rng.chance(50), self.rng.below(40));
            self.members[who].tear_checkpoint(region, operations, &mut self.oracle);
        }
        if self.rng.chance(self.weather.restart) {
            let down = (0..self.members.len()).find(|who| self.members[*who].up.is_none());
            if let Some(down) = down {
                self.restart(down)?;
            }
        }
        if self.rng.below(1000) < self.weather.cut {
            self.cut();
        }
        if self.network.is_cut() && self.rng.chance(self.weather.heal) {
            self.network.heal();
        }
        if self.rng.below(1000) < self.weather.transfer {
            let to = node_of(self.parties[self.rng.index(VOTERS)]).get();
            for member in &mut self.members {
                if let Some(node) = &mut member.up {
                    let input = vec![Input::TransferLeader { to }];
                    node.region.give(input, &mut self.oracle.region, &mut self.oracle.watch);
                }
            }
        }
        if self.rng.below(1000) < self.weather.leap {
            self.wall_ms += between(&mut self.rng, 10 * MINUTE_MS..=20 * HOUR_MS);
        }
        Ok(())
    }

    fn restart(&mut self, who: usize) -> Result<(), String> {
        let (env, members) = self.env(who);
        members[who].start(&env).map_err(|what| format!("member {who} does not start: {what}"))
    }

    /// Cuts the region in two, its leader or somebody off, or one direction between two.
    fn cut(&mut self) {
        self.oracle.watch.figures.cuts += 1;
        let all: Vec<usize> = (0..self.members.len()).collect();
        let leads = |member: &Member| member.up.as_ref().is_some_and(|node| node.region.leads);
        let somebody = self.rng.index(all.len());
        let leader = self.members.iter().position(leads).unwrap_or(somebody);
        match self.rng.below(4) {
            0 => {
                let mut side = all.clone();
                side.retain(|_| self.rng.chance(50));
                let other: Vec<usize> = all.into_iter().filter(|who| !side.contains(who)).collect();
                self.network.cut(&side, &other);
                self.network.cut(&other, &side);
            }
            1 => {
                self.network.cut(&[leader], &all);
                self.network.cut(&all, &[leader]);
            }
            2 => {
                self.network.cut(&[somebody], &all);
                self.network.cut(&all, &[somebody]);
            }
            _ => self.network.cut(&[leader], &all),
        }
    }

    /// From here on nothing goes wrong, and nobody asks anything new.
    fn clear_up(&mut self) -> Result<(), String> {
        self.weather = Weather::fair();
        self.talk = false;
        self.network.heal();
        self.habits.skew_ms.fill(0);
        self.habits.step_ms = 50;
        for who in 0..self.members.len() {
            if self.members[who].up.is_none() {
                self.restart(who)?;
            }
        }
        Ok(())
    }

    /// Everybody is answered, every courier has carried everything, all copies are one.
    fn come_to_rest(&mut self, step: &std::cell::Cell<u64>) -> Result<(), String> {
        for _ in 0..CALM_MAX {
            self.step()?;
            step.set(self.now);
            if self.members.iter().all(|member| member.is_at_rest(&self.oracle)) {
                return self.compare();
            }
        }
        let restless = self.members.iter().filter(|member| !member.is_at_rest(&self.oracle));
        let stand: Vec<String> = restless.map(|member| member.stands(&self.oracle)).collect();
        Err(format!("no rest within {CALM_MAX} steps of calm: {}", stand.join("; ")))
    }

    fn compare(&mut self) -> Result<(), String> {
        for member in &self.members {
            let Some(node) = &member.up else { continue };
            let (region, registry) = (&mut self.oracle.region, &mut self.oracle.registries[member.who]);
            region.compare(member.who, &node.region.record)?;
            region.check_acknowledged(member.who, &node.region.record)?;
            registry.compare(member.who, &node.registry.record)?;
            registry.check_acknowledged(member.who, &node.registry.record)?;
            node.region.record.check()?;
            node.registry.record.check()?;
        }
        Ok(())
    }

    fn report(&self) -> Report {
        let mut figures = self.oracle.watch.figures;
        let region = self.oracle.region.record.machine();
        let records = self.oracle.registries.iter().map(|truth| truth.record.revision());
        figures.seeds = 1;
        figures.steps = self.now;
        figures.ledger_records = self.oracle.region.record.revision() + records.sum::<u64>();
        figures.missions = region.missions().count() as u64;
        figures.departed = region.missions().filter(|(_, m)| !m.amounts.left().is_zero()).count() as u64;
        Report { trace: self.oracle.watch.trace, figures }
    }
}
