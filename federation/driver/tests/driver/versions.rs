//! Nodes of two versions of the contract between nodes: each gets frames in the form it has said it takes.

use std::time::Duration;

use crate::cluster::counter::{Ask, Counter};
use crate::cluster::{Cluster, PATIENCE, fast, genesis, node_id};
use shouwang_domain::hash::Bytes;
use shouwang_domain::record::Verdict;
use shouwang_driver::{FrameUnpacker, HostSpec, Packs};
use shouwang_proto::replication::v1 as proto;
use shouwang_proto::replication::v1::replication_service_server::{ReplicationService, ReplicationServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Frames are packed as on quick lines: the middling ones.
const QUICK: Packs = Packs { from: 1024, up_to: 16 << 10 };

/// A peer that says hello in some version and hands on whatever it is sent.
struct Peer {
    version: u32,
    heard: mpsc::Sender<proto::StreamRequest>,
}

#[tonic::async_trait]
impl ReplicationService for Peer {
    type StreamStream = ReceiverStream<Result<proto::StreamResponse, Status>>;
    type FetchCheckpointStream = ReceiverStream<Result<proto::FetchCheckpointResponse, Status>>;
    type FetchLedgerStream = ReceiverStream<Result<proto::FetchLedgerResponse, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<proto::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(1);
        let hello = proto::Hello { cluster: vec![7; 32].into(), node_id: node_id(2).get(), version: self.version };
        let hello = proto::PeerFrame { hello: Some(hello), ..proto::PeerFrame::default() };
        answers.send(Ok(proto::StreamResponse { frame: Some(hello) })).await.unwrap();
        let (mut frames, heard) = (request.into_inner(), self.heard.clone());
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                if heard.send(frame).await.is_err() {
                    break;
                }
            }
            drop(answers);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn fetch_checkpoint(
        &self,
        _: Request<proto::FetchCheckpointRequest>,
    ) -> Result<Response<Self::FetchCheckpointStream>, Status> {
        Err(Status::unavailable("not here"))
    }

    async fn fetch_ledger(
        &self,
        _: Request<proto::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        Err(Status::unavailable("not here"))
    }
}

/// What the only other voter is sent by a node that would lead: the hello, and the first two frames with records.
async fn said_to(version: u32, packs: Packs) -> (proto::StreamRequest, [proto::StreamRequest; 2]) {
    let (heard, mut all) = mpsc::channel(64);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service = ReplicationServiceServer::new(Peer { version, heard })
        .accept_compressed(tonic::codec::CompressionEncoding::Zstd);
    let server = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let mut cluster = Cluster::start(&[], fast()).await;
    cluster.network.reach(2, 1, address);
    cluster.packs = packs;
    let driver = cluster.open(1).await;
    let spec = HostSpec::<Counter>::found(genesis(&[1, 2]), cluster.options_of(1));
    let _counter = driver.host(spec).await.unwrap();
    let mut next = async || tokio::time::timeout(PATIENCE, all.recv()).await.unwrap().unwrap();
    let hello = next().await;
    let mut frames = Vec::new();
    while frames.len() < 2 {
        let frame = next().await;
        if !frame.packed.is_empty() || frame.frame.as_ref().is_some_and(|frame| !frame.records.is_empty()) {
            frames.push(frame);
        }
    }
    driver.stop(Duration::from_secs(1)).await;
    server.abort();
    (hello, frames.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_gets_packed_frames_only_once_it_has_said_that_it_unpacks_them() {
    let (hello, [plain, _]) = said_to(1, Packs::ALL).await;
    assert!(hello.frame.is_some_and(|frame| frame.hello.is_some()) && hello.packed.is_empty());
    assert!(plain.packed.is_empty());
    assert_eq!(plain.frame.unwrap().records.len(), 1, "as it is");
    for version in [2, 3] {
        let (hello, [packed, _]) = said_to(version, Packs::ALL).await;
        assert!(hello.frame.is_some_and(|frame| frame.hello.is_some()), "the first goes as it is");
        assert_eq!(packed.frame, None);
        let frame = FrameUnpacker::new().unwrap().unpack(&packed.packed).unwrap();
        assert_eq!(frame.records.len(), 1, "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_is_left_out_for_a_peer_that_has_said_that_it_knows() {
    for (version, shortened) in [(2, false), (3, true)] {
        let (_, frames) = said_to(version, QUICK).await;
        let records = frames.map(|frame| frame.frame.unwrap().records.remove(0));
        let told = records.each_ref().map(|record| (record.record_id.len(), record.record_number));
        assert_eq!(told, if shortened { [(32, 0), (0, 1)] } else { [(32, 0), (32, 0)] }, "version {version}");
        let spoken = records
            .iter()
            .flat_map(|record| &record.messages)
            .all(|m| (m.from != 0, m.to != 0) == (!shortened, !shortened));
        assert!(spoken, "version {version}: {records:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_go_as_they_are_where_lines_are_quick_before_and_behind_those_that_are_packed() {
    let (_, [small, _]) = said_to(2, QUICK).await;
    assert!(small.packed.is_empty() && small.frame.is_some_and(|frame| frame.records.len() == 1));
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    cluster.packs = QUICK;
    for n in 1..=3 {
        cluster.stop(n).await;
        cluster.up(n).await;
    }
    let leader = cluster.leader().await;
    for bytes in [0, 5000, 1, 20_000, 900, 0, 40_000] {
        let noted = cluster.ask(leader, Ask::Note(Bytes(vec![7; bytes]))).await.unwrap();
        assert_eq!(noted.verdict, Verdict::Accepted, "{bytes}");
        cluster.add(leader, 1).await;
    }
    for n in 1..=3 {
        cluster.settle(n).await;
    }
}
