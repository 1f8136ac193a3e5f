//! `shouwang serve`: runs the node.

use crate::cli::Context;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Runs the node until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// [`Failure`]: a configuration, credentials or store that cannot be used, or an address that is taken.
pub fn run(context: &Context) -> Result<(), Failure> {
    let config = crate::config::load(&context.sources)?.config;
    crate::telemetry::init(config.log_format, &config.log_level).map_err(|error| {
        Failure::new(Exit::Failure, "TELEMETRY", Bilingual::new(error.to_string(), error.to_string()))
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::Failure, "RUNTIME", Bilingual::new(error.to_string(), error.to_string()))
    })?;
    runtime.block_on(crate::serve::run(config, context.sources.clone()))
}
