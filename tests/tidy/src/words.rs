//! What must be explained, and what must not stand anywhere: bare `unwrap`s, things put off, paths of one machine.

use std::collections::BTreeMap;

use crate::bans::has_word;
use crate::source::Source;

/// Marks of work put off, in pieces so that this file does not find itself.
const PUT_OFF: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
/// Macros and attributes that put work off.
const PUT_OFF_CODE: &[&str] = &["todo!", "unimplemented!", "#[ignore"];
/// Folders that exist on somebody's machine only.
const MACHINE: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("C:", "\\")];

/// Calls that can panic outside tests without a sentence that says why they do not.
pub fn unexplained(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (line, code) in source.product() {
            for call in [".unwrap()", ".unwrap_err()", ".expect(", ".expect_err("] {
                for (at, _) in code.match_indices(call) {
                    let column = code[..at].chars().count() + call.len();
                    let message = call.ends_with('(') && has_message(source, line, column);
                    if !message && !has_comment(source, line) {
                        let call = call.trim_start_matches('.').trim_end_matches(['(', ')']);
                        faults.push(source.fault(line, &format!("say why this {call} cannot fail, or handle it")));
                    }
                }
            }
        }
    }
    faults
}

/// Whether a comment stands on the line, or directly above the statement it belongs to.
fn has_comment(source: &Source, line: usize) -> bool {
    let said = |at: usize| source.comments[at].chars().any(char::is_alphabetic);
    let mut at = line - 1;
    // A chained call continues the line above.
    while at > 0 && source.code[at].trim_start().starts_with('.') {
        if said(at) {
            return true;
        }
        at -= 1;
    }
    let above = at.checked_sub(1).is_some_and(|above| said(above) && source.code[above].trim().is_empty());
    said(at) || above
}

/// Whether the text of the call that opens before `column` has two words or more.
fn has_message(source: &Source, line: usize, column: usize) -> bool {
    let first: String = source.raw[line - 1].chars().skip(column).collect();
    let text = [first.as_str()].into_iter().chain(source.raw[line..].iter().take(3).map(String::as_str));
    let text: String = text.collect::<Vec<_>>().join(" ");
    let message = text.split('"').nth(1).unwrap_or_default();
    text.trim_start().starts_with(['"', '&']) && message.split_whitespace().count() >= 2
}

/// Work put off, in code, comments, scripts and protos.
pub fn put_off(sources: &[Source], other: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (at, (code, comment)) in source.code.iter().zip(&source.comments).enumerate() {
            let word = PUT_OFF.iter().find(|word| has_word(comment, word));
            let call = PUT_OFF_CODE.iter().find(|call| code.contains(*call));
            if let Some(found) = word.or(call) {
                faults.push(source.fault(at + 1, &format!("{found}: do it now, or leave it out")));
            }
        }
    }
    // Prose may speak of the rule; scripts, manifests and protos are held to it.
    for (path, text) in other.iter().filter(|(path, _)| !is_prose(path)) {
        for (at, line) in text.lines().enumerate() {
            if let Some(found) = PUT_OFF.iter().find(|word| has_word(line, word)) {
                faults.push(format!("{path}:{}: {found}: do it now, or leave it out", at + 1));
            }
        }
    }
    faults
}

fn is_prose(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|ending| ending == "md")
}

/// Paths that exist on one machine only.
pub fn machine_paths(sources: &[Source], other: &BTreeMap<String, String>) -> Vec<String> {
    let rust = sources.iter().map(|source| (&source.path, source.raw.join("\n")));
    let texts = rust.chain(other.iter().map(|(path, text)| (path, text.clone())));
    let mut faults = Vec::new();
    for (path, text) in texts {
        for (at, line) in text.lines().enumerate() {
            // A longer path that only ends alike (`network/…`, `../work/`) is not one of a machine's root.
            let rooted = |found: &str| {
                line.match_indices(found).any(|(at, _)| {
                    !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || "._-}*$".contains(letter))
                })
            };
            if let Some(found) = MACHINE.iter().find(|found| rooted(found)) {
                faults.push(format!("{path}:{}: {found} is one machine's path", at + 1));
            }
        }
    }
    faults
}

/// Rooms whose `lib.rs` does not begin by saying what it is for and what it must never contain.
pub fn silent_rooms(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with("/src/lib.rs")) {
        let header: Vec<&str> = source.raw.iter().map_while(|line| line.strip_prefix("//!")).collect();
        let header = header.join(" ").to_lowercase();
        if header.trim().is_empty() {
            faults.push(source.fault(1, "begin with `//!`: what the room is for, and where to enter it"));
        } else if !has_word(&header, "never") {
            faults.push(source.fault(1, "say what the room must never contain"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [Source; 1] {
        [Source::new("a/src/lib.rs", text)]
    }

    #[test]
    fn a_panic_needs_a_reason() {
        for (text, faults) in [
            ("let a = b.unwrap();\n", 1),
            ("// It was checked above.\nlet a = b.unwrap();\n", 0),
            ("let a = b.unwrap(); // checked above\n", 0),
            ("// It was checked above.\n\nlet a = b.unwrap();\n", 1),
            ("// It was checked above.\nlet a = b\n    .c()\n    .unwrap();\n", 0),
            ("let a = b.expect(\"a length that fits\");\n", 0),
            ("let a = b.expect(\n    \"a length that fits\",\n);\n", 0),
            ("let a = b.expect(\"fits\");\n", 1),
            ("let a = b.expect(MESSAGE);\n", 1),
            ("let a = b.unwrap_or_default();\n", 0),
            ("let a = \"b.unwrap()\";\n", 0),
            ("#[cfg(test)]\nmod tests {\n    fn a() { b.unwrap(); }\n}\n", 0),
        ] {
            assert_eq!(unexplained(&source(text)).len(), faults, "{text}");
        }
    }

    #[test]
    fn work_put_off_is_found() {
        let none = BTreeMap::new();
        let marks = PUT_OFF.iter().map(|word| format!("// {word}: later\n"));
        let calls = ["todo!();\n", "unimplemented!();\n", "#[ignore = \"slow\"]\n"].map(str::to_owned);
        for text in marks.chain(calls) {
            assert_eq!(put_off(&source(&text), &none).len(), 1, "{text}");
        }
        assert!(put_off(&source("let a = \"todo!\"; // ignore it\n"), &none).is_empty());
        let script = BTreeMap::from([("scripts/a".to_owned(), format!("# {} later\n", PUT_OFF[0]))]);
        assert_eq!(put_off(&[], &script).len(), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let none = BTreeMap::new();
        for folder in MACHINE {
            assert_eq!(
                machine_paths(&source(&format!("const A: &str = \"{folder}x\";\n")), &none).len(),
                1,
                "{folder}"
            );
        }
        let inside = source("const A: &str = \"net/wo\"; // federation/network/x, ../work/x, $dir/home/x\n");
        assert!(machine_paths(&inside, &none).is_empty());
    }

    #[test]
    fn a_room_says_what_it_must_never_contain() {
        for (text, faults) in [
            ("//! What it is for.\n//!\n//! It must never contain a clock.\n", 0),
            ("//! What it is for.\n", 1),
            ("pub mod a; // never\n", 1),
        ] {
            assert_eq!(silent_rooms(&source(text)).len(), faults, "{text}");
        }
    }
}
