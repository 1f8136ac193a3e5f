//! What the machine itself takes: one synced write, and one word there and back. No durable commit on a quorum is faster.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::figures::quantile;

/// How often each is measured.
const TIMES: usize = 300;
/// Bytes of one synced write: a page.
const PAGE: usize = 4096;

/// The machine's own times, in the middle.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// `fdatasync` of a page that was appended.
    pub sync: Duration,
    /// A word to another thread over loopback and back.
    pub round_trip: Duration,
}

impl Floor {
    /// Measures both; the file lies in `folder`. Blocks for a part of a second.
    ///
    /// # Errors
    /// No file, or no port of loopback.
    pub fn measure(folder: &Path) -> Result<Self> {
        Ok(Self { sync: sync(folder)?, round_trip: round_trip()? })
    }

    /// One of each.
    pub fn sum(self) -> Duration {
        self.sync + self.round_trip
    }
}

fn middle(mut times: Vec<Duration>) -> Result<Duration> {
    quantile(&mut times, 0.5).context("nothing was measured")
}

fn sync(folder: &Path) -> Result<Duration> {
    let path = folder.join("floor");
    let mut file = File::create(&path)?;
    let page = [0x5A; PAGE];
    let once = |_| {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let times = (0..TIMES).map(once).collect::<Result<_>>();
    std::fs::remove_file(&path)?;
    middle(times?)
}

fn round_trip() -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut word = [0; 1];
            // Until the other end hangs up.
            while stream.read(&mut word)? > 0 {
                stream.write_all(&word)?;
            }
            Ok(())
        });
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut word = [1; 1];
        let once = |_| {
            let began = Instant::now();
            stream.write_all(&word)?;
            stream.read_exact(&mut word)?;
            Ok(began.elapsed())
        };
        let times = (0..TIMES).map(once).collect::<Result<_>>();
        drop(stream);
        echo.join().ok().context("the echo panicked")??;
        middle(times?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_more_than_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let floor = Floor::measure(folder.path()).unwrap();
        assert!(floor.sync > Duration::ZERO && floor.round_trip > Duration::ZERO && floor.sum() > floor.sync);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
