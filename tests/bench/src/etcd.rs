//! etcd: three members as processes, and the client that speaks to them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use shouwang_cluster::process::Ports;
use tokio_stream::StreamExt as _;
use tonic::Request;
use tonic::transport::Channel;

use crate::payload::Mark;
use crate::system::{CALL_TIMEOUT, CONNECTIONS_MAX, Client, NODES, Served, System};
use crate::tls::{Dialler, Papers};

/// The messages of etcd's client API.
#[allow(missing_docs, clippy::pedantic, clippy::all)]
pub mod api {
    tonic::include_proto!("etcdserverpb");
}

use api::kv_client::KvClient;
use api::maintenance_client::MaintenanceClient;
use api::watch_client::WatchClient;

/// How long a member may take to come up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often one that comes up is asked whether it is there: there is no event to wait for across a process border.
const PACE: Duration = Duration::from_millis(50);
/// Bytes its store may take; the default of 2 GiB would end a long run.
const QUOTA_BYTES: u64 = 8 << 30;

/// One client, with a key of its own.
#[derive(Clone)]
pub struct EtcdClient {
    channel: Channel,
    key: Vec<u8>,
}

impl EtcdClient {
    /// The client that writes this key.
    pub fn new(channel: Channel, key: &str) -> Self {
        Self { channel, key: key.as_bytes().to_vec() }
    }
}

/// A call with its deadline, which the server is told as well.
fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

impl Client for EtcdClient {
    async fn write(&self, mark: Mark) -> Result<()> {
        let put = api::PutRequest { key: self.key.clone(), value: mark.payload() };
        let put = KvClient::new(self.channel.clone()).put(call(put)).await?;
        ensure!(put.get_ref().header.is_some_and(|header| header.revision > 0), "a put without a revision");
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        let range = api::RangeRequest { key: self.key.clone(), range_end: Vec::new(), serializable: false };
        let found = KvClient::new(self.channel.clone()).range(call(range)).await?.into_inner();
        ensure!(found.kvs.len() == 1, "{} keys where one was written", found.kvs.len());
        Ok(())
    }

    async fn follow(&self, seen: impl Fn(Mark) + Send + 'static) -> Result<tokio::task::JoinHandle<anyhow::Error>> {
        let every = api::WatchCreateRequest { key: vec![0], range_end: vec![0] };
        let asked = api::WatchRequest { request_union: Some(api::watch_request::RequestUnion::CreateRequest(every)) };
        // The stream of questions must stay open, or the watch ends.
        let questions = tokio_stream::iter([asked]).chain(tokio_stream::pending());
        let mut client = WatchClient::new(self.channel.clone());
        let opened = tokio::time::timeout(CALL_TIMEOUT, client.watch(Request::new(questions)));
        let mut events = opened.await??.into_inner();
        let first = tokio::time::timeout(CALL_TIMEOUT, events.message()).await??;
        ensure!(first.is_some_and(|answer| answer.created && !answer.canceled), "the watch was not created");
        Ok(tokio::spawn(async move {
            loop {
                match events.message().await {
                    Ok(Some(answer)) => {
                        let values = answer.events.iter().filter_map(|event| event.kv.as_ref());
                        values.filter_map(|kv| Mark::of_payload(&kv.value)).for_each(&seen);
                    }
                    Ok(None) => return anyhow::anyhow!("the watch ended"),
                    Err(status) => return status.into(),
                }
            }
        }))
    }
}

/// One member.
struct Member {
    name: String,
    folder: PathBuf,
    ports: Ports,
    papers: Papers,
    child: Option<Child>,
}

impl Member {
    fn start(&mut self, cluster: &str) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join("etcd.log"))?;
        let [client, peer] = [self.ports.operator, self.ports.peer].map(|port| format!("https://127.0.0.1:{port}"));
        let Papers { ca, cert, key } = &self.papers;
        let mut command = Command::new("etcd");
        command.args(["--name", &self.name, "--data-dir"]).arg(self.folder.join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", cluster, "--initial-cluster-state", "new"]);
        command.args(["--logger", "zap", "--log-outputs", "stderr"]);
        command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
        for prefix in ["--", "--peer-"] {
            command.arg(format!("{prefix}trusted-ca-file")).arg(ca);
            command.arg(format!("{prefix}cert-file")).arg(cert);
            command.arg(format!("{prefix}key-file")).arg(key);
            command.arg(format!("{prefix}client-cert-auth"));
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(child.context("starting etcd (Debian's etcd-server)")?);
        Ok(())
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("etcd.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.child.is_some() {
            // Nothing of a run may outlive it; one that has ended by itself needs no killing.
            drop(self.kill());
        }
    }
}

/// Three members.
pub struct Etcd {
    members: Vec<Member>,
    dialler: Dialler,
    cluster: String,
}

impl Etcd {
    /// Starts three members in `folder`, which show these papers to clients and to each other, and waits until one leads.
    ///
    /// # Errors
    /// etcd is missing, or does not come up; with the end of its log.
    pub async fn start(folder: &Path, papers: [Papers; NODES], dialler: Dialler) -> Result<Self> {
        let member = |(n, papers)| {
            let (name, folder) = (format!("etcd{n}"), folder.join(format!("etcd{n}")));
            std::fs::create_dir_all(&folder)?;
            Ok(Member { name, folder, ports: Ports::free()?, papers, child: None })
        };
        let members = papers.into_iter().enumerate().map(member).collect::<Result<Vec<_>>>()?;
        let url = |member: &Member| format!("{}=https://127.0.0.1:{}", member.name, member.ports.peer);
        let cluster = members.iter().map(url).collect::<Vec<_>>().join(",");
        let mut etcd = Self { members, dialler, cluster };
        for member in &mut etcd.members {
            member.start(&etcd.cluster)?;
        }
        etcd.leader().await?;
        Ok(etcd)
    }

    async fn status(&self, node: usize) -> Result<api::StatusResponse> {
        let channel = self.dialler.connect(self.members[node].ports.operator).await?;
        Ok(MaintenanceClient::new(channel).status(call(api::StatusRequest {})).await?.into_inner())
    }

    /// Asks a member until its status is as wanted.
    async fn until<T>(&mut self, node: usize, wanted: impl Fn(&api::StatusResponse) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut why = "it is not as wanted".to_owned();
        while Instant::now() < deadline {
            let member = &mut self.members[node];
            if let Some(child) = &mut member.child
                && let Some(status) = child.try_wait()?
            {
                bail!("{} ended with {status}:\n{}", member.name, member.log_tail());
            }
            match self.status(node).await {
                Ok(status) => {
                    if let Some(found) = wanted(&status) {
                        return Ok(found);
                    }
                }
                Err(error) => why = format!("{error:#}"),
            }
            tokio::time::sleep(PACE).await;
        }
        let member = &self.members[node];
        bail!("{} after {PATIENCE:?}: {why}\n{}", member.name, member.log_tail())
    }

    /// Its name and the version that matters, as it says itself.
    ///
    /// # Errors
    /// It does not say.
    pub async fn version(&self) -> Result<String> {
        let version = self.status(0).await?.version;
        let mut parts = version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().context("etcd says no version")?);
        Ok(format!("{} {major}.{minor}", Self::NAME))
    }

    fn running(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.members[*node].child.is_some()).collect()
    }
}

impl Served for Etcd {
    const NAME: &'static str = "etcd";

    fn processes(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| member.child.as_ref().map(Child::id)).collect()
    }
}

impl System for Etcd {
    type Client = EtcdClient;

    async fn leader(&mut self) -> Result<usize> {
        for node in self.running() {
            let member = |status: &api::StatusResponse| status.header.map(|header| header.member_id);
            let (own, leader) =
                self.until(node, |status| (status.leader != 0).then(|| (member(status), status.leader))).await?;
            if own == Some(leader) {
                return Ok(node);
            }
        }
        bail!("no member of etcd says that it leads")
    }

    fn follower(&self, leader: usize) -> usize {
        (leader + 1) % NODES
    }

    async fn clients(&self, node: usize, count: usize) -> Result<Vec<EtcdClient>> {
        let mut clients = Vec::with_capacity(count);
        for n in 0..count.min(CONNECTIONS_MAX) {
            let channel = self.dialler.connect(self.members[node].ports.operator).await?;
            let all = (n..count).step_by(CONNECTIONS_MAX);
            clients.extend(all.map(|n| EtcdClient::new(channel.clone(), &format!("bench/{n}"))));
        }
        Ok(clients)
    }

    fn peer_ports(&self) -> [u16; NODES] {
        std::array::from_fn(|node| self.members[node].ports.peer)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.members[node].kill()
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        let other = (node + 1) % NODES;
        let newest = self.until(other, |status| Some(status.raft_index)).await?;
        let cluster = self.cluster.clone();
        self.members[node].start(&cluster)?;
        self.until(node, |status| (status.leader != 0 && status.raft_index >= newest).then_some(())).await
    }
}
