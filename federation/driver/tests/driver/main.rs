//! Nodes of one process as their program has them: driver, stores and peers over real sockets and disks.
//!
//! One program for all of it: each would be linked, and the driver built for its machines, once more.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod as_of;
mod cluster;
mod full;
mod hanging;
mod index;
mod install;
mod levels;
mod membership;
mod recovery;
mod replication;
mod roll_call;
mod strangers;
mod versions;
