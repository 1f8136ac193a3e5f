//! Who watches: at each node somebody is shown every revision, once and in order, whatever happens to the lines.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::story::{number, until};
use crate::terminal::{Following, Terminal};

/// Somebody who watches from the first revision on. What he is shown comes out in the end.
#[derive(Debug)]
pub struct Watcher {
    watching: Following,
    last: Arc<AtomicU64>,
    seen: JoinHandle<Vec<u64>>,
}

impl Watcher {
    /// Begins to watch.
    ///
    /// # Errors
    /// The command cannot be run.
    pub fn at(terminal: &Terminal) -> Result<Self> {
        let (watching, data) = terminal.follow(&["watch", "--from", "1"])?;
        let lines = BufReader::new(data).lines();
        let last = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&last);
        let revision = move |line: std::io::Result<String>| {
            let record: Value = serde_json::from_str(&line.ok()?).ok()?;
            let revision = number(&record["revision"]);
            told.store(revision, Ordering::SeqCst);
            Some(revision)
        };
        Ok(Self { watching, last, seen: std::thread::spawn(move || lines.filter_map(revision).collect()) })
    }

    /// Waits until he has been shown a revision: he goes on by himself after every cut, and what he has not been shown yet
    /// is on its way.
    ///
    /// # Errors
    /// He never is.
    pub fn is_shown(&self, revision: u64) -> Result<()> {
        until(
            "a watcher has been shown a revision",
            || Ok((self.last.load(Ordering::SeqCst) >= revision).then_some(())),
        )
    }

    /// Whether he has been told that he is cut off.
    ///
    /// # Errors
    /// What he was told cannot be read.
    pub fn knows_of_cut(&self) -> Result<bool> {
        Ok(self.watching.said()?.contains("the stream was cut"))
    }

    /// Waits until he is shown nothing more because he may not see it; answers the newest revision he was shown.
    ///
    /// # Errors
    /// He is shown things for ever.
    pub fn until_shut_out(mut self) -> Result<u64> {
        until("a watcher is shut out", || Ok(self.watching.has_ended()?.then_some(())))?;
        let seen = self.seen.join().expect("reading does not panic");
        Ok(seen.last().copied().unwrap_or_default())
    }

    /// Ends it: he was shown every revision up to the newest, once and in order.
    ///
    /// # Errors
    /// He was not.
    pub fn saw_all(self, newest: u64) -> Result<()> {
        self.is_shown(newest)?;
        drop(self.watching);
        let seen = self.seen.join().expect("reading does not panic");
        let expected: Vec<u64> = (1..=newest).collect();
        ensure!(seen.len() >= expected.len(), "a watcher was shown {} of {newest} revisions", seen.len());
        ensure!(seen[..expected.len()] == expected[..], "a watcher was not shown every revision once and in order");
        Ok(())
    }
}
