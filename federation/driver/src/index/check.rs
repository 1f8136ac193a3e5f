//! Whether an index that nobody has open holds what it says: looked at in a copy, since sled writes wherever it opens.

use std::fs;
use std::path::Path;

use shouwang_domain::ids::RecordId;
use shouwang_store::StoreError;
use shouwang_store::index::Index;

use super::indexer::{Trouble, counted};

/// What is wrong with the index in `dir`; nothing if there is none. Blocks.
///
/// # Errors
/// It cannot be copied or opened now: nothing is known of it then.
pub(crate) fn check(dir: &Path, records: &[RecordId]) -> Result<Option<StoreError>, StoreError> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let place = std::env::temp_dir();
    let copied = tempfile::Builder::new().prefix("shouwang-index-").tempdir_in(&place);
    let copied = copied.map_err(|error| StoreError::io("create", &place, error))?;
    let copied = copied.path().join("index");
    copy(dir, &copied)?;
    let damaged = |detail: String| Some(StoreError::Index { path: dir.to_owned(), detail });
    let index = Index::open(&copied)?;
    if let Some(damage) = index.damage() {
        return Ok(damaged(damage.replace(&*copied.to_string_lossy(), &dir.to_string_lossy())));
    }
    for id in records {
        match counted(&index, *id, || true) {
            Ok(_) => {}
            Err(Trouble::Damaged(detail)) => return Ok(damaged(detail)),
            Err(Trouble::Later(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("copy", from, error);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}
