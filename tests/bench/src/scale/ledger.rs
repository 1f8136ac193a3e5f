//! A long ledger of one region, on the node of its one voter: made once through commands, and used again by later runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use shouwang_cluster::federation::{self, MemberSpec};
use shouwang_cluster::story::{ALXA, WUHAI};
use shouwang_proto::v1;
use shouwang_proto::v1::ledger_service_client::LedgerServiceClient;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::report_service_client::ReportServiceClient;
use shouwang_proto::v1::watch_region_response::Item;
use shouwang_proto::v1::watch_service_client::WatchServiceClient;
use tokio::task::{JoinSet, block_in_place};
use tonic::Code;
use tonic::transport::Channel;

use super::process;
use super::site::{Kept, Site, long};
use super::{Scale, figure};
use crate::figures::{millis, number};
use crate::gateway::Gateway;
use crate::payload::{self, Mark};
use crate::region::{WRITE, call, disagree};
use crate::report::Sheet;
use crate::system::{CONNECTIONS_MAX, OWN};
use crate::works::Work;

/// Commands under way while the ledger is made.
const DESKS: usize = 512;
/// How old the ids of the commands are when they are given: a record remembers an id for a day from when it was made, and a
/// ledger that grew over years has almost all of its ids behind that.
const MADE_AGO: Duration = Duration::from_mins(24 * 60 - 2);
/// Bytes of what each of them says.
const SAID: usize = 48;
/// Records that a watcher reads from the middle on, at most.
const WATCHED: usize = 200_000;
/// The file beside the federation that names the mission under discussion.
const MISSION: &str = "mission";

/// What is measured.
pub const WORKS: [Work; 16] = [
    figure("ledger_generate", "/s", true, "commands accepted, 512 under way in 8 streams"),
    figure("ledger_disk", "B/record", false, "ledger on the disk"),
    figure("ledger_index", "B/record", false, "index of both ledgers on the disk"),
    figure("ledger_disk_all", "B/record", false, "everything of the node on the disk"),
    figure("ledger_memory", "MiB", false, "PSS of the node after a restart"),
    figure("ledger_restart", "ms", false, "killed; exec until the region answers a linearizable read"),
    figure("ledger_watch_first", "ms", false, "watch from the middle: until its first record"),
    figure("ledger_watch", "/s", true, "records a second to that watcher"),
    figure("ledger_recall", "ms", false, "outcome of one of its first commands, by the command's id"),
    figure("ledger_export", "/s", true, "shouwang ledger export, records a second"),
    figure("ledger_verify", "/s", true, "ledger verify --copy, records a second"),
    figure("ledger_verify_charter", "/s", true, "the same with --charter: every decision anew"),
    figure("ledger_report", "ms", false, "report of the region, now"),
    figure("ledger_report_near", "ms", false, "as of 10,000 records ago"),
    figure("ledger_report_half", "ms", false, "as of the middle"),
    figure("ledger_checkpoint", "ms", false, "of the region"),
];

/// The hub votes; the other side of the discrepancy follows, and does not run while the ledger grows.
fn members() -> Vec<MemberSpec> {
    let of = |member: MemberSpec| MemberSpec { voter: member.code == WUHAI, ..member };
    federation::members(&[WUHAI, ALXA]).into_iter().map(of).collect()
}

/// Measures.
///
/// # Errors
/// What went wrong first.
pub async fn measure(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    let folder = scale.folder.join("ledger");
    let (mut site, mission) = block_in_place(|| found(&folder))?;
    site.start().await?;
    let had = revision(&site.connect("leader-1").await?).await?;
    eprintln!("a ledger of {} records; {had} are there", scale.records);
    let generated = generate(&site, &mission, scale.records).await?;
    let records = usize::try_from(revision(&site.connect("leader-1").await?).await?)?;
    let mut note = |work, value| {
        eprintln!("  {work}: {value:.2}");
        sheet.note(work, records, OWN, value);
    };
    if let Some(rate) = generated {
        note("ledger_generate", rate);
    }
    note("ledger_checkpoint", millis(site.checkpoint(Kept::Region).await?.0));
    site.kill()?;
    let home = site.federation.home(WUHAI);
    let (channel_of, per_record) = ("leader-1", |bytes: u64| number(bytes) / number(records as u64));
    let (_, restart) = site.start().await?;
    note("ledger_restart", millis(restart));
    note("ledger_memory", number(site.memory()? >> 20));
    let channel = site.connect(channel_of).await?;
    note("ledger_disk", per_record(process::disk(&ledger_of(&home, &record_id(&channel).await?)?)?));
    note("ledger_disk_all", per_record(process::disk(&home.join("data"))?));
    note("ledger_index", per_record(process::disk(&home.join("data/records/index"))?));

    let middle = (records / 2) as u64;
    let (first, rate) = watch(&channel, middle, WATCHED.min(records / 2)).await?;
    note("ledger_watch_first", millis(first));
    note("ledger_watch", rate);
    note("ledger_recall", millis(recall(&channel, (records / 1000).max(1) as u64).await?));
    for (work, back) in [
        ("ledger_report", 0),
        ("ledger_report_near", records.saturating_sub(10_000) as u64),
        ("ledger_report_half", middle),
    ] {
        match report(&channel, back).await? {
            Ok(took) => note(work, millis(took)),
            Err(why) => eprintln!("  {work}: no answer: {why}"),
        }
    }
    for (work, took) in block_in_place(|| verify(&site, &folder))? {
        note(work, number(records as u64) / took.as_secs_f64());
    }
    Ok(())
}

/// The federation in a folder and the mission that is discussed there, from an earlier run or founded now. Blocks.
fn found(folder: &Path) -> Result<(Site, String)> {
    let kept = folder.join(MISSION);
    if let Ok(mission) = std::fs::read_to_string(&kept) {
        return Ok((Site::at(folder, &members())?, mission));
    }
    let mut site = Site::at(folder, &members())?;
    site.federation.start_all()?;
    let mission = disagree(&mut site.federation)?;
    site.federation.nodes.iter_mut().try_for_each(shouwang_cluster::NodeProcess::stop)?;
    std::fs::write(&kept, &mission)?;
    Ok((site, mission))
}

/// Gives commands until the ledger has so many records. Answers how many were accepted a second, if any were given.
async fn generate(site: &Site, mission: &str, records: usize) -> Result<Option<f64>> {
    let channel = site.connect("leader-1").await?;
    let (had, began) = (revision(&channel).await?, Instant::now());
    let missing = (records as u64).saturating_sub(had);
    if missing == 0 {
        return Ok(None);
    }
    let mut giving = JoinSet::new();
    for connection in 0..CONNECTIONS_MAX {
        let gateway = Gateway::open(site.connect("leader-1").await?, WRITE).await?;
        for desk in (connection..DESKS).step_by(CONNECTIONS_MAX) {
            let (gateway, mission) = (gateway.clone(), mission.to_owned());
            let own = missing / DESKS as u64 + u64::from((desk as u64) < missing % DESKS as u64);
            giving.spawn(async move {
                for _ in 0..own {
                    say(&gateway, &mission).await?;
                }
                anyhow::Ok(())
            });
        }
    }
    let mut look = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            done = giving.join_next() => match done {
                Some(done) => done??,
                None => break,
            },
            _ = look.tick() => {
                let (now, took) = (revision(&channel).await?, began.elapsed().as_secs_f64());
                eprintln!("    {now} after {took:.0} s, {} MiB", site.memory()? >> 20);
            }
        }
    }
    Ok(Some(number(missing) / began.elapsed().as_secs_f64()))
}

async fn say(gateway: &Gateway, mission: &str) -> Result<()> {
    let mark = Mark::next();
    let note = payload::text(&mark.payload()[..SAID]);
    let request = v1::ProposeFindingRequest {
        request_id: mark.id_made(MADE_AGO).to_string(),
        region: String::new(),
        mission: mission.to_owned(),
        kind: v1::DiscrepancyKind::DeliveryShort.into(),
        finding: Some(v1::Finding { charge_requester: 0, note }),
    };
    let answer = v1::ProposeFindingResponse::decode(gateway.call(request.encode_to_vec()).await?)?;
    crate::registry::accepted(answer.outcome).map(drop)
}

async fn head(channel: &Channel) -> Result<v1::GetRegionHeadResponse> {
    let request = v1::GetRegionHeadRequest { linearizable: true, ..Default::default() };
    Ok(LedgerServiceClient::new(channel.clone()).get_region_head(call(request)).await?.into_inner())
}

async fn revision(channel: &Channel) -> Result<u64> {
    Ok(head(channel).await?.revision)
}

async fn record_id(channel: &Channel) -> Result<String> {
    Ok(head(channel).await?.record)
}

/// The folder of a record's ledger.
fn ledger_of(home: &Path, record: &str) -> Result<PathBuf> {
    let folder = home.join("data/records/records").join(record).join("ledger");
    ensure!(folder.is_dir(), "no {}", folder.display());
    Ok(folder)
}

/// Watches from a revision on. Answers how long the first record took, and how many came a second.
async fn watch(channel: &Channel, from_revision: u64, count: usize) -> Result<(Duration, f64)> {
    let began = Instant::now();
    let request = v1::WatchRegionRequest { from_revision, ..Default::default() };
    let mut records = WatchServiceClient::new(channel.clone()).watch_region(request).await?.into_inner();
    let (mut next, mut first) = (from_revision, None);
    for _ in 0..count {
        let item = records.message().await?.context("the watch ended")?.item;
        let Some(Item::Record(record)) = item else { break };
        ensure!(record.revision == next, "revision {} where {next} was to come", record.revision);
        first.get_or_insert_with(|| began.elapsed());
        next += 1;
    }
    let rate = number(next - from_revision) / began.elapsed().as_secs_f64();
    Ok((first.context("nothing came")?, rate))
}

/// Asks what came of the command that a revision holds. Answers how long that took.
async fn recall(channel: &Channel, revision: u64) -> Result<Duration> {
    let from = v1::WatchRegionRequest { from_revision: revision, ..Default::default() };
    let first = WatchServiceClient::new(channel.clone()).watch_region(from).await?.into_inner().message().await?;
    let Some(Item::Record(record)) = first.and_then(|first| first.item) else { bail!("no record {revision}") };
    let began = Instant::now();
    let request = v1::GetRegionOutcomeRequest { request_id: record.request_id, ..Default::default() };
    let outcome =
        RegionServiceClient::new(channel.clone()).get_region_outcome(call(request)).await?.into_inner().outcome;
    let found = outcome.context("no outcome")?.revision;
    ensure!(found == revision, "the command of revision {revision} is said to be in {found}");
    Ok(began.elapsed())
}

/// The report as of a revision, 0 being now; or what the node says that cannot make it in time.
async fn report(channel: &Channel, revision: u64) -> Result<Result<Duration, String>> {
    let began = Instant::now();
    let request = v1::GetRegionReportRequest { revision, ..Default::default() };
    match ReportServiceClient::new(channel.clone()).get_region_report(long(request)).await {
        Ok(_) => Ok(Ok(began.elapsed())),
        Err(status) if [Code::DeadlineExceeded, Code::OutOfRange].contains(&status.code()) => {
            Ok(Err(status.message().to_owned()))
        }
        Err(status) => Err(status.into()),
    }
}

/// Takes a copy of the ledger and checks it, as an auditor does. Answers how long each step took. Blocks.
fn verify(site: &Site, folder: &Path) -> Result<Vec<(&'static str, Duration)>> {
    let (copy, charter) = (folder.join("copy"), site.federation.charter());
    let (copy_at, charter) = (copy.to_string_lossy(), charter.to_string_lossy());
    let auditor = site.federation.terminal(WUHAI, "secretariat");
    let export = ["ledger", "export", "--out", &copy_at];
    let verify = ["ledger", "verify", "--copy", &copy_at];
    let decide = [&verify[..], &["--charter", &charter]].concat();
    // A copy of an earlier run is not that of this ledger, and none is there as a rule.
    let _ = std::fs::remove_file(&copy);
    let steps: [(_, &[&str]); 3] =
        [("ledger_export", &export), ("ledger_verify", &verify), ("ledger_verify_charter", &decide)];
    let timed = |(work, arguments): (&'static str, &[&str])| {
        let began = Instant::now();
        auditor.run(arguments)?;
        Ok((work, began.elapsed()))
    };
    let took = steps.into_iter().map(timed).collect();
    std::fs::remove_file(&copy)?;
    took
}
