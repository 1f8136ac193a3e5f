//! A stream of calls with a service behind the door that answers when it is told to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use bytes::{BufMut as _, Bytes, BytesMut};
use shouwang_proto::v1::call_answer::Result as Said;
use tokio::sync::{Semaphore, watch};
use tonic::codec::Codec as _;
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;

use super::answers::ANSWER_BYTES_MAX;
use super::*;
use crate::api::caller::pass;
use crate::api::change::too_late;
use crate::api::{Limits, deadline};
use crate::auth::{Municipality, Surface};

const LOTS: &str = "/shouwang.v1.RegistryService/ListLots";
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls of a caller that work at once; a stream has three quarters of them.
const CALLS: usize = 8;
const STREAMED: usize = 6;

/// A service that gives back what it is sent, once for every permit.
#[derive(Clone)]
struct Echo {
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
}

impl Echo {
    fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), begun: Arc::default() }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    async fn until_begun(&self, count: usize) {
        tokio::time::timeout(PATIENCE, async {
            while self.begun() < count {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

async fn echo(State(echo): State<Echo>, request: HttpRequest) -> axum::response::Response {
    echo.begun.fetch_add(1, Ordering::SeqCst);
    let request = Request::from_http(request);
    match tokio::time::timeout_at(deadline::of(&request).into(), echo.permits.acquire()).await {
        Ok(permit) => {
            permit.unwrap().forget();
            axum::response::Response::new(request.into_inner())
        }
        Err(_) => too_late(None).into_http(),
    }
}

/// A stream of a duty officer, and what is behind it.
struct Line {
    behind: Arc<Behind>,
    frames: mpsc::Sender<Result<Bytes, Infallible>>,
    answers: mpsc::Receiver<v1::CallsResponse>,
    ended: JoinSet<Result<(), Status>>,
    leaving: watch::Sender<bool>,
}

impl Line {
    fn open(echoes: &Echo, unread_max: Duration) -> Self {
        let limits = Limits {
            calls: 64,
            caller_calls: CALLS,
            watches: 0,
            caller_watches: 0,
            streams: 0,
            caller_streams: 0,
            message_bytes: 1 << 20,
            request_timeout: PATIENCE,
        };
        let door = Arc::new(Door::new(Municipality::new(150_300).unwrap(), "wuhai", &limits));
        let routes = axum::Router::new().fallback(echo).with_state(echoes.clone());
        let behind = Arc::new(Behind { door, routes, streaming: streaming() });
        let (frames, body) = mpsc::channel(1);
        let body = Body::from_stream(ReceiverStream::new(body));
        let decoder = ProstCodec::<v1::CallsResponse, v1::CallsRequest>::default().decoder();
        let (leaving, left) = watch::channel(false);
        let body = Streaming::new_request(decoder, body, None, None);
        let intake = Intake::new(Arc::clone(&behind), Some(duty()), body, left);
        let (out, answers) = mpsc::channel(FRAMES_AHEAD);
        let mut ended = JoinSet::new();
        ended.spawn(answer(intake.begun(), out, unread_max));
        Self { behind, frames, answers, ended, leaving }
    }

    async fn send(&self, methods: Vec<v1::MethodCalls>) {
        let frame = v1::CallsRequest { methods }.encode_to_vec();
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(frame.len()).unwrap());
        framed.put_slice(&frame);
        self.frames.send(Ok(framed.freeze())).await.unwrap();
    }

    /// The next answers, by their tags, until there are `count`.
    async fn take(&mut self, count: usize) -> BTreeMap<u64, Said> {
        let mut found = BTreeMap::new();
        while found.len() < count {
            let frame = tokio::time::timeout(PATIENCE, self.answers.recv()).await.unwrap().unwrap();
            assert!(!frame.answers.is_empty());
            for answer in frame.answers {
                assert!(found.insert(answer.tag, answer.result.unwrap()).is_none(), "answered twice");
            }
        }
        assert_eq!(found.len(), count);
        found
    }

    async fn end(mut self) -> Result<(), Status> {
        drop(self.frames);
        assert!(self.answers.recv().await.is_none(), "an answer to nothing");
        tokio::time::timeout(PATIENCE, self.ended.join_next()).await.unwrap().unwrap().unwrap()
    }
}

fn duty() -> PeerInfo {
    let identity = "spiffe://wuhai/municipality/150300/operator/op-1/duty".parse().unwrap();
    PeerInfo::new(identity, "127.0.0.1:1".parse().unwrap(), Surface::Operator)
}

fn calls(method: &str, tags: std::ops::Range<u64>, timeout_ms: u32) -> v1::MethodCalls {
    let calls = tags.map(|tag| v1::Call { tag, request: tag.to_be_bytes().to_vec().into(), timeout_ms });
    v1::MethodCalls { method: method.to_owned(), calls: calls.collect() }
}

fn reason(said: &Said) -> String {
    let Said::Status(told) = said else { panic!("{said:?}") };
    let status = Status::with_details(told.code.into(), told.message.clone(), told.encode_to_vec().into());
    status::reason(&status).unwrap()
}

fn is_echo(tag: u64, said: &Said) -> bool {
    matches!(said, Said::Response(bytes) if **bytes == tag.to_be_bytes())
}

#[tokio::test]
async fn every_call_is_answered_by_its_tag_and_a_denied_one_denies_no_other() {
    let mut line = Line::open(&Echo::new(10_000), PATIENCE);
    let pledge = "/shouwang.v1.RegistryService/MakePledge";
    let watch = "/shouwang.v1.WatchService/WatchRegistry";
    let own = "/shouwang.v1.CallService/Calls";
    let asked = [(LOTS, 0..500), (pledge, 500..502), (watch, 502..503), (own, 503..504), ("/none", 504..505)];
    let again = asked.clone().map(|(method, tags)| calls(method, tags, 0));
    line.send(again.into()).await;
    line.send(vec![calls(LOTS, 505..1000, 0)]).await;
    for (tag, said) in line.take(1000).await {
        let (method, _) = asked.iter().find(|(_, tags)| tags.contains(&tag)).unwrap_or(&asked[0]);
        match *method {
            LOTS => assert!(is_echo(tag, &said), "{tag}: {said:?}"),
            method if method == pledge => assert_eq!(reason(&said), "DENIED_ROLE"),
            "/none" => assert_eq!(reason(&said), "DENIED_NO_SUCH_METHOD"),
            _ => assert_eq!(reason(&said), "NOT_IN_A_STREAM"),
        }
    }
    assert!(line.end().await.is_ok());
}

#[tokio::test]
async fn a_stream_that_is_full_waits_and_leaves_places_to_calls_that_come_alone() {
    let echoes = Echo::new(0);
    let mut line = Line::open(&echoes, PATIENCE);
    line.send(vec![calls(LOTS, 0..100, 0)]).await;
    line.send(vec![calls(LOTS, 100..200, 0)]).await;
    echoes.until_begun(STREAMED).await;
    // The first frame is being worked on, the second is not read, a third finds no room.
    let third = line.send(vec![calls(LOTS, 200..300, 0)]);
    assert!(tokio::time::timeout(Duration::from_millis(100), third).await.is_err(), "the stream is read on");
    assert_eq!(echoes.begun(), STREAMED);
    // What comes by itself is worked on beside it.
    let alone = line.behind.routes.clone();
    let alone = alone.layer(axum::middleware::from_fn_with_state(Arc::clone(&line.behind.door), pass));
    let mut request = HttpRequest::builder().uri(LOTS).body(Body::empty()).unwrap();
    request.extensions_mut().insert(duty());
    let alone = tokio::spawn(alone.oneshot(request));
    echoes.until_begun(STREAMED + 1).await;
    echoes.permits.add_permits(1000);
    assert!(Status::from_header_map(alone.await.unwrap().unwrap().headers()).is_none());
    assert!(line.take(200).await.iter().all(|(tag, said)| is_echo(*tag, said)));
    assert!(line.end().await.is_ok());
}

#[tokio::test]
async fn the_deadline_of_a_call_is_its_own() {
    let echoes = Echo::new(0);
    let mut line = Line::open(&echoes, PATIENCE);
    let begun = Instant::now();
    line.send(vec![calls(LOTS, 0..4, 0), calls(LOTS, 4..5, 200)]).await;
    let first = line.take(1).await;
    assert_eq!(reason(&first[&4]), "OUTCOME_UNKNOWN");
    assert!(begun.elapsed() >= Duration::from_millis(190));
    // Behind a full stream: what has no place by then was not begun, and is told so.
    line.send(vec![calls(LOTS, 5..7, 0), calls(LOTS, 7..8, 100), calls(LOTS, 8..9, 0)]).await;
    let next = line.take(1).await;
    assert_eq!(reason(&next[&7]), "CALLER_TOO_MANY_CALLS");
    assert_eq!(echoes.begun(), STREAMED + 1);
    echoes.permits.add_permits(1000);
    assert!(line.take(7).await.iter().all(|(tag, said)| is_echo(*tag, said)));
    assert!(line.end().await.is_ok());
}

#[tokio::test]
async fn a_node_that_stops_answers_what_is_under_way_and_refuses_the_rest() {
    let echoes = Echo::new(0);
    let mut line = Line::open(&echoes, PATIENCE);
    line.send(vec![calls(LOTS, 0..10, 0)]).await;
    echoes.until_begun(STREAMED).await;
    line.leaving.send_replace(true);
    let refused = line.take(10 - STREAMED).await;
    assert!(refused.iter().all(|(tag, said)| *tag >= 6 && reason(said) == "STOPPED"), "{refused:?}");
    echoes.permits.add_permits(1000);
    assert!(line.take(STREAMED).await.iter().all(|(tag, said)| is_echo(*tag, said)));
    assert_eq!(status::reason(&line.end().await.unwrap_err()).as_deref(), Some("STOPPED"));
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_the_stream_and_then_end_it() {
    let echoes = Echo::new(100_000);
    let line = Line::open(&echoes, Duration::from_millis(300));
    // Each answer is as long as its request: a few of them fill a frame.
    let large = |tag| v1::Call { tag, request: vec![7; 40_000].into(), timeout_ms: 0 };
    for from in 0..3 {
        let calls = (from * 20..from * 20 + 20).map(large).collect();
        let frame = line.send(vec![v1::MethodCalls { method: LOTS.to_owned(), calls }]);
        if tokio::time::timeout(Duration::from_millis(100), frame).await.is_err() {
            break;
        }
    }
    // Two frames of two and the places of the stream: nothing else was begun.
    assert!(echoes.begun() <= 4 + STREAMED, "{} begun", echoes.begun());
    let Line { mut ended, answers, frames, .. } = line;
    let ended = tokio::time::timeout(PATIENCE, ended.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(status::reason(&ended.unwrap_err()).as_deref(), Some("ANSWERS_UNREAD"));
    drop((answers, frames));
}

#[tokio::test]
async fn frames_and_answers_have_their_limits() {
    let echoes = Echo::new(10);
    let mut line = Line::open(&echoes, PATIENCE);
    let large = v1::Call { tag: 1, request: vec![7; ANSWER_BYTES_MAX + 1].into(), timeout_ms: 0 };
    line.send(vec![v1::MethodCalls { method: LOTS.to_owned(), calls: vec![large] }]).await;
    assert_eq!(reason(&line.take(1).await[&1]), "ANSWER_TOO_LARGE");
    line.send(vec![calls(LOTS, 0..4097, 0)]).await;
    assert_eq!(status::reason(&line.end().await.unwrap_err()).as_deref(), Some("FRAME_TOO_LONG"));
    assert_eq!(echoes.begun(), 1, "a frame that is refused is not begun");
}

#[tokio::test]
async fn who_has_gone_leaves_nothing_under_way() {
    let echoes = Echo::new(0);
    let mut line = Line::open(&echoes, PATIENCE);
    line.send(vec![calls(LOTS, 0..3, 0)]).await;
    echoes.until_begun(3).await;
    line.ended.abort_all();
    assert!(line.ended.join_next().await.unwrap().is_err());
    assert_eq!(Arc::strong_count(&line.behind), 1);
    drop(line.frames);
}
