//! Every method × every role × every municipality at a real node's door, generated from the contract's descriptors and
//! the table of rights: a new method without a row, or a service that forgets to look, fails here.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use shouwang_proto::v1::call_service_client::CallServiceClient;
use tonic::Request;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use super::*;
use crate::auth::{Identity, Role};

/// In the federation, and no member of the region.
const STRANGER: u32 = 150_100;

/// The operators' methods as the contract names them, whatever the table of rights says, and whether they answer with a
/// stream.
fn methods() -> Vec<(String, bool)> {
    let set = FileDescriptorSet::decode(shouwang_proto::FILE_DESCRIPTOR_SET).unwrap();
    let files = set.file.iter().filter(|file| ["shouwang.v1", "shouwang.admin.v1"].contains(&file.package()));
    let services = files.flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let named = services.flat_map(|(package, service)| {
        service
            .method
            .iter()
            .map(move |method| (format!("/{package}.{}/{}", service.name(), method.name()), method.server_streaming()))
    });
    named.collect()
}

/// Calls with an empty message: no change can come of it, for every change needs at least a request id. A stream that
/// begins is an answer.
async fn knock(town: &Town, (method, streams): (&str, bool), peer: Option<PeerInfo>) -> Result<(), (Code, String)> {
    let service = town.routes.clone().map_request(move |mut request: http::Request<Body>| {
        peer.clone().map(|peer| request.extensions_mut().insert(peer));
        request
    });
    let mut client = Grpc::new(service);
    let codec = ProstCodec::<(), ()>::default();
    let path = method.parse().unwrap();
    client.ready().await.unwrap();
    let answer = if streams {
        client.server_streaming(Request::new(()), path, codec).await.map(|_| ())
    } else {
        client.unary(Request::new(()), path, codec).await.map(|_| ())
    };
    answer.map_err(|status| (status.code(), super::status::reason(&status).unwrap_or_default()))
}

fn peer(identity: &Identity) -> PeerInfo {
    PeerInfo::new(identity.clone(), "127.0.0.1:1".parse().unwrap(), Surface::Operator)
}

/// The same as a call of a stream, through the same door.
async fn knock_in_stream(town: &Town, method: &str, peer: PeerInfo) -> Result<(), (Code, String)> {
    use v1::call_answer::Result as Said;
    let service = town.routes.clone().map_request(move |mut request: http::Request<Body>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    let call = v1::Call { tag: 7, ..v1::Call::default() };
    let calls = v1::MethodCalls { method: method.to_owned(), calls: vec![call] };
    let frame = v1::CallsRequest { methods: vec![calls] };
    let mut answers = CallServiceClient::new(service).calls(tokio_stream::iter([frame])).await.unwrap().into_inner();
    let mut frame = answers.message().await.unwrap().unwrap();
    assert_eq!((frame.answers.len(), frame.answers[0].tag), (1, 7));
    assert!(answers.message().await.unwrap().is_none(), "the stream goes on after its caller has ended");
    let Some(Said::Status(told)) = frame.answers.remove(0).result else { return Ok(()) };
    let status = Status::with_details(told.code.into(), told.message.clone(), told.encode_to_vec().into());
    Err((status.code(), super::status::reason(&status).unwrap_or_default()))
}

/// Whoever may not is told so at the door; whoever may gets past it; who is no member of the region sees nothing of it.
async fn check(town: &Town, (method, streams): (&str, bool), of: u32, role: Role) {
    let caller = Identity::operator("wuhai", Municipality::new(of).unwrap(), "op-1", role).unwrap();
    let allowed = rights::TABLE.check(method, &caller, Municipality::new(OWN).unwrap());
    let answer = knock(town, (method, streams), Some(peer(&caller))).await;
    let what = format!("{method} by {role} of {of}: {answer:?}");
    let streamed = knock_in_stream(town, method, peer(&caller)).await;
    if streams && allowed.is_ok() {
        assert_eq!(streamed, Err((Code::InvalidArgument, "NOT_IN_A_STREAM".to_owned())), "{what}");
    } else {
        assert_eq!(streamed, answer, "{what}");
    }
    match (allowed, answer) {
        (Err(denied), Err((code, reason))) => {
            assert_eq!((code, reason.as_str()), (Code::PermissionDenied, denied.code()), "{what}");
        }
        (Err(_), Ok(())) => panic!("{what}: not denied"),
        (Ok(_), Err((code, reason))) => assert!(!reason.starts_with("DENIED") && code != Code::Unimplemented, "{what}"),
        // What a stream carries is judged for itself.
        (Ok(_), Ok(())) if method.ends_with("/Calls") => {}
        (Ok(_), Ok(())) => assert!(of != STRANGER || method.ends_with("/ListRegions"), "{what}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_lets_in_whom_the_table_names_and_nobody_else() {
    let town = Town::open().await;
    // The courier has opened its channel: from here on only callers could change anything.
    let revisions = settled(&town).await;
    let methods = methods();
    assert!(methods.len() > 80, "{}", methods.len());
    for (method, streams) in &methods {
        let door = (method.as_str(), *streams);
        assert!(rights::TABLE.row(method).is_some(), "{method} has no row in the table of rights");
        for role in Role::ALL {
            for of in [OWN, NEIGHBOUR, STRANGER] {
                check(&town, door, of, role).await;
            }
        }
        let node = Identity::node("wuhai", Municipality::new(OWN).unwrap(), 1).unwrap();
        let denied = knock(&town, door, Some(peer(&node))).await.unwrap_err();
        assert_eq!(denied, (Code::PermissionDenied, "DENIED_NOT_AN_OPERATOR".to_owned()), "{method}");
        let foreign = Identity::operator("elsewhere", Municipality::new(OWN).unwrap(), "op-1", Role::Admin).unwrap();
        for nobody in [Some(peer(&foreign)), None] {
            let denied = knock(&town, door, nobody).await.unwrap_err();
            assert_eq!(denied, (Code::Unauthenticated, "UNAUTHENTICATED".to_owned()), "{method}");
        }
    }
    assert_eq!(settled(&town).await, revisions, "an empty message changed something");
    town.close().await;
}

/// The revisions of the registry and the region, once the courier has nothing left to carry.
pub(super) async fn settled(town: &Town) -> (u64, u64) {
    let mut admin = AdminServiceClient::new(town.door(OWN, "admin"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut last = (0, 0);
    loop {
        let couriers = admin.list_couriers(admin::ListCouriersRequest::default()).await.unwrap().into_inner().couriers;
        let status = admin.get_node_status(admin::GetNodeStatusRequest {}).await.unwrap().into_inner();
        let now: Vec<u64> = status.records.iter().map(|record| record.as_of.as_ref().unwrap().revision).collect();
        let now = (now[0], now[1]);
        let idle = couriers
            .iter()
            .all(|courier| (courier.up_sent, courier.down_sent) == (courier.up_applied, courier.down_taken));
        if idle && now.0 > 0 && now == last {
            return now;
        }
        assert!(tokio::time::Instant::now() < deadline, "no rest: {now:?}");
        last = now;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
