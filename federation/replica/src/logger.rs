//! Raft's log lines, as debug events of `tracing`.

use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, o};

struct TracingDrain;

impl Drain for TracingDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _values: &OwnedKVList) -> Result<(), Never> {
        tracing::debug!(target: "raft", level = record.level().as_short_str(), "{}", record.msg());
        Ok(())
    }

    // Raft logs each message it sends; skipping early keeps that free of charge when nobody listens.
    fn is_enabled(&self, level: Level) -> bool {
        level.is_at_least(Level::Info) && tracing::enabled!(target: "raft", tracing::Level::DEBUG)
    }
}

/// The logger a replica gives to raft. What a failing assertion prints carries the group.
pub(crate) fn raft_logger(group: u64) -> Logger {
    Logger::root(TracingDrain, o!("group" => format!("{group:016x}")))
}
