//! Random sequences of what people do, over lines that lose, double and reorder: every invariant after every step.

use shouwang_domain::testing::{Rng, World};

/// Runs one sequence and answers the digests at its end, so that a run can be compared with itself.
fn run(seed: u64, steps: usize) -> Vec<shouwang_domain::hash::Hash32> {
    let mut rng = Rng(seed);
    let mut world = World::new(&[150_300, 152_900, 640_200], 2);
    for step in 0..steps {
        world.random_step(&mut rng);
        if let Err(what) = world.check() {
            panic!("seed {seed} step {step}: {what}");
        }
    }
    world.cut.iter_mut().for_each(|cut| *cut = false);
    world.settle();
    world.check().unwrap_or_else(|what| panic!("seed {seed} at rest: {what}"));
    let registries = world.registries.iter().map(|r| r.record.digest());
    registries.chain(world.regions.iter().map(|r| r.record.digest())).collect()
}

#[test]
fn invariants_hold_over_256_sequences_of_200_commands() {
    // SHOUWANG_SEEDS=N widens the search without changing what CI runs.
    let seeds = std::env::var("SHOUWANG_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    for seed in 0..seeds {
        run(seed, 200);
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    assert_eq!(run(7, 200), run(7, 200));
}
