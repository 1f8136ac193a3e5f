//! The load generator: clients that ask one after the other and wait, or writes at a steady pace whoever waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::task::{JoinHandle, JoinSet};

use crate::figures::number;
use crate::payload::Mark;
use crate::system::Client;

/// What each client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// One write a call.
    Write,
    /// One linearizable read a call.
    Read,
}

/// For how long a run goes on.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Before anything is measured.
    pub warm: Duration,
    /// While it is.
    pub measured: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Answers within the measured time.
    pub done: u64,
    /// How long that was.
    pub took: Duration,
    /// All answers, before and after it as well: what the nodes worked for.
    pub all: u64,
    /// How long each of `done` took.
    pub latencies: Vec<Duration>,
}

impl Run {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        number(self.done) / self.took.as_secs_f64()
    }
}

/// Somebody with one call under way.
pub trait Asker: Send + 'static {
    /// Asks once, and waits.
    ///
    /// # Errors
    /// It was refused, or there was no answer in time.
    fn ask(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// A client that asks the same again and again.
struct Asking<C>(C, Ask);

impl<C: Client> Asker for Asking<C> {
    async fn ask(&mut self) -> Result<()> {
        match self.1 {
            Ask::Write => self.0.write(Mark::next()).await,
            Ask::Read => self.0.read().await,
        }
    }
}

/// Lets every client ask and wait, again and again.
///
/// # Errors
/// As [`repeat`].
pub async fn drive<C: Client>(clients: Vec<C>, ask: Ask, span: Span) -> Result<Run> {
    let askers = clients.into_iter().map(|client| Asking(client, ask)).collect();
    repeat(askers, span).await.map(|(run, _)| run)
}

/// Lets everybody ask and wait, again and again, and gives them back.
///
/// # Errors
/// The first call that failed: nothing here is killed, so none may.
pub async fn repeat<A: Asker>(askers: Vec<A>, span: Span) -> Result<(Run, Vec<A>)> {
    let begin = Instant::now() + span.warm;
    let end = begin + span.measured;
    let mut working = JoinSet::new();
    for mut asker in askers {
        working.spawn(async move {
            let mut own = Run::default();
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return anyhow::Ok((own, asker));
                }
                asker.ask().await?;
                let answered = Instant::now();
                own.all += 1;
                if (begin..end).contains(&answered) {
                    own.done += 1;
                    own.latencies.push(answered - asked);
                }
            }
        });
    }
    let (mut run, mut askers) = (Run { took: span.measured, ..Run::default() }, Vec::new());
    while let Some(ended) = working.join_next().await {
        let (own, asker) = ended.context("a client ended badly")??;
        run.done += own.done;
        run.all += own.all;
        run.latencies.extend(own.latencies);
        askers.push(asker);
    }
    if run.done == 0 {
        bail!("no call was answered within {:?}", span.measured);
    }
    Ok((run, askers))
}

/// When a write was asked for, accepted, and seen by a watcher.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// The call went out.
    pub asked: Instant,
    /// The answer came.
    pub accepted: Option<Instant>,
    /// A watcher was told.
    pub seen: Option<Instant>,
}

/// What is known of every paced write.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<HashMap<Mark, Moments>>>);

impl Book {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Mark, Moments>) -> T) -> T {
        // Single insertions and assignments: whole after any panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A watcher was told of a write; of one that is not ours nothing is noted.
    pub fn saw(&self, mark: Mark) {
        let now = Instant::now();
        self.with(|book| {
            if let Some(moments) = book.get_mut(&mark) {
                moments.seen.get_or_insert(now);
            }
        });
    }

    /// When the first write was accepted that was asked for after `moment`.
    pub fn first_accepted_after(&self, moment: Instant) -> Option<Instant> {
        self.with(|book| book.values().filter(|write| write.asked > moment).filter_map(|write| write.accepted).min())
    }

    /// All that is known.
    pub fn all(&self) -> Vec<Moments> {
        self.with(|book| book.values().copied().collect())
    }
}

/// Writes at a steady pace until it is dropped, whether or not those before have been answered.
pub struct Pace {
    /// What is known of its writes.
    pub book: Book,
    /// Writes that failed or got no answer.
    pub failed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    pacing: JoinHandle<()>,
}

impl Pace {
    /// Begins: so many writes a second, by these clients in turn.
    pub fn begin<C: Client>(clients: Vec<C>, per_second: u32) -> Self {
        let (book, failed, stop) = (Book::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (noted, unanswered, stopped) = (book.clone(), Arc::clone(&failed), Arc::clone(&stop));
        let pacing = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(1) / per_second);
            let mut writes = JoinSet::new();
            for client in clients.iter().cycle() {
                every.tick().await;
                while writes.try_join_next().is_some() {}
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (client, book, failed) = (client.clone(), noted.clone(), Arc::clone(&unanswered));
                writes.spawn(async move {
                    let mark = Mark::next();
                    let asked = Instant::now();
                    book.with(|book| book.insert(mark, Moments { asked, accepted: None, seen: None }));
                    if client.write(mark).await.is_ok() {
                        let now = Instant::now();
                        book.with(|book| book.get_mut(&mark).map(|moments| moments.accepted = Some(now)));
                    } else {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while writes.join_next().await.is_some() {}
        });
        Self { book, failed, stop, pacing }
    }

    /// Takes no new writes, and waits for those under way.
    ///
    /// # Errors
    /// The pacing ended badly.
    pub async fn end(mut self) -> Result<Book> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.pacing).await.context("the pacing ended badly")?;
        Ok(self.book.clone())
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.pacing.abort();
    }
}
