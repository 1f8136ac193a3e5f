//! Letting a registry go on whose log has lost what it acknowledged: an operator's decision, taken while the node stands.

use std::sync::Arc;

use shouwang_domain::ids::NodeId;
use shouwang_domain::registry::state::RegistryGenesis;
use shouwang_driver::{AcceptedLoss, ConnectError, Driver, DriverError, PeerConnector};
use tonic::transport::Channel;

use super::{founding, from_driver, keys, load_charters, options, own_name, parts, registry_spec};
use crate::cli::charter::node_id;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Nobody is dialled while the node does not run.
pub(super) struct Nobody;

#[tonic::async_trait]
impl PeerConnector for Nobody {
    async fn connect(&self, _: NodeId) -> Result<Channel, ConnectError> {
        Err(ConnectError("this node does not run".to_owned()))
    }
}

/// Accepts the loss of the registry that has this name.
///
/// # Errors
/// [`Failure`]: another name, a node that runs, a registry that has lost nothing or of which nothing can be read.
pub async fn accept(config: &Config, name: &str) -> Result<AcceptedLoss, Failure> {
    let (node, keys) = (node_id(config)?, keys(config)?);
    let name_now = own_name(config, node, &load_charters(config)?);
    let founding = founding::founding(config, node, &name_now, &keys)?;
    let is_meant = |genesis: &RegistryGenesis| [&genesis.name, &genesis.short].into_iter().any(|known| known == name);
    let own = founding.genesis.as_ref().map_or_else(|| "-".to_owned(), |genesis| genesis.name.clone());
    let Some(genesis) = founding.genesis.filter(is_meant) else {
        let text = Bilingual::new(
            format!("本节点的台账名为“{own}”，不是“{name}”；未作任何改动"),
            format!("the registry of this node is {own}, not {name}; nothing was changed"),
        );
        return Err(Failure::new(Exit::Usage, "OTHER_REGISTRY", text));
    };
    let options = options(config, node, founding.used_before);
    let accepted = Driver::accept_loss(options, parts(keys, Arc::new(Nobody)), registry_spec(genesis)).await;
    accepted.map_err(|error| match &error {
        DriverError::Unfit { detail, .. } => {
            let text = Bilingual::new(format!("未作任何改动：{error}"), format!("nothing was changed: {detail}"));
            Failure::new(Exit::Refused, "NOT_ACCEPTED", text)
        }
        error => from_driver(error),
    })
}
