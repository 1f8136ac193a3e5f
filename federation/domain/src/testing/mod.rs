//! A world in memory, for tests: registries, regions, and couriers whose line loses, doubles and reorders. Not part of
//! any binary (feature `testing`).

mod commands;
mod world;

pub use self::commands::random_step;
pub use self::world::{AnyVerifier, Named, Rng, World, actor, charter, founding, municipality};
