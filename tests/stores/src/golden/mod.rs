//! Fixtures: what this version writes, kept for ever. A later version must read them to the same revisions, roots, states
//! and bytes.
//!
//! Each folder of `tests/stores/golden` is of one version and is never written again: `shouwang-stores golden write` refuses
//! a folder that is there. It holds places, and `expected.txt` with what must be found in them. A place is the founding
//! documents of its records and a data folder: `node` is a node's after the script of [`crate::script`], the others are
//! what became of some members of a [`story`].

mod account;
pub mod kinds;
mod story;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use account::{account, files, holds};
use shouwang_domain::charter::Charter;
use shouwang_domain::code;
use shouwang_domain::ids::RegionId;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_driver::Storage;
use shouwang_store::log::{EngineLog, LogStore};
use shouwang_store::real_disk;

use crate::damage::{Kind, copy};
use crate::node::{charter, registry_genesis};
use crate::script::acts;
use crate::{Node, Result, Sizes, Tale, alone, folder};

/// Where the fixtures of all versions stand.
pub const ALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
/// What must be found in a folder of fixtures.
pub const EXPECTED: &str = "expected.txt";
/// A place's data folder.
pub(crate) const DATA: &str = "data";
/// How the founding document of a region is called in its place; those of registries begin with `registry`.
pub(crate) const REGION: &str = "region.cbor";

pub(crate) fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The folders of fixtures, oldest first.
pub fn folders() -> Result<Vec<PathBuf>> {
    entries(Path::new(ALL))
}

/// What stands in a folder, in the order of the names.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    Ok(entries)
}

/// Writes the fixtures of this version into a folder that must not be there.
pub fn write(to: &Path) -> Result<()> {
    fs::create_dir(to).map_err(|error| format!("{}: {error}; fixtures are never written again", to.display()))?;
    let mut known = write_node(&to.join("node"))?;
    let mut seen = BTreeSet::new();
    for story in story::ALL {
        known.push_str(&story::write(&to.join(story.name), story, &mut seen)?);
    }
    let (there, found) = (files(to)?, account(to)?);
    // What was written must be what is read.
    if let Some(missing) = known.lines().find(|line| !found.lines().any(|found| found == *line)) {
        return Err(format!("written was: {missing}\nread is:\n{found}"));
    }
    let head = format!("# Written by shouwang-stores {}; never to be written again.\n", env!("CARGO_PKG_VERSION"));
    fs::write(to.join(EXPECTED), head + &there + &found).map_err(words)
}

/// The first line that a folder should give and does not, or gives and should not.
pub fn difference(folder: &Path) -> Result<Option<String>> {
    let expected = fs::read_to_string(folder.join(EXPECTED)).map_err(words)?;
    let found = files(folder)? + &account(folder)?;
    Ok(first_difference(&expected, &found))
}

/// The first line in which what is found is not what is expected.
pub fn first_difference(expected: &str, found: &str) -> Option<String> {
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<&str> = found.lines().collect();
    let at = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at))?;
    let line = |lines: &[&str]| lines.get(at).copied().unwrap_or("nothing").to_owned();
    Some(format!("expected: {}\nfound:    {}", line(&expected), line(&found)))
}

/// Plays the script on a node, and keeps what is on its disk: not the index, which is built anew, nor the room kept back.
fn write_node(to: &Path) -> Result<String> {
    let dir = folder()?;
    let known = alone(async {
        let log = Arc::new(OnceLock::<Arc<dyn LogStore>>::new());
        let handed_out = Arc::clone(&log);
        let storage = Storage::new(real_disk(), move |dir, options| {
            let opened: Arc<dyn LogStore> = Arc::new(EngineLog::open(dir, options)?);
            // Set once per storage, which opens one log.
            let _ = handed_out.set(Arc::clone(&opened));
            Ok(opened)
        });
        let node = Node::open(dir.path(), storage, &Sizes::default()).await.map_err(words)?;
        let opened = log.get().ok_or("the log was not opened")?;
        Tale::play(&node, acts(node.region_id()), opened, || 0).await?;
        let (registry, region) = (node.registry.view().map_err(words)?, node.region.view().map_err(words)?);
        let known = account::line("node", &registry.record) + &account::line("node", &region.record);
        node.stop().await;
        Ok::<_, String>(known)
    })?;
    let data = to.join(DATA);
    copy(dir.path(), &data)?;
    for other in entries(&data)? {
        match other.file_name().and_then(|name| name.to_str()) {
            Some("index") => fs::remove_dir_all(other).map_err(words)?,
            Some("reserve.space") => fs::remove_file(other).map_err(words)?,
            _ => {}
        }
    }
    fs::write(to.join("registry.cbor"), code::encode(&registry_genesis())).map_err(words)?;
    fs::write(to.join(REGION), code::encode(&charter())).map_err(words)?;
    Ok(known)
}

/// Every file of a folder of fixtures that holds something, with what kind of file it is; `None` is a founding document.
pub fn holding(folder: &Path) -> Result<Vec<(Option<Kind>, PathBuf)>> {
    let mut found = Vec::new();
    for place in entries(folder)?.into_iter().filter(|place| place.is_dir()) {
        for file in below(&place)? {
            let data = file.strip_prefix(place.join(DATA)).ok().map(Kind::of);
            match data {
                None => found.push((None, file)),
                Some(Some(kind)) => found.push((Some(kind), file)),
                // A lock.
                Some(None) => {}
            }
        }
    }
    Ok(found)
}

/// The region whose charter is written down here.
pub(crate) fn region_id(document: &Path) -> Result<RegionId> {
    let bytes = fs::read(document).map_err(words)?;
    let charter: Charter = code::decode("charter", &bytes).map_err(words)?;
    Ok(Record::<Region>::id_of(&charter))
}

/// Every file below a folder.
pub(crate) fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in entries(dir)? {
        if entry.is_dir() {
            files.extend(below(&entry)?);
        } else {
            files.push(entry);
        }
    }
    Ok(files)
}
