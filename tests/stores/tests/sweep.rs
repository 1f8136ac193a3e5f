//! Power cuts behind every step of a script.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use shouwang_stores::plant::Plant;
use shouwang_stores::sweep::{LOSSES, Recorded};

#[test]
fn the_power_may_go_behind_every_step() {
    let recorded = Recorded::new(Plant::None).unwrap();
    // The script goes through everything a store does, or the sweep would say little.
    for words in [
        &["create", "0000000000000002.raftlog"][..],
        &["remove", ".raftlog"],
        &["write", ".rewrite"],
        &["sync", ".raftlog"],
        &["rename", "/checkpoints/"],
        &["remove", "/checkpoints/"],
        &["rename", ".sealed"],
        &["remove", ".open"],
        &["sync", ".open"],
        &["sync", "tail.new"],
    ] {
        assert!(recorded.saw(words) > 0, "no step has {words:?} in it");
    }
    let figures = recorded.sweep(&LOSSES[..3], 1);
    println!("sweep: {figures}");
    let some: Vec<_> = figures.failures.iter().take(10).collect();
    assert!(some.is_empty(), "{} of {} restarts, such as: {some:#?}", figures.failures.len(), figures.restarts);
    assert!(figures.commands >= 30, "{} commands", figures.commands);
}

#[test]
fn planted_bugs_are_caught() {
    for plant in [Plant::LogNotSynced, Plant::CheckpointNotSynced, Plant::LedgerNotSynced] {
        let recorded = Recorded::new(plant).unwrap();
        let figures = recorded.sweep(&LOSSES[..1], 4);
        println!("{plant:?}: {figures}; such as: {:?}", figures.failures.first());
        assert!(!figures.failures.is_empty(), "{plant:?} went by unseen");
    }
}
