//! The `shouwang` binary: wiring only.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use shouwang::cli::{run, usage};
use shouwang::exit::Exit;

/// A commit allocates some hundred times on several threads, and much of it is freed by another one than took it: with the C
/// library's allocator that is a fifth of the processor (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
