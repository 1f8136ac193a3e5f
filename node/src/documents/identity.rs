//! Names that a file gives to its rows: the same file twice names the same lots, so a second import changes nothing.

use sha2::{Digest, Sha256};
use shouwang_domain::ids::{LotId, MunicipalityCode, StoreId};
use uuid::{Builder, Uuid};

/// A UUID (version 8) from SHA-256 over length-prefixed parts, so that no two lists of parts run into each other.
fn uuid(kind: &str, municipality: MunicipalityCode, parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    let municipality = municipality.to_string();
    for part in ["shouwang.documents.v1", kind, &municipality].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The store of this name (folded) in a municipality.
pub fn store_id(municipality: MunicipalityCode, name: &str) -> StoreId {
    StoreId(uuid("store", municipality, &[&super::text::fold(name)]))
}

/// What tells one lot of a ledger from another, as it is written there. The catalogue's code is not part of it: an item
/// that is mapped to a code later is still the same lot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub(super) Vec<String>);

impl RowKey {
    /// The lot of the `occurrence`-th row (from 1) with this key in its file. `kind` keeps goods and units apart.
    pub(super) fn lot(&self, kind: &str, municipality: MunicipalityCode, occurrence: u32) -> LotId {
        let occurrence = occurrence.to_string();
        let mut parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        parts.push(&occurrence);
        LotId(uuid(kind, municipality, &parts))
    }
}

/// Counts equal keys within one file.
#[derive(Default)]
pub(super) struct Occurrences(std::collections::BTreeMap<RowKey, (u32, u32)>);

impl Occurrences {
    /// How often the key was seen, this row included, and the first row that had it.
    pub(super) fn count(&mut self, key: &RowKey, row: u32) -> (u32, u32) {
        let (count, first) = self.0.entry(key.clone()).or_insert((0, row));
        *count += 1;
        (*count, *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_apart() {
        let wuhai = MunicipalityCode::new(150_300).unwrap();
        let alxa = MunicipalityCode::new(152_900).unwrap();
        // These are in the books of whoever imported a ledger: they must never change.
        assert_eq!(store_id(wuhai, "海勃湾库").to_string(), STORE);
        assert_eq!(store_id(wuhai, " 海勃湾库\u{3000}"), store_id(wuhai, "海勃湾库"));
        assert_ne!(store_id(wuhai, "海勃湾库"), store_id(alxa, "海勃湾库"));
        let key = |parts: &[&str]| RowKey(parts.iter().map(|part| (*part).to_owned()).collect());
        let lot = |parts: &[&str], n| key(parts).lot("goods", wuhai, n);
        assert_ne!(lot(&["a", "bc"], 1), lot(&["ab", "c"], 1));
        assert_ne!(lot(&["a"], 1), lot(&["a"], 2));
        assert_ne!(key(&["a"]).lot("goods", wuhai, 1), key(&["a"]).lot("unit", wuhai, 1));
    }

    const STORE: &str = "62afd122-2333-8a89-914f-60c7fc1a3090";
}
