//! What one log entry does to a record: ids, validity, signatures, timers, time, checkpoints, ledgers and proofs.

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod levels;
mod rescue;

use common::{ALXA, PLEDGED, SHIZUISHAN, Scene, WUHAI, figure, item, mission, pledge, request, suits, text};
use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::channel::{Answer, UpEnvelope, UpMessage};
use shouwang_domain::charter::CharterChange;
use shouwang_domain::code;
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::merkle;
use shouwang_domain::quantity::Qty;
use shouwang_domain::record::{
    Applied, Cause, Entry, LedgerRecord, Record, TIMERS_PER_ENTRY_MAX, VALIDITY_MS_MAX, Verdict, Written,
};
use shouwang_domain::refusal::Refusal;
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand as C;
use shouwang_domain::registry::event::RegistryEvent;
use shouwang_domain::registry::state::{Floors, NumberKind};
use shouwang_domain::resource::{Visibility, Warning};
use shouwang_domain::testing::{actor, charter, founding, municipality};
use shouwang_domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

const NOW: Timestamp = Timestamp(1_772_380_000_000);

/// A keyed hash stands for a signature: whoever has not the key's bytes, or alters the message, does not pass.
struct KeyedHash;

impl Verifier for KeyedHash {
    fn verify(&self, _: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        sign(public_key, message) == signature
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hash32::of(&[b"toy signature", key, message]).0.to_vec()
}

fn key_of(code: MunicipalityCode) -> Vec<u8> {
    code.get().to_be_bytes().to_vec()
}

fn wuhai() -> MunicipalityCode {
    municipality(150_300)
}

fn node_of(code: MunicipalityCode) -> NodeId {
    NodeId::new(code, 1).expect("node 1")
}

/// A record with the words to speak to it.
struct Desk<M> {
    record: Record<M>,
    ledger: Vec<Vec<u8>>,
}

impl Desk<Registry> {
    fn new() -> Self {
        Self { record: Record::found(&founding(wuhai(), "乌")).expect("a registry"), ledger: Vec::new() }
    }

    /// Sets a warning: a command that always happens and leaves a trace.
    fn warn(&mut self, at: Timestamp, id: u128, warning: Warning) -> Applied<RegistryEvent> {
        let command = envelope(id, leader(wuhai()), at.plus_ms(MINUTE_MS), C::SetWarning { warning });
        self.speak(at, &[command])
    }
}

impl<M: Machine> Desk<M> {
    fn batch(&self, code: MunicipalityCode, commands: Vec<Vec<u8>>) -> Batch {
        signed(Batch::unsigned(self.record.id(), self.record.epoch(), node_of(code), commands), &key_of(code))
    }

    fn speak(&mut self, at: Timestamp, commands: &[Envelope<M::Command>]) -> Applied<M::Event> {
        let code = commands.first().map_or(wuhai(), |command| command.actor.municipality);
        let batch = self.batch(code, commands.iter().map(code::encode).collect());
        self.enter(at, &[batch])
    }

    fn enter(&mut self, at: Timestamp, batches: &[Batch]) -> Applied<M::Event> {
        let batches = batches.iter().map(|batch| Bytes(code::encode(batch))).collect();
        let applied = self.record.apply(&code::encode(&Entry { stamp: at, batches }), &KeyedHash);
        let applied = applied.expect("a level of this program");
        self.ledger.extend(applied.written.iter().map(|written| written.bytes.clone()));
        applied
    }

    fn checkpoint(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        self.record.records(&mut |record| records.push(record));
        records
    }
}

fn signed(mut batch: Batch, key: &[u8]) -> Batch {
    let message = batch.signed_message(&merkle::root(&batch.leaves()));
    batch.signature = Bytes(sign(key, &message));
    batch
}

fn envelope<T>(id: u128, by: Actor, valid_until: Timestamp, body: T) -> Envelope<T> {
    Envelope { id: CommandId::from_u128(id), actor: by, valid_until, body }
}

fn leader(code: MunicipalityCode) -> Actor {
    actor(code, Role::Leader, 1)
}

fn verdicts<E>(applied: &Applied<E>) -> Vec<Verdict> {
    applied.outcomes.iter().map(|(_, outcome)| outcome.verdict.clone()).collect()
}

#[test]
fn the_same_id_again_gives_the_first_outcome_and_no_record() {
    let mut desk = Desk::new();
    let accepted = envelope(1, leader(wuhai()), NOW.plus_ms(HOUR_MS), C::SetWarning { warning: Warning::Red });
    let refused = envelope(2, actor(wuhai(), Role::Keeper, 1), NOW.plus_ms(HOUR_MS), accepted.body.clone());
    let first = desk.speak(NOW, &[accepted.clone(), refused.clone()]);
    assert_eq!(first.written.len(), 2);
    assert_eq!(first.outcomes[0].1.verdict, Verdict::Accepted);
    assert!(matches!(first.outcomes[1].1.verdict, Verdict::Refused(Refusal::RoleNotAllowed { .. })));
    let (digest, revision) = (desk.record.digest(), desk.record.revision());
    // In other company, at another time, twice in one batch: the answer stays the first one.
    let again = desk.speak(NOW.plus_ms(MINUTE_MS), &[refused.clone(), accepted.clone(), accepted]);
    assert!(again.written.is_empty());
    assert_eq!(again.outcomes[0].1, first.outcomes[1].1);
    assert_eq!(again.outcomes[1].1, first.outcomes[0].1);
    assert_eq!(again.outcomes[2].1, first.outcomes[0].1);
    assert_eq!((desk.record.digest(), desk.record.revision()), (digest, revision));
    assert_eq!(desk.record.outcome(wuhai(), refused.id), Some(&first.outcomes[1].1));
}

#[test]
fn an_id_serves_one_command_only() {
    let mut desk = Desk::new();
    desk.warn(NOW, 1, Warning::Red);
    let digest = desk.record.digest();
    let other = desk.warn(NOW, 1, Warning::Blue);
    assert_eq!(verdicts(&other), [Verdict::IdReused]);
    assert_eq!(other.outcomes[0].1.revision, 0);
    assert!(other.written.is_empty());
    assert_eq!(desk.record.digest(), digest);
    assert_eq!(desk.record.machine().warning(), Warning::Red);
}

#[test]
fn an_id_is_remembered_exactly_as_long_as_its_command_is_valid() {
    let mut desk = Desk::new();
    let command = envelope(1, leader(wuhai()), NOW.plus_ms(1000), C::SetWarning { warning: Warning::Red });
    desk.speak(NOW, std::slice::from_ref(&command));
    desk.warn(NOW.plus_ms(1000), 2, Warning::Blue);
    assert_eq!(verdicts(&desk.speak(NOW.plus_ms(1000), std::slice::from_ref(&command))), [Verdict::Accepted]);
    desk.warn(NOW.plus_ms(1001), 3, Warning::Yellow);
    assert_eq!(desk.record.outcome(wuhai(), command.id), None);
    assert_eq!(verdicts(&desk.speak(NOW.plus_ms(1001), &[command])), [Verdict::Expired]);
    assert_eq!(desk.record.machine().warning(), Warning::Yellow);
}

#[test]
fn validity_has_an_end_and_a_limit() {
    let cases = [
        ("over", NOW.plus_ms(-1), Verdict::Expired),
        ("this very millisecond", NOW, Verdict::Accepted),
        ("the longest", NOW.plus_ms(VALIDITY_MS_MAX), Verdict::Accepted),
        ("longer than is remembered", NOW.plus_ms(VALIDITY_MS_MAX + 1), Verdict::Expired),
        ("for ever", Timestamp::NEVER, Verdict::Expired),
    ];
    for (what, valid_until, verdict) in cases {
        let mut desk = Desk::new();
        let applied = desk.speak(NOW, &[envelope(1, leader(wuhai()), valid_until, warning())]);
        let recorded = u64::from(verdict == Verdict::Accepted);
        assert_eq!(verdicts(&applied), [verdict], "{what}");
        assert_eq!((applied.written.len() as u64, applied.outcomes[0].1.revision), (recorded, recorded), "{what}");
    }
}

fn warning() -> C {
    C::SetWarning { warning: Warning::Red }
}

#[test]
fn a_batch_that_is_not_for_this_record_or_not_signed_is_dropped_whole_and_consumes_no_id() {
    let mut desk = Desk::new();
    let command = code::encode(&envelope(1, leader(wuhai()), NOW.plus_ms(HOUR_MS), warning()));
    let good = desk.batch(wuhai(), vec![command.clone()]);
    let resigned = |batch| signed(batch, &key_of(wuhai()));
    let alxa = municipality(152_900);
    let mut wrong_signature = good.clone();
    wrong_signature.signature.0[0] ^= 1;
    let mut other_command = good.clone();
    other_command.commands[0].0[40] ^= 1;
    let cases = [
        ("another record", resigned(Batch { record: Hash32::of(&[b"other"]), ..good.clone() })),
        ("another epoch", resigned(Batch { epoch: 1, ..good.clone() })),
        ("an unknown node of the municipality", {
            resigned(Batch { node: NodeId::new(wuhai(), 2).unwrap(), ..good.clone() })
        }),
        ("a node of another municipality", signed(Batch { node: node_of(alxa), ..good.clone() }, &key_of(alxa))),
        ("another's key", signed(good.clone(), &key_of(alxa))),
        ("a signature off by a bit", wrong_signature),
        ("a command off by a bit", other_command),
        ("no command", resigned(Batch { commands: Vec::new(), ..good.clone() })),
    ];
    let before = desk.record.digest();
    for (what, batch) in cases {
        let applied = desk.enter(NOW, std::slice::from_ref(&batch));
        assert_eq!(applied.dropped, [Hash32::of(&[&code::encode(&batch)])], "{what}");
        assert!(applied.outcomes.is_empty() && applied.written.is_empty(), "{what}");
        assert_eq!(desk.record.digest(), before, "{what}");
    }
    // A bad batch does not take its neighbours with it, and its id is still free.
    let bad = signed(good.clone(), b"nobody");
    let applied = desk.enter(NOW, &[bad, good]);
    assert_eq!((applied.dropped.len(), verdicts(&applied)), (1, vec![Verdict::Accepted]));
    // Bytes that are no entry do nothing.
    let nothing = desk.record.apply(b"no entry", &KeyedHash).unwrap();
    assert!(nothing.written.is_empty() && nothing.outcomes.is_empty() && nothing.dropped.is_empty());
}

#[test]
fn nobody_speaks_for_another_municipality_or_without_a_name() {
    let cases = [
        ("another municipality", leader(municipality(152_900)), "NOT_YOURS"),
        ("no operator", Actor { operator: String::new(), ..leader(wuhai()) }, "INVALID_FIELD"),
        ("too long an operator", Actor { operator: "x".repeat(65), ..leader(wuhai()) }, "INVALID_FIELD"),
        ("the longest operator", Actor { operator: "守".repeat(64), ..leader(wuhai()) }, "ok"),
    ];
    for (what, by, expected) in cases {
        let mut desk = Desk::new();
        let command = code::encode(&envelope(1, by, NOW.plus_ms(HOUR_MS), warning()));
        let batch = desk.batch(wuhai(), vec![command]);
        let applied = desk.enter(NOW, &[batch]);
        let code = match &applied.outcomes[0].1.verdict {
            Verdict::Refused(refusal) => refusal.code(),
            Verdict::Accepted => "ok",
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(code, expected, "{what}");
        assert_eq!(applied.outcomes[0].0, (wuhai(), CommandId::from_u128(1)), "{what}: the signer's id is consumed");
    }
}

#[test]
fn a_command_that_cannot_be_read_is_recorded_as_refused() {
    let mut desk = Desk::new();
    let good = code::encode(&envelope(1, leader(wuhai()), NOW.plus_ms(HOUR_MS), warning()));
    let batch = desk.batch(wuhai(), vec![b"gibberish".to_vec(), good]);
    let applied = desk.enter(NOW, &[batch]);
    assert_eq!(verdicts(&applied), [Verdict::Accepted], "who cannot be read has no id to answer to");
    assert_eq!(applied.written.len(), 2);
    let record = &applied.written[0].record;
    assert_eq!(record.refusal.as_ref().map(Refusal::code), Some("MALFORMED"));
    assert!(record.events.is_empty());
    let Cause::Command { bytes, proof } = &record.cause else { panic!("a command caused it") };
    assert_eq!(bytes.0, b"gibberish");
    assert!(proof.holds(&desk.record.id(), 0, b"gibberish", &KeyedHash));
}

#[test]
fn time_never_goes_back_and_moves_only_with_a_record() {
    let mut desk = Desk::new();
    let times = |desk: &Desk<Registry>| (desk.record.time(), desk.record.revision());
    desk.warn(NOW, 1, Warning::Red);
    assert_eq!(times(&desk), (NOW, 1));
    // A leader whose clock is behind.
    let late = desk.warn(NOW.plus_ms(-HOUR_MS), 2, Warning::Blue);
    assert_eq!(verdicts(&late), [Verdict::Expired], "valid until a minute past an hour ago");
    let command = envelope(3, leader(wuhai()), NOW.plus_ms(HOUR_MS), warning());
    let applied = desk.speak(NOW.plus_ms(-HOUR_MS), &[command]);
    assert_eq!(applied.written[0].record.at, NOW);
    assert_eq!(times(&desk), (NOW, 2));
    // An entry that leaves no record leaves no time either: a replayed ledger must give the same state.
    desk.enter(NOW.plus_ms(HOUR_MS), &[]);
    assert_eq!(times(&desk), (NOW, 2));
}

/// A region in which `holds` holds of one unit lapse at the same time.
fn region_with_holds(holds: u64) -> Desk<Region> {
    let parties = [150_300, 152_900].map(municipality);
    let mut desk = Desk { record: Record::found(&charter("r", &parties, None)).expect("a region"), ledger: Vec::new() };
    let scene = Scene::asked();
    let mut made = scene.pledge(1).made.clone();
    made.qty = Qty(holds);
    let mut asked = scene.region().request(request(1)).expect("asked").made.clone();
    asked.lines[0].qty = Qty(holds);
    for (from, message) in [(parties[1], UpMessage::Pledge(made)), (parties[0], UpMessage::Request(asked))] {
        let up = R::Up(UpEnvelope { incarnation: 1, number: 1, message });
        let applied = desk.speak(NOW, &[envelope(0, actor(from, Role::Node, 1), NOW, up)]);
        assert_eq!(verdicts(&applied), [Verdict::Accepted]);
    }
    let coordinator = actor(parties[0], Role::Coordinator, 1);
    for n in 1..=u128::from(holds) {
        let hold = envelope(n, coordinator.clone(), NOW.plus_ms(DAY_MS), Scene::hold(n, 1, Qty::ONE));
        assert_eq!(verdicts(&desk.speak(NOW, &[hold])), [Verdict::Accepted]);
    }
    desk
}

#[test]
fn timers_fire_before_commands_and_in_bounded_number() {
    let mut desk = region_with_holds(TIMERS_PER_ENTRY_MAX as u64 + 1);
    assert_eq!(desk.record.next_due(), Some(NOW.plus_ms(HOUR_MS)));
    let early = desk.enter(NOW.plus_ms(HOUR_MS - 1), &[]);
    assert!(early.written.is_empty());
    // The hold lapses in the very entry that brings its order: the deadline was first.
    let order = envelope(900, leader(wuhai()), NOW.plus_ms(DAY_MS), Scene::order(1));
    let applied = desk.speak(NOW.plus_ms(HOUR_MS), &[order]);
    assert_eq!(applied.written.len(), TIMERS_PER_ENTRY_MAX + 1);
    let timers = &applied.written[..TIMERS_PER_ENTRY_MAX];
    assert!(timers.iter().all(|written| written.record.cause == Cause::Timer));
    let refusal = &applied.written[TIMERS_PER_ENTRY_MAX].record.refusal;
    assert_eq!(refusal.as_ref().map(Refusal::code), Some("WRONG_STATE"));
    // The rest comes with the next entry; then nothing is due for days.
    assert_eq!(desk.record.next_due(), Some(NOW.plus_ms(HOUR_MS)));
    assert_eq!(desk.enter(NOW.plus_ms(HOUR_MS), &[]).written.len(), 1);
    assert!(desk.record.next_due() > Some(NOW.plus_ms(DAY_MS)));
    assert_eq!(desk.record.check(), Ok(()));
    same_from_ledger(&desk, &charter("r", &[150_300, 152_900].map(municipality), None));
}

fn same_from_ledger<M: Machine>(desk: &Desk<M>, genesis: &M::Genesis) {
    let mut rebuilt = Record::<M>::found(genesis).expect("the same founding document");
    for bytes in &desk.ledger {
        let written: LedgerRecord<M::Event> = code::decode("ledger record", bytes).expect("a ledger record");
        assert!(rebuilt.agrees(&written), "an auditor decides otherwise: {written:?}");
        rebuilt.replay(bytes).expect("the next ledger record");
    }
    assert_eq!(rebuilt.digest(), desk.record.digest());
    assert_eq!(rebuilt.ledger_root(), desk.record.ledger_root());
}

/// Accepted, refused, unreadable and repeated commands, and one that speaks for another.
fn busy_desk() -> Desk<Registry> {
    let mut desk = Desk::new();
    desk.warn(NOW, 1, Warning::Red);
    desk.warn(NOW.plus_ms(5), 1, Warning::Red);
    let keeper = actor(wuhai(), Role::Keeper, 1);
    let commands = vec![
        code::encode(&envelope(2, keeper, NOW.plus_ms(DAY_MS), warning())),
        b"?".to_vec(),
        code::encode(&envelope(3, leader(municipality(152_900)), NOW.plus_ms(DAY_MS), warning())),
        code::encode(&envelope(4, leader(wuhai()), NOW.plus_ms(20), warning())),
    ];
    let batch = desk.batch(wuhai(), commands);
    desk.enter(NOW.plus_ms(10), &[batch]);
    desk.warn(NOW.plus_ms(HOUR_MS), 5, Warning::Orange);
    desk
}

#[test]
fn the_ledger_alone_rebuilds_the_record() {
    let desk = busy_desk();
    same_from_ledger(&desk, &founding(wuhai(), "乌"));
    let mut rebuilt = Record::<Registry>::found(&founding(wuhai(), "乌")).unwrap();
    assert!(rebuilt.replay(&desk.ledger[1]).is_err(), "not the next one");
    assert!(rebuilt.replay(b"no ledger record").is_err());
    rebuilt.replay(&desk.ledger[0]).unwrap();
    assert!(rebuilt.replay(&desk.ledger[0]).is_err(), "already there");
}

#[test]
fn a_restored_checkpoint_is_the_record_and_goes_on_as_it_would() {
    let mut desk = busy_desk();
    let records = desk.checkpoint();
    let mut restored =
        Desk { record: Record::<Registry>::restore(records.clone().into_iter()).unwrap(), ledger: Vec::new() };
    assert_eq!(restored.record.digest(), desk.record.digest());
    assert_eq!(format!("{:?}", restored.record), format!("{:?}", desk.record), "field by field");
    for at in [NOW.plus_ms(HOUR_MS), NOW.plus_ms(3 * DAY_MS)] {
        // A repeated id and a new one; later the memory has been cleared on both alike.
        for id in [5, 6] {
            let (left, right) = (desk.warn(at, id, Warning::Orange), restored.warn(at, id, Warning::Orange));
            assert_eq!(left.outcomes, right.outcomes);
        }
    }
    assert_eq!(restored.record.digest(), desk.record.digest());
    assert_eq!(restored.record.ledger_root(), desk.record.ledger_root());

    let restore = |records: Vec<Vec<u8>>| Record::<Registry>::restore(records.into_iter());
    assert!(restore(Vec::new()).is_err(), "nothing at all");
    assert!(restore(records[..records.len() - 1].to_vec()).is_err(), "the machine's head is missing");
    let mut unknown = records;
    unknown.push(code::encode(&(99u8, 1u8, 1u8)));
    assert!(restore(unknown).is_err(), "an unknown section");
}

#[test]
fn every_command_of_a_batch_proves_itself_and_no_other() {
    for count in [1, 2, 3, 5, 8, 13] {
        let mut desk = Desk::new();
        let commands: Vec<_> =
            (0..count).map(|n| envelope(n, leader(wuhai()), NOW.plus_ms(HOUR_MS), warning())).collect();
        let applied = desk.speak(NOW, &commands);
        let id = desk.record.id();
        let proofs: Vec<_> = applied.written.iter().map(command_of).collect();
        for (index, (bytes, proof)) in proofs.iter().enumerate() {
            assert!(proof.holds(&id, 0, bytes, &KeyedHash), "{index} of {count}");
            for at in 0..bytes.len() {
                let mut altered = bytes.clone();
                altered[at] ^= 1;
                assert!(!proof.holds(&id, 0, &altered, &KeyedHash), "byte {at} of {index} of {count}");
            }
            assert!(!proof.holds(&id, 1, bytes, &KeyedHash), "another epoch");
            assert!(!proof.holds(&Hash32::default(), 0, bytes, &KeyedHash), "another record");
            let mut moved = proof.clone();
            moved.node = NodeId::new(wuhai(), 2).unwrap();
            assert!(!moved.holds(&id, 0, bytes, &KeyedHash), "another node");
            let other = &proofs[(index + 1) % proofs.len()].0;
            assert!(count == 1 || !proof.holds(&id, 0, other, &KeyedHash), "another command");
        }
    }
}

fn command_of<E>(written: &Written<E>) -> (Vec<u8>, shouwang_domain::command::CommandProof) {
    match &written.record.cause {
        Cause::Command { bytes, proof } => (bytes.0.clone(), proof.clone()),
        Cause::Timer => panic!("a command caused it"),
    }
}

#[test]
fn every_ledger_record_has_an_inclusion_proof() {
    let desk = busy_desk();
    let leaves: Vec<_> = desk.ledger.iter().map(|bytes| merkle::leaf(bytes)).collect();
    assert_eq!(merkle::root(&leaves), desk.record.ledger_root());
    for (index, leaf) in leaves.iter().enumerate() {
        let path = merkle::path(index, &leaves);
        let size = leaves.len() as u64;
        assert_eq!(merkle::root_from_path(*leaf, index as u64, size, &path), Some(desk.record.ledger_root()));
        let altered = merkle::leaf(b"altered");
        assert_ne!(merkle::root_from_path(altered, index as u64, size, &path), Some(desk.record.ledger_root()));
    }
}

/// A scene in which no map of any record is empty.
fn full_scene() -> Scene {
    let mut scene = Scene::stocked();
    let region = scene.world.region_id(0);
    scene.must(ALXA, C::MapItem { local: text("重型防化服"), code: item(2_990_101) });
    scene.must(ALXA, C::SetFloors { resource: suits(), floors: Floors([Qty(5); 5]) });
    scene.must(ALXA, C::SetVisibility { region, resource: suits(), visibility: Visibility::Exact });
    scene.must(WUHAI, scene.request_aid(1));
    scene.must(ALXA, scene.pledge_suits(1, ALXA, PLEDGED));
    scene.must(SHIZUISHAN, scene.pledge_suits(2, SHIZUISHAN, PLEDGED));
    scene.settle();
    scene.must(SHIZUISHAN, scene.decline());
    // A pledge used up in danger to life while an order for it is on its way: a shortfall.
    scene.must_ask(WUHAI, Scene::hold(1, 1, Qty(20)));
    scene.must_ask(WUHAI, Scene::order(1));
    scene.must(ALXA, C::BreakGlass { pledge: pledge(1), qty: Qty(35), reason: text("断网，险情危及生命") });
    scene.settle();
    scene.must(ALXA, scene.dispatch(1, Qty(15)));
    scene.settle();
    scene.must(WUHAI, scene.receive(1, Qty(14), Qty::ONE));
    scene.must(WUHAI, scene.usage(1, 3, 0, 0));
    scene.settle();
    let details = scene.details(ALXA);
    scene.must(ALXA, C::ReceiveRestock { mission: mission(1), lot: common::new_lot(1), details, qty: Qty(3) });
    // Charter: a node that joined and left for ever, a change that waits.
    let wuhai = scene.code(WUHAI);
    let mut second = scene.region().charter().member(wuhai).expect("a member").nodes[0].clone();
    (second.node, second.voter) = (NodeId::new(wuhai, 2).expect("node 2"), false);
    for change in [CharterChange::AddNode(second.clone()), CharterChange::RemoveNode(second.node)] {
        scene.ratify(change);
    }
    let base_version = scene.region().charter().version;
    scene.must_ask(WUHAI, R::ProposeChange { base_version, change: CharterChange::Hub(scene.code(ALXA)) });
    scene = scene.raised();
    // A head of the ledger, and a node's word about it.
    scene.must_ask(WUHAI, R::MarkHead {});
    let head = scene.region().newest_head().map(|(revision, head)| (*revision, head.root));
    let (revision, root) = head.expect("a head is marked");
    scene.must_ask(ALXA, R::Countersign { revision, root });
    scene.settle();
    // Words that are still on their way in both directions.
    scene.world.cut = vec![true; 6];
    scene.must(WUHAI, scene.request_aid(2));
    scene.must(ALXA, scene.answer(Answer::Accept { qty: Qty(10) }));
    scene.must_ask(WUHAI, Scene::hold(2, 2, Qty(10)));
    scene.must_ask(WUHAI, Scene::order(2));
    scene.check();
    scene
}

/// Writes a machine down, reads it back, and compares every field; then takes every canonical record away in turn.
fn survives_its_checkpoint<M: Machine>(name: &str, machine: &M, sections: u8) {
    let mut records = Vec::new();
    machine.records(&mut |record| records.push(record));
    // The debug form names every field of the state, so a map that the checkpoint forgets shows as `{}` afterwards.
    let shown = format!("{machine:?}");
    assert!(!shown.contains("{}"), "{name}: a map is empty, so this test says nothing about it: {shown}");
    let restored = M::restore(&mut records.clone().into_iter()).expect("a checkpoint restores");
    assert_eq!(format!("{restored:?}"), shown, "{name}");
    assert_eq!(restored.digest(), machine.digest(), "{name}");
    let tags: std::collections::BTreeSet<u8> = records.iter().map(|record| record[1]).collect();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), (1..=sections).collect::<Vec<_>>(), "{name}: sections");
    for (index, record) in records.iter().enumerate() {
        let mut without = records.clone();
        without.remove(index);
        match M::restore(&mut without.into_iter()) {
            Ok(poorer) => assert_ne!(poorer.digest(), machine.digest(), "{name}: section {}", record[1]),
            Err(_) => assert_eq!(record[1], 1, "{name}: only the head is indispensable"),
        }
    }
}

#[test]
fn a_checkpoint_forgets_no_map() {
    let scene = full_scene();
    survives_its_checkpoint("region", scene.region(), 16);
    let mut alxa = scene.clone();
    alxa.must(ALXA, C::AllocateNumber { kind: NumberKind::Mission });
    survives_its_checkpoint("registry", alxa.registry(ALXA), 15);
}
