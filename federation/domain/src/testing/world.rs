//! Records without Raft: every command is an entry of its own, applied at once.

use uuid::Uuid;

use super::commands::{Said, View, random_commands};
use crate::actor::{Actor, Role};
use crate::adoption;
use crate::charter::{Charter, Member, MemberNode, Rules, Standing};
use crate::code;
use crate::command::{Batch, CommandProof, Envelope};
use crate::courier;
use crate::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use crate::ids::{CommandId, MunicipalityCode, NodeId, RegionId, StoreId};
use crate::machine::Machine;
use crate::quantity::Fen;
use crate::record::{Entry, Outcome, Record, Verdict, Written};
use crate::refusal::Refusal;
use crate::region::Region;
use crate::region::command::RegionCommand;
use crate::region::event::RegionEvent;
use crate::registry::Registry;
use crate::registry::command::RegistryCommand;
use crate::registry::event::RegistryEvent;
use crate::registry::invariants::{check_across, check_promised_once};
use crate::registry::state::{Holding, LotDetails, RegistryGenesis, RegistryNode};
use crate::rescue::{self, SignedStanding};
use crate::resource::{Condition, Resource, StockClass};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

/// Nobody raises a record in a world to a level that this program does not know.
const GOES_ALONG: &str = "a level of this program";

/// SplitMix64 (Steele, Lea, Flood 2014): a small deterministic source for tests.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 for `n` = 0).
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.draw() % n }
    }

    /// A position in something of this length (0 if it is empty).
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True `percent` times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len() as u64) as usize)
    }

    /// A fresh id.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(u128::from(self.draw()) << 64 | u128::from(self.draw()))
    }
}

/// Believes every signature: the domain's tests are not about cryptography.
#[derive(Debug)]
pub struct AnyVerifier;

impl Verifier for AnyVerifier {
    fn verify(&self, _: SignatureAlgorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// A code that is known to be one.
pub fn municipality(code: u32) -> MunicipalityCode {
    MunicipalityCode::new(code).expect("a valid code in a test")
}

/// An operator of a municipality; one pseudonym per role unless a number tells two apart.
pub fn actor(municipality: MunicipalityCode, role: Role, number: u32) -> Actor {
    Actor { municipality, operator: format!("{}-{number}", role.slug()), role }
}

fn node(code: MunicipalityCode) -> NodeId {
    NodeId::new(code, 1).expect("node 1 of a valid code")
}

/// A charter of these parties (the first is the hub), with the superior government as a learner.
pub fn charter(name: &str, parties: &[MunicipalityCode], superior: Option<MunicipalityCode>) -> Charter {
    let member = |(index, code): (usize, &MunicipalityCode)| Member {
        code: *code,
        name: format!("市{code}"),
        short: char::from(b'A' + index as u8).to_string(),
        standing: if Some(*code) == superior { Standing::Superior } else { Standing::Party },
        superior,
        neighbours: Vec::new(),
        nodes: vec![MemberNode {
            node: node(*code),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: Bytes(code.get().to_be_bytes().to_vec()),
            retiring: None,
            voter: index < 5 && Some(*code) != superior,
        }],
    };
    Charter {
        federation: "test".to_owned(),
        name: name.to_owned(),
        version: 1,
        hub: parties[0],
        members: parties.iter().chain(superior.iter()).enumerate().map(member).collect(),
        rules: Rules::default(),
    }
}

/// The founding document of a municipality's registry.
pub fn founding(code: MunicipalityCode, short: &str) -> RegistryGenesis {
    let (algorithm, public_key) = (SignatureAlgorithm::Ed25519, Bytes(code.get().to_be_bytes().to_vec()));
    let nodes = vec![RegistryNode { node: node(code), algorithm, public_key }];
    RegistryGenesis { owner: code, name: format!("市{code}"), short: short.to_owned(), incarnation: 1, nodes }
}

/// A lot of protective suits, or of whatever else, as it enters the books.
pub fn lot(owner: MunicipalityCode, store: StoreId, resource: &Resource) -> LotDetails {
    LotDetails {
        holding: Holding::from(resource),
        name: "防护服".to_owned(),
        unit: "套".to_owned(),
        store,
        owner,
        class: StockClass::Government,
        condition: Condition::Usable,
        batch: String::new(),
        expires: None,
        unit_price: Some(Fen(380_000)),
        size: 0,
        endurance_hours: 0,
        remark: String::new(),
        exercise: false,
    }
}

/// What a command carries that nobody verifies here.
fn unsigned(code: MunicipalityCode, public_key: Bytes) -> CommandProof {
    CommandProof {
        node: node(code),
        public_key,
        signature_algorithm: SignatureAlgorithm::Ed25519,
        signature: Bytes::default(),
        index: 0,
        count: 1,
        path: Vec::new(),
    }
}

/// A record with the name of its municipality or region.
#[derive(Clone, Debug)]
pub struct Named<M> {
    /// The record.
    pub record: Record<M>,
    /// Commands applied so far, as log entries: a restart applies them again to what a checkpoint kept.
    pub log: Vec<Vec<u8>>,
    /// The canonical records of the last checkpoint, and how much of the log it covers.
    pub checkpoint: Option<(Vec<Vec<u8>>, usize)>,
}

impl<M: Machine> Named<M> {
    fn found(genesis: &M::Genesis) -> Self {
        let record = Record::found(genesis).expect("a valid founding document");
        Self { record, log: Vec::new(), checkpoint: None }
    }

    /// A record that did not come out of a log.
    fn standing(record: Record<M>) -> Self {
        let mut named = Self { record, log: Vec::new(), checkpoint: None };
        named.checkpoint();
        named
    }

    fn apply(&mut self, at: Timestamp, envelope: Option<&Envelope<M::Command>>, node: NodeId) -> Option<Outcome> {
        let commands = envelope.map(|envelope| vec![code::encode(envelope)]);
        let batch = |commands| Batch::unsigned(self.record.id(), self.record.epoch(), node, commands);
        let batches = commands.map(|commands| Bytes(code::encode(&batch(commands)))).into_iter().collect();
        let entry = code::encode(&Entry { stamp: at, batches });
        let before = self.record.machine().clone();
        let applied = self.record.apply(&entry, &AnyVerifier).expect(GOES_ALONG);
        assert_eq!(self.record.machine().check_after(&before), Ok(()));
        assert!(applied.dropped.is_empty(), "a batch of a known node is never dropped");
        self.log.push(entry);
        applied.outcomes.into_iter().next().map(|(_, outcome)| outcome)
    }

    /// The ledger that its log makes of the record from which it begins: as it was founded, or as its last life or epoch
    /// began.
    pub fn ledger(&self, mut record: Record<M>) -> Vec<Vec<u8>> {
        let written = self.log.iter().flat_map(|entry| record.apply(entry, &AnyVerifier).expect(GOES_ALONG).written);
        let ledger = written.map(|written| written.bytes).collect();
        assert_eq!(record.digest(), self.record.digest(), "the same entries give the same state");
        ledger
    }

    /// Writes a checkpoint.
    pub fn checkpoint(&mut self) {
        let mut records = Vec::new();
        self.record.records(&mut |record| records.push(record));
        self.checkpoint = Some((records, self.log.len()));
    }

    /// Forgets the state, restores it from the last checkpoint and applies the rest of the log again.
    pub fn restart(&mut self) {
        let Some((records, covered)) = self.checkpoint.clone() else { return };
        let before = self.record.digest();
        self.record = Record::restore(records.into_iter()).expect("a checkpoint restores");
        for entry in &self.log[covered..] {
            self.record.apply(entry, &AnyVerifier).expect(GOES_ALONG);
        }
        assert_eq!(self.record.digest(), before, "a restart changes nothing");
    }
}

/// Several registries and regions, and everything on the way between them.
#[derive(Clone, Debug)]
pub struct World {
    /// Record time everywhere.
    pub now: Timestamp,
    /// The municipalities, in order.
    pub parties: Vec<MunicipalityCode>,
    /// Their registries.
    pub registries: Vec<Named<Registry>>,
    /// The regions; every party is a member of every one.
    pub regions: Vec<Named<Region>>,
    /// Members whose line is cut.
    pub cut: Vec<bool>,
    late: Vec<Late>,
    commands: u128,
}

/// A courier's proposal that is still on its way, or will arrive a second time.
#[derive(Clone, Debug)]
enum Late {
    Up(usize, usize, RegionCommand),
    Down(usize, RegistryCommand),
}

impl World {
    /// Founds a world: every party a member of every region, every registry with a channel to every region.
    pub fn new(parties: &[u32], regions: usize) -> Self {
        let parties: Vec<_> = parties.iter().map(|code| municipality(*code)).collect();
        let shorts = ["乌", "鄂", "巴", "阿", "银", "石"];
        let registries = parties.iter().zip(shorts).map(|(code, short)| Named::found(&founding(*code, short)));
        let region = |n: usize| Named::found(&charter(&format!("region {n}"), &parties, None));
        let mut world = Self {
            now: Timestamp(1_772_380_000_000),
            cut: vec![false; parties.len()],
            registries: registries.collect(),
            regions: (0..regions).map(region).collect(),
            parties: parties.clone(),
            late: Vec::new(),
            commands: 0,
        };
        let joins: Vec<_> = world.regions.iter().map(|region| region.record.id()).collect();
        for member in 0..parties.len() {
            for region in &joins {
                let join = RegistryCommand::JoinRegion { region: *region, name: region.short() };
                world.registry_command(member, Role::Admin, join).expect("joining");
            }
        }
        world
    }

    /// The record id of a region.
    pub fn region_id(&self, region: usize) -> RegionId {
        self.regions[region].record.id()
    }

    /// The state of a region.
    pub fn region(&self, region: usize) -> &Region {
        self.regions[region].record.machine()
    }

    /// The state of a registry.
    pub fn registry(&self, member: usize) -> &Registry {
        self.registries[member].record.machine()
    }

    fn envelope<C>(&mut self, actor: Actor, body: C) -> Envelope<C> {
        self.commands += 1;
        let id = CommandId(Uuid::from_u128(self.commands));
        Envelope { id, actor, valid_until: self.now.plus_ms(60_000), body }
    }

    /// An operator's command to his own registry.
    ///
    /// # Errors
    /// The registry's refusal.
    pub fn registry_command(&mut self, member: usize, role: Role, body: RegistryCommand) -> Result<(), Refusal> {
        self.registry_command_by(member, actor(self.parties[member], role, 1), body)
    }

    /// A named operator's command to his own registry.
    ///
    /// # Errors
    /// The registry's refusal.
    pub fn registry_command_by(&mut self, member: usize, by: Actor, body: RegistryCommand) -> Result<(), Refusal> {
        let envelope = self.envelope(by, body);
        let outcome = self.registries[member].apply(self.now, Some(&envelope), node(self.parties[member]));
        verdict(outcome)
    }

    /// An operator's command to a region.
    ///
    /// # Errors
    /// The region's refusal.
    pub fn region_command(&mut self, region: usize, by: Actor, body: RegionCommand) -> Result<(), Refusal> {
        let envelope = self.envelope(by, body);
        let outcome = self.regions[region].apply(self.now, Some(&envelope), node(envelope.actor.municipality));
        verdict(outcome)
    }

    /// Does one thing somewhere. Refusals are part of life.
    pub fn random_step(&mut self, rng: &mut Rng) {
        let member = rng.below(self.parties.len() as u64) as usize;
        let region = rng.below(self.regions.len() as u64) as usize;
        match rng.below(100) {
            0..90 => self.act(member, region, rng),
            90..93 => {
                let ms = [MINUTE_MS, 30 * MINUTE_MS, 5 * HOUR_MS, DAY_MS][rng.below(4) as usize];
                self.pass(ms);
            }
            93..96 => self.cut[member] = !self.cut[member],
            96..98 => self.registries[member].checkpoint(),
            98 => self.registries[member].restart(),
            _ => {
                self.regions[region].restart();
                self.regions[region].checkpoint();
            }
        }
        self.carry(Some(rng));
    }

    /// Somebody of a member does something.
    fn act(&mut self, member: usize, region: usize, rng: &mut Rng) {
        let view = View {
            now: self.now,
            me: self.parties[member],
            parties: &self.parties,
            registry: self.registry(member),
            region_id: self.region_id(region),
            region: self.region(region),
        };
        for said in random_commands(&view, rng) {
            let _ = match said {
                Said::Registry(by, command) => self.registry_command_by(member, by, command),
                Said::Region(by, command) => self.region_command(region, by, command),
            };
        }
    }

    /// Lets time pass, and what is due happen.
    pub fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        let hub = node(self.parties[0]);
        for region in &mut self.regions {
            while region.record.next_due().is_some_and(|due| due <= self.now) {
                region.apply(self.now, None, hub);
            }
        }
    }

    /// One round of every courier whose line is up. With `rng`, the line loses, delays and doubles what it carries.
    pub fn carry(&mut self, mut rng: Option<&mut Rng>) {
        let mut load = std::mem::take(&mut self.late);
        let up: Vec<usize> = (0..self.parties.len()).filter(|member| !self.cut[*member]).collect();
        for member in up {
            for region in 0..self.regions.len() {
                let id = self.region_id(region);
                self.adopt(member, region);
                let up = courier::upward(self.registry(member), id, self.region(region), 8).expect("no divergence");
                let down = courier::downward(self.region(region), id, self.registry(member), 8);
                let ack = courier::acknowledgement(self.registry(member), id, self.region(region));
                load.extend(up.into_iter().chain(ack).map(|command| Late::Up(member, region, command)));
                load.extend(down.expect("no divergence").into_iter().map(|command| Late::Down(member, command)));
            }
        }
        if let Some(rng) = rng.as_deref_mut() {
            for at in (1..load.len()).rev() {
                if rng.chance(20) {
                    load.swap(at, rng.below(at as u64 + 1) as usize);
                }
            }
        }
        for item in load {
            let (lost, again) = rng.as_deref_mut().map_or((false, false), |rng| (rng.chance(20), rng.chance(20)));
            if again && self.late.len() < 64 {
                self.late.push(item.clone());
            }
            if !lost {
                self.deliver(item);
            }
        }
    }

    /// What the courier of a restored registry does before anything else.
    fn adopt(&mut self, member: usize, region: usize) {
        let id = self.region_id(region);
        let by = actor(self.parties[member], Role::Node, 1);
        match adoption::next(self.registry(member), id, self.region(region), 8) {
            None => {}
            Some(adoption::Next::Region(command)) => {
                let _ = self.region_command(region, by, command);
            }
            Some(adoption::Next::Registry(commands)) => {
                for command in commands {
                    self.registry_command_by(member, by.clone(), command).expect("the region's own word");
                }
            }
        }
    }

    /// A registry as it stands now, to be restored later.
    pub fn back_up(&self, member: usize) -> Record<Registry> {
        self.registries[member].record.clone()
    }

    /// A registry is lost with its node, and restored from a backup onto another; by the administrator's word, its
    /// municipality has left these regions. Answers the ledger record that begins its new life: no log has it.
    ///
    /// # Errors
    /// The registry's refusal.
    pub fn restore(
        &mut self,
        member: usize,
        backup: &Record<Registry>,
        mark: u64,
        left: &[RegionId],
    ) -> Result<Written<RegistryEvent>, Refusal> {
        let code = self.parties[member];
        let (algorithm, public_key) = (SignatureAlgorithm::Ed25519, Bytes(mark.to_be_bytes().to_vec()));
        let keeper = RegistryNode { node: node(code), algorithm, public_key: public_key.clone() };
        let ids = self.regions.iter().map(|region| region.record.id()).filter(|id| !left.contains(id));
        let (regions, left) = (ids.map(|id| (id, id.short())).collect(), left.to_vec());
        let mark = Hash32::of(&[&mark.to_be_bytes()]);
        let body = RegistryCommand::Restore { mark, keeper, regions, left, reason: "硬盘损坏".to_owned() };
        let envelope = self.envelope(actor(code, Role::Admin, 1), body);
        let mut record = backup.clone();
        let written = record.begin_life(self.now, Bytes(code::encode(&envelope)), unsigned(code, public_key))?;
        self.registries[member] = Named::standing(record);
        Ok(written)
    }

    /// The voters of a region are lost but for some members', the first of whom begins the next epoch. Answers the ledger
    /// record that does: no log has it.
    ///
    /// # Errors
    /// The region's refusal.
    pub fn rescue(&mut self, region: usize, left: &[usize]) -> Result<Written<RegionEvent>, Refusal> {
        let mut record = self.regions[region].record.clone();
        let algorithm = SignatureAlgorithm::Ed25519;
        let key = |code| record.machine().signers(node(code), self.now).first().map(|signer| signer.public_key.clone());
        let word = |member: &usize| {
            let (node, public_key) = (node(self.parties[*member]), key(self.parties[*member]).unwrap_or_default());
            let (record, epoch, revision, root) =
                (record.id(), record.epoch(), record.revision(), record.ledger_root());
            let standing = rescue::Standing { record, epoch, node, term: 1, index: revision, revision, root };
            SignedStanding { standing, algorithm, public_key: Bytes(public_key), signature: Bytes::default() }
        };
        let standings: Vec<SignedStanding> = left.iter().map(word).collect();
        let is_left = |of: NodeId| standings.iter().any(|signed| signed.standing.node == of);
        let group = record.machine().group().into_iter();
        let lost = group.filter(|of| of.voter && !is_left(of.node)).map(|of| of.node).collect();
        let (code, public_key) = (self.parties[left[0]], standings[0].public_key.clone());
        let body = RegionCommand::Rescue { standings, lost, reason: "机房被淹".to_owned() };
        let bytes = Bytes(code::encode(&self.envelope(actor(code, Role::Admin, 1), body)));
        let written = record.begin_epoch(self.now, bytes, unsigned(code, public_key), &AnyVerifier)?;
        self.regions[region] = Named::standing(record);
        Ok(written)
    }

    fn deliver(&mut self, item: Late) {
        // A resend or a gap is refused or changes nothing; that is the point of the numbers.
        match item {
            Late::Up(member, region, command) => {
                let by = actor(self.parties[member], Role::Node, 1);
                let _ = self.region_command(region, by, command);
            }
            Late::Down(member, command) => {
                let _ = self.registry_command(member, Role::Node, command);
            }
        }
    }

    /// Carries until nothing is left to carry.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let before: Vec<u64> = self.revisions();
            self.carry(None);
            if before == self.revisions() {
                return;
            }
        }
        panic!("the couriers never come to rest");
    }

    fn revisions(&self) -> Vec<u64> {
        let registries = self.registries.iter().map(|registry| registry.record.revision());
        registries.chain(self.regions.iter().map(|region| region.record.revision())).collect()
    }

    /// Every invariant, of each record and across them.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), String> {
        self.registries.iter().try_for_each(|registry| registry.record.check())?;
        self.regions.iter().try_for_each(|region| region.record.check())?;
        for registry in &self.registries {
            let adopting = |id| registry.record.machine().adopting().any(|(of, _)| *of == id);
            let regions = self.regions.iter().map(|region| (region.record.id(), region.record.machine()));
            // Until its word is adopted, a region knows of more than the restored books.
            let regions = regions.filter(|(id, _)| !adopting(*id));
            check_promised_once(registry.record.machine(), &regions.collect::<Vec<_>>())?;
            for region in &self.regions {
                if adopting(region.record.id()) {
                    continue;
                }
                check_across(registry.record.machine(), region.record.id(), region.record.machine())?;
            }
        }
        Ok(())
    }
}

fn verdict(outcome: Option<Outcome>) -> Result<(), Refusal> {
    match outcome.map(|outcome| outcome.verdict) {
        Some(Verdict::Accepted) => Ok(()),
        Some(Verdict::Refused(refusal)) => Err(refusal),
        other => panic!("a test command left no outcome: {other:?}"),
    }
}
