//! Hostile bytes for every decoder that strangers can reach: valid samples, made by the real encoders, are mutated from a
//! seed; each input must give a value or a clear error, soon, and in memory in proportion to its length.
//!
//! Entry points: [`decoders::ALL`], [`campaign::run`] for one of them in this process, the program `shouwang-fuzz` for all
//! of them, each in a process of its own, so that an overflown stack or an endless loop is a finding and not an end.
//! **Never in here:** a decoder of our own, a look away from what was found, chance that the seed does not decide.

pub mod campaign;
pub mod decoders;
pub mod mutate;
pub mod supervisor;
