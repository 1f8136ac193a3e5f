//! Missions and what happens on the way.

use shouwang_proto::v1;
use shouwang_proto::v1::mission_service_server::MissionService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::convert::mission as render;
use crate::api::fields::{Parsing, read_id};
use crate::api::page::Page;
use crate::api::status;

#[tonic::async_trait]
impl MissionService for Services {
    async fn list_missions(
        &self,
        request: Request<v1::ListMissionsRequest>,
    ) -> Result<Response<v1::ListMissionsResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let state = parsing.optional_chosen("state", request.state, render::read_mission_state);
        let of = parsing.optional_id("aid_request", &request.aid_request);
        let member = parsing.optional_municipality("member", &request.member);
        let ((state, of), member) = parsing.finish(state.zip(of).zip(member))?;
        let filter = (look.view.record.id(), state, of, member, request.show_over);
        let page = Page::new("missions", &filter, request.page_size, &request.page_token)?;
        let all = region.missions().map(|(id, mission)| (*id, mission)).filter(|(_, mission)| {
            let notice = &mission.notice;
            // Asked for by its state, a mission is shown even when it is over.
            state.is_none_or(|state| mission.state == state)
                && (request.show_over || state.is_some() || !mission.state.is_over())
                && of.is_none_or(|of| notice.request == of)
                && member.is_none_or(|member| notice.holder == member || notice.requester == member)
        });
        let (missions, next_page_token) = page.take(all, |id, mission| render::mission(*id, mission));
        Ok(Response::new(v1::ListMissionsResponse { as_of: Some(look.as_of), missions, next_page_token }))
    }

    async fn get_mission(
        &self,
        request: Request<v1::GetMissionRequest>,
    ) -> Result<Response<v1::GetMissionResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, name) = (look.state(), request.into_inner().name);
        let by_number = region.missions().find(|(_, known)| !name.is_empty() && known.notice.number == name);
        // What is no id is taken for a working number that nobody has.
        let id = by_number.map(|(id, _)| *id).or_else(|| read_id(&name));
        let known = id.and_then(|id| Some((id, region.mission(id)?)));
        let (id, known) = known.ok_or_else(|| status::not_found("mission", &name))?;
        let mission = Some(render::mission(id, known));
        Ok(Response::new(v1::GetMissionResponse { as_of: Some(look.as_of), mission }))
    }

    async fn pick(&self, request: Request<v1::PickRequest>) -> Result<Response<v1::PickResponse>, Status> {
        self.change_registry(request).await
    }

    async fn dispatch(&self, request: Request<v1::DispatchRequest>) -> Result<Response<v1::DispatchResponse>, Status> {
        self.change_registry(request).await
    }

    async fn hand_over(&self, request: Request<v1::HandOverRequest>) -> Result<Response<v1::HandOverResponse>, Status> {
        self.change_registry(request).await
    }

    async fn turn_back(&self, request: Request<v1::TurnBackRequest>) -> Result<Response<v1::TurnBackResponse>, Status> {
        self.change_registry(request).await
    }

    async fn receive_delivery(
        &self,
        request: Request<v1::ReceiveDeliveryRequest>,
    ) -> Result<Response<v1::ReceiveDeliveryResponse>, Status> {
        self.change_registry(request).await
    }

    async fn start_work(
        &self,
        request: Request<v1::StartWorkRequest>,
    ) -> Result<Response<v1::StartWorkResponse>, Status> {
        self.change_registry(request).await
    }

    async fn report_usage(
        &self,
        request: Request<v1::ReportUsageRequest>,
    ) -> Result<Response<v1::ReportUsageResponse>, Status> {
        self.change_registry(request).await
    }

    async fn demobilise(
        &self,
        request: Request<v1::DemobiliseRequest>,
    ) -> Result<Response<v1::DemobiliseResponse>, Status> {
        self.change_registry(request).await
    }

    async fn withdraw_for_safety(
        &self,
        request: Request<v1::WithdrawForSafetyRequest>,
    ) -> Result<Response<v1::WithdrawForSafetyResponse>, Status> {
        self.change_registry(request).await
    }

    async fn send_return(
        &self,
        request: Request<v1::SendReturnRequest>,
    ) -> Result<Response<v1::SendReturnResponse>, Status> {
        self.change_registry(request).await
    }

    async fn take_back(&self, request: Request<v1::TakeBackRequest>) -> Result<Response<v1::TakeBackResponse>, Status> {
        self.change_registry(request).await
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        self.change_registry(request).await
    }

    async fn acknowledge_cancel(
        &self,
        request: Request<v1::AcknowledgeCancelRequest>,
    ) -> Result<Response<v1::AcknowledgeCancelResponse>, Status> {
        self.change_registry(request).await
    }

    async fn cancel_mission(
        &self,
        request: Request<v1::CancelMissionRequest>,
    ) -> Result<Response<v1::CancelMissionResponse>, Status> {
        self.change_region(request).await
    }

    async fn relay_dispatch(
        &self,
        request: Request<v1::RelayDispatchRequest>,
    ) -> Result<Response<v1::RelayDispatchResponse>, Status> {
        self.change_region(request).await
    }
}
