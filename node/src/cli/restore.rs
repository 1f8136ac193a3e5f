//! `shouwang restore`: a registry out of a backup, onto a node that holds nothing.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::client::block_on;
use super::output::{Format, write};
use super::pki::say;
use super::render::{Heads, heads};
use crate::exit::Failure;
use crate::lang::Bilingual;

/// Arguments of `shouwang restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example 示例:\n  shouwang --config /etc/shouwang/shouwang.toml restore /mnt/backup/wuhai --reason 硬盘损坏\n\n\
                  The node must hold nothing yet, and have a number that was never used. \
                  Regions are not restored: the node joins them anew.\n节点须为空，且使用从未用过的节点编号。区域不由备份恢复，重新加入即可"
)]
pub struct RestoreArgs {
    /// The backup 备份目录
    folder: PathBuf,
    /// Why; it stands in the registry's ledger 恢复原因，记入台账
    #[arg(long)]
    reason: String,
    /// A region that the municipality has left, by name or the first hex digits of its id: it is not waited for, and what was
    /// promised there is the owner's again; may be repeated 本市已退出的区域（名称或编号前缀），不再等候其对账，所承诺物资归还；可重复
    #[arg(long, value_name = "REGION")]
    left: Vec<String>,
    /// Output format 输出格式
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Runs `shouwang restore`.
///
/// # Errors
/// [`Failure`]; nothing is changed then.
pub fn run(args: &RestoreArgs, context: &Context) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("台账", "REGISTRY"),
        ("备份版本", "BACKED UP"),
        ("现版本", "REVISION"),
        ("化身", "INCARNATION"),
        ("待对账区域", "REGIONS"),
    ];
    let config = crate::config::load(&context.sources)?.config;
    let restored = block_on(crate::backup::restore(&config, &args.folder, &args.left, &args.reason))?;
    let row = vec![
        restored.from.title.clone(),
        restored.from.revision.to_string(),
        restored.revision.to_string(),
        restored.incarnation.to_string(),
        restored.regions.len().to_string(),
    ];
    write(args.output, &restored, &heads(HEADS, context.lang), &[row])?;
    let done = Bilingual::fixed(
        "台账已恢复。请启动节点（shouwang serve）并盘点库存；与各区域对账前只能动用本地储备、记录事实。备份之后仅在本台账内发生的事项请补录",
        "restored. Start the node (shouwang serve) and count the stock; until each region's record is adopted only local stock \
         and facts can be worked with. What happened after the backup and in the registry alone must be entered again",
    );
    say(context.lang, &done);
    Ok(())
}
