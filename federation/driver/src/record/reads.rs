//! Linearizable reads: all that arrive together ask the quorum once and wait for apply together.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::Result;
use crate::error::DriverError;

type Caller = oneshot::Sender<Result<()>>;

/// Most reads that wait; beyond, they are refused as busy.
const READS_MAX: usize = 65_536;

/// Reads under way.
#[derive(Default)]
pub(crate) struct Reads {
    arrived: Vec<Caller>,
    asked: BTreeMap<u64, Vec<Caller>>,
    ready: BTreeMap<u64, Vec<Caller>>,
    next_ticket: u64,
    count: usize,
}

impl Reads {
    /// A read arrives.
    pub fn add(&mut self, caller: Caller) {
        if self.count >= READS_MAX {
            // A caller that has just left needs no answer; the same below.
            let _ = caller.send(Err(DriverError::Busy));
            return;
        }
        self.count += 1;
        self.arrived.push(caller);
    }

    /// The ticket to ask the quorum with, if reads have arrived since the last.
    pub fn ask(&mut self) -> Option<u64> {
        if self.arrived.is_empty() {
            return None;
        }
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket, std::mem::take(&mut self.arrived));
        Some(self.next_ticket)
    }

    /// The quorum has answered: the reads of `ticket` wait for `index`.
    pub fn ready(&mut self, ticket: u64, index: u64) {
        if let Some(callers) = self.asked.remove(&ticket) {
            self.ready.entry(index).or_default().extend(callers);
        }
    }

    /// The quorum has not answered.
    pub fn refused(&mut self, ticket: u64) {
        let callers = self.asked.remove(&ticket).unwrap_or_default();
        self.count -= callers.len();
        for caller in callers {
            let _ = caller.send(Err(DriverError::NoLeader));
        }
    }

    /// Whether reads wait for apply alone.
    pub fn wait_for_apply(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Apply has reached `index`, and readers can see it.
    pub fn applied(&mut self, index: u64) {
        while let Some(first) = self.ready.first_entry().filter(|first| *first.key() <= index) {
            let callers = first.remove();
            self.count -= callers.len();
            for caller in callers {
                let _ = caller.send(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_wait_for_the_quorum_and_then_for_apply() {
        let mut reads = Reads::default();
        let mut callers: Vec<_> = (0..3).map(|_| oneshot::channel()).collect();
        let mut receivers: Vec<_> = Vec::new();
        for (n, (sender, receiver)) in callers.drain(..).enumerate() {
            reads.add(sender);
            receivers.push(receiver);
            if n == 1 {
                assert_eq!(reads.ask(), Some(1), "two share a ticket");
            }
        }
        assert_eq!((reads.ask(), reads.ask()), (Some(2), None));
        assert!(!reads.wait_for_apply());
        reads.ready(1, 10);
        assert!(reads.wait_for_apply());
        reads.refused(2);
        assert!(matches!(receivers[2].try_recv(), Ok(Err(DriverError::NoLeader))));
        reads.applied(9);
        assert!(receivers[0].try_recv().is_err());
        reads.applied(10);
        assert!(matches!(receivers[0].try_recv(), Ok(Ok(()))) && matches!(receivers[1].try_recv(), Ok(Ok(()))));
        assert_eq!(reads.count, 0);
    }
}
