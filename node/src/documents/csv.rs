//! Comma-separated text. Written here and not with a general reader, because blank lines must keep their numbers and a
//! quotation mark that never closes must be an error: a general reader takes the rest of the file for one cell.

use std::borrow::Cow;

use encoding_rs::GB18030;

use super::Problem;
use super::table::{CELL_CHARS_MAX, CELLS_MAX, COLUMNS_MAX, Cell, Format, ROWS_MAX};

/// Bytes to text: valid UTF-8 is UTF-8, else strictly valid GB18030 is that, else it is neither.
pub(super) fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Format), Problem> {
    let marked = bytes.strip_prefix(b"\xef\xbb\xbf");
    let (text, format) = match std::str::from_utf8(marked.unwrap_or(bytes)) {
        Ok(text) => (Cow::Borrowed(text), Format::CsvUtf8),
        Err(_) if marked.is_some() => return Err(Problem::Encoding),
        Err(_) => {
            let text = GB18030.decode_without_bom_handling_and_without_replacement(bytes);
            (text.ok_or(Problem::Encoding)?, Format::CsvGb18030)
        }
    };
    // Control characters mean a binary file or UTF-16, which would otherwise pass as text.
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n' | '\u{80}'..='\u{9f}')) {
        return Err(Problem::Encoding);
    }
    Ok((text, format))
}

/// Text to rows: RFC 4180 with any line end; tabs separate when the first line that holds something has tabs and no
/// comma.
pub(super) fn rows(text: &str) -> Result<Vec<(u32, Vec<Cell>)>, Problem> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let separator = if first.contains('\t') && !first.contains(',') { '\t' } else { ',' };
    let mut reader = Reader { rows: Vec::new(), row: Vec::new(), field: Field::default(), began: 1, line: 1, cells: 0 };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if reader.field.state == State::Quoted => {
                if chars.next_if_eq(&'"').is_some() {
                    reader.push('"')?;
                } else {
                    reader.field.state = State::Closed;
                }
            }
            '\r' | '\n' => {
                if c == '\r' {
                    chars.next_if_eq(&'\n');
                }
                reader.line_end()?;
            }
            c if reader.field.state == State::Quoted => reader.push(c)?,
            c if c == separator => reader.end_field()?,
            '"' if reader.field.state == State::Start => reader.field.state = State::Quoted,
            ' ' | '\t' if reader.field.state == State::Closed => {}
            _ if reader.field.state == State::Closed => return Err(Problem::StrayQuote(reader.began)),
            c => {
                reader.field.state = State::Bare;
                reader.push(c)?;
            }
        }
    }
    if reader.field.state == State::Quoted {
        return Err(Problem::UnclosedQuote(reader.began));
    }
    if reader.field.state != State::Start || !reader.row.is_empty() {
        reader.end_row()?;
    }
    let used = reader.rows.iter().rposition(|(_, cells)| cells.iter().any(|c| !c.is_blank())).map_or(0, |i| i + 1);
    reader.rows.truncate(used);
    Ok(reader.rows)
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Bare,
    Quoted,
    Closed,
}

#[derive(Default)]
struct Field {
    text: String,
    chars: usize,
    state: State,
}

struct Reader {
    rows: Vec<(u32, Vec<Cell>)>,
    row: Vec<Cell>,
    field: Field,
    /// The line on which the current row began.
    began: u32,
    line: u32,
    cells: usize,
}

impl Reader {
    fn push(&mut self, c: char) -> Result<(), Problem> {
        self.field.chars += 1;
        if self.field.chars > CELL_CHARS_MAX {
            return Err(Problem::CellTooLong(self.began));
        }
        self.field.text.push(c);
        Ok(())
    }

    fn end_field(&mut self) -> Result<(), Problem> {
        let text = std::mem::take(&mut self.field).text;
        self.cells += 1;
        if self.row.len() == COLUMNS_MAX {
            return Err(Problem::TooManyColumns(self.began));
        }
        if self.cells > CELLS_MAX {
            return Err(Problem::TooManyCells);
        }
        self.row.push(if text.is_empty() { Cell::Empty } else { Cell::Text(text) });
        Ok(())
    }

    fn line_end(&mut self) -> Result<(), Problem> {
        if self.field.state == State::Quoted {
            self.push('\n')?;
            self.line += 1;
            return Ok(());
        }
        self.end_row()
    }

    fn end_row(&mut self) -> Result<(), Problem> {
        self.end_field()?;
        if self.line > ROWS_MAX {
            return Err(Problem::TooManyRows);
        }
        let cells = std::mem::take(&mut self.row);
        // A line that holds nothing is none, as in a workbook: a file may have as many of them as it has bytes.
        if !matches!(cells[..], [Cell::Empty]) {
            self.rows.push((self.began, cells));
        }
        self.line += 1;
        self.began = self.line;
        Ok(())
    }
}
