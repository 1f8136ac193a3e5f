//! The figures of all rounds, as a table for people and as lines for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use crate::figures::median;
use crate::system::OWN;
use crate::works::Work;

/// What was measured: one figure a round, by work, clients and system.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The works it tells of, in their order.
    works: Vec<&'static Work>,
    figures: BTreeMap<(&'static str, usize), BTreeMap<&'static str, Vec<f64>>>,
    /// The names with their versions.
    versions: BTreeMap<&'static str, String>,
}

/// The other system in the line of a work.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name, with the version that was measured.
    pub name: String,
    /// Its median.
    pub median: f64,
    /// The smallest and the largest ratio of one round.
    pub spread: (f64, f64),
}

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Line {
    /// Of which work.
    pub work: Work,
    /// With how many clients.
    pub clients: usize,
    /// Shouwang's median.
    pub own: f64,
    /// Whatever it was compared with; none if nothing else ran.
    pub peer: Option<Peer>,
}

impl Line {
    /// Shouwang's median in times of the other's.
    pub fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.own / peer.median)
    }
}

impl Sheet {
    /// An empty one, for these works.
    pub fn of(works: impl Iterator<Item = &'static Work>) -> Self {
        Self { works: works.collect(), figures: BTreeMap::new(), versions: BTreeMap::new() }
    }

    /// Notes the figure of one round.
    pub fn note(&mut self, work: &'static str, clients: usize, system: &'static str, figure: f64) {
        self.figures.entry((work, clients)).or_default().entry(system).or_default().push(figure);
    }

    /// Says which version of a system is measured.
    pub fn introduce(&mut self, system: &'static str, version: String) {
        self.versions.insert(system, version);
    }

    /// The result, in the order of the works.
    pub fn lines(&self) -> Vec<Line> {
        let noted = |work: &'static Work| {
            let of_work = self.figures.range((work.name, 0)..=(work.name, usize::MAX));
            of_work.map(move |((_, clients), systems)| (*work, *clients, systems))
        };
        let line = |(work, clients, systems): (Work, usize, &BTreeMap<&'static str, Vec<f64>>)| {
            let own = systems.get(OWN)?;
            let peer = systems.iter().find(|(system, _)| **system != OWN).map(|(system, peer)| {
                let ratios = own.iter().zip(peer).map(|(own, peer)| own / peer);
                let spread = ratios
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
                let name = self.versions.get(system).cloned().unwrap_or_else(|| (*system).to_owned());
                Peer { name, median: median(peer), spread }
            });
            Some(Line { work, clients, own: median(own), peer })
        };
        self.works.iter().copied().flat_map(noted).filter_map(line).collect()
    }

    /// For people, where nothing else ran beside: what is told of each work stands beside its figure.
    pub fn table_alone(&self) -> String {
        let mut text = format!("{:<24} {:>10} {:>12} {:<8} {}\n", "work", "of", OWN, "", "what");
        for Line { work, clients, own, .. } in self.lines() {
            // Text cannot fail to be written to.
            let _ =
                writeln!(text, "{:<24} {clients:>10} {:>12} {:<8} {}", work.name, figure(own), work.unit, work.about);
        }
        text
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<20} {:>7} {OWN:>10} {:>10} {:<6} {:>6}  {:<10} {}\n",
            "work", "clients", "peer", "", "ratio", "rounds", "peer"
        );
        for line in self.lines() {
            let none = || "–".to_owned();
            let ratio = line.ratio().map_or_else(none, |ratio| format!("{ratio:.2}"));
            let (peer, spread, peer_name) = line.peer.map_or_else(
                || (none(), String::new(), String::new()),
                |Peer { name, median, spread: (low, high) }| (figure(median), format!("{low:.2}–{high:.2}"), name),
            );
            let (name, clients, own, unit) = (line.work.name, line.clients, figure(line.own), line.work.unit);
            // Text cannot fail to be written to.
            let _ = writeln!(
                text,
                "{name:<20} {clients:>7} {own:>10} {peer:>10} {unit:<6} {ratio:>6}  {spread:<10} {peer_name}"
            );
        }
        text
    }

    /// For programs: an object a line.
    pub fn json(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            let object = json!({
                "work": line.work.name,
                "clients": line.clients,
                "shouwang": line.own,
                "peer": line.peer.as_ref().map(|peer| peer.median),
                "ratio": line.ratio(),
                "peer_name": line.peer.as_ref().map(|peer| &peer.name),
                "unit": line.work.unit,
                "more_is_better": line.work.more,
            });
            let _ = writeln!(text, "{object}");
        }
        text
    }
}

/// As many digits as mean something.
fn figure(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::works::all;

    #[test]
    fn a_line_tells_medians_and_how_far_the_rounds_lie_apart() {
        let mut sheet = Sheet::of(all());
        for (own, peer) in [(200.0, 100.0), (300.0, 100.0), (90.0, 90.0)] {
            sheet.note("commit_unary", 16, OWN, own);
            sheet.note("commit_unary", 16, "etcd", peer);
            sheet.note("movement_issue", 16, OWN, own);
            sheet.note("movement_issue", 16, "postgresql", peer / 2.0);
        }
        sheet.note("failover", 1, OWN, 700.0);
        sheet.introduce("postgresql", "PostgreSQL 15".to_owned());
        let lines = sheet.lines();
        let told: Vec<_> = lines.iter().map(|line| (line.work.name, line.clients, line.own, line.ratio())).collect();
        assert_eq!(
            told,
            [
                ("commit_unary", 16, 200.0, Some(2.0)),
                ("failover", 1, 700.0, None),
                ("movement_issue", 16, 200.0, Some(4.0))
            ]
        );
        let peers: Vec<_> =
            lines.iter().map(|line| line.peer.as_ref().map(|p| (p.name.as_str(), p.median, p.spread))).collect();
        assert_eq!(peers, [Some(("etcd", 100.0, (1.0, 3.0))), None, Some(("PostgreSQL 15", 50.0, (2.0, 6.0)))]);
        let table = sheet.table();
        assert!(table.contains("2.00  1.00–3.00  etcd\n") && table.contains("PostgreSQL 15\n"), "{table}");
        let json = sheet.json();
        let objects: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (at, field, expected) in [
            (0, "work", json!("commit_unary")),
            (0, "clients", json!(16)),
            (0, "shouwang", json!(200.0)),
            (0, "peer", json!(100.0)),
            (0, "ratio", json!(2.0)),
            (0, "peer_name", json!("etcd")),
            (1, "peer", json!(null)),
            (1, "peer_name", json!(null)),
            (2, "peer_name", json!("PostgreSQL 15")),
        ] {
            assert_eq!(objects[at][field], expected, "{field} of {}", objects[at]);
        }
    }
}
