//! A disk that hangs: what a node may do meanwhile with what is committed, and what has to wait.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use crate::cluster::{Cluster, PATIENCE, fast, genesis};
use shouwang_driver::Storage;
use shouwang_store::StoreError;
use shouwang_store::log::{EngineLog, EngineLogOptions, LoadedLog, LogBase, LogStore, LogWrite, RecordSlot};

/// Writes of a log wait here while it is closed.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn close(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    fn open(&self) {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_seen_before_this_disk_has_it_and_a_checkpoint_waits_for_it() {
    let mut cluster = Cluster::start(&[], fast()).await;
    cluster.genesis = genesis(&[1, 2, 3]);
    for n in 1..=3 {
        cluster.gates.insert(n, Gate::default());
        cluster.up(n).await;
    }
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.add(leader, 1).await;
    cluster.settle(leader).await;
    let gate = cluster.gates[&follower].clone();
    gate.close();
    let (_, outcome) = cluster.add(leader, 10).await;
    let sees = |cluster: &Cluster| (cluster.counter(follower).revision() >= outcome.revision).then_some(());
    cluster.until("the follower sees it", sees).await;
    let handle = cluster.counter(follower).clone();
    let taking = tokio::spawn(async move { handle.checkpoint_now().await });
    // Begun later and one after the other: had it not waited, it would be there before the last of these.
    for _ in 0..5 {
        cluster.add(leader, 1).await;
        cluster.counter(leader).checkpoint_now().await.unwrap();
    }
    assert!(!taking.is_finished(), "a state must not outlive the log that it came from");
    gate.open();
    let taken = taking.await.unwrap().unwrap();
    assert!(taken.meta.revision >= outcome.revision, "of what was seen");
    cluster.settle(leader).await;
}
