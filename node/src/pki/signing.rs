//! The key a node signs its batches of commands with: Ed25519, certified by the municipality in the region's charter.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::pki::PkiError;
use crate::pki::files::{Access, read_secret, write_new};

/// The length of an Ed25519 public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// The length of an Ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A node's record-signing key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public_hex()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a new key and writes it to `path` (PEM, PKCS#8), for its owner only; never over another file.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn create(path: &Path) -> Result<Self, PkiError> {
        let made = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| PkiError::crypto("making a key", error))?;
        let key =
            Self::from_pkcs8(made.serialized_der()).map_err(|why| PkiError::crypto("reading the new key", why))?;
        write_new(path, made.serialize_pem().as_bytes(), Access::Secret)?;
        Ok(key)
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`PkiError`], also when others can read it or it is of another kind.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let bytes = read_secret(path)?;
        let refused = |why: &str| {
            let en = format!("it is no Ed25519 key in PEM form (PKCS#8): {why}");
            PkiError::content(path, "不是 PEM 格式（PKCS#8）的 Ed25519 私钥", en)
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&bytes).map_err(|error| refused(&error.to_string()))?;
        Self::from_pkcs8(der.secret_pkcs8_der()).map_err(|why| refused(&why))
    }

    /// A key from its PKCS#8 form, as the tests of a simulated federation make them.
    ///
    /// # Errors
    /// What the cryptographic library says.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|error| error.to_string())?;
        let public =
            pair.public_key().as_ref().try_into().map_err(|_| "its public key has another length".to_owned())?;
        Ok(Self { pair, public })
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public
    }

    /// The public key in hexadecimal, as a charter names it.
    pub fn public_hex(&self) -> String {
        hex(&self.public)
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = self.pair.sign(message);
        // RFC 8032: an Ed25519 signature has 64 bytes, always.
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_lasts_and_its_signatures_verify() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signing.key");
        let made = SigningKey::create(&path).unwrap();
        let loaded = SigningKey::load(&path).unwrap();
        assert_eq!(made.public_key(), loaded.public_key());
        let signature = loaded.sign(b"batch");
        let public = UnparsedPublicKey::new(&ED25519, made.public_key());
        assert!(public.verify(b"batch", &signature).is_ok());
        assert!(public.verify(b"other", &signature).is_err());
        assert_eq!(loaded.public_hex().len(), 64);
        assert!(!format!("{loaded:?}").contains("pair"));
        assert!(matches!(SigningKey::create(&path), Err(PkiError::Exists(_))));
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        crate::pki::TlsKey::generate().unwrap().save(&path).unwrap();
        assert!(matches!(SigningKey::load(&path), Err(PkiError::Content { .. })));
        let junk = dir.path().join("junk");
        write_new(&junk, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Access::Secret).unwrap();
        assert!(SigningKey::load(&junk).is_err());
    }
}
