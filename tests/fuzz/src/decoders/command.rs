//! What a node forwards to a leader: a batch of commands, each an envelope; and what the record makes of it.

use shouwang_domain::code;
use shouwang_domain::command::Batch;
use shouwang_domain::hash::Bytes;
use shouwang_domain::machine::Machine;
use shouwang_domain::record::{Entry, Record};
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_domain::testing::AnyVerifier;
use shouwang_domain::time::Timestamp;

use super::Target;
use super::records::WORLD;
use crate::mutate::{Rng, mutated};

pub struct Commands {
    region: Record<Region>,
    registry: Record<Registry>,
    now: Timestamp,
    samples: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Commands {
    pub fn new() -> Self {
        let logs = WORLD.regions[0].log.iter().chain(&WORLD.registries[0].log);
        let entries = logs.map(|entry| code::decode::<Entry>("entry", entry).expect("the world's log decodes"));
        let mut samples: Vec<Vec<u8>> = entries.flat_map(|entry| entry.batches).map(|batch| batch.0).collect();
        // The records stand at the end; half of what they were told is old to them, and that is to be tried as well.
        samples.truncate(400);
        let commands = samples.iter().filter_map(|sample| Batch::decode(sample).ok()).flat_map(|batch| batch.commands);
        let bodies = commands.map(|command| command.0).collect();
        let (region, registry) = (WORLD.regions[0].record.clone(), WORLD.registries[0].record.clone());
        Self { region, registry, now: WORLD.now, samples, bodies }
    }
}

/// A batch in an entry, as a leader would append it.
fn apply<M: Machine>(record: &Record<M>, at: Timestamp, batch: &[u8]) {
    let mut record = record.clone();
    let entry = code::encode(&Entry { stamp: at, batches: vec![Bytes(batch.to_vec())] });
    // A command that raises the record above what this program knows is not carried out.
    let Ok(applied) = record.apply(&entry, &AnyVerifier) else { return };
    for written in &applied.written {
        code::decode::<shouwang_domain::record::LedgerRecord<M::Event>>("ledger record", &written.bytes)
            .expect("what the record writes can be read again");
    }
    if !applied.written.is_empty() {
        assert_eq!(record.check(), Ok(()), "an invariant is broken");
    }
}

impl Target for Commands {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xf6", b"\x00", b"\x80"]
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let sample = &self.samples[rng.index(self.samples.len())];
        if rng.chance(30) {
            return mutated(rng, sample, &self.samples, self.words());
        }
        // A batch that reads well, with commands that a hostile node has signed.
        let mut batch = Batch::decode(sample).expect("samples are valid");
        for command in &mut batch.commands {
            command.0 = mutated(rng, &command.0, &self.bodies, self.words());
        }
        code::encode(&batch)
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let batch = Batch::decode(input).map_err(|error| error.to_string())?;
        if batch.record == self.registry.id() {
            apply(&self.registry, self.now, input);
        } else {
            apply(&self.region, self.now, input);
        }
        Ok(())
    }
}
