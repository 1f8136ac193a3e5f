//! What was counted, so that a run that met nothing is not taken for one that withstood everything.

use std::fmt;
use std::ops::AddAssign;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one run, or of many.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Figures {
            fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        impl AddAssign for Figures {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

figures! {
    /// Runs.
    seeds,
    /// Steps of all phases.
    steps,
    /// Commands of people that were answered with a ledger record.
    answered,
    /// Of those, accepted.
    accepted,
    /// Commands that came too late to be decided.
    expired,
    /// Ledger records of all records.
    ledger_records,
    /// Raft entries applied, on all nodes together.
    applied,
    /// Letters delivered.
    letters,
    /// Elections won.
    elections,
    /// Nodes that lost power, or whose process stopped.
    crashes,
    /// Of those, in the middle of what they did to their disk.
    torn,
    /// Log writes that a crash took with it.
    lost_writes,
    /// Failed reads, writes and syncs of disks.
    disk_faults,
    /// Disks that ran full.
    full_disks,
    /// Cuts of the network.
    cuts,
    /// Clocks that were set wrong.
    clock_jumps,
    /// Nodes that found themselves unfit to lead.
    unfit,
    /// Checkpoints taken.
    checkpoints,
    /// Checkpoints installed from a peer.
    installs,
    /// Linearizable reads answered.
    reads,
    /// Changes of a charter that came into force.
    charters,
    /// Changes of a Raft group that took effect somewhere.
    memberships,
    /// Batches dropped whole, because their key was not in force any more.
    dropped,
    /// Nodes that were started with the next program.
    upgrades,
    /// Regions that were raised to the next feature level.
    raised,
    /// Records that stood still on a node because its program was too old for them.
    too_old,
    /// Nodes whose last word about a region's ledger stands in it.
    countersigned,
    /// Missions that came to be.
    missions,
    /// Missions whose goods left.
    departed,
    /// Histories checked for linearizability.
    histories,
    /// Operations in them.
    operations,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.rows().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            write!(f, "{gap}{name}={count}")?;
        }
        Ok(())
    }
}
