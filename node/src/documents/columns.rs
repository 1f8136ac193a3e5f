//! Which column of a sheet is which: the header row, found under titles and notes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::report::{Entry, ImportReport, Verdict};
use super::text::{fold, word};
use super::{Cell, DocumentError, Note, Problem, Table};
use crate::lang::Bilingual;

/// How many rows from the top are looked at for the header.
pub(super) const LOOK: usize = 40;

/// The kinds of columns a document may have.
pub(super) trait Field: Copy + Ord + 'static {
    /// Every field with the headers that mean it, in the spelling of [`word`], brackets removed.
    const HEADERS: &'static [(Self, &'static [&'static str])];
    /// The fields without which a row is no header.
    const REQUIRED: &'static [Self];
    /// What the column is called in messages.
    fn title(self) -> Bilingual;
}

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub index: usize,
    /// The header as written.
    pub header: String,
    /// What stands in brackets behind it (`单价(元)` → `元`), as a word.
    pub qualifier: String,
}

/// The columns of a sheet.
#[derive(Clone, Debug)]
pub(super) struct Columns<F> {
    at: BTreeMap<F, Column>,
    /// Where the header is in [`Table::rows`].
    pub header: usize,
    /// Headers of columns that mean nothing here.
    pub unread: Vec<String>,
    /// The header row's words, to know it again on a second page.
    words: Vec<String>,
}

impl<F: Field> Columns<F> {
    /// Finds the header.
    pub(super) fn find(table: &Table) -> Result<Self, Problem> {
        for (header, (_, cells)) in table.rows.iter().enumerate().take(LOOK) {
            let words: Vec<String> = cells.iter().map(|cell| word(&cell.shown())).collect();
            let fields: Vec<Option<F>> = words.iter().map(|word| field(word)).collect();
            if !F::REQUIRED.iter().all(|required| fields.contains(&Some(*required))) {
                continue;
            }
            let mut columns = Self { at: BTreeMap::new(), header, unread: Vec::new(), words };
            for (index, found) in fields.into_iter().enumerate() {
                columns.add(index, found, &fold(&cells[index].shown()))?;
            }
            return Ok(columns);
        }
        Err(Problem::HeaderNotFound(F::REQUIRED.iter().map(|field| field.title()).collect()))
    }

    fn add(&mut self, index: usize, field: Option<F>, header: &str) -> Result<(), Problem> {
        let Some(field) = field else {
            if !header.is_empty() {
                self.unread.push(header.to_owned());
            }
            return Ok(());
        };
        let qualifier = split(&self.words[index]).1.to_owned();
        let column = Column { index, header: header.to_owned(), qualifier };
        match self.at.insert(field, column) {
            None => Ok(()),
            Some(before) => Err(Problem::AmbiguousColumn(field.title(), before.header, header.to_owned())),
        }
    }

    /// The column of a field, if the sheet has one.
    pub(super) fn get(&self, field: F) -> Option<&Column> {
        self.at.get(&field)
    }

    /// The headers that were understood, with what they mean.
    pub(super) fn read(&self) -> Vec<(String, Bilingual)> {
        let mut columns: Vec<_> = self.at.iter().collect();
        columns.sort_by_key(|(_, column)| column.index);
        columns.into_iter().map(|(field, column)| (column.header.clone(), field.title())).collect()
    }

    /// The cell of a field in a row.
    pub(super) fn cell<'a>(&self, field: F, cells: &'a [Cell]) -> &'a Cell {
        self.get(field).and_then(|column| cells.get(column.index)).unwrap_or(&Cell::Empty)
    }

    /// The folded text of a field in a row.
    pub(super) fn text(&self, field: F, cells: &[Cell]) -> String {
        fold(&self.cell(field, cells).shown())
    }

    /// Whether this row is the header again, as on every printed page.
    pub(super) fn repeats(&self, cells: &[Cell]) -> bool {
        let words: Vec<String> = cells.iter().map(|cell| word(&cell.shown())).collect();
        words.iter().any(|word| !word.is_empty())
            && (0..words.len().max(self.words.len()))
                .all(|i| words.get(i).map_or("", |w| w) == self.words.get(i).map_or("", |w| w))
    }
}

/// A header's words before the bracket and within it.
fn split(word: &str) -> (&str, &str) {
    let word = word.trim_matches(['*', ':']);
    match word.split_once('(') {
        Some((before, within)) => (before.trim_end_matches('*'), within.trim_end_matches(['*', ')'])),
        None => (word, ""),
    }
}

fn field<F: Field>(header: &str) -> Option<F> {
    let (name, _) = split(header);
    let mut all = F::HEADERS.iter();
    all.find(|(_, names)| names.contains(&name)).map(|(field, _)| *field)
}

/// Why a row that is neither goods nor unit is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Nothing in it.
    Blank,
    /// Above the header.
    Title,
    /// The header, or the header again.
    Header,
    /// A sum of other rows.
    Total,
    /// A section title, a note, who filled it in.
    Note,
    /// Nothing in stock: there is no lot to open.
    Zero,
}

impl SkipReason {
    /// The reason in words.
    pub fn text(self) -> Bilingual {
        match self {
            Self::Blank => Bilingual::fixed("空行", "blank row"),
            Self::Title => Bilingual::fixed("表头以上的标题或说明", "title or note above the header"),
            Self::Header => Bilingual::fixed("表头", "header"),
            Self::Total => Bilingual::fixed("合计行", "sum of other rows"),
            Self::Note => {
                Bilingual::fixed("分节标题或说明，既无名称也无数量", "section title or note, no name and number")
            }
            Self::Zero => Bilingual::fixed("数量为零，没有可入账的批次", "quantity zero, no lot to enter"),
        }
    }
}

const TOTALS: [&str; 9] = ["合计", "小计", "总计", "共计", "累计", "total", "subtotal", "grandtotal", "sum"];
const NOTES: [&str; 11] =
    ["注:", "注1", "备注:", "说明:", "填表", "制表", "审核", "填报", "单位负责人", "note:", "preparedby"];

/// A verdict for every row of a table: `judge` gives those of the rows that are entries, which cannot lack the fields
/// `name` and `counted`.
pub(super) fn read_rows<F: Field, T>(
    table: &Table,
    (name, counted): (F, F),
    mut judge: impl FnMut(u32, &[Cell], &Columns<F>) -> (Verdict<T>, Vec<Note>),
) -> Result<ImportReport<T>, DocumentError> {
    let columns = Columns::<F>::find(table).map_err(|problem| problem.at(&table.path))?;
    let mut entries = Vec::with_capacity(table.rows.len());
    for (index, (row, cells)) in table.rows.iter().enumerate() {
        let (verdict, notes) = match skip(&columns, index, cells, name, counted) {
            Some(reason) => (Verdict::Skipped(reason), Vec::new()),
            None => judge(*row, cells, &columns),
        };
        entries.push(Entry { row: *row, original: cells.iter().map(Cell::shown).collect(), verdict, notes });
    }
    Ok(ImportReport::new(table, columns.read(), columns.unread, entries))
}

/// Why the row at `index` of the table is no entry, if it is none. `counted` is the field that an entry cannot lack.
fn skip<F: Field>(columns: &Columns<F>, index: usize, cells: &[Cell], name: F, counted: F) -> Option<SkipReason> {
    let Some(first) = cells.iter().find(|cell| !cell.is_blank()) else { return Some(SkipReason::Blank) };
    match index.cmp(&columns.header) {
        Ordering::Less => return Some(SkipReason::Title),
        Ordering::Equal => return Some(SkipReason::Header),
        Ordering::Greater => {}
    }
    let first = word(&first.shown());
    let name = word(&columns.text(name, cells));
    let is_total = [&first, &name].iter().any(|text| TOTALS.contains(&text.trim_end_matches(':')));
    let is_note = name.is_empty() || NOTES.iter().any(|note| first.starts_with(note));
    if columns.repeats(cells) {
        Some(SkipReason::Header)
    } else if is_total {
        Some(SkipReason::Total)
    } else if is_note && columns.cell(counted, cells).is_blank() {
        Some(SkipReason::Note)
    } else {
        None
    }
}
