//! A line between two nodes that can be cut: a TCP forwarder on loopback.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

/// One direction of dialling: whoever connects to [`Line::port`] speaks with the far end, unless the line is cut.
#[derive(Debug)]
pub struct Line {
    /// Where to dial.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cut: AtomicBool,
    closed: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    /// A line to a port of this machine.
    ///
    /// # Errors
    /// The operating system gives no port.
    pub fn to(far: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Shared { cut: AtomicBool::new(false), closed: AtomicBool::new(false), open: Mutex::default() };
        let shared = Arc::new(shared);
        let keeper = Arc::clone(&shared);
        std::thread::spawn(move || keeper.accept(&listener, SocketAddr::from(([127, 0, 0, 1], far))));
        Ok(Self { port, shared })
    }

    /// Cuts the line, connections under way included, or mends it.
    pub fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
        if cut {
            self.shared.hang_up();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.hang_up();
        // Wakes the accepting thread, so that it sees that the line is gone.
        drop(TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], self.port)), Duration::from_secs(1)));
    }
}

impl Shared {
    fn hang_up(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            // A connection that has ended already is just as well hung up.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, far: SocketAddr) {
        for near in listener.incoming() {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            let Ok(near) = near else { continue };
            if self.cut.load(Ordering::SeqCst) {
                continue;
            }
            let Ok(far) = TcpStream::connect_timeout(&far, Duration::from_secs(2)) else { continue };
            self.join(near, far);
        }
    }

    fn join(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        for stream in [&near, &far] {
            let _ = stream.set_nodelay(true);
        }
        let copies = [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())];
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended needs no hanging up; keeping it would keep its descriptor.
        open.retain(|stream| stream.peer_addr().is_ok() && stream.take_error().is_ok_and(|error| error.is_none()));
        open.extend([near, far]);
        drop(open);
        for (from, to) in copies {
            if let (Ok(from), Ok(to)) = (from, to) {
                std::thread::spawn(move || carry(from, to));
            }
        }
        // Cut in the meantime: the new pair goes with the others.
        if self.cut.load(Ordering::SeqCst) {
            self.hang_up();
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || carry(stream.try_clone().unwrap(), stream));
            }
        });
        port
    }

    fn speaks(port: u16) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut answer = [0; 4];
        stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"ping"
    }

    #[test]
    fn a_cut_line_is_dead_and_a_mended_one_lives() {
        let line = Line::to(echo()).unwrap();
        assert!(speaks(line.port));
        let mut held = TcpStream::connect(("127.0.0.1", line.port)).unwrap();
        held.write_all(b"ping").unwrap();
        let mut answer = [0; 4];
        held.read_exact(&mut answer).unwrap();
        line.cut(true);
        assert_eq!(held.read(&mut answer).unwrap_or(0), 0, "connections under way end");
        assert!(!speaks(line.port));
        line.cut(false);
        assert!(speaks(line.port));
    }
}
