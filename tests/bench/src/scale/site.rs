//! One municipality's node on this machine, and whoever calls it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use shouwang_cluster::Federation;
use shouwang_cluster::federation::MemberSpec;
use shouwang_cluster::story::WUHAI;
use shouwang_proto::admin::v1 as admin;
use shouwang_proto::admin::v1::admin_service_client::AdminServiceClient;
use shouwang_proto::v1;
use shouwang_proto::v1::region_service_client::RegionServiceClient;
use shouwang_proto::v1::registry_service_client::RegistryServiceClient;
use tokio::task::block_in_place;
use tonic::Request;
use tonic::transport::Channel;

use super::process;
use crate::region::operator;
use crate::tls::Dialler;

/// How long one long call may take: the longest that a node works on one.
pub const CALL_MAX: Duration = Duration::from_mins(1);
/// How long a node may take to answer after it was started.
const RESTART_MAX: Duration = Duration::from_mins(20);
/// How often a node that starts is asked.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// What a bureau sets whose gateway has one certificate for all its desks and screens.
const SETTINGS: [(&str, u32); 5] = [
    ("limits.calls", 4096),
    ("limits.caller_calls", 4096),
    ("limits.watches", 16_384),
    ("limits.caller_watches", 16_384),
    ("limits.caller_connections", 512),
];

/// The node of 乌海.
pub struct Site {
    /// All that was founded with it.
    pub federation: Federation,
}

/// A request that may take as long as any.
pub fn long<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_MAX);
    request
}

impl Site {
    /// Founds a federation in `folder`, or takes the one that is there; its nodes do not run yet. Blocks.
    ///
    /// # Errors
    /// A command that failed.
    pub fn at(folder: &Path, members: &[MemberSpec]) -> Result<Self> {
        let mut federation = if folder.join("charter.json").is_file() {
            Federation::found_before(folder, members)?
        } else {
            let mut founded = Federation::found(folder, members)?;
            founded.dial_directly()?;
            founded
        };
        for node in &mut federation.nodes {
            node.further = SETTINGS.map(|(key, value)| (key, value.to_string())).to_vec();
        }
        Ok(Self { federation })
    }

    /// A connection of one of its operators.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn connect(&self, operator_id: &str) -> Result<Channel> {
        let port = self.federation.nodes.first().context("a federation has a node")?.ports.operator;
        Dialler::new(&operator(&self.federation, WUHAI, operator_id)?)?.connect(port).await
    }

    /// Starts the node and waits until both its records answer a read that is as new as any. Answers how long the registry
    /// took from the start of the process, and how long the region.
    ///
    /// # Errors
    /// It does not answer in time, or has ended.
    pub async fn start(&mut self) -> Result<(Duration, Duration)> {
        let began = Instant::now();
        block_in_place(|| self.federation.node(WUHAI).start())?;
        let channel = loop {
            match self.connect("keeper-1").await {
                Ok(channel) => break channel,
                Err(error) => self.wait(began, &error).await?,
            }
        };
        let mut registry = RegistryServiceClient::new(channel.clone());
        while let Err(error) = registry.get_registry(long(v1::GetRegistryRequest { linearizable: true })).await {
            self.wait(began, &error.into()).await?;
        }
        let registry = began.elapsed();
        let read = || v1::ListPublishedRequest { page_size: 1, linearizable: true, ..Default::default() };
        let mut region = RegionServiceClient::new(channel);
        while let Err(error) = region.list_published(long(read())).await {
            self.wait(began, &error.into()).await?;
        }
        Ok((registry, began.elapsed()))
    }

    async fn wait(&self, began: Instant, last: &anyhow::Error) -> Result<()> {
        let node = &self.federation.nodes[0];
        ensure!(began.elapsed() < RESTART_MAX, "no answer within {RESTART_MAX:?}: {last:#}\n{}", node.log_tail());
        let gone = node.pid().is_none_or(process::has_ended);
        ensure!(!gone, "the node has ended:\n{}", node.log_tail());
        tokio::time::sleep(ASK_AGAIN).await;
        Ok(())
    }

    /// Kills the node without warning.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        block_in_place(|| self.federation.node(WUHAI).kill())
    }

    /// Bytes of memory of the node.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory(&self) -> Result<u64> {
        process::memory(self.federation.nodes[0].pid().context("the node does not run")?)
    }

    /// Takes a checkpoint now. Answers how long it took, and the bytes of its file.
    ///
    /// # Errors
    /// The node does not take it, or not within a call.
    pub async fn checkpoint(&self, record: Kept) -> Result<(Duration, f64)> {
        let mut client = AdminServiceClient::new(self.connect("admin-1").await?);
        let began = Instant::now();
        client.take_checkpoint(long(admin::TakeCheckpointRequest { record: record.name().to_owned() })).await?;
        let took = began.elapsed();
        let (_, metrics) = block_in_place(|| self.federation.nodes[0].get("/metrics"))?;
        let bytes = process::gauge(&metrics, "shouwang_checkpoint_bytes", record.label());
        Ok((took, bytes.context("no shouwang_checkpoint_bytes in /metrics")?))
    }
}

/// One of the two records of the node.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    /// 台账
    Registry,
    /// 区域
    Region,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            // The only one that the node hosts.
            Self::Region => "",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Region => "region",
        }
    }
}
