//! Decoders with a fault each.

use std::hint::black_box;

use super::Target;

/// What is wrong with the decoder.
pub enum Planted {
    /// It panics.
    Panic,
    /// It believes a length.
    Memory,
    /// It does not end.
    Loop,
    /// It calls itself without end.
    Stack,
    /// Its errors say nothing.
    Silence,
    /// It takes anything.
    Deafness,
}

/// What every planted decoder takes; anything else is what it falls over.
const GOOD: &[u8] = b"good";

impl Target for Planted {
    fn samples(&self) -> &[Vec<u8>] {
        static SAMPLES: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(|| vec![GOOD.to_vec()]);
        &SAMPLES
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        if input == GOOD {
            return Ok(());
        }
        match self {
            Self::Panic => panic!("a planted panic"),
            Self::Memory => drop(black_box(Vec::<u8>::with_capacity(64 << 20))),
            Self::Loop => loop {
                black_box(input);
            },
            Self::Stack => drop(black_box(depth(0))),
            Self::Silence => return Err(" ".to_owned()),
            Self::Deafness => return Ok(()),
        }
        Err("refused".to_owned())
    }
}

fn depth(at: usize) -> u64 {
    let frame = black_box([0_u8; 256]);
    if at > 1_000_000 { 0 } else { u64::from(frame[at % 256]) + 1 + black_box(depth(at + 1)) }
}
