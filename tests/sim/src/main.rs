//! `shouwang-sim --seeds A..B [--steps N]`: plays runs and names those that fail.

use std::ops::Range;
use std::process::ExitCode;

use shouwang_sim::{Plan, run_all};

const USAGE: &str = "usage: shouwang-sim --seeds A..B [--steps N]
with --features shouwang-sim/planted also: [--plant NAME [--spared yes]]";

fn options() -> Result<(Range<u64>, Plan), String> {
    let (mut seeds, mut plan) = (0..300, Plan::new(0));
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{word} {text}: {error}"));
        match word.as_str() {
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or("--seeds takes A..B")?;
                seeds = number(from)?..number(to)?;
            }
            "--steps" => plan.steps = number(&value)?,
            #[cfg(feature = "planted")]
            "--plant" => plan.plant = Some(plant(&value)?),
            #[cfg(feature = "planted")]
            "--spared" => plan.spared = value == "yes",
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok((seeds, plan))
}

#[cfg(feature = "planted")]
fn plant(name: &str) -> Result<shouwang_domain::planted::Plant, String> {
    use shouwang_domain::planted::Plant;
    let names = Plant::ALL.map(Plant::name).join(", ");
    Plant::ALL.into_iter().find(|plant| plant.name() == name).ok_or_else(|| format!("--plant is one of {names}"))
}

fn main() -> ExitCode {
    let (seeds, plan) = match options() {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (figures, failures) = run_all(seeds, &plan, |failure| eprintln!("{failure}"));
    let mut checks = std::collections::BTreeMap::<&str, u64>::new();
    for failure in &failures {
        *checks.entry(&failure.violation.check).or_default() += 1;
    }
    println!("sim: {figures} failed={} {checks:?}", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
