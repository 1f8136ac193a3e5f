//! The figures of all rounds, as a table for people and as lines for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use crate::etcd::Etcd;
use crate::figures::median;
use crate::region::Region;
use crate::system::System as _;
use crate::works::{WORKS, Work};

/// What was measured: one figure a round, by work, clients and system.
#[derive(Clone, Debug, Default)]
pub struct Sheet(BTreeMap<(&'static str, usize, &'static str), Vec<f64>>);

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Line {
    /// Of which work.
    pub work: Work,
    /// With how many clients.
    pub clients: usize,
    /// Shouwang's median.
    pub own: f64,
    /// etcd's median; none if it did not run.
    pub peer: Option<f64>,
    /// The smallest and the largest ratio of one round.
    pub spread: Option<(f64, f64)>,
}

impl Line {
    /// Shouwang's median in times of etcd's.
    pub fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| self.own / peer)
    }
}

impl Sheet {
    /// Notes the figure of one round.
    pub fn note(&mut self, work: &'static str, clients: usize, system: &'static str, figure: f64) {
        self.0.entry((work, clients, system)).or_default().push(figure);
    }

    /// The result, in the order of the works.
    pub fn lines(&self) -> Vec<Line> {
        let clients = |work: &'static Work| work.clients.iter().map(move |clients| (*work, *clients));
        let line = |(work, clients): (Work, usize)| {
            let of = |system| self.0.get(&(work.name, clients, system));
            let own = of(Region::NAME)?;
            let peer = of(Etcd::NAME);
            let rounds = peer.map(|peer| own.iter().zip(peer).map(|(own, peer)| own / peer));
            let spread = rounds.map(|ratios| {
                ratios.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), ratio| (low.min(ratio), high.max(ratio)))
            });
            Some(Line { work, clients, own: median(own), peer: peer.map(|peer| median(peer)), spread })
        };
        WORKS.iter().flat_map(clients).filter_map(line).collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<20} {:>7} {:>10} {:>10} {:<6} {:>6}  {}\n",
            "work",
            "clients",
            Region::NAME,
            Etcd::NAME,
            "",
            "ratio",
            "rounds"
        );
        for line in self.lines() {
            let peer = line.peer.map_or_else(|| "–".to_owned(), figure);
            let ratio = line.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
            let spread = line.spread.map(|(low, high)| format!("{low:.2}–{high:.2}")).unwrap_or_default();
            let (name, clients, own, unit) = (line.work.name, line.clients, figure(line.own), line.work.unit);
            // Text cannot fail to be written to.
            let _ = writeln!(text, "{name:<20} {clients:>7} {own:>10} {peer:>10} {unit:<6} {ratio:>6}  {spread}");
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
                "peer": line.peer,
                "ratio": line.ratio(),
                "peer_name": Etcd::NAME,
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

    #[test]
    fn a_line_tells_medians_and_how_far_the_rounds_lie_apart() {
        let mut sheet = Sheet::default();
        for (own, peer) in [(200.0, 100.0), (300.0, 100.0), (90.0, 90.0)] {
            sheet.note("commit_unary", 16, Region::NAME, own);
            sheet.note("commit_unary", 16, Etcd::NAME, peer);
        }
        sheet.note("failover", 1, Region::NAME, 700.0);
        let lines = sheet.lines();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].clients, lines[0].own, lines[0].peer), (16, 200.0, Some(100.0)));
        assert_eq!((lines[0].ratio(), lines[0].spread), (Some(2.0), Some((1.0, 3.0))));
        assert_eq!((lines[1].work.name, lines[1].peer, lines[1].ratio()), ("failover", None, None));
        assert!(sheet.table().contains("2.00  1.00–3.00"), "{}", sheet.table());
        let first: serde_json::Value = serde_json::from_str(sheet.json().lines().next().unwrap()).unwrap();
        for (field, expected) in [("work", json!("commit_unary")), ("clients", json!(16)), ("shouwang", json!(200.0))] {
            assert_eq!(first[field], expected, "{first}");
        }
        assert_eq!(
            (&first["peer"], &first["ratio"], &first["peer_name"]),
            (&json!(100.0), &json!(2.0), &json!("etcd"))
        );
    }
}
