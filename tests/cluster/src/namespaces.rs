//! Lines that go bad without a word: network namespaces, one a node, joined in the middle by a bridge that loses packets.
//!
//! A [`crate::Line`] that is cut hangs up, and both ends know at once. Here nobody is told: packets are gone, and TCP at
//! both ends goes on believing in its connection, asking again after ever longer pauses.
//!
//! Nothing of the machine's own network is touched but the list of its namespaces, where each has a name that begins with
//! [`PREFIX`] and the number of the process that made it. Whatever an earlier run left behind that was killed is taken away
//! by the next one, and what belongs to one that still runs is left alone.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;

/// How the names of our namespaces begin.
const PREFIX: &str = "shouwang-test";
/// Where the operating system keeps the names of namespaces.
const NAMES: &str = "/run/netns";
/// What a thin line holds back before it loses what comes: two seconds of 64 kbit/s, as a modem does.
const THIN_QUEUE: u32 = 16_000;

/// What a line can do to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Loses all of them.
    Silent,
    /// Loses those of 1,280 bytes and more, and tells nobody: a tunnel somewhere is narrower than both ends think.
    LargeLost,
    /// Loses one in five, by their numbers: no chance is needed, and what is sent again has another number.
    SomeLost,
    /// Carries 64 kbit/s: each packet waits until those before it would be through, but not for itself.
    Thin,
}

impl Fault {
    /// The classes of a port's queue: all others pass.
    const LOSES: &str = "1:2";
    const THIN: &str = "1:3";

    /// The filters that pick the packets of an IPv4 header, and the class they go to.
    fn filters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Silent => &[("", Self::LOSES)],
            // The total length, 1,280 to 1,535: none is longer than 1,500.
            Self::LargeLost => &[("match u16 0x0500 0xff00 at 2", Self::LOSES)],
            // The identification: an eighth and a sixteenth of all numbers.
            Self::SomeLost => {
                &[("match u16 0x0001 0x0007 at 4", Self::LOSES), ("match u16 0x0006 0x000f at 4", Self::LOSES)]
            }
            Self::Thin => &[("", Self::THIN)],
        }
    }

    /// The place of its filters among those of a line: what loses everything comes first.
    fn rank(self) -> u32 {
        match self {
            Self::Silent => 100,
            Self::LargeLost => 200,
            Self::SomeLost => 300,
            Self::Thin => 500,
        }
    }
}

/// Namespaces with lines between all of them. They go away with this.
#[derive(Debug)]
pub struct Namespaces {
    name: String,
    places: Vec<Place>,
}

impl Namespaces {
    /// So many places, each with a good line to every other; nothing where that cannot be had, which is said.
    ///
    /// # Errors
    /// What an earlier run left behind cannot be listed.
    pub fn lay(count: u8) -> Result<Option<Self>> {
        static LAID: AtomicU32 = AtomicU32::new(0);
        sweep()?;
        let number = LAID.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        let mut namespaces = Self { name, places: Vec::new() };
        match namespaces.build(count) {
            Ok(()) => Ok(Some(namespaces)),
            Err(why) => {
                println!(
                    "left out: lines that lose packets take root, `ip` and `tc`, and a kernel with veth, bridge, htb and u32: {why:#}"
                );
                Ok(None)
            }
        }
    }

    /// The places, in their order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Bytes that have been carried to a place since it was laid, headers of Ethernet included.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn carried(&self, to: usize) -> Result<u64> {
        let (middle, port) = (self.middle(), port(to));
        let asked = Command::new("ip").args(["-n", &middle, "-s", "-j", "link", "show", "dev", &port]).output();
        let told = asked.context("ip")?.stdout;
        let links: serde_json::Value = serde_json::from_slice(&told).context("what `ip -s -j link` says")?;
        links[0]["stats64"]["tx"]["bytes"].as_u64().context("`ip -s -j link` counts no bytes")
    }

    fn build(&mut self, count: u8) -> Result<()> {
        let middle = self.middle();
        run("ip", &["netns", "add", &middle], "")?;
        run("ip", &["-n", &middle, "link", "add", "bridge", "type", "bridge"], "")?;
        run("ip", &["-n", &middle, "link", "set", "bridge", "up"], "")?;
        for number in 0..count {
            let (space, port) = (self.space(number.into()), port(number.into()));
            let address = IpAddr::from(Ipv4Addr::new(10, 73, 0, number + 1));
            run("ip", &["netns", "add", &space], "")?;
            // Packets as they are on a wire: none that the other end would have to cut up.
            let near = format!(
                "link set lo up\nlink add eth0 gso_max_segs 1 type veth peer name {port} netns {middle}\n\
                 addr add {address}/24 dev eth0\nlink set eth0 up\n"
            );
            run("ip", &["-n", &space, "-batch", "-"], &near)?;
            run("ip", &["-n", &middle, "link", "set", &port, "master", "bridge", "up"], "")?;
            run("tc", &["-n", &middle, "-batch", "-"], &queue(&port))?;
            self.places.push(Place::of(&Path::new(NAMES).join(&space), address)?);
        }
        Ok(())
    }

    /// Lets some of the lines, each a pair of places from which and to which it carries, have a fault.
    ///
    /// # Errors
    /// The operating system refuses, or the fault is there already.
    pub fn spoil(&self, fault: Fault, which: impl Fn(usize, usize) -> bool) -> Result<()> {
        let mut lines = String::new();
        for (from, place) in self.places.iter().enumerate() {
            for to in (0..self.places.len()).filter(|to| *to != from && which(from, *to)) {
                for (at, (picks, class)) in fault.filters().iter().enumerate() {
                    // A filter has a number of its own in each queue.
                    let rank = fault.rank() + 100 * u32::try_from(at)? + u32::try_from(from)?;
                    let (port, address) = (port(to), place.address);
                    write!(lines, "filter add dev {port} parent 1: protocol ip pref {rank} ")?;
                    writeln!(lines, "u32 match ip src {address} {picks} flowid {class}")?;
                }
            }
        }
        run("tc", &["-n", &self.middle(), "-batch", "-"], &lines)
    }

    /// Mends all lines.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn mend(&self) -> Result<()> {
        let lines = (0..self.places.len()).map(|at| format!("filter del dev {} parent 1:\n", port(at)));
        run("tc", &["-n", &self.middle(), "-batch", "-"], &lines.collect::<String>())
    }

    /// Takes a place's address away, as if the machine had moved, or gives it back.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn set_address(&self, at: usize, given: bool) -> Result<()> {
        let (what, address) = (if given { "add" } else { "del" }, format!("{}/24", self.places[at].address));
        run("ip", &["-n", &self.space(at), "addr", what, &address, "dev", "eth0"], "")
    }

    fn middle(&self) -> String {
        format!("{}-middle", self.name)
    }

    fn space(&self, at: usize) -> String {
        format!("{}-{at}", self.name)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Also of those that were only half laid. Whoever still lives in one keeps it until he ends, without its name.
        for name in names().unwrap_or_default().iter().filter(|name| name.starts_with(&format!("{}-", self.name))) {
            let _ = run("ip", &["netns", "del", name], "");
        }
    }
}

/// The bridge's end of a place's line.
fn port(at: usize) -> String {
    format!("port{at}")
}

/// The queue towards a place, in which filters pick packets to be lost or held back.
fn queue(port: &str) -> String {
    let (loses, thin) = (Fault::LOSES, Fault::THIN);
    format!(
        "qdisc add dev {port} root handle 1: htb\n\
         class add dev {port} parent 1: classid {loses} htb rate 1gbit quantum 1514\n\
         qdisc add dev {port} parent {loses} handle 2: blackhole\n\
         class add dev {port} parent 1: classid {thin} htb rate 64kbit burst 64 cburst 64 quantum 1514\n\
         qdisc add dev {port} parent {thin} handle 3: bfifo limit {THIN_QUEUE}\n"
    )
}

/// The names of all namespaces of this machine.
fn names() -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(NAMES) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context(NAMES)?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Takes away what runs have left behind that were killed, and ends the nodes that still live there.
fn sweep() -> Result<()> {
    for name in names()? {
        let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')) else { continue };
        let Some((process, _)) = rest.split_once('-') else { continue };
        if Path::new("/proc").join(process).exists() {
            continue;
        }
        let within = Command::new("ip").args(["netns", "pids", &name]).output().context("ip")?;
        for pid in String::from_utf8_lossy(&within.stdout).lines().filter_map(|line| line.trim().parse().ok()) {
            // It may have ended by itself.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        // Another run may be sweeping, too.
        let _ = run("ip", &["netns", "del", &name], "");
    }
    Ok(())
}

/// Runs a command of the operating system with this input.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{program}`"))?;
    // Who does not read it says why in a moment.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let ended = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    const PORT: u16 = 7300;

    /// Who sends back whatever comes, at a place.
    fn echo(place: &Place) -> Result<()> {
        let listener = place.within(|| TcpListener::bind((place.address, PORT)))?;
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut copy = stream.try_clone()?;
                    std::io::copy(&mut copy, &mut stream)
                });
            }
        });
        Ok(())
    }

    fn dial(from: &Place, to: &Place) -> std::io::Result<TcpStream> {
        let (address, patience) = (SocketAddr::from((to.address, PORT)), Duration::from_millis(1_500));
        let stream = from.within(|| TcpStream::connect_timeout(&address, patience))?;
        stream.set_read_timeout(Some(patience))?;
        Ok(stream)
    }

    /// Sends so many bytes there and back; how long it took.
    fn ask(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
        let (began, mut back) = (Instant::now(), vec![0; bytes]);
        stream.write_all(&back)?;
        stream.read_exact(&mut back)?;
        Ok(began.elapsed())
    }

    fn is_silence(what: std::io::Result<impl Sized>) -> bool {
        what.is_err_and(|error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock))
    }

    #[test]
    fn lines_lose_what_they_are_told_to_and_nobody_is_told() -> Result<()> {
        let Some(namespaces) = Namespaces::lay(3)? else { return Ok(()) };
        let [near, far, other] = namespaces.places() else { panic!("three places") };
        [far, other].into_iter().try_for_each(echo)?;
        let (mut held, mut beside) = (dial(near, far)?, dial(near, other)?);
        let before = namespaces.carried(1)?;
        ensure!(ask(&mut held, 100_000).is_ok() && ask(&mut beside, 10).is_ok(), "a good line carries");
        let carried = namespaces.carried(1)? - before;
        ensure!((100_000..120_000).contains(&carried), "and counts: {carried}");

        for lost in [(0, 1), (1, 0)] {
            namespaces.spoil(Fault::Silent, |from, to| (from, to) == lost)?;
            ensure!(is_silence(ask(&mut held, 10)), "neither an answer nor an end of the connection");
            ensure!(is_silence(dial(near, far)), "nor a refusal");
            ensure!(ask(&mut beside, 10).is_ok(), "the other line is as it was");
            namespaces.mend()?;
            held = dial(near, far)?;
            ensure!(ask(&mut held, 10).is_ok(), "mended");
        }

        namespaces.spoil(Fault::LargeLost, |_, _| true)?;
        ensure!(ask(&mut held, 900).is_ok(), "what is small passes");
        ensure!(is_silence(ask(&mut held, 9_000)), "what is large does not");
        namespaces.mend()?;

        namespaces.spoil(Fault::SomeLost, |_, _| true)?;
        let mut lossy = dial(near, far)?;
        lossy.set_read_timeout(Some(Duration::from_secs(20)))?;
        let slowest = (0..30).map(|_| ask(&mut lossy, 10)).collect::<std::io::Result<Vec<_>>>()?.into_iter().max();
        ensure!(slowest > Some(Duration::from_millis(100)), "TCP had to ask again: {slowest:?}");
        namespaces.mend()?;

        namespaces.spoil(Fault::Thin, |_, to| to == 2)?;
        beside.set_read_timeout(Some(Duration::from_secs(20)))?;
        let took = ask(&mut beside, 12_000)?;
        ensure!(took > Duration::from_secs(1), "12,000 bytes at 8,000 a second took {took:?}");
        namespaces.mend()?;

        namespaces.set_address(1, false)?;
        ensure!(dial(near, far).is_err(), "nobody answers there");
        namespaces.set_address(1, true)?;
        ensure!(ask(&mut dial(near, far)?, 10).is_ok(), "somebody does again");

        let name = namespaces.name.clone();
        ensure!(names()?.iter().filter(|known| known.starts_with(&name)).count() == 4);
        drop(namespaces);
        ensure!(!names()?.iter().any(|known| known.starts_with(&name)), "nothing is left");
        Ok(())
    }

    #[test]
    fn what_a_killed_run_has_left_is_taken_away_and_a_living_ones_is_not() -> Result<()> {
        let Some(ours) = Namespaces::lay(1)? else { return Ok(()) };
        // No process has a number as high.
        let left = format!("{PREFIX}-4194305-0-middle");
        run("ip", &["netns", "add", &left], "")?;
        sweep()?;
        let names = names()?;
        ensure!(!names.contains(&left), "what was left is gone");
        ensure!(names.contains(&ours.middle()), "what is in use stays");
        Ok(())
    }
}
