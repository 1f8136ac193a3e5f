//! A run: a storm in which everything must stay safe, then calm in which everything must come to rest, serve, and hold
//! every acknowledged command.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::figures::Figures;
use crate::plan::Plan;
use crate::watch::Violation;
use crate::world::World;

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
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub plan: Plan,
    /// In which step.
    pub step: u64,
    /// What, and which check saw it.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, step, violation } = self;
        // Of the whole workspace, as everything is built: a part of it would have other features of its dependencies.
        let options = plan.options();
        write!(f, "seed {} step {step}: {violation}\n  replay: cargo run --bin shouwang-sim {options}", plan.seed)
    }
}

/// Plays a run. A panic anywhere in it is a failure like others.
///
/// # Errors
/// The first thing that was not as it must be.
pub fn run(plan: &Plan) -> Result<Report, Failure> {
    #[cfg(feature = "planted")]
    shouwang_domain::planted::plant(plan.plant.filter(|_| !plan.spared));
    let step = Cell::new(0);
    let played = catch_unwind(AssertUnwindSafe(|| play(plan, &step)));
    let verdict = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Violation::new("no panic", text.unwrap_or("without words")))
    });
    verdict.map_err(|violation| Failure { plan: *plan, step: step.get(), violation })
}

fn play(plan: &Plan, step: &Cell<u64>) -> Result<Report, Violation> {
    let (mut world, steps) = World::found(plan)?;
    for _ in 0..steps {
        world.disturb()?;
        world.step()?;
        step.set(world.now);
    }
    world.clear_up()?;
    come_to_rest(&mut world, step)?;
    world.ask_everybody();
    come_to_rest(&mut world, step)?;
    // Then the power goes everywhere at once, and everything must be there again.
    world.power_cut();
    world.clear_up()?;
    come_to_rest(&mut world, step)?;
    world.report()
}

/// Everybody is answered, every courier has carried everything, all copies are one.
fn come_to_rest(world: &mut World, step: &Cell<u64>) -> Result<(), Violation> {
    for _ in 0..CALM_MAX {
        world.step()?;
        step.set(world.now);
        if world.unrest().is_none() {
            return world.compare();
        }
    }
    let unrest = world.unrest().unwrap_or_default();
    Err(Violation::new("comes to rest", format!("not within {CALM_MAX} steps of calm: {unrest}")))
}
