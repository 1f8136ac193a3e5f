//! A region under the load generator: everything that it counts as accepted is in the ledger, and a watcher sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use shouwang_bench::costs;
use shouwang_bench::load::{Ask, Span, drive};
use shouwang_bench::region::Region;
use shouwang_bench::system::{Client as _, System as _};
use tokio::task::block_in_place;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_in_the_ledger() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut region = block_in_place(|| Region::found(&folder.path().join("region")))?;
    let leader = region.leader().await?;
    let watcher = region.clients(region.follower(leader), 1).await?;
    let seen: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&seen);
    let watching = watcher[0].follow(move |_| _ = counted.fetch_add(1, Ordering::SeqCst)).await?;
    costs::rest(&region).await?;
    let before = block_in_place(|| region.revision())?;
    let bytes = between_nodes(&region)?;
    let span = Span { warm: Duration::from_millis(100), measured: Duration::from_millis(400) };
    let run = drive(region.clients(leader, 16).await?, Ask::Write, span).await?;
    let streamed = drive(region.gateways(leader, 16).await?, Ask::Write, span).await?;
    costs::rest(&region).await?;
    let after = block_in_place(|| region.revision())?;
    let all = run.all + streamed.all;
    ensure!(after - before == all, "{all} accepted, {} in the ledger", after - before);
    ensure!(seen.load(Ordering::SeqCst) == all, "{all} accepted, {} seen", seen.load(Ordering::SeqCst));
    ensure!(!watching.is_finished(), "the watch ended");
    if let (Some(before), Some(after)) = (bytes, between_nodes(&region)?) {
        let sent = after - before;
        ensure!(sent > 2 * 256 * all, "{sent} bytes for {all} commits on two followers");
    }
    let read = drive(region.clients(leader, 16).await?, Ask::Read, span).await?;
    ensure!(read.all > 0 && block_in_place(|| region.revision())? == after, "a read left a trace");
    Ok(())
}

/// What has gone between the nodes, where that can be counted; under CI it must be.
fn between_nodes(region: &Region) -> Result<Option<u64>> {
    match costs::between_nodes(&region.peer_ports()) {
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("left out: {error:#}");
            Ok(None)
        }
        counted => counted.map(Some),
    }
}
