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
use crate::auth::channel::not_taken;
use crate::exit::{Exit, Failure};

/// How long to wait before a lost stream is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of `shouwang watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The first revision to show, from 1 [default: what comes from now on; with --once the first]
    /// 起始版本（默认从现在起；加 --once 则从头）
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    from: u64,
    /// The own registry's ledger instead of the region's 本台账而非区域
    #[arg(long)]
    registry: bool,
    /// Stop when everything has been shown that was there at the start 显示到开始时的最新版本即止
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
    let passes = matches!(status.code(), Unavailable | Cancelled | DeadlineExceeded | Aborted | Unknown | Internal);
    passes && not_taken(status).is_none()
}

/// Runs `shouwang watch`.
///
/// # Errors
/// [`Failure`]: the revision is no longer held, or reading is not permitted; a cut line is waited out.
pub fn watch(args: &WatchArgs, context: &Context) -> Result<(), Failure> {
    with_node(&args.client, context.lang, async |client| {
        // Whoever names where to begin, and no end, need not know where the ledger stands.
        let newest = if args.once || args.from == 0 { newest(client, args.registry).await? } else { AsOf::default() };
        if args.once && !newest.in_touch {
            client.age(Some(&newest));
        }
        let mut span = Span::of(args, newest.revision);
        while !span.is_shown() {
            match follow(client, args.registry, &mut span).await {
                Ok(()) => {}
                Err(Lost::Here(failure)) => return Err(failure),
                Err(Lost::There(status)) if !passes(&status) => return Err(failed(&status, client.lang)),
                Err(Lost::There(status)) => {
                    let (why, next) = (clean(status.message()), span.next);
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

/// What is still to be shown.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    next: u64,
    last: u64,
    left: u64,
}

impl Span {
    /// What the command line asks for, where `newest` is the newest revision when it begins: `--once` is over with that one,
    /// however much comes meanwhile.
    fn of(args: &WatchArgs, newest: u64) -> Self {
        let next = match args.from {
            0 if args.once => 1,
            0 => newest + 1,
            from => from,
        };
        Self { next, last: if args.once { newest } else { u64::MAX }, left: args.count.unwrap_or(u64::MAX) }
    }

    fn is_shown(&self) -> bool {
        self.left == 0 || self.next > self.last
    }

    fn show(&mut self, revision: u64) {
        (self.next, self.left) = (revision + 1, self.left - 1);
    }
}

/// Why a stream stopped.
enum Lost {
    /// This terminal cannot go on.
    Here(Failure),
    /// The node or the line.
    There(Status),
}

async fn follow(client: &Client, registry: bool, span: &mut Span) -> Result<(), Lost> {
    let mut source = Source::open(client, registry, span.next).await.map_err(Lost::There)?;
    while !span.is_shown() {
        match source.next().await.map_err(Lost::There)? {
            Some(Item::Record(record)) => {
                text_out(&told(client, &record).map_err(Lost::Here)?).map_err(Lost::Here)?;
                span.show(record.revision);
            }
            Some(Item::Idle(as_of)) => {
                if !as_of.in_touch {
                    client.age(Some(&as_of));
                }
            }
            None => return Err(Lost::There(Status::unavailable("the stream ended"))),
        }
    }
    Ok(())
}

async fn newest(client: &Client, registry: bool) -> Result<AsOf, Failure> {
    let as_of = if registry {
        let query = GetRegistryRequest { linearizable: client.linearizable };
        client.done(client.registry().get_registry(client.request(query)).await)?.as_of
    } else {
        let mut api = RegionServiceClient::new(client.channel.clone());
        let (region, linearizable) = (client.region.clone(), client.linearizable);
        let query = GetRegionRequest { region, linearizable, ..GetRegionRequest::default() };
        client.done(api.get_region(client.request(query)).await)?.as_of
    };
    Ok(as_of.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: WatchArgs,
    }

    /// What is shown of a ledger with this many records at the start, to which one is added whenever one is shown.
    fn shown(line: &str, newest: u64) -> Vec<u64> {
        let line = Line::try_parse_from(["watch"].into_iter().chain(line.split_whitespace())).unwrap();
        let mut span = Span::of(&line.args, newest);
        let mut shown = Vec::new();
        while !span.is_shown() && shown.len() < 10 {
            shown.push(span.next);
            span.show(span.next);
        }
        shown
    }

    #[test]
    fn a_look_ends_where_it_began_however_busy_the_ledger_is() {
        for (line, newest, expected) in [
            ("--from 1 --once", 3, vec![1, 2, 3]),
            ("--once", 3, vec![1, 2, 3]),
            ("--from 3 --once", 3, vec![3]),
            ("--from 4 --once", 3, vec![]),
            ("--once", 0, vec![]),
            ("--from 1 --once --count 2", 3, vec![1, 2]),
            ("--count 2", 3, vec![4, 5]),
            ("--from 2 --count 3", 3, vec![2, 3, 4]),
            ("", 3, (4..14).collect()),
        ] {
            assert_eq!(shown(line, newest), expected, "{line}");
        }
    }
}
