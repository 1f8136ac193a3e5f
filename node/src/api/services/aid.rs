//! Aid requests, answers, holds and orders.

use shouwang_proto::v1;
use shouwang_proto::v1::aid_service_server::AidService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::convert::aid as render;
use crate::api::fields::{Parsing, read_id};
use crate::api::page::Page;
use crate::api::{preview, status};

#[tonic::async_trait]
impl AidService for Services {
    async fn list_requests(
        &self,
        request: Request<v1::ListRequestsRequest>,
    ) -> Result<Response<v1::ListRequestsResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let requester = parsing.optional_municipality("requester", &request.requester);
        let state = parsing.optional_chosen("state", request.state, render::read_line_state);
        let (requester, state) = parsing.finish(requester.zip(state))?;
        let filter = (look.view.record.id(), requester, request.state, request.show_closed);
        let page = Page::new("requests", &filter, request.page_size, &request.page_token)?;
        let all = region.requests().map(|(id, known)| (*id, known)).filter(|(id, known)| {
            let mut states = known.line_numbers().filter_map(|line| region.line_state(*id, line));
            requester.is_none_or(|requester| known.requester == requester)
                && (request.show_closed || known.closed_at.is_none())
                && state.is_none_or(|state| states.any(|of_line| of_line == state))
        });
        let (requests, next_page_token) = page.take(all, |id, known| render::request(region, *id, known));
        Ok(Response::new(v1::ListRequestsResponse { as_of: Some(look.as_of), requests, next_page_token }))
    }

    async fn get_request(
        &self,
        request: Request<v1::GetRequestRequest>,
    ) -> Result<Response<v1::GetRequestResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, name) = (look.state(), request.into_inner().name);
        let by_number = region.requests().find(|(_, known)| known.made.number == name);
        // What is no id is taken for a working number that nobody has.
        let id = by_number.map(|(id, _)| *id).or_else(|| read_id(&name));
        let known = id.and_then(|id| Some((id, region.request(id)?)));
        let (id, known) = known.ok_or_else(|| status::not_found("request", &name))?;
        let aid_request = Some(render::request(region, id, known));
        Ok(Response::new(v1::GetRequestResponse { as_of: Some(look.as_of), aid_request }))
    }

    async fn preview_answer(
        &self,
        request: Request<v1::PreviewAnswerRequest>,
    ) -> Result<Response<v1::PreviewAnswerResponse>, Status> {
        preview::answer(self, request).await
    }

    async fn order(&self, request: Request<v1::OrderRequest>) -> Result<Response<v1::OrderResponse>, Status> {
        self.sign_order(request).await
    }

    async fn request_aid(
        &self,
        request: Request<v1::RequestAidRequest>,
    ) -> Result<Response<v1::RequestAidResponse>, Status> {
        self.change_registry(request).await
    }

    async fn answer_aid(
        &self,
        request: Request<v1::AnswerAidRequest>,
    ) -> Result<Response<v1::AnswerAidResponse>, Status> {
        self.change_registry(request).await
    }

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::HoldResponse>, Status> {
        self.change_region(request).await
    }

    async fn release_hold(
        &self,
        request: Request<v1::ReleaseHoldRequest>,
    ) -> Result<Response<v1::ReleaseHoldResponse>, Status> {
        self.change_region(request).await
    }

    async fn confirm_paper(
        &self,
        request: Request<v1::ConfirmPaperRequest>,
    ) -> Result<Response<v1::ConfirmPaperResponse>, Status> {
        self.change_region(request).await
    }

    async fn withdraw_line(
        &self,
        request: Request<v1::WithdrawLineRequest>,
    ) -> Result<Response<v1::WithdrawLineResponse>, Status> {
        self.change_region(request).await
    }

    async fn close_request(
        &self,
        request: Request<v1::CloseRequestRequest>,
    ) -> Result<Response<v1::CloseRequestResponse>, Status> {
        self.change_region(request).await
    }
}
