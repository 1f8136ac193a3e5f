//! The house rules over this checkout. Each failure names file, line and remedy.

use shouwang_tidy::graph::{self, Manifests};
use shouwang_tidy::{Tree, bans, size, words};

/// What may be larger than the limits, and why.
const LARGE: size::Allowed = &[];

fn tree() -> Tree {
    Tree::read().expect("the checkout can be read")
}

fn manifests(tree: &Tree) -> Manifests {
    Manifests::new(&tree.other).expect("manifests are TOML, or cargo would not have built this test")
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_checkout_is_seen() {
    let tree = tree();
    for path in ["Cargo.toml", "ARCHITECTURE.md", "README.md", "scripts/test", ".ci/run"] {
        assert!(!tree.text(path).is_empty(), "{path} is missing: the rules would pass over nothing");
    }
    for room in graph::ROOMS {
        let lib = format!("{}/src/lib.rs", room.folder);
        assert!(tree.rust.iter().any(|source| source.path == lib), "{lib} is missing");
    }
}

#[test]
fn imports_point_one_way() {
    none(&graph::imports(&manifests(&tree())));
}

#[test]
fn what_is_heavy_stands_in_one_room() {
    none(&graph::owners(&manifests(&tree())));
}

#[test]
fn every_dependency_has_a_use_and_a_reason() {
    let tree = tree();
    none(&graph::reasons(&manifests(&tree), tree.text("ARCHITECTURE.md")));
}

#[test]
fn pure_rooms_are_pure() {
    let tree = tree();
    none(&bans::ALL.iter().flat_map(|bans| bans::check(&tree.rust, bans)).collect::<Vec<_>>());
}

#[test]
fn files_are_small() {
    none(&size::files(&tree().rust, LARGE));
}

#[test]
fn functions_are_small() {
    none(&size::functions(&tree().rust, LARGE));
}

#[test]
fn excuses_are_needed() {
    none(&size::stale(&tree().rust, LARGE));
}

#[test]
fn panics_are_explained() {
    none(&words::unexplained(&tree().rust));
}

#[test]
fn nothing_is_put_off() {
    let tree = tree();
    none(&words::put_off(&tree.rust, &tree.other));
}

#[test]
fn no_path_is_one_machines() {
    let tree = tree();
    none(&words::machine_paths(&tree.rust, &tree.other));
}

#[test]
fn rooms_say_what_they_must_never_contain() {
    none(&words::silent_rooms(&tree().rust));
}
