//! How deep a TOML file nests, counted before it is parsed. The parser has a limit of its own, but loses count where it
//! skips what it does not understand: a quarter of a megabyte of unclosed brackets overflowed a stack of two.

use serde::de::DeserializeOwned;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::lang::Bilingual;

/// Brackets and braces in one another that a file may have. What is read here needs four.
const DEPTH_MAX: usize = 16;

/// What nests too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {} / {}", Self::text().en, Self::text().zh)]
pub(crate) struct TooDeep {
    /// The line on which it does.
    pub line: usize,
}

impl TooDeep {
    /// What is wrong, and how to mend it.
    pub fn text() -> Bilingual {
        Bilingual::new(
            format!("括号嵌套超过 {DEPTH_MAX} 层，可能有括号没有闭合"),
            format!("more than {DEPTH_MAX} brackets stand in one another: one of them may not be closed"),
        )
    }
}

/// Refuses a text in which too many brackets are open at once. A closing bracket of another kind closes nothing, here as in
/// the parser, so that no level of the parser's is missed.
///
/// # Errors
/// [`TooDeep`].
pub(crate) fn check(text: &str) -> Result<(), TooDeep> {
    let mut open = Vec::new();
    for token in Source::new(text).lex() {
        match token.kind() {
            kind @ (TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket) => open.push(kind),
            TokenKind::RightSquareBracket if open.last() == Some(&TokenKind::LeftSquareBracket) => drop(open.pop()),
            TokenKind::RightCurlyBracket if open.last() == Some(&TokenKind::LeftCurlyBracket) => drop(open.pop()),
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            let before = text.get(..token.span().start()).unwrap_or_default();
            return Err(TooDeep { line: 1 + before.matches('\n').count() });
        }
    }
    Ok(())
}

/// A TOML text that is no `T`.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TomlError {
    /// It nests too deep to be read.
    #[error(transparent)]
    Deep(#[from] TooDeep),
    /// What the parser says.
    #[error(transparent)]
    Content(#[from] toml::de::Error),
}

/// The value of a text that is not trusted.
///
/// # Errors
/// [`TomlError`], with the line.
pub(crate) fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, TomlError> {
    check(text)?;
    Ok(toml::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_at_once_counts_and_what_is_closed_or_quoted_does_not() {
        let deep = |part: &str, times: usize| check(&part.repeat(times)).is_err();
        // A header, an array of tables, a list of peers: however many.
        assert!(!deep("[a]\n", 1000) && !deep("[[a]]\n", 1000) && !deep("a = [{ b = [1] }]\n", 1000));
        assert!(!deep("a = \"[{[{\"\n", 1000) && !deep("# [[[[\n", 1000) && !deep("a = '''\n[[[{'''\n", 1000));
        assert!(!deep("[", DEPTH_MAX) && deep("[", DEPTH_MAX + 1));
        // What the parser's own count takes for closed.
        for part in ["a = [ {\n[b]\n", "a={[]]", "a=[{}}", "{]", "[}"] {
            assert!(deep(part, 1000), "{part}");
        }
        assert_eq!(check(&"a = [ {\n[b]\n".repeat(9)), Err(TooDeep { line: 16 }));
    }

    #[test]
    fn the_parser_needs_little_stack_for_what_passes() {
        let worst = ["a = [ {\n[b]\n", "a={[]]", "a=[{}}", "{]", "[}", "[{[]", "a.", "[a.", "a={a.", "[{a=["];
        let pass = worst.map(|part| part.repeat(200_000 / part.len()));
        let small = std::thread::Builder::new().stack_size(512 * 1024);
        let run = small.spawn(move || {
            for text in pass.iter().filter(|text| check(text).is_ok()) {
                assert!(toml::from_str::<toml::Table>(text).is_err());
            }
        });
        run.unwrap().join().unwrap();
    }
}
