//! Simulated time: what happens next, and when.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Microseconds since the beginning of a run.
pub type Micros = u64;
/// Microseconds of a second.
pub const SECOND: Micros = 1_000_000;

/// Something that happens to a member, by position.
#[derive(Debug)]
pub enum Event {
    /// Time passes for its replica.
    Ticks(usize),
    /// Its line has carried what it was given.
    LineFree(usize),
    /// A frame has come.
    Arrives(Letter),
    /// Its disk has synced what it was given.
    Synced(usize),
    /// What waits at its desk has gathered for long enough.
    Gathered(usize),
    /// Somebody there asks for something.
    Asks(usize),
}

/// A frame on its way.
#[derive(Debug)]
pub struct Letter {
    /// From whom.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// As it was packed.
    pub packed: Bytes,
}

/// What will happen, in order; what is due at the same time happens in the order in which it was entered.
#[derive(Debug, Default)]
pub struct Agenda {
    events: BTreeMap<(Micros, u64), Event>,
    entered: u64,
    now: Micros,
}

impl Agenda {
    /// The time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Something will happen so much later.
    pub fn after(&mut self, later: Micros, event: Event) {
        self.at(self.now + later, event);
    }

    /// Something will happen then.
    pub fn at(&mut self, when: Micros, event: Event) {
        self.entered += 1;
        self.events.insert((when, self.entered), event);
    }

    /// What happens next, if anything does until then. Time goes on to it, or to the end.
    pub fn next(&mut self, until: Micros) -> Option<Event> {
        let due = self.events.first_entry().filter(|first| first.key().0 <= until);
        self.now = due.as_ref().map_or(until, |first| first.key().0);
        due.map(std::collections::btree_map::OccupiedEntry::remove)
    }
}
