//! `shouwang-scale [--json] [--lines N] [--items N] [--records N] [--watchers N] [--members N,N,…] [--requests N] [--seconds N] [--dir DIR] [WORK…]`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shouwang_bench::program;
use shouwang_bench::report::Sheet;
use shouwang_bench::scale::{self, GROUPS, Scale};
use shouwang_bench::works::folder;

const USAGE: &str = "usage: shouwang-scale [--json] [--lines N] [--items N] [--records N] [--watchers N] [--members N,N,…] [--requests N] [--seconds N] [--dir DIR] [WORK…]
  --json        an object a line on standard output; the table goes to standard error
  --lines N     lots in one registry (1,000,000)
  --items N     items they are of, each released to the region (one for a hundred lines)
  --records N   records in the ledger of a region (10,000,000)
  --watchers N  watchers on one node (1,000)
  --members N,N,…  members of a region, one size after the other (6,60,340)
  --requests N  requests of a night, for a follower behind a thin line (10)
  --seconds N   for how long each rate is measured (10)
  --dir DIR     where the nodes keep their data; a ledger that an earlier run left there is used again
  WORK          lines, ledger, watchers, members or thin; none stands for all of them";

/// Lines for each item, if nobody says how many items there are.
const LINES_AN_ITEM: usize = 100;

struct Options {
    scale: Scale,
    json: bool,
    within: Option<PathBuf>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut scale = Scale {
        works: Vec::new(),
        lines: 1_000_000,
        items: 0,
        records: 10_000_000,
        watchers: 1000,
        members: vec![6, 60, 340],
        requests: 10,
        span: Duration::from_secs(10),
        folder: PathBuf::new(),
    };
    let (mut json, mut within) = (false, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
        let mut count =
            || value()?.replace([',', '_'], "").parse::<usize>().with_context(|| format!("{word}\n{USAGE}"));
        match word.as_str() {
            "--json" => json = true,
            "--lines" => scale.lines = count()?,
            "--items" => scale.items = count()?,
            "--records" => scale.records = count()?,
            "--watchers" => scale.watchers = count()?,
            "--members" => scale.members = sizes(&value()?)?,
            "--requests" => scale.requests = count()?,
            "--seconds" => scale.span = Duration::from_secs(count()? as u64),
            "--dir" => within = Some(value()?.into()),
            _ => scale.works.extend([GROUPS
                .into_iter()
                .find(|group| *group == word)
                .with_context(|| format!("{USAGE}\nand there is no {word}"))?]),
        }
    }
    if scale.items == 0 {
        scale.items = scale.lines.div_ceil(LINES_AN_ITEM);
    }
    let all = [scale.lines, scale.records, scale.watchers, scale.requests];
    ensure!(all.iter().all(|count| *count > 0) && !scale.span.is_zero(), "nothing would be measured\n{USAGE}");
    ensure!(scale.items <= scale.lines, "an item without a line has no figure\n{USAGE}");
    Ok(Options { scale, json, within })
}

/// Sizes of regions.
fn sizes(text: &str) -> Result<Vec<usize>> {
    let size = |word: &str| word.parse().ok().filter(|members| (3..=1000).contains(members));
    text.split(',').map(size).collect::<Option<_>>().with_context(|| format!("--members {text}: 3 to 1000\n{USAGE}"))
}

async fn measure(mut options: Options) -> Result<()> {
    // What lies where somebody has said is kept.
    if let Some(within) = &options.within {
        std::fs::create_dir_all(within)?;
    }
    let passing = folder(options.within.as_deref())?;
    options.scale.folder = options.within.unwrap_or_else(|| passing.path().to_owned());
    let mut sheet = Sheet::of(scale::works());
    let done = scale::run(&options.scale, &mut sheet).await;
    if options.json {
        eprintln!("\n{}", sheet.table_alone());
        print!("{}", sheet.json());
    } else {
        println!("\n{}", sheet.table_alone());
    }
    done
}

fn main() -> ExitCode {
    program::run("scale", options(std::env::args().skip(1)).map(measure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        let read = |line: &str| options(line.split_whitespace().map(str::to_owned));
        let options = read("--lines 20,000 --records 1_000_000 ledger --json").unwrap();
        let Scale { lines, items, records, ref works, .. } = options.scale;
        assert_eq!((lines, items, records, works), (20_000, 200, 1_000_000, &vec!["ledger"]));
        assert!(options.json && options.scale.members == [6, 60, 340]);
        assert_eq!(read("--members 3,12 members").unwrap().scale.members, [3, 12]);
        for wrong in
            ["--members 2", "--members 6,", "--lines", "--lines many", "--lines 0", "--lines 5 --items 6", "legder"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
