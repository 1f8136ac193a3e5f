//! A record that has lost its quorum for good, on one of the nodes that are left: its last word in the old epoch, the first
//! step into the next, or the way back to the others. The rules are the machine's; here is what the disk must hold, in
//! which order. All of it happens while the node stands.

use std::path::{Path, PathBuf};

use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::machine::Machine;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::rescue::{SignedStanding, Standing};
use shouwang_replica::conf_state_from;
use shouwang_store::checkpoint::CheckpointStore;
use shouwang_store::ledger::Ledger;
use shouwang_store::{Disk, StoreError, real_disk};

use super::checkpoints::{self, At};
use super::damaged::{Best, apply, log_behind};
use super::found::{Dirs, Found, find, slot_of, unfit};
use super::open::{Environment, keys_in_force};
use super::own_word::signed_here;
use crate::Result;
use crate::error::DriverError;
use crate::keys::Ed25519Verifier;
use crate::options::HostSpec;

/// In a record's directory, with the number of an epoch behind it: this disk takes part in nothing of that epoch any more.
const ENDED: &str = "epoch-ended-";
/// Below the data directory: what a node held of an epoch that went on without it.
const ASIDE: &str = "aside";
/// What of a record's directory is set aside; what was only on its way is not.
const KEPT: [&str; 2] = ["ledger", "checkpoints"];
const UNDER_WAY: [&str; 2] = ["staged", "history"];

/// The first epoch that a disk takes part in, by what was promised on it.
pub(super) fn first_epoch(disk: &dyn Disk, root: &Path) -> Result<u32> {
    let names = disk.list(root).map_err(|e| StoreError::io("list", root, e))?;
    let ended = names.iter().filter_map(|name| name.strip_prefix(ENDED)?.parse::<u32>().ok()).max();
    Ok(ended.map_or(0, |ended| ended.saturating_add(1)))
}

/// A record as its disk has it, everything in its log carried out.
struct Whole<M: Machine> {
    best: Best<M>,
    /// Term and index of the last entry.
    last: (u64, u64),
    ledger: Ledger,
    dirs: Dirs,
    checkpoints: CheckpointStore,
    staged: CheckpointStore,
}

impl<M: Machine> Whole<M> {
    fn read(env: &Environment, spec: &HostSpec<M>) -> Result<Self> {
        let dirs = Dirs::new(env, spec.id);
        let (checkpoints, staged) = dirs.stores(env)?;
        let founded = spec.founded()?;
        let (found, mut ledger) = find(env, spec, &dirs, founded.as_ref(), (&checkpoints, &staged))?;
        let Found { record, at, restored } = found;
        let record =
            record.ok_or_else(|| unfit(spec.id, "the record", "this node has joined and holds nothing yet"))?;
        let last = restored.entries.last().map_or((restored.base.term, restored.base.index), |e| (e.term, e.index));
        let mut best = apply(record, at.index, &restored.entries)?;
        best.stamp = best.stamp.max(at.stamp);
        // What an attempt that was cut off has written behind the log.
        if ledger.next() > best.record.revision() + 1 {
            ledger.rewind(best.record.revision())?;
        }
        Ok(Self { best, last, ledger, dirs, checkpoints, staged })
    }

    /// Brings the ledger up to the record.
    fn complete(&mut self) -> Result<()> {
        for (revision, bytes) in &self.best.from_log {
            if *revision == self.ledger.next() {
                self.ledger.append(*revision, bytes)?;
            }
        }
        Ok(self.ledger.sync()?)
    }
}

/// This node's word: how far it has come, and that it takes part in nothing of this epoch any more. Durable before it is
/// given; given again it is the same. Blocks.
pub(crate) fn stand<M: Machine>(env: &Environment, spec: &HostSpec<M>) -> Result<SignedStanding> {
    let whole = Whole::read(env, spec)?;
    let record = &whole.best.record;
    let keys = keys_in_force(record, env.node);
    let key = env.signer.among(&keys);
    if !keys.contains(&key.public_key()) {
        return Err(DriverError::NotAccepted);
    }
    let (root, name) = (&whole.dirs.root, format!("{ENDED}{}", record.epoch()));
    let path = root.join(name);
    let file = env.disk.create(&path).map_err(|e| StoreError::io("create", &path, e))?;
    file.sync().map_err(|e| StoreError::io("sync", &path, e))?;
    env.disk.sync_dir(root).map_err(|e| StoreError::io("sync directory", root, e))?;
    let (term, index) = whole.last;
    let standing = Standing {
        record: spec.id,
        epoch: record.epoch(),
        node: env.node,
        term,
        index,
        revision: record.revision(),
        root: record.ledger_root(),
    };
    Ok(SignedStanding {
        standing,
        algorithm: key.algorithm(),
        public_key: Bytes(key.public_key()),
        signature: Bytes(key.sign(&standing.signed_message())),
    })
}

/// What an operator says when a region goes on in another epoch.
#[derive(Clone, Debug)]
pub struct Rescue {
    /// The word of everybody who is left, this node's among them.
    pub standings: Vec<SignedStanding>,
    /// Every voter that has given none, and will not come back.
    pub lost: Vec<NodeId>,
    /// What happened; it stands in the ledger.
    pub reason: String,
}

/// Begins the next epoch on this node alone; the others follow as soon as they ask. Answers the epoch and the revision it
/// stands at then. Blocks.
pub(crate) fn rescue(env: &Environment, spec: &HostSpec<Region>, order: Rescue) -> Result<(u32, u64)> {
    let mut whole = Whole::read(env, spec)?;
    let record = &mut whole.best.record;
    if first_epoch(&*env.disk, &whole.dirs.root)? <= record.epoch() {
        let detail = format!(
            "epoch {} stands, in which this node has given no word; if that is the new one already, start the node",
            record.epoch()
        );
        return Err(unfit(spec.id, "the order", &detail));
    }
    let Rescue { standings, lost, reason } = order;
    let (now, bytes, proof) = signed_here(env, record, RegionCommand::Rescue { standings, lost, reason });
    let first = record.begin_epoch(now, bytes, proof, &Ed25519Verifier).map_err(DriverError::Refused)?;
    whole.complete()?;
    let Whole { best, last: (term, index), mut ledger, checkpoints, staged, .. } = whole;
    let record = best.record;
    ledger.append(record.revision(), &first.bytes)?;
    ledger.sync()?;
    // An index and a term that the old epoch never used. The log begins behind the checkpoint in one write: before it the
    // old epoch stands, which this node has promised to keep out of; after it a start takes the checkpoint over.
    let (index, term) = (index + 1, term + 1);
    let conf = conf_state_from([env.node.get()], []);
    let stamp = best.stamp.max(record.time());
    checkpoints::write(&staged, &record, At { index, term, stamp }, &conf)?;
    log_behind(env, spec.id, (index, term), conf)?;
    checkpoints.settle(&staged, index)?;
    tracing::warn!(record = %spec.id.short(), epoch = record.epoch(), revision = record.revision(), "another epoch begins");
    Ok((record.epoch(), record.revision()))
}

/// Sets aside what this node holds of an epoch that it has ended, so that it joins the next one empty. Answers where it
/// lies; what was cut off is gone on with. Blocks.
pub(crate) fn set_aside<M: Machine>(env: &Environment, spec: &HostSpec<M>) -> Result<PathBuf> {
    let dirs = Dirs::new(env, spec.id);
    let first = first_epoch(&*env.disk, &dirs.root)?;
    let Some(ended) = first.checked_sub(1) else {
        return Err(unfit(spec.id, "the order", "this node has not given its word: nothing of it has ended"));
    };
    let aside = aside_dir(&env.data_dir, spec.id, ended);
    let list = |dir: &Path| env.disk.list(dir).map_err(|e| StoreError::io("list", dir, e));
    if list(&aside)?.is_empty() {
        let mut whole = Whole::read(env, spec)?;
        if whole.best.record.epoch() >= first {
            return Err(unfit(spec.id, "the order", "this node is in the new epoch already"));
        }
        whole.complete()?;
        // Nobody goes on with it: what reads it later changes nothing, and reads what is sealed.
        whole.ledger.seal(whole.best.record.ledger_root().0)?;
    }
    for name in KEPT {
        move_files(&*env.disk, &dirs.root.join(name), &aside.join(name))?;
    }
    for dir in UNDER_WAY.map(|name| dirs.root.join(name)) {
        for name in list(&dir)? {
            env.disk.remove(&dir.join(&name)).map_err(|e| StoreError::io("remove", dir.join(&name), e))?;
        }
    }
    env.store.remove(slot_of(spec.id))?;
    tracing::warn!(record = %spec.id.short(), epoch = ended, aside = %aside.display(), "set aside");
    Ok(aside)
}

fn aside_dir(data_dir: &Path, id: RecordId, epoch: u32) -> PathBuf {
    data_dir.join(ASIDE).join(format!("{id}-epoch-{epoch}"))
}

/// What a node held of an epoch that went on without it.
pub(crate) struct SetAside {
    /// Of which record.
    pub id: RecordId,
    /// The epoch that ended here.
    pub epoch: u32,
    /// Where it lies.
    pub dir: PathBuf,
}

/// All that was set aside on this node with an epoch.
pub(crate) fn all_aside(data_dir: &Path) -> Result<Vec<SetAside>, StoreError> {
    let aside = data_dir.join(ASIDE);
    let names = real_disk().list(&aside).map_err(|e| StoreError::io("list", &aside, e))?;
    let of = |name: &String| {
        let (id, epoch) = name.split_once("-epoch-")?;
        Some(SetAside { id: RecordId::from_hex(id)?, epoch: epoch.parse().ok()?, dir: aside.join(name) })
    };
    Ok(names.iter().filter_map(of).collect())
}

/// Where a node keeps what it held of the last of a record's epochs that went on without it; what earlier ones lacked was
/// given once more in it.
pub(crate) fn newest_aside(data_dir: &Path, id: RecordId) -> Result<Option<PathBuf>> {
    let of_this = all_aside(data_dir)?.into_iter().filter(|aside| aside.id == id);
    Ok(of_this.max_by_key(|aside| aside.epoch).map(|aside| aside.dir))
}

fn move_files(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), StoreError> {
    disk.create_dir_all(to).map_err(|e| StoreError::io("create", to, e))?;
    for name in disk.list(from).map_err(|e| StoreError::io("list", from, e))? {
        disk.rename(&from.join(&name), &to.join(&name))
            .map_err(|e| StoreError::io("set aside", from.join(&name), e))?;
    }
    for dir in [to, from] {
        disk.sync_dir(dir).map_err(|e| StoreError::io("sync directory", dir, e))?;
    }
    Ok(())
}

/// The disk of a record that waits for its rescue is shown, and does nothing.
pub(super) fn waits(epoch: u32) -> String {
    format!(
        "RESCUE_PENDING: 本节点已就纪元 {epoch} 交出承诺书，不再参与该纪元；请完成救援（rescue begin），或以 rescue rejoin 加入新纪元 / \
         this node has given its word and takes part in epoch {epoch} no more; finish the rescue (rescue begin), or join the \
         new epoch (rescue rejoin)"
    )
}

#[cfg(test)]
mod tests;
