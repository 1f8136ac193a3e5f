//! A real ledger, signed with a real key, and every way to tamper with it that the check must name.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::charter::{Charter, Member, MemberNode, Rules, Standing};
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId, RequestId};
use shouwang_domain::record::Entry;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::time::{DAY_MS, Timestamp};
use shouwang_proto::v1::AsOf;

use super::*;
use crate::pki::SigningKey;

const START: Timestamp = Timestamp(1_772_380_800_000);

struct Kept {
    founding: Charter,
    proofs: Vec<GetInclusionProofResponse>,
    region: GetRegionResponse,
}

fn key() -> SigningKey {
    let dir = tempfile::tempdir().unwrap();
    SigningKey::create(&dir.path().join("signing.key")).unwrap()
}

fn founding(key: &SigningKey) -> Charter {
    let code = MunicipalityCode::new(150_300).unwrap();
    let node = MemberNode {
        node: NodeId::new(code, 1).unwrap(),
        algorithm: SignatureAlgorithm::Ed25519,
        public_key: Bytes(key.public_key()),
        retiring: None,
        voter: true,
    };
    let member = Member {
        code,
        name: "乌海市".to_owned(),
        short: "乌".to_owned(),
        standing: Standing::Party,
        superior: None,
        neighbours: Vec::new(),
        nodes: vec![node],
    };
    Charter {
        federation: "wuhai.example".to_owned(),
        name: "乌海应急联动区域".to_owned(),
        version: 1,
        hub: code,
        members: vec![member],
        rules: Rules::default(),
    }
}

/// A ledger of refused commands: a refusal is a record as good as any.
fn ledger(key: &SigningKey, founding: &Charter) -> Kept {
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
        written.extend(record.apply(&code::encode(&entry), &Ed25519Verifier).written);
    }
    assert_eq!(written.len(), 6);
    let leaves: Vec<Hash32> = written.iter().map(|written| merkle::leaf(&written.bytes)).collect();
    let proofs = written.iter().enumerate().map(|(index, written)| GetInclusionProofResponse {
        revision: written.record.revision,
        record: written.bytes.clone(),
        size: leaves.len() as u64,
        path: merkle::path(index, &leaves).iter().map(|step| step.0.to_vec()).collect(),
        root: merkle::root(&leaves).0.to_vec(),
    });
    let region = GetRegionResponse {
        as_of: Some(AsOf { revision: record.revision(), ..AsOf::default() }),
        id: record.id().to_string(),
        ledger_root: record.ledger_root().to_string(),
        state_digest: record.digest().to_string(),
        ..GetRegionResponse::default()
    };
    Kept { founding: founding.clone(), proofs: proofs.collect(), region }
}

fn check(kept: &Kept, with_charter: bool) -> Result<Checked, Fault> {
    let mut check = Check::new(&kept.region, with_charter.then_some(&kept.founding)).unwrap();
    for (revision, proof) in (1..).zip(&kept.proofs) {
        check.record(revision, proof)?;
    }
    check.finish(&kept.region)
}

fn kept() -> Kept {
    let key = key();
    ledger(&key, &founding(&key))
}

#[test]
fn a_true_ledger_holds_with_and_without_its_charter() {
    let kept = kept();
    let plain = check(&kept, false).unwrap();
    assert_eq!((plain.revision, plain.commands, plain.timers), (6, 6, 0));
    assert!(!plain.signers_known && plain.state_digest.is_none());
    let whole = check(&kept, true).unwrap();
    assert_eq!(whole.state_digest.as_deref(), Some(kept.region.state_digest.as_str()));
    assert_eq!(whole.ledger_root, plain.ledger_root);
}

#[test]
fn an_altered_record_is_found_and_named() {
    let mut kept = kept();
    let last = kept.proofs[3].record.len() - 1;
    kept.proofs[3].record[last] ^= 1;
    assert_eq!(check(&kept, true).unwrap_err().revision, 4);
}

#[test]
fn records_that_are_left_out_or_swapped_are_found() {
    let mut without_last = kept();
    without_last.proofs.pop();
    assert!(check(&without_last, false).unwrap_err().why.en.contains("root"));
    let mut swapped = kept();
    swapped.proofs.swap(1, 2);
    assert_eq!(check(&swapped, false).unwrap_err().revision, 2);
}

#[test]
fn a_ledger_that_was_rewritten_whole_lacks_the_signatures() {
    let mut kept = kept();
    // The node rewrites a record and computes every path and root anew.
    let mut record: LedgerRecord<RegionEvent> = code::decode("ledger record", &kept.proofs[0].record).unwrap();
    let Cause::Command { bytes, .. } = &mut record.cause else { panic!("a command made it") };
    let last = bytes.0.len() - 1;
    bytes.0[last] ^= 1;
    kept.proofs[0].record = code::encode(&record);
    let leaves: Vec<Hash32> = kept.proofs.iter().map(|proof| merkle::leaf(&proof.record)).collect();
    for (index, proof) in kept.proofs.iter_mut().enumerate() {
        proof.path = merkle::path(index, &leaves).iter().map(|step| step.0.to_vec()).collect();
        proof.root = merkle::root(&leaves).0.to_vec();
    }
    kept.region.ledger_root = merkle::root(&leaves).to_string();
    let fault = check(&kept, false).unwrap_err();
    assert!(fault.revision == 1 && fault.why.en.contains("signature"), "{fault:?}");
}

#[test]
fn another_state_or_another_charter_is_told() {
    let mut other_state = kept();
    other_state.region.state_digest = Hash32::of(&[b"another"]).to_string();
    assert!(check(&other_state, false).is_ok(), "without the charter nothing is said of the state");
    assert!(check(&other_state, true).unwrap_err().why.en.contains("state"));
    let kept = kept();
    let other = founding(&key());
    assert_eq!(Check::new(&kept.region, Some(&other)).err().unwrap().exit, Exit::BadInput);
}
