//! `shouwang stock`: lots and what is done with them.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{
    CountStockRequest, Holding, InspectLotRequest, IssueStockRequest, ListLotsRequest, MapItemRequest, OpenLotsRow,
    ReceiveStockRequest, RepairStockRequest, Resource, ScrapStockRequest, holding,
};

use super::client::{Client, ClientArgs, carry, with_node};
use super::import::{self, ImportArgs};
use super::lots::{self, LotArgs};
use super::{Context, parse, words};
use crate::exit::Failure;

/// Arguments of `shouwang stock`.
#[derive(Debug, Args)]
pub struct StockArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a ledger file into the books, with a verdict for every row 导入台账文件，逐行给出结论
    Import(ImportArgs),
    /// Enter one lot 登记一个批次
    Add(Box<AddArgs>),
    /// List lots; * marks stock that does not count as available 列出批次，* 表示不计入可用
    List(ListArgs),
    #[command(flatten)]
    Move(Move),
}

/// Everything that moves or judges units of one lot.
#[derive(Debug, Subcommand)]
enum Move {
    /// More of a lot came in 入库
    Receive {
        /// The lot 批次
        lot: String,
        /// How much 数量
        #[arg(value_parser = parse::quantity)]
        quantity: u64,
        /// The receipt's number or mark 入库单号
        #[arg(long)]
        document: String,
    },
    /// The owner uses its own stock 出库自用
    Issue {
        /// The lot 批次
        lot: String,
        /// How much 数量
        #[arg(value_parser = parse::quantity)]
        quantity: u64,
        /// What for 用途
        #[arg(long)]
        purpose: String,
    },
    /// Scrap what cannot be used any more 报废
    Scrap {
        /// The lot 批次
        lot: String,
        /// How much 数量
        #[arg(value_parser = parse::quantity)]
        quantity: u64,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// Somebody counted: what is in store becomes what was found 盘点
    Count {
        /// The lot 批次
        lot: String,
        /// What was found, 0 included 实盘数
        counted: u64,
        /// On which occasion 盘点事由
        #[arg(long)]
        reason: String,
    },
    /// Somebody inspected a lot 检验
    Inspect {
        /// The lot 批次
        lot: String,
        /// What was found 检验结论
        #[arg(value_parser = words::CONDITION.parser())]
        condition: i32,
    },
    /// Damaged units are fit for use again 修复
    Repaired {
        /// The lot 批次
        lot: String,
        /// How much 数量
        #[arg(value_parser = parse::quantity)]
        quantity: u64,
    },
    /// The municipality's own word stands for a catalogue code from now on 对码
    Map {
        /// The word 本地名称
        local: String,
        /// The code 分类编码
        item: String,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The municipality's word for it, with the model 名称与型号
    title: String,
    /// Its catalogue code; without one it stays local 分类编码（无则仅本地）
    #[arg(long, value_name = "RESOURCE", value_parser = parse::resource)]
    resource: Option<Resource>,
    /// How much 数量
    #[arg(long, value_parser = parse::quantity)]
    qty: u64,
    /// Base unit 计量单位
    #[arg(long)]
    unit: String,
    /// The store, by name or id 库（名称或编号）
    #[arg(long)]
    store: String,
    /// Whether it can be used 状态
    #[arg(long, default_value = "usable", value_parser = words::CONDITION.parser())]
    condition: i32,
    #[command(flatten)]
    lot: LotArgs,
    /// The lot's id [default: derived from the request id] 批次编号
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only of this resource 仅此资源
    #[arg(long, value_parser = parse::resource)]
    resource: Option<Resource>,
    /// Only in this store, by name or id 仅此库
    #[arg(long)]
    store: Option<String>,
    /// Only what is available now 仅可用
    #[arg(long)]
    available: bool,
    /// Only uncoded lots 仅未编码
    #[arg(long)]
    uncoded: bool,
    /// Teams, vehicles and lots that are used up, too 含队伍、车辆与已用尽的批次
    #[arg(long)]
    all: bool,
}

/// Runs `shouwang stock`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: StockArgs, context: &Context) -> Result<(), Failure> {
    let (node, lang) = (&args.client, context.lang);
    match args.verb {
        // Needs no node when it only tries.
        Verb::Import(args) => import::stock(node, &args, lang),
        Verb::Add(args) => with_node(node, lang, async |client| add(client, *args).await),
        Verb::List(args) => with_node(node, lang, async |client| list(client, args).await),
        Verb::Move(verb) => with_node(node, lang, async |client| moved(client, verb).await),
    }
}

async fn add(client: &Client, args: AddArgs) -> Result<(), Failure> {
    let store = client.store(&args.store).await?;
    let local = || Holding { kind: Some(holding::Kind::Local(args.title.clone())) };
    let holding = args.resource.map_or_else(local, lots::holding);
    let lot = args.id.map(|id| id.to_string()).unwrap_or_default();
    let details = args.lot.details(holding, args.title, args.unit, store, args.condition);
    lots::open(client, "stock add", OpenLotsRow { lot, details: Some(details), quantity: args.qty }).await
}

async fn list(client: &Client, args: ListArgs) -> Result<(), Failure> {
    let store = match &args.store {
        Some(store) => client.store(store).await?,
        None => String::new(),
    };
    let narrow = args.resource.is_some() || args.all;
    let query = ListLotsRequest {
        resource: args.resource,
        store,
        uncoded: args.uncoded,
        available: args.available,
        ..ListLotsRequest::default()
    };
    let mut answer = lots::fetch(client, query).await?;
    if !args.all {
        let is_unit = |lot: &shouwang_proto::v1::Lot| {
            let holding = lot.details.as_ref().and_then(|details| details.holding.as_ref());
            matches!(
                holding.and_then(|holding| holding.kind.as_ref()),
                Some(holding::Kind::Team(_) | holding::Kind::Vehicle(_))
            )
        };
        answer.lots.retain(|lot| lots::is_live(lot) && (narrow || !is_unit(lot)));
    }
    let rows: Vec<_> = answer.lots.iter().map(|lot| lots::row(lot, client.lang)).collect();
    client.list(&answer, lots::HEADS, &rows)
}

async fn moved(client: &Client, verb: Move) -> Result<(), Failure> {
    let mut api = client.registry();
    match verb {
        Move::Receive { lot, quantity, document } => {
            carry!(client, api, "stock receive", receive_stock, ReceiveStockRequest { lot, quantity, document })
        }
        Move::Issue { lot, quantity, purpose } => {
            carry!(client, api, "stock issue", issue_stock, IssueStockRequest { lot, quantity, purpose })
        }
        Move::Scrap { lot, quantity, reason } => {
            carry!(client, api, "stock scrap", scrap_stock, ScrapStockRequest { lot, quantity, reason })
        }
        Move::Count { lot, counted, reason } => {
            carry!(client, api, "stock count", count_stock, CountStockRequest { lot, counted, reason })
        }
        Move::Inspect { lot, condition } => {
            carry!(client, api, "stock inspect", inspect_lot, InspectLotRequest { lot, condition })
        }
        Move::Repaired { lot, quantity } => {
            carry!(client, api, "stock repaired", repair_stock, RepairStockRequest { lot, quantity })
        }
        Move::Map { local, item } => carry!(client, api, "stock map", map_item, MapItemRequest { local, item }),
    }
}
