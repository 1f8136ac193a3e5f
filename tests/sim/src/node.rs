//! A node while it runs: its records, what arrives for them, what its people and its couriers do.

use std::collections::VecDeque;

use raft_proto::eraftpb::{Message, MessageType};
use shouwang_domain::actor::Role;
use shouwang_domain::command::Envelope;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::registry::Registry;
use shouwang_domain::testing::actor;
use shouwang_domain::time::{HOUR_MS, Timestamp};
use shouwang_domain::{code, courier};
use shouwang_replica::{Input, PeerClocks, SteadyClock};

use crate::cast::Which;
use crate::clock::STEP_MS;
use crate::disk::{Job, StationDisk, Trouble};
use crate::host::Host;
use crate::network::{Letter, Wire};
use crate::oracle::{Hosted, Oracle};
use crate::people::{Crew, known};
use crate::reading::show_contest;
use crate::scene::Scene;
use crate::station::Keys;
use crate::truth::COURIER;
use crate::watch::Violation;

/// Most messages a courier carries in one round, each way.
const COURIER_LOAD: usize = 6;
/// How far a letter's way is from no time at all, in milliseconds a step: what a peer's clock is misjudged by.
const STEP_ON_THE_WAY_MS: i64 = 50;

/// A node while it runs.
pub(crate) struct Node {
    /// By region; none where this node takes no part.
    pub regions: Vec<Option<Host<Region>>>,
    /// None on a machine that keeps no registry.
    pub registry: Option<Host<Registry>>,
    pub steady: SteadyClock,
    pub peers: PeerClocks,
    pub courier_at: u64,
}

/// What every record of a node goes through in a step, whatever it is.
trait Runs {
    fn receive(
        &mut self,
        letter: Letter,
        disk: &StationDisk,
        scene: &mut Scene<'_>,
    ) -> Result<Option<Message>, Trouble>;
    fn turn(&mut self, inputs: Vec<Input>, ticks: u32, clocks: &PeerClocks, full: bool, scene: &mut Scene<'_>);
    fn jobs(&mut self) -> (Which, &mut VecDeque<Job>);
    fn persisted(&mut self, number: u64, scene: &mut Scene<'_>);
    fn advance(&mut self, disk: &StationDisk, crew: &mut Crew, scene: &mut Scene<'_>) -> Result<(), Trouble>;
    fn send_commands(&mut self, keys: &Keys, crew: &mut Crew, scene: &mut Scene<'_>);
    fn lead(&mut self, full: bool, scene: &mut Scene<'_>);
    fn look_after_checkpoints(&mut self, disk: &StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble>;
    fn flush(&mut self, scene: &mut Scene<'_>);
}

impl<M: Hosted> Runs for Host<M> {
    /// Raft's own messages are handed back, to be given together.
    fn receive(
        &mut self,
        letter: Letter,
        disk: &StationDisk,
        scene: &mut Scene<'_>,
    ) -> Result<Option<Message>, Trouble> {
        let peer = scene.cast.posts[letter.from].node.get();
        if !self.accepts(peer) {
            return Ok(None);
        }
        match letter.wire {
            Wire::Raft(message) => {
                if letter.whole {
                    self.whole.insert(peer);
                } else {
                    self.whole.remove(&peer);
                }
                // With a full disk, entries are left to be sent again; votes and heartbeats go on.
                let append = message.get_msg_type() == MessageType::MsgAppend && !message.get_entries().is_empty();
                return Ok((!disk.full || !append).then_some(*message));
            }
            Wire::Batches(batches) => self.collect(batches),
            Wire::Fetch { index, digest, offset } => {
                self.serve(letter.from, (index, digest, offset), disk, scene)?;
            }
            part @ Wire::Part { .. } => self.take_part(letter.from, part, disk, scene)?,
            Wire::Gone => self.give_up_fetching(letter.from),
        }
        Ok(None)
    }

    fn turn(&mut self, inputs: Vec<Input>, ticks: u32, clocks: &PeerClocks, full: bool, scene: &mut Scene<'_>) {
        let inputs: Vec<Input> = self.inbound.drain(..).chain(inputs).collect();
        if !inputs.is_empty() {
            self.give(inputs, scene);
        }
        self.tick(ticks, clocks, full, scene);
    }

    fn jobs(&mut self) -> (Which, &mut VecDeque<Job>) {
        (self.which(), &mut self.jobs)
    }

    fn persisted(&mut self, number: u64, scene: &mut Scene<'_>) {
        self.give(vec![Input::Persisted { number }], scene);
    }

    fn advance(&mut self, disk: &StationDisk, crew: &mut Crew, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        if !scene.rng.chance(scene.weather.slow_apply) {
            self.apply(disk, crew, scene)?;
        }
        self.tell_commit(scene);
        self.look(scene);
        Ok(())
    }

    fn send_commands(&mut self, keys: &Keys, crew: &mut Crew, scene: &mut Scene<'_>) {
        let Some(record) = &self.record else { return };
        // What the record still remembers need not be asked again.
        for (key, outcome) in known(M::desk(crew, self.of), record) {
            crew.hear::<M>(self.of, key, &outcome, scene.oracle);
        }
        if !self.leads() && self.leader.is_none() {
            return;
        }
        let commands = M::desk(crew, self.of).due(scene.now, scene.habits.retry_after);
        self.forward(commands, keys.node, &keys.list, scene);
    }

    fn lead(&mut self, full: bool, scene: &mut Scene<'_>) {
        self.propose(full, scene);
        self.follow_group(full, scene);
    }

    fn look_after_checkpoints(&mut self, disk: &StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        self.run_errands(scene);
        self.take_checkpoint(disk, scene)
    }

    fn flush(&mut self, scene: &mut Scene<'_>) {
        let whole = self.record.is_some() && scene.now >= self.whole_from;
        for message in self.outgoing(scene) {
            if let Some(to) = scene.cast.station(message.get_to()) {
                scene.post(self.me.station, to, self.which(), whole, Wire::Raft(Box::new(message)));
            }
        }
    }
}

impl Node {
    fn hosts(&mut self) -> impl Iterator<Item = &mut dyn Runs> {
        let regions = self.regions.iter_mut().flatten().map(|host| host as &mut dyn Runs);
        regions.chain(self.registry.iter_mut().map(|host| host as &mut dyn Runs))
    }

    fn host(&mut self, which: Which) -> Option<&mut dyn Runs> {
        match which {
            Which::Region(of) => self.regions[of].as_mut().map(|host| host as &mut dyn Runs),
            Which::Registry(_) => self.registry.as_mut().map(|host| host as &mut dyn Runs),
        }
    }

    /// What the node's clock says.
    pub fn clock(&mut self, (monotonic, wall): (i64, i64)) -> Timestamp {
        Timestamp(self.steady.read(monotonic, wall).div_euclid(1000))
    }

    /// One step, with what has arrived.
    pub fn step(
        &mut self,
        letters: Vec<Letter>,
        ticks: u32,
        (disk, keys, crew): (&mut StationDisk, &mut Keys, &mut Crew),
        scene: &mut Scene<'_>,
    ) -> Result<(), Trouble> {
        self.receive(letters, ticks, disk, scene)?;
        self.write(disk, scene)?;
        for host in self.hosts() {
            host.advance(disk, crew, scene)?;
        }
        for region in &mut self.regions {
            drop(region.take_if(|host| host.too_old));
        }
        for host in self.regions.iter_mut().flatten() {
            host.serve_reads(scene, show_contest);
        }
        if let Some(registry) = &mut self.registry {
            registry.serve_reads(scene, |_, _, _, _| {});
        }
        self.talk(keys, crew, scene);
        for host in self.hosts() {
            host.send_commands(keys, crew, scene);
        }
        self.run_couriers(keys, crew, scene)?;
        for host in self.hosts() {
            host.lead(disk.full, scene);
            host.look_after_checkpoints(disk, scene)?;
            host.flush(scene);
        }
        Ok(())
    }

    fn receive(
        &mut self,
        letters: Vec<Letter>,
        ticks: u32,
        disk: &StationDisk,
        scene: &mut Scene<'_>,
    ) -> Result<(), Trouble> {
        let mut inputs: Vec<(Which, Input)> = Vec::new();
        for letter in letters {
            scene.oracle.watch.mark(&letter.marks());
            scene.oracle.watch.figures.letters += 1;
            let on_the_way = scene.real_ms - letter.sent_ms;
            let misjudged = i64::try_from(scene.now - letter.posted).unwrap_or_default() * STEP_ON_THE_WAY_MS;
            let ahead = scene.clock.0 - letter.clock_ms - on_the_way + misjudged;
            self.peers.note(scene.cast.posts[letter.from].node.get(), ahead, scene.now * STEP_MS);
            let which = letter.of;
            let Some(host) = self.host(which) else { continue };
            if let Some(message) = host.receive(letter, disk, scene)? {
                inputs.push((which, Input::Message(Box::new(message))));
            }
        }
        let clocks = self.peers.clone();
        for host in self.hosts() {
            let (which, _) = host.jobs();
            let own = inputs.extract_if(.., |(of, _)| *of == which).map(|(_, input)| input).collect();
            host.turn(own, ticks, &clocks, disk.full, scene);
        }
        Ok(())
    }

    fn write(&mut self, disk: &mut StationDisk, scene: &mut Scene<'_>) -> Result<(), Trouble> {
        if !disk.is_busy() {
            let slow = scene.rng.chance(scene.weather.slow_disk);
            let delay = if slow { scene.rng.below(scene.weather.disk_delay + 1) } else { 0 };
            for host in self.hosts() {
                let (which, jobs) = host.jobs();
                disk.write(which, jobs, scene.now + delay)?;
            }
        }
        for (which, number) in disk.finish(scene.now)? {
            if let Some(host) = self.host(which) {
                host.persisted(number, scene);
            }
        }
        Ok(())
    }

    /// The couriers carry what comes next, again if need be: they remember nothing. So do the countersigners.
    fn run_couriers(&mut self, keys: &Keys, crew: &mut Crew, scene: &mut Scene<'_>) -> Result<(), Violation> {
        if scene.now < self.courier_at {
            return Ok(());
        }
        self.courier_at = scene.now + scene.habits.courier_every;
        for region in self.regions.iter_mut().flatten() {
            speak_of_levels(region, keys, crew, scene);
            region.countersign(keys, scene);
        }
        let Some(registry) = &mut self.registry else { return Ok(()) };
        for region in self.regions.iter_mut().flatten() {
            carry(registry, region, keys, crew, scene)?;
        }
        Ok(())
    }
}

/// A node says what its program knows, and the hub's administrator tries to raise the region now and then.
fn speak_of_levels(region: &mut Host<Region>, keys: &Keys, crew: &mut Crew, scene: &mut Scene<'_>) {
    let Some(shared) = region.machine() else { return };
    let (level, hub, said) = (shared.level(), shared.charter().hub, shared.node_level(keys.node));
    if shared.group().iter().all(|member| member.node != keys.node) {
        return;
    }
    if hub == crew.code && level < Region::NEWEST_LEVEL && crew.has_room() && scene.rng.chance(20) {
        let (id, actor, valid_until) =
            (crew.next_id(0), actor(crew.code, Role::Admin, 1), scene.clock.plus_ms(scene.habits.validity_ms));
        crew.regions[region.of].ask(&Envelope { id, actor, valid_until, body: R::RaiseLevel { to: level + 1 } });
    }
    if said != region.me.knows {
        let (id, actor, valid_until) =
            (crew.next_id(COURIER), actor(crew.code, Role::Node, 1), scene.clock.plus_ms(HOUR_MS));
        let word = Envelope { id, actor, valid_until, body: R::AnnounceLevel { level: region.me.knows } };
        region.forward(vec![code::encode(&word)], keys.node, &keys.list, scene);
    }
}

/// One round of a courier.
fn carry(
    registry: &mut Host<Registry>,
    region: &mut Host<Region>,
    keys: &Keys,
    crew: &mut Crew,
    scene: &mut Scene<'_>,
) -> Result<(), Violation> {
    let id = scene.oracle.region_id(region.of);
    let (Some(books), Some(shared)) = (registry.machine(), region.machine()) else { return Ok(()) };
    if shared.charter().member(crew.code).is_none() {
        return Ok(());
    }
    let Ok((up, down)) = load(books, id, shared) else {
        // A copy may be older than what the other record has seen of it; what both records say themselves may not.
        return confirm(scene.oracle, registry.of, region.of);
    };
    let acknowledged = courier::acknowledgement(books, id, shared);
    let (by, valid_until) = (actor(crew.code, Role::Node, 1), scene.clock.plus_ms(HOUR_MS));
    let up = up.into_iter().chain(acknowledged);
    let up = up.map(|body| code::encode(&Envelope { id: crew.next_id(COURIER), actor: by.clone(), valid_until, body }));
    let up: Vec<_> = up.collect();
    let down = down.into_iter();
    let down =
        down.map(|body| code::encode(&Envelope { id: crew.next_id(COURIER), actor: by.clone(), valid_until, body }));
    let down: Vec<_> = down.collect();
    region.forward(up, keys.node, &keys.list, scene);
    registry.forward(down, keys.node, &keys.list, scene);
    Ok(())
}

type Load =
    (Vec<shouwang_domain::region::command::RegionCommand>, Vec<shouwang_domain::registry::command::RegistryCommand>);

fn load(books: &Registry, id: shouwang_domain::ids::RegionId, shared: &Region) -> Result<Load, courier::Divergence> {
    Ok((courier::upward(books, id, shared, COURIER_LOAD)?, courier::downward(shared, id, books, COURIER_LOAD)?))
}

/// Whether two records contradict each other for good.
fn confirm(oracle: &Oracle, registry: usize, region: usize) -> Result<(), Violation> {
    let (books, shared) = (&oracle.registries[registry], &oracle.regions[region]);
    load(books.record.machine(), shared.record.id(), shared.record.machine())
        .map(|_| ())
        .map_err(|divergence| Violation::new("the records agree", format!("{}: {divergence}", books.name)))
}
