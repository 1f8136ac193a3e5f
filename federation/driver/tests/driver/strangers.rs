//! What the peer surface refuses: strangers, impostors, other federations, nodes of other records.

use std::net::SocketAddr;

use crate::cluster::{Cluster, PATIENCE, fast, node_id};
use shouwang_domain::ids::NodeId;
use shouwang_domain::merkle::Frontier;
use shouwang_driver::AuthenticatedPeer;
use shouwang_proto::replication::v1 as proto;
use shouwang_proto::replication::v1::replication_service_client::ReplicationServiceClient;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::{Channel, Server};

/// A surface of node 1 on which every caller is `peer`.
async fn surface(cluster: &Cluster, peer: Option<NodeId>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let known = move |mut request: tonic::Request<()>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(AuthenticatedPeer(peer));
        }
        Ok(request)
    };
    let layer = tonic::service::interceptor::InterceptorLayer::new(known);
    let service = tower::ServiceBuilder::new().layer(layer).service(cluster.nodes[&1].driver.replication_service());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(async move { Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap() });
    address
}

async fn client(address: SocketAddr) -> ReplicationServiceClient<Channel> {
    ReplicationServiceClient::connect(format!("http://{address}"))
        .await
        .unwrap()
        .accept_compressed(tonic::codec::CompressionEncoding::Zstd)
}

fn hello(cluster: [u8; 32], node: NodeId) -> proto::PeerFrame {
    let hello = proto::Hello { cluster: cluster.to_vec().into(), node_id: node.get(), version: 1 };
    proto::PeerFrame { hello: Some(hello), ..proto::PeerFrame::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_an_honest_hello() {
    let cluster = Cluster::start(&[1], fast()).await;
    let good = hello([7; 32], node_id(2));
    let cases = [
        ("no certificate", None, good.clone(), Some(Code::Unauthenticated)),
        ("no hello", Some(2), proto::PeerFrame::default(), Some(Code::InvalidArgument)),
        ("another federation", Some(2), hello([8; 32], node_id(2)), Some(Code::PermissionDenied)),
        ("another's name", Some(2), hello([7; 32], node_id(3)), Some(Code::PermissionDenied)),
        ("honest", Some(2), good, None),
    ];
    for (name, peer, frame, refused) in cases {
        let mut client = client(surface(&cluster, peer.map(node_id)).await).await;
        let first = proto::StreamRequest { frame: Some(frame), ..Default::default() };
        let answer = client.stream(tokio_stream::iter([first])).await;
        assert_eq!(answer.as_ref().err().map(tonic::Status::code), refused, "{name}");
        if let Ok(answer) = answer {
            let frame = answer.into_inner().message().await.unwrap().unwrap().frame.unwrap();
            assert_eq!(frame.hello.unwrap().node_id, node_id(1).get());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_only_for_the_group() {
    let mut cluster = Cluster::start(&[1, 2, 3], fast()).await;
    let leader = cluster.leader().await;
    for _ in 0..5 {
        cluster.add(leader, 1).await;
    }
    cluster.settle(leader).await;
    // History is what lies on the disk, where records gather for a moment.
    cluster.counter(1).reread(Frontier::default(), 5).await.unwrap();
    let record_id: prost::bytes::Bytes = cluster.counter(1).id().0.to_vec().into();
    let ask = |first, last| proto::FetchLedgerRequest { record_id: record_id.clone(), first, last };
    let mut stranger = client(surface(&cluster, Some(node_id(5))).await).await;
    let refused = stranger.fetch_ledger(ask(1, 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let checkpoint = proto::FetchCheckpointRequest { record_id: record_id.clone(), ..Default::default() };
    assert_eq!(stranger.fetch_checkpoint(checkpoint.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let unknown = proto::FetchLedgerRequest { record_id: vec![9; 32].into(), first: 1, last: 1 };
    assert_eq!(stranger.fetch_ledger(unknown).await.unwrap_err().code(), Code::NotFound);

    let mut member = client(surface(&cluster, Some(node_id(2))).await).await;
    let mut pages = member.fetch_ledger(ask(2, 4)).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!((page.first, page.records.len()), (2, 3));
    let mut watch = cluster.counter(1).watch(2);
    for bytes in &page.records {
        assert_eq!(bytes.as_ref(), watch.next().await.unwrap().bytes.as_ref());
    }
    let mut chunks = member.fetch_checkpoint(checkpoint).await.unwrap().into_inner();
    let header = chunks.message().await.unwrap().unwrap().header.unwrap();
    assert_eq!(header.position.unwrap().conf_state.unwrap().voters.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_in_the_group_is_not_heard() {
    let mut cluster = Cluster::start(&[1], fast()).await;
    cluster.leader().await;
    let term = cluster.counter(1).status().term;
    for (peer, from) in [(5, 5), (5, 1), (2, 2)] {
        let mut client = client(surface(&cluster, Some(node_id(peer))).await).await;
        let vote = proto::Message {
            r#type: proto::MessageType::Append.into(),
            to: node_id(1).get(),
            from: node_id(from).get(),
            term: term + 9,
            ..proto::Message::default()
        };
        let record = proto::RecordFrame {
            record_id: cluster.counter(1).id().0.to_vec().into(),
            messages: vec![vote],
            ..proto::RecordFrame::default()
        };
        let frame = proto::PeerFrame { records: vec![record], ..hello([7; 32], node_id(peer)) };
        let answer = client
            .stream(tokio_stream::iter([proto::StreamRequest { frame: Some(frame), ..Default::default() }]))
            .await
            .unwrap();
        // It ends when all frames have been looked at.
        let mut answer = answer.into_inner();
        while answer.message().await.unwrap().is_some() {}
    }
    cluster.add(1, 1).await;
    assert_eq!(cluster.counter(1).status().term, term);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_heard_on_its_newest_stream_alone() {
    let cluster = Cluster::start(&[1], fast()).await;
    let mut client = client(surface(&cluster, Some(node_id(2))).await).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let first = proto::StreamRequest { frame: Some(hello([7; 32], node_id(2))), ..Default::default() };
        let endless = tokio_stream::StreamExt::chain(tokio_stream::iter([first]), tokio_stream::pending());
        let mut answers = client.stream(endless).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some(), "it says hello");
        open.push(answers);
    }
    let [first, second] = &mut open[..] else { unreachable!("two were opened") };
    let ended = tokio::time::timeout(PATIENCE, first.message()).await.unwrap();
    assert!(!matches!(ended, Ok(Some(_))), "the first stream goes on: {ended:?}");
    let more = tokio::time::timeout(std::time::Duration::from_millis(50), second.message()).await;
    assert!(more.is_err(), "the second has ended: {more:?}");
}
