//! The municipality's own record.

use shouwang_domain::ids::{LotId, RegionId, StoreId};
use shouwang_domain::record::Verdict;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::{Account, Lot};
use shouwang_domain::resource::Resource;
use shouwang_domain::time::Timestamp;
use shouwang_proto::v1;
use shouwang_proto::v1::registry_service_server::RegistryService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::api::caller::Caller;
use crate::api::change::outcome_of;
use crate::api::convert::{Respond as _, registry as render, stock, words};
use crate::api::fields::{Parsing, read_record};
use crate::api::page::Page;
use crate::api::{deadline, import, status};

#[tonic::async_trait]
impl RegistryService for Services {
    async fn get_registry(
        &self,
        request: Request<v1::GetRegistryRequest>,
    ) -> Result<Response<v1::GetRegistryResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let registry = look.state();
        Ok(Response::new(v1::GetRegistryResponse {
            owner: registry.owner().to_string(),
            incarnation: registry.incarnation(),
            warning: words::warning(registry.warning()).into(),
            channels: registry.channels().map(|(id, channel)| render::channel(*id, channel)).collect(),
            as_of: Some(look.as_of),
        }))
    }

    async fn list_stores(
        &self,
        request: Request<v1::ListStoresRequest>,
    ) -> Result<Response<v1::ListStoresResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let page = Page::new("stores", &(), request.page_size, &request.page_token)?;
        let all = registry.stores().map(|(id, store)| (*id, store));
        let (stores, next_page_token) = page.take(all, |id, store| stock::store(*id, store));
        Ok(Response::new(v1::ListStoresResponse { as_of: Some(look.as_of), stores, next_page_token }))
    }

    async fn list_restocks(
        &self,
        request: Request<v1::ListRestocksRequest>,
    ) -> Result<Response<v1::ListRestocksResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let page = Page::new("restocks", &(), request.page_size, &request.page_token)?;
        let all = registry.restocks().map(|(lot, restock)| (*lot, restock));
        let (restocks, next_page_token) = page.take(all, |lot, restock| stock::restock(*lot, restock));
        Ok(Response::new(v1::ListRestocksResponse { as_of: Some(look.as_of), restocks, next_page_token }))
    }

    async fn list_shortfalls(
        &self,
        request: Request<v1::ListShortfallsRequest>,
    ) -> Result<Response<v1::ListShortfallsResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let page = Page::new("shortfalls", &(), request.page_size, &request.page_token)?;
        let all = registry.shortfalls().map(|(number, shortfall)| (*number, shortfall));
        let (shortfalls, next_page_token) = page.take(all, |_, shortfall| render::shortfall(shortfall));
        Ok(Response::new(v1::ListShortfallsResponse { as_of: Some(look.as_of), shortfalls, next_page_token }))
    }

    async fn list_floors(
        &self,
        request: Request<v1::ListFloorsRequest>,
    ) -> Result<Response<v1::ListFloorsResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let page = Page::new("floors", &(), request.page_size, &request.page_token)?;
        let all = registry.floors().map(|(resource, floors)| (resource.clone(), floors));
        let (floors, next_page_token) = page.take(all, render::floors);
        Ok(Response::new(v1::ListFloorsResponse { as_of: Some(look.as_of), floors, next_page_token }))
    }

    async fn list_visibilities(
        &self,
        request: Request<v1::ListVisibilitiesRequest>,
    ) -> Result<Response<v1::ListVisibilitiesResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let page = Page::new("visibilities", &(), request.page_size, &request.page_token)?;
        let all = registry.visibilities().map(|(key, visibility)| (key.clone(), *visibility));
        let (releases, next_page_token) = page.take(all, |(region, resource), visibility| v1::Release {
            region: region.to_string(),
            resource: Some(words::resource(resource)),
            visibility: words::visibility(visibility).into(),
        });
        Ok(Response::new(v1::ListVisibilitiesResponse { as_of: Some(look.as_of), releases, next_page_token }))
    }

    async fn list_lots(&self, request: Request<v1::ListLotsRequest>) -> Result<Response<v1::ListLotsResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, now, request) = (look.state(), look.now(), request.into_inner());
        let filter = LotFilter::read(Parsing::reading(self.node.municipality(), &**self), &request)?;
        let page = Page::new("lots", &filter, request.page_size, &request.page_token)?;
        // From where the page begins: a page far behind must not cost more than the first.
        let rest = registry.lots_after(page.after().copied()).map(|(id, lot)| (*id, lot));
        let rest = rest.filter(|(id, lot)| filter.takes(registry, *id, lot, now));
        let (lots, next_page_token) = page.take(rest, |id, lot| stock::lot(registry, *id, lot, now));
        Ok(Response::new(v1::ListLotsResponse { as_of: Some(look.as_of), lots, next_page_token }))
    }

    async fn get_lot(&self, request: Request<v1::GetLotRequest>) -> Result<Response<v1::GetLotResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, name) = (look.state(), request.into_inner().name);
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let id = parsing.id("name", &name);
        let id = parsing.finish(id)?;
        let lot = registry.lot(id).ok_or_else(|| status::not_found("lot", &name))?;
        let lot = stock::lot(registry, id, lot, look.now());
        Ok(Response::new(v1::GetLotResponse { as_of: Some(look.as_of), lot: Some(lot) }))
    }

    async fn open_lots(&self, request: Request<v1::OpenLotsRequest>) -> Result<Response<v1::OpenLotsResponse>, Status> {
        import::open_lots(self, request).await
    }

    async fn get_floor_view(
        &self,
        request: Request<v1::GetFloorViewRequest>,
    ) -> Result<Response<v1::GetFloorViewResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let resource = parsing.resource("resource", request.resource.as_ref());
        let resource = parsing.finish(resource)?;
        let view = registry.floor_view(&resource, request.exercise, look.now());
        let words = registry.words_for(&resource, request.exercise);
        let (title, unit) = words.unwrap_or_default();
        Ok(Response::new(v1::GetFloorViewResponse {
            resource: Some(words::resource(&resource)),
            left: Some(render::floor_view(view)),
            warning: words::warning(registry.warning()).into(),
            pledged: render::pledged(registry, &resource, request.exercise).0,
            title,
            unit,
            as_of: Some(look.as_of),
        }))
    }

    async fn list_registry_pledges(
        &self,
        request: Request<v1::ListRegistryPledgesRequest>,
    ) -> Result<Response<v1::ListRegistryPledgesResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let region = self.named_region(&request.region)?;
        let filter = (region, request.show_closed);
        let page = Page::new("registry pledges", &filter, request.page_size, &request.page_token)?;
        let all = registry.pledges().map(|(id, pledge)| (*id, pledge)).filter(|(_, pledge)| {
            region.is_none_or(|region| pledge.region == region) && (request.show_closed || !pledge.closed)
        });
        let (pledges, next_page_token) = page.take(all, |id, pledge| render::pledge(registry, *id, pledge));
        Ok(Response::new(v1::ListRegistryPledgesResponse { as_of: Some(look.as_of), pledges, next_page_token }))
    }

    async fn list_registry_missions(
        &self,
        request: Request<v1::ListRegistryMissionsRequest>,
    ) -> Result<Response<v1::ListRegistryMissionsResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (registry, request) = (look.state(), request.into_inner());
        let region = self.named_region(&request.region)?;
        let page = Page::new("registry missions", &region, request.page_size, &request.page_token)?;
        let all = registry.missions().map(|(id, mission)| (*id, mission));
        let all = all.filter(|(_, mission)| region.is_none_or(|region| mission.region == region));
        let (missions, next_page_token) = page.take(all, |id, mission| render::mission(registry, *id, mission));
        Ok(Response::new(v1::ListRegistryMissionsResponse { as_of: Some(look.as_of), missions, next_page_token }))
    }

    async fn join_region(
        &self,
        request: Request<v1::JoinRegionRequest>,
    ) -> Result<Response<v1::JoinRegionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let request = request.into_inner();
        let mut parsing = self.parsing(&request.request_id);
        // A region this node does not host (yet) is named by its whole id, and needs a name for people.
        let unhosted = read_record(&request.region).filter(|id| !self.regions().contains_key(id));
        let region = unhosted.or_else(|| parsing.region(&request.region));
        let title = match region.and_then(|id| self.charter_name(id)) {
            Some(name) if request.title.is_empty() => Some(name),
            _ => parsing.text("title", &request.title, 100),
        };
        let key = parsing.key;
        let (region, name) = parsing.finish(region.zip(title))?;
        let command = RegistryCommand::JoinRegion { region, name };
        let outcome = self.give_to_registry(&caller, &key, command.clone(), by).await?;
        Ok(Response::new(v1::JoinRegionResponse::respond(outcome, &command, &key)))
    }

    async fn get_registry_outcome(
        &self,
        request: Request<v1::GetRegistryOutcomeRequest>,
    ) -> Result<Response<v1::GetRegistryOutcomeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let by = deadline::of(&request);
        let outcome = outcome_of(self.registry()?, caller.municipality, &request.get_ref().request_id, by).await?;
        let said = match outcome.verdict {
            Verdict::Accepted => match self.in_full(&outcome, by).await? {
                (said, None) => said,
                (said, Some(refusal)) => v1::Outcome {
                    verdict: v1::Verdict::Refused.into(),
                    refusal: Some(words::refusal(&refusal)),
                    ..said
                },
            },
            _ => words::outcome(&outcome, String::new()),
        };
        Ok(Response::new(v1::GetRegistryOutcomeResponse { outcome: Some(said) }))
    }

    async fn add_store(&self, request: Request<v1::AddStoreRequest>) -> Result<Response<v1::AddStoreResponse>, Status> {
        self.change_registry(request).await
    }

    async fn receive_stock(
        &self,
        request: Request<v1::ReceiveStockRequest>,
    ) -> Result<Response<v1::ReceiveStockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn issue_stock(
        &self,
        request: Request<v1::IssueStockRequest>,
    ) -> Result<Response<v1::IssueStockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn scrap_stock(
        &self,
        request: Request<v1::ScrapStockRequest>,
    ) -> Result<Response<v1::ScrapStockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn count_stock(
        &self,
        request: Request<v1::CountStockRequest>,
    ) -> Result<Response<v1::CountStockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn inspect_lot(
        &self,
        request: Request<v1::InspectLotRequest>,
    ) -> Result<Response<v1::InspectLotResponse>, Status> {
        self.change_registry(request).await
    }

    async fn repair_stock(
        &self,
        request: Request<v1::RepairStockRequest>,
    ) -> Result<Response<v1::RepairStockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn map_item(&self, request: Request<v1::MapItemRequest>) -> Result<Response<v1::MapItemResponse>, Status> {
        self.change_registry(request).await
    }

    async fn set_floors(
        &self,
        request: Request<v1::SetFloorsRequest>,
    ) -> Result<Response<v1::SetFloorsResponse>, Status> {
        self.change_registry(request).await
    }

    async fn set_warning(
        &self,
        request: Request<v1::SetWarningRequest>,
    ) -> Result<Response<v1::SetWarningResponse>, Status> {
        self.change_registry(request).await
    }

    async fn set_visibility(
        &self,
        request: Request<v1::SetVisibilityRequest>,
    ) -> Result<Response<v1::SetVisibilityResponse>, Status> {
        self.change_registry(request).await
    }

    async fn refresh_publication(
        &self,
        request: Request<v1::RefreshPublicationRequest>,
    ) -> Result<Response<v1::RefreshPublicationResponse>, Status> {
        self.change_registry(request).await
    }

    async fn make_pledge(
        &self,
        request: Request<v1::MakePledgeRequest>,
    ) -> Result<Response<v1::MakePledgeResponse>, Status> {
        self.change_registry(request).await
    }

    async fn withdraw_pledge(
        &self,
        request: Request<v1::WithdrawPledgeRequest>,
    ) -> Result<Response<v1::WithdrawPledgeResponse>, Status> {
        self.change_registry(request).await
    }

    async fn break_glass(
        &self,
        request: Request<v1::BreakGlassRequest>,
    ) -> Result<Response<v1::BreakGlassResponse>, Status> {
        self.change_registry(request).await
    }

    async fn cover_overdraft(
        &self,
        request: Request<v1::CoverOverdraftRequest>,
    ) -> Result<Response<v1::CoverOverdraftResponse>, Status> {
        self.change_registry(request).await
    }

    async fn receive_restock(
        &self,
        request: Request<v1::ReceiveRestockRequest>,
    ) -> Result<Response<v1::ReceiveRestockResponse>, Status> {
        self.change_registry(request).await
    }

    async fn verify_restock(
        &self,
        request: Request<v1::VerifyRestockRequest>,
    ) -> Result<Response<v1::VerifyRestockResponse>, Status> {
        self.change_registry(request).await
    }
}

/// Which lots a list shows.
#[derive(serde::Serialize)]
struct LotFilter {
    resource: Option<Resource>,
    store: Option<StoreId>,
    uncoded: bool,
    units: bool,
    available: bool,
}

impl LotFilter {
    fn read(mut p: Parsing<'_>, request: &v1::ListLotsRequest) -> Result<Self, Status> {
        let resource = p.optional_resource("resource", request.resource.as_ref());
        let store = p.optional_id("store", &request.store);
        let (resource, store) = p.finish(resource.zip(store))?;
        let (uncoded, units, available) = (request.uncoded, request.units, request.available);
        Ok(Self { resource, store, uncoded, units, available })
    }

    fn takes(&self, registry: &Registry, id: LotId, lot: &Lot, now: Timestamp) -> bool {
        let of = || registry.resource_of(&lot.details.holding);
        (!self.units || lot.details.holding.is_unit())
            && self.store.is_none_or(|store| lot.details.store == store)
            && (!self.uncoded || of().is_none())
            && (self.resource.is_none() || of() == self.resource)
            && (!self.available || (registry.is_usable(lot, now) && !registry.balance(id, Account::Local).is_zero()))
    }
}

impl Services {
    /// A region that may be left out, and that the registry may know although this node does not host it.
    fn named_region(&self, text: &str) -> Result<Option<RegionId>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(id) = read_record(text) {
            return Ok(Some(id));
        }
        let mut parsing = Parsing::reading(self.node.municipality(), &**self);
        let region = parsing.region(text);
        parsing.finish(region).map(Some)
    }

    fn charter_name(&self, region: RegionId) -> Option<String> {
        let hosted = self.regions().get(&region)?.handle.view().ok()?;
        Some(hosted.record.machine().charter().name.clone())
    }
}
