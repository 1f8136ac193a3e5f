//! The way out to one peer: dial, open the stream, send what waits; again after a pause when it breaks.

use std::sync::Arc;
use std::time::Duration;

use shouwang_domain::ids::NodeId;
use shouwang_proto::replication::v1 as proto;
use shouwang_proto::replication::v1::replication_service_client::ReplicationServiceClient;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::outbox::{Head, Item, Outbox};
use super::{FRAME_BYTES_MAX, Transport, VERSION, lock};
use crate::metrics;
use crate::record::RaftMsg;

/// Frames handed to the stream and not taken by it yet.
const FRAMES_AHEAD: usize = 2;
/// After so long without a frame, one without records says what this node's clock shows: well within
/// [`shouwang_replica::CLOCK_HEARD_MS_MAX`].
const CLOCK_WORD: Duration = Duration::from_secs(5);

/// One peer as this node dials it.
pub(crate) struct Peer {
    node: NodeId,
    outbox: std::sync::Mutex<Outbox>,
    wake: Notify,
    channel: std::sync::Mutex<Option<Channel>>,
}

impl Peer {
    pub fn new(node: NodeId) -> Self {
        Self { node, outbox: std::sync::Mutex::default(), wake: Notify::new(), channel: std::sync::Mutex::default() }
    }

    /// Queues an item; false if it is dropped.
    pub fn push(&self, head: Head, item: Item, max_bytes: usize) -> bool {
        let queued = lock(&self.outbox).push(head, item, max_bytes);
        if queued {
            self.wake.notify_one();
        }
        queued
    }

    /// Runs until it is aborted.
    pub async fn run(self: Arc<Self>, transport: Arc<Transport>) {
        let options = transport.options;
        let mut pause = options.backoff_min;
        loop {
            match timeout(options.connect_timeout, self.open(&transport)).await {
                Ok(Ok((frames, answers))) => {
                    pause = options.backoff_min;
                    tracing::info!(peer = %self.node, "stream to peer open");
                    lock(&self.outbox).set_connected(true);
                    let why = self.pump(&transport, frames, answers).await;
                    tracing::info!(peer = %self.node, why, "stream to peer ended");
                }
                Ok(Err(why)) => tracing::debug!(peer = %self.node, why, "peer cannot be reached"),
                Err(_) => tracing::debug!(peer = %self.node, "peer cannot be reached in time"),
            }
            lock(&self.outbox).set_connected(false);
            lock(&self.channel).take();
            for port in transport.all_records() {
                port.core().deliver(RaftMsg::Unreachable(self.node.get()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(options.backoff_max);
        }
    }

    async fn open(
        &self,
        transport: &Transport,
    ) -> Result<(mpsc::Sender<proto::StreamRequest>, Streaming<proto::StreamResponse>), String> {
        let channel = transport.connector.connect(self.node).await.map_err(|error| error.to_string())?;
        let mut client = client(channel.clone(), transport.options.compress);
        let (frames, receiver) = mpsc::channel(FRAMES_AHEAD);
        let hello =
            proto::Hello { cluster: transport.cluster.to_vec().into(), node_id: transport.me.get(), version: VERSION };
        let first = proto::PeerFrame { hello: Some(hello), sent_at_ms: transport.clock.now().0, records: Vec::new() };
        // The channel is new and has room.
        frames.send(proto::StreamRequest { frame: Some(first) }).await.map_err(|error| error.to_string())?;
        let answers = client.stream(ReceiverStream::new(receiver)).await.map_err(|status| status.to_string())?;
        *lock(&self.channel) = Some(channel);
        Ok((frames, answers.into_inner()))
    }

    /// Sends frames until the stream breaks; says why it did.
    async fn pump(
        &self,
        transport: &Transport,
        frames: mpsc::Sender<proto::StreamRequest>,
        mut answers: Streaming<proto::StreamResponse>,
    ) -> String {
        let send = async {
            loop {
                let next = {
                    let mut outbox = lock(&self.outbox);
                    metrics::peer_queue(self.node.get(), outbox.bytes());
                    outbox.frame(transport.options.frame_bytes)
                };
                let records = match next {
                    Some(records) => records,
                    // A stream on which nothing is said still says what the clock shows.
                    None if timeout(CLOCK_WORD, self.wake.notified()).await.is_err() => Vec::new(),
                    None => continue,
                };
                let frame = proto::PeerFrame { hello: None, sent_at_ms: transport.clock.now().0, records };
                match timeout(transport.options.frame_timeout, frames.send(proto::StreamRequest { frame: Some(frame) }))
                    .await
                {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return "the stream takes nothing any more".to_owned(),
                    Err(_) => return "the stream does not move".to_owned(),
                }
            }
        };
        let watch = async {
            loop {
                match answers.message().await {
                    // The other side sends nothing but its hello on this stream: its own frames come by its own stream.
                    Ok(Some(_)) => {}
                    Ok(None) => return "the peer has closed it".to_owned(),
                    Err(status) => return status.to_string(),
                }
            }
        };
        tokio::select! { why = send => why, why = watch => why }
    }

    /// The open channel to this peer, waited for a little.
    pub async fn channel(&self, wait: Duration) -> Option<Channel> {
        const STEP: Duration = Duration::from_millis(50);
        let mut left = wait;
        loop {
            let channel = lock(&self.channel).clone();
            if channel.is_some() || left.is_zero() {
                return channel;
            }
            sleep(STEP).await;
            left = left.saturating_sub(STEP);
        }
    }
}

/// A client with our limits.
pub(crate) fn client(channel: Channel, compress: bool) -> ReplicationServiceClient<Channel> {
    let client = ReplicationServiceClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .accept_compressed(CompressionEncoding::Zstd);
    if compress { client.send_compressed(CompressionEncoding::Zstd) } else { client }
}
