//! `shouwang store`: where stock stands.

use clap::{Args, Subcommand};
use shouwang_proto::v1::{AddStoreRequest, ListStoresRequest};

use super::Context;
use super::client::{Client, ClientArgs, PAGE, carry, with_node};
use super::words::id;
use crate::documents::identity::store_id;
use crate::exit::Failure;

/// Arguments of `shouwang store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Open a store; the same again changes nothing 新建库，重复执行不产生变化
    Add {
        /// Its name on the door 库名
        name: String,
        /// The district or banner it stands in 所在区、旗、县
        #[arg(long)]
        district: String,
        /// Its id [default: derived from its name] 编号（默认由库名得出）
        #[arg(long, value_name = "UUID")]
        id: Option<uuid::Uuid>,
    },
    /// List the stores 列出各库
    List,
}

/// Runs `shouwang store`.
///
/// # Errors
/// [`Failure`].
pub fn run(args: StoreArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| match args.verb {
        Verb::Add { name, district, id } => add(client, name, district, id).await,
        Verb::List => list(client).await,
    })
}

async fn add(client: &Client, title: String, district: String, id: Option<uuid::Uuid>) -> Result<(), Failure> {
    let municipality = client.municipality()?;
    // The id an import gives to a store of this name: typed in or read from a ledger, it is the same store.
    let store = id.map_or_else(|| store_id(municipality, &title).to_string(), |id| id.to_string());
    let mut api = client.registry();
    carry!(client, api, "store add", add_store, AddStoreRequest { store, title, district })
}

async fn list(client: &Client) -> Result<(), Failure> {
    let mut api = client.registry();
    let linearizable = client.linearizable;
    let answer = client
        .all(async |page_token| {
            api.list_stores(client.request(ListStoresRequest { page_size: PAGE, page_token, linearizable })).await
        })
        .await?;
    let row = |store: &shouwang_proto::v1::Store| vec![id(&store.name), store.title.clone(), store.district.clone()];
    let rows: Vec<_> = answer.stores.iter().map(row).collect();
    client.list(&answer, &[("编号", "STORE"), ("库名", "NAME"), ("所在地", "DISTRICT")], &rows)
}
