//! Dialling other nodes: addresses from the configuration, identity by certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_driver::{ConnectError, PeerConnector};
use tonic::transport::Channel;

use crate::auth::{ExpectedNode, Municipality, Target, TlsStore, connect};
use crate::config::Config;

/// Where peers answer, and how this node proves itself to them.
#[derive(Debug)]
pub struct Connector {
    federation: String,
    addresses: BTreeMap<NodeId, String>,
    store: Arc<TlsStore>,
}

impl Connector {
    /// The peers of every region in the configuration.
    pub fn new(config: &Config, store: Arc<TlsStore>) -> Self {
        let peers = config.regions.iter().flat_map(|region| &region.peers);
        let addresses = peers.filter_map(|peer| Some((node_id(&peer.node)?, peer.address.clone()))).collect();
        Self { federation: config.federation.clone(), addresses, store }
    }

    /// The peers whose address is known.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.addresses.keys().copied()
    }
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
            ConnectError(format!("no address of {code}/{number} in [[regions]].peers / 配置中没有该节点的地址"))
        };
        let address = self.addresses.get(&node).ok_or_else(unknown)?.clone();
        let municipality =
            Municipality::new(node.municipality().get()).map_err(|error| ConnectError(error.to_string()))?;
        let expected = ExpectedNode {
            federation: self.federation.clone(),
            municipality: Some(municipality),
            node: Some(node.number()),
        };
        connect(&Target { address, expected }, &self.store).await.map_err(|error| ConnectError(error.to_string()))
    }
}
