//! A registry beside a database: movements of stock, one a call, with both in turns, in several rounds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::block_in_place;

use crate::costs;
use crate::figures::{millis, number};
use crate::floor::Floor;
use crate::load::repeat;
use crate::postgres::Postgres;
use crate::registry::Registry;
use crate::report::Sheet;
use crate::stock::{Books, Desk, Draws, Keeper, Kind, Stockroom};
use crate::system::Served as _;
use crate::works::{Plan, Work, say, time};

/// How many clients there are.
const CLIENTS: &[usize] = &[1, 16, 64];

/// The works of a registry, in the order in which they are told.
pub const WORKS: [Work; 5] = [
    Work { name: RECEIVE, clients: CLIENTS, unit: "/s", about: "goods received, one a call", more: true },
    Work { name: ISSUE, clients: CLIENTS, unit: "/s", about: "goods issued, one a call", more: true },
    Work { name: COUNT, clients: CLIENTS, unit: "/s", about: "counts of lots, one a call", more: true },
    Work { name: LATENCY, clients: CLIENTS, unit: "ms", about: "of one issue, median", more: false },
    Work { name: CPU, clients: CLIENTS, unit: "µs", about: "processor time for one issue", more: false },
];

const RECEIVE: &str = "movement_receive";
const ISSUE: &str = "movement_issue";
const COUNT: &str = "movement_count";
const LATENCY: &str = "movement_latency";
const CPU: &str = "movement_cpu";

/// A kind of movement, and what is told of it.
struct Told {
    kind: Kind,
    rate: &'static str,
    latency: Option<&'static str>,
    cpu: Option<&'static str>,
}

const TOLD: [Told; 3] = [
    Told { kind: Kind::Receive, rate: RECEIVE, latency: None, cpu: None },
    Told { kind: Kind::Issue, rate: ISSUE, latency: Some(LATENCY), cpu: Some(CPU) },
    Told { kind: Kind::Count, rate: COUNT, latency: None, cpu: None },
];

impl Told {
    fn works(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.rate), self.latency, self.cpu].into_iter().flatten()
    }
}

/// A stockroom, and the books that are kept beside it.
struct Side<S> {
    room: S,
    books: Books,
}

impl<S: Stockroom> Side<S> {
    async fn open(room: S) -> Result<Self> {
        let side = Self { room, books: Books::opened() };
        side.agree().await?;
        Ok(side)
    }

    async fn agree(&self) -> Result<()> {
        self.books.agree(&self.room.books().await?).with_context(|| S::NAME)
    }
}

/// Both on this machine.
pub struct Bench {
    registry: Side<Registry>,
    postgres: Option<Side<Postgres>>,
    plan: Plan,
}

impl Bench {
    /// Starts both, and gives them the same lots.
    ///
    /// # Errors
    /// One of them does not come up.
    pub async fn found(plan: Plan) -> Result<Self> {
        eprintln!("founding a registry");
        let registry = Registry::found(&plan.folder.join("registry")).await?;
        let postgres = if plan.alone {
            None
        } else {
            eprintln!("starting PostgreSQL");
            let postgres = Postgres::start(&plan.folder, &registry.node_papers(), registry.dialler()).await?;
            Some(Side::open(postgres).await?)
        };
        Ok(Self { registry: Side::open(registry).await?, postgres, plan })
    }

    /// Measures all that is planned, in rounds.
    ///
    /// # Errors
    /// What went wrong first: there is no figure of a run that was not whole.
    pub async fn run(mut self, sheet: &mut Sheet) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            sheet.introduce(Postgres::NAME, postgres.room.version());
        }
        for round in 0..self.plan.rounds {
            eprintln!("round {} of {}", round + 1, self.plan.rounds);
            self.round(round, sheet).await?;
        }
        Ok(())
    }

    async fn round(&mut self, round: usize, sheet: &mut Sheet) -> Result<()> {
        let Self { registry, postgres, plan } = self;
        for clients in CLIENTS {
            for told in TOLD.iter().filter(|told| told.works().any(|work| plan.asks(work))) {
                let run =
                    Planned { told, clients: *clients, round, floor: block_in_place(|| Floor::measure(&plan.folder))? };
                // Whoever begins has the machine as the other left it: they take turns in that as well.
                if round.is_multiple_of(2) {
                    run.measure(registry, plan, sheet).await?;
                }
                if let Some(postgres) = postgres {
                    run.measure(postgres, plan, sheet).await?;
                }
                if !round.is_multiple_of(2) {
                    run.measure(registry, plan, sheet).await?;
                }
            }
        }
        Ok(())
    }
}

/// One run, which both go through with the same movements.
struct Planned {
    told: &'static Told,
    clients: usize,
    round: usize,
    floor: Floor,
}

impl Planned {
    fn desks<K: Keeper>(&self, keepers: Vec<K>) -> Vec<Desk<K>> {
        let seed = |n: usize| (self.round as u64) << 32 | n as u64;
        keepers
            .into_iter()
            .enumerate()
            .map(|(n, keeper)| Desk::new(keeper, Draws::new(self.told.kind, seed(n))))
            .collect()
    }

    async fn measure<S: Stockroom>(&self, side: &mut Side<S>, plan: &Plan, sheet: &mut Sheet) -> Result<()> {
        let desks = self.desks(side.room.keepers(self.clients).await?);
        costs::rest(&side.room).await?;
        let processes = side.room.processes();
        let before = costs::cpu(&processes)?;
        let (mut run, desks) = repeat(desks, plan.span).await.with_context(|| S::NAME)?;
        // What was put off behind the answers belongs to them.
        costs::rest(&side.room).await?;
        let cpu = costs::cpu(&processes)?.saturating_sub(before);
        side.books.enter(desks.into_iter().flat_map(|desk| desk.accepted).collect())?;
        side.agree().await?;
        let each = cpu.as_secs_f64() * 1e6 / number(run.all);
        let (half, most) = (time(&mut run, 0.5)?, time(&mut run, 0.99)?);
        let figures = [(Some(self.told.rate), run.rate()), (self.told.latency, millis(half)), (self.told.cpu, each)];
        for (work, figure) in figures.into_iter().filter_map(|(work, figure)| Some((work?, figure))) {
            if plan.asks(work) {
                sheet.note(work, self.clients, S::NAME, figure);
            }
        }
        self.say::<S>(run.rate(), (half, most), each);
        Ok(())
    }

    fn say<S: Stockroom>(&self, rate: f64, (half, most): (Duration, Duration), each: f64) {
        let Self { told: Told { kind, .. }, clients, floor, .. } = self;
        say::<S>(&format!(
            "{clients} × {kind:?}: {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {each:.0} µs of processor each; \
             fdatasync {:.3} ms, round trip {:.3} ms",
            millis(half),
            millis(most),
            millis(floor.sync),
            millis(floor.round_trip),
        ));
    }
}
