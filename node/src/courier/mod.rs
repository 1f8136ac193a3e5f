//! The courier (信使) joins this municipality's registry with one region: it looks at both records, proposes what the one
//! has for the other, and looks again. Numbers make it exactly-once; they stand in the two machines
//! ([`shouwang_domain::courier`]), so losing, doubling or delaying anything here is harmless.
//!
//! What must never stand here: a decision about goods. A courier that finds the two records contradicting each other
//! stops loudly and waits for people.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::actor::Actor;
use shouwang_domain::adoption;
use shouwang_domain::command::Envelope;
use shouwang_domain::courier::{Divergence, acknowledgement, downward, upward};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId, RegionId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Record, Verdict};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{DriverError, Handle, WatchCursor};
use tokio::sync::watch;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::api::read::clock;

/// Most messages carried in one round and direction.
const LOAD_MAX: usize = 256;
/// How long one proposal may take before the round is given up and begun again.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(20);
/// How often both records are looked at even when neither has changed here.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long news gathers behind a round. The first of it is carried at once; where a record is busy with what is none of a
/// courier's business, a round for each commit would cost as much as the commit.
const GATHER: Duration = Duration::from_millis(10);
/// How long a courier rests after a failed round.
const REST: Duration = Duration::from_millis(250);
/// Figures are published at most this often, so that a busy store does not chatter.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// How a courier is doing, for the status and the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CourierStatus {
    /// Messages of the registry that the region has not taken.
    pub up_waiting: u64,
    /// Messages of the region that the registry has not taken.
    pub down_waiting: u64,
    /// Why it stands still: a divergence that people must resolve.
    pub stopped: Option<String>,
}

/// One courier.
pub struct Courier {
    registry: Handle<Registry>,
    region: Handle<Region>,
    id: RegionId,
    name: String,
    actor: Actor,
    node: NodeId,
    status: watch::Sender<CourierStatus>,
    published: Instant,
    /// Why the registry publishes nothing, if it cannot.
    unpublished: Option<String>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("region", &self.name).finish_non_exhaustive()
    }
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Diverged(#[from] Divergence),
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// What comes in a record from now on.
fn news<M: Machine>(record: &Handle<M>) -> WatchCursor<M> {
    record.watch(record.revision() + 1)
}

impl Courier {
    /// A courier between a registry and a region, and where its status can be read.
    pub fn new(
        registry: Handle<Registry>,
        region: Handle<Region>,
        id: RegionId,
        name: String,
        node: NodeId,
    ) -> (Self, watch::Receiver<CourierStatus>) {
        let (status, read) = watch::channel(CourierStatus::default());
        let actor = Actor::node(node);
        (Self { registry, region, id, name, actor, node, status, published: Instant::now(), unpublished: None }, read)
    }

    /// Carries until the node stops.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let span = info_span!("courier", region = %self.name);
        async move {
            loop {
                // What comes while it carries is looked at as well.
                let (mut registry, mut region) = (news(&self.registry), news(&self.region));
                let round = self.round().await;
                if let Err(error) = &round {
                    self.failed(error);
                    // A node that has left never comes back: its id is not used again.
                    if matches!(error, RoundError::Driver(DriverError::Stopped | DriverError::Removed)) {
                        return;
                    }
                }
                let again = async {
                    if round.is_err() {
                        return tokio::time::sleep(REST).await;
                    }
                    tokio::time::sleep(GATHER).await;
                    tokio::select! {
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        Ok(_) = registry.next() => {}
                        Ok(_) = region.next() => {}
                    }
                };
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = again => {}
                }
            }
        }
        .instrument(span)
        .await;
    }

    fn failed(&self, error: &RoundError) {
        if let RoundError::Diverged(_) | RoundError::Driver(DriverError::Removed) = error {
            let told = error.to_string();
            let news = self.status.send_if_modified(|status| {
                let news = status.stopped.as_ref() != Some(&told);
                status.stopped = Some(told.clone());
                news
            });
            if news {
                error!(%error, "the courier stands still");
            }
        } else {
            // A cut line only makes the courier wait.
            debug!(%error, "the round is given up");
        }
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        self.join().await?;
        self.publish().await?;
        let (registry, region) = (self.registry.view()?, self.region.view()?);
        let (registry, region) = (registry.record.machine(), region.record.machine());
        if let Some(next) = adoption::next(registry, self.id, region, LOAD_MAX) {
            return self.adopt(next).await;
        }
        let Ok((up, down)) = self.load(registry, region) else {
            return self.confirm_divergence().await;
        };
        self.tell_status(registry, region);
        // The way down needs nobody else: what the region's copy here already says is taken even when the line is cut.
        self.carry_down(down).await?;
        self.carry_up(up).await?;
        let (registry, region) = (self.registry.view()?, self.region.view()?);
        if let Some(ack) = acknowledgement(registry.record.machine(), self.id, region.record.machine()) {
            self.to_region(ack).await?;
        }
        Ok(())
    }

    /// A registry restored from a backup takes over what the region has on record of it before anything else is carried.
    async fn adopt(&self, next: adoption::Next) -> Result<(), RoundError> {
        match next {
            adoption::Next::Region(command) => {
                info!("the registry was restored from a backup: telling the region / 台账由备份恢复，正在与区域对账");
                self.to_region(command).await
            }
            adoption::Next::Registry(commands) => self.carry_down(commands).await,
        }
    }

    /// What is to be carried now, up and down.
    fn load(
        &self,
        registry: &Registry,
        region: &Region,
    ) -> Result<(Vec<RegionCommand>, Vec<RegistryCommand>), Divergence> {
        let up = upward(registry, self.id, region, LOAD_MAX)?;
        Ok((up, downward(region, self.id, registry, LOAD_MAX)?))
    }

    /// After a restart a copy may for a moment be older than what this node already knew. Only what both records say
    /// themselves, read through their quorum, is a divergence.
    async fn confirm_divergence(&self) -> Result<(), RoundError> {
        confirm(self.id, newest(&self.registry), newest(&self.region), newest(&self.registry)).await
    }

    fn tell_status(&self, registry: &Registry, region: &Region) {
        let (sent, taken) = registry.channel(self.id).map_or((0, 0), |channel| (channel.up, channel.down));
        let seen = region.channel(registry.owner());
        let (up_waiting, down_waiting) = (sent.saturating_sub(seen.up), seen.down.saturating_sub(taken));
        let status = CourierStatus { up_waiting, down_waiting, stopped: None };
        for (direction, waiting) in [("up", up_waiting), ("down", down_waiting)] {
            // Counts of waiting messages stay far below 2^53.
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; the counts are small")]
            metrics::gauge!("shouwang_courier_waiting", "region" => self.name.clone(), "direction" => direction)
                .set(waiting as f64);
        }
        self.status.send_if_modified(|known| {
            let news = *known != status;
            *known = status;
            news
        });
    }

    /// Opens the registry's channel to the region, once.
    async fn join(&self) -> Result<(), RoundError> {
        if self.registry.view()?.record.machine().channel(self.id).is_some() {
            return Ok(());
        }
        info!("opening the channel to the region");
        self.to_registry(RegistryCommand::JoinRegion { region: self.id, name: self.name.clone() }).await
    }

    /// Publishes figures that look different from what was last said.
    async fn publish(&mut self) -> Result<(), RoundError> {
        if self.published.elapsed() < PUBLISH_EVERY {
            return Ok(());
        }
        self.published = Instant::now();
        let view = self.registry.view()?;
        let refresh = RegistryCommand::RefreshPublication { region: self.id };
        let record = &view.record;
        let context = record.context(record.time(), &self.actor, self.node, CommandId::from_u128(0));
        match view.record.machine().decide(&context, &refresh) {
            Ok(events) => {
                self.unpublished = None;
                if events.is_empty() { Ok(()) } else { self.to_registry(refresh).await }
            }
            Err(refusal) => {
                // Asked every second: told when it is news.
                let told = refusal.to_string();
                if self.unpublished.as_ref() != Some(&told) {
                    warn!(code = refusal.code(), %refusal, "the registry's figures cannot be published / 台账数字无法发布");
                    self.unpublished = Some(told);
                }
                Ok(())
            }
        }
    }

    async fn carry_up(&self, load: Vec<RegionCommand>) -> Result<(), RoundError> {
        // Proposed side by side, in order: they share batches, and the numbers keep the order whatever happens to it.
        let proposals: Vec<_> = load.into_iter().map(|command| self.to_region(command)).collect();
        in_order(proposals).await
    }

    async fn carry_down(&self, load: Vec<RegistryCommand>) -> Result<(), RoundError> {
        let proposals: Vec<_> = load.into_iter().map(|command| self.to_registry(command)).collect();
        in_order(proposals).await
    }

    async fn to_region(&self, command: RegionCommand) -> Result<(), RoundError> {
        deliver(&self.region, command.name(), self.envelope(command)).await
    }

    async fn to_registry(&self, command: RegistryCommand) -> Result<(), RoundError> {
        deliver(&self.registry, command.name(), self.envelope(command)).await
    }

    /// The courier's commands carry channel numbers; the id only tells their outcomes apart.
    fn envelope<C>(&self, body: C) -> Envelope<C> {
        let id = CommandId(uuid::Uuid::now_v7());
        // Matters only to the few commands that are not numbered.
        let valid_until = clock().plus_ms(HOUR_MS);
        Envelope { id, actor: self.actor.clone(), valid_until, body }
    }

    /// The municipality this courier serves.
    pub fn municipality(&self) -> MunicipalityCode {
        self.actor.municipality
    }
}

/// A record as of now.
async fn newest<M: Machine>(handle: &Handle<M>) -> Result<Arc<Record<M>>, DriverError> {
    Ok(handle.read_linearizable(Instant::now() + PROPOSAL_TIMEOUT).await?.record)
}

/// Whether the two records contradict each other. Whoever has taken is read before whoever has sent: what another node of
/// the municipality carries meanwhile makes the sender's number larger, never the taker's.
async fn confirm(
    id: RegionId,
    registry: impl Future<Output = Result<Arc<Record<Registry>>, DriverError>>,
    region: impl Future<Output = Result<Arc<Record<Region>>, DriverError>>,
    registry_again: impl Future<Output = Result<Arc<Record<Registry>>, DriverError>>,
) -> Result<(), RoundError> {
    let taker = registry.await?;
    let region = region.await?;
    downward(region.machine(), id, taker.machine(), 0)?;
    upward(registry_again.await?.machine(), id, region.machine(), 0)?;
    Ok(())
}

/// Proposes and looks at what came of it. A refusal consumes nothing that the next look would not see again.
async fn deliver<M: Machine>(
    handle: &Handle<M>,
    name: &'static str,
    envelope: Envelope<M::Command>,
) -> Result<(), RoundError> {
    let outcome = handle.propose(envelope, Instant::now() + PROPOSAL_TIMEOUT).await?;
    if let Verdict::Refused(refusal) = &outcome.verdict {
        warn!(name, code = refusal.code(), %refusal, "a record refused what the courier brought");
    }
    debug!(name, revision = outcome.revision, verdict = ?outcome.verdict, "brought");
    Ok(())
}

/// Drives all proposals at once, polling them in their order.
async fn in_order(proposals: Vec<impl Future<Output = Result<(), RoundError>>>) -> Result<(), RoundError> {
    futures_util::future::join_all(proposals).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use shouwang_domain::testing::{Rng, World};

    use super::*;

    /// Nodes of one municipality carry at the same time: between any two reads, the others may have moved both records.
    #[tokio::test]
    async fn what_others_carry_between_the_reads_is_no_divergence() {
        for seed in 0..20 {
            let night = RefCell::new((World::new(&[150_300, 150_600], 1), Rng(seed)));
            let goes_on = |night: &RefCell<(World, Rng)>| {
                let (world, rng) = &mut *night.borrow_mut();
                (0..4).for_each(|_| world.random_step(rng));
                world.clone()
            };
            let registry = async || Ok(Arc::new(goes_on(&night).registries[0].record.clone()));
            let region = async || Ok(Arc::new(goes_on(&night).regions[0].record.clone()));
            let id = night.borrow().0.region_id(0);
            for round in 0..40 {
                let found = confirm(id, registry(), region(), registry()).await;
                assert!(found.is_ok(), "seed {seed}, round {round}: {found:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_older_copy_of_either_record_is_a_divergence() {
        let mut world = World::new(&[150_300, 150_600], 1);
        let (id, young) = (world.region_id(0), world.clone());
        let mut rng = Rng(1);
        let channel = |world: &World| world.region(0).channel(world.parties[0]);
        while channel(&world).up < 3 || world.registry(0).channel(id).is_none_or(|channel| channel.down < 3) {
            world.random_step(&mut rng);
        }
        let read = async |registry: &World, region: &World| {
            let registry = async || Ok(Arc::new(registry.registries[0].record.clone()));
            let region = async || Ok(Arc::new(region.regions[0].record.clone()));
            confirm(id, registry(), region(), registry()).await
        };
        assert!(read(&world, &world).await.is_ok());
        let restored = read(&young, &world).await;
        assert!(matches!(restored, Err(RoundError::Diverged(Divergence::RegistryBehind { .. }))), "{restored:?}");
        let rescued = read(&world, &young).await;
        assert!(matches!(rescued, Err(RoundError::Diverged(Divergence::RegionBehind { .. }))), "{rescued:?}");
    }
}
