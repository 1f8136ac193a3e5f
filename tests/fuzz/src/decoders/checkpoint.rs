//! A checkpoint file: received from a peer in chunks, verified, and restored into a record.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::registry::Registry;
use shouwang_store::checkpoint::{CheckpointMeta, CheckpointStore};
use shouwang_store::log::ConfState;
use shouwang_store::{Disk, SimDisk};

use super::Target;
use super::records::{WORLD, canonical};
use crate::mutate::{Rng, mutated};

const DIGEST: usize = 32;

pub struct Checkpoints {
    samples: Vec<Vec<u8>>,
    /// The canonical records of each sample.
    records: [Vec<Vec<u8>>; 2],
}

impl Checkpoints {
    pub fn new() -> Self {
        let records = [canonical(&WORLD.regions[0].record), canonical(&WORLD.registries[0].record)];
        let samples = records.iter().map(|records| file(&meta(3), records)).collect();
        Self { samples, records }
    }
}

fn meta(voters: u64) -> CheckpointMeta {
    CheckpointMeta {
        record_id: [7; 32],
        epoch: 0,
        revision: 100,
        raft_index: 100,
        raft_term: 2,
        conf_state: ConfState::from(((1..=voters).collect::<Vec<_>>(), Vec::new())),
        time_ms: 1_700_000_000_000,
        state_digest: [1; 32],
        feature_level: 0,
        hash_algorithm: 1,
    }
}

fn store() -> (SimDisk, CheckpointStore) {
    let disk = SimDisk::new(1);
    let store = CheckpointStore::open(Arc::new(disk.clone()), Path::new("checkpoints"));
    (disk, store.expect("an empty disk gives an empty store"))
}

/// The file that a store writes of these records.
fn file(meta: &CheckpointMeta, records: &[Vec<u8>]) -> Vec<u8> {
    let (disk, store) = store();
    let info = store.write(meta, records.iter().cloned()).expect("what is within the limits is written");
    let file = disk.open(&info.file).expect("it was written");
    let mut bytes = vec![0; usize::try_from(info.size).expect("samples are small")];
    let read = file.read_at(0, &mut bytes).expect("a simulated disk without faults reads");
    assert_eq!(read, bytes.len());
    bytes
}

fn digest(file: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(&file[..file.len().saturating_sub(DIGEST)]).into()
}

impl Target for Checkpoints {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let which = rng.index(2);
        match rng.below(4) {
            // A sender can put the right digest under any file, and the right everything under any records.
            0 | 1 => {
                let mut records = self.records[which].clone();
                for _ in 0..=rng.below(3) {
                    let at = rng.index(records.len());
                    match rng.below(4) {
                        0 => drop(records.remove(at)),
                        1 => records.push(records[at].clone()),
                        _ => records[at] = mutated(rng, &records[at], &self.records[which], &[]),
                    }
                    if records.is_empty() {
                        break;
                    }
                }
                file(&meta(rng.below(9)), &records)
            }
            2 => {
                let mut bytes = mutated(rng, &self.samples[which], &self.samples, &[]);
                let digest = digest(&bytes);
                let end = bytes.len().saturating_sub(DIGEST);
                bytes.truncate(end);
                bytes.extend(digest);
                bytes
            }
            _ => mutated(rng, &self.samples[which], &self.samples, &[]),
        }
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let (_, store) = store();
        // The digest that the sender named is that of its file: nothing else would be taken.
        let mut claimed = [0; DIGEST];
        claimed.copy_from_slice(&digest(input));
        let mut receiver = store.receive(claimed, input.len() as u64).map_err(|error| error.to_string())?;
        for (at, chunk) in input.chunks(64 << 10).enumerate() {
            receiver.write((at * (64 << 10)) as u64, chunk).map_err(|error| error.to_string())?;
        }
        let info = receiver.finish().map_err(|error| error.to_string())?;
        let opened = store.open_held(&info).map_err(|error| error.to_string())?;
        let read = || opened.records().map_err(|error| error.to_string());
        // Verified a moment ago, so nothing in it fails to read.
        let records = || read().map(|records| records.map(|record| record.expect("it was verified")));
        let region = Record::<Region>::restore(records()?).map(|record| record.digest());
        let registry = Record::<Registry>::restore(records()?).map(|record| record.digest());
        region.or(registry).map(|_| ()).map_err(|error| error.to_string())
    }
}
