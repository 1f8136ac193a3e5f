//! A working copy of a registry on which a decision is made.

use super::Registry;
use super::event::RegistryEvent;
use super::state::{Account, Lot, RegistryMission, RegistryPledge, Shortfall};
use crate::channel::{Fact, OUTBOX_MAX, Step, UpMessage};
use crate::ids::{LotId, MissionId, PledgeId, RegionId};
use crate::machine::Machine;
use crate::quantity::Qty;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Collects events and lets each happen at once on a copy that shares everything it does not change.
pub(crate) struct Draft {
    pub registry: Registry,
    pub at: Timestamp,
    events: Vec<RegistryEvent>,
}

impl Draft {
    pub fn new(registry: &Registry, at: Timestamp) -> Self {
        Self { registry: registry.clone(), at, events: Vec::new() }
    }

    pub fn push(&mut self, event: RegistryEvent) {
        self.registry.evolve(self.at, &event);
        self.events.push(event);
    }

    pub fn into_events(self) -> Vec<RegistryEvent> {
        self.events
    }

    /// Moves units that the caller knows to be there.
    pub fn shift(&mut self, lot: LotId, from: Account, to: Account, qty: Qty, document: &str) {
        if !qty.is_zero() {
            self.push(RegistryEvent::StockMoved { lot, from, to, qty, document: document.to_owned() });
        }
    }

    /// Moves as much of `qty` as the accounts hold, in their order; answers what could not be moved.
    pub fn shift_from(&mut self, lot: LotId, from: &[Account], to: Account, qty: Qty, document: &str) -> Qty {
        let mut left = qty;
        for account in from {
            let part = left.min(self.registry.balance(lot, *account));
            self.shift(lot, *account, to, part, document);
            left = left.saturating_sub(part);
        }
        left
    }

    /// Moves all of `qty` out of an account, or refuses.
    pub fn shift_all(
        &mut self,
        lot: LotId,
        from: Account,
        to: Account,
        qty: Qty,
        document: &str,
    ) -> Result<(), Refusal> {
        let free = self.registry.balance(lot, from);
        if qty > free {
            return Err(Refusal::NotEnough { wanted: qty, free, place: account_name(from).to_owned() });
        }
        self.shift(lot, from, to, qty, document);
        Ok(())
    }

    /// Puts a message into the outbox of a region.
    pub fn send(&mut self, region: RegionId, message: UpMessage) -> Result<(), Refusal> {
        let channel =
            self.registry.channels.get(&region).ok_or_else(|| Refusal::not_found("region", region.short()))?;
        if channel.up - channel.answered >= OUTBOX_MAX && !message.is_fact() {
            return Err(Refusal::LimitReached {
                what: "messages waiting for the region".to_owned(),
                limit: OUTBOX_MAX,
            });
        }
        if channel.adopting.is_some() && !message.is_fact() {
            return Err(Refusal::Restoring { region: region.short() });
        }
        let number = channel.up + 1;
        self.push(RegistryEvent::Sent { region, number, message: Box::new(message) });
        Ok(())
    }

    pub fn send_fact(&mut self, mission: MissionId, step: Step, happened_at: Timestamp) -> Result<(), Refusal> {
        let region = self.mission(mission)?.region;
        self.send(region, UpMessage::Fact(Fact { mission, step, happened_at }))
    }

    pub fn lot(&self, id: LotId) -> Result<&Lot, Refusal> {
        self.registry.lots.get(&id).ok_or_else(|| Refusal::not_found("lot", id))
    }

    pub fn pledge(&self, id: PledgeId) -> Result<&RegistryPledge, Refusal> {
        self.registry.pledges.get(&id).ok_or_else(|| Refusal::not_found("pledge", id))
    }

    pub fn mission(&self, id: MissionId) -> Result<&RegistryMission, Refusal> {
        self.registry.missions.get(&id).ok_or_else(|| Refusal::not_found("mission", id))
    }

    /// Changes what is known of a mission.
    pub fn note(&mut self, id: MissionId, change: impl FnOnce(&mut RegistryMission)) {
        if let Some(mut state) = self.registry.missions.get(&id).cloned() {
            change(&mut state);
            self.push(RegistryEvent::MissionRecorded { mission: id, state: Box::new(state) });
        }
    }

    /// Changes what is known of a pledge.
    pub fn note_pledge(&mut self, id: PledgeId, change: impl FnOnce(&mut RegistryPledge)) {
        if let Some(mut state) = self.registry.pledges.get(&id).cloned() {
            change(&mut state);
            self.push(RegistryEvent::PledgeRecorded { pledge: id, state: Box::new(state) });
        }
    }

    /// Records that an inbox item asked for more than is here. It is never refused.
    pub fn shortfall(&mut self, lot: Option<LotId>, wanted: Qty, missing: Qty, what: &str) {
        if !missing.is_zero() {
            let moved = wanted.saturating_sub(missing);
            let shortfall = Shortfall { at: self.at, lot, wanted, moved, what: what.to_owned() };
            self.push(RegistryEvent::ShortfallRecorded { shortfall });
        }
    }
}

/// The account's word in refusals.
fn account_name(account: Account) -> &'static str {
    match account {
        Account::Source => "source",
        Account::Local => "LOCAL 在库",
        Account::Repair => "REPAIR 待修",
        Account::Pledged(_) => "PLEDGED 承诺",
        Account::Held(_) => "HELD 待发",
        Account::InTransit(_) => "IN_TRANSIT 在途",
        Account::OnLoan(_) => "ON_LOAN 借出",
        Account::Overdrawn(_) => "OVERDRAWN 透支",
        Account::Consumed => "CONSUMED 消耗",
        Account::Lost => "LOST 损失",
        Account::Scrapped => "SCRAPPED 报废",
        Account::Returned => "RETURNED 已退",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Step;
    use crate::hash::{Bytes, Hash32, SignatureAlgorithm};
    use crate::ids::{MunicipalityCode, NodeId};
    use crate::registry::state::{RegistryChannel, RegistryGenesis, RegistryNode};

    #[test]
    fn a_full_outbox_takes_facts_and_no_intentions() {
        let owner = MunicipalityCode::new(152_900).unwrap();
        let (node, algorithm) = (NodeId::new(owner, 1).unwrap(), SignatureAlgorithm::Ed25519);
        let nodes = vec![RegistryNode { node, algorithm, public_key: Bytes::default() }];
        let (name, short) = ("阿拉善盟".to_owned(), "阿".to_owned());
        let genesis = RegistryGenesis { owner, name, short, incarnation: 1, nodes };
        let region = Hash32::of(&[b"region"]);
        for (waiting, room) in [(OUTBOX_MAX - 1, true), (OUTBOX_MAX, false)] {
            let mut registry = Registry::found(&genesis).unwrap();
            let channel = RegistryChannel { up: waiting + 7, answered: 7, ..RegistryChannel::default() };
            registry.channels.insert(region, channel);
            let mut draft = Draft::new(&registry, Timestamp::ZERO);
            let mission = MissionId::from_u128(1);
            let fact = UpMessage::Fact(Fact { mission, step: Step::OnSite, happened_at: Timestamp::ZERO });
            let intention = UpMessage::Revoke { mission, reason: "险情".to_owned() };
            assert_eq!(draft.send(region, intention).is_ok(), room, "{waiting} waiting");
            assert_eq!(draft.send(region, fact), Ok(()), "{waiting} waiting");
        }
    }
}
