//! Instructions of the hot path, counted by valgrind's callgrind and compared with those that are kept in `counts.toml`.
//! A count is the same on a busy machine as on a quiet one, so what becomes dearer is seen without timing anything.
//!
//! SHA-256 is counted apart. Valgrind's processor has no instructions for it, so there it is most of the path, and would
//! hide what becomes of the rest; and how often the same bytes are hashed is worth a figure of its own.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// How far a count may be from the one that is kept, in percent, before somebody must look at it. Both ways: what became
/// cheaper and is not written down could become as dear again unseen.
const SLACK: u64 = 20;
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counts.toml");
const HOW: &str = "UPDATE_COUNTS=1 cargo test --locked --workspace --test counts";
const HEAD: &str = "# Instructions on x86-64 of each piece of the hot path (src/works.rs), in the profile of the tests. Counted and written by
# tests/counts.rs, when it is run with UPDATE_COUNTS=1; docs/benchmarks.md says more.
";
/// The function of [`shouwang_micro::counted`], as callgrind knows it.
const COUNTED: &str = "shouwang_micro::counted";

/// What one unit of a piece takes, by what is counted: in SHA-256, and besides.
type Figures = BTreeMap<String, u64>;

/// What came of counting a piece.
struct Count {
    name: String,
    unit: String,
    figures: Figures,
}

/// Why nothing can be counted here, if it cannot. Where valgrind is missing, that is said; under CI it is a failure.
fn left_out() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the instructions that are kept are those of x86-64".to_owned());
    }
    if !cfg!(debug_assertions) {
        return Some("the instructions that are kept are those of the profile that tests have".to_owned());
    }
    let why = match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let why = format!("valgrind is not installed or does not start (apt-get install valgrind): {why}");
    assert!(std::env::var_os("CI").is_none(), "{why}");
    Some(why)
}

/// Counts every piece. Callgrind writes a file at each return from `counted`, one after the other; the program says in
/// the same order which pieces they are.
fn count() -> Vec<Count> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("callgrind");
    let mut valgrind = Command::new("valgrind");
    // Nothing of this machine's settings reaches the program.
    valgrind.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    valgrind.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--collect-atstart=no"]);
    valgrind.args([format!("--toggle-collect={COUNTED}"), format!("--dump-after={COUNTED}")]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(env!("CARGO_BIN_EXE_shouwang-micro"));
    let output = valgrind.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "shouwang-micro ended with {}: {told}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let dumps = said.lines().zip(1..).map(|(line, nth)| {
        let [name, units, unit] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let file = out.with_extension(nth.to_string());
        let dump = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let figures = figures(&dump).into_iter().map(|(what, all)| (what, all.div_ceil(units.parse().unwrap())));
        Count { name: name.to_owned(), unit: unit.to_owned(), figures: figures.collect() }
    });
    dumps.collect()
}

/// The instructions in one of callgrind's dumps. `fn=` names the function that the lines behind it are of: one a line of
/// code, its number and what was done there itself. Behind `calls=` stands one that says what the callee did, which has
/// its own.
fn figures(dump: &str) -> Figures {
    let (mut hashing, mut besides) = (0, 0);
    let (mut hashes, mut called) = (false, false);
    for line in dump.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            hashes = function.starts_with("sha2::");
        } else if line.starts_with("calls=") {
            called = true;
        } else if let Some((place, done)) = line.split_once(' ')
            && place.bytes().all(|byte| byte.is_ascii_digit())
            && !std::mem::take(&mut called)
        {
            *(if hashes { &mut hashing } else { &mut besides }) += done.parse::<u64>().unwrap();
        }
    }
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")).map(|total| total.trim().parse());
    assert_eq!(total, Some(Ok(hashing + besides)), "callgrind's dump is read as it is meant");
    assert!(besides > 0, "callgrind did not find {COUNTED}");
    BTreeMap::from([("besides".to_owned(), besides), ("sha256".to_owned(), hashing)])
}

/// What is to be said about counts and what is kept of them.
fn faults(kept: &BTreeMap<String, Figures>, counts: &[Count]) -> Vec<String> {
    let mut faults = Vec::new();
    for Count { name, unit, figures } in counts {
        for (what, now) in figures {
            let Some(before) = kept.get(name).and_then(|figures| figures.get(what)) else {
                faults.push(format!("{name}, {what}: {now} for each {unit}, and nothing is kept to compare with"));
                continue;
            };
            let told = if now * 100 > before * (100 + SLACK) {
                "dearer: find out why, and mend it or accept it"
            } else if now * 100 < before * (100 - SLACK) {
                "cheaper: write it down, or it could become as dear again unseen"
            } else {
                continue;
            };
            let percent = (now * 100 / before.max(&1)).abs_diff(100);
            faults.push(format!("{name}, {what}: {now} for each {unit} instead of {before}, {percent} % {told}"));
        }
    }
    let stale = kept.keys().filter(|name| !counts.iter().any(|count| count.name == **name));
    faults.extend(stale.map(|name| format!("{name}: kept, and there is no such piece")));
    faults
}

#[test]
fn no_piece_of_the_hot_path_takes_more_than_it_took() {
    if let Some(why) = left_out() {
        println!("left out: {why}");
        return;
    }
    let counts = count();
    let mut page = HEAD.to_owned();
    for Count { name, unit, figures } in &counts {
        let figures: Vec<_> = figures.iter().map(|(what, count)| format!("{what} = {count}")).collect();
        writeln!(page, "{name} = {{ {} }} # for each {unit}", figures.join(", ")).unwrap();
    }
    println!("{page}");
    if std::env::var_os("UPDATE_COUNTS").is_some() {
        std::fs::write(Path::new(KEPT), page).unwrap();
        return;
    }
    let kept = toml::from_str(&std::fs::read_to_string(KEPT).unwrap()).unwrap();
    let faults = faults(&kept, &counts);
    assert!(faults.is_empty(), "instructions:\n{}\nAccept new counts with: {HOW}", faults.join("\n"));
}

#[test]
fn what_is_more_than_a_fifth_dearer_or_cheaper_is_told() {
    let figures = |besides, sha256| BTreeMap::from([("besides".to_owned(), besides), ("sha256".to_owned(), sha256)]);
    let count = |name: &str, figures| Count { name: name.to_owned(), unit: "command".to_owned(), figures };
    let kept = BTreeMap::from([("apply".to_owned(), figures(1000, 0))]);
    for (besides, sha256, said) in [
        (1000, 0, None),
        (1200, 0, None),
        (1210, 0, Some("apply, besides: 1210 for each command instead of 1000, 21 % dearer")),
        (1500, 0, Some("50 % dearer")),
        (800, 0, None),
        (790, 0, Some("21 % cheaper")),
        (100, 0, Some("90 % cheaper")),
        (1000, 1, Some("apply, sha256: 1 for each command instead of 0")),
    ] {
        let faults = faults(&kept, &[count("apply", figures(besides, sha256))]);
        assert_eq!(faults.len(), usize::from(said.is_some()), "{besides}, {sha256}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.contains(said.unwrap_or_default())), "{besides}, {sha256}: {faults:?}");
    }
    let renamed = faults(&kept, &[count("apply_all", figures(1000, 0))]);
    assert_eq!(renamed.len(), 3, "two figures of one that is new, and one that is gone: {renamed:?}");
}

#[test]
fn what_a_function_does_itself_is_counted_once() {
    let dump = "events: Ir\nfl=lib.rs\nfn=shouwang_micro::counted\n9 5\ncfn=sha2::sha256::compress256\ncalls=1 0\n9 70\n\
                fi=other.rs\n3 2\n\nfn=sha2::sha256::compress256\n1 40\n2 30\n\ntotals: 77\n";
    assert_eq!(figures(dump), BTreeMap::from([("besides".to_owned(), 7), ("sha256".to_owned(), 70)]));
    let half_read = dump.replace("totals: 77", "totals: 78");
    assert!(std::panic::catch_unwind(|| figures(&half_read)).is_err());
}
