//! The whole API over a real node: one registry, one region, a courier between them, and callers at the door.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use prost_types::Timestamp as WireTime;
use shouwang_domain::charter::{Charter, Member, MemberNode, Rules, Standing};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::merkle;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_driver::{
    Clock, ConnectError, Driver, DriverOptions, Ed25519Signer, HostSpec, Parts, PeerConnector, RecordOptions,
    Signer as _, SystemClock, Timing,
};
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::v1;
use shouwang_proto::v1::aid_service_client::AidServiceClient;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use shouwang_proto::v1::watch_service_client::WatchServiceClient;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use super::*;
use crate::auth::{PeerInfo, Surface};
use crate::countersign::Countersigner;
use crate::courier::Courier;

mod calls;
mod countersign;
mod every_method;
mod history;

const OWN: u32 = 150_300;
const NEIGHBOUR: u32 = 640_200;
const STORE: &str = "01890a5d-0000-7000-8000-000000000001";
const PATIENCE: Duration = Duration::from_secs(30);

struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, node: NodeId) -> Result<Channel, ConnectError> {
        Err(ConnectError::new(format!("{node} is far away")))
    }
}

struct Town {
    routes: Routes,
    driver: Driver,
    stop: watch::Sender<bool>,
    registry: Handle<Registry>,
    region: Handle<Region>,
    dir: tempfile::TempDir,
}

fn code(code: u32) -> MunicipalityCode {
    MunicipalityCode::new(code).unwrap()
}

fn charter(key: &Bytes, neighbour_votes: bool) -> Charter {
    let member = |of: u32, name: &str, short: &str, voter| Member {
        code: code(of),
        name: name.to_owned(),
        short: short.to_owned(),
        standing: Standing::Party,
        superior: None,
        neighbours: Vec::new(),
        nodes: vec![MemberNode {
            node: NodeId::new(code(of), 1).unwrap(),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: key.clone(),
            retiring: None,
            voter,
        }],
    };
    Charter {
        federation: "wuhai".to_owned(),
        name: "乌海应急联动区域".to_owned(),
        version: 1,
        hub: code(OWN),
        members: vec![member(OWN, "乌海市", "乌", true), member(NEIGHBOUR, "石嘴山市", "石", neighbour_votes)],
        rules: Rules::default(),
    }
}

impl Town {
    async fn open() -> Self {
        Self::open_on(tempfile::tempdir().unwrap(), Arc::new(SystemClock::default())).await
    }

    /// Opens on a disk that may be used already, by a clock that may be set.
    async fn open_on(dir: tempfile::TempDir, clock: Arc<dyn Clock>) -> Self {
        Self::open_in(dir, clock, false).await
    }

    /// Opens with records that have no quorum: the neighbour votes in the region, a second node in the registry, and both
    /// are far away.
    async fn open_cut_off() -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), Arc::new(SystemClock::default()), true).await
    }

    /// Opens with a region in which nobody else takes part.
    async fn open_alone(dir: tempfile::TempDir) -> Self {
        let clock = Arc::new(SystemClock::default());
        Self::open_among(dir, clock, false, |charter| charter.members.truncate(1)).await
    }

    async fn open_in(dir: tempfile::TempDir, clock: Arc<dyn Clock>, cut_off: bool) -> Self {
        Self::open_among(dir, clock, cut_off, |_| {}).await
    }

    async fn open_among(
        dir: tempfile::TempDir,
        clock: Arc<dyn Clock>,
        cut_off: bool,
        change: impl FnOnce(&mut Charter),
    ) -> Self {
        let node = NodeId::new(code(OWN), 1).unwrap();
        let signer = Ed25519Signer::from_seed(&[7; 32]).unwrap();
        let key = Bytes(signer.public_key());
        let mut options = DriverOptions::new(node, [7; 32], dir.path());
        options.reserve_bytes = 1 << 20;
        let parts = Parts {
            signer: Arc::new(signer),
            clock,
            connector: Arc::new(Nobody),
            fatal: Arc::new(|error| panic!("{error}")),
        };
        let driver = Driver::open(options, parts).await.unwrap();
        let timing = Timing { tick_ms: 20, heartbeat_ticks: 2, election_ticks: 12 };
        let options = RecordOptions { timing, ..RecordOptions::default() };
        let keeper = |number| RegistryNode {
            node: NodeId::new(code(OWN), number).unwrap(),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: key.clone(),
        };
        let nodes = (1..=if cut_off { 2 } else { 1 }).map(keeper).collect();
        let genesis = RegistryGenesis {
            owner: code(OWN),
            name: "乌海市".to_owned(),
            short: "乌".to_owned(),
            incarnation: 1,
            nodes,
        };
        let registry = driver.host(HostSpec::<Registry>::found(genesis, options)).await.unwrap();
        let mut founding = charter(&key, cut_off);
        change(&mut founding);
        let spec = HostSpec::<Region>::found(founding.clone(), options);
        let (id, name) = (spec.id, founding.name.clone());
        let region = driver.host(spec).await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let countersigner = Countersigner::new(region.clone(), name.clone());
        tokio::spawn(countersigner.run(stopping.clone()));
        let (courier, _) = Courier::new(registry.clone(), region.clone(), id, name, node);
        tokio::spawn(courier.run(stopping));
        let own = Municipality::new(OWN).unwrap();
        let limits = Limits {
            calls: 64,
            caller_calls: 16,
            watches: 64,
            caller_watches: 16,
            streams: 64,
            caller_streams: 16,
            message_bytes: MESSAGE_BYTES_MAX,
            request_timeout: PATIENCE,
        };
        let api = Node::new(node, own, "wuhai", RegistryKept::Here(registry.clone()), limits);
        api.add_region(id, &HostedRegion::new(region.clone(), Some(Arc::new(|| None))));
        Self { routes: router(Arc::new(api)), driver, stop, registry, region, dir }
    }

    /// The way in for an operator of a municipality in a role.
    fn door(
        &self,
        of: u32,
        role: &str,
    ) -> impl Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send> + Clone + use<>
    {
        let identity = format!("spiffe://wuhai/municipality/{of}/operator/op-{role}/{role}");
        let peer = PeerInfo::new(identity.parse().unwrap(), "127.0.0.1:1".parse().unwrap(), Surface::Operator);
        self.routes.clone().map_request(move |mut request: http::Request<Body>| {
            request.extensions_mut().insert(peer.clone());
            request
        })
    }

    /// Stops; the disk stays.
    async fn close(self) -> tempfile::TempDir {
        self.stop.send(true).unwrap();
        drop((self.routes, self.registry, self.region));
        self.driver.stop(Duration::from_secs(5)).await;
        self.dir
    }
}

fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn in_days(days: i64) -> WireTime {
    WireTime { seconds: read::clock().0 / 1000 + days * 86_400, nanos: 0 }
}

fn suits() -> v1::Resource {
    v1::Resource { kind: Some(v1::resource::Kind::Item("2160401".to_owned())) }
}

fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), super::status::reason(&status).unwrap_or_default())
}

fn row(store: &str, class: v1::StockClass) -> v1::OpenLotsRow {
    let kind = v1::holding::Kind::Local("防化服".to_owned());
    let details = v1::LotDetails {
        holding: Some(v1::Holding { kind: Some(kind) }),
        title: "气密型化学防护服".to_owned(),
        unit: "套".to_owned(),
        store: store.to_owned(),
        class: class.into(),
        ..v1::LotDetails::default()
    };
    v1::OpenLotsRow { lot: String::new(), details: Some(details), quantity: 60 }
}

/// Stock in the books: a store and two lots, each known by its name.
async fn stock(town: &Town) -> Vec<String> {
    let mut keeper = RegistryServiceClient::new(town.door(OWN, "keeper"));
    let add = v1::AddStoreRequest {
        request_id: request_id(),
        store: STORE.to_owned(),
        title: "中心库".to_owned(),
        district: "海勃湾区".to_owned(),
    };
    let added = keeper.add_store(add.clone()).await.unwrap().into_inner();
    assert_eq!(
        (added.store, added.outcome.clone().unwrap().verdict()),
        (format!("stores/{STORE}"), v1::Verdict::Accepted)
    );
    // Asked again: the first outcome. With another body: refused. In a role that may not: denied at the door.
    assert_eq!(keeper.add_store(add.clone()).await.unwrap().into_inner().outcome, added.outcome);
    let other = v1::AddStoreRequest { title: "别的库".to_owned(), ..add.clone() };
    assert_eq!(reason(keeper.add_store(other).await), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    let mut duty = RegistryServiceClient::new(town.door(OWN, "duty"));
    assert_eq!(reason(duty.add_store(add).await), (Code::PermissionDenied, "DENIED_ROLE".to_owned()));

    let government = v1::StockClass::Government;
    let unknown_store = "01890a5d-0000-7000-8000-00000000000f";
    let rows = vec![
        row(STORE, government),
        row(STORE, v1::StockClass::Unspecified),
        row(unknown_store, government),
        row(STORE, government),
    ];
    let import = v1::OpenLotsRequest { request_id: request_id(), rows };
    let first = keeper.open_lots(import.clone()).await.unwrap().into_inner().results;
    let said: Vec<_> = first
        .iter()
        .map(|row| row.outcome.clone().unwrap().refusal.map(|refusal| refusal.reason).unwrap_or_default())
        .collect();
    assert_eq!(said, ["", "INVALID_FIELD", "NOT_FOUND", ""]);
    assert!(first.iter().all(|row| !row.already_there));
    let again = keeper.open_lots(import).await.unwrap().into_inner().results;
    assert_eq!(again.iter().map(|row| row.already_there).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(again[0].outcome, first[0].outcome);

    let page = v1::ListLotsRequest { page_size: 1, ..v1::ListLotsRequest::default() };
    let one = keeper.list_lots(page.clone()).await.unwrap().into_inner();
    let next = v1::ListLotsRequest { page_token: one.next_page_token, ..page.clone() };
    let two = keeper.list_lots(next.clone()).await.unwrap().into_inner();
    assert_eq!((one.lots.len(), two.lots.len(), two.next_page_token.as_str()), (1, 1, ""));
    let elsewhere = v1::ListLotsRequest { uncoded: true, ..next };
    assert_eq!(reason(keeper.list_lots(elsewhere).await).0, Code::InvalidArgument);
    [one.lots, two.lots].concat().into_iter().map(|lot| lot.name).collect()
}

/// Maps, sets a floor, and pledges: over the floor never, below it yes.
async fn pledge(town: &Town, lot: &str) {
    let mut leader = RegistryServiceClient::new(town.door(OWN, "leader"));
    let map =
        v1::MapItemRequest { request_id: request_id(), local: "防化服".to_owned(), item: "2160401".to_owned() };
    leader.map_item(map).await.unwrap();
    let floors = Some(v1::Floors { resource: Some(suits()), none: 70, ..v1::Floors::default() });
    leader.set_floors(v1::SetFloorsRequest { request_id: request_id(), floors }).await.unwrap();
    let left =
        v1::GetFloorViewRequest { resource: Some(suits()), linearizable: true, ..v1::GetFloorViewRequest::default() };
    let left = leader.get_floor_view(left).await.unwrap().into_inner();
    assert_eq!(left.left, Some(v1::FloorView { usable: 120, floor: 70, pledgeable: 50 }));
    assert!(left.as_of.unwrap().in_touch);
    let pledge = |quantity| v1::MakePledgeRequest {
        request_id: request_id(),
        lot: lot.to_owned(),
        quantity,
        expires_at: Some(in_days(30)),
        ..v1::MakePledgeRequest::default()
    };
    assert_eq!(reason(leader.make_pledge(pledge(51)).await), (Code::FailedPrecondition, "BELOW_FLOOR".to_owned()));
    assert!(leader.make_pledge(pledge(50)).await.unwrap().into_inner().pledge.starts_with("pledges/"));
    let wrong = v1::MakePledgeRequest { request_id: "x".to_owned(), ..pledge(0) };
    assert_eq!(reason(leader.make_pledge(wrong).await), (Code::InvalidArgument, "INVALID_FIELDS".to_owned()));
}

/// Asks for help; the working number is the same however often it is asked for.
async fn ask(town: &Town) -> String {
    let mut duty = AidServiceClient::new(town.door(OWN, "duty"));
    let line = v1::LineAsked { resource: Some(suits()), title: "防护服".to_owned(), quantity: 60 };
    let ask = v1::RequestAidRequest {
        request_id: request_id(),
        subject: "氯气泄漏".to_owned(),
        place: "乌达区".to_owned(),
        priority: v1::Priority::Immediate.into(),
        needed_by: Some(in_days(1)),
        expires_at: Some(in_days(2)),
        lines: vec![line],
        ..v1::RequestAidRequest::default()
    };
    let asked = duty.request_aid(ask.clone()).await.unwrap().into_inner();
    let number = asked.outcome.clone().unwrap().number;
    assert!(number.starts_with("乌-需-") && number.ends_with("-0001"), "{number}");
    assert_eq!(duty.request_aid(ask.clone()).await.unwrap().into_inner(), asked);
    let mut registry = RegistryServiceClient::new(town.door(OWN, "duty"));
    // The registry cannot know who is a member: the region says no, however often it is asked for.
    let astray =
        v1::RequestAidRequest { request_id: request_id(), addressed: vec!["150100".to_owned()], ..ask.clone() };
    for _ in 0..2 {
        let no = (Code::PermissionDenied, "NOT_A_MEMBER".to_owned());
        assert_eq!(reason(duty.request_aid(astray.clone()).await), no);
    }
    let of = v1::GetRegistryOutcomeRequest { request_id: astray.request_id };
    let came = registry.get_registry_outcome(of).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!((came.verdict(), came.refusal.unwrap().reason.as_str()), (v1::Verdict::Refused, "NOT_A_MEMBER"));
    let of = v1::GetRegistryOutcomeRequest { request_id: ask.request_id };
    assert_eq!(registry.get_registry_outcome(of).await.unwrap().into_inner().outcome, asked.outcome);
    let unknown = v1::GetRegistryOutcomeRequest { request_id: request_id() };
    assert_eq!(reason(registry.get_registry_outcome(unknown).await).0, Code::NotFound);
    asked.aid_request
}

/// Follows the region's ledger until the request is there; every revision once and in order.
async fn follow(town: &Town) {
    use v1::watch_region_response::Item;
    let mut watch = WatchServiceClient::new(town.door(NEIGHBOUR, "duty"));
    let from_the_beginning = v1::WatchRegionRequest { region: String::new(), from_revision: 1 };
    let mut ledger = watch.watch_region(from_the_beginning).await.unwrap().into_inner();
    let mut last = 0;
    loop {
        let item = tokio::time::timeout(PATIENCE, ledger.next()).await.unwrap().unwrap().unwrap().item.unwrap();
        let Item::Record(record) = item else { continue };
        assert_eq!(record.revision, last + 1);
        last = record.revision;
        assert!(["up", "ack_down"].contains(&record.command.as_str()), "{}", record.command);
        assert_eq!((record.node.as_str(), record.actor.unwrap().role.as_str()), ("150300/1", "node"));
        if record.events.iter().any(|event| event.r#type == "request_made" && event.payload.contains("氯气泄漏")) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_at_the_door() {
    let town = Town::open().await;
    let lots = stock(&town).await;
    pledge(&town, &lots[0]).await;
    let asked = ask(&town).await;
    follow(&town).await;

    // A member sees the region through any node, whoever is none does not, and nobody else sees the registry.
    let mut neighbour = AidServiceClient::new(town.door(NEIGHBOUR, "coordinator"));
    // A watcher may be a step ahead of local readers, never of a linearizable one.
    let now = v1::ListRequestsRequest { linearizable: true, ..v1::ListRequestsRequest::default() };
    let requests = neighbour.list_requests(now).await.unwrap().into_inner().requests;
    assert_eq!((requests[0].name.as_str(), requests[0].lines[0].state()), (asked.as_str(), v1::LineState::Open));
    let mut stranger = AidServiceClient::new(town.door(150_100, "coordinator"));
    let seen = stranger.list_requests(v1::ListRequestsRequest::default()).await;
    assert_eq!(reason(seen), (Code::PermissionDenied, "NOT_A_MEMBER".to_owned()));
    let mut nosy = RegistryServiceClient::new(town.door(NEIGHBOUR, "leader"));
    let seen = nosy.list_lots(v1::ListLotsRequest::default()).await;
    assert_eq!(reason(seen), (Code::PermissionDenied, "DENIED_OTHER_MUNICIPALITY".to_owned()));

    let mut region = RegionServiceClient::new(town.door(OWN, "coordinator"));
    let situation = region.get_situation(v1::GetSituationRequest::default()).await.unwrap().into_inner();
    assert_eq!((situation.resources[0].pledged, situation.resources[0].free), (50, 50));
    assert_eq!((situation.requests_open, situation.members.len()), (1, 2));
    let hub = situation.members.iter().find(|member| member.hub).unwrap();
    assert_eq!((hub.touch(), hub.leads), (v1::Touch::InTouch, true));
    let unknown_region = v1::GetSituationRequest { region: "呼包鄂".to_owned(), ..Default::default() };
    assert_eq!(reason(region.get_situation(unknown_region).await).0, Code::InvalidArgument);

    // What another node would check for itself.
    let proof = v1::GetInclusionProofRequest { region: String::new(), revision: 1 };
    let proof = region.get_inclusion_proof(proof).await.unwrap().into_inner();
    let path: Vec<Hash32> = proof.path.iter().map(|hash| Hash32(hash.as_slice().try_into().unwrap())).collect();
    let root = merkle::root_from_path(merkle::leaf(&proof.record), 0, proof.size, &path);
    assert_eq!(root.map(|root| root.0.to_vec()), Some(proof.root));
    let beyond = v1::GetInclusionProofRequest { region: String::new(), revision: 1_000_000 };
    assert_eq!(reason(region.get_inclusion_proof(beyond).await).0, Code::OutOfRange);

    preview(&town, &asked).await;
    let mut admin = AdminServiceClient::new(town.door(OWN, "admin"));
    let status = admin.get_node_status(admin::GetNodeStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.node.as_str(), status.records.len()), ("150300/1", 2));
    assert!(status.records.iter().all(|record| record.role() == admin::RaftRole::Leader));
    let taken = admin.take_checkpoint(admin::TakeCheckpointRequest { record: "registry".to_owned() }).await.unwrap();
    assert!(taken.into_inner().revision > 0);
    town.close().await;
}

/// An order needs a mission; "what is left for us" needs a line.
async fn preview(town: &Town, asked: &str) {
    let mut leader = AidServiceClient::new(town.door(OWN, "leader"));
    let preview = v1::PreviewAnswerRequest {
        aid_request: asked.to_owned(),
        line: 1,
        quantity: 10,
        ..v1::PreviewAnswerRequest::default()
    };
    let left = leader.preview_answer(preview.clone()).await.unwrap().into_inner();
    assert_eq!(left.now, Some(v1::FloorView { usable: 70, floor: 70, pledgeable: 0 }));
    assert_eq!(left.after, Some(v1::FloorView { usable: 60, floor: 70, pledgeable: 0 }));
    assert!(left.crosses_floor && !left.more_than_there_is);
    assert_eq!((left.asked, left.open, left.pledged_free), (60, 60, 50));
    let no_line = v1::PreviewAnswerRequest { line: 9, ..preview };
    assert_eq!(reason(leader.preview_answer(no_line).await), (Code::NotFound, "NOT_FOUND".to_owned()));
    let order = v1::OrderRequest { request_id: request_id(), mission: STORE.to_owned(), ..Default::default() };
    assert_eq!(reason(leader.order(order).await), (Code::NotFound, "NOT_FOUND".to_owned()));
}
