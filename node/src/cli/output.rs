//! Writing data to stdout: as a table for people, as JSON or YAML for programs.

use std::io::Write as _;

use serde::Serialize;

use super::text::width;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// The shape of data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people 供人阅读的表格
    #[default]
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Writes `data` as JSON or YAML, or the `rows` under their `head` as a table.
///
/// # Errors
/// [`Failure`] when stdout takes no more; a reader that has gone (a closed pipe) is no failure.
pub fn write(format: Format, data: &impl Serialize, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(head, rows),
        Format::Json => serde_json::to_string_pretty(data).map_err(|error| failed(&error))? + "\n",
        Format::Yaml => serde_yaml_ng::to_string(data).map_err(|error| failed(&error))?,
    };
    text_out(&text)
}

/// Writes text to stdout.
///
/// # Errors
/// As [`write`].
pub fn text_out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(()),
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    let text = Bilingual::new(format!("写标准输出失败：{error}"), format!("writing to stdout: {error}"));
    Failure::new(Exit::Failure, "OUTPUT", text)
}

/// Columns two blanks apart, as wide as their widest cell on a terminal.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let lines = || std::iter::once(&head).filter(|head| !head.is_empty()).chain(rows);
    let columns = lines().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| lines().filter_map(|line| line.get(at)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines() {
        let mut row = String::new();
        for (cell, width_of_column) in line.iter().zip(&widths) {
            row.push_str(cell);
            row.extend(std::iter::repeat_n(' ', width_of_column - width(cell) + 2));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_wide_characters() {
        let rows = vec![
            vec!["municipality.short".to_owned(), "乌".to_owned(), "file".to_owned()],
            vec!["node".to_owned(), "1".to_owned(), "default".to_owned()],
        ];
        let text = table(&["KEY", "VALUE", "ORIGIN"], &rows);
        assert_eq!(
            text,
            "KEY                 VALUE  ORIGIN\nmunicipality.short  乌     file\nnode                1      default\n"
        );
        assert_eq!(table(&[], &[]), "");
    }
}
