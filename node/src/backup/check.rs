//! Checking a backup without a node, on a medium that need not be writable: every byte against its checksum, every record
//! against its signature and the tree's root, the state against what the ledger says.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use shouwang_domain::charter::Charter;
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Cause, LedgerRecord, Record};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_driver::{Ed25519Verifier, RecordCopy};
use shouwang_store::{Disk, FrozenDisk};

use super::manifest::{Entry, Kind, Manifest};
use super::{BackupError, open_record};
use crate::cli::ledger_check::{Check, Fault};
use crate::exit::Failure;
use crate::lang::Bilingual;

/// A record of a backup that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What the manifest says of it, all of it found to be so.
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether every record was decided once more and led to the state: of a region only with its founding charter.
    pub decided_again: bool,
}

/// Checks a whole backup; `charters` are founding charters of regions in it.
///
/// # Errors
/// The first thing that does not hold; a charter of no region in it.
pub fn check(folder: &Path, charters: &[Charter]) -> Result<(Manifest, Vec<Checked>), Failure> {
    let manifest = Manifest::load(folder)?;
    let charter_of = |id: RecordId| charters.iter().find(|charter| Record::<Region>::id_of(charter) == id);
    let mut checked = Vec::new();
    for entry in &manifest.records {
        let disk: Arc<dyn Disk> = Arc::new(FrozenDisk);
        let copy = open_record(&disk, folder, entry.id, entry.revision)?;
        let decided_again = match entry.kind {
            Kind::Registry => {
                registry(&copy, entry)?;
                true
            }
            Kind::Region => region(&copy, entry, charter_of(entry.id))?,
        };
        checked.push(Checked { entry: entry.clone(), decided_again });
    }
    Ok((manifest, checked))
}

fn unsound(entry: &Entry, zh: &'static str, en: &'static str) -> BackupError {
    BackupError::Unsound { id: entry.id, why: Bilingual::fixed(zh, en) }
}

fn faulty(entry: &Entry, fault: &Fault) -> BackupError {
    let (revision, why) = (fault.revision, &fault.why);
    let why = Bilingual::new(format!("版本 {revision}：{}", why.zh), format!("revision {revision}: {}", why.en));
    BackupError::Unsound { id: entry.id, why }
}

/// The checkpoint is what the manifest says it is.
fn fits<M: Machine>(record: &Record<M>, entry: &Entry) -> Result<(), BackupError> {
    let found = (record.epoch(), record.revision(), record.ledger_root(), record.digest());
    if found == (entry.epoch, entry.revision, entry.ledger_root, entry.state_digest) {
        Ok(())
    } else {
        Err(unsound(entry, "检查点与清单不符", "its checkpoint is not the one the manifest describes"))
    }
}

/// A registry names its own founding document, so that all of it can be decided once more.
pub(super) fn registry(copy: &RecordCopy, entry: &Entry) -> Result<(), BackupError> {
    let held = copy.state::<Registry>(entry.checkpoint)?;
    fits(&held, entry)?;
    if held.machine().incarnation() != entry.incarnation {
        return Err(unsound(entry, "化身与清单不符", "it is another incarnation than the manifest says"));
    }
    let founded = Record::<Registry>::found(held.machine().genesis()).ok().filter(|founded| founded.id() == entry.id);
    let mut replayed =
        founded.ok_or_else(|| unsound(entry, "建账文书与记录编号不符", "its founding document is not the record's"))?;
    copy.read(entry.revision, |revision, bytes| {
        next(&mut replayed, bytes).map_err(|(zh, en)| faulty(entry, &Fault::new(revision, zh, en)))
    })?;
    if replayed.ledger_root() != entry.ledger_root {
        return Err(unsound(entry, "账本根与清单不符", "its ledger has another root than the manifest says"));
    }
    if replayed.digest() != entry.state_digest {
        return Err(unsound(
            entry,
            "由账本重算的状态与检查点不符",
            "the state folded from the ledger is not the checkpoint's",
        ));
    }
    Ok(())
}

/// Checks the next record of a registry's ledger and lets it happen.
fn next(replayed: &mut Record<Registry>, bytes_of_record: &[u8]) -> Result<(), (&'static str, &'static str)> {
    let record = code::decode::<LedgerRecord<RegistryEvent>>("ledger record", bytes_of_record)
        .map_err(|_| ("记录无法读出", "the record cannot be read"))?;
    if let Cause::Command { bytes, proof } = &record.cause {
        if !proof.holds(&replayed.id(), replayed.epoch(), &bytes.0, &Ed25519Verifier) {
            return Err(("命令签名不成立", "the command's signature does not hold"));
        }
        let restored = begins_life(replayed, &record, &bytes.0);
        if restored == Some(false) {
            return Err(("恢复记录与命令不符", "what was restored is not what was asked"));
        }
        let mut signers = replayed.machine().signers(proof.node, record.at).into_iter();
        if restored.is_none() && !signers.any(|signer| signer.public_key == proof.public_key.0) {
            return Err(("签名密钥不属于本台账", "the signing key is not the registry's"));
        }
        if restored == Some(true) {
            return follow(replayed, bytes_of_record);
        }
    }
    if !replayed.agrees(&record) {
        return Err(("重新裁决结果不同", "whoever decides it once more comes to something else"));
    }
    follow(replayed, bytes_of_record)
}

fn follow(replayed: &mut Record<Registry>, bytes: &[u8]) -> Result<(), (&'static str, &'static str)> {
    replayed.replay(bytes).map_err(|_| ("记录接不上前一条", "the record does not follow the one before it"))
}

/// Whether a record that begins another life after a restoration says what was asked; `None` of every other record. Who
/// restores proves himself by the key he brings: nobody else's need be left.
fn begins_life(replayed: &Record<Registry>, record: &LedgerRecord<RegistryEvent>, command: &[u8]) -> Option<bool> {
    record.events.iter().find(|event| matches!(event, RegistryEvent::Restored { .. }))?;
    let envelope = code::decode::<Envelope<RegistryCommand>>("command", command).ok();
    let events = envelope.and_then(|envelope| replayed.machine().restored(record.at, &envelope.body).ok());
    let Cause::Command { proof, .. } = &record.cause else { return Some(false) };
    let by = record.events.iter().any(|event| {
        matches!(event, RegistryEvent::Restored { keeper, .. } if keeper.node == proof.node && keeper.public_key == proof.public_key)
    });
    Some(by && events.as_ref() == Some(&record.events))
}

fn region(copy: &RecordCopy, entry: &Entry, founding: Option<&Charter>) -> Result<bool, Failure> {
    fits(&copy.state::<Region>(entry.checkpoint).map_err(BackupError::from)?, entry)?;
    let mut check = Check::new(entry.id, entry.epoch, founding, Vec::new())?;
    copy.read(entry.revision, |_, bytes| check.record(bytes).map_err(|fault| faulty(entry, &fault)))?;
    let digest = founding.is_some().then(|| entry.state_digest.to_string());
    check.finish(&entry.ledger_root.to_string(), digest.as_deref()).map_err(|fault| faulty(entry, &fault))?;
    Ok(founding.is_some())
}
