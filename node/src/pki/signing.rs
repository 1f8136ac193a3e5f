//! The key a node signs its batches of commands with: Ed25519, certified by the municipality in the region's charter.

use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use shouwang_driver::{Ed25519Signer, Signer as _};

use crate::pki::PkiError;
use crate::pki::files::{Access, read_secret, write_new};

/// A node's record-signing key.
pub struct SigningKey(Ed25519Signer);

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
        let (key, pem) = Self::generate()?;
        write_new(path, pem.as_bytes(), Access::Secret)?;
        Ok(key)
    }

    /// A new key, and how its file has it.
    fn generate() -> Result<(Self, String), PkiError> {
        let made = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| PkiError::crypto("making a key", error))?;
        let key = Ed25519Signer::from_pkcs8(made.serialized_der())
            .ok_or_else(|| PkiError::crypto("reading the new key", "it is no Ed25519 key"))?;
        Ok((Self(key), made.serialize_pem()))
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
        Ed25519Signer::from_pkcs8(der.secret_pkcs8_der()).map(Self).ok_or_else(|| refused("another kind of key"))
    }

    /// Makes a further key beside `path`, as `signing-<the beginning of its name>.key` beside `signing.key`.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn create_beside(path: &Path) -> Result<(Self, PathBuf), PkiError> {
        let (key, pem) = Self::generate()?;
        let file = path.with_file_name(format!("{}{}.key", later_prefix(path), &key.public_hex()[..8]));
        write_new(&file, pem.as_bytes(), Access::Secret)?;
        Ok((key, file))
    }

    /// The files of the keys that were made after the one at `path`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files_beside(path: &Path) -> Result<Vec<PathBuf>, PkiError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unreadable = |source| {
            let path = folder.to_path_buf();
            PkiError::Io { doing: "reading the folder of the signing keys", path, source }
        };
        let prefix = later_prefix(path);
        let is_later = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&prefix) && file.extension().is_some_and(|kind| kind == "key")
        };
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let files: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut files: Vec<PathBuf> = files.map_err(unreadable)?.into_iter().filter(is_later).collect();
        files.sort();
        Ok(files)
    }

    /// The public key.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.public_key()
    }

    /// The public key in hexadecimal, as a charter names it.
    pub fn public_hex(&self) -> String {
        hex(&self.public_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message)
    }

    /// The key as the driver signs with it.
    pub fn into_signer(self) -> Ed25519Signer {
        self.0
    }
}

/// How the names of later keys begin: `signing-` for `signing.key`.
fn later_prefix(path: &Path) -> String {
    format!("{}-", path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("signing"))
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
    use shouwang_domain::hash::{SignatureAlgorithm, Verifier as _};
    use shouwang_driver::Ed25519Verifier;

    use super::*;

    #[test]
    fn a_key_lasts_and_its_signatures_verify() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signing.key");
        let made = SigningKey::create(&path).unwrap();
        let loaded = SigningKey::load(&path).unwrap();
        assert_eq!(made.public_key(), loaded.public_key());
        let signature = loaded.sign(b"batch");
        let verify = |message: &[u8]| {
            Ed25519Verifier.verify(SignatureAlgorithm::Ed25519, &made.public_key(), message, &signature)
        };
        assert!(verify(b"batch") && !verify(b"other"));
        assert_eq!(loaded.public_hex().len(), 64);
        assert_eq!(format!("{loaded:?}").matches(':').count(), 1, "it shows its public half alone");
        assert!(matches!(SigningKey::create(&path), Err(PkiError::Exists(_))));
    }

    #[test]
    fn later_keys_lie_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("signing.key");
        SigningKey::create(&first).unwrap();
        assert_eq!(SigningKey::files_beside(&first).unwrap(), Vec::<PathBuf>::new());
        let (made, file) = SigningKey::create_beside(&first).unwrap();
        std::fs::write(dir.path().join("signing-old.pub"), "no key").unwrap();
        assert_eq!(SigningKey::files_beside(&first).unwrap(), std::slice::from_ref(&file));
        assert_eq!(SigningKey::load(&file).unwrap().public_key(), made.public_key());
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
