//! `shouwang restock`: goods that come in to settle a debt, up to the owner's verification.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{ListRestocksRequest, ReceiveRestockRequest, Resource, Restock, VerifyRestockRequest};

use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::lots::{self, LotArgs};
use super::words::id;
use super::{Context, parse};
use crate::exit::Failure;

/// Arguments of `shouwang restock`.
#[derive(Debug, Args)]
pub struct RestockArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what came in to settle debts 列出补库物资
    List,
    /// Goods came in; they wait for inspection in a lot of their own 补库入库，待验收
    Receive(Box<ReceiveArgs>),
    /// The owner inspected it: another person than who received it 补库验收（验收人不得为收货人）
    Verify {
        /// The lot that waits 待验收的批次
        lot: String,
        /// As good as what was lent 合格
        #[arg(long)]
        accepted: u64,
        /// Not as good; goes back 不合格
        #[arg(long, default_value_t = 0)]
        rejected: u64,
    },
}

#[derive(Debug, Args)]
struct ReceiveArgs {
    /// The mission whose debt it settles 所偿还的调派
    mission: String,
    /// How much came 数量
    #[arg(long, value_parser = parse::quantity)]
    qty: u64,
    /// The store it was put in, by name or id 入库（库名或编号）
    #[arg(long)]
    store: String,
    /// What it is [default: what was lent] 资源（默认与借出相同）
    #[arg(long, value_parser = parse::resource)]
    resource: Option<Resource>,
    /// What it is called [default: as what was lent] 名称
    #[arg(long)]
    title: Option<String>,
    /// Base unit [default: as what was lent] 计量单位
    #[arg(long)]
    unit: Option<String>,
    #[command(flatten)]
    lot: LotArgs,
    /// The new lot's id [default: derived from the request id] 批次编号
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
}

/// Runs `shouwang restock`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: RestockArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        Verb::List => list(client).await,
        Verb::Receive(args) => receive(client, *args).await,
        Verb::Verify { lot, accepted, rejected } => {
            let mut api = client.registry();
            carry!(client, api, "restock verify", verify_restock, VerifyRestockRequest { lot, accepted, rejected })
        }
    })
}

async fn receive(client: &Client, args: ReceiveArgs) -> Result<(), Failure> {
    let known = client.own_mission(&args.mission).await?;
    let store = client.store(&args.store).await?;
    let holding = lots::holding(args.resource.or(known.resource).unwrap_or_default());
    let (title, unit) = (args.title.unwrap_or(known.title), args.unit.unwrap_or(known.unit));
    let mut lot = args.lot;
    if lot.owner.is_none() && known.owner != known.holder {
        lot.owner = Some(known.owner);
    }
    lot.exercise |= known.exercise;
    // The record lets restock wait for inspection whatever is said here.
    let awaiting = shouwang_proto::v1::Condition::AwaitingInspection.into();
    let details = Some(lot.details(holding, title, unit, store, awaiting));
    let (mission, lot) = (known.name, args.id.map(|id| id.to_string()).unwrap_or_default());
    let mut api = client.registry();
    carry!(
        client,
        api,
        "restock receive",
        receive_restock,
        ReceiveRestockRequest { mission, lot, details, quantity: args.qty }
    )
}

async fn list(client: &Client) -> Result<(), Failure> {
    let mut api = client.registry();
    let linearizable = client.linearizable;
    let answer = client
        .all(async |page_token| {
            api.list_restocks(client.request(ListRestocksRequest { page_size: PAGE, page_token, linearizable })).await
        })
        .await?;
    let row = |restock: &Restock| {
        vec![
            id(&restock.lot),
            id(&restock.mission),
            restock.quantity.to_string(),
            restock.accepted.to_string(),
            restock.rejected.to_string(),
            restock.received_by.clone(),
        ]
    };
    let rows: Vec<_> = answer.restocks.iter().map(row).collect();
    let heads = &[
        ("批次", "LOT"),
        ("调派", "MISSION"),
        ("数量", "QTY"),
        ("合格", "ACCEPTED"),
        ("不合格", "REJECTED"),
        ("收货人", "RECEIVED BY"),
    ];
    client.list(&answer, heads, &rows)
}
