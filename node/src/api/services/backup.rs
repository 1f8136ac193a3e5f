//! A record on its way into a backup: a checkpoint of now, and the ledger up to it. Both are opened before a byte leaves,
//! so that what follows is one state, whatever the record does meanwhile.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{TryStreamExt as _, stream};
use shouwang_domain::hash::Hash32;
use shouwang_domain::machine::Machine;
use shouwang_driver::{DriverError, Handle, OpenedCheckpoint, WatchCursor};
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::back_up_record_response::Part;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::ledger::{COPY_BYTES, copied};
use crate::api::change::driver_failed;
use crate::api::status;
use crate::lang::Bilingual;

/// The parts of a backup, as they are sent.
pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<admin::BackUpRecordResponse, Status>> + Send>>;

/// The place of the one backup that may be taken at a time: each writes a checkpoint and reads a ledger from end to end.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when it is taken.
pub(super) fn place(backups: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    let text = Bilingual::fixed(
        "本节点正在进行另一次备份，请待其结束后再试",
        "another backup is being taken from this node; try again when it has ended",
    );
    let taken = || status::error(Code::ResourceExhausted, "BACKUP_RUNNING", &text, &[]);
    Arc::clone(backups).try_acquire_owned().map_err(|_| taken())
}

/// What the backup lacks, in parts. The stream begins at once: a checkpoint of a large record takes longer than the door
/// waits for an answer.
pub(super) fn parts<M: Machine>(
    handle: &Handle<M>,
    kind: admin::RecordKind,
    asked: &admin::BackUpRecordRequest,
    place: OwnedSemaphorePermit,
) -> Parts {
    let (handle, asked) = (handle.clone(), asked.clone());
    Box::pin(stream::once(async move { begin(&handle, kind, &asked, place).await }).try_flatten())
}

/// Takes a checkpoint and begins to send what the backup lacks.
///
/// # Errors
/// A backup that has more than the record; a record that can take no checkpoint now.
async fn begin<M: Machine>(
    handle: &Handle<M>,
    kind: admin::RecordKind,
    asked: &admin::BackUpRecordRequest,
    place: OwnedSemaphorePermit,
) -> Result<Parts, Status> {
    let checkpoint = handle.open_checkpoint().await.map_err(|error| driver_failed(&error))?;
    let (meta, info) = (checkpoint.meta(), checkpoint.info());
    let from = asked.from_revision.max(1);
    if from > meta.revision + 1 {
        return Err(ahead(from - 1, meta.revision));
    }
    let digest = Hash32(info.digest).to_string();
    let head = admin::BackUpHead {
        id: handle.id().to_string(),
        kind: kind.into(),
        epoch: meta.epoch,
        revision: meta.revision,
        checkpoint: digest.clone(),
        checkpoint_size: info.size,
    };
    let (last, size) = (meta.revision, info.size);
    let sent = if asked.checkpoint == digest { size } else { 0 };
    let sending = Sending {
        head: Some(head),
        cursor: handle.watch(from),
        last,
        checkpoint: Arc::new(checkpoint),
        sent,
        size,
        _place: place,
    };
    Ok(sending.into_parts())
}

fn ahead(held: u64, newest: u64) -> Status {
    let text = Bilingual::new(
        format!("备份已有 {held} 条，本节点的账本只到 {newest}：节点可能由旧备份恢复；请另选备份目录，勿覆盖原备份"),
        format!(
            "the backup has {held} revisions, the ledger here ends at {newest}: this node may have been restored from an \
             older backup; take the next one into another folder, and keep this one"
        ),
    );
    status::error(Code::FailedPrecondition, "BACKUP_AHEAD", &text, &[("newest", newest.to_string())])
}

struct Sending<M: Machine> {
    head: Option<admin::BackUpHead>,
    cursor: WatchCursor<M>,
    last: u64,
    checkpoint: Arc<OpenedCheckpoint>,
    sent: u64,
    size: u64,
    /// Gives its place back when the client goes.
    _place: OwnedSemaphorePermit,
}

impl<M: Machine> Sending<M> {
    fn into_parts(self) -> Parts {
        // After an error there is nothing more to say: the state is gone and the stream ends.
        Box::pin(stream::unfold(Some(self), |sending| async move {
            let mut sending = sending?;
            match sending.part().await {
                Ok(part) => {
                    let part = part?;
                    Some((Ok(admin::BackUpRecordResponse { part: Some(part) }), Some(sending)))
                }
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    async fn part(&mut self) -> Result<Option<Part>, Status> {
        if let Some(head) = self.head.take() {
            return Ok(Some(Part::Head(head)));
        }
        if self.cursor.position() <= self.last {
            let (first_revision, records) = copied(&mut self.cursor, self.last).await?;
            return Ok(Some(Part::Ledger(admin::BackUpLedger { first_revision, records })));
        }
        if self.sent >= self.size {
            return Ok(None);
        }
        let (checkpoint, from) = (Arc::clone(&self.checkpoint), self.sent);
        let reading = tokio::task::spawn_blocking(move || checkpoint.read_chunk(from, COPY_BYTES));
        let bytes = reading.await.map_err(|_| driver_failed(&DriverError::Stopped))?;
        let bytes = bytes.map_err(|error| driver_failed(&error.into()))?;
        self.sent += bytes.len() as u64;
        Ok(Some(Part::Checkpoint(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backup_at_a_time() {
        let backups = Arc::new(Semaphore::new(1));
        let held = place(&backups).unwrap();
        assert_eq!(status::reason(&place(&backups).unwrap_err()).as_deref(), Some("BACKUP_RUNNING"));
        drop(held);
        assert!(place(&backups).is_ok());
    }
}
