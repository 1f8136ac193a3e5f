//! What a node is: its TOML file, the environment and the command line, joined into one [`Config`].
//!
//! [`load`] is the entry point. A flag goes before the environment, the environment before the file, the file before the
//! default; [`Loaded::settings`] tells where each value came from. A key nobody knows is refused, all faults are told at
//! once.

mod check;
mod file;
mod keys;
mod problem;
mod resolve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use shouwang_driver::Packs;

use crate::api;
use crate::auth::identity::{Identity, IdentityError, Municipality, NodeName};
use crate::auth::tls::TlsPaths;

pub use keys::{KEYS, Key, Kind};
pub use problem::{ConfigError, Problem};
pub use resolve::{Loaded, Origin, Setting, Sources, find_file, load};

/// The name of a node's configuration file.
pub const FILE_NAME: &str = "shouwang.toml";

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// How fast the records' Raft groups tick, by the lines between the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Members in one building or on one loopback: a lost leader is replaced within a fraction of a second.
    Lan,
    /// Members in different cities: slow lines do not cost the leader its lead.
    #[default]
    Wan,
}

impl Timing {
    /// Which frames between nodes are compressed. In one building to compress a single command takes longer than to send it as
    /// it is, and frames of forty commands come only where the processor is short and the line is not; between cities every
    /// byte counts.
    pub const fn packs(self) -> Packs {
        match self {
            Self::Lan => Packs { from: 1024, up_to: 16 << 10 },
            Self::Wan => Packs::ALL,
        }
    }
}

impl From<Timing> for shouwang_driver::Timing {
    fn from(timing: Timing) -> Self {
        match timing {
            Timing::Lan => Self::lan(),
            Timing::Wan => Self::wan(),
        }
    }
}

/// The listener for other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What others dial, `host:port`.
    pub advertise: String,
}

/// What the node may hold and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of other nodes.
    pub peer_connections: usize,
    /// Connections of operators.
    pub operator_connections: usize,
    /// Connections of one certificate, on each listener; see [`Limits::peer_connections_each`].
    pub caller_connections: usize,
    /// What is done at once for operators.
    pub api: api::Limits,
    /// How long a graceful stop may take before connections are cut.
    pub drain_timeout: Duration,
}

/// Connections of one node that are any use: it needs one, and another while it finds out that the first is dead.
const PEER_CONNECTIONS_EACH: usize = 8;

impl Limits {
    /// Connections of one node.
    pub fn peer_connections_each(&self) -> usize {
        PEER_CONNECTIONS_EACH.min(self.caller_connections)
    }
}

/// Another member's node, as this node finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Which node.
    pub node: NodeName,
    /// Where it answers, `host:port`.
    pub address: String,
}

/// A region this node takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionConfig {
    /// The region's short name, of a-z, 0-9 and '-'.
    pub name: String,
    /// The charter its members signed.
    pub charter: PathBuf,
    /// Where its members' nodes answer.
    pub peers: Vec<PeerAddress>,
}

/// A node's whole configuration, checked. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The federation.
    pub federation: String,
    /// Whose node this is.
    pub municipality: Municipality,
    /// The municipality's short name for working numbers (乌).
    pub short: String,
    /// The node's number within the municipality, from 1.
    pub node: u32,
    /// Which of the municipality's nodes keeps its registry.
    pub registry_node: u32,
    /// Where the records lie.
    pub data_dir: PathBuf,
    /// The listener for other nodes.
    pub peer: PeerConfig,
    /// The listener for operators.
    pub operator_listen: SocketAddr,
    /// The plain listener for /metrics, /livez and /readyz; keep it on the loopback or a management network.
    pub metrics_listen: SocketAddr,
    /// The TLS credentials.
    pub tls: TlsPaths,
    /// The record-signing key, the first of this node; later ones lie beside it.
    pub signing_key: PathBuf,
    /// The highest feature level of a region that this node goes along with, if it is held back.
    pub hold_level: Option<u32>,
    /// The timing profile.
    pub timing: Timing,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written.
    pub log_level: String,
    /// Limits.
    pub limits: Limits,
    /// The regions.
    pub regions: Vec<RegionConfig>,
}

impl Config {
    /// The identity this node must carry in its certificate.
    ///
    /// # Errors
    /// [`IdentityError`] when the fields were changed to something [`load`] would have refused.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        Identity::node(&self.federation, self.municipality, self.node)
    }
}
