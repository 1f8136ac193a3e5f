//! The ledgers by what they are about.

use std::pin::Pin;
use std::time::Instant;

use futures_util::stream;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::LedgerRecord;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::subject::Subject;
use shouwang_driver::{Handle, History, WatchCursor, WatchError};
use shouwang_proto::v1;
use shouwang_proto::v1::ledger_service_server::LedgerService;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::Services;
use super::watch::place;
use crate::api::caller::Caller;
use crate::api::change::driver_failed;
use crate::api::convert::ledger::{countersignature, region_record, registry_record};
use crate::api::convert::{charter, words};
use crate::api::page::Page;
use crate::api::read::watch_failed;
use crate::api::{deadline, object, status};
use crate::auth::Place;

/// Most records of a message of a copy, and about how many bytes: well below the largest message.
const COPY_RECORDS: usize = 1024;
pub(super) const COPY_BYTES: usize = 1 << 20;

type Pages = Pin<Box<dyn Stream<Item = Result<v1::ReadRegionLedgerResponse, Status>> + Send>>;

#[tonic::async_trait]
impl LedgerService for Services {
    type ReadRegionLedgerStream = Pages;

    async fn read_region_ledger(
        &self,
        request: Request<v1::ReadRegionLedgerRequest>,
    ) -> Result<Response<Pages>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, false).await?;
        let copy = Copy {
            cursor: hosted.handle.watch(asked.from_revision),
            last: look.view.record.revision(),
            _place: place(&self.watches, &Caller::of(&request)?)?,
        };
        Ok(Response::new(copy.into_pages()))
    }

    async fn get_region_head(
        &self,
        request: Request<v1::GetRegionHeadRequest>,
    ) -> Result<Response<v1::GetRegionHeadResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (since, by) = (asked.since_revision, deadline::of(&request));
        let signed = hosted.handle.signed_head().map_err(|error| driver_failed(&error))?;
        let grown = match since {
            0 => Vec::new(),
            since => {
                let proving = hosted.handle.consistency_proof(since, signed.head.revision);
                let proof = tokio::time::timeout_at(by.into(), proving).await.map_err(|_| status::too_slow())?;
                proof.map_err(|error| driver_failed(&error))?
            }
        };
        Ok(Response::new(v1::GetRegionHeadResponse {
            record: signed.head.record.to_string(),
            epoch: signed.head.epoch,
            revision: signed.head.revision,
            root: signed.head.root.to_string(),
            node: words::node(signed.node),
            algorithm: charter::algorithm(signed.algorithm).into(),
            public_key: signed.public_key.0,
            signature: signed.signature.0,
            grown: grown.iter().map(|hash| hash.0.to_vec()).collect(),
            countersigned: countersigned(&hosted.handle, look.state(), by).await?,
        }))
    }

    async fn mark_region_head(
        &self,
        request: Request<v1::MarkRegionHeadRequest>,
    ) -> Result<Response<v1::MarkRegionHeadResponse>, Status> {
        self.change_region(request).await
    }

    async fn list_region_history(
        &self,
        request: Request<v1::ListRegionHistoryRequest>,
    ) -> Result<Response<v1::ListRegionHistoryResponse>, Status> {
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, asked.linearizable).await?;
        let (by, request) = (deadline::of(&request), request.into_inner());
        let subjects = object::read(&request.object, |number| object::bearers_in_region(look.state(), number))?;
        let list = (look.view.record.id(), &request.object);
        let page = Page::new("region-history", &list, request.page_size, &request.page_token)?;
        let history = history(&hosted.handle, &request.object, subjects.clone(), &page, by).await?;
        Ok(Response::new(v1::ListRegionHistoryResponse {
            as_of: Some(look.as_of),
            records: about::<Region>(&history, &subjects).iter().map(region_record).collect(),
            next_page_token: next(&history, &page),
            complete_from: history.indexed.from,
            complete_through: history.indexed.through,
        }))
    }

    async fn list_registry_history(
        &self,
        request: Request<v1::ListRegistryHistoryRequest>,
    ) -> Result<Response<v1::ListRegistryHistoryResponse>, Status> {
        let look = self.look_at_registry(&request, request.get_ref().linearizable).await?;
        let (by, request) = (deadline::of(&request), request.into_inner());
        let subjects = object::read(&request.object, |number| object::bearers_in_registry(look.state(), number))?;
        let page = Page::new("registry-history", &request.object, request.page_size, &request.page_token)?;
        let history = history(self.registry()?, &request.object, subjects.clone(), &page, by).await?;
        Ok(Response::new(v1::ListRegistryHistoryResponse {
            as_of: Some(look.as_of),
            records: about::<Registry>(&history, &subjects).iter().map(registry_record).collect(),
            next_page_token: next(&history, &page),
            complete_from: history.indexed.from,
            complete_through: history.indexed.through,
        }))
    }
}

/// What the nodes of a region have said last, with the records that say so; what is not held here does not prove itself.
async fn countersigned(
    handle: &Handle<Region>,
    region: &Region,
    by: Instant,
) -> Result<Vec<v1::Countersignature>, Status> {
    let mut words = Vec::new();
    for (node, said) in region.countersignatures() {
        let mut cursor = handle.watch(said.stands_at);
        let reading = tokio::time::timeout_at(by.into(), cursor.next());
        match reading.await.map_err(|_| status::too_slow())? {
            Ok(change) => words.extend(countersignature(*node, said, &change.record.cause)),
            Err(WatchError::Compacted { .. }) => {}
            Err(error) => return Err(watch_failed(&error, said.stands_at)),
        }
    }
    Ok(words)
}

/// A ledger on its way out, record by record as it is kept.
struct Copy<M: Machine> {
    cursor: WatchCursor<M>,
    /// Where the copy ends: what comes later is for another one.
    last: u64,
    /// Gives its place back when the client goes.
    _place: Place,
}

impl<M: Machine> Copy<M> {
    fn into_pages(self) -> Pages {
        // After an error there is nothing more to say: the state is gone and the stream ends.
        Box::pin(stream::unfold(Some(self), |copy| async move {
            let mut copy = copy.filter(|copy| copy.cursor.position() <= copy.last)?;
            match copied(&mut copy.cursor, copy.last).await {
                Ok((first_revision, records)) => {
                    Some((Ok(v1::ReadRegionLedgerResponse { first_revision, records }), Some(copy)))
                }
                Err(status) => Some((Err(status), None)),
            }
        }))
    }
}

/// The next message of a copy that ends with the revision `last`: the first revision in it, and records as they are kept.
///
/// # Errors
/// The ledger does not hold them, or does not read.
pub(super) async fn copied<M: Machine>(cursor: &mut WatchCursor<M>, last: u64) -> Result<(u64, Vec<Vec<u8>>), Status> {
    let first = cursor.position();
    let (mut records, mut bytes) = (Vec::new(), 0);
    while cursor.position() <= last && records.len() < COPY_RECORDS && bytes < COPY_BYTES {
        let change = cursor.next().await.map_err(|error| watch_failed(&error, cursor.position()))?;
        bytes += change.bytes.len();
        records.push(change.bytes.to_vec());
    }
    Ok((first, records))
}

/// A page of an object's history.
async fn history<M: Machine>(
    handle: &Handle<M>,
    object: &str,
    subjects: Vec<Subject>,
    page: &Page<u64>,
    by: Instant,
) -> Result<History<M::Event>, Status> {
    let after = page.after().copied().unwrap_or_default();
    let found = handle.history(subjects, after, page.size(), by).await.map_err(|error| driver_failed(&error))?;
    let nothing = found.changes.is_empty() && after == 0;
    // Only a whole index can tell that nothing was ever written about it.
    if nothing && found.indexed.is_whole(found.newest) {
        return Err(status::not_found("object", object));
    }
    Ok(found)
}

/// The records of a page, each with what it says about these subjects and nothing else.
fn about<M: Machine>(history: &History<M::Event>, subjects: &[Subject]) -> Vec<LedgerRecord<M::Event>> {
    let part = |record: &LedgerRecord<M::Event>| {
        let is_about = |event: &M::Event| M::subjects(event).iter().any(|subject| subjects.contains(subject));
        let events = record.events.iter().filter(|event| is_about(event)).cloned().collect();
        LedgerRecord { events, cause: record.cause.clone(), refusal: record.refusal.clone(), ..*record }
    };
    history.changes.iter().map(|change| part(&change.record)).collect()
}

/// The token of the page behind this one.
fn next<E>(history: &History<E>, page: &Page<u64>) -> String {
    let last = history.changes.last().filter(|_| history.more);
    last.map(|change| page.token(&change.record.revision)).unwrap_or_default()
}
