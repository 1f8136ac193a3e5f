//! What CI plays: many seeds, the same seed twice, and errors planted to see that they are seen.

use shouwang_sim::{Failure, Plan, Plant, run, run_all};

fn in_words(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_lost_and_nothing_doubled_in_300_seeds() {
    // SHOUWANG_SEEDS=N widens the search without changing what CI runs.
    let seeds = std::env::var("SHOUWANG_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let (figures, failures) = run_all(0..seeds, Plan::STEPS, Plant::None);
    assert!(failures.is_empty(), "{}", in_words(&failures));
    println!("sim: {figures}");
    // The storms must have had something to break.
    assert!(figures.crashes > 5 * seeds && figures.lost_writes > 2 * seeds, "{figures}");
    assert!(figures.cuts > 2 * seeds && figures.elections > 5 * seeds, "{figures}");
    assert!(figures.installs > seeds / 3 && figures.checkpoints > 5 * seeds, "{figures}");
    assert!(figures.accepted > 50 * seeds && figures.departed > seeds, "{figures}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let reports: Vec<_> = (0..12).map(|seed| run(&Plan::new(seed)).map_err(|failure| failure.to_string())).collect();
    let again: Vec<_> = (0..12).map(|seed| run(&Plan::new(seed)).map_err(|failure| failure.to_string())).collect();
    assert_eq!(reports, again);
    for (at, report) in reports.iter().enumerate() {
        let others = reports.iter().skip(at + 1);
        let trace = report.as_ref().expect("seeds 0 to 11 pass").trace;
        assert!(others.flatten().all(|other| other.trace != trace), "seed {at}");
    }
}

#[test]
fn planted_errors_are_caught() {
    for plant in Plant::ALL.into_iter().filter(|plant| *plant != Plant::None) {
        let (_, failures) = run_all(0..20, Plan::STEPS, plant);
        // One seed in six is calm, and in a short run not everything meets its occasion.
        assert!(failures.len() >= 5, "{} was caught in {} of 20 seeds only", plant.name(), failures.len());
    }
}
