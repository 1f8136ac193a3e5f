//! Linearizable reads of a record: an index from the quorum, a state that has reached it.

use std::collections::BTreeMap;

use shouwang_domain::region::Region;
use shouwang_replica::Input;

use crate::contest::Place;
use crate::host::Host;
use crate::oracle::Hosted;
use crate::scene::Scene;

/// Most reads that wait at a node.
const READS_MAX: usize = 8;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The node itself, to know that its copy holds everything that was committed before it started.
    CatchUp,
    /// A client of contended stock.
    Client(Place),
}

/// Reads that are under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Since this start, the state has been seen to hold everything that was committed before it.
    pub caught_up: bool,
    tickets: u64,
    /// By ticket: who reads, and the highest index applied anywhere when he asked.
    asked: BTreeMap<u64, (Reader, u64)>,
    /// With the index that the state must have reached.
    ready: Vec<(u64, Reader)>,
}

impl Reads {
    /// Whether the node's own read is under way.
    pub fn asks_to_catch_up(&self) -> bool {
        let mut readers = self.asked.values().map(|(reader, _)| *reader).chain(self.ready.iter().map(|(_, r)| *r));
        readers.any(|reader| reader == Reader::CatchUp)
    }

    /// No quorum answered.
    pub fn refuse(&mut self, ticket: u64) {
        self.asked.remove(&ticket);
    }
}

impl<M: Hosted> Host<M> {
    /// Whether another read would be asked.
    pub fn has_room_for_reads(&self) -> bool {
        self.reads.asked.len() < READS_MAX
    }

    /// Asks for the index that a read must wait for.
    pub fn ask_read(&mut self, reader: Reader, scene: &mut Scene<'_>) {
        if !self.has_room_for_reads() {
            return;
        }
        let (truth, _) = M::truth(scene.oracle, self.of);
        self.reads.tickets += 1;
        let ticket = self.reads.tickets;
        self.reads.asked.insert(ticket, (reader, truth.raft.last()));
        if shouwang_domain::planted!(StaleLeaderRead) && self.leads() {
            return self.read_ready(ticket, self.replica.commit(), scene);
        }
        self.give(vec![Input::ReadIndex { ticket }], scene);
    }

    /// The index has come. It may not lie before what was applied when the read was asked.
    pub fn read_ready(&mut self, ticket: u64, index: u64, scene: &mut Scene<'_>) {
        let Some((reader, floor)) = self.reads.asked.remove(&ticket) else { return };
        let watch = &mut scene.oracle.watch;
        watch.figures.reads += 1;
        if index < floor {
            let what = format!("node {} reads at {index}, {floor} was applied before it asked", self.me.id);
            watch.violate("reads miss nothing", what);
        }
        let at = shouwang_domain::planted!(ReadBeforeApply, 0, index);
        self.reads.ready.push((at, reader));
    }

    /// The readers whose index the state has reached.
    fn served(&mut self) -> Vec<Reader> {
        let applied = self.applied.0;
        self.reads.ready.extract_if(.., |(index, _)| *index <= applied).map(|(_, reader)| reader).collect()
    }

    /// Answers the reads that can be answered.
    pub fn serve_reads(&mut self, scene: &mut Scene<'_>, show: impl Fn(&M, u64, Place, &mut Scene<'_>)) {
        for reader in self.served() {
            match reader {
                Reader::CatchUp => self.reads.caught_up = true,
                Reader::Client(place) => {
                    if let Some(record) = &self.record {
                        show(record.machine(), record.revision(), place, scene);
                    }
                }
            }
        }
    }
}

/// Shows a client of contended stock what a region holds.
pub(crate) fn show_contest(region: &Region, revision: u64, place: Place, scene: &mut Scene<'_>) {
    let contests = &mut scene.oracle.contests;
    if let Some(told) = contests.list[place.0].seen(region) {
        contests.show(place, revision, told);
    }
}
