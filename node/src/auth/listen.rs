//! Accepting: TCP, then the handshake under a deadline, then a connection that knows who is at its other end.
//!
//! What a stranger can make a node hold is bounded: handshakes under way, connections, connections of one caller, and the
//! time that handshake and first word may take. When too many shake hands at once, the one that has taken longest gives
//! way: an honest one is done in a moment, and strangers who say nothing push out one another. A place among the connections
//! is taken only by a caller who is known; one too many is closed at once, so that the caller sees it and tries another
//! node.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use tracing::{debug, info, warn};

use crate::auth::gathering::Gathering;
use crate::auth::identity::Identity;
use crate::auth::line::{impatient, narrowed};
use crate::auth::revoked::{Guarded, Revoked};
use crate::auth::share::{Full, Place, Places};
use crate::auth::tls::{Surface, TlsStore};

/// What one listener may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// Connections whose handshake is done.
    pub connections: usize,
    /// Connections of one caller, by its certificate.
    pub each: usize,
    /// Handshakes under way, beside the connections; one more ends the oldest.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long a caller may say nothing after it.
    pub first_word: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            each: 32,
            handshakes: 256,
            handshake: Duration::from_secs(10),
            first_word: Duration::from_secs(10),
        }
    }
}

/// Who is at the other end of a connection. Each request carries it among its extensions; a clone is one counter.
#[derive(Clone, Debug)]
pub struct PeerInfo(Arc<PeerFacts>);

#[derive(Debug)]
struct PeerFacts {
    identity: Arc<Identity>,
    remote: SocketAddr,
    surface: Surface,
}

impl PeerInfo {
    /// The identity of a caller of `surface`, at the address `remote`.
    pub fn new(identity: Identity, remote: SocketAddr, surface: Surface) -> Self {
        Self(Arc::new(PeerFacts { identity: Arc::new(identity), remote, surface }))
    }

    /// Who the caller is, by its verified certificate.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The same, for whoever keeps it.
    pub fn shared_identity(&self) -> &Arc<Identity> {
        &self.0.identity
    }

    /// Where the caller called from.
    pub fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    /// The listener it came through.
    pub fn surface(&self) -> Surface {
        self.0.surface
    }
}

/// A connection whose other end is known.
#[derive(Debug)]
pub struct TlsConn {
    stream: Gathering<Guarded<TlsStream<TcpStream>>>,
    peer: PeerInfo,
    /// When a caller who has said nothing yet is hung up on; HTTP/2's own questions begin only after its first word.
    silent_until: Option<Pin<Box<Sleep>>>,
    /// Given back when the connection ends.
    _place: Place,
}

impl TlsConn {
    /// Who is at the other end.
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }
}

impl Connected for TlsConn {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for TlsConn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(silent_until) = &mut self.silent_until {
            if buf.filled().len() > before {
                self.silent_until = None;
            } else if read.is_pending() && silent_until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for TlsConn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The accepted connections of one listener, as tonic's `serve_with_incoming` takes them. Dropping it stops accepting.
#[derive(Debug)]
pub struct TlsIncoming {
    accepted: mpsc::Receiver<TlsConn>,
    local: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsIncoming {
    /// Binds `address` and accepts callers of `surface`.
    ///
    /// # Errors
    /// What the operating system says when it does not give the address.
    pub async fn bind(
        address: SocketAddr,
        surface: Surface,
        store: Arc<TlsStore>,
        limits: ListenLimits,
    ) -> std::io::Result<Self> {
        Self::accept(TcpListener::bind(address).await?, surface, store, limits)
    }

    /// Accepts callers of `surface` from a listener that is bound already. Needs a tokio runtime.
    ///
    /// # Errors
    /// What the operating system says when the listener has no address.
    pub fn accept(
        listener: TcpListener,
        surface: Surface,
        store: Arc<TlsStore>,
        limits: ListenLimits,
    ) -> std::io::Result<Self> {
        let listener = narrowed(listener)?;
        let local = listener.local_addr()?;
        let (sender, accepted) = mpsc::channel(64);
        let door =
            Door { surface, store, limits, places: Arc::new(Places::new(limits.connections, limits.each)), sender };
        Ok(Self { accepted, local, accepting: tokio::spawn(door.keep(listener)) })
    }

    /// The address bound, with the port the system chose when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Stream for TlsIncoming {
    type Item = std::io::Result<TlsConn>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx).map(|conn| conn.map(Ok))
    }
}

impl Drop for TlsIncoming {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The task that accepts.
struct Door {
    surface: Surface,
    store: Arc<TlsStore>,
    limits: ListenLimits,
    places: Arc<Places>,
    sender: mpsc::Sender<TlsConn>,
}

impl Door {
    async fn keep(self, listener: TcpListener) {
        // The handshakes live in this task's set, so that they end with it.
        let mut handshakes = JoinSet::new();
        let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
        let most = self.limits.handshakes.max(1);
        loop {
            while let Some(ended) = handshakes.try_join_next() {
                log_panic(ended);
            }
            oldest_first.retain(|handshake| !handshake.is_finished());
            match listener.accept().await {
                Ok((tcp, remote)) => {
                    while oldest_first.len() >= most {
                        count(self.surface, "pushed_out");
                        oldest_first.pop_front().inspect(AbortHandle::abort);
                    }
                    if let Some(handshake) = self.handshake(tcp, remote) {
                        oldest_first.push_back(handshakes.spawn(handshake));
                    }
                }
                Err(error) => {
                    // Out of descriptors, or a caller that hung up: neither ends a listener. The pause keeps the first
                    // from spinning.
                    warn!(surface = self.surface.name(), %error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The handshake to run, after which the caller has a place or is closed; `None` without credentials to accept with.
    fn handshake(&self, tcp: TcpStream, remote: SocketAddr) -> Option<impl Future<Output = ()> + Send + 'static> {
        let surface = self.surface;
        let config = match self.store.server_config(surface) {
            Ok(config) => config,
            Err(error) => {
                warn!(surface = surface.name(), %error, "no credentials to accept with");
                return None;
            }
        };
        let (sender, deadline, first_word) = (self.sender.clone(), self.limits.handshake, self.limits.first_word);
        let places = Arc::clone(&self.places);
        let revoked = self.store.revoked();
        Some(async move {
            match tokio::time::timeout(deadline, shake_hands(tcp, remote, surface, (config, revoked))).await {
                Ok(Ok((stream, peer))) => {
                    let place = match places.take(peer.shared_identity()) {
                        Ok(place) => place,
                        Err(full) => return closed(surface, &peer, full),
                    };
                    count(surface, "ok");
                    debug!(surface = surface.name(), %remote, identity = %peer.identity(), "accepted");
                    let silent_until = Some(Box::pin(tokio::time::sleep(first_word)));
                    let stream = Gathering::new(stream);
                    // The receiver is gone only when the listener is being dropped.
                    drop(sender.send(TlsConn { stream, peer, silent_until, _place: place }).await);
                }
                Ok(Err(error)) => {
                    count(surface, "refused");
                    info!(surface = surface.name(), %remote, %error, "handshake refused");
                }
                Err(_) => {
                    count(surface, "timeout");
                    info!(surface = surface.name(), %remote, ?deadline, "handshake took too long");
                }
            }
        })
    }
}

async fn shake_hands(
    tcp: TcpStream,
    remote: SocketAddr,
    surface: Surface,
    (config, revoked): (Arc<rustls::ServerConfig>, watch::Receiver<Arc<Revoked>>),
) -> std::io::Result<(Guarded<TlsStream<TcpStream>>, PeerInfo)> {
    let stream = TlsAcceptor::from(config).accept(impatient(tcp)?).await?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or_else(|| std::io::Error::other("the caller showed no certificate"))?
        .clone();
    let identity = Identity::from_certificate(&certificate).map_err(std::io::Error::other)?;
    Ok((Guarded::new(stream, &certificate, revoked), PeerInfo::new(identity, remote, surface)))
}

/// Notes that a caller found no place.
fn closed(surface: Surface, peer: &PeerInfo, full: Full) {
    let (result, why) = match full {
        Full::All => ("full", "all places are taken"),
        Full::Caller => ("caller_full", "this caller has all it may"),
    };
    count(surface, result);
    info!(surface = surface.name(), remote = %peer.remote(), identity = %peer.identity(), "closed: {why}");
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "a handshake task ended badly");
    }
}

fn count(surface: Surface, result: &'static str) {
    metrics::counter!("shouwang_tls_handshakes_total", "surface" => surface.name(), "result" => result).increment(1);
}
