//! `shouwang-bench [--quick] [--json] [--alone] [--rounds N] [--seconds N] [--dir DIR] [WORK…]`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use shouwang_bench::load::Span;
use shouwang_bench::works::{Bench, Plan, WORKS, folder};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: shouwang-bench [--quick] [--json] [--alone] [--rounds N] [--seconds N] [--dir DIR] [WORK…]
  --quick      two rounds of two seconds each: a first look
  --json       an object a line on standard output; the table goes to standard error
  --alone      Shouwang only, where there is no etcd
  --rounds N   how often each is measured (5)
  --seconds N  for how long each time (5)
  --dir DIR    where both keep their data: on the disk that is meant";

#[derive(Debug)]
struct Options {
    plan: Plan,
    json: bool,
    within: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let span = Span { warm: Duration::from_secs(1), measured: Duration::from_secs(5) };
    let plan = Plan { works: Vec::new(), rounds: 5, span, folder: PathBuf::new(), alone: false };
    let mut options = Options { plan, json: false, within: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--quick" => {
                options.plan.rounds = 2;
                options.plan.span = Span { warm: Duration::from_millis(500), measured: Duration::from_secs(2) };
            }
            "--json" => options.json = true,
            "--alone" => options.plan.alone = true,
            "--rounds" => options.plan.rounds = value()?.parse().context("--rounds")?,
            "--seconds" => options.plan.span.measured = Duration::from_secs(value()?.parse().context("--seconds")?),
            "--dir" => options.within = Some(value()?.into()),
            work if WORKS.iter().any(|known| known.name == work) => options.plan.works.push(work.to_owned()),
            _ => {
                let works = WORKS.map(|work| format!("  {:<20} {}", work.name, work.about)).join("\n");
                bail!("{USAGE}\nworks:\n{works}\nand there is no {word}");
            }
        }
    }
    ensure!(options.plan.rounds > 0 && !options.plan.span.measured.is_zero(), "nothing would be measured\n{USAGE}");
    Ok(options)
}

async fn measure(mut options: Options) -> Result<()> {
    let folder = folder(options.within.as_deref())?;
    options.plan.folder = folder.path().to_owned();
    let mut bench = Bench::found(options.plan).await?;
    let sheet = bench.run().await?;
    if options.json {
        eprintln!("\n{}", sheet.table());
        print!("{}", sheet.json());
    } else {
        println!("\n{}", sheet.table());
    }
    Ok(())
}

fn run() -> Result<()> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Whoever stops it leaves no process and no folder behind: they go with what is dropped here.
        tokio::select! {
            done = measure(options) => done,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("told to stop"),
        }
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
