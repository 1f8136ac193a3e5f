//! Signatures of the simulated world. Nobody forges here, but a key that is not in force must not be believed.

use shouwang_domain::hash::{SignatureAlgorithm, Verifier};

/// Checks signatures made by [`sign`].
pub(crate) struct Signatures;

impl Verifier for Signatures {
    fn verify(&self, _: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        signature == sign(public_key, message)
    }
}

/// A mark over key and message.
pub(crate) fn sign(key: &[u8], message: &[u8]) -> [u8; 8] {
    (fingerprint(key).rotate_left(17) ^ fingerprint(message)).to_be_bytes()
}

/// A fingerprint of some bytes, for comparison within a run only.
pub(crate) fn fingerprint(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let hash = words.iter().fold(data.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}
