//! The history that lies before an installed checkpoint: fetched from members into a ledger aside, and taken over only
//! when all of it fits the Merkle root that this node's own state names.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::NodeId;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_proto::replication::v1 as proto;
use shouwang_store::ledger::{Ledger, LedgerOptions, LedgerReader};
use shouwang_store::{Disk, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::Transport;
use super::fetch::peer_error;
use super::peer::client;
use crate::Result;
use crate::error::DriverError;
use crate::record::{KeeperJob, RecordPort};

/// Ledger records taken over at once, and their bytes.
const PAGE: (usize, usize) = (4096, 4 << 20);
/// Pause after a member could not help.
const PAUSE: Duration = Duration::from_millis(500);

/// Where fetched history waits for its verification.
#[derive(Clone)]
pub(crate) struct HistoryDir {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
}

impl Transport {
    /// Fetches what is missing of a record's ledger, unless that is under way. Goes on until nothing is missing.
    pub fn fetch_history(self: &Arc<Self>, port: Arc<dyn RecordPort>, at: HistoryDir) {
        if port.core().fetching_history.swap(true, Ordering::AcqRel) {
            return;
        }
        let transport = self.clone();
        self.spawn(async move {
            let mut turn = 0;
            while !port.core().missing().is_empty() && port.core().refuses().is_none() {
                let node = candidate(&*port, turn);
                turn += 1;
                let Some(node) = node else {
                    sleep(PAUSE).await;
                    continue;
                };
                if let Err(error) = transport.history_from(&port, &at, node).await {
                    tracing::debug!(record = %port.core().label, %node, %error, "history not fetched yet");
                    sleep(PAUSE).await;
                }
            }
            port.core().fetching_history.store(false, Ordering::Release);
        });
    }

    async fn history_from(self: &Arc<Self>, port: &Arc<dyn RecordPort>, at: &HistoryDir, node: NodeId) -> Result<()> {
        let gaps = port.core().missing();
        let (opening, record_id) = (at.clone(), port.core().id);
        let open = move || open_aside(&opening, record_id.0);
        let mut aside = spawn_blocking(open).await.map_err(|error| peer_error(node, error))??;
        for (first, last) in gaps {
            let next = aside.next().max(first);
            if next <= last {
                aside = self.fetch_gap(port, aside, node, (next, last)).await?;
            }
        }
        let (port, at) = (port.clone(), at.clone());
        spawn_blocking(move || take_over(&*port, aside, &at)).await.map_err(|error| peer_error(node, error))?
    }

    async fn fetch_gap(
        self: &Arc<Self>,
        port: &Arc<dyn RecordPort>,
        mut aside: Ledger,
        node: NodeId,
        (first, last): (u64, u64),
    ) -> Result<Ledger> {
        tracing::info!(record = %port.core().label, %node, first, last, "fetching history");
        let peer = self.peer(node.get()).ok_or_else(|| peer_error(node, "no such node"))?;
        let channel = peer.channel(self.options.connect_timeout).await;
        let channel = channel.ok_or_else(|| peer_error(node, "not connected"))?;
        let request = proto::FetchLedgerRequest { record_id: port.core().id.0.to_vec().into(), first, last };
        let stall = self.options.stall_timeout;
        let answer = timeout(stall, client(channel, true).fetch_ledger(request)).await;
        let pages = answer.map_err(|_| peer_error(node, "no answer"))?.map_err(|status| peer_error(node, status))?;
        let mut pages = pages.into_inner();
        let mut next = first;
        while next <= last {
            let page = timeout(stall, pages.message()).await.map_err(|_| peer_error(node, "the transfer stalls"))?;
            let page = page.map_err(|status| peer_error(node, status))?;
            let page = page.filter(|page| page.first == next && !page.records.is_empty());
            let page = page.ok_or_else(|| peer_error(node, "it ends before all is here"))?;
            next += page.records.len() as u64;
            let keep = move || append(&mut aside, page).map(|()| aside);
            aside = spawn_blocking(keep).await.map_err(|error| peer_error(node, error))??;
        }
        Ok(aside)
    }
}

/// Whom to ask: the leader first, then the others in turn.
fn candidate(port: &dyn RecordPort, turn: usize) -> Option<NodeId> {
    let core = port.core();
    let group = core.group.load();
    let others = group.iter().map(|member| member.node).filter(|node| Some(*node) != core.leader());
    let all: Vec<_> = core.leader().into_iter().chain(others).filter(|node| *node != core.node).collect();
    (!all.is_empty()).then(|| all[turn % all.len()])
}

/// What earlier attempts have left, or an empty ledger if that does not read.
fn open_aside(at: &HistoryDir, record_id: [u8; 32]) -> Result<Ledger> {
    let open = || Ledger::open(at.disk.clone(), &at.dir, record_id, LedgerOptions::default());
    match open() {
        Err(StoreError::LedgerDamaged { .. } | StoreError::LedgerShort { .. }) => {
            clear(at)?;
            Ok(open()?)
        }
        other => Ok(other?),
    }
}

fn clear(at: &HistoryDir) -> Result<()> {
    let fault = |e| StoreError::io("remove", &at.dir, e);
    for name in at.disk.list(&at.dir).map_err(fault)? {
        at.disk.remove(&at.dir.join(name)).map_err(fault)?;
    }
    Ok(())
}

fn append(aside: &mut Ledger, page: proto::FetchLedgerResponse) -> Result<()> {
    if aside.next() < page.first {
        aside.begin_at(page.first)?;
    }
    for (revision, bytes) in (page.first..).zip(page.records) {
        aside.append(revision, &bytes)?;
    }
    if aside.should_seal() {
        // Of no meaning here: the root is checked over everything, and kept with what is taken over.
        aside.seal([0; 32])?;
    }
    Ok(())
}

/// A run of fetched records, with the Merkle root after its last.
struct Run {
    first: u64,
    count: usize,
    root: Hash32,
}

/// Checks all of the ledger, fetched and held, against the root of the state, and hands the fetched part to the keeper.
/// What does not fit is thrown away. Blocks.
fn take_over(port: &dyn RecordPort, mut aside: Ledger, at: &HistoryDir) -> Result<()> {
    aside.sync()?;
    let reader = aside.reader();
    drop(aside);
    let runs = match check(port, &reader) {
        // Not all of it, or another record's: what is there is of no use.
        Err(error @ (DriverError::Unfit { .. } | DriverError::OutOfRange { .. })) => {
            tracing::error!(record = %port.core().label, %error, "fetched history is not ours; it is thrown away");
            drop(reader);
            clear(at)?;
            return Err(error);
        }
        other => other?,
    };
    for Run { first, count, root } in runs {
        let records: Vec<_> = reader.read(first, count, usize::MAX)?.into_iter().map(|(_, bytes)| bytes).collect();
        let (done, taken) = std::sync::mpsc::channel();
        port.core().keeper.push(KeeperJob::History { first, records, root: root.0, done });
        // Nobody answers any more once the record has ended.
        taken.recv().map_err(|_| DriverError::Stopped)?;
    }
    drop(reader);
    clear(at)
}

fn check(port: &dyn RecordPort, aside: &LedgerReader) -> Result<Vec<Run>> {
    let id = port.core().id;
    let (size, root) = port.ledger_state().ok_or(DriverError::Joining)?;
    let (mut frontier, mut runs) = (Frontier::default(), Vec::new());
    while frontier.size() < size {
        let next = frontier.size() + 1;
        let left = usize::try_from(size - frontier.size()).unwrap_or(usize::MAX).min(PAGE.0);
        let mut fetched = false;
        let mut page = match port.ledger().read(next, left, PAGE.1) {
            Err(StoreError::OutOfRange { .. }) => {
                fetched = true;
                match aside.read(next, left, PAGE.1) {
                    Err(StoreError::OutOfRange { .. }) => Vec::new(),
                    other => other?,
                }
            }
            other => other?,
        };
        if page.is_empty() {
            let newest = port.newest(next).into_iter().take(left);
            page = (next..).zip(newest.map(|bytes| bytes.to_vec())).collect();
        }
        if page.is_empty() {
            return Err(DriverError::OutOfRange { revision: next, oldest: port.core().oldest() });
        }
        for (_, bytes) in &page {
            frontier.push(merkle::leaf(bytes));
        }
        if fetched {
            runs.push(Run { first: next, count: page.len(), root: frontier.root() });
        }
    }
    if frontier.root() == root {
        Ok(runs)
    } else {
        let detail = "together with what is held it does not have the root of the state".to_owned();
        Err(DriverError::Unfit { id, what: "the history", detail })
    }
}
