//! One decoder and its inputs, one after the other, in this process.
//!
//! Each input has a number, and follows from the seed and that number alone: what was found is found again without the
//! inputs before it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use crate::decoders::{Decoder, Target};
use crate::mutate::Rng;

/// Counts what is allocated, by every thread of this process.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The stack of a node's worker threads, in bytes: what nests must not need more.
const STACK_BYTES: usize = 2 << 20;
/// The longest error that a person still reads, in bytes.
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(50);

/// How long, and with which inputs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all inputs follow from.
    pub seed: u64,
    /// The only input to try, or all of them for `time`.
    pub only: Option<u64>,
    /// How long to go on.
    pub time: Duration,
    /// Inputs after which it is enough, whatever time is left; to have time for fewer is a failure.
    pub cases: Option<u64>,
    /// How long one input may take.
    pub patience: Duration,
}

impl Plan {
    /// How many inputs there was no time for.
    pub fn untried(&self, tried: &Figures) -> u64 {
        let wanted = self.cases.filter(|_| self.only.is_none());
        wanted.map_or(0, |wanted| wanted.saturating_sub(tried.cases))
    }
}

/// What was tried.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Inputs.
    pub cases: u64,
    /// Those that gave a value.
    pub values: u64,
    /// Those that gave an error.
    pub errors: u64,
    /// Most memory that one input took, in bytes.
    pub peak: usize,
    /// Longest time that one input took.
    pub slowest: Duration,
}

/// An input that did what none may do.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its number.
    pub case: u64,
    /// What it did.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// The input of a number.
pub fn input(target: &dyn Target, seed: u64, case: u64) -> Vec<u8> {
    let mut rng = Rng(seed ^ case.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    // Neighbouring numbers give unlike beginnings only after a few draws.
    rng.draw();
    target.input(&mut rng)
}

/// Tries inputs until the time is over. `began` hears the number of each input before it is tried.
///
/// # Errors
/// The first [`Finding`]. An input that does not end in time ends the process instead, through `overdue`: nothing can stop
/// a thread that does not come back.
pub fn run(
    decoder: &'static Decoder,
    plan: &Plan,
    began: impl FnMut(u64) + Send + 'static,
    overdue: impl Fn(u64) + Send + 'static,
) -> Result<Figures, Finding> {
    let clock = Arc::new(Clock::default());
    let (watched, patience) = (Arc::clone(&clock), plan.patience);
    thread::spawn(move || watched.watch(patience, &overdue));
    let (plan, panics) = (plan.clone(), PanicWords::listen());
    let heard = panics.clone();
    let trying = thread::Builder::new().stack_size(STACK_BYTES).name("decoder".to_owned());
    let trying =
        trying.spawn(move || try_all(decoder, &plan, (&clock, &heard), began)).expect("a thread can be started");
    trying.join().unwrap_or_else(|_| Err(finding(0, format!("the harness itself panicked: {}", panics.last()), &[])))
}

/// Which input is being tried, and since when, for the watchdog.
#[derive(Default)]
struct Clock {
    case: AtomicU64,
    /// Milliseconds since the epoch below; 0 between inputs.
    since: AtomicU64,
}

impl Clock {
    fn now() -> u64 {
        static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let passed = EPOCH.get_or_init(Instant::now).elapsed();
        1 + u64::try_from(passed.as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn begin(&self, case: u64) {
        self.case.store(case, Ordering::SeqCst);
        self.since.store(Self::now(), Ordering::SeqCst);
    }

    fn end(&self) {
        self.since.store(0, Ordering::SeqCst);
    }

    fn watch(&self, patience: Duration, overdue: &impl Fn(u64)) {
        loop {
            // The watchdog looks at a clock; there is no event in a thread that is stuck.
            thread::sleep(LOOK);
            let since = self.since.load(Ordering::SeqCst);
            if since != 0 && u128::from(Self::now() - since) > patience.as_millis() {
                overdue(self.case.load(Ordering::SeqCst));
            }
        }
    }
}

fn finding(case: u64, what: String, input: &[u8]) -> Finding {
    Finding { case, what, input: input.to_vec() }
}

fn try_all(
    decoder: &Decoder,
    plan: &Plan,
    (clock, panics): (&Clock, &PanicWords),
    mut began: impl FnMut(u64),
) -> Result<Figures, Finding> {
    let mut target = (decoder.make)();
    for (at, sample) in target.samples().to_vec().iter().enumerate() {
        if let Err(error) = target.decode(sample) {
            return Err(finding(0, format!("sample {at} is not valid: {error}"), sample));
        }
    }
    let mut figures = Figures::default();
    let end = Instant::now() + plan.time;
    let mut case = plan.only.unwrap_or(0);
    loop {
        began(case);
        let input = input(&*target, plan.seed, case);
        try_one(decoder, &mut *target, case, &input, (clock, panics), &mut figures)?;
        case += 1;
        if plan.only.is_some() || plan.cases.is_some_and(|cases| case >= cases) || Instant::now() >= end {
            return Ok(figures);
        }
    }
}

fn try_one(
    decoder: &Decoder,
    target: &mut dyn Target,
    case: u64,
    input: &[u8],
    (clock, panics): (&Clock, &PanicWords),
    figures: &mut Figures,
) -> Result<(), Finding> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    clock.begin(case);
    let started = Instant::now();
    let decoded = catch_unwind(AssertUnwindSafe(|| target.decode(input)));
    let took = started.elapsed();
    clock.end();
    let memory = MEMORY.peak_usage().saturating_sub(before);
    figures.cases += 1;
    figures.peak = figures.peak.max(memory);
    figures.slowest = figures.slowest.max(took);
    let fault = |what: String| Err(finding(case, what, input));
    match decoded {
        Err(_) => return fault(format!("panicked: {}", panics.last())),
        Ok(Ok(())) => figures.values += 1,
        Ok(Err(error)) if error.trim().is_empty() || error.len() > ERROR_BYTES_MAX => {
            let begin: String = error.chars().take(200).collect();
            return fault(format!("an error of {} bytes tells nobody anything: {begin:?}", error.len()));
        }
        Ok(Err(_)) => figures.errors += 1,
    }
    let most = decoder.memory_bytes + decoder.memory_factor * input.len();
    if memory > most {
        return fault(format!("took {memory} bytes of memory for {} bytes of input, more than {most}", input.len()));
    }
    Ok(())
}

/// What panics say, instead of the terminal.
#[derive(Clone)]
struct PanicWords(Arc<Mutex<String>>);

impl PanicWords {
    fn listen() -> Self {
        let words = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&words);
        std::panic::set_hook(Box::new(move |info| {
            // The text is replaced whole: good after any panic.
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
        Self(words)
    }

    fn last(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
