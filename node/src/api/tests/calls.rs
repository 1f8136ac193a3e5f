//! Commands through a stream of calls: the same outcomes, once, and the same refusals as by themselves.

use prost::Message as _;
use shouwang_proto::v1::call_answer::Result as Said;
use shouwang_proto::v1::call_service_client::CallServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

const ADD_STORE: &str = "/shouwang.v1.RegistryService/AddStore";

fn store(request_id: &str, title: &str) -> v1::AddStoreRequest {
    v1::AddStoreRequest {
        request_id: request_id.to_owned(),
        store: String::new(),
        title: title.to_owned(),
        district: "海勃湾区".to_owned(),
    }
}

fn frame(requests: &[v1::AddStoreRequest]) -> v1::CallsRequest {
    let call = |(tag, request): (u64, &v1::AddStoreRequest)| v1::Call {
        tag,
        request: request.encode_to_vec().into(),
        timeout_ms: 10_000,
    };
    let calls = (0..).zip(requests).map(call).collect();
    v1::CallsRequest { methods: vec![v1::MethodCalls { method: ADD_STORE.to_owned(), calls }] }
}

/// The next `count` answers, in the order of their tags.
async fn answers(stream: &mut tonic::Streaming<v1::CallsResponse>, count: usize) -> Vec<Said> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap().answers);
    }
    found.sort_by_key(|answer| answer.tag);
    found.into_iter().map(|answer| answer.result.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_has_one_outcome_however_it_comes() {
    let town = Town::open().await;
    let (frames, sent) = mpsc::channel(4);
    let mut gateway = CallServiceClient::new(town.door(OWN, "keeper"));
    let mut stream = gateway.calls(ReceiverStream::new(sent)).await.unwrap().into_inner();

    let (first, second) = (request_id(), request_id());
    let both = [store(&first, "中心库"), store(&second, "北库"), store(&first, "中心库")];
    frames.send(frame(&both)).await.unwrap();
    let said = answers(&mut stream, 3).await;
    let read = |said: &Said| match said {
        Said::Response(response) => v1::AddStoreResponse::decode(&**response).unwrap(),
        Said::Status(status) => panic!("{status:?}"),
    };
    let outcome = read(&said[0]);
    assert_eq!(outcome.outcome.as_ref().unwrap().verdict(), v1::Verdict::Accepted);
    assert_eq!(read(&said[2]), outcome, "the same command twice in one frame");
    assert_ne!(read(&said[1]).outcome.unwrap().revision, outcome.outcome.as_ref().unwrap().revision);

    // By itself it has the outcome that it had in the stream; with another body it is refused in the same words.
    let mut keeper = RegistryServiceClient::new(town.door(OWN, "keeper"));
    assert_eq!(keeper.add_store(both[0].clone()).await.unwrap().into_inner(), outcome);
    let other = store(&first, "别的库");
    let alone = keeper.add_store(other.clone()).await.unwrap_err();
    frames.send(frame(&[other, store("x", "")])).await.unwrap();
    let said = answers(&mut stream, 2).await;
    let alone_wrong = keeper.add_store(store("x", "")).await.unwrap_err();
    for (said, alone) in said.iter().zip([alone, alone_wrong]) {
        let Said::Status(told) = said else { panic!("{said:?}") };
        assert_eq!((told.code, told.message.as_str()), (alone.code().into(), alone.message()));
        assert_eq!(told.encode_to_vec(), alone.details(), "as it stands in the trailers");
    }
    drop(frames);
    assert!(stream.message().await.unwrap().is_none());
    town.close().await;
}
