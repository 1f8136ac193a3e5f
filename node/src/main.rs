//! The `shouwang` binary: wiring only.

use std::process::ExitCode;

use clap::Parser as _;
use shouwang::cli::{Cli, run};
use shouwang::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let lang = cli.language();
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            eprintln!("shouwang: {} [{}]", failure.text.get(lang), failure.code);
            failure.exit.into()
        }
    }
}
