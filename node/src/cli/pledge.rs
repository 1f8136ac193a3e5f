//! `shouwang pledge`: what the owner escrows for a region.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{
    BreakGlassRequest, CoverOverdraftRequest, ListRegistryPledgesRequest, ListShortfallsRequest, MakePledgeRequest,
    RegistryPledge, WithdrawPledgeRequest,
};

use super::Context;
use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::parse::{self, When};
use super::render::Heads;
use super::words::{dash, id, resource, time};
use crate::exit::Failure;

/// Arguments of `shouwang pledge`.
#[derive(Debug, Args)]
pub struct PledgeArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Escrow part of a lot for the region: a standing signature 承诺一批物资的一部分
    Make {
        /// Out of which lot 批次
        #[arg(long)]
        lot: String,
        /// How much 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
        /// Until when it stands: 23:40, 2026-03-01T23:40, RFC 3339, +4h, +30d 有效期至
        #[arg(long, value_name = "TIME", value_parser = parse::when)]
        until: When,
        /// The signing leader's reason for crossing the floor 突破保底的理由
        #[arg(long, value_name = "REASON", default_value = "", hide_default_value = true)]
        cross_floor: String,
        /// The pledge's id [default: derived from the request id] 承诺编号
        #[arg(long, value_name = "UUID")]
        id: Option<uuid::Uuid>,
    },
    /// Ask the region for the free part of a pledge back 撤回承诺中未占用的部分
    Withdraw {
        /// The pledge 承诺
        pledge: String,
        /// At most this much 数量上限
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// List the pledges of this registry 列出本台账的承诺
    List {
        /// Those that have been given back whole, too 含已全部退回的
        #[arg(long)]
        closed: bool,
    },
    /// Use pledged stock in danger to life; shown to all members 紧急动用已承诺物资，全体成员可见
    BreakGlass {
        /// The pledge 承诺
        pledge: String,
        /// How much 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// Put back what was used in danger to life 补回紧急动用的数量
    Cover {
        /// The pledge 承诺
        pledge: String,
        /// How much 数量
        #[arg(long, value_parser = parse::quantity)]
        qty: u64,
    },
    /// List messages of regions that asked for more than is here 列出缺口
    Shortfalls,
}

/// Runs `shouwang pledge`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: PledgeArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let mut api = client.registry();
        match args.verb {
            Verb::Make { lot, qty, until, cross_floor, id } => {
                let expires_at = Some(client.moment(until));
                let pledge = id.map(|id| id.to_string()).unwrap_or_default();
                let region = client.region.clone();
                carry!(
                    client,
                    api,
                    "pledge make",
                    make_pledge,
                    MakePledgeRequest { region, pledge, lot, quantity: qty, expires_at, cross_floor }
                )
            }
            Verb::Withdraw { pledge, qty, reason } => {
                carry!(
                    client,
                    api,
                    "pledge withdraw",
                    withdraw_pledge,
                    WithdrawPledgeRequest { pledge, quantity: qty, reason }
                )
            }
            Verb::BreakGlass { pledge, qty, reason } => {
                carry!(
                    client,
                    api,
                    "pledge break-glass",
                    break_glass,
                    BreakGlassRequest { pledge, quantity: qty, reason }
                )
            }
            Verb::Cover { pledge, qty } => {
                carry!(client, api, "pledge cover", cover_overdraft, CoverOverdraftRequest { pledge, quantity: qty })
            }
            Verb::List { closed } => list(client, closed).await,
            Verb::Shortfalls => shortfalls(client).await,
        }
    })
}

async fn list(client: &Client, show_closed: bool) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("承诺", "PLEDGE"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("单位", "UNIT"),
        ("承诺数", "QUANTITY"),
        ("在押", "PLEDGED"),
        ("超支", "OVERDRAWN"),
        ("有效期至", "UNTIL"),
        ("专供", "FOR"),
        ("批次", "LOT"),
    ];
    let mut api = client.registry();
    let query = ListRegistryPledgesRequest {
        page_size: PAGE,
        linearizable: client.linearizable,
        region: client.region.clone(),
        show_closed,
        ..ListRegistryPledgesRequest::default()
    };
    let answer = client
        .all(async |page_token| {
            let query = ListRegistryPledgesRequest { page_token, ..query.clone() };
            api.list_registry_pledges(client.request(query)).await
        })
        .await?;
    let row = |pledge: &RegistryPledge| {
        let line = format!("{}#{}", id(&pledge.aid_request), pledge.line);
        vec![
            id(&pledge.name),
            resource(pledge.resource.as_ref()),
            pledge.title.clone(),
            pledge.unit.clone(),
            pledge.quantity.to_string(),
            pledge.pledged.to_string(),
            pledge.overdrawn.to_string(),
            time(pledge.expires_at),
            dash(if pledge.line == 0 { "" } else { &line }),
            id(&pledge.lot),
        ]
    };
    let rows: Vec<_> = answer.pledges.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

async fn shortfalls(client: &Client) -> Result<(), Failure> {
    let mut api = client.registry();
    let linearizable = client.linearizable;
    let answer = client
        .all(async |page_token| {
            let query = ListShortfallsRequest { page_size: PAGE, page_token, linearizable };
            api.list_shortfalls(client.request(query)).await
        })
        .await?;
    let row = |short: &shouwang_proto::v1::Shortfall| {
        vec![time(short.at), short.what.clone(), id(&short.lot), short.wanted.to_string(), short.moved.to_string()]
    };
    let rows: Vec<_> = answer.shortfalls.iter().map(row).collect();
    let heads = &[("时间", "AT"), ("事项", "WHAT"), ("批次", "LOT"), ("应动", "WANTED"), ("实动", "MOVED")];
    client.list(&answer, heads, &rows)
}
