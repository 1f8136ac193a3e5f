//! `shouwang-sim --seeds A..B [--steps N] [--plant NAME]`: plays runs and names those that fail.

use std::ops::Range;
use std::process::ExitCode;

use shouwang_sim::{Plan, Plant, run_all};

const USAGE: &str = "usage: shouwang-sim --seeds A..B [--steps N] [--plant NAME]";

struct Options {
    seeds: Range<u64>,
    steps: u64,
    plant: Plant,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 0..300, steps: Plan::STEPS, plant: Plant::None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{word} {text}: {error}"));
        match word.as_str() {
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or("--seeds takes A..B")?;
                options.seeds = number(from)?..number(to)?;
            }
            "--steps" => options.steps = number(&value)?,
            "--plant" => {
                let names = || Plant::ALL.map(Plant::name).join(", ");
                let known = Plant::ALL.into_iter().find(|plant| plant.name() == value);
                options.plant = known.ok_or_else(|| format!("--plant is one of {}", names()))?;
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let Options { seeds, steps, plant } = match options() {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (figures, failures) = run_all(seeds, steps, plant);
    for failure in &failures {
        eprintln!("{failure}");
    }
    println!("sim: {figures} failed={}", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
