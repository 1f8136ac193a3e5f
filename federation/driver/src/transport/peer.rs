//! The way out to one peer: dial, open the stream, send what waits; again after a pause when it breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use shouwang_domain::ids::NodeId;
use shouwang_proto::replication::v1 as proto;
use shouwang_proto::replication::v1::replication_service_client::ReplicationServiceClient;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::naming::Names;
use super::outbox::{Head, Item, Outbox};
use super::packing::Packer;
use super::{ConnectError, FRAME_BYTES_MAX, PACKS_FROM, SHORTENS_FROM, Transport, VERSION, lock};
use crate::metrics::PeerMetrics;
use crate::record::RaftMsg;

/// Frames handed to the stream and not taken by it yet.
const FRAMES_AHEAD: usize = 2;
/// After so long without a frame, one without records says what this node's clock shows: well within
/// [`shouwang_replica::CLOCK_HEARD_MS_MAX`].
const CLOCK_WORD: Duration = Duration::from_secs(5);

/// An open stream to a peer.
struct Line {
    frames: mpsc::Sender<proto::StreamRequest>,
    answers: Streaming<proto::StreamResponse>,
    /// None for a peer that takes frames only whole.
    names: Option<Names>,
    /// For large frames; none for a peer that takes frames only as they are.
    packer: Option<Packer>,
}

/// One peer as this node dials it.
pub(crate) struct Peer {
    node: NodeId,
    outbox: std::sync::Mutex<Outbox>,
    wake: Notify,
    channel: std::sync::Mutex<Option<Channel>>,
    metrics: PeerMetrics,
}

impl Peer {
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            outbox: std::sync::Mutex::default(),
            wake: Notify::new(),
            channel: std::sync::Mutex::default(),
            metrics: PeerMetrics::new(node.get()),
        }
    }

    /// Queues an item; false if it is dropped.
    pub fn push(&self, head: Head, item: Item, max_bytes: usize) -> bool {
        let queued = lock(&self.outbox).push(head, item, max_bytes);
        if queued {
            self.wake.notify_one();
        } else {
            self.metrics.dropped();
        }
        queued
    }

    /// Runs until it is aborted.
    pub async fn run(self: Arc<Self>, transport: Arc<Transport>) {
        let options = transport.options;
        let mut pause = options.backoff_min;
        loop {
            let (mut refused, mut stood) = (false, false);
            match timeout(options.connect_timeout, self.open(&transport)).await {
                Ok(Ok(line)) => {
                    let opened = Instant::now();
                    pause = options.backoff_min;
                    tracing::info!(peer = %self.node, "stream to peer open");
                    lock(&self.outbox).set_connected(true);
                    let why = self.pump(&transport, line).await;
                    stood = opened.elapsed() >= options.backoff_max;
                    tracing::info!(peer = %self.node, why, "stream to peer ended");
                }
                Ok(Err(error)) => {
                    refused = error.refused;
                    tracing::debug!(peer = %self.node, %error, "peer cannot be reached");
                }
                Err(_) => tracing::debug!(peer = %self.node, "peer cannot be reached in time"),
            }
            lock(&self.outbox).set_connected(false);
            lock(&self.channel).take();
            for port in transport.all_records() {
                port.core().deliver(RaftMsg::Unreachable { id: self.node.get(), gone: refused });
            }
            // A stream that has stood is opened again at once: how that fails says whether the line broke or the peer ended.
            if !stood {
                sleep(pause).await;
                pause = (pause * 2).min(options.backoff_max);
            }
        }
    }

    async fn open(&self, transport: &Transport) -> Result<Line, ConnectError> {
        let channel = transport.connector.connect(self.node).await?;
        // Frames are packed here, one after the other; the library would compress each by itself.
        let mut client = client(channel.clone(), false);
        let (frames, receiver) = mpsc::channel(FRAMES_AHEAD);
        let hello =
            proto::Hello { cluster: transport.cluster.to_vec().into(), node_id: transport.me.get(), version: VERSION };
        let first = proto::PeerFrame { hello: Some(hello), sent_at_ms: transport.clock.now().0, records: Vec::new() };
        let first = proto::StreamRequest { frame: Some(first), packed: Bytes::new() };
        // The channel is new and has room.
        frames.send(first).await.map_err(|error| ConnectError::of(&error))?;
        let answers = client.stream(ReceiverStream::new(receiver)).await.map_err(|status| ConnectError::of(&status))?;
        let mut answers = answers.into_inner();
        let hello = answers.message().await.map_err(|status| ConnectError::of(&status))?;
        let hello = hello.and_then(|answer| answer.frame?.hello);
        let hello = hello.ok_or_else(|| ConnectError::new("the peer does not say hello"))?;
        let packs = hello.version >= PACKS_FROM;
        let packer = packs.then(Packer::new).transpose().map_err(|error| ConnectError::of(&error))?;
        let names = (hello.version >= SHORTENS_FROM).then(Names::default);
        *lock(&self.channel) = Some(channel);
        Ok(Line { frames, answers, names, packer })
    }

    /// Sends frames until the stream breaks; says why it did.
    async fn pump(&self, transport: &Transport, line: Line) -> String {
        let Line { frames, mut answers, mut names, mut packer } = line;
        let send = async {
            loop {
                let next = {
                    let mut outbox = lock(&self.outbox);
                    self.metrics.queue(outbox.bytes());
                    outbox.frame(transport.options.frame_bytes)
                };
                let mut records = match next {
                    Some(records) => records,
                    // A stream on which nothing is said still says what the clock shows.
                    None if timeout(CLOCK_WORD, self.wake.notified()).await.is_err() => Vec::new(),
                    None => continue,
                };
                if let Some(names) = &mut names {
                    names.shorten(&mut records);
                }
                let frame = proto::PeerFrame { hello: None, sent_at_ms: transport.clock.now().0, records };
                let packing = packer.as_mut().filter(|_| transport.options.packs.takes(frame.encoded_len()));
                let request = match packing.map(|packer| packer.pack(&frame)) {
                    None => proto::StreamRequest { frame: Some(frame), packed: Bytes::new() },
                    Some(Ok(packed)) => proto::StreamRequest { frame: None, packed },
                    Some(Err(error)) => return format!("a frame cannot be packed: {error}"),
                };
                match timeout(transport.options.frame_timeout, frames.send(request)).await {
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
