//! `shouwang-bench [--quick] [--json] [--alone] [--rounds N] [--seconds N] [--dir DIR] [WORK…]`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shouwang_bench::load::Span;
use shouwang_bench::report::Sheet;
use shouwang_bench::works::{Plan, all, folder, named};
use shouwang_bench::{movements, program, works};

const USAGE: &str = "usage: shouwang-bench [--quick] [--json] [--alone] [--rounds N] [--seconds N] [--dir DIR] [WORK…]
  --quick      two rounds of two seconds each: a first look
  --json       an object a line on standard output; the table goes to standard error
  --alone      Shouwang only, where there is no etcd and no PostgreSQL
  --rounds N   how often each is measured (5)
  --seconds N  for how long each time (5)
  --dir DIR    where all keep their data: on the disk that is meant
  WORK         one of the works; `region` is all those of a region, as if none were named; `registry` those of a registry";

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
            _ => options.plan.works.extend(named(&word).with_context(|| {
                let works: Vec<_> = all().map(|work| format!("  {:<20} {}", work.name, work.about)).collect();
                format!("{USAGE}\nworks:\n{}\nand there is no {word}", works.join("\n"))
            })?),
        }
    }
    if options.plan.works.is_empty() {
        options.plan.works.extend(named("region").unwrap_or_default());
    }
    ensure!(options.plan.rounds > 0 && !options.plan.span.measured.is_zero(), "nothing would be measured\n{USAGE}");
    Ok(options)
}

async fn measure(mut options: Options) -> Result<()> {
    let folder = folder(options.within.as_deref())?;
    options.plan.folder = folder.path().to_owned();
    let (plan, mut sheet) = (options.plan, Sheet::of(all()));
    // One after the other: what runs for one group is not in the way of the next.
    if plan.asks_any(&works::WORKS) {
        works::Bench::found(plan.clone()).await?.run(&mut sheet).await?;
    }
    if plan.asks_any(&movements::WORKS) {
        movements::Bench::found(plan).await?.run(&mut sheet).await?;
    }
    if options.json {
        eprintln!("\n{}", sheet.table());
        print!("{}", sheet.json());
    } else {
        println!("\n{}", sheet.table());
    }
    Ok(())
}

fn main() -> ExitCode {
    program::run("bench", options().map(measure))
}
