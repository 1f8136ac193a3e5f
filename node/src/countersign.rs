//! The countersigner (会签) of a region on this node. It says by itself what the ledger on this node's disk is up to the
//! heads that the region marks, and – where this node leads – that another is due. When there is something to say, the
//! domain knows ([`Record::own_word`]); a node that has not got the whole ledger
//! says nothing.
//!
//! What must never stand here: a word that the state names. The state is what is vouched for; only what was read from
//! the disk vouches for it.

use std::time::{Duration, Instant};

use shouwang_domain::merkle::Frontier;
use shouwang_domain::record::{Record, Verdict};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::heads::OwnWord;
use shouwang_driver::{DriverError, Handle};
use tokio::sync::watch;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::api::read::clock;

/// How often it looks even when nothing happens in the region: what is due by the clock is due by the hour.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// How long news gathers before it is looked at: a word is due a few times a day, and a busy region has news all the time.
const GATHER: Duration = Duration::from_millis(100);
/// How long it rests when it could not say what it has to say.
const REST: Duration = Duration::from_secs(5);
/// The longest rest when the region refuses its word again and again: each time it is twice the last. Within the hour it
/// is the same command, with the same answer.
const REST_MAX: Duration = Duration::from_mins(10);
/// How long one proposal may take.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(20);

/// What came of a look.
enum Said {
    Something,
    Nothing,
    /// The region did not take it.
    Refused,
}

/// Countersigns the heads of one region.
#[derive(Debug)]
pub struct Countersigner {
    region: Handle<Region>,
    name: String,
    /// The tree over what was read of the ledger so far: it is read once after a start, and on from there.
    tree: Frontier,
}

impl Countersigner {
    /// The countersigner of a region on this node.
    pub fn new(region: Handle<Region>, name: String) -> Self {
        Self { region, name, tree: Frontier::default() }
    }

    /// Countersigns until the node stops.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let span = info_span!("countersigner", region = %self.name);
        async move {
            let mut refused = REST;
            loop {
                let mut region = self.region.watch(self.region.revision() + 1);
                let (rest, until_news) = match self.speak().await {
                    Ok(Said::Something) => {
                        refused = REST;
                        continue;
                    }
                    Ok(Said::Nothing) => (LOOK_AGAIN, true),
                    Ok(Said::Refused) => {
                        let rest = refused;
                        refused = REST_MAX.min(2 * rest);
                        (rest, false)
                    }
                    // None of it comes back before the node is started again.
                    Err(DriverError::Stopped | DriverError::Removed | DriverError::Halted { .. }) => return,
                    Err(error) => {
                        failed(&error);
                        (REST, false)
                    }
                };
                let gathered = async {
                    tokio::time::sleep(GATHER).await;
                    region.next().await
                };
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(rest) => {}
                    Ok(_) = gathered, if until_news => {}
                }
            }
        }
        .instrument(span)
        .await;
    }

    /// Says what there is to say.
    async fn speak(&mut self) -> Result<Said, DriverError> {
        let view = self.region.view()?;
        let leads = view.leader == Some(self.region.node());
        match view.record.own_word(self.region.node(), leads, clock()) {
            None => Ok(Said::Nothing),
            Some(OwnWord::Mark) => self.propose(&view.record, RegionCommand::MarkHead {}).await,
            Some(OwnWord::Countersign { revision }) => {
                let known = view.record.machine().newest_head().map(|(_, head)| head.root);
                // Taken: what could not be read whole is read from the beginning the next time.
                self.tree = self.region.reread(std::mem::take(&mut self.tree), revision).await?;
                let root = self.tree.root();
                if known.is_some_and(|known| known != root) {
                    error!(
                        revision,
                        %root,
                        "the ledger on this node's disk is not the region's: set it aside and let the node join anew / 本节点磁盘上的账本与区域不符"
                    );
                    self.tree = Frontier::default();
                }
                let said = self.propose(&view.record, RegionCommand::Countersign { revision, root }).await?;
                if matches!(said, Said::Something) {
                    info!(revision, "countersigned / 已会签");
                }
                Ok(said)
            }
        }
    }

    async fn propose(&self, record: &Record<Region>, body: RegionCommand) -> Result<Said, DriverError> {
        let envelope = record.own_command(self.region.node(), clock(), body);
        let outcome = self.region.propose(envelope, Instant::now() + PROPOSAL_TIMEOUT).await?;
        match outcome.verdict {
            Verdict::Accepted => Ok(Said::Something),
            // Somebody was faster, or it is not to be said; a later look finds what is left to say.
            other => {
                debug!(?other, "not taken");
                Ok(Said::Refused)
            }
        }
    }
}

/// A cut line, a quorum that is lost or a ledger that is still being fetched only makes it wait; what the disk does
/// not give does not go away by waiting.
fn failed(error: &DriverError) {
    match error {
        DriverError::Store(_) | DriverError::Unfit { .. } => {
            warn!(%error, "the ledger cannot be read, and is not countersigned / 账本无法读取，未会签");
        }
        _ => debug!(%error, "nothing is said for now"),
    }
}
