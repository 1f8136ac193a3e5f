//! Office Open XML workbooks. The unpacking is measured before the reader sees the file, because a few kilobytes can
//! unpack to gigabytes, and because the reader reserves memory by a count the file declares: an allocation that fails
//! ends the process and cannot be caught. (For the same reason the older .xls is not read at all: its declared
//! dimensions cannot be checked without reading it.)

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, DataRef, Reader, SheetType, Xlsx};
use shouwang_domain::time::Date;

use super::Problem;
use super::table::{CELL_CHARS_MAX, CELLS_MAX, COLUMNS_MAX, Cell, ROWS_MAX};

/// Most bytes that all parts together may unpack to.
const UNPACKED_MAX: u64 = 256 << 20;
/// Most bytes of the table of shared strings, which is held in memory whole.
const STRINGS_MAX: u64 = 64 << 20;
/// Most parts of a workbook.
const PARTS_MAX: usize = 2000;
/// Most shared strings a workbook may declare.
const DECLARED_STRINGS_MAX: u64 = 5_000_000;

type Sheet = (String, Vec<(u32, Vec<Cell>)>, bool);

/// The name, rows and date epoch of one sheet: the named one, or the only one that holds something.
pub(super) fn read(bytes: &[u8], wanted: Option<&str>) -> Result<Sheet, Problem> {
    // A file from outside must not end the node, so a panic in the reader is a damaged file.
    catch_unwind(AssertUnwindSafe(|| {
        measure(bytes)?;
        read_measured(bytes, wanted)
    }))
    .unwrap_or_else(|_| Err(Problem::BrokenWorkbook("unexpected structure".to_owned())))
}

fn broken(e: &dyn std::fmt::Display) -> Problem {
    Problem::BrokenWorkbook(e.to_string())
}

fn measure(bytes: &[u8]) -> Result<(), Problem> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    if archive.len() > PARTS_MAX {
        return Err(Problem::UnpacksTooLarge);
    }
    let mut left = UNPACKED_MAX;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|e| broken(&e))?;
        let strings = part.name().map_err(|e| broken(&e))?.to_ascii_lowercase().ends_with("sharedstrings.xml");
        let limit = if strings { left.min(STRINGS_MAX) } else { left };
        let mut part = part.take(limit + 1);
        let size = if strings {
            let mut text = Vec::new();
            let size = part.read_to_end(&mut text).map_err(|e| broken(&e))? as u64;
            check_declared_count(&text)?;
            size
        } else {
            io::copy(&mut part, &mut io::sink()).map_err(|e| broken(&e))?
        };
        if size > limit {
            return Err(Problem::UnpacksTooLarge);
        }
        left -= size;
    }
    Ok(())
}

/// Every `uniqueCount` in the strings must be a plain number within the limit, and the text a superset of ASCII, so that
/// no other spelling of the attribute gets past.
fn check_declared_count(text: &[u8]) -> Result<(), Problem> {
    const NAME: &[u8] = b"uniqueCount";
    if text.contains(&0) {
        return Err(Problem::BrokenWorkbook("shared strings are not UTF-8".to_owned()));
    }
    let mut rest = text;
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.trim_ascii_start();
        let Some(value) = value.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let digits: Vec<u8> = value.iter().skip(1).take(12).copied().take_while(u8::is_ascii_digit).collect();
        let count = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        if count.is_none_or(|count| count > DECLARED_STRINGS_MAX) {
            return Err(Problem::UnpacksTooLarge);
        }
    }
    Ok(())
}

fn read_measured(bytes: &[u8], wanted: Option<&str>) -> Result<Sheet, Problem> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let names: Vec<String> =
        book.sheets_metadata().iter().filter(|s| s.typ == SheetType::WorkSheet).map(|s| s.name.clone()).collect();
    if let Some(wanted) = wanted
        && !names.iter().any(|name| name == wanted)
    {
        return Err(Problem::NoSuchSheet(wanted.to_owned(), names));
    }
    let epoch_1904 = book.has_1904_epoch();
    let mut found: Option<Sheet> = None;
    for name in names.iter().filter(|name| wanted.is_none_or(|wanted| wanted == name.as_str())) {
        let rows = rows(&mut book, name)?;
        if rows.is_empty() {
            continue;
        }
        if let Some((first, ..)) = found {
            return Err(Problem::SeveralSheets(vec![first, name.clone()]));
        }
        found = Some((name.clone(), rows, epoch_1904));
    }
    found.ok_or(Problem::Empty)
}

fn rows(book: &mut Xlsx<Cursor<&[u8]>>, name: &str) -> Result<Vec<(u32, Vec<Cell>)>, Problem> {
    let mut cells = book.worksheet_cells_reader(name).map_err(|e| broken(&e))?;
    let mut by_row: BTreeMap<u32, Vec<Cell>> = BTreeMap::new();
    let mut count = 0;
    while let Some(found) = cells.next_cell().map_err(|e| broken(&e))? {
        let (row, column) = found.get_position();
        let number = row.saturating_add(1);
        let cell = cell(found.get_value());
        if cell.is_blank() {
            continue;
        }
        if number > ROWS_MAX {
            return Err(Problem::TooManyRows);
        }
        let column = column as usize;
        if column >= COLUMNS_MAX {
            return Err(Problem::TooManyColumns(number));
        }
        if matches!(&cell, Cell::Text(text) if text.chars().count() > CELL_CHARS_MAX) {
            return Err(Problem::CellTooLong(number));
        }
        let row = by_row.entry(number).or_default();
        if row.len() <= column {
            count += column + 1 - row.len();
            row.resize(column + 1, Cell::Empty);
        }
        if count > CELLS_MAX {
            return Err(Problem::TooManyCells);
        }
        if row[column] != Cell::Empty {
            return Err(Problem::BrokenWorkbook(format!("row {number} holds a cell twice")));
        }
        row[column] = cell;
    }
    // Rows that hold nothing are not made up: one cell far below would cost as much as all that it leaves out.
    Ok(by_row.into_iter().collect())
}

fn cell(value: &DataRef<'_>) -> Cell {
    match Data::from(value.clone()) {
        Data::Empty => Cell::Empty,
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => Cell::Text(text),
        Data::Int(number) => Cell::Number(number.to_string()),
        Data::Float(number) => Cell::Number(number.to_string()),
        Data::Bool(value) => Cell::Text(if value { "TRUE" } else { "FALSE" }.to_owned()),
        Data::Error(error) => Cell::Text(error.to_string()),
        Data::DateTime(day) => {
            let (year, month, date, ..) = day.to_ymd_hms_milli();
            let known = if day.is_datetime() { Date::new(i32::from(year), month, date) } else { None };
            // A length of time, or a time of day without a date, stays the number it is.
            known.map_or_else(|| Cell::Number(day.as_f64().to_string()), Cell::Date)
        }
    }
}
