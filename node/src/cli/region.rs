//! `shouwang region` and `courier`: the record that neighbours share, the node's part in it, and its lines.

use clap::{Args, Subcommand};
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::admin::v1::{
    Courier, GetNodeStatusRequest, GroupNode, ListCouriersRequest, RaiseLevelRequest, RecordStatus, SetVoterRequest,
    TakeCheckpointRequest, TransferLeadershipRequest,
};
use shouwang_proto::v1::JoinRegionRequest;
use tonic::transport::Channel;

use super::change::{self, ChangeVerb};
use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::output::text_out;
use super::region_view::{self, ViewVerb};
use super::render::Heads;
use super::text::clean;
use super::words::{self, dash};
use super::{Context, parse};
use crate::exit::Failure;

/// Arguments of `shouwang region`.
#[derive(Debug, Args)]
pub struct RegionArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    View(ViewVerb),
    /// The state of every record on this node 本节点各记录的状态
    Status,
    /// Open the registry's channel to a region 开通台账到区域的通道
    Join {
        /// What people here call the region [default: the charter's name] 本地称呼
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
    },
    #[command(flatten)]
    Change(Box<ChangeVerb>),
    /// Make a node a voter; a vote carries no authority 设为投票节点
    Promote {
        /// The node, such as 150300/1 节点
        #[arg(value_parser = parse::node)]
        node: String,
    },
    /// Make a node a learner 设为学习节点
    Demote {
        /// The node 节点
        #[arg(value_parser = parse::node)]
        node: String,
    },
    /// Raise the region's feature level by one, once every node is upgraded; it never falls again
    /// 各节点升级后将区域的功能级别提高一级；不可降低
    RaiseLevel {
        /// The next level, one above what region show tells 下一级别
        #[arg(value_parser = clap::value_parser!(u32).range(2..))]
        to: u32,
    },
    /// Hand the leadership over 移交主节点
    Transfer {
        /// To which node [default: the record chooses] 移交给（默认自动选择）
        #[arg(value_parser = parse::node)]
        node: Option<String>,
        /// Of the registry instead of the region 台账而非区域
        #[arg(long)]
        registry: bool,
    },
    /// Write a checkpoint now 立即写检查点
    Checkpoint {
        /// Of the registry instead of the region 台账而非区域
        #[arg(long)]
        registry: bool,
    },
}

/// Arguments of `shouwang courier`.
#[derive(Debug, Args)]
pub struct CourierArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: CourierVerb,
}

#[derive(Debug, Subcommand)]
enum CourierVerb {
    /// Where the couriers between registry and regions stand 信使的进度
    Status,
}

fn admin(client: &Client) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(client.channel.clone())
}

/// Runs `shouwang region`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: RegionArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let region = client.region.clone();
        let of = |registry: bool| if registry { "registry".to_owned() } else { region.clone() };
        match args.verb {
            Verb::View(verb) => region_view::run(client, verb).await,
            Verb::Change(verb) => change::run(client, *verb).await,
            Verb::Status => status(client).await,
            Verb::Join { title } => {
                let mut api = client.registry();
                carry!(client, api, "region join", join_region, JoinRegionRequest { region, title })
            }
            Verb::Promote { node } => set_voter(client, node, true).await,
            Verb::Demote { node } => set_voter(client, node, false).await,
            Verb::RaiseLevel { to } => {
                let mut api = admin(client);
                carry!(client, api, "region raise-level", raise_level, RaiseLevelRequest { region, to })
            }
            Verb::Transfer { node, registry } => transfer(client, of(registry), node.unwrap_or_default()).await,
            Verb::Checkpoint { registry } => checkpoint(client, of(registry)).await,
        }
    })
}

async fn set_voter(client: &Client, node: String, voter: bool) -> Result<(), Failure> {
    let (mut api, region) = (admin(client), client.region.clone());
    carry!(client, api, "region promote", set_voter, SetVoterRequest { region, node, voter })
}

async fn transfer(client: &Client, record: String, node: String) -> Result<(), Failure> {
    let request = TransferLeadershipRequest { record, node };
    let answer = client.done(admin(client).transfer_leadership(client.request(request)).await)?;
    let leader = dash(&answer.leader);
    client.show(&answer, &[("主节点", "LEADER")], &[vec![leader]])
}

async fn checkpoint(client: &Client, record: String) -> Result<(), Failure> {
    let answer = client.done(admin(client).take_checkpoint(client.request(TakeCheckpointRequest { record })).await)?;
    let revision = answer.revision.to_string();
    client.show(&answer, &[("检查点版本", "REVISION")], &[vec![revision]])
}

async fn status(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("记录", "RECORD"),
        ("种类", "KIND"),
        ("名称", "NAME"),
        ("本节点", "ROLE"),
        ("任期", "TERM"),
        ("主节点", "LEADER"),
        ("版本", "REVISION"),
        ("已应用", "APPLIED"),
        ("级别", "LEVEL"),
        ("联系", "TOUCH"),
        ("问题", "TROUBLE"),
    ];
    let answer = client.done(admin(client).get_node_status(client.request(GetNodeStatusRequest {})).await)?;
    let row = |record: &RecordStatus| {
        let as_of = record.as_of.clone().unwrap_or_default();
        let touch = if as_of.in_touch {
            client.lang.pick("正常", "in touch").to_owned()
        } else {
            let seconds = as_of.stale_ms.div_ceil(1000);
            client.lang.pick(format!("断开 {seconds} 秒"), format!("cut off {seconds} s"))
        };
        let full =
            if record.disk_full { client.lang.pick("磁盘已满 ", "disk full ").to_owned() } else { String::new() };
        vec![
            record.id.chars().take(8).collect(),
            words::RECORD_KIND.get(record.kind, client.lang),
            record.title.clone(),
            words::RAFT_ROLE.get(record.role, client.lang),
            record.term.to_string(),
            dash(&record.leader),
            as_of.revision.to_string(),
            record.applied.to_string(),
            format!("{} ≤ {}", record.feature_level, record.feature_level_max),
            touch,
            dash(&format!("{full}{}", record.trouble)),
        ]
    };
    let rows: Vec<_> = answer.records.iter().map(row).collect();
    client.show(&answer, HEADS, &rows)?;
    if client.output == super::output::Format::Table {
        for record in answer.records.iter().filter(|record| record.group.len() > 1) {
            text_out(&format!("\n{}\n", clean(&record.title)))?;
            let rows: Vec<_> = record.group.iter().map(|node| group_row(client, node)).collect();
            client.show(&answer, GROUP, &rows)?;
        }
        let since = words::time(answer.started_at);
        let (node, federation, version) = (&answer.node, &answer.federation, &answer.version);
        client.say(
            format!("节点 {node}（{federation}），版本 {version}，自 {since} 运行"),
            format!("node {node} of {federation}, version {version}, running since {since}"),
        );
        for finding in &answer.findings {
            let remedy = words::STORE_REMEDY.get(finding.remedy, client.lang);
            let (code, zh, en) = (&finding.code, &finding.zh, &finding.en);
            client.say(format!("{code}（{remedy}）：{zh}"), format!("{code} ({remedy}): {en}"));
        }
    }
    Ok(())
}

/// The nodes of a record's group.
const GROUP: &Heads = &[
    ("节点", "NODE"),
    ("投票", "VOTES"),
    ("支持级别", "KNOWS LEVEL"),
    ("联系", "TOUCH"),
    ("已同步至", "MATCHED"),
    ("追赶中", "CATCHING UP"),
];

fn group_row(client: &Client, node: &GroupNode) -> Vec<String> {
    let yes = |set: bool| if set { client.lang.pick("是", "yes").to_owned() } else { String::new() };
    vec![
        node.node.clone(),
        yes(node.voter),
        dash(&Some(node.feature_level).filter(|level| *level > 0).map(|level| level.to_string()).unwrap_or_default()),
        node.contact.as_ref().map_or_else(|| "-".to_owned(), |contact| client.contact(contact)),
        // Of the others the leader alone knows it.
        dash(&node.matched.map(|matched| matched.to_string()).unwrap_or_default()),
        yes(node.catching_up),
    ]
}

/// Runs `shouwang courier`.
///
/// # Errors
/// [`Failure`].
pub fn courier(args: &CourierArgs, context: &Context) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("区域", "REGION"),
        ("名称", "NAME"),
        ("上行已发", "UP SENT"),
        ("区域已收", "UP APPLIED"),
        ("下行已发", "DOWN SENT"),
        ("台账已收", "DOWN TAKEN"),
        ("问题", "TROUBLE"),
    ];
    let CourierVerb::Status = args.verb;
    with_node(&args.client, context.lang, async |client| {
        let mut api = admin(client);
        let answer = client
            .all(async |page_token| {
                api.list_couriers(client.request(ListCouriersRequest { page_size: PAGE, page_token })).await
            })
            .await?;
        let row = |courier: &Courier| {
            let numbers = [courier.up_sent, courier.up_applied, courier.down_sent, courier.down_taken];
            let mut cells = vec![courier.region.chars().take(8).collect(), courier.title.clone()];
            cells.extend(numbers.iter().map(ToString::to_string));
            cells.push(dash(&courier.trouble));
            cells
        };
        let rows: Vec<_> = answer.couriers.iter().map(row).collect();
        client.list(&answer, HEADS, &rows)
    })
}
