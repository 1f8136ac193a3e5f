//! All that is known from above: the history of every record, and what must hold between them.

use std::collections::BTreeMap;

use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RegionId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::LedgerRecord;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::invariants::{check_across, check_promised_once};

use crate::cast::Which;
use crate::contest::Contests;
use crate::invariants;
use crate::people::{Crew, Desk};
use crate::truth::Truth;
use crate::watch::{Verdict, Violation, Watch};

/// A ledger record and the command in it.
pub(crate) type Judged<'a, M> =
    (&'a LedgerRecord<<M as Machine>::Event>, Option<&'a Envelope<<M as Machine>::Command>>);

/// A machine as the simulator hosts it.
pub(crate) trait Hosted: Machine + PartialEq {
    /// The history of such a record.
    fn truth(oracle: &mut Oracle, of: usize) -> (&mut Truth<Self>, &mut Watch);

    /// Where a municipality's people wait for its answers.
    fn desk(crew: &mut Crew, of: usize) -> &mut Desk;

    /// Which record it is.
    fn which(of: usize) -> Which;

    /// What must be true of one ledger record, between the states before and after it, in a ledger with these roots.
    fn judge(before: &Self, record: Judged<'_, Self>, after: &Self, roots: &BTreeMap<u64, Hash32>) -> Verdict;
}

impl Hosted for Region {
    fn truth(oracle: &mut Oracle, of: usize) -> (&mut Truth<Self>, &mut Watch) {
        (&mut oracle.regions[of], &mut oracle.watch)
    }

    fn desk(crew: &mut Crew, of: usize) -> &mut Desk {
        &mut crew.regions[of]
    }

    fn which(of: usize) -> Which {
        Which::Region(of)
    }

    fn judge(_: &Self, record: Judged<'_, Self>, after: &Self, roots: &BTreeMap<u64, Hash32>) -> Verdict {
        invariants::judge_region(record, after, roots)
    }
}

impl Hosted for Registry {
    fn truth(oracle: &mut Oracle, of: usize) -> (&mut Truth<Self>, &mut Watch) {
        (&mut oracle.registries[of], &mut oracle.watch)
    }

    fn desk(crew: &mut Crew, _: usize) -> &mut Desk {
        &mut crew.registry
    }

    fn which(of: usize) -> Which {
        Which::Registry(of)
    }

    fn judge(before: &Self, record: Judged<'_, Self>, after: &Self, _: &BTreeMap<u64, Hash32>) -> Verdict {
        invariants::judge_registry(before, record, after)
    }
}

/// All that is known from above.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub watch: Watch,
    pub regions: Vec<Truth<Region>>,
    pub registries: Vec<Truth<Registry>>,
    pub contests: Contests,
}

impl Oracle {
    /// The name of a region.
    pub fn region_id(&self, of: usize) -> RegionId {
        self.regions[of].record.id()
    }

    /// What must be true of every record that changed, and between it and the others. All are committed history, at the
    /// furthest that anybody came, so the books agree whatever is on the way between them.
    pub fn look(&mut self) -> Verdict {
        let changed: Vec<bool> = self.regions.iter_mut().map(|region| std::mem::take(&mut region.changed)).collect();
        for (region, _) in self.regions.iter().zip(&changed).filter(|(_, changed)| **changed) {
            check(region)?;
        }
        for registry in &mut self.registries {
            let own = std::mem::take(&mut registry.changed);
            if own {
                check(registry)?;
            }
            if own || changed.contains(&true) {
                let pairs: Vec<_> =
                    self.regions.iter().map(|region| (region.record.id(), region.record.machine())).collect();
                let books = registry.record.machine();
                for ((id, region), _) in pairs.iter().zip(&changed).filter(|(_, changed)| own || **changed) {
                    let across = check_across(books, *id, region);
                    across.map_err(Violation::by("invariant 1 across records"))?;
                }
                check_promised_once(books, &pairs).map_err(Violation::by("invariant 5"))?;
            }
        }
        Ok(())
    }
}

/// The invariants of one record; each says its number.
fn check<M: Hosted>(truth: &Truth<M>) -> Verdict {
    truth.record.check().map_err(|what| {
        let name = what.split_once(':').map_or("invariant", |(name, _)| name);
        Violation::new(name, format!("{}: {what}", truth.name))
    })
}
