//! One call of a stream at the service it is for. Services speak gRPC over HTTP: a call is one request with one message in
//! its body, as it would have come by itself, and what they answer is taken out of theirs.

use std::pin::Pin;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request as HttpRequest;
use axum::http::{Method, Uri};
use axum::response::Response as HttpResponse;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use shouwang_proto::v1;
use tonic::{Code, Status};
use tower::Service as _;

use super::answers::ANSWER_BYTES_MAX;
use crate::api::caller::Admitted;
use crate::api::status;
use crate::lang::Bilingual;

/// Before every message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Has a call that was let in carried out, and gives the message of the answer.
///
/// # Errors
/// What the service, or the door, says instead.
pub(super) async fn call(mut routes: Router, admitted: Admitted, message: Bytes) -> Result<Bytes, Status> {
    let mut request = HttpRequest::new(framed(&message)?);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(admitted.method);
    let service = |request: HttpRequest| {
        let answer = routes.call(request);
        async move { answer.await.unwrap_or_else(|never| match never {}) }
    };
    read(admitted.carry_out(request, service).await).await
}

fn framed(message: &Bytes) -> Result<Body, Status> {
    let length = u32::try_from(message.len()).map_err(|_| status::internal("a message of more than 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(Body::from(framed.freeze()))
}

/// The message of an answer.
async fn read(answer: HttpResponse) -> Result<Bytes, Status> {
    let (head, mut body) = answer.into_parts();
    failed(&head.headers)?;
    let mut message = Bytes::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map_err(|_| broken())?.into_data() {
            // A message comes in one piece.
            Ok(piece) if message.is_empty() => message = piece,
            Ok(piece) => message = [message, piece].concat().into(),
            Err(last) => failed(&last.into_trailers().map_err(|_| broken())?)?,
        }
    }
    if message.len() < PREFIX_BYTES || message.get_u8() != 0 || message.get_u32() as usize != message.len() {
        return Err(broken());
    }
    if message.len() > ANSWER_BYTES_MAX { Err(too_large()) } else { Ok(message) }
}

/// Whether these headers or trailers say that the call failed.
fn failed(said: &axum::http::HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(said) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

fn broken() -> Status {
    status::internal("a service gave no message that can be read")
}

fn too_large() -> Status {
    let text = Bilingual::fixed(
        "应答过大，不能放入批量调用流，请减少每页条数，或单独调用该方法；如为变更，已经生效",
        "the answer does not fit a stream of calls; ask for smaller pages, or call the method by itself; a change has \
         happened",
    );
    status::error(Code::OutOfRange, "ANSWER_TOO_LARGE", &text, &[("bytes_max", ANSWER_BYTES_MAX.to_string())])
}

/// An error as it is told within a frame.
pub(super) fn told(status: &Status) -> v1::CallStatus {
    // With its details comes the whole of it.
    let whole = (!status.details().is_empty()).then(|| v1::CallStatus::decode(status.details()));
    whole.and_then(Result::ok).unwrap_or_else(|| v1::CallStatus {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
