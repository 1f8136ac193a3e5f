//! What the leader's processor does, by what it does it for. It is the only thing here that a clock of the machine says.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What it is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Signing what is said at its own desk, and checking what others have signed.
    Sign,
    /// Raft itself.
    Raft,
    /// Messages for the wire, and the queues in front of each line.
    Queue,
    /// Encoding and compressing frames.
    Pack,
    /// Unpacking and decoding what others send.
    Unpack,
    /// Carrying out what is committed.
    Apply,
    /// Telling everybody whom it hears.
    Roll,
}

/// How many parts there are.
pub const PARTS: usize = 7;

/// Processor time by part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent([Duration; PARTS]);

impl Spent {
    /// All of it.
    pub fn all(&self) -> Duration {
        self.0.iter().sum()
    }

    /// On one part.
    pub fn on(&self, part: Part) -> Duration {
        self.0[part as usize]
    }

    /// Without what was spent before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part].saturating_sub(before.0[part])))
    }

    /// Does something, and notes what it took of this thread's processor time.
    pub fn time<T>(&mut self, part: Part, work: impl FnOnce() -> T) -> T {
        let began = thread_time();
        let done = work();
        self.0[part as usize] += thread_time().saturating_sub(began);
        done
    }
}

fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
