//! What a node's keeper should know before the night it matters: measured, judged, and with what to do about it.
//!
//! [`measure`] asks the machine and the other nodes; it changes nothing but a scratch file that it removes. [`judge`]
//! turns what was measured into findings, without asking anything. What must never stand here: a repair.

pub mod judge;
pub mod measure;

use std::sync::Arc;

use serde::Serialize;
use shouwang_domain::charter::Charter;
use shouwang_proto::admin::v1::GetNodeStatusResponse;

use crate::auth::{NodeName, TlsStore};
use crate::charter;
use crate::config::{Config, PeerAddress};
use crate::exit::Failure;
use crate::lang::Bilingual;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works; somebody should see to it.
    Warning,
    /// It does not work, or will not when it is needed.
    Bad,
}

impl Verdict {
    /// The word, in both languages.
    pub const fn word(self) -> Bilingual {
        match self {
            Self::Good => Bilingual::fixed("正常", "good"),
            Self::Warning => Bilingual::fixed("注意", "warning"),
            Self::Bad => Bilingual::fixed("不合格", "bad"),
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name, e.g. `disk.fsync`.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: Bilingual,
    /// What to do about it; nothing when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<Bilingual>,
}

impl Finding {
    fn good(check: &'static str, found: Bilingual) -> Self {
        Self { check, verdict: Verdict::Good, found, mend: None }
    }

    fn warning(check: &'static str, found: Bilingual, mend: Bilingual) -> Self {
        Self { check, verdict: Verdict::Warning, found, mend: Some(mend) }
    }

    fn bad(check: &'static str, found: Bilingual, mend: Bilingual) -> Self {
        Self { check, verdict: Verdict::Bad, found, mend: Some(mend) }
    }
}

/// Looks at everything, in the order in which a node needs it. Takes some seconds: a silent peer is waited for; and as long
/// as it takes to read the disk of a node that stands. A node that runs has its disk open: `ask` asks it what it has found.
pub async fn examine(
    config: &Config,
    ask: impl AsyncFnOnce() -> Result<GetNodeStatusResponse, Failure>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let space = measure::free_bytes(&config.data_dir);
    findings.push(judge::space(&config.data_dir, space));
    findings.push(judge::fsync(config.timing.into(), &measure::fsync(&config.data_dir)));
    findings.push(judge::store(&measure::store(config, ask).await));
    for (key, address) in [
        ("peer.listen", config.peer.listen),
        ("operator.listen", config.operator_listen),
        ("metrics.listen", config.metrics_listen),
    ] {
        findings.push(judge::port(key, address, &measure::port(address)));
    }
    let identity = config.identity().map_err(|error| error.to_string());
    let tls =
        identity.and_then(|who| TlsStore::open(config.tls.clone(), Some(&who)).map_err(|error| error.to_string()));
    findings.extend(judge::certificates(&measure::certificates(config, &tls)));
    for region in &config.regions {
        let charter = charter::load_complete(&region.charter).map(|signed| signed.charter);
        let Ok(charter) = charter else {
            findings.push(judge::no_charter(&region.name, &region.charter));
            continue;
        };
        findings.extend(region_findings(config, &region.name, &charter, &region.peers, tls.as_ref().ok()).await);
    }
    findings
}

/// The peers of a region, their clocks, and what a quorum needs.
async fn region_findings(
    config: &Config,
    region: &str,
    charter: &Charter,
    peers: &[PeerAddress],
    tls: Option<&Arc<TlsStore>>,
) -> Vec<Finding> {
    let Some(tls) = tls else { return Vec::new() };
    let asked = peers.iter().map(|peer| measure::peer(&config.federation, peer, tls));
    let answers = futures_util::future::join_all(asked).await;
    let mut findings: Vec<Finding> =
        peers.iter().zip(&answers).map(|(peer, answer)| judge::peer(region, peer, answer.as_ref())).collect();
    let offsets: Vec<i64> = answers.iter().flatten().filter_map(|answer| answer.offset_ms).collect();
    findings.extend(judge::clock(region, &offsets));
    let own = NodeName { municipality: config.municipality, node: config.node };
    let answered = peers.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(peer, _)| peer.node);
    let in_touch: Vec<NodeName> = answered.chain([own]).collect();
    findings.push(judge::quorum(region, charter, &in_touch));
    findings
}
