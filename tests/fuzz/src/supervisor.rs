//! Every decoder in a process of its own: one that dies, whatever it dies of, has told which input it was at.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::campaign::{self, Figures, Finding, Plan};
use crate::decoders::Decoder;

/// Memory of one process, in bytes: what asks for more must not take the machine with it.
const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// What a process may take longer than its plan, to build its samples and to end.
const GRACE: Duration = Duration::from_mins(2);
/// Processes at once.
const AT_ONCE: usize = 2;
/// Bytes of an input that are printed.
const SHOWN_BYTES: usize = 256;

/// Tries one decoder in this process and prints what came of it; false if something was found.
///
/// # Errors
/// The progress file cannot be written.
pub fn child(decoder: &'static Decoder, plan: &Plan, progress: Option<&Path>) -> Result<bool> {
    let limit = rustix::process::Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: Some(ADDRESS_SPACE_BYTES) };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).context("limiting the memory")?;
    let progress = progress.map(File::create).transpose().context("the progress file")?;
    let began = move |case: u64| {
        if let Some(progress) = &progress {
            // Without it only the number of a deadly input is lost; the finding is not.
            let _ = progress.write_all_at(&case.to_le_bytes(), 0);
        }
    };
    let (seed, patience) = (plan.seed, plan.patience);
    let overdue = move |case| {
        eprintln!("fuzz: {}: input {case} took longer than {patience:?}", decoder.name);
        eprintln!("{}", again(decoder.name, seed, case));
        std::process::exit(1);
    };
    match campaign::run(decoder, plan, began, overdue) {
        Ok(figures) => {
            println!("fuzz: {}", summary(decoder, &figures));
            let shallow = plan.only.is_none() && (figures.values == 0 || figures.errors == 0);
            if shallow {
                eprintln!("fuzz: {}: all inputs came to the same: this campaign proves nothing", decoder.name);
            }
            let untried = plan.untried(&figures);
            if untried > 0 {
                eprintln!(
                    "fuzz: {}: the time was over with {untried} inputs untried; allow more --seconds",
                    decoder.name
                );
            }
            Ok(!shallow && untried == 0)
        }
        Err(Finding { case, what, input }) => {
            let shown = hex(&input[..input.len().min(SHOWN_BYTES)]);
            eprintln!("fuzz: {}: input {case} of {} bytes {what}\n  {shown}", decoder.name, input.len());
            eprintln!("{}", again(decoder.name, plan.seed, case));
            Ok(false)
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn summary(decoder: &Decoder, figures: &Figures) -> String {
    let Figures { cases, values, errors, peak, slowest } = figures;
    let name = decoder.name;
    format!("{name} cases={cases} values={values} errors={errors} peak_bytes={peak} slowest_ms={}", slowest.as_millis())
}

fn again(name: &str, seed: u64, case: u64) -> String {
    format!("  again: cargo run -p shouwang-fuzz -- --decoder {name} --seed {seed} --case {case} --keep FILE")
}

/// Tries decoders by `program`, this program, one process each, some at once; answers the names of those in which
/// something was found.
///
/// # Errors
/// A process that cannot be started.
pub fn all(program: &Path, decoders: &[&'static Decoder], plan: &Plan) -> Result<Vec<&'static str>> {
    let folder = tempfile::tempdir()?;
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Ok(Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(decoder) = decoders.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let good = one(program, decoder, plan, &folder.path().join(decoder.name));
                    let mut found = found.lock().expect("no process is waited for under this lock");
                    match (good, &mut *found) {
                        (Ok(false), Ok(names)) => names.push(decoder.name),
                        (Err(error), Ok(_)) => *found = Err(error),
                        _ => {}
                    }
                }
            });
        }
    });
    found.into_inner().expect("no process is waited for under this lock")
}

fn one(program: &Path, decoder: &Decoder, plan: &Plan, progress: &Path) -> Result<bool> {
    let mut command = Command::new(program);
    command.args(["--decoder", decoder.name]).arg("--progress").arg(progress).stdin(Stdio::null());
    command.args(["--seed", &plan.seed.to_string(), "--seconds", &plan.time.as_secs().to_string()]);
    if let Some(cases) = plan.cases {
        command.args(["--cases", &cases.to_string()]);
    }
    command.args(["--patience-ms", &plan.patience.as_millis().to_string()]);
    let mut process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let status = ended(&mut process, plan.time + GRACE)?;
    if let Some(code) = status.and_then(|status| status.code()) {
        return Ok(code == 0);
    }
    let case = std::fs::read(progress).ok().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    let how = status.map_or_else(|| "did not end".to_owned(), |status| status.to_string());
    eprintln!("fuzz: {}: input {case} ended the process: {how}", decoder.name);
    eprintln!("{}", again(decoder.name, plan.seed, case));
    Ok(false)
}

/// How the process ended; `None` when it did not and was killed.
fn ended(process: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        // A child's end with a time limit has no event in the standard library.
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill()?;
    process.wait()?;
    Ok(None)
}
