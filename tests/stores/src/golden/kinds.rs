//! Which kinds of command and event stand in ledgers: fixtures are worth what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ciborium::Value;
use shouwang_domain::region::command::RIGHTS as REGION_COMMANDS;
use shouwang_domain::registry::command::RIGHTS as REGISTRY_COMMANDS;
use shouwang_domain::testing::{region_events, registry_events};
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::real_disk;

use super::{DATA, REGION, entries, words};
use crate::damage::copy;
use crate::{Result, folder};

/// Every kind there is: `registry command receive`, `region event pledged`.
pub fn all() -> BTreeSet<String> {
    let commands = |record: &'static str, names: Vec<&'static str>| {
        names.into_iter().map(move |name| format!("{record} command {name}"))
    };
    let events = |record: &'static str, names: BTreeSet<String>| {
        names.into_iter().map(move |name| format!("{record} event {name}"))
    };
    commands("registry", REGISTRY_COMMANDS.iter().map(|right| right.command).collect())
        .chain(commands("region", REGION_COMMANDS.iter().map(|right| right.command).collect()))
        .chain(events("registry", registry_events()))
        .chain(events("region", region_events()))
        .collect()
}

/// The kinds that stand in a ledger record of a registry or a region.
pub fn of(record: &str, bytes: &[u8]) -> Vec<String> {
    let stored: Option<Value> = ciborium::from_reader(bytes).ok();
    let events = stored.as_ref().and_then(|stored| field(stored, "events")?.as_array());
    let events = events.into_iter().flatten().filter_map(tag).map(|name| format!("{record} event {name}"));
    let received =
        stored.as_ref().and_then(|stored| field(field(field(stored, "cause")?, "Command")?, "bytes")?.as_bytes());
    let command: Option<Value> = received.and_then(|bytes| ciborium::from_reader(bytes.as_slice()).ok());
    let command = command.as_ref().and_then(|command| tag(field(command, "body")?));
    events.chain(command.map(|name| format!("{record} command {name}"))).collect()
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

/// The name of an enum's variant.
fn tag(value: &Value) -> Option<&str> {
    value.as_map()?.first()?.0.as_text()
}

/// How often each kind stands in the ledgers of a folder of fixtures.
pub fn in_fixtures(fixtures: &Path) -> Result<BTreeMap<String, usize>> {
    let here = folder()?;
    copy(fixtures, here.path())?;
    let mut kinds = BTreeMap::new();
    for place in entries(here.path())?.into_iter().filter(|place| place.is_dir()) {
        let region = super::region_id(&place.join(REGION))?.to_string();
        for record in entries(&place.join(DATA).join("records"))? {
            let name = record.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let machine = if name == region { "region" } else { "registry" };
            let id = shouwang_domain::hash::Hash32::from_hex(&name).ok_or("a record's folder has its id")?;
            let ledger = Ledger::open(real_disk(), &record.join("ledger"), id.0, LedgerOptions::default());
            let ledger = ledger.map_err(words)?;
            let reader = ledger.reader();
            for revision in 1..ledger.next() {
                for kind in of(machine, &reader.get(revision).map_err(words)?) {
                    *kinds.entry(kind).or_default() += 1;
                }
            }
        }
    }
    Ok(kinds)
}
