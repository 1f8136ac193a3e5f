//! One node as a process: started, asked whether it is ready, killed without warning, stopped gracefully.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Clock;
use crate::place::Place;

/// How long a node may take to become ready, or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where a node listens at its place.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For other nodes.
    pub peer: u16,
    /// For operators.
    pub operator: u16,
    /// For health and metrics.
    pub metrics: u16,
}

impl Ports {
    /// Three ports that nobody listens on and nobody was given before by this program.
    ///
    /// They lie below the ports that Linux takes for outgoing connections (`ip_local_port_range`, 32,768 and more): of those,
    /// one that is free now may be the near end of some connection when the node starts.
    ///
    /// # Errors
    /// All are taken.
    pub fn free() -> Result<Self> {
        Ok(Self { peer: free_port()?, operator: free_port()?, metrics: free_port()? })
    }
}

fn free_port() -> Result<u16> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Programs that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(997) % COUNT;
    let next = |_| FIRST + (begin + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let free = (0..COUNT).map(next).filter_map(|port| u16::try_from(port).ok());
    let mut free = free.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().context("every port from 10,000 to 31,999 is taken")
}

/// A node that can be started and killed.
#[derive(Debug)]
pub struct NodeProcess {
    /// Whose node.
    pub code: u32,
    /// Where it listens.
    pub ports: Ports,
    /// Its folder.
    pub home: PathBuf,
    /// The clock it lives by from its next start on; that of the machine if it has none.
    pub clock: Option<Clock>,
    /// Settings beside those that every node here has, from its next start on.
    pub further: Vec<(&'static str, String)>,
    /// Where it stands.
    pub place: Place,
    binary: PathBuf,
    child: Option<Child>,
}

impl NodeProcess {
    /// A node that is not running yet.
    pub fn new(binary: PathBuf, home: PathBuf, ports: Ports, code: u32) -> Self {
        Self { code, ports, home, clock: None, further: Vec::new(), place: Place::here(), binary, child: None }
    }

    /// Starts it; its log goes to `node.log` in its folder.
    ///
    /// # Errors
    /// The process cannot be started, or runs already.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("node {} runs already", self.code);
        }
        let log = File::options().create(true).append(true).open(self.home.join("node.log"))?;
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.home.join("shouwang.toml")).arg("serve");
        for (key, value) in self.settings().iter().chain(&self.further) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        if let Some(clock) = &self.clock {
            clock.wear(&mut command);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = self.place.within(|| command.spawn());
        self.child = Some(child.with_context(|| format!("starting {}", self.binary.display()))?);
        Ok(())
    }

    /// The settings that differ from the file: where to listen, and the timing of lines that are short.
    fn settings(&self) -> [(&'static str, String); 5] {
        let at = |port: u16| self.at(port).to_string();
        [
            ("peer.listen", at(self.ports.peer)),
            ("peer.advertise", at(self.ports.peer)),
            ("operator.listen", at(self.ports.operator)),
            ("metrics.listen", at(self.ports.metrics)),
            ("timing", "lan".to_owned()),
        ]
    }

    /// One of its ports, as others dial it.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.place.address, port)
    }

    /// Waits until the node says it is ready.
    ///
    /// # Errors
    /// It ended, or took too long; with the end of its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("node {} ended with {status}:\n{}", self.code, self.log_tail());
            }
            if self.get("/readyz").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            // Readiness has no event to wait for across a process border: it is asked for at this pace.
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("node {} is not ready after {PATIENCE:?}:\n{}", self.code, self.log_tail())
    }

    /// Asks the health and metrics listener.
    ///
    /// # Errors
    /// Nobody answers, or not in HTTP.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let metrics = self.at(self.ports.metrics);
        let mut stream = self.place.within(|| TcpStream::connect(metrics))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).context("no status line")?.parse()?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((status, body))
    }

    /// Kills it without warning (SIGKILL).
    ///
    /// # Errors
    /// It does not run, or the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("node {} does not run", self.code))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// It does not run, does not stop in time, or ends badly.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("node {} does not run", self.code))?;
        signal(&child, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("node {} stopped with {status}:\n{}", self.code, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill()?;
        bail!("node {} did not stop within {PATIENCE:?}", self.code)
    }

    /// Freezes it (SIGSTOP) or lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It does not run, or the operating system refuses.
    pub fn freeze(&mut self, frozen: bool) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("node {} does not run", self.code))?;
        signal(child, if frozen { Signal::STOP } else { Signal::CONT })
    }

    /// Lets it read its certificate and the list of revoked ones again (SIGHUP).
    ///
    /// # Errors
    /// It does not run, or the operating system refuses.
    pub fn reload(&self) -> Result<()> {
        signal(self.child.as_ref().with_context(|| format!("node {} does not run", self.code))?, Signal::HUP)
    }

    /// The process's number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it was started and not stopped or killed by us.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.home.join("node.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // What counts where it comes along writes that down when it ends by itself (`scripts/release`).
        if std::env::var_os("LLVM_PROFILE_FILE").is_some() && self.child.is_some() {
            let _ = self.stop();
        }
        if let Some(mut child) = self.child.take() {
            // The test is over; nothing of it may outlive it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
