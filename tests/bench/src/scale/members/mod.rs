//! A region of many members: what that costs its leader, and how late the last of them is. The replica, the record, its
//! charter, the signatures, the frames and their compression are the product's own; the lines between the nodes, their
//! disks and the time are simulated, on one thread, from a seed. All but processor time is the same in every run.
//!
//! What must never stand here: a real line, disk or clock but for the meter, and a figure of a region whose members do not
//! agree in the end.

mod agenda;
mod desk;
mod line;
mod member;
mod meter;
mod network;
mod news;
mod runs;

use anyhow::Result;

use super::{Scale, figure};
use crate::figures::{millis, number};
use crate::report::Sheet;
use crate::system::OWN;
use crate::works::Work;

use line::Line;
use meter::Part;
use network::{Region, Shape};
use runs::Steady;

/// Members that vote, at most.
const VOTERS: usize = 7;
/// The leader's line, and a thin one; and how many commands a second are said on each.
const LINE: (u64, u32) = (20_000_000, 5);
const THIN: (u64, u32) = (4_000_000, 1);
/// The lines of the others, near and far.
const OTHERS: [Line; 2] = [Line { rate: 10_000_000, delay: 5_000 }, Line { rate: 10_000_000, delay: 30_000 }];
/// Commands said at a steady rate.
const SAID: usize = 200;
const SEED: u64 = 1;
/// From so many members on it is also tried what learners that feed learners would gain.
const FED_FROM: usize = 100;
/// How many figures there are of each way to feed the learners.
const FIGURES: usize = 12;

/// What is measured: where the leader feeds everybody, and where learners feed learners.
pub const WORKS: [Work; 2 * FIGURES] = [
    figure("members_cpu", "µs", false, "leader's processor for one commit at a steady load, TLS and HTTP/2 left out"),
    figure("members_cpu_peer", "µs", false, "of it for each other member"),
    figure("members_cpu_full", "µs", false, "for one commit with 64 under way and its line of 20 Mbit/s full"),
    figure("members_bytes", "B", false, "sent by the leader for one commit at a steady load, all headers included"),
    figure("members_bytes_peer", "B", false, "of it to each other member"),
    figure("members_fresh", "ms", false, "accepted until the last member has it, 5/s on 20 Mbit/s, median"),
    figure("members_fresh_p99", "ms", false, "of 99 in 100"),
    figure("members_fresh_thin", "ms", false, "1/s on 4 Mbit/s, median"),
    figure("members_full", "/s", true, "commits with 64 under way, 20 Mbit/s"),
    figure("members_full_thin", "/s", true, "4 Mbit/s"),
    figure("members_idle", "B/s", false, "sent by the leader when nothing is said"),
    figure("members_idle_cpu", "µs/s", false, "its processor meanwhile"),
    figure("fed_cpu", "µs", false, "the same where the leader feeds some learners, and they the others"),
    figure("fed_cpu_peer", "µs", false, "of it for each whom the leader feeds"),
    figure("fed_cpu_full", "µs", false, "for one commit with 64 under way and its line of 20 Mbit/s full"),
    figure("fed_bytes", "B", false, "sent by the leader for one commit"),
    figure("fed_bytes_peer", "B", false, "of it to each whom it feeds"),
    figure("fed_fresh", "ms", false, "accepted until the last member has it, 5/s on 20 Mbit/s, median"),
    figure("fed_fresh_p99", "ms", false, "of 99 in 100"),
    figure("fed_fresh_thin", "ms", false, "1/s on 4 Mbit/s, median"),
    figure("fed_full", "/s", true, "commits with 64 under way, 20 Mbit/s"),
    figure("fed_full_thin", "/s", true, "4 Mbit/s"),
    figure("fed_idle", "B/s", false, "sent by the leader when nothing is said"),
    figure("fed_idle_cpu", "µs/s", false, "its processor meanwhile"),
];

/// A region of so many members.
fn shape(members: usize, relays: usize, rate: u64) -> Shape {
    Shape { members, voters: VOTERS.min(members), relays, leader: Line { rate, delay: 0 }, others: OTHERS }
}

/// Measures. Takes a minute of a core or two for 340 members.
///
/// # Errors
/// What went wrong first: above all, members that do not agree.
pub fn measure(scale: &Scale, sheet: &mut Sheet) -> Result<()> {
    for members in scale.members.iter().copied() {
        eprintln!("a region of {members} members");
        measure_one(members, 0, sheet)?;
        if members >= FED_FROM {
            let relays = (members - VOTERS).isqrt();
            eprintln!("the same, {relays} learners of which feed the others");
            measure_one(members, relays, sheet)?;
        }
    }
    Ok(())
}

/// One size, its learners fed by the leader or by so many of themselves.
fn measure_one(members: usize, relays: usize, sheet: &mut Sheet) -> Result<()> {
    let peers = number(if relays == 0 { members - 1 } else { VOTERS - 1 + relays } as u64);
    let first = if relays == 0 { 0 } else { FIGURES };
    let mut note = |nth: usize, value: f64| {
        let work = &WORKS[first + nth];
        eprintln!("  {}: {value:.2}", work.name);
        sheet.note(work.name, members, OWN, value);
    };
    let mut region = Region::found(shape(members, relays, LINE.0), SEED)?;
    region.begin()?;
    let rest = region.rest()?;
    let steady = region.steady(LINE.1, SAID, &rest)?;
    tell(&steady);
    note(0, steady.work.cpu);
    note(1, steady.work.cpu * steady.part_for_peers() / peers);
    note(3, steady.work.bytes);
    note(4, steady.work.bytes / peers);
    note(5, millis(steady.fresh[0]));
    note(6, millis(steady.fresh[1]));
    note(10, rest.bytes);
    note(11, rest.cpu);
    if let Some((rate, work)) = region.full()? {
        note(2, work.cpu);
        note(8, rate);
    }
    let mut thin = Region::found(shape(members, relays, THIN.0), SEED)?;
    thin.begin()?;
    note(7, millis(thin.steady(THIN.1, SAID / 2, &rest)?.fresh[0]));
    match thin.full()? {
        Some((rate, _)) => note(9, rate),
        None => eprintln!("  with 64 commands under way on the thin line the leader loses its lead: no figure"),
    }
    Ok(())
}

/// Where the leader's processor goes, for whoever wants to know.
fn tell(steady: &Steady) {
    for part in [Part::Sign, Part::Raft, Part::Queue, Part::Pack, Part::Unpack, Part::Apply, Part::Roll] {
        let each = steady.work.spent.on(part).as_secs_f64() * 1e6 / number(SAID as u64);
        eprintln!("  {part:?}: {each:.0} µs for each commit, what is done at rest included");
    }
    let [half, most] = steady.answers.map(millis);
    eprintln!("  said until answered: {half:.1} ms, {most:.1} ms for 99 in 100; {:.1} frames", steady.work.frames);
}

#[cfg(test)]
mod tests {
    use super::*;
    use network::LEADER;

    /// Eleven members: seven vote, and two of four learners feed the others if it is said.
    fn small(relays: usize, rate: u64) -> Result<Region> {
        let mut region = Region::found(shape(11, relays, rate), 7)?;
        region.begin()?;
        Ok(region)
    }

    #[test]
    fn every_member_has_what_the_leader_has_and_knows_when() -> Result<()> {
        for relays in [0, 2] {
            let mut region = small(relays, LINE.0)?;
            let before = region.agrees()?;
            let rest = region.rest()?;
            let steady = region.steady(10, 20, &rest)?;
            assert_eq!(region.agrees()?, before + 20, "every command is one record, on all eleven");
            let far = std::time::Duration::from_millis(30);
            assert!(steady.fresh[0] > far, "nobody knows sooner than the line is long: {:?}", steady.fresh);
            let fed = if relays == 0 { 10.0 } else { 8.0 };
            assert!(steady.work.bytes > 342.0 * 0.7 * fed, "{}", steady.work.bytes);
            assert!(rest.bytes > 0.0 && steady.work.cpu > 0.0);
        }
        Ok(())
    }

    #[test]
    fn a_run_repeats_but_for_what_the_clock_says() -> Result<()> {
        let figures = || -> Result<_> {
            let mut region = small(0, THIN.0)?;
            let rest = region.rest()?;
            let steady = region.steady(5, 10, &rest)?;
            Ok((steady.fresh, steady.answers, region.members[LEADER].uplink.sent, region.members[LEADER].ledger()))
        };
        assert_eq!(figures()?, figures()?);
        Ok(())
    }

    #[test]
    fn a_member_that_is_not_reached_is_seen() -> Result<()> {
        let mut region = small(2, LINE.0)?;
        let rest = region.rest()?;
        let cut = region.members.iter().position(|member| !member.feeds.is_empty()).unwrap();
        let lost = region.members[cut].feeds.pop().unwrap();
        let failed = region.steady(10, 5, &rest).unwrap_err().to_string();
        assert!(failed.contains("not everybody knows"), "{failed}");
        let failed = region.agrees().unwrap_err().to_string();
        assert!(failed.contains(&region.members[lost].node.to_string()), "{failed}");
        Ok(())
    }

    #[test]
    fn a_thinner_line_carries_less_until_the_voters_hear_nobody() -> Result<()> {
        let full = |rate| -> Result<Option<f64>> { Ok(small(0, rate)?.full()?.map(|(rate, _)| rate)) };
        let (wide, thin) = (full(4_000_000)?.unwrap(), full(1_000_000)?.unwrap());
        assert!(thin < wide / 2.0, "{thin} of {wide}");
        assert_eq!(full(100_000)?, None, "what 64 say takes a quarter of a minute to ten others");
        Ok(())
    }
}
