//! The registry's history only grows: nothing in its books goes away, no number falls back or is left out.

use imbl::ordmap::DiffItem;

use super::Registry;
use super::state::{Account, Lot, RegistryChannel, RegistryMission, RegistryPledge};
use crate::succession::{first_broken, grows};

/// Checks a state against the one before it.
pub(super) fn check(before: &Registry, after: &Registry) -> Result<(), String> {
    grows("store", &before.stores, &after.stores, |_, _| None)?;
    grows("lot", &before.lots, &after.lots, lot)?;
    grows("pledge", &before.pledges, &after.pledges, pledge)?;
    grows("mission", &before.missions, &after.missions, mission)?;
    grows("restock", &before.restocks, &after.restocks, |_, _| None)?;
    grows("shortfall", &before.shortfalls, &after.shortfalls, |_, _| None)?;
    grows("channel", &before.channels, &after.channels, channel)?;
    // An adoption skips those that the life before gave out; everything else goes on by one.
    let adopted = before.adopting().count() > after.adopting().count();
    grows("working number", &before.numbers, &after.numbers, |before, after| {
        (*after != before + 1 && !(adopted && after > before)).then_some("is not the next one")
    })?;
    let fell = before.balances.diff(&after.balances).find_map(|item| match item {
        DiffItem::Remove((lot, Account::Source), _) => Some(*lot),
        DiffItem::Update { old: ((lot, Account::Source), old), new: (_, new) } if new < old => Some(*lot),
        _ => None,
    });
    fell.map_or(Ok(()), |lot| Err(format!("lot {lot}: a receipt went away")))
}

fn lot(before: &Lot, after: &Lot) -> Option<&'static str> {
    let (b, a) = (&before.details, &after.details);
    first_broken(&[
        (before.custody == after.custody && b.owner == a.owner, "is another's now"),
        (b.holding == a.holding && b.expires == a.expires && b.exercise == a.exercise, "is something else now"),
    ])
}

fn pledge(before: &RegistryPledge, after: &RegistryPledge) -> Option<&'static str> {
    first_broken(&[
        (before.made == after.made && before.region == after.region, "is another promise now"),
        (before.short <= after.short, "a shortfall went away"),
    ])
}

fn mission(before: &RegistryMission, after: &RegistryMission) -> Option<&'static str> {
    let of = |m: &RegistryMission| [m.dispatched, m.received_good + m.received_damaged, m.return_sent, m.turned_back];
    first_broken(&[
        (before.region == after.region, "is another region's now"),
        (of(before).iter().zip(of(after)).all(|(before, after)| *before <= after), "a total to date fell"),
    ])
}

fn channel(before: &RegistryChannel, after: &RegistryChannel) -> Option<&'static str> {
    if before.incarnation != after.incarnation {
        return first_broken(&[
            (before.incarnation < after.incarnation, "an older incarnation speaks"),
            (before.adopting.is_some(), "another incarnation speaks that was never restored"),
        ]);
    }
    first_broken(&[
        (before.up <= after.up && before.answered <= after.answered, "a number was taken back"),
        (after.answered <= after.up, "a message was answered that was never sent"),
        (before.down <= after.down && after.down <= before.down + 1, "a message was taken twice, or left out"),
    ])
}
