//! Founding a federation: certificate authority, nodes, operators, charter; all by the commands of the README.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::line::Line;
use crate::process::{NodeProcess, Ports};
use crate::terminal::Terminal;

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
    /// The line that each node dials each other on: (from, to).
    pub lines: BTreeMap<(u32, u32), Line>,
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
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let mut federation =
            Self { dir, binary: binary()?, members: members.to_vec(), nodes: Vec::new(), lines: BTreeMap::new() };
        let ca = federation.dir.join("ca");
        federation.run(&["pki", "init", "--federation", FEDERATION, "--out", path(&ca)?])?;
        for member in members {
            federation.prepare_node(member)?;
        }
        federation.sign_charter(members)?;
        let ports: Vec<Ports> = members.iter().map(|_| Ports::free()).collect::<Result<_>>()?;
        for from in members {
            for (to, ports) in members.iter().zip(&ports).filter(|(to, _)| to.code != from.code) {
                federation.lines.insert((from.code, to.code), Line::to(ports.peer)?);
            }
        }
        for (index, member) in members.iter().enumerate() {
            federation.configure(member)?;
            federation.contexts(member, ports[index])?;
            let home = federation.home(member.code);
            federation.nodes.push(NodeProcess::new(federation.binary.clone(), home, ports[index], member.code));
        }
        Ok(federation)
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
        Terminal::new(self.binary.clone(), self.home(code), role.to_owned())
    }

    /// Prepares the node of a member that the charter does not name yet, and answers the file that admits it.
    ///
    /// # Errors
    /// A command that failed.
    pub fn prepare_newcomer(&mut self, member: &MemberSpec) -> Result<PathBuf> {
        self.prepare_node(member)?;
        let ports = Ports::free()?;
        for other in self.nodes.iter().map(|node| (node.code, node.ports.peer)).collect::<Vec<_>>() {
            self.lines.insert((member.code, other.0), Line::to(other.1)?);
        }
        self.configure(member)?;
        self.contexts(member, ports)?;
        for other in self.members.clone() {
            self.lines.insert((other.code, member.code), Line::to(ports.peer)?);
            let port = self.lines[&(other.code, member.code)].port;
            self.add_peer(other.code, &format!("{}/1", member.code), port)?;
        }
        let file = self.dir.join(format!("{}-admission.toml", member.code));
        std::fs::write(&file, self.member_table(member, "", false)?)?;
        self.nodes.push(NodeProcess::new(self.binary.clone(), self.home(member.code), ports, member.code));
        self.members.push(*member);
        Ok(file)
    }

    /// What each bureau's administrator does for a node that joins later: one more peer in the own node's configuration.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn add_peer(&self, of: u32, node: &str, port: u16) -> Result<()> {
        let config = self.home(of).join("shouwang.toml");
        let peer = format!("\npeers = [{{ node = \"{node}\", address = \"127.0.0.1:{port}\" }}, ");
        let text = std::fs::read_to_string(&config)?.replace("\npeers = [", &peer);
        Ok(std::fs::write(&config, text)?)
    }

    /// Runs a command that needs no node, in English.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary).args(arguments).env("SHOUWANG_LANG", "en").output()?;
        if !output.status.success() {
            bail!("shouwang {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn prepare_node(&self, member: &MemberSpec) -> Result<()> {
        let (home, ca, code) = (self.home(member.code), self.dir.join("ca"), member.code.to_string());
        let home_text = path(&home)?;
        let init = ["init", "--federation", FEDERATION, "--municipality", &code, "--short", member.short];
        let key = self.run(&[&init[..], &["--dir", home_text, "--ip", "127.0.0.1"]].concat())?;
        std::fs::write(home.join("signing.pub"), key)?;
        let (csr, cert) = (home.join("tls/node.csr"), home.join("tls/node.pem"));
        self.run(&["pki", "sign", "--ca", path(&ca)?, "--csr", path(&csr)?, "--out", path(&cert)?])?;
        std::fs::copy(ca.join("ca.pem"), home.join("tls/ca.pem"))?;
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

    fn configure(&self, member: &MemberSpec) -> Result<()> {
        let config = self.home(member.code).join("shouwang.toml");
        let mut text = std::fs::read_to_string(&config)?;
        let own = self.lines.iter().filter(|((from, _), _)| *from == member.code);
        let peers: Vec<String> = own
            .map(|((_, to), line)| format!("{{ node = \"{to}/1\", address = \"127.0.0.1:{}\" }}", line.port))
            .collect();
        write!(
            text,
            "\n[[regions]]\nname = \"{REGION}\"\ncharter = \"{}\"\npeers = [{}]\n",
            path(&self.charter())?,
            peers.join(", ")
        )?;
        std::fs::write(&config, text)?;
        Ok(())
    }

    fn contexts(&self, member: &MemberSpec, ports: Ports) -> Result<()> {
        let mut text = String::new();
        for role in ROLES {
            for person in 1..=2 {
                let folder = format!("operators/{role}-{person}");
                let files = operator_files(&self.home(member.code).join(&folder))?;
                let [ca, cert, key] = files.map(|file| format!("{folder}/{file}"));
                write!(
                    text,
                    "[{role}-{person}]\naddress = \"127.0.0.1:{}\"\nca = \"{ca}\"\ncert = \"{cert}\"\nkey = \"{key}\"\n",
                    ports.operator
                )?;
            }
        }
        std::fs::write(self.home(member.code).join("contexts.toml"), text)?;
        Ok(())
    }
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
