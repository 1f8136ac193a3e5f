//! What a node founds its own registry from, if it keeps one: written once at its first start, read ever after.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_driver::{KeyRing, Signer as _};

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::files::{Access, make_folder, read_text, write_new};

/// The registry's founding document, below the data folder.
pub const FILE: &str = "registry.json";
/// What a node that keeps no registry leaves there at its first start.
pub const STARTED: &str = "node.txt";

/// A node's founding document: of the registry it keeps, or of nothing but its own first start.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The registry's founding document, if this node keeps the registry.
    pub genesis: Option<RegistryGenesis>,
    /// It was there before: an empty store beside it is a lost disk.
    pub used_before: bool,
}

/// The founding document as it lies on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    genesis: RegistryGenesis,
    /// The node it was restored onto from a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_onto: Option<RegistryNode>,
}

/// Writes the founding document of a registry that is being restored.
///
/// # Errors
/// A file that cannot be written, or is there already.
pub fn write_restored(config: &Config, genesis: &RegistryGenesis, keeper: &RegistryNode) -> Result<(), Failure> {
    let path = config.data_dir.join(FILE);
    let kept = Kept { genesis: genesis.clone(), restored_onto: Some(keeper.clone()) };
    let json = serde_json::to_string_pretty(&kept).map_err(|error| wrong(&path, &error))?;
    Ok(write_new(&path, json.as_bytes(), Access::Public)?)
}

/// Whether the founding document says that the registry was, or was being, restored onto this node.
pub fn is_restored(config: &Config) -> bool {
    let kept = read_text(&config.data_dir.join(FILE)).ok();
    kept.and_then(|text| serde_json::from_str::<Kept>(&text).ok()).is_some_and(|kept| kept.restored_onto.is_some())
}

/// Whether this node was ever started: then an empty store is a lost disk.
pub fn was_started(config: &Config) -> bool {
    [FILE, STARTED].iter().any(|name| config.data_dir.join(name).exists())
}

/// Reads what this node was founded with, or writes it at the first start.
///
/// # Errors
/// A file that cannot be read or written, or that belongs to another municipality, node or key.
pub fn founding(config: &Config, node: NodeId, name: &str, keys: &KeyRing) -> Result<Founding, Failure> {
    make_folder(&config.data_dir, Access::Secret)?;
    if let Some(genesis) = kept(config, node, keys)? {
        return Ok(Founding { genesis: Some(genesis), used_before: true });
    }
    if config.registry_node != config.node {
        return elsewhere(config, node);
    }
    let path = config.data_dir.join(FILE);
    let public_key = Bytes(keys.public_key());
    let nodes = vec![RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key }];
    let owner: MunicipalityCode = node.municipality();
    let genesis = RegistryGenesis { owner, name: name.to_owned(), short: config.short.clone(), incarnation: 1, nodes };
    let json = serde_json::to_string_pretty(&genesis).map_err(|error| wrong(&path, &error))?;
    write_new(&path, json.as_bytes(), Access::Public)?;
    Ok(Founding { genesis: Some(genesis), used_before: false })
}

/// Reads what the registry of this node was founded with; `None` if it keeps none, or was never started.
///
/// # Errors
/// A file that cannot be read, that belongs to another municipality, node or key, or that must not be here: two nodes would
/// speak for the same stock.
pub fn kept(config: &Config, node: NodeId, keys: &KeyRing) -> Result<Option<RegistryGenesis>, Failure> {
    let path = config.data_dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    if config.registry_node != config.node {
        return Err(wrong(
            &path,
            &"this node keeps the registry, registry_node names another / 本节点保存着台账，与 registry_node 不符",
        ));
    }
    let Kept { genesis, restored_onto } =
        serde_json::from_str(&read_text(&path)?).map_err(|error| wrong(&path, &error))?;
    let keepers = restored_onto.as_ref().map_or(&genesis.nodes[..], std::slice::from_ref);
    let known = keepers.iter().find(|known| known.node == node);
    if !known.is_some_and(|known| keys.holds(&known.public_key.0)) {
        return Err(wrong(&path, &"it was founded by another node or signing key / 由其他节点或签名密钥建立"));
    }
    Ok(Some(genesis))
}

/// A node whose municipality's registry another node keeps, and that has never kept one itself.
fn elsewhere(config: &Config, node: NodeId) -> Result<Founding, Failure> {
    let path = config.data_dir.join(STARTED);
    if path.exists() {
        let told = read_text(&path)?;
        if told.trim() != node.to_string() {
            return Err(wrong(&path, &format!("it is of node {} / 属于节点 {}", told.trim(), told.trim())));
        }
        return Ok(Founding { genesis: None, used_before: true });
    }
    write_new(&path, format!("{node}\n").as_bytes(), Access::Public)?;
    Ok(Founding { genesis: None, used_before: false })
}

fn wrong(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let path = path.display();
    let text = Bilingual::new(
        format!("{path} 无法使用：{why}；请恢复该文件，切勿删除"),
        format!("{path}: {why}; restore the file, do not delete it"),
    );
    Failure::new(Exit::Damaged, "REGISTRY_FOUNDING", text)
}
