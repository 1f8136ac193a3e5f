//! `shouwang-stores`: the writer that is killed, the harnesses at full length, and the fixtures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use shouwang_stores::kills::{self, Orders};
use shouwang_stores::plant::Plant;
use shouwang_stores::sweep::{LOSSES, Recorded};
use shouwang_stores::{Result, damage, folder, golden};

const USAGE: &str = "usage:
  shouwang-stores steps                     what the disk does in the script, step by step
  shouwang-stores sweep                     power cuts behind every step, in every way
  shouwang-stores damage [FLIPS] [SEED]     flips (and half as many cuts) of each kind of file
  shouwang-stores kills [KILLS] [SEED]      kill -9 of a writer, acknowledgements counted
  shouwang-stores golden write DIR          fixtures of this version, into a folder that is not there yet
  shouwang-stores golden check DIR          whether this program reads fixtures to what they are
  shouwang-stores write DIR [--life N] [--known REGISTRY REGION] [--at-once N] [--count N]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["steps"] => {
            Recorded::new(Plant::None).map(|recorded| recorded.steps().iter().for_each(|step| println!("{step}")))
        }
        ["sweep"] => sweep(),
        ["damage", ref more @ ..] => {
            numbers(more).and_then(|[flips, seed]| damage(flips.unwrap_or(60), seed.unwrap_or(1)))
        }
        ["kills", ref more @ ..] => {
            numbers(more).and_then(|[kills, seed]| kill(kills.unwrap_or(200), seed.unwrap_or(1)))
        }
        ["golden", "write", dir] => golden::write(Path::new(dir)),
        ["golden", "check", dir] => check(Path::new(dir)),
        ["write", dir, ref orders @ ..] => parse(orders).and_then(|orders| kills::write(&PathBuf::from(dir), &orders)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn number(word: &str) -> Result<u64> {
    word.parse().map_err(|error| format!("{word}: {error}"))
}

fn numbers(words: &[&str]) -> Result<[Option<u64>; 2]> {
    let at = |n: usize| words.get(n).map(|word| number(word)).transpose();
    Ok([at(0)?, at(1)?])
}

fn parse(mut words: &[&str]) -> Result<Orders> {
    let mut orders = Orders { at_once: 1, ..Orders::default() };
    while !words.is_empty() {
        words = match words {
            ["--life", n, rest @ ..] => (orders.life = number(n)?, rest).1,
            ["--at-once", n, rest @ ..] => (orders.at_once = number(n)?, rest).1,
            ["--count", n, rest @ ..] => (orders.count = number(n)?, rest).1,
            ["--known", a, b, rest @ ..] => (orders.known = [number(a)?, number(b)?], rest).1,
            _ => return Err(USAGE.to_owned()),
        };
    }
    Ok(orders)
}

fn check(fixtures: &Path) -> Result<()> {
    golden::difference(fixtures)?.map_or(Ok(()), Err)
}

fn sweep() -> Result<()> {
    let figures = Recorded::new(Plant::None)?.sweep(&LOSSES, 1);
    println!("sweep: {figures}");
    figures.failures.first().map_or(Ok(()), |why| Err(why.clone()))
}

fn damage(flips: u64, seed: u64) -> Result<()> {
    let flips = usize::try_from(flips).map_err(|error| error.to_string())?;
    let (figures, failures) = damage::all(flips, seed)?;
    println!("damage: {figures}");
    failures.first().map_or(Ok(()), |why| Err(why.clone()))
}

fn kill(kills: u64, seed: u64) -> Result<()> {
    let (here, program) = (folder()?, std::env::current_exe().map_err(|error| error.to_string())?);
    println!("kills: {}", kills::kill(&program, here.path(), kills, seed)?);
    Ok(())
}
