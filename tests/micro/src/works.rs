//! The pieces of the hot path, each ready to be done again and again from the same beginning.

use std::hint::black_box;
use std::path::Path;

use shouwang_domain::actor::Actor;
use shouwang_domain::code;
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::CommandId;
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_domain::record::{LedgerRecord, Record};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::subject::Subject;
use shouwang_domain::testing::Rng;
use shouwang_driver::Ed25519Verifier;
use shouwang_store::index::{Index, IndexBatch};

use crate::desk::Desk;
use crate::{stock, strife};

/// Commands in a batch: what gathers under load.
const BATCH: usize = 64;
/// Commands a record remembers beforehand.
const BEFORE: usize = 512;
/// Members of a region, and of one as large as a country's.
const MEMBERS: usize = 3;
const MEMBERS_MANY: usize = 340;
/// Items that a large depot has released.
const RELEASED: usize = 256;
/// Ledger records in a page of the index.
const PAGE: u64 = 512;

/// A piece of the hot path.
pub struct Work {
    /// What it is called where its figures stand.
    pub name: &'static str,
    /// What it is counted by.
    pub unit: &'static str,
    /// How many of them one round is.
    pub units: u64,
    /// Does all of them. Each round does the same.
    pub round: Box<dyn FnMut()>,
}

impl Work {
    fn new<T>(
        name: &'static str,
        (units, unit): (usize, &'static str),
        mut round: impl FnMut() -> T + 'static,
    ) -> Self {
        let round = Box::new(move || drop(black_box(round())));
        Self { name, unit, units: units as u64, round }
    }
}

/// All that do the same instructions each time.
pub fn steady() -> Vec<Work> {
    let (region, large) = (Busy::region(MEMBERS, BEFORE), Busy::region(MEMBERS_MANY, BATCH));
    vec![
        region.decide(),
        region.encode(),
        region.decode(),
        region.merkle(),
        region.sign(),
        region.verify(),
        region.apply("apply_region", BATCH),
        // What comes alone bears all that is done once for a batch and an entry.
        region.apply("apply_region_alone", 1),
        large.apply("apply_large_region_alone", 1),
        registry_apply(),
        registry_records(),
        registry_digest(),
        registry_figures(),
    ]
}

/// A region that has taken many commands, and a batch of further ones.
struct Busy {
    desk: Desk<Region>,
    said: Vec<Envelope<RegionCommand>>,
    written: Vec<(LedgerRecord<RegionEvent>, Vec<u8>)>,
}

impl Busy {
    fn region(members: usize, before: usize) -> Self {
        let (mut desk, mut rng) = (strife::desk(members), Rng(1));
        desk.carry_out(strife::findings(before, &mut rng));
        let findings = strife::findings(BATCH, &mut rng);
        let said = findings.into_iter().map(|(actor, body)| desk.envelope(actor, body)).collect();
        let before = desk.record.clone();
        let applied = desk.carry_out(strife::findings(BATCH, &mut rng));
        desk.record = before;
        let written = applied.written.into_iter().map(|written| (written.record, written.bytes)).collect();
        Self { desk, said, written }
    }

    fn commands(&self) -> Vec<Vec<u8>> {
        self.said.iter().map(code::encode).collect()
    }

    fn decide(&self) -> Work {
        let (record, said, at, node) = (self.desk.record.clone(), self.said.clone(), self.desk.now, self.desk.node);
        let round = move || {
            let mut machine = record.machine().clone();
            for envelope in &said {
                let context = record.context(at, &envelope.actor, node, envelope.id);
                let events = machine.decide(&context, &envelope.body).expect("what was accepted before");
                for event in &events {
                    machine.evolve(at, event);
                }
            }
            machine
        };
        Work::new("decide_evolve_region", (BATCH, "command"), round)
    }

    fn encode(&self) -> Work {
        let records: Vec<_> = self.written.iter().map(|(record, _)| record.clone()).collect();
        let round = move || records.iter().for_each(|record| drop(black_box(code::encode(record))));
        Work::new("encode_ledger_record", (BATCH, "record"), round)
    }

    fn ledger(&self) -> Vec<Vec<u8>> {
        self.written.iter().map(|(_, bytes)| bytes.clone()).collect()
    }

    fn decode(&self) -> Work {
        let ledger = self.ledger();
        let round = move || {
            for bytes in &ledger {
                let record: LedgerRecord<RegionEvent> = code::decode("ledger record", bytes).expect("what was encoded");
                black_box(record);
            }
        };
        Work::new("decode_ledger_record", (BATCH, "record"), round)
    }

    fn merkle(&self) -> Work {
        let (ledger, frontier): (_, Frontier) = (self.ledger(), self.desk.record.ledger().clone());
        let round = move || {
            let mut frontier = frontier.clone();
            for bytes in &ledger {
                frontier.push(merkle::leaf(bytes));
            }
            frontier
        };
        Work::new("merkle_push", (BATCH, "leaf"), round)
    }

    /// Commands are moved into their batch as a node does it: the copy is part of the count, and small.
    fn sign(&self) -> Work {
        let (desk, commands) = (self.desk.clone(), self.commands());
        Work::new("sign_batch", (1, "batch of 64"), move || code::encode(&desk.batch(commands.clone())))
    }

    fn verify(&self) -> Work {
        let (bytes, key) = (code::encode(&self.desk.batch(self.commands())), self.desk.public_key());
        let round = move || {
            let batch = Batch::decode(&bytes).expect("what was encoded");
            let root = merkle::root(&batch.leaves());
            assert!(batch.is_signed_by(&key, &root, &Ed25519Verifier), "a sound signature");
        };
        Work::new("verify_batch", (1, "batch of 64"), round)
    }

    /// The first commands in an entry of their own.
    fn apply(&self, name: &'static str, count: usize) -> Work {
        apply(name, self.desk.clone(), self.commands().into_iter().take(count).collect())
    }
}

/// What one entry does to a record that readers look at meanwhile, with its signature verified on receipt.
fn apply<M: Machine>(name: &'static str, desk: Desk<M>, commands: Vec<Vec<u8>>) -> Work {
    let count = commands.len();
    let entry = desk.entry(&desk.batch(commands));
    let round = move || {
        let mut record = desk.record.clone();
        let applied = desk.apply(&mut record, &entry);
        (record, applied)
    };
    Work::new(name, (count, "command"), round)
}

/// A registry that has taken many commands.
fn registry() -> Desk<Registry> {
    let mut desk = stock::desk();
    desk.carry_out(stock::movements(BEFORE));
    desk
}

fn registry_apply() -> Work {
    let mut desk = registry();
    let said = stock::movements(BATCH).into_iter().map(|(actor, body)| code::encode(&desk.envelope(actor, body)));
    let commands = said.collect();
    apply("apply_registry", desk, commands)
}

/// Its canonical records, as they go into a checkpoint.
fn registry_records() -> Work {
    let record = registry().record;
    let round = move || record.records(&mut |bytes| drop(black_box(bytes)));
    Work::new("checkpoint_registry", (BEFORE, "command remembered"), round)
}

fn registry_digest() -> Work {
    let record: Record<Registry> = registry().record;
    Work::new("digest_registry", (BEFORE, "command remembered"), move || record.digest())
}

/// Whether any released figure looks different from what was last said: a courier asks every second.
fn registry_figures() -> Work {
    let region = Hash32::of(&[b"region"]);
    let desk = stock::depot(RELEASED, region);
    let (record, node) = (desk.record, desk.node);
    let refresh = RegistryCommand::RefreshPublication { region };
    let round = move || {
        let courier = Actor::node(node);
        let context = record.context(record.time(), &courier, node, CommandId::from_u128(0));
        record.machine().decide(&context, &refresh).expect("a courier may ask")
    };
    Work::new("figures_registry", (RELEASED, "item released"), round)
}

/// A page of new entries put into an index, in a folder of its own: two a ledger record, as long as those of a region. Its
/// store has threads of its own, so that no two rounds take the same instructions.
///
/// # Panics
/// The folder cannot be written.
pub fn index_page(folder: &Path) -> Work {
    let index = Index::open(&folder.join("index")).expect("a folder that can be written");
    let (mut revision, mut rng) = (0_u64, Rng(1));
    let round = move || {
        let mut batch = IndexBatch::new();
        for _ in 0..PAGE {
            revision += 1;
            let end = revision.to_be_bytes();
            let command = [&[1; 32][..], b"c", &[0, 2, 75, 28], rng.uuid().as_bytes(), &end].concat();
            let subject = [&[1; 32][..], b"s", &code::encode(&Subject::Mission(strife::mission())), &end].concat();
            batch.put(command, []).put(subject, []);
        }
        batch.set_position("region", revision.to_be_bytes());
        index.apply(&batch).expect("a folder that can be written");
    };
    Work::new("index_page", (usize::try_from(PAGE).unwrap_or_default(), "record"), round)
}
