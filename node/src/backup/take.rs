//! Taking a backup from a running node, record by record, through its administrators' door.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::RecordId;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_driver::{DriverError, Filling, Receiver, RecordCopy};
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::admin::v1::back_up_record_response::Part;
use shouwang_store::real_disk;
use tonic::Streaming;
use tonic::transport::Channel;

use super::manifest::{Entry, Kind, Manifest};
use super::{BackupError, lock, open_record};
use crate::cli::client::{Client, failed};
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::files::{Access, make_folder};

/// How long the node may say nothing: it writes a checkpoint before its first word.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// A record that was backed up.
#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    /// What the folder has of it now.
    #[serde(flatten)]
    pub entry: Entry,
    /// How many ledger records are new.
    pub new_records: u64,
}

/// Backs up every record the node holds into a folder. What is there already is checked, and added to.
///
/// # Errors
/// [`BackupError`]; what the node says.
pub async fn take(client: &Client, folder: &Path) -> Result<Vec<Taken>, Failure> {
    let mut api = AdminServiceClient::new(client.channel.clone());
    let status = client.done(api.get_node_status(client.request(admin::GetNodeStatusRequest {})).await)?;
    make_folder(folder, Access::Secret)?;
    let _locked = lock(folder)?;
    let known = match Manifest::load(folder) {
        Err(BackupError::NotWhole(_)) => None,
        other => Some(other?),
    };
    let mut manifest = known.unwrap_or_else(|| Manifest::new(&status.federation, &status.node));
    if (&manifest.federation, &manifest.node) != (&status.federation, &status.node) {
        return Err(BackupError::Foreign { theirs: manifest.node, own: status.node }.into());
    }
    let mut taken = Vec::new();
    for record in &status.records {
        let one = one(client, &mut api, folder, record, &manifest).await?;
        manifest.records.retain(|entry| entry.id != one.entry.id);
        manifest.records.push(one.entry.clone());
        taken.push(one);
    }
    // Of records that the node has left, what was kept before stays.
    manifest.records.sort_by_key(|entry| entry.kind == Kind::Region);
    env!("CARGO_PKG_VERSION").clone_into(&mut manifest.program);
    manifest.taken_at = jiff::Timestamp::now().to_string();
    manifest.save(folder)?;
    Ok(taken)
}

async fn one(
    client: &Client,
    api: &mut AdminServiceClient<Channel>,
    folder: &Path,
    status: &admin::RecordStatus,
    manifest: &Manifest,
) -> Result<Taken, Failure> {
    let id: RecordId = Hash32::from_hex(&status.id).ok_or_else(unreadable)?;
    let known = manifest.entry(id);
    let through = known.map_or(0, |entry| entry.revision);
    let mut filling = open_record(&real_disk(), folder, id, through)?.fill().map_err(BackupError::from)?;
    let before = filling.next();
    let kept = known.map(|entry| entry.checkpoint);
    let registry = status.kind() == admin::RecordKind::Registry;
    let query = admin::BackUpRecordRequest {
        record: if registry { "registry".to_owned() } else { status.id.clone() },
        from_revision: before,
        checkpoint: kept.map(|digest| digest.to_string()).unwrap_or_default(),
    };
    // No deadline for the whole: a long ledger on a thin line takes its time, and every part is progress.
    let opening =
        tokio::time::timeout(SILENCE_MAX, api.back_up_record(query)).await.map_err(|_| BackupError::CutOff)?;
    let mut parts = Parts(opening.map_err(|status| failed(&status, client.lang))?.into_inner(), client);
    let Some(Part::Head(head)) = parts.next().await? else { return Err(unreadable()) };
    let digest = Hash32::from_hex(&head.checkpoint).ok_or_else(unreadable)?;
    let mut receiver = None;
    let mut offset = 0;
    while let Some(part) = parts.next().await? {
        match part {
            Part::Ledger(page) if page.first_revision == filling.next() => {
                page.records.iter().try_for_each(|bytes| filling.append(bytes)).map_err(BackupError::from)?;
            }
            Part::Checkpoint(bytes) => {
                let receiver = match &mut receiver {
                    Some(receiver) => receiver,
                    none => none.insert(begin(&mut filling, (digest, head.checkpoint_size), kept)?),
                };
                put(receiver, &mut offset, &bytes)?;
            }
            _ => return Err(unreadable()),
        }
    }
    finish(receiver, kept == Some(digest))?;
    if filling.next() != head.revision + 1 {
        return Err(BackupError::CutOff.into());
    }
    let (root, new_records) = (filling.root(), filling.next() - before);
    let entry = entry(&filling.into_copy(), &head, digest, root)?;
    Ok(Taken { entry, new_records })
}

/// The whole ledger is durable before the state that stands on it begins to arrive.
fn begin(filling: &mut Filling, checkpoint: (Hash32, u64), kept: Option<Hash32>) -> Result<Receiver, BackupError> {
    filling.seal()?;
    Ok(filling.receive(checkpoint, kept)?)
}

/// Adds bytes of a checkpoint, but those that an earlier attempt has left.
fn put(receiver: &mut Receiver, offset: &mut u64, bytes: &[u8]) -> Result<(), BackupError> {
    let have = usize::try_from(receiver.offset().saturating_sub(*offset)).unwrap_or(usize::MAX).min(bytes.len());
    *offset += bytes.len() as u64;
    if have == bytes.len() {
        return Ok(());
    }
    Ok(receiver.write(receiver.offset(), &bytes[have..]).map_err(DriverError::from)?)
}

fn finish(receiver: Option<Receiver>, unchanged: bool) -> Result<(), BackupError> {
    match receiver {
        Some(receiver) if receiver.is_complete() => {
            receiver.finish().map_err(DriverError::from)?;
            Ok(())
        }
        None if unchanged => Ok(()),
        _ => Err(BackupError::CutOff),
    }
}

/// What the folder has of a record now, once ledger and state are seen to be of one piece.
pub(super) fn entry(
    copy: &RecordCopy,
    head: &admin::BackUpHead,
    digest: Hash32,
    root: Hash32,
) -> Result<Entry, BackupError> {
    if head.kind() == admin::RecordKind::Registry {
        let record = copy.state::<Registry>(digest)?;
        let registry = record.machine();
        let owner = format!("{} {}", registry.owner(), registry.genesis().name);
        let at = sound(&record, head, root)?;
        let incarnation = registry.incarnation();
        return Ok(Entry { kind: Kind::Registry, incarnation, ..of(&record, digest, owner, at) });
    }
    let record = copy.state::<Region>(digest)?;
    let name = record.machine().charter().name.clone();
    sound(&record, head, root).map(|at| of(&record, digest, name, at))
}

/// The root, if the state stands on this very ledger.
fn sound<M: Machine>(record: &Record<M>, head: &admin::BackUpHead, root: Hash32) -> Result<Hash32, BackupError> {
    if record.revision() == head.revision && record.ledger_root() == root {
        Ok(root)
    } else {
        Err(BackupError::Diverged { id: record.id() })
    }
}

fn of<M: Machine>(record: &Record<M>, checkpoint: Hash32, title: String, ledger_root: Hash32) -> Entry {
    Entry {
        kind: Kind::Region,
        id: record.id(),
        title,
        epoch: record.epoch(),
        incarnation: 0,
        revision: record.revision(),
        time: record.time().to_string(),
        ledger_root,
        state_digest: record.digest(),
        checkpoint,
    }
}

/// The node's words, one after the other.
struct Parts<'a>(Streaming<admin::BackUpRecordResponse>, &'a Client);

impl Parts<'_> {
    async fn next(&mut self) -> Result<Option<Part>, Failure> {
        let next = tokio::time::timeout(SILENCE_MAX, self.0.message()).await.map_err(|_| BackupError::CutOff)?;
        let message = next.map_err(|status| failed(&status, self.1.lang))?;
        Ok(message.and_then(|message| message.part))
    }
}

fn unreadable() -> Failure {
    let text = Bilingual::fixed(
        "节点发来的内容无法识别；请核对两端的程序版本",
        "the node sent what this program does not know; compare the versions of both",
    );
    Failure::new(Exit::Failure, "BACKUP_PROTOCOL", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_gone_on_with_where_it_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let id = Hash32::of(&[b"r"]);
        let filling = || open_record(&real_disk(), dir.path(), id, 0).unwrap().fill().unwrap();
        let whole: Vec<u8> = (0..=99).collect();
        let digest = Hash32::of(&[b"whatever"]);
        let mut offset = 0;
        put(&mut filling().receive((digest, 100), None).unwrap(), &mut offset, &whole[..30]).unwrap();
        let mut again = filling().receive((digest, 100), None).unwrap();
        let mut offset = 0;
        for part in whole.chunks(20) {
            put(&mut again, &mut offset, part).unwrap();
        }
        assert!(again.is_complete());
        // It is no checkpoint, and is not taken for one.
        assert!(matches!(finish(Some(again), false), Err(error) if error.is_damage()));
        let half = filling().receive((digest, 100), None).unwrap();
        assert!(matches!(finish(Some(half), false), Err(BackupError::CutOff)));
        assert!(matches!(finish(None, false), Err(BackupError::CutOff)));
        assert!(finish(None, true).is_ok());
    }
}
