//! A node that writes and is killed at any moment, again and again. It says on its standard output what it holds when it
//! starts and what was acknowledged since; whoever kills it keeps the book.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use shouwang_domain::actor::Role;
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::{CommandId, LotId, RequestId, StoreId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::Cause;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::testing::{self, Rng, actor};
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{Handle, RecordOptions, Storage};

use crate::node::{START, soon, wuhai};
use crate::script::suits;
use crate::{Node, Result, Sizes, alone};

/// What a writer is told.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Which life this is: no two draw the same ids.
    pub life: u64,
    /// The last revision of the registry and of the region that the book has already.
    pub known: [u64; 2],
    /// How many ask at once.
    pub at_once: u64,
    /// How many commands; 0 for no end.
    pub count: u64,
}

fn say(line: &str) {
    // Nobody listens any more: whoever started this is gone, and the process ends with the next line or by a signal.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes until told otherwise. Every acknowledged command is a line of its own.
pub fn write(dir: &Path, orders: &Orders) -> Result<()> {
    alone(async {
        let node = Node::open(dir, Storage::real(), &sizes()).await.map_err(|error| error.to_string())?;
        node.registry.read_linearizable(soon()).await.map_err(|error| error.to_string())?;
        node.region.read_linearizable(soon()).await.map_err(|error| error.to_string())?;
        hold("registry", &node.registry, orders.known[0]).await?;
        hold("region", &node.region, orders.known[1]).await?;
        say("ready");
        let node = Arc::new(node);
        let (next, left) = (Arc::new(AtomicU64::new(0)), if orders.count == 0 { u64::MAX } else { orders.count });
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..orders.at_once.max(1) {
            let (node, next, life) = (Arc::clone(&node), Arc::clone(&next), orders.life);
            asking.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= left {
                        return Ok(());
                    }
                    ask(&node, life, n).await?;
                }
            });
        }
        while let Some(ended) = asking.join_next().await {
            ended.map_err(|error| error.to_string()).and_then(|ended: Result<()>| ended)?;
        }
        if let Ok(node) = Arc::try_unwrap(node) {
            node.stop().await;
        }
        Ok(())
    })
}

fn sizes() -> Sizes {
    let small = Sizes::default();
    let mut log = small.log;
    (log.file_bytes, log.purge_bytes, log.marker_sync_every) = (64 << 10, 128 << 10, 16);
    let record = RecordOptions { segment_bytes: 48 << 10, checkpoint_records: 150, log_slack: 20, ..small.record };
    Sizes { log, record, ..small }
}

/// Says what the ledger holds behind `known`.
async fn hold<M: Machine>(name: &str, handle: &Handle<M>, known: u64) -> Result<()> {
    let revision = handle.revision();
    let mut watch = handle.watch(known + 1);
    for _ in known..revision {
        let change = watch.next().await.map_err(|error| error.to_string())?;
        if let Cause::Command { bytes, .. } = &change.record.cause {
            let asked: Envelope<M::Command> = code::decode("command", &bytes.0).map_err(|error| error.to_string())?;
            say(&format!("held {name} {} {}", change.record.revision, asked.id));
        }
    }
    say(&format!("stands {name} {revision}"));
    Ok(())
}

/// Asks something of one of the records; every eighth of the region.
async fn ask(node: &Node, life: u64, n: u64) -> Result<()> {
    let id = CommandId::from_u128(u128::from(life) << 64 | u128::from(n));
    let valid_until = START.plus_ms(HOUR_MS);
    let (name, outcome) = if n % 8 == 7 {
        // Refused, and recorded like any other outcome.
        let body = RegionCommand::CloseRequest { request: RequestId::from_u128(1) };
        let envelope = Envelope { id, actor: actor(wuhai(), Role::Leader, 1), valid_until, body };
        ("region", node.region.propose(envelope, soon()).await)
    } else {
        let (store, lot) = (StoreId::from_u128(1), LotId::from_u128(1));
        let body = match n {
            0 => RegistryCommand::AddStore { store, name: "中心库".to_owned(), district: "海勃湾区".to_owned() },
            1 => {
                let details = testing::lot(wuhai(), store, &suits());
                RegistryCommand::OpenLot { lot, details, qty: Qty(1000) }
            }
            n => RegistryCommand::Receive { lot, qty: Qty(1), document: format!("入库-{life}-{n}") },
        };
        let envelope = Envelope { id, actor: actor(wuhai(), Role::Keeper, 1), valid_until, body };
        ("registry", node.registry.propose(envelope, soon()).await)
    };
    let outcome = outcome.map_err(|error| error.to_string())?;
    say(&format!("acked {name} {} {id}", outcome.revision));
    Ok(())
}

/// The book: what was acknowledged, and what the ledgers were seen to hold.
#[derive(Debug, Default)]
pub struct Book {
    /// Lives that were ended by a kill.
    pub kills: u64,
    /// Of them, before the node was ready.
    pub early: u64,
    /// Acknowledged commands: id → record and revision.
    acked: BTreeMap<String, (String, u64)>,
    /// Ledger records seen: id → record and revision.
    held: BTreeMap<String, (String, u64)>,
    known: BTreeMap<String, u64>,
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, early, acked, held, .. } = self;
        let (acked, held) = (acked.len(), held.len());
        write!(f, "kills={kills} before_ready={early} acknowledged={acked} in_the_ledgers={held}")
    }
}

impl Book {
    /// How many commands were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acked.len()
    }

    /// Takes one line of a writer; true if it says that the node is ready.
    fn take(&mut self, line: &str) -> Result<bool> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().map_err(|error| format!("{line}: {error}"));
        match words[..] {
            ["ready"] => return self.settle().map(|()| true),
            ["held", record, revision, id] => {
                let place = (record.to_owned(), number(revision)?);
                match self.held.insert(id.to_owned(), place.clone()) {
                    Some(before) if before != place => {
                        return Err(format!("doubled: {id} at {before:?} and {place:?}"));
                    }
                    _ => {}
                }
            }
            ["stands", record, revision] => {
                let revision = number(revision)?;
                let before = self.known.insert(record.to_owned(), revision).unwrap_or_default();
                if revision < before {
                    return Err(format!("{record} stood at {before} and stands at {revision}"));
                }
            }
            ["acked", record, revision, id] => {
                self.acked.insert(id.to_owned(), (record.to_owned(), number(revision)?));
            }
            _ => return Err(format!("the writer says {line:?}")),
        }
        Ok(false)
    }

    /// Every acknowledged command must be held where it was said to be.
    fn settle(&self) -> Result<()> {
        match self.acked.iter().find(|(id, place)| self.held.get(*id) != Some(place)) {
            Some((id, place)) => {
                Err(format!("lost: {id} was acknowledged at {place:?}, found {:?}", self.held.get(id)))
            }
            None => Ok(()),
        }
    }

    fn known(&self) -> [u64; 2] {
        ["registry", "region"].map(|record| self.known.get(record).copied().unwrap_or_default())
    }

    /// Lets a writer live until it is killed at a moment drawn from `rng`.
    pub fn live_and_die(&mut self, program: &Path, dir: &Path, rng: &mut Rng) -> Result<()> {
        let [registry, region] = self.known().map(|revision| revision.to_string());
        let life = (self.kills + 1).to_string();
        let mut child = start(program, dir, &["--life", &life, "--known", &registry, &region, "--at-once", "4"])?;
        let lines = lines_of(&mut child)?;
        // A third dies while it starts, the others after so many acknowledgements.
        let early = rng.chance(33);
        let acks = rng.below(80);
        let deadline = Instant::now() + Duration::from_millis(if early { rng.below(60) } else { 20_000 });
        let lived = self.live(&lines, deadline, (!early).then_some(acks));
        child.kill().map_err(|error| error.to_string())?;
        let ended = child.wait().map_err(|error| error.to_string())?;
        was_killed(ended, &lived)?;
        let ready = lived?;
        // What it had said by then counts as well.
        for line in lines {
            self.take(&line)?;
        }
        self.kills += 1;
        self.early += u64::from(!ready);
        Ok(())
    }

    fn live(&mut self, lines: &Receiver<String>, deadline: Instant, acks: Option<u64>) -> Result<bool> {
        let (mut ready, mut seen) = (false, 0);
        while acks.is_none_or(|acks| seen < acks) {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    seen += u64::from(line.starts_with("acked"));
                    ready |= self.take(&line)?;
                }
                Err(_) if acks.is_none() => break,
                Err(_) => return Err("the writer does not go on".to_owned()),
            }
        }
        Ok(ready)
    }

    /// Reads everything once more from the first revision on, with what the last life acknowledged.
    pub fn close(&mut self, program: &Path, dir: &Path) -> Result<()> {
        self.held.clear();
        self.known.clear();
        let life = (self.kills + 1).to_string();
        let mut child = start(program, dir, &["--life", &life, "--known", "0", "0", "--count", "1"])?;
        let lines = lines_of(&mut child)?;
        let ready = self.live(&lines, Instant::now() + Duration::from_mins(1), Some(1))?;
        let ended = child.wait().map_err(|error| error.to_string())?;
        if ready && ended.success() { Ok(()) } else { Err(format!("the last life ended with {ended}")) }
    }
}

/// Checks that a life was ended from outside: a writer has no end of its own.
fn was_killed(ended: ExitStatus, lived: &Result<bool>) -> Result<()> {
    /// The signal that nobody can catch.
    const SIGKILL: i32 = 9;
    match ended.signal() {
        Some(SIGKILL) => Ok(()),
        _ => Err(format!("the writer ended by itself with {ended}; before that: {lived:?}")),
    }
}

fn start(program: &Path, dir: &Path, orders: &[&str]) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg("write").arg(dir).args(orders).stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))
}

fn lines_of(child: &mut Child) -> Result<Receiver<String>> {
    let output = child.stdout.take().ok_or("the writer has no output")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}

/// Kills a writer `kills` times; what it says must add up each time, and once more at the end.
pub fn kill(program: &Path, dir: &Path, kills: u64, seed: u64) -> Result<Book> {
    let (mut book, mut rng) = (Book::default(), Rng(seed));
    for _ in 0..kills {
        let lived = book.live_and_die(program, dir, &mut rng);
        lived.map_err(|why| format!("kill {} of seed {seed}: {why}", book.kills + 1))?;
    }
    book.close(program, dir)?;
    Ok(book)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_ends_by_itself_was_not_killed() {
        // As wait(2) tells it: the exit code in the upper byte, the signal in the lower one.
        for (status, killed) in [(9, true), (0, false), (1 << 8, false), (101 << 8, false), (6, false), (9 << 8, false)]
        {
            assert_eq!(was_killed(ExitStatus::from_raw(status), &Ok(true)).is_ok(), killed, "{status}");
        }
    }
}
