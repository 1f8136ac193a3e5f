//! What makes a whole file unreadable; what is wrong with one row is a [`super::Note`] of that row.

use crate::lang::{Bilingual, Lang, shortened};

/// A file that cannot be read, with its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {} / {} [{}]", problem.text().zh, problem.text().en, problem.code())]
pub struct DocumentError {
    /// The file, as the caller named it.
    pub path: String,
    /// What is wrong with it and how to mend it.
    pub problem: Problem,
}

impl DocumentError {
    /// The stable code of the problem.
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// One sentence with the path, in the reader's language.
    pub fn message(&self, lang: Lang) -> String {
        format!("{}: {}", self.path, self.problem.text().get(lang))
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The operating system would not give it.
    Unreadable(String),
    /// More bytes than [`super::table::FILE_BYTES_MAX`].
    TooLarge(u64),
    /// More rows than [`super::table::ROWS_MAX`].
    TooManyRows,
    /// A row, counted from 1, has more columns than [`super::table::COLUMNS_MAX`].
    TooManyColumns(u32),
    /// More cells than [`super::table::CELLS_MAX`].
    TooManyCells,
    /// A cell of this row has more characters than [`super::table::CELL_CHARS_MAX`].
    CellTooLong(u32),
    /// Neither UTF-8 nor GB18030 text.
    Encoding,
    /// A quotation mark opened in this row is never closed.
    UnclosedQuote(u32),
    /// Text follows a closing quotation mark in this row.
    StrayQuote(u32),
    /// A workbook of Excel 97–2003.
    OldWorkbook,
    /// The workbook is damaged, or protected by a password.
    BrokenWorkbook(String),
    /// The workbook unpacks to more than its limits.
    UnpacksTooLarge,
    /// Several sheets hold something and none was named.
    SeveralSheets(Vec<String>),
    /// No sheet has this name.
    NoSuchSheet(String, Vec<String>),
    /// Nothing is in it.
    Empty,
    /// No row names the columns that must be there.
    HeaderNotFound(Vec<Bilingual>),
    /// Two columns claim to be the same thing.
    AmbiguousColumn(Bilingual, String, String),
    /// A row of a catalogue is wrong.
    Catalogue(u32, Bilingual),
}

impl Problem {
    /// Ties the problem to its file.
    pub(super) fn at(self, path: &str) -> DocumentError {
        DocumentError { path: path.to_owned(), problem: self }
    }

    /// A code for programs, never changed once given.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "FILE_UNREADABLE",
            Self::TooLarge(_) => "FILE_TOO_LARGE",
            Self::TooManyRows => "TOO_MANY_ROWS",
            Self::TooManyColumns(_) => "TOO_MANY_COLUMNS",
            Self::TooManyCells => "TOO_MANY_CELLS",
            Self::CellTooLong(_) => "CELL_TOO_LONG",
            Self::Encoding => "ENCODING_UNKNOWN",
            Self::UnclosedQuote(_) => "QUOTE_UNCLOSED",
            Self::StrayQuote(_) => "QUOTE_STRAY",
            Self::OldWorkbook => "WORKBOOK_OLD_FORMAT",
            Self::BrokenWorkbook(_) => "WORKBOOK_BROKEN",
            Self::UnpacksTooLarge => "WORKBOOK_UNPACKS_TOO_LARGE",
            Self::SeveralSheets(_) => "SEVERAL_SHEETS",
            Self::NoSuchSheet(..) => "NO_SUCH_SHEET",
            Self::Empty => "FILE_EMPTY",
            Self::HeaderNotFound(_) => "HEADER_NOT_FOUND",
            Self::AmbiguousColumn(..) => "COLUMN_AMBIGUOUS",
            Self::Catalogue(..) => "CATALOGUE_ROW_WRONG",
        }
    }

    /// What is wrong and how to mend it, in both languages.
    pub fn text(&self) -> Bilingual {
        match self {
            Self::Unreadable(why) => Bilingual::new(
                format!("无法读取：{why}；请检查路径和权限"),
                format!("cannot be read: {why}; check the path and its permissions"),
            ),
            Self::Encoding => Bilingual::fixed(
                "既不是 UTF-8 也不是 GBK/GB18030 文本；请在 Excel 中另存为“CSV UTF-8”或 .xlsx",
                "is neither UTF-8 nor GBK/GB18030 text; save it as \"CSV UTF-8\" or .xlsx",
            ),
            Self::UnclosedQuote(row) => Bilingual::new(
                format!("第 {row} 行的引号没有结束；请补上，或另存为 .xlsx"),
                format!("the quotation mark opened in row {row} is never closed; close it, or save as .xlsx"),
            ),
            Self::StrayQuote(row) => Bilingual::new(
                format!("第 {row} 行结束引号后还有文字；单元格内的引号须写成两个"),
                format!("row {row} has text after a closing quotation mark; double the quotes inside a cell"),
            ),
            Self::Empty => Bilingual::fixed("文件是空的；请选择另一个文件", "is empty; choose another file"),
            Self::HeaderNotFound(wanted) => Bilingual::new(
                format!("前 {} 行里没有表头；须有这些列：{}", super::columns::LOOK, list(wanted, Lang::Zh)),
                format!(
                    "no header in the first {} rows; these columns must be there: {}",
                    super::columns::LOOK,
                    list(wanted, Lang::En)
                ),
            ),
            Self::AmbiguousColumn(field, first, second) => Bilingual::new(
                format!("“{first}”和“{second}”都像是“{}”列；请改名或删去一列", field.zh),
                format!("columns \"{first}\" and \"{second}\" both look like \"{}\"; rename or remove one", field.en),
            ),
            Self::Catalogue(row, why) => Bilingual::new(
                format!("目录第 {row} 行：{}", why.zh),
                format!("row {row} of the catalogue: {}", why.en),
            ),
            other => other.workbook_text(),
        }
    }

    /// The texts of limits and workbooks.
    fn workbook_text(&self) -> Bilingual {
        use super::table::{CELL_CHARS_MAX, CELLS_MAX, COLUMNS_MAX, FILE_BYTES_MAX, ROWS_MAX};
        match self {
            Self::TooLarge(bytes) => Bilingual::new(
                format!("有 {bytes} 字节，上限 {FILE_BYTES_MAX}；请拆成几个文件"),
                format!("has {bytes} bytes, the limit is {FILE_BYTES_MAX}; split it into several files"),
            ),
            Self::TooManyRows => Bilingual::new(
                format!("超过 {ROWS_MAX} 行；请拆成几个文件"),
                format!("has more than {ROWS_MAX} rows; split it into several files"),
            ),
            Self::TooManyColumns(row) => Bilingual::new(
                format!("第 {row} 行超过 {COLUMNS_MAX} 列；请删去多余的列"),
                format!("row {row} has more than {COLUMNS_MAX} columns; remove those not needed"),
            ),
            Self::TooManyCells => Bilingual::new(
                format!("超过 {CELLS_MAX} 个单元格；请拆成几个文件"),
                format!("has more than {CELLS_MAX} cells; split it into several files"),
            ),
            Self::CellTooLong(row) => Bilingual::new(
                format!("第 {row} 行有单元格超过 {CELL_CHARS_MAX} 字；请缩短"),
                format!("row {row} has a cell of more than {CELL_CHARS_MAX} characters; shorten it"),
            ),
            Self::OldWorkbook => Bilingual::fixed(
                "是 Excel 97–2003 工作簿（.xls）；请另存为 .xlsx 或“CSV UTF-8”后再导入",
                "is an Excel 97-2003 workbook (.xls); save it as .xlsx or \"CSV UTF-8\" and import that",
            ),
            Self::BrokenWorkbook(why) => {
                // What a reader of workbooks says may quote the file at any length.
                let why = shortened(why, 200);
                Bilingual::new(
                    format!("工作簿已损坏或有密码（{why}）；请在 Excel 中打开后另存"),
                    format!("the workbook is damaged or protected ({why}); open it in Excel and save it again"),
                )
            }
            Self::SeveralSheets(names) => Bilingual::new(
                format!("有几个工作表都有内容，请指明导入哪一个：{}", names.join("、")),
                format!("several sheets hold something, name the one to import: {}", names.join(", ")),
            ),
            Self::NoSuchSheet(name, names) => Bilingual::new(
                format!("没有工作表“{name}”；有：{}", names.join("、")),
                format!("has no sheet \"{name}\"; it has: {}", names.join(", ")),
            ),
            // All others were handled by the caller; this one is left.
            _ => Bilingual::fixed(
                "工作簿解压后过大；请只保留要导入的工作表",
                "the workbook unpacks to more than can be read; keep only the sheet to import",
            ),
        }
    }
}

fn list(fields: &[Bilingual], lang: Lang) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.get(lang)).collect();
    names.join(lang.pick("、", ", "))
}
