//! A real registry in a folder: taken in steps, cut off at each of them, damaged in every file.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::code;
use shouwang_domain::command::{Batch, Envelope};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId, StoreId};
use shouwang_domain::merkle;
use shouwang_domain::record::{Entry as LogEntry, Record};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_domain::time::{DAY_MS, Timestamp};
use shouwang_driver::Ed25519Verifier;
use shouwang_proto::admin::v1 as admin;
use shouwang_store::checkpoint::{CheckpointMeta, CheckpointStore};
use shouwang_store::log::ConfState;
use shouwang_store::real_disk;

use super::restore::is_used;
use super::take::entry;
use super::*;
use crate::api::convert::words;
use crate::pki::SigningKey;

const START: Timestamp = Timestamp(1_772_380_800_000);

/// How far a backup gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    HalfTheLedger,
    Ledger,
    HalfTheCheckpoint,
    Checkpoint,
    Whole,
}

struct Town {
    key: SigningKey,
    node: NodeId,
    record: Record<Registry>,
    ledger: Vec<Vec<u8>>,
}

impl Town {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::create(&dir.path().join("signing.key")).unwrap();
        let owner = MunicipalityCode::new(150_300).unwrap();
        let node = NodeId::new(owner, 1).unwrap();
        let (algorithm, public_key) = (SignatureAlgorithm::Ed25519, Bytes(key.public_key()));
        let nodes = vec![RegistryNode { node, algorithm, public_key }];
        let (name, short) = ("乌海市".to_owned(), "乌".to_owned());
        let genesis = RegistryGenesis { owner, name, short, incarnation: 1, nodes };
        Self { key, node, record: Record::found(&genesis).unwrap(), ledger: Vec::new() }
    }

    /// Opens stores, one ledger record each.
    fn work(&mut self, stores: u128) {
        self.work_at(stores, "乌达区");
    }

    fn work_at(&mut self, stores: u128, district: &str) {
        for _ in 0..stores {
            let n = self.record.revision() + 1;
            let (id, store) = (CommandId::from_u128(u128::from(n)), StoreId::from_u128(u128::from(n)));
            let actor =
                Actor { municipality: self.node.municipality(), operator: "op-1".to_owned(), role: Role::Keeper };
            let body = RegistryCommand::AddStore { store, name: format!("{n}号库"), district: district.to_owned() };
            let envelope = Envelope { id, actor, valid_until: START.plus_ms(DAY_MS), body };
            let mut batch = Batch::unsigned(self.record.id(), 0, self.node, vec![code::encode(&envelope)]);
            batch.signature = Bytes(self.key.sign(&batch.signed_message(&merkle::root(&batch.leaves()))));
            let stamp = START.plus_ms(i64::try_from(n).unwrap());
            let bytes = code::encode(&LogEntry { stamp, batches: vec![Bytes(code::encode(&batch))] });
            let written = self.record.apply(&bytes, &Ed25519Verifier).unwrap().written;
            self.ledger.extend(written.into_iter().map(|written| written.bytes));
        }
    }

    /// A checkpoint's file.
    fn checkpoint(&self) -> (Hash32, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(real_disk(), dir.path()).unwrap();
        let mut records = Vec::new();
        self.record.records(&mut |record| records.push(record));
        let meta = CheckpointMeta {
            record_id: self.record.id().0,
            epoch: 0,
            revision: self.record.revision(),
            raft_index: self.record.revision() + 1,
            raft_term: 1,
            conf_state: ConfState::default(),
            time_ms: self.record.time().0,
            state_digest: self.record.digest().0,
            feature_level: 1,
            hash_algorithm: 1,
        };
        let info = store.write(&meta, records.into_iter()).unwrap();
        (Hash32(info.digest), std::fs::read(info.file).unwrap())
    }

    /// What a backup does, step by step, up to where it is cut off.
    fn back_up(&self, folder: &Path, until: Until) -> Result<(), BackupError> {
        let known = Manifest::load(folder).ok();
        let id = self.record.id();
        let kept =
            known.as_ref().and_then(|manifest| manifest.entry(id)).map(|entry| (entry.revision, entry.checkpoint));
        let mut filling = open_record(&real_disk(), folder, id, kept.map_or(0, |(through, _)| through))?.fill()?;
        let from = usize::try_from(filling.next() - 1).unwrap();
        let end =
            if until == Until::HalfTheLedger { usize::midpoint(from, self.ledger.len()) } else { self.ledger.len() };
        self.ledger[from..end].iter().try_for_each(|bytes| filling.append(bytes))?;
        if until == Until::HalfTheLedger {
            return Ok(());
        }
        filling.seal()?;
        if until == Until::Ledger {
            return Ok(());
        }
        let (digest, file) = self.checkpoint();
        let mut receiver = filling.receive((digest, file.len() as u64), kept.map(|(_, digest)| digest))?;
        let half = file.len() / 2;
        let offset = usize::try_from(receiver.offset()).unwrap();
        receiver.write(offset as u64, &file[offset..half.max(offset)]).unwrap();
        if until == Until::HalfTheCheckpoint {
            return Ok(());
        }
        let offset = usize::try_from(receiver.offset()).unwrap();
        receiver.write(offset as u64, &file[offset..]).unwrap();
        receiver.finish().unwrap();
        let root = filling.root();
        let head = admin::BackUpHead {
            id: id.to_string(),
            kind: admin::RecordKind::Registry.into(),
            epoch: 0,
            revision: self.record.revision(),
            checkpoint: digest.to_string(),
            checkpoint_size: file.len() as u64,
        };
        let entry = entry(&filling.into_copy(), &head, digest, root)?;
        if until < Until::Whole {
            return Ok(());
        }
        let mut manifest = Manifest::new("wuhai", "150300/1");
        manifest.records.push(entry);
        manifest.save(folder)
    }
}

/// Up to which revision the folder's backup goes, or the code of what is wrong with it.
fn checked(folder: &Path) -> Result<u64, &'static str> {
    check(folder, &[]).map(|(_, checked)| checked[0].entry.revision).map_err(|failure| failure.code)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_backup_that_was_cut_off_is_never_taken_for_a_whole_one() {
    let cuts = [Until::HalfTheLedger, Until::Ledger, Until::HalfTheCheckpoint, Until::Checkpoint];
    for cut in cuts {
        let dir = tempfile::tempdir().unwrap();
        let mut town = Town::new();
        town.work(7);
        town.back_up(dir.path(), cut).unwrap();
        assert_eq!(checked(dir.path()), Err("BACKUP_NOT_WHOLE"), "{cut:?}");
        town.back_up(dir.path(), Until::Whole).unwrap();
        assert_eq!(checked(dir.path()), Ok(7), "{cut:?}");
        // Cut off again and again, the one that was whole stays.
        for revision in [9, 11, 13] {
            town.work(2);
            assert_eq!(town.record.revision(), revision);
            town.back_up(dir.path(), cut).unwrap();
            assert_eq!(checked(dir.path()), Ok(7), "{cut:?}");
        }
        town.back_up(dir.path(), Until::Whole).unwrap();
        assert_eq!(checked(dir.path()), Ok(13), "{cut:?}");
    }
}

#[test]
fn a_second_backup_leaves_the_ledger_of_the_first_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::new();
    town.work(5);
    town.back_up(dir.path(), Until::Whole).unwrap();
    let is_ledger = |path: &PathBuf| path.extension().is_some_and(|end| end == "sealed");
    let sealed = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        files(folder).into_iter().filter(is_ledger).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    };
    let before = sealed(dir.path());
    town.work(3);
    town.back_up(dir.path(), Until::Whole).unwrap();
    let after = sealed(dir.path());
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(after[0], before[0]);
    assert_eq!(checked(dir.path()), Ok(8));
}

#[test]
fn every_flipped_bit_and_every_missing_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::new();
    town.work(4);
    town.back_up(dir.path(), Until::Whole).unwrap();
    town.work(4);
    town.back_up(dir.path(), Until::Whole).unwrap();
    // The older checkpoint is not counted on any more.
    let checkpoints: Vec<_> =
        files(dir.path()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "swc")).collect();
    checkpoints[..checkpoints.len() - 1].iter().for_each(|older| std::fs::remove_file(older).unwrap());
    let held = files(dir.path());
    assert_eq!(held.len(), 4, "{held:?}");
    for file in held {
        let whole = std::fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(11) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(&file, &flipped).unwrap();
            let found = checked(dir.path());
            let named = ["BACKUP_DAMAGED", "BACKUP_MANIFEST", "BACKUP_UNSOUND", "BACKUP_VERSION"];
            assert!(found.is_err_and(|code| named.contains(&code)), "byte {at} of {}: {found:?}", file.display());
        }
        std::fs::remove_file(&file).unwrap();
        assert!(checked(dir.path()).is_err(), "without {}", file.display());
        std::fs::write(&file, &whole).unwrap();
        assert_eq!(checked(dir.path()), Ok(8));
    }
}

#[test]
fn another_life_of_the_record_is_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::new();
    town.work(3);
    let (record, ledger) = (town.record.clone(), town.ledger.clone());
    town.work(2);
    town.back_up(dir.path(), Until::Whole).unwrap();
    // From the same beginning, something else happened.
    (town.record, town.ledger) = (record, ledger);
    town.work_at(4, "海南区");
    assert!(matches!(town.back_up(dir.path(), Until::Whole), Err(BackupError::Diverged { .. })));
    assert_eq!(checked(dir.path()), Ok(5));
}

#[test]
fn two_never_write_into_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let held = lock(dir.path()).unwrap();
    assert!(matches!(lock(dir.path()), Err(BackupError::Busy(_))));
    drop(held);
    assert!(lock(dir.path()).is_ok());
}

/// An older backup may be of a time before the node took part in any region: it says nothing about what came after.
#[test]
fn a_number_that_was_in_use_is_no_place_to_restore_to_whatever_the_backup_holds() {
    let town = Town::new();
    let registry = town.record.machine();
    let node = |number| NodeId::new(town.node.municipality(), number).unwrap();
    for (what, backed_up, chartered, number, used) in [
        ("backed up without a region", 1, vec![], 1, true),
        ("founded the registry, and another was backed up", 3, vec![], 1, true),
        ("backed up after it was restored onto it", 3, vec![], 3, true),
        ("in a charter", 1, vec![node(2)], 2, true),
        ("another in a charter", 1, vec![node(2)], 4, false),
        ("never heard of", 1, vec![], 2, false),
    ] {
        let manifest = Manifest::new("wuhai", &words::node(node(backed_up)));
        assert_eq!(is_used(node(number), &manifest, registry, &chartered), used, "{what}");
    }
}
