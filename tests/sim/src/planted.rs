//! The worlds in which a planted bug shows: heavier on what it needs, lighter on the rest. Most bugs need no such help.

use shouwang_domain::planted::{Plant, is};
use shouwang_domain::testing::Rng;
use shouwang_domain::time::{DAY_MS, MINUTE_MS};

use crate::cast::Cast;
use crate::weather::{Habits, Weather};

/// Makes a world one in which `plant` shows.
pub(crate) fn bias(
    plant: Option<Plant>,
    rng: &mut Rng,
    (mut cast, mut weather, mut habits): (Cast, Weather, Habits),
) -> (Cast, Weather, Habits) {
    let Some(plant) = plant else { return (cast, weather, habits) };
    habits.upgrading = false;
    match plant {
        // Somebody who cannot know that he no longer leads is asked all the same.
        Plant::StaleLeaderRead => {
            look_at_stock(&mut weather, &mut habits);
            (weather.cut, weather.heal, weather.crash, weather.loss) = (40, 3, 0, 0);
        }
        // The state is far behind the index that a read is given.
        Plant::ReadBeforeApply => {
            look_at_stock(&mut weather, &mut habits);
            weather.slow_apply = 80;
        }
        // Two ask for votes in the same term, and who has given his forgets it between them.
        Plant::VoteNotSynced => {
            cast = Cast::of(rng, 3, (0, 0));
            weather = Weather { loss: 20, max_delay: 12, crash: 150, restart: 50, cut: 60, heal: 8, ..Weather::fair() };
            (habits.talk, habits.step_ms) = (2, 50);
        }
        // Disks are slow, and the power goes.
        Plant::CheckpointBeforeLog => {
            weather = Weather { slow_disk: 80, disk_delay: 12, crash: 30, restart: 20, ..weather };
            habits.checkpoint_every = 4;
        }
        // Couriers are quick, so that what they carry is often carried again before it is known to have arrived.
        Plant::DoubledDelivery => {
            do_business(&mut habits);
            (habits.courier_every, weather.slow_apply, weather.max_delay) = (2, 40, 6);
        }
        // Stock expires while it is published and pledged.
        Plant::ExpiredCounted => {
            do_business(&mut habits);
            (habits.step_ms, weather.leap, habits.validity_ms) = (20 * MINUTE_MS, 20, DAY_MS);
        }
        // A municipality with three machines, whose people lose patience quickly.
        Plant::ResentElsewhereTwice => {
            cast = Cast::of(rng, 3, (0, 2));
            do_business(&mut habits);
            (habits.retry_after, weather.loss, weather.slow_apply) = (8, 20, 40);
        }
        // Programs of two ages run.
        Plant::RaisedTooEarly => habits.upgrading = true,
        _ => {}
    }
    (cast, weather, habits)
}

/// Whether a write of votes alone, or one of entries, is reported as durable before it is.
pub(crate) fn forgets_to_sync(votes_alone: bool) -> bool {
    is(if votes_alone { Plant::VoteNotSynced } else { Plant::LogTailLost })
}

fn look_at_stock(weather: &mut Weather, habits: &mut Habits) {
    (habits.contest, habits.affairs, habits.talk, habits.step_ms, weather.leap) = (70, 0, 40, 50, 0);
}

fn do_business(habits: &mut Habits) {
    (habits.contest, habits.affairs, habits.talk) = (0, 0, 40);
}
