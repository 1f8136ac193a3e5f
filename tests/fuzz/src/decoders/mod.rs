//! The decoders, each with its samples and its bound on memory.

mod certificate;
mod checkpoint;
mod command;
mod config;
mod ledger;
mod packed;
mod page;
pub mod peer;
mod planted;
mod records;
mod tables;
mod watch;

use crate::mutate::{self, Rng};

/// What is tried.
pub trait Target {
    /// Valid inputs, made by the real encoders.
    fn samples(&self) -> &[Vec<u8>];

    /// Words of the language that the inputs are written in.
    fn words(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// A hostile input.
    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let sample = rng.pick(self.samples()).cloned().unwrap_or_default();
        mutate::mutated(rng, &sample, self.samples(), self.words())
    }

    /// Hands an input to the decoder, and what it gives to what looks at it next.
    ///
    /// # Errors
    /// What the decoder says of an input it refuses.
    fn decode(&mut self, input: &[u8]) -> Result<(), String>;
}

/// One decoder.
pub struct Decoder {
    /// Its name on the command line.
    pub name: &'static str,
    /// Memory that any input may take, in bytes …
    pub memory_bytes: usize,
    /// … and that each of its bytes may take beside that.
    pub memory_factor: usize,
    /// Makes the samples and what they are tried on.
    pub make: fn() -> Box<dyn Target>,
}

const MIB: usize = 1 << 20;

const fn decoder(
    name: &'static str,
    memory_mib: usize,
    memory_factor: usize,
    make: fn() -> Box<dyn Target>,
) -> Decoder {
    Decoder { name, memory_bytes: memory_mib * MIB, memory_factor, make }
}

/// The most exposed: what a peer, an operator, a file from outside or a damaged disk can bring.
pub static ALL: [&Decoder; 11] = [
    &decoder("peer-frame", 1, 64, || Box::new(peer::Frames::new())),
    &decoder("packed-frame", 64, 64, || Box::new(packed::Packed::new())),
    &decoder("command", 4, 64, || Box::new(command::Commands::new())),
    &decoder("checkpoint", 16, 64, || Box::new(checkpoint::Checkpoints::new())),
    &decoder("ledger", 16, 64, || Box::new(ledger::Segments::new())),
    &decoder("config", 1, 256, || Box::new(config::Configs::new())),
    // A line of two bytes is a row, with its cells, its key, and what became of it in two languages.
    &decoder("csv", 1, 400, || Box::new(tables::Csv::new())),
    &decoder("xlsx", 8, 64, || Box::new(tables::Xlsx::new())),
    &decoder("certificate", 1, 16, || Box::new(certificate::Names::new())),
    &decoder("page-token", 1, 16, || Box::new(page::Tokens::new())),
    &decoder("watch-cursor", 4, 16, || Box::new(watch::Cursors::new())),
];

/// Decoders with a fault, to see that each fault is seen.
pub static PLANTED: [&Decoder; 6] = [
    &decoder("planted-panic", 1, 16, || Box::new(planted::Planted::Panic)),
    &decoder("planted-memory", 1, 16, || Box::new(planted::Planted::Memory)),
    &decoder("planted-loop", 1, 16, || Box::new(planted::Planted::Loop)),
    &decoder("planted-stack", 1, 16, || Box::new(planted::Planted::Stack)),
    &decoder("planted-silence", 1, 16, || Box::new(planted::Planted::Silence)),
    &decoder("planted-deafness", 1, 16, || Box::new(planted::Planted::Deafness)),
];

/// The decoder of a name.
pub fn find(name: &str) -> Option<&'static Decoder> {
    ALL.into_iter().chain(PLANTED).find(|decoder| decoder.name == name)
}
