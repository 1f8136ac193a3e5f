//! How fast a region is, and how fast a registry, beside what people would use instead: etcd for the one, both as three
//! voters; PostgreSQL for the other. All run on loopback with TLS everywhere and durable writes, under one load generator,
//! in turns.
//!
//! And how large they may grow on their own (`scale`): real nodes but for `scale::members`, where the product's own replica, record and
//! frames are played over simulated lines.
//!
//! Entry points: [`works::Bench`], [`movements::Bench`], [`scale::run`]. What must never stand here: a figure that is not measured, a shortcut that only one of
//! the two gets, and anything that reaches into a node past its command line, its listeners, its signals and what the
//! kernel tells about its process.

pub mod costs;
pub mod etcd;
pub mod figures;
pub mod floor;
pub mod gateway;
pub mod load;
pub mod movements;
pub mod payload;
pub mod postgres;
pub mod program;
pub mod region;
pub mod registry;
pub mod report;
pub mod scale;
pub mod stock;
pub mod system;
pub mod tls;
pub mod works;
