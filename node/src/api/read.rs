//! Looks: a view of a record, and how true it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use shouwang_domain::machine::Machine;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::time::Timestamp;
use shouwang_driver::{DriverError, Handle, View, WatchError};
use shouwang_proto::v1;
use tonic::{Request, Status};

use super::caller::Caller;
use super::change::driver_failed;
use super::convert::words::time;
use super::{HostedRegion, Node, deadline, status};

/// A record as it stands, and how true that is.
pub struct Look<M: Machine> {
    /// The view.
    pub view: View<M>,
    /// How true it is.
    pub as_of: v1::AsOf,
}

impl<M: Machine> Look<M> {
    /// The machine's state.
    pub fn state(&self) -> &M {
        self.view.record.machine()
    }

    /// The time by which expiries and ages are shown: the record's own moves only when something is written.
    pub fn now(&self) -> Timestamp {
        self.view.record.time().max(clock())
    }
}

/// This machine's clock. Only what is shown goes by it, nothing that is decided.
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How true a view is.
pub fn as_of<M: Machine>(view: &View<M>) -> v1::AsOf {
    let record = &view.record;
    let stale = if view.in_touch { 0 } else { u64::try_from(view.last_heard.as_millis()).unwrap_or(u64::MAX) };
    v1::AsOf {
        revision: record.revision(),
        at: time(record.time()),
        stale_ms: stale,
        in_touch: view.in_touch,
        record: record.id().to_string(),
    }
}

/// The local view, or one at least as new as every write acknowledged before.
///
/// # Errors
/// No quorum within the deadline, for a linearizable look; or no state here yet.
pub async fn look<M: Machine>(handle: &Handle<M>, linearizable: bool, by: Instant) -> Result<Look<M>, Status> {
    let view = if linearizable { handle.read_linearizable(by).await } else { handle.view() };
    let view = view.map_err(|error| driver_failed(&error))?;
    let as_of = as_of(&view);
    Ok(Look { view, as_of })
}

impl Node {
    /// A look at the registry for a request that came through the door.
    ///
    /// # Errors
    /// See [`look`].
    pub async fn look_at_registry<T>(
        &self,
        request: &Request<T>,
        linearizable: bool,
    ) -> Result<Look<Registry>, Status> {
        Caller::of(request)?;
        look(self.registry()?, linearizable, deadline::of(request)).await
    }

    /// A look at a region for a request that came through the door: its members, and whom this node serves, see all of it.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` for callers of no member; see [`look`] and [`Node::hosted`].
    pub async fn look_at_region<T>(
        &self,
        request: &Request<T>,
        region: &str,
        linearizable: bool,
    ) -> Result<(HostedRegion, Look<Region>), Status> {
        let caller = Caller::of(request)?;
        let hosted = self.hosted(region)?;
        let look = look(&hosted.handle, linearizable, deadline::of(request)).await?;
        self.check_sees(&caller, look.state())?;
        Ok((hosted, look))
    }

    /// Whether the caller may see this region.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn check_sees(&self, caller: &Caller, region: &Region) -> Result<(), Status> {
        let municipality = caller.municipality;
        if municipality == self.node.municipality() || region.charter().member(municipality).is_some() {
            Ok(())
        } else {
            Err(status::refused(&Refusal::NotAMember { municipality }))
        }
    }
}

/// The local view.
///
/// # Errors
/// `UNAVAILABLE` while this node joins the record and has no state of it yet.
pub fn view<M: Machine>(handle: &Handle<M>) -> Result<View<M>, Status> {
    handle.view().map_err(|error| driver_failed(&error))
}

/// Why a ledger cannot be followed from `revision`.
pub fn watch_failed(error: &WatchError, revision: u64) -> Status {
    driver_failed(&match error {
        WatchError::Compacted { oldest } => DriverError::OutOfRange { revision, oldest: *oldest },
        WatchError::Stopped => DriverError::Stopped,
        WatchError::Store(error) => DriverError::Store(error.clone()),
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_cursor_that_asks_for_what_is_gone_is_told_where_history_begins() {
        use tonic_types::StatusExt as _;
        let status = watch_failed(&WatchError::Compacted { oldest: 42 }, 7);
        assert_eq!(status.code(), Code::OutOfRange);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata.get("oldest_revision").map(String::as_str), Some("42"));
        assert_eq!(watch_failed(&WatchError::Stopped, 7).code(), Code::Unavailable);
    }
}
