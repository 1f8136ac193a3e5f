//! Letting a registry go on whose log has lost what it acknowledged: an operator's decision, taken while the node stands.

use std::sync::Arc;

use shouwang_domain::ids::NodeId;
use shouwang_domain::registry::state::RegistryGenesis;
use shouwang_driver::{AcceptedLoss, ConnectError, Driver, NewLife, PeerConnector};
use tonic::transport::Channel;

use super::{founding, identity, options, parts, regions, registry_spec, unchanged};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Why another life of the registry begins, in its ledger.
const REASON: &str = "日志受损，已确认损失 / its log was damaged, the loss is accepted";

/// Nobody is dialled while the node does not run.
pub(super) struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, _: NodeId) -> Result<Channel, ConnectError> {
        Err(ConnectError::new("this node does not run"))
    }
}

/// Accepts the loss of the registry that has this name; its municipality has left the regions in `left`.
///
/// # Errors
/// [`Failure`]: another name, a node that runs, a registry that has lost nothing or of which nothing can be read.
pub async fn accept(config: &Config, name: &str, left: &[String]) -> Result<AcceptedLoss, Failure> {
    let (node, keys) = identity(config)?;
    let founding = founding::kept(config, node, &keys)?;
    let is_meant = |genesis: &RegistryGenesis| [&genesis.name, &genesis.short].into_iter().any(|known| known == name);
    let own = founding.as_ref().map_or_else(|| "-".to_owned(), |genesis| genesis.name.clone());
    let Some(genesis) = founding.filter(is_meant) else {
        let text = Bilingual::new(
            format!("本节点的台账名为“{own}”，不是“{name}”；未作任何改动"),
            format!("the registry of this node is {own}, not {name}; nothing was changed"),
        );
        return Err(Failure::new(Exit::Usage, "OTHER_REGISTRY", text));
    };
    let options = options(config, node, true);
    let life = NewLife { regions: regions(config)?, left: left.to_vec(), reason: REASON.to_owned() };
    let accepted = Driver::accept_loss(options, parts(keys, Arc::new(Nobody)), registry_spec(genesis), life).await;
    accepted.map_err(|error| unchanged(&error, "NOT_ACCEPTED"))
}
