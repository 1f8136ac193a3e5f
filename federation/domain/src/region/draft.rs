//! A working copy on which a decision is made.

use super::Region;
use super::event::RegionEvent;
use super::state::{Mission, Pledge, Request};
use crate::channel::DownMessage;
use crate::charter::{Member, Standing};
use crate::ids::{MissionId, MunicipalityCode, PledgeId, RequestId};
use crate::machine::Context;
use crate::machine::Machine;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Collects events and lets each happen at once on a copy that shares everything it does not change.
pub(crate) struct Draft {
    /// The state after the events so far.
    pub region: Region,
    /// Record time.
    pub at: Timestamp,
    events: Vec<RegionEvent>,
}

impl Draft {
    pub fn new(region: &Region, at: Timestamp) -> Self {
        Self { region: region.clone(), at, events: Vec::new() }
    }

    /// A copy to try something on.
    pub fn fork(&self) -> Self {
        Self { region: self.region.clone(), at: self.at, events: self.events.clone() }
    }

    pub fn push(&mut self, event: RegionEvent) {
        self.region.evolve(self.at, &event);
        self.events.push(event);
    }

    /// Addresses a numbered message to a member's registry.
    pub fn send(&mut self, to: MunicipalityCode, message: DownMessage) {
        let number = self.region.channels.get(&to).map_or(0, |channel| channel.down) + 1;
        self.push(RegionEvent::Sent { to, number, message });
    }

    pub fn into_events(self) -> Vec<RegionEvent> {
        self.events
    }

    pub fn mission(&self, id: MissionId) -> Result<&Mission, Refusal> {
        self.region.missions.get(&id).ok_or_else(|| Refusal::not_found("mission", id))
    }

    pub fn pledge(&self, id: PledgeId) -> Result<&Pledge, Refusal> {
        self.region.pledges.get(&id).ok_or_else(|| Refusal::not_found("pledge", id))
    }

    pub fn request(&self, id: RequestId) -> Result<&Request, Refusal> {
        self.region.requests.get(&id).ok_or_else(|| Refusal::not_found("request", id))
    }

    /// The actor's membership, if it is a party.
    pub fn party(&self, context: &Context<'_>) -> Result<&Member, Refusal> {
        let code = context.actor.municipality;
        let member = self.region.head.charter.member(code).ok_or(Refusal::NotAMember { municipality: code })?;
        if member.standing == Standing::Party { Ok(member) } else { Err(Refusal::not_yours(code, "act as a party")) }
    }

    /// Whether the actor speaks for the hub.
    pub fn is_hub(&self, context: &Context<'_>) -> bool {
        context.actor.municipality == self.region.head.charter.hub
    }
}

/// A text that people wrote.
pub(crate) fn check_text(field: &str, text: &str, max: usize) -> Result<(), Refusal> {
    // Letter by letter only what is not plain ASCII.
    let plain = text.len() <= max && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let fits = || (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !text.is_empty() && (plain || fits()) {
        Ok(())
    } else {
        Err(Refusal::field(field, &format!("1 to {max} characters, no control characters")))
    }
}

/// A quantity that a document may name.
pub(crate) fn check_qty(qty: crate::quantity::Qty) -> Result<(), Refusal> {
    if qty.is_zero() || qty > crate::quantity::Qty::MAX { Err(Refusal::QuantityOutOfRange { qty }) } else { Ok(()) }
}
