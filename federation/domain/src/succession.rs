//! What must be true between a state and the one that follows it: history only grows. Each machine has its table.

use std::fmt::Debug;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

/// Looks at every entry that differs between two maps: none may be gone, and `keeps` names what an entry has lost.
pub(crate) fn grows<K: Ord + Debug, V: PartialEq>(
    what: &str,
    before: &OrdMap<K, V>,
    after: &OrdMap<K, V>,
    keeps: impl Fn(&V, &V) -> Option<&'static str>,
) -> Result<(), String> {
    for item in before.diff(after) {
        match item {
            DiffItem::Add(..) => {}
            DiffItem::Remove(key, _) => return Err(format!("{what} {key:?} is gone")),
            DiffItem::Update { old: (key, old), new: (_, new) } => {
                if let Some(lost) = keeps(old, new) {
                    return Err(format!("{what} {key:?}: {lost}"));
                }
            }
        }
    }
    Ok(())
}

/// What is set stays as it is.
pub(crate) fn stays<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> bool {
    before.is_none() || before == after
}

/// The first of some rules that does not hold, by its words.
pub(crate) fn first_broken(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(holds, _)| !holds).map(|(_, words)| *words)
}
