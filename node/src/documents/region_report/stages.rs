//! How long each stage of a mission took: whole seconds, integers only.

use serde::{Deserialize, Serialize};
use shouwang_domain::region::state::Stages;
use shouwang_domain::time::Timestamp;

use super::words::STAGES;
use super::{MissionRow, Word};

/// How long each stage of a mission took, in whole seconds; `None` while either end is unknown. Departure and arrival
/// are times by the word of those who saw them, the others are record times: after a cut a span can be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// From the request, as the region heard it, to the hold.
    pub asked_to_held: Option<i64>,
    /// From the hold to the signature.
    pub held_to_ordered: Option<i64>,
    /// From the signature to the owner's commitment.
    pub ordered_to_committed: Option<i64>,
    /// From the commitment to departure.
    pub committed_to_dispatched: Option<i64>,
    /// From departure to arrival.
    pub dispatched_to_received: Option<i64>,
    /// From arrival until every unit is accounted for.
    pub received_to_accounted: Option<i64>,
    /// From the request to arrival: the way as a whole.
    pub asked_to_received: Option<i64>,
}

/// A stage over all missions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRow {
    /// Which stage.
    pub stage: Word,
    /// How many missions have been through it.
    pub missions: u64,
    /// Half of them took at most this long (nearest rank), seconds.
    pub median_s: Option<i64>,
    /// Nine in ten took at most this long (nearest rank), seconds.
    pub p90_s: Option<i64>,
}

impl Durations {
    /// Of the times of a mission, for a request that the region heard at `asked`.
    pub(super) fn of(asked: Option<Timestamp>, stages: &Stages) -> Self {
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.0.saturating_sub(from?.0) / 1000);
        Self {
            asked_to_held: between(asked, stages.held),
            held_to_ordered: between(stages.held, stages.ordered),
            ordered_to_committed: between(stages.ordered, stages.committed),
            committed_to_dispatched: between(stages.committed, stages.dispatched),
            dispatched_to_received: between(stages.dispatched, stages.received),
            received_to_accounted: between(stages.received, stages.accounted),
            asked_to_received: between(asked, stages.received),
        }
    }

    fn all(&self) -> [Option<i64>; 7] {
        [
            self.asked_to_held,
            self.held_to_ordered,
            self.ordered_to_committed,
            self.committed_to_dispatched,
            self.dispatched_to_received,
            self.received_to_accounted,
            self.asked_to_received,
        ]
    }
}

/// Median and nine tenths of every stage.
pub(super) fn summary(missions: &[MissionRow]) -> Vec<StageRow> {
    let row = |(at, stage)| {
        let mut seconds: Vec<i64> = missions.iter().filter_map(|mission| mission.seconds.all()[at]).collect();
        seconds.sort_unstable();
        let (median_s, p90_s) = (rank(&seconds, 50), rank(&seconds, 90));
        StageRow { stage, missions: seconds.len() as u64, median_s, p90_s }
    };
    STAGES.into_iter().enumerate().map(row).collect()
}

/// The smallest of the sorted values that at least `percent` of them do not exceed.
fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ranks() {
        for (values, median, p90) in [
            (vec![], None, None),
            (vec![7], Some(7), Some(7)),
            (vec![1, 9], Some(1), Some(9)),
            (vec![-3, 1, 9], Some(1), Some(9)),
            ((1..=10).collect(), Some(5), Some(9)),
            ((1..=11).collect(), Some(6), Some(10)),
        ] {
            assert_eq!((rank(&values, 50), rank(&values, 90)), (median, p90), "{values:?}");
        }
    }

    #[test]
    fn spans_are_whole_seconds_and_may_be_negative() {
        let at = |ms| Some(Timestamp(ms));
        let stages =
            Stages { held: at(0), ordered: at(1999), committed: at(9_000), dispatched: at(4_500), ..Stages::default() };
        let spans = Durations::of(at(-500), &stages);
        assert_eq!(spans.all(), [Some(0), Some(1), Some(7), Some(-4), None, None, None]);
    }
}
