//! Reading everything that this node keeps on its disk, while it stands: what is wrong, where, and what to do about it.
//!
//! Nothing is changed; what a start mends by itself is told as such. What must never stand here: a repair.

use std::path::PathBuf;

use serde::Serialize;
use shouwang_domain::charter::Charter;
use shouwang_domain::ids::RecordId;
use shouwang_domain::level::TooOld;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::RegistryGenesis;
use shouwang_driver::{
    CheckedRecord, Damage, DiskCheck, DiskReport, DriverError, DriverOptions, HostSpec, Reading, Remedy,
};
use shouwang_store::StoreError;

use super::{founding, from_driver, identity, options, record_options, registry_spec};
use crate::charter;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// The code of a check that is not made because the node runs.
pub const LOCKED: &str = "STORE_LOCKED";

/// The code of a checkpoint that another version of the program wrote.
pub const FOREIGN: &str = "STORE_CHECKPOINT_FOREIGN";

/// What became of damage, or will when the node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outlook {
    /// The next start rebuilds it from what else is here.
    Mended,
    /// The node fetches it from another one.
    Fetching,
    /// An operator must act.
    Operator,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// A stable code, such as `STORE_LEDGER_DAMAGED`.
    pub code: &'static str,
    /// The file, or the folder of what is missing.
    pub path: PathBuf,
    /// The record it belongs to, by the name that people know; empty if it is not of one alone.
    pub record: String,
    /// What comes of it.
    pub outlook: Outlook,
    /// What it is, and what it means.
    pub what: Bilingual,
    /// What to do.
    pub mend: Bilingual,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadRecord {
    /// Its id.
    pub id: String,
    /// The name that people know.
    pub title: String,
    /// `registry`, `region`, or empty for one that the configuration does not name or that no start opens.
    pub kind: String,
    /// The epoch with which it was set aside; nothing if it was not.
    pub set_aside: Option<u32>,
    /// The revision of the state that a start begins from.
    pub state: u64,
    /// The oldest revision of its ledger from which on nothing is missing; 0 if there is none.
    pub oldest: u64,
    /// The newest revision of its ledger.
    pub newest: u64,
    /// Sealed segments that hold what they say.
    pub segments: usize,
    /// Checkpoints that hold what they say.
    pub checkpoints: usize,
    /// Entries of its log.
    pub log_entries: u64,
    /// From which revision on its states were made again and compared; nothing if they could not be.
    pub replayed_from: Option<u64>,
}

/// What was read, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The registry first, then the regions, then what the configuration does not name.
    pub records: Vec<ReadRecord>,
    /// What is wrong.
    pub findings: Vec<Found>,
    /// Damaged files that earlier starts have moved out of the way; nothing reads them any more.
    pub moved_away: Vec<PathBuf>,
}

/// Reads all of it. `progress` is told what is being read by the name that people know, how far, and of how much. Blocks.
///
/// # Errors
/// [`Failure`]: `STORE_LOCKED` while the node runs; a configuration or key that cannot be used.
pub fn check(config: &Config, progress: &dyn Fn(&str, u64, u64)) -> Result<Report, Failure> {
    let (node, keys) = identity(config)?;
    let mut findings = Vec::new();
    let genesis = founding::kept(config, node, &keys).unwrap_or_else(|failure| {
        findings.push(document(config.data_dir.join(founding::FILE), String::new(), failure));
        None
    });
    let mut regions = Vec::new();
    for region in &config.regions {
        match charter::load_complete(&region.charter) {
            Ok(signed) => regions.push((region.name.clone(), signed.charter)),
            Err(failure) => findings.push(document(region.charter.clone(), region.name.clone(), failure)),
        }
    }
    let named = Named::new(config, genesis, regions);
    let told = |reading: Reading| match reading {
        Reading::Record(id, done, all) => progress(&named.title(id), done, all),
        Reading::Index => progress("index", 0, 0),
    };
    let read = named.read(&options(config, node, founding::was_started(config)), &told)?;
    let of = |damage: &Damage| damage.record.map(|id| named.title(id)).unwrap_or_default();
    findings.extend(read.damage.iter().map(|damage| found(damage, of(damage))));
    let records = read.records.iter().map(|record| row(record, named.title(record.id))).collect();
    Ok(Report { records, findings, moved_away: read.moved_away })
}

/// The records that the configuration names.
struct Named {
    registry: Option<HostSpec<Registry>>,
    regions: Vec<HostSpec<Region>>,
    titles: Vec<(RecordId, String)>,
}

impl Named {
    fn new(config: &Config, genesis: Option<RegistryGenesis>, regions: Vec<(String, Charter)>) -> Self {
        let mut titles = Vec::new();
        let registry = genesis.map(|genesis| {
            let title = genesis.name.clone();
            let spec = registry_spec(genesis);
            titles.push((spec.id, title));
            spec
        });
        let region = |(title, charter)| {
            let spec = HostSpec::<Region>::found(charter, record_options(config));
            titles.push((spec.id, title));
            spec
        };
        let regions = regions.into_iter().map(region).collect();
        Self { registry, regions, titles }
    }

    fn title(&self, id: RecordId) -> String {
        let known = self.titles.iter().find(|(known, _)| *known == id);
        known.map_or_else(|| id.short(), |(_, title)| title.clone())
    }

    fn read(&self, options: &DriverOptions, progress: &dyn Fn(Reading)) -> Result<DiskReport, Failure> {
        let Some(mut disk) = DiskCheck::open(options).map_err(|error| not_now(&error))? else {
            return Ok(DiskReport::default());
        };
        if let Some(spec) = &self.registry {
            disk.record(spec, progress).map_err(|error| from_driver(&error))?;
        }
        for spec in &self.regions {
            disk.record(spec, progress).map_err(|error| from_driver(&error))?;
        }
        Ok(disk.finish(progress))
    }
}

/// Why nothing was read.
fn not_now(error: &DriverError) -> Failure {
    match error {
        DriverError::Store(store) if matches!(**store, StoreError::Locked { .. }) => {
            let text = Bilingual::new(
                format!("{}。节点正在运行：其发现见 shouwang region status；如需完整检查请先停止节点", store.zh()),
                format!(
                    "{store}. The node runs: what it has found is told by shouwang region status; stop it for a full check"
                ),
            );
            Failure::new(Exit::Failure, LOCKED, text)
        }
        other => from_driver(other),
    }
}

fn row(record: &CheckedRecord, title: String) -> ReadRecord {
    let (oldest, newest) = record.ledger.unwrap_or_default();
    ReadRecord {
        id: record.id.to_string(),
        title,
        kind: record.machine.unwrap_or_default().to_owned(),
        set_aside: record.set_aside,
        state: record.state,
        oldest,
        newest,
        segments: record.segments,
        checkpoints: record.checkpoints,
        log_entries: record.log_entries,
        replayed_from: record.replayed.map(|(from, _)| from),
    }
}

/// A founding document that cannot be used.
fn document(path: PathBuf, record: String, failure: Failure) -> Found {
    let mend = Bilingual::fixed(
        "由备份或其他节点恢复该文件，切勿删除或改写",
        "restore the file from a copy or from another node; do not delete or rewrite it",
    );
    Found { code: failure.code, path, record, outlook: Outlook::Operator, what: failure.text, mend }
}

fn found(damage: &Damage, record: String) -> Found {
    let (zh, en) = match &damage.error {
        DriverError::Store(error) => (error.zh(), error.to_string()),
        DriverError::TooOld(error) => (error.zh(), error.to_string()),
        other => (format!("记录无法打开：{other}"), other.to_string()),
    };
    let outlook = match damage.remedy {
        Remedy::Mended => Outlook::Mended,
        Remedy::Fetching => Outlook::Fetching,
        Remedy::Operator => Outlook::Operator,
    };
    let (code, path) = (damage.error.code(), damage.path.clone());
    Found { code, path, record, outlook, what: Bilingual::new(zh, en), mend: mend(damage) }
}

/// What keeps a record from starting: its log is not what it promised, or no state is left.
const LOG_CODES: [&str; 5] = ["STORE_LOG_DAMAGED", "STORE_LOG_CORRUPT", "STORE_NO_USABLE_CHECKPOINT", "UNFIT", "RAFT"];

/// What to do: as docs/reliability.md says it.
fn mend(damage: &Damage) -> Bilingual {
    match (damage.remedy, damage.error.code()) {
        (Remedy::Mended, _) => Bilingual::fixed(
            "无须处理：节点启动时自动重建；请留意磁盘",
            "nothing: the node rebuilds it when it starts; have an eye on the disk",
        ),
        (Remedy::Fetching, _) => Bilingual::fixed(
            "启动节点：自动向其他节点索取",
            "start the node: it fetches what is missing from another one",
        ),
        (_, TooOld::CODE | FOREIGN) => Bilingual::fixed(
            "数据完好，无须修复：安装所述程序后启动节点（或取消 hold_level）",
            "nothing is damaged: install the program it names and start the node (or stop holding it back with hold_level)",
        ),
        (_, "STORE_MARKER_MISSING" | "STORE_MARKER_MISMATCH" | "STORE_MARKER_DAMAGED") => Bilingual::fixed(
            "挂载正确的磁盘；若原盘已失，以新编号重新加入，台账由备份恢复（shouwang restore）",
            "mount the right disk; if it is lost, join anew under a new node number, and restore the registry from a \
             backup (shouwang restore)",
        ),
        (_, "STORE_LEDGER_GAP" | "STORE_LEDGER_DAMAGED" | "STORE_LEDGER_SHORT") => Bilingual::fixed(
            "先整盘复制留存；缺失的历史仅备份中有，由备份恢复（shouwang restore）",
            "keep a copy of the whole disk first; what is missing of the history is in a backup alone (shouwang restore)",
        ),
        (_, "RESCUE_PENDING") => Bilingual::fixed(
            "完成救援（shouwang rescue begin），或加入新纪元（shouwang rescue rejoin），见 docs/rescue.md",
            "finish the rescue (shouwang rescue begin), or join the new epoch (shouwang rescue rejoin); see docs/rescue.md",
        ),
        (_, "STORE_IO") => Bilingual::fixed(
            "检查磁盘、线缆与数据目录权限，换盘前先整盘复制",
            "see to the disk, its cables and the rights of the data folder; copy the whole disk before it is replaced",
        ),
        (_, "STORE_CHECKPOINT_DAMAGED") => Bilingual::fixed(
            "整盘复制留存并报告：校验和完好而内容相悖，是程序或内存之误",
            "keep a copy of the whole disk and report it: sums that fit and states that do not are a fault of the program \
             or of the memory",
        ),
        (_, code) if !LOG_CODES.contains(&code) => Bilingual::fixed(
            "按所述处理（检查本身需要临时目录 TMPDIR 有空间），再检查一次",
            "see to what it says (the check itself needs room in the temporary folder, TMPDIR), and check again",
        ),
        _ if damage.alone => Bilingual::fixed(
            "先整盘复制留存；启动后仅可查阅，确认损失后停止节点并执行 shouwang registry accept-loss，随后盘点库存",
            "keep a copy of the whole disk first; the node shows what can be read; once the loss is accepted, stop it, run \
             shouwang registry accept-loss, and count the stock",
        ),
        _ => Bilingual::fixed(
            "启动后仅可查阅；本节点须退出该区域，以新编号重新加入",
            "the node shows what can be read; let it leave the region and join anew under a new node number",
        ),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
