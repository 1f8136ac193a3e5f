//! Messages that look valid: drawn from the contract as reflection gives it, and frames of a member that lies.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use shouwang::auth::connect;
use shouwang::serve::cluster;
use shouwang_cluster::federation::{FEDERATION, ROLES};
use shouwang_cluster::story::{ALXA, WUHAI};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_fuzz::decoders::peer;
use shouwang_fuzz::mutate::{EDGES, Rng};
use shouwang_proto::replication::v1 as proto;
use tonic::Code;

use crate::{Held, Scene, calls};

const SEED: u64 = 20_261_126;
/// Messages to each method that one caller may call as a stranger to its meaning.
const ROUNDS: usize = 2;
/// The size of a hollow message: the largest that is read.
const HOLLOW_BYTES: usize = 4 << 20;
/// Of which so many come at once.
const HOLLOW_CALLS: usize = 4;
/// Frames of the lying member.
const FRAMES: usize = 2000;

/// Every unary method, as every role, with fields drawn at random: each answers with a reason, and none breaks down.
pub async fn through_reflection(scene: &Scene<'_>) -> Result<Held> {
    let pool = DescriptorPool::decode(shouwang_proto::FILE_DESCRIPTOR_SET)?;
    let methods = pool.services().filter(|service| !service.full_name().contains("replication"));
    let methods: Vec<_> = methods.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let (mut rng, mut codes) = (Rng(SEED), BTreeMap::<String, usize>::new());
    for role in ROLES {
        let channel = connect(&scene.target(false), &scene.operator(role)?).await?;
        for method in methods.iter().filter(|method| !method.is_server_streaming()) {
            for _ in 0..ROUNDS {
                let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
                let message = drawn(&mut rng, &method.input(), 0).encode_to_vec();
                let answer = tokio::time::timeout(Duration::from_secs(20), calls::unary(&channel, &path, message));
                let code = match answer.await.with_context(|| format!("{path} does not answer"))? {
                    Ok(_) => Code::Ok,
                    Err(status) => {
                        let broken = [Code::Internal, Code::Unknown, Code::DataLoss].contains(&status.code());
                        ensure!(!broken, "{path} (seed {SEED}): {status:?}");
                        status.code()
                    }
                };
                *codes.entry(format!("{code:?}")).or_default() += 1;
            }
        }
    }
    println!("hostile: {} methods, answers {codes:?}", methods.len());
    Ok(Vec::new())
}

fn drawn(rng: &mut Rng, kind: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields() {
        if rng.chance(if depth > 4 { 5 } else { 70 }) {
            let value = if field.is_list() {
                Value::List((0..rng.below(4)).map(|_| value(rng, &field, depth)).collect())
            } else if field.is_map() {
                continue;
            } else {
                value(rng, &field, depth)
            };
            message.set_field(&field, value);
        }
    }
    message
}

fn value(rng: &mut Rng, field: &FieldDescriptor, depth: usize) -> Value {
    let number = EDGES[rng.index(EDGES.len())];
    let half = u32::try_from(number).unwrap_or(u32::MAX);
    match field.kind() {
        Kind::Message(kind) => Value::Message(drawn(rng, &kind, depth + 1)),
        Kind::Enum(kind) => {
            let known = kind.values().map(|value| value.number()).collect::<Vec<_>>();
            Value::EnumNumber(if rng.chance(90) { known[rng.index(known.len())] } else { i32::MAX })
        }
        Kind::String => Value::String(text(rng)),
        Kind::Bytes => Value::Bytes(vec![0xff; rng.index(64)].into()),
        Kind::Bool => Value::Bool(rng.chance(50)),
        Kind::Double => Value::F64(f64::NAN),
        Kind::Float => Value::F32(f32::INFINITY),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(half.cast_signed()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number.cast_signed()),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(half),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
    }
}

/// What texts of the contract may be: ids, codes, names, resources, and what none of them is.
fn text(rng: &mut Rng) -> String {
    let id = rng.uuid().to_string();
    let long = "乌".repeat(5000);
    let texts = [
        "",
        "wuhai",
        "150300",
        "2990101",
        "hazmat",
        "150300/1",
        &id,
        &long,
        "套",
        "2026-02-30",
        "\u{0}",
        "../..",
        "{}",
    ];
    texts[rng.index(texts.len())].to_owned()
}

/// Messages of the largest size, made of parts without content: each part takes two bytes on the wire, and a hundred times
/// that in memory once it is read. None is carried out, and those that get past the door are refused for what they are.
pub async fn hollow(scene: &Scene<'_>) -> Result<Held> {
    let pool = DescriptorPool::decode(shouwang_proto::FILE_DESCRIPTOR_SET)?;
    let methods = pool.services().filter(|service| !service.full_name().contains("replication"));
    let methods: Vec<_> = methods.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let mut codes = BTreeMap::<String, usize>::new();
    for role in ROLES {
        let channel = connect(&scene.target(false), &scene.operator(role)?).await?;
        for method in methods.iter().filter(|method| !method.is_server_streaming() || method.is_client_streaming()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            for message in hollows(&method.input(), HOLLOW_BYTES, 3) {
                let calls = (0..HOLLOW_CALLS).map(|_| async {
                    if method.is_client_streaming() {
                        calls::first_answer(&channel, &path, message.clone()).await
                    } else {
                        calls::unary(&channel, &path, message.clone()).await
                    }
                });
                for answer in futures_util::future::join_all(calls).await {
                    let status =
                        answer.err().with_context(|| format!("{path} carried out a message full of nothing"))?;
                    let refused = [Code::OutOfRange, Code::PermissionDenied].contains(&status.code());
                    ensure!(refused, "{path}: {status:?}");
                    *codes.entry(format!("{:?}", status.code())).or_default() += 1;
                }
            }
        }
    }
    println!("hostile: hollow messages, answers {codes:?}");
    ensure!(codes.contains_key("OutOfRange"), "none got past the door: {codes:?}");
    Ok(Vec::new())
}

/// For every list of messages within a message: one that has nothing but that list, full of empty ones.
fn hollows(kind: &MessageDescriptor, bytes: usize, depth: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for field in kind.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        let mut key = Vec::new();
        prost::encoding::encode_key(field.number(), prost::encoding::WireType::LengthDelimited, &mut key);
        if field.is_list() || field.is_map() {
            let part = [key.as_slice(), &[0]].concat();
            found.push(part.repeat(bytes / part.len()));
        }
        if depth > 0 && !field.is_map() {
            for content in hollows(&inner, bytes.saturating_sub(key.len() + 5), depth - 1) {
                let mut message = key.clone();
                prost::encoding::encode_varint(content.len() as u64, &mut message);
                message.extend(content);
                found.push(message);
            }
        }
    }
    found
}

/// The name of the region's record, as its founding charter gives it.
pub fn region_record(scene: &Scene<'_>) -> Result<Vec<u8>> {
    let status = scene.federation.terminal(WUHAI, "admin").run(&["region", "status"])?;
    let records = status["records"].as_array().into_iter().flatten();
    let region = records.into_iter().find(|record| record["kind"] == "RECORD_KIND_REGION").context("a region")?;
    let id = region["id"].as_str().with_context(|| format!("{region}"))?;
    let record = Hash32::from_hex(id).with_context(|| format!("{id} is no record id"))?;
    Ok(record.0.to_vec())
}

/// A member's node that says of itself, of the group and of the log what is not so, as fast as it can.
pub async fn lying_peer(scene: &Scene<'_>) -> Result<Held> {
    let record_id = region_record(scene)?;
    let cluster = cluster(FEDERATION).0.to_vec();
    let [me, them] = [ALXA, WUHAI].map(|code| NodeId::new(MunicipalityCode::new(code).unwrap(), 1).unwrap().get());
    let hello = proto::Hello { cluster: cluster.into(), node_id: me, version: 1 };
    let mut rng = Rng(SEED);
    let mut frames = vec![proto::PeerFrame { hello: Some(hello), sent_at_ms: i64::MAX, records: Vec::new() }];
    for _ in 0..FRAMES {
        let mut frame = peer::lying(&mut rng);
        frame.hello = None;
        frame.sent_at_ms = EDGES[rng.index(EDGES.len())].cast_signed();
        for record in &mut frame.records {
            record.record_id = record_id.clone().into();
            for message in &mut record.messages {
                (message.from, message.to) = (me, them);
            }
        }
        frames.push(frame);
    }
    // The largest frame that is read, full of nothing, and one that is larger.
    for bytes in [31 << 20, 33 << 20] {
        let batch = proto::ForwardedBatch { ticket: 1, batch: vec![0x81; bytes].into() };
        let record =
            proto::RecordFrame { record_id: record_id.clone().into(), batches: vec![batch], ..Default::default() };
        frames.push(proto::PeerFrame { records: vec![record], ..Default::default() });
    }
    let channel = connect(&scene.target(true), &scene.peer()?).await?;
    let mut client = proto::replication_service_client::ReplicationServiceClient::new(channel);
    let requests = frames.into_iter().map(|frame| proto::StreamRequest { frame: Some(frame), ..Default::default() });
    let answers = client.stream(tokio_stream::iter(requests)).await?;
    let mut answers = answers.into_inner();
    // It ends when the node has read everything, or has had enough.
    let ended = async { while let Ok(Some(_)) = answers.message().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.context("the node still listens")?;
    Ok(Vec::new())
}
