//! `shouwang-fuzz [--seconds N] [--seed S] [--decoder NAME [--case N [--keep FILE]]]`: hostile inputs for every decoder, or for one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use shouwang_fuzz::campaign::{self, Plan};
use shouwang_fuzz::decoders::{self, Decoder};
use shouwang_fuzz::supervisor;

const USAGE: &str = "usage: shouwang-fuzz [--seconds N] [--cases N] [--seed S] [--decoder NAME [--case N [--keep FILE]]] [--patience-ms N]";

struct Options {
    plan: Plan,
    decoder: Option<&'static Decoder>,
    /// Where a supervised process says which input it is at.
    progress: Option<PathBuf>,
    /// Where the one input is written before it is tried.
    keep: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let plan =
        Plan { seed: 1, only: None, time: Duration::from_secs(30), cases: None, patience: Duration::from_secs(10) };
    let mut options = Options { plan, decoder: None, progress: None, keep: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{word} {value}"));
        match word.as_str() {
            "--seconds" => options.plan.time = Duration::from_secs(number()?),
            "--cases" => options.plan.cases = Some(number()?),
            "--seed" => options.plan.seed = number()?,
            "--case" => options.plan.only = Some(number()?),
            "--patience-ms" => options.plan.patience = Duration::from_millis(number()?),
            "--decoder" => {
                let names = || decoders::ALL.map(|decoder| decoder.name).join(", ");
                let found = decoders::find(&value).with_context(|| format!("--decoder is one of {}", names()))?;
                options.decoder = Some(found);
            }
            "--keep" => options.keep = Some(PathBuf::from(value)),
            "--progress" => options.progress = Some(PathBuf::from(value)),
            _ => bail!("unknown option {word}\n{USAGE}"),
        }
    }
    Ok(options)
}

fn run() -> Result<bool> {
    let Options { plan, decoder, progress, keep } = options()?;
    if let Some(decoder) = decoder {
        if let (Some(file), Some(case)) = (keep, plan.only) {
            let input = campaign::input(&*(decoder.make)(), plan.seed, case);
            std::fs::write(&file, input).with_context(|| file.display().to_string())?;
        }
        return supervisor::child(decoder, &plan, progress.as_deref());
    }
    println!("fuzz: seed={} seconds={} each", plan.seed, plan.time.as_secs());
    let found = supervisor::all(&std::env::current_exe()?, &decoders::ALL, &plan)?;
    println!("fuzz: decoders={} failed={}", decoders::ALL.len(), found.len());
    Ok(found.is_empty())
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
