//! The record's feature level: each node says up to where its program goes along, and the hub's administrator raises the
//! record once all of them do.

use super::Region;
use super::draft::Draft;
use super::event::RegionEvent;
use crate::ids::NodeId;
use crate::level;
use crate::machine::{Context, Machine};
use crate::refusal::Refusal;

/// A node says up to which level its program goes along. A fact, even of one that was set back to an older program.
pub(super) fn announce(draft: &mut Draft, context: &Context<'_>, level: u32) -> Result<(), Refusal> {
    if level < level::FIRST {
        return Err(Refusal::field("level", "from 1"));
    }
    let node = context.node;
    if draft.region.node_level(node) != level {
        draft.push(RegionEvent::LevelAnnounced { node, level });
    }
    Ok(())
}

/// Raises the record by one level. What this program itself knows plays no part: another one would decide otherwise.
pub(super) fn raise(draft: &mut Draft, context: &Context<'_>, to: u32) -> Result<(), Refusal> {
    if !draft.is_hub(context) {
        return Err(Refusal::not_yours(context.actor.municipality, "raise the feature level"));
    }
    let region = &draft.region;
    let level = region.level();
    if to.checked_sub(1) != Some(level) {
        return Err(Refusal::field("to", &format!("one above the level of the record, which is {level}")));
    }
    let group = region.group();
    let below: Vec<String> =
        group.iter().filter(|member| region.node_level(member.node) < to).map(|member| member.node.spoken()).collect();
    if !below.is_empty() && !planted!(RaisedTooEarly) {
        return Err(Refusal::NodesBelowLevel { level: to, nodes: below.join(", ") });
    }
    draft.push(RegionEvent::LevelRaised { to });
    Ok(())
}

/// Whether a node goes along with the record, by its own word: one that does not would vote on what it cannot carry out.
pub(super) fn goes_along(region: &Region, node: NodeId) -> Result<(), Refusal> {
    let level = region.level();
    if region.node_level(node) < level {
        return Err(Refusal::NodesBelowLevel { level, nodes: node.spoken() });
    }
    Ok(())
}
