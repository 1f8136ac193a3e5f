//! Files of every format and every way of being wrong.

use rust_xlsxwriter::{ExcelDateTime, Format as Style, Workbook};

use super::table::{CELL_CHARS_MAX, COLUMNS_MAX, Cell, FILE_BYTES_MAX, Format, Table};

fn read(bytes: &[u8]) -> Result<Table, &'static str> {
    Table::from_bytes("t", bytes, None).map_err(|e| e.code())
}

fn shown(table: &Table) -> Vec<(u32, Vec<String>)> {
    table.rows.iter().map(|(row, cells)| (*row, cells.iter().map(Cell::shown).collect())).collect()
}

fn strings(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[test]
fn text_in_the_encodings_of_excel() {
    let expected = vec![(1, strings(&["名称", "数量"])), (2, strings(&["帐篷", "3"]))];
    let gbk = encoding_rs::GBK.encode("名称,数量\r\n帐篷,3\r\n").0.into_owned();
    for (bytes, format) in [
        ("名称,数量\n帐篷,3".as_bytes(), Format::CsvUtf8),
        ("\u{feff}名称,数量\r\n帐篷,3\r\n".as_bytes(), Format::CsvUtf8),
        ("名称\t数量\r帐篷\t3\r".as_bytes(), Format::CsvUtf8),
        (&gbk, Format::CsvGb18030),
    ] {
        let table = read(bytes).unwrap();
        assert_eq!((table.format, shown(&table)), (format, expected.clone()));
    }
}

#[test]
fn rows_keep_their_numbers_over_blank_and_quoted_lines() {
    let table = read("a,\"x\ny\"\n\n\"say \"\"no\"\"\" ,b\"c\n,,\n\n".as_bytes()).unwrap();
    let expected = [(1, strings(&["a", "x\ny"])), (4, strings(&["say \"no\"", "b\"c"]))];
    assert_eq!(shown(&table), expected);
}

#[test]
fn text_that_cannot_be_read_is_named() {
    let long = "x".repeat(CELL_CHARS_MAX + 1);
    let wide = ",".repeat(COLUMNS_MAX);
    let many = "\n".repeat(200_000) + "x";
    let large = vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
    for (bytes, code) in [
        (&b""[..], "FILE_EMPTY"),
        (b"\n\n , \n", "FILE_EMPTY"),
        (b"a,\"b\nc", "QUOTE_UNCLOSED"),
        (b"\"a\"b,c", "QUOTE_STRAY"),
        (b"\xff\xfea\x00,\x00", "ENCODING_UNKNOWN"),
        (b"a\x00b", "ENCODING_UNKNOWN"),
        (b"\xef\xbb\xbf\xb5\xa5", "ENCODING_UNKNOWN"),
        (b"\xff\xff", "ENCODING_UNKNOWN"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "WORKBOOK_OLD_FORMAT"),
        (b"PK\x03\x04not a zip", "WORKBOOK_BROKEN"),
        (long.as_bytes(), "CELL_TOO_LONG"),
        (wide.as_bytes(), "TOO_MANY_COLUMNS"),
        (many.as_bytes(), "TOO_MANY_ROWS"),
        (&large, "FILE_TOO_LARGE"),
    ] {
        assert_eq!(read(bytes).unwrap_err(), code);
    }
    assert_eq!(Table::read("/no/such/file".as_ref(), None).unwrap_err().code(), "FILE_UNREADABLE");
}

#[test]
fn a_workbook_keeps_rows_dates_and_exact_numbers() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.merge_range(0, 0, 0, 3, "标题", &Style::new()).unwrap();
    sheet.write(2, 0, "帐篷").unwrap();
    sheet.write(2, 1, 12.5).unwrap();
    sheet.write(2, 2, 120).unwrap();
    let day = ExcelDateTime::from_ymd(2023, 5, 1).unwrap();
    sheet.write_with_format(2, 3, day, &Style::new().set_num_format("yyyy-mm-dd")).unwrap();
    let table = read(&book.save_to_buffer().unwrap()).unwrap();
    assert_eq!(table.format, Format::Xlsx);
    let expected = [(1, strings(&["标题"])), (3, strings(&["帐篷", "12.5", "120", "2023-05-01"]))];
    assert_eq!(shown(&table), expected);
}

#[test]
fn which_sheet_is_never_guessed() {
    let mut book = Workbook::new();
    for name in ["甲", "乙"] {
        book.add_worksheet().set_name(name).unwrap().write(0, 0, name).unwrap();
    }
    book.add_worksheet().set_name("空").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    assert_eq!(read(&bytes).unwrap_err(), "SEVERAL_SHEETS");
    let table = Table::from_bytes("t", &bytes, Some("乙")).unwrap();
    assert_eq!((table.sheet.as_deref(), shown(&table)), (Some("乙"), vec![(1, strings(&["乙"]))]));
    assert_eq!(Table::from_bytes("t", &bytes, Some("丙")).unwrap_err().code(), "NO_SUCH_SHEET");
    assert_eq!(Table::from_bytes("t", &bytes, Some("空")).unwrap_err().code(), "FILE_EMPTY");
}

/// A workbook whose parts are given as text.
fn workbook(sheet: &str, strings: &str) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let book = r#"<workbook xmlns:r="r"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>"#;
    let links = |id: &str, kind: &str, target: &str| {
        format!(
            r#"<Relationships><Relationship Id="{id}" Type="t/relationships/{kind}" Target="{target}"/></Relationships>"#
        )
    };
    let root = links("r1", "officeDocument", "xl/workbook.xml");
    let links = links("r1", "worksheet", "worksheets/sheet1.xml");
    for (path, text) in [
        ("_rels/.rels", root.as_str()),
        ("xl/workbook.xml", book),
        ("xl/_rels/workbook.xml.rels", &links),
        ("xl/worksheets/sheet1.xml", sheet),
        ("xl/sharedStrings.xml", strings),
    ] {
        archive.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn sheet(cells: &str) -> String {
    format!("<worksheet><sheetData>{cells}</sheetData></worksheet>")
}

const NO_STRINGS: &str = r#"<sst uniqueCount="0"></sst>"#;

#[test]
fn workbooks_that_promise_or_unpack_too_much_are_refused() {
    let cell = |place: &str| format!(r#"<row r="1"><c r="{place}"><v>1</v></c></row>"#);
    assert_eq!(shown(&read(&workbook(&sheet(&cell("B1")), NO_STRINGS)).unwrap()), [(1, strings(&["", "1"]))]);
    let bomb = " ".repeat(65 << 20);
    for (sheet, strings, code) in [
        (sheet(&cell("A200001")), NO_STRINGS, "TOO_MANY_ROWS"),
        (sheet(&cell("CW1")), NO_STRINGS, "TOO_MANY_COLUMNS"),
        (sheet(&(cell("A1") + &cell("A1"))), NO_STRINGS, "WORKBOOK_BROKEN"),
        (sheet(&cell("A1")), "<sst uniqueCount = '999999999999'/>", "WORKBOOK_UNPACKS_TOO_LARGE"),
        (sheet(&cell("A1")), r#"<sst uniqueCount="+9"/>"#, "WORKBOOK_UNPACKS_TOO_LARGE"),
        (sheet(&cell("A1")), bomb.as_str(), "WORKBOOK_UNPACKS_TOO_LARGE"),
        ("<worksheet><sheetData><row".to_owned(), NO_STRINGS, "WORKBOOK_BROKEN"),
    ] {
        assert_eq!(read(&workbook(&sheet, strings)).unwrap_err(), code);
    }
}
