//! Paper in: the ledgers (台账) and catalogues that people keep in Excel and CSV files.
//!
//! Entry points: [`Table::read`] for a file, [`ledger::read_stock`] and [`units::read_units`] for what it says,
//! [`catalogue::Catalogue::read`] for the user's own mapping of words to codes. Every row of a file ends in exactly one
//! verdict of an [`report::ImportReport`]; nothing is guessed and nothing is dropped. What must never stand here: a
//! change to any record. The report is what a person reads before anything is written.
//!
//! Paper out: [`region_report::RegionReport`] for the joint meeting, a fold over a region's record; [`ledger_copy`], a
//! whole ledger as a file, for auditors.

pub mod catalogue;
mod columns;
mod csv;
mod dates;
mod error;
mod figures;
pub mod identity;
pub mod ledger;
pub mod ledger_copy;
mod message_words;
mod note;
pub mod region_events;
pub mod region_report;
pub mod registry_events;
pub mod report;
mod stock_row;
pub mod table;
pub mod text;
pub mod units;
mod xlsx;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub mod region_story;
#[cfg(test)]
mod shipped_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod units_tests;

pub use error::{DocumentError, Problem};
pub use note::Note;
pub use table::{Cell, Table};
