//! Days as people write them: `2023.5.1`, `2023年5月1日`, `2023-05`, `20230501`, Excel's day numbers.

use shouwang_domain::time::{DAY_MS, Date, Timestamp};

use super::Note;
use super::table::Cell;
use super::text::{fold, is_placeholder};

/// What a month without a day stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MonthMeans {
    /// Its first day: goods made "in May" are counted as old as they may be.
    FirstDay,
    /// Its last day: what is good "until May" is good through May.
    LastDay,
}

/// Excel's day numbers of 1954-10-03 and 2119-01-12: outside, a number in a date column is more likely a mistake.
const SERIALS: std::ops::RangeInclusive<i64> = 20_000..=80_000;
/// Excel's number of 1970-01-01.
const SERIAL_OF_1970: i64 = 25_569;
/// How far the epoch of 1904 lies behind that of 1900.
const EPOCH_1904: i64 = 1462;

/// The day in a cell, `None` if it says there is none, with what the reader should know about it.
pub(super) fn day(cell: &Cell, month: MonthMeans, epoch_1904: bool) -> Result<(Option<Date>, Option<Note>), Note> {
    let (text, number) = match cell {
        Cell::Empty => return Ok((None, None)),
        Cell::Date(date) => return Ok((Some(*date), None)),
        Cell::Text(text) => (fold(text), false),
        Cell::Number(text) => (fold(text), true),
    };
    if is_placeholder(&text) || matches!(text.as_str(), "长期" | "长期有效" | "永久") {
        return Ok((None, None));
    }
    if let Some(date) = serial(&text, epoch_1904) {
        let note = Note::new(
            "DATE_FROM_SERIAL",
            format!("“{text}”是 Excel 的日期序号，读作 {date}"),
            format!("\"{text}\" is Excel's number of the day {date}"),
        );
        return Ok((Some(date), Some(note)));
    }
    // A number 2023.1 may have been typed as 2023.10: the zero is gone, so it cannot be read.
    let parts = if number && text.contains('.') { None } else { parts(&text) };
    match parts.as_deref() {
        Some(&[year, m, d]) => Date::new(year, narrow(m), narrow(d)).map(|date| (Some(date), None)),
        Some(&[year, m]) => of_month(year, narrow(m), month).map(|date| {
            let note = Note::new(
                "DATE_MONTH_ONLY",
                format!("“{text}”没有日，读作 {date}"),
                format!("\"{text}\" names no day, read as {date}"),
            );
            (Some(date), Some(note))
        }),
        _ => None,
    }
    .ok_or_else(|| {
        Note::new(
            "DATE_UNREADABLE",
            format!("日期“{text}”读不出或不存在；请写成 2023-05-01"),
            format!("\"{text}\" is no date that can be read, or does not exist; write it as 2023-05-01"),
        )
    })
}

/// A value no month or day has becomes 0, which no month or day has either.
fn narrow(value: i32) -> u8 {
    u8::try_from(value).unwrap_or_default()
}

fn of_month(year: i32, month: u8, means: MonthMeans) -> Option<Date> {
    match means {
        MonthMeans::FirstDay => Date::new(year, month, 1),
        MonthMeans::LastDay => (28..=31).rev().find_map(|day| Date::new(year, month, day)),
    }
}

fn serial(text: &str, epoch_1904: bool) -> Option<Date> {
    let days: i64 = text.parse().ok()?;
    let days = if epoch_1904 { days + EPOCH_1904 } else { days };
    (text.len() == 5 && SERIALS.contains(&days)).then(|| Timestamp((days - SERIAL_OF_1970) * DAY_MS).shanghai_date())
}

/// Year, month and perhaps day, if the text has one of the shapes in use; years have four digits.
fn parts(text: &str) -> Option<Vec<i32>> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return [&text[..4], &text[4..6], &text[6..]].iter().map(|part| part.parse().ok()).collect();
    }
    // A time of day behind the date says nothing about the day.
    let date = text.split([' ', 'T']).next().unwrap_or_default();
    let plain = date.replace(['年', '月', '.', '/', '-'], "-");
    let plain = plain.trim_end_matches(['日', '号']).trim_end_matches('-');
    let parts: Vec<&str> = plain.split('-').collect();
    let shaped = (2..=3).contains(&parts.len())
        && parts[0].len() == 4
        && parts[1..].iter().all(|part| (1..=2).contains(&part.len()))
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if !shaped {
        return None;
    }
    parts.iter().map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &Cell, month: MonthMeans) -> Result<String, &'static str> {
        let (date, note) = day(cell, month, false).map_err(|note| note.code)?;
        Ok(date.map_or("-".to_owned(), |date| date.to_string()) + note.map_or("", |note| note.code))
    }

    #[test]
    fn days_as_people_write_them() {
        for (text, expected) in [
            ("2023.5.1", Ok("2023-05-01")),
            ("2023年5月1日", Ok("2023-05-01")),
            ("２０２３．０５．０１", Ok("2023-05-01")),
            ("2023-05-01", Ok("2023-05-01")),
            ("2023/5/1", Ok("2023-05-01")),
            ("2023/5/1 0:00:00", Ok("2023-05-01")),
            ("2023-05-01T00:00:00", Ok("2023-05-01")),
            ("20230501", Ok("2023-05-01")),
            ("45047", Ok("2023-05-01DATE_FROM_SERIAL")),
            ("2023-05", Ok("2023-05-01DATE_MONTH_ONLY")),
            ("2023.5", Ok("2023-05-01DATE_MONTH_ONLY")),
            ("2023年5月", Ok("2023-05-01DATE_MONTH_ONLY")),
            ("长期", Ok("-")),
            ("/", Ok("-")),
            ("", Ok("-")),
            ("23.5.1", Err("DATE_UNREADABLE")),
            ("2023", Err("DATE_UNREADABLE")),
            ("2023.2.30", Err("DATE_UNREADABLE")),
            ("2023.13.1", Err("DATE_UNREADABLE")),
            ("2023.300.1", Err("DATE_UNREADABLE")),
            ("去年", Err("DATE_UNREADABLE")),
        ] {
            let found = read(&Cell::Text(text.to_owned()), MonthMeans::FirstDay);
            assert_eq!(found.as_deref(), expected.as_ref().map(|s| &**s), "{text}");
        }
    }

    #[test]
    fn a_month_of_expiry_lasts_to_its_end_and_a_number_may_have_lost_its_zero() {
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(read(&text("2024-02"), MonthMeans::LastDay).unwrap(), "2024-02-29DATE_MONTH_ONLY");
        assert_eq!(read(&Cell::Number("2023.1".to_owned()), MonthMeans::LastDay), Err("DATE_UNREADABLE"));
        let serial = day(&Cell::Number("43585".to_owned()), MonthMeans::FirstDay, true).unwrap();
        assert_eq!(serial.0, Date::new(2023, 5, 1));
    }
}
