//! Sans-IO Raft for one record: inputs in, actions out.
//!
//! **Entry point:** [`Replica::new`], then [`Replica::step`] (or [`Replica::step_all`], which makes larger batches) with
//! [`Input`]s; whoever drives it carries out the [`Action`]s and answers with further inputs:
//!
//! | action | what the driver does | answers with |
//! |---|---|---|
//! | `Send` | puts the messages on the wire, at once | `PeerUnreachable` if it cannot, `PeerGone` if nobody listens there |
//! | `Persist` | one atomic log record, synced if `must_sync` | `Persisted`, in order |
//! | `Apply` | feeds the state machine, in order | `ConfChangeApplied` per membership entry, then `Applied` |
//! | `SendCheckpoint` | lets the peer have the checkpoint file | `SnapshotStatus`, always |
//! | `WantCheckpoint` | fetches and verifies the file, keeps it *staged*; one at a time | `CheckpointReceived` |
//! | `InstallCheckpoint` | makes the staged file the state, behind all applies handed out before | `Applied` |
//! | `NeedCheckpoint` | takes a checkpoint | `CheckpointReady` |
//!
//! What keeps it correct, in one place: nothing that promises durability leaves before its `Persisted`; entries are
//! handed out for apply only when committed *and* persisted here; a membership change takes effect when applied, and is
//! durable before any later entry is.
//!
//! Beside it stand the rules that its driver puts to it, as functions: whose clock is fit to lead ([`PeerClocks`]), and
//! which change of membership the record's state asks for ([`next_changes`], [`follows`]).
//!
//! **Never in here:** tokio, files, sockets, reading a clock, randomness, and anything that knows what an entry's bytes mean. The
//! protobuf parser is never run on bytes that came from a peer (RUSTSEC-2024-0437): raft's types are built field by field.

mod action;
mod checkpoint;
mod clocks;
mod config;
mod error;
mod group;
mod input;
mod leadership;
mod log_cache;
mod logger;
mod membership;
mod persist;
mod reads;
mod replica;
mod screen;
mod status;

pub use action::{Action, Committed, CommittedKind, LogBase, Persist, RefusalReason, Role};
pub use clocks::{CLOCK_HEARD_MS_MAX, CLOCK_OFFSET_MS_MAX, PeerClocks, SteadyClock};
pub use config::{Checkpoint, Config, GENESIS_INDEX, GENESIS_TERM, Limits, Restored, Timing};
pub use error::ReplicaError;
pub use group::{Seat, follows, next_changes};
pub use input::Input;
pub use membership::{MemberChange, conf_change, conf_state_from, decode_conf_change, is_learner, is_voter};
pub use raft::eraftpb;
pub use replica::{Replica, committed_kind};
pub use status::{PeerStatus, Status};
