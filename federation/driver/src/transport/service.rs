//! What a node offers to its peers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_proto::replication::v1 as proto;
use shouwang_proto::replication::v1::replication_service_server::{ReplicationService, ReplicationServiceServer};
use shouwang_store::checkpoint::CheckpointInfo;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status, Streaming};

use super::naming::Names;
use super::packing::Unpacker;
use super::{AuthenticatedPeer, FRAME_BYTES_MAX, Transport, VERSION, wire};
use crate::record::{RaftMsg, RecordPort, Verdict};

/// Chunks read ahead of what the peer has taken.
const CHUNKS_AHEAD: usize = 4;
/// Ledger records and bytes of one answer.
const PAGE: (usize, usize) = (1024, 256 << 10);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The replication service of a node.
#[derive(Clone)]
pub struct Replication {
    transport: Arc<Transport>,
}

impl Replication {
    pub(crate) fn server(transport: Arc<Transport>) -> ReplicationServiceServer<Self> {
        ReplicationServiceServer::new(Self { transport })
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    }

    fn record_for(&self, peer: NodeId, id: &[u8]) -> Result<Arc<dyn RecordPort>, Status> {
        let id = <[u8; 32]>::try_from(id).map_err(|_| Status::invalid_argument("a record id has 32 bytes"))?;
        let port = self.transport.record(&Hash32(id)).ok_or_else(|| Status::not_found("no such record here"))?;
        if port.core().accepts(peer, port.is_joining()) {
            Ok(port)
        } else {
            Err(Status::permission_denied("this node is not in the record's group"))
        }
    }
}

/// The caller, as its certificate says.
fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let peer = request.extensions().get::<AuthenticatedPeer>();
    peer.map(|peer| peer.0).ok_or_else(|| Status::unauthenticated("the peer surface takes node certificates only"))
}

#[tonic::async_trait]
impl ReplicationService for Replication {
    type StreamStream = Answers<proto::StreamResponse>;
    type FetchCheckpointStream = Answers<proto::FetchCheckpointResponse>;
    type FetchLedgerStream = Answers<proto::FetchLedgerResponse>;

    async fn stream(
        &self,
        request: Request<Streaming<proto::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let peer = caller(&request)?;
        let mut frames = request.into_inner();
        let transport = self.transport.clone();
        let first = timeout(transport.options.connect_timeout, frames.message());
        let first = first.await.map_err(|_| Status::deadline_exceeded("no hello in time"))??;
        let frame = first.and_then(|request| request.frame).unwrap_or_default();
        check_hello(&transport, peer, frame.hello.as_ref())?;
        let (answers, receiver) = mpsc::channel(1);
        let hello =
            proto::Hello { cluster: transport.cluster.to_vec().into(), node_id: transport.me.get(), version: VERSION };
        let sent_at_ms = transport.clock.now().0;
        let hello = proto::PeerFrame { hello: Some(hello), sent_at_ms, records: Vec::new() };
        // The channel is new and has room.
        let _ = answers.try_send(Ok(proto::StreamResponse { frame: Some(hello) }));
        let mut unpacker = Unpacker::new().map_err(|error| Status::resource_exhausted(error.to_string()))?;
        self.transport.listen(peer, async move {
            let (mut next, mut names) = (Some(frame), Names::default());
            while let Some(frame) = next {
                transport.note_clock(peer, frame.sent_at_ms);
                for mut record in frame.records {
                    if let Some(id) = names.restore(peer, transport.me, &mut record) {
                        receive(&transport, peer, id, record);
                    }
                }
                next = tokio::select! {
                    message = frames.message() => message.ok().flatten().and_then(|request| plain(peer, request, &mut unpacker)),
                    () = answers.closed() => None,
                };
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn fetch_checkpoint(
        &self,
        request: Request<proto::FetchCheckpointRequest>,
    ) -> Result<Response<Self::FetchCheckpointStream>, Status> {
        let peer = caller(&request)?;
        let request = request.into_inner();
        let port = self.record_for(peer, &request.record_id)?;
        let place = self.transport.transfer(peer).ok_or_else(too_many_transfers)?;
        let (answers, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let answers = Answered { answers, patience: self.transport.options.stall_timeout };
        let chunk_bytes = self.transport.options.chunk_bytes;
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let ok = match serve_checkpoint(&*port, peer, &request, chunk_bytes, &answers) {
                Ok(true) => true,
                // The peer has hung up and goes on where it stood, or never: until that is clear, what it has begun with
                // counts as on its way, and the log behind it stays.
                Ok(false) => return,
                Err(status) => {
                    // Gone as well, then; there is nobody to tell.
                    let _ = answers.send(Err(status));
                    false
                }
            };
            port.core().deliver(RaftMsg::Served { to: peer.get(), ok });
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn fetch_ledger(
        &self,
        request: Request<proto::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        let peer = caller(&request)?;
        let request = request.into_inner();
        let port = self.record_for(peer, &request.record_id)?;
        let place = self.transport.transfer(peer).ok_or_else(too_many_transfers)?;
        let (answers, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let answers = Answered { answers, patience: self.transport.options.stall_timeout };
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut first = request.first;
            while first <= request.last && first > 0 {
                let most = usize::try_from(request.last - first + 1).unwrap_or(PAGE.0).min(PAGE.0);
                let page = port.ledger().read(first, most, PAGE.1);
                let answer = match page {
                    Ok(records) if records.is_empty() => return,
                    Ok(records) => {
                        let next = first + records.len() as u64;
                        let records = records.into_iter().map(|(_, bytes)| bytes.into()).collect();
                        Ok(proto::FetchLedgerResponse { first: std::mem::replace(&mut first, next), records })
                    }
                    Err(error) => {
                        first = 0;
                        Err(Status::out_of_range(error.to_string()))
                    }
                };
                if !answers.send(answer) {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn too_many_transfers() -> Status {
    Status::resource_exhausted("this node sends all the transfers to you that it sends to one peer at once")
}

fn check_hello(transport: &Transport, peer: NodeId, hello: Option<&proto::Hello>) -> Result<(), Status> {
    let hello = hello.ok_or_else(|| Status::invalid_argument("the first frame says hello"))?;
    if hello.cluster.as_ref() != transport.cluster {
        return Err(Status::permission_denied("this is another federation"));
    }
    if hello.node_id != peer.get() {
        return Err(Status::permission_denied("the certificate is another node's"));
    }
    if hello.version == 0 {
        return Err(Status::invalid_argument("hello without a version"));
    }
    Ok(())
}

/// The frame as it was before it was packed; none if it cannot be read, and nothing behind it can.
fn plain(peer: NodeId, request: proto::StreamRequest, unpacker: &mut Unpacker) -> Option<proto::PeerFrame> {
    if request.packed.is_empty() {
        return Some(request.frame.unwrap_or_default());
    }
    let unpacked = unpacker.unpack(&request.packed);
    unpacked.inspect_err(|error| tracing::warn!(%peer, %error, "a frame that cannot be unpacked; the stream ends")).ok()
}

/// Hands one record's part of a frame over, after checking who may say what.
fn receive(transport: &Arc<Transport>, peer: NodeId, id: RecordId, frame: proto::RecordFrame) {
    let Some(port) = transport.record(&id) else {
        tracing::debug!(%peer, record = %id.short(), "frame for a record that is not hosted here");
        return;
    };
    let core = port.core();
    let joining = port.is_joining();
    if !core.accepts(peer, joining) {
        tracing::debug!(%peer, record = %core.label, "frame from a node that is not in the record's group");
        return;
    }
    if !core.hears(peer, frame.epoch, joining) {
        return;
    }
    let now = Instant::now();
    core.roll_call.heard(peer, now);
    if let Some(word) = frame.roll_call.filter(|_| core.leader() == Some(peer)) {
        core.roll_call.told(peer, &word, &core.conf.nodes(), now);
    }
    let count = frame.messages.len();
    let messages: Vec<_> =
        frame.messages.into_iter().filter_map(wire::from_wire).filter(|m| m.get_from() == peer.get()).collect();
    if messages.len() < count {
        tracing::warn!(%peer, record = %core.label, dropped = count - messages.len(), "messages of another sender or kind");
    }
    if !messages.is_empty() {
        core.leave(RaftMsg::Messages { from: peer.get(), whole_ledger: frame.oldest_revision == 1, messages });
    }
    for answer in frame.answers {
        let verdict = match answer.verdict() {
            proto::BatchVerdict::Taken => Verdict::Taken,
            proto::BatchVerdict::NotLeader => Verdict::NotLeader(answer.leader),
            proto::BatchVerdict::Busy => Verdict::Busy,
            proto::BatchVerdict::Refused => Verdict::Refused,
            proto::BatchVerdict::Unspecified => continue,
        };
        core.leave(RaftMsg::Answer { from: peer.get(), ticket: answer.ticket, verdict });
    }
    for proto::ForwardedBatch { ticket, batch } in frame.batches {
        let from = peer.get();
        // Judged here, so that nothing unsigned costs a place in the log, and that apply need not verify again. A node
        // that does not lead may be behind and answers only that.
        let verdict = if core.leads() && !port.is_acceptable(&batch) {
            Verdict::Refused
        } else if core.leave(RaftMsg::Batch { from, ticket, batch }) {
            continue;
        } else {
            Verdict::Busy
        };
        transport.answer(core, from, ticket, verdict);
    }
    core.take_turn();
}

/// Answers of a transfer, for a thread that may block.
struct Answered<T> {
    answers: mpsc::Sender<Result<T, Status>>,
    patience: Duration,
}

impl<T> Answered<T> {
    /// Waits until the peer has room for one more. False if it hangs up, or takes nothing for as long as it would wait
    /// itself: a peer that does not read must not hold the thread.
    fn send(&self, answer: Result<T, Status>) -> bool {
        let sent = async { timeout(self.patience, self.answers.send(answer)).await };
        matches!(Handle::current().block_on(sent), Ok(Ok(())))
    }
}

/// Sends a checkpoint from where the peer stands. False if it hangs up. Blocks.
fn serve_checkpoint(
    port: &dyn RecordPort,
    peer: NodeId,
    request: &proto::FetchCheckpointRequest,
    chunk_bytes: usize,
    answers: &Answered<proto::FetchCheckpointResponse>,
) -> Result<bool, Status> {
    let failed = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
    let (transfers, peer) = (&port.core().transfers, peer.get());
    let opened = transfers.begin(peer, request.index, port.checkpoints(), Instant::now());
    let opened = opened.map_err(|error| failed(&error))?;
    let opened = opened.ok_or_else(|| Status::not_found("no checkpoint of that index is held"))?;
    let info = opened.info();
    let mut offset = if request.digest.as_ref() == info.digest { request.offset } else { 0 };
    let mut header = Some(header_of(info));
    loop {
        let data = opened.read_chunk(offset, chunk_bytes).map_err(|error| failed(&error))?;
        if data.is_empty() && header.is_none() {
            transfers.end(peer);
            return Ok(true);
        }
        let size = data.len() as u64;
        let chunk = proto::FetchCheckpointResponse { header: header.take(), offset, data: data.into() };
        if !answers.send(Ok(chunk)) {
            return Ok(false);
        }
        transfers.advance(peer, Instant::now());
        offset += size;
    }
}

fn header_of(info: &CheckpointInfo) -> proto::CheckpointHeader {
    let position = proto::SnapshotMetadata {
        index: info.meta.raft_index,
        term: info.meta.raft_term,
        conf_state: Some(wire::conf_to_wire(&info.meta.conf_state)),
    };
    proto::CheckpointHeader { digest: info.digest.to_vec().into(), size: info.size, position: Some(position) }
}
