//! A node says by itself, in each of its regions, up to which feature level its program goes along: once, and again when
//! another program runs. Whoever raises the region's level goes by these words.

use std::time::{Duration, Instant};

use shouwang_domain::actor::Actor;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::CommandId;
use shouwang_domain::record::Verdict;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{DriverError, Handle, View};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::stopped;
use crate::api::read::clock;

/// How often the record is looked at: for as long as it has another word of this node, and after that – a rescue may have
/// lost the end in which it stood.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long one look and one proposal may take before both are made again.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Sees to it that the region has this node's word, until the node stops or takes part in the region no more.
pub(super) async fn announce(region: Handle<Region>, name: String, stop: watch::Receiver<bool>) {
    // What is still being said then would only hold up the stop.
    tokio::select! {
        () = stopped(stop) => {}
        () = keep_saying(&region, &name) => {}
    }
}

async fn keep_saying(region: &Handle<Region>, name: &str) {
    loop {
        let look_again = match say(region, name).await {
            Ok(true) => LOOK_AGAIN.1,
            Ok(false) => LOOK_AGAIN.0,
            // None of it comes back before the node is started again.
            Err(DriverError::Stopped | DriverError::Removed | DriverError::Halted { .. }) => return,
            Err(error) => {
                debug!(region = name, %error, "the level of this node's program is not on record yet");
                LOOK_AGAIN.0
            }
        };
        tokio::time::sleep(look_again).await;
    }
}

/// Says it, unless the record has it already; true if it has.
async fn say(region: &Handle<Region>, name: &str) -> Result<bool, DriverError> {
    let (node, level) = (region.node(), region.status().level_max);
    let has_it = |view: &View<Region>| view.record.machine().node_level(node) == level;
    let deadline = Instant::now() + PROPOSAL_TIMEOUT;
    // Right after a start this copy is older than what the node itself has said.
    if has_it(&region.view()?) || has_it(&region.read_linearizable(deadline).await?) {
        return Ok(true);
    }
    let actor = Actor::node(node);
    let (id, valid_until) = (CommandId(uuid::Uuid::now_v7()), clock().plus_ms(HOUR_MS));
    let envelope = Envelope { id, actor, valid_until, body: RegionCommand::AnnounceLevel { level } };
    let verdict = region.propose(envelope, deadline).await?.verdict;
    if verdict == Verdict::Accepted {
        info!(region = name, level, "the region knows up to which feature level this node goes along");
    } else {
        warn!(region = name, level, ?verdict, "the region does not take the level of this node's program");
    }
    Ok(false)
}
