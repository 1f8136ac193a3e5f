//! Checking a region's ledger from its first record on, trusting nobody who shows it.
//!
//! Of every record: that it is the next one, that its command was signed, that the numbers of both channels have no gap,
//! and – with the founding charter – that the signing key was in force, and that whoever decides it once more comes to
//! the same. At the end: that the Merkle root and the state are what was claimed. What nodes have said of the ledger, in it
//! or to somebody who kept it, [`Words`] compares with it.

use std::collections::BTreeMap;

use serde::Serialize;
use shouwang_domain::charter::Charter;
use shouwang_domain::code;
use shouwang_domain::hash::{Bytes, Hash32};
use shouwang_domain::head::Head;
use shouwang_domain::ids::{MunicipalityCode, NodeId, RecordId};
use shouwang_domain::level::TooOld;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::merkle::{self, Frontier};
use shouwang_domain::record::{Cause, LedgerRecord, Record};
use shouwang_domain::region::Region;
use shouwang_domain::region::event::RegionEvent;
use shouwang_domain::time::Timestamp;
use shouwang_driver::Ed25519Verifier;

use super::client::failure;
use super::ledger_words::{Attested, Contradicted, KeptWord, Words};
use crate::api::convert::words::node as name_of;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The record.
    pub region: String,
    /// Records checked: all from 1 to here.
    pub revision: u64,
    /// Commands among them, each with its signature.
    pub commands: u64,
    /// Deadlines that passed.
    pub timers: u64,
    /// The root computed here, equal to the one claimed.
    pub ledger_root: String,
    /// The digest computed here; only with the founding charter.
    pub state_digest: Option<String>,
    /// Whether signers were checked against the charter, and every record decided once more.
    pub decided_again: bool,
    /// The kept words that lie on the way: whose, and up to which revision.
    pub heads: Vec<String>,
    /// Up to where each node has countersigned this very ledger, in it.
    pub attested: Vec<Attested>,
    /// The countersignatures in it that contradict it, as it tells itself.
    pub contradicted: Vec<Contradicted>,
}

/// What a record failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which record.
    pub revision: u64,
    /// What is wrong.
    pub why: Bilingual,
    /// Nothing is wrong with the record: this program is older than what follows from it.
    too_old: bool,
}

impl Fault {
    /// A fault of a record.
    pub fn new(revision: u64, zh: &'static str, en: &'static str) -> Self {
        Self { revision, why: Bilingual::fixed(zh, en), too_old: false }
    }

    fn too_old(revision: u64, error: TooOld) -> Self {
        Self { revision, why: Bilingual::new(error.zh(), error.to_string()), too_old: true }
    }

    /// A fault of a record, with what was found.
    pub fn told(revision: u64, zh: String, en: String) -> Self {
        Self { revision, why: Bilingual::new(zh, en), too_old: false }
    }

    /// As the command's failure.
    pub fn failure(&self) -> Failure {
        let (revision, why) = (self.revision, &self.why);
        let zh = format!("版本 {revision}：{}", why.zh);
        let (exit, code) = if self.too_old { (Exit::BadInput, TooOld::CODE) } else { (Exit::Damaged, "LEDGER") };
        failure(exit, code, zh, format!("revision {revision}: {}", why.en))
    }
}

/// A ledger being checked.
pub struct Check {
    id: RecordId,
    /// The epoch of the record checked last, and the one that the whole is said to end in.
    epoch: u32,
    last_epoch: u32,
    frontier: Frontier,
    replayed: Option<Record<Region>>,
    channels: Channels,
    words: Words,
    checked: Checked,
}

impl Check {
    /// The ledger of this record, from its founding to this epoch.
    ///
    /// # Errors
    /// The charter is not the one that founded the record, or a head is of another record.
    pub fn new(id: RecordId, epoch: u32, founding: Option<&Charter>, kept: Vec<KeptWord>) -> Result<Self, Failure> {
        let replayed = founding.map(|founding| found(id, founding)).transpose()?;
        if let Some(other) = kept.iter().find(|word| word.head.record != id || word.head.epoch > epoch) {
            let record = other.head.record;
            return Err(failure(
                Exit::BadInput,
                "HEAD_FILE",
                format!("账本头属于另一份记录 {record}"),
                format!("the head is of another record, {record}"),
            ));
        }
        let checked = Checked { region: id.to_string(), decided_again: replayed.is_some(), ..Checked::default() };
        let (frontier, channels, words) = (Frontier::default(), Channels::default(), Words::new(kept));
        Ok(Self { id, epoch: 0, last_epoch: epoch, frontier, replayed, channels, words, checked })
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn record(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let revision = self.checked.revision + 1;
        let wrong = |zh, en| Err(Fault::new(revision, zh, en));
        let Ok(record) = code::decode::<LedgerRecord<RegionEvent>>("ledger record", bytes) else {
            return wrong("记录无法读出", "the record cannot be read");
        };
        if record.revision != revision {
            return wrong("记录自称另一版本", "the record names another revision");
        }
        let knows = Region::NEWEST_LEVEL;
        if let Some(level) = record.events.iter().filter_map(Region::raises_to).find(|level| *level > knows) {
            return Err(Fault::too_old(revision, TooOld { level, knows }));
        }
        self.cause(&record)?;
        self.words(|words, check| words.take(&record, check.head(), |node, key| check.knows(node, key, record.at)))?;
        if !record.events.iter().all(|event| self.channels.take(event)) {
            return wrong("通道编号不连续", "the numbers of a channel have a gap");
        }
        if let Some(replayed) = &mut self.replayed {
            let agrees = replayed.agrees_with_rescue(&record, &Ed25519Verifier);
            if !agrees.unwrap_or_else(|| replayed.agrees(&record)) {
                return wrong("重新裁决结果不同", "whoever decides it once more comes to something else");
            }
            if replayed.replay(bytes).is_err() {
                return wrong("记录接不上前一条", "the record does not follow the one before it");
            }
        }
        let begun = record.events.iter().filter(|event| Region::begins_epoch(event)).count();
        self.epoch += u32::try_from(begun).unwrap_or(u32::MAX);
        self.frontier.push(merkle::leaf(bytes));
        self.checked.revision = revision;
        let now = self.time();
        self.words(|words, check| words.pass(check.head(), |node, key| check.knows(node, key, now)))
    }

    fn time(&self) -> Timestamp {
        self.replayed.as_ref().map(Record::time).unwrap_or_default()
    }

    fn cause(&mut self, record: &LedgerRecord<RegionEvent>) -> Result<(), Fault> {
        let wrong = |zh, en| Err(Fault::new(record.revision, zh, en));
        let Cause::Command { bytes, proof } = &record.cause else {
            self.checked.timers += 1;
            return Ok(());
        };
        if !proof.holds(&self.id, self.epoch, &bytes.0, &Ed25519Verifier) {
            return wrong("命令签名不成立", "the command's signature does not hold");
        }
        if !self.knows(proof.node, &proof.public_key, record.at) {
            return wrong("签名密钥当时不在协议中", "the signing key was not in the charter at that time");
        }
        self.checked.commands += 1;
        Ok(())
    }

    /// Whether the charter has this key of the node in force at that time; without a charter nobody can tell.
    fn knows(&self, node: NodeId, key: &Bytes, at: Timestamp) -> bool {
        self.replayed
            .as_ref()
            .is_none_or(|replayed| replayed.machine().signers(node, at).iter().any(|signer| signer.public_key == key.0))
    }

    /// The head of what was checked so far.
    fn head(&self) -> Head {
        let (record, epoch, revision) = (self.id, self.epoch, self.checked.revision);
        Head { record, epoch, revision, root: self.frontier.root() }
    }

    fn words(&mut self, look: impl FnOnce(&mut Words, &Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut words = std::mem::take(&mut self.words);
        let looked = look(&mut words, self);
        self.words = words;
        looked
    }

    /// Ends the check with what was claimed of the whole.
    ///
    /// # Errors
    /// [`Fault`] of the last record.
    pub fn finish(mut self, root: &str, state_digest: Option<&str>) -> Result<Checked, Fault> {
        let last = self.checked.revision;
        let found = self.frontier.root().to_string();
        if found != root {
            return Err(Fault::new(last, "账本根与所示不符", "the root is not the one claimed"));
        }
        if self.epoch != self.last_epoch {
            return Err(Fault::new(last, "纪元与所示不符", "it ends in another epoch than the one claimed"));
        }
        self.checked.ledger_root = found;
        let now = self.time();
        self.words(|words, check| words.finish(last, |node, key| check.knows(node, key, now)))?;
        self.tell_words();
        let Some(replayed) = &self.replayed else { return Ok(self.checked) };
        let digest = replayed.digest().to_string();
        if state_digest.is_some_and(|claimed| claimed != digest) {
            return Err(Fault::new(
                last,
                "由账本重算的状态与所示不符",
                "the state folded from the ledger is not the one claimed",
            ));
        }
        self.checked.state_digest = Some(digest);
        Ok(self.checked)
    }

    /// What nodes have said of the ledger, with the names of their members.
    fn tell_words(&mut self) {
        let name = |code: MunicipalityCode| {
            let member = self.replayed.as_ref().and_then(|replayed| replayed.machine().charter().member(code));
            member.map_or_else(|| code.to_string(), |member| member.name.clone())
        };
        let attested = self.words.attested.iter();
        self.checked.attested = attested
            .map(|(node, revision)| Attested {
                node: name_of(*node),
                member: name(node.municipality()),
                revision: *revision,
            })
            .collect();
        self.checked.contradicted = std::mem::take(&mut self.words.contradicted);
        self.checked.heads = std::mem::take(&mut self.words.passed);
    }
}

fn found(id: RecordId, founding: &Charter) -> Result<Record<Region>, Failure> {
    let record = Record::<Region>::found(founding)
        .map_err(|refusal| failure(Exit::BadInput, "CHARTER_FILE", &refusal, &refusal))?;
    if record.id() == id {
        return Ok(record);
    }
    Err(failure(
        Exit::BadInput,
        "CHARTER_FILE",
        "该协议不是这个区域的首份协议",
        "this is not the charter that founded the region",
    ))
}

/// The numbers of the messages between the region and each member's registry: dense, one each way.
#[derive(Default)]
struct Channels {
    up: BTreeMap<MunicipalityCode, (u32, u64)>,
    down: BTreeMap<MunicipalityCode, u64>,
}

impl Channels {
    /// Whether the event carries the next number, if it carries one.
    fn take(&mut self, event: &RegionEvent) -> bool {
        match event {
            RegionEvent::UpTaken { member, incarnation, number, .. } => {
                let known = self.up.insert(*member, (*incarnation, *number));
                let expected = known.filter(|(life, _)| life == incarnation).map_or(1, |(_, last)| last + 1);
                *number == expected
            }
            RegionEvent::Sent { to, number, .. } => {
                let last = self.down.insert(*to, *number).unwrap_or_default();
                *number == last + 1
            }
            _ => true,
        }
    }
}

/// The id of a region as its node names it.
///
/// # Errors
/// A node that names none.
pub fn id_of(text: &str) -> Result<RecordId, Failure> {
    let unreadable =
        || failure(Exit::Damaged, "LEDGER", "节点给出的区域编号无法识别", "the node names no readable region id");
    Hash32::from_hex(text).ok_or_else(unreadable)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(super) mod tests;
