//! Ledgers as streams. A stream is a cursor and nothing else: no buffer per client, no task of its own.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::LedgerRecord;
use shouwang_driver::{Handle, WatchCursor};
use shouwang_proto::v1;
use shouwang_proto::v1::watch_service_server::WatchService;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};

use super::Services;
use crate::api::caller::Caller;
use crate::api::convert::ledger;
use crate::api::read::{as_of, view, watch_failed};
use crate::api::status;
use crate::auth::{Full, Place, Places};
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
        let place = place(&self.watches, &Caller::of(&request)?)?;
        let watch = Watch::open(hosted.handle, from, place, self.leaving.subscribe());
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
        let caller = Caller::of(&request)?;
        let registry = self.registry()?;
        let from = first(request.get_ref().from_revision, registry.revision());
        let place = place(&self.watches, &caller)?;
        let watch = Watch::open(registry.clone(), from, place, self.leaving.subscribe());
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

/// A place for one more stream of this caller.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when all are taken, or all that he may have.
pub(super) fn place(watches: &Places, caller: &Caller) -> Result<Place, Status> {
    watches.take(&caller.identity).map_err(|full| {
        let (reason, text) = match full {
            Full::All => {
                let en = "all watch streams of this node are taken; try again later, or another node";
                ("TOO_MANY_WATCHES", Bilingual::fixed("本节点的订阅数已满，请稍后重试或改用其他节点", en))
            }
            Full::Caller => {
                let en = "this certificate has all the watch streams it may have; end one first";
                ("CALLER_TOO_MANY_WATCHES", Bilingual::fixed("本证书的订阅数已满，请先结束其一", en))
            }
        };
        status::error(Code::ResourceExhausted, reason, &text, &[])
    })
}

/// An open stream.
struct Watch<M: Machine> {
    handle: Handle<M>,
    cursor: WatchCursor<M>,
    leaving: watch::Receiver<bool>,
    /// Gives its place back when the client goes.
    _place: Place,
}

impl<M: Machine> Watch<M> {
    fn open(handle: Handle<M>, from: u64, place: Place, leaving: watch::Receiver<bool>) -> Self {
        let cursor = handle.watch(from);
        Self { handle, cursor, leaving, _place: place }
    }

    fn into_stream<T: Send + 'static>(
        self,
        record: fn(&LedgerRecord<M::Event>) -> T,
        idle: fn(v1::AsOf) -> T,
    ) -> Items<T> {
        // After an error there is nothing more to say: the state is gone and the stream ends.
        Box::pin(stream::unfold(Some(self), move |watch| async move {
            let mut watch = watch?;
            let leaving = async {
                // Gone or true: either way the node is about to stop.
                let _ = watch.leaving.wait_for(|leaving| *leaving).await;
            };
            let next = tokio::select! {
                next = tokio::time::timeout(IDLE, watch.cursor.next()) => next,
                () = leaving => return Some((Err(status::stopping()), None)),
            };
            let item = match next {
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
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nothing_asked_begins_with_what_comes_next() {
        for (asked, newest, expected) in [(0, 0, 1), (0, 7, 8), (1, 7, 1), (9, 7, 9)] {
            assert_eq!(first(asked, newest), expected);
        }
    }

    #[test]
    fn one_stream_too_many_is_told_to_come_again() {
        let asks = |n: u32| {
            let identity = format!("spiffe://wuhai/municipality/150300/operator/op-{n}/duty").parse().unwrap();
            Caller::new(&Arc::new(identity)).unwrap()
        };
        let refused = |watches: &Places, n| status::reason(&place(watches, &asks(n)).unwrap_err());
        let watches = Places::new(2, 1);
        let held = place(&watches, &asks(1)).unwrap();
        assert_eq!(refused(&watches, 1).as_deref(), Some("CALLER_TOO_MANY_WATCHES"));
        let other = place(&watches, &asks(2)).unwrap();
        assert_eq!(refused(&watches, 3).as_deref(), Some("TOO_MANY_WATCHES"));
        drop((held, other));
        assert!(place(&watches, &asks(1)).is_ok());
    }
}
