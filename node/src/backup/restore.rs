//! Restoring a registry from a backup onto a node that holds nothing yet. It begins another life (incarnation): what the
//! regions have heard of the one before counts, and is adopted before anything but facts leaves it again.
//!
//! A region is never restored: it is joined anew, from those who have it. What must never stand here: a way to put a backup
//! over a record that is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::code;
use shouwang_domain::command::{Batch, CommandProof, Envelope};
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::ids::{CommandId, NodeId, RegionId};
use shouwang_domain::merkle;
use shouwang_domain::record::Record;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_domain::time::HOUR_MS;
use shouwang_driver::{Driver, KeyRing, Signer as _};
use shouwang_store::{Disk, FrozenDisk};

use super::manifest::{Entry, Kind, Manifest};
use super::{BackupError, check_registry, open_record};
use crate::api::read::clock;
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

/// Restores the registry of a backup onto the node of this configuration.
///
/// # Errors
/// [`Failure`]: a backup that does not hold or is another's, a node that holds something, or must not keep the registry.
pub async fn restore(config: &Config, folder: &Path, reason: &str) -> Result<Restored, Failure> {
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
    let keeper = RegistryNode { node, algorithm: keys.algorithm(), public_key: Bytes(keys.public_key()) };
    let regions = serve::regions(config)?;
    let begun = make_room(config)?;
    let body = RegistryCommand::Restore {
        mark: Hash32::of(&[b"shouwang.life.v1\0", uuid::Uuid::now_v7().as_bytes()]),
        keeper: keeper.clone(),
        regions: regions.clone(),
        reason: reason.to_owned(),
    };
    let (options, parts) = serve::fresh_storage(config, node, &begun, serve::identity(config)?.1);
    let restoring = Driver::restore::<Registry>(options, parts, (copy, entry.checkpoint), move |record| {
        begin(record, node, &keys, body)
    });
    let revision = restoring.await.map_err(|error| serve::from_driver(&error))?;
    settle(config, &begun, &genesis, &keeper)?;
    let incarnation = held.machine().incarnation() + 1;
    let regions = held.machine().channels().map(|(region, _)| *region).chain(regions.into_iter().map(|(id, _)| id));
    let mut regions: Vec<RegionId> = regions.collect();
    regions.sort_unstable();
    regions.dedup();
    Ok(Restored { from: entry, revision, incarnation, regions })
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
    let own = format!("{}/{}", config.municipality, config.node);
    if own == manifest.node && manifest.records.iter().any(|entry| entry.kind == Kind::Region) {
        return Err(refused(
            Exit::Usage,
            "RESTORE_SAME_NODE",
            format!(
                "节点 {own} 曾参加区域，其日志已失，不得以同一编号再参加（可能重复投票）；请由协议新增节点（region add-node），\
                 将 node 与 registry_node 设为新编号"
            ),
            format!(
                "node {own} has taken part in a region and lost its log: under its old number it could vote twice. Have a new \
                 node admitted (region add-node), and set node and registry_node to its number"
            ),
        ));
    }
    manifest.records.iter().find(|entry| entry.kind == Kind::Registry).ok_or_else(|| {
        refused(Exit::NotFound, "RESTORE_NO_REGISTRY", "备份中没有台账", "there is no registry in the backup")
    })
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

/// The first ledger record of the new life, under the key of the node that keeps it.
fn begin(
    record: &mut Record<Registry>,
    node: NodeId,
    keys: &KeyRing,
    body: RegistryCommand,
) -> Result<Vec<u8>, Refusal> {
    let operator = format!("node-{}", node.number());
    let actor = Actor { municipality: node.municipality(), operator, role: Role::Admin };
    let now = clock();
    let envelope = Envelope { id: CommandId(uuid::Uuid::now_v7()), actor, valid_until: now.plus_ms(HOUR_MS), body };
    let bytes = code::encode(&envelope);
    let batch = Batch::unsigned(record.id(), record.epoch(), node, vec![bytes.clone()]);
    let signature = Bytes(keys.sign(&batch.signed_message(&merkle::root(&batch.leaves()))));
    let (signature_algorithm, public_key) = (keys.algorithm(), Bytes(keys.public_key()));
    let proof = CommandProof { node, public_key, signature_algorithm, signature, index: 0, count: 1, path: Vec::new() };
    Ok(record.begin_life(now, Bytes(bytes), proof)?.bytes)
}

/// The founding document first, then the records get their name: before both are there, the node does not start.
fn settle(config: &Config, begun: &Path, genesis: &RegistryGenesis, keeper: &RegistryNode) -> Result<(), Failure> {
    founding::write_restored(config, genesis, keeper)?;
    let records = config.data_dir.join(RECORDS);
    let named = std::fs::rename(begun, &records);
    let synced = named.and_then(|()| std::fs::File::open(&config.data_dir)?.sync_all());
    Ok(synced.map_err(BackupError::io(&records))?)
}
