//! Text for a terminal: how wide it is, cut to a width, without what could steer the terminal; spans of time in words.

use crate::lang::Lang;

/// How many columns of a terminal a text takes: two for each character of the East Asian wide blocks.
pub fn width(text: &str) -> usize {
    let wide = |letter: char| {
        matches!(u32::from(letter), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF
            | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|letter| if wide(letter) { 2 } else { 1 }).sum()
}

/// Text that others wrote, without what could steer a terminal: control characters and those that turn the direction
/// of writing or take no room.
pub fn clean(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|letter| if steers(letter) { '\u{fffd}' } else { letter }).collect()
}

/// A text cut to `columns` of a terminal, the cut shown by an ellipsis.
pub fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 1; // The ellipsis.
    let fits = |letter: &char| {
        used += width(letter.encode_utf8(&mut [0; 4]));
        used <= columns
    };
    let kept: String = text.chars().take_while(fits).collect();
    if columns > 0 { kept + "…" } else { kept }
}

/// A text cut to `columns` of a terminal at its beginning: a working number tells itself apart by its end.
pub fn clip_front(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut rest = text;
    while width(rest) + 1 > columns && !rest.is_empty() {
        rest = rest.chars().next().map_or("", |first| &rest[first.len_utf8()..]);
    }
    if columns > 0 { format!("…{rest}") } else { String::new() }
}

/// A span of time in words, in its two largest units: `3分05秒`, `2h05m`. Negative spans (a fact that happened before
/// the record heard of the step before it) keep their sign.
pub fn span(seconds: i64, lang: Lang) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let s = seconds.unsigned_abs();
    let (minutes, hours, days) = (s / 60, s / 3600, s / 86_400);
    match lang {
        Lang::Zh if days > 0 => format!("{sign}{days}天{}小时", hours % 24),
        Lang::Zh if hours > 0 => format!("{sign}{hours}小时{:02}分", minutes % 60),
        Lang::Zh if minutes > 0 => format!("{sign}{minutes}分{:02}秒", s % 60),
        Lang::Zh => format!("{sign}{s}秒"),
        Lang::En if days > 0 => format!("{sign}{days}d{}h", hours % 24),
        Lang::En if hours > 0 => format!("{sign}{hours}h{:02}m", minutes % 60),
        Lang::En if minutes > 0 => format!("{sign}{minutes}m{:02}s", s % 60),
        Lang::En => format!("{sign}{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns_not_by_letters() {
        for (text, columns, cut) in [
            ("防护服", 6, "防护服"),
            ("防护服", 5, "防护…"),
            ("防护服", 4, "防…"),
            ("防护服", 2, "…"),
            ("防护服", 1, "…"),
            ("防护服", 0, ""),
            ("abc", 2, "a…"),
        ] {
            assert_eq!(clip(text, columns), cut);
            assert!(width(&clip(text, columns)) <= columns);
        }
        for (columns, cut) in [(16, "乌-调-2026-0012"), (6, "…-0012"), (1, "…"), (0, "")] {
            assert_eq!(clip_front("乌-调-2026-0012", columns), cut);
        }
        assert_eq!((width("乌-调"), width("abc"), width("（")), (5, 3, 2));
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("防化服\u{1b}[2J\u{202e}\u{200b}"), "防化服\u{fffd}[2J\u{fffd}\u{fffd}");
    }

    #[test]
    fn spans_in_words() {
        for (seconds, zh, en) in [
            (0, "0秒", "0s"),
            (185, "3分05秒", "3m05s"),
            (-185, "-3分05秒", "-3m05s"),
            (7500, "2小时05分", "2h05m"),
            (97_200, "1天3小时", "1d3h"),
        ] {
            assert_eq!((span(seconds, Lang::Zh).as_str(), span(seconds, Lang::En).as_str()), (zh, en));
        }
    }
}
