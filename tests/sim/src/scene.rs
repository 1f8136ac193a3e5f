//! What a step of a station may see and touch of the world.

use shouwang_domain::testing::Rng;
use shouwang_domain::time::Timestamp;

use crate::cast::{Cast, Which};
use crate::network::{Letter, Network, Wire};
use crate::oracle::Oracle;
use crate::weather::{Habits, Weather};

/// The world as a station meets it.
pub(crate) struct Scene<'a> {
    /// The step.
    pub now: u64,
    /// What time it really is, in milliseconds.
    pub real_ms: i64,
    /// What the node's clock says.
    pub clock: Timestamp,
    pub weather: &'a Weather,
    pub habits: &'a Habits,
    pub cast: &'a Cast,
    pub rng: &'a mut Rng,
    pub network: &'a mut Network,
    pub oracle: &'a mut Oracle,
}

impl Scene<'_> {
    /// Puts a letter on the wire.
    pub fn post(&mut self, from: usize, to: usize, of: Which, whole: bool, wire: Wire) {
        let (clock_ms, sent_ms, posted) = (self.clock.0, self.real_ms, self.now);
        let letter = Letter { from, to, of, clock_ms, sent_ms, posted, whole, wire };
        self.network.post(letter, self.weather, self.rng);
    }
}
