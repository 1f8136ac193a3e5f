//! Segments of a ledger, growing and sealed, as a disk gives them back, and the records in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::{Disk, SimDisk};

use super::Target;
use super::records::{WORLD, region_at_founding};
use crate::mutate::{Rng, mutated};

const RECORD: [u8; 32] = [7; 32];
/// Bytes of a segment's header, of the head of a frame, and of the trailer of a sealed segment.
const HEADER: usize = 56;
const FRAME_HEAD: usize = 12;
const TRAILER: usize = 16;
/// The place of the kind in the header: 2 is sealed.
const KIND_AT: usize = 10;

pub struct Segments {
    samples: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    founding: Record<Region>,
}

impl Segments {
    pub fn new() -> Self {
        let mut records = WORLD.regions[0].ledger(region_at_founding());
        records.truncate(60);
        let samples = vec![segment(&records, false), segment(&records, true)];
        Self { samples, records, founding: region_at_founding() }
    }
}

fn dir() -> PathBuf {
    PathBuf::from("ledger")
}

/// The segment that a ledger writes of these records.
fn segment(records: &[Vec<u8>], sealed: bool) -> Vec<u8> {
    let disk = SimDisk::new(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut ledger = Ledger::open(shared, &dir(), RECORD, LedgerOptions::default()).expect("an empty ledger opens");
    for (record, revision) in records.iter().zip(1..) {
        ledger.append(revision, record).expect("what is within the limits is appended");
    }
    ledger.sync().expect("a simulated disk without faults syncs");
    if sealed {
        ledger.seal([0; 32]).expect("a ledger with records is sealed");
    }
    let file = disk.open(&dir().join(name(sealed))).expect("the segment was written");
    let size = usize::try_from(file.size().expect("it has a size")).expect("samples are small");
    let mut bytes = vec![0; size];
    assert_eq!(file.read_at(0, &mut bytes).expect("a simulated disk without faults reads"), size);
    bytes
}

fn name(sealed: bool) -> String {
    format!("ledger-{:020}.{}", 1, if sealed { "sealed" } else { "open" })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// Puts checksums that fit under what the frames now say, as long as their lengths lead to frames.
fn seal_frames(bytes: &mut [u8]) {
    let (mut at, mut revision) = (HEADER, 1_u64);
    while let Some(len) = number(bytes, at) {
        let head = crc32fast::hash(&[&revision.to_le_bytes()[..], &len.to_le_bytes()].concat());
        put(bytes, at + 4, head);
        let body = at + FRAME_HEAD;
        let Some(end) = usize::try_from(len).ok().and_then(|len| body.checked_add(len)) else { return };
        let Some(frame) = bytes.get(body..end) else { return };
        let body = crc32fast::hash(&[&revision.to_le_bytes()[..], frame].concat());
        put(bytes, at + 8, body);
        (at, revision) = (end, revision + 1);
    }
}

/// The same for the blocks and the footer of a sealed segment.
fn seal_footer(bytes: &mut [u8]) {
    let Some(trailer) = bytes.len().checked_sub(TRAILER) else { return };
    let len = number(bytes, trailer).and_then(|len| usize::try_from(len).ok());
    let Some(footer) = len.and_then(|len| trailer.checked_sub(len)) else { return };
    // Last revision, root, digest, count; then blocks of first, offset, packed, plain, checksum.
    let mut block = footer + 8 + 32 + 32 + 4;
    let mut packed_at = HEADER;
    while block + 28 <= trailer {
        let packed = number(bytes, block + 16).and_then(|packed| usize::try_from(packed).ok()).unwrap_or_default();
        if let Some(packed) = packed_at.checked_add(packed).and_then(|end| bytes.get(packed_at..end)) {
            let crc = crc32fast::hash(packed);
            put(bytes, block + 24, crc);
        }
        packed_at = packed_at.saturating_add(packed);
        block += 28;
    }
    let crc = crc32fast::hash(&bytes[footer..trailer]);
    put(bytes, trailer + 4, crc);
}

impl Target for Segments {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let sealed = rng.chance(50);
        if rng.chance(40) {
            // A whole segment of records that are none, or of another past.
            let mut records = self.records.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.index(records.len());
                records[at] = mutated(rng, &records[at], &self.records, &[]);
            }
            return segment(&records, sealed);
        }
        let mut bytes = mutated(rng, &self.samples[usize::from(sealed)], &self.samples, &[]);
        if rng.chance(60) {
            if sealed { seal_footer(&mut bytes) } else { seal_frames(&mut bytes) }
        }
        bytes
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        disk.create_dir_all(&dir()).expect("a simulated disk without faults");
        let sealed = input.get(KIND_AT) == Some(&2);
        let file = disk.create(&dir().join(name(sealed))).expect("a simulated disk without faults");
        file.write_at(0, input).expect("a simulated disk without faults");
        // A node that finds damage when it starts goes on with what is whole, or says why it cannot.
        let (ledger, wrong) =
            Ledger::salvage(&disk, Path::new("ledger"), RECORD, LedgerOptions::default()).map_err(|e| e.to_string())?;
        if let Some(first) = wrong.first() {
            return Err(first.to_string());
        }
        ledger.verify_all().map_err(|error| error.to_string())?;
        let reader = ledger.reader();
        let mut record = self.founding.clone();
        let mut next = 1;
        loop {
            let page = reader.read(next, 1024, 256 << 10).map_err(|error| error.to_string())?;
            if page.is_empty() {
                return Ok(());
            }
            next += page.len() as u64;
            for (_, bytes) in page {
                record.replay(&bytes).map_err(|error| error.to_string())?;
            }
        }
    }
}
