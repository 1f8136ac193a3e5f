//! Ledger records as watchers see them, and the words of nodes about the ledger.

use serde::Serialize;
use serde::de::DeserializeOwned;
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::NodeId;
use shouwang_domain::record::{Cause, LedgerRecord};
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::region::heads::Countersignature;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_proto::v1;

use super::charter::algorithm;
use super::words::{actor, node, refusal, time};
use super::{plain_responses, region_requests};
use crate::documents::{region_events, registry_events};
use crate::lang::Bilingual;

region_requests! {
    v1::MarkRegionHeadRequest, |_request, _p| Some(RegionCommand::MarkHead {});
}

plain_responses! { MarkRegionHeadResponse }

/// What a node said last of the ledger that it holds, with the command that says so.
pub fn countersignature(by: NodeId, said: &Countersignature, cause: &Cause) -> Option<v1::Countersignature> {
    let Cause::Command { bytes, proof } = cause else { return None };
    Some(v1::Countersignature {
        node: node(by),
        epoch: said.epoch,
        revision: said.revision,
        root: said.root.to_string(),
        agrees: said.agrees,
        stands_at: said.stands_at,
        at: time(said.at),
        command: bytes.0.clone(),
        algorithm: algorithm(proof.signature_algorithm).into(),
        public_key: proof.public_key.0.clone(),
        signature: proof.signature.0.clone(),
        index: proof.index,
        count: proof.count,
        path: proof.path.iter().map(|hash| hash.0.to_vec()).collect(),
    })
}

/// A command that knows its name.
pub trait NamedCommand: DeserializeOwned {
    /// The name in the rights table.
    fn name(&self) -> &'static str;
}

impl NamedCommand for RegistryCommand {
    fn name(&self) -> &'static str {
        self.name()
    }
}

impl NamedCommand for RegionCommand {
    fn name(&self) -> &'static str {
        self.name()
    }
}

/// The name of commands that this program does not know (yet).
const UNKNOWN: &str = "unknown";
/// The name under which a deadline that passed appears.
const TIMER: &str = "timer";

/// A record of the registry's ledger.
pub fn registry_record(record: &LedgerRecord<RegistryEvent>) -> v1::LedgerRecord {
    ledger_record::<RegistryCommand, _>(record, registry_events::sentence)
}

/// A record of a region's ledger.
pub fn region_record(record: &LedgerRecord<RegionEvent>) -> v1::LedgerRecord {
    ledger_record::<RegionCommand, _>(record, region_events::sentence)
}

fn ledger_record<C: NamedCommand, E: Serialize>(
    record: &LedgerRecord<E>,
    sentence: fn(&E) -> Bilingual,
) -> v1::LedgerRecord {
    let mut said = v1::LedgerRecord {
        revision: record.revision,
        at: time(record.at),
        command: TIMER.to_owned(),
        events: record.events.iter().map(|happened| event(happened, &sentence(happened))).collect(),
        refusal: record.refusal.as_ref().map(refusal),
        ..v1::LedgerRecord::default()
    };
    if let Cause::Command { bytes, proof } = &record.cause {
        said.node = node(proof.node);
        match code::decode::<Envelope<C>>("command", &bytes.0) {
            Ok(envelope) => {
                said.actor = Some(actor(&envelope.actor));
                said.request_id = envelope.id.to_string();
                envelope.body.name().clone_into(&mut said.command);
            }
            Err(_) => UNKNOWN.clone_into(&mut said.command),
        }
    }
    said
}

/// An event's name and payload: events serialise as `{"name": {…}}`, or as `"name"` when there is nothing to say.
fn event(event: &impl Serialize, sentence: &Bilingual) -> v1::Event {
    let (r#type, payload) = match serde_json::to_value(event) {
        Ok(serde_json::Value::Object(fields)) if fields.len() == 1 => {
            let (name, payload) = fields.into_iter().next().unwrap_or_default();
            (name, payload.to_string())
        }
        Ok(serde_json::Value::String(name)) => (name, "{}".to_owned()),
        other => (UNKNOWN.to_owned(), other.map(|value| value.to_string()).unwrap_or_default()),
    };
    v1::Event { r#type, payload, zh: sentence.zh.to_string(), en: sentence.en.to_string() }
}

/// The working number that a record gave out, empty when it gave none.
pub fn number_given(record: &LedgerRecord<RegistryEvent>) -> String {
    let mut numbers = record.events.iter().filter_map(|event| match event {
        RegistryEvent::NumberAllocated { number, .. } => Some(number.clone()),
        _ => None,
    });
    numbers.next_back().unwrap_or_default()
}
