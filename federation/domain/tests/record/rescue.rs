//! A region that has lost its voters: who may begin the next epoch, with whose word, and what of the old one counts.

use shouwang_domain::machine::GroupNode;
use shouwang_domain::rescue::{SignedStanding, Standing};

use super::*;

const PARTIES: [u32; 5] = [150_300, 150_600, 152_900, 640_100, 640_200];

fn node(at: usize) -> NodeId {
    node_of(municipality(PARTIES[at]))
}

/// Five voters; the last log entry of the one at `at` is `(term, index)`.
struct Wreck {
    desk: Desk<Region>,
    words: Vec<SignedStanding>,
}

impl Wreck {
    fn new(reach: &[(usize, (u64, u64))]) -> Self {
        let mut desk = Desk {
            record: Record::found(&charter("r", &PARTIES.map(municipality), None)).expect("a region"),
            ledger: Vec::new(),
        };
        let first = R::Up(UpEnvelope { incarnation: 1, number: 1, message: figure(5) });
        desk.speak(NOW, &[envelope(1, actor(municipality(PARTIES[2]), Role::Node, 1), NOW.plus_ms(HOUR_MS), first)]);
        let words = reach.iter().map(|(at, last)| word(&desk.record, *at, *last)).collect();
        Self { desk, words }
    }

    fn rescue(&self, lost: &[usize]) -> R {
        let lost = lost.iter().map(|at| node(*at)).collect();
        R::Rescue { standings: self.words.clone(), lost, reason: "洪水".to_owned() }
    }

    fn asks(&self, by: usize, order: &R) -> Result<Vec<RegionEvent>, String> {
        let asked = self.desk.record.rescued(NOW, order, node(by), &KeyedHash);
        asked.map_err(|refusal| refusal.code().to_owned())
    }

    fn begin(&mut self, by: usize, order: R) -> Written<RegionEvent> {
        let code = municipality(PARTIES[by]);
        let bytes = code::encode(&envelope(9, actor(code, Role::Admin, 1), NOW.plus_ms(HOUR_MS), order));
        let batch = self.desk.batch(code, vec![bytes.clone()]);
        let proof = shouwang_domain::command::CommandProof {
            node: node(by),
            public_key: Bytes(key_of(code)),
            signature_algorithm: batch.signature_algorithm,
            signature: batch.signature,
            index: 0,
            count: 1,
            path: Vec::new(),
        };
        let written = self.desk.record.begin_epoch(NOW, Bytes(bytes), proof, &KeyedHash).expect("a new epoch");
        self.desk.ledger.push(written.bytes.clone());
        written
    }
}

fn word(record: &Record<Region>, at: usize, (term, index): (u64, u64)) -> SignedStanding {
    signed_word(
        Standing {
            record: record.id(),
            epoch: record.epoch(),
            node: node(at),
            term,
            index,
            revision: record.revision(),
            root: record.ledger_root(),
        },
        at,
    )
}

fn signed_word(standing: Standing, at: usize) -> SignedStanding {
    let key = key_of(municipality(PARTIES[at]));
    let signature = Bytes(sign(&key, &standing.signed_message()));
    SignedStanding { standing, algorithm: SignatureAlgorithm::Ed25519, public_key: Bytes(key), signature }
}

#[test]
fn only_whoever_has_most_begins_and_every_voter_is_accounted_for() {
    let two = [(1, (3, 10)), (2, (4, 9))];
    let fine = Wreck::new(&two);
    for (what, wreck, by, lost, told) in [
        ("the longest", Wreck::new(&two), 2, vec![0, 3, 4], Ok(())),
        ("equals", Wreck::new(&[(1, (4, 9)), (2, (4, 9))]), 1, vec![0, 3, 4], Ok(())),
        ("a shorter log", Wreck::new(&two), 1, vec![0, 3, 4], Err("NOT_LONGEST")),
        (
            "a longer log of an earlier term",
            Wreck::new(&[(1, (3, 99)), (2, (4, 9))]),
            1,
            vec![0, 3, 4],
            Err("NOT_LONGEST"),
        ),
        ("a voter forgotten", Wreck::new(&two), 2, vec![0, 3], Err("VOTER_UNACCOUNTED")),
        ("a voter both here and lost", Wreck::new(&two), 2, vec![0, 1, 3, 4], Err("INVALID_FIELD")),
        ("a word given twice", Wreck::new(&[two[1], two[1]]), 2, vec![0, 1, 3, 4], Err("INVALID_FIELD")),
        ("no word of its own", Wreck::new(&two), 3, vec![0, 4], Err("NOT_FOUND")),
    ] {
        let asked = wreck.asks(by, &wreck.rescue(&lost)).map(|_| ());
        assert_eq!(asked, told.map_err(str::to_owned), "{what}");
    }
    let stranger = NodeId::new(municipality(110_100), 1).unwrap();
    let lost = vec![node(0), node(3), node(4), stranger];
    let order = R::Rescue { standings: fine.words.clone(), lost, reason: "洪水".to_owned() };
    assert_eq!(fine.asks(2, &order), Err("NOT_FOUND".to_owned()));
    let order =
        R::Rescue { standings: fine.words.clone(), lost: vec![node(0), node(3), node(4)], reason: String::new() };
    assert_eq!(fine.asks(2, &order), Err("INVALID_FIELD".to_owned()), "no reason");
}

/// What somebody does to a word.
type Alteration = fn(&mut SignedStanding);

#[test]
fn a_word_counts_as_its_node_gave_it_for_this_epoch() {
    let alter: [(&str, Alteration); 6] = [
        ("another record", |word| *word = signed_word(Standing { record: Hash32::of(&[b"o"]), ..word.standing }, 1)),
        ("another epoch", |word| *word = signed_word(Standing { epoch: 1, ..word.standing }, 1)),
        ("a figure altered", |word| word.standing.index = 1),
        ("the signature altered", |word| word.signature.0[0] ^= 1),
        ("another's key", |word| *word = signed_word(word.standing, 0)),
        ("a key that is not in force", |word| {
            word.public_key = Bytes(b"found".to_vec());
            word.signature = Bytes(sign(b"found", &word.standing.signed_message()));
        }),
    ];
    for (what, alter) in alter {
        let mut wreck = Wreck::new(&[(1, (3, 10)), (2, (4, 9))]);
        alter(&mut wreck.words[0]);
        assert_eq!(wreck.asks(2, &wreck.rescue(&[0, 3, 4])), Err("INVALID_FIELD".to_owned()), "{what}");
    }
    // The own word is of the very state that goes on.
    let mut wreck = Wreck::new(&[(2, (4, 9))]);
    let standing = Standing { revision: 0, ..wreck.words[0].standing };
    wreck.words[0] = signed_word(standing, 2);
    assert_eq!(wreck.asks(2, &wreck.rescue(&[0, 1, 3, 4])), Err("INVALID_FIELD".to_owned()));
}

#[test]
fn the_next_epoch_votes_with_those_who_are_left_and_hears_nothing_of_the_one_before() {
    let mut wreck = Wreck::new(&[(1, (3, 10)), (2, (4, 9))]);
    let late = wreck.desk.batch(municipality(PARTIES[1]), vec![code::encode(&note(5, 1))]);
    let order = wreck.rescue(&[0, 3, 4]);
    let (before, mut audited) = (wreck.desk.record.clone(), wreck.desk.record.clone());
    let written = wreck.begin(2, order);
    let record = &wreck.desk.record;
    assert_eq!((record.epoch(), record.revision()), (before.epoch() + 1, before.revision() + 1));
    let voters: Vec<GroupNode> = record.machine().group().into_iter().filter(|member| member.voter).collect();
    assert_eq!(voters, [1, 2].map(|at| GroupNode { node: node(at), voter: true }));
    assert_eq!(record.machine().group().len(), PARTIES.len(), "whoever is lost is still a member");
    record.check().unwrap();
    // Who decides once more comes to the same, and to the same state.
    assert_eq!(before.agrees_with_rescue(&written.record, &KeyedHash), Some(true));
    let mut forged = written.record.clone();
    forged.events = vec![RegionEvent::Rescued { epoch: 1, by: node(2), voters: vec![node(2)], lost: vec![] }];
    assert_eq!(before.agrees_with_rescue(&forged, &KeyedHash), Some(false));
    audited.replay(&written.bytes).unwrap();
    assert_eq!((audited.digest(), audited.epoch()), (record.digest(), 1));
    let restored = Record::<Region>::restore(wreck.desk.checkpoint().into_iter()).unwrap();
    assert_eq!((restored.digest(), restored.epoch()), (record.digest(), 1));
    // What was signed before the rescue is nothing now; asked again under the same id, it is done.
    let id = record.id();
    assert_eq!(wreck.desk.enter(NOW, std::slice::from_ref(&late)).dropped.len(), 1);
    assert_eq!(verdicts(&wreck.desk.speak(NOW, &[note(5, 1)])), [Verdict::Accepted]);
    assert_eq!(wreck.desk.record.id(), id);
}

/// Something that an administrator of a party may ask for, and that happens.
fn note(id: u128, at: usize) -> Envelope<R> {
    let change = CharterChange::Rules(shouwang_domain::charter::Rules::default());
    let body = R::ProposeChange { base_version: 1, change };
    envelope(id, actor(municipality(PARTIES[at]), Role::Leader, 1), NOW.plus_ms(HOUR_MS), body)
}

#[test]
fn nobody_rescues_through_the_log() {
    let mut wreck = Wreck::new(&[(2, (4, 9))]);
    let order = wreck.rescue(&[0, 1, 3, 4]);
    let by = actor(municipality(PARTIES[2]), Role::Admin, 1);
    let applied = wreck.desk.speak(NOW, &[envelope(7, by, NOW.plus_ms(HOUR_MS), order)]);
    assert!(
        matches!(&verdicts(&applied)[..], [Verdict::Refused(Refusal::WrongState { .. })]),
        "{:?}",
        applied.outcomes
    );
    assert_eq!(wreck.desk.record.epoch(), 0);
}
