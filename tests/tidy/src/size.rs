//! Files and functions no larger than a reader can hold at once.

use crate::source::{Source, item_length};

/// Most lines of a file: about 500. A tenth more passes, so that nobody tears a subject apart for three lines.
pub const FILE_LINES_MAX: usize = 550;
/// Most lines of a function, its signature and closing brace included: about 70, and a tenth more.
pub const FUNCTION_LINES_MAX: usize = 77;

/// What may be larger: path, function (empty for the file itself), and why.
pub type Allowed = &'static [(&'static str, &'static str, &'static str)];

/// Files that grew too large.
pub fn files(sources: &[Source], allowed: Allowed) -> Vec<String> {
    let large = sources.iter().filter(|source| source.raw.len() > FILE_LINES_MAX && !excused(allowed, source, ""));
    large.map(|source| source.fault(1, &format!("{} lines; give each subject a file", source.raw.len()))).collect()
}

/// Functions that grew too large.
pub fn functions(sources: &[Source], allowed: Allowed) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (name, line, lines) in functions_of(&source.code.join("\n")) {
            if lines > FUNCTION_LINES_MAX && !excused(allowed, source, name) {
                faults.push(source.fault(line, &format!("fn {name} has {lines} lines; give its steps names")));
            }
        }
    }
    faults
}

/// Excuses that nothing needs any longer.
pub fn stale(sources: &[Source], allowed: Allowed) -> Vec<String> {
    let needed = |path: &str, function: &str| {
        sources.iter().filter(|source| source.path == path).any(|source| {
            if function.is_empty() {
                return source.raw.len() > FILE_LINES_MAX;
            }
            let code = source.code.join("\n");
            functions_of(&code).iter().any(|(name, _, lines)| *name == function && *lines > FUNCTION_LINES_MAX)
        })
    };
    let stale = allowed.iter().filter(|(path, function, _)| !needed(path, function));
    stale.map(|(path, function, _)| format!("{path} {function}: is small enough again; take its excuse off")).collect()
}

fn excused(allowed: Allowed, source: &Source, function: &str) -> bool {
    allowed.iter().any(|(path, name, why)| source.path == *path && *name == function && !why.is_empty())
}

/// Every function with a body: its name, its line from 1, and how many lines it has.
fn functions_of(code: &str) -> Vec<(&str, usize, usize)> {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name = code[at + 3..].trim_start();
        let name = &name[..name.find(|letter| !part(letter)).unwrap_or(name.len())];
        if name.is_empty() || code[..at].ends_with(part) {
            continue;
        }
        let body = &code[at..at + item_length(&code[at..])];
        if body.contains('{') {
            let line = code[..at].matches('\n').count() + 1;
            found.push((name, line, body.matches('\n').count() + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that fit a function between its signature and its brace, and a file beside its three other lines.
    const SMALL: usize = FUNCTION_LINES_MAX - 2;
    const LAST: usize = FILE_LINES_MAX - 3;

    fn planted(body_lines: usize) -> [Source; 1] {
        let text = format!("fn small() {{}}\nfn large() {{\n{}}}\n", "    call();\n".repeat(body_lines));
        [Source::new("a/src/b.rs", &text)]
    }

    #[test]
    fn a_large_function_is_found_and_can_be_excused() {
        assert!(functions(&planted(SMALL), &[]).is_empty());
        assert_eq!(functions(&planted(SMALL + 1), &[]), ["a/src/b.rs:2: fn large has 78 lines; give its steps names"]);
        assert!(functions(&planted(SMALL + 1), &[("a/src/b.rs", "large", "one table")]).is_empty());
        assert_eq!(functions(&planted(SMALL + 1), &[("a/src/b.rs", "large", "")]).len(), 1, "an excuse needs a reason");
        assert_eq!(stale(&planted(SMALL), &[("a/src/b.rs", "large", "one table")]).len(), 1);
    }

    #[test]
    fn a_large_file_is_found() {
        assert!(files(&planted(LAST), &[]).is_empty());
        assert_eq!(files(&planted(LAST + 1), &[]), ["a/src/b.rs:1: 551 lines; give each subject a file"]);
        assert!(files(&planted(LAST + 1), &[("a/src/b.rs", "", "one table")]).is_empty());
    }

    #[test]
    fn functions_without_a_body_and_pointers_to_functions_have_no_size() {
        let code = "trait A { fn a(&self) -> [u8; 4]; }\ntype B = fn (u8);\nfn c() -> u8 {\n 1\n}\n";
        assert_eq!(functions_of(code), [("c", 3, 3)]);
    }
}
