//! A file as rows of cells with their row numbers, whatever format it came in.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use shouwang_domain::time::Date;

use super::{DocumentError, Problem, csv, xlsx};

/// Largest file read, bytes.
pub const FILE_BYTES_MAX: u64 = 32 << 20;
/// Most rows of a sheet.
pub const ROWS_MAX: u32 = 200_000;
/// Most columns of a row.
pub const COLUMNS_MAX: usize = 100;
/// Most characters of a cell.
pub const CELL_CHARS_MAX: usize = 1000;
/// Most cells of a sheet, empty ones between others included.
pub const CELLS_MAX: usize = 5_000_000;

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text, as typed.
    Text(String),
    /// A number of a workbook, in the shortest decimal form that is exactly it.
    Number(String),
    /// A day of a workbook.
    Date(Date),
}

impl Cell {
    /// What a person sees in it.
    pub fn shown(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Date(date) => date.to_string(),
        }
    }

    /// Whether nothing can be seen in it.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) | Self::Number(text) => text.chars().all(|c| c.is_whitespace() || c == '\u{feff}'),
            Self::Date(_) => false,
        }
    }
}

/// How the bytes of a file were understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// CSV in UTF-8, with or without byte order mark.
    CsvUtf8,
    /// CSV in GB18030, of which GBK and GB2312 are parts.
    CsvGb18030,
    /// An Office Open XML workbook.
    Xlsx,
}

/// The rows of one sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The file, as the caller named it.
    pub path: String,
    /// How it was read.
    pub format: Format,
    /// The sheet; a CSV file has none.
    pub sheet: Option<String>,
    /// Row number as a spreadsheet counts (in CSV, the line on which the row begins), and its cells. Every row up to
    /// the last one that holds something is here, blank ones too; lines that hold nothing at all are none.
    pub rows: Vec<(u32, Vec<Cell>)>,
    /// Whether bare day numbers count from 1904 instead of 1900.
    pub epoch_1904: bool,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is larger than the limits, or is no workbook and no text this understands.
    pub fn read(path: &Path, sheet: Option<&str>) -> Result<Self, DocumentError> {
        let name = path.display().to_string();
        let unreadable = |e: std::io::Error| Problem::Unreadable(e.to_string()).at(&name);
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large, even one that grows while it is read.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(&name, &bytes, sheet)
    }

    /// Reads the contents of a file. What it is, is told by the contents, never by the name.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn from_bytes(path: &str, bytes: &[u8], sheet: Option<&str>) -> Result<Self, DocumentError> {
        Self::parse(path, bytes, sheet).map_err(|problem| problem.at(path))
    }

    fn parse(path: &str, bytes: &[u8], sheet: Option<&str>) -> Result<Self, Problem> {
        let length = bytes.len() as u64;
        if length > FILE_BYTES_MAX {
            return Err(Problem::TooLarge(length));
        }
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            let (name, rows, epoch_1904) = xlsx::read(bytes, sheet)?;
            return Ok(Self { path: path.to_owned(), format: Format::Xlsx, sheet: Some(name), rows, epoch_1904 });
        }
        if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
            return Err(Problem::OldWorkbook);
        }
        let (text, format) = csv::decode(bytes)?;
        let rows = csv::rows(&text)?;
        if rows.is_empty() {
            return Err(Problem::Empty);
        }
        Ok(Self { path: path.to_owned(), format, sheet: None, rows, epoch_1904: false })
    }
}
