//! How a program that measures runs: until it is done, or is told to stop.

use std::process::ExitCode;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `measure` on a runtime of its own and says on standard error, in the program's name, what went wrong. Whoever stops
/// the program leaves no process and no folder behind: they go with what is dropped then.
pub fn run<M: Future<Output = Result<()>>>(name: &str, measure: Result<M>) -> ExitCode {
    match measure.and_then(until_told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn until_told(measure: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            done = measure => done,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("told to stop"),
        }
    })
}
