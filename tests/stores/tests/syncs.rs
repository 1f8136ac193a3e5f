//! Between two acknowledgements there is a sync, as the kernel saw it.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::process::Command;

/// How many syncs of the log ended before each acknowledgement and after the one before it.
fn syncs_between(trace: &str) -> Vec<usize> {
    let (mut counts, mut since, mut begun) = (Vec::new(), 0, std::collections::BTreeSet::new());
    for line in trace.lines() {
        let (pid, call) = line.trim_start().split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        // Past the time stamp, if there is one.
        let is_log = call.starts_with("fdatasync(") && call.contains(".raftlog");
        if is_log && call.contains("unfinished") {
            begun.insert(pid.to_owned());
        } else if is_log && call.ends_with("= 0") || call.contains("fdatasync resumed") && begun.remove(pid) {
            since += 1;
        } else if call.starts_with("write(1") && call.contains("\"acked ") {
            counts.push(std::mem::take(&mut since));
        }
    }
    counts
}

/// Whether calls can be traced here. Where they cannot, that is said; under CI it is a failure.
fn can_trace() -> bool {
    let why = match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let why = format!("strace is not installed or may not trace here (apt-get install strace): {why}");
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("left out: {why}");
    false
}

fn traced(at_once: &str, count: &str) -> Option<Vec<usize>> {
    if !can_trace() {
        return None;
    }
    let here = tempfile::tempdir().unwrap();
    let trace = here.path().join("trace.txt");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "16", "-e", "trace=fdatasync,write", "-o"]).arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_shouwang-stores")).arg("write").arg(here.path().join("data"));
    let output = strace.args(["--at-once", at_once, "--count", count]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the writer ended with {}: {said}", output.status);
    Some(syncs_between(&std::fs::read_to_string(trace).unwrap()))
}

#[test]
fn one_sync_stands_between_two_acknowledgements() {
    let Some(counts) = traced("1", "60") else { return };
    assert_eq!(counts.len(), 60);
    // The first follows the founding of two records.
    assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
    assert!(counts[1..].iter().all(|count| *count == 1), "one command at a time is one batch is one sync: {counts:?}");
}

#[test]
fn commands_that_come_together_share_a_sync() {
    let Some(counts) = traced("16", "400") else { return };
    let syncs: usize = counts.iter().sum();
    println!("syncs: acknowledged={} syncs={syncs}", counts.len());
    assert_eq!(counts.len(), 400);
    assert!(syncs < 300, "{syncs} syncs for 400 commands");
}

#[test]
fn a_missing_sync_is_seen() {
    let synced = "7 fdatasync(9</data/raft/0000000000000001.raftlog>) = 0\n7 write(1<pipe:[1]>, \"acked registry 1\"..., 40) = 40\n";
    let split = "7 fdatasync(9</data/raft/0000000000000001.raftlog> <unfinished ...>\n8 write(1<pipe:[1]>, \"ready\", 6) = 6\n\
                 7 <... fdatasync resumed>) = 0\n8 write(1<pipe:[1]>, \"acked registry 2\"..., 40) = 40\n";
    let missing =
        "8 fdatasync(9</data/records/1/ledger/x.open>) = 0\n8 write(1<pipe:[1]>, \"acked registry 3\"..., 40) = 40\n";
    assert_eq!(syncs_between(&[synced, split, missing].concat()), [1, 1, 0]);
}
