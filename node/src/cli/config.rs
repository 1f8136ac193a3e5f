//! `shouwang config`: what is in force, and where it came from.

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::cli::output::{Format, write};
use crate::config::load;
use crate::exit::Failure;

/// Arguments of `shouwang config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every value in force and where it came from 显示生效的配置及其来源
    Show {
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Runs `shouwang config`.
///
/// # Errors
/// [`Failure`] with every fault of the configuration.
pub fn run(args: &ConfigArgs, context: &Context) -> Result<(), Failure> {
    let Verb::Show { output } = &args.verb;
    let loaded = load(&context.sources)?;
    let rows: Vec<Vec<String>> = loaded
        .settings
        .iter()
        .map(|setting| vec![setting.key.clone(), setting.value.clone(), setting.origin.to_string()])
        .collect();
    write(*output, &loaded.settings, &["KEY", "VALUE", "ORIGIN"], &rows)
}
