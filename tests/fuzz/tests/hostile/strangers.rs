//! Callers who connect and say nothing: without papers, in a crowd, and with papers that let them in.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use shouwang::auth::{Target, TlsStore};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::{Held, Scene};

/// More than may shake hands at once.
const SILENT: usize = 400;
/// Connections of the crowd, if the system gives as many.
const CROWD: usize = 10_000;
/// Callers of the crowd who connect at once.
const AT_ONCE: usize = 50;
/// Connections that one certificate asks for.
const MUTE: usize = 100;
/// Connections that one certificate gets: limits.caller_connections, and eight for a node.
const OPERATOR_EACH: usize = 32;
const PEER_EACH: usize = 8;
/// How long after the handshake a caller may say nothing, and what is granted beside it here.
const FIRST_WORD: Duration = Duration::from_secs(10 + 10);

/// Many at once: one that finds the kernel's queue full waits a second, and should not make the next wait.
fn connections(port: u16, count: usize) -> Result<Vec<TcpStream>> {
    let part = || (0..count / AT_ONCE).map(|_| TcpStream::connect(("127.0.0.1", port))).collect::<Result<Vec<_>, _>>();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(part)).collect();
        let mut all = Vec::new();
        for part in parts {
            all.extend(part.join().expect("connecting does not panic")?);
        }
        Ok(all)
    })
}

/// TCP is accepted, TLS never begins.
pub fn silent(scene: &Scene<'_>) -> Result<Held> {
    let operators = connections(scene.ports.operator, SILENT)?;
    Ok(vec![Box::new(operators), Box::new(connections(scene.ports.peer, SILENT)?)])
}

/// As many connections as the system gives this process, on both listeners.
pub fn crowd(scene: &Scene<'_>) -> Result<Held> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let count = CROWD.min(files.saturating_sub(500));
    println!("hostile: a crowd of {count} connections");
    let operators = connections(scene.ports.operator, count / 2)?;
    Ok(vec![Box::new(operators), Box::new(connections(scene.ports.peer, count / 2)?)])
}

/// TLS is finished, HTTP/2 never begins: no more are let in than one caller may hold, and those end.
pub async fn mute(scene: &Scene<'_>) -> Result<Held> {
    let operators = held(scene.operator("admin")?, scene.target(false));
    let peers = held(scene.peer()?, scene.target(true));
    let (operators, peers) = tokio::try_join!(operators, peers)?;
    println!("hostile: one operator held {operators} connections, one node {peers}");
    ensure!((1..=OPERATOR_EACH).contains(&operators) && (1..=PEER_EACH).contains(&peers));
    Ok(Vec::new())
}

/// How many of many connections by one certificate are let in, until they are ended for saying nothing.
async fn held(store: Arc<TlsStore>, target: Target) -> Result<usize> {
    let mut callers = JoinSet::new();
    for _ in 0..MUTE {
        let (store, target) = (store.clone(), target.clone());
        callers.spawn(async move {
            let Ok(mut stream) = crate::calls::tls(&store, &target).await else { return Ok(Duration::ZERO) };
            // With TLS 1.3 only what comes next tells whether one was let in: a greeting, or the end at once.
            let (started, mut said) = (Instant::now(), Vec::new());
            let ended = tokio::time::timeout(FIRST_WORD, stream.read_to_end(&mut said)).await;
            ensure!(ended.is_ok(), "a caller who says nothing is still held");
            Ok(started.elapsed())
        });
    }
    let mut held = 0;
    while let Some(caller) = callers.join_next().await {
        held += usize::from(caller?? > Duration::from_secs(5));
    }
    Ok(held)
}
