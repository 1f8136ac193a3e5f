//! What CI plays: many seeds, and some of them twice.

use shouwang_sim::{Failure, Plan, run, run_all};

fn in_words(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_lost_and_nothing_doubled_in_1000_seeds() {
    // SHOUWANG_SEEDS=N widens the search without changing what CI runs.
    let seeds = std::env::var("SHOUWANG_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let (figures, failures) = run_all(0..seeds, &Plan::new(0), |failure| eprintln!("{failure}"));
    assert!(failures.is_empty(), "{}", in_words(&failures));
    println!("sim: {figures}");
    // The storms must have had something to break, and the people something to do.
    assert!(figures.crashes > 5 * seeds && figures.lost_writes > 3 * seeds && figures.torn > seeds / 2, "{figures}");
    assert!(figures.disk_faults > seeds / 8 && figures.full_disks > seeds / 8, "{figures}");
    assert!(figures.cuts > seeds && figures.elections > 8 * seeds && figures.unfit > 3 * seeds, "{figures}");
    assert!(figures.installs > seeds / 5 && figures.checkpoints > 20 * seeds, "{figures}");
    assert!(figures.charters > seeds / 2 && figures.memberships > seeds / 3 && figures.dropped > seeds, "{figures}");
    assert!(figures.accepted > 80 * seeds && figures.departed > seeds && figures.expired > 3 * seeds, "{figures}");
    assert!(figures.upgrades > 3 * seeds && figures.raised > seeds / 4 && figures.too_old > seeds / 50, "{figures}");
    assert!(figures.countersigned > seeds / 4, "{figures}");
    assert!(figures.histories > seeds / 5 && figures.operations > 10 * seeds, "{figures}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let play = || (0..12).map(|seed| run(&Plan::new(seed)).expect("seeds 0 to 11 pass")).collect::<Vec<_>>();
    let reports = play();
    assert_eq!(reports, play());
    for (at, report) in reports.iter().enumerate() {
        let mut others = reports.iter().skip(at + 1);
        assert!(others.all(|other| other.trace != report.trace), "seed {at}");
    }
}
