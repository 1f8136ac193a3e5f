//! The commands that a record remembers by their ids, each for as long as it is valid: whoever asks again is told what
//! came of it.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::code::{self, CodeError};
use crate::hash::Hash32;
use crate::ids::{CommandId, MunicipalityCode};
use crate::time::Timestamp;

/// Who asked, by which id.
pub(super) type CommandKey = (MunicipalityCode, CommandId);

/// A command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub digest: Hash32,
    pub valid_until: Timestamp,
    pub outcome: Outcome,
}

/// All that a record remembers. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    known: OrdMap<CommandKey, Remembered>,
    forget: OrdSet<(Timestamp, CommandKey)>,
}

impl Memory {
    pub fn get(&self, key: &CommandKey) -> Option<&Remembered> {
        self.known.get(key)
    }

    pub fn insert(&mut self, key: CommandKey, remembered: Remembered) {
        self.forget.insert((remembered.valid_until, key));
        self.known.insert(key, remembered);
    }

    /// Forgets what is not valid any more.
    pub fn forget_before(&mut self, now: Timestamp) {
        while let Some((until, key)) = self.forget.get_min().copied() {
            if until >= now {
                return;
            }
            self.forget.remove(&(until, key));
            self.known.remove(&key);
        }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Hands a canonical record of each command to `sink`, in the order of who asked and of the ids.
    pub fn records(&self, sink: &mut dyn FnMut(Vec<u8>)) {
        self.known.iter().for_each(|pair| sink(code::encode(&pair)));
    }

    /// Remembers what a canonical record says.
    ///
    /// # Errors
    /// Bytes that are no such record.
    pub fn read(&mut self, record: &[u8]) -> Result<(), CodeError> {
        let (key, remembered) = code::decode("remembered command", record)?;
        self.insert(key, remembered);
        Ok(())
    }
}
