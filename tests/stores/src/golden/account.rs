//! What is found in a folder of fixtures by the code that opens a node's data, told line by line.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ciborium::Value;
use shouwang_domain::code;
use shouwang_domain::hash::Hash32;
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle::{Frontier, leaf};
use shouwang_domain::record::{LedgerRecord, Record};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_driver::{Handle, Storage};
use shouwang_store::checkpoint::{CheckpointStore, OpenedCheckpoint};
use shouwang_store::ledger::{Ledger, LedgerOptions, LedgerReader};
use shouwang_store::log::{self, EngineLog, EngineLogOptions, Entry, LoadedLog, LogStore};
use shouwang_store::{Findings, real_disk};

use super::{DATA, EXPECTED, REGION, below, entries, words};
use crate::damage::copy;
use crate::node::soon;
use crate::{Node, Result, Sizes, alone, folder};

/// One line a file: its digest and its size.
pub fn files(fixtures: &Path) -> Result<String> {
    let mut told = String::new();
    for file in below(fixtures)?.into_iter().filter(|file| *file != fixtures.join(EXPECTED)) {
        let (bytes, name) = (fs::read(&file).map_err(words)?, file.strip_prefix(fixtures).map_err(words)?);
        // A string takes everything.
        let _ = writeln!(told, "file {} {} {}", name.display(), bytes.len(), Hash32::of(&[&bytes]));
    }
    Ok(told)
}

/// One line for all that is known of a record at its end.
pub(super) fn line<M: Machine>(place: &str, record: &Record<M>) -> String {
    let (id, revision, root, state) = (record.id(), record.revision(), record.ledger_root(), record.digest());
    format!("record {place} {} {id} revision={revision} root={root} state={state}\n", M::NAME)
}

/// Opens a copy of every place, and tells what is in it. The folder stays as it is.
pub fn account(fixtures: &Path) -> Result<String> {
    let mut told = String::new();
    for place in entries(fixtures)?.into_iter().filter(|entry| entry.is_dir()) {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let of = |why: String| format!("{name}: {why}");
        told.push_str(&place_account(&place, &name).map_err(of)?);
    }
    Ok(told)
}

fn place_account(place: &Path, name: &str) -> Result<String> {
    let here = folder()?;
    copy(place, here.path())?;
    let mut told = String::new();
    let (mut registries, mut region) = (Vec::new(), None);
    for document in entries(here.path())?.into_iter().filter(|entry| entry.is_file()) {
        if document.ends_with(REGION) {
            region = Some(read::<Region>(&document, name, &mut told)?);
        } else {
            registries.push(read::<Registry>(&document, name, &mut told)?);
        }
    }
    let data = here.path().join(DATA);
    if let (Some(region), [registry], true) = (region, &registries[..], data.join(log::DIR).is_dir()) {
        log_account(&data, name, &mut told)?;
        alone(node_account(&data, registry, &region))?;
    }
    Ok(told)
}

/// A record as its founding document and its ledger make it.
struct Read<M: Machine> {
    genesis: M::Genesis,
    record: Record<M>,
}

/// Reads a record's ledger from its founding document on, and compares what it leads to with every sealed root and every
/// checkpoint.
fn read<M: Machine>(document: &Path, place: &str, told: &mut String) -> Result<Read<M>> {
    let bytes = fs::read(document).map_err(words)?;
    let genesis: M::Genesis = code::decode("founding document", &bytes).map_err(words)?;
    let founded = Record::<M>::found(&genesis).map_err(words)?;
    let root = document.with_file_name(DATA).join("records").join(founded.id().to_string());
    let findings = Findings::default();
    let options = LedgerOptions { findings: findings.clone(), ..LedgerOptions::default() };
    let ledger = Ledger::open(real_disk(), &root.join("ledger"), founded.id().0, options).map_err(words)?;
    ledger.verify_all().map_err(words)?;
    let states = replay(founded, &ledger.reader(), ledger.last().unwrap_or_default())?;
    let state = |revision: u64| {
        let at = usize::try_from(revision).ok().and_then(|at| states.get(at));
        at.ok_or_else(|| format!("revision {revision} of {} is not in its ledger", M::NAME))
    };
    for segment in ledger.reader().segments() {
        if segment.root != state(segment.last)?.ledger_root().0 {
            return Err(format!("{} is sealed with another root", segment.file.display()));
        }
    }
    let checkpoints = CheckpointStore::open(real_disk(), &root.join("checkpoints")).map_err(words)?;
    let checkpoints = checkpoints.telling(findings.clone());
    for info in checkpoints.held().map_err(words)? {
        restores(&checkpoints.open_held(&info).map_err(words)?, state(info.meta.revision)?)?;
        let (revision, meta) = (info.meta.revision, Hash32(info.meta.state_digest));
        let _ = writeln!(told, "checkpoint {place} {} revision={revision} state={meta}", M::NAME);
    }
    if let Some(finding) = findings.all().first() {
        return Err(finding.error.to_string());
    }
    let record = state(ledger.last().unwrap_or_default())?.clone();
    record.check()?;
    told.push_str(&line(place, &record));
    Ok(Read { genesis, record })
}

/// The record behind each of its ledger records; the first is its founding.
fn replay<M: Machine>(founded: Record<M>, ledger: &LedgerReader, last: u64) -> Result<Vec<Record<M>>> {
    let (mut record, mut states, mut frontier) = (founded.clone(), vec![founded], Frontier::default());
    while record.revision() < last {
        for (_, bytes) in ledger.read(record.revision() + 1, 256, usize::MAX).map_err(words)? {
            record.replay(&bytes).map_err(words)?;
            frontier.push(leaf(&bytes));
            nothing_is_lost::<M>(&bytes)?;
            states.push(record.clone());
        }
    }
    // The root covers every byte of every record.
    if frontier.root() == record.ledger_root() {
        Ok(states)
    } else {
        Err(format!("the ledger of {} has another root than its state", record.id()))
    }
}

fn restores<M: Machine>(opened: &OpenedCheckpoint, state: &Record<M>) -> Result<()> {
    let records: Vec<Vec<u8>> = opened.records().and_then(Iterator::collect).map_err(words)?;
    let restored = Record::<M>::restore(records.into_iter()).map_err(words)?;
    let told = Hash32(opened.meta().state_digest);
    if (restored.digest(), restored.digest(), restored.ledger_root()) == (told, state.digest(), state.ledger_root()) {
        Ok(())
    } else {
        Err(format!("{} is not what the ledger leads to", opened.info().file.display()))
    }
}

/// What is read and written again still has every field of what was stored: a field that got another name is found here
/// even where the old one is still accepted.
fn nothing_is_lost<M: Machine>(bytes: &[u8]) -> Result<()> {
    let read: LedgerRecord<M::Event> = code::decode("ledger record", bytes).map_err(words)?;
    let stored: Value = ciborium::from_reader(bytes).map_err(words)?;
    let again: Value = ciborium::from_reader(code::encode(&read).as_slice()).map_err(words)?;
    if holds(&again, &stored) { Ok(()) } else { Err(format!("stored: {stored:?}\nwritten again: {again:?}")) }
}

/// Whether `new` has everything that `old` has; a map may have more.
pub fn holds(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Map(new), Value::Map(old)) => {
            old.iter().all(|(key, old)| new.iter().any(|(found, new)| found == key && holds(new, old)))
        }
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| holds(new, old))
        }
        (new, old) => new == old,
    }
}

/// The log of each record: where it begins and ends, what was voted, and every entry in it.
fn log_account(data: &Path, place: &str, told: &mut String) -> Result<()> {
    let findings = Findings::default();
    let options = EngineLogOptions { findings: findings.clone(), ..Sizes::default().log };
    let log = EngineLog::open(data, &options).map_err(words)?;
    for slot in log.slots() {
        let Some(LoadedLog { hard_state, conf_state, conf_index, base, entries }) = log.load(slot).map_err(words)?
        else {
            return Err(format!("{slot} has no log"));
        };
        let _ = write!(told, "log {place} slot={} base={}/{}", slot.0, base.index, base.term);
        let _ = write!(told, " term={} vote={} commit={}", hard_state.term, hard_state.vote, hard_state.commit);
        let _ = write!(told, " voters={:?} learners={:?} since={conf_index}", conf_state.voters, conf_state.learners);
        let entry = |entry: &Entry| [&entry.index.to_le_bytes()[..], &entry.term.to_le_bytes(), &entry.data].concat();
        let all: Vec<Vec<u8>> = entries.iter().map(entry).collect();
        let parts: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let _ = writeln!(told, " entries={} {}", entries.len(), Hash32::of(&parts));
    }
    match findings.all().first() {
        Some(finding) => Err(finding.error.to_string()),
        None => Ok(()),
    }
}

/// Starts a node on the data folder, twice: it must be where its ledgers led, and find nothing wrong.
async fn node_account(data: &Path, registry: &Read<Registry>, region: &Read<Region>) -> Result<()> {
    for _ in 0..2 {
        let founding = (registry.genesis.clone(), region.genesis.clone());
        let opened = Node::open_founded(data, Storage::real(), &Sizes::default(), founding).await;
        let node = opened.map_err(|error| format!("{}: {error}", error.code()))?;
        let compared = same(&node.registry, &registry.record).await.and(same(&node.region, &region.record).await);
        let findings = node.registry.findings();
        node.stop().await;
        compared?;
        if let Some(finding) = findings.first() {
            return Err(finding.error.to_string());
        }
    }
    Ok(())
}

async fn same<M: Machine>(handle: &Handle<M>, record: &Record<M>) -> Result<()> {
    let there = handle.read_linearizable(soon()).await.map_err(words)?.record;
    let (mut frontier, mut watch) = (Frontier::default(), handle.watch(1));
    for _ in 0..there.revision() {
        frontier.push(leaf(&watch.next().await.map_err(words)?.bytes));
    }
    let (found, expected) = (line("node", &there), line("node", record));
    if found != expected || frontier.root() != record.ledger_root() {
        return Err(format!("a node shows {found}which is {expected}"));
    }
    Ok(())
}
