//! What a region shows: its charter, its members, what they publish and pledge, the changes under way.

use std::collections::BTreeMap;

use clap::Subcommand;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::{
    Change, CharterChange, GetRegionRequest, GetRegionResponse, ListChangesRequest, ListPledgesRequest,
    ListPublishedRequest, ListRegionsRequest, Member, NodeLevel, Pledge, Published, Resource, charter_change,
};
use tonic::transport::Channel;

use super::client::{Client, PAGE};
use super::parse;
use super::render::Heads;
use super::words::{self, dash, figure, id, resource, time};
use crate::exit::Failure;

/// The verbs that only look.
#[derive(Debug, Subcommand)]
pub enum ViewVerb {
    /// List the regions this node hosts 列出本节点承载的区域
    List,
    /// Show the region: charter, revision, ledger root 查看区域：协议、版本、账本根
    Show {
        /// With the digest of the whole state, equal on every node 附状态摘要
        #[arg(long)]
        digest: bool,
    },
    /// List the members of the charter in force 列出成员
    Members,
    /// List the pledges of all members 承诺一览
    Pledges {
        /// Only of this resource 仅此资源
        #[arg(long, value_parser = parse::resource)]
        resource: Option<Resource>,
        /// Only this holder's 仅此持有方
        #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
        holder: Option<String>,
        /// Only those with something free 仅有余量的
        #[arg(long)]
        free: bool,
    },
    /// List what members have published 列出已发布的数据
    Published {
        /// Only of this resource 仅此资源
        #[arg(long, value_parser = parse::resource)]
        resource: Option<Resource>,
        /// Only this member's 仅此成员
        #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
        member: Option<String>,
    },
    /// List changes of the charter, waiting or in force 列出协议变更
    Changes,
}

/// A client of the region service.
pub(super) fn api(client: &Client) -> RegionServiceClient<Channel> {
    RegionServiceClient::new(client.channel.clone())
}

/// Runs a verb that only looks.
///
/// # Errors
/// As [`Client::done`].
pub async fn run(client: &Client, verb: ViewVerb) -> Result<(), Failure> {
    match verb {
        ViewVerb::List => list(client).await,
        ViewVerb::Show { digest } => show(client, digest).await,
        ViewVerb::Members => members(client).await,
        ViewVerb::Pledges { resource, holder, free } => pledges(client, resource, holder, free).await,
        ViewVerb::Published { resource, member } => published(client, resource, member).await,
        ViewVerb::Changes => changes(client).await,
    }
}

/// The region as it stands.
///
/// # Errors
/// As [`Client::done`].
pub async fn read(client: &Client, with_state_digest: bool, linearizable: bool) -> Result<GetRegionResponse, Failure> {
    let query = GetRegionRequest { region: client.region.clone(), linearizable, with_state_digest };
    client.done(api(client).get_region(client.request(query)).await)
}

async fn list(client: &Client) -> Result<(), Failure> {
    let mut api = api(client);
    let answer = client
        .all(async |page_token| {
            api.list_regions(client.request(ListRegionsRequest { page_size: PAGE, page_token })).await
        })
        .await?;
    let row = |region: &shouwang_proto::v1::RegionSummary| {
        let as_of = region.as_of.clone().unwrap_or_default();
        vec![
            region.id.clone(),
            region.title.clone(),
            region.hub.clone(),
            region.members.to_string(),
            as_of.revision.to_string(),
        ]
    };
    let rows: Vec<_> = answer.regions.iter().map(row).collect();
    let heads = &[("区域", "REGION"), ("名称", "NAME"), ("中心", "HUB"), ("成员", "MEMBERS"), ("版本", "REVISION")];
    client.list(&answer, heads, &rows)
}

async fn show(client: &Client, digest: bool) -> Result<(), Failure> {
    let answer = read(client, digest, client.linearizable).await?;
    let charter = answer.charter.clone().unwrap_or_default();
    let rules = charter.rules.unwrap_or_default();
    let revision = answer.as_of.as_ref().map_or(0, |as_of| as_of.revision);
    let rows = [
        ("名称", "name", charter.title.clone()),
        ("编号", "id", answer.id.clone()),
        ("联盟", "federation", charter.federation.clone()),
        ("区域中心", "hub", charter.hub.clone()),
        ("协议版本", "charter version", charter.version.to_string()),
        ("表决规则", "voting", words::VOTING.get(rules.voting, client.lang)),
        ("占用时限(分钟)", "hold minutes at most", rules.hold_minutes_max.to_string()),
        ("补办手续(小时)", "paper within hours", rules.paper_hours.to_string()),
        ("补偿依据", "basis", words::BASIS.get(rules.basis, client.lang)),
        ("纪元", "epoch", answer.epoch.to_string()),
        ("功能级别", "feature level", answer.feature_level.to_string()),
        ("各节点支持级别", "nodes know level", levels(&answer.node_levels)),
        ("版本", "revision", revision.to_string()),
        ("账本根", "ledger root", answer.ledger_root.clone()),
        ("状态摘要", "state digest", answer.state_digest.clone()),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(.., value)| !value.is_empty())
        .map(|(zh, en, value)| vec![client.lang.pick(zh, en).to_owned(), value])
        .collect();
    client.show(&answer, &[("项目", "FIELD"), ("内容", "VALUE")], &rows)?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// The nodes by the level up to which their programs go along, the highest first.
fn levels(nodes: &[NodeLevel]) -> String {
    let mut by_level: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for known in nodes {
        by_level.entry(known.level).or_default().push(&known.node);
    }
    let told: Vec<String> =
        by_level.iter().rev().map(|(level, nodes)| format!("{level}: {}", nodes.join(" "))).collect();
    told.join("; ")
}

async fn members(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("代码", "CODE"),
        ("名称", "NAME"),
        ("简称", "SHORT"),
        ("身份", "STANDING"),
        ("上级", "SUPERIOR"),
        ("毗邻", "NEIGHBOURS"),
        ("节点（*投票）", "NODES (*votes)"),
        ("联系", "TOUCH"),
    ];
    let answer = read(client, false, client.linearizable).await?;
    let row = |member: &Member| {
        let nodes = member.nodes.iter().map(|node| format!("{}{}", node.node, if node.voter { "*" } else { "" }));
        vec![
            member.code.clone(),
            member.title.clone(),
            member.short.clone(),
            words::STANDING.get(member.standing, client.lang),
            dash(&member.superior),
            dash(&member.neighbours.join(" ")),
            nodes.collect::<Vec<_>>().join(" "),
            touch(client, member, &answer),
        ]
    };
    let members = answer.charter.as_ref().map(|charter| charter.members.as_slice()).unwrap_or_default();
    let rows: Vec<_> = members.iter().map(row).collect();
    client.show(&answer, HEADS, &rows)?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// How the nodes of a member are in touch; with several, of each.
fn touch(client: &Client, member: &Member, region: &GetRegionResponse) -> String {
    let nodes = member.nodes.iter().filter_map(|node| region.contacts.iter().find(|contact| contact.node == node.node));
    let several = member.nodes.len() > 1;
    let told = nodes.map(|contact| {
        let touch = client.contact(contact);
        if several { format!("{}: {touch}", contact.node) } else { touch }
    });
    dash(&told.collect::<Vec<_>>().join(client.lang.pick("；", "; ")))
}

async fn pledges(
    client: &Client,
    of: Option<Resource>,
    holder: Option<String>,
    free_only: bool,
) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("承诺", "PLEDGE"),
        ("持有方", "HOLDER"),
        ("物权", "OWNER"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("单位", "UNIT"),
        ("承诺数", "QUANTITY"),
        ("在押", "TOTAL"),
        ("可占用", "FREE"),
        ("已占用", "HELD"),
        ("超支", "OVERDRAWN"),
        ("有效期至", "UNTIL"),
        ("专供", "FOR"),
    ];
    let mut api = api(client);
    let query = ListPledgesRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        resource: of,
        holder: holder.unwrap_or_default(),
        free_only,
        ..ListPledgesRequest::default()
    };
    let answer = client
        .all(async |page_token| {
            api.list_pledges(client.request(ListPledgesRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let row = |pledge: &Pledge| {
        let numbers = [pledge.quantity, pledge.total, pledge.free, pledge.held, pledge.overdrawn];
        let line = format!("{}#{}", id(&pledge.aid_request), pledge.line);
        let mut cells = vec![
            id(&pledge.name),
            pledge.holder.clone(),
            pledge.owner.clone(),
            resource(pledge.resource.as_ref()),
            pledge.title.clone(),
            pledge.unit.clone(),
        ];
        cells.extend(numbers.iter().map(ToString::to_string));
        cells.push(time(pledge.expires_at));
        cells.push(dash(if pledge.line == 0 { "" } else { &line }));
        cells
    };
    let rows: Vec<_> = answer.pledges.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

async fn published(client: &Client, of: Option<Resource>, member: Option<String>) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("成员", "MEMBER"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("数量", "FIGURE"),
        ("单位", "UNIT"),
        ("截至", "AS OF"),
    ];
    let mut api = api(client);
    let query = ListPublishedRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        resource: of,
        member: member.unwrap_or_default(),
        ..ListPublishedRequest::default()
    };
    let answer = client
        .all(async |page_token| {
            api.list_published(client.request(ListPublishedRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let row = |published: &Published| {
        vec![
            published.member.clone(),
            resource(published.resource.as_ref()),
            published.title.clone(),
            figure(published.figure.as_ref(), client.lang),
            published.unit.clone(),
            time(published.at),
        ]
    };
    let rows: Vec<_> = answer.published.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

async fn changes(client: &Client) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("变更", "CHANGE"),
        ("内容", "WHAT"),
        ("基于版本", "ON VERSION"),
        ("已签署", "SIGNED"),
        ("须签署", "NEEDED"),
        ("生效版本", "IN FORCE"),
    ];
    let mut api = api(client);
    let query = ListChangesRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        ..ListChangesRequest::default()
    };
    let answer = client
        .all(async |page_token| {
            api.list_changes(client.request(ListChangesRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let row = |change: &Change| {
        vec![
            id(&change.name),
            what(client, change.change.as_ref()),
            change.base_version.to_string(),
            change.signed.join(" "),
            change.needed.to_string(),
            dash(&if change.in_force == 0 { String::new() } else { change.in_force.to_string() }),
        ]
    };
    let rows: Vec<_> = answer.changes.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

fn what(client: &Client, change: Option<&CharterChange>) -> String {
    use charter_change::Change as Kind;
    let told = |zh: &str, en: &str, of: &str| format!("{} {of}", client.lang.pick(zh, en));
    match change.and_then(|change| change.change.as_ref()) {
        Some(Kind::Rules(_)) => client.lang.pick("修改规则", "rules").to_owned(),
        Some(Kind::AdmitMember(member)) => told("接纳成员", "admit", &format!("{} {}", member.code, member.title)),
        Some(Kind::RemoveMember(code)) => told("成员退出", "remove", code),
        Some(Kind::AddNode(node)) => told("增加节点", "add node", &node.node),
        Some(Kind::RemoveNode(node)) => told("撤除节点", "remove node", node),
        Some(Kind::RotateKey(rotation)) => told("更换密钥", "rotate key of", &rotation.node),
        Some(Kind::Hub(code)) => told("变更区域中心", "hub", code),
        None => "-".to_owned(),
    }
}
