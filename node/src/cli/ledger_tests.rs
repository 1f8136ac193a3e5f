//! A real ledger, signed with a real key, and every way to tamper with it that the check must name.

use super::*;
use crate::pki::SigningKey;
use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::channel::DownMessage;
use shouwang_domain::charter::{Charter, Member, MemberNode, Rules, Standing};
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::SignatureAlgorithm;
use shouwang_domain::head::Head;
use shouwang_domain::ids::{CommandId, MissionId, RequestId};
use shouwang_domain::record::Entry;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::time::DAY_MS;

const START: Timestamp = Timestamp(1_772_380_800_000);

pub(crate) struct Kept {
    pub founding: Charter,
    key: SigningKey,
    pub records: Vec<Vec<u8>>,
    root: String,
    state_digest: String,
}

pub(crate) fn key() -> SigningKey {
    let dir = tempfile::tempdir().unwrap();
    SigningKey::create(&dir.path().join("signing.key")).unwrap()
}

/// A region of as many members as there are keys, with a node each.
pub(crate) fn founding(keys: &[&SigningKey]) -> Charter {
    let members = [(150_300, "乌海市", "乌"), (150_600, "鄂尔多斯市", "鄂"), (152_900, "阿拉善盟", "阿")];
    let member = |((code, name, short), key): ((u32, &str, &str), &&SigningKey)| {
        let code = MunicipalityCode::new(code).unwrap();
        let node = MemberNode {
            node: NodeId::new(code, 1).unwrap(),
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: Bytes(key.public_key()),
            retiring: None,
            voter: true,
        };
        let (name, short) = (name.to_owned(), short.to_owned());
        let (superior, neighbours) = (None, Vec::new());
        Member { code, name, short, standing: Standing::Party, superior, neighbours, nodes: vec![node] }
    };
    Charter {
        federation: "wuhai.example".to_owned(),
        name: "乌海应急联动区域".to_owned(),
        version: 1,
        hub: MunicipalityCode::new(150_300).unwrap(),
        members: members.into_iter().zip(keys).map(member).collect(),
        rules: Rules::default(),
    }
}

/// A ledger as some nodes have written it, with the key of the first of them.
pub(crate) fn kept_of(founding: &Charter, records: Vec<Vec<u8>>, record: &Record<Region>) -> Kept {
    let (root, state_digest) = (record.ledger_root().to_string(), record.digest().to_string());
    Kept { founding: founding.clone(), key: key(), records, root, state_digest }
}

/// A ledger of refused commands: a refusal is a record as good as any.
fn ledger(key: SigningKey, founding: &Charter) -> Kept {
    let mut record = Record::<Region>::found(founding).unwrap();
    let code = founding.hub;
    let mut written = Vec::new();
    let envelope = |n: u128| Envelope {
        id: CommandId::from_u128(n),
        actor: Actor { municipality: code, operator: "op-1".to_owned(), role: Role::Leader },
        valid_until: START.plus_ms(DAY_MS),
        body: RegionCommand::CloseRequest { request: RequestId::from_u128(n) },
    };
    for (entry, commands) in [(1, vec![1, 2, 3]), (2, vec![4]), (3, vec![5, 6])] {
        let commands = commands.into_iter().map(|n| code::encode(&envelope(n))).collect();
        let mut batch = Batch::unsigned(record.id(), 0, NodeId::new(code, 1).unwrap(), commands);
        let message = batch.signed_message(&merkle::root(&batch.leaves()));
        batch.signature = Bytes(key.sign(&message));
        let entry = Entry { stamp: START.plus_ms(entry), batches: vec![Bytes(code::encode(&batch))] };
        written.extend(record.apply(&code::encode(&entry), &Ed25519Verifier).unwrap().written);
    }
    assert_eq!(written.len(), 6);
    Kept {
        founding: founding.clone(),
        key,
        records: written.into_iter().map(|written| written.bytes).collect(),
        root: record.ledger_root().to_string(),
        state_digest: record.digest().to_string(),
    }
}

pub(crate) fn id(kept: &Kept) -> RecordId {
    Record::<Region>::id_of(&kept.founding)
}

/// Checks with the heads given; the charter is the deeper check.
pub(crate) fn check_against(kept: &Kept, with_charter: bool, heads: Vec<KeptWord>) -> Result<Checked, Fault> {
    let mut check = Check::new(id(kept), 0, with_charter.then_some(&kept.founding), heads).unwrap();
    for bytes in &kept.records {
        check.record(bytes)?;
    }
    check.finish(&kept.root, with_charter.then_some(kept.state_digest.as_str()))
}

fn check(kept: &Kept, with_charter: bool) -> Result<Checked, Fault> {
    check_against(kept, with_charter, Vec::new())
}

fn kept() -> Kept {
    let key = key();
    let founding = founding(&[&key]);
    ledger(key, &founding)
}

pub(crate) fn root_of(records: &[Vec<u8>]) -> Hash32 {
    merkle::root(&records.iter().map(|bytes| merkle::leaf(bytes)).collect::<Vec<_>>())
}

/// What the node said of its first `revision` records.
fn head(kept: &Kept, revision: usize) -> KeptWord {
    let root = root_of(&kept.records[..revision]);
    let head = Head { record: id(kept), epoch: 0, revision: revision as u64, root };
    let (node, public_key) = (NodeId::new(kept.founding.hub, 1).unwrap(), Bytes(kept.key.public_key()));
    KeptWord { head, node, public_key, stands_at: None }
}

/// Alters a record, and the claims about the whole with it, as a node that lies would.
pub(crate) fn rewrite(kept: &mut Kept, index: usize, alter: impl FnOnce(&mut LedgerRecord<RegionEvent>)) {
    let mut record: LedgerRecord<RegionEvent> = code::decode("ledger record", &kept.records[index]).unwrap();
    alter(&mut record);
    kept.records[index] = code::encode(&record);
    kept.root = root_of(&kept.records).to_string();
}

#[test]
fn a_true_ledger_holds_with_and_without_its_charter() {
    let kept = kept();
    let plain = check(&kept, false).unwrap();
    assert_eq!((plain.revision, plain.commands, plain.timers), (6, 6, 0));
    assert!(!plain.decided_again && plain.state_digest.is_none());
    let whole = check_against(&kept, true, vec![head(&kept, 2), head(&kept, 6)]).unwrap();
    assert_eq!(whole.state_digest.as_deref(), Some(kept.state_digest.as_str()));
    assert_eq!((whole.ledger_root, whole.heads.len()), (plain.ledger_root, 2));
}

#[test]
fn every_altered_bit_is_found_and_named() {
    let whole = kept();
    for index in [0, 3, 5] {
        for at in (0..whole.records[index].len()).step_by(7) {
            let mut altered = kept_again(&whole);
            altered.records[index][at] ^= 1;
            let fault = check(&altered, false).unwrap_err();
            // What the bytes still say may be read; then the root tells.
            assert!([index as u64 + 1, 6].contains(&fault.revision), "{fault:?}");
        }
    }
}

pub(crate) fn kept_again(kept: &Kept) -> Kept {
    Kept {
        founding: kept.founding.clone(),
        key: key(),
        records: kept.records.clone(),
        root: kept.root.clone(),
        state_digest: kept.state_digest.clone(),
    }
}

#[test]
fn records_that_are_left_out_or_swapped_are_found() {
    let mut without_last = kept();
    without_last.records.pop();
    assert!(check(&without_last, false).unwrap_err().why.en.contains("root"));
    let mut swapped = kept();
    swapped.records.swap(1, 2);
    assert_eq!(check(&swapped, false).unwrap_err().revision, 2);
}

#[test]
fn a_ledger_that_was_rewritten_whole_lacks_the_signatures() {
    let mut kept = kept();
    rewrite(&mut kept, 0, |record| {
        let Cause::Command { bytes, .. } = &mut record.cause else { panic!("a command made it") };
        let last = bytes.0.len() - 1;
        bytes.0[last] ^= 1;
    });
    let fault = check(&kept, false).unwrap_err();
    assert!(fault.revision == 1 && fault.why.en.contains("signature"), "{fault:?}");
}

#[test]
fn what_no_signature_covers_is_decided_once_more() {
    let mut kept = kept();
    // The command stays as it was signed; what came of it is invented.
    rewrite(&mut kept, 4, |record| record.refusal = None);
    assert!(check(&kept, false).is_ok(), "without the charter nobody can tell");
    let fault = check(&kept, true).unwrap_err();
    assert!(fault.revision == 5 && fault.why.en.contains("decides"), "{fault:?}");
}

#[test]
fn a_gap_in_a_channel_is_found() {
    let mut kept = kept();
    let to = kept.founding.hub;
    let reason = "x".to_owned();
    let message = DownMessage::Ended { mission: MissionId::from_u128(1), reason };
    rewrite(&mut kept, 2, |record| record.events.push(RegionEvent::Sent { to, number: 2, message }));
    let fault = check(&kept, false).unwrap_err();
    assert!(fault.revision == 3 && fault.why.en.contains("channel"), "{fault:?}");
}

#[test]
fn a_kept_head_shows_what_was_cut_off_or_rewritten() {
    let whole = kept();
    let (early, last) = (head(&whole, 3), head(&whole, 6));
    let mut cut = kept_again(&whole);
    cut.records.truncate(4);
    cut.root = root_of(&cut.records).to_string();
    assert!(check_against(&cut, false, vec![early.clone()]).is_ok());
    let fault = check_against(&cut, false, vec![last]).unwrap_err();
    assert!(fault.revision == 4 && fault.why.en.contains("cut off"), "{fault:?}");
    let mut other = kept_again(&whole);
    rewrite(&mut other, 1, |record| record.refusal = None);
    let fault = check_against(&other, false, vec![early.clone()]).unwrap_err();
    assert!(fault.revision == 3 && fault.why.en.contains("rewritten"), "{fault:?}");
    // The word of somebody whom the charter does not know is no word.
    let strangers = KeptWord { public_key: Bytes(key().public_key()), ..early };
    assert!(check_against(&whole, true, vec![strangers]).unwrap_err().why.en.contains("not in the charter"));
}

#[test]
fn another_state_or_another_charter_is_told() {
    let mut other_state = kept();
    other_state.state_digest = Hash32::of(&[b"another"]).to_string();
    assert!(check(&other_state, false).is_ok(), "without the charter nothing is said of the state");
    assert!(check(&other_state, true).unwrap_err().why.en.contains("state"));
    let kept = kept();
    let other = founding(&[&key()]);
    assert_eq!(Check::new(id(&kept), 0, Some(&other), Vec::new()).err().unwrap().exit, Exit::BadInput);
    let strange = KeptWord { head: Head { epoch: 1, ..head(&kept, 1).head }, ..head(&kept, 1) };
    assert_eq!(Check::new(id(&kept), 0, None, vec![strange]).err().unwrap().exit, Exit::BadInput);
}

#[test]
fn a_ledger_of_a_later_level_is_named_as_such_and_not_as_damaged() {
    for with_charter in [true, false] {
        let mut kept = kept();
        let to = Region::NEWEST_LEVEL + 1;
        let revision = kept.records.len() as u64 + 1;
        let raised = LedgerRecord::<RegionEvent> {
            revision,
            at: START.plus_ms(9),
            cause: Cause::Timer,
            events: vec![RegionEvent::LevelRaised { to }],
            refusal: None,
        };
        kept.records.push(code::encode(&raised));
        // Nobody who has never heard of what follows can read it.
        kept.records.push(b"of the next level".to_vec());
        let fault = check(&kept, with_charter).unwrap_err();
        let failure = fault.failure();
        assert_eq!((fault.revision, failure.exit, failure.code), (revision, Exit::BadInput, "PROGRAM_TOO_OLD"));
        assert!(failure.text.zh.contains("请安装") && failure.text.en.contains("install"), "{failure}");
    }
}
