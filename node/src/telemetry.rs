//! Logs: `tracing` to stderr, for people or as JSON lines. Data goes to stdout, so that the two never mix.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter could not be read.
    #[error(
        "log.level {level:?} is not a filter ({reason}); write a level such as \"info\", or \"info,shouwang=debug\""
    )]
    Filter {
        /// The filter as given.
        level: String,
        /// What the parser says.
        reason: String,
    },
    /// Something else in this process has set the global subscriber already.
    #[error("logging was set up twice in this process")]
    Twice,
}

/// Checks that `level` is a filter [`init`] would accept.
///
/// # Errors
/// [`TelemetryError::Filter`].
pub fn check_level(level: &str) -> Result<(), TelemetryError> {
    filter(level).map(|_| ())
}

/// Sends the logs of this process to stderr, filtered by `level` (a level, or directives as in `info,shouwang=debug`).
/// Call once, at the start.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(format: LogFormat, level: &str) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(level)?).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let refused = |reason: String| TelemetryError::Filter { level: level.to_owned(), reason };
    // `EnvFilter` takes a bare word for a target: "inof" would silence nothing and everything. Ours must be a level.
    for part in level.split(',').filter(|part| !part.contains(['=', '['])) {
        if part.is_empty() || part.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
            return Err(refused(format!("{part:?} is no level")));
        }
    }
    EnvFilter::builder().parse(level).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_filters_that_mean_something_are_accepted() {
        for level in ["info", "warn,shouwang=debug", "off", "shouwang::auth=trace"] {
            assert!(check_level(level).is_ok(), "{level}");
        }
        for level in ["", "inof", "shouwang=loud", "info,chatty"] {
            assert!(check_level(level).is_err(), "{level}");
        }
    }
}
