//! Bugs to plant, so that the simulator can show that it would see them (feature `planted`; no release has it, and in
//! the build of the tests only the simulator plants any).
//!
//! This is the one list of them. A rule of this room that can be broken asks [`planted!`](crate::planted!) at the spot;
//! bugs of the shell around the records are planted by the simulated node, under the same names. What is planted counts
//! for the thread: a run has one.

use std::cell::Cell;

use crate::ids::{CommandId, MunicipalityCode, NodeId};
use crate::time::Timestamp;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A leader answers a read from its own commit index, without asking its quorum.
    StaleLeaderRead,
    /// A read is answered as soon as its index is known, before the state has reached it.
    ReadBeforeApply,
    /// Log entries are reported as durable before they are synced.
    LogTailLost,
    /// A vote is reported as durable before it is synced.
    VoteNotSynced,
    /// A checkpoint is taken of entries that are carried out and not yet in this node's own log.
    CheckpointBeforeLog,
    /// A node with a clock of its own goes on leading.
    UnfitLeads,
    /// A hold takes more than its pledge has free.
    HoldUnchecked,
    /// An offer leaves without its goods having moved from LOCAL to PLEDGED.
    OfferWithoutEscrow,
    /// The last message of a region is carried out again when it is sent again.
    DoubledDelivery,
    /// A courier tells the region that a message was taken before it has had its effect.
    NumberBeforeEffect,
    /// The region refuses a fact about a mission that it has cancelled.
    FactRefusedAfterCancel,
    /// A restart forgets which commands were executed.
    DedupLostOnRestart,
    /// Checkpoints leave one map of the state out.
    CheckpointMissesMap,
    /// Timers fire by the clock of the node that applies, not by the time of the entry.
    TimerByLocalClock,
    /// Expired stock counts as available.
    ExpiredCounted,
    /// A command that comes again through another node of its municipality is executed again.
    ResentElsewhereTwice,
    /// A region is raised although not every node has said that it goes along.
    RaisedTooEarly,
    /// A node countersigns what it has not looked at, and the record takes any word for right.
    CountersignedUnseen,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::StaleLeaderRead,
        Self::ReadBeforeApply,
        Self::LogTailLost,
        Self::VoteNotSynced,
        Self::CheckpointBeforeLog,
        Self::UnfitLeads,
        Self::HoldUnchecked,
        Self::OfferWithoutEscrow,
        Self::DoubledDelivery,
        Self::NumberBeforeEffect,
        Self::FactRefusedAfterCancel,
        Self::DedupLostOnRestart,
        Self::CheckpointMissesMap,
        Self::TimerByLocalClock,
        Self::ExpiredCounted,
        Self::ResentElsewhereTwice,
        Self::RaisedTooEarly,
        Self::CountersignedUnseen,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::StaleLeaderRead => "stale-leader-read",
            Self::ReadBeforeApply => "read-before-apply",
            Self::LogTailLost => "log-tail-lost",
            Self::VoteNotSynced => "vote-not-synced",
            Self::CheckpointBeforeLog => "checkpoint-before-log",
            Self::UnfitLeads => "unfit-leads",
            Self::HoldUnchecked => "hold-unchecked",
            Self::OfferWithoutEscrow => "offer-without-escrow",
            Self::DoubledDelivery => "doubled-delivery",
            Self::NumberBeforeEffect => "number-before-effect",
            Self::FactRefusedAfterCancel => "fact-refused-after-cancel",
            Self::DedupLostOnRestart => "dedup-lost-on-restart",
            Self::CheckpointMissesMap => "checkpoint-misses-map",
            Self::TimerByLocalClock => "timer-by-local-clock",
            Self::ExpiredCounted => "expired-counted",
            Self::ResentElsewhereTwice => "resent-elsewhere-twice",
            Self::RaisedTooEarly => "raised-too-early",
            Self::CountersignedUnseen => "countersigned-unseen",
        }
    }
}

thread_local! {
    static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    static CLOCK: Cell<Timestamp> = const { Cell::new(Timestamp::ZERO) };
}

/// Plants a bug on this thread, or none.
pub fn plant(bug: Option<Plant>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted on this thread.
pub fn is(bug: Plant) -> bool {
    PLANTED.get() == Some(bug)
}

/// What the clock of the node says that now runs on this thread.
pub fn set_clock(now: Timestamp) {
    CLOCK.set(now);
}

/// The clock that [`set_clock`] has set.
pub(crate) fn clock() -> Timestamp {
    CLOCK.get()
}

/// The name under which a command is remembered, if the memory of commands told nodes apart.
pub(crate) fn by_node((of, id): (MunicipalityCode, CommandId), node: NodeId) -> (MunicipalityCode, CommandId) {
    (of, CommandId::from_u128(id.0.as_u128() ^ (u128::from(node.number()) << 64)))
}
