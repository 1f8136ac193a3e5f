//! The upward channel: exactly once and in order, whatever the courier's line does to its messages.

use std::ops::RangeInclusive;

use super::draft::Draft;
use super::event::RegionEvent;
use super::{facts, missions, obligations, pledges, requests};
use crate::adoption::{FIRST_LIFE_MAX, Life};
use crate::channel::{DownMessage, Fact, UpEnvelope, UpMessage};
use crate::code;
use crate::hash::Hash32;
use crate::machine::Context;
use crate::refusal::Refusal;

/// Takes the next message of a member; a resend of the last one changes nothing.
pub(super) fn take(draft: &mut Draft, context: &Context<'_>, envelope: &UpEnvelope) -> Result<(), Refusal> {
    let member = context.actor.municipality;
    let channel = draft.region.channels.get(&member).cloned().unwrap_or_default();
    let digest = Hash32::of(&[&code::encode(envelope)]);
    // Whom it has never heard may be in any life, within bounds; 0 is none, and a number is never taken for that.
    let lives = if channel.incarnation == 0 { 1..=FIRST_LIFE_MAX } else { channel.incarnation..=channel.incarnation };
    check_life(&lives, envelope.incarnation)?;
    if envelope.number == channel.up && channel.up > 0 {
        return if digest == channel.up_digest { Ok(()) } else { Err(Refusal::ChannelFork { number: channel.up }) };
    }
    if envelope.number != channel.up + 1 {
        return Err(Refusal::ChannelGap { expected: channel.up + 1, got: envelope.number });
    }
    let refusal = match attempt(draft, context, &envelope.message) {
        Ok(accepted) => {
            *draft = accepted;
            None
        }
        Err(refusal) => Some(refusal),
    };
    draft.push(RegionEvent::UpTaken {
        member,
        incarnation: envelope.incarnation,
        number: envelope.number,
        digest,
        refusal: refusal.clone(),
    });
    draft.send(member, DownMessage::Outcome { number: envelope.number, refusal });
    Ok(())
}

/// Another life of a member's registry speaks from now on: the next one, so that no number is ever used twice.
pub(super) fn begin_life(draft: &mut Draft, context: &Context<'_>, life: Life) -> Result<(), Refusal> {
    let member = context.actor.municipality;
    let channel = draft.region.channels.get(&member).cloned().unwrap_or_default();
    if channel.up == 0 && channel.up_digest == life.mark {
        return Ok(());
    }
    // A region that it has never spoken to knows no life of it.
    let next = match channel.incarnation.checked_add(1) {
        Some(first @ 1) => first..=FIRST_LIFE_MAX,
        Some(next) => next..=next,
        None => return Err(Refusal::WrongIncarnation { expected: channel.incarnation, got: life.incarnation }),
    };
    check_life(&next, life.incarnation)?;
    draft.push(RegionEvent::LifeBegun { member, life });
    Ok(())
}

fn check_life(expected: &RangeInclusive<u32>, got: u32) -> Result<(), Refusal> {
    if expected.contains(&got) {
        return Ok(());
    }
    Err(Refusal::WrongIncarnation { expected: *expected.start(), got })
}

/// Decides the message on a copy, so that a refusal half-way leaves nothing behind.
fn attempt(draft: &Draft, context: &Context<'_>, message: &UpMessage) -> Result<Draft, Refusal> {
    let mut draft = draft.fork();
    let member = context.actor.municipality;
    match message {
        UpMessage::Publish(publication) => {
            draft.push(RegionEvent::Published { member, publication: publication.clone() });
            Ok(())
        }
        UpMessage::Pledge(made) => pledges::take(&mut draft, context, made),
        UpMessage::WithdrawPledge { pledge, qty, .. } => pledges::withdraw(&mut draft, context, *pledge, *qty),
        UpMessage::Overdrawn { pledge, qty, reason } => pledges::overdraw(&mut draft, context, *pledge, *qty, reason),
        UpMessage::OverdraftCovered { pledge, qty } => pledges::cover(&mut draft, context, *pledge, *qty),
        UpMessage::Request(made) => requests::take(&mut draft, context, made),
        UpMessage::Answer(answer) => requests::answer(&mut draft, context, answer),
        UpMessage::Committed { mission, qty } => missions::committed(&mut draft, context, *mission, *qty),
        UpMessage::CancelAcknowledged { mission } => missions::cancel_acknowledged(&mut draft, context, *mission),
        UpMessage::Revoke { mission, reason } => missions::revoke(&mut draft, context, *mission, reason),
        UpMessage::Fact(Fact { mission: id, .. })
            if planted!(FactRefusedAfterCancel) && draft.mission(*id).is_ok_and(|mission| mission.state.is_void()) =>
        {
            Err(Refusal::not_found("mission", id))
        }
        UpMessage::Fact(fact) => {
            facts::take(&mut draft, context, fact);
            Ok(())
        }
        UpMessage::RestockReceived { mission, total } => {
            obligations::restock_received(&mut draft, context, *mission, *total);
            Ok(())
        }
        UpMessage::RestockVerified { mission, accepted, rejected, .. } => {
            obligations::restock_verified(&mut draft, context, *mission, *accepted, *rejected);
            Ok(())
        }
    }?;
    Ok(draft)
}

/// The member's registry has taken its messages up to a number: they need not be kept for it.
pub(super) fn acknowledge(draft: &mut Draft, context: &Context<'_>, through: u64) -> Result<(), Refusal> {
    let member = context.actor.municipality;
    let channel = draft.region.channels.get(&member).cloned().unwrap_or_default();
    if through > channel.down {
        return Err(Refusal::ChannelGap { expected: channel.down, got: through });
    }
    if through > channel.down_taken {
        draft.push(RegionEvent::DownTaken { member, through });
    }
    Ok(())
}
