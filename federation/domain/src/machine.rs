//! What a replicated machine is: it decides, it evolves, it knows its timers, it can be written down and compared.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actor::Actor;
use crate::code::CodeError;
use crate::hash::{Hash32, SignatureAlgorithm};
use crate::ids::{CommandId, MunicipalityCode, NodeId};
use crate::level;
use crate::merkle::Frontier;
use crate::refusal::Refusal;
use crate::subject::Subject;
use crate::time::Timestamp;

/// The circumstances of a command: everything decide may know beyond state and command.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Record time.
    pub at: Timestamp,
    /// Who asks; his municipality has been checked against the signing node's.
    pub actor: &'a Actor,
    /// The node that signed.
    pub node: NodeId,
    /// The command's id.
    pub command: CommandId,
    /// The record's epoch.
    pub epoch: u32,
    /// The tree over the ledger records so far.
    pub ledger: &'a Frontier,
}

/// A key that may speak for a municipality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The municipality.
    pub municipality: MunicipalityCode,
    /// The scheme of the key.
    pub algorithm: SignatureAlgorithm,
    /// The public key.
    pub public_key: Vec<u8>,
}

/// A node of a record's Raft group, as the machine's own state wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupNode {
    /// The node.
    pub node: NodeId,
    /// A voter, or else a learner.
    pub voter: bool,
}

/// A pure state machine fed by a log. Guards stand only in [`Machine::decide`], changes only in [`Machine::evolve`].
pub trait Machine: Clone + Debug + Send + Sync + Sized + 'static {
    /// The founding document; its hash names the record.
    type Genesis: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What may be asked.
    type Command: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What can happen.
    type Event: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What the machine is called in metrics and file headers: `registry` or `region`.
    const NAME: &'static str;

    /// The newest feature level that this program knows.
    const NEWEST_LEVEL: u32 = level::FIRST;

    /// The state right after founding.
    ///
    /// # Errors
    /// A founding document that contradicts itself.
    fn found(genesis: &Self::Genesis) -> Result<Self, Refusal>;

    /// What would happen if `command` came now.
    ///
    /// # Errors
    /// The record's "no", with its reason.
    fn decide(&self, context: &Context<'_>, command: &Self::Command) -> Result<Vec<Self::Event>, Refusal>;

    /// Lets an event happen. Never refuses.
    fn evolve(&mut self, at: Timestamp, event: &Self::Event);

    /// When the earliest timer is due, if there is one.
    fn next_due(&self) -> Option<Timestamp>;

    /// What the earliest timer due at `now` does; `None` when nothing is due. The events must remove that timer.
    fn fire(&self, now: Timestamp) -> Option<Vec<Self::Event>>;

    /// The keys that may sign for `node` at this moment.
    fn signers(&self, node: NodeId, now: Timestamp) -> Vec<Signer>;

    /// The nodes that should replicate the record now; anything else is not allowed to join its Raft group.
    fn group(&self) -> Vec<GroupNode>;

    /// The feature level the record stands at.
    fn level(&self) -> u32 {
        level::FIRST
    }

    /// The level from which on a command has a meaning: programs of the levels before it cannot read it. Looks at all of
    /// the command: what is new may stand deep within.
    fn level_of(_command: &Self::Command) -> u32 {
        level::FIRST
    }

    /// The level an event raises the record to, if it does.
    fn raises_to(_event: &Self::Event) -> Option<u32> {
        None
    }

    /// Whether an event begins another epoch of the record.
    fn begins_epoch(_event: &Self::Event) -> bool {
        false
    }

    /// The objects an event is about, for whoever looks for the history of one. Depends on nothing but the event.
    fn subjects(event: &Self::Event) -> Vec<Subject>;

    /// Whether the command carries a number of its own that never comes twice, so that it neither expires nor needs
    /// remembering.
    fn is_numbered(command: &Self::Command) -> bool;

    /// Hands every canonical record of the state to `sink`, always in the same order.
    fn records(&self, sink: &mut dyn FnMut(Vec<u8>));

    /// The state that wrote these records.
    ///
    /// # Errors
    /// Records that are damaged or of an unknown section.
    fn restore(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, CodeError>;

    /// What must always be true; the sentence says what is not (domain.md §6).
    ///
    /// # Errors
    /// The first invariant that does not hold.
    fn check(&self) -> Result<(), String>;

    /// What must always be true of a state that follows another: history only grows (domain.md §6.13 and 15).
    ///
    /// # Errors
    /// The first thing that went away, fell back or moved.
    fn check_after(&self, _before: &Self) -> Result<(), String> {
        Ok(())
    }

    /// Hash over all canonical records.
    fn digest(&self) -> Hash32 {
        let mut digest = Hash32::default();
        self.records(&mut |record| digest = Hash32::of(&[&digest.0, &record]));
        digest
    }
}

/// Writes a struct of persistent maps as canonical records `(section, key, value)` and reads them back. Every field of
/// the state stands here once: scalars under `one`, maps under `maps`, under `derived` what follows from
/// them and is left empty for whoever reads to make anew; the compiler refuses a forgotten field, because
/// `restore` builds the struct whole.
#[macro_export]
macro_rules! canonical_records {
    ($state:ty { one { $($one_tag:literal => $one:ident),* $(,)? } maps { $($map_tag:literal => $map:ident),* $(,)? } $(derived { $derived:ident })? }) => {
        impl $state {
            /// Hands every canonical record to `sink`, in section and key order.
            pub(crate) fn write_records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
                $(sink($crate::code::encode(&($one_tag as u8, (), &self.$one)));)*
                $(for (key, value) in &self.$map {
                    if $crate::planted!(CheckpointMissesMap) && stringify!($map) == "discrepancies" { break; }
                    sink($crate::code::encode(&($map_tag as u8, key, value)));
                })*
            }

            /// Builds the state from its canonical records.
            pub(crate) fn read_records(records: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Self, $crate::code::CodeError> {
                let missing = |what: &'static str| $crate::code::CodeError { what, detail: "missing".to_owned() };
                $(let mut $one = None;)*
                $(let mut $map = imbl::OrdMap::new();)*
                for record in records {
                    match $crate::machine::section(&record)? {
                        $($one_tag => { let (_, (), value): (u8, (), _) = $crate::code::decode(stringify!($one), &record)?; $one = Some(value); })*
                        $($map_tag => { let (_, key, value): (u8, _, _) = $crate::code::decode(stringify!($map), &record)?; $map.insert(key, value); })*
                        other => return Err($crate::code::CodeError { what: "state section", detail: other.to_string() }),
                    }
                }
                Ok(Self { $($one: $one.ok_or_else(|| missing(stringify!($one)))?,)* $($map,)* $($derived: Default::default(),)? })
            }
        }
    };
}

/// The section tag of a canonical record: the first element of its three-element CBOR array.
pub(crate) fn section(record: &[u8]) -> Result<u8, CodeError> {
    match record {
        // 0x83 opens an array of three; a tag below 24 is its own byte, a larger one follows 0x18.
        [0x83, tag @ 0..=23, ..] | [0x83, 0x18, tag, ..] => Ok(*tag),
        _ => Err(CodeError { what: "state record", detail: "no section tag".to_owned() }),
    }
}
