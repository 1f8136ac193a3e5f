//! What travels to a record: commands, signed in batches by the node that speaks for them.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::code::{self, CodeError};
use crate::hash::{Bytes, Hash32, HashAlgorithm, SignatureAlgorithm, Verifier};
use crate::ids::{CommandId, NodeId, RecordId};
use crate::merkle;
use crate::time::Timestamp;

/// Most commands in one batch.
pub const BATCH_COMMANDS_MAX: usize = 1024;
/// Most bytes of one encoded command.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// One command with who asks for it and until when it makes sense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<C> {
    /// The client's request id: the same id again gives the first outcome.
    pub id: CommandId,
    /// Who asks.
    pub actor: Actor,
    /// Record time after which the command is refused as expired. Ignored for the courier's numbered messages.
    pub valid_until: Timestamp,
    /// What is asked.
    pub body: C,
}

/// Commands waiting at one node, signed together: the signature covers the Merkle root, so that each command can later
/// prove itself alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The record it is meant for.
    pub record: RecordId,
    /// The record's epoch: a batch signed before a rescue does not slip into the time after it.
    pub epoch: u32,
    /// The node that signs.
    pub node: NodeId,
    /// Which signature scheme.
    pub signature_algorithm: SignatureAlgorithm,
    /// Which hash the Merkle root uses.
    pub hash_algorithm: HashAlgorithm,
    /// Encoded [`Envelope`]s, as received and never encoded again.
    pub commands: Vec<Bytes>,
    /// Signature over [`Batch::signed_message`].
    pub signature: Bytes,
}

/// Separates these signatures from every other use of the same key.
const BATCH_DOMAIN: &[u8] = b"shouwang.batch.v1\0";

impl Batch {
    /// A batch that still needs its signature.
    pub fn unsigned(record: RecordId, epoch: u32, node: NodeId, commands: Vec<Vec<u8>>) -> Self {
        Self {
            record,
            epoch,
            node,
            signature_algorithm: SignatureAlgorithm::default(),
            hash_algorithm: HashAlgorithm::default(),
            commands: commands.into_iter().map(Bytes).collect(),
            signature: Bytes::default(),
        }
    }

    /// The leaf hashes of the commands, in order.
    pub fn leaves(&self) -> Vec<Hash32> {
        self.commands.iter().map(|command| merkle::leaf(&command.0)).collect()
    }

    /// What the node signs: domain tag, record, epoch, node, number of commands and their Merkle root.
    pub fn signed_message(&self, root: &Hash32) -> Vec<u8> {
        let count = self.commands.len() as u64;
        signed_message(&self.record, self.epoch, self.node, count, root)
    }

    /// Reads a batch and checks its limits (not its signature).
    ///
    /// # Errors
    /// Bytes that are no batch, an empty or too long one, or a command over the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodeError> {
        let batch: Self = code::decode("batch", bytes)?;
        let wrong = |detail: &str| Err(CodeError { what: "batch", detail: detail.to_owned() });
        if batch.commands.is_empty() || batch.commands.len() > BATCH_COMMANDS_MAX {
            return wrong("a batch holds 1 to 1024 commands");
        }
        if batch.commands.iter().any(|command| command.0.len() > COMMAND_BYTES_MAX) {
            return wrong("a command is larger than 64 KiB");
        }
        Ok(batch)
    }

    /// Whether the signature over the commands with this Merkle root is that of `public_key`.
    pub fn is_signed_by(&self, public_key: &[u8], root: &Hash32, verifier: &dyn Verifier) -> bool {
        let message = self.signed_message(root);
        verifier.verify(self.signature_algorithm, public_key, &message, &self.signature.0)
    }
}

fn signed_message(record: &RecordId, epoch: u32, node: NodeId, count: u64, root: &Hash32) -> Vec<u8> {
    let parts: [&[u8]; 6] =
        [BATCH_DOMAIN, &record.0, &epoch.to_be_bytes(), &node.get().to_be_bytes(), &count.to_be_bytes(), &root.0];
    parts.concat()
}

/// What proves a single command of a ledger record: who signed the batch, and the way from the command to its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandProof {
    /// The node that signed.
    pub node: NodeId,
    /// The key it signed with, as it stood in the record.
    pub public_key: Bytes,
    /// Which signature scheme.
    pub signature_algorithm: SignatureAlgorithm,
    /// The batch's signature.
    pub signature: Bytes,
    /// Position of the command in its batch.
    pub index: u32,
    /// Number of commands in the batch.
    pub count: u32,
    /// Audit path from the command to the batch's Merkle root.
    pub path: Vec<Hash32>,
}

impl CommandProof {
    /// Whether `command` was signed as this proof says, for that record and epoch.
    pub fn holds(&self, record: &RecordId, epoch: u32, command: &[u8], verifier: &dyn Verifier) -> bool {
        let (index, count) = (u64::from(self.index), u64::from(self.count));
        merkle::root_from_path(merkle::leaf(command), index, count, &self.path).is_some_and(|root| {
            let message = signed_message(record, epoch, self.node, count, &root);
            verifier.verify(self.signature_algorithm, &self.public_key.0, &message, &self.signature.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MunicipalityCode;

    #[test]
    fn a_batch_has_limits() {
        let node = NodeId::new(MunicipalityCode::new(150_300).unwrap(), 1).unwrap();
        let of = |commands| code::encode(&Batch::unsigned(RecordId::default(), 0, node, commands));
        let cases = [
            ("none", Vec::new(), false),
            ("one", vec![vec![1]], true),
            ("the most", vec![vec![1]; BATCH_COMMANDS_MAX], true),
            ("one too many", vec![vec![1]; BATCH_COMMANDS_MAX + 1], false),
            ("the largest", vec![vec![1; COMMAND_BYTES_MAX]], true),
            ("a byte too large", vec![vec![1; COMMAND_BYTES_MAX + 1]], false),
        ];
        for (what, commands, readable) in cases {
            assert_eq!(Batch::decode(&of(commands)).is_ok(), readable, "{what}");
        }
        assert!(Batch::decode(b"no batch").is_err());
    }

    #[test]
    fn what_is_signed_names_record_epoch_node_and_number() {
        let node = |n| NodeId::new(MunicipalityCode::new(150_300).unwrap(), n).unwrap();
        let root = Hash32::default();
        let signed = |record: &[u8], epoch, n, commands: usize| {
            let batch = Batch::unsigned(Hash32::of(&[record]), epoch, node(n), vec![Vec::new(); commands]);
            batch.signed_message(&root)
        };
        let one = signed(b"a", 0, 1, 1);
        assert_eq!(one, signed(b"a", 0, 1, 1));
        for other in [signed(b"b", 0, 1, 1), signed(b"a", 1, 1, 1), signed(b"a", 0, 2, 1), signed(b"a", 0, 1, 2)] {
            assert_ne!(one, other);
        }
    }
}
