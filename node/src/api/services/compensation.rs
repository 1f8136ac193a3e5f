//! Debts and discrepancies.

use shouwang_proto::v1;
use shouwang_proto::v1::compensation_service_server::CompensationService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::convert::compensation as render;
use crate::api::fields::Parsing;
use crate::api::page::Page;

#[tonic::async_trait]
impl CompensationService for Services {
    async fn list_obligations(
        &self,
        request: Request<v1::ListObligationsRequest>,
    ) -> Result<Response<v1::ListObligationsResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let member = parsing.optional_municipality("member", &request.member);
        let state = parsing.optional_chosen("state", request.state, render::read_obligation_state);
        let (member, state) = parsing.finish(member.zip(state))?;
        let filter = (look.view.record.id(), member, state, request.show_settled);
        let page = Page::new("obligations", &filter, request.page_size, &request.page_token)?;
        let all = region.obligations().map(|(key, debt)| (*key, debt)).filter(|(_, debt)| {
            // Asked for by its state, a debt is shown even when it is settled.
            state.is_none_or(|state| debt.state == state)
                && (request.show_settled || state.is_some() || debt.settled_at.is_none())
                && member.is_none_or(|member| debt.debtor == member || debt.creditor == member)
        });
        let (obligations, next_page_token) = page.take(all, |key, debt| render::obligation(region, *key, debt));
        Ok(Response::new(v1::ListObligationsResponse { as_of: Some(look.as_of), obligations, next_page_token }))
    }

    async fn list_discrepancies(
        &self,
        request: Request<v1::ListDiscrepanciesRequest>,
    ) -> Result<Response<v1::ListDiscrepanciesResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let filter = (look.view.record.id(), request.show_closed);
        let page = Page::new("discrepancies", &filter, request.page_size, &request.page_token)?;
        let all = region.discrepancies().map(|(key, known)| (*key, known));
        let all = all.filter(|(_, known)| request.show_closed || known.closed_at.is_none());
        let (discrepancies, next_page_token) = page.take(all, |key, known| render::discrepancy(region, *key, known));
        Ok(Response::new(v1::ListDiscrepanciesResponse { as_of: Some(look.as_of), discrepancies, next_page_token }))
    }

    async fn get_statement(
        &self,
        request: Request<v1::GetStatementRequest>,
    ) -> Result<Response<v1::GetStatementResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let member = parsing.optional_municipality("member", &request.member);
        let member = parsing.finish(member)?;
        let (pairs, balances) = render::statement(region, request.exercise, member);
        Ok(Response::new(v1::GetStatementResponse { as_of: Some(look.as_of), pairs, balances }))
    }

    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Result<Response<v1::ClaimResponse>, Status> {
        self.change_region(request).await
    }

    async fn recognise(
        &self,
        request: Request<v1::RecogniseRequest>,
    ) -> Result<Response<v1::RecogniseResponse>, Status> {
        self.change_region(request).await
    }

    async fn dispute(&self, request: Request<v1::DisputeRequest>) -> Result<Response<v1::DisputeResponse>, Status> {
        self.change_region(request).await
    }

    async fn report_payment(
        &self,
        request: Request<v1::ReportPaymentRequest>,
    ) -> Result<Response<v1::ReportPaymentResponse>, Status> {
        self.change_region(request).await
    }

    async fn confirm_payment(
        &self,
        request: Request<v1::ConfirmPaymentRequest>,
    ) -> Result<Response<v1::ConfirmPaymentResponse>, Status> {
        self.change_region(request).await
    }

    async fn propose_finding(
        &self,
        request: Request<v1::ProposeFindingRequest>,
    ) -> Result<Response<v1::ProposeFindingResponse>, Status> {
        self.change_region(request).await
    }

    async fn accept_finding(
        &self,
        request: Request<v1::AcceptFindingRequest>,
    ) -> Result<Response<v1::AcceptFindingResponse>, Status> {
        self.change_region(request).await
    }
}
