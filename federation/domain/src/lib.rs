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

/// Whether a bug is planted here, or which of two values it makes: see [`planted`]. Without that feature it is the sound
/// one, and nothing else is compiled.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is($crate::planted::Plant::$bug)
    };
    ($bug:ident, $wrong:expr, $right:expr) => {
        if $crate::planted!($bug) { $wrong } else { $right }
    };
}
/// Whether a bug is planted here: never, without the feature `planted`.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
    ($bug:ident, $wrong:expr, $right:expr) => {
        $right
    };
}

pub mod actor;
pub mod adoption;
pub mod channel;
pub mod charter;
pub mod code;
pub mod command;
pub mod courier;
pub mod hash;
pub mod head;
pub mod ids;
pub mod level;
pub mod machine;
pub mod merkle;
#[cfg(feature = "planted")]
pub mod planted;
pub mod quantity;
pub mod record;
pub mod refusal;
pub mod region;
pub mod registry;
pub mod rescue;
pub mod resource;
pub mod subject;
mod succession;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
