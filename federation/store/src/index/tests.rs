use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(i: u32) -> Vec<u8> {
    format!("aid/{i:03}").into_bytes()
}

fn put(index: &Index, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<()> {
    let mut batch = IndexBatch::new();
    batch.put(key, value);
    index.apply(&batch)
}

fn get(index: &Index, key: &[u8]) -> Option<Vec<u8>> {
    let found = index.scan_prefix(key, None, 1).unwrap().pop();
    found.filter(|(held, _)| held == key).map(|(_, value)| value)
}

#[test]
fn values_positions_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    assert!(index.needs_rebuild() && index.position("region").unwrap().is_none());
    let mut batch = IndexBatch::new();
    for i in (0..10).filter(|i| *i != 4) {
        batch.put(key(i), vec![i.try_into().unwrap()]);
    }
    batch.put("aie", "beyond the prefix").set_position("region", "12");
    index.apply(&batch).unwrap();
    assert_eq!((get(&index, &key(3)), get(&index, &key(4))), (Some(vec![3]), None));
    assert_eq!(index.position("region").unwrap(), Some(b"12".to_vec()));
    assert!(get(&index, b"region").is_none(), "positions are no entries");

    let page = |after: Option<u32>, limit| {
        let after = after.map(key);
        let found = index.scan_prefix(b"aid/", after.as_deref(), limit).unwrap();
        found.into_iter().map(|(_, value)| value[0]).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 3), [0, 1, 2]);
    assert_eq!(page(Some(2), 3), [3, 5, 6]);
    assert_eq!(page(Some(4), 100), [5, 6, 7, 8, 9]);
    assert_eq!(page(Some(9), 5), [0_u8; 0]);
    assert!(index.scan_prefix(b"none", None, 5).unwrap().is_empty());
    assert_eq!(index.scan_prefix(b"aid/", Some(b"a"), 1).unwrap().len(), 1, "a cursor before the prefix");
}

#[test]
fn limits_refuse_the_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    put(&index, "most", [0; MAX_VALUE_BYTES]).unwrap();
    for (k, v) in [(vec![1], vec![0; MAX_VALUE_BYTES + 1]), (vec![1; MAX_KEY_BYTES + 1], vec![])] {
        let mut batch = IndexBatch::new();
        batch.put("first", "1").put(k, v).set_position("region", "1");
        assert_eq!(index.apply(&batch).unwrap_err().code(), "STORE_TOO_LARGE");
        assert_eq!((get(&index, b"first"), index.position("region").unwrap()), (None, None));
    }
}

#[test]
fn it_reopens_whole_after_a_durable_flush() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/index");
    let index = Index::open(&path).unwrap();
    let mut batch = IndexBatch::new();
    batch.put("k", "v").set_position("region", "3");
    index.apply(&batch).unwrap();
    index.flush_durable().unwrap();
    drop(index);
    let index = Index::open(&path).unwrap();
    assert!(!index.needs_rebuild());
    assert_eq!((get(&index, b"k"), index.position("region").unwrap()), (Some(b"v".to_vec()), Some(b"3".to_vec())));
}

#[test]
fn a_damaged_index_is_set_aside_and_never_silently_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    for n in 0..SET_ASIDE_MAX + 2 {
        let index = Index::open(&path).unwrap();
        for i in 0..50 {
            put(&index, key(i), [1; 100]).unwrap();
        }
        index.flush_durable().unwrap();
        drop(index);
        released(&path).unwrap();
        let conf = path.join("conf");
        std::fs::write(&conf, b"not what sled wrote").unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.needs_rebuild());
        assert_eq!(get(&index, &key(1)), None);
        let aside = dir.path().join(format!("index.damaged-{n}"));
        assert_eq!(aside.is_dir(), n < SET_ASIDE_MAX, "so many are kept, and no more");
    }
}

#[test]
fn whatever_stands_in_its_place_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    std::fs::write(&path, "a file where a directory should be").unwrap();
    assert!(Index::open(&path).unwrap().needs_rebuild());
    assert!(dir.path().join("index.damaged-0").is_file());
}

#[test]
fn an_index_is_replaced_only_when_nobody_has_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let held = Index::open(&path).unwrap();
    put(&held, "k", "v").unwrap();
    assert_eq!(Index::replace(&path).unwrap_err().code(), "STORE_LOCKED");
    assert_eq!(get(&held, b"k"), Some(b"v".to_vec()));
    drop(held);
    let index = Index::replace(&path).unwrap();
    assert!(index.needs_rebuild() && get(&index, b"k").is_none());
}

#[test]
fn an_index_in_use_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let held = Index::open(&path).unwrap();
    assert_eq!(Index::open(&path).unwrap_err().code(), "STORE_LOCKED");
    put(&held, "k", "v").unwrap();
    assert!(!dir.path().join("index.damaged-0").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The index is an ordered map, page by page.
    #[test]
    fn it_is_an_ordered_map(changes in proptest::collection::vec((0..40_u32, any::<u8>()), 1..80), limit in 1..7_usize) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(&dir.path().join("index")).unwrap();
        let mut model = BTreeMap::new();
        for (i, value) in changes {
            put(&index, key(i), [value]).unwrap();
            model.insert(key(i), vec![value]);
        }
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|(k, _): &(Vec<u8>, Vec<u8>)| k.clone());
            let page = index.scan_prefix(b"aid/", after.as_deref(), limit).unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
    }
}
