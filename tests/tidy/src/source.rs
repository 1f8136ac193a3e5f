//! Rust source as the rules need it: code without comments and strings, comments by line, and which lines are tests.

/// One Rust file. All vectors have one element per line.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root of the checkout.
    pub path: String,
    /// The lines as they stand.
    pub raw: Vec<String>,
    /// The lines with comments, strings and characters blanked out, column for column.
    pub code: Vec<String>,
    /// What the comments of each line say.
    pub comments: Vec<String>,
    /// Whether the line belongs to a test.
    pub test: Vec<bool>,
}

impl Source {
    /// Reads one file's text.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = mask(text);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let test = if is_test_path(path) { vec![true; lines(text).len()] } else { test_lines(&code) };
        Self { path: path.to_owned(), raw: lines(text), code: lines(&code), comments: lines(&comments), test }
    }

    /// The code lines outside tests, with their numbers from 1.
    pub fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let marked = self.code.iter().zip(&self.test).enumerate();
        marked.filter(|(_, (_, test))| !**test).map(|(at, (line, _))| (at + 1, line.as_str()))
    }

    /// A fault at a line of this file.
    pub fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Marks the files of modules that another file declares under `#[cfg(test)]`, and all below them, as tests.
pub fn mark_test_modules(sources: &mut [Source]) {
    let declared: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in sources {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if declared.iter().any(|module| stem == module || source.path.starts_with(&format!("{module}/"))) {
            source.test.fill(true);
        }
    }
}

/// The modules that a file declares for tests only: their paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let own = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    let mut modules = Vec::new();
    for (line, test) in source.code.iter().zip(&source.test) {
        let name = line.trim().trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        modules.extend(name.filter(|_| *test).map(|name| format!("{own}/{name}")));
    }
    modules
}

/// Files that hold nothing but tests and what tests need.
fn is_test_path(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let file = parts.pop().unwrap_or_default();
    let folders = ["tests", "testing", "benches"];
    parts.iter().any(|part| folders.contains(part)) || file == "tests.rs" || file.ends_with("_tests.rs")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    RawText(usize),
}

/// Splits text into code and comments; each keeps every line break and every column.
fn mask(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let (mut state, mut at) = (State::Code, 0);
    while at < chars.len() {
        let (next, length) = step(state, &chars, at);
        let (before, after) = (state == State::Code, next == State::Code);
        let comment = matches!(state, State::LineComment | State::BlockComment(_));
        for letter in &chars[at..(at + length).min(chars.len())] {
            let shown = |wanted: bool| if wanted || *letter == '\n' { *letter } else { ' ' };
            // A quotation mark stays where a string begins and ends, so that `("…")` does not look like `()`.
            let quote = *letter == '"' && before != after;
            code.push(shown(before && after && length == 1 || quote));
            comments.push(shown(comment));
        }
        (state, at) = (next, at + length);
    }
    (code, comments)
}

/// The state after the token at `at`, and how many characters it has.
fn step(state: State, chars: &[char], at: usize) -> (State, usize) {
    let is = |offset: usize, letter: char| chars.get(at + offset) == Some(&letter);
    match state {
        State::Code if is(0, '/') && is(1, '/') => (State::LineComment, 2),
        State::Code if is(0, '/') && is(1, '*') => (State::BlockComment(1), 2),
        State::Code if is(0, '"') => (State::Text, 1),
        State::Code if is(0, 'r') && !is_word(at, chars) => match raw_hashes(chars, at + 1) {
            Some(hashes) => (State::RawText(hashes), hashes + 2),
            None => (State::Code, 1),
        },
        State::Code if is(0, '\'') => (State::Code, character(chars, at)),
        State::LineComment if is(0, '\n') => (State::Code, 1),
        State::BlockComment(depth) if is(0, '/') && is(1, '*') => (State::BlockComment(depth + 1), 2),
        State::BlockComment(1) if is(0, '*') && is(1, '/') => (State::Code, 2),
        State::BlockComment(depth) if is(0, '*') && is(1, '/') => (State::BlockComment(depth - 1), 2),
        State::Text if is(0, '\\') => (State::Text, 2),
        State::Text if is(0, '"') => (State::Code, 1),
        State::RawText(hashes) if is(0, '"') && (1..=hashes).all(|offset| is(offset, '#')) => (State::Code, hashes + 1),
        other => (other, 1),
    }
}

/// Whether the letter before `at` belongs to the same word (`b` and `c` may stand before a raw string).
fn is_word(at: usize, chars: &[char]) -> bool {
    let part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
    match at.checked_sub(1).map(|before| chars[before]) {
        Some('b' | 'c') => at >= 2 && part(&chars[at - 2]),
        Some(letter) => part(&letter),
        None => false,
    }
}

/// How many `#` open a raw string at `at`; `None` if none begins there.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|letter| **letter == '#').count();
    (chars.get(at + hashes) == Some(&'"')).then_some(hashes)
}

/// The length of the character literal at `at`; 1 when the mark opens a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let rest = chars[at + 3..].iter().position(|letter| *letter == '\'');
        return rest.map_or(1, |found| found + 4);
    }
    if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 }
}

/// Which lines stand under `#[cfg(test)]`.
fn test_lines(code: &str) -> Vec<bool> {
    let mut test = vec![false; code.lines().count()];
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let end = start + item_length(&code[start..]);
        let line = |offset: usize| code[..offset].matches('\n').count();
        let last = line(end).min(test.len().saturating_sub(1));
        test[line(start)..=last].fill(true);
    }
    test
}

/// How far the item at the beginning of `code` reaches: its closing brace, or its semicolon if it has no body.
pub(crate) fn item_length(code: &str) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces == 1 => return at,
            '}' => braces = braces.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_are_told_apart() {
        // Blanks are written as `_`, so that they can be counted.
        for (text, code, comment) in [
            ("a; // why", "a;_______", "_____ why"),
            ("a /* b /* c */ d */ e", "a _________________ e", "____ b /* c */ d */__"),
            (r#"f("x // y", '"', 'a')"#, r#"f("______", ___, ___)"#, "_____________________"),
            (r##"r#"a " b"# + x"##, r#"__"_____"_ + x"#, "______________"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "____________________"),
            (r"let c = '\''; x", r"let c = ____; x", "_______________"),
            (r#"br"a\" + for_"x""#, r#"b_"__" + for_"_""#, "________________"),
        ] {
            let (masked, comments) = mask(text);
            assert_eq!(masked, code.replace("for_", "for!").replace('_', " ").replace("for!", "for_"), "{text}");
            assert_eq!(comments, comment.replace('_', " "), "{text}");
        }
    }

    #[test]
    fn lines_of_tests_are_marked() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c(); }\n}\nfn d() {}\n";
        assert_eq!(Source::new("x/src/a.rs", text).test, [false, true, true, true, true, false]);
        let text = "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\nfn d() {}\n";
        assert_eq!(Source::new("x/src/a.rs", text).test, [true, true, true, false]);
        for path in ["x/tests/a.rs", "x/src/a_tests.rs", "x/src/a/tests.rs", "x/src/testing/mod.rs"] {
            assert_eq!(Source::new(path, "fn a() {}\n").test, [true], "{path}");
        }
    }
    #[test]
    fn modules_declared_for_tests_are_tests_wherever_they_lie() {
        let texts = [
            ("x/src/a/mod.rs", "#[cfg(test)]\nmod story;\nmod b;\n"),
            ("x/src/a/story.rs", "fn a() {}\n"),
            ("x/src/a/story/part.rs", "fn a() {}\n"),
            ("x/src/a/b.rs", "#[cfg(test)]\nmod c;\nfn a() {}\n"),
            ("x/src/a/b/c.rs", "fn a() {}\n"),
        ];
        let mut sources = texts.map(|(path, text)| Source::new(path, text));
        mark_test_modules(&mut sources);
        let last: Vec<_> = sources.iter().map(|source| source.test.last().copied()).collect();
        assert_eq!(last, [Some(false), Some(true), Some(true), Some(false), Some(true)]);
    }
}
