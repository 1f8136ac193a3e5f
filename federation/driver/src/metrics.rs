//! What a running driver tells the metrics recorder. Names and units stand here and nowhere else.

use std::time::Duration;

/// Time from a caller's command to its outcome, seconds.
pub(crate) fn commit(record: &str, took: Duration) {
    metrics::histogram!("shouwang_commit_seconds", "record" => record.to_owned()).record(took.as_secs_f64());
}

/// One synced write of the log, seconds.
pub(crate) fn fsync(took: Duration) {
    metrics::histogram!("shouwang_log_fsync_seconds").record(took.as_secs_f64());
}

/// Whether new entries are refused for want of room.
pub(crate) fn disk_full(full: bool) {
    metrics::gauge!("shouwang_disk_full").set(if full { 1.0 } else { 0.0 });
}

/// Raft at a glance; once a tick.
#[allow(clippy::cast_precision_loss, reason = "gauges are floats; positions stay far below 2^52")]
pub(crate) fn raft(record: &str, status: &shouwang_replica::Status, queued_commands: usize, queued_bytes: usize) {
    let set = |name: &'static str, value: f64| metrics::gauge!(name, "record" => record.to_owned()).set(value);
    set("shouwang_raft_role", f64::from(status.role as u8));
    set("shouwang_raft_term", status.term as f64);
    set("shouwang_raft_commit_index", status.commit as f64);
    set("shouwang_apply_lag_entries", status.commit.saturating_sub(status.applied) as f64);
    set("shouwang_log_memory_bytes", status.log_bytes as f64);
    set("shouwang_queue_commands", queued_commands as f64);
    set("shouwang_queue_bytes", queued_bytes as f64);
}

/// Ledger records applied.
pub(crate) fn applied(record: &str, records: u64, revision: u64) {
    metrics::counter!("shouwang_ledger_records_total", "record" => record.to_owned()).increment(records);
    metrics::counter!("shouwang_revision", "record" => record.to_owned()).absolute(revision);
}

/// Ledger records held here that the index does not reflect yet.
#[allow(clippy::cast_precision_loss, reason = "revisions stay far below 2^52")]
pub(crate) fn index_lag(record: &str, revisions: u64) {
    metrics::gauge!("shouwang_index_lag_revisions", "record" => record.to_owned()).set(revisions as f64);
}

/// A checkpoint was taken.
#[allow(clippy::cast_precision_loss, reason = "a file size far below 2^52")]
pub(crate) fn checkpoint(record: &str, took: Duration, bytes: u64) {
    metrics::histogram!("shouwang_checkpoint_seconds", "record" => record.to_owned()).record(took.as_secs_f64());
    metrics::gauge!("shouwang_checkpoint_bytes", "record" => record.to_owned()).set(bytes as f64);
}

/// Frames to one peer that found its queue full.
pub(crate) fn dropped_to_peer(peer: u64) {
    metrics::counter!("shouwang_peer_dropped_total", "peer" => peer.to_string()).increment(1);
}

/// Bytes that wait for one peer.
#[allow(clippy::cast_precision_loss, reason = "a queue far below 2^52 bytes")]
pub(crate) fn peer_queue(peer: u64, bytes: usize) {
    metrics::gauge!("shouwang_peer_queue_bytes", "peer" => peer.to_string()).set(bytes as f64);
}
