//! The node of one municipality: it takes people's work in, hands it to the replicated records, and shows what they
//! hold.
//!
//! Entry points: [`config::load`] for what a node is, [`auth::TlsStore`] for who it trusts, [`cli`] for the
//! `shouwang` command. What must never stand here: rules about goods, teams or missions. They belong to the domain,
//! where every member decides them alike.

pub mod api;
pub mod auth;
pub mod backup;
pub mod charter;
pub mod cli;
pub mod config;
pub mod countersign;
pub mod courier;
pub mod doctor;
pub mod documents;
pub mod exit;
pub mod gateway;
pub mod lang;
mod nesting;
pub mod pki;
pub mod serve;
pub mod telemetry;
pub mod words;
