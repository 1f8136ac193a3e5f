//! What waits for the disk: messages that promise durability, and checkpoints to install.

use std::collections::VecDeque;

use raft::eraftpb::Message;

use crate::action::LogBase;

/// One write under way, and what may happen once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Of the newest `Persist` this depends on.
    pub number: u64,
    /// Raft's number of the ready it came from; 0 for a write of our own.
    pub ready: u64,
    /// Whether durability is needed; if not, it only waits for those before it.
    pub must_sync: bool,
    /// The term it makes durable; 0 if none.
    pub term: u64,
    pub messages: Vec<Message>,
    pub installs: Option<LogBase>,
}

/// What may happen now.
#[derive(Debug, Default)]
pub(crate) struct Released {
    /// The newest ready of raft's that is durable; 0 if none.
    pub ready: u64,
    pub messages: Vec<Message>,
    pub installs: Vec<LogBase>,
}

#[derive(Debug)]
pub(crate) struct PersistQueue {
    issued: u64,
    done: u64,
    durable_term: u64,
    waiting: VecDeque<Waiting>,
}

impl PersistQueue {
    pub fn new(durable_term: u64) -> Self {
        Self { issued: 0, done: 0, durable_term, waiting: VecDeque::new() }
    }

    /// The number of the next `Persist`.
    pub fn issue(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    pub fn last_issued(&self) -> u64 {
        self.issued
    }

    /// The newest term that a crash cannot take back.
    pub fn durable_term(&self) -> u64 {
        self.durable_term
    }

    pub fn enqueue(&mut self, waiting: Waiting) -> Released {
        self.waiting.push_back(waiting);
        self.release()
    }

    /// Everything up to `number` is durable.
    pub fn persisted(&mut self, number: u64) -> Released {
        self.done = self.done.max(number.min(self.issued));
        self.release()
    }

    fn release(&mut self) -> Released {
        let mut released = Released::default();
        while let Some(first) = self.waiting.pop_front_if(|w| w.number <= self.done || !w.must_sync) {
            released.ready = released.ready.max(first.ready);
            self.durable_term = self.durable_term.max(first.term);
            released.messages.extend(first.messages);
            released.installs.extend(first.installs);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(queue: &mut PersistQueue, ready: u64, must_sync: bool) -> (u64, Released) {
        let number = queue.issue();
        let mut message = Message::default();
        message.set_index(ready);
        let waiting = Waiting { number, ready, must_sync, term: ready, messages: vec![message], installs: None };
        (number, queue.enqueue(waiting))
    }

    fn indexes(released: &Released) -> Vec<u64> {
        released.messages.iter().map(Message::get_index).collect()
    }

    #[test]
    fn what_needs_no_sync_goes_at_once_but_never_overtakes() {
        let mut queue = PersistQueue::new(0);
        assert_eq!(indexes(&write(&mut queue, 1, false).1), [1]);
        let (synced, released) = write(&mut queue, 2, true);
        assert!(released.messages.is_empty());
        assert!(write(&mut queue, 3, false).1.messages.is_empty(), "waits behind 2");
        let (later, _) = write(&mut queue, 4, true);
        assert_eq!(queue.durable_term(), 1);
        let released = queue.persisted(synced);
        assert_eq!((indexes(&released), released.ready, queue.durable_term()), (vec![2, 3], 3, 3));
        assert_eq!(indexes(&queue.persisted(later + 7)), [4]);
        assert!(write(&mut queue, 5, true).1.messages.is_empty(), "a number from the future covers nothing");
    }
}
