//! A world in memory, for tests: registries, regions, and couriers whose line loses, doubles and reorders. Not part of
//! any binary (feature `testing`).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "what is drawn stays far below any limit"
)]

mod commands;
mod declared;
mod world;

pub use self::commands::{Said, View, random_commands};
pub use self::declared::{region_events, registry_events};
pub use self::world::{AnyVerifier, Named, Rng, World, actor, charter, founding, lot, municipality};
