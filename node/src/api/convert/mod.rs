//! Between the wire and the domain: requests become commands, objects become messages. One file per subject.
//!
//! Wire types stop here. A request that cannot be a command says so field by field; what comes out of a record is
//! always sayable.

pub mod aid;
pub mod charter;
pub mod compensation;
pub mod ledger;
pub mod mission;
pub mod registry;
pub mod stock;
pub mod words;

use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_proto::v1;

use super::fields::Parsing;
use super::request_key::RequestKey;

/// A request that is one command of the registry.
pub trait RegistryRequest: Send + 'static {
    /// The client's request id.
    fn request_id(&self) -> &str;

    /// The command, or `None` with the violations noted.
    fn command(&self, parsing: &mut Parsing<'_>) -> Option<RegistryCommand>;
}

/// A request that is one command of a region.
pub trait RegionRequest: Send + 'static {
    /// The client's request id.
    fn request_id(&self) -> &str;

    /// Which region, as the client names it.
    fn region(&self) -> &str;

    /// The command, or `None` with the violations noted.
    fn command(&self, parsing: &mut Parsing<'_>) -> Option<RegionCommand>;
}

/// A response that tells what came of a command `C`.
pub trait Respond<C>: Sized {
    /// The response for an accepted command of the request with this key.
    fn respond(outcome: v1::Outcome, command: &C, key: &RequestKey) -> Self;
}

/// Makes requests commands of the registry: `Request, |request, parsing| command;`.
macro_rules! registry_requests {
    ($($request:ty, |$this:ident, $parsing:ident| $body:expr;)*) => {$(
        impl $crate::api::convert::RegistryRequest for $request {
            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn command(
                &self,
                $parsing: &mut $crate::api::fields::Parsing<'_>,
            ) -> Option<shouwang_domain::registry::command::RegistryCommand> {
                let $this = self;
                $body
            }
        }
    )*};
}

/// Makes requests commands of a region: `Request, |request, parsing| command;`.
macro_rules! region_requests {
    ($($request:ty, |$this:ident, $parsing:ident| $body:expr;)*) => {$(
        impl $crate::api::convert::RegionRequest for $request {
            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn region(&self) -> &str {
                &self.region
            }

            fn command(
                &self,
                $parsing: &mut $crate::api::fields::Parsing<'_>,
            ) -> Option<shouwang_domain::region::command::RegionCommand> {
                let $this = self;
                $body
            }
        }
    )*};
}

/// Responses that say nothing but the outcome.
macro_rules! plain_responses {
    ($($response:ident),* $(,)?) => {$(
        impl<C> $crate::api::convert::Respond<C> for shouwang_proto::v1::$response {
            fn respond(
                outcome: shouwang_proto::v1::Outcome,
                _command: &C,
                _key: &$crate::api::request_key::RequestKey,
            ) -> Self {
                Self { outcome: Some(outcome) }
            }
        }
    )*};
}

pub(crate) use {plain_responses, region_requests, registry_requests};

#[cfg(test)]
mod tests;
