use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(i: u32) -> Vec<u8> {
    format!("aid/{i:03}").into_bytes()
}

#[test]
fn values_positions_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    assert!(index.needs_rebuild() && index.position("region").unwrap().is_none());
    let mut batch = IndexBatch::new();
    for i in 0..10 {
        batch.put(key(i), vec![i.try_into().unwrap()]);
    }
    batch.put("aie", "beyond the prefix").remove(key(4)).set_position("region", 12);
    index.apply(&batch).unwrap();
    assert_eq!((index.get(&key(3)).unwrap(), index.get(&key(4)).unwrap()), (Some(vec![3]), None));
    assert_eq!(index.position("region").unwrap(), Some(12));

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

    index.put(b"x", b"1").unwrap();
    index.remove(b"x").unwrap();
    assert_eq!(index.get(b"x").unwrap(), None);
    index.clear().unwrap();
    assert_eq!((index.position("region").unwrap(), index.get(&key(3)).unwrap()), (None, None));
}

#[test]
fn limits_refuse_the_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    index.put(b"most", &[0; MAX_VALUE_BYTES]).unwrap();
    for (k, v) in [(vec![1], vec![0; MAX_VALUE_BYTES + 1]), (vec![1; MAX_KEY_BYTES + 1], vec![])] {
        let mut batch = IndexBatch::new();
        batch.put("first", "1").put(k, v).set_position("region", 1);
        assert_eq!(index.apply(&batch).unwrap_err().code(), "STORE_TOO_LARGE");
        assert_eq!((index.get(b"first").unwrap(), index.position("region").unwrap()), (None, None));
    }
}

#[test]
fn it_reopens_whole_after_a_durable_flush() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/index");
    let index = Index::open(&path).unwrap();
    let mut batch = IndexBatch::new();
    batch.put("k", "v").set_position("region", 3);
    index.apply(&batch).unwrap();
    index.flush_durable().unwrap();
    drop(index);
    let index = Index::open(&path).unwrap();
    assert!(!index.needs_rebuild());
    assert_eq!((index.get(b"k").unwrap(), index.position("region").unwrap()), (Some(b"v".to_vec()), Some(3)));
}

#[test]
fn a_damaged_index_is_set_aside_and_never_silently_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    for n in 0..2 {
        let index = Index::open(&path).unwrap();
        for i in 0..500 {
            index.put(&key(i), &[1; 100]).unwrap();
        }
        index.flush_durable().unwrap();
        drop(index);
        drop(open_patiently(&path).unwrap()); // Waits until sled has let go of the files.
        let conf = path.join("conf");
        std::fs::write(&conf, b"not what sled wrote").unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.needs_rebuild());
        assert_eq!(index.get(&key(1)).unwrap(), None);
        assert!(dir.path().join(format!("index.damaged-{n}")).is_dir());
    }
}

#[test]
fn an_index_in_use_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let held = Index::open(&path).unwrap();
    assert_eq!(Index::open(&path).unwrap_err().code(), "STORE_LOCKED");
    held.put(b"k", b"v").unwrap();
    assert!(!dir.path().join("index.damaged-0").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The index is an ordered map, page by page.
    #[test]
    fn it_is_an_ordered_map(changes in proptest::collection::vec((0..40_u32, any::<bool>()), 1..80), limit in 1..7_usize) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(&dir.path().join("index")).unwrap();
        let mut model = BTreeMap::new();
        for (i, put) in changes {
            if put {
                index.put(&key(i), &i.to_le_bytes()).unwrap();
                model.insert(key(i), i.to_le_bytes().to_vec());
            } else {
                index.remove(&key(i)).unwrap();
                model.remove(&key(i));
            }
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
