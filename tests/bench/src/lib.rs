//! How fast a region is, beside what people would use instead: etcd. Both run as three voters on loopback with TLS
//! everywhere and durable writes, under one load generator, in turns.
//!
//! Entry point: [`works::Bench`]. What must never stand here: a figure that is not measured, a shortcut that only one of
//! the two gets, and anything that reaches into a node past its command line, its listeners, its signals and what the
//! kernel tells about its process.

pub mod costs;
pub mod etcd;
pub mod figures;
pub mod floor;
pub mod gateway;
pub mod load;
pub mod payload;
pub mod region;
pub mod report;
pub mod system;
pub mod tls;
pub mod works;
