//! `shouwang team`: teams and vehicles, which are lots of quantity one.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{Account, ListLotsRequest, Lot, LotDetails, OpenLotsRow, Resource};

use super::client::{Client, ClientArgs, with_node};
use super::import::{self, ImportArgs};
use super::words::{dash, id};
use super::{Context, lots, parse, words};
use crate::exit::Failure;

/// Arguments of `shouwang team`.
#[derive(Debug, Args)]
pub struct TeamArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a ledger of teams and vehicles into the books 导入队伍、车辆台账
    Import(ImportArgs),
    /// Enter one team or vehicle 登记一支队伍或一辆车
    Add(Box<AddArgs>),
    /// List teams and vehicles 列出队伍与车辆
    List {
        /// Only of this kind, such as team:hazmat 仅此类型
        #[arg(long, value_parser = parse::resource)]
        kind: Option<Resource>,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Its name 名称
    name: String,
    /// What it is, such as team:hazmat or vehicle:air-refill 类型
    #[arg(long, value_parser = parse::resource)]
    kind: Resource,
    /// Where it stands, by name or id of the store 驻地（库名或编号）
    #[arg(long)]
    store: String,
    /// Head count 人数
    #[arg(long, default_value_t = 0)]
    size: u32,
    /// How long it can work without relief, hours 值守耐力（小时）
    #[arg(long, value_name = "HOURS", default_value_t = 0)]
    endurance: u32,
    /// Whether it can be sent 状态
    #[arg(long, default_value = "usable", value_parser = words::CONDITION.parser())]
    condition: i32,
    #[command(flatten)]
    lot: lots::LotArgs,
    /// Its id [default: derived from the request id] 编号
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
}

/// Runs `shouwang team`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: TeamArgs, context: &Context) -> Result<(), Failure> {
    let (node, lang) = (&args.client, context.lang);
    match args.verb {
        Verb::Import(args) => import::teams(node, &args, lang),
        Verb::Add(args) => with_node(node, lang, async |client| add(client, *args).await),
        Verb::List { kind } => with_node(node, lang, async |client| list(client, kind).await),
    }
}

async fn add(client: &Client, args: AddArgs) -> Result<(), Failure> {
    use shouwang_proto::v1::resource::Kind;
    let store = client.store(&args.store).await?;
    let unit = match args.kind.kind {
        Some(Kind::Vehicle(_)) => "辆",
        _ => "支",
    };
    let holding = lots::holding(args.kind);
    let details = args.lot.details(holding, args.name, unit.to_owned(), store, args.condition);
    let details = LotDetails { size: args.size, endurance_hours: args.endurance, ..details };
    let lot = args.id.map(|id| id.to_string()).unwrap_or_default();
    lots::open(client, "team add", OpenLotsRow { lot, details: Some(details), quantity: 1 }).await
}

async fn list(client: &Client, resource: Option<Resource>) -> Result<(), Failure> {
    let answer = lots::fetch(client, ListLotsRequest { resource, units: true, ..ListLotsRequest::default() }).await?;
    let row = |lot: &Lot| {
        let unknown = LotDetails::default();
        let details = lot.details.as_ref().unwrap_or(&unknown);
        vec![
            id(&lot.name),
            lots::what(details),
            details.title.clone(),
            details.size.to_string(),
            details.endurance_hours.to_string(),
            where_it_is(client, lot),
            dash(&details.owner),
        ]
    };
    let rows: Vec<_> = answer.lots.iter().map(row).collect();
    let heads = &[
        ("编号", "LOT"),
        ("类型", "KIND"),
        ("名称", "NAME"),
        ("人数", "SIZE"),
        ("耐力(小时)", "HOURS"),
        ("状态", "STATE"),
        ("物权", "OWNER"),
    ];
    client.list(&answer, heads, &rows)
}

/// Where a unit is: on a mission, promised, at home and fit, or at home and not.
fn where_it_is(client: &Client, lot: &Lot) -> String {
    let states = [
        (Account::InTransit, "途中", "on the road"),
        (Account::OnLoan, "出勤", "on mission"),
        (Account::Held, "接令", "ordered"),
        (Account::Pledged, "预置", "pledged"),
    ];
    if let Some((_, zh, en)) = states.into_iter().find(|(account, ..)| lots::balance(lot, *account) > 0) {
        return client.lang.pick(zh, en).to_owned();
    }
    if lot.usable {
        return client.lang.pick("待命", "ready").to_owned();
    }
    words::CONDITION.get(lot.details.as_ref().map_or(0, |details| details.condition), client.lang)
}
