//! The world of a run: its stations, its people, what lies between them, and what time it really is.

use shouwang_domain::actor::Role;
use shouwang_domain::command::Envelope;
use shouwang_domain::level;
use shouwang_domain::record::Record;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::testing::{Rng, actor};
use shouwang_domain::time::{DAY_MS, Timestamp};

use crate::cast::Cast;
use crate::clock::StationClock;
use crate::contest::{Contest, Contests};
use crate::network::{Letter, Network};
use crate::oracle::Oracle;
use crate::people::Crew;
use crate::plan::Plan;
use crate::scene::Scene;
use crate::station::{Station, found_record};
use crate::truth::Truth;
use crate::watch::{Verdict, Violation, Watch};
use crate::weather::{Habits, Weather};

/// When every run begins: 2026-03-01T23:40:00+08:00.
const BEGINNING_MS: i64 = 1_772_379_600_000;

/// The world of a run.
pub(crate) struct World {
    pub now: u64,
    /// What time it really is, in milliseconds.
    pub real_ms: i64,
    pub weather: Weather,
    pub habits: Habits,
    pub cast: Cast,
    pub rng: Rng,
    pub network: Network,
    pub oracle: Oracle,
    pub stations: Vec<Station>,
    pub crews: Vec<Crew>,
}

impl World {
    /// The world of a seed right after founding, and how many steps its storm lasts.
    pub fn found(plan: &Plan) -> Result<(Self, u64), Violation> {
        let mut rng = Rng(plan.seed);
        // One seed in eight is calm, and storms are of all lengths.
        let calm = rng.below(8) == 0;
        let cast = Cast::drawn(&mut rng);
        let weather = if calm { Weather::fair() } else { Weather::drawn(&mut rng) };
        let mut habits = Habits::drawn(&mut rng, calm);
        // In the other runs every program knows the newest level from the beginning.
        habits.upgrading = Rng(!plan.seed).chance(40);
        let steps = plan.steps * (40 + rng.below(61)) / 100;
        #[cfg(feature = "planted")]
        let (cast, weather, habits) = crate::planted::bias(plan.plant, &mut rng, (cast, weather, habits));
        let oracle = found_records(&cast)?;
        let network = Network::new(habits.slow);
        let crews = cast.cities.iter().enumerate();
        let crews = crews.map(|(at, city)| Crew::new(at, city.code, cast.federations.len())).collect();
        let mut world = Self {
            now: 0,
            real_ms: BEGINNING_MS,
            weather,
            habits,
            cast,
            rng,
            network,
            oracle,
            stations: Vec::new(),
            crews,
        };
        world.found_stations()?;
        world.open_contests();
        world.join_regions();
        Ok((world, steps))
    }

    fn found_stations(&mut self) -> Verdict {
        for (at, post) in self.cast.posts.iter().enumerate() {
            let (rate, wall) = (self.habits.rates[at], self.real_ms + self.habits.skews_ms[at]);
            let mut station = Station::new(at, *post, self.rng.draw(), StationClock::new(rate, wall));
            if self.habits.upgrading {
                station.knows = level::FIRST;
            }
            self.stations.push(station);
        }
        for (of, truth) in self.oracle.regions.iter().enumerate() {
            found_record(&self.stations, of, truth)?;
        }
        for (of, truth) in self.oracle.registries.iter().enumerate() {
            found_record(&self.stations, of, truth)?;
        }
        (0..self.stations.len()).try_for_each(|at| self.start(at))
    }

    /// A contended pledge or two a region, unless its holds could lapse unseen.
    fn open_contests(&mut self) {
        if self.habits.contest == 0 || self.habits.holds_may_lapse(&self.weather) {
            self.habits.contest = 0;
            return;
        }
        for of in 0..self.cast.federations.len() {
            let members = self.cast.founders(of);
            for _ in 0..=self.rng.below(2) {
                let holder = members[self.rng.index(members.len())];
                self.oracle.contests.list.push(Contest::drawn(of, holder, &members, &mut self.rng));
            }
        }
    }

    /// Every registry opens its channels, and its people begin what the contests need.
    fn join_regions(&mut self) {
        let now = Timestamp(self.real_ms);
        for crew in &mut self.crews {
            for (of, federation) in self.cast.federations.iter().enumerate() {
                if federation.concerns(&self.cast.cities, crew.city) {
                    let region = self.oracle.region_id(of);
                    ask_registry(
                        crew,
                        now,
                        Role::Admin,
                        RegistryCommand::JoinRegion { region, name: "region".to_owned() },
                    );
                }
            }
            for contest in &self.oracle.contests.list {
                let region = self.oracle.region_id(contest.region);
                for command in contest.opening((crew.city, crew.code), region, now) {
                    let stock = matches!(command, RegistryCommand::AddStore { .. } | RegistryCommand::OpenLot { .. });
                    ask_registry(crew, now, if stock { Role::Keeper } else { Role::Leader }, command);
                }
            }
        }
    }

    /// Starts the node of a station, if its disk answers.
    pub fn start(&mut self, at: usize) -> Verdict {
        self.stations[at].start(self.now, &self.cast, &mut self.oracle)
    }

    /// One step of everybody.
    pub fn step(&mut self) -> Verdict {
        self.now += 1;
        self.real_ms += self.habits.step_ms;
        let mut inboxes: Vec<Vec<Letter>> = self.stations.iter().map(|_| Vec::new()).collect();
        for letter in self.network.arrivals(self.now) {
            inboxes[letter.to].push(letter);
        }
        for (at, letters) in inboxes.into_iter().enumerate() {
            let station = &mut self.stations[at];
            station.clock.pass(self.habits.step_ms);
            let mut scene = Scene {
                now: self.now,
                real_ms: self.real_ms,
                clock: Timestamp::ZERO,
                weather: &self.weather,
                habits: &self.habits,
                cast: &self.cast,
                rng: &mut self.rng,
                network: &mut self.network,
                oracle: &mut self.oracle,
            };
            station.step(letters, &mut self.crews[station.post.city], &mut scene);
            if let Some(violation) = self.oracle.watch.violation.take() {
                return Err(violation);
            }
        }
        self.give_up_on_those_who_left();
        self.oracle.look()
    }

    /// Who is no member waits for no answer.
    fn give_up_on_those_who_left(&mut self) {
        for (of, truth) in self.oracle.regions.iter().enumerate().filter(|(_, truth)| truth.changed) {
            let charter = truth.record.machine().charter();
            for crew in self.crews.iter_mut().filter(|crew| charter.member(crew.code).is_none()) {
                crew.regions[of].give_up();
            }
        }
    }

    /// In calm weather everybody asks something of each of his records: all of it must be served.
    pub fn ask_everybody(&mut self) {
        let now = Timestamp(self.real_ms);
        for crew in &mut self.crews {
            let number =
                RegistryCommand::AllocateNumber { kind: shouwang_domain::registry::state::NumberKind::Mission };
            ask_registry(crew, now, Role::Leader, number);
            for (of, truth) in self.oracle.regions.iter().enumerate() {
                if truth.record.machine().charter().member(crew.code).is_some() {
                    let mission = shouwang_domain::ids::MissionId::from_u128(1);
                    let body = shouwang_domain::region::command::RegionCommand::ReleaseHold { mission };
                    let (id, by) = (crew.next_id(0), actor(crew.code, Role::Leader, 1));
                    let valid_until = now.plus_ms(DAY_MS);
                    crew.regions[of].ask(&Envelope { id, actor: by, valid_until, body });
                }
            }
        }
    }
}

fn ask_registry(crew: &mut Crew, now: Timestamp, role: Role, body: RegistryCommand) {
    let (id, by) = (crew.next_id(0), actor(crew.code, role, 1));
    crew.registry.ask(&Envelope { id, actor: by, valid_until: now.plus_ms(6 * DAY_MS), body });
}

fn found_records(cast: &Cast) -> Result<Oracle, Violation> {
    fn found<M: crate::oracle::Hosted>(name: String, genesis: &M::Genesis) -> Result<Truth<M>, Violation> {
        let record = Record::<M>::found(genesis);
        Ok(Truth::new(name, record.map_err(|refusal| Violation::new("founding", format!("{refusal:?}")))?))
    }
    let regions = cast.federations.iter().map(|federation| found(federation.charter.name.clone(), &federation.charter));
    let cities = cast.cities.iter().enumerate();
    let registries = cities.map(|(at, city)| found(format!("registry {}", city.code), &cast.founding(at)));
    Ok(Oracle {
        watch: Watch::default(),
        regions: regions.collect::<Result<_, _>>()?,
        registries: registries.collect::<Result<_, _>>()?,
        contests: Contests::default(),
    })
}
