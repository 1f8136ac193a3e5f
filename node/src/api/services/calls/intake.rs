//! Frames of calls as they come in, and how their calls begin: one after the other, each as soon as there is a place for
//! it. Until then nothing more is read, so that whoever sends faster than the node works waits on his side of the line.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use axum::Router;
use bytes::Bytes;
use futures_util::stream;
use shouwang_proto::v1;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::Behind;
use super::service::{call, told};
use crate::api::caller::{Admitted, Caller};
use crate::api::deadline::Deadline;
use crate::api::status;
use crate::auth::PeerInfo;
use crate::lang::Bilingual;

/// Most calls of a frame: empty ones would make a frame of 4 MiB into two million.
const FRAME_CALLS_MAX: usize = 4096;

/// What comes in on a stream.
pub(super) struct Intake {
    behind: Arc<Behind>,
    peer: Option<PeerInfo>,
    frames: Streaming<v1::CallsRequest>,
    leaving: watch::Receiver<bool>,
    /// When the frame was read that is being worked on, and what is left of it.
    since: Instant,
    methods: vec::IntoIter<v1::MethodCalls>,
    run: Option<Run>,
}

/// What is left of the calls of one method.
struct Run {
    /// Who calls it, and what the door calls it; or why he may not.
    method: Result<(Caller, &'static str), Status>,
    calls: vec::IntoIter<v1::Call>,
}

/// The next thing that came in.
pub(super) enum Begun {
    /// A call that has its places.
    Call { tag: u64, admitted: Admitted, request: Bytes, routes: Router },
    /// A call that is not carried out.
    Refused(v1::CallAnswer),
    /// Nothing more comes, although the caller had not ended.
    End(Status),
}

impl Begun {
    /// What comes of it.
    ///
    /// # Errors
    /// Why nothing more comes in.
    pub(super) async fn answer(self) -> Result<v1::CallAnswer, Status> {
        match self {
            Self::Call { tag, admitted, request, routes } => Ok(answered(tag, call(routes, admitted, request).await)),
            Self::Refused(answer) => Ok(answer),
            Self::End(status) => Err(status),
        }
    }
}

/// What is said to a call.
fn answered(tag: u64, result: Result<Bytes, Status>) -> v1::CallAnswer {
    use v1::call_answer::Result as Said;
    let said = result.map_or_else(|status| Said::Status(told(&status)), Said::Response);
    v1::CallAnswer { tag, result: Some(said) }
}

impl Intake {
    /// Nothing has been read yet.
    pub(super) fn new(
        behind: Arc<Behind>,
        peer: Option<PeerInfo>,
        frames: Streaming<v1::CallsRequest>,
        leaving: watch::Receiver<bool>,
    ) -> Self {
        Self { behind, peer, frames, leaving, since: Instant::now(), methods: Vec::new().into_iter(), run: None }
    }

    /// The calls in their order, each once it has begun.
    pub(super) fn begun(self) -> impl Stream<Item = Begun> {
        stream::unfold(Some(self), |intake| async move {
            let mut intake = intake?;
            let begun = intake.next().await?;
            let rest = if matches!(begun, Begun::End(_)) { None } else { Some(intake) };
            Some((begun, rest))
        })
    }

    async fn next(&mut self) -> Option<Begun> {
        loop {
            if let Some(run) = &mut self.run
                && let Some(call) = run.calls.next()
            {
                let method = run.method.clone();
                return Some(self.begin(method, call).await);
            }
            if let Some(of) = self.methods.next() {
                self.run = Some(Run { method: self.judge(&of.method), calls: of.calls.into_iter() });
                continue;
            }
            let frame = tokio::select! {
                biased;
                _ = self.leaving.wait_for(|leaving| *leaving) => return Some(Begun::End(status::stopping())),
                frame = self.frames.message() => frame,
            };
            match frame {
                Ok(Some(frame)) if long(&frame) => return Some(Begun::End(too_long())),
                Ok(frame) => (self.since, self.methods) = (Instant::now(), frame?.methods.into_iter()),
                Err(status) => return Some(Begun::End(status)),
            }
        }
    }

    /// Whether this caller may call this method here.
    fn judge(&self, method: &str) -> Result<(Caller, &'static str), Status> {
        let (caller, method) = self.behind.door.admit(method, self.peer.as_ref())?;
        if self.behind.streaming.iter().any(|streams| streams == method) {
            return Err(not_in_a_stream(method));
        }
        Ok((caller, method))
    }

    /// Waits for the places of a call.
    async fn begin(&mut self, method: Result<(Caller, &'static str), Status>, call: v1::Call) -> Begun {
        let v1::Call { tag, request, timeout_ms } = call;
        let admitted = match method {
            Ok(of) => self.let_in(of, timeout_ms).await,
            Err(denied) => Err(denied),
        };
        match admitted {
            Ok(admitted) => Begun::Call { tag, admitted, request, routes: self.behind.routes.clone() },
            Err(status) => Begun::Refused(answered(tag, Err(status))),
        }
    }

    async fn let_in(&mut self, (caller, method): (Caller, &'static str), timeout_ms: u32) -> Result<Admitted, Status> {
        let said = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
        let deadline = Deadline::within(self.since, said, self.behind.door.timeout());
        let places = tokio::select! {
            biased;
            _ = self.leaving.wait_for(|leaving| *leaving) => return Err(status::stopping()),
            places = self.behind.door.places_in_turn(&caller, deadline.moment()) => places?,
        };
        Ok(Admitted { caller, method, since: self.since, deadline, places })
    }
}

fn long(frame: &v1::CallsRequest) -> bool {
    let calls = frame.methods.iter().map(|of| of.calls.len());
    frame.methods.len() > FRAME_CALLS_MAX || calls.sum::<usize>() > FRAME_CALLS_MAX
}

fn too_long() -> Status {
    let text = Bilingual::new(
        format!("一帧最多 {FRAME_CALLS_MAX} 个调用，请分帧发送；该帧中的调用均未执行"),
        format!("a frame takes {FRAME_CALLS_MAX} calls at most; send the others in further ones. None of it was begun"),
    );
    status::error(Code::InvalidArgument, "FRAME_TOO_LONG", &text, &[("calls_max", FRAME_CALLS_MAX.to_string())])
}

fn not_in_a_stream(method: &'static str) -> Status {
    let text = Bilingual::new(
        format!("{method} 本身为流式方法，不能放入批量调用流，请单独调用"),
        format!("{method} streams itself and is not carried by a stream of calls; call it by itself"),
    );
    status::error(Code::InvalidArgument, "NOT_IN_A_STREAM", &text, &[("method", method.to_owned())])
}
