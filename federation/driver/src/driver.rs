//! A node's driver: one disk, one log, one set of streams, and the records on them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::machine::Machine;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::rescue::SignedStanding;
use shouwang_proto::replication::v1::replication_service_server::ReplicationServiceServer;
use shouwang_store::StoreError;
use tokio::runtime::Handle as Runtime;
use tokio::task::spawn_blocking;

use crate::Result;
use crate::clock::Clock;
use crate::copy::RecordCopy;
use crate::error::DriverError;
use crate::handle::Handle;
use crate::index;
use crate::keys::Signer;
use crate::log_writer::LogWriter;
use crate::options::{DriverOptions, HostSpec};
use crate::record::{
    AcceptedLoss, Environment, Ground, NewLife, RaftMsg, Rescue, Running, accept, rescue, restore_copy, set_aside,
    stand, start,
};
use crate::storage::{self, Opened, Storage};
use crate::transport::{PeerConnector, Replication, Transport};

/// What a driver gets from its node.
#[derive(Clone)]
pub struct Parts {
    /// The node's key.
    pub signer: Arc<dyn Signer>,
    /// Where stamps come from.
    pub clock: Arc<dyn Clock>,
    /// Dials peers.
    pub connector: Arc<dyn PeerConnector>,
    /// Called when the disk can no longer be trusted (a failed sync): the process must stop, without further writes.
    pub fatal: Arc<dyn Fn(&StoreError) + Send + Sync>,
}

/// How often a stop looks whether it can go on.
const STOP_STEP: Duration = Duration::from_millis(10);

/// Runs the records of a node.
pub struct Driver {
    env: Environment,
    store_id: [u8; 16],
    /// None while a record is starting.
    records: Mutex<BTreeMap<RecordId, Option<Arc<Running>>>>,
}

impl Driver {
    /// Opens the node's disk and starts its log writer. Needs a tokio runtime.
    ///
    /// # Errors
    /// A disk that is not this node's, is in use, or is damaged; see [`StoreError`].
    pub async fn open(options: DriverOptions, parts: Parts) -> Result<Self> {
        Self::open_on(options, parts, Storage::real()).await
    }

    /// As `open`, on another disk than the operating system's.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_on(options: DriverOptions, parts: Parts, storage: Storage) -> Result<Self> {
        let runtime = Runtime::current();
        let opening = spawn_blocking(move || Self::open_blocking(&options, parts, storage, runtime));
        opening.await.map_err(|_| DriverError::Stopped)?
    }

    fn open_blocking(options: &DriverOptions, parts: Parts, storage: Storage, runtime: Runtime) -> Result<Self> {
        let Opened { store_id, store, reserve, findings, disk } = storage.open(options)?;
        let DriverOptions { node, cluster, data_dir, .. } = options;
        let writer = LogWriter::start(store.clone(), data_dir.clone(), reserve, options.space, parts.fatal)?;
        let transport =
            Transport::new(*node, *cluster, options.transport, parts.clock.clone(), parts.connector, runtime);
        let env = Environment {
            ground: Ground { node: *node, data_dir: data_dir.clone(), disk, store, findings: findings.clone() },
            writer: Arc::new(writer),
            index: Arc::new(index::Home::new(data_dir.join(index::DIR), findings)),
            transport: Arc::new(transport),
            signer: parts.signer,
            clock: parts.clock,
        };
        Ok(Self { env, store_id, records: Mutex::default() })
    }

    /// Lets a registry of this node alone, whose log has lost what it acknowledged, go on from what can be read, as another
    /// life. An operator must have accepted the loss; the registry must not be hosted. If the log as a whole cannot be opened
    /// it is set aside first, and every other record of this node has to be joined anew.
    ///
    /// # Errors
    /// `Unfit` if nothing is lost, if others are in the record, or if nothing of it can be read; `Refused` with the registry's
    /// refusal; else as `host`.
    pub async fn accept_loss(
        options: DriverOptions,
        parts: Parts,
        spec: HostSpec<Registry>,
        life: NewLife,
    ) -> Result<AcceptedLoss> {
        let setting_aside = (options.clone(), spec.id);
        let set_aside = move || storage::set_unreadable_log_aside(&setting_aside.0, &setting_aside.1.to_string());
        spawn_blocking(set_aside).await.map_err(|_| DriverError::Stopped)??;
        Self::while_it_stands(options, parts, Storage::real(), move |env| accept(env, &spec, life)).await
    }

    /// Makes a registry this node's again out of its copy, on storage that holds nothing yet, as another life. Answers the
    /// revision it stands at then. The registry must not be hosted.
    ///
    /// # Errors
    /// `Refused` with the registry's refusal; `Unfit` if it is here already, or its copy does not hold; as `open`.
    pub async fn restore(
        options: DriverOptions,
        parts: Parts,
        (copy, digest): (RecordCopy, Hash32),
        life: NewLife,
    ) -> Result<u64> {
        Self::while_it_stands(options, parts, Storage::real(), move |env| restore_copy(env, &copy, digest, life)).await
    }

    /// This node's word for a rescue: how far it has come, with all of its log, and that its disk takes part in nothing of
    /// this epoch any more. The record must not be hosted.
    ///
    /// # Errors
    /// `NotAccepted` if this node's key is not in force; `Unfit` and `Store` for a record that does not read whole: such a
    /// node has no word to give; as `open`.
    pub async fn stand<M: Machine>(options: DriverOptions, parts: Parts, spec: HostSpec<M>) -> Result<SignedStanding> {
        Self::while_it_stands(options, parts, Storage::real(), move |env| stand(env, &spec)).await
    }

    /// Begins the next epoch of a region that has lost its quorum, on this node alone. Answers the epoch and the revision it
    /// stands at then. The region must not be hosted.
    ///
    /// # Errors
    /// `Refused` with the region's refusal; `Unfit` if this node has not given its own word; as `stand`.
    pub async fn rescue(
        options: DriverOptions,
        parts: Parts,
        spec: HostSpec<Region>,
        order: Rescue,
    ) -> Result<(u32, u64)> {
        Self::while_it_stands(options, parts, Storage::real(), move |env| rescue(env, &spec, order)).await
    }

    /// Sets aside what this node holds of an epoch that it has ended, so that it can join the next. Answers where it lies.
    ///
    /// # Errors
    /// `Unfit` if it has not given its word, or is in the next epoch already; as `stand`.
    pub async fn set_aside<M: Machine>(options: DriverOptions, parts: Parts, spec: HostSpec<M>) -> Result<PathBuf> {
        Self::while_it_stands(options, parts, Storage::real(), move |env| set_aside(env, &spec)).await
    }

    /// Does something with the disk of a node whose records are not hosted. `work` may block.
    pub(crate) async fn while_it_stands<T: Send + 'static>(
        options: DriverOptions,
        parts: Parts,
        storage: Storage,
        work: impl FnOnce(&Environment) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let driver = Self::open_on(options, parts, storage).await?;
        let env = driver.env.clone();
        let done = spawn_blocking(move || work(&env)).await.map_err(|_| DriverError::Stopped);
        driver.end(false).await;
        done?
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<RecordId, Option<Arc<Running>>>> {
        // Single insertions and removals: whole after any panic.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.env.node
    }

    /// The identity of this node's disk, to be remembered elsewhere and given back in [`DriverOptions::store_id`].
    pub fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// Hosts a record: founds it, joins it, or goes on where the disk stands.
    ///
    /// # Errors
    /// `AlreadyHosted`, `Founding`, and everything the disk can have wrong about this one record; others go on.
    pub async fn host<M: Machine>(&self, spec: HostSpec<M>) -> Result<Handle<M>> {
        let (env, id) = (self.env.clone(), spec.id);
        // The place is taken first: two starts of one record would write over each other.
        if let Entry::Vacant(place) = self.records().entry(id) {
            place.insert(None);
        } else {
            return Err(DriverError::AlreadyHosted { id });
        }
        let started = spawn_blocking(move || start(&env, &spec)).await.map_err(|_| DriverError::Stopped);
        let (shared, running) = started.flatten().inspect_err(|_| drop(self.records().remove(&id)))?;
        let running = Arc::new(running);
        self.records().insert(id, Some(running.clone()));
        self.env.transport.register(running.port.clone());
        Ok(Handle::new(shared))
    }

    /// What this node offers to its peers, for its peer surface. Requests need an [`crate::AuthenticatedPeer`].
    pub fn replication_service(&self) -> ReplicationServiceServer<Replication> {
        Replication::server(self.env.transport.clone())
    }

    /// Stops in order: takes nothing new, waits for what is under way, gives the lead away, syncs. After `patience`
    /// it stops all the same; nothing acknowledged is lost either way.
    pub async fn stop(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let running: Vec<_> = self.records().values().flatten().cloned().collect();
        let cores = || running.iter().map(|running| running.port.core());
        cores().for_each(|core| core.draining.store(true, std::sync::atomic::Ordering::Relaxed));
        until(deadline, || cores().all(|core| core.waiters.is_empty())).await;
        cores().for_each(|core| {
            core.inbox.push(RaftMsg::Resign);
        });
        let alone = |core: &crate::record::Core| core.conf.get().1.get_voters().len() <= 1;
        until(deadline, || cores().all(|core| !core.leads() || alone(core))).await;
        self.end(false).await;
    }

    /// Stops at once, as if the process were killed: what was not written is lost, as it would be then.
    pub async fn abort(self) {
        self.end(true).await;
    }

    async fn end(self, abort: bool) {
        let running: Vec<_> = std::mem::take(&mut *self.records()).into_values().flatten().collect();
        let env = self.env.clone();
        let ended = spawn_blocking(move || {
            if abort {
                for running in &running {
                    running.halt_threads();
                }
                env.writer.stop(true);
            }
            for running in &running {
                running.stop(abort);
            }
            if !abort {
                env.writer.stop(false);
            }
            env.transport.stop();
            env.index.close();
        });
        if ended.await.is_err() {
            tracing::error!("stopping ended in a panic");
        }
    }
}

async fn until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < deadline {
        tokio::time::sleep(STOP_STEP).await;
    }
}
