//! Signatures: the node's own, and the one fixed verifier all nodes share.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use shouwang_domain::command::Batch;
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm, Verifier};
use shouwang_domain::merkle;

/// Signs with a key of the node, which its municipality certified in the charter.
pub trait Signer: Send + Sync + 'static {
    /// The scheme.
    fn algorithm(&self) -> SignatureAlgorithm;
    /// The public key as the charter names it.
    fn public_key(&self) -> Vec<u8>;
    /// The signature over `message`.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
    /// The key to sign with while these public keys are in force, the newest first: the first of them that the node
    /// holds, or whichever it has.
    fn among(&self, in_force: &[Vec<u8>]) -> &dyn Signer;
}

/// The keys a node holds: while one is rotated, old and new are both in force, and a record may be in another's time.
#[derive(Debug)]
pub struct KeyRing {
    first: Ed25519Signer,
    more: Vec<Ed25519Signer>,
}

impl KeyRing {
    /// A ring of at least one key, the one to use where none of them is in force.
    pub fn new(first: Ed25519Signer, more: Vec<Ed25519Signer>) -> Self {
        Self { first, more }
    }

    /// Whether the ring holds the key of this name.
    pub fn holds(&self, public_key: &[u8]) -> bool {
        self.find(public_key).is_some()
    }

    fn find(&self, public_key: &[u8]) -> Option<&Ed25519Signer> {
        std::iter::once(&self.first).chain(&self.more).find(|key| key.public_key() == public_key)
    }
}

impl Signer for KeyRing {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.first.algorithm()
    }

    fn public_key(&self) -> Vec<u8> {
        self.first.public_key()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.first.sign(message)
    }

    fn among(&self, in_force: &[Vec<u8>]) -> &dyn Signer {
        in_force.iter().find_map(|key| self.find(key)).unwrap_or(&self.first)
    }
}

/// An Ed25519 key in memory.
#[derive(Debug)]
pub struct Ed25519Signer(Ed25519KeyPair);

impl Ed25519Signer {
    /// A key from its PKCS#8 form; `None` if the bytes are no such key.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(der).ok().map(Self)
    }

    /// A key from its 32 secret bytes; `None` if there are not 32.
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }
}

impl Signer for Ed25519Signer {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    fn among(&self, _: &[Vec<u8>]) -> &dyn Signer {
        self
    }
}

/// Signs a batch with a key of the node that it names. Gives back the message that is signed.
pub fn sign_batch(batch: &mut Batch, key: &dyn Signer) -> Vec<u8> {
    let message = batch.signed_message(&merkle::root(&batch.leaves()));
    batch.signature_algorithm = key.algorithm();
    batch.signature = Bytes(key.sign(&message));
    message
}

/// The verifier of every node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verifier;

impl Verifier for Ed25519Verifier {
    fn verify(&self, algorithm: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            SignatureAlgorithm::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
            }
        }
    }
}

/// Verdicts remembered before the older half is forgotten.
const REMEMBERED: usize = 8192;

/// Remembers which signatures were good, so that what was verified on receipt, or was signed here, costs nothing at apply.
#[derive(Debug, Default)]
pub struct CachedVerifier<V> {
    inner: V,
    good: Mutex<(HashSet<Hash32>, HashSet<Hash32>)>,
}

impl<V: Verifier> CachedVerifier<V> {
    /// Remembers the verdicts of `inner`.
    pub fn new(inner: V) -> Self {
        Self { inner, good: Mutex::default() }
    }

    /// Takes a signature for good that this process has just made itself. Should it be none after all, by a fault of the
    /// machine, the others drop its batch and this node does not: their digests part, as after any other such fault.
    pub fn vouch(&self, algorithm: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) {
        self.remember(question(algorithm, public_key, message, signature));
    }

    fn is_known(&self, key: &Hash32) -> bool {
        // Single insertions and whole swaps: good after any panic.
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.0.contains(key) || good.1.contains(key)
    }

    fn remember(&self, key: Hash32) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.0.len() >= REMEMBERED / 2 {
            good.1 = std::mem::take(&mut good.0);
        }
        good.0.insert(key);
    }
}

impl<V: Verifier> Verifier for CachedVerifier<V> {
    fn verify(&self, algorithm: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let key = question(algorithm, public_key, message, signature);
        if self.is_known(&key) {
            return true;
        }
        let good = self.inner.verify(algorithm, public_key, message, signature);
        if good {
            self.remember(key);
        }
        good
    }
}

/// What a question to a verifier is remembered by. Lengths of key and signature are prefixed, so that no two share it.
fn question(algorithm: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> Hash32 {
    let lengths = [public_key.len() as u64, signature.len() as u64, algorithm as u64].map(u64::to_be_bytes).concat();
    Hash32::of(&[&lengths, public_key, signature, message])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Verifier for Counting {
        fn verify(&self, algorithm: SignatureAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ed25519Verifier.verify(algorithm, key, message, signature)
        }
    }

    #[test]
    fn a_ring_signs_with_the_newest_key_in_force_that_it_holds() {
        let key = |seed: u8| Ed25519Signer::from_seed(&[seed; 32]).unwrap();
        let name = |seed: u8| key(seed).public_key();
        let ring = KeyRing::new(key(1), vec![key(2)]);
        for (in_force, expected) in [
            (vec![], 1),
            (vec![name(1)], 1),
            (vec![name(2), name(1)], 2),
            (vec![name(3), name(2)], 2),
            (vec![name(3)], 1),
        ] {
            assert_eq!(ring.among(&in_force).public_key(), name(expected));
        }
        assert!(ring.holds(&name(2)) && !ring.holds(&name(3)));
    }

    #[test]
    fn good_signatures_are_checked_once_and_bad_ones_always() {
        let signer = Ed25519Signer::from_seed(&[7; 32]).unwrap();
        let (key, signature) = (signer.public_key(), signer.sign(b"bread"));
        let verifier = CachedVerifier::new(Counting::default());
        let asked = |message: &[u8], signature: &[u8]| verifier.verify(signer.algorithm(), &key, message, signature);
        assert!(asked(b"bread", &signature) && asked(b"bread", &signature));
        assert_eq!(verifier.inner.0.load(Ordering::SeqCst), 1);
        assert!(!asked(b"stone", &signature) && !asked(b"stone", &signature) && !asked(b"bread", b""));
        assert_eq!(verifier.inner.0.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn what_was_signed_here_is_not_checked_here_and_nothing_else_is_taken_for_it() {
        let signer = Ed25519Signer::from_seed(&[7; 32]).unwrap();
        let (key, signature) = (signer.public_key(), signer.sign(b"bread"));
        let verifier = CachedVerifier::new(Counting::default());
        verifier.vouch(signer.algorithm(), &key, b"bread", &signature);
        assert!(verifier.verify(signer.algorithm(), &key, b"bread", &signature));
        assert_eq!(verifier.inner.0.load(Ordering::SeqCst), 0);
        let other = Ed25519Signer::from_seed(&[8; 32]).unwrap().public_key();
        assert!(!verifier.verify(signer.algorithm(), &key, b"stone", &signature));
        assert!(!verifier.verify(signer.algorithm(), &other, b"bread", &signature));
        assert_eq!(verifier.inner.0.load(Ordering::SeqCst), 2);
    }
}
