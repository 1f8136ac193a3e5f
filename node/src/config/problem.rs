//! What can be wrong with a configuration, in both languages, each with a stable code and its place.

use std::fmt;

use crate::exit::{Exit, Failure};
use crate::lang::{Bilingual, Lang, shortened};

/// Most characters of a place or a text: what is wrong may be as long as the file, what is said of it must be read.
const CHARS_MAX: usize = 400;
/// Most faults that are told at once.
const LINES_MAX: usize = 20;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable reason code.
    pub code: &'static str,
    /// Where: a file and line, a variable, a flag, or a setting's name.
    pub place: String,
    /// What is wrong and how to mend it.
    pub text: Bilingual,
}

impl Problem {
    pub(super) fn new(
        code: &'static str,
        place: impl Into<String>,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        let text = Bilingual::new(shortened(&zh.into(), CHARS_MAX), shortened(&en.into(), CHARS_MAX));
        Self { code, place: shortened(&place.into(), CHARS_MAX), text }
    }

    /// One line for a reader of `lang`.
    pub fn line(&self, lang: Lang) -> String {
        format!("{}: {} [{}]", self.place, self.text.get(lang), self.code)
    }
}

/// Every fault of a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The faults, in the order they were met.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl ConfigError {
    fn lines(&self, lang: Lang) -> String {
        let mut lines: Vec<_> = self.problems.iter().take(LINES_MAX).map(|problem| problem.line(lang)).collect();
        let more = self.problems.len().saturating_sub(LINES_MAX);
        if more > 0 {
            lines.push(match lang {
                Lang::Zh => format!("另有 {more} 处；请先改正以上各处"),
                Lang::En => format!("and {more} more; mend these first"),
            });
        }
        lines.join("\n")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(Lang::En))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let text = Bilingual::new(
            format!("配置有误：\n{}", error.lines(Lang::Zh)),
            format!("the configuration is wrong:\n{}", error.lines(Lang::En)),
        );
        Self::new(Exit::BadInput, "CONFIG_INVALID", text)
    }
}
