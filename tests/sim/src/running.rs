//! A node while it runs: what it does with what arrives, its proposals, its checkpoints.

use shouwang_domain::code;
use shouwang_domain::command::Batch;
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::NodeId;
use shouwang_domain::machine::Machine;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_replica::Input;
use shouwang_store::checkpoint::CheckpointStore;

use crate::disk::{NodeDisk, REGION, REGISTRY, read_checkpoint, take_checkpoint};
use crate::host::{Host, Identity};
use crate::member::Env;
use crate::network::{Letter, Wire};
use crate::plan::Plant;
use crate::transfer::Transfers;

/// Most entries a leader keeps for followers that are alive but behind.
const KEPT_FOR_FOLLOWERS: u64 = 400;
/// Entries kept behind the newest checkpoint when the older one does not count, for slow followers.
const SLACK: u64 = 4;

/// Raft indexes of the two newest checkpoints.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    newest: u64,
    older: u64,
}

/// A node while it runs.
pub(crate) struct Running {
    pub region: Host<Region>,
    pub registry: Host<Registry>,
    pub region_files: CheckpointStore,
    pub staged_files: CheckpointStore,
    pub registry_files: CheckpointStore,
    pub transfers: Transfers,
    marks: [Marks; 2],
}

impl Running {
    /// Starts both records from a disk.
    pub fn start(disk: &NodeDisk, me: Identity, plant: Plant) -> Result<Self, String> {
        let (region_files, staged_files) = (disk.checkpoints("region")?, disk.checkpoints("staged")?);
        let registry_files = disk.checkpoints("registry")?;
        let region = disk.recover(REGION, &[&region_files, &staged_files], plant)?;
        let registry = disk.recover(REGISTRY, &[&registry_files], plant)?;
        let marks = [region.applied.0, registry.applied.0].map(|newest| Marks { newest, older: 0 });
        // A staged checkpoint that the log already begins behind is the state, and from now on a checkpoint like others.
        let conf = region.restored.conf_state.clone();
        let held = region_files.held().map_err(|error| error.to_string())?;
        if held.iter().all(|info| info.meta.raft_index < region.applied.0) {
            take_checkpoint(&region_files, &region.record, region.applied, &conf).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            region: Host::start(me, region)?,
            registry: Host::start(me, registry)?,
            region_files,
            staged_files,
            registry_files,
            transfers: Transfers::default(),
            marks,
        })
    }

    /// Takes a checkpoint that nobody asked for, and tells nobody.
    pub fn checkpoint_anyhow(&mut self, region: bool) -> Result<(), String> {
        if region {
            checkpoint(&self.region, &self.region_files, &mut self.marks[0], true).map(|_| ())
        } else {
            checkpoint(&self.registry, &self.registry_files, &mut self.marks[1], true).map(|_| ())
        }
    }

    pub fn receive(&mut self, letters: Vec<Letter>, env: &mut Env<'_>) {
        let mut inputs = Vec::new();
        for letter in letters {
            env.oracle.watch.mark(&letter.marks());
            env.oracle.watch.figures.letters += 1;
            match letter.wire {
                Wire::Raft(message) => inputs.push(Input::Message(message)),
                Wire::Batches(batches) => self.region.collect(batches),
                Wire::Fetch { index, offset } => self.serve(letter.from, index, offset, env),
                part @ Wire::Part { .. } => {
                    let verdict = self.take_part(part, env);
                    env.oracle.watch.hold(verdict);
                }
                Wire::Gone { index } => self.give_up_fetching(index),
            }
        }
        inputs.push(Input::Tick);
        let oracle = &mut *env.oracle;
        self.region.give(inputs, &mut oracle.region, &mut oracle.watch);
        let who = self.registry.me.who;
        self.registry.give(vec![Input::Tick], &mut oracle.registries[who], &mut oracle.watch);
    }

    pub fn look(&mut self, env: &mut Env<'_>) {
        let oracle = &mut *env.oracle;
        let who = self.region.me.who;
        if !self.region.caught_up || env.rng.below(100) == 0 {
            self.region.ask_read(env.now, &mut oracle.region, &mut oracle.watch);
        }
        if !self.registry.caught_up {
            self.registry.ask_read(env.now, &mut oracle.registries[who], &mut oracle.watch);
        }
        self.region.look(&mut oracle.watch);
        self.registry.look(&mut oracle.watch);
    }

    pub fn report_applied(&mut self, env: &mut Env<'_>) {
        let oracle = &mut *env.oracle;
        let who = self.region.me.who;
        let applied = |index| vec![Input::Applied { index }];
        self.region.give(applied(self.region.applied.0), &mut oracle.region, &mut oracle.watch);
        self.registry.give(applied(self.registry.applied.0), &mut oracle.registries[who], &mut oracle.watch);
    }

    /// Commands for the region: to the leader, as far as this node knows one; else to anybody.
    pub fn forward(&mut self, commands: Vec<Vec<u8>>, env: &mut Env<'_>) {
        let Some(batches) = batch(&self.region, commands) else { return };
        if self.region.leads {
            return self.region.collect(batches);
        }
        let who = self.region.me.who;
        let leader = self.region.leader.and_then(|id| env.position(id));
        let to = leader.unwrap_or_else(|| env.rng.index(env.parties.len()));
        if to != who {
            env.post(who, to, Wire::Batches(batches));
        }
    }

    /// Commands for the registry: this node is its only voter.
    pub fn keep(&mut self, commands: Vec<Vec<u8>>) {
        if let Some(batches) = batch(&self.registry, commands) {
            self.registry.collect(batches);
        }
    }

    pub fn propose(&mut self, env: &mut Env<'_>) {
        let oracle = &mut *env.oracle;
        let who = self.region.me.who;
        self.region.propose(env.now, env.wall, &mut oracle.region, &mut oracle.watch);
        self.registry.propose(env.now, env.wall, &mut oracle.registries[who], &mut oracle.watch);
    }

    /// A staged checkpoint becomes the state.
    pub fn install(&mut self, index: u64, env: &mut Env<'_>) -> Result<(), String> {
        let who = self.region.me.who;
        let newest = self.staged_files.newest_verified().map_err(|error| error.to_string())?;
        let staged = newest.filter(|opened| opened.meta().raft_index == index);
        let opened =
            staged.ok_or_else(|| format!("member {who}: checkpoint {index} is to be installed, not staged"))?;
        let record = read_checkpoint(&opened, Plant::None)?;
        env.oracle.region.compare(who, &record)?;
        self.region.record = record;
        self.region.applied = (index, opened.meta().raft_term);
        self.transfers.staged = None;
        let conf = self.region.replica.conf_state();
        take_checkpoint(&self.region_files, &self.region.record, self.region.applied, &conf)
            .map_err(|error| error.to_string())?;
        self.marks[0] = Marks { newest: index, older: self.marks[0].newest };
        env.oracle.watch.figures.installs += 1;
        Ok(())
    }

    pub fn take_checkpoints(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        let installing = self.transfers.staged.is_some();
        let wanted = std::mem::take(&mut self.transfers.wanted);
        let every = env.habits.checkpoint_every;
        let who = self.region.me.who;
        let keep_older = env.habits.keep_older;
        let due = |applied: u64, marks: Marks| applied >= marks.newest + every;
        if !installing && (wanted || due(self.region.applied.0, self.marks[0])) {
            let (host, truth) = (&mut self.region, &mut env.oracle.region);
            let mut inputs = checkpoint(host, &self.region_files, &mut self.marks[0], keep_older)?;
            spare_followers(host, &mut inputs);
            truth.compare(who, &host.record)?;
            env.oracle.watch.figures.checkpoints += 1;
            host.give(inputs, truth, &mut env.oracle.watch);
        }
        if due(self.registry.applied.0, self.marks[1]) {
            let (host, truth) = (&mut self.registry, &mut env.oracle.registries[who]);
            let inputs = checkpoint(host, &self.registry_files, &mut self.marks[1], keep_older)?;
            truth.compare(who, &host.record)?;
            env.oracle.watch.figures.checkpoints += 1;
            host.give(inputs, truth, &mut env.oracle.watch);
        }
        Ok(())
    }

    pub fn flush(&mut self, env: &mut Env<'_>) {
        let who = self.region.me.who;
        for message in std::mem::take(&mut self.region.outgoing) {
            if let Some(to) = env.position(message.get_to()) {
                env.post(who, to, Wire::Raft(Box::new(message)));
            }
        }
    }
}

fn batch<M: Machine>(host: &Host<M>, commands: Vec<Vec<u8>>) -> Option<Vec<Bytes>> {
    if commands.is_empty() {
        return None;
    }
    // Raft ids are node ids.
    let node = NodeId::try_from(host.me.id).ok()?;
    let batch = Batch::unsigned(host.record.id(), host.record.epoch(), node, commands);
    Some(vec![Bytes(code::encode(&batch))])
}

/// A leader keeps what a live follower still needs, and what follows a checkpoint on its way, within a bound: else a
/// slow one is sent checkpoint after checkpoint and never comes back into the log.
fn spare_followers(host: &Host<Region>, inputs: &mut [Input]) {
    let status = host.replica.status();
    let alive = status.peers.iter().filter(|peer| peer.recent_active);
    let needed = alive.map(|peer| peer.matched.max(peer.pending_checkpoint.unwrap_or(0))).min().unwrap_or(u64::MAX);
    for input in inputs {
        if let Input::Compact { index } = input {
            *index = (*index).min(needed.max(status.commit.saturating_sub(KEPT_FOR_FOLLOWERS)));
        }
    }
}

/// Takes a checkpoint and lets the log behind it go.
fn checkpoint<M: Machine>(
    host: &Host<M>,
    store: &CheckpointStore,
    marks: &mut Marks,
    keep_older: bool,
) -> Result<Vec<Input>, String> {
    let (index, term) = host.applied;
    if index <= marks.newest {
        return Ok(Vec::new());
    }
    let conf_state = host.replica.conf_state();
    take_checkpoint(store, &host.record, host.applied, &conf_state).map_err(|error| error.to_string())?;
    *marks = Marks { newest: index, older: marks.newest };
    let compact = if keep_older { marks.older } else { index.saturating_sub(SLACK) };
    Ok(vec![Input::CheckpointReady { index, term, conf_state }, Input::Compact { index: compact }])
}
