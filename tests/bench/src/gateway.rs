//! A gateway: calls of many clients over one stream of a connection, as one program does that speaks for many desks. What
//! is there goes out as one frame; nobody waits for more to come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use prost::bytes::Bytes;
use shouwang_proto::v1;
use shouwang_proto::v1::call_answer::Result as Said;
use shouwang_proto::v1::call_service_client::CallServiceClient;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::system::CALL_TIMEOUT;

/// Calls that wait for the next frame; one more waits to be one of them.
const WAITING_MAX: usize = 1024;

/// Who waits for which answer.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Said>>>>;

/// One stream. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Gateway(mpsc::Sender<(Bytes, oneshot::Sender<Said>)>);

impl Gateway {
    /// Opens a stream for calls of one method.
    ///
    /// # Errors
    /// The node does not let it.
    pub async fn open(channel: Channel, method: &'static str) -> Result<Self> {
        let (asks, mut asked) = mpsc::channel::<(Bytes, oneshot::Sender<Said>)>(WAITING_MAX);
        let (frames, sent) = mpsc::channel(1);
        let opened = CallServiceClient::new(channel).calls(ReceiverStream::new(sent)).await;
        let mut answers = opened.context("a stream of calls")?.into_inner();
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut tag = 0;
            let mut next = Vec::new();
            while asked.recv_many(&mut next, WAITING_MAX).await > 0 {
                let mut calls = Vec::with_capacity(next.len());
                for (request, whom) in next.drain(..) {
                    tag += 1;
                    with(&waiting, |waiting| waiting.insert(tag, whom));
                    let timeout_ms = u32::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
                    calls.push(v1::Call { tag, request, timeout_ms });
                }
                let methods = vec![v1::MethodCalls { method: method.to_owned(), calls }];
                if frames.send(v1::CallsRequest { methods }).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Ok(Some(frame)) = answers.message().await {
                with(&answered, |waiting| {
                    for answer in frame.answers {
                        if let Some((whom, said)) = waiting.remove(&answer.tag).zip(answer.result) {
                            // Whoever does not wait any more has given up himself.
                            let _ = whom.send(said);
                        }
                    }
                });
            }
            // Who is still there hears that nothing comes.
            with(&answered, HashMap::clear);
        });
        Ok(Self(asks))
    }

    /// One call, with the next frame.
    ///
    /// # Errors
    /// What the node says instead of an answer, or that none comes.
    pub async fn call(&self, request: Vec<u8>) -> Result<Bytes> {
        let (whom, answer) = oneshot::channel();
        self.0.send((request.into(), whom)).await.ok().context("the stream has ended")?;
        match tokio::time::timeout(CALL_TIMEOUT, answer).await.context("no answer in time")? {
            Ok(Said::Response(response)) => Ok(response),
            Ok(Said::Status(status)) => bail!("{status:?}"),
            Err(_) => bail!("the stream has ended"),
        }
    }
}

fn with<T>(
    waiting: &Mutex<HashMap<u64, oneshot::Sender<Said>>>,
    change: impl FnOnce(&mut HashMap<u64, oneshot::Sender<Said>>) -> T,
) -> T {
    // Single insertions and removals: whole after any panic.
    change(&mut waiting.lock().unwrap_or_else(PoisonError::into_inner))
}
