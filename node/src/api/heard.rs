//! Who has spoken in a region lately: the last time each node's word was taken by the record.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, Weak};
use std::time::Duration;

use shouwang_domain::ids::NodeId;
use shouwang_domain::record::Cause;
use shouwang_domain::region::Region;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{Handle, WatchError};

/// How often listening looks up when nobody speaks.
const LOOK_UP: Duration = Duration::from_mins(1);

/// The last word of each node, by record time.
#[derive(Debug, Default)]
pub struct Heard(RwLock<BTreeMap<NodeId, Timestamp>>);

impl Heard {
    /// The last word of a node; `None` when it has said nothing since this node listens.
    pub fn last(&self, node: NodeId) -> Option<Timestamp> {
        // A panic while it was written could only lose the time of one word.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    /// Notes a word.
    pub fn note(&self, node: NodeId, at: Timestamp) {
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = last.entry(node).or_insert(at);
        *known = at.max(*known);
    }
}

/// Listens to a region's ledger until nobody asks any longer who was heard, or the record stops.
pub async fn listen(region: Handle<Region>, heard: Weak<Heard>) {
    let mut cursor = region.watch(region.revision() + 1);
    loop {
        let change = tokio::select! {
            change = cursor.next() => change,
            // A quiet night: look whether anybody still asks.
            () = tokio::time::sleep(LOOK_UP) => {
                if heard.strong_count() == 0 {
                    return;
                }
                continue;
            }
        };
        let Some(heard) = heard.upgrade() else { return };
        match change {
            Ok(change) => {
                if let Cause::Command { proof, .. } = &change.record.cause {
                    heard.note(proof.node, change.record.at);
                }
            }
            // Behind an installed checkpoint the ledger begins later: what was said before is old news.
            Err(WatchError::Compacted { .. }) => cursor = region.watch(region.revision() + 1),
            Err(WatchError::Stopped) => return,
            Err(WatchError::Store(error)) => {
                tracing::warn!(%error, "the ledger does not read; who was heard last is no longer followed");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let (heard, node) = (Heard::default(), NodeId::try_from(1_503_000_001).unwrap());
        assert_eq!(heard.last(node), None);
        heard.note(node, Timestamp(5));
        heard.note(node, Timestamp(3));
        assert_eq!(heard.last(node), Some(Timestamp(5)));
    }
}
