//! A store keeper's desk: issues one unit of any lot, again and again, over a stream that many desks share.

use anyhow::Result;
use prost::Message as _;
use shouwang_domain::testing::Rng;
use shouwang_proto::v1;

use super::site::Site;
use crate::gateway::Gateway;
use crate::load::Asker;
use crate::payload::Mark;
use crate::registry::accepted;
use crate::stock::id;
use crate::system::CONNECTIONS_MAX;

const ISSUE: &str = "/shouwang.v1.RegistryService/IssueStock";

/// One desk.
pub struct Issuer {
    gateway: Gateway,
    rng: Rng,
    lots: usize,
}

impl Issuer {
    /// So many desks, over [`CONNECTIONS_MAX`] connections at most.
    ///
    /// # Errors
    /// The node lets nobody in.
    pub async fn desks(site: &Site, count: usize, lots: usize) -> Result<Vec<Self>> {
        let mut desks = Vec::with_capacity(count);
        for n in 0..count.min(CONNECTIONS_MAX) {
            let gateway = Gateway::open(site.connect("keeper-1").await?, ISSUE).await?;
            let desk = |n: usize| Self { gateway: gateway.clone(), rng: Rng(n as u64), lots };
            desks.extend((n..count).step_by(CONNECTIONS_MAX).map(desk));
        }
        Ok(desks)
    }

    /// Issues one unit. Answers the revision.
    ///
    /// # Errors
    /// It was refused, or there was no answer in time.
    pub async fn issue(&mut self) -> Result<u64> {
        let (request_id, lot) = (Mark::next().request_id(), id(self.rng.index(self.lots)).to_string());
        let request = v1::IssueStockRequest { request_id, lot, quantity: 1, purpose: "领用".to_owned() };
        let answer = self.gateway.call(request.encode_to_vec()).await?;
        accepted(v1::IssueStockResponse::decode(answer)?.outcome)
    }
}

impl Asker for Issuer {
    async fn ask(&mut self) -> Result<()> {
        self.issue().await.map(drop)
    }
}
