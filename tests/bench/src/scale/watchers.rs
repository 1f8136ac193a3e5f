//! Many watchers on one node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::federation;
use shouwang_cluster::story::WUHAI;
use shouwang_proto::v1;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use shouwang_proto::v1::watch_registry_response::Item;
use shouwang_proto::v1::watch_service_client::WatchServiceClient;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tonic::Streaming;

use super::issuer::Issuer;
use super::site::Site;
use super::{Scale, figure};
use crate::costs;
use crate::figures::{millis, number, quantile};
use crate::payload::Mark;
use crate::region::call;
use crate::registry::accepted;
use crate::report::Sheet;
use crate::stock::{OPENING, id, store_id};
use crate::system::OWN;
use crate::works::Work;

/// Streams on one connection.
const A_CONNECTION: usize = 50;
/// Writes a second while they watch.
const PER_SECOND: u32 = 20;

/// What is measured.
pub const WORKS: [Work; 5] = [
    figure("watchers_memory", "KiB each", false, "PSS more than without them"),
    figure("watchers_latency", "ms", false, "asked for until a watcher sees it, 20 writes/s, median"),
    figure("watchers_latency_p99", "ms", false, "the same, of 99 in 100"),
    figure("watchers_latency_last", "ms", false, "until the last of them sees it, median"),
    figure("watchers_cpu", "µs", false, "processor time for one record to one watcher"),
];

/// Measures.
///
/// # Errors
/// What went wrong first.
pub async fn measure(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    let count = scale.watchers;
    let mut note = |work, value| {
        eprintln!("  {work}: {value:.2}");
        sheet.note(work, count, OWN, value);
    };
    eprintln!("{count} watchers on one node");
    let folder = super::anew(&scale.folder.join("watchers"))?;
    let mut site = block_in_place(|| Site::at(&folder, &federation::members(&[WUHAI])))?;
    site.start().await?;
    stock(&site).await?;
    let node = [site.federation.nodes[0].pid().context("the node runs")?];
    let without = site.memory()?;
    let (end, ends) = watch::channel(u64::MAX);
    let mut watching = JoinSet::new();
    let mut channels = Vec::new();
    for n in 0..count {
        if n % A_CONNECTION == 0 {
            channels.push(site.connect("keeper-1").await?);
        }
        let channel = channels.last().context("the first opens one")?.clone();
        let opened = WatchServiceClient::new(channel).watch_registry(v1::WatchRegistryRequest::default()).await;
        let records = opened.with_context(|| format!("watcher {n} of {count}"))?.into_inner();
        watching.spawn(follow(records, ends.clone()));
    }
    note("watchers_memory", number((site.memory()?.saturating_sub(without)) >> 10) / number(count as u64));

    let (before, mut written) = (costs::cpu(&node)?, BTreeMap::new());
    let mut desk = Issuer::desks(&site, 1, 1).await?;
    let mut every = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let until = Instant::now() + scale.span;
    while Instant::now() < until {
        every.tick().await;
        let asked = Instant::now();
        written.insert(desk[0].issue().await?, asked);
    }
    // The last command ends the watching: what is behind it is not asked for.
    let last = desk[0].issue().await?;
    let mut seen: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
    end.send_replace(last);
    while let Some(watched) = watching.join_next().await {
        for (revision, at) in watched?? {
            seen.entry(revision).or_default().push(at);
        }
    }
    let cpu = costs::cpu(&node)?.saturating_sub(before);
    let (mut each, mut latest) = (Vec::new(), Vec::new());
    for (revision, asked) in &written {
        let at = seen.get(revision).map_or(&[][..], Vec::as_slice);
        ensure!(at.len() == count, "revision {revision} was seen by {} of {count} watchers", at.len());
        let after = at.iter().map(|at| at.saturating_duration_since(*asked));
        latest.extend(after.clone().max());
        each.extend(after);
    }
    let told = number(each.len() as u64);
    let mut part = |part| quantile(&mut each, part).context("nothing was written");
    note("watchers_latency", millis(part(0.5)?));
    note("watchers_latency_p99", millis(part(0.99)?));
    note("watchers_latency_last", millis(quantile(&mut latest, 0.5).context("nothing was written")?));
    note("watchers_cpu", cpu.as_secs_f64() * 1e6 / told);
    Ok(())
}

/// One store with one lot.
async fn stock(site: &Site) -> Result<()> {
    let mut registry = RegistryServiceClient::new(site.connect("keeper-1").await?);
    let (request_id, store) = (Mark::next().request_id(), store_id(0).to_string());
    let (title, district) = ("一号库".to_owned(), "乌达区".to_owned());
    let add = v1::AddStoreRequest { request_id, store: store.clone(), title, district };
    accepted(registry.add_store(call(add)).await?.into_inner().outcome)?;
    let details = v1::LotDetails {
        holding: Some(v1::Holding { kind: Some(v1::holding::Kind::Local("物资".to_owned())) }),
        title: "物资".to_owned(),
        unit: "件".to_owned(),
        store,
        class: v1::StockClass::Government.into(),
        ..v1::LotDetails::default()
    };
    let rows = vec![v1::OpenLotsRow { lot: id(0).to_string(), details: Some(details), quantity: OPENING }];
    let open = v1::OpenLotsRequest { request_id: Mark::next().request_id(), rows };
    let results = registry.open_lots(call(open)).await?.into_inner().results;
    results.into_iter().try_for_each(|lot| accepted(lot.outcome).map(drop))
}

/// Notes when each record comes, up to the last.
async fn follow(
    mut records: Streaming<v1::WatchRegistryResponse>,
    ends: watch::Receiver<u64>,
) -> Result<Vec<(u64, Instant)>> {
    let mut seen: Vec<(u64, Instant)> = Vec::new();
    loop {
        let item = records.message().await?.context("a watch ended")?.item;
        if let Some(Item::Record(record)) = item {
            let gap = seen.last().is_some_and(|(last, _)| *last + 1 != record.revision);
            ensure!(!gap, "revision {} does not follow the one before", record.revision);
            seen.push((record.revision, Instant::now()));
        }
        if seen.last().is_some_and(|(last, _)| *last >= *ends.borrow()) {
            return Ok(seen);
        }
    }
}
