//! The scrub of a record: reads again, now and then, what lies on the disk and is not read otherwise. Damage that only
//! showed when somebody needs the bytes would show too late.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shouwang_store::{Remedy, StoreError};

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
        // A start has enough to do.
        let mut on = wait(core, core.options.scrub_after);
        while on {
            on = self.round(core) && wait(core, EVERY);
        }
        tracing::debug!(record = %core.label, "scrub thread ends");
    }

    fn round(&self, core: &Core) -> bool {
        let ledger = self.port.ledger();
        let mut unread = Vec::new();
        for segment in ledger.segments() {
            match ledger.verify_segment(&segment) {
                Ok(()) => {}
                Err(error @ StoreError::LedgerDamaged { .. }) => {
                    core.keeper.push(KeeperJob::GiveUp { segment, error });
                }
                Err(error) => unread.push(error),
            }
            if !wait(core, PAUSE) {
                return false;
            }
        }
        match self.port.checkpoints().verify_all() {
            Ok(0) => {}
            // There must be two that are good: the log goes back to the older one only.
            Ok(_) => {
                core.apply.push(ApplyWork::CHECKPOINT);
            }
            Err(error) => unread.push(error),
        }
        if unread.is_empty() {
            // Behind what the keeper was told.
            core.keeper.push(KeeperJob::Scrubbed);
        }
        // What a disk does not give is how it dies: nobody may learn of it only when the bytes are needed.
        for error in unread {
            core.findings.add(error, Remedy::Operator);
        }
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
