//! Many lines of stock in one registry, and what they add up to published in one region.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use shouwang_cluster::federation;
use shouwang_cluster::story::WUHAI;
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::v1;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use shouwang_proto::v1::report_service_client::ReportServiceClient;
use tokio::task::{JoinSet, block_in_place};
use tonic::transport::Channel;

use super::issuer::Issuer;
use super::site::{CALL_MAX, Kept, Site, long};
use super::{Scale, figure};
use crate::figures::{millis, number, quantile};
use crate::gateway::Gateway;
use crate::load::{Span, repeat};
use crate::payload::Mark;
use crate::region::call;
use crate::registry::accepted;
use crate::report::Sheet;
use crate::stock::{OPENING, STORES, id, store_id};
use crate::system::OWN;
use crate::works::Work;

/// Lines in one call, the most that a call takes, and how many calls are under way.
const ROWS: usize = 1000;
const CALLS: usize = 4;
/// The first code of the items.
const FIRST_ITEM: usize = 2_000_000;
/// Desks that issue.
const DESKS: usize = 64;
/// How often each short query is asked.
const QUERIES: usize = 20;
/// How long people look at a report, or a list, before they ask for the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a courier's position is asked for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long the region may take to hear of everything.
const PUBLISHED_WITHIN: Duration = Duration::from_hours(1);

/// What is measured.
pub const WORKS: [Work; 18] = [
    figure("lines_import", "/s", true, "lots entered, 1000 a call"),
    figure("lines_release", "/s", true, "items released to the region, one a call"),
    figure("lines_published", "s", false, "until the region has every figure"),
    figure("lines_memory", "B/line", false, "PSS more than empty, on the day of the import"),
    figure("lines_memory_later", "B/line", false, "the same after a restart"),
    figure("lines_checkpoint", "ms", false, "of the registry"),
    figure("lines_checkpoint_size", "B/line", false, "its file"),
    figure("lines_checkpoint_region", "ms", false, "of the region"),
    figure("lines_restart", "ms", false, "killed; exec until the registry answers a linearizable read"),
    figure("lines_restart_region", "ms", false, "the same until the region does, too"),
    figure("lines_query_lot", "ms", false, "one lot, median"),
    figure("lines_query_left", "ms", false, "what is left of one item, median"),
    figure("lines_query_page", "ms", false, "a page of 1000 lots, median"),
    figure("lines_apply", "/s", true, "issues, 64 desks in 8 streams"),
    figure("lines_apply_checkpoint", "/s", true, "the same while checkpoints are taken"),
    figure("lines_apply_report", "/s", true, "while reports are made as well"),
    figure("lines_apply_busy", "/s", true, "while all lots are listed as well"),
    figure("lines_report", "ms", false, "report of the region, alone"),
];

/// Measures.
///
/// # Errors
/// What went wrong first.
pub async fn measure(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    let (lines, items) = (scale.lines, scale.items);
    let mut note = |work, value| {
        eprintln!("  {work}: {value:.2}");
        sheet.note(work, lines, OWN, value);
    };
    eprintln!("{lines} lines of {items} items in one registry");
    let folder = super::anew(&scale.folder.join("lines"))?;
    let mut site = block_in_place(|| Site::at(&folder, &federation::members(&[WUHAI])))?;
    site.start().await?;
    let empty = site.memory()?;
    let per_line = |bytes: u64| number(bytes.saturating_sub(empty)) / number(lines as u64);

    let took = import(&site, lines, items).await?;
    note("lines_import", number(lines as u64) / took.as_secs_f64());
    let (released, published) = publish(&site, items).await?;
    note("lines_release", number(items as u64) / released.as_secs_f64());
    note("lines_published", published.as_secs_f64());
    note("lines_memory", per_line(site.memory()?));
    let (took, bytes) = site.checkpoint(Kept::Registry).await?;
    note("lines_checkpoint", millis(took));
    note("lines_checkpoint_size", bytes / number(lines as u64));
    note("lines_checkpoint_region", millis(site.checkpoint(Kept::Region).await?.0));

    site.kill()?;
    let (registry, region) = site.start().await?;
    note("lines_restart", millis(registry));
    note("lines_restart_region", millis(region));
    note("lines_memory_later", per_line(site.memory()?));
    let keeper = site.connect("keeper-1").await?;
    for (work, took) in queries(&keeper, lines, items).await? {
        note(work, millis(took));
    }
    note("lines_report", millis(report(&keeper).await?));

    let span = Span { warm: Duration::from_secs(1), measured: scale.span };
    let mut desks = Issuer::desks(&site, DESKS, lines).await?;
    let site = Arc::new(site);
    for (work, all) in [
        ("lines_apply", &[][..]),
        ("lines_apply_checkpoint", &[Beside::Checkpoints][..]),
        ("lines_apply_report", &[Beside::Checkpoints, Beside::Reports]),
        ("lines_apply_busy", &[Beside::Checkpoints, Beside::Reports, Beside::Lists]),
    ] {
        let (busy, stop) = Busy::begin(&site, all);
        let (run, back) = repeat(desks, span).await?;
        desks = back;
        stop.store(true, Ordering::Relaxed);
        let done = busy.end().await?;
        note(work, run.rate());
        eprintln!("  meanwhile: {done}");
    }
    Ok(())
}

/// Enters stores and lots. Answers how long the lots took.
async fn import(site: &Site, lines: usize, items: usize) -> Result<Duration> {
    let mut registry = RegistryServiceClient::new(site.connect("keeper-1").await?);
    for n in 0..STORES {
        let (request_id, store) = (Mark::next().request_id(), store_id(n).to_string());
        let (title, district) = (format!("{n} 号库"), "乌达区".to_owned());
        let add = v1::AddStoreRequest { request_id, store, title, district };
        accepted(registry.add_store(call(add)).await?.into_inner().outcome)?;
    }
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for first in (0..lines).step_by(ROWS) {
        if calls.len() == CALLS {
            calls.join_next().await.context("calls are under way")???;
        }
        let keeper = registry.clone();
        let rows = (first..lines.min(first + ROWS)).map(|n| row(n, items)).collect();
        calls.spawn(async move { open(keeper, rows).await });
        if first % 100_000 == 0 {
            eprintln!("    {first} after {:.0} s, {} MiB", began.elapsed().as_secs_f64(), site.memory()? >> 20);
        }
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(began.elapsed())
}

async fn open(mut registry: RegistryServiceClient<Channel>, rows: Vec<v1::OpenLotsRow>) -> Result<()> {
    let count = rows.len();
    let open = v1::OpenLotsRequest { request_id: Mark::next().request_id(), rows };
    let results = registry.open_lots(long(open)).await?.into_inner().results;
    ensure!(results.len() == count, "{} of {count} lots opened", results.len());
    results.into_iter().try_for_each(|lot| accepted(lot.outcome).map(drop))
}

fn row(n: usize, items: usize) -> v1::OpenLotsRow {
    let details = v1::LotDetails {
        holding: Some(v1::Holding { kind: Some(v1::holding::Kind::Item((FIRST_ITEM + n % items).to_string())) }),
        title: format!("物资 {}", n % items),
        unit: "件".to_owned(),
        store: store_id(n % STORES).to_string(),
        class: v1::StockClass::Government.into(),
        batch: format!("2026-{n}"),
        expires: "2030-12-31".to_owned(),
        ..v1::LotDetails::default()
    };
    v1::OpenLotsRow { lot: id(n).to_string(), details: Some(details), quantity: OPENING }
}

fn resource(n: usize) -> v1::Resource {
    v1::Resource { kind: Some(v1::resource::Kind::Item((FIRST_ITEM + n).to_string())) }
}

/// Who releases the next item.
struct Signing {
    gateway: Gateway,
    region: String,
}

impl Signing {
    async fn release(&self, item: usize) -> Result<()> {
        let request = v1::SetVisibilityRequest {
            request_id: Mark::next().request_id(),
            region: self.region.clone(),
            resource: Some(resource(item)),
            visibility: v1::Visibility::Exact.into(),
        };
        accepted(v1::SetVisibilityResponse::decode(self.gateway.call(request.encode_to_vec()).await?)?.outcome)
            .map(drop)
    }
}

/// Releases every item. Answers how long that took, and how long until the region had all figures.
async fn publish(site: &Site, items: usize) -> Result<(Duration, Duration)> {
    let keeper = site.connect("keeper-1").await?;
    let known =
        RegistryServiceClient::new(keeper.clone()).get_registry(call(v1::GetRegistryRequest::default())).await?;
    let region = known.into_inner().channels.first().context("the registry knows no region")?.region.clone();
    let began = Instant::now();
    let mut signing = JoinSet::new();
    for desk in 0..CALLS {
        let leader = site.connect("leader-1").await?;
        let desk_of = Signing {
            gateway: Gateway::open(leader, "/shouwang.v1.RegistryService/SetVisibility").await?,
            region: region.clone(),
        };
        signing.spawn(async move {
            for item in (desk..items).step_by(CALLS) {
                desk_of.release(item).await.with_context(|| format!("releasing item {item} of {items}"))?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = signing.join_next().await {
        done??;
    }
    let released = began.elapsed();
    let mut couriers = AdminServiceClient::new(site.connect("admin-1").await?);
    loop {
        let listed = couriers.list_couriers(call(admin::ListCouriersRequest::default())).await?.into_inner();
        let courier = listed.couriers.first().context("the node has no courier")?;
        if courier.up_applied == courier.up_sent {
            break;
        }
        ensure!(
            began.elapsed() < PUBLISHED_WITHIN,
            "the courier has carried {} of {}",
            courier.up_applied,
            courier.up_sent
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let took = began.elapsed();
    let told = published(&keeper).await?;
    ensure!(told == items, "the region has {told} figures of {items}");
    Ok((released, took))
}

/// How many figures the region has.
async fn published(channel: &Channel) -> Result<usize> {
    let mut region = RegionServiceClient::new(channel.clone());
    let (mut count, mut page_token) = (0, String::new());
    loop {
        let request = v1::ListPublishedRequest { page_size: 1000, page_token, ..Default::default() };
        let page = region.list_published(long(request)).await?.into_inner();
        count += page.published.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(count);
        }
    }
}

/// What people look up, and how long each took in the middle.
async fn queries(channel: &Channel, lines: usize, items: usize) -> Result<Vec<(&'static str, Duration)>> {
    let mut registry = RegistryServiceClient::new(channel.clone());
    let (mut lots, mut left, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..QUERIES {
        let began = Instant::now();
        let name = format!("lots/{}", id(n * lines / QUERIES));
        registry.get_lot(long(v1::GetLotRequest { name, linearizable: true })).await?;
        lots.push(began.elapsed());
        let began = Instant::now();
        let resource = Some(resource(n * items / QUERIES));
        let look = v1::GetFloorViewRequest { resource, linearizable: true, ..Default::default() };
        registry.get_floor_view(long(look)).await?;
        left.push(began.elapsed());
        let began = Instant::now();
        let list = v1::ListLotsRequest { page_size: 1000, linearizable: true, ..Default::default() };
        registry.list_lots(long(list)).await?;
        pages.push(began.elapsed());
    }
    let middle = |times: &mut [Duration]| quantile(times, 0.5).context("nothing was asked");
    Ok(vec![
        ("lines_query_lot", middle(&mut lots)?),
        ("lines_query_left", middle(&mut left)?),
        ("lines_query_page", middle(&mut pages)?),
    ])
}

/// The region's report. Answers how long it took.
async fn report(channel: &Channel) -> Result<Duration> {
    let began = Instant::now();
    let mut reports = ReportServiceClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    reports.get_region_report(long(v1::GetRegionReportRequest::default())).await?;
    Ok(began.elapsed())
}

/// Something that goes on beside the desks, until it is told to stop.
#[derive(Clone, Copy)]
enum Beside {
    /// Checkpoints of both records, one after the other.
    Checkpoints,
    /// Reports of the region, with a pause between.
    Reports,
    /// Lists of every lot, page by page, with a pause between.
    Lists,
}

impl Beside {
    async fn go_on(self, site: Arc<Site>, stop: Arc<AtomicBool>) -> Result<(&'static str, u32)> {
        let goes_on = || !stop.load(Ordering::Relaxed);
        let mut done = 0;
        match self {
            Self::Checkpoints => {
                while goes_on() {
                    site.checkpoint(Kept::Registry).await?;
                    site.checkpoint(Kept::Region).await?;
                    done += 1;
                }
                Ok(("checkpoints of both", done))
            }
            Self::Reports => {
                let channel = site.connect("keeper-2").await?;
                while goes_on() {
                    report(&channel).await?;
                    done += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(("reports", done))
            }
            Self::Lists => {
                let mut registry = RegistryServiceClient::new(site.connect("duty-1").await?);
                let mut page_token = String::new();
                while goes_on() {
                    let list = v1::ListLotsRequest { page_size: 1000, page_token, ..Default::default() };
                    page_token = registry.list_lots(long(list)).await?.into_inner().next_page_token;
                    done += 1;
                    if page_token.is_empty() {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Ok(("pages of 1000 lots", done))
            }
        }
    }
}

/// What goes on beside the desks.
struct Busy(JoinSet<Result<(&'static str, u32)>>);

impl Busy {
    fn begin(site: &Arc<Site>, all: &[Beside]) -> (Self, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut working = JoinSet::new();
        for one in all {
            working.spawn(one.go_on(Arc::clone(site), Arc::clone(&stop)));
        }
        (Self(working), stop)
    }

    async fn end(mut self) -> Result<String> {
        let mut done = Vec::new();
        while let Some(ended) = tokio::time::timeout(2 * CALL_MAX, self.0.join_next()).await? {
            let (what, count) = ended??;
            done.push(format!("{count} {what}"));
        }
        Ok(done.join(", "))
    }
}
