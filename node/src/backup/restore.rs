//! Restoring a registry from a backup onto a node that holds nothing yet. It begins another life (incarnation): what the
//! regions have heard of the one before counts, and is adopted before anything but facts leaves it again.
//!
//! A region is never restored: it is joined anew, from those who have it. What must never stand here: a way to put a backup
//! over a record that is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shouwang_domain::hash::Bytes;
use shouwang_domain::ids::{NodeId, RegionId};
use shouwang_domain::machine::Machine as _;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_driver::{Driver, NewLife, Signer as _};
use shouwang_store::{Disk, FrozenDisk};

use super::manifest::{Entry, Kind, Manifest};
use super::{BackupError, check_registry, open_record};
use crate::api::convert::words;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::files::{Access, make_folder};
use crate::serve::{self, founding};

/// Where a registry lies while it is being restored.
const BEGUN: &str = "records.restoring";
const RECORDS: &str = "records";

/// A registry that was restored.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Restored {
    /// What was in the backup.
    pub from: Entry,
    /// The revision it stands at now.
    pub revision: u64,
    /// Which life it is.
    pub incarnation: u32,
    /// The regions whose record it must adopt.
    pub regions: Vec<RegionId>,
}

fn refused(exit: Exit, code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> Failure {
    Failure::new(exit, code, Bilingual::new(zh.into(), en.into()))
}

/// Restores the registry of a backup onto the node of this configuration; its municipality has left the regions in `left`.
///
/// # Errors
/// [`Failure`]: a backup that does not hold or is another's, a node that holds something, or must not keep the registry.
pub async fn restore(config: &Config, folder: &Path, left: &[String], reason: &str) -> Result<Restored, Failure> {
    let manifest = Manifest::load(folder)?;
    let entry = suitable(config, &manifest)?.clone();
    let disk: Arc<dyn Disk> = Arc::new(FrozenDisk);
    let copy = open_record(&disk, folder, entry.id, entry.revision)?;
    check_registry(&copy, &entry)?;
    let held = copy.state::<Registry>(entry.checkpoint).map_err(BackupError::from)?;
    let genesis = held.machine().genesis().clone();
    if genesis.owner.get() != config.municipality.code() {
        return Err(foreign(&genesis.owner.to_string(), &config.municipality.to_string()));
    }
    let (node, keys) = serve::identity(config)?;
    check_unused(config, &manifest, held.machine(), node)?;
    let keeper = RegistryNode { node, algorithm: keys.algorithm(), public_key: Bytes(keys.public_key()) };
    let regions = serve::regions(config)?;
    let awaited = regions.iter().map(|(id, _)| *id).collect();
    let begun = make_room(config)?;
    let life = NewLife { regions, left: left.to_vec(), reason: reason.to_owned() };
    let (options, parts) = serve::fresh_storage(config, node, &begun, keys);
    let restoring = Driver::restore(options, parts, (copy, entry.checkpoint), life);
    let revision = restoring.await.map_err(|error| serve::from_driver(&error))?;
    settle(config, &begun, &genesis, &keeper)?;
    let incarnation = held.machine().incarnation() + 1;
    Ok(Restored { from: entry, revision, incarnation, regions: awaited })
}

/// The registry of the backup, if it may be restored onto this node.
fn suitable<'a>(config: &Config, manifest: &'a Manifest) -> Result<&'a Entry, Failure> {
    if manifest.federation != config.federation {
        return Err(foreign(&manifest.federation, &config.federation));
    }
    if config.registry_node != config.node {
        let keeper = config.registry_node;
        return Err(refused(
            Exit::Usage,
            "RESTORE_NOT_KEEPER",
            format!("registry_node 为 {keeper}，台账不由本节点保存；请将 registry_node 设为 {}", config.node),
            format!("registry_node is {keeper}: this node keeps no registry; set registry_node = {}", config.node),
        ));
    }
    manifest.records.iter().find(|entry| entry.kind == Kind::Registry).ok_or_else(|| {
        refused(Exit::NotFound, "RESTORE_NO_REGISTRY", "备份中没有台账", "there is no registry in the backup")
    })
}

/// Whether a node is known to have been there: it was backed up, has kept this registry, or was founded with a region.
pub(super) fn is_used(node: NodeId, manifest: &Manifest, registry: &Registry, chartered: &[NodeId]) -> bool {
    let founders = registry.genesis().nodes.iter().map(|keeper| keeper.node);
    let kept = founders.chain(registry.group().into_iter().map(|keeper| keeper.node));
    manifest.node == words::node(node) || kept.chain(chartered.iter().copied()).any(|known| known == node)
}

/// A number that had a log which is lost must never be in a region again: it could vote twice. Whether the node took part in
/// one after the backup, the backup cannot know, so none of the numbers counts that are known to have been used.
fn check_unused(config: &Config, manifest: &Manifest, registry: &Registry, node: NodeId) -> Result<(), Failure> {
    if !is_used(node, manifest, registry, &serve::chartered(config)?) {
        return Ok(());
    }
    let own = words::node(node);
    Err(refused(
        Exit::Usage,
        "RESTORE_SAME_NODE",
        format!(
            "节点编号 {own} 已经用过，其日志已失，不得以同一编号再参加区域（可能重复投票）；请换用从未用过的编号：将 node 与 \
             registry_node 设为新编号，再由各区域协议新增该节点（region add-node）"
        ),
        format!(
            "node {own} was in use, and its log is lost: in a region it could vote twice. Set node and registry_node to a \
             number that was never used, and have each region admit it (region add-node)"
        ),
    ))
}

fn foreign(theirs: &str, own: &str) -> Failure {
    refused(
        Exit::BadInput,
        "RESTORE_FOREIGN",
        format!("备份属于 {theirs}，本节点属于 {own}；未作任何改动"),
        format!("the backup is of {theirs}, this node is of {own}; nothing was changed"),
    )
}

/// A folder for what is being restored, on a node that holds nothing. What an attempt that was cut off has left is no
/// record: it is begun again.
fn make_room(config: &Config) -> Result<PathBuf, Failure> {
    make_folder(&config.data_dir, Access::Secret)?;
    let (records, begun) = (config.data_dir.join(RECORDS), config.data_dir.join(BEGUN));
    let document = config.data_dir.join(founding::FILE);
    let cut_off = begun.exists() && !records.exists() && founding::is_restored(config);
    let taken = [records, document.clone(), config.data_dir.join(founding::STARTED)];
    if let Some(held) = taken.iter().find(|path| path.exists()).filter(|_| !cut_off) {
        let held = held.display();
        return Err(refused(
            Exit::Exists,
            "RESTORE_NOT_EMPTY",
            format!("本节点已有数据（{held}）；恢复只能写入空的 data_dir，绝不覆盖"),
            format!(
                "this node holds something ({held}); a backup is restored into an empty data_dir only, never over it"
            ),
        ));
    }
    if cut_off {
        std::fs::remove_file(&document).map_err(BackupError::io(&document))?;
    }
    if begun.exists() {
        std::fs::remove_dir_all(&begun).map_err(BackupError::io(&begun))?;
    }
    make_folder(&begun, Access::Secret)?;
    Ok(begun)
}

/// The founding document first, then the records get their name: before both are there, the node does not start.
fn settle(config: &Config, begun: &Path, genesis: &RegistryGenesis, keeper: &RegistryNode) -> Result<(), Failure> {
    founding::write_restored(config, genesis, keeper)?;
    let records = config.data_dir.join(RECORDS);
    let named = std::fs::rename(begun, &records);
    let synced = named.and_then(|()| std::fs::File::open(&config.data_dir)?.sync_all());
    Ok(synced.map_err(BackupError::io(&records))?)
}
