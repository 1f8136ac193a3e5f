//! What an import would do, row by row: the paper that a person reads before anything is written.

use std::fmt::Write as _;

use serde::Serialize;

use super::Note;
pub use super::columns::SkipReason;
use super::table::{Format, Table};
use crate::lang::{Bilingual, Lang};

/// What becomes of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict<T> {
    /// Taken, under a code that the region knows.
    Accepted(T),
    /// Taken, but uncoded: it stays in the municipality's own books until it is mapped.
    Local(T),
    /// Not taken, for these reasons.
    Rejected(Vec<Note>),
    /// No entry at all: a blank row, a title, a sum.
    Skipped(SkipReason),
}

/// One row of the file and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry<T> {
    /// Row number as a spreadsheet counts.
    pub row: u32,
    /// The cells as they stand in the file.
    pub original: Vec<String>,
    /// What becomes of it.
    pub verdict: Verdict<T>,
    /// What to look at in a row that was taken.
    pub notes: Vec<Note>,
}

/// How many rows had each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All rows.
    pub rows: usize,
    /// Taken under a code.
    pub accepted: usize,
    /// Taken uncoded.
    pub local: usize,
    /// Not taken.
    pub rejected: usize,
    /// No entries.
    pub skipped: usize,
    /// Taken rows with something to look at.
    pub flagged: usize,
}

/// A column that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnRead {
    /// The header as written.
    pub header: String,
    /// What it means here.
    pub meaning: Bilingual,
}

/// What an import would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport<T> {
    /// The file.
    pub path: String,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// How it was read.
    pub format: Format,
    /// The sums.
    pub counts: Counts,
    /// Columns that were understood, from the left.
    pub columns: Vec<ColumnRead>,
    /// Headers of columns that were not: nothing of them enters the books.
    pub columns_unread: Vec<String>,
    /// Every row of the file, in order.
    pub entries: Vec<Entry<T>>,
}

impl<T> ImportReport<T> {
    pub(super) fn new(
        table: &Table,
        columns: Vec<(String, Bilingual)>,
        columns_unread: Vec<String>,
        entries: Vec<Entry<T>>,
    ) -> Self {
        let mut counts = Counts { rows: entries.len(), ..Counts::default() };
        for entry in &entries {
            match entry.verdict {
                Verdict::Accepted(_) => counts.accepted += 1,
                Verdict::Local(_) => counts.local += 1,
                Verdict::Rejected(_) => counts.rejected += 1,
                Verdict::Skipped(_) => counts.skipped += 1,
            }
            counts.flagged += usize::from(!entry.notes.is_empty());
        }
        let columns = columns.into_iter().map(|(header, meaning)| ColumnRead { header, meaning }).collect();
        let (path, sheet) = (table.path.clone(), table.sheet.clone());
        Self { path, sheet, format: table.format, counts, columns, columns_unread, entries }
    }

    /// The rows that were taken, coded or not, in the order of the file.
    pub fn taken(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match &entry.verdict {
            Verdict::Accepted(row) | Verdict::Local(row) => Some(row),
            _ => None,
        })
    }

    /// The report for a person: the sums, then every row that was not taken or has something to look at.
    pub fn text(&self, lang: Lang) -> String {
        let zh = lang == Lang::Zh;
        let sheet = self.sheet.as_ref().map(|sheet| format!(" [{sheet}]")).unwrap_or_default();
        let Counts { rows, accepted, local, rejected, skipped, flagged } = self.counts;
        let mut out = if zh {
            format!(
                "{}{sheet}：共 {rows} 行，入账 {accepted}，未编码（仅本地）{local}，\
                 拒收 {rejected}，跳过 {skipped}；提示 {flagged} 行\n",
                self.path
            )
        } else {
            format!(
                "{}{sheet}: {rows} rows: {accepted} accepted, {local} local (uncoded), {rejected} rejected, \
                 {skipped} skipped; {flagged} with notes\n",
                self.path
            )
        };
        if !self.columns_unread.is_empty() {
            let names = self.columns_unread.join(if zh { "、" } else { ", " });
            out += if zh { "未读取的列：" } else { "columns not read: " };
            out += &names;
            out.push('\n');
        }
        for entry in &self.entries {
            let (verdict, reasons) = match &entry.verdict {
                Verdict::Rejected(reasons) => (if zh { "拒收" } else { "rejected" }, reasons),
                Verdict::Accepted(_) => (if zh { "入账" } else { "accepted" }, &entry.notes),
                Verdict::Local(_) => (if zh { "仅本地" } else { "local" }, &entry.notes),
                Verdict::Skipped(reason) => {
                    let word = if zh { "跳过" } else { "skipped" };
                    line(&mut out, zh, entry.row, word, reason.text().get(lang), "");
                    continue;
                }
            };
            for note in reasons {
                line(&mut out, zh, entry.row, verdict, note.text.get(lang), note.code);
            }
            if matches!(entry.verdict, Verdict::Rejected(_)) {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "      {}", entry.original.join(" | "));
            }
        }
        out
    }
}

fn line(out: &mut String, zh: bool, row: u32, verdict: &str, text: &str, code: &str) {
    let code = if code.is_empty() { String::new() } else { format!(" [{code}]") };
    // Writing to a String cannot fail.
    let _ = if zh {
        writeln!(out, "  第 {row} 行 {verdict}：{text}{code}")
    } else {
        writeln!(out, "  row {row} {verdict}: {text}{code}")
    };
}
