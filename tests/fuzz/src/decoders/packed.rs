//! What another node sends once it knows that we unpack it: frames, compressed one after the other in one go.

use shouwang_driver::{FramePacker, FrameUnpacker};

use super::{Target, peer};
use crate::mutate::Rng;

/// The first packed frame of a stream.
pub struct Packed {
    samples: Vec<Vec<u8>>,
}

impl Packed {
    /// Frames of different kinds, each as the first of a stream, and one that follows another.
    pub fn new() -> Self {
        let mut rng = Rng(1);
        let packer = || FramePacker::new().expect("there is memory for a window");
        let mut packed = |frames: &mut FramePacker| {
            frames.pack(&peer::lying(&mut rng)).expect("a frame in memory can be packed").to_vec()
        };
        let mut samples: Vec<_> = (0..8).map(|_| packed(&mut packer())).collect();
        let mut stream = packer();
        samples.push([packed(&mut stream), packed(&mut stream)].concat());
        Self { samples }
    }
}

impl Target for Packed {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let sample = rng.pick(self.samples()).cloned().unwrap_or_default();
        crate::mutate::mutated(rng, &sample, self.samples(), &[])
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        let mut unpacker = FrameUnpacker::new().map_err(|error| error.to_string())?;
        unpacker.unpack(input).map(|_| ()).map_err(|error| error.to_string())
    }
}
