//! What happens when a deadline passes.

use super::Region;
use super::draft::Draft;
use super::event::RegionEvent;
use super::lifecycle::MissionState;
use super::state::{LineEnd, Timer};
use super::{missions, pledges, requests};
use crate::ids::LineNumber;
use crate::time::Timestamp;

/// The effect of the earliest timer due at `now`. The events of every kind end its timer (see `evolve`).
pub(super) fn fire(region: &Region, now: Timestamp) -> Option<Vec<RegionEvent>> {
    let ((due, timer), ()) = region.timers.get_min()?;
    if *due > now {
        return None;
    }
    let mut draft = Draft::new(region, now);
    match *timer {
        Timer::HoldLapses(mission) => missions::end_hold(&mut draft, mission, MissionState::Lapsed),
        Timer::PledgeExpires(pledge) => pledges::close(&mut draft, pledge, true),
        Timer::RequestExpires(request) => {
            draft.push(RegionEvent::RequestExpired { request });
            let open = |number: &LineNumber| {
                let request = draft.region.requests.get(&request);
                request.and_then(|request| request.line(*number)).is_some_and(|(_, line)| line.end.is_none())
            };
            let numbers = draft.region.requests.get(&request).map(super::state::Request::line_numbers);
            let open_lines: Vec<_> = numbers.into_iter().flatten().filter(open).collect();
            for number in open_lines {
                requests::end_line(&mut draft, request, number, LineEnd::Expired);
            }
        }
        Timer::KeyRetires(node) => draft.push(RegionEvent::KeyRetired { node }),
    }
    Some(draft.into_events())
}
