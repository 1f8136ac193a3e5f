//! The two languages a node speaks: which one to use, and sentences that exist in both.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A language of the people who use a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
pub enum Lang {
    /// Simplified Chinese 简体中文
    #[value(name = "zh", aliases = ["zh-CN", "zh_CN", "cn"])]
    #[serde(rename = "zh-CN")]
    Zh,
    /// English 英文
    #[default]
    #[value(name = "en", aliases = ["en-US", "en_US", "en-GB"])]
    #[serde(rename = "en")]
    En,
}

impl Lang {
    /// The language of a locale such as `zh_CN.UTF-8`; `None` when it names neither language (`C`, `POSIX`, others).
    pub fn of_locale(locale: &str) -> Option<Self> {
        let language = locale.split(['_', '-', '.', '@']).next().unwrap_or_default().to_ascii_lowercase();
        match language.as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// Chooses by precedence: `--lang` (which already includes `SHOUWANG_LANG`), then `LC_ALL`, `LC_MESSAGES`, `LANG`,
    /// then English. `variable` looks an environment variable up.
    pub fn choose(flag: Option<Self>, variable: impl Fn(&str) -> Option<String>) -> Self {
        flag.or_else(|| {
            // POSIX: the first of these that is set and not empty decides, the later ones are not asked.
            let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))?;
            Self::of_locale(&locale)
        })
        .unwrap_or_default()
    }

    /// The one of two forms that stands in this language.
    pub fn pick<T>(self, zh: T, en: T) -> T {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// The language tag, `zh-CN` or `en`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }
}

/// One sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bilingual {
    /// The sentence in simplified Chinese.
    pub zh: Cow<'static, str>,
    /// The sentence in English.
    pub en: Cow<'static, str>,
}

impl Bilingual {
    /// A sentence known at compile time.
    pub const fn fixed(zh: &'static str, en: &'static str) -> Self {
        Self { zh: Cow::Borrowed(zh), en: Cow::Borrowed(en) }
    }

    /// A sentence built at run time.
    pub fn new(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// The sentence in `lang`.
    pub fn get(&self, lang: Lang) -> &str {
        lang.pick(&self.zh, &self.en)
    }
}

impl fmt::Display for Bilingual {
    /// English, for logs and for errors that have no reader's language at hand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// A text of at most `chars` characters and a sign for what is left out of its middle: how to mend something stands at the
/// end of what is said of it.
pub fn shortened(text: &str, chars: usize) -> String {
    let all = text.chars().count();
    if all <= chars {
        return text.to_owned();
    }
    let begin: String = text.chars().take(chars / 2).collect();
    let end: String = text.chars().skip(all - chars / 2).collect();
    format!("{begin} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_name_a_language() {
        for (locale, expected) in [
            ("zh_CN.UTF-8", Some(Lang::Zh)),
            ("zh-Hans-CN", Some(Lang::Zh)),
            ("ZH", Some(Lang::Zh)),
            ("en_US.UTF-8", Some(Lang::En)),
            ("C.UTF-8", None),
            ("POSIX", None),
            ("", None),
            ("zhuang", None),
        ] {
            assert_eq!(Lang::of_locale(locale), expected, "{locale}");
        }
    }

    #[test]
    fn the_flag_comes_first_and_an_unknown_locale_means_english() {
        let environment = |name: &str| match name {
            "LC_ALL" => Some(String::new()),
            "LANG" => Some("zh_CN.UTF-8".to_owned()),
            _ => None,
        };
        assert_eq!(Lang::choose(None, environment), Lang::Zh);
        assert_eq!(Lang::choose(Some(Lang::En), environment), Lang::En);
        assert_eq!(Lang::choose(None, |_| Some("C".to_owned())), Lang::En);
        assert_eq!(Lang::choose(None, |_| None), Lang::En);
    }

    #[test]
    fn a_sentence_is_given_in_the_language_asked_for() {
        let sentence = Bilingual::fixed("已断开", "cut off");
        assert_eq!((sentence.get(Lang::Zh), sentence.get(Lang::En)), ("已断开", "cut off"));
        assert_eq!(sentence.to_string(), "cut off");
    }
}
