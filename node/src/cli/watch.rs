//! `shouwang watch` and `shouwang outcome`: the ledgers as they grow, and what came of a command.

use std::time::Duration;

use clap::Args;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::watch_service_client::WatchServiceClient;
use shouwang_proto::v1::{
    AsOf, GetRegionOutcomeRequest, GetRegionRequest, GetRegistryOutcomeRequest, GetRegistryRequest, LedgerRecord,
    WatchRegionRequest, WatchRegionResponse, WatchRegistryRequest, WatchRegistryResponse, watch_region_response,
    watch_registry_response,
};
use tonic::{Code, Status, Streaming};

use super::client::{Client, ClientArgs, failed, with_node};
use super::output::{Format, text_out};
use super::render::Canonical;
use super::text::clean;
use super::words::time;
use super::{Context, history};
use crate::api::change::UNKNOWN_HERE;
use crate::exit::{Exit, Failure};

/// How long to wait before a lost stream is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of `shouwang watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The first revision to show, from 1 [default: what comes from now on] 起始版本（默认从现在起）
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    from: u64,
    /// The own registry's ledger instead of the region's 本台账而非区域
    #[arg(long)]
    registry: bool,
    /// Stop when everything so far has been shown 显示到最新即止
    #[arg(long)]
    once: bool,
    /// Stop after this many records 显示若干条后停止
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Arguments of `shouwang outcome`.
#[derive(Debug, Args)]
pub struct OutcomeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The command's request id 请求编号
    id: uuid::Uuid,
}

/// What a stream brings.
enum Item {
    Record(Box<LedgerRecord>),
    Idle(AsOf),
}

/// A stream of either ledger.
enum Source {
    Region(Streaming<WatchRegionResponse>),
    Registry(Streaming<WatchRegistryResponse>),
}

impl Source {
    async fn open(client: &Client, registry: bool, from_revision: u64) -> Result<Self, Status> {
        let mut api = WatchServiceClient::new(client.channel.clone());
        // No deadline: a stream lasts until somebody stops it.
        if registry {
            return Ok(Self::Registry(api.watch_registry(WatchRegistryRequest { from_revision }).await?.into_inner()));
        }
        let region = client.region.clone();
        Ok(Self::Region(api.watch_region(WatchRegionRequest { region, from_revision }).await?.into_inner()))
    }

    /// The next item; `None` when the node ended the stream without saying why.
    async fn next(&mut self) -> Result<Option<Item>, Status> {
        match self {
            Self::Region(stream) => Ok(stream.message().await?.and_then(|next| next.item).map(|item| match item {
                watch_region_response::Item::Record(record) => Item::Record(Box::new(record)),
                watch_region_response::Item::Idle(as_of) => Item::Idle(as_of),
            })),
            Self::Registry(stream) => Ok(stream.message().await?.and_then(|next| next.item).map(|item| match item {
                watch_registry_response::Item::Record(record) => Item::Record(Box::new(record)),
                watch_registry_response::Item::Idle(as_of) => Item::Idle(as_of),
            })),
        }
    }
}

/// Whether to open the stream again after this.
pub(super) fn passes(status: &Status) -> bool {
    use Code::{Aborted, Cancelled, DeadlineExceeded, Internal, Unavailable, Unknown};
    matches!(status.code(), Unavailable | Cancelled | DeadlineExceeded | Aborted | Unknown | Internal)
}

/// Runs `shouwang watch`.
///
/// # Errors
/// [`Failure`]: the revision is no longer held, or reading is not permitted; a cut line is waited out.
pub fn watch(args: &WatchArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let mut next = if args.from == 0 { newest(client, args.registry).await? + 1 } else { args.from };
        let mut left = args.count.unwrap_or(u64::MAX);
        while left > 0 {
            match follow(client, args, &mut next, &mut left).await {
                Ok(()) => return Ok(()),
                Err(Lost::Here(failure)) => return Err(failure),
                Err(Lost::There(status)) if !passes(&status) => return Err(failed(&status, client.lang)),
                Err(Lost::There(status)) => {
                    let why = clean(status.message());
                    client.say(
                        format!("订阅中断（{why}），从版本 {next} 继续"),
                        format!("the stream was cut ({why}); going on from revision {next}"),
                    );
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        Ok(())
    })
}

/// Why a stream stopped.
enum Lost {
    /// This terminal cannot go on.
    Here(Failure),
    /// The node or the line.
    There(Status),
}

async fn follow(client: &Client, args: &WatchArgs, next: &mut u64, left: &mut u64) -> Result<(), Lost> {
    let mut source = Source::open(client, args.registry, *next).await.map_err(Lost::There)?;
    loop {
        match source.next().await.map_err(Lost::There)? {
            Some(Item::Record(record)) => {
                text_out(&told(client, &record).map_err(Lost::Here)?).map_err(Lost::Here)?;
                *next = record.revision + 1;
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
            Some(Item::Idle(as_of)) => {
                if !as_of.in_touch {
                    client.age(Some(&as_of));
                }
                if args.once {
                    return Ok(());
                }
            }
            None => return Err(Lost::There(Status::unavailable("the stream ended"))),
        }
    }
}

async fn newest(client: &Client, registry: bool) -> Result<u64, Failure> {
    let as_of = if registry {
        let query = GetRegistryRequest { linearizable: client.linearizable };
        client.done(client.registry().get_registry(client.request(query)).await)?.as_of
    } else {
        let mut api = RegionServiceClient::new(client.channel.clone());
        let (region, linearizable) = (client.region.clone(), client.linearizable);
        let query = GetRegionRequest { region, linearizable, ..GetRegionRequest::default() };
        client.done(api.get_region(client.request(query)).await)?.as_of
    };
    Ok(as_of.unwrap_or_default().revision)
}

/// A record as one line (JSON: one object per line; YAML: one document).
fn told(client: &Client, record: &LedgerRecord) -> Result<String, Failure> {
    let unwritable = |error: &dyn std::fmt::Display| super::client::failure(Exit::Failure, "OUTPUT", error, error);
    match client.output {
        Format::Json => {
            serde_json::to_string(&Canonical::of(record)?).map(|json| json + "\n").map_err(|error| unwritable(&error))
        }
        Format::Yaml => serde_yaml_ng::to_string(&Canonical::of(record)?)
            .map(|yaml| format!("---\n{yaml}"))
            .map_err(|error| unwritable(&error)),
        Format::Table => Ok(line(client, record)),
    }
}

fn line(client: &Client, record: &LedgerRecord) -> String {
    let (who, what) = (history::who(record, client.lang), history::what(record, client.lang));
    let line = format!("{:>6}  {}  {who:<18}  {:<18}  {what}", record.revision, time(record.at), record.command);
    clean(&line) + "\n"
}

/// Runs `shouwang outcome`: a command went to the registry or to the region, so both are asked.
///
/// # Errors
/// [`Failure`]: neither record has seen the command; the record's refusal.
pub fn outcome(args: &OutcomeArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        let request_id = args.id.to_string();
        let query = GetRegistryOutcomeRequest { request_id: request_id.clone() };
        let mut unknown_here = None;
        match client.registry().get_registry_outcome(client.request(query)).await {
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) if failed(&status, client.lang).code == UNKNOWN_HERE => unknown_here = Some(status),
            answer => {
                let answer = client.done(answer)?;
                return client.outcome(&answer, answer.outcome.as_ref());
            }
        }
        let mut api = RegionServiceClient::new(client.channel.clone());
        let query = GetRegionOutcomeRequest { region: client.region.clone(), request_id };
        match (api.get_region_outcome(client.request(query)).await, unknown_here) {
            // The region has not seen it; whether the registry has, nobody here can tell yet.
            (Err(status), Some(unknown)) if status.code() == Code::NotFound => Err(failed(&unknown, client.lang)),
            (answer, _) => {
                let answer = client.done(answer)?;
                client.outcome(&answer, answer.outcome.as_ref())
            }
        }
    })
}
