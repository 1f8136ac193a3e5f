//! What must be true of every ledger record as it comes to be. The invariants of a state stand in the domain
//! (`Machine::check`, `Machine::check_after`, `registry::invariants`); [`crate::oracle::Oracle::look`] calls them.

use std::collections::BTreeMap;

use shouwang_domain::charter::Charter;
use shouwang_domain::hash::Hash32;
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_domain::resource::{Condition, Figure, Resource};
use shouwang_domain::time::Timestamp;

use crate::oracle::Judged;
use crate::watch::{Verdict, Violation};

/// A ledger record of a region.
pub(crate) fn judge_region(record: Judged<'_, Region>, after: &Region, roots: &BTreeMap<u64, Hash32>) -> Verdict {
    let (record, envelope) = record;
    record.events.iter().try_for_each(|event| countersigned_is_true(event, envelope.map(|said| &said.body), roots))?;
    if let Some(RegionCommand::Up(up)) = envelope.map(|envelope| &envelope.body) {
        let refused = |event: &RegionEvent| matches!(event, RegionEvent::UpTaken { refusal: Some(_), .. });
        if up.message.is_fact() && record.events.iter().any(refused) {
            return Err(Violation::new("invariant 13: a fact is never refused", format!("{:?}", up.message)));
        }
    }
    for event in &record.events {
        if let RegionEvent::LevelRaised { to } = event {
            everybody_goes_along(after, *to)?;
        }
    }
    charter_is_whole(after.charter())
}

/// Nobody is left behind by a raise: each had said before that its program goes along.
fn everybody_goes_along(region: &Region, to: u32) -> Verdict {
    match region.charter().nodes().find(|(_, entry)| region.node_level(entry.node) < to) {
        None => Ok(()),
        Some((_, entry)) => Err(Violation::new("levels", format!("raised to {to} over node {}", entry.node))),
    }
}

/// Every head that a record marks and every root that a node countersigns is one of the one true ledger; nobody here holds
/// another.
fn countersigned_is_true(event: &RegionEvent, said: Option<&RegionCommand>, roots: &BTreeMap<u64, Hash32>) -> Verdict {
    let (revision, root) = match (event, said) {
        (RegionEvent::HeadMarked { revision, root, .. }, _) => (revision, Some(root)),
        (RegionEvent::Countersigned { .. }, Some(RegionCommand::Countersign { revision, root })) => {
            (revision, Some(root))
        }
        (RegionEvent::Countersigned { revision, .. } | RegionEvent::HeadDisputed { revision, .. }, _) => {
            (revision, None)
        }
        _ => return Ok(()),
    };
    if root.is_some() && roots.get(revision) == root {
        return Ok(());
    }
    let what = format!("{event:?} of {said:?}; the root is {:?}", roots.get(revision));
    Err(Violation::new("countersigned roots are true", what))
}

fn charter_is_whole(charter: &Charter) -> Verdict {
    charter.validate().map_err(|refusal| Violation::new("charter", format!("{refusal:?}")))
}

/// A ledger record of a registry.
pub(crate) fn judge_registry(before: &Registry, record: Judged<'_, Registry>, after: &Registry) -> Verdict {
    let (record, envelope) = record;
    let crosses = envelope.is_some_and(|envelope| match &envelope.body {
        RegistryCommand::Pledge { cross_floor, .. } | RegistryCommand::AnswerAid { cross_floor, .. } => {
            cross_floor.is_some()
        }
        _ => false,
    });
    for event in &record.events {
        match event {
            RegistryEvent::FigureSent { region, resource, exercise, figure } => {
                let visibilities = after.visibilities().find(|(key, _)| **key == (*region, resource.clone()));
                let true_figure = visibilities.map_or(Figure::Withdrawn, |(_, visibility)| {
                    Figure::of(usable(after, resource, *exercise, record.at), *visibility)
                });
                if *figure != true_figure {
                    let what = format!("{resource} is published as {figure:?}, it is {true_figure:?}");
                    return Err(Violation::new("invariant 16: what is expired never counts", what));
                }
            }
            RegistryEvent::PledgeRecorded { state, .. } if !crosses => {
                let (made, is_new) = (&state.made, !before.pledges().any(|(id, _)| *id == state.made.pledge));
                let left = usable(after, &made.resource, made.exercise, record.at);
                if is_new && made.owner == after.owner() && left < floor(after, &made.resource) {
                    let what = format!("pledge {} leaves {left} of {}", made.pledge, made.resource);
                    return Err(Violation::new("invariant 16: no floor is crossed", what));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Counted anew, without asking the registry's own view: usable, in date, the owner's, at its disposal.
fn usable(registry: &Registry, resource: &Resource, exercise: bool, at: Timestamp) -> Qty {
    use shouwang_domain::registry::state::Account;
    let counts = registry.lots().filter(|(_, lot)| {
        let details = &lot.details;
        let in_date = details.expires.is_none_or(|day| at <= day.end());
        let own = details.owner == registry.owner() && lot.custody.is_none() && details.exercise == exercise;
        own && in_date
            && details.condition == Condition::Usable
            && registry.resource_of(&details.holding).as_ref() == Some(resource)
    });
    counts.map(|(id, _)| registry.balance(*id, Account::Local)).sum()
}

fn floor(registry: &Registry, resource: &Resource) -> Qty {
    let set = registry.floors().find(|(of, _)| *of == resource);
    set.map_or(Qty::ZERO, |(_, floors)| floors.under(registry.warning()))
}
