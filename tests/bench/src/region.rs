//! A region of three municipalities, and the client that speaks to it: an operator with his certificate.
//!
//! What is written is a finding proposed about a discrepancy: ten suits left, eight arrived, and one side says in up to
//! 500 characters what it makes of that. It is the cheapest command of a region that carries a text of people: the region
//! checks who may say it and whether the discrepancy is open, keeps the newest proposal, and the ledger keeps all. Both
//! sides may propose, so the load can go to either of their nodes.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use shouwang_cluster::affairs::{leader_of, revision_of};
use shouwang_cluster::contention::contend;
use shouwang_cluster::story::{ALXA, SHIZUISHAN, SUITS, Sent, Story, WUHAI, until};
use shouwang_cluster::{Federation, federation};
use shouwang_proto::v1;
use shouwang_proto::v1::compensation_service_client::CompensationServiceClient;
use shouwang_proto::v1::watch_region_response::Item;
use shouwang_proto::v1::watch_service_client::WatchServiceClient;
use tokio::task::block_in_place;
use tonic::Request;
use tonic::transport::Channel;

use crate::gateway::Gateway;
use crate::payload::{self, Mark};
use crate::system::{CALL_TIMEOUT, CONNECTIONS_MAX, Client, NODES, OWN, Served, System};
use crate::tls::{Dialler, Papers};

/// The members; the first two have the discrepancy between them.
const MEMBERS: [u32; NODES] = [WUHAI, ALXA, SHIZUISHAN];
/// What a bureau sets whose gateway has one certificate for all its desks.
pub(crate) const SETTINGS: [(&str, u32); 2] = [("limits.calls", 2048), ("limits.caller_calls", 2048)];

/// One client.
#[derive(Clone)]
pub struct RegionClient {
    channel: Channel,
    mission: String,
    /// What carries its writes, if not each is a call by itself.
    gateway: Option<Gateway>,
}

/// The method that writes.
pub(crate) const WRITE: &str = "/shouwang.v1.CompensationService/ProposeFinding";

pub(crate) fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

impl Client for RegionClient {
    async fn write(&self, mark: Mark) -> Result<()> {
        let finding = v1::Finding { charge_requester: 0, note: payload::text(&mark.payload()) };
        let request = v1::ProposeFindingRequest {
            request_id: mark.request_id(),
            region: String::new(),
            mission: self.mission.clone(),
            kind: v1::DiscrepancyKind::DeliveryShort.into(),
            finding: Some(finding),
        };
        let answer = if let Some(gateway) = &self.gateway {
            v1::ProposeFindingResponse::decode(gateway.call(request.encode_to_vec()).await?)?
        } else {
            let mut client = CompensationServiceClient::new(self.channel.clone());
            client.propose_finding(call(request)).await?.into_inner()
        };
        let outcome = answer.outcome.context("an answer without an outcome")?;
        ensure!(outcome.verdict() == v1::Verdict::Accepted && outcome.revision > 0, "not accepted: {outcome:?}");
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        let request = v1::ListDiscrepanciesRequest { linearizable: true, ..Default::default() };
        let answer = CompensationServiceClient::new(self.channel.clone()).list_discrepancies(call(request)).await?;
        let found = answer.into_inner().discrepancies;
        ensure!(found.iter().any(|known| known.proposed.is_some()), "no proposal where one was written");
        Ok(())
    }

    async fn follow(&self, seen: impl Fn(Mark) + Send + 'static) -> Result<tokio::task::JoinHandle<anyhow::Error>> {
        let mut client = WatchServiceClient::new(self.channel.clone());
        let opened = tokio::time::timeout(CALL_TIMEOUT, client.watch_region(v1::WatchRegionRequest::default()));
        // The stream begins with what comes after the moment at which the node has answered.
        let mut records = opened.await??.into_inner();
        Ok(tokio::spawn(async move {
            loop {
                match records.message().await {
                    Ok(Some(v1::WatchRegionResponse { item: Some(Item::Record(record)) })) => {
                        Mark::of_request_id(&record.request_id).into_iter().for_each(&seen);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return anyhow::anyhow!("the watch ended"),
                    Err(status) => return status.into(),
                }
            }
        }))
    }
}

/// Three nodes, one of each member.
pub struct Region {
    federation: Federation,
    mission: String,
    diallers: [Dialler; 2],
}

impl Region {
    /// Founds a federation in `folder`, starts its nodes, and plays until there is a discrepancy. Blocks.
    ///
    /// # Errors
    /// A command that failed, or a node that does not come up.
    pub fn found(folder: &Path) -> Result<Self> {
        let mut federation = Federation::found(folder, &federation::members(&MEMBERS))?;
        federation.dial_directly()?;
        for node in &mut federation.nodes {
            node.further = SETTINGS.map(|(key, value)| (key, value.to_string())).to_vec();
        }
        federation.start_all()?;
        let mission = disagree(&mut federation)?;
        let dialler = |code| Dialler::new(&operator(&federation, code, "leader-1")?);
        let diallers = [dialler(MEMBERS[0])?, dialler(MEMBERS[1])?];
        Ok(Self { federation, mission, diallers })
    }

    /// What the nodes show to each other, which another system may show as well.
    pub fn node_papers(&self) -> [Papers; NODES] {
        MEMBERS.map(|code| {
            let file = |name| self.federation.home(code).join("tls").join(name);
            Papers { ca: file("ca.pem"), cert: file("node.pem"), key: file("node.key") }
        })
    }

    /// How clients of this federation dial.
    pub fn dialler(&self) -> Dialler {
        self.diallers[0].clone()
    }

    /// The newest revision that the first node has.
    ///
    /// # Errors
    /// It does not answer.
    pub fn revision(&self) -> Result<u64> {
        revision_of(&self.federation.terminal(MEMBERS[0], "admin"))
    }

    async fn connected(&self, node: usize, count: usize, in_streams: bool) -> Result<Vec<RegionClient>> {
        let dialler = self.diallers.get(node).context("only the two sides of the discrepancy take part")?;
        let mut clients = Vec::with_capacity(count);
        for n in 0..count.min(CONNECTIONS_MAX) {
            let channel = dialler.connect(self.federation.nodes[node].ports.operator).await?;
            let gateway = if in_streams { Some(Gateway::open(channel.clone(), WRITE).await?) } else { None };
            let client = RegionClient { channel, mission: self.mission.clone(), gateway };
            clients.extend((n..count).step_by(CONNECTIONS_MAX).map(|_| client.clone()));
        }
        Ok(clients)
    }

    /// The member whose node leads, of the two that the load goes to; if it is the third, it hands the lead over.
    fn find_leader(&self) -> Result<usize> {
        let known = |at: u32| leader_of(&self.federation.terminal(at, "admin"));
        until("one of the two sides leads", || {
            let Some(leader) = known(MEMBERS[0])? else { return Ok(None) };
            let place = MEMBERS.iter().position(|code| *code == leader);
            if place == Some(2) {
                let to = format!("{}/1", MEMBERS[0]);
                self.federation.terminal(leader, "admin").run(&["region", "transfer", &to])?;
                return Ok(None);
            }
            Ok(place.filter(|_| known(leader).is_ok_and(|there| there == Some(leader))))
        })
    }
}

/// Ten suits leave 阿拉善, eight arrive in 乌海. Answers the mission.
pub(crate) fn disagree(federation: &mut Federation) -> Result<String> {
    let contention = contend(federation, &[10], &[WUHAI])?;
    let mut story = Story::new(federation);
    story.request.clone_from(&contention.requests[0]);
    story.open_store()?;
    let mission = story.hold(1, &contention.pledges[0], 10)?;
    story.order(&mission)?;
    let sent = Sent { id: mission, holder: ALXA, qty: 10, resource: SUITS };
    story.dispatch(&sent)?;
    let mission = sent.id.clone();
    story.receive(&Sent { qty: 8, ..sent })?;
    let leader = story.federation.terminal(WUHAI, "leader");
    let finding =
        ["discrepancy", "propose", &format!("{mission}/delivery_short"), "--charge", "0", "--note", "途中遗失"];
    leader.gets_to(&finding)?;
    Ok(mission)
}

/// The papers of a member's operator.
pub(crate) fn operator(federation: &Federation, code: u32, operator: &str) -> Result<Papers> {
    let cert = federation.operator_certificate(code, operator)?;
    Ok(Papers { ca: cert.with_file_name("ca.pem"), key: cert.with_extension("key"), cert })
}

impl Served for Region {
    const NAME: &'static str = OWN;

    fn processes(&self) -> Vec<u32> {
        self.federation.nodes.iter().filter_map(shouwang_cluster::NodeProcess::pid).collect()
    }
}

impl System for Region {
    type Client = RegionClient;

    async fn leader(&mut self) -> Result<usize> {
        block_in_place(|| self.find_leader())
    }

    fn follower(&self, leader: usize) -> usize {
        1 - leader.min(1)
    }

    async fn clients(&self, node: usize, count: usize) -> Result<Vec<RegionClient>> {
        self.connected(node, count, false).await
    }

    async fn gateways(&self, node: usize, count: usize) -> Result<Vec<RegionClient>> {
        self.connected(node, count, true).await
    }

    fn peer_ports(&self) -> [u16; NODES] {
        std::array::from_fn(|node| self.federation.nodes[node].ports.peer)
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.federation.node(MEMBERS[node]).kill()
    }

    async fn restart(&mut self, node: usize) -> Result<()> {
        let code = MEMBERS[node];
        block_in_place(|| {
            self.federation.node(code).start()?;
            self.federation.node(code).wait_ready()?;
            let other = self.federation.terminal(MEMBERS[usize::from(node == 0)], "admin");
            let target = revision_of(&other)?;
            let back = self.federation.terminal(code, "admin");
            until("the node has caught up", || Ok((revision_of(&back)? >= target).then_some(())))
        })
    }
}
