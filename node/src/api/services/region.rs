//! The region as a whole: charter, figures, pledges, situation, proofs.

use shouwang_domain::machine::Machine as _;
use shouwang_proto::v1;
use shouwang_proto::v1::region_service_server::RegionService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::caller::Caller;
use crate::api::change::{driver_failed, outcome_of};
use crate::api::contact::node_contact;
use crate::api::convert::{aid, charter, words};
use crate::api::fields::Parsing;
use crate::api::page::Page;
use crate::api::read::{as_of, clock, watch_failed};
use crate::api::{deadline, situation, status};

#[tonic::async_trait]
impl RegionService for Services {
    async fn list_regions(
        &self,
        request: Request<v1::ListRegionsRequest>,
    ) -> Result<Response<v1::ListRegionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let page = Page::new("regions", &(), request.page_size, &request.page_token)?;
        let regions = self.regions();
        let views = regions.iter().filter_map(|(id, region)| Some((*id, region.handle.view().ok()?)));
        let seen = views.filter(|(_, view)| self.check_sees(&caller, view.record.machine()).is_ok());
        let (regions, next_page_token) = page.take(seen, |id, view| {
            let charter = view.record.machine().charter();
            v1::RegionSummary {
                id: id.to_string(),
                title: charter.name.clone(),
                hub: charter.hub.to_string(),
                // At most MEMBERS_MAX, 512.
                members: u32::try_from(charter.members.len()).unwrap_or(u32::MAX),
                as_of: Some(as_of(&view)),
            }
        });
        Ok(Response::new(v1::ListRegionsResponse { regions, next_page_token }))
    }

    async fn get_region(
        &self,
        request: Request<v1::GetRegionRequest>,
    ) -> Result<Response<v1::GetRegionResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let record = look.view.record.clone();
        let state_digest = if asked.with_state_digest {
            // A walk over the whole state would hold up everybody else on an async thread.
            let digest = tokio::task::spawn_blocking(move || record.digest()).await;
            digest.map_err(|_| status::internal("computing the digest failed"))?.to_string()
        } else {
            String::new()
        };
        let (record, contacts) = (&look.view.record, hosted.handle.status().contacts);
        let machine = record.machine();
        let node_level = |node| v1::NodeLevel { node: words::node(node), level: machine.node_level(node) };
        let node_levels = machine.group().into_iter().map(|member| node_level(member.node)).collect();
        Ok(Response::new(v1::GetRegionResponse {
            id: record.id().to_string(),
            charter: Some(charter::charter(record.machine().charter())),
            ledger_root: record.ledger_root().to_string(),
            epoch: record.epoch(),
            state_digest,
            contacts: contacts.iter().map(|contact| node_contact(contact, clock())).collect(),
            feature_level: machine.level(),
            node_levels,
            as_of: Some(look.as_of),
        }))
    }

    async fn list_published(
        &self,
        request: Request<v1::ListPublishedRequest>,
    ) -> Result<Response<v1::ListPublishedResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let resource = parsing.optional_resource("resource", request.resource.as_ref());
        let member = parsing.optional_municipality("member", &request.member);
        let (resource, member) = parsing.finish(resource.zip(member))?;
        let filter = (look.view.record.id(), &resource, member);
        let page = Page::new("published", &filter, request.page_size, &request.page_token)?;
        let all = region.published().map(|(key, known)| (key.clone(), known)).filter(|((by, of, _), _)| {
            member.is_none_or(|member| *by == member) && resource.as_ref().is_none_or(|resource| of == resource)
        });
        let (published, next_page_token) = page.take(all, |(member, of, exercise), known| v1::Published {
            member: member.to_string(),
            resource: Some(words::resource(of)),
            title: known.publication.name.clone(),
            unit: known.publication.unit.clone(),
            figure: Some(words::figure(known.publication.figure)),
            at: words::time(known.as_of),
            exercise: *exercise,
        });
        Ok(Response::new(v1::ListPublishedResponse { as_of: Some(look.as_of), published, next_page_token }))
    }

    async fn list_pledges(
        &self,
        request: Request<v1::ListPledgesRequest>,
    ) -> Result<Response<v1::ListPledgesResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let resource = parsing.optional_resource("resource", request.resource.as_ref());
        let holder = parsing.optional_municipality("holder", &request.holder);
        let (resource, holder) = parsing.finish(resource.zip(holder))?;
        let filter = (look.view.record.id(), &resource, holder, request.free_only);
        let page = Page::new("pledges", &filter, request.page_size, &request.page_token)?;
        let all = region.pledges().map(|(id, pledge)| (*id, pledge)).filter(|(_, pledge)| {
            holder.is_none_or(|holder| pledge.holder == holder)
                && resource.as_ref().is_none_or(|resource| pledge.made.resource == *resource)
                && (!request.free_only || !pledge.free().is_zero())
        });
        let (pledges, next_page_token) = page.take(all, |id, pledge| aid::pledge(*id, pledge));
        Ok(Response::new(v1::ListPledgesResponse { as_of: Some(look.as_of), pledges, next_page_token }))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        let asked = request.get_ref();
        let (_, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (region, request) = (look.state(), request.into_inner());
        let page = Page::new("changes", &look.view.record.id(), request.page_size, &request.page_token)?;
        let all = region.changes().map(|(id, change)| (*id, change));
        let (changes, next_page_token) = page.take(all, |id, change| charter::change(region.charter(), *id, change));
        Ok(Response::new(v1::ListChangesResponse { as_of: Some(look.as_of), changes, next_page_token }))
    }

    async fn propose_change(
        &self,
        request: Request<v1::ProposeChangeRequest>,
    ) -> Result<Response<v1::ProposeChangeResponse>, Status> {
        self.change_region(request).await
    }

    async fn sign_change(
        &self,
        request: Request<v1::SignChangeRequest>,
    ) -> Result<Response<v1::SignChangeResponse>, Status> {
        self.change_region(request).await
    }

    async fn get_situation(
        &self,
        request: Request<v1::GetSituationRequest>,
    ) -> Result<Response<v1::GetSituationResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let contacts = hosted.handle.status().contacts;
        let from = situation::Standpoint { node: self.node, contacts: &contacts, now: look.now() };
        Ok(Response::new(situation::of(&look, &from, asked.exercise)))
    }

    async fn get_region_outcome(
        &self,
        request: Request<v1::GetRegionOutcomeRequest>,
    ) -> Result<Response<v1::GetRegionOutcomeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let region = self.hosted(&request.get_ref().region)?;
        let outcome = outcome_of(&region.handle, caller.municipality, &request.get_ref().request_id, by).await?;
        let outcome = Some(words::outcome(&outcome, String::new()));
        Ok(Response::new(v1::GetRegionOutcomeResponse { outcome }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, _) = self.look_at_region(&request, &asked.region, false).await?;
        let (by, revision) = (deadline::of(&request), asked.revision);
        let mut cursor = hosted.handle.watch(revision);
        let reading = async {
            let proof = hosted.handle.inclusion_proof(revision).await.map_err(|error| driver_failed(&error))?;
            // Proven, so it is there: this does not wait for what is yet to happen.
            let record = cursor.next().await.map_err(|error| watch_failed(&error, revision))?;
            Ok::<_, Status>((proof, record))
        };
        let (proof, record) = tokio::time::timeout_at(by.into(), reading).await.map_err(|_| status::too_slow())??;
        if !proof.holds(&record.bytes) {
            return Err(status::internal("a ledger record does not fit its own proof"));
        }
        Ok(Response::new(v1::GetInclusionProofResponse {
            revision,
            record: record.bytes.to_vec(),
            size: proof.size,
            path: proof.path.iter().map(|hash| hash.0.to_vec()).collect(),
            root: proof.root.0.to_vec(),
        }))
    }
}
