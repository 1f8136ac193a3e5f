//! What a node founds its own registry from: written once at its first start, read ever after.

use std::path::Path;

use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::SigningKey;
use crate::pki::files::{Access, make_folder, read_text, write_new};

/// The file below the data folder.
const FILE: &str = "registry.json";

/// A registry's founding document, and whether this start wrote it.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The document.
    pub genesis: RegistryGenesis,
    /// It was there before: an empty store beside it is a lost disk.
    pub used_before: bool,
}

/// Reads the founding document of this node's registry, or writes it at the first start.
///
/// # Errors
/// A file that cannot be read or written, or that belongs to another municipality, node or key.
pub fn registry(config: &Config, node: NodeId, name: &str, key: &SigningKey) -> Result<Founding, Failure> {
    make_folder(&config.data_dir, Access::Secret)?;
    let path = config.data_dir.join(FILE);
    let public_key = Bytes(key.public_key());
    if path.exists() {
        let genesis: RegistryGenesis =
            serde_json::from_str(&read_text(&path)?).map_err(|error| wrong(&path, &error))?;
        let known = genesis.nodes.iter().find(|known| known.node == node);
        if known.is_none_or(|known| known.public_key != public_key) {
            return Err(wrong(&path, &"it was founded by another node or signing key / 由其他节点或签名密钥建立"));
        }
        return Ok(Founding { genesis, used_before: true });
    }
    let nodes = vec![RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key }];
    let owner: MunicipalityCode = node.municipality();
    let genesis = RegistryGenesis { owner, name: name.to_owned(), short: config.short.clone(), incarnation: 1, nodes };
    let json = serde_json::to_string_pretty(&genesis).map_err(|error| wrong(&path, &error))?;
    write_new(&path, json.as_bytes(), Access::Public)?;
    Ok(Founding { genesis, used_before: false })
}

fn wrong(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let path = path.display();
    let text = Bilingual::new(
        format!("{path} 无法使用：{why}；请恢复该文件，切勿删除"),
        format!("{path}: {why}; restore the file, do not delete it"),
    );
    Failure::new(Exit::Damaged, "REGISTRY_FOUNDING", text)
}
