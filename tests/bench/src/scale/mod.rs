//! How large a node may grow on its own: lines of stock, records of a ledger, watchers. Nothing runs beside it that it is
//! compared with; what is measured is the real program as a process, asked over its API.
//!
//! Entry point: [`run`]. What must never stand here: a shortcut into a node's data.

mod issuer;
mod ledger;
mod lines;
mod members;
mod night;
mod process;
mod site;
mod thin;
mod watchers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tokio::task::block_in_place;

use crate::report::Sheet;
use crate::works::Work;

/// How much is measured, and where.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Which works; none stands for all.
    pub works: Vec<&'static str>,
    /// Lots in one registry.
    pub lines: usize,
    /// Items they are of, each released to the region.
    pub items: usize,
    /// Records in the ledger of a region.
    pub records: usize,
    /// Watchers on one node.
    pub watchers: usize,
    /// Members of a region, one size after the other.
    pub members: Vec<usize>,
    /// Requests of the night that a follower behind a thin line sees.
    pub requests: usize,
    /// How long each rate is measured.
    pub span: Duration,
    /// Where the nodes keep their data. A ledger that an earlier run left there is used again.
    pub folder: PathBuf,
}

impl Scale {
    fn asks(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.contains(&work)
    }
}

/// The groups of works, as they are asked for.
pub const GROUPS: [&str; 5] = ["lines", "ledger", "watchers", "members", "thin"];

/// All figures, in the order in which they are told.
pub fn works() -> impl Iterator<Item = &'static Work> {
    lines::WORKS.iter().chain(&ledger::WORKS).chain(&watchers::WORKS).chain(&members::WORKS).chain(&thin::WORKS)
}

const fn figure(name: &'static str, unit: &'static str, more: bool, about: &'static str) -> Work {
    Work { name, clients: &[], unit, about, more }
}

/// An empty folder. What a run leaves there stays until the next, for whoever wants to know what went wrong.
fn anew(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(folder.to_owned())
}

/// Measures what is asked for, one after the other, each on a node of its own.
///
/// # Errors
/// What went wrong first. What was measured until then is in the sheet.
pub async fn run(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    if scale.asks("lines") {
        lines::measure(scale, sheet).await?;
    }
    if scale.asks("ledger") {
        ledger::measure(scale, sheet).await?;
    }
    if scale.asks("watchers") {
        watchers::measure(scale, sheet).await?;
    }
    if scale.asks("members") {
        block_in_place(|| members::measure(scale, sheet))?;
    }
    if scale.asks("thin") {
        block_in_place(|| thin::measure(scale, sheet))?;
    }
    Ok(())
}
