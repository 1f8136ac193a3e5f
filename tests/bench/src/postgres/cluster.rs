//! A PostgreSQL server of our own: founded in a folder, listening on loopback for who has a certificate, and gone with its
//! owner. All settings that are not about where it listens are those it is founded with.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use shouwang_cluster::process::Ports;

use crate::tls::Papers;

/// Where Debian puts the servers, a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one that ends is looked at.
const PACE: Duration = Duration::from_millis(20);
/// Who may connect: over TLS alone, with a certificate of the federation.
const HBA: &str = "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";

/// The server.
pub struct Cluster {
    /// Where it listens.
    pub port: u16,
    home: PathBuf,
    child: Child,
}

/// Whom it runs as: PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The one that Debian's package makes, if we are root; none if it may run as who we are.
    fn other() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        let found = Self::of("postgres", &accounts);
        found.context("PostgreSQL does not run as root, and there is no user postgres (Debian's postgresql)").map(Some)
    }

    fn of(name: &str, accounts: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let found = accounts.lines().map(fields).find(|fields| fields[0] == name)?;
        Some(Self { user: found.get(2)?.parse().ok()?, group: found.get(3)?.parse().ok()? })
    }
}

impl Cluster {
    /// Founds it in `folder` and starts it. It shows these papers.
    ///
    /// # Errors
    /// PostgreSQL is missing, or refuses.
    pub fn start(folder: &Path, papers: &Papers, user: &str) -> Result<Self> {
        let (programs, account, home) = (programs()?, Account::other()?, folder.join("postgres"));
        std::fs::create_dir_all(&home)?;
        if let Some(Account { user, group }) = account {
            // It must get to its own folder through ours, in which it sees nothing else.
            std::fs::set_permissions(folder, Permissions::from_mode(0o711))?;
            chown(&home, Some(user), Some(group))?;
        }
        let run = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(&home).arg("-D").arg(home.join("data")).stdin(Stdio::null());
            if let Some(Account { user, group }) = account {
                command.gid(group).uid(user);
            }
            command
        };
        let mut found = run("initdb");
        let founded = found.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username", user]).output();
        let founded = founded.context("initdb")?;
        let said = String::from_utf8_lossy(&founded.stderr);
        ensure!(founded.status.success(), "initdb in {} (see --dir): {}", home.display(), said.trim());
        let papers = papers_of_its_own(&home, papers, account)?;
        std::fs::write(home.join("data/pg_hba.conf"), HBA)?;
        let (port, log) = (Ports::free()?.operator, File::create(home.join("postgres.log"))?);
        let mut serve = run("postgres");
        for setting in settings(port, &papers) {
            serve.arg("-c").arg(setting);
        }
        let child = serve.stdout(log.try_clone()?).stderr(log).spawn().context("starting postgres")?;
        Ok(Self { port, home, child })
    }

    /// The number of its first process, which has started all others.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended, with the end of its log.
    ///
    /// # Errors
    /// It has.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("postgres ended with {status}:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.home.join("postgres.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Ends it without waiting for clients or writing anything (immediate shutdown): its data goes away with its folder.
    fn end(&mut self) -> Result<()> {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(process, Signal::QUIT)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(PACE);
        }
        // Those it has started notice, and end as well.
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing of a run may outlive it; one that has ended by itself needs no ending.
        drop(self.end());
    }
}

/// The folder with `initdb` and `postgres`: the newest that Debian has put here, or one of the path.
fn programs() -> Result<PathBuf> {
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut versions: Vec<(u32, PathBuf)> =
        debian.filter_map(|path| Some((version(&path)?, path.join("bin")))).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    let found = folders.find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()));
    found.context("no PostgreSQL server here (Debian's postgresql)")
}

fn version(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// Copies of the papers that the server may read: it wants a key that is its own.
fn papers_of_its_own(home: &Path, papers: &Papers, account: Option<Account>) -> Result<Papers> {
    let copy = |name: &str, from: &Path| {
        let to = home.join(name);
        std::fs::copy(from, &to).with_context(|| from.display().to_string())?;
        std::fs::set_permissions(&to, Permissions::from_mode(0o600))?;
        chown(&to, account.map(|account| account.user), account.map(|account| account.group))?;
        anyhow::Ok(to)
    };
    Ok(Papers {
        ca: copy("ca.pem", &papers.ca)?,
        cert: copy("server.pem", &papers.cert)?,
        key: copy("server.key", &papers.key)?,
    })
}

/// Where it listens and what it shows there; nothing about how it works.
fn settings(port: u16, papers: &Papers) -> Vec<String> {
    let Papers { ca, cert, key } = papers;
    vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "ssl=on".to_owned(),
        "ssl_min_protocol_version=TLSv1.3".to_owned(),
        format!("ssl_ca_file={}", ca.display()),
        format!("ssl_cert_file={}", cert.display()),
        format!("ssl_key_file={}", key.display()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0::/:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:PostgreSQL,,,:/var:/bin/bash\nbad:x\n";
        let found = |name| Account::of(name, accounts);
        assert_eq!(found("postgres"), Some(Account { user: 101, group: 104 }));
        assert_eq!((found("nobody"), found("bad"), found("")), (None, None, None));
    }

    #[test]
    fn folders_of_versions_are_numbers() {
        for (path, expected) in [("/p/15", Some(15)), ("/p/9", Some(9)), ("/p/common", None), ("/", None)] {
            assert_eq!(version(Path::new(path)), expected, "{path}");
        }
    }
}
