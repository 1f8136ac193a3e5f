//! Records with a past, to take samples from: a small world in which people have done a little of everything.

use std::sync::LazyLock;

use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_domain::testing::{Rng, World, charter};

/// Steps of the world: enough for missions, debts and refusals, few enough to begin soon.
const STEPS: usize = 120;
const PARTIES: [u32; 3] = [150_300, 150_600, 152_900];

/// The world that samples are taken from; the same in every process.
pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (mut world, mut rng) = (World::new(&PARTIES, 1), Rng(20_260_301));
    for _ in 0..STEPS {
        world.random_step(&mut rng);
    }
    world
});

/// The region's record as it was founded.
pub fn region_at_founding() -> Record<shouwang_domain::region::Region> {
    Record::found(&charter("region 0", &WORLD.parties, None)).expect("the world founded it alike")
}

/// The canonical records of a record.
pub fn canonical<M: Machine>(record: &Record<M>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    record.records(&mut |bytes| records.push(bytes));
    records
}
