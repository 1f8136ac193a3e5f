//! Stories: the lives of a region and of its members' registries in which nearly everything happens that can. Founding
//! documents, ledgers with sealed and open segments, and checkpoints on the way are kept of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use shouwang_domain::actor::Role;
use shouwang_domain::channel::{Answer, LineAsked, Priority};
use shouwang_domain::charter::{CharterChange, Rules, Voting};
use shouwang_domain::code;
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{MissionId, NodeId, RequestId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::record::Record;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::resource::{ItemCode, Resource};
use shouwang_domain::testing::{Named, Rng, World, actor, charter, founding};
use shouwang_domain::time::{DAY_MS, HOUR_MS};
use shouwang_store::checkpoint::{CheckpointMeta, CheckpointStore};
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::log::ConfState;
use shouwang_store::{StoreError, real_disk};

use super::{DATA, REGION, account, kinds, words};
use crate::Result;

const PARTIES: [u32; 4] = [150_300, 150_600, 152_900, 640_200];
const SHORTS: [&str; 4] = ["乌", "鄂", "巴", "阿"];

/// Ledger records that are kept of each record at least.
const SHORTEST: usize = 60;

/// One story.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    /// What its place is called.
    pub name: &'static str,
    /// What the people in it draw from.
    seed: u64,
    /// How many things are done.
    steps: usize,
    /// Members whose registries are kept.
    kept: &'static [usize],
    /// Whether the first of them is lost and restored, and the region goes on with those who are left.
    disasters: bool,
}

/// The stories that are kept: of some hundred, the shortest two that have in them together what the people of a world do;
/// and one of what happens once in years.
pub const ALL: [Story; 3] = [
    Story { name: "story-1", seed: 101, steps: 1500, kept: &[0], disasters: false },
    Story { name: "story-2", seed: 217, steps: 900, kept: &[0, 3], disasters: false },
    Story { name: "story-3", seed: 5, steps: 60, kept: &[0], disasters: true },
];
/// Things done between a backup and the loss, and after it.
const BETWEEN: usize = 30;

/// Where a record's present log begins: at its founding, or at the last life or epoch that began otherwise.
struct Past<M> {
    /// The ledger up to there.
    ledger: Vec<Vec<u8>>,
    /// The record there.
    record: Record<M>,
}

impl<M: Machine> Past<M> {
    fn founded(genesis: &M::Genesis) -> Result<Self> {
        Ok(Self { ledger: Vec::new(), record: Record::found(genesis).map_err(words)? })
    }

    /// The ledger up to where the record stands now.
    fn ledger(&self, named: &Named<M>) -> Vec<Vec<u8>> {
        [self.ledger.clone(), named.ledger(self.record.clone())].concat()
    }

    /// What no log has: the ledger record with which another life or epoch begins.
    fn begins(&mut self, mut ledger: Vec<Vec<u8>>, written: Vec<u8>, now: &Named<M>) {
        ledger.push(written);
        *self = Self { ledger, record: now.record.clone() };
    }
}

/// Plays a story and keeps it in a place, of each ledger the beginning up to the last kind that was not seen before.
/// Returns what is known of it, as [`account`] tells it.
pub fn write(place: &Path, story: Story, seen: &mut BTreeSet<String>) -> Result<String> {
    let (mut world, mut known) = (play(story), String::new());
    let charter = charter("region 0", &world.parties, None);
    let foundings: Vec<_> = story.kept.iter().map(|at| founding(world.parties[*at], SHORTS[*at])).collect();
    let mut region = Past::<Region>::founded(&charter)?;
    let mut registries = foundings.iter().map(Past::<Registry>::founded).collect::<Result<Vec<_>>>()?;
    if story.disasters {
        disasters(&mut world, story.kept[0], (&mut registries[0], &mut region))?;
    }
    for ((member, genesis), past) in story.kept.iter().zip(&foundings).zip(&registries) {
        let name = format!("registry-{member}.cbor");
        known.push_str(&keep::<Registry>(place, &name, past.ledger(&world.registries[*member]), genesis, seen)?);
    }
    known.push_str(&keep::<Region>(place, REGION, region.ledger(&world.regions[0]), &charter, seen)?);
    Ok(known)
}

/// A registry is backed up, goes on, is lost and restored, and adopts what the region has on record; then half of the region's
/// voters are lost, and the others go on in another epoch.
fn disasters(
    world: &mut World,
    member: usize,
    (registry, region): (&mut Past<Registry>, &mut Past<Region>),
) -> Result<()> {
    let mut rng = Rng(1);
    let go_on = |world: &mut World, rng: &mut Rng| {
        (0..BETWEEN).for_each(|_| world.random_step(rng));
        world.cut = vec![false; PARTIES.len()];
        world.settle();
    };
    let (backup, ledger) = (world.back_up(member), registry.ledger(&world.registries[member]));
    go_on(world, &mut rng);
    let written = world.restore(member, &backup, 1, &[]).map_err(words)?;
    registry.begins(ledger, written.bytes, &world.registries[member]);
    go_on(world, &mut rng);
    let ledger = region.ledger(&world.regions[0]);
    let written = world.rescue(0, &[0, 1]).map_err(words)?;
    region.begins(ledger, written.bytes, &world.regions[0]);
    raised(world);
    go_on(world, &mut rng);
    Ok(())
}

/// The next program is on every node, and the region goes along with it.
fn raised(world: &mut World) {
    let level = Region::NEWEST_LEVEL;
    for code in world.parties.clone() {
        let announced = RegionCommand::AnnounceLevel { level };
        world.region_command(0, actor(code, Role::Node, 1), announced).expect("a node may say so");
    }
    for to in 2..=level {
        let admin = actor(world.parties[0], Role::Admin, 1);
        world.region_command(0, admin, RegionCommand::RaiseLevel { to }).expect("the hub's administrator may");
    }
}

fn play(story: Story) -> World {
    let (mut world, mut rng) = (World::new(&PARTIES, 1), Rng(story.seed));
    rarities(&mut world);
    charter_changes(&mut world);
    for _ in 0..story.steps {
        world.random_step(&mut rng);
    }
    world.cut = vec![false; PARTIES.len()];
    world.settle();
    world
}

/// What the random people hardly ever do: a word is mapped, and a request that all decline is withdrawn and closed. Two
/// commands about a mission that is none stand in the ledger with their refusals.
fn rarities(world: &mut World) {
    let (region, request) = (world.region_id(0), RequestId::from_u128(1));
    let item = ItemCode::new(2_990_102).expect("seven digits");
    let line = LineAsked { resource: Resource::Item(item), name: "洗消剂".to_owned(), qty: Qty(5) };
    let mapped = RegistryCommand::MapItem { local: "洗消剂".to_owned(), code: item };
    world.registry_command(0, Role::Keeper, mapped).expect("a keeper may");
    let (mission, happened_at) = (MissionId::from_u128(1), world.now);
    for command in [
        RegistryCommand::StartWork { mission, happened_at },
        RegistryCommand::WithdrawForSafety { mission, happened_at, reason: "余震".to_owned() },
    ] {
        world.registry_command(0, Role::Keeper, command).expect_err("there is no such mission");
    }
    let asked = RegistryCommand::RequestAid {
        region,
        request,
        subject: "氯气泄漏".to_owned(),
        place: "乌达工业园".to_owned(),
        priority: Priority::Urgent,
        needed_by: world.now.plus_ms(HOUR_MS),
        expires_at: world.now.plus_ms(DAY_MS),
        addressed: Vec::new(),
        lines: vec![line],
        exercise: false,
    };
    world.registry_command(0, Role::Leader, asked).expect("a leader may");
    world.settle();
    for member in 1..PARTIES.len() {
        let declined = RegistryCommand::AnswerAid {
            region,
            request,
            line: 1,
            answer: Answer::Decline { reason: "没有".to_owned() },
            cost: Fen(0),
            eta: None,
            offers: Vec::new(),
            expires_at: world.now.plus_ms(DAY_MS),
            cross_floor: None,
        };
        world.registry_command(member, Role::Leader, declined).expect("a refusal is legitimate");
    }
    world.settle();
    let leader = actor(world.parties[0], Role::Leader, 1);
    for command in [RegionCommand::WithdrawLine { request, line: 1 }, RegionCommand::CloseRequest { request }] {
        world.region_command(0, leader.clone(), command).expect("the requester may");
    }
    world.settle();
}

/// What the random people never do: they change the charter.
fn charter_changes(world: &mut World) {
    let by = |world: &World, member: usize, role| actor(world.parties[member], role, 1);
    let node = NodeId::new(world.parties[3], 1).expect("node 1 of a valid code");
    let (algorithm, public_key) = (SignatureAlgorithm::Ed25519, Bytes(vec![7; 32]));
    let old_until = world.now.plus_ms(HOUR_MS);
    let changes = [
        CharterChange::Rules(Rules { voting: Voting::Majority, ..Rules::default() }),
        CharterChange::RotateKey { node, algorithm, public_key, old_until },
    ];
    for (base_version, change) in (1..).zip(changes) {
        let leader = by(world, 0, Role::Leader);
        let proposed = RegionCommand::ProposeChange { base_version, change };
        world.region_command(0, leader, proposed).expect("the hub may propose");
        let waiting = world.region(0).changes().find(|(_, change)| change.in_force.is_none());
        let change = *waiting.expect("it waits for signatures").0;
        for member in 1..PARTIES.len() {
            // The first signatures put it in force; the others come late.
            let _ = world.region_command(0, by(world, member, Role::Leader), RegionCommand::SignChange { change });
        }
    }
    let admin = by(world, 0, Role::Admin);
    let demoted = world.region_command(0, admin, RegionCommand::SetVoter { node, voter: false });
    demoted.expect("the hub's administrator may");
    world.pass(DAY_MS);
}

/// Writes a record's founding document, its ledger in three segments, and two checkpoints on the way.
fn keep<M: Machine>(
    place: &Path,
    document: &str,
    mut ledger: Vec<Vec<u8>>,
    genesis: &M::Genesis,
    seen: &mut BTreeSet<String>,
) -> Result<String> {
    let mut record = Record::<M>::found(genesis).map_err(words)?;
    let root = place.join(DATA).join("records").join(record.id().to_string());
    fs::create_dir_all(&root).and_then(|()| fs::write(place.join(document), code::encode(genesis))).map_err(words)?;
    let options = LedgerOptions { compression_level: 19, ..LedgerOptions::default() };
    let mut kept = Ledger::open(real_disk(), &root.join("ledger"), record.id().0, options).map_err(words)?;
    let is_new =
        |bytes: &Vec<u8>| kinds::of(M::NAME, bytes).into_iter().fold(false, |new, kind| seen.insert(kind) | new);
    // All are looked at: what is new must be known to those that come after.
    let news: Vec<bool> = ledger.iter().map(is_new).collect();
    ledger.truncate(news.iter().rposition(|new| *new).map_or(0, |last| last + 1).max(SHORTEST));
    // The last ten stay open: what is open is not compressed.
    let (half, end) = (ledger.len() as u64 / 2, (ledger.len() as u64).saturating_sub(10));
    for (bytes, revision) in ledger.iter().zip(1..) {
        kept.append(revision, bytes).map_err(words)?;
        record.replay(bytes).map_err(words)?;
        if [half, end].contains(&revision) {
            kept.seal(record.ledger_root().0).map_err(words)?;
            checkpoint(&root.join("checkpoints"), &record).map_err(words)?;
        }
    }
    kept.sync().map_err(words)?;
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(account::line(&name, &record))
}

fn checkpoint<M: Machine>(dir: &Path, record: &Record<M>) -> Result<(), StoreError> {
    let meta = CheckpointMeta {
        record_id: record.id().0,
        epoch: record.epoch(),
        revision: record.revision(),
        raft_index: record.revision(),
        raft_term: 1,
        conf_state: ConfState::default(),
        time_ms: record.time().0,
        state_digest: record.digest().0,
        feature_level: record.machine().level(),
        hash_algorithm: 1,
    };
    let mut records = Vec::new();
    record.records(&mut |canonical| records.push(canonical));
    CheckpointStore::open(real_disk(), dir)?.write(&meta, records.into_iter()).map(drop)
}
