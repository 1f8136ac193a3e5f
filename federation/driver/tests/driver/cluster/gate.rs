//! A disk that hangs while a test wants it to.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use shouwang_driver::Storage;
use shouwang_store::StoreError;
use shouwang_store::log::{EngineLog, EngineLogOptions, LoadedLog, LogBase, LogStore, LogWrite, RecordSlot};

use super::PATIENCE;

/// Writes of a log wait here while it is closed.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn close(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        // Not for ever, so that a test that fails ends.
        drop(self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), 3 * PATIENCE, |closed| *closed).unwrap());
    }

    /// The operating system's disk behind it.
    pub fn storage(&self) -> Storage {
        let gate = self.clone();
        let open = move |dir: &Path, options: &EngineLogOptions| {
            Ok(Arc::new(Gated { log: EngineLog::open(dir, options)?, gate: gate.clone() }) as Arc<dyn LogStore>)
        };
        Storage::new(shouwang_store::real_disk(), open)
    }
}

struct Gated {
    log: EngineLog,
    gate: Gate,
}

impl LogStore for Gated {
    fn slots(&self) -> Vec<RecordSlot> {
        self.log.slots()
    }

    fn load(&self, slot: RecordSlot) -> Result<Option<LoadedLog>, StoreError> {
        self.log.load(slot)
    }

    fn write(&self, writes: &[LogWrite]) -> Result<(), StoreError> {
        self.gate.pass();
        self.log.write(writes)
    }

    fn write_unsynced(&self, writes: &[LogWrite]) -> Result<(), StoreError> {
        self.gate.pass();
        self.log.write_unsynced(writes)
    }

    fn compact(&self, slot: RecordSlot, base: LogBase) -> Result<(), StoreError> {
        self.log.compact(slot, base)
    }

    fn remove(&self, slot: RecordSlot) -> Result<(), StoreError> {
        self.log.remove(slot)
    }

    fn purge(&self) -> Result<(), StoreError> {
        self.log.purge()
    }
}
