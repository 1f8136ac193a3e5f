//! What a region says to an intention that the registry has sent it. Two records, two words: the registry's comes at
//! once, the region's with the next round of the courier. Who signed waits for both, or is told that one is still to come.

use std::time::{Duration, Instant};

use shouwang_domain::actor::Actor;
use shouwang_domain::channel::{AnswerGiven, DownMessage, UpEnvelope, UpMessage};
use shouwang_domain::ids::{CommandId, NodeId, RegionId};
use shouwang_domain::machine::Machine as _;
use shouwang_domain::record::{Outcome, Record};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_domain::time::Timestamp;
use shouwang_driver::WatchCursor;
use shouwang_proto::v1;
use tonic::{Code, Status};

use super::change::next_change;
use super::convert::ledger::number_given;
use super::convert::words;
use super::read::clock;
use super::{Node, status};

/// For how long the region's word is waited for.
const WAIT: Duration = Duration::from_secs(3);
/// What of the caller's time is left to tell him.
const SPARE: Duration = Duration::from_millis(250);

/// The region's word.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// It has said yes.
    Settled,
    /// It has said no.
    Refused(Refusal),
    /// It has not answered yet.
    Awaited,
}

impl Node {
    /// What came of a command that the registry has accepted: the working number it was given and, if its record has sent
    /// a region what that may refuse, whether the region's word is still to come, or its refusal. It is accepted even
    /// where the ledger does not hold the record any more; the outcome says then that the rest is not known here.
    ///
    /// # Errors
    /// The ledger does not read, or not within the deadline.
    pub async fn in_full(&self, outcome: &Outcome, by: Instant) -> Result<(v1::Outcome, Option<Refusal>), Status> {
        let mut ledger = self.registry()?.watch(outcome.revision);
        let written = match next_change(&mut ledger, by).await {
            Err(gone) if gone.code() == Code::OutOfRange => {
                return Ok((v1::Outcome { record_gone: true, ..words::outcome(outcome, String::new()) }, None));
            }
            written => written?,
        };
        let mut said = words::outcome(outcome, number_given(&written.record));
        let word = match written.record.events.iter().find_map(asked) {
            Some(sent) => self.regions_word(ledger, sent, by).await?,
            None => Word::Settled,
        };
        said.awaits_region = word == Word::Awaited;
        Ok((said, if let Word::Refused(refusal) = word { Some(refusal) } else { None }))
    }

    /// What the region says to a message, read off the registry's ledger behind the record that sent it.
    async fn regions_word(
        &self,
        mut ledger: WatchCursor<Registry>,
        (region, number): (RegionId, u64),
        by: Instant,
    ) -> Result<Word, Status> {
        let registry = self.registry()?;
        let until = (Instant::now() + WAIT).min(by.checked_sub(SPARE).unwrap_or(by));
        // A word that has come already is read even when the line is cut by now.
        while self.is_in_touch(region) || registry.revision() >= ledger.position() {
            match tokio::time::timeout_at(until.into(), ledger.next()).await {
                Ok(Ok(change)) => {
                    if let Some(word) = change.record.events.iter().find_map(|event| answer(event, region, number)) {
                        return Ok(word);
                    }
                }
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(Word::Awaited)
    }

    fn is_in_touch(&self, region: RegionId) -> bool {
        self.regions().get(&region).and_then(|hosted| hosted.handle.view().ok()).is_some_and(|view| view.in_touch)
    }
}

/// The region and number of a message that the region may refuse and that somebody waits for.
fn asked(event: &RegistryEvent) -> Option<(RegionId, u64)> {
    let RegistryEvent::Sent { region, number, message } = event else { return None };
    let may_be_refused = matches!(
        **message,
        UpMessage::Request(_) | UpMessage::Answer(_) | UpMessage::WithdrawPledge { .. } | UpMessage::Revoke { .. }
    );
    may_be_refused.then_some((*region, *number))
}

/// The answer to that message, if this event brings it.
fn answer(event: &RegistryEvent, of: RegionId, to: u64) -> Option<Word> {
    let RegistryEvent::InboxTaken { region, message, .. } = event else { return None };
    match &**message {
        DownMessage::Outcome { number, refusal } if *region == of && *number == to => {
            Some(refusal.clone().map_or(Word::Settled, Word::Refused))
        }
        _ => None,
    }
}

impl Node {
    /// Whether the region, as this node knows it, would take an answer: asked before anything is escrowed for it. The
    /// region itself decides, when the answer comes.
    ///
    /// # Errors
    /// The refusal that the answer would meet.
    pub fn check_answer(&self, command: &RegistryCommand) -> Result<(), Status> {
        let RegistryCommand::AnswerAid { region, request, line, answer, cost, eta, .. } = command else {
            return Ok(());
        };
        let hosted = self.regions().get(region).and_then(|hosted| hosted.handle.view().ok());
        let Some(view) = hosted else { return Ok(()) };
        // The number is given later; what it will be plays no part.
        let (number, answer) = ("-".to_owned(), answer.clone());
        let given = AnswerGiven { request: *request, line: *line, number, answer, cost: *cost, eta: *eta };
        let now = view.record.time().max(clock());
        match would_refuse(&view.record, now, self.node, UpMessage::Answer(given)) {
            Some(refusal) => Err(status::refused(&refusal)),
            None => Ok(()),
        }
    }
}

/// What a region would say to a message.
fn would_refuse(record: &Record<Region>, now: Timestamp, node: NodeId, message: UpMessage) -> Option<Refusal> {
    let (municipality, region) = (node.municipality(), record.machine());
    let channel = region.channel(municipality);
    let actor = Actor::node(node);
    let context = record.context(now, &actor, node, CommandId::from_u128(0));
    let up = UpEnvelope { incarnation: channel.incarnation, number: channel.up + 1, message };
    let events = match region.decide(&context, &RegionCommand::Up(up)) {
        Ok(events) => events,
        Err(refusal) => return Some(refusal),
    };
    events.into_iter().find_map(|event| match event {
        RegionEvent::UpTaken { refusal, .. } => refusal,
        _ => None,
    })
}
