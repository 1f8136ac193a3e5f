//! A machine of a municipality: its disk, its clock, its keys, and its node while that runs.

use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_replica::{PeerClocks, SteadyClock, conf_state_from};

use crate::cast::{Cast, Post, key_of};
use crate::clock::StationClock;
use crate::disk::{StationDisk, StoreErrorOr, Trouble};
use crate::host::{Host, Identity};
use crate::network::Letter;
use crate::node::Node;
use crate::oracle::{Hosted, Oracle};
use crate::people::Crew;
use crate::scene::Scene;
use crate::starting::find;
use crate::truth::Truth;
use crate::watch::{Verdict, Violation};

/// The signing keys of a node, the newest last.
#[derive(Debug)]
pub(crate) struct Keys {
    pub node: NodeId,
    pub list: Vec<Vec<u8>>,
}

/// A machine of a municipality.
pub(crate) struct Station {
    pub at: usize,
    pub post: Post,
    pub disk: StationDisk,
    pub clock: StationClock,
    pub keys: Keys,
    pub node: Option<Node>,
    /// Up to which feature level the program goes along that is started next.
    pub knows: u32,
    starts: u64,
}

impl Station {
    /// A machine that has not been started yet.
    pub fn new(at: usize, post: Post, seed: u64, clock: StationClock) -> Self {
        let keys = Keys { node: post.node, list: vec![key_of(post.node, 0)] };
        Self { at, post, disk: StationDisk::new(seed), clock, keys, node: None, knows: Region::NEWEST_LEVEL, starts: 0 }
    }

    /// Starts the node from its disk. A disk that does not answer leaves it down.
    pub fn start(&mut self, now: u64, cast: &Cast, oracle: &mut Oracle) -> Verdict {
        self.starts += 1;
        match self.open(now, cast) {
            Ok(node) => self.node = Some(node),
            Err(StoreErrorOr::Wrong(violation)) => return Err(violation),
            // One record never keeps a node from starting: it is left out.
            Err(StoreErrorOr::TooOld) => {}
            Err(StoreErrorOr::Store(error)) => {
                oracle.watch.figures.disk_faults += 1;
                if let Err(Trouble::Wrong(violation)) = self.disk.judge(&error) {
                    return Err(violation);
                }
                // Whatever it was about to do to the disk is as far as it came.
                self.disk.crash();
            }
        }
        Ok(())
    }

    fn open(&self, now: u64, cast: &Cast) -> Result<Node, StoreErrorOr> {
        let mut regions = Vec::new();
        for (of, federation) in cast.federations.iter().enumerate() {
            let here = federation.concerns(&cast.cities, self.post.city);
            regions.push(if here { self.host(of)? } else { None });
        }
        let registry = if self.post.keeps_registry { self.host(self.post.city)? } else { None };
        let (monotonic, wall) = self.clock.read();
        Ok(Node {
            regions,
            registry,
            steady: SteadyClock::new(monotonic, wall),
            peers: PeerClocks::default(),
            courier_at: now,
        })
    }

    /// A record that runs; none of which the program is too old for.
    fn host<M: Hosted>(&self, of: usize) -> Result<Option<Host<M>>, StoreErrorOr> {
        let (which, knows) = (M::which(of), self.knows.min(M::NEWEST_LEVEL));
        let id = self.post.node.get();
        let me = Identity { station: self.at, id, seed: (self.starts << 32) ^ id ^ (which.slot() << 56), knows };
        let found = match find(&self.disk, which, knows) {
            Err(StoreErrorOr::TooOld) => return Ok(None),
            found => found?,
        };
        let host = Host::start(of, me, found).map_err(|what| {
            StoreErrorOr::Wrong(Violation::new("no log forgets", format!("node {id} {which:?}: {what}")))
        });
        host.map(Some)
    }

    /// The power goes, or the process does.
    pub fn crash(&mut self, oracle: &mut Oracle) {
        if self.node.take().is_some() {
            oracle.watch.figures.crashes += 1;
        }
        oracle.watch.figures.lost_writes += self.disk.crash();
    }

    /// One step, with what has arrived.
    pub fn step(&mut self, letters: Vec<Letter>, crew: &mut Crew, scene: &mut Scene<'_>) {
        let ticks = self.clock.ticks();
        let Some(mut node) = self.node.take() else { return };
        scene.clock = node.clock(self.clock.read());
        let outcome = node.step(letters, ticks, (&mut self.disk, &mut self.keys, crew), scene);
        self.node = Some(node);
        match outcome {
            Ok(()) => {}
            Err(Trouble::Power) => {
                scene.oracle.watch.figures.torn += 1;
                self.crash(scene.oracle);
            }
            Err(Trouble::Broken) => {
                scene.oracle.watch.figures.disk_faults += 1;
                self.crash(scene.oracle);
            }
            Err(Trouble::Wrong(violation)) => scene.oracle.watch.hold(Err(violation)),
        }
    }

    /// Whether its node runs and its copies are the newest there are, in the group that the state wants.
    pub fn is_current(&self, oracle: &Oracle) -> Result<(), String> {
        let Some(node) = &self.node else { return Err(format!("station {} is down", self.at)) };
        for host in node.regions.iter().flatten() {
            is_current(host, &oracle.regions[host.of])?;
        }
        node.registry.as_ref().map_or(Ok(()), |host| is_current(host, &oracle.registries[host.of]))
    }
}

/// Whether a copy that belongs to the record's group is at its end.
fn is_current<M: Hosted>(host: &Host<M>, truth: &Truth<M>) -> Result<(), String> {
    let group = truth.record.machine().group();
    if !group.iter().any(|member| member.node.get() == host.me.id) {
        return Ok(());
    }
    let revision = host.record.as_ref().map(Record::revision);
    if revision == Some(truth.record.revision()) && host.work.is_empty() && host.group_is_followed() {
        return Ok(());
    }
    Err(format!(
        "node {} has {} to revision {revision:?} of {}, {} left to apply, {:?} of {group:?}",
        host.me.id,
        truth.name,
        truth.record.revision(),
        host.work.len(),
        host.replica.status()
    ))
}

/// Writes the first state of a record on the disks of its first group.
pub(crate) fn found_record<M: Hosted>(stations: &[Station], of: usize, truth: &Truth<M>) -> Verdict {
    let group = truth.record.machine().group();
    let side = |voter: bool| group.iter().filter(move |member| member.voter == voter).map(|member| member.node.get());
    let conf = conf_state_from(side(true), side(false));
    for station in stations.iter().filter(|station| group.iter().any(|member| member.node == station.post.node)) {
        station.disk.found(M::which(of), &truth.record, &conf).map_err(Violation::by("founding"))?;
    }
    Ok(())
}
