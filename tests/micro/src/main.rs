//! `shouwang-micro [WORK…]`: does one round of each piece of the hot path, or of those that are named, and says which. It
//! is what callgrind runs; by itself it shows nothing but that they can be done.

use std::process::ExitCode;

use shouwang_micro::{counted, works};

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let mut works = works::steady();
    let unknown = asked.iter().find(|name| !works.iter().any(|work| work.name == **name));
    if let Some(name) = unknown {
        let known: Vec<_> = works.iter().map(|work| work.name).collect();
        eprintln!("no such work: {name}; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    works.retain(|work| asked.is_empty() || asked.iter().any(|name| name == work.name));
    for work in &mut works {
        // What is done for the first time only, and remembered, is not what it costs.
        (work.round)();
        counted(work);
        println!("{} {} {}", work.name, work.units, work.unit);
    }
    ExitCode::SUCCESS
}
