//! `shouwang backup`: taking one from a running node, and checking one without any.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Context;
use super::client::{Client, ClientArgs, with_node};
use super::output::{Format, write};
use super::pki::say;
use super::render::{Heads, heads};
use crate::backup::{Checked, Entry, Kind, Manifest, Taken, check, take};
use crate::charter;
use crate::exit::Failure;
use crate::lang::{Bilingual, Lang};

/// Arguments of `shouwang backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Back up every record of a running node into a folder; into the same folder again, only what is new. As
    /// administrator of the node. Keys are not in it: keep them elsewhere
    /// 在线备份节点的全部记录；再次备份到同一目录只复制新增部分。需管理员身份；备份不含密钥，请另行保管
    #[command(after_help = "Example 示例:\n  shouwang backup take /mnt/backup/wuhai --context admin")]
    Take {
        /// Where to; made if it is not there 备份目录，不存在则新建
        folder: PathBuf,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Check a backup without a node: every byte, signature, decision, root and state; nothing is written
    /// 不连接节点核验备份：逐字节、签名、裁决、账本根与状态；只读
    #[command(
        after_help = "Example 示例:\n  shouwang backup verify /mnt/backup/wuhai --charter charter.json\n\nWhat it finds \
                      damaged is named, and the command ends with 10. 发现损坏即指明，退出码 10"
    )]
    Verify {
        /// The backup 备份目录
        folder: PathBuf,
        /// The founding charter of a region in it: its every decision is checked, too; may be repeated
        /// 区域的首份协议：一并核验密钥并逐条重新裁决，可重复
        #[arg(long, value_name = "FILE")]
        charter: Vec<PathBuf>,
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Runs `shouwang backup`.
///
/// # Errors
/// [`Failure`]; [`crate::exit::Exit::Damaged`] names what does not hold.
pub fn run(args: &BackupArgs, context: &Context) -> Result<(), Failure> {
    match &args.verb {
        Verb::Take { folder, client } => with_node(client, context.lang, async |client| {
            let taken = take(client, folder).await?;
            tell_taken(client, folder, &taken)
        }),
        Verb::Verify { folder, charter, output } => {
            let load = |file: &PathBuf| Ok(charter::load_complete(file)?.charter);
            let charters = charter.iter().map(load).collect::<Result<Vec<_>, Failure>>()?;
            let (manifest, checked) = check(folder, &charters)?;
            tell_checked(*output, context.lang, &manifest, &checked)
        }
    }
}

fn tell_taken(client: &Client, folder: &Path, taken: &[Taken]) -> Result<(), Failure> {
    const HEADS: &Heads =
        &[("记录", "RECORD"), ("名称", "NAME"), ("版本", "REVISION"), ("新增", "NEW"), ("账本根", "LEDGER ROOT")];
    let lang = client.lang;
    let cells = |taken: &Taken| row(&taken.entry, taken.new_records.to_string(), lang);
    let rows: Vec<Vec<String>> = taken.iter().map(cells).collect();
    write(client.output, &taken, &heads(HEADS, lang), &rows)?;
    let shown = folder.display();
    let done = Bilingual::new(
        format!("备份完成：{shown}；请再执行 shouwang backup verify，并另行保管密钥"),
        format!("backed up into {shown}; check it with shouwang backup verify, and keep the keys elsewhere"),
    );
    say(lang, &done);
    Ok(())
}

fn tell_checked(output: Format, lang: Lang, manifest: &Manifest, checked: &[Checked]) -> Result<(), Failure> {
    const HEADS: &Heads =
        &[("记录", "RECORD"), ("名称", "NAME"), ("版本", "REVISION"), ("裁决", "DECISIONS"), ("账本根", "LEDGER ROOT")];
    let cells = |checked: &Checked| row(&checked.entry, decisions(checked.decided_again, lang).to_owned(), lang);
    let rows: Vec<Vec<String>> = checked.iter().map(cells).collect();
    write(output, &checked, &heads(HEADS, lang), &rows)?;
    let (node, at) = (&manifest.node, &manifest.taken_at);
    let done =
        Bilingual::new(format!("备份完整：节点 {node}，{at}"), format!("the backup holds: node {node}, taken at {at}"));
    say(lang, &done);
    Ok(())
}

fn row(entry: &Entry, fourth: String, lang: Lang) -> Vec<String> {
    let kind = match entry.kind {
        Kind::Registry => Bilingual::fixed("台账", "registry"),
        Kind::Region => Bilingual::fixed("区域", "region"),
    };
    let (title, revision) = (entry.title.clone(), entry.revision.to_string());
    vec![kind.get(lang).to_owned(), title, revision, fourth, entry.ledger_root.to_string()]
}

fn decisions(again: bool, lang: Lang) -> &'static str {
    match (again, lang) {
        (true, Lang::Zh) => "已逐条重新裁决",
        (true, Lang::En) => "decided again",
        (false, Lang::Zh) => "仅签名（未给 --charter）",
        (false, Lang::En) => "signatures only (no --charter)",
    }
}
