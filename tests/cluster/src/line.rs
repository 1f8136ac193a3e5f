//! A line between two nodes that can be cut, far or thin: a TCP forwarder on loopback.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Reads that may be under way on a line at once, each of at most 16 KiB.
const QUEUE: usize = 256;

/// One direction of dialling: whoever connects to [`Line::port`] speaks with the far end, unless the line is cut.
#[derive(Debug)]
pub struct Line {
    /// Where to dial.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cut: AtomicBool,
    closed: AtomicBool,
    /// How long everything is under way at least, in milliseconds, and how much longer some of it.
    delay_ms: AtomicU64,
    jitter_ms: AtomicU64,
    /// Bytes a second; 0 for as many as come.
    rate: AtomicU64,
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
        let shared = Arc::new(Shared::default());
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

    /// Makes the line far: everything takes `delay_ms` in each direction, and up to `jitter_ms` longer.
    pub fn far(&self, delay_ms: u64, jitter_ms: u64) {
        self.shared.delay_ms.store(delay_ms, Ordering::SeqCst);
        self.shared.jitter_ms.store(jitter_ms, Ordering::SeqCst);
    }

    /// Makes the line thin: so many bytes a second in each direction; 0 for as many as come.
    pub fn thin(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::SeqCst);
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
                let line = Arc::clone(self);
                std::thread::spawn(move || line.carry(from, &to));
            }
        }
        // Cut in the meantime: the new pair goes with the others.
        if self.cut.load(Ordering::SeqCst) {
            self.hang_up();
        }
    }
}

impl Shared {
    /// Carries bytes from one end to the other until either hangs up. What is read waits its time in a queue, so that a
    /// far line is late and not slow.
    fn carry(&self, mut from: TcpStream, to: &TcpStream) {
        let (queue, waiting) = mpsc::sync_channel::<(Instant, Vec<u8>)>(QUEUE);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut to = to;
                // The end of the queue, or of the far end, is the end of the line.
                for (due, bytes) in waiting {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if to.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Both);
            });
            let (mut buffer, mut turn) = (vec![0; 16 * 1024], 0_u64);
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if let Some(ms) = (count as u64 * 1000).checked_div(self.rate.load(Ordering::SeqCst)) {
                    std::thread::sleep(Duration::from_millis(ms));
                }
                turn += 1;
                // Uneven from one read to the next; chance is not needed for that.
                let jitter = self.jitter_ms.load(Ordering::SeqCst) * (turn * 7 % 10) / 9;
                let due = Instant::now() + Duration::from_millis(self.delay_ms.load(Ordering::SeqCst) + jitter);
                if queue.send((due, buffer[..count].to_vec())).is_err() {
                    break;
                }
            }
            drop(queue);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || Shared::default().carry(stream.try_clone().unwrap(), &stream));
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
    #[test]
    fn a_far_line_is_late_and_a_thin_one_slow() {
        let line = Line::to(echo()).unwrap();
        let asks = |line: &Line| {
            let began = Instant::now();
            assert!(speaks(line.port));
            began.elapsed()
        };
        line.far(60, 30);
        assert!(asks(&line) >= Duration::from_millis(120), "there and back");
        line.far(0, 0);
        line.thin(40);
        assert!(asks(&line) >= Duration::from_millis(200), "four bytes there and back");
        line.thin(0);
        assert!(speaks(line.port));
    }
}
