//! Founding a federation: certificate authority, nodes, operators, charter; all by the commands of the README.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::clock::Clock;
use crate::line::Line;
use crate::place::Place;
use crate::process::{NodeProcess, Ports};
use crate::terminal::{Answer, Terminal};

/// The federation's name in certificates.
pub const FEDERATION: &str = "wuhai-region";
/// The region's short name in the nodes' configuration.
pub const REGION: &str = "wuhai";
/// Every post an operator can fill, by its word in certificates.
pub const ROLES: [&str; 7] = ["duty", "leader", "keeper", "coordinator", "secretariat", "superior", "admin"];

/// A municipality to found.
#[derive(Clone, Copy, Debug)]
pub struct MemberSpec {
    /// GB/T 2260 code.
    pub code: u32,
    /// Name.
    pub name: &'static str,
    /// One character for working numbers.
    pub short: &'static str,
    /// `party`, `superior` or `observer`.
    pub standing: &'static str,
    /// The government above it.
    pub superior: Option<u32>,
    /// Who borders it.
    pub neighbours: &'static [u32],
    /// Whether its node votes.
    pub voter: bool,
}

/// The Wuhai region: six parties (the first is the hub; five vote) and the common superior of four of them, reading.
pub const WUHAI_REGION: [MemberSpec; 7] = [
    party(150_300, "乌海市", "乌", 150_000, &[150_600, 152_900, 640_200], true),
    party(150_600, "鄂尔多斯市", "鄂", 150_000, &[150_300, 150_800, 640_100, 640_200], true),
    party(150_800, "巴彦淖尔市", "巴", 150_000, &[150_600, 152_900], false),
    party(152_900, "阿拉善盟", "阿", 150_000, &[150_300, 150_800, 640_100, 640_200], true),
    party(640_100, "银川市", "银", 640_000, &[150_600, 152_900, 640_200], true),
    party(640_200, "石嘴山市", "石", 640_000, &[150_300, 150_600, 152_900, 640_100], true),
    MemberSpec {
        code: 150_000,
        name: "内蒙古自治区",
        short: "蒙",
        standing: "superior",
        superior: None,
        neighbours: &[],
        voter: false,
    },
];

/// Those of the Wuhai region with these codes, in the region's order.
pub fn members(codes: &[u32]) -> Vec<MemberSpec> {
    WUHAI_REGION.iter().filter(|member| codes.contains(&member.code)).copied().collect()
}

const fn party(
    code: u32,
    name: &'static str,
    short: &'static str,
    superior: u32,
    neighbours: &'static [u32],
    voter: bool,
) -> MemberSpec {
    MemberSpec { code, name, short, standing: "party", superior: Some(superior), neighbours, voter }
}

/// A founded federation with one node per member.
#[derive(Debug)]
pub struct Federation {
    /// Where everything lies.
    pub dir: PathBuf,
    /// The `shouwang` binary.
    pub binary: PathBuf,
    /// The members, in the order of their nodes.
    pub members: Vec<MemberSpec>,
    /// One process per member, started or not.
    pub nodes: Vec<NodeProcess>,
    /// The line that each node dials each other on: (from, to). None between nodes that have places of their own.
    pub lines: BTreeMap<(u32, u32), Line>,
    /// The places of those members' nodes that do not stand on this machine.
    places: BTreeMap<u32, Place>,
    /// The clock of whoever founds it; that of the machine if there is none.
    clock: Option<Clock>,
}

/// The binary under test: `SHOUWANG_BIN`, or the one built beside this program.
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SHOUWANG_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe().context("this program's own path")?;
    let beside = here.ancestors().skip(1).map(|folder| folder.join("shouwang")).find(|path| path.is_file());
    beside.context("no `shouwang` beside this program: run `cargo build -p shouwang`, or set SHOUWANG_BIN")
}

impl Federation {
    /// Founds a federation in `dir` (which must be empty or absent): keys, certificates, operators, a charter that every
    /// party has signed, and a configuration per node.
    ///
    /// # Errors
    /// A command that failed, with what it said.
    pub fn found(dir: &Path, members: &[MemberSpec]) -> Result<Self> {
        Self::found_by(dir, members, None)
    }

    /// As [`Federation::found`], at the time that a clock shows.
    ///
    /// # Errors
    /// As [`Federation::found`].
    pub fn found_by(dir: &Path, members: &[MemberSpec], clock: Option<Clock>) -> Result<Self> {
        Self::found_in(dir, members, BTreeMap::new(), clock)
    }

    /// As [`Federation::found`], each member's node at its place, where its people sit, too; those who join later have
    /// theirs already. The nodes dial one another at their addresses.
    ///
    /// # Errors
    /// As [`Federation::found`].
    pub fn found_at(dir: &Path, members: &[MemberSpec], places: BTreeMap<u32, Place>) -> Result<Self> {
        Self::found_in(dir, members, places, None)
    }

    fn found_in(
        dir: &Path,
        members: &[MemberSpec],
        places: BTreeMap<u32, Place>,
        clock: Option<Clock>,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let (nodes, lines) = (Vec::new(), BTreeMap::new());
        let mut federation = Self { dir, binary: binary()?, members: members.to_vec(), nodes, lines, places, clock };
        let ca = federation.dir.join("ca");
        federation.run(&["pki", "init", "--federation", FEDERATION, "--out", path(&ca)?])?;
        for member in members {
            federation.prepare_node(member)?;
        }
        federation.sign_charter(members)?;
        members.iter().try_for_each(|member| federation.place_node(member.code))?;
        members.iter().try_for_each(|member| federation.configure(member.code))?;
        federation.clock = None;
        Ok(federation)
    }

    /// A federation that was founded in `dir` by an earlier run: its nodes listen on other ports and dial no one.
    ///
    /// # Errors
    /// Nothing was founded there.
    pub fn found_before(dir: &Path, members: &[MemberSpec]) -> Result<Self> {
        let dir = dir.canonicalize().with_context(|| format!("{}", dir.display()))?;
        let (nodes, lines, places) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut federation =
            Self { dir, binary: binary()?, members: members.to_vec(), nodes, lines, places, clock: None };
        for member in members {
            let home = federation.home(member.code);
            let node = NodeProcess::new(federation.binary.clone(), home.clone(), Ports::free()?, member.code);
            contexts(&home, Path::new("operators"), node.at(node.ports.operator))?;
            federation.nodes.push(node);
        }
        Ok(federation)
    }

    /// Gives a member its node, with lines to and from all that there are if they meet on this machine.
    fn place_node(&mut self, code: u32) -> Result<()> {
        let mut node = NodeProcess::new(self.binary.clone(), self.home(code), Ports::free()?, code);
        node.place = self.place(code);
        for other in self.nodes.iter().filter(|_| self.places.is_empty()) {
            self.lines.insert((code, other.code), Line::to(other.ports.peer)?);
            self.lines.insert((other.code, code), Line::to(node.ports.peer)?);
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Where a member's node stands and its people sit.
    pub fn place(&self, code: u32) -> Place {
        self.places.get(&code).cloned().unwrap_or_else(Place::here)
    }

    /// Where a member's node dials another.
    fn dials(&self, from: u32, to: &NodeProcess) -> SocketAddr {
        let line = self.lines.get(&(from, to.code));
        line.map_or_else(|| to.at(to.ports.peer), |line| loopback(line.port))
    }

    /// The folder of a member's node.
    pub fn home(&self, code: u32) -> PathBuf {
        self.dir.join(code.to_string())
    }

    /// The signed charter.
    pub fn charter(&self) -> PathBuf {
        self.dir.join("charter.json")
    }

    /// Starts every node and waits until each says it is ready.
    ///
    /// # Errors
    /// A node that ends or does not become ready in time.
    pub fn start_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(NodeProcess::start)?;
        self.nodes.iter_mut().try_for_each(NodeProcess::wait_ready)
    }

    /// The node of a member.
    ///
    /// # Panics
    /// When the code is no member's: a mistake of the test.
    pub fn node(&mut self, code: u32) -> &mut NodeProcess {
        let found = self.nodes.iter_mut().find(|node| node.code == code);
        found.unwrap_or_else(|| panic!("no member {code}"))
    }

    /// A terminal at a member's node, acting in a post.
    pub fn terminal(&self, code: u32, role: &'static str) -> Terminal {
        self.terminal_at(self.home(code), role).moved_to(&self.place(code))
    }

    /// A terminal on this machine, at the node with this home, acting in a post.
    pub fn terminal_at(&self, home: PathBuf, role: &'static str) -> Terminal {
        Terminal::new(self.binary.clone(), home, role.to_owned())
    }

    /// Prepares the node of a member that the charter does not name yet, and answers the file that admits it.
    ///
    /// # Errors
    /// A command that failed.
    pub fn prepare_newcomer(&mut self, member: &MemberSpec) -> Result<PathBuf> {
        self.prepare_node(member)?;
        self.place_node(member.code)?;
        self.configure(member.code)?;
        if let Some((newcomer, others)) = self.nodes.split_last() {
            for other in others {
                self.add_peer(other.code, &format!("{}/1", member.code), self.dials(other.code, newcomer))?;
            }
        }
        let file = self.dir.join(format!("{}-admission.toml", member.code));
        std::fs::write(&file, self.member_table(member, "", false)?)?;
        self.members.push(*member);
        Ok(file)
    }

    /// A further node of a member, prepared and not started, and its key: another machine under number 2, the same
    /// people, and as peers the nodes that run now. `settings` are written into its configuration.
    ///
    /// # Errors
    /// A command that failed.
    pub fn further_node(&self, code: u32, settings: &str) -> Result<(NodeProcess, String)> {
        let member = self.members.iter().find(|member| member.code == code).context("no such member")?;
        let home = self.dir.join(format!("{code}-2"));
        let key = self.certified(member, "2", &home)?;
        let config = home.join("shouwang.toml");
        std::fs::write(&config, format!("{settings}\n{}", std::fs::read_to_string(&config)?))?;
        let running = self.nodes.iter().filter(|node| node.is_running());
        self.take_part(&home, running.map(|node| (node.code, node.at(node.ports.peer))))?;
        let ports = Ports::free()?;
        contexts(&home, &self.home(code).join("operators"), loopback(ports.operator))?;
        Ok((NodeProcess::new(self.binary.clone(), home, ports, code), key))
    }

    /// What each bureau's administrator does for a node that joins later: one more peer in the own node's configuration.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn add_peer(&self, of: u32, node: &str, address: SocketAddr) -> Result<()> {
        let config = self.home(of).join("shouwang.toml");
        let peer = format!("\npeers = [{{ node = \"{node}\", address = \"{address}\" }}, ");
        let text = std::fs::read_to_string(&config)?.replace("\npeers = [", &peer);
        Ok(std::fs::write(&config, text)?)
    }

    /// Takes the lines away, so that nodes that are started from now on dial each other directly: a forwarder between them
    /// would be measured with them.
    ///
    /// # Errors
    /// A configuration cannot be written.
    pub fn dial_directly(&mut self) -> Result<()> {
        for ((from, to), line) in std::mem::take(&mut self.lines) {
            let config = self.home(from).join("shouwang.toml");
            let near = self.node(to).ports.peer;
            let text = std::fs::read_to_string(&config)?;
            let direct = text.replace(&format!("\"127.0.0.1:{}\"", line.port), &format!("\"127.0.0.1:{near}\""));
            std::fs::write(&config, direct)?;
        }
        Ok(())
    }

    /// Runs a command that needs no node, in English.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.try_run(arguments)?;
        if answer.code != 0 {
            bail!("shouwang {} ended with {}: {}", arguments.join(" "), answer.code, answer.err.trim());
        }
        Ok(answer.out.trim().to_owned())
    }

    /// Runs a command that knows no node and takes no context, and answers what came of it, good or bad.
    ///
    /// # Errors
    /// The command cannot be run at all.
    pub fn try_run(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.binary);
        if let Some(clock) = &self.clock {
            clock.wear(&mut command);
        }
        Ok(Answer::of(&command.args(arguments).env("SHOUWANG_LANG", "en").output()?))
    }

    fn prepare_node(&self, member: &MemberSpec) -> Result<()> {
        let (home, ca, code) = (self.home(member.code), self.dir.join("ca"), member.code.to_string());
        let key = self.certified(member, "1", &home)?;
        std::fs::write(home.join("signing.pub"), key)?;
        for role in ROLES {
            // Two people per post: nobody may do both halves of what needs two.
            for person in 1..=2 {
                let (id, out) = (format!("{role}-{person}"), home.join(format!("operators/{role}-{person}")));
                let who = ["pki", "operator", "--ca", path(&ca)?, "--municipality", &code, "--id", &id];
                self.run(&[&who[..], &["--role", role, "--out", path(&out)?]].concat())?;
            }
        }
        Ok(())
    }

    /// The home of a member's node of that number, with its certificate. Answers its key.
    fn certified(&self, member: &MemberSpec, number: &str, home: &Path) -> Result<String> {
        let (ca, code) = (self.dir.join("ca"), member.code.to_string());
        let init = ["init", "--federation", FEDERATION, "--municipality", &code, "--short", member.short];
        let address = self.place(member.code).address.to_string();
        let here = ["--node", number, "--dir", path(home)?, "--ip", &address];
        let key = self.run(&[&init[..], &here].concat())?;
        let (csr, cert) = (home.join("tls/node.csr"), home.join("tls/node.pem"));
        self.run(&["pki", "sign", "--ca", path(&ca)?, "--csr", path(&csr)?, "--out", path(&cert)?])?;
        std::fs::copy(ca.join("ca.pem"), home.join("tls/ca.pem"))?;
        Ok(key)
    }

    fn sign_charter(&self, members: &[MemberSpec]) -> Result<()> {
        let draft = self.dir.join("charter.toml");
        std::fs::write(&draft, self.charter_draft(members)?)?;
        let mut signed = self.dir.join("charter-0.json");
        self.run(&["charter", "draft", path(&draft)?, "--out", path(&signed)?])?;
        for (index, member) in members.iter().enumerate() {
            let (config, next) = (self.home(member.code).join("shouwang.toml"), format!("charter-{}.json", index + 1));
            let next = self.dir.join(next);
            let sign = ["--config", path(&config)?, "charter", "sign", path(&signed)?, "--out", path(&next)?];
            self.run(&sign)?;
            signed = next;
        }
        std::fs::copy(&signed, self.charter())?;
        Ok(())
    }

    fn charter_draft(&self, members: &[MemberSpec]) -> Result<String> {
        let hub = members.first().context("a federation has members")?.code;
        let mut text = format!("federation = \"{FEDERATION}\"\nname = \"乌海应急联动区域\"\nhub = {hub}\n");
        for member in members {
            text += "\n[[members]]\n";
            text += &self.member_table(member, "members.", member.voter)?;
        }
        Ok(text)
    }

    /// A member as a drafter writes it; `prefix` is where its table stands.
    fn member_table(&self, member: &MemberSpec, prefix: &str, voter: bool) -> Result<String> {
        let key = std::fs::read_to_string(self.home(member.code).join("signing.pub"))?;
        let mut text = format!(
            "code = {}\nname = \"{}\"\nshort = \"{}\"\nstanding = \"{}\"\nneighbours = {:?}\n",
            member.code, member.name, member.short, member.standing, member.neighbours
        );
        if let Some(superior) = member.superior {
            writeln!(text, "superior = {superior}")?;
        }
        writeln!(text, "[[{prefix}nodes]]\nnumber = 1\nkey = \"{key}\"\nvoter = {voter}")?;
        Ok(text)
    }

    /// Cuts a member off from all others, or mends its lines. Its own operators still reach it.
    pub fn cut(&self, code: u32, cut: bool) {
        for ((from, to), line) in &self.lines {
            if *from == code || *to == code {
                line.cut(cut);
            }
        }
    }

    /// Tells a member's node where the others are, and its people where the node is.
    fn configure(&self, code: u32) -> Result<()> {
        let home = self.home(code);
        let others = self.nodes.iter().filter(|node| node.code != code);
        self.take_part(&home, others.map(|to| (to.code, self.dials(code, to))))?;
        let own = self.nodes.iter().find(|node| node.code == code).context("a node")?;
        contexts(&home, Path::new("operators"), own.at(own.ports.operator))
    }

    /// The federation's CA takes a certificate back.
    ///
    /// # Errors
    /// The command failed.
    pub fn revoke(&self, cert: &Path) -> Result<()> {
        let ca = self.dir.join("ca");
        let what = ["pki", "revoke", "--ca", path(&ca)?, "--cert", path(cert)?, "--reason", "遗失"];
        self.run(&what).map(|_| ())
    }

    /// A running member's node is brought the newest list of what was taken back, and reads it.
    ///
    /// # Errors
    /// There is no list yet, or the node does not run.
    pub fn bring_list(&mut self, code: u32) -> Result<()> {
        let list = self.home(code).join("tls/revoked.pem");
        // Put in place at once: nobody reads half a list.
        let new = list.with_extension("new");
        std::fs::copy(self.dir.join("ca/revoked.pem"), &new)?;
        std::fs::rename(&new, &list)?;
        self.node(code).reload()
    }

    /// The CA signs a running member's node another certificate for the key it has, and the node reads it.
    ///
    /// # Errors
    /// A command that failed, or the node does not run.
    pub fn certify_again(&mut self, code: u32) -> Result<()> {
        let (ca, tls) = (self.dir.join("ca"), self.home(code).join("tls"));
        let (csr, new) = (tls.join("node.csr"), tls.join("node-2.pem"));
        self.run(&["pki", "sign", "--ca", path(&ca)?, "--csr", path(&csr)?, "--out", path(&new)?])?;
        std::fs::rename(&new, tls.join("node.pem"))?;
        self.node(code).reload()
    }

    /// The certificate of a member's operator.
    ///
    /// # Errors
    /// There is no such operator.
    pub fn operator_certificate(&self, code: u32, operator: &str) -> Result<PathBuf> {
        let folder = self.home(code).join("operators").join(operator);
        let [_, cert, _] = operator_files(&folder)?;
        Ok(folder.join(cert))
    }

    /// Adds the region to the configuration in a node's home, with the addresses at which it dials the others.
    fn take_part(&self, home: &Path, peers: impl Iterator<Item = (u32, SocketAddr)>) -> Result<()> {
        let peers = peers.map(|(code, address)| format!("{{ node = \"{code}/1\", address = \"{address}\" }}"));
        let (charter, peers) = (self.charter(), peers.collect::<Vec<_>>().join(", "));
        let mut config = File::options().append(true).open(home.join("shouwang.toml"))?;
        let region = format!("name = \"{REGION}\"\ncharter = \"{}\"\npeers = [{peers}]", path(&charter)?);
        Ok(writeln!(config, "\n[[regions]]\n{region}")?)
    }
}

/// Writes how the operators whose papers lie in a folder reach the node with this home.
fn contexts(home: &Path, operators: &Path, address: SocketAddr) -> Result<()> {
    let mut text = String::new();
    for role in ROLES {
        for person in 1..=2 {
            let folder = operators.join(format!("{role}-{person}"));
            let [ca, cert, key] = operator_files(&home.join(&folder))?.map(|file| folder.join(file));
            let (ca, cert, key) = (path(&ca)?, path(&cert)?, path(&key)?);
            writeln!(text, "[{role}-{person}]\naddress = \"{address}\"")?;
            writeln!(text, "ca = \"{ca}\"\ncert = \"{cert}\"\nkey = \"{key}\"")?;
        }
    }
    Ok(std::fs::write(home.join("contexts.toml"), text)?)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The names of an operator's CA, certificate and key in his folder.
fn operator_files(folder: &Path) -> Result<[String; 3]> {
    let mut names = [String::new(), String::new(), String::new()];
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let place = match name.as_str() {
            "ca.pem" => 0,
            other if Path::new(other).extension().is_some_and(|kind| kind == "key") => 2,
            _ => 1,
        };
        names[place] = name;
    }
    Ok(names)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
