//! The secretariat's papers.

use std::time::Instant;

use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_proto::v1;
use shouwang_proto::v1::report_service_server::ReportService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::convert::words::time;
use crate::api::read::watch_failed;
use crate::api::{HostedRegion, deadline, status};
use crate::documents::region_report::RegionReport;
use crate::lang::Bilingual;

#[tonic::async_trait]
impl ReportService for Services {
    async fn get_region_report(
        &self,
        request: Request<v1::GetRegionReportRequest>,
    ) -> Result<Response<v1::GetRegionReportResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (mut as_of, mut record) = (look.as_of, look.view.record.clone());
        if asked.revision != 0 && asked.revision != record.revision() {
            let by = deadline::of(request.metadata());
            record = fold(&hosted, asked.revision, by).await?.into();
            (as_of.revision, as_of.at) = (record.revision(), time(record.time()));
        }
        // A walk over the whole state would hold up everybody else on an async thread.
        let report = tokio::task::spawn_blocking(move || RegionReport::of(&record).to_canonical_json()).await;
        let report = report.map_err(|_| status::internal("folding the report failed"))?.into_bytes();
        Ok(Response::new(v1::GetRegionReportResponse { as_of: Some(as_of), report }))
    }
}

/// The record as of an earlier revision: its founding charter, and every ledger record up to there.
async fn fold(hosted: &HostedRegion, revision: u64, by: Instant) -> Result<Record<Region>, Status> {
    let newest = hosted.handle.revision();
    if revision > newest {
        let text = Bilingual::new(
            format!("尚无修订 {revision}，本节点最新为 {newest}"),
            format!("there is no revision {revision} yet; the newest here is {newest}"),
        );
        return Err(status::error(tonic::Code::OutOfRange, "REVISION_NOT_YET", &text, &[]));
    }
    let mut record =
        Record::<Region>::found(&hosted.founding).map_err(|_| status::internal("the founding charter was refused"))?;
    let mut history = hosted.handle.watch(1);
    while record.revision() < revision {
        let next = tokio::time::timeout_at(by.into(), history.next()).await;
        let next = next.map_err(|_| status::too_slow())?;
        let change = next.map_err(|error| watch_failed(&error, record.revision() + 1))?;
        record.replay(&change.bytes).map_err(|_| status::internal("a ledger record cannot be read"))?;
    }
    Ok(record)
}
