//! Whether everything has come to rest, and whether it is all the same then.

use shouwang_domain::machine::Machine as _;
use shouwang_domain::{courier, level};

use crate::figures::Figures;
use crate::host::Host;
use crate::oracle::Hosted;
use crate::sim::Report;
use crate::truth::Truth;
use crate::watch::{Verdict, Violation};
use crate::world::World;

impl World {
    /// What keeps the world from rest, in words; `None` when everybody was told, nothing waits to be carried, and all
    /// copies are current.
    pub fn unrest(&self) -> Option<String> {
        for crew in &self.crews {
            let books = self.oracle.registries[crew.city].record.machine();
            if !crew.registry.is_clear() {
                return Some(format!("{} waits for its registry", crew.code));
            }
            for (of, truth) in self.oracle.regions.iter().enumerate() {
                let region = truth.record.machine();
                if region.charter().member(crew.code).is_none() {
                    continue;
                }
                if !crew.regions[of].is_clear() {
                    return Some(format!("{} waits for {}", crew.code, truth.name));
                }
                let id = truth.record.id();
                let up = courier::upward(books, id, region, 1);
                let down = courier::downward(region, id, books, 1);
                let acknowledged = courier::acknowledgement(books, id, region);
                let drained = up.as_ref().is_ok_and(Vec::is_empty) && down.as_ref().is_ok_and(Vec::is_empty);
                if !drained || acknowledged.is_some() {
                    let name = &truth.name;
                    return Some(format!("{} and {name}: up {up:?}, down {down:?}, {acknowledged:?}", crew.code));
                }
            }
        }
        self.stations.iter().find_map(|station| station.is_current(&self.oracle).err())
    }

    /// All copies are one, and hold every acknowledged command.
    pub fn compare(&self) -> Verdict {
        for node in self.stations.iter().filter_map(|station| station.node.as_ref()) {
            for host in node.regions.iter().flatten() {
                compare(host, &self.oracle.regions[host.of])?;
            }
            if let Some(host) = &node.registry {
                compare(host, &self.oracle.registries[host.of])?;
            }
        }
        Ok(())
    }

    /// The figures of the run, once the histories of its clients have been found possible.
    pub fn report(&self) -> Result<Report, Violation> {
        let mut figures: Figures = self.oracle.watch.figures;
        (figures.histories, figures.operations) = self.oracle.contests.check(&self.oracle.regions)?;
        (figures.seeds, figures.steps) = (1, self.now);
        for truth in &self.oracle.regions {
            let region = truth.record.machine();
            figures.ledger_records += truth.record.revision();
            figures.countersigned += region.countersignatures().count() as u64;
            figures.missions += region.missions().count() as u64;
            figures.departed += region.missions().filter(|(_, m)| !m.amounts.left().is_zero()).count() as u64;
            figures.charters += u64::from(region.charter().version) - 1;
            figures.raised += u64::from(region.level() - level::FIRST);
        }
        figures.ledger_records += self.oracle.registries.iter().map(|truth| truth.record.revision()).sum::<u64>();
        Ok(Report { trace: self.oracle.watch.trace, figures })
    }
}

fn compare<M: Hosted>(host: &Host<M>, truth: &Truth<M>) -> Verdict {
    let member = truth.record.machine().group().iter().any(|member| member.node.get() == host.me.id);
    let Some(record) = host.record.as_ref().filter(|_| member) else { return Ok(()) };
    truth.compare_whole(host.me.id, record)?;
    truth.check_acknowledged(host.me.id, record)
}
