//! Callers with papers who call what they may, and more of it than anybody can need.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use rustls::pki_types::ServerName;
use shouwang::auth::{Target, TlsStore, connect};
use shouwang_proto::replication::v1 as peer;
use shouwang_proto::v1;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::{Held, Scene};

/// Calls that one caller begins at once.
const CALLS: usize = 300;
/// Watches that one caller opens.
const WATCHES: usize = 300;
/// Streams of calls that one caller opens.
const STREAMS: usize = 100;
/// Longer than the node of this test lets a call go on.
const PATIENCE: Duration = Duration::from_secs(20);

/// Messages as bytes: whatever one likes to send.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A connection on which TLS is finished.
pub async fn tls(store: &Arc<TlsStore>, target: &Target) -> Result<TlsStream<TcpStream>> {
    let config = store.client_config(&target.expected)?;
    let tcp = TcpStream::connect(&target.address).await?;
    let name = ServerName::try_from("node.invalid")?;
    Ok(tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?)
}

/// Sends one message to a method and waits for one.
pub async fn unary(channel: &Channel, method: &str, message: Vec<u8>) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path: PathAndQuery = method.parse().unwrap();
    Ok(grpc.unary(tonic::Request::new(message), path, Raw).await?.into_inner())
}

/// Sends one message in a stream, and waits for the first that comes back.
pub async fn first_answer(channel: &Channel, method: &str, message: Vec<u8>) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path: PathAndQuery = method.parse().unwrap();
    let mut answers = grpc.streaming(tonic::Request::new(tokio_stream::iter([message])), path, Raw).await?.into_inner();
    Ok(answers.message().await?.unwrap_or_default())
}

/// Messages of more than the limit, many at once: each is refused, and says why.
pub async fn oversized(scene: &Scene<'_>) -> Result<Held> {
    let channel = connect(&scene.target(false), &scene.operator("admin")?).await?;
    let large = vec![0x0a; (4 << 20) + 1];
    let calls = (0..16).map(|_| unary(&channel, "/shouwang.v1.RegistryService/ListStores", large.clone()));
    for answer in futures_util::future::join_all(calls).await {
        let status = answer.err().context("a message of more than 4 MiB was taken")?;
        ensure!(status.code() == Code::OutOfRange && status.message().contains("4194304"), "{status:?}");
    }
    Ok(Vec::new())
}

/// Requests whose end never comes: the node ends them, and one caller does not take the places of all.
pub async fn endless(scene: &Scene<'_>) -> Result<Held> {
    let store = scene.operator("admin")?;
    let mut calls = FuturesUnordered::new();
    for _ in 0..4 {
        let channel = connect(&scene.target(false), &store).await?;
        for _ in 0..CALLS / 4 {
            let channel = channel.clone();
            calls.push(tokio::spawn(async move {
                let mut grpc = Grpc::new(channel);
                grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
                let path = PathAndQuery::from_static("/shouwang.v1.RegistryService/ListStores");
                let endless = tonic::Request::new(tokio_stream::pending::<Vec<u8>>());
                grpc.client_streaming(endless, path, Raw).await
            }));
        }
    }
    // Those that were taken are ended by the node; the rest wait behind them, or are refused.
    let first_ended = async {
        while let Some(call) = calls.next().await {
            let status = call?.err().context("a request without an end was answered")?;
            match status.code() {
                Code::DeadlineExceeded => return Ok(()),
                code => ensure!(code == Code::ResourceExhausted, "{status:?}"),
            }
        }
        bail!("every one was refused")
    };
    tokio::time::timeout(PATIENCE, first_ended).await.context("a call without an end goes on")??;
    Ok(vec![Box::new(calls)])
}

/// Watches from the first record that nobody reads.
pub async fn unread(scene: &Scene<'_>) -> Result<Held> {
    let store = scene.operator("duty")?;
    let (mut held, mut refused): (Held, usize) = (Vec::new(), 0);
    for _ in 0..WATCHES / 50 {
        let channel = connect(&scene.target(false), &store).await?;
        for _ in 0..50 {
            let mut grpc = Grpc::new(channel.clone());
            grpc.ready().await?;
            let path = PathAndQuery::from_static("/shouwang.v1.WatchService/WatchRegistry");
            let message = v1::WatchRegistryRequest { from_revision: 1 }.encode_to_vec();
            let open = grpc.server_streaming(tonic::Request::new(message), path, Raw);
            match tokio::time::timeout(PATIENCE, open).await.context("a watch neither opens nor is refused")? {
                Ok(stream) => held.push(Box::new(stream)),
                Err(status) => {
                    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
    }
    println!("hostile: {} watches held, {refused} refused", held.len());
    ensure!(!held.is_empty() && refused > 0, "one caller held {} watches", held.len());
    Ok(held)
}

/// Streams full of calls whose answers nobody reads: the node stops reading them, and one caller has only so many.
pub async fn stuffed(scene: &Scene<'_>) -> Result<Held> {
    let call = |tag| v1::Call { tag, request: Bytes::new(), timeout_ms: 0 };
    let method = "/shouwang.v1.RegistryService/ListLots".to_owned();
    let frame = v1::CallsRequest { methods: vec![v1::MethodCalls { method, calls: (0..4096).map(call).collect() }] };
    let frame = frame.encode_to_vec();
    let store = scene.operator("duty")?;
    let (mut held, mut refused): (Held, usize) = (Vec::new(), 0);
    for _ in 0..4 {
        let channel = connect(&scene.target(false), &store).await?;
        for _ in 0..STREAMS / 4 {
            let mut grpc = Grpc::new(channel.clone());
            grpc.ready().await?;
            let path = PathAndQuery::from_static("/shouwang.v1.CallService/Calls");
            let endless = tonic::Request::new(tokio_stream::iter(std::iter::repeat(frame.clone())));
            let open = grpc.streaming(endless, path, Raw);
            match tokio::time::timeout(PATIENCE, open).await.context("a stream neither opens nor is refused")? {
                Ok(stream) => held.push(Box::new(stream)),
                Err(status) => {
                    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
    }
    println!("hostile: {} streams of calls held, {refused} refused", held.len());
    ensure!(!held.is_empty() && refused > 0, "one caller held {} streams", held.len());
    Ok(held)
}

/// Checkpoints and ledgers that a peer asks for and never takes.
pub async fn untaken(scene: &Scene<'_>) -> Result<Held> {
    let record_id: Bytes = crate::messages::region_record(scene)?.into();
    let store = scene.peer()?;
    let (mut held, mut refused): (Held, usize) = (Vec::new(), 0);
    for _ in 0..4 {
        let channel = connect(&scene.target(true), &store).await?;
        let mut client = peer::replication_service_client::ReplicationServiceClient::new(channel);
        for _ in 0..8 {
            let ledger = peer::FetchLedgerRequest { record_id: record_id.clone(), first: 1, last: u64::MAX };
            let checkpoint = peer::FetchCheckpointRequest { record_id: record_id.clone(), ..Default::default() };
            let open = async {
                Ok::<(Box<dyn std::any::Any>, Box<dyn std::any::Any>), Status>((
                    Box::new(client.fetch_ledger(ledger).await?),
                    Box::new(client.fetch_checkpoint(checkpoint).await?),
                ))
            };
            match tokio::time::timeout(PATIENCE, open).await.context("a transfer neither begins nor is refused")? {
                Ok((ledger, checkpoint)) => held.extend([ledger, checkpoint]),
                Err(status) => {
                    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
    }
    println!("hostile: {} transfers held, {refused} refused", held.len());
    Ok(held)
}
