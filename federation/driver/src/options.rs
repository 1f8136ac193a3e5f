//! What a driver and its records are told when they start.

use std::path::PathBuf;
use std::time::Duration;

use shouwang_domain::ids::{NodeId, RecordId};
use shouwang_domain::machine::Machine;
use shouwang_domain::record::Record;
use shouwang_replica::{Limits, Timing};
use shouwang_store::log::EngineLogOptions;
use shouwang_store::reserve::{DEFAULT_RESERVE_BYTES, DiskSpace};

use crate::Result;
use crate::error::DriverError;

/// A node's driver.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// This node.
    pub node: NodeId,
    /// Fingerprint of the federation; peers and disks of another one are refused.
    pub cluster: [u8; 32],
    /// Everything the driver keeps is below.
    pub data_dir: PathBuf,
    /// The store used before, if that is remembered elsewhere.
    pub store_id: Option<[u8; 16]>,
    /// This node has stored data before, so that an empty directory is a lost disk.
    pub used_before: bool,
    /// Sizes of the Raft log on disk.
    pub log: EngineLogOptions,
    /// Bytes kept back for votes on a full disk.
    pub reserve_bytes: u64,
    /// When a disk is low, and when it is full.
    pub space: DiskSpace,
    /// Streams between peers.
    pub transport: TransportOptions,
}

impl DriverOptions {
    /// A node with the defaults.
    pub fn new(node: NodeId, cluster: [u8; 32], data_dir: impl Into<PathBuf>) -> Self {
        Self {
            node,
            cluster,
            data_dir: data_dir.into(),
            store_id: None,
            used_before: false,
            log: EngineLogOptions::default(),
            reserve_bytes: DEFAULT_RESERVE_BYTES,
            space: DiskSpace::default(),
            transport: TransportOptions::default(),
        }
    }
}

/// Which frames are compressed, by their size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packs {
    /// The smallest.
    pub from: usize,
    /// The largest.
    pub up_to: usize,
}

impl Packs {
    /// Every frame.
    pub const ALL: Self = Self { from: 0, up_to: usize::MAX };

    /// Whether a frame of so many bytes is.
    pub fn takes(self, bytes: usize) -> bool {
        (self.from..=self.up_to).contains(&bytes)
    }
}

/// Streams between peers.
#[derive(Clone, Copy, Debug)]
pub struct TransportOptions {
    /// Frames of so many bytes are compressed (zstd). On thin lines every frame should be, which is the default: what a small one
    /// has in common with those before it is most of it. On quick lines a small one costs more than its bytes, and a large one
    /// comes where the processor is short, not the line.
    pub packs: Packs,
    /// Bytes that may wait for one peer; beyond, Raft's messages are dropped, and Raft sends them again.
    pub queue_bytes: usize,
    /// Bytes of one frame after which the next is begun. On a thin line a leader is not heard while a frame is under way.
    pub frame_bytes: usize,
    /// How long handing over one frame may take: at 64 kbit/s one with an entry of the largest size takes over two minutes.
    /// That a line is dead is noticed before by whoever connects.
    pub frame_timeout: Duration,
    /// How long dialling and opening a stream may take.
    pub connect_timeout: Duration,
    /// Shortest wait before dialling again; it doubles with each failure, up to `backoff_max`.
    pub backoff_min: Duration,
    /// Longest wait before dialling again: for so long a line that is back may go unused.
    pub backoff_max: Duration,
    /// A transfer of a checkpoint or of history that does not advance for this long is given up and resumed.
    pub stall_timeout: Duration,
    /// Bytes of one chunk of a checkpoint.
    pub chunk_bytes: usize,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            packs: Packs::ALL,
            queue_bytes: 16 << 20,
            frame_bytes: 64 << 10,
            frame_timeout: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            stall_timeout: Duration::from_secs(20),
            chunk_bytes: 32 << 10,
        }
    }
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct RecordOptions {
    /// Raft's clock.
    pub timing: Timing,
    /// Raft's bounds.
    pub limits: Limits,
    /// Commands that may wait on this node for a place in a batch.
    pub queue_commands: usize,
    /// Their bytes.
    pub queue_bytes: usize,
    /// A checkpoint is taken after this many ledger records …
    pub checkpoint_records: u64,
    /// … or this many bytes of them.
    pub checkpoint_bytes: u64,
    /// Of the checkpoints that newer ones replace, one is kept after this many ledger records, so that a look at the past has
    /// no more to fold; 0 keeps none.
    pub milestone_records: u64,
    /// Log entries kept behind the older checkpoint for followers that are a little slow, while there is room in memory.
    pub log_slack: u64,
    /// Ledger records kept in memory for watchers.
    pub tail_records: usize,
    /// Their bytes.
    pub tail_bytes: usize,
    /// Bytes of a ledger segment.
    pub segment_bytes: u64,
    /// How long after its start a record first reads again what lies on its disk; then once a day.
    pub scrub_after: Duration,
    /// The highest feature level that this node goes along with, of those that its program knows.
    pub level_max: u32,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self {
            timing: Timing::lan(),
            limits: Limits { max_message_bytes: 64 << 10, ..Limits::default() },
            queue_commands: 65_536,
            queue_bytes: 64 << 20,
            checkpoint_records: 50_000,
            checkpoint_bytes: 64 << 20,
            milestone_records: 1_000_000,
            log_slack: 4096,
            tail_records: 8192,
            tail_bytes: 16 << 20,
            segment_bytes: 8 << 20,
            scrub_after: Duration::from_mins(10),
            level_max: u32::MAX,
        }
    }
}

/// Which record to host, and how this node comes by it.
#[derive(Clone, Debug)]
pub struct HostSpec<M: Machine> {
    /// How the record began, if this node knows it. A node of the founding group starts from it; any other waits for a
    /// checkpoint.
    pub genesis: Option<M::Genesis>,
    /// The record's name.
    pub id: RecordId,
    /// Until this node has the record's state it believes these peers: whom it was told to join through.
    pub contacts: Vec<NodeId>,
    /// Timing and limits.
    pub options: RecordOptions,
}

impl<M: Machine> HostSpec<M> {
    /// A record by its founding document.
    pub fn found(genesis: M::Genesis, options: RecordOptions) -> Self {
        let id = Record::<M>::id_of(&genesis);
        Self { genesis: Some(genesis), id, contacts: Vec::new(), options }
    }

    /// The record right after founding, if this node knows how it began.
    ///
    /// # Errors
    /// `Founding`: the document contradicts itself.
    pub(crate) fn founded(&self) -> Result<Option<Record<M>>> {
        let founded = self.genesis.as_ref().map(Record::<M>::found).transpose().map_err(DriverError::Founding)?;
        Ok(founded.map(|record| record.held_at(self.options.level_max)))
    }

    /// A record whose members have admitted this node later.
    pub fn join(id: RecordId, contacts: Vec<NodeId>, options: RecordOptions) -> Self {
        Self { genesis: None, id, contacts, options }
    }
}
