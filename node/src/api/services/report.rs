//! The secretariat's papers.

use shouwang_proto::v1;
use shouwang_proto::v1::report_service_server::ReportService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::change::driver_failed;
use crate::api::convert::words::time;
use crate::api::{deadline, status};
use crate::documents::region_report::RegionReport;

#[tonic::async_trait]
impl ReportService for Services {
    async fn get_region_report(
        &self,
        request: Request<v1::GetRegionReportRequest>,
    ) -> Result<Response<v1::GetRegionReportResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (mut as_of, mut record) = (look.as_of, look.view.record.clone());
        if asked.revision != 0 {
            let by = deadline::of(&request);
            record = hosted.handle.at(asked.revision, by).await.map_err(|error| driver_failed(&error))?;
            (as_of.revision, as_of.at) = (record.revision(), time(record.time()));
        }
        // A walk over the whole state would hold up everybody else on an async thread.
        let report = tokio::task::spawn_blocking(move || RegionReport::of(&record).to_canonical_json()).await;
        let report = report.map_err(|_| status::internal("folding the report failed"))?.into_bytes();
        Ok(Response::new(v1::GetRegionReportResponse { as_of: Some(as_of), report }))
    }
}
