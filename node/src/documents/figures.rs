//! Numbers as people write them: quantities with units behind them, pack factors, prices. Exact or refused.

use shouwang_domain::quantity::{Fen, Qty};

use super::Note;
use super::text::{fold, is_placeholder, word};

/// Words of packages. A quantity in one of them is base units only by a factor that somebody wrote down.
const PACK_WORDS: [&str; 14] =
    ["箱", "托", "托盘", "捆", "包", "盒", "袋", "box", "bx", "cs", "case", "pck", "pack", "bags"];

/// Words and signs that make a number approximate.
const APPROXIMATE: [&str; 23] = [
    "约", "近", "余", "多", "许", "左右", "以上", "以下", "不足", "大概", "若干", "几", "至", "~", "≈", "±", "≥", "≤",
    ">", "<", "+", "about", "approx",
];

/// Most parts of one quantity (`3箱5件` has two).
const PARTS_MAX: usize = 4;

/// Whether a unit is a package rather than a thing.
pub(super) fn is_pack(unit: &str) -> bool {
    PACK_WORDS.contains(&unit)
}

/// The parts of a quantity with the unit behind each, empty if there is none: `3箱5件` → 3 箱, 5 件.
pub(super) fn amounts(text: &str) -> Result<Vec<(u64, String)>, Note> {
    let shown = fold(text);
    let text = word(text);
    if is_placeholder(&text) {
        return Err(Note::fixed("QUANTITY_MISSING", "没有数量；请填写", "has no quantity; fill it in"));
    }
    if let Some(rest) = text.strip_prefix('-')
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Note::new(
            "QUANTITY_NEGATIVE",
            format!("数量“{shown}”是负数；台账只记现有数"),
            format!("quantity \"{shown}\" is negative; a ledger says what there is"),
        ));
    }
    let range = text
        .split_once('-')
        .is_some_and(|(a, b)| a.ends_with(|c: char| c.is_ascii_digit()) && b.starts_with(|c: char| c.is_ascii_digit()));
    if range || APPROXIMATE.iter().any(|sign| text.contains(sign)) {
        return Err(Note::new(
            "APPROXIMATE_QUANTITY",
            format!("数量“{shown}”不是确数，不作猜测；请清点后填确数"),
            format!("quantity \"{shown}\" is approximate and is not guessed at; count and write the exact number"),
        ));
    }
    parts(&text, &shown)
}

fn parts(text: &str, shown: &str) -> Result<Vec<(u64, String)>, Note> {
    let unreadable = || {
        Note::new(
            "QUANTITY_UNREADABLE",
            format!("数量“{shown}”读不出；请写阿拉伯数字，如 120 或 12箱"),
            format!("quantity \"{shown}\" cannot be read; write digits, as 120 or 12箱"),
        )
    };
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let worded = unit.chars().all(char::is_alphabetic) && !unit.starts_with(['万', '千', '百', '亿', '十']);
        if !worded || found.len() == PARTS_MAX {
            return Err(unreadable());
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if fraction.bytes().any(|b| b != b'0') && fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Note::new(
                "QUANTITY_DECIMAL",
                format!("数量“{shown}”不是整数；请换成更小的计量单位"),
                format!("quantity \"{shown}\" is no whole number; use a smaller unit"),
            ));
        }
        if fraction.is_empty() || fraction.bytes().any(|b| b != b'0') {
            return Err(unreadable());
        }
        let number = ungrouped(whole).and_then(|digits| digits.parse().ok()).ok_or_else(unreadable)?;
        found.push((number, unit.to_owned()));
        rest = after;
    }
    Ok(found)
}

/// The sum of parts in base units.
pub(super) fn total(parts: impl IntoIterator<Item = (u64, u64)>) -> Result<Qty, Note> {
    let mut sum: u64 = 0;
    for (number, factor) in parts {
        let next = number.checked_mul(factor).and_then(|part| sum.checked_add(part));
        sum = next.filter(|sum| *sum <= Qty::MAX.0).ok_or_else(|| {
            Note::new(
                "QUANTITY_TOO_LARGE",
                format!("数量超过上限 {}；请检查", Qty::MAX),
                format!("the quantity is above the limit of {}; check it", Qty::MAX),
            )
        })?;
    }
    Ok(Qty(sum))
}

/// Digits without thousands separators; `None` if a separator stands where none belongs.
fn ungrouped(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let groups: Vec<&str> = text.split(',').collect();
    let well =
        groups.len() == 1 || ((1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3));
    well.then(|| groups.concat())
}

/// A rule for packages as written in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackRule {
    /// The package, if named.
    pub pack: Option<String>,
    /// How many of the base unit are in it.
    pub factor: u64,
    /// The base unit, if named.
    pub base: Option<String>,
}

/// Reads `20件/箱`, `每箱20件`, `1箱=20件`, `箱=20`, and, where a bare number can only mean this, `20`.
pub(super) fn pack_rule(text: &str, bare: bool) -> Option<PackRule> {
    let text = word(text);
    let number = |text: &str| -> Option<(u64, String)> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = &text[end..];
        let factor = text[..end].parse().ok().filter(|factor| (1..=1_000_000).contains(factor))?;
        unit.chars().all(char::is_alphabetic).then(|| (factor, unit.to_owned()))
    };
    let named = |unit: String| (!unit.is_empty()).then_some(unit);
    let rule = |(factor, base): (u64, String), pack: &str| {
        let fits = !pack.is_empty() && pack.chars().all(char::is_alphabetic);
        fits.then(|| PackRule { pack: Some(pack.to_owned()), factor, base: named(base) })
    };
    if let Some((count, pack)) = text.split_once('/') {
        return rule(number(count)?, pack);
    }
    if let Some((pack, count)) = text.split_once('=') {
        return rule(number(count)?, pack.strip_prefix('1').unwrap_or(pack));
    }
    if let Some(rest) = text.strip_prefix('每') {
        let at = rest.find(|c: char| c.is_ascii_digit())?;
        return rule(number(&rest[at..])?, &rest[..at]);
    }
    if !bare {
        return None;
    }
    number(&text).map(|(factor, base)| PackRule { pack: None, factor, base: named(base) })
}

/// Yuan to 分, exactly.
pub(super) fn fen(text: &str) -> Result<Fen, Note> {
    let shown = fold(text);
    let unreadable = || {
        Note::new(
            "PRICE_UNREADABLE",
            format!("单价“{shown}”读不出；请只写数字，如 12.50"),
            format!("price \"{shown}\" cannot be read; write digits only, as 12.50"),
        )
    };
    let plain = word(text);
    let plain = plain.trim_start_matches('¥').trim_end_matches('元');
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = ungrouped(whole).ok_or_else(unreadable)?;
    if !digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(unreadable());
    }
    let cents = fraction.trim_end_matches('0');
    if cents.len() > 2 {
        return Err(Note::new(
            "PRICE_DECIMALS",
            format!("单价“{shown}”小于分，不作舍入；请写到分为止"),
            format!("price \"{shown}\" is finer than 分 and is not rounded; write at most two decimals"),
        ));
    }
    format!("{digits}{cents:0<2}").parse().map(Fen).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_or_refused() {
        for (text, expected) in [
            ("120", Ok(vec![(120, "")])),
            ("１２０", Ok(vec![(120, "")])),
            ("1,200", Ok(vec![(1200, "")])),
            ("１，２００", Ok(vec![(1200, "")])),
            ("120.00", Ok(vec![(120, "")])),
            ("12箱", Ok(vec![(12, "箱")])),
            ("3 箱 5 件", Ok(vec![(3, "箱"), (5, "件")])),
            ("0", Ok(vec![(0, "")])),
            ("", Err("QUANTITY_MISSING")),
            ("—", Err("QUANTITY_MISSING")),
            ("约200", Err("APPROXIMATE_QUANTITY")),
            ("200余", Err("APPROXIMATE_QUANTITY")),
            ("200左右", Err("APPROXIMATE_QUANTITY")),
            ("100-200", Err("APPROXIMATE_QUANTITY")),
            ("100～200", Err("APPROXIMATE_QUANTITY")),
            ("100+", Err("APPROXIMATE_QUANTITY")),
            ("-5", Err("QUANTITY_NEGATIVE")),
            ("－５", Err("QUANTITY_NEGATIVE")),
            ("12.5", Err("QUANTITY_DECIMAL")),
            ("1.2万", Err("QUANTITY_UNREADABLE")),
            ("一百", Err("QUANTITY_UNREADABLE")),
            ("1,20", Err("QUANTITY_UNREADABLE")),
            ("12.", Err("QUANTITY_UNREADABLE")),
            ("99999999999999999999", Err("QUANTITY_UNREADABLE")),
        ] {
            let found = amounts(text).map_err(|note| note.code);
            let expected = expected.map(|parts| parts.into_iter().map(|(n, u)| (n, u.to_owned())).collect::<Vec<_>>());
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(total([(u64::MAX, 2)]).unwrap_err().code, "QUANTITY_TOO_LARGE");
    }

    #[test]
    fn yuan_become_fen_exactly() {
        for (text, expected) in [
            ("12.5", Ok(1250)),
            ("12", Ok(1200)),
            ("¥1,280.00", Ok(128_000)),
            ("￥０．０５", Ok(5)),
            ("12.500元", Ok(1250)),
            ("0", Ok(0)),
            ("12.345", Err("PRICE_DECIMALS")),
            ("-1", Err("PRICE_UNREADABLE")),
            ("面议", Err("PRICE_UNREADABLE")),
            ("1e3", Err("PRICE_UNREADABLE")),
            ("99999999999999999999", Err("PRICE_UNREADABLE")),
        ] {
            assert_eq!(fen(text).map(|fen| fen.0).map_err(|note| note.code), expected, "{text}");
        }
    }

    #[test]
    fn pack_factors_as_people_write_them() {
        for text in ["20件/箱", "每箱20件", "1箱=20件", "箱=20件"] {
            let rule = PackRule { pack: Some("箱".to_owned()), factor: 20, base: Some("件".to_owned()) };
            assert_eq!(pack_rule(text, false), Some(rule), "{text}");
        }
        assert_eq!(pack_rule("20", true), Some(PackRule { pack: None, factor: 20, base: None }));
        for text in ["20", "0件/箱", "箱", "2.5m*3m", "件/箱", ""] {
            assert_eq!(pack_rule(text, false), None, "{text}");
        }
    }
}
