//! What goes wrong in a step, and how it all is mended in the end.

use shouwang_domain::level;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::region::Region;
use shouwang_domain::time::{HOUR_MS, MINUTE_MS};
use shouwang_replica::Input;

use crate::clock::RIGHT;
use crate::station::Station;
use crate::watch::Verdict;
use crate::weather::{Weather, between, drawn_rate};
use crate::world::World;

/// A clock further off than this is set right by a restart: a node follows corrections only slowly.
const RESTART_WHEN_OFF_MS: i64 = 500;
/// Per mille of steps in which some node gets another program, where programs are exchanged.
const UPGRADES: u64 = 45;

impl World {
    /// What goes wrong in this step.
    pub fn disturb(&mut self) -> Verdict {
        self.disturb_nodes()?;
        self.disturb_disks();
        self.disturb_clocks();
        if self.per_mille(self.weather.cut) {
            self.cut();
        }
        if self.network.is_cut() && self.rng.chance(self.weather.heal) {
            self.network.heal();
        }
        Ok(())
    }

    fn per_mille(&mut self, rate: u64) -> bool {
        rate > 0 && self.rng.below(1000) < rate
    }

    fn somebody(&mut self) -> &mut Station {
        let at = self.rng.index(self.stations.len());
        &mut self.stations[at]
    }

    fn disturb_nodes(&mut self) -> Verdict {
        if self.per_mille(self.weather.crash) {
            let at = self.rng.index(self.stations.len());
            self.stations[at].crash(&mut self.oracle);
            self.tell_gone(at);
        }
        if self.rng.chance(self.weather.restart) {
            let down: Vec<usize> = (0..self.stations.len()).filter(|at| self.stations[*at].node.is_none()).collect();
            if !down.is_empty() {
                let at = down[self.rng.index(down.len())];
                self.start(at)?;
            }
        }
        if self.per_mille(self.weather.transfer) {
            self.hand_over();
        }
        if self.habits.upgrading && self.per_mille(UPGRADES) {
            self.exchange_program()?;
        }
        Ok(())
    }

    /// A node is stopped and started with the next program, now and then with the one before.
    fn exchange_program(&mut self) -> Verdict {
        let back = self.rng.chance(25);
        let at = self.rng.index(self.stations.len());
        let station = &mut self.stations[at];
        station.knows = if back { level::FIRST } else { Region::NEWEST_LEVEL };
        station.crash(&mut self.oracle);
        self.oracle.watch.figures.upgrades += u64::from(!back);
        self.start(at)
    }

    /// Where a process has ended nobody listens: whoever dials there is told so by the machine.
    fn tell_gone(&mut self, at: usize) {
        let id = self.stations[at].post.node.get();
        let nodes = self.stations.iter_mut().filter_map(|station| station.node.as_mut());
        for host in nodes.flat_map(|node| node.regions.iter_mut().flatten()) {
            host.inbound.push(Input::PeerGone { id });
        }
    }

    fn hand_over(&mut self) {
        let to = self.somebody().post.node.get();
        let at = self.rng.index(self.cast.federations.len());
        for station in &mut self.stations {
            if let Some(Some(host)) = station.node.as_mut().and_then(|node| node.regions.get_mut(at)) {
                // What comes of it leaves with the node's next step.
                host.inbound.push(Input::TransferLeader { to });
            }
        }
    }

    fn disturb_disks(&mut self) {
        if self.per_mille(self.weather.torn) {
            let operations = self.rng.below(30);
            self.somebody().disk.power_off_after(operations);
        }
        if self.per_mille(self.weather.disk_fault) {
            let (kind, skip) = (self.rng.draw(), self.rng.below(8));
            self.somebody().disk.fail_one(kind, u32::try_from(skip).unwrap_or_default());
        }
        if self.per_mille(self.weather.fill) {
            let log_too = self.rng.chance(50);
            self.somebody().disk.fill(log_too);
            self.oracle.watch.figures.full_disks += 1;
        }
        if self.rng.chance(self.weather.room)
            && let Some(station) = self.stations.iter_mut().find(|station| station.disk.full)
        {
            station.disk.free();
        }
    }

    fn disturb_clocks(&mut self) {
        if self.per_mille(self.weather.leap) {
            let ms = between(&mut self.rng, 10 * MINUTE_MS..=20 * HOUR_MS);
            self.real_ms += ms;
            self.stations.iter_mut().for_each(|station| station.clock.pass(ms / RIGHT * RIGHT));
        }
        if self.per_mille(self.weather.jump) {
            let ms = [HOUR_MS, -HOUR_MS, 5_000, -5_000][self.rng.index(4)];
            self.somebody().clock.jump(ms);
            self.oracle.watch.figures.clock_jumps += 1;
        }
        if self.per_mille(self.weather.drift) {
            let rate = drawn_rate(&mut self.rng);
            self.somebody().clock.rate = rate;
        }
    }

    /// Cuts the stations in two, a leader or somebody off, one direction, or all lines but those of a ring.
    fn cut(&mut self) {
        self.oracle.watch.figures.cuts += 1;
        let all: Vec<usize> = (0..self.stations.len()).collect();
        let leads = |station: &Station| {
            let node = station.node.as_ref();
            node.is_some_and(|node| node.regions.iter().flatten().any(crate::host::Host::leads))
        };
        let somebody = self.rng.index(all.len());
        let leader = self.stations.iter().position(leads).unwrap_or(somebody);
        match self.rng.below(6) {
            0 => {
                let mut side = all.clone();
                side.retain(|_| self.rng.chance(50));
                let other: Vec<usize> = all.into_iter().filter(|at| !side.contains(at)).collect();
                self.network.cut(&side, &other);
                self.network.cut(&other, &side);
            }
            1 => {
                self.network.cut(&[leader], &all);
                self.network.cut(&all, &[leader]);
            }
            2 => {
                self.network.cut(&[somebody], &all);
                self.network.cut(&all, &[somebody]);
            }
            3 => self.network.cut(&[leader], &all),
            4 => self.network.cut(&all, &[somebody]),
            _ => {
                for at in &all {
                    let neighbours = [(at + 1) % all.len(), (at + all.len() - 1) % all.len()];
                    let far: Vec<usize> = all.iter().copied().filter(|other| !neighbours.contains(other)).collect();
                    self.network.cut(&[*at], &far);
                }
            }
        }
    }

    /// From here on nothing goes wrong, and nobody asks anything new.
    pub fn clear_up(&mut self) -> Verdict {
        self.weather = Weather::fair();
        (self.habits.talk, self.habits.step_ms) = (0, 50);
        self.network.heal();
        self.network.speed_up();
        for at in 0..self.stations.len() {
            let station = &mut self.stations[at];
            station.disk.mend();
            station.clock.set_right(self.real_ms);
            let clock = station.clock.read();
            let off = station.node.as_mut().map_or(0, |node| (node.clock(clock).0 - self.real_ms).abs());
            if off > RESTART_WHEN_OFF_MS || station.knows < Region::NEWEST_LEVEL {
                station.crash(&mut self.oracle);
            }
            station.knows = Region::NEWEST_LEVEL;
            if station.node.is_none() {
                self.start(at)?;
            }
        }
        Ok(())
    }

    /// The power goes everywhere.
    pub fn power_cut(&mut self) {
        self.stations.iter_mut().for_each(|station| station.crash(&mut self.oracle));
    }
}
