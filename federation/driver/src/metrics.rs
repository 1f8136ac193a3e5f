//! What a running driver tells the metrics recorder. Names and units stand here and nowhere else.
//!
//! What is told for every command or frame is told through handles that are made once: the recorder looks a name with labels up
//! again each time, which takes as long as some of what is told of.

use std::time::Duration;

pub(crate) use metrics::Histogram;
use metrics::{Counter, Gauge, counter, gauge, histogram};

/// What is told of one record.
pub(crate) struct RecordMetrics {
    commit: Histogram,
    role: Gauge,
    term: Gauge,
    commit_index: Gauge,
    apply_lag: Gauge,
    log_memory: Gauge,
    queued_commands: Gauge,
    queued_bytes: Gauge,
    records: Counter,
    revision: Counter,
    index_lag: Gauge,
    checkpoint: Histogram,
    checkpoint_bytes: Gauge,
}

impl RecordMetrics {
    /// Those of the record that is told of by this name.
    pub fn new(record: &str) -> Self {
        let gauge = |name: &'static str| gauge!(name, "record" => record.to_owned());
        let counter = |name: &'static str| counter!(name, "record" => record.to_owned());
        let histogram = |name: &'static str| histogram!(name, "record" => record.to_owned());
        Self {
            commit: histogram("shouwang_commit_seconds"),
            role: gauge("shouwang_raft_role"),
            term: gauge("shouwang_raft_term"),
            commit_index: gauge("shouwang_raft_commit_index"),
            apply_lag: gauge("shouwang_apply_lag_entries"),
            log_memory: gauge("shouwang_log_memory_bytes"),
            queued_commands: gauge("shouwang_queue_commands"),
            queued_bytes: gauge("shouwang_queue_bytes"),
            records: counter("shouwang_ledger_records_total"),
            revision: counter("shouwang_revision"),
            index_lag: gauge("shouwang_index_lag_revisions"),
            checkpoint: histogram("shouwang_checkpoint_seconds"),
            checkpoint_bytes: gauge("shouwang_checkpoint_bytes"),
        }
    }

    /// Time from a caller's command to its outcome, seconds.
    pub fn commit(&self, took: Duration) {
        self.commit.record(took.as_secs_f64());
    }

    /// Raft at a glance; once a tick.
    #[allow(clippy::cast_precision_loss, reason = "gauges are floats; positions stay far below 2^52")]
    pub fn raft(&self, status: &shouwang_replica::Status, queued_commands: usize, queued_bytes: usize) {
        self.role.set(f64::from(status.role as u8));
        self.term.set(status.term as f64);
        self.commit_index.set(status.commit as f64);
        self.apply_lag.set(status.commit.saturating_sub(status.applied) as f64);
        self.log_memory.set(status.log_bytes as f64);
        self.queued_commands.set(queued_commands as f64);
        self.queued_bytes.set(queued_bytes as f64);
    }

    /// Ledger records applied.
    pub fn applied(&self, records: u64, revision: u64) {
        self.records.increment(records);
        self.revision.absolute(revision);
    }

    /// Ledger records held here that the index does not reflect yet.
    #[allow(clippy::cast_precision_loss, reason = "revisions stay far below 2^52")]
    pub fn index_lag(&self, revisions: u64) {
        self.index_lag.set(revisions as f64);
    }

    /// A checkpoint was taken.
    #[allow(clippy::cast_precision_loss, reason = "a file size far below 2^52")]
    pub fn checkpoint(&self, took: Duration, bytes: u64) {
        self.checkpoint.record(took.as_secs_f64());
        self.checkpoint_bytes.set(bytes as f64);
    }
}

/// What is told of the line to one peer.
pub(crate) struct PeerMetrics {
    queue: Gauge,
    dropped: Counter,
}

impl PeerMetrics {
    /// Those of this peer.
    pub fn new(peer: u64) -> Self {
        Self {
            queue: gauge!("shouwang_peer_queue_bytes", "peer" => peer.to_string()),
            dropped: counter!("shouwang_peer_dropped_total", "peer" => peer.to_string()),
        }
    }

    /// Bytes that wait for it.
    #[allow(clippy::cast_precision_loss, reason = "a queue far below 2^52 bytes")]
    pub fn queue(&self, bytes: usize) {
        self.queue.set(bytes as f64);
    }

    /// A frame to it that found its queue full.
    pub fn dropped(&self) {
        self.dropped.increment(1);
    }
}

/// One synced write of the log, seconds.
pub(crate) fn fsync() -> Histogram {
    histogram!("shouwang_log_fsync_seconds")
}

/// Whether new entries are refused for want of room.
pub(crate) fn disk_full(full: bool) {
    gauge!("shouwang_disk_full").set(if full { 1.0 } else { 0.0 });
}
