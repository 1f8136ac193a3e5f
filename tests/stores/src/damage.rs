//! Damage of every kind to every kind of file: a bit flipped, a file cut short, a file gone. What the node says and does
//! then is judged: the damage is named, and mended as far as anything is left to mend it from; nothing is ever empty, and
//! nothing is ever silently different.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use shouwang_domain::actor::Role;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::CommandId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Record, Verdict};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_domain::registry::state::NumberKind;
use shouwang_domain::testing::{Rng, actor};
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{Handle, RecordStatus, Storage, WatchError};
use shouwang_store::log::{EngineLog, LogStore};
use shouwang_store::real_disk;

use crate::node::{START, registry_genesis, soon, wuhai};
use crate::script::acts;
use crate::tale::{Point, check_ledger, check_line};
use crate::{Node, Result, Sizes, Tale, alone, folder, judge_all};

/// What kind of file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file of the Raft log.
    Log,
    /// The log's side marker.
    LogMarker,
    /// The storage marker, or its copy.
    Marker,
    /// A sealed ledger segment.
    Sealed,
    /// The ledger segment that grows.
    Active,
    /// A checkpoint.
    Checkpoint,
    /// The room kept back.
    Reserve,
    /// A file of the index.
    Index,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Log,
        Self::LogMarker,
        Self::Marker,
        Self::Sealed,
        Self::Active,
        Self::Checkpoint,
        Self::Reserve,
        Self::Index,
    ];

    /// What kind a file in a data directory is; `None` if it holds nothing.
    pub fn of(file: &Path) -> Option<Self> {
        let text = file.to_string_lossy();
        let ends = |ending: &str| text.ends_with(ending);
        match () {
            () if text.starts_with("index/") => Some(Self::Index),
            () if ends(".raftlog") || ends(".rewrite") => Some(Self::Log),
            () if ends("tail.marker") => Some(Self::LogMarker),
            () if text.starts_with("node.marker") => Some(Self::Marker),
            () if ends(".sealed") => Some(Self::Sealed),
            () if ends(".open") => Some(Self::Active),
            () if ends(".swc") => Some(Self::Checkpoint),
            () if text == "reserve.space" => Some(Self::Reserve),
            // Locks and empty folders: they hold nothing.
            () => None,
        }
    }
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// One bit is another.
    Flip {
        /// In which byte.
        byte: usize,
        /// Which of its bits.
        bit: u8,
    },
    /// The file ends here.
    Cut {
        /// Bytes that are left.
        size: usize,
    },
    /// The file is gone.
    Remove,
}

/// One piece of damage.
#[derive(Clone, Debug)]
pub struct Case {
    /// What kind of file.
    pub kind: Kind,
    /// The file, from the data directory.
    pub file: PathBuf,
    /// What is done to it.
    pub spoil: Spoil,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing was told, and nothing is different: state, root and every ledger record are what they were.
    NothingChanged,
    /// Told, and everything is what it was.
    Mended,
    /// Told; a part of the ledger is missing, and it is told which. State and the rest are what they were.
    HistoryMissing,
    /// Told, read-only until the loss was accepted; nothing was lost.
    AcceptedNothingLost,
    /// Told, read-only until the loss was accepted; some commands were lost.
    Accepted,
    /// Told; the region is read-only, and the registry goes on.
    RegionReadOnly,
}

/// A data directory that was used, and what is in it.
pub struct Place {
    root: tempfile::TempDir,
    tale: Tale,
    files: Vec<(Kind, PathBuf)>,
}

impl Place {
    /// Plays the script on a real disk. The node is stopped in order, or killed.
    pub fn new(orderly: bool) -> Result<Self> {
        let (root, log) = (folder()?, Arc::new(OnceLock::<Arc<dyn LogStore>>::new()));
        let handed_out = Arc::clone(&log);
        let storage = Storage::new(real_disk(), move |dir, options| {
            let opened: Arc<dyn LogStore> = Arc::new(EngineLog::open(dir, options)?);
            // Set once per storage, which opens one log.
            let _ = handed_out.set(Arc::clone(&opened));
            Ok(opened)
        });
        let tale = alone(async {
            let node = Node::open(root.path(), storage, &Sizes::default()).await.map_err(|error| error.to_string())?;
            let log = log.get().ok_or("the log was not opened")?;
            let tale = Tale::play(&node, acts(node.region_id()), log, || 0).await;
            indexed(&node).await?;
            if orderly {
                node.stop().await;
            } else {
                node.abort().await;
            }
            tale
        })?;
        // The engine holds its lock until the last owner is gone.
        drop(log);
        let mut files = Vec::new();
        list(root.path(), root.path(), &mut files)?;
        Ok(Self { root, tale, files })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// How many files there are of each kind.
    pub fn kinds(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        self.files.iter().for_each(|(kind, _)| *kinds.entry(*kind).or_default() += 1);
        kinds
    }

    /// Damage drawn from a seed: so many flips, half as many cuts, and each file gone once.
    pub fn draw(&self, kind: Kind, flips: usize, seed: u64) -> Result<Vec<Case>> {
        let mut rng = Rng(seed);
        let files: Vec<&PathBuf> = self.files.iter().filter(|(of, _)| *of == kind).map(|(_, file)| file).collect();
        let mut cases: Vec<Case> =
            files.iter().map(|file| Case { kind, file: (*file).clone(), spoil: Spoil::Remove }).collect();
        for n in 0..flips + flips / 2 {
            let Some(file) = rng.pick(&files) else { continue };
            let size = fs::metadata(self.root.path().join(file)).map_err(|error| error.to_string())?.len();
            let at = rng.index(usize::try_from(size).unwrap_or(usize::MAX));
            let spoil = match n < flips {
                true if size == 0 => continue,
                true => Spoil::Flip { byte: at, bit: u8::try_from(rng.below(8)).unwrap_or(0) },
                false => Spoil::Cut { size: at },
            };
            cases.push(Case { kind, file: (*file).clone(), spoil });
        }
        Ok(cases)
    }

    /// The files of a kind, oldest first.
    pub fn files(&self, kind: Kind) -> Vec<PathBuf> {
        self.files.iter().filter(|(of, _)| *of == kind).map(|(_, file)| file.clone()).collect()
    }

    /// Does the damage to a copy, and judges what the node makes of it.
    pub fn judge(&self, case: &Case) -> Result<Fate> {
        self.judge_together(case, &[])
    }

    /// The same with more damage beside it; the first is what must be named.
    pub fn judge_together(&self, case: &Case, more: &[Case]) -> Result<Fate> {
        let here = folder()?;
        copy(self.root.path(), here.path())?;
        for case in more.iter().chain([case]) {
            spoil(&here.path().join(&case.file), case.spoil)?;
        }
        alone(self.judge_node(here.path(), case))
            .map_err(|why| format!("{:?} of {}: {why}", case.spoil, case.file.display()))
    }

    async fn judge_node(&self, dir: &Path, case: &Case) -> Result<Fate> {
        let opened = Node::open(dir, Storage::real(), &Sizes::default()).await;
        let node = opened.map_err(|error| format!("the node does not start: {}: {error}", error.code()))?;
        let checked = |node: &Node| {
            [node.registry.status(), node.region.status()].iter().all(|s| s.scrubbed > 0 || s.halted.is_some())
        };
        node.until("everything is read", checked).await?;
        if case.kind == Kind::Index {
            // Whoever asks finds what is there, or it is found that it is not, and built again.
            self.tale.recall(&node).await?;
            indexed(&node).await?;
            self.tale.recall(&node).await?;
        }
        let halted = (node.registry.status().halted, node.region.status().halted);
        match halted {
            (None, None) => {
                let fate = self.judge_running(&node, dir, case).await?;
                goes_on(&node).await?;
                node.stop().await;
                Ok(fate)
            }
            (None, Some(reason)) => {
                is_named(&reason, dir, case)?;
                check_line(&self.tale.registry, &*registry(&node)?, &node.registry).await?;
                shown(&node.region, &self.tale.region).await?;
                goes_on(&node).await?;
                node.stop().await;
                Ok(Fate::RegionReadOnly)
            }
            (Some(reason), _) => {
                is_named(&reason, dir, case)?;
                self.judge_read_only(node, dir).await
            }
        }
    }

    async fn judge_running(&self, node: &Node, dir: &Path, case: &Case) -> Result<Fate> {
        let findings = node.registry.findings();
        let told: Vec<String> =
            findings.iter().map(|f| format!("{}: {} / {}", f.error.code(), f.error.zh(), f.error)).collect();
        // A part of the ledger that is gone with its file looks like one that was never fetched: the status tells of both.
        let from = |status: RecordStatus| status.oldest_revision;
        let gone = from(node.registry.status()).max(from(node.region.status())) > 1;
        let named = told.iter().any(|text| is_named(text, dir, case).is_ok())
            || gone && told.is_empty() && case.kind == Kind::Sealed && case.spoil == Spoil::Remove;
        if !named && !told.is_empty() {
            return Err(format!("something else is named: {told:?}"));
        }
        match self.tale.check(node, self.tale.done.len()).await {
            Ok(_) if named => Ok(Fate::Mended),
            Ok(_) => Ok(Fate::NothingChanged),
            Err(why) if !named => Err(format!("silently: {why}")),
            Err(why) if case.kind != Kind::Sealed => Err(why),
            Err(_) => {
                still_there(&node.registry, &self.tale.registry).await?;
                still_there(&node.region, &self.tale.region).await?;
                Ok(Fate::HistoryMissing)
            }
        }
    }

    async fn judge_read_only(&self, node: Node, dir: &Path) -> Result<Fate> {
        let seen = shown(&node.registry, &self.tale.registry).await?;
        if node.region.status().halted.is_some() {
            shown(&node.region, &self.tale.region).await?;
        }
        if !matches!(goes_on(&node).await, Err(why) if why.contains("HALTED")) {
            return Err("a read-only registry took a command".to_owned());
        }
        node.stop().await;
        let accepted = Node::accept_loss(dir, &Sizes::default()).await;
        let loss = accepted.map_err(|error| format!("the loss cannot be accepted: {error}"))?;
        if loss.revision < seen {
            return Err(format!("shown was revision {seen}, it goes on from {}", loss.revision));
        }
        let opened = Node::open(dir, Storage::real(), &Sizes::default()).await;
        let node = opened.map_err(|error| format!("after the loss was accepted: {error}"))?;
        node.registry.read_linearizable(soon()).await.map_err(|error| error.to_string())?;
        let line = with_another_life(&self.tale.registry, loss.revision, &node.registry).await?;
        check_line(&line, &*registry(&node)?, &node.registry).await?;
        goes_on(&node).await?;
        node.stop().await;
        if Node::accept_loss(dir, &Sizes::default()).await.is_ok() {
            return Err("a loss was accepted where there is none".to_owned());
        }
        let all = self.tale.registry.len() as u64 - 1;
        Ok(if loss.revision == all { Fate::AcceptedNothingLost } else { Fate::Accepted })
    }
}

/// What the registry was up to a revision, and the one record behind it that begins another life.
async fn with_another_life(line: &[Point], revision: u64, handle: &Handle<Registry>) -> Result<Vec<Point>> {
    let at = usize::try_from(revision).map_err(|error| error.to_string())?;
    let before = line.get(..=at).ok_or_else(|| format!("it goes on from a revision {revision} that never was"))?;
    let first = handle.watch(revision + 1).next().await.map_err(|error| error.to_string())?;
    if !matches!(first.record.events[..], [RegistryEvent::Restored { .. }]) {
        return Err(format!("another life does not begin behind revision {revision}: {:?}", first.record));
    }
    // From the ledger alone.
    let mut after = Record::<Registry>::found(&registry_genesis()).map_err(|refusal| refusal.en())?;
    let records = before[1..].iter().map(|point| &point.bytes[..]).chain([&first.bytes[..]]);
    records.into_iter().try_for_each(|bytes| after.replay(bytes)).map_err(|error| error.to_string())?;
    let point = Point { digest: after.digest(), root: after.ledger_root(), bytes: first.bytes.to_vec() };
    Ok(before.iter().cloned().chain([point]).collect())
}

fn registry(node: &Node) -> Result<Arc<Record<Registry>>> {
    node.registry.view().map(|view| view.record).map_err(|error| error.to_string())
}

/// Whether the text says which file (of the log: at least which folder), with a code, and in both languages.
fn is_named(text: &str, dir: &Path, case: &Case) -> Result<()> {
    let file = dir.join(&case.file);
    let place = match case.kind {
        Kind::Log | Kind::LogMarker => dir.join("raft"),
        Kind::Index => dir.join("index"),
        // Nothing tells what the file was called; the revisions that are missing are named.
        Kind::Sealed | Kind::Active if case.spoil == Spoil::Remove => file.parent().unwrap_or(dir).to_owned(),
        _ => file,
    };
    let named = text.contains(&*place.to_string_lossy());
    let code = text.split(':').next().is_some_and(|code| code.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let chinese = text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    if named && code && chinese { Ok(()) } else { Err(format!("not named as it should be: {text}")) }
}

/// Checks that a read-only record shows a state that was, and not an empty one. Returns its revision.
async fn shown<M: Machine>(handle: &Handle<M>, line: &[Point]) -> Result<u64> {
    let view = handle.view().map_err(|error| format!("{} shows nothing: {error}", M::NAME))?;
    let revision = view.record.revision();
    let point = usize::try_from(revision).ok().and_then(|at| line.get(at));
    let fits =
        point.is_some_and(|point| (point.digest, point.root) == (view.record.digest(), view.record.ledger_root()));
    if !fits || revision == 0 {
        return Err(format!("{} shows a state at revision {revision} that never was", M::NAME));
    }
    let status = handle.status();
    let oldest = status.oldest_revision;
    // The end of a read-only state may stand in the log alone.
    let last = if status.halted.is_some() { last_held(handle, oldest, revision).await? } else { revision };
    if oldest > last { Ok(revision) } else { check_ledger(line, oldest..=last, handle).await.map(|()| revision) }
}

/// Up to where a ledger can be read from a revision on.
async fn last_held<M: Machine>(handle: &Handle<M>, first: u64, last: u64) -> Result<u64> {
    let mut watch = handle.watch(first);
    for revision in first..=last {
        match watch.next().await {
            Ok(_) => {}
            Err(WatchError::Compacted { .. }) => return Ok(revision - 1),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(last)
}

/// Checks that the state is the last of the line, and that what is held of the ledger is right.
async fn still_there<M: Machine>(handle: &Handle<M>, line: &[Point]) -> Result<()> {
    let revision = shown(handle, line).await?;
    if revision + 1 == line.len() as u64 { Ok(()) } else { Err(format!("{} stands at {revision} only", M::NAME)) }
}

/// Asks one more thing of the registry.
async fn goes_on(node: &Node) -> Result<()> {
    let body = RegistryCommand::AllocateNumber { kind: NumberKind::Answer };
    let by = actor(wuhai(), Role::Duty, 1);
    let until = START.plus_ms(2 * HOUR_MS);
    let envelope = Envelope { id: CommandId::from_u128(1 << 64), actor: by, valid_until: until, body };
    node.at(START.plus_ms(HOUR_MS));
    let answer = node.registry.propose(envelope, soon()).await;
    let outcome = answer.map_err(|error| format!("{}: {error}", error.code()))?;
    if outcome.verdict == Verdict::Accepted { Ok(()) } else { Err(format!("{:?}", outcome.verdict)) }
}

/// Waits until the index covers both ledgers.
async fn indexed(node: &Node) -> Result<()> {
    let whole = |node: &Node| {
        node.registry.indexed().is_whole(node.registry.revision())
            && node.region.indexed().is_whole(node.region.revision())
    };
    node.until("the index covers the ledgers", whole).await
}

fn list(root: &Path, dir: &Path, files: &mut Vec<(Kind, PathBuf)>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Some((kind, file)) = path.strip_prefix(root).ok().and_then(|file| Some((Kind::of(file)?, file))) {
            files.push((kind, file.to_owned()));
        }
    }
    Ok(())
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| format!("cannot copy {}: {error}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map(drop).map_err(failed)?;
        }
    }
    Ok(())
}

/// Does damage to a file.
pub fn spoil(file: &Path, spoil: Spoil) -> Result<()> {
    let failed = |error: std::io::Error| format!("cannot spoil {}: {error}", file.display());
    match spoil {
        Spoil::Remove => fs::remove_file(file).map_err(failed),
        Spoil::Cut { size } => {
            fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(size as u64)).map_err(failed)
        }
        Spoil::Flip { byte, bit } => {
            let mut bytes = fs::read(file).map_err(failed)?;
            bytes[byte] ^= 1 << bit;
            fs::write(file, bytes).map_err(failed)
        }
    }
}

/// How many cases of each kind of file ended how.
#[derive(Debug, Default)]
pub struct Figures {
    /// Flips, cuts and removals.
    pub cases: usize,
    fates: BTreeMap<(Kind, Fate), usize>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cases={}", self.cases)?;
        self.fates.iter().try_for_each(|((kind, fate), count)| write!(f, " {kind:?}/{fate:?}={count}"))
    }
}

impl Figures {
    /// How many cases ended so.
    pub fn of(&self, kind: Kind, fate: Fate) -> usize {
        self.fates.get(&(kind, fate)).copied().unwrap_or_default()
    }
}

/// Draws and judges damage of every kind, to what an orderly stop and what a kill leaves behind. Returns what went wrong
/// as well.
pub fn all(flips: usize, seed: u64) -> Result<(Figures, Vec<String>)> {
    let places = [(Place::new(true)?, "an orderly stop", seed), (Place::new(false)?, "a kill", seed + 1)];
    let mut cases = Vec::new();
    for (place, end, drawn_from) in &places {
        for kind in Kind::ALL {
            // The log is most of what there is, the reserve holds nothing at all.
            let flips = match kind {
                Kind::Log => 2 * flips,
                Kind::Reserve => flips / 6,
                _ => flips,
            } / 2;
            cases.extend(place.draw(kind, flips, *drawn_from)?.into_iter().map(|case| (place, *end, case)));
        }
    }
    let (mut figures, mut failures) = (Figures { cases: cases.len(), ..Figures::default() }, Vec::new());
    for ((_, end, case), fate) in cases.iter().zip(judge_all(&cases, |(place, _, case)| place.judge(case))) {
        match fate {
            Ok(fate) => *figures.fates.entry((case.kind, fate)).or_default() += 1,
            Err(why) => failures.push(format!("seed {seed}, after {end}: {why}")),
        }
    }
    Ok((figures, failures))
}
