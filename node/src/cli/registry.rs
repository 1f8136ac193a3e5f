//! `shouwang registry`: what the node's administrator decides about the registry's storage, while the node stands.

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::cli::output::text_out;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Arguments of `shouwang registry`.
#[derive(Debug, Args)]
pub struct RegistryArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Let a registry whose log is damaged go on from what can be read; what is missing is lost 日志受损后，确认损失并以现存内容继续
    AcceptLoss {
        /// The registry's name, as a confirmation, such as 乌海市 台账名称，以示确认
        #[arg(long)]
        name: String,
    },
}

/// Runs `shouwang registry`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &RegistryArgs, context: &Context) -> Result<(), Failure> {
    let Verb::AcceptLoss { name } = &args.verb;
    let config = crate::config::load(&context.sources)?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::Failure, "RUNTIME", Bilingual::new(error.to_string(), error.to_string()))
    })?;
    let accepted = runtime.block_on(crate::serve::loss::accept(&config, name))?;
    let (revision, index, damage) = (accepted.revision, accepted.index, accepted.damage);
    let text = Bilingual::new(
        format!(
            "已确认损失：台账自版次 {revision} 继续，其后曾确认的内容（日志至 {index}）可能丢失。\n受损情况：{damage}\n\
             请盘点库存；区域若知道得更多，信使会停下并说明。现在可启动节点：shouwang serve\n"
        ),
        format!(
            "accepted: the registry goes on from revision {revision}; what was acknowledged behind it (log up to {index}) may \
             be lost.\ndamage: {damage}\nCount the stock; where the region knows more, the courier stops and says so. Start \
             the node now: shouwang serve\n"
        ),
    );
    text_out(text.get(context.lang))
}
