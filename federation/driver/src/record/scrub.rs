//! The scrub of a record: reads again, now and then, what lies on the disk and is not read otherwise. Damage that only
//! showed when somebody needs the bytes would show too late.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shouwang_store::StoreError;

use super::{ApplyWork, Core, KeeperJob, RecordPort};

/// How often everything is read.
const EVERY: Duration = Duration::from_hours(24);
/// A pause behind each segment, so that the disk stays free for others: at most 8 MiB in this time.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Scrub {
    pub port: Arc<dyn RecordPort>,
}

impl Scrub {
    /// Runs until the box is closed.
    pub fn run(self) {
        let core = self.port.core();
        while self.round(core) && wait(core, EVERY) {}
        tracing::debug!(record = %core.label, "scrub thread ends");
    }

    fn round(&self, core: &Core) -> bool {
        let ledger = self.port.ledger();
        for segment in ledger.segments() {
            match ledger.verify_segment(&segment) {
                Ok(()) => {}
                Err(error @ StoreError::LedgerDamaged { .. }) => {
                    core.keeper.push(KeeperJob::GiveUp { segment, error });
                }
                Err(error) => tracing::warn!(record = %core.label, %error, "a segment could not be checked"),
            }
            if !wait(core, PAUSE) {
                return false;
            }
        }
        match self.port.checkpoints().verify_all() {
            Ok(0) => {}
            // There must be two that are good: the log goes back to the older one only.
            Ok(_) => {
                core.apply.push(ApplyWork::Checkpoint(None));
            }
            Err(error) => tracing::warn!(record = %core.label, %error, "the checkpoints could not be checked"),
        }
        // Behind what the keeper was told.
        core.keeper.push(KeeperJob::Scrubbed);
        !core.scrub.is_closed()
    }
}

/// Waits; false once the node stops.
fn wait(core: &Core, time: Duration) -> bool {
    core.scrub.take(Some(Instant::now() + time), &mut Vec::new())
}

/// Notes that a round is over.
pub(crate) fn done(core: &Core) {
    core.scrubbed.fetch_add(1, Ordering::Release);
}
