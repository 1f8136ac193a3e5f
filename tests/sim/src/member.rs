//! A member: its people, its disk, and its node while that runs.

use raft_proto::eraftpb::ConfState;
use shouwang_domain::actor::Role;
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::courier;
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::testing::{Rng, Said, View, actor, random_commands};
use shouwang_domain::time::{DAY_MS, HOUR_MS, Timestamp};
use shouwang_replica::{Input, conf_state_from};

use crate::disk::{NodeDisk, REGION, REGISTRY};
use crate::host::{Host, Identity, Work};
use crate::network::{Letter, Network, Wire};
use crate::oracle::{COURIER, Oracle};
use crate::people::{Desk, Ids};
use crate::plan::{Habits, Plant, Weather};
use crate::running::Running;

/// Most messages a courier carries in one round, each way.
const COURIER_LOAD: usize = 6;
/// Most entries a record applies in one step.
const APPLY_MAX: usize = 8;

/// What a step of a member may see and touch of the world.
pub(crate) struct Env<'a> {
    pub now: u64,
    /// What the member's clock says.
    pub wall: Timestamp,
    pub weather: &'a Weather,
    pub habits: &'a Habits,
    pub plant: Plant,
    pub parties: &'a [MunicipalityCode],
    /// Whether people act.
    pub talk: bool,
    pub rng: &'a mut Rng,
    pub network: &'a mut Network,
    pub oracle: &'a mut Oracle,
}

impl Env<'_> {
    /// The member with this Raft id.
    pub fn position(&self, id: u64) -> Option<usize> {
        (0..self.parties.len()).find(|who| self.raft_id(*who) == id)
    }

    /// The Raft id of a member's node.
    pub fn raft_id(&self, who: usize) -> u64 {
        node_of(self.parties[who]).get()
    }

    /// Puts a letter on the wire.
    pub fn post(&mut self, from: usize, to: usize, wire: Wire) {
        self.network.post(self.now, &Letter { from, to, wire }, self.weather, self.rng);
    }
}

/// The only node of a municipality.
pub(crate) fn node_of(code: MunicipalityCode) -> NodeId {
    NodeId::new(code, 1).expect("1 is a running number")
}

/// A municipality.
pub(crate) struct Member {
    pub who: usize,
    pub code: MunicipalityCode,
    pub disk: NodeDisk,
    pub up: Option<Running>,
    pub region_desk: Desk,
    pub registry_desk: Desk,
    ids: Ids,
    starts: u64,
    courier_at: u64,
}

impl Member {
    /// A member with both records founded on its disk, and the wish to join the region.
    pub fn found(who: usize, env: &Env<'_>, seed: u64, conf: &ConfState) -> Result<Self, String> {
        let (code, oracle) = (env.parties[who], &*env.oracle);
        let disk = NodeDisk::new(seed);
        let own = conf_state_from([node_of(code).get()], []);
        disk.found(REGION, &disk.checkpoints("region")?, &oracle.region.record, conf)?;
        disk.found(REGISTRY, &disk.checkpoints("registry")?, &oracle.registries[who].record, &own)?;
        let (region_desk, registry_desk) = (Desk::default(), Desk::default());
        let mut member = Self {
            who,
            code,
            disk,
            up: None,
            region_desk,
            registry_desk,
            ids: Ids::default(),
            starts: 0,
            courier_at: 0,
        };
        let join = RegistryCommand::JoinRegion { region: oracle.region_id, name: "region".to_owned() };
        let by = actor(code, Role::Admin, 1);
        let valid_until = env.wall.plus_ms(6 * DAY_MS);
        member.registry_desk.ask(&Envelope { id: member.ids.next(0), actor: by, valid_until, body: join });
        Ok(member)
    }

    /// Starts the node from its disk.
    pub fn start(&mut self, env: &Env<'_>) -> Result<(), String> {
        self.starts += 1;
        let id = node_of(self.code).get();
        let lies = env.plant == Plant::LieAboutPersistence;
        let me = Identity { who: self.who, id, seed: (self.starts << 32) ^ id, lies };
        self.up = Some(Running::start(&self.disk, me, env.plant)?);
        Ok(())
    }

    /// The power goes.
    pub fn crash(&mut self, oracle: &mut Oracle) {
        if self.up.take().is_some() {
            oracle.watch.figures.crashes += 1;
        }
        oracle.watch.figures.lost_writes += self.disk.crash() as u64;
    }

    /// The power goes while a checkpoint is being written.
    pub fn tear_checkpoint(&mut self, region: bool, operations: u64, oracle: &mut Oracle) {
        let Some(node) = &mut self.up else { return };
        self.disk.power_off_after(operations);
        // Whether it was complete by then is for the restart to find out.
        let _ = node.checkpoint_anyhow(region);
        self.crash(oracle);
    }

    /// One step of a running node, with what has arrived.
    pub fn step(&mut self, letters: Vec<Letter>, env: &mut Env<'_>) {
        let Some(mut node) = self.up.take() else { return };
        node.receive(letters, env);
        let verdict = self.write(&mut node, env).and_then(|()| self.apply(&mut node, env));
        env.oracle.watch.hold(verdict);
        node.look(env);
        if env.talk {
            self.talk(&mut node, env);
        }
        self.send_commands(&mut node, env);
        self.run_courier(&mut node, env);
        node.propose(env);
        node.run_errands(env);
        let verdict = node.take_checkpoints(env);
        env.oracle.watch.hold(verdict);
        node.flush(env);
        self.up = Some(node);
    }

    fn write(&mut self, node: &mut Running, env: &mut Env<'_>) -> Result<(), String> {
        if !self.disk.is_busy() {
            let slow = env.rng.chance(env.weather.slow_disk);
            let delay = if slow { env.rng.below(env.weather.disk_delay + 1) } else { 0 };
            let jobs = [(REGION, &mut node.region.jobs), (REGISTRY, &mut node.registry.jobs)];
            self.disk.begin(env.now + delay, jobs).map_err(|error| error.to_string())?;
        }
        let done = self.disk.finish(env.now).map_err(|error| error.to_string())?;
        if let Some([region, registry]) = done {
            let oracle = &mut *env.oracle;
            let persisted = |number| vec![Input::Persisted { number }];
            if region > 0 {
                node.region.give(persisted(region), &mut oracle.region, &mut oracle.watch);
            }
            if registry > 0 {
                node.registry.give(persisted(registry), &mut oracle.registries[self.who], &mut oracle.watch);
            }
        }
        Ok(())
    }

    fn apply(&mut self, node: &mut Running, env: &mut Env<'_>) -> Result<(), String> {
        if env.rng.chance(env.weather.slow_apply) {
            return Ok(());
        }
        for _ in 0..APPLY_MAX {
            match node.region.work.pop_front() {
                Some(Work::Install(index)) => node.install(index, env)?,
                Some(Work::Entry(entry)) => {
                    let oracle = &mut *env.oracle;
                    let (outcomes, news) = node.region.apply(entry, &mut oracle.region, &mut oracle.watch);
                    for (key, outcome) in outcomes {
                        if key.0 == self.code {
                            self.region_desk.hear(key, &outcome, &mut oracle.region, &mut oracle.watch);
                        }
                    }
                    if news {
                        oracle.across_all();
                    }
                }
                None => break,
            }
        }
        for _ in 0..APPLY_MAX {
            let Some(Work::Entry(entry)) = node.registry.work.pop_front() else { break };
            let oracle = &mut *env.oracle;
            let truth = &mut oracle.registries[self.who];
            let (outcomes, news) = node.registry.apply(entry, truth, &mut oracle.watch);
            for (key, outcome) in outcomes {
                self.registry_desk.hear(key, &outcome, truth, &mut oracle.watch);
            }
            if news {
                oracle.across(self.who);
            }
        }
        node.report_applied(env);
        Ok(())
    }

    /// Somebody does something, on what his own node shows him.
    fn talk(&mut self, node: &mut Running, env: &mut Env<'_>) {
        let patient = self.region_desk.has_room() && self.registry_desk.has_room();
        if !patient || !env.rng.chance(env.habits.talk) {
            return;
        }
        let view = View {
            now: env.wall,
            me: self.code,
            parties: env.parties,
            registry: node.registry.record.machine(),
            region_id: env.oracle.region_id,
            region: node.region.record.machine(),
        };
        let valid_until = env.wall.plus_ms(env.habits.validity_ms);
        let mut repeatable = Vec::new();
        for said in random_commands(&view, env.rng) {
            let id = self.ids.next(0);
            match said {
                // Has no effect a second time and is not remembered: nobody waits for what comes of it.
                Said::Registry(actor, body) if Registry::is_numbered(&body) => {
                    let id = self.ids.next(COURIER);
                    repeatable.push(code::encode(&Envelope { id, actor, valid_until, body }));
                }
                Said::Registry(actor, body) => self.registry_desk.ask(&Envelope { id, actor, valid_until, body }),
                Said::Region(actor, body) => self.region_desk.ask(&Envelope { id, actor, valid_until, body }),
            }
        }
        node.keep(repeatable);
    }

    fn send_commands(&mut self, node: &mut Running, env: &mut Env<'_>) {
        // What the record still remembers need not be asked again.
        let oracle = &mut *env.oracle;
        let answered: Vec<_> = known(&self.region_desk, &node.region).collect();
        for (key, outcome) in answered {
            self.region_desk.hear(key, &outcome, &mut oracle.region, &mut oracle.watch);
        }
        let truth = &mut oracle.registries[self.who];
        let answered: Vec<_> = known(&self.registry_desk, &node.registry).collect();
        for (key, outcome) in answered {
            self.registry_desk.hear(key, &outcome, truth, &mut oracle.watch);
        }
        let commands = self.region_desk.due(env.now, env.habits.retry_after);
        node.forward(commands, env);
        let commands = self.registry_desk.due(env.now, env.habits.retry_after);
        node.keep(commands);
    }

    /// The courier carries what comes next, again if need be: it remembers nothing.
    fn run_courier(&mut self, node: &mut Running, env: &mut Env<'_>) {
        if env.now < self.courier_at {
            return;
        }
        self.courier_at = env.now + env.habits.courier_every;
        let id = env.oracle.region_id;
        let (registry, region) = (node.registry.record.machine(), node.region.record.machine());
        let carried = courier::upward(registry, id, region, COURIER_LOAD).and_then(|up| {
            let down = courier::downward(region, id, registry, COURIER_LOAD)?;
            Ok((up, down))
        });
        let (up, down) = match carried {
            Ok(carried) => carried,
            Err(divergence) => {
                // Right after a start a copy may be older than what the other record has seen of it.
                if node.region.caught_up && node.registry.caught_up {
                    env.oracle.watch.violate(format!("courier of member {}: {divergence}", self.who));
                }
                return;
            }
        };
        let acknowledged = courier::acknowledgement(registry, id, region);
        let (by, valid_until) = (actor(self.code, Role::Node, 1), env.wall.plus_ms(HOUR_MS));
        let mut next_id = || self.ids.next(COURIER);
        let up = up.into_iter().chain(acknowledged);
        let up =
            up.map(|body| code::encode(&Envelope { id: next_id(), actor: by.clone(), valid_until, body })).collect();
        node.forward(up, env);
        let mut next_id = || self.ids.next(COURIER);
        let down = down.into_iter();
        let down = down.map(|body| code::encode(&Envelope { id: next_id(), actor: by.clone(), valid_until, body }));
        node.keep(down.collect());
    }

    /// What keeps a member from rest, in words.
    pub fn stands(&self, oracle: &Oracle) -> String {
        let Some(node) = &self.up else { return format!("member {} is down", self.who) };
        let id = oracle.region_id;
        let (registry, region) = (node.registry.record.machine(), node.region.record.machine());
        format!(
            "member {}: up {:?}, down {:?}, acknowledges {:?}, waits for {} and {} commands, region at revision {} of {}, \
             registry at {} of {}, {:?}",
            self.who,
            courier::upward(registry, id, region, 1),
            courier::downward(region, id, registry, 1),
            courier::acknowledgement(registry, id, region),
            self.region_desk.keys().count(),
            self.registry_desk.keys().count(),
            node.region.record.revision(),
            oracle.region.record.revision(),
            node.registry.record.revision(),
            oracle.registries[self.who].record.revision(),
            node.region.replica.status(),
        )
    }

    /// Whether everybody was told and nothing waits to be carried.
    pub fn is_at_rest(&self, oracle: &Oracle) -> bool {
        let Some(node) = &self.up else { return false };
        let id = oracle.region_id;
        let (registry, region) = (node.registry.record.machine(), node.region.record.machine());
        let drained = courier::upward(registry, id, region, 1).is_ok_and(|up| up.is_empty())
            && courier::downward(region, id, registry, 1).is_ok_and(|down| down.is_empty())
            && courier::acknowledgement(registry, id, region).is_none();
        let current = node.region.record.revision() == oracle.region.record.revision()
            && node.registry.record.revision() == oracle.registries[self.who].record.revision();
        self.region_desk.is_clear() && self.registry_desk.is_clear() && drained && current
    }
}

/// The commands of a desk that a record remembers.
fn known<'a, M: Machine>(
    desk: &'a Desk,
    host: &'a Host<M>,
) -> impl Iterator<Item = (crate::oracle::Key, shouwang_domain::record::Outcome)> + 'a {
    desk.keys().filter_map(|key| host.record.outcome(key.0, key.1).map(|outcome| (key, outcome.clone())))
}
