//! `shouwang registry`: what the node's administrator decides about the registry's storage, while the node stands.

use clap::{Args, Subcommand};
use shouwang_driver::AcceptedLoss;

use crate::cli::Context;
use crate::cli::client::block_on;
use crate::cli::output::text_out;
use crate::exit::Failure;
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
        /// A region that the municipality has left, by name or the first hex digits of its id: it is not waited for, and what
        /// was promised there is the owner's again; may be repeated 本市已退出的区域（名称或编号前缀），不再等候其对账，所承诺物资归还；可重复
        #[arg(long, value_name = "REGION")]
        left: Vec<String>,
    },
}

/// Runs `shouwang registry`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &RegistryArgs, context: &Context) -> Result<(), Failure> {
    let Verb::AcceptLoss { name, left } = &args.verb;
    let config = crate::config::load(&context.sources)?.config;
    let AcceptedLoss { damage, revision, index, incarnation } =
        block_on(crate::serve::loss::accept(&config, name, left))?;
    let text = Bilingual::new(
        format!(
            "已确认损失：台账自版次 {revision} 继续，其后曾确认的内容（日志至 {index}）可能丢失。\n受损情况：{damage}\n\
             台账化身现为 {incarnation}。请启动节点（shouwang serve）并盘点库存；与各区域对账前只能动用本地储备、记录事实\n"
        ),
        format!(
            "accepted: the registry goes on from revision {revision}; what was acknowledged behind it (log up to {index}) may \
             be lost.\ndamage: {damage}\nIt is incarnation {incarnation} now. Start the node (shouwang serve) and count the \
             stock; until each region's record is adopted only local stock and facts can be worked with\n"
        ),
    );
    text_out(text.get(context.lang))
}
