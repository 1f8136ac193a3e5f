//! `shouwang disk`: what lies on this node's disk, while the node stands.

use std::cell::Cell;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use shouwang_domain::level::TooOld;

use super::Context;
use super::output::{Format, table, text_out, write};
use super::pki::say;
use super::render::{Heads, heads};
use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang};
use crate::serve::check::{FOREIGN, Found, Outlook, ReadRecord, Report, check};

/// How often a long reading says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// Arguments of `shouwang disk`.
#[derive(Debug, Args)]
pub struct DiskArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read everything that the node keeps on its disk, while it stands; nothing is changed
    /// 节点停止时逐字节检查其存储：日志、账本、检查点、存储标记、索引、立账文件；只读
    #[command(
        after_help = "Example 示例:\n  shouwang disk check --config /etc/shouwang/shouwang.toml\n\nEnds with 0 when all is \
                      sound, with 10 when anything was found (8 when this version \
                      of the program is the wrong one for it); STORE_LOCKED while the node runs.\n完好则退出码为 0，有发现则为 \
                      10（仅因程序版本不符则为 8）；节点运行时以 STORE_LOCKED 结束"
    )]
    Check {
        /// Output format 输出格式
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Runs `shouwang disk`.
///
/// # Errors
/// [`Failure`]; [`Exit::Damaged`] when anything was found.
pub fn run(args: &DiskArgs, context: &Context) -> Result<(), Failure> {
    let Verb::Check { output } = args.verb;
    let config = crate::config::load(&context.sources)?.config;
    let lang = context.lang;
    let told = Cell::new(Instant::now());
    let report = check(&config, &|what, done, all| {
        if told.get().elapsed() >= TOLD_EVERY {
            told.set(Instant::now());
            say(lang, &reading(what, done, all));
        }
    })?;
    tell(output, lang, &report)?;
    if report.findings.is_empty() {
        return Ok(());
    }
    let (all, act) =
        (report.findings.len(), report.findings.iter().filter(|it| it.outlook == Outlook::Operator).count());
    let text = Bilingual::new(
        format!("发现 {all} 项，其中 {act} 项须人工处理；未作任何改动"),
        format!("{all} findings, of which {act} need an operator; nothing was changed"),
    );
    // What another version of the program wrote is no damage.
    let whole = report.findings.iter().all(|found| [TooOld::CODE, FOREIGN].contains(&found.code));
    Err(Failure::new(if whole { Exit::BadInput } else { Exit::Damaged }, "DISK", text))
}

fn reading(what: &str, done: u64, all: u64) -> Bilingual {
    match all {
        0 => Bilingual::new(format!("正在检查 {what} …"), format!("reading {what} …")),
        _ => Bilingual::new(format!("正在检查 {what}：{done}/{all} …"), format!("reading {what}: {done} of {all} …")),
    }
}

fn tell(output: Format, lang: Lang, report: &Report) -> Result<(), Failure> {
    const RECORDS: &Heads = &[
        ("记录", "RECORD"),
        ("种类", "KIND"),
        ("账本", "LEDGER"),
        ("分段", "SEGMENTS"),
        ("检查点", "CHECKPOINTS"),
        ("日志", "LOG"),
        ("重演自", "REPLAYED FROM"),
    ];
    const FINDINGS: &Heads = &[
        ("代码", "CODE"),
        ("记录", "RECORD"),
        ("位置", "PATH"),
        ("前景", "OUTLOOK"),
        ("情况", "FOUND"),
        ("处理", "WHAT TO DO"),
    ];
    let rows: Vec<Vec<String>> = report.records.iter().map(|record| record_row(record, lang)).collect();
    write(output, report, &heads(RECORDS, lang), &rows)?;
    if output != Format::Table {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = report.findings.iter().map(|found| finding_row(found, lang)).collect();
    if !rows.is_empty() {
        text_out(&format!("\n{}", table(&heads(FINDINGS, lang), &rows)))?;
    }
    if !report.moved_away.is_empty() {
        let list: Vec<String> = report.moved_away.iter().map(|path| format!("  {}\n", path.display())).collect();
        let text = Bilingual::new(
            format!("\n此前已移开、不再读取，可在留存后删除：\n{}", list.concat()),
            format!(
                "\nMoved out of the way earlier and read no more; may be removed once a copy is kept:\n{}",
                list.concat()
            ),
        );
        text_out(text.get(lang))?;
    }
    Ok(())
}

fn record_row(record: &ReadRecord, lang: Lang) -> Vec<String> {
    let kind = match (record.set_aside, record.kind.as_str()) {
        (Some(epoch), _) => Bilingual::new(
            format!("第 {epoch} 纪元，已搁置（供 rescue resubmit 读取，勿删）"),
            format!("epoch {epoch}, set aside (rescue resubmit reads it: keep it)"),
        ),
        (None, "registry") => Bilingual::fixed("台账", "registry"),
        (None, "region") => Bilingual::fixed("区域", "region"),
        (None, _) => Bilingual::fixed("配置中没有", "not configured"),
    };
    let ledger = if record.newest == 0 { "-".to_owned() } else { format!("{}–{}", record.oldest, record.newest) };
    vec![
        record.title.clone(),
        kind.get(lang).to_owned(),
        ledger,
        record.segments.to_string(),
        record.checkpoints.to_string(),
        record.log_entries.to_string(),
        record.replayed_from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
    ]
}

fn finding_row(found: &Found, lang: Lang) -> Vec<String> {
    let outlook = match found.outlook {
        Outlook::Mended => lang.pick("启动时自动修复", "mended at the start"),
        Outlook::Fetching => lang.pick("启动后自动索取", "fetched after the start"),
        Outlook::Operator => lang.pick("须人工处理", "an operator must act"),
    };
    vec![
        found.code.to_owned(),
        found.record.clone(),
        found.path.display().to_string(),
        outlook.to_owned(),
        found.what.get(lang).to_owned(),
        found.mend.get(lang).to_owned(),
    ]
}
