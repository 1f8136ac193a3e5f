//! A region that has lost its quorum for good, on one of the nodes that are left. Every step is taken by people, while the
//! node stands; none of them can be taken back.

use std::path::PathBuf;
use std::sync::Arc;

use shouwang_domain::region::Region;
use shouwang_domain::rescue::SignedStanding;
use shouwang_driver::{Driver, DriverOptions, HostSpec, Parts, Rescue};

use super::loss::Nobody;
use super::{identity, load_charters, options, parts, record_options, unchanged};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// The step is not due where the disk stands.
const NOT_NOW: &str = "RESCUE_NOT_NOW";

/// This node's word in a region: how far it has come, and that it takes part in nothing of this epoch any more.
///
/// # Errors
/// [`Failure`]: a node that runs, an unknown region, a record that does not read whole.
pub async fn stand(config: &Config, region: &str) -> Result<SignedStanding, Failure> {
    let (options, parts, spec) = prepared(config, region)?;
    Driver::stand(options, parts, spec).await.map_err(|error| unchanged(&error, NOT_NOW))
}

/// Begins the region's next epoch on this node. Answers the epoch and the revision it stands at.
///
/// # Errors
/// [`Failure`]: the region's refusal; as [`stand`].
pub async fn begin(config: &Config, region: &str, order: Rescue) -> Result<(u32, u64), Failure> {
    let (options, parts, spec) = prepared(config, region)?;
    Driver::rescue(options, parts, spec, order).await.map_err(|error| unchanged(&error, NOT_NOW))
}

/// Sets aside what this node holds of the epoch that it has ended, so that it joins the next. Answers where it lies.
///
/// # Errors
/// [`Failure`]: a node that has not given its word; as [`stand`].
pub async fn rejoin(config: &Config, region: &str) -> Result<PathBuf, Failure> {
    let (options, parts, spec) = prepared(config, region)?;
    Driver::set_aside(options, parts, spec).await.map_err(|error| unchanged(&error, NOT_NOW))
}

fn prepared(config: &Config, name: &str) -> Result<(DriverOptions, Parts, HostSpec<Region>), Failure> {
    let known = load_charters(config)?.into_iter().find(|(region, _)| region.name == name);
    let Some((_, charter)) = known else {
        let names = config.regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>().join(", ");
        let text = Bilingual::new(
            format!("配置中没有区域“{name}”（现有：{names}）；未作任何改动"),
            format!("the configuration has no region {name} (it has: {names}); nothing was changed"),
        );
        return Err(Failure::new(Exit::Usage, "REGION_UNKNOWN", text));
    };
    let (node, keys) = identity(config)?;
    Ok((options(config, node, true), parts(keys, Arc::new(Nobody)), HostSpec::found(charter, record_options(config))))
}
