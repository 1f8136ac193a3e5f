//! **The heart: pure, deterministic functions on values.**
//!
//! Two replicated machines live here behind one trait ([`machine::Machine`]): [`registry::Registry`], one
//! municipality's own record, and [`region::Region`], the record its neighbours share. Each command *decides*, each
//! event *evolves*; [`record::Record`] feeds a machine from the replicated log and turns what happened into ledger
//! records. The two machines speak only through the numbered messages of [`channel`].
//!
//! Entry point: [`record::Record::apply`].
//!
//! This room must never contain I/O, a clock, randomness, a `HashMap`, floating-point numbers, threads, or anything of
//! the wire: the same entries give the same state on every node, for ever.

pub mod actor;
pub mod channel;
pub mod charter;
pub mod code;
pub mod command;
pub mod courier;
pub mod hash;
pub mod head;
pub mod ids;
pub mod machine;
pub mod merkle;
pub mod quantity;
pub mod record;
pub mod refusal;
pub mod region;
pub mod registry;
pub mod resource;
pub mod subject;
mod succession;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
