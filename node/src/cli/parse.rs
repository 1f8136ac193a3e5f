//! What people type: resources, lines, quantities out of a lot, points in time, money.

use jiff::{SignedDuration, Timestamp, civil};
use shouwang_proto::v1::{LineAsked, Resource, resource};

use super::words::shanghai;

/// Reads `2990101`, `team:hazmat` or `vehicle:air-refill`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn resource(text: &str) -> Result<Resource, String> {
    use shouwang_domain::resource::Resource as Known;
    let kind = match text.parse::<Known>().map_err(|error| error.to_string())? {
        Known::Item(code) => resource::Kind::Item(code.to_string()),
        Known::Team(kind) => resource::Kind::Team(kind.to_string()),
        Known::Vehicle(kind) => resource::Kind::Vehicle(kind.to_string()),
    };
    Ok(Resource { kind: Some(kind) })
}

/// Reads a quantity of one or more.
///
/// # Errors
/// Anything but a whole number from 1 to the largest a document may name.
pub fn quantity(text: &str) -> Result<u64, String> {
    let max = shouwang_domain::quantity::Qty::MAX.0;
    text.parse()
        .ok()
        .filter(|quantity| (1..=max).contains(quantity))
        .ok_or_else(|| format!("{text}: a quantity is a whole number from 1 to {max} / 数量为 1 到 {max} 的整数"))
}

/// Reads a line of a request: `2990101=60` or `2990101=60:气密型化学防护服`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn line(text: &str) -> Result<LineAsked, String> {
    let (what, much) =
        text.split_once('=').ok_or("write RESOURCE=QTY[:NAME], such as 2990101=60 / 写作 资源=数量[:名称]")?;
    let (number, title) = much.split_once(':').unwrap_or((much, what));
    Ok(LineAsked { resource: Some(resource(what)?), title: title.to_owned(), quantity: quantity(number)? })
}

/// Where an offer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferOf {
    /// What the node suggests: first to expire first.
    Auto,
    /// This much of a lot.
    Lot(String, u64),
}

/// Reads an offer: `LOT=QTY`, or `auto`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn offer(text: &str) -> Result<OfferOf, String> {
    if text == "auto" {
        return Ok(OfferOf::Auto);
    }
    let (lot, much) = text.split_once('=').ok_or("write LOT=QTY, or auto / 写作 批次=数量，或 auto")?;
    Ok(OfferOf::Lot(lot.to_owned(), quantity(much)?))
}

/// Reads an amount of yuan with at most two decimals, in 分.
///
/// # Errors
/// Says what is wrong with the text.
pub fn yuan(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text}: write yuan such as 18200 or 18200.50 / 写作元，如 18200 或 18200.50");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = text.split_once('.').map_or((text, "00"), |(whole, part)| (whole, part));
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let part: i64 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
    whole.checked_mul(100).and_then(|fen| fen.checked_add(part)).ok_or_else(wrong)
}

/// Reads a municipality's six digits.
///
/// # Errors
/// Says what is wrong with the text.
pub fn municipality(text: &str) -> Result<String, String> {
    super::pki::municipality(text).map(|code| code.to_string())
}

/// Reads the name of a node, `150300/1`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn node(text: &str) -> Result<String, String> {
    text.parse::<crate::auth::NodeName>().map(|name| name.to_string()).map_err(|error| error.to_string())
}

/// Reads a public key of 64 hex digits.
///
/// # Errors
/// Says what is wrong with the text.
pub fn key(text: &str) -> Result<Key, String> {
    crate::charter::public_key(text).map(|key| Key(key.0))
}

/// A node's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(pub Vec<u8>);

/// Reads a day, `2031-06-30`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn day(text: &str) -> Result<String, String> {
    let day: Result<civil::Date, _> = text.parse();
    day.map(|day| day.to_string()).map_err(|_| format!("{text}: write a day such as 2031-06-30 / 日期写作 2031-06-30"))
}

/// A point in time as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This very moment.
    At(Timestamp),
    /// At this time of the day in Asia/Shanghai on which the command is asked.
    Today(civil::Time),
    /// This much later than the command is asked.
    In(SignedDuration),
}

impl When {
    /// The point in time for a command asked at `asked`.
    pub fn from(self, asked: Timestamp) -> prost_types::Timestamp {
        let at = match self {
            Self::At(at) => at,
            Self::Today(time) => {
                let today = asked.to_zoned(shanghai()).date();
                // A fixed offset knows no ambiguous times; at the end of all calendars the day stays as it is.
                today.to_datetime(time).to_zoned(shanghai()).map_or(asked, |at| at.timestamp())
            }
            Self::In(span) => asked.saturating_add(span).unwrap_or(Timestamp::MAX),
        };
        prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
    }
}

/// Reads RFC 3339, the same without an offset (in Asia/Shanghai), `HH:MM` of today, or `+90s`, `+30m`, `+4h`, `+2d`.
///
/// # Errors
/// Says how to write it.
pub fn when(text: &str) -> Result<When, String> {
    let wrong = || {
        format!(
            "{text}: write 23:40 (today), 2026-03-01T23:40, RFC 3339, +30m, +4h or +2d / \
             写作 23:40（今天）、2026-03-01T23:40、RFC 3339、+30m、+4h 或 +2d"
        )
    };
    if let Some(later) = text.strip_prefix('+') {
        return span(later).map(When::In).ok_or_else(wrong);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(When::At(at));
    }
    if let Ok(local) = text.parse::<civil::DateTime>()
        && text.contains(':')
    {
        return local.to_zoned(shanghai()).map(|at| When::At(at.timestamp())).map_err(|_| wrong());
    }
    civil::Time::strptime("%H:%M", text).map(When::Today).map_err(|_| wrong())
}

fn span(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| (0..=100_000).contains(number))?;
    match unit {
        's' => Some(SignedDuration::from_secs(number)),
        'm' => Some(SignedDuration::from_mins(number)),
        'h' => Some(SignedDuration::from_hours(number)),
        'd' => Some(SignedDuration::from_hours(number * 24)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_and_lines_are_read() {
        let asked = line("2990101=60:气密型化学防护服").unwrap();
        assert_eq!((asked.title.as_str(), asked.quantity), ("气密型化学防护服", 60));
        assert_eq!(asked.resource, resource("2990101").ok());
        let team = line("team:hazmat=2").unwrap();
        assert_eq!((team.title.as_str(), team.quantity), ("team:hazmat", 2));
        assert_eq!(team.resource.unwrap().kind, Some(resource::Kind::Team("hazmat".to_owned())));
        assert_eq!(line("vehicle:air-refill=1:充气车").unwrap().title, "充气车");
        for wrong in ["2990101", "2990101=", "2990101=0", "2990101=-1", "2990101=1.5", "990101=1", "boat:x=1", "=3"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
        assert_eq!(offer("auto"), Ok(OfferOf::Auto));
        assert_eq!(offer("lots/a=3"), Ok(OfferOf::Lot("lots/a".to_owned(), 3)));
        assert!(offer("a").is_err() && offer("a=0").is_err());
    }

    #[test]
    fn money_is_read_exactly() {
        for (text, fen) in [("0", 0), ("18200", 1_820_000), ("18200.5", 1_820_050), ("0.05", 5), ("7.00", 700)] {
            assert_eq!(yuan(text), Ok(fen), "{text}");
        }
        for text in ["", "-1", "1.005", "1,000", "1.", ".5", "¥3", "99999999999999999999", "1 0"] {
            assert!(yuan(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_in_shanghai() {
        // 2026-03-01T23:30:00+08:00
        let asked: Timestamp = "2026-03-01T15:30:00Z".parse().unwrap();
        let read = |text: &str| super::super::words::time(Some(when(text).unwrap().from(asked)));
        for (text, expected) in [
            ("23:40", "2026-03-01 23:40:00"),
            ("00:20", "2026-03-01 00:20:00"),
            ("2026-03-01T23:40", "2026-03-01 23:40:00"),
            ("2026-03-01T23:40:05Z", "2026-03-02 07:40:05"),
            ("2026-03-01T23:40:05+08:00", "2026-03-01 23:40:05"),
            ("+90s", "2026-03-01 23:31:30"),
            ("+30m", "2026-03-02 00:00:00"),
            ("+4h", "2026-03-02 03:30:00"),
            ("+2d", "2026-03-03 23:30:00"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for wrong in ["", "+", "+4", "+h", "+-4h", "4h", "24:00", "23:60", "tomorrow", "2026-02-30T10:00", "2026-03-01"]
        {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_days_are_checked() {
        assert_eq!(municipality("150300"), Ok("150300".to_owned()));
        assert_eq!(node("150300/1"), Ok("150300/1".to_owned()));
        assert_eq!(day("2031-06-30"), Ok("2031-06-30".to_owned()));
        assert!(municipality("1503").is_err() && node("150300").is_err() && day("2031-02-30").is_err());
        assert!(key(&"ab".repeat(32)).is_ok() && key("ab").is_err());
    }
}
