//! What a courier carries next, as a function of the two records it joins. The courier itself (node) only repeats this
//! and proposes what comes out; losing, doubling or delaying any of it is harmless, because both records count.

use crate::channel::UpEnvelope;
use crate::ids::RegionId;
use crate::region::Region;
use crate::region::command::RegionCommand;
use crate::registry::Registry;
use crate::registry::command::RegistryCommand;

/// The two records contradict each other in a way that only people can resolve: the courier of this pair stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The region has taken more than this registry ever sent.
    #[error(
        "the region has taken {taken} messages of incarnation {incarnation}, this registry sent {sent}: it was set back by \
         hand; restore it with `shouwang restore` / 台账被人为倒退，请用 shouwang restore 恢复"
    )]
    RegistryBehind {
        /// What the region has taken.
        taken: u64,
        /// What the registry has sent.
        sent: u64,
        /// Of which incarnation.
        incarnation: u32,
    },
    /// The registry has told the region that it took more than it knows of.
    #[error(
        "the region was told that {acknowledged} of its messages were taken, this registry has taken {taken}: it was set back \
         by hand; restore it with `shouwang restore` / 台账被人为倒退，请用 shouwang restore 恢复"
    )]
    RegistryForgot {
        /// What the region was told.
        acknowledged: u64,
        /// What the registry has taken.
        taken: u64,
    },
    /// The registry has taken more than this region ever sent.
    #[error(
        "this registry has taken {taken} messages, the region sent {sent}: the region was rescued from an older copy / \
         区域记录疑似由旧副本恢复，请核对纪元"
    )]
    RegionBehind {
        /// What the registry has taken.
        taken: u64,
        /// What the region has sent.
        sent: u64,
    },
    /// Another incarnation of this registry speaks in the region.
    #[error(
        "the region knows incarnation {known} of this registry, this is {own} / 区域记录中的台账化身为 {known}，本台账为 {own}"
    )]
    Incarnation {
        /// What the region knows.
        known: u32,
        /// What this registry is.
        own: u32,
    },
}

/// The next messages to propose to the region, oldest first, at most `max`.
///
/// # Errors
/// The two records have diverged.
pub fn upward(
    registry: &Registry,
    id: RegionId,
    region: &Region,
    max: usize,
) -> Result<Vec<RegionCommand>, Divergence> {
    let seen = region.channel(registry.owner());
    if is_adopting(registry, id) {
        return Ok(Vec::new());
    }
    let incarnation = registry.incarnation_in(id);
    if seen.incarnation > 0 && seen.incarnation != incarnation {
        return Err(Divergence::Incarnation { known: seen.incarnation, own: incarnation });
    }
    let (sent, taken) = registry.channel(id).map_or((0, 0), |channel| (channel.up, channel.down));
    if seen.up > sent {
        return Err(Divergence::RegistryBehind { taken: seen.up, sent, incarnation });
    }
    if seen.down_taken > taken {
        return Err(Divergence::RegistryForgot { acknowledged: seen.down_taken, taken });
    }
    let numbers = (seen.up + 1..=sent).take(max);
    let envelopes = numbers.map_while(|number| {
        let message = registry.outgoing(id, number)?.clone();
        Some(RegionCommand::Up(UpEnvelope { incarnation, number, message }))
    });
    Ok(envelopes.collect())
}

/// The next messages to propose to the registry, oldest first, at most `max`.
///
/// # Errors
/// The two records have diverged.
pub fn downward(
    region: &Region,
    id: RegionId,
    registry: &Registry,
    max: usize,
) -> Result<Vec<RegistryCommand>, Divergence> {
    if is_adopting(registry, id) {
        return Ok(Vec::new());
    }
    let taken = registry.channel(id).map_or(0, |channel| channel.down);
    let sent = region.channel(registry.owner()).down;
    if taken > sent {
        return Err(Divergence::RegionBehind { taken, sent });
    }
    let messages = region.messages_for(registry.owner(), taken + 1, max);
    let commands =
        messages.map(|(number, message)| RegistryCommand::TakeInbox { region: id, number, message: message.clone() });
    Ok(commands.collect())
}

/// A restored registry that must first take over what the region has on record ([`crate::adoption`]).
fn is_adopting(registry: &Registry, id: RegionId) -> bool {
    registry.channel(id).is_some_and(|channel| channel.adopting.is_some())
}

/// Tells the region what it need not keep any longer, if there is anything new to tell.
pub fn acknowledgement(registry: &Registry, id: RegionId, region: &Region) -> Option<RegionCommand> {
    if is_adopting(registry, id) {
        return None;
    }
    let in_effect = registry.channel(id).map_or(0, |channel| channel.down);
    let taken = planted!(NumberBeforeEffect, region.channel(registry.owner()).down, in_effect);
    (taken > region.channel(registry.owner()).down_taken).then_some(RegionCommand::AckDown { through: taken })
}
