//! The `shouwang` command: nouns and verbs, data on stdout, messages on stderr, exit codes of [`crate::exit`].
//!
//! Each noun is a module with its arguments and its `run`; [`Command`] lists them, [`run`] hands over.

pub mod aid;
mod answer;
pub mod backup;
mod change;
pub mod charter;
pub mod client;
pub mod config;
pub mod debts;
pub mod disk;
pub mod doctor;
pub mod floor;
mod history;
mod import;
pub mod init;
pub mod ledger;
pub(crate) mod ledger_check;
mod ledger_head;
mod ledger_words;
mod lots;
mod messages;
pub mod mission;
mod mission_view;
pub mod output;
mod parse;
pub mod pki;
pub mod pledge;
pub mod region;
mod region_view;
pub mod registry;
mod render;
pub mod report;
pub mod rescue;
mod resolve;
pub mod restock;
pub mod restore;
pub mod serve;
pub mod situation;
mod spoken;
pub mod stock;
pub mod store;
pub mod team;
pub mod text;
pub mod usage;
pub mod watch;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Sources, find_file};
use crate::exit::Failure;
use crate::lang::Lang;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "shouwang",
    version,
    about = "Shouwang 守望: mutual aid between municipalities, one node each\n区域应急联动：每个市（盟）一个节点",
    after_help = "Exit codes 退出码: 0 done 成功, 1 failed 失败, 2 usage 用法, 3 refused 被记录拒绝, 4 not found 未找到, \
                  5 unreachable 不可达, 6 not permitted 无权限, 7 deadline 超时, 8 bad input 输入有误, 9 exists 已存在, \
                  10 damaged 数据损坏"
)]
pub struct Cli {
    /// Language of messages 消息语言
    #[arg(long, global = true, value_enum, env = "SHOUWANG_LANG", help_heading = "General 通用")]
    pub lang: Option<Lang>,
    /// Node configuration file 节点配置文件 [default: ./shouwang.toml, then /etc/shouwang/shouwang.toml]
    #[arg(long, global = true, value_name = "FILE", env = "SHOUWANG_CONFIG", help_heading = "General 通用")]
    pub config: Option<PathBuf>,
    /// Override one setting, e.g. --set peer.listen=0.0.0.0:7300 覆盖一项配置，可重复
    #[arg(
        long = "set",
        global = true,
        value_name = "KEY=VALUE",
        value_parser = assignment,
        help_heading = "General 通用"
    )]
    pub set: Vec<(String, String)>,
    /// What to do 要做什么
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns, and the verbs that stand alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prepare a node: keys, certificate request, configuration 初始化节点：密钥、证书请求、配置
    Init(init::InitArgs),
    /// Run the node 运行节点
    Serve,
    /// The federation's certificate authority 联盟证书机构
    Pki(pki::PkiArgs),
    /// The first charter of a region 区域联动协议（首份）
    Charter(charter::CharterArgs),
    /// The node's configuration 节点配置
    Config(config::ConfigArgs),
    /// What lies on this node's disk, while the node stands 节点停止时检查其磁盘存储
    Disk(disk::DiskArgs),
    /// Is this node fit for the night it is needed: disk, storage, ports, certificates, peers, clock, quorum
    /// 节点体检：磁盘、存储、端口、证书、对端、时钟、法定票数，并给出处理办法
    Doctor(doctor::DoctorArgs),
    /// Copies of this node's records that outlive its disks 备份
    Backup(backup::BackupArgs),
    /// A registry out of a backup, onto a node that holds nothing yet 由备份恢复台账
    Restore(restore::RestoreArgs),
    /// Where stock stands 库
    Store(store::StoreArgs),
    /// Lots and what is done with them 物资批次
    Stock(stock::StockArgs),
    /// Teams and vehicles 队伍与车辆
    Team(team::TeamArgs),
    /// What the owner keeps for itself 保底
    Floor(floor::FloorArgs),
    /// The warning in force here 本级预警
    Warning(floor::WarningArgs),
    /// How a region may see a resource 发布
    Publish(floor::PublishArgs),
    /// What is escrowed for a region 承诺
    Pledge(pledge::PledgeArgs),
    /// Aid requests, answers to them, holds and orders 支援请求、答复、占用与下令
    Aid(aid::AidArgs),
    /// What happens between an order and the last unit accounted for 调派
    Mission(mission::MissionArgs),
    /// What members owe each other 补偿义务
    Obligation(debts::ObligationArgs),
    /// Contradictions between what two sides said 差异
    Discrepancy(debts::DiscrepancyArgs),
    /// Goods that come in to settle a debt 补库
    Restock(restock::RestockArgs),
    /// What every pair of members owes each other 往来对账
    Statement(debts::StatementArgs),
    /// What came of a command, by its request id 按请求编号查询命令结果
    Outcome(watch::OutcomeArgs),
    /// Follow a ledger as it grows 订阅账本
    Watch(watch::WatchArgs),
    /// The region on one screen 区域态势
    Situation(situation::SituationArgs),
    /// The secretariat's papers 报表
    Report(report::ReportArgs),
    /// Where a figure comes from, and proofs that the ledger is whole 对象历史、账本存证与核验
    Ledger(ledger::LedgerArgs),
    /// The region: charter, members, changes, and this node's part in it 区域：协议、成员、变更与本节点
    Region(region::RegionArgs),
    /// The lines between registry and regions 信使
    Courier(region::CourierArgs),
    /// A region that has lost its quorum for good goes on with those who are left 区域失去法定票数后的救援
    Rescue(rescue::RescueArgs),
    /// The registry's storage, after damage 台账存储受损后的处置
    Registry(registry::RegistryArgs),
}

/// What every command gets besides its own arguments.
#[derive(Clone, Debug)]
pub struct Context {
    /// The reader's language.
    pub lang: Lang,
    /// What the node's configuration is made from.
    pub sources: Sources,
}

impl Cli {
    /// The language chosen by flag or environment.
    pub fn language(&self) -> Lang {
        Lang::choose(self.lang, |name| std::env::var(name).ok())
    }

    /// The context of this invocation: language, file, flags, environment.
    pub fn context(&self) -> Context {
        // A variable that is not UTF-8 can be none of ours: their names are ASCII, and their values are parsed as text.
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("SHOUWANG_"))
            .collect();
        let sources = Sources { file: find_file(self.config.as_deref()), flags: self.set.clone(), environment };
        Context { lang: self.language(), sources }
    }
}

/// Runs a command.
///
/// # Errors
/// [`Failure`], with the exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let context = cli.context();
    match cli.command {
        Command::Init(args) => init::run(&args, &context),
        Command::Serve => serve::run(&context),
        Command::Pki(args) => pki::run(args, &context),
        Command::Charter(args) => charter::run(args, &context),
        Command::Config(args) => config::run(&args, &context),
        Command::Disk(args) => disk::run(&args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Backup(args) => backup::run(&args, &context),
        Command::Restore(args) => restore::run(&args, &context),
        Command::Store(args) => store::run(args, &context),
        Command::Stock(args) => stock::run(args, &context),
        Command::Team(args) => team::run(args, &context),
        Command::Floor(args) => floor::floor(args, &context),
        Command::Warning(args) => floor::warning(&args, &context),
        Command::Publish(args) => floor::publish(args, &context),
        Command::Pledge(args) => pledge::run(args, &context),
        Command::Aid(args) => aid::run(args, &context),
        Command::Mission(args) => mission::run(args, &context),
        Command::Obligation(args) => debts::obligation(args, &context),
        Command::Discrepancy(args) => debts::discrepancy(args, &context),
        Command::Restock(args) => restock::run(args, &context),
        Command::Statement(args) => debts::statement(args, &context),
        Command::Outcome(args) => watch::outcome(&args, &context),
        Command::Watch(args) => watch::watch(&args, &context),
        Command::Situation(args) => situation::run(&args, &context),
        Command::Report(args) => report::run(&args, &context),
        Command::Ledger(args) => ledger::run(&args, &context),
        Command::Region(args) => region::run(args, &context),
        Command::Courier(args) => region::courier(&args, &context),
        Command::Rescue(args) => rescue::run(args, &context),
        Command::Registry(args) => registry::run(&args, &context),
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as peer.listen=127.0.0.1:7300".to_owned()),
    }
}

#[cfg(test)]
mod verbs_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_given_as_key_and_value() {
        let cli = Cli::try_parse_from(["shouwang", "--set", "peer.listen=[::1]:1", "config", "show"]).unwrap();
        assert_eq!(cli.set, [("peer.listen".to_owned(), "[::1]:1".to_owned())]);
        assert!(Cli::try_parse_from(["shouwang", "--set", "peer.listen", "config", "show"]).is_err());
        assert!(Cli::try_parse_from(["shouwang", "--lang", "fr", "config", "show"]).is_err());
    }
}
