//! Many calls in one stream. What a call costs on its way (a stream of HTTP/2, its headers, a packet, waking up whoever
//! waits) is paid once for a frame of them; what it is stays the same: the door judges each ([`intake`]), the services
//! answer it ([`service`]), and what has come goes back in frames ([`answers`]).
//!
//! What a stream holds is bounded: a frame that was read, the calls for which its caller has places, and some answers. So
//! whoever sends too much waits, and so does whoever does not take what he has asked for.

mod answers;
mod intake;
mod service;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use shouwang_proto::v1;
use shouwang_proto::v1::call_service_server::CallService;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use self::answers::{UNREAD_MAX, answer};
use self::intake::Intake;
use super::Services;
use crate::api::caller::{Caller, Door};
use crate::api::status;
use crate::auth::{Full, PeerInfo, Place, Places};
use crate::lang::Bilingual;

/// Frames of answers that wait for the connection while the next one fills.
const FRAMES_AHEAD: usize = 1;

/// What implements the service of streams.
#[derive(Clone)]
pub struct Calls {
    services: Services,
    behind: Arc<Behind>,
}

/// What every stream leads to.
struct Behind {
    door: Arc<Door>,
    /// The services, without the door.
    routes: axum::Router,
    /// The methods that stream themselves.
    streaming: Vec<String>,
}

impl Calls {
    /// Streams of calls to `routes`, each let in by the door.
    pub fn new(services: Services, door: Arc<Door>, routes: axum::Router) -> Self {
        Self { services, behind: Arc::new(Behind { door, routes, streaming: streaming() }) }
    }
}

/// The methods of the contract that stream, by their full names.
fn streaming() -> Vec<String> {
    let contract = FileDescriptorSet::decode(shouwang_proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut found = Vec::new();
    for file in &contract.file {
        for service in &file.service {
            let streams = service.method.iter().filter(|method| method.client_streaming() || method.server_streaming());
            found.extend(streams.map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())));
        }
    }
    found
}

#[tonic::async_trait]
impl CallService for Calls {
    type CallsStream = Pin<Box<dyn Stream<Item = Result<v1::CallsResponse, Status>> + Send>>;

    async fn calls(
        &self,
        request: Request<Streaming<v1::CallsRequest>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let caller = Caller::of(&request)?;
        let peer = request.extensions().get::<PeerInfo>().cloned();
        let place = place(&self.services.streams, &caller)?;
        let leaving = self.services.leaving.subscribe();
        let intake = Intake::new(Arc::clone(&self.behind), peer, request.into_inner(), leaving);
        let (out, frames) = mpsc::channel(FRAMES_AHEAD);
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            let ended = answer(intake.begun(), out, UNREAD_MAX).await;
            drop(place);
            ended
        });
        // The task ends with the stream, whoever drops it: it is no set of many, and aborts what it holds.
        let end = stream::once(async move { answering.join_next().await.and_then(why) });
        let end = end.filter_map(|why| async move { why.map(Err) });
        Ok(Response::new(Box::pin(ReceiverStream::new(frames).map(Ok).chain(end))))
    }
}

/// Why a stream ended, unless its caller had ended it.
fn why(ended: Result<Result<(), Status>, JoinError>) -> Option<Status> {
    ended.unwrap_or_else(|_| Err(status::internal("a call of a stream broke down"))).err()
}

/// A place for one more stream of this caller.
fn place(streams: &Places, caller: &Caller) -> Result<Place, Status> {
    streams.take(&caller.identity).map_err(|full| {
        let (reason, text) = match full {
            Full::All => {
                let en = "all streams of calls of this node are taken; try again later, or call without a stream";
                ("TOO_MANY_STREAMS", Bilingual::fixed("本节点的批量调用流数已满，请稍后重试，或逐个调用", en))
            }
            Full::Caller => {
                let en = "this certificate has all the streams of calls it may have; use one of them, or end one first";
                (
                    "CALLER_TOO_MANY_STREAMS",
                    Bilingual::fixed("本证书的批量调用流数已满，请使用已有的流，或先结束其一", en),
                )
            }
        };
        status::error(Code::ResourceExhausted, reason, &text, &[])
    })
}

#[cfg(test)]
mod tests;
