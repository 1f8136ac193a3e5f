//! What a person is told about one row.

use serde::Serialize;

use crate::lang::Bilingual;

/// One remark on a row: a reason for refusing it, or something to look at in a row that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// A code for programs, never changed once given (`APPROXIMATE_QUANTITY`).
    pub code: &'static str,
    /// What it is and how to mend it.
    pub text: Bilingual,
}

impl Note {
    /// A note whose sentences are built from the row.
    pub(super) fn new(code: &'static str, zh: String, en: String) -> Self {
        Self { code, text: Bilingual::new(zh, en) }
    }

    /// A note that always reads the same.
    pub(super) fn fixed(code: &'static str, zh: &'static str, en: &'static str) -> Self {
        Self { code, text: Bilingual::fixed(zh, en) }
    }
}
