//! Damage as `shouwang disk check` sees it: what a node tells of when it starts, the check must name while nothing runs and
//! nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use shouwang_domain::hash::Hash32;
use shouwang_driver::{Damage, DiskReport};

use crate::damage::{Case, Fate, Kind, Place, Spoil, copy, spoil};
use crate::{Node, Result, Sizes, folder};

/// What a check made of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// The file is named, or of a file that is gone its folder.
    Named,
    /// No file is named; the report says that the ledger begins later than it did.
    Shorter,
    /// Nothing is told.
    Silent,
}

/// How often what was made of which kind of file.
pub type Seen = BTreeMap<(Kind, Look), usize>;

/// Every file below a folder with its digest.
pub fn digests(dir: &Path) -> Result<BTreeMap<PathBuf, Hash32>> {
    let mut found = BTreeMap::new();
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
    for entry in fs::read_dir(dir).map_err(failed)?.flatten() {
        if entry.path().is_dir() {
            found.extend(digests(&entry.path())?);
        } else {
            let bytes = fs::read(entry.path()).map_err(failed)?;
            found.insert(entry.path(), Hash32::of(&[&bytes]));
        }
    }
    Ok(found)
}

/// Reads a folder, and sees that nothing in it has changed.
pub fn check(dir: &Path) -> Result<DiskReport> {
    let before = digests(dir)?;
    let report = Node::check(dir, &Sizes::default()).map_err(|error| format!("{}: {error}", error.code()))?;
    let after = digests(dir)?;
    match before.iter().find(|(file, digest)| after.get(*file) != Some(digest)) {
        Some((file, _)) => Err(format!("{} was changed by looking at it", file.display())),
        None if before.len() != after.len() => Err("looking at it left files behind".to_owned()),
        None => Ok(report),
    }
}

/// Does the damage to a copy and looks at it. What must not go unseen is what a node would tell: `fate`.
pub fn look(place: &Place, case: &Case, fate: Fate) -> Result<Look> {
    let here = folder()?;
    copy(place.root(), here.path())?;
    spoil(&here.path().join(&case.file), case.spoil)?;
    let told = |why: String| format!("{:?} of {} ({fate:?}): {why}", case.spoil, case.file.display());
    let report = check(here.path()).map_err(told)?;
    let named = report.damage.iter().any(|damage| names(here.path(), case, damage));
    let shorter = report.records.iter().any(|record| record.ledger.is_none_or(|(first, _)| first > 1));
    let codes: Vec<_> = report.damage.iter().map(|damage| (damage.error.code(), &damage.path)).collect();
    match (named, fate) {
        (true, _) => Ok(Look::Named),
        (false, Fate::HistoryMissing) if shorter => Ok(Look::Shorter),
        (false, Fate::NothingChanged) if codes.is_empty() => Ok(Look::Silent),
        (false, _) => Err(told(format!("not named among {codes:?}"))),
    }
}

fn names(dir: &Path, case: &Case, damage: &Damage) -> bool {
    let file = dir.join(&case.file);
    let below = match case.kind {
        Kind::Log | Kind::LogMarker => dir.join("raft"),
        Kind::Index => dir.join("index"),
        Kind::Sealed | Kind::Active if case.spoil == Spoil::Remove => file.parent().unwrap_or(dir).to_owned(),
        _ => file,
    };
    damage.path.starts_with(below)
}

/// Draws damage of each kind, lets a node judge it, and looks at it. Returns how often what was seen, and what went wrong.
pub fn all(flips: usize, seed: u64) -> Result<(Seen, Vec<String>)> {
    let (mut seen, mut failures) = (Seen::new(), Vec::new());
    for (place, seed) in [(Place::new(true)?, seed), (Place::new(false)?, seed + 1)] {
        for kind in Kind::ALL {
            for case in place.draw(kind, flips, seed)? {
                match place.judge(&case).and_then(|fate| look(&place, &case, fate)) {
                    Ok(look) => *seen.entry((kind, look)).or_default() += 1,
                    Err(why) => failures.push(why),
                }
            }
        }
    }
    Ok((seen, failures))
}
