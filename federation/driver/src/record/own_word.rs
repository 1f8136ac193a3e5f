//! A command that a node gives by itself, outside the log: signed, and proved as if it had come alone in a batch.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::code;
use shouwang_domain::command::{Batch, CommandProof, Envelope};
use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::CommandId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::time::{HOUR_MS, Timestamp};

use super::open::{Environment, keys_in_force};
use crate::keys::sign_batch;

/// The command, now, under the key of this node that the record knows best.
pub(super) fn signed_here<M: Machine>(
    env: &Environment,
    record: &Record<M>,
    body: M::Command,
) -> (Timestamp, Bytes, CommandProof) {
    let node = env.node;
    let key = env.signer.among(&keys_in_force(record, node));
    let actor = Actor { role: Role::Admin, ..Actor::node(node) };
    let now = env.clock.now().max(record.time());
    let envelope = Envelope { id: CommandId(uuid::Uuid::now_v7()), actor, valid_until: now.plus_ms(HOUR_MS), body };
    let bytes = code::encode(&envelope);
    let mut batch = Batch::unsigned(record.id(), record.epoch(), node, vec![bytes.clone()]);
    sign_batch(&mut batch, key);
    let Batch { signature_algorithm, signature, .. } = batch;
    let public_key = Bytes(key.public_key());
    let proof = CommandProof { node, public_key, signature_algorithm, signature, index: 0, count: 1, path: Vec::new() };
    (now, Bytes(bytes), proof)
}
