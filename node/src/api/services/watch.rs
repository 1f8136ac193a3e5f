//! Ledgers as streams. A stream is a cursor and nothing else: no buffer per client, no task of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::LedgerRecord;
use shouwang_driver::{Handle, WatchCursor};
use shouwang_proto::v1;
use shouwang_proto::v1::watch_service_server::WatchService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};

use super::Services;
use crate::api::caller::Caller;
use crate::api::convert::ledger;
use crate::api::read::{as_of, view, watch_failed};
use crate::api::status;
use crate::lang::Bilingual;

/// After this long without news a stream says how true its picture is.
const IDLE: Duration = Duration::from_secs(5);

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl WatchService for Services {
    type WatchRegionStream = Items<v1::WatchRegionResponse>;
    type WatchRegistryStream = Items<v1::WatchRegistryResponse>;

    async fn watch_region(
        &self,
        request: Request<v1::WatchRegionRequest>,
    ) -> Result<Response<Self::WatchRegionStream>, Status> {
        use v1::watch_region_response::Item;
        let asked = request.get_ref();
        let (hosted, look) = self.look_at_region(&request, &asked.region, false).await?;
        let from = first(asked.from_revision, look.view.record.revision());
        let watch = Watch::open(hosted.handle, from, place(&self.watches)?);
        Ok(Response::new(watch.into_stream(
            |record| v1::WatchRegionResponse { item: Some(Item::Record(ledger::region_record(record))) },
            |as_of| v1::WatchRegionResponse { item: Some(Item::Idle(as_of)) },
        )))
    }

    async fn watch_registry(
        &self,
        request: Request<v1::WatchRegistryRequest>,
    ) -> Result<Response<Self::WatchRegistryStream>, Status> {
        use v1::watch_registry_response::Item;
        Caller::of(&request)?;
        let registry = self.registry()?;
        let from = first(request.get_ref().from_revision, registry.revision());
        let watch = Watch::open(registry.clone(), from, place(&self.watches)?);
        Ok(Response::new(watch.into_stream(
            |record| v1::WatchRegistryResponse { item: Some(Item::Record(ledger::registry_record(record))) },
            |as_of| v1::WatchRegistryResponse { item: Some(Item::Idle(as_of)) },
        )))
    }
}

/// The first revision to send; 0 asks for what comes after `newest`.
fn first(asked: u64, newest: u64) -> u64 {
    if asked == 0 { newest + 1 } else { asked }
}

/// A place for one more stream.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when all are taken.
pub(super) fn place(watches: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    let text = Bilingual::fixed(
        "本节点的订阅数已满，请稍后重试或改用其他节点",
        "all watch streams of this node are taken; try again later, or another node",
    );
    let taken = || status::error(Code::ResourceExhausted, "TOO_MANY_WATCHES", &text, &[]);
    Arc::clone(watches).try_acquire_owned().map_err(|_| taken())
}

/// An open stream.
struct Watch<M: Machine> {
    handle: Handle<M>,
    cursor: WatchCursor<M>,
    /// Gives its place back when the client goes.
    _place: OwnedSemaphorePermit,
}

impl<M: Machine> Watch<M> {
    fn open(handle: Handle<M>, from: u64, place: OwnedSemaphorePermit) -> Self {
        let cursor = handle.watch(from);
        Self { handle, cursor, _place: place }
    }

    fn into_stream<T: Send + 'static>(
        self,
        record: fn(&LedgerRecord<M::Event>) -> T,
        idle: fn(v1::AsOf) -> T,
    ) -> Items<T> {
        // After an error there is nothing more to say: the state is gone and the stream ends.
        Box::pin(stream::unfold(Some(self), move |watch| async move {
            let mut watch = watch?;
            let item = match tokio::time::timeout(IDLE, watch.cursor.next()).await {
                Ok(Ok(change)) => Ok(record(&change.record)),
                Ok(Err(error)) => return Some((Err(watch_failed(&error, watch.cursor.position())), None)),
                Err(_) => view(&watch.handle).map(|view| idle(as_of(&view))),
            };
            Some((item, Some(watch)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_begins_with_what_comes_next() {
        for (asked, newest, expected) in [(0, 0, 1), (0, 7, 8), (1, 7, 1), (9, 7, 9)] {
            assert_eq!(first(asked, newest), expected);
        }
    }

    #[test]
    fn one_stream_too_many_is_told_to_come_again() {
        let watches = Arc::new(Semaphore::new(1));
        let held = place(&watches).unwrap();
        assert_eq!(place(&watches).unwrap_err().code(), Code::ResourceExhausted);
        drop(held);
        assert!(place(&watches).is_ok());
    }
}
