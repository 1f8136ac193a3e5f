//! What CI tries: every decoder with the same inputs each time, from a fixed seed, and decoders with planted faults, to see that each
//! fault is seen. `scripts/fuzz` goes on for as long as one likes, from a seed of its own.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use shouwang_fuzz::campaign::Plan;
use shouwang_fuzz::{decoders, supervisor};

const PROGRAM: &str = env!("CARGO_BIN_EXE_shouwang-fuzz");
/// Inputs for each decoder.
const CASES: u64 = 3_000;

#[test]
fn no_decoder_falls_over_hostile_bytes() -> Result<()> {
    // A number of inputs and not of seconds: what CI finds must not depend on how fast its machine is. One that
    // has no time for all of them has not tried them.
    let (time, patience) = (Duration::from_mins(5), Duration::from_secs(20));
    let plan = Plan { seed: 20_261_126, only: None, time, cases: Some(CASES), patience };
    println!("fuzz: seed={} cases={CASES} each", plan.seed);
    let found = supervisor::all(Path::new(PROGRAM), &decoders::ALL, &plan)?;
    ensure!(found.is_empty(), "{} fell over hostile bytes; the lines above say how", found.join(", "));
    Ok(())
}

fn try_planted(name: &str) -> Result<Output> {
    let options = ["--decoder", name, "--seed", "1", "--seconds", "1", "--patience-ms", "300"];
    Ok(Command::new(PROGRAM).args(options).output()?)
}

#[test]
fn planted_faults_are_found() -> Result<()> {
    for (name, said) in [
        ("planted-panic", "panicked: panicked at"),
        ("planted-memory", "bytes of memory"),
        ("planted-loop", "took longer than"),
        ("planted-stack", "overflowed its stack"),
        ("planted-silence", "tells nobody anything"),
        ("planted-deafness", "proves nothing"),
    ] {
        let output = try_planted(name)?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && told.contains(said), "{name} ended with {} and said {told}", output.status);
    }
    Ok(())
}

#[test]
fn fewer_inputs_than_were_asked_for_are_a_failure() -> Result<()> {
    let options = ["--decoder", "page-token", "--seconds", "1", "--cases", "1000000000000"];
    let output = Command::new(PROGRAM).args(options).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && told.contains("inputs untried"), "{} and said {told}", output.status);
    Ok(())
}

#[test]
fn a_process_that_dies_is_found_with_the_input_it_died_of() -> Result<()> {
    let plan =
        Plan { seed: 1, only: None, time: Duration::from_secs(1), cases: None, patience: Duration::from_secs(5) };
    let stack = decoders::find("planted-stack").expect("it is planted");
    ensure!(supervisor::all(Path::new(PROGRAM), &[stack], &plan)? == ["planted-stack"]);
    Ok(())
}
