//! One record in the hands of two programs, of which one has never heard of what the other can do.

use std::fmt::Debug;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shouwang_domain::code::CodeError;
use shouwang_domain::level::TooOld;
use shouwang_domain::machine::{Context, GroupNode, Signer};
use shouwang_domain::record::ReplayError;
use shouwang_domain::subject::Subject;

use super::*;

/// What a program can be asked.
trait Program: Clone + Debug + Send + Sync + 'static {
    type Command: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + Into<Newer>;
    const KNOWS: u32;
}

#[derive(Clone, Debug)]
struct Before;
#[derive(Clone, Debug)]
struct After;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Older {
    Add(u64),
    Raise(u32),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Newer {
    Add(u64),
    Raise(u32),
    Double { again: bool },
}

impl From<Older> for Newer {
    fn from(command: Older) -> Self {
        match command {
            Older::Add(n) => Self::Add(n),
            Older::Raise(to) => Self::Raise(to),
        }
    }
}

impl Program for Before {
    type Command = Older;
    const KNOWS: u32 = 1;
}

impl Program for After {
    type Command = Newer;
    const KNOWS: u32 = 2;
}

/// A sum, and the level at which it is kept.
#[derive(Clone, Debug, PartialEq)]
struct Tally<P> {
    sum: u64,
    level: u32,
    program: PhantomData<P>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tallied {
    Added(u64),
    Raised(u32),
    Doubled,
}

impl<P: Program> Machine for Tally<P> {
    type Genesis = u64;
    type Command = P::Command;
    type Event = Tallied;

    const NAME: &'static str = "tally";
    const NEWEST_LEVEL: u32 = P::KNOWS;

    fn found(genesis: &u64) -> Result<Self, Refusal> {
        Ok(Self { sum: *genesis, level: 1, program: PhantomData })
    }

    fn decide(&self, _: &Context<'_>, command: &P::Command) -> Result<Vec<Tallied>, Refusal> {
        Ok(match command.clone().into() {
            Newer::Add(0) => return Err(Refusal::field("n", "from 1")),
            Newer::Add(n) => vec![Tallied::Added(n)],
            Newer::Raise(to) => vec![Tallied::Raised(to)],
            Newer::Double { again } => vec![Tallied::Doubled; 1 + usize::from(again)],
        })
    }

    fn evolve(&mut self, _: Timestamp, event: &Tallied) {
        match event {
            Tallied::Added(n) => self.sum += n,
            Tallied::Raised(to) => self.level = *to,
            Tallied::Doubled => self.sum *= 2,
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        None
    }

    fn fire(&self, _: Timestamp) -> Option<Vec<Tallied>> {
        None
    }

    fn signers(&self, node: NodeId, _: Timestamp) -> Vec<Signer> {
        let municipality = node.municipality();
        vec![Signer { municipality, algorithm: SignatureAlgorithm::Ed25519, public_key: key_of(municipality) }]
    }

    fn group(&self) -> Vec<GroupNode> {
        Vec::new()
    }

    fn level(&self) -> u32 {
        self.level
    }

    fn level_of(command: &P::Command) -> u32 {
        if matches!(command.clone().into(), Newer::Double { again: _ }) { 2 } else { 1 }
    }

    fn raises_to(event: &Tallied) -> Option<u32> {
        if let Tallied::Raised(to) = event { Some(*to) } else { None }
    }

    fn subjects(_: &Tallied) -> Vec<Subject> {
        Vec::new()
    }

    fn is_numbered(_: &P::Command) -> bool {
        false
    }

    fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        sink(code::encode(&(self.sum, self.level)));
    }

    fn restore(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, CodeError> {
        let (sum, level) = code::decode("tally", &records.next().unwrap_or_default())?;
        Ok(Self { sum, level, program: PhantomData })
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

const TOO_OLD: TooOld = TooOld { level: 2, knows: 1 };

fn record<P: Program>() -> Record<Tally<P>> {
    Record::found(&1).expect("a tally")
}

fn said(id: u128, valid_until: Timestamp, command: Newer) -> Vec<u8> {
    code::encode(&envelope(id, leader(wuhai()), valid_until, command))
}

/// A log entry with one batch of these commands.
fn entry(at: Timestamp, commands: Vec<Vec<u8>>) -> Vec<u8> {
    let batch = Batch::unsigned(record::<After>().id(), 0, node_of(wuhai()), commands);
    let batches = vec![Bytes(code::encode(&signed(batch, &key_of(wuhai()))))];
    code::encode(&Entry { stamp: at, batches })
}

/// Commands of both levels, one of them sent twice, and one that neither program can read; nobody raises the record.
fn mixed() -> Vec<Vec<u8>> {
    let until = NOW.plus_ms(HOUR_MS);
    let double = said(2, until, Newer::Double { again: true });
    vec![
        entry(NOW, vec![said(1, until, Newer::Add(3)), double.clone(), b"?".to_vec()]),
        entry(NOW.plus_ms(1), vec![double, said(3, until, Newer::Add(0)), said(2, until, Newer::Add(5))]),
        entry(NOW.plus_ms(2), vec![said(4, NOW, Newer::Double { again: false }), said(5, until, Newer::Add(1))]),
    ]
}

/// What a program makes of some entries.
struct Kept<P> {
    ledger: Vec<Vec<u8>>,
    applied: Vec<Applied<Tallied>>,
    record: Record<Tally<P>>,
}

fn kept<P: Program>(entries: &[Vec<u8>]) -> Kept<P> {
    let mut record = record::<P>();
    let applied: Vec<_> = entries.iter().map(|entry| record.apply(entry, &KeyedHash).expect("level 1")).collect();
    let written = applied.iter().flat_map(|applied| &applied.written).map(|written| written.bytes.clone());
    let ledger = written.collect();
    Kept { ledger, applied, record }
}

#[test]
fn what_belongs_to_a_later_level_is_unreadable_to_both_programs_alike() {
    let (older, newer) = (kept::<Before>(&mixed()), kept::<After>(&mixed()));
    assert_eq!(older.ledger, newer.ledger, "byte for byte");
    assert_eq!(
        (older.record.digest(), older.record.ledger_root()),
        (newer.record.digest(), newer.record.ledger_root())
    );
    let outcomes = |applied: &[Applied<Tallied>]| -> Vec<_> {
        applied.iter().flat_map(|applied| applied.outcomes.clone()).collect()
    };
    assert_eq!(outcomes(&older.applied), outcomes(&newer.applied));
    assert_eq!(newer.record.machine().sum, 1 + 3 + 5 + 1, "what is unreadable consumes no id");
    let refusal = |bytes: &Vec<u8>| code::decode::<LedgerRecord<Tallied>>("ledger record", bytes).unwrap().refusal;
    let refused: Vec<_> = newer.ledger.iter().filter_map(refusal).map(|refusal| refusal.code().to_owned()).collect();
    assert_eq!(refused, ["MALFORMED", "MALFORMED", "MALFORMED", "INVALID_FIELD", "MALFORMED"]);
}

#[test]
fn both_programs_audit_and_rebuild_it_alike() {
    fn rebuilt<P: Program>(ledger: &[Vec<u8>]) -> Record<Tally<P>> {
        let mut record = record::<P>();
        for bytes in ledger {
            let written = code::decode("ledger record", bytes).expect("a ledger record");
            assert!(record.agrees(&written), "{written:?}");
            record.replay(bytes).expect("the next ledger record");
        }
        record
    }
    let Kept { ledger, record: applied, .. } = kept::<After>(&mixed());
    let (older, newer) = (rebuilt::<Before>(&ledger), rebuilt::<After>(&ledger));
    assert_eq!((older.digest(), newer.digest()), (applied.digest(), applied.digest()), "the memory of ids included");
    assert!(newer.outcome(wuhai(), CommandId::from_u128(4)).is_none());
}

#[test]
fn from_the_raise_on_the_newer_program_alone_goes_along() {
    let until = NOW.plus_ms(HOUR_MS);
    let raise = entry(
        NOW,
        vec![
            said(1, until, Newer::Add(1)),
            said(2, until, Newer::Raise(2)),
            said(3, until, Newer::Double { again: false }),
        ],
    );
    let then = entry(NOW.plus_ms(1), vec![said(4, until, Newer::Double { again: true })]);
    let mut newer = record::<After>();
    let applied = newer.apply(&raise, &KeyedHash).unwrap();
    assert_eq!(newer.machine().sum, 4, "in the entry that raises it already");
    assert_eq!(verdicts(&newer.apply(&then, &KeyedHash).unwrap()), [Verdict::Accepted]);
    assert_eq!(newer.machine().sum, 16);
    // Never heard of, or held back: it is the same.
    let (mut older, mut held) = (record::<Before>(), record::<After>().held_at(1));
    let before = older.digest();
    assert_eq!(older.apply(&raise, &KeyedHash).unwrap_err(), TOO_OLD);
    assert_eq!(held.apply(&raise, &KeyedHash).unwrap_err(), TOO_OLD);
    for bytes in applied.written.iter().map(|written| &written.bytes).take(1) {
        older.replay(bytes).unwrap();
        held.replay(bytes).unwrap();
    }
    let (stands, raises) = (older.digest(), &applied.written[1].bytes);
    assert_ne!(stands, before);
    for _ in 0..2 {
        assert_eq!(older.replay(raises), Err(ReplayError::TooOld(TOO_OLD)));
        assert_eq!(held.replay(raises), Err(ReplayError::TooOld(TOO_OLD)));
    }
    assert_eq!((older.digest(), held.digest()), (stands, stands), "it stands where it stood");
    // Released, it goes on from there.
    let mut released = held.held_at(9);
    for written in &applied.written[1..] {
        released.replay(&written.bytes).unwrap();
    }
    released.apply(&then, &KeyedHash).unwrap();
    assert_eq!(released.digest(), newer.digest());
}

#[test]
fn a_state_of_a_later_level_goes_nowhere_in_an_older_program() {
    let mut newer = record::<After>();
    let until = NOW.plus_ms(HOUR_MS);
    newer.apply(&entry(NOW, vec![said(1, until, Newer::Raise(2))]), &KeyedHash).unwrap();
    let mut records = Vec::new();
    newer.records(&mut |record| records.push(record));
    let mut older = Record::<Tally<Before>>::restore(records.into_iter()).unwrap();
    let next = entry(NOW, vec![said(2, until, Newer::Add(1))]);
    assert_eq!(older.apply(&next, &KeyedHash).unwrap_err(), TOO_OLD);
    let written = newer.apply(&next, &KeyedHash).unwrap().written;
    assert_eq!(older.replay(&written[0].bytes), Err(ReplayError::TooOld(TOO_OLD)));
}
