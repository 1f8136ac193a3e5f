//! What came of a script: every outcome, and the state behind each ledger record. A restart must find the beginning of it.

use std::sync::Arc;

use shouwang_domain::command::Envelope;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::CommandId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Outcome, Record};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::invariants::check_across;
use shouwang_domain::testing::actor;
use shouwang_domain::time::{HOUR_MS, Timestamp};
use shouwang_domain::{actor::Role, courier};
use shouwang_driver::Handle;
use shouwang_store::log::LogStore;

use crate::node::{START, soon, wuhai};
use crate::script::Act;
use crate::{Node, Result};

/// A command, for one record or the other.
#[derive(Clone, Debug)]
pub enum Asked {
    /// For the registry.
    Registry(Envelope<RegistryCommand>),
    /// For the region.
    Region(Envelope<RegionCommand>),
}

/// A command that was answered.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was asked.
    pub asked: Asked,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// The revisions of registry and region behind it: a message that moves nothing leaves no ledger record.
    pub after: (u64, u64),
    /// How many steps the disk had done by then; 0 on a disk that does not count.
    pub steps: usize,
}

impl Done {
    fn id(&self) -> CommandId {
        match &self.asked {
            Asked::Registry(envelope) => envelope.id,
            Asked::Region(envelope) => envelope.id,
        }
    }

    /// Whether it is known by a number instead of its id.
    fn is_numbered(&self) -> bool {
        match &self.asked {
            Asked::Registry(envelope) => Registry::is_numbered(&envelope.body),
            Asked::Region(envelope) => Region::is_numbered(&envelope.body),
        }
    }
}

/// A record behind one of its ledger records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Digest of the state.
    pub digest: Hash32,
    /// Merkle root of the ledger.
    pub root: Hash32,
    /// The ledger record; empty at the beginning.
    pub bytes: Vec<u8>,
}

/// What came of a script, from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Tale {
    /// Every command in the order of the answers.
    pub done: Vec<Done>,
    /// The registry by revision, from 0.
    pub registry: Vec<Point>,
    /// The region by revision, from 0.
    pub region: Vec<Point>,
}

async fn point<M: Machine>(handle: &Handle<M>) -> Result<Point> {
    let view = handle.view().map_err(|error| error.to_string())?;
    let revision = view.record.revision();
    let bytes = match revision {
        0 => Vec::new(),
        _ => handle.watch(revision).next().await.map_err(|error| error.to_string())?.bytes.to_vec(),
    };
    Ok(Point { digest: view.record.digest(), root: view.record.ledger_root(), bytes })
}

impl Tale {
    /// Plays acts on a node, one after the other, each waited for. `steps` counts what the disk has done.
    pub async fn play(node: &Node, acts: Vec<Act>, log: &Arc<dyn LogStore>, steps: impl Fn() -> usize) -> Result<Self> {
        let mut tale = Self::default();
        tale.registry.push(point(&node.registry).await?);
        tale.region.push(point(&node.region).await?);
        for act in acts {
            match act {
                Act::Own(role, body) => tale.ask(node, Asked::Registry(tale.envelope(role, body)), &steps).await?,
                Act::Shared(role, body) => tale.ask(node, Asked::Region(tale.envelope(role, body)), &steps).await?,
                Act::Carry => tale.carry(node, &steps).await?,
                Act::RegistryCheckpoint => checkpoint(&node.registry).await?,
                Act::RegionCheckpoint => checkpoint(&node.region).await?,
                Act::Purge => log.purge().map_err(|error| error.to_string())?,
            }
        }
        Ok(tale)
    }

    fn envelope<C>(&self, role: Role, body: C) -> Envelope<C> {
        let id = CommandId::from_u128(1 + self.done.len() as u128);
        Envelope { id, actor: actor(wuhai(), role, 1), valid_until: START.plus_ms(HOUR_MS), body }
    }

    async fn ask(&mut self, node: &Node, asked: Asked, steps: &impl Fn() -> usize) -> Result<()> {
        let at = START.plus_ms(1000 * i64::try_from(1 + self.done.len()).unwrap_or(i64::MAX));
        node.at(at);
        let outcome = propose(node, &asked).await?;
        // Before anything else is looked at: from here on it must never be lost.
        let steps = steps();
        let after = (node.registry.revision(), node.region.revision());
        if after.0 == self.registry.len() as u64 {
            self.registry.push(point(&node.registry).await?);
        }
        if after.1 == self.region.len() as u64 {
            self.region.push(point(&node.region).await?);
        }
        self.done.push(Done { asked, at, outcome, after, steps });
        Ok(())
    }

    async fn carry(&mut self, node: &Node, steps: &impl Fn() -> usize) -> Result<()> {
        let failed = |error: courier::Divergence| error.to_string();
        loop {
            let view = node.registry.view().map_err(|error| error.to_string())?;
            let region = node.region.view().map_err(|error| error.to_string())?;
            let (id, registry, region) = (node.region_id(), view.record.machine(), region.record.machine());
            let mut up = courier::upward(registry, id, region, 1).map_err(failed)?;
            up.extend(courier::acknowledgement(registry, id, region));
            if let Some(body) = up.into_iter().next() {
                let asked = Asked::Region(self.envelope(Role::Node, body));
                self.ask(node, asked, steps).await?;
                continue;
            }
            let down = courier::downward(region, id, registry, 1).map_err(failed)?;
            let Some(body) = down.into_iter().next() else { return Ok(()) };
            let asked = Asked::Registry(self.envelope(Role::Node, body));
            self.ask(node, asked, steps).await?;
        }
    }

    /// How many commands led to these revisions; what left no record counts as done.
    fn position(&self, revisions: (u64, u64)) -> Option<usize> {
        let behind = self.done.iter().rposition(|done| done.after == revisions).map(|last| last + 1);
        behind.or((revisions == (0, 0)).then_some(0))
    }

    /// Checks that a node holds exactly a beginning of the tale, with at least `acknowledged` commands, and nothing else.
    /// Returns how many.
    pub async fn check(&self, node: &Node, acknowledged: usize) -> Result<usize> {
        let unread = |error: shouwang_driver::DriverError| format!("a record cannot be read: {error}");
        let registry = node.registry.read_linearizable(soon()).await.map_err(unread)?.record;
        let region = node.region.read_linearizable(soon()).await.map_err(unread)?.record;
        let found = (registry.revision(), region.revision());
        let Some(position) = self.position(found) else {
            return Err(format!("the revisions {found:?} are no beginning of the script"));
        };
        if position < acknowledged {
            return Err(format!("{acknowledged} commands were acknowledged, {position} are there"));
        }
        check_line(&self.registry, &registry, &node.registry).await?;
        check_line(&self.region, &region, &node.region).await?;
        check_across(registry.machine(), region.id(), region.machine())?;
        for done in self.done[..position].iter().filter(|done| !done.is_numbered()) {
            let known = match done.asked {
                Asked::Registry(_) => registry.outcome(wuhai(), done.id()),
                Asked::Region(_) => region.outcome(wuhai(), done.id()),
            };
            if known != Some(&done.outcome) {
                return Err(format!("the outcome of {:?} is {known:?}, it was {:?}", done.id(), done.outcome));
            }
        }
        Ok(position)
    }

    /// Finds every command by its id in the ledgers.
    pub async fn recall(&self, node: &Node) -> Result<()> {
        for done in self.done.iter().filter(|done| done.outcome.revision > 0 && !done.is_numbered()) {
            let recalled = match done.asked {
                Asked::Registry(_) => node.registry.recall(wuhai(), done.id(), soon()).await,
                Asked::Region(_) => node.region.recall(wuhai(), done.id(), soon()).await,
            };
            let recalled = recalled.map_err(|error| error.to_string())?;
            let missing = recalled.outcome.is_none() && !recalled.indexed.is_whole(recalled.newest);
            if recalled.outcome.as_ref() != Some(&done.outcome) && !missing {
                return Err(format!(
                    "silently: the index says {recalled:?} of {:?}, it was {:?}",
                    done.id(),
                    done.outcome
                ));
            }
        }
        Ok(())
    }

    /// Asks again what was answered last, and then what comes next; all must come out as it did.
    pub async fn go_on(&self, node: &Node, position: usize, more: usize) -> Result<()> {
        let again = position.checked_sub(1).filter(|last| !self.done[*last].is_numbered());
        let end = self.done.len().min(position + more);
        for at in again.into_iter().chain(position..end) {
            let done = &self.done[at];
            node.at(done.at);
            let outcome = propose(node, &done.asked).await?;
            if outcome != done.outcome {
                return Err(format!("command {at} came out as {outcome:?}, it was {:?}", done.outcome));
            }
        }
        self.check(node, end).await.map(drop)
    }
}

/// Asks, and waits for the answer.
pub async fn propose(node: &Node, asked: &Asked) -> Result<Outcome> {
    let answer = match asked.clone() {
        Asked::Registry(envelope) => node.registry.propose(envelope, soon()).await,
        Asked::Region(envelope) => node.region.propose(envelope, soon()).await,
    };
    answer.map_err(|error| format!("{asked:?}: {error}"))
}

async fn checkpoint<M: Machine>(handle: &Handle<M>) -> Result<()> {
    handle.checkpoint_now().await.map(drop).map_err(|error| error.to_string())
}

/// Checks state, root and every ledger record of one record.
pub async fn check_line<M: Machine>(line: &[Point], record: &Record<M>, handle: &Handle<M>) -> Result<()> {
    let revision = record.revision();
    let point = usize::try_from(revision).ok().and_then(|at| line.get(at));
    let point = point.ok_or_else(|| format!("{} has a revision {revision} that never was", M::NAME))?;
    if (record.digest(), record.ledger_root()) != (point.digest, point.root) {
        return Err(format!("{} is in another state at revision {revision}", M::NAME));
    }
    record.check().map_err(|broken| format!("{} at revision {revision}: {broken}", M::NAME))?;
    let status = handle.status();
    if let Some(why) = status.halted {
        return Err(format!("{} is halted: {why}", M::NAME));
    }
    if status.oldest_revision != 1 {
        return Err(format!("{} holds its ledger from revision {} on only", M::NAME, status.oldest_revision));
    }
    check_ledger(line, 1..=revision, handle).await
}

/// Checks ledger records byte by byte.
pub async fn check_ledger<M: Machine>(
    line: &[Point],
    revisions: std::ops::RangeInclusive<u64>,
    handle: &Handle<M>,
) -> Result<()> {
    let mut watch = handle.watch(*revisions.start());
    for (revision, point) in revisions.clone().zip(&line[usize::try_from(*revisions.start()).unwrap_or(1)..]) {
        let change = watch.next().await.map_err(|error| format!("{} revision {revision}: {error}", M::NAME))?;
        if change.record.revision != revision || *change.bytes != *point.bytes {
            return Err(format!("{} has another ledger record at revision {revision}", M::NAME));
        }
    }
    Ok(())
}
