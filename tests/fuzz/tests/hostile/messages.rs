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
