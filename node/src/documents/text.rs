//! How text from paper is made comparable: full-width forms and invisible characters are the typist's, not the meaning.

/// Full-width letters, digits and signs become ASCII, every kind of space becomes one, invisible characters go, and the
/// ends are trimmed. The meaning is untouched: `（１２０）` → `(120)`.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{2060}' => continue,
            '\u{3000}' => ' ',
            '\u{ffe5}' => '¥',
            '\u{2212}' => '-',
            // The block of full-width ASCII lies 0xFEE0 above ASCII.
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

/// [`fold`] without any space and in lower case: for comparing headers, units and fixed words.
pub fn word(text: &str) -> String {
    fold(text).chars().filter(|c| *c != ' ').flat_map(char::to_lowercase).collect()
}

/// Whether a folded cell says "nothing here" in so many signs (`—`, `/`, `无`, `N/A`).
pub fn is_placeholder(folded: &str) -> bool {
    matches!(
        folded.to_ascii_lowercase().as_str(),
        "" | "-" | "--" | "—" | "——" | "/" | "\\" | "无" | "n/a" | "na" | "none" | "nil"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_width_and_invisible_characters_fold() {
        for (text, folded) in [
            ("１２０", "120"),
            ("（Ａ型）", "(A型)"),
            ("\u{feff}序号 ", "序号"),
            ("帐篷\u{3000}\u{3000}12㎡", "帐篷 12㎡"),
            ("a\u{a0}\tb", "a b"),
            ("１，２００", "1,200"),
        ] {
            assert_eq!(fold(text), folded);
        }
        assert_eq!(word("Item  Name"), "itemname");
        assert!(is_placeholder("—") && is_placeholder("N/A") && !is_placeholder("0"));
    }
}
