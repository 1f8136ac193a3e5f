//! The gRPC API of a node: thin. Authenticate and check the right ([`caller`], [`rights`]), read the request into a
//! command ([`fields`], [`convert`]), propose it or look at a view ([`change`], [`read`]), say what came of it ([`status`]).
//!
//! Entry points: [`Node`] is what the services need to know; [`router`] gives all of them behind one door. What must never
//! stand here: rules about goods, teams or missions, and anything a record would have to remember.

pub mod answered;
pub mod caller;
pub mod change;
pub mod contact;
pub mod convert;
pub mod deadline;
pub mod fields;
pub mod import;
pub mod object;
pub mod page;
pub mod preview;
pub mod read;
pub mod request_key;
pub mod rights;
pub mod services;
pub mod situation;
pub mod status;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use shouwang_domain::ids::{NodeId, RegionId};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_driver::Handle;
use shouwang_proto::admin::v1::admin_service_server::AdminServiceServer;
use shouwang_proto::v1::aid_service_server::AidServiceServer;
use shouwang_proto::v1::call_service_server::CallServiceServer;
use shouwang_proto::v1::compensation_service_server::CompensationServiceServer;
use shouwang_proto::v1::ledger_service_server::LedgerServiceServer;
use shouwang_proto::v1::mission_service_server::MissionServiceServer;
use shouwang_proto::v1::region_service_server::RegionServiceServer;
use shouwang_proto::v1::registry_service_server::RegistryServiceServer;
use shouwang_proto::v1::report_service_server::ReportServiceServer;
use shouwang_proto::v1::watch_service_server::WatchServiceServer;
use tokio::sync::{Semaphore, watch};
use tonic::Status;
use tonic::service::Routes;

use self::caller::Door;
use self::services::{Calls, Services};
use crate::auth::{Municipality, Places};
use crate::lang::Bilingual;

/// The largest message given, bytes, and unless the configuration says otherwise the largest taken.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a node does at once for its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls worked on at once; one more is told to come again.
    pub calls: usize,
    /// Those of one caller.
    pub caller_calls: usize,
    /// Open watch streams; one more is told to come again.
    pub watches: usize,
    /// Those of one caller.
    pub caller_watches: usize,
    /// Open streams of calls; one more is told to come again.
    pub streams: usize,
    /// Those of one caller.
    pub caller_streams: usize,
    /// The largest message taken, bytes.
    pub message_bytes: usize,
    /// How long a call that names no deadline may take, the reading of its request included; at most [`deadline::MAX`].
    pub request_timeout: Duration,
}

/// Tells why a courier stands still; `None` while it runs.
pub type CourierTrouble = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// A region this node hosts.
#[derive(Clone)]
pub struct HostedRegion {
    /// The record.
    pub handle: Handle<Region>,
    /// The courier between it and the registry; `None` where there is none.
    pub courier: Option<CourierTrouble>,
}

impl HostedRegion {
    /// A region.
    pub fn new(handle: Handle<Region>, courier: Option<CourierTrouble>) -> Self {
        Self { handle, courier }
    }
}

/// Where the municipality's own record is kept: by one of its nodes.
pub enum RegistryKept {
    /// By this node.
    Here(Handle<Registry>),
    /// By another node of the municipality.
    By(NodeId),
}

/// What the services of a node need to know. Built once by the program, shared by all calls.
pub struct Node {
    /// This node.
    pub node: NodeId,
    /// Whose node it is, as its certificate says.
    pub municipality: Municipality,
    /// The federation, as its certificate says.
    pub federation: String,
    registry: RegistryKept,
    regions: ArcSwap<BTreeMap<RegionId, HostedRegion>>,
    watches: Places,
    streams: Places,
    /// Whether open streams are to end, because the node stops.
    leaving: watch::Sender<bool>,
    backups: Arc<Semaphore>,
    limits: Limits,
    started_at: SystemTime,
}

impl Node {
    /// A node that hosts no region yet.
    pub fn new(
        node: NodeId,
        municipality: Municipality,
        federation: &str,
        registry: RegistryKept,
        limits: Limits,
    ) -> Self {
        Self {
            node,
            municipality,
            federation: federation.to_owned(),
            registry,
            regions: ArcSwap::default(),
            watches: Places::new(limits.watches, limits.caller_watches),
            streams: Places::new(limits.streams, limits.caller_streams),
            leaving: watch::Sender::new(false),
            backups: Arc::new(Semaphore::new(1)),
            limits,
            started_at: SystemTime::now(),
        }
    }

    /// Ends open streams, of who watches and of who calls: by themselves they never end, and the node is about to stop.
    pub fn end_streams(&self) {
        self.leaving.send_replace(true);
    }

    /// The municipality's own record.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` names the node that keeps it, if it is not this one.
    pub fn registry(&self) -> Result<&Handle<Registry>, Status> {
        match &self.registry {
            RegistryKept::Here(registry) => Ok(registry),
            RegistryKept::By(node) => {
                let node = convert::words::node(*node);
                let text = Bilingual::new(
                    format!("本节点不保存台账，请到节点 {node} 办理"),
                    format!("this node keeps no registry; ask node {node}, which keeps the municipality's"),
                );
                Err(status::error(tonic::Code::FailedPrecondition, "REGISTRY_ELSEWHERE", &text, &[("node", node)]))
            }
        }
    }

    /// Offers a region from now on; replaces it if it was there.
    pub fn add_region(&self, id: RegionId, region: &HostedRegion) {
        self.regions.rcu(|regions| {
            let mut regions = BTreeMap::clone(regions);
            regions.insert(id, region.clone());
            regions
        });
    }

    /// The regions of this moment.
    pub fn regions(&self) -> Arc<BTreeMap<RegionId, HostedRegion>> {
        self.regions.load_full()
    }
}

impl fields::Regions for Node {
    fn region(&self, text: &str) -> Result<RegionId, Bilingual> {
        let regions = self.regions();
        // A region this node still joins has no name yet; its id names it.
        let name =
            |region: &HostedRegion| region.handle.view().map(|view| view.record.machine().charter().name.clone());
        let names = regions.iter().map(|(id, region)| (*id, name(region).unwrap_or_default()));
        fields::find_region(&names.collect::<Vec<_>>(), text)
    }
}

/// All services of a node behind one door. The program serves them on the operators' listener, whose connections carry
/// [`crate::auth::PeerInfo`], and adds health and reflection beside them.
pub fn router(node: Arc<Node>) -> Routes {
    let limits = node.limits;
    let door = Arc::new(Door::new(node.municipality, &node.federation, &limits));
    let services = Services::new(node);
    macro_rules! sized {
        ($server:ident) => {
            sized!($server, services.clone())
        };
        ($server:ident, $service:expr) => {
            $server::new($service)
                .max_decoding_message_size(limits.message_bytes)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    let routes = Routes::new(sized!(RegistryServiceServer))
        .add_service(sized!(AidServiceServer))
        .add_service(sized!(MissionServiceServer))
        .add_service(sized!(CompensationServiceServer))
        .add_service(sized!(RegionServiceServer))
        .add_service(sized!(ReportServiceServer))
        .add_service(sized!(WatchServiceServer))
        .add_service(sized!(LedgerServiceServer))
        .add_service(sized!(AdminServiceServer));
    // What a stream carries goes to the services themselves: it has passed the door call by call.
    let calls = Calls::new(services.clone(), Arc::clone(&door), routes.clone().prepare().into_axum_router());
    let routes = routes.add_service(sized!(CallServiceServer, calls));
    let guarded = routes.into_axum_router().layer(axum::middleware::from_fn_with_state(door, caller::pass));
    Routes::from(guarded)
}

#[cfg(test)]
mod tests;
