//! A hostile peer and hostile clients against a node that runs as a process of its own: whatever they hold, send or leave
//! unread, the node goes on serving its people within their deadline, and its memory stays within bounds.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod calls;
mod guest;
mod messages;
mod strangers;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use shouwang::auth::{ExpectedNode, Identity, Municipality, Target, TlsPaths, TlsStore};
use shouwang_cluster::Federation;
use shouwang_cluster::federation::{self, FEDERATION, MemberSpec};
use shouwang_cluster::process::Ports;
use shouwang_cluster::story::{ALXA, ORDOS, WUHAI};

use guest::Guest;

/// What is attacked, and with whose papers.
pub struct Scene<'a> {
    federation: &'a Federation,
    ports: Ports,
}

/// What attackers hold while the guest asks to be served.
pub type Held = Vec<Box<dyn std::any::Any>>;

impl Scene<'_> {
    /// The papers of an operator of the node that is attacked.
    fn operator(&self, role: &str) -> Result<Arc<TlsStore>> {
        let folder = self.federation.home(WUHAI).join(format!("operators/{role}-2"));
        let files =
            std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        let kind = |path: &Path| path.extension().is_some_and(|kind| kind == "key");
        let key = files.iter().find(|path| kind(path)).context("a key")?.clone();
        let cert = files.iter().find(|path| !kind(path) && !path.ends_with("ca.pem")).context("a certificate")?.clone();
        Ok(TlsStore::open(TlsPaths { ca: folder.join("ca.pem"), cert, key }, None)?)
    }

    /// The papers of a member's node that is not running: its place is the attacker's.
    fn peer(&self) -> Result<Arc<TlsStore>> {
        let folder = self.federation.home(ALXA).join("tls");
        let paths = TlsPaths { ca: folder.join("ca.pem"), cert: folder.join("node.pem"), key: folder.join("node.key") };
        Ok(TlsStore::open(paths, None)?)
    }

    /// The node's listener for operators, or for other nodes.
    fn target(&self, peers: bool) -> Target {
        let port = if peers { self.ports.peer } else { self.ports.operator };
        let municipality = Municipality::new(WUHAI).unwrap();
        let identity = Identity::node(FEDERATION, municipality, 1).unwrap();
        let expected = ExpectedNode::exactly(&identity).unwrap();
        Target { address: format!("127.0.0.1:{port}"), expected }
    }
}

fn members() -> Vec<MemberSpec> {
    federation::members(&[WUHAI, ORDOS, ALXA])
}

#[test]
fn hostile_callers_neither_stop_a_node_nor_fill_its_memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut federation = Federation::found(&folder.path().join("federation"), &members())?;
    // Calls that nobody ends are ended soon, so that this test can wait for it.
    let config = federation.home(WUHAI).join("shouwang.toml");
    let text = std::fs::read_to_string(&config)?.replace("# request_seconds = 30", "request_seconds = 5");
    std::fs::write(&config, text)?;
    for code in [WUHAI, ORDOS] {
        federation.node(code).start()?;
    }
    for code in [WUHAI, ORDOS] {
        federation.node(code).wait_ready()?;
    }
    let ports = federation.node(WUHAI).ports;
    let mut guest = Guest::new(federation.terminal(WUHAI, "keeper"), federation.node(WUHAI))?;
    let scene = Scene { federation: &federation, ports };
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let attack = |guest: &mut Guest, what: &str, held: Result<Held>| -> Result<()> {
        let held = held.with_context(|| what.to_owned())?;
        guest.is_served(what)?;
        drop(held);
        Ok(())
    };
    attack(&mut guest, "before anything", Ok(Vec::new()))?;
    attack(&mut guest, "strangers who say nothing", strangers::silent(&scene))?;
    attack(&mut guest, "a crowd", strangers::crowd(&scene))?;
    attack(&mut guest, "callers who are let in and say nothing", runtime.block_on(strangers::mute(&scene)))?;
    attack(&mut guest, "messages that are too large", runtime.block_on(calls::oversized(&scene)))?;
    attack(&mut guest, "messages full of nothing", runtime.block_on(messages::hollow(&scene)))?;
    attack(&mut guest, "calls without an end", runtime.block_on(calls::endless(&scene)))?;
    attack(&mut guest, "watches that nobody reads", runtime.block_on(calls::unread(&scene)))?;
    attack(&mut guest, "streams of calls that nobody reads", runtime.block_on(calls::stuffed(&scene)))?;
    attack(&mut guest, "messages that look valid", runtime.block_on(messages::through_reflection(&scene)))?;
    attack(&mut guest, "transfers that nobody takes", runtime.block_on(calls::untaken(&scene)))?;
    attack(&mut guest, "frames of a member that lies", runtime.block_on(messages::lying_peer(&scene)))?;
    guest.summary();
    Ok(())
}
