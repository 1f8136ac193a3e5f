//! A ledger with the words of its nodes in it, and every way to tell it otherwise that the words must show.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::charter::Charter;
use shouwang_domain::code;
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::ids::{CommandId, RequestId};
use shouwang_domain::merkle;
use shouwang_domain::record::{Entry, Record};
use shouwang_domain::region::Region;
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::heads::CountersignedHead;
use shouwang_domain::time::{DAY_MS, Timestamp};
use shouwang_driver::Ed25519Verifier;

use super::*;
use crate::cli::ledger_check::Checked;
use crate::cli::ledger_check::tests::{Kept, check_against, founding, id, kept_again, kept_of, key, rewrite, root_of};
use crate::pki::SigningKey;

const START: Timestamp = Timestamp(1_772_380_800_000);
const WUHAI: usize = 0;
const ORDOS: usize = 1;

/// A ledger that two nodes write.
struct Book<'a> {
    founding: Charter,
    keys: [&'a SigningKey; 2],
    record: Record<Region>,
    records: Vec<Vec<u8>>,
}

impl<'a> Book<'a> {
    fn new(keys: [&'a SigningKey; 2]) -> Self {
        let founding = founding(&keys);
        let record = Record::found(&founding).unwrap();
        let mut book = Self { founding, keys, record, records: Vec::new() };
        for by in [WUHAI, ORDOS] {
            book.say(by, R::AnnounceLevel { level: 2 });
        }
        book.say(WUHAI, R::RaiseLevel { to: 2 });
        book
    }

    /// A node says something by itself; gives its place among the records.
    fn say(&mut self, by: usize, body: R) -> usize {
        self.say_with(by, self.keys[by], body)
    }

    fn say_with(&mut self, by: usize, key: &SigningKey, body: R) -> usize {
        let node = self.node(by);
        let role = match body {
            R::CloseRequest { .. } => Role::Leader,
            R::RaiseLevel { .. } => Role::Admin,
            _ => Role::Node,
        };
        let n = u32::try_from(self.records.len()).unwrap();
        let at = START.plus_ms(n.into());
        let envelope = Envelope {
            id: CommandId::from_u128(n.into()),
            actor: Actor { role, ..Actor::node(node) },
            valid_until: START.plus_ms(DAY_MS),
            body,
        };
        let mut batch = Batch::unsigned(self.record.id(), 0, node, vec![code::encode(&envelope)]);
        batch.signature = Bytes(key.sign(&batch.signed_message(&merkle::root(&batch.leaves()))));
        let entry = Entry { stamp: at, batches: vec![Bytes(code::encode(&batch))] };
        let applied = self.record.apply(&code::encode(&entry), &Ed25519Verifier).unwrap();
        self.records.extend(applied.written.into_iter().map(|written| written.bytes));
        self.records.len() - 1
    }

    fn node(&self, by: usize) -> NodeId {
        self.founding.members[by].nodes[0].node
    }

    /// Something happens: that it is refused makes it no less a record.
    fn go_on(&mut self, n: u128) {
        self.say(WUHAI, R::CloseRequest { request: RequestId::from_u128(n) });
    }

    fn mark(&mut self) -> u64 {
        self.say(WUHAI, R::MarkHead {});
        *self.record.machine().newest_head().unwrap().0
    }

    fn countersign(&mut self, by: usize, revision: u64) -> usize {
        let root = root_of(&self.records[..usize::try_from(revision).unwrap()]);
        self.say(by, R::Countersign { revision, root })
    }

    fn kept(&self) -> Kept {
        kept_of(&self.founding, self.records.clone(), &self.record)
    }

    /// What somebody keeps of a record that holds a countersignature.
    fn word(&self, at: usize) -> KeptWord {
        let record: LedgerRecord<RegionEvent> = code::decode("ledger record", &self.records[at]).unwrap();
        let (stands_at, at, Cause::Command { bytes, proof }) = (record.revision, record.at, record.cause) else {
            panic!("a node said it");
        };
        let (node, public_key) = (proof.node, proof.public_key.clone());
        let signed = CountersignedHead { epoch: 0, stands_at, agrees: true, at, bytes, proof };
        let head = signed.head(self.record.id(), &Ed25519Verifier).expect("a signature that holds");
        KeptWord { head, node, public_key, stands_at: Some(stands_at) }
    }
}

fn says(checked: Result<Checked, Fault>, revision: u64, parts: &[&str]) {
    let fault = checked.expect_err("it is not sound");
    assert_eq!(fault.revision, revision, "{fault:?}");
    for part in parts {
        assert!(fault.why.en.contains(part), "{part}: {fault:?}");
    }
}

/// Three records more, a head over them, a word of each node, and one record more.
fn night(keys: [&SigningKey; 2]) -> (Book<'_>, [usize; 2]) {
    let mut book = Book::new(keys);
    (1..=3).for_each(|n| book.go_on(n));
    let revision = book.mark();
    let words = [WUHAI, ORDOS].map(|by| book.countersign(by, revision));
    book.go_on(4);
    (book, words)
}

#[test]
fn a_countersigned_ledger_names_who_attests_it() {
    let keys = [key(), key()];
    let (book, words) = night(keys.each_ref());
    let kept = book.kept();
    let plain = check_against(&kept, false, Vec::new()).unwrap();
    let of = |node: &str, member: &str| Attested { node: node.to_owned(), member: member.to_owned(), revision: 6 };
    assert_eq!(plain.attested, [of("150300/1", "150300"), of("150600/1", "150600")]);
    let with_words = words.map(|at| book.word(at)).to_vec();
    let whole = check_against(&kept, true, with_words).unwrap();
    assert_eq!(whole.attested, [of("150300/1", "乌海市"), of("150600/1", "鄂尔多斯市")]);
    assert_eq!(whole.heads, ["150300/1 @ 6", "150600/1 @ 6"]);
    assert!(whole.contradicted.is_empty());
}

#[test]
fn what_is_cut_off_and_sealed_again_shows_by_any_word() {
    let keys = [key(), key()];
    let (book, words) = night(keys.each_ref());
    let mut cut = Book::new(book.keys);
    (1..=2).for_each(|n| cut.go_on(n));
    let cut = cut.kept();
    assert_eq!(cut.records, book.records[..5], "the beginning of the very same ledger");
    assert!(check_against(&cut, true, Vec::new()).is_ok(), "by itself nobody could tell");
    let root = root_of(&book.records[..6]).to_string();
    says(check_against(&cut, true, vec![book.word(words[ORDOS])]), 5, &["150600/1", "revision 6", &root, "cut off"]);
}

#[test]
fn what_is_told_anew_shows_by_any_word() {
    let keys = [key(), key()];
    let (book, words) = night(keys.each_ref());
    let mut told_anew = Book::new(book.keys);
    (11..=17).for_each(|n| told_anew.go_on(n));
    let told_anew = told_anew.kept();
    assert!(check_against(&told_anew, true, Vec::new()).is_ok(), "by itself nobody could tell");
    let (true_root, other) = (root_of(&book.records[..6]).to_string(), root_of(&told_anew.records[..6]).to_string());
    let faults = ["150600/1", &true_root, &other, "rewritten"];
    says(check_against(&told_anew, true, vec![book.word(words[ORDOS])]), 6, &faults);
}

#[test]
fn a_record_altered_before_a_head_contradicts_it_and_every_word() {
    let keys = [key(), key()];
    let (book, _) = night(keys.each_ref());
    let sound = book.kept();
    // What came of a command is covered by no signature; without the charter nobody decides it once more.
    let mut altered = kept_again(&sound);
    rewrite(&mut altered, 4, |record| record.refusal = None);
    says(check_against(&altered, false, Vec::new()), 7, &["the head it marks"]);
    let other = root_of(&altered.records[..6]);
    rewrite(&mut altered, 6, |record| {
        record.events = vec![RegionEvent::HeadMarked { epoch: 0, revision: 6, root: other }];
    });
    says(check_against(&altered, false, Vec::new()), 8, &["the countersignature of 150300/1", &other.to_string()]);
}

#[test]
fn forged_words_are_told() {
    let keys = [key(), key()];
    let (book, words) = night(keys.each_ref());
    let sound = book.kept();
    // Another command under the old signature.
    let mut another_root = kept_again(&sound);
    rewrite(&mut another_root, words[ORDOS], |record| {
        let Cause::Command { bytes, .. } = &mut record.cause else { panic!("a command") };
        let last = bytes.0.len() - 1;
        bytes.0[last] ^= 1;
    });
    says(check_against(&another_root, false, Vec::new()), 9, &["signature"]);
    // A key of nobody: its signature holds, and the charter does not know it.
    let stranger = key();
    let mut strangers_word = kept_again(&sound);
    rewrite(&mut strangers_word, words[ORDOS], |record| {
        let Cause::Command { bytes, proof } = &mut record.cause else { panic!("a command") };
        let mut batch = Batch::unsigned(id(&sound), 0, proof.node, vec![bytes.0.clone()]);
        batch.signature = Bytes(stranger.sign(&batch.signed_message(&merkle::root(&batch.leaves()))));
        (proof.public_key, proof.signature) = (Bytes(stranger.public_key()), batch.signature);
    });
    says(check_against(&strangers_word, true, Vec::new()), 9, &["not in the charter"]);
    let kept = KeptWord { public_key: Bytes(stranger.public_key()), ..book.word(words[ORDOS]) };
    says(check_against(&sound, true, vec![kept]), 9, &["150600/1", "not in the charter"]);
    // One node's word as another's.
    let mut anothers = kept_again(&sound);
    let node = book.node(WUHAI);
    rewrite(&mut anothers, words[ORDOS], |record| {
        record.events = vec![RegionEvent::Countersigned { node, revision: 6, stands_at: 9 }];
    });
    says(check_against(&anothers, false, Vec::new()), 9, &["the countersignature of 150300/1"]);
}

#[test]
fn a_word_that_contradicts_is_named_and_cannot_be_hidden() {
    let keys = [key(), key()];
    let mut book = Book::new(keys.each_ref());
    (1..=3).for_each(|n| book.go_on(n));
    let revision = book.mark();
    let root = Hash32::of(&[b"another ledger"]);
    let at = book.say(ORDOS, R::Countersign { revision, root });
    let kept = book.kept();
    for with_charter in [false, true] {
        let checked = check_against(&kept, with_charter, vec![book.word(at)]).expect("the ledger says so itself");
        assert!(checked.attested.is_empty());
        let told = Contradicted { node: "150600/1".to_owned(), revision: 6, root: root.to_string(), stands_at: 8 };
        assert_eq!(checked.contradicted, [told]);
    }
    let mut hidden = kept_again(&kept);
    rewrite(&mut hidden, at, |record| {
        let node = book.node(ORDOS);
        record.events = vec![RegionEvent::Countersigned { node, revision, stands_at: 8 }];
    });
    says(check_against(&hidden, false, Vec::new()), 8, &["the countersignature of 150600/1", &root.to_string()]);
    let mut without = Book::new(book.keys);
    (1..=3).for_each(|n| without.go_on(n));
    without.mark();
    says(check_against(&without.kept(), true, vec![book.word(at)]), 6, &["150600/1", "rewritten"]);
}
