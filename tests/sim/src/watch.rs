//! The run as it is looked at from above: its trace, its first violation, its figures.

use std::fmt;

use crate::figures::Figures;

/// Something that was not as it must be, and which check saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check, by its name in docs/reliability.md.
    pub check: String,
    /// What it saw.
    pub what: String,
}

impl Violation {
    /// What a check saw.
    pub fn new(check: &str, what: impl Into<String>) -> Self {
        Self { check: check.to_owned(), what: what.into() }
    }

    /// For `map_err`: the check under which something went wrong.
    pub fn by<E: fmt::Display>(check: &str) -> impl Fn(E) -> Self {
        move |error| Self::new(check, error.to_string())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.check, self.what)
    }
}

/// What a check says.
pub(crate) type Verdict = Result<(), Violation>;

/// Trace, verdict and figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Hash over everything delivered and done.
    pub trace: u64,
    /// The first thing that was not as it must be.
    pub violation: Option<Violation>,
    /// What was counted.
    pub figures: Figures,
}

impl Watch {
    /// Adds to the trace.
    pub fn mark(&mut self, values: &[u64]) {
        for value in values {
            self.trace = (self.trace ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// Keeps the first violation.
    pub fn violate(&mut self, check: &str, what: impl Into<String>) {
        if self.violation.is_none() {
            self.violation = Some(Violation::new(check, what));
        }
    }

    /// Keeps the verdict, if it is a violation.
    pub fn hold(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }
}
