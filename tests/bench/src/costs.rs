//! What the kernel counts while a system works: processor time of its processes, bytes between its nodes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::system::Served;

/// Clock ticks a second in `/proc`: part of Linux's interface, whatever the kernel's own clock is.
const TICKS_PER_SECOND: u64 = 100;
/// For how long a system that is at rest is looked at.
const REST: Duration = Duration::from_millis(250);
/// Processor time within [`REST`] below which it is at rest: heartbeats and timers.
const REST_CPU: Duration = Duration::from_millis(20);
/// How long that is waited for.
const REST_PATIENCE: Duration = Duration::from_secs(20);

/// Processor time that processes and all they have started have used, in user and kernel mode, whether those still run or
/// have ended and been waited for.
///
/// # Errors
/// One of them is gone.
pub fn cpu(processes: &[u32]) -> Result<Duration> {
    let all = running()?;
    let mut ticks = 0;
    let mut left = processes.to_vec();
    while let Some(process) = left.pop() {
        let known = all.get(&process).with_context(|| format!("process {process} is gone"))?;
        ticks += known.ticks;
        left.extend(all.iter().filter(|(_, other)| other.parent == process).map(|(number, _)| *number));
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// Who started it.
    parent: u32,
    /// Its own time, and that of those it waited for.
    ticks: u64,
}

impl Stat {
    /// The 4th and the 14th to 17th field, counted behind the name, which may hold anything.
    fn of(text: &str) -> Option<Self> {
        let (_, behind) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let times = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok());
        Some(Self { parent: fields[1].parse().ok()?, ticks: times.sum::<Option<u64>>()? })
    }
}

/// All processes of this machine. One that ends meanwhile is left out: whoever waits for it has its time from then on.
fn running() -> Result<BTreeMap<u32, Stat>> {
    let entries = std::fs::read_dir("/proc").context("/proc")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let stats =
        numbers.filter_map(|number| Some((number, std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?)));
    let read = |(number, text): (u32, String)| {
        Ok((number, Stat::of(&text).with_context(|| format!("/proc/{number}/stat: {text}"))?))
    };
    stats.map(read).collect()
}

/// Waits until nothing is left of what a system does behind its answers: what it puts off is counted, and is not in the
/// way of the other.
///
/// # Errors
/// It never comes to rest, or one of its processes is gone.
pub async fn rest<S: Served>(system: &S) -> Result<()> {
    let (processes, deadline) = (system.processes(), Instant::now() + REST_PATIENCE);
    let mut before = cpu(&processes)?;
    loop {
        tokio::time::sleep(REST).await;
        let now = cpu(&processes)?;
        if now.saturating_sub(before) < REST_CPU {
            return Ok(());
        }
        before = now;
        ensure!(Instant::now() < deadline, "{} does not come to rest within {REST_PATIENCE:?}", S::NAME);
    }
}

/// Bytes so far on all connections between nodes that listen to each other on these ports, in both directions: what TCP
/// carried, TLS included, without headers of TCP and IP.
///
/// # Errors
/// There is no `ss`, or it says what is not understood.
pub fn between_nodes(ports: &[u16]) -> Result<u64> {
    // One line a socket; of each connection only the end that listened.
    let output = Command::new("ss").args(["-tinHO", "state", "established"]).output();
    let output = output.context("`ss` (of iproute2) counts bytes, and is missing")?;
    ensure!(output.status.success(), "ss: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes: Option<Vec<u64>> = text.lines().filter(|line| listens(line, ports)).map(bytes_of).collect();
    let bytes = bytes.context("`ss` shows no bytes_acked and bytes_received")?;
    ensure!(!bytes.is_empty(), "no connection between nodes is open");
    Ok(bytes.iter().sum())
}

/// Whether the near end of the socket is one of the ports. With a state asked for, addresses are the third and fourth word.
fn listens(line: &str, ports: &[u16]) -> bool {
    let near = line.split_whitespace().nth(2).and_then(|address| address.rsplit_once(':'));
    near.and_then(|(_, port)| port.parse().ok()).is_some_and(|port: u16| ports.contains(&port))
}

fn bytes_of(line: &str) -> Option<u64> {
    let of = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    // A connection on which nothing has gone one way yet does not name that way.
    match (of("bytes_acked:"), of("bytes_received:")) {
        (None, None) if !line.contains("cubic") && !line.contains("rtt:") => None,
        (sent, received) => Some(sent.unwrap_or_default() + received.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::Stdio;

    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let fields = "S 7 2 3 4 5 6 7 8 9 10 30 12 500 100 20 0 9 0 100";
        let expected = Some(Stat { parent: 7, ticks: 642 });
        assert_eq!(Stat::of(&format!("77 (etcd) {fields}")), expected);
        assert_eq!(Stat::of(&format!("77 (a) b) (c) {fields}")), expected);
        assert_eq!((Stat::of("77 (etcd) S 1 2"), Stat::of("")), (None, None));
    }

    #[test]
    fn this_process_uses_time() {
        let own = [std::process::id()];
        let (before, began) = (cpu(&own).unwrap(), Instant::now());
        let mut sum = 0_u64;
        while cpu(&own).unwrap() < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
            assert!(began.elapsed() < Duration::from_mins(1), "{sum}");
        }
        assert!(cpu(&[0]).is_err());
    }

    #[test]
    fn the_time_of_those_it_started_counts_with_it_while_they_run_and_after() {
        let works = "sh -c 'while :; do :; done' & worker=$!";
        let script = format!("{works}; read -r line; kill $worker; wait $worker; echo ended; read -r line");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let (used, began) = (Duration::from_millis(200), Instant::now());
        while cpu(&[shell.id()]).unwrap() < used {
            assert!(began.elapsed() < Duration::from_mins(1), "the worker's time is not counted");
        }
        shell.stdin.as_mut().unwrap().write_all(b"end it\n").unwrap();
        let mut said = [0; 6];
        shell.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"ended\n");
        assert!(cpu(&[shell.id()]).unwrap() >= used, "it is lost with the worker");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(cpu(&[shell.id()]).is_err(), "a process that is gone has no time");
    }

    #[test]
    fn bytes_of_a_connection_are_counted_once_at_the_end_that_listened() {
        let near = "0      0      127.0.0.1:7300   127.0.0.1:41000  cubic rtt:0.1/0.05 bytes_sent:120 bytes_acked:100 \
                    bytes_received:31 segs_out:9";
        let far = near.replace(":7300 ", ":x ").replace(":41000", ":7300").replace(":x ", ":41000 ");
        let ports = [7300, 7310];
        assert_eq!((listens(near, &ports), listens(&far, &ports), listens("", &ports)), (true, false, false));
        assert_eq!(bytes_of(near), Some(131));
        assert_eq!(bytes_of("0 0 a:1 b:2 cubic rtt:0.1/0.05"), Some(0));
        assert_eq!(bytes_of("0 0 a:1 b:2"), None);
    }
}
