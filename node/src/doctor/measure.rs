//! Asking the machine and the other nodes.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shouwang_proto::admin::v1::{GetNodeStatusResponse, StoreFinding};
use shouwang_store::reserve::{DiskSpace, SpaceState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::api::convert::words;
use crate::api::read::clock;
use crate::auth::{ExpectedNode, Target, TlsStore, connect};
use crate::cli::charter::node_id;
use crate::config::{Config, PeerAddress};
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;
use crate::pki::{Inspected, inspect};
use crate::serve::check::{LOCKED, Report, check};

/// Synced writes that are timed.
const SYNCS: usize = 200;
/// Bytes of each: a small log entry.
const SYNC_BYTES: usize = 4096;
/// Syncing is given up after this long, so that a hopeless disk does not hold the examination up.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer may take to answer.
const PEER_PATIENCE: Duration = Duration::from_secs(6);

/// Room on the disk that holds `folder` or, until there is one, its nearest parent.
///
/// # Errors
/// What the system says.
pub fn free_bytes(folder: &Path) -> Result<SpaceState, String> {
    DiskSpace::default().check(existing(folder)).map_err(|error| error.to_string())
}

fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

/// How long synced writes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syncs {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// Times synced writes beside the records, in a scratch file that is gone afterwards.
///
/// # Errors
/// What the system says.
pub fn fsync(folder: &Path) -> Result<Syncs, String> {
    let path = existing(folder).join(format!(".doctor-{}", std::process::id()));
    let timed = time_syncs(&path);
    // A file that was never made cannot be removed.
    let _ = std::fs::remove_file(&path);
    timed.map_err(|error| format!("{}: {error}", path.display()))
}

fn time_syncs(path: &Path) -> std::io::Result<Syncs> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    let (began, block) = (Instant::now(), [0x5a; SYNC_BYTES]);
    let mut taken = Vec::with_capacity(SYNCS);
    while taken.len() < SYNCS && (taken.is_empty() || began.elapsed() < SYNC_PATIENCE) {
        let one = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        taken.push(one.elapsed());
    }
    taken.sort_unstable();
    // At least one was timed.
    Ok(Syncs { p50: taken[taken.len() / 2], p99: taken[(taken.len() * 99 / 100).min(taken.len() - 1)] })
}

/// What is known of the records on the disk.
#[derive(Clone, Debug)]
pub enum Store {
    /// The node stands, and all of it was read.
    Read(Report),
    /// The node runs, and says what it has found since it started.
    Told(Vec<StoreFinding>),
    /// The node runs, and could not be asked.
    Unasked(String),
    /// It cannot be read at all.
    Unread(Failure),
}

/// Reads the node's disk, or asks the node that has it open.
pub async fn store(config: &Config, ask: impl AsyncFnOnce() -> Result<GetNodeStatusResponse, Failure>) -> Store {
    let own = config.clone();
    let read = tokio::task::spawn_blocking(move || check(&own, &|_, _, _| ())).await;
    match read {
        Ok(Ok(report)) => Store::Read(report),
        Ok(Err(failure)) if failure.code == LOCKED => match ask().await {
            Ok(status) if node_id(config).is_ok_and(|own| status.node == words::node(own)) => {
                Store::Told(status.findings)
            }
            Ok(status) => Store::Unasked(format!("{} answered", status.node)),
            Err(failure) => Store::Unasked(failure.code.to_owned()),
        },
        Ok(Err(failure)) => Store::Unread(failure),
        Err(panic) => Store::Unread(Failure::new(
            Exit::Failure,
            "DISK_CHECK",
            Bilingual::new(panic.to_string(), panic.to_string()),
        )),
    }
}

/// What is at an address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nobody: a node can listen there.
    Free,
    /// Somebody listens: this node, or somebody in its place.
    Answers,
    /// It cannot be used, and the system says why.
    Unusable(String),
}

/// Tries an address of this node's own.
pub fn port(address: SocketAddr) -> Port {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            match std::net::TcpStream::connect_timeout(&reachable(address), Duration::from_secs(2)) {
                Ok(_) => Port::Answers,
                Err(error) => Port::Unusable(format!("taken, and silent: {error}")),
            }
        }
        Err(error) => Port::Unusable(error.to_string()),
    }
}

/// Where a listener on all addresses is found from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// What the files of keys and certificates are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Why they cannot be used together; nothing when they can.
    pub trouble: Option<String>,
    /// Whole days the node's certificate lasts.
    pub node_days: Option<i64>,
    /// Whole days the CA's certificate lasts.
    pub ca_days: Option<i64>,
    /// How many certificates the list of revoked ones holds; nothing when the files cannot be used together.
    pub revoked: Option<usize>,
}

/// Reads them again, one by one. `tls` is what the node itself makes of them.
pub fn certificates(config: &Config, tls: &Result<Arc<TlsStore>, String>) -> Certificates {
    let days = |path: &Path| match inspect(path) {
        Ok(Inspected::Certificate { days_left, .. }) => Some(days_left),
        _ => None,
    };
    Certificates {
        trouble: tls.as_ref().err().cloned(),
        node_days: days(&config.tls.cert),
        ca_days: days(&config.tls.ca),
        revoked: tls.as_ref().ok().map(|tls| tls.revoked().borrow().len()),
    }
}

/// A peer that answered as who it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// How long a call and its answer took on an open connection.
    pub round_trip: Duration,
    /// How far its clock is ahead of ours, in milliseconds, to about half a second; `None` when it does not tell the time.
    pub offset_ms: Option<i64>,
}

/// Dials a peer as the node would, with its certificate, and asks it anything: even a refusal tells the time.
///
/// # Errors
/// Why nobody, or somebody else, answers.
pub async fn peer(federation: &str, peer: &PeerAddress, tls: &Arc<TlsStore>) -> Result<Peer, String> {
    let (municipality, node) = (Some(peer.node.municipality), Some(peer.node.node));
    let expected = ExpectedNode { federation: federation.to_owned(), municipality, node };
    let target = Target { address: peer.address.clone(), expected };
    let asked = async {
        let channel = connect(&target, tls).await.map_err(|error| error.to_string())?;
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|error| error.to_string())?;
        let (began, before) = (Instant::now(), clock().0);
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let codec = ProstCodec::<(), ()>::default();
        let answer = client.unary(tonic::Request::new(()), path, codec).await;
        let round_trip = began.elapsed();
        let metadata = match &answer {
            Ok(response) => response.metadata(),
            Err(status) => status.metadata(),
        };
        let date = metadata.get("date").and_then(|date| date.to_str().ok()).and_then(at_ms);
        // The header has whole seconds: it is half a second old on average, and was written half-way.
        let offset_ms = date.map(|at| at + 500 - before.midpoint(clock().0));
        Ok(Peer { round_trip, offset_ms })
    };
    tokio::time::timeout(PEER_PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The time of an HTTP date (RFC 9110 §5.6.7), in milliseconds since 1970.
fn at_ms(date: &str) -> Option<i64> {
    let date = date.replace("GMT", "+0000");
    Some(OffsetDateTime::parse(&date, &Rfc2822).ok()?.unix_timestamp() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_timed_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = fsync(&dir.path().join("records")).unwrap();
        assert!(syncs.p50 <= syncs.p99 && !syncs.p50.is_zero());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(matches!(free_bytes(dir.path()), Ok(SpaceState::Ok(_) | SpaceState::Low(_) | SpaceState::Full(_))));
    }

    #[test]
    fn a_port_is_free_or_answers() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port(address), Port::Answers);
        drop(taken);
        assert_eq!(port(address), Port::Free);
        assert!(matches!(port("192.0.2.1:7300".parse().unwrap()), Port::Unusable(_)));
        assert_eq!(reachable("0.0.0.0:7300".parse().unwrap()), "127.0.0.1:7300".parse().unwrap());
    }

    #[test]
    fn http_dates_are_read() {
        assert_eq!(at_ms("Thu, 26 Nov 2026 11:12:33 GMT"), Some(1_795_691_553_000));
        assert_eq!(at_ms("yesterday"), None);
    }
}
