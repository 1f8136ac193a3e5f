//! What a run is: its seed, its length, and what is planted in it.

#[cfg(feature = "planted")]
use shouwang_domain::planted::Plant;

/// A run, wholly determined.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Steps of the safety phase at most; a step is one tick of a replica whose clock is right.
    pub steps: u64,
    /// What is planted, and that the world is one in which it shows.
    #[cfg(feature = "planted")]
    pub plant: Option<Plant>,
    /// Makes the world of that plant without planting it: what is caught there must be the bug.
    #[cfg(feature = "planted")]
    pub spared: bool,
}

impl Plan {
    /// Steps of a run in CI.
    pub const STEPS: u64 = 1_000;

    /// A run of the usual length without a planted error.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            steps: Self::STEPS,
            #[cfg(feature = "planted")]
            plant: None,
            #[cfg(feature = "planted")]
            spared: false,
        }
    }

    /// The options that play it again.
    pub(crate) fn options(&self) -> String {
        let Self { seed, steps, .. } = *self;
        let next = seed + 1;
        #[cfg(feature = "planted")]
        if let Some(plant) = self.plant {
            let spared = if self.spared { " --spared yes" } else { "" };
            let plant = plant.name();
            return format!(
                "--features shouwang-sim/planted -- --seeds {seed}..{next} --steps {steps} --plant {plant}{spared}"
            );
        }
        format!("-- --seeds {seed}..{next} --steps {steps}")
    }
}
