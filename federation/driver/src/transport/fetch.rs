//! Fetching a checkpoint from the leader: in chunks, resumed where it broke, checked before it is staged.

use std::sync::Arc;
use std::time::Duration;

use shouwang_domain::ids::NodeId;
use shouwang_proto::replication::v1 as proto;
use shouwang_replica::eraftpb::ConfState;
use shouwang_store::StoreError;
use shouwang_store::checkpoint::{CheckpointInfo, Receiver};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tonic::Streaming;

use super::Transport;
use super::peer::client;
use crate::Result;
use crate::error::DriverError;
use crate::record::{RaftMsg, RecordPort};

/// Attempts that may fail in a row without a byte having arrived.
const ATTEMPTS: u32 = 5;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(200);

impl Transport {
    /// Fetches the checkpoint of at least `index` from a peer, stages it, and tells the record how it went.
    pub fn fetch_checkpoint(self: &Arc<Self>, port: Arc<dyn RecordPort>, from: u64, index: u64) {
        let transport = self.clone();
        self.spawn(async move {
            let fetched = match NodeId::try_from(from) {
                Ok(node) => transport.fetch(&port, node, index).await,
                Err(error) => Err(DriverError::Unfit { id: port.core().id, what: "the leader", detail: error.to_string() }),
            };
            // Fetched again, it would be the same: only another program can read it.
            if let Some(told) = fetched.as_ref().err().and_then(DriverError::written_by_another) {
                return port.core().halt(told);
            }
            if let Err(error) = &fetched {
                tracing::warn!(record = %port.core().label, from, %error, "checkpoint not fetched; Raft will ask again");
            }
            port.core().inbox.push(RaftMsg::Fetched(fetched.ok()));
        });
    }

    async fn fetch(
        self: &Arc<Self>,
        port: &Arc<dyn RecordPort>,
        node: NodeId,
        index: u64,
    ) -> Result<(u64, u64, ConfState)> {
        tracing::info!(record = %port.core().label, %node, index, "fetching a checkpoint");
        let mut transfer = Transfer { receiver: None, digest: Vec::new(), fruitless: 0 };
        let receiver = loop {
            let before = transfer.offset();
            match self.attempt(port, node, index, &mut transfer).await {
                Ok(()) => match transfer.receiver.take() {
                    Some(receiver) if receiver.is_complete() => break receiver,
                    other => transfer.receiver = other,
                },
                Err(error) if matches!(error, DriverError::Store(_)) => return Err(error),
                Err(error) => tracing::debug!(record = %port.core().label, %node, %error, "transfer broken"),
            }
            transfer.fruitless = if transfer.offset() > before { 0 } else { transfer.fruitless + 1 };
            if transfer.fruitless >= ATTEMPTS {
                return Err(peer_error(node, "the transfer does not advance"));
            }
            sleep(PAUSE).await;
        };
        let port = port.clone();
        spawn_blocking(move || stage(&*port, receiver)).await.map_err(|error| peer_error(node, error))?
    }

    async fn attempt(
        self: &Arc<Self>,
        port: &Arc<dyn RecordPort>,
        node: NodeId,
        index: u64,
        transfer: &mut Transfer,
    ) -> Result<()> {
        let peer = self.peer(node.get()).ok_or_else(|| peer_error(node, "no such node"))?;
        let channel = peer.channel(self.options.connect_timeout).await;
        let channel = channel.ok_or_else(|| peer_error(node, "not connected"))?;
        let request = proto::FetchCheckpointRequest {
            record_id: port.core().id.0.to_vec().into(),
            index,
            digest: transfer.digest.clone().into(),
            offset: transfer.offset(),
        };
        let stall = self.options.stall_timeout;
        let answer = timeout(stall, client(channel, true).fetch_checkpoint(request)).await;
        let chunks = answer.map_err(|_| peer_error(node, "no answer"))?.map_err(|status| peer_error(node, status))?;
        transfer.take(port, node, chunks.into_inner(), stall).await
    }
}

struct Transfer {
    receiver: Option<Receiver>,
    digest: Vec<u8>,
    fruitless: u32,
}

impl Transfer {
    fn offset(&self) -> u64 {
        self.receiver.as_ref().map_or(0, Receiver::offset)
    }

    async fn take(
        &mut self,
        port: &Arc<dyn RecordPort>,
        node: NodeId,
        mut chunks: Streaming<proto::FetchCheckpointResponse>,
        stall: Duration,
    ) -> Result<()> {
        loop {
            let next = timeout(stall, chunks.message()).await.map_err(|_| peer_error(node, "the transfer stalls"))?;
            let Some(chunk) = next.map_err(|status| peer_error(node, status))? else { return Ok(()) };
            if let Some(header) = &chunk.header {
                self.begin(port, node, header).await?;
            }
            let Some(mut receiver) = self.receiver.take() else {
                return Err(peer_error(node, "data without a header"));
            };
            if chunk.offset != receiver.offset() {
                // What an earlier run has left is of this very file: go on behind it.
                self.receiver = Some(receiver);
                return Ok(());
            }
            let written = spawn_blocking(move || receiver.write(chunk.offset, &chunk.data).map(|()| receiver)).await;
            self.receiver = Some(written.map_err(|error| peer_error(node, error))??);
        }
    }

    async fn begin(
        &mut self,
        port: &Arc<dyn RecordPort>,
        node: NodeId,
        header: &proto::CheckpointHeader,
    ) -> Result<()> {
        let digest =
            <[u8; 32]>::try_from(header.digest.as_ref()).map_err(|_| peer_error(node, "digest of a wrong size"))?;
        if self.digest == digest && self.receiver.is_some() {
            return Ok(());
        }
        let (staged, size) = (port.staged().clone(), header.size);
        let receiver = spawn_blocking(move || staged.receive(digest, size)).await;
        self.receiver = Some(receiver.map_err(|error| peer_error(node, error))??);
        self.digest = digest.to_vec();
        Ok(())
    }
}

fn stage(port: &dyn RecordPort, receiver: Receiver) -> Result<(u64, u64, ConfState)> {
    let info: CheckpointInfo = receiver.finish().map_err(|error: StoreError| error)?;
    let (index, term) = (info.meta.raft_index, info.meta.raft_term);
    let conf_state = info.meta.conf_state.clone();
    port.stage(info)?;
    Ok((index, term, conf_state))
}

pub(crate) fn peer_error(node: NodeId, detail: impl std::fmt::Display) -> DriverError {
    DriverError::Peer { node, detail: detail.to_string() }
}
