//! What TCP is told about lines that go bad without a word.
//!
//! Left to itself, TCP believes in a connection for a quarter of an hour after the last that was heard on it, asks again
//! after pauses that double, so that a line that is back is noticed as late again as it was away, and sends packets as large
//! as its own machine can, whatever the tunnels on their way can carry. Here it gives up soon, so that whoever dialled
//! begins anew on whatever line there is then, and its packets pass wherever IPv6 could.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

/// How long connecting may take, the handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection on which nothing is heard is asked whether it lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to that may take: on a thin line it waits behind the checkpoint of a member that joins. A line that is
/// dead tells before, as the question stays unacknowledged; this is for a machine that lives and a program that does not.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long what was sent may stay unacknowledged before the connection is given up. More than a thin line takes to make up
/// for what its modem had no room for, or a line that is only slow would never get anything across.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
/// Most bytes that wait in the operating system until they can be sent: what is more urgent waits behind them.
const UNSENT_BYTES: u32 = 16 << 10;
/// Most bytes of one segment: with its headers a packet of 1,280, which IPv6 lets pass everywhere.
const SEGMENT_BYTES: u32 = 1_220;

/// Lets callers of a listener send no larger packets than pass everywhere.
///
/// # Errors
/// The operating system refuses.
pub fn narrowed(listener: TcpListener) -> Result<TcpListener> {
    SockRef::from(&listener).set_tcp_mss(SEGMENT_BYTES)?;
    Ok(listener)
}

/// Lets a connection send at once, hold little back, and end when nobody acknowledges what it sends.
///
/// # Errors
/// The operating system refuses.
pub fn impatient(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    Ok(stream)
}

/// Connects to `host:port`. Where a name has several addresses, one that leads nowhere leaves time for the others.
///
/// # Errors
/// Nobody answers at any of its addresses.
pub async fn dial(address: &str) -> Result<TcpStream> {
    dial_any(&lookup_host(address).await?.collect::<Vec<_>>()).await
}

async fn dial_any(addresses: &[SocketAddr]) -> Result<TcpStream> {
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failed = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, dial_one(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = Error::new(ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(failed)
}

async fn dial_one(address: SocketAddr) -> Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES)?;
    impatient(socket.connect(address).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn both_ends_are_narrow_and_impatient() {
        let listener = narrowed(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let by_name = format!("localhost:{}", address.port());
        let (dialled, accepted) = tokio::join!(dial(&by_name), listener.accept());
        for stream in [dialled.unwrap(), impatient(accepted.unwrap().0).unwrap()] {
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_mss().unwrap() <= SEGMENT_BYTES);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_MAX));
            assert!(stream.nodelay().unwrap());
        }
        // A caller who knows nothing of it is held to it by the listener, and the other way round.
        let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        for stream in [dialled.unwrap(), accepted.unwrap().0] {
            assert!(SockRef::from(&stream).tcp_mss().unwrap() <= SEGMENT_BYTES);
        }
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = plain.local_addr().unwrap().to_string();
        let (dialled, accepted) = tokio::join!(dial(&address), plain.accept());
        for stream in [dialled.unwrap(), accepted.unwrap().0] {
            assert!(SockRef::from(&stream).tcp_mss().unwrap() <= SEGMENT_BYTES);
        }
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_leaves_time_for_the_next() {
        // Whoever listens with no room for callers lets them ask in vain.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let nowhere = full.local_addr().unwrap();
        let _first_in = TcpStream::connect(nowhere).await.unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [nowhere, good.local_addr().unwrap()];

        let began = Instant::now();
        let dialled = dial_any(&addresses).await.unwrap();
        assert_eq!(dialled.peer_addr().unwrap(), addresses[1]);
        assert!(began.elapsed() >= CONNECT_TIMEOUT / 2, "the first one was given its share of the time");
        assert!(began.elapsed() < CONNECT_TIMEOUT, "and no more");
        assert_eq!(dial_any(&addresses[..1]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn nobody_at_an_address_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(dial(&address.to_string()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
