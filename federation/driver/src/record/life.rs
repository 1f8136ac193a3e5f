//! Another life of a registry: out of its copy, or after a loss. What the life before told its regions, and this one may not
//! know of, is on record there, and is adopted before anything but facts leaves the registry again.

use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::ids::RegionId;
use shouwang_domain::record::Record;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::RegistryNode;

use super::open::{Environment, keys_in_force};
use super::own_word::signed_here;

/// What an operator says when a registry begins another life.
#[derive(Clone, Debug)]
pub struct NewLife {
    /// The regions that the node takes part in, and their names: their record is adopted.
    pub regions: Vec<(RegionId, String)>,
    /// Those that the municipality has left, each by its name or the first digits of its id: nothing waits for them.
    pub left: Vec<String>,
    /// Why; it stands in the ledger.
    pub reason: String,
}

impl NewLife {
    /// Begins the life, kept by this node. Gives the ledger record that says so, the first one of it.
    pub(super) fn begin(self, env: &Environment, record: &mut Record<Registry>) -> Result<Vec<u8>, Refusal> {
        let node = env.node;
        let key = env.signer.among(&keys_in_force(record, node));
        let keeper = RegistryNode { node, algorithm: key.algorithm(), public_key: Bytes(key.public_key()) };
        let body = RegistryCommand::Restore {
            mark: Hash32::of(&[b"shouwang.life.v1\0", uuid::Uuid::now_v7().as_bytes()]),
            keeper,
            left: self.left.iter().map(|word| channel_to(record.machine(), word)).collect::<Result<_, _>>()?,
            regions: self.regions,
            reason: self.reason,
        };
        let (now, bytes, proof) = signed_here(env, record, body);
        Ok(record.begin_life(now, bytes, proof)?.bytes)
    }
}

/// The one region of this name, or whose id begins so.
fn channel_to(registry: &Registry, word: &str) -> Result<RegionId, Refusal> {
    let named = |id: &RegionId, name: &str| name == word || !word.is_empty() && id.to_string().starts_with(word);
    let mut found = registry.channels().filter(|(id, channel)| named(id, &channel.name)).map(|(id, _)| *id);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Refusal::not_found("region", word)),
    }
}
