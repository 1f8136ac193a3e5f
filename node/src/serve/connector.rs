//! Dialling other nodes: addresses from the configuration, identity by certificate.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_driver::{ConnectError, PeerConnector};
use tonic::transport::Channel;

use crate::auth::{ExpectedNode, Municipality, Target, TlsError, TlsStore, connect};
use crate::config::{Config, Sources, load};

/// Where peers answer, and how this node proves itself to them.
#[derive(Debug)]
pub struct Connector {
    federation: String,
    addresses: RwLock<BTreeMap<NodeId, String>>,
    sources: Sources,
    store: Arc<TlsStore>,
}

impl Connector {
    /// The peers of every region in the configuration, which came from `sources`.
    pub fn new(config: &Config, sources: Sources, store: Arc<TlsStore>) -> Self {
        Self { federation: config.federation.clone(), addresses: RwLock::new(addresses(config)), sources, store }
    }

    /// The peers whose address is known.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Where a peer answers. One that is not known is looked up in the configuration again: a member that was admitted
    /// later is added there, and no node needs a restart for it.
    async fn address(&self, node: NodeId) -> Option<String> {
        let known = || self.addresses.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
        if let Some(address) = known() {
            return Some(address);
        }
        let sources = self.sources.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&sources)).await.ok()?;
        match loaded {
            Ok(loaded) => {
                *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses(&loaded.config);
            }
            Err(error) => tracing::warn!(%error, "the configuration cannot be read again; the old addresses stay"),
        }
        known()
    }
}

fn addresses(config: &Config) -> BTreeMap<NodeId, String> {
    let peers = config.regions.iter().flat_map(|region| &region.peers);
    peers.filter_map(|peer| Some((node_id(&peer.node)?, peer.address.clone()))).collect()
}

/// A node's name in the configuration as the records spell it.
pub fn node_id(name: &crate::auth::NodeName) -> Option<NodeId> {
    NodeId::new(MunicipalityCode::new(name.municipality.code()).ok()?, name.node).ok()
}

#[tonic::async_trait]
impl PeerConnector for Connector {
    async fn connect(&self, node: NodeId) -> Result<Channel, ConnectError> {
        let unknown = || {
            let (code, number) = (node.municipality(), node.number());
            ConnectError::new(format!("no address of {code}/{number} in [[regions]].peers / 配置中没有该节点的地址"))
        };
        let address = self.address(node).await.ok_or_else(unknown)?;
        let municipality =
            Municipality::new(node.municipality().get()).map_err(|error| ConnectError::new(error.to_string()))?;
        let expected = ExpectedNode {
            federation: self.federation.clone(),
            municipality: Some(municipality),
            node: Some(node.number()),
        };
        connect(&Target { address, expected }, &self.store).await.map_err(|error| ConnectError {
            why: error.to_string(),
            refused: matches!(error, TlsError::Connect { refused: true, .. }),
        })
    }
}
