//! The `shouwang` binary: wiring only.

use std::process::ExitCode;

use shouwang::cli::{run, usage};
use shouwang::exit::Exit;

fn main() -> ExitCode {
    let cli = match usage::parse() {
        Ok(cli) => cli,
        Err(told) => return told,
    };
    let lang = cli.language();
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            eprintln!("shouwang: {} [{}]", failure.text.get(lang), failure.code);
            failure.exit.into()
        }
    }
}
